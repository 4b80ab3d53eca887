//! Tells whether a recording is whole, and if not, what is missing or broken in which line.

mod exchanges;
mod problem;

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use exchanges::Exchanges;
pub use problem::{Problem, ProblemKind};

use super::format::{EndLine, HeaderLine, Line};
use super::input::RecordingFile;
use super::lines::{LineText, Lines, MAX_LINE_BYTES, RawLine};
use super::reader::{OpenRecordingError, read_header};
use super::segments::{Extent, Segments, missing_text};

/// Problems that are listed; further ones are counted.
pub const MAX_PROBLEMS: usize = 1000;

/// What is known of a recording that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Its first line.
    pub header: HeaderLine,
    /// Its lines, the header included.
    pub lines: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Frames that are whole.
    pub frames: u64,
    /// Lines that begin a session.
    pub sessions: u64,
    /// JSON-RPC messages in its frames.
    pub messages: u64,
    /// It was ended in order: its last line is an `end`.
    pub is_ended: bool,
    /// Name of the file in which the recording goes on, as its last line says.
    pub continued_by: Option<String>,
    /// What was found, in the order of the lines; the first [`MAX_PROBLEMS`] of it.
    pub problems: Vec<Problem>,
    /// Damage beyond that.
    pub more: u64,
}

impl Verified {
    /// Nothing is missing and nothing broken. Remarks do not count.
    pub fn is_whole(&self) -> bool {
        self.more == 0 && !self.problems.iter().any(Problem::is_damage)
    }

    /// How many places are damaged.
    pub fn damages(&self) -> u64 {
        self.problems.iter().filter(|problem| problem.is_damage()).count() as u64 + self.more
    }
}

/// Reads all of `file`, in bounded memory; `path` is what errors call it.
///
/// # Errors
/// [`OpenRecordingError`] if its first line is not the header of a recording that this build reads, or if the system
/// fails. Whatever is wrong behind that is told by [`Verified::problems`].
pub fn verify(file: RecordingFile, path: &Path) -> Result<Verified, OpenRecordingError> {
    let places = file.places();
    let mut verified = verify_text(BufReader::with_capacity(1 << 16, file), path)?;
    if places.is_cut() {
        let text = "the compressed file is cut off inside its last frame";
        verified.problems.push(Problem {
            line: None,
            kind: ProblemKind::TornTail,
            text: text.to_owned(),
        });
    }
    Ok(verified)
}

/// Reads the file number `index` of a recording, and says which of its neighbours are not there.
///
/// # Errors
/// As of [`verify`].
pub fn verify_segment(segments: &Segments, index: usize) -> Result<Verified, OpenRecordingError> {
    let Some(file) = segments.files().get(index) else {
        return Err(OpenRecordingError::Read {
            path: PathBuf::new(),
            source: io::ErrorKind::NotFound.into(),
        });
    };
    let input = RecordingFile::open(&file.path).map_err(|source| OpenRecordingError::Read {
        path: file.path.clone(),
        source,
    })?;
    let mut verified = verify(input, &file.path)?;
    let is_last = index + 1 == segments.files().len() && segments.extent() == Extent::Whole;
    let behind = verified.continued_by.as_deref().filter(|_| is_last);
    let missing = |file: &str| Problem {
        line: None,
        kind: ProblemKind::MissingFile,
        text: missing_text(file),
    };
    let before = file.missing_before.as_deref().map(missing);
    verified.problems.splice(..0, before);
    verified.problems.extend(behind.map(missing));
    Ok(verified)
}

fn verify_text(input: impl BufRead, path: &Path) -> Result<Verified, OpenRecordingError> {
    let mut lines = Lines::new(input, 1, 0);
    let header = read_header(&mut lines, path)?;
    let mut check = Check::new(header.continues.is_some());
    let mut last = 1;
    let failed = |source: io::Error| OpenRecordingError::Read {
        path: path.to_owned(),
        source,
    };
    while let Some(raw) = lines.next_line().map_err(failed)? {
        check.line(&raw, lines.offset());
        last = raw.number;
    }
    check.at_end();
    Ok(Verified {
        header,
        lines: last,
        bytes: lines.offset(),
        frames: check.exchanges.frames(),
        sessions: check.sessions,
        messages: check.messages,
        is_ended: check.end.is_some(),
        continued_by: check.end.and_then(|end| end.continued_by),
        problems: check.found.problems,
        more: check.found.more,
    })
}

/// What was found so far.
#[derive(Debug, Default)]
struct Found {
    problems: Vec<Problem>,
    more: u64,
}

impl Found {
    fn add(&mut self, line: Option<u64>, kind: ProblemKind, text: impl Into<String>) {
        let text = text.into();
        let problem = Problem { line, kind, text };
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.more += u64::from(problem.is_damage());
        }
    }
}

/// What every line has, whatever its type.
#[derive(Deserialize)]
struct Start<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    seq: Option<u64>,
}

struct Check {
    found: Found,
    exchanges: Exchanges,
    /// `seq` of the line before.
    seq: u64,
    /// Broken lines since then: each of them had a number.
    unread: u64,
    /// Records that the gaps tell of.
    lost: u64,
    sessions: u64,
    messages: u64,
    /// The `end` line.
    end: Option<EndLine>,
}

impl Check {
    fn new(is_continued: bool) -> Self {
        Self {
            found: Found::default(),
            exchanges: Exchanges::new(is_continued),
            seq: 0,
            unread: 0,
            lost: 0,
            sessions: 0,
            messages: 0,
            end: None,
        }
    }

    /// Looks at one line of a file that is `offset` bytes long up to its end.
    fn line(&mut self, raw: &RawLine, offset: u64) {
        let number = raw.number;
        let LineText::Whole(text) = &raw.text else {
            self.unread += 1;
            let text = format!("is longer than {MAX_LINE_BYTES} bytes");
            return self.found.add(Some(number), ProblemKind::BrokenLine, text);
        };
        let start: Result<Start<'_>, _> = serde_json::from_slice(text);
        let parsed = start.and_then(|start| Ok((start, Line::parse(text)?)));
        match parsed {
            Ok((start, line)) => self.parsed(number, raw.offset, &start, line),
            Err(_) if !raw.is_ended => {
                let text = format!("the last line is incomplete, {} bytes", offset - raw.offset);
                self.found.add(Some(number), ProblemKind::TornTail, text);
            }
            Err(error) => {
                self.unread += 1;
                let text = format!("cannot be read: {error}");
                self.found.add(Some(number), ProblemKind::BrokenLine, text);
            }
        }
    }

    fn parsed(&mut self, number: u64, offset: u64, start: &Start<'_>, line: Line) {
        if self.end.is_some() {
            let text = "stands behind the line that ends the recording";
            self.found.add(Some(number), ProblemKind::AfterEnd, text);
        }
        self.order(number, start, &line);
        match line {
            Line::Header(_) => {
                let text = "is a second header";
                self.found.add(Some(number), ProblemKind::BrokenLine, text);
            }
            Line::Unknown => {
                let text = format!("has the type `{}`, which this build does not know", start.kind);
                self.found.add(Some(number), ProblemKind::UnknownType, text);
            }
            Line::Gap(gap) => {
                self.lost = self.lost.saturating_add(gap.lost);
                self.exchanges.gap();
                let text = format!("{} records are missing, as {}", gap.lost, gap.reason);
                self.found.add(Some(number), ProblemKind::Gap, text);
            }
            Line::End(end) => self.end(number, offset, end),
            Line::Session(_) => self.sessions += 1,
            Line::SessionEnd(_) => {}
            line => {
                if let Line::Frame(frame) = &line {
                    self.messages += u64::from(frame.messages.unwrap_or(0));
                }
                self.exchanges.line(number, &line, &mut self.found);
            }
        }
    }

    /// Numbers rise by one, except where a gap follows.
    fn order(&mut self, number: u64, start: &Start<'_>, line: &Line) {
        let unread = std::mem::take(&mut self.unread);
        let Some(seq) = start.seq else {
            if !matches!(line, Line::Unknown) {
                let text = "has no `seq`";
                self.found.add(Some(number), ProblemKind::Order, text);
            }
            return;
        };
        let before = self.seq;
        if seq <= before {
            let text = format!("has the number {seq} behind {before}");
            return self.found.add(Some(number), ProblemKind::Order, text);
        }
        self.seq = seq;
        let missing = seq - before - 1;
        if missing > unread && !matches!(line, Line::Gap(_)) {
            let text = format!(
                "lines are missing before it ({}), and no gap tells of them",
                missing - unread
            );
            self.found.add(Some(number), ProblemKind::Hole, text);
            self.exchanges.gap();
        } else if missing > 0 {
            self.exchanges.gap();
        }
    }

    fn end(&mut self, number: u64, offset: u64, end: EndLine) {
        let counts = [
            ("lines", end.lines, number),
            ("bytes before it", end.bytes, offset),
            ("lost records", end.lost, self.lost),
        ];
        for (what, said, found) in counts {
            if said != found {
                let text = format!("counts {said} {what}; there are {found}");
                self.found.add(Some(number), ProblemKind::Count, text);
            }
        }
        self.end = Some(end);
    }

    fn at_end(&mut self) {
        let is_continued = self.end.as_ref().is_some_and(|end| end.continued_by.is_some());
        self.exchanges
            .at_end(self.end.is_some(), is_continued, &mut self.found);
        if self.end.is_none() {
            let text = "the recording has no end: it is still being written, or its writer was killed";
            self.found.add(None, ProblemKind::NoEnd, text);
        }
    }
}
