//! Recordings of what is known as a whole already.

use std::path::Path;

use super::encode::{Encoder, Ending};
use super::file::{self, LineFile};
use super::redact::{Redaction, Tagger};
use super::writer::{FinishedRecording, StartRecordingError, no_randomness};
use crate::clock::Timestamp;
use crate::session::observation::Observation;

/// Lines are written when they are this many bytes together.
const WRITE_BYTES: usize = 1 << 20;

/// Most exchanges that may be open at once in it.
const MAX_EXCHANGES: usize = 65_536;

/// Writes a new recording of `observations`, which are in order, as if it had been begun at `created`. Blocks.
///
/// # Errors
/// [`StartRecordingError`], as for a recorder; a file that could be written in part only is left as it is.
pub fn write_whole(
    path: &Path,
    created: Timestamp,
    observations: impl IntoIterator<Item = Observation>,
    redaction: Redaction,
) -> Result<FinishedRecording, StartRecordingError> {
    let tagger = match redaction {
        Redaction::On => Some(Tagger::random().map_err(no_randomness)?),
        Redaction::Off => None,
    };
    let (path, file) = file::create(Some(path.to_owned()), created)?;
    let mut file = LineFile::new(Box::new(file));
    let mut encoder = Encoder::new(created, tagger, MAX_EXCHANGES);
    let mut append = |lines: &mut Vec<u8>| {
        let appended = file.append(lines);
        lines.clear();
        appended.map_err(|error| StartRecordingError::Write {
            path: path.clone(),
            source: error.source,
        })?;
        Ok(file.bytes())
    };
    let (mut lines, mut count, mut last) = (Vec::new(), 1, created);
    encoder.header(&mut lines);
    for observation in observations {
        last = last.max(observation.at);
        let before = lines.len();
        encoder.observation(observation, &mut lines);
        count += memchr::memchr_iter(b'\n', &lines[before..]).count() as u64;
        if lines.len() >= WRITE_BYTES {
            append(&mut lines)?;
        }
    }
    let bytes = append(&mut lines)?;
    let ending = Ending {
        lines: count,
        bytes,
        lost: 0,
        continued_by: None,
    };
    encoder.end(last, ending, &mut lines);
    let bytes = append(&mut lines)?;
    Ok(FinishedRecording {
        path,
        bytes,
        lines: count + 1,
        lost: 0,
        failure: None,
    })
}
