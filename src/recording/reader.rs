//! Reads recordings line by line, and says what is wrong with a line by its number.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::first_line::{in_words, read_header};
use super::format::{HeaderLine, Line};
use super::input::{Places, RecordingFile};
use super::join::Join;
use super::lines::{LineText, Lines, RawLine};
pub use super::reader_errors::{OpenRecordingError, ReadRecordingError};
use super::segments::{Extent, SegmentFile, Segments, missing_text, name_of, unreadable_text};
use super::text::RecordingText;
use crate::clock::Timestamp;

/// Sentences about damage that are kept; further damage is counted.
const MAX_DAMAGE: usize = 100;

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
    /// Of the file that is being read, if it is compressed.
    places: Places,
    /// Damaged places of it that were told.
    told_damages: usize,
    /// A line behind damaged data.
    waiting: Option<Record>,
    numbers: Numbers,
    /// The file's own header was read.
    has_header: bool,
    damage: Vec<String>,
    more_damage: u64,
    behind: Option<Box<Behind<R>>>,
}

/// Which numbers the lines of a file have had so far.
#[derive(Debug, Default)]
struct Numbers {
    last: u64,
    /// Lines since then that could not be read: each of them had a number.
    unread: u64,
}

impl Numbers {
    /// How many lines are missing before one with the number `seq`, without a word about it.
    fn missing_before(&mut self, seq: u64, is_gap: bool) -> u64 {
        let unread = std::mem::take(&mut self.unread);
        if seq <= self.last {
            return 0;
        }
        let missing = (seq - self.last - 1).saturating_sub(unread);
        self.last = seq;
        if is_gap { 0 } else { missing }
    }
}

/// The files behind the first one.
#[derive(Debug)]
struct Behind<R> {
    files: std::vec::IntoIter<SegmentFile>,
    open: fn(&SegmentFile, &RecordingText, u64) -> io::Result<(R, Places)>,
    join: Join,
    /// Bytes of text in the files before.
    start: u64,
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
        let file = RecordingFile::open(path).map_err(|source| OpenRecordingError::Read {
            path: path.to_owned(),
            source,
        })?;
        let text = RecordingText::default();
        text.add(path, 0, file.places(), None);
        Self::of_file(file, path, text)
    }

    /// Reads the header of `file`, which can be read once, such as a pipe; `path` is what errors call it.
    ///
    /// # Errors
    /// [`OpenRecordingError`], as for [`RecordingReader::open`].
    pub fn once(file: RecordingFile, path: &Path) -> Result<Self, OpenRecordingError> {
        Self::of_file(file, path, RecordingText::default())
    }

    fn of_file(file: RecordingFile, path: &Path, text: RecordingText) -> Result<Self, OpenRecordingError> {
        let places = file.places();
        let input = BufReader::with_capacity(1 << 16, file);
        let mut reader = Self::new(input, path).map_err(|error| match error {
            OpenRecordingError::NotARecording { path, .. } if places.is_harmed() => {
                OpenRecordingError::Damaged { path }
            }
            error => error,
        })?;
        reader.text = text;
        reader.places = places;
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
        let failed = |source| OpenRecordingError::Read {
            path: first.path.clone(),
            source,
        };
        let file = first.open().map_err(failed)?;
        let text = RecordingText::default();
        text.add(&first.path, 0, file.places(), first.spool());
        let mut reader = Self::of_file(file, &first.path, text)?;
        if segments.extent() == Extent::Whole {
            first
                .missing_before
                .iter()
                .for_each(|file| reader.damaged(missing_text(file)));
            reader.behind = Some(Box::new(Behind {
                is_several: files.len() > 0,
                files,
                open: open_input,
                join: Join::default(),
                start: 0,
            }));
        }
        Ok(reader)
    }
}

fn open_input(file: &SegmentFile, text: &RecordingText, start: u64) -> io::Result<(FileInput, Places)> {
    let opened = file.open()?;
    let places = opened.places();
    text.add(&file.path, start, places.clone(), file.spool());
    Ok((BufReader::with_capacity(1 << 16, opened), places))
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
            places: Places::default(),
            told_damages: 0,
            waiting: None,
            numbers: Numbers::default(),
            has_header: true,
            damage: Vec::new(),
            more_damage: 0,
            behind: None,
        })
    }

    /// The text of what is read, so that parts of it can be read again. It grows as files are read.
    pub const fn text(&self) -> &RecordingText {
        &self.text
    }

    /// What is missing although no line tells of it, a sentence each, as far as the recording was read: files that are
    /// not there, lines whose numbers were passed over, a recording behind this one in the same file.
    pub fn damage(&self) -> Vec<String> {
        let mut damage = self.damage.clone();
        if self.more_damage > 0 {
            damage.push(format!("{} more places are damaged", self.more_damage));
        }
        damage
    }

    fn damaged(&mut self, sentence: String) {
        if self.damage.len() < MAX_DAMAGE {
            self.damage.push(sentence);
        } else {
            self.more_damage += 1;
        }
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
        while let Some(behind) = &mut self.behind
            && let Some(file) = behind.files.next()
        {
            let missing = file.missing_before.as_deref().map(missing_text);
            let opened = (behind.open)(&file, &self.text, start);
            if let Some(missing) = missing {
                self.damaged(missing);
            }
            match opened {
                Ok((input, places)) => {
                    if let Some(place) = torn {
                        self.damaged(format!("{place}: the line is incomplete"));
                    }
                    self.begin(file, input, places, start);
                    return true;
                }
                Err(error) => self.damaged(unreadable_text(&file.path, &error)),
            }
        }
        false
    }

    fn begin(&mut self, file: SegmentFile, input: R, places: Places, start: u64) {
        if let Some(behind) = &mut self.behind {
            let later = file.created().as_microsecond() - self.header.created.as_microsecond();
            behind.join.next_file(later);
            behind.start = start;
        }
        self.torn = None;
        self.path = file.path;
        self.lines = Lines::new(input, 1, 0);
        self.places = places;
        self.told_damages = 0;
        self.numbers = Numbers::default();
        self.has_header = false;
    }

    /// The line as one of the whole recording, if it is new there.
    fn joined(&mut self, record: Record) -> Option<Record> {
        let Some(behind) = &mut self.behind else {
            return Some(record);
        };
        let is_last = behind.files.len() == 0;
        if let Line::End(end) = &record.line
            && is_last
            && let Some(missing) = end.continued_by.as_deref().map(missing_text)
        {
            self.damaged(missing);
        }
        let behind = self.behind.as_mut()?;
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
        if let Some(record) = self.waiting.take() {
            return Ok(Some(record));
        }
        let next = self.lines.next_line();
        let Some(raw) = next.map_err(|source| self.io(source))? else {
            return self.at_end();
        };
        let harm = self.harm_in(&raw);
        let parsed = match &raw.text {
            LineText::Whole(text) => Some(Line::parse(text).map(|line| (line, text))),
            LineText::TooLong => None,
        };
        match (parsed, harm) {
            (Some(Ok((line, text))), harm) => {
                let record = self.parsed(&raw, line, text);
                let Some(line) = harm else {
                    return Ok(record);
                };
                self.waiting = record;
                Err(self.harmed(line))
            }
            (_, Some(line)) => Err(self.harmed(line)),
            (Some(Err(source)), None) => self.broken(&raw, source),
            (None, None) => {
                self.numbers.unread += 1;
                Err(ReadRecordingError::TooLong {
                    path: self.path.clone(),
                    line: raw.number,
                })
            }
        }
    }

    fn harmed(&self, line: u64) -> ReadRecordingError {
        ReadRecordingError::Damaged {
            path: self.path.clone(),
            line,
        }
    }

    /// The first line that damaged data has taken, if some stood in this one or before it.
    fn harm_in(&mut self, raw: &RawLine) -> Option<u64> {
        let known = self.places.damages_before(self.lines.offset());
        let place = self
            .places
            .damaged_place(self.told_damages)
            .filter(|_| known > self.told_damages)?;
        self.told_damages = known;
        Some(raw.number - u64::from(place < raw.offset))
    }

    /// What is wrong at the end of the file.
    fn at_end(&mut self) -> Result<Option<Record>, ReadRecordingError> {
        let known = self.places.damages_before(u64::MAX);
        if known > self.told_damages {
            self.told_damages = known;
            // Two numbers further: one for the line that stands for what is lost, and one for the end.
            return Err(self.harmed(self.lines.number().saturating_sub(2)));
        }
        if self.places.is_cut() && self.torn.is_none() {
            let place = self.place(self.lines.number().saturating_sub(1));
            self.damaged(format!("{place}: the compressed file is cut off behind it"));
        }
        Ok(None)
    }

    /// A line that could be read. With the header of another recording this one is over.
    fn parsed(&mut self, raw: &RawLine, line: Line, text: &[u8]) -> Option<Record> {
        if matches!(line, Line::Header(_)) && std::mem::replace(&mut self.has_header, true) {
            let place = self.place(raw.number);
            self.damaged(format!(
                "{place}: another recording begins here and is left out; cut the file before this line to read it"
            ));
            self.lines.skip_all();
            return None;
        }
        if let Some(seq) = seq_of(&line, text) {
            let missing = self.numbers.missing_before(seq, matches!(line, Line::Gap(_)));
            if missing > 0 {
                let place = self.place(raw.number);
                self.damaged(format!(
                    "{place}: lines are missing before it ({missing}), and no gap tells of them"
                ));
            }
        }
        Some(Record {
            number: raw.number,
            offset: self.start() + raw.offset,
            length: self.lines.offset() - raw.offset,
            line,
        })
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
        self.numbers.unread += 1;
        Err(ReadRecordingError::Broken {
            path: self.path.clone(),
            line: raw.number,
            source: in_words(source),
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

/// The number of a line, also of one that this build does not know.
fn seq_of(line: &Line, text: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Numbered {
        seq: Option<u64>,
    }

    match line {
        Line::Unknown => serde_json::from_slice::<Numbered>(text).ok()?.seq,
        line => line.seq(),
    }
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
