//! Frames of an event stream: an event each.

use std::ops::Range;

use bytes::Bytes;

use crate::codec::cut::Piece;
use crate::codec::envelope::{Scan, Shape, scan};
use crate::codec::event::{SseEvent, single_data_line};
use crate::session::observation::SseObserved;

use super::{Body, BodyReader, Draft, FrameDraft};

impl BodyReader {
    pub(super) fn push_events(&mut self, chunk: &Bytes, out: &mut Vec<Draft>) {
        if let Body::Events { cutter, pieces, .. } = &mut self.body {
            cutter.push(chunk, pieces);
            if !self.lease.resize(cutter.reserved()) {
                cutter.give_up(pieces);
                self.lease.resize(0);
            }
        }
        self.take_pieces(out);
    }

    pub(super) fn take_pieces(&mut self, out: &mut Vec<Draft>) {
        let Body::Events { pieces, is_first, .. } = &mut self.body else {
            return;
        };
        let is_first = !pieces.is_empty() && std::mem::take(is_first);
        let taken = std::mem::take(pieces);
        for (index, piece) in taken.into_iter().enumerate() {
            match piece {
                Piece::Frame(block) => self.put_event(&block, is_first && index == 0, false, out),
                Piece::Tail(block) => self.put_event(&block, is_first && index == 0, true, out),
                Piece::Part(bytes) => self.put_part(&bytes, out),
                Piece::Oversize {
                    head,
                    bytes,
                    is_complete,
                } => self.put_oversize(&head, bytes, !is_complete, out),
            }
        }
    }

    fn put_event(&mut self, block: &Bytes, is_first: bool, is_fragment: bool, out: &mut Vec<Draft>) {
        if block.len() > self.max_parsed {
            return self.put_large_event(block, is_fragment, out);
        }
        let parsed = SseEvent::parse(block, is_first);
        self.pass_beyond_kept(block, out);
        let wire = Bytes::copy_from_slice(&block[..block.len().min(self.max_kept)]);
        let event = parsed.event.filter(|_| !is_fragment);
        let data = event.as_ref().map_or(&b""[..], |event| event.data.as_bytes());
        let found = scan(data);
        let problem = event
            .as_ref()
            .and_then(|event| event_problem(&found, &event.name, &event.data));
        let sse = SseObserved {
            event: event.as_ref().map(|event| event.name.clone()),
            id: parsed.id.map(String::into_boxed_str),
            retry: parsed.retry,
            comments: parsed.comments,
        };
        let (payload, payload_size) = event.map_or((Bytes::new(), 0), |event| {
            self.payload_of(event.data, parsed.data_line, &wire)
        });
        let is_cut = (payload.len() as u64) < payload_size;
        let size = block.len() as u64;
        let draft = FrameDraft {
            frame: 0,
            parts: 0,
            wire,
            payload,
            size,
            payload_size,
            is_cut,
            is_fragment,
            sse: Some(sse),
            scan: found,
            problem: self.failure.clone().or(problem),
        };
        self.put_frame(draft, out);
    }

    /// What an event carries as far as it is kept, and how long that is.
    fn payload_of(&self, data: String, line: Option<Range<usize>>, wire: &Bytes) -> (Bytes, u64) {
        let size = line.as_ref().map_or(data.len(), ExactSizeIterator::len) as u64;
        let payload = match line {
            Some(line) => kept_of(wire, &line),
            None => cut_to(data.into_bytes(), self.max_kept),
        };
        (payload, size)
    }

    /// An event too large to be taken apart: its one data line is scanned where it stands.
    fn put_large_event(&mut self, block: &Bytes, is_fragment: bool, out: &mut Vec<Draft>) {
        let line = single_data_line(block);
        self.pass_beyond_kept(block, out);
        let found = scan(line.clone().map_or(&b""[..], |line| &block[line]));
        let wire = Bytes::copy_from_slice(&block[..block.len().min(self.max_kept)]);
        let payload_size = line.as_ref().map_or(block.len(), ExactSizeIterator::len) as u64;
        let payload = line.map_or_else(|| wire.clone(), |line| kept_of(&wire, &line));
        let problem = found
            .messages
            .is_empty()
            .then(|| "too large to be parsed".to_owned());
        let draft = FrameDraft {
            frame: 0,
            parts: 0,
            wire,
            payload,
            size: block.len() as u64,
            payload_size,
            is_cut: true,
            is_fragment,
            sse: Some(unread()),
            scan: found,
            problem,
        };
        self.put_frame(draft, out);
    }

    fn put_oversize(&mut self, head: &Bytes, bytes: u64, is_fragment: bool, out: &mut Vec<Draft>) {
        let problem = "too large to be put together; passed on untouched".to_owned();
        let draft = FrameDraft {
            is_fragment,
            sse: Some(unread()),
            ..FrameDraft::of_head(head, bytes, scan(b""), Some(problem))
        };
        self.put_frame(draft, out);
    }
}

/// What is said of an event that was not taken apart.
fn unread() -> SseObserved {
    SseObserved {
        event: Some("message".into()),
        ..SseObserved::default()
    }
}

/// The part of a frame that is kept of it.
fn kept_of(wire: &Bytes, part: &Range<usize>) -> Bytes {
    wire.slice(part.start.min(wire.len())..part.end.min(wire.len()))
}

fn cut_to(mut bytes: Vec<u8>, max: usize) -> Bytes {
    bytes.truncate(max);
    bytes.shrink_to_fit();
    bytes.into()
}

/// Only `message` events carry messages; an empty one is a resume point (MCP 2025-11-25, Transports).
fn event_problem(found: &Scan, name: &str, data: &str) -> Option<String> {
    let is_message = name == "message" && !data.is_empty();
    (is_message && !found.is_json_rpc()).then(|| match found.shape {
        Shape::NotJson | Shape::Empty => "the event's data is no JSON".to_owned(),
        Shape::Cut | Shape::Broken => "the event's data is broken JSON".to_owned(),
        Shape::Single | Shape::Batch => "the event's data is JSON, but no JSON-RPC message".to_owned(),
    })
}
