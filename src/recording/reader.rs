//! Reads recordings line by line, and says what is wrong with a line by its number.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::format::{HeaderLine, Line, RECORDING_VERSION, parse_header};
use super::input::RecordingFile;
use super::join::Join;
use super::lines::{LineText, Lines, MAX_LINE_BYTES, RawLine};
use super::segments::{Extent, SegmentFile, Segments, missing_text, name_of, unreadable_text};
use super::text::RecordingText;
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
    /// Where it starts, in bytes of the text of all files that are read.
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

/// A recording that is read from its start, line by line, in bounded memory. If it is in several files, what it gives is
/// as if it were in one: times count from the first header, numbers go on, and what a later file repeats is left out.
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
    text: RecordingText,
    behind: Option<Box<Behind<R>>>,
}

/// The files behind the first one.
#[derive(Debug)]
struct Behind<R> {
    files: std::vec::IntoIter<SegmentFile>,
    open: fn(&Path, &RecordingText, u64) -> io::Result<R>,
    join: Join,
    /// Bytes of text in the files before.
    start: u64,
    /// What is missing of the files as a whole.
    damage: Vec<String>,
    is_several: bool,
}

/// The text of a recording's file.
pub type FileInput = BufReader<RecordingFile>;

impl RecordingReader<FileInput> {
    /// Opens the recording `path`, which may be compressed with zstd, and reads its header.
    ///
    /// # Errors
    /// [`OpenRecordingError`], which says what to do.
    pub fn open(path: &Path) -> Result<Self, OpenRecordingError> {
        let text = RecordingText::default();
        let input = open_input(path, &text, 0).map_err(|source| OpenRecordingError::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut reader = Self::new(input, path)?;
        reader.text = text;
        Ok(reader)
    }

    /// Opens the recording of which `path` is a file, so that all files of it are read, from the first one on.
    ///
    /// # Errors
    /// [`OpenRecordingError`], as for [`RecordingReader::open`].
    pub fn open_whole(path: &Path) -> Result<Self, OpenRecordingError> {
        Self::open_segments(&Segments::of(path, Extent::Whole)?)
    }

    /// Opens these files, to be read as one recording.
    ///
    /// # Errors
    /// [`OpenRecordingError`] if the first one cannot be read. What later ones lack is told by
    /// [`RecordingReader::damage`].
    pub fn open_segments(segments: &Segments) -> Result<Self, OpenRecordingError> {
        let mut files = segments.files().to_vec().into_iter();
        let Some(first) = files.next() else {
            return Err(OpenRecordingError::Read {
                path: PathBuf::new(),
                source: io::ErrorKind::NotFound.into(),
            });
        };
        let mut reader = Self::open(&first.path)?;
        if segments.extent() == Extent::Whole {
            let damage = first.missing_before.iter().map(|file| missing_text(file));
            reader.behind = Some(Box::new(Behind {
                is_several: files.len() > 0,
                files,
                open: open_input,
                join: Join::default(),
                start: 0,
                damage: damage.collect(),
            }));
        }
        Ok(reader)
    }
}

fn open_input(path: &Path, text: &RecordingText, start: u64) -> io::Result<FileInput> {
    let file = RecordingFile::open(path)?;
    text.add(path, start, file.places());
    Ok(BufReader::with_capacity(1 << 16, file))
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
            text: RecordingText::default(),
            behind: None,
        })
    }

    /// The text of what is read, so that parts of it can be read again. It grows as files are read.
    pub const fn text(&self) -> &RecordingText {
        &self.text
    }

    /// What is missing of the recording as a whole, as far as it was read: files that are not there.
    pub fn damage(&self) -> &[String] {
        self.behind.as_deref().map_or(&[], |behind| &behind.damage)
    }

    /// How a line of the file that is being read is called: by its number, and by the file if there are several.
    pub fn place(&self, line: u64) -> String {
        match &self.behind {
            Some(behind) if behind.is_several => format!("{}, line {line}", name_of(&self.path)),
            _ => format!("line {line}"),
        }
    }

    /// The first line.
    pub const fn header(&self) -> &HeaderLine {
        &self.header
    }

    /// When the recording was begun; the `us` of all lines count from here.
    pub fn created(&self) -> Timestamp {
        Timestamp::from_micros(u64::try_from(self.header.created.as_microsecond()).unwrap_or(0))
    }

    /// Bytes of text read so far.
    pub fn offset(&self) -> u64 {
        self.start() + self.lines.offset()
    }

    fn start(&self) -> u64 {
        self.behind.as_deref().map_or(0, |behind| behind.start)
    }

    /// Goes on with the next file. False if there is none.
    fn next_file(&mut self) -> bool {
        let start = self.offset();
        let torn = self.torn.map(|torn| self.place(torn.line));
        let Some(behind) = &mut self.behind else {
            return false;
        };
        for file in behind.files.by_ref() {
            behind
                .damage
                .extend(file.missing_before.as_deref().map(missing_text));
            match (behind.open)(&file.path, &self.text, start) {
                Ok(input) => {
                    let later = file.created().as_microsecond() - self.header.created.as_microsecond();
                    behind.join.next_file(later);
                    behind.start = start;
                    behind
                        .damage
                        .extend(torn.map(|place| format!("{place}: the line is incomplete")));
                    self.torn = None;
                    self.path = file.path;
                    self.lines = Lines::new(input, 1, 0);
                    return true;
                }
                Err(error) => behind.damage.push(unreadable_text(&file.path, &error)),
            }
        }
        false
    }

    /// The line as one of the whole recording, if it is new there.
    fn joined(&mut self, record: Record) -> Option<Record> {
        let Some(behind) = &mut self.behind else {
            return Some(record);
        };
        let is_last = behind.files.len() == 0;
        if let Line::End(end) = &record.line
            && is_last
        {
            behind
                .damage
                .extend(end.continued_by.as_deref().map(missing_text));
        }
        if !behind.is_several {
            return Some(record);
        }
        let line = behind.join.line(record.line, is_last)?;
        Some(Record { line, ..record })
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
                offset: self.start() + raw.offset,
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
        while !self.is_over {
            match self.read() {
                Ok(Some(record)) => {
                    if let Some(record) = self.joined(record) {
                        return Some(Ok(record));
                    }
                }
                Ok(None) => self.is_over = !self.next_file(),
                Err(error) => return Some(Err(error)),
            }
        }
        None
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
