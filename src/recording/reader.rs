//! Reads recordings line by line, and says what is wrong with a line by its number.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::format::{HeaderLine, Line, RECORDING_VERSION, parse_header};
use super::input::{Places, RecordingFile};
use super::lines::{LineText, Lines, MAX_LINE_BYTES, RawLine};
use crate::clock::Timestamp;

/// A recording could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenRecordingError {
    /// It was written by a newer build.
    #[error("{} uses recording format {found}, newer than the {RECORDING_VERSION} this build reads; upgrade shadowcat-tui", .path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        found: u16,
    },
    /// The system does not let us.
    #[error("could not read {}; check that it exists and is readable", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its first line is no header.
    #[error("{}, line 1, is not the header of a recording; open a .jsonl file that shadowcat-tui has recorded", .path.display())]
    NotARecording {
        /// The file.
        path: PathBuf,
        /// What is wrong with the line.
        source: serde_json::Error,
    },
}

/// A line could not be read. The next one may well be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadRecordingError {
    /// The line is broken.
    #[error("{}, line {line}, cannot be read and is left out; the other lines are used", .path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The line is longer than any that a recorder writes.
    #[error("{}, line {line}, is longer than {MAX_LINE_BYTES} bytes and is left out; the other lines are used", .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: u64,
    },
    /// The system failed; nothing more can be read.
    #[error("could not read {} from line {line} on; check the disk or the network drive it is on", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Number of the line that was to be read.
        line: u64,
        /// What the system said.
        source: io::Error,
    },
}

/// A line that was read, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Number of the line in the file, from 1.
    pub number: u64,
    /// Where it starts, in bytes.
    pub offset: u64,
    /// Its length in bytes, line ending included.
    pub length: u64,
    /// What it says.
    pub line: Line,
}

/// The last line is incomplete, as a crash or a write under way leaves it. It is not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TornTail {
    /// Number of the line, from 1.
    pub line: u64,
    /// Where it starts, in bytes.
    pub offset: u64,
}

/// A recording that is read from its start, line by line, in bounded memory.
///
/// Yields every line after the header. After an error the lines behind it follow, except after
/// [`ReadRecordingError::Io`].
#[derive(Debug)]
pub struct RecordingReader<R> {
    lines: Lines<R>,
    path: PathBuf,
    header: HeaderLine,
    torn: Option<TornTail>,
    is_over: bool,
}

/// The text of a recording's file.
pub type FileInput = BufReader<RecordingFile>;

impl RecordingReader<FileInput> {
    /// Opens the recording `path`, which may be compressed with zstd, and reads its header.
    ///
    /// # Errors
    /// [`OpenRecordingError`], which says what to do.
    pub fn open(path: &Path) -> Result<Self, OpenRecordingError> {
        let file = RecordingFile::open(path).map_err(|source| OpenRecordingError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::new(BufReader::with_capacity(1 << 16, file), path)
    }

    /// The places of a compressed file, which fill as it is read.
    pub fn places(&self) -> Places {
        self.lines.input().get_ref().places()
    }
}

impl<R: BufRead> RecordingReader<R> {
    /// Reads the header of the recording `input`; `path` is what errors call it.
    ///
    /// # Errors
    /// [`OpenRecordingError`], as for [`RecordingReader::open`].
    pub fn new(input: R, path: &Path) -> Result<Self, OpenRecordingError> {
        let mut lines = Lines::new(input, 1, 0);
        let header = read_header(&mut lines, path)?;
        Ok(Self {
            lines,
            path: path.to_owned(),
            header,
            torn: None,
            is_over: false,
        })
    }

    /// The first line.
    pub const fn header(&self) -> &HeaderLine {
        &self.header
    }

    /// When the recording was begun; the `us` of all lines count from here.
    pub fn created(&self) -> Timestamp {
        Timestamp::from_micros(u64::try_from(self.header.created.as_microsecond()).unwrap_or(0))
    }

    /// Bytes read so far.
    pub const fn offset(&self) -> u64 {
        self.lines.offset()
    }

    /// The incomplete last line, once the end was reached and if there is one.
    pub const fn torn(&self) -> Option<TornTail> {
        self.torn
    }

    fn read(&mut self) -> Result<Option<Record>, ReadRecordingError> {
        let next = self.lines.next_line();
        let Some(raw) = next.map_err(|source| self.io(source))? else {
            return Ok(None);
        };
        let LineText::Whole(text) = &raw.text else {
            return Err(ReadRecordingError::TooLong {
                path: self.path.clone(),
                line: raw.number,
            });
        };
        match Line::parse(text) {
            Ok(line) => Ok(Some(Record {
                number: raw.number,
                offset: raw.offset,
                length: self.lines.offset() - raw.offset,
                line,
            })),
            Err(source) => self.broken(&raw, source),
        }
    }

    /// A broken line is an error, except at the very end.
    fn broken(
        &mut self,
        raw: &RawLine,
        source: serde_json::Error,
    ) -> Result<Option<Record>, ReadRecordingError> {
        let is_last = self.lines.is_at_end().map_err(|source| self.io(source))?;
        if is_last {
            self.torn = Some(TornTail {
                line: raw.number,
                offset: raw.offset,
            });
            return Ok(None);
        }
        Err(ReadRecordingError::Broken {
            path: self.path.clone(),
            line: raw.number,
            source,
        })
    }

    fn io(&mut self, source: io::Error) -> ReadRecordingError {
        self.is_over = true;
        ReadRecordingError::Io {
            path: self.path.clone(),
            line: self.lines.number(),
            source,
        }
    }
}

/// Reads the first line of a file.
pub(super) fn read_header<R: BufRead>(
    lines: &mut Lines<R>,
    path: &Path,
) -> Result<HeaderLine, OpenRecordingError> {
    let first = lines.next_line().map_err(|source| OpenRecordingError::Read {
        path: path.to_owned(),
        source,
    })?;
    let text = match first.map(|line| line.text) {
        Some(LineText::Whole(text)) => text,
        Some(LineText::TooLong) | None => Vec::new(),
    };
    let header = parse_header(&text).map_err(|source| OpenRecordingError::NotARecording {
        path: path.to_owned(),
        source,
    })?;
    if header.version > RECORDING_VERSION {
        return Err(OpenRecordingError::TooNew {
            path: path.to_owned(),
            found: header.version,
        });
    }
    Ok(header)
}

impl<R: BufRead> Iterator for RecordingReader<R> {
    type Item = Result<Record, ReadRecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.read().transpose();
        self.is_over |= next.is_none();
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"type":"header","format":"shadowcat-recording","version":1,"created":"2026-11-23T04:23:03.123456Z","proxy":"shadowcat-tui 0.1.0","redacted":true}"#;

    fn open(text: &str) -> Result<RecordingReader<&[u8]>, OpenRecordingError> {
        RecordingReader::new(text.as_bytes(), Path::new("a.jsonl"))
    }

    #[test]
    fn a_newer_format_is_refused_with_advice() {
        let newer = r#"{"type":"header","format":"shadowcat-recording","version":7,"created":12}"#;
        assert_eq!(
            open(newer).unwrap_err().to_string(),
            "a.jsonl uses recording format 7, newer than the 1 this build reads; upgrade shadowcat-tui"
        );
    }

    #[test]
    fn what_is_no_recording_is_refused_with_its_first_line_named() {
        for text in [
            "",
            "\n",
            "hello",
            "{}",
            HEADER.split_at(70).0,
            &HEADER.replace("shadowcat-recording", "har"),
        ] {
            assert_eq!(
                open(text).unwrap_err().to_string(),
                "a.jsonl, line 1, is not the header of a recording; open a .jsonl file that shadowcat-tui has recorded"
            );
        }
    }

    #[test]
    fn unknown_types_and_fields_are_skipped_and_broken_lines_named() {
        let text = format!(
            "{HEADER}\n{{\"type\":\"omen\",\"x\":1}}\n\nnonsense\n{{\"type\":\"session_end\",\"seq\":1,\"us\":-5,\"session\":\"R1\",\"reason\":\"over\",\"mood\":\"good\"}}\n"
        );
        let mut reader = open(&text).unwrap();
        let unknown = reader.next().unwrap().unwrap();
        assert_eq!((unknown.number, unknown.line), (2, Line::Unknown));
        assert_eq!(
            reader.next().unwrap().unwrap_err().to_string(),
            "a.jsonl, line 4, cannot be read and is left out; the other lines are used"
        );
        let ended = reader.next().unwrap().unwrap();
        let text = &text.as_bytes()[usize::try_from(ended.offset).unwrap()..];
        assert_eq!((ended.number, ended.length), (5, text.len() as u64));
        assert!(matches!(ended.line, Line::SessionEnd(_)));
        assert!(reader.next().is_none());
        assert_eq!(reader.torn(), None);
    }

    #[test]
    fn a_line_without_end_is_skipped_in_bounded_memory() {
        let text = format!("{}\nshort\n", "x".repeat(500));
        let mut lines = Lines::new(text.as_bytes(), 1, 0).with_max_bytes(100);
        assert!(matches!(
            lines.next_line().unwrap().unwrap().text,
            LineText::TooLong
        ));
        let next = lines.next_line().unwrap().unwrap();
        assert_eq!((next.number, next.offset), (2, 501));
        assert!(lines.next_line().unwrap().is_none());
    }
}
