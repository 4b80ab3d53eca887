//! Fetches one body from a recording again, so that nobody has to keep it in memory.

use std::io::{self, BufReader, Read as _};
use std::path::Path;

use bytes::Bytes;

use super::format::{FrameLine, Line};
use super::lines::{LineText, Lines};
use super::reader::ReadRecordingError;
use super::text::{RecordingText, TextReader};
use crate::ids::ExchangeId;
use crate::snapshot::{Carrier, Direction};

/// Where the bytes of a frame stand in a recording: from its first line to its last, other lines between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyRange {
    /// Where the first line starts, in bytes.
    pub offset: u64,
    /// Bytes from there to the end of the last line.
    pub length: u64,
    /// Number of the first line, from 1.
    pub line: u64,
    /// The exchange of the frame.
    pub exchange: ExchangeId,
    /// The direction of the frame.
    pub direction: Direction,
    /// What carried it.
    pub carrier: Carrier,
    /// The number of the frame in its direction.
    pub frame: u32,
}

impl BodyRange {
    /// Whether the line is a part of this frame.
    fn has(&self, line: &FrameLine) -> bool {
        line.exchange == self.exchange
            && line.direction == self.direction
            && line.transport == self.carrier
            && line.frame == self.frame
    }
}

/// Reads the bytes of a frame from the recording `path`, at most `max_bytes` of them.
///
/// # Errors
/// [`ReadRecordingError`] if the file cannot be read any more, or a line of the range cannot.
pub fn read_body(path: &Path, range: &BodyRange, max_bytes: usize) -> Result<Bytes, ReadRecordingError> {
    read_body_in(&RecordingText::of_file(path), range, max_bytes)
}

/// The same as [`read_body`] for a recording that may be compressed or in several files: `text` is that of the reader
/// that found the range.
///
/// # Errors
/// As of [`read_body`].
pub fn read_body_in(
    text: &RecordingText,
    range: &BodyRange,
    max_bytes: usize,
) -> Result<Bytes, ReadRecordingError> {
    let path = || text.path_at(range.offset);
    let failed = |line: u64, source: io::Error| ReadRecordingError::Io {
        path: path(),
        line,
        source,
    };
    let mut lines = lines_of(text, range).map_err(|source| failed(range.line, source))?;
    let mut body = Vec::new();
    while body.len() < max_bytes {
        let next = lines
            .next_line()
            .map_err(|source| failed(lines.number(), source))?;
        let Some(raw) = next else { break };
        let LineText::Whole(text) = raw.text else {
            continue;
        };
        if !may_be_in(&text, range) {
            continue;
        }
        let line = Line::parse(&text).map_err(|source| ReadRecordingError::Broken {
            path: path(),
            line: raw.number,
            source,
        })?;
        if let Line::Frame(line) = line
            && range.has(&line)
        {
            body.extend(line.into_bytes());
        }
    }
    body.truncate(max_bytes);
    Ok(body.into())
}

fn lines_of(text: &RecordingText, range: &BodyRange) -> io::Result<Lines<BufReader<io::Take<TextReader>>>> {
    let file = text.open_at(range.offset)?;
    let input = BufReader::new(file.take(range.length));
    Ok(Lines::new(input, range.line, range.offset))
}

/// A cheap look before a line is parsed.
fn may_be_in(text: &[u8], range: &BodyRange) -> bool {
    memchr::memmem::find(text, b"\"frame\"").is_some()
        && memchr::memmem::find(text, range.exchange.get().to_string().as_bytes()).is_some()
}
