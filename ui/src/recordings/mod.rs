//! The Recordings screen outside of the model: looking into folders, and our own program run on a recording.

mod child;
mod desk;
mod folder;

use std::path::PathBuf;

use serde::Deserialize;
use shadowcat::clock::Timestamp;

pub(crate) use child::{LookFlags, open as open_in_front};
pub(crate) use desk::Desk;

/// Recordings of all folders that are listed, the newest; the others are counted.
pub(crate) const MOST_LISTED: usize = 500;

/// Something to be done about recordings, away from the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Look what recordings are in these folders.
    List { folders: Vec<PathBuf> },
    /// Read this one to its end. Takes the place of whatever was read before.
    Check { path: PathBuf },
    /// Read no further.
    Stop,
}

/// What came of an errand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Listed(Listing),
    Checked {
        path: PathBuf,
        outcome: Result<Checked, String>,
    },
    /// The screen is ours again after another recording was shown on it.
    CameBack {
        path: PathBuf,
        outcome: Result<(), String>,
    },
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
