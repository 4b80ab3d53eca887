//! A recording as conversations: sessions, their exchanges, and the calls in them.
//!
//! [`Tape::load`] reads a whole file, in bounded memory. A [`TapeSession`] has its exchanges in the order in which they
//! began, and all JSON-RPC messages of both directions in the one order in which they were whole, whatever carried
//! them: HTTP bodies, events of streams, lines of a command, messages of a WebSocket. On top of these stand the
//! [`TapeCall`]s: each request with its answer and what came between the two.
//!
//! Everything refers to everything else by its place in the session's lists:
//!
//! ```no_run
//! use shadowcat::replay::tape::{Tape, TapeOptions};
//!
//! let tape = Tape::load("recordings/legacy-http.jsonl".as_ref(), &TapeOptions::as_the_client_saw_it())?;
//! for session in &tape.sessions {
//!     for call in session.client_calls() {
//!         let request = &session.messages[call.request];
//!         let answer = call.answer.map(|answer| &session.messages[answer].text);
//!         println!("{} {:?} → {answer:?}", call.method, request.text);
//!     }
//! }
//! # Ok::<(), shadowcat::replay::tape::TapeError>(())
//! ```
//!
//! What was changed on its way can be taken as it *arrived* at the proxy or as it was *sent* on, for each direction:
//! a mock server wants what the client has seen, a comparison with the real server what that server has said.
//!
//! Pipes of a command that was started by the proxy behind HTTP (`bridged_run`) are kept as exchanges without messages,
//! since their messages are those of the HTTP exchanges.

mod calls;
mod injected;
mod model;
mod read;
#[cfg(test)]
mod tests;

use std::io::BufRead;
use std::path::{Path, PathBuf};

use crate::limits::ResourceLimits;
use crate::recording::{Extent, OpenRecordingError, RecordingReader, Segments};

pub use model::{
    Tape, TapeCall, TapeCarrier, TapeEnd, TapeExchange, TapeFrame, TapeMessage, TapePart, TapeResponse,
    TapeSession,
};

/// Which form of a message that was changed on its way is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// What came to the proxy.
    Arrived,
    /// What went on from there. A message that did not go on is left out; an answer that was given in its place is the
    /// answer of its call.
    Sent,
}

/// How a recording is taken.
#[derive(Debug, Clone)]
pub struct TapeOptions {
    /// Messages of the client.
    pub from_client: Taken,
    /// Messages of the server.
    pub from_server: Taken,
    /// Bytes of bodies, lines and events that are kept at most; beyond, [`TapeError::TooLarge`].
    pub max_bytes: usize,
    /// Whether the other files of a recording in several are read too.
    pub extent: Extent,
    /// Whether requests that were sent again from the proxy, and what came back for them, are taken too. Otherwise they are
    /// left out: no client sent them.
    pub keeps_injected: bool,
}

impl TapeOptions {
    /// What the client said, and what it got to read: for a stand-in of the server.
    pub fn as_the_client_saw_it() -> Self {
        Self {
            from_client: Taken::Arrived,
            from_server: Taken::Sent,
            max_bytes: ResourceLimits::default().max_history_memory,
            extent: Extent::Whole,
            keeps_injected: false,
        }
    }

    /// What client and server said themselves, without the changes of the proxy: for a stand-in of the client whose
    /// server is compared with the recorded one.
    pub fn as_it_arrived() -> Self {
        Self {
            from_client: Taken::Arrived,
            from_server: Taken::Arrived,
            ..Self::as_the_client_saw_it()
        }
    }

    /// With `max_history_memory` of `limits` as the bound.
    #[must_use]
    pub const fn within(mut self, limits: &ResourceLimits) -> Self {
        self.max_bytes = limits.max_history_memory;
        self
    }

    /// With what was sent again from the proxy.
    #[must_use]
    pub const fn with_injected(mut self) -> Self {
        self.keeps_injected = true;
        self
    }

    /// With this much of a recording in several files.
    #[must_use]
    pub const fn reading(mut self, extent: Extent) -> Self {
        self.extent = extent;
        self
    }
}

/// A recording could not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TapeError {
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] OpenRecordingError),
    /// It has more than may be kept in memory.
    #[error(
        "{} has more than {max_bytes} bytes of messages, which is max_history_memory; raise --max-history-memory, or use a shorter recording",
        .path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound.
        max_bytes: usize,
    },
}

impl Tape {
    /// Reads the recording `path`, with all files of it unless the options say otherwise. Blocks on the file system.
    ///
    /// Broken lines, gaps and a torn tail are left out and told by [`Tape::damage`].
    ///
    /// # Errors
    /// [`TapeError`], which says what to do.
    pub fn load(path: &Path, options: &TapeOptions) -> Result<Self, TapeError> {
        let segments = Segments::of(path, options.extent)?;
        Self::read(RecordingReader::open_segments(&segments)?, path, options)
    }

    /// Reads what `reader` still has to read; `path` is what errors call it.
    ///
    /// # Errors
    /// [`TapeError::TooLarge`].
    pub fn read<R: BufRead>(
        reader: RecordingReader<R>,
        path: &Path,
        options: &TapeOptions,
    ) -> Result<Self, TapeError> {
        read::read(reader, path, options)
    }
}
