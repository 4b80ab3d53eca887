//! Tells whether a recording is whole, and if not, what is missing or broken in which line.

mod exchanges;
mod problem;

use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use exchanges::Exchanges;
pub use problem::{Problem, ProblemKind};

use super::first_line::{in_words, read_header};
use super::format::{EndLine, HeaderLine, Line};
use super::input::{Places, RecordingFile};
use super::lines::{LineText, Lines, MAX_LINE_BYTES, RawLine};
use super::load::NO_END;
use super::reader::OpenRecordingError;
use super::segments::{Extent, Segments, missing_text};

/// Problems that are listed; further ones are counted.
pub const MAX_PROBLEMS: usize = 1000;

/// What the `end` line counts that other line ends change.
const BYTES: &str = "bytes before it";
const CRLF_CAUSE: &str = ", as an editor or a mail program has changed the ends of lines to CR LF";

/// What is known of a recording that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Its first line; `None` if the compressed data of it is damaged or cut off.
    pub header: Option<HeaderLine>,
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
/// fails. Whatever is wrong behind that is told by [`Verified::problems`], and so is compressed data that is damaged,
/// wherever that begins.
pub fn verify(file: RecordingFile, path: &Path) -> Result<Verified, OpenRecordingError> {
    let places = file.places();
    let mut lines = Lines::new(BufReader::with_capacity(1 << 16, file), 1, 0);
    let header = match read_header(&mut lines, path) {
        Err(OpenRecordingError::NotARecording { .. }) if places.is_harmed() => None,
        read => Some(read?),
    };
    let is_continued = header.as_ref().is_none_or(|header| header.continues.is_some());
    let mut reading = Reading {
        check: Check::new(is_continued),
        told: 0,
        places,
        last: u64::from(header.is_some()),
    };
    reading.harm(2, lines.offset(), 0);
    let failed = |source: io::Error| OpenRecordingError::Read {
        path: path.to_owned(),
        source,
    };
    while let Some(raw) = lines.next_line().map_err(failed)? {
        reading.line(&raw, lines.offset());
    }
    // Two numbers further: one for the line that stands for what is lost, and one for the end.
    reading.harm(lines.number() - 1, u64::MAX, 0);
    if reading.places.is_cut() {
        reading.check.cut(header.is_some());
    }
    reading.check.at_end();
    Ok(reading.verified(header, lines.offset()))
}

/// A file that is being read.
struct Reading {
    check: Check,
    places: Places,
    /// Damaged places of the compressed data that were told.
    told: usize,
    /// Number of the line that was read last.
    last: u64,
}

impl Reading {
    /// Tells of damaged data up to the end of the line `next - 1`, which is `offset` bytes into the text and began at
    /// `start`. True if there is some.
    fn harm(&mut self, next: u64, offset: u64, start: u64) -> bool {
        let known = self.places.damages_before(offset);
        let first = self.places.damaged_place(self.told).filter(|_| known > self.told);
        self.told = known;
        let Some(place) = first else { return false };
        let line = next.saturating_sub(1 + u64::from(place < start));
        let text = "the compressed data is damaged, and what stood here is lost";
        let check = &mut self.check;
        check.found.add(Some(line.max(1)), ProblemKind::BrokenData, text);
        check.exchanges.gap();
        true
    }

    fn line(&mut self, raw: &RawLine, offset: u64) {
        self.last = raw.number;
        let is_harmed = self.harm(raw.number + 1, offset, raw.offset);
        self.check.line(raw, offset, is_harmed);
    }

    fn verified(self, header: Option<HeaderLine>, bytes: u64) -> Verified {
        let check = self.check;
        Verified {
            header,
            lines: self.last,
            bytes,
            frames: check.exchanges.frames(),
            sessions: check.sessions,
            messages: check.messages,
            is_ended: check.end.is_some(),
            continued_by: check.end.and_then(|end| end.continued_by),
            problems: check.found.problems,
            more: check.found.more,
        }
    }
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
    let input = file.open().map_err(|source| OpenRecordingError::Read {
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
    /// Lines that end in CR LF, which no recorder writes.
    crlf: u64,
    /// Another recording has begun, so what follows has numbers of its own.
    is_another: bool,
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
            crlf: 0,
            is_another: false,
        }
    }

    /// Looks at one line of a file that is `offset` bytes long up to its end. Of a line that is known to be damaged
    /// (`is_harmed`) it is no news that it cannot be read.
    fn line(&mut self, raw: &RawLine, offset: u64, is_harmed: bool) {
        if self.is_another {
            return;
        }
        let number = raw.number;
        let LineText::Whole(text) = &raw.text else {
            self.unread += 1;
            let text = format!("is longer than {MAX_LINE_BYTES} bytes");
            return self.found.add(Some(number), ProblemKind::BrokenLine, text);
        };
        self.crlf += u64::from(text.ends_with(b"\r"));
        let start: Result<Start<'_>, _> = serde_json::from_slice(text);
        let parsed = start.and_then(|start| Ok((start, Line::parse(text)?)));
        match parsed {
            Ok((start, line)) => self.parsed(number, raw.offset, &start, line),
            Err(_) if is_harmed => {}
            Err(_) if !raw.is_ended => {
                let text = format!("the last line is incomplete, {} bytes", offset - raw.offset);
                self.found.add(Some(number), ProblemKind::TornTail, text);
            }
            Err(error) => {
                self.unread += 1;
                let text = format!("cannot be read: {}", in_words(error));
                self.found.add(Some(number), ProblemKind::BrokenLine, text);
            }
        }
    }

    /// The compressed file ends inside a frame.
    fn cut(&mut self, has_header: bool) {
        let is_told = |problem: &Problem| problem.kind == ProblemKind::TornTail;
        if self.found.problems.last().is_some_and(is_told) {
            return;
        }
        let text = if has_header {
            "the compressed file is cut off inside its last frame"
        } else {
            "the compressed file is cut off before its first line is whole"
        };
        self.found.add(None, ProblemKind::TornTail, text);
    }

    fn parsed(&mut self, number: u64, offset: u64, start: &Start<'_>, line: Line) {
        if matches!(line, Line::Header(_)) {
            self.is_another = true;
            let text = "another recording begins here, and what follows was not checked; cut the file before this line to read both";
            return self.found.add(Some(number), ProblemKind::AnotherRecording, text);
        }
        if self.end.is_some() {
            let text = "stands behind the line that ends the recording";
            self.found.add(Some(number), ProblemKind::AfterEnd, text);
        }
        self.order(number, start, &line);
        match line {
            Line::Header(_) | Line::SessionEnd(_) => {}
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
            (BYTES, end.bytes, offset),
            ("lost records", end.lost, self.lost),
        ];
        for (what, said, found) in counts {
            if said != found {
                let is_changed = what == BYTES && self.crlf > 0;
                let cause = if is_changed { CRLF_CAUSE } else { "" };
                let text = format!("counts {said} {what}; there are {found}{cause}");
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
            self.found.add(None, ProblemKind::NoEnd, NO_END);
        }
    }
}
