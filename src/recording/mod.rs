//! Recordings: everything that passed, in a file that stays readable whatever happens to the proxy.
//!
//! The format is described in `docs/recording-format.md` and is a promise to users.

mod assembly;
mod behind;
mod body;
mod disk;
mod encode;
pub(crate) mod file;
pub(crate) mod first_line;
pub mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod gap;
pub mod head_line;
mod input;
mod join;
mod lines;
pub mod load;
mod mask;
mod open;
mod open_heads;
pub mod reader;
mod reader_errors;
pub mod redact;
pub mod scrub;
mod segments;
mod settings;
mod shown;
mod spool;
mod tap;
mod text;
mod totals;
pub mod verify;
mod whole;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use disk::NO_ROOM;
pub(crate) use file::REMOVED;
pub(crate) use tap::NOT_KEPT_UP;

pub use body::{BodyRange, read_body, read_body_in};
pub use input::{Places, RecordingFile};
pub use lines::MAX_LINE_BYTES;
pub use load::{Loaded, Loader, NO_END, TORN, Unplaced};
pub use reader::{FileInput, OpenRecordingError, ReadRecordingError, Record, RecordingReader, TornTail};
pub use redact::{
    RedactPattern, RedactPatternError, RedactPatterns, Redaction, TextMask, hide_secrets, hide_url_secrets,
};
pub use segments::{Extent, SegmentFile, Segments};
pub use settings::{RecorderSettings, RecordingSettings, Rotation};
pub use shown::shown;
pub use spool::{Spool, SpoolReader};
pub use tap::RecorderTap;
pub use text::{RecordingText, TextReader};
pub use totals::RecordedTotals;
pub use whole::{write_whole, write_whole_to};
pub use writer::{FinishedRecording, NotRecordingError, Recorder, StartRecordingError, recorder};
