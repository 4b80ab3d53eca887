//! Why a recording, or a line of one, cannot be read.

use std::io;
use std::path::PathBuf;

use super::format::RECORDING_VERSION;
use super::lines::MAX_LINE_BYTES;
use super::shown::shown;

/// A recording could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenRecordingError {
    /// It was written by a newer build.
    #[error("{}, line 1, has version {found} of the recording format, newer than the {RECORDING_VERSION} this build reads; upgrade shadowcat-tui", shown(.path))]
    TooNew {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        found: u64,
    },
    /// The system does not let us.
    #[error("could not read {}; check that it exists and is readable", shown(.path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its first line is no header.
    #[error("{}, line 1, is not the header of a recording; open a .jsonl file that shadowcat-tui has recorded", shown(.path))]
    NotARecording {
        /// The file.
        path: PathBuf,
        /// What is wrong with the line.
        source: serde_json::Error,
    },
    /// It is compressed, and damaged or cut off before its first line is whole.
    #[error("{} is compressed, and damaged or cut off before its first line is whole, so nothing can be read; copy it again from where it comes from", shown(.path))]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// A line could not be read. The next one may well be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadRecordingError {
    /// The line is broken.
    #[error("{}, line {line}, cannot be read and is left out; the other lines are used", shown(.path))]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The line is longer than any that a recorder writes.
    #[error("{}, line {line}, is longer than {MAX_LINE_BYTES} bytes and is left out; the other lines are used", shown(.path))]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: u64,
    },
    /// Compressed data is damaged. Reading goes on behind it.
    #[error("{}, line {line}: the compressed data is damaged, and what stood here is lost; the other lines are used", shown(.path))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Number of the first line that is damaged, from 1.
        line: u64,
    },
    /// The system failed; nothing more can be read.
    #[error("could not read {} from line {line} on; check the disk or the network drive it is on", shown(.path))]
    Io {
        /// The file.
        path: PathBuf,
        /// Number of the line that was to be read.
        line: u64,
        /// What the system said.
        source: io::Error,
    },
}
