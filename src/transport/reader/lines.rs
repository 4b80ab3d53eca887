//! Lines of a command's standard input, output and error output.

use bytes::Bytes;

use crate::codec::cut::Piece;
use crate::codec::envelope::{EnvelopeScanner, Scan, Shape, scan};
use crate::codec::lines::{LineCutter, line_content};
use crate::limits::ResourceLimits;

use super::{Body, BodyReader, Draft, FrameDraft};

/// The longest line of standard error output that is shown as one.
const MAX_TEXT_LINE: usize = 64 * 1024;

/// Reads lines; blank ones and those that are no message too.
#[derive(Debug)]
pub(super) struct Lines {
    cutter: LineCutter,
    pieces: Vec<Piece>,
    /// Of a line that is too large to be put together.
    scanner: EnvelopeScanner,
    has_messages: bool,
}

impl Lines {
    /// Lines with messages, or lines of text.
    pub(super) fn new(has_messages: bool, limits: &ResourceLimits) -> Self {
        let max = if has_messages {
            limits.max_message_bytes
        } else {
            limits.max_body_kept.min(MAX_TEXT_LINE)
        };
        Self {
            cutter: LineCutter::new(max),
            pieces: Vec::new(),
            scanner: EnvelopeScanner::default(),
            has_messages,
        }
    }

    /// Whether the bytes so far end inside a line.
    pub(super) fn is_inside(&self) -> bool {
        self.cutter.is_inside_frame()
    }

    /// The pipe is at its end.
    pub(super) fn end(&mut self) {
        self.cutter.finish(&mut self.pieces);
    }
}

impl BodyReader {
    pub(super) fn push_lines(&mut self, chunk: &Bytes, out: &mut Vec<Draft>) {
        if let Body::Lines(lines) = &mut self.body {
            lines.cutter.push(chunk, &mut lines.pieces);
            if !self.lease.resize(lines.cutter.reserved()) {
                lines.cutter.give_up(&mut lines.pieces);
                self.lease.resize(0);
            }
        }
        self.take_lines(out);
    }

    pub(super) fn take_lines(&mut self, out: &mut Vec<Draft>) {
        let Body::Lines(lines) = &mut self.body else {
            return;
        };
        let has_messages = lines.has_messages;
        for piece in std::mem::take(&mut lines.pieces) {
            match piece {
                // Peers mean an unterminated last line as a line too.
                Piece::Frame(line) | Piece::Tail(line) => self.put_line(&line, has_messages, out),
                Piece::Part(bytes) => {
                    if let Body::Lines(lines) = &mut self.body {
                        lines.scanner.push(&bytes);
                    }
                    if self.wants_parts {
                        self.put_part(&bytes, out);
                    }
                }
                Piece::Oversize { head, bytes, .. } => self.put_long_line(&head, bytes, has_messages, out),
            }
        }
    }

    fn put_line(&mut self, line: &Bytes, has_messages: bool, out: &mut Vec<Draft>) {
        self.pass_beyond_kept(line, out);
        let content = line_content(line);
        let found = scan(if has_messages { content } else { b"" });
        let wire = Bytes::copy_from_slice(&line[..line.len().min(self.max_kept)]);
        let payload = wire.slice(..content.len().min(wire.len()));
        let problem = line_problem(&found, content).filter(|_| has_messages);
        let draft = FrameDraft {
            frame: 0,
            parts: 0,
            is_cut: wire.len() < line.len(),
            wire,
            payload,
            size: line.len() as u64,
            payload_size: content.len() as u64,
            is_fragment: false,
            sse: None,
            scan: found,
            problem,
        };
        self.put_frame(draft, out);
    }

    /// A line too large to be put together was scanned as it passed.
    fn put_long_line(&mut self, head: &Bytes, bytes: u64, has_messages: bool, out: &mut Vec<Draft>) {
        let scanner = match &mut self.body {
            Body::Lines(lines) => std::mem::take(&mut lines.scanner),
            Body::Document(_) | Body::Events { .. } => return,
        };
        let found = if has_messages { scanner.finish() } else { scan(b"") };
        let problem = line_problem(&found, head).filter(|_| has_messages);
        self.put_frame(FrameDraft::of_head(head, bytes, found, problem), out);
    }
}

fn line_problem(found: &Scan, content: &[u8]) -> Option<String> {
    let text = match found.shape {
        _ if content.trim_ascii().is_empty() || found.is_json_rpc() => return None,
        Shape::Cut | Shape::Broken => "the line is broken JSON",
        Shape::Single | Shape::Batch => "the line is JSON, but no JSON-RPC message",
        Shape::NotJson | Shape::Empty => "the line is no JSON: output that is not part of the protocol",
    };
    Some(text.to_owned())
}
