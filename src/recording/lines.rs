//! The lines of a file, each of bounded length, with their places.

use std::io::{self, BufRead};

/// The longest line that is read, in bytes. Recordings have lines of about 6 MiB at most.
pub const MAX_LINE_BYTES: usize = 64 << 20;

/// A line and where it stands.
#[derive(Debug)]
pub(super) struct RawLine {
    /// Its number, from 1.
    pub(super) number: u64,
    /// Where it starts, in bytes.
    pub(super) offset: u64,
    /// Its content, without its line ending.
    pub(super) text: LineText,
    /// It has a line ending.
    pub(super) is_ended: bool,
}

/// A line's content.
#[derive(Debug)]
pub(super) enum LineText {
    /// All of it.
    Whole(Vec<u8>),
    /// It was longer than [`MAX_LINE_BYTES`] and was skipped.
    TooLong,
}

/// Cuts a file into lines. Empty lines are skipped, but counted.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: R,
    number: u64,
    offset: u64,
    max_bytes: usize,
    is_over: bool,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `input`, which starts at `offset` with line `number`.
    pub(super) fn new(input: R, number: u64, offset: u64) -> Self {
        Self {
            input,
            number,
            offset,
            max_bytes: MAX_LINE_BYTES,
            is_over: false,
        }
    }

    #[cfg(test)]
    pub(super) fn with_max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Number of the line that comes next.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Nothing more comes of this input.
    pub(super) const fn skip_all(&mut self) {
        self.is_over = true;
    }

    /// Bytes read so far.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether nothing follows.
    pub(super) fn is_at_end(&mut self) -> io::Result<bool> {
        self.input.fill_buf().map(<[u8]>::is_empty)
    }

    /// The next line that is not empty; `None` at the end.
    pub(super) fn next_line(&mut self) -> io::Result<Option<RawLine>> {
        while !self.is_over {
            let line = self.read()?;
            let is_empty = matches!(&line.text, LineText::Whole(text) if text.trim_ascii().is_empty());
            if !is_empty {
                return Ok(Some(line));
            }
            if !line.is_ended {
                return Ok(None);
            }
        }
        Ok(None)
    }

    fn read(&mut self) -> io::Result<RawLine> {
        let (number, offset) = (self.number, self.offset);
        let mut text = Vec::new();
        let mut is_too_long = false;
        let is_ended = loop {
            let bytes = self.input.fill_buf()?;
            let feed = memchr::memchr(b'\n', bytes);
            let content = &bytes[..feed.unwrap_or(bytes.len())];
            is_too_long |= text.len() + content.len() > self.max_bytes;
            if is_too_long {
                text = Vec::new();
            } else {
                text.extend_from_slice(content);
            }
            let used = content.len() + usize::from(feed.is_some());
            self.input.consume(used);
            self.offset += used as u64;
            if feed.is_some() || used == 0 {
                break feed.is_some();
            }
        };
        self.number += 1;
        Ok(RawLine {
            number,
            offset,
            text: if is_too_long {
                LineText::TooLong
            } else {
                LineText::Whole(text)
            },
            is_ended,
        })
    }
}
