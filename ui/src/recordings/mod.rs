//! The Recordings screen outside of the model: looking into folders, and our own program run on a recording.

mod child;
mod desk;
mod folder;
mod mock;
mod names;

use std::path::PathBuf;

use serde::Deserialize;
use shadowcat::clock::Timestamp;

pub(crate) use child::{LookFlags, is_still_written, open as open_in_front};
pub(crate) use desk::Desk;
pub(crate) use folder::unreadable;
pub(crate) use names::from_home;

/// Recordings of all folders that are listed, the newest; the others are counted.
pub(crate) const MOST_LISTED: usize = 500;

/// Recordings that are served at once.
pub(crate) const MOST_SERVED: usize = 8;

/// Lines of a comparison that are shown.
const MOST_LINES: usize = 2_000;

/// Something to be done about recordings, away from the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Look what recordings are in these folders.
    List { folders: Vec<PathBuf> },
    /// Read this one to its end. Takes the place of whatever was read before.
    Check { path: PathBuf },
    /// Read no further.
    StopReading,
    /// Tell what differs between two recordings. Takes the place of whatever was compared before.
    Compare { before: PathBuf, after: PathBuf },
    /// Send the client's side of a recording to a live server, and tell how its answers differ. Takes the place of
    /// whatever was compared before.
    ReplayTo {
        path: PathBuf,
        url: String,
        agreed: Agreed,
    },
    /// Find the recordings and folders whose names go on like this.
    Names { typed: String },
    /// Compare no further.
    StopComparing,
    /// Serve this one on a port of its own, until that is to end, or we do.
    Serve { path: PathBuf },
    /// Serve it no longer.
    EndServing { path: PathBuf },
}

/// What may be sent to a live server without being asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// Calls of tools that may change something.
    pub(crate) calls_tools: bool,
    /// Tags in the place of secrets.
    pub(crate) sends_tags: bool,
    /// Secrets, by the variables of the environment that hold them.
    pub(crate) supplied: Vec<Supplied>,
}

/// A secret that is in the environment of this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Supplied {
    pub(crate) what: Secret,
    /// The tag, or the name of the header.
    pub(crate) name: String,
    pub(crate) variable: String,
}

/// Where a secret stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secret {
    /// In messages.
    Value,
    /// In a header of each request.
    Header,
}

impl Secret {
    /// The word for it, which is a flag of `replay` too.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Value => "secret-env",
            Self::Header => "header-env",
        }
    }
}

/// What came of an errand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Listed(Listing),
    Checked {
        path: PathBuf,
        outcome: Result<Checked, String>,
    },
    Compared {
        before: PathBuf,
        after: PathBuf,
        outcome: Result<Compared, String>,
    },
    /// What goes on like what was typed.
    Named {
        typed: String,
        names: Vec<String>,
    },
    /// How serving a recording goes on; `None` once it has ended as it should.
    Mock {
        path: PathBuf,
        state: Option<MockState>,
    },
    /// The screen is ours again after another recording was shown on it.
    CameBack {
        path: PathBuf,
        outcome: Result<(), String>,
    },
}

/// What `diff` prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compared {
    pub(crate) lines: Vec<String>,
    /// There are more lines.
    pub(crate) is_cut: bool,
}

/// A recording as a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MockState {
    Starting,
    /// Clients of Streamable HTTP find it there.
    Serving {
        url: String,
    },
    /// It was told to end.
    Ending,
    /// It does not serve, for this reason.
    Failed(String),
}

impl MockState {
    /// A run of it is there.
    pub(crate) const fn is_running(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }
}

/// The recordings of some folders, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) found: Vec<Found>,
    /// Older ones, which are not in the list.
    pub(crate) left_out: u64,
    /// Folders that are there and cannot be read.
    pub(crate) trouble: Vec<String>,
}

/// A recording, as far as its first and its last line tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) modified: Timestamp,
    pub(crate) head: Head,
    pub(crate) tail: Tail,
}

impl Found {
    /// When the recording was begun, or changed last if that is not known.
    pub(crate) const fn begun(&self) -> Timestamp {
        match self.head {
            Head::Read { created, .. } => created,
            Head::Unreadable(_) => self.modified,
        }
    }
}

/// What the first line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Head {
    Read {
        created: Timestamp,
        is_redacted: bool,
        proxy: String,
        /// Number among the files of one recording.
        segment: Option<u32>,
    },
    /// It cannot be opened by this build.
    Unreadable(String),
}

/// What the last line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    /// It was ended in order; so many records are missing in it.
    Ended { lost: u64 },
    /// It has no end: it is being written, or its writer was killed.
    Open,
    /// The last line is incomplete.
    Torn,
    /// Only reading all of it would tell: it is compressed.
    Unknown,
}

/// What reading a recording to its end has shown: what `verify --format json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Checked {
    #[serde(rename = "whole")]
    pub(crate) is_whole: bool,
    pub(crate) lines: u64,
    pub(crate) sessions: u64,
    pub(crate) messages: u64,
    pub(crate) frames: u64,
    pub(crate) problems: Vec<Problem>,
    /// Damage beyond that.
    pub(crate) more: u64,
}

impl Checked {
    /// How many places are damaged.
    pub(crate) fn damages(&self) -> u64 {
        self.problems.iter().filter(|problem| problem.is_damage).count() as u64 + self.more
    }
}

/// A place where something is wrong or remarkable.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Problem {
    pub(crate) line: Option<u64>,
    pub(crate) text: String,
    #[serde(rename = "damage")]
    pub(crate) is_damage: bool,
}
