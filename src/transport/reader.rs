//! Reads a copy of a body while its bytes go on: cuts it into frames and says what is in them. Never slows, changes or
//! ends the traffic; what it cannot keep or understand it says so of.

mod document;
mod lines;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header};

use crate::codec::content::{ContentDecoder, DecodeLimits};
use crate::codec::cut::Piece;
use crate::codec::envelope::{Scan, Shape, scan};
use crate::codec::event::{SseEvent, single_data_line};
use crate::codec::sse::SseCutter;
use crate::limits::ResourceLimits;
use crate::resource::meters::Lease;
use crate::session::observation::SseObserved;

use document::{Document, document_problem};
use lines::Lines;

/// Slices below this are copied for the recorder too: they would pin a read buffer many times their size.
const COPIED_BELOW_BYTES: usize = 4096;

/// What a body turned out to hold so far.
#[derive(Debug)]
pub(crate) enum Draft {
    /// More bytes of a frame that is not whole.
    Part { frame: u32, part: u32, bytes: Bytes },
    /// A whole frame.
    Frame(Box<FrameDraft>),
}

/// A frame before it has a place in a session.
#[derive(Debug)]
pub(crate) struct FrameDraft {
    pub(crate) frame: u32,
    pub(crate) parts: u32,
    pub(crate) wire: Bytes,
    pub(crate) payload: Bytes,
    pub(crate) size: u64,
    pub(crate) payload_size: u64,
    pub(crate) is_cut: bool,
    pub(crate) is_fragment: bool,
    pub(crate) sse: Option<SseObserved>,
    pub(crate) scan: Scan,
    /// Why there is no message in it although one was to be expected.
    pub(crate) problem: Option<String>,
}

/// What kind of body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyKind {
    /// One document, JSON if `is_json`.
    Document { is_json: bool },
    /// An event stream.
    Events,
    /// The input or output of a command: a message a line.
    Lines,
    /// Text, a line at a time.
    Text,
}

impl BodyKind {
    /// The kind by the `Content-Type` among `fields`.
    pub(crate) fn of_fields(fields: &HeaderMap) -> Self {
        let media_type = fields.get(header::CONTENT_TYPE);
        Self::of(media_type.and_then(|value| value.to_str().ok()))
    }

    /// Whether it is a JSON document.
    pub(crate) fn is_json(self) -> bool {
        self == Self::Document { is_json: true }
    }

    /// The kind by media type: any case, parameters ignored.
    pub(crate) fn of(media_type: Option<&str>) -> Self {
        let essence = media_type
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .trim();
        if essence.eq_ignore_ascii_case("text/event-stream") {
            return Self::Events;
        }
        let suffix = essence.len().checked_sub(5).and_then(|at| essence.get(at..));
        let is_json = essence.eq_ignore_ascii_case("application/json")
            || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json"));
        Self::Document { is_json }
    }
}

/// Reads one body.
#[derive(Debug)]
pub(crate) struct BodyReader {
    body: Body,
    decoder: Option<ContentDecoder>,
    coding: Option<Arc<str>>,
    failure: Option<String>,
    lease: Lease,
    max_kept: usize,
    max_parsed: usize,
    frames: u32,
    parts: u32,
    wants_parts: bool,
}

#[derive(Debug)]
enum Body {
    Document(Box<Document>),
    Events {
        cutter: SseCutter,
        pieces: Vec<Piece>,
        is_first: bool,
    },
    Lines(Box<Lines>),
}

impl BodyReader {
    /// A reader for a body of `kind`, whose `Content-Encoding` is undone first.
    pub(crate) fn new(kind: BodyKind, encoding: Option<&str>, limits: &ResourceLimits, lease: Lease) -> Self {
        // A stream may run for days: its ratio is bounded, its length is not.
        let max_output_bytes = match kind {
            BodyKind::Document { .. } => DecodeLimits::default().max_output_bytes,
            BodyKind::Events | BodyKind::Lines | BodyKind::Text => u64::MAX,
        };
        let decode_limits = DecodeLimits {
            max_output_bytes,
            ..DecodeLimits::default()
        };
        let (decoder, failure) = match encoding.map(|value| ContentDecoder::with_limits(value, decode_limits))
        {
            Some(Ok(decoder)) => (decoder, None),
            Some(Err(error)) => (None, Some(error.to_string())),
            None => (None, None),
        };
        let body = match kind {
            BodyKind::Document { is_json } => Body::Document(Box::new(Document::new(is_json))),
            BodyKind::Events => Body::Events {
                cutter: SseCutter::new(limits.max_message_bytes),
                pieces: Vec::new(),
                is_first: true,
            },
            BodyKind::Lines => Body::Lines(Box::new(Lines::new(true, limits))),
            BodyKind::Text => Body::Lines(Box::new(Lines::new(false, limits))),
        };
        Self {
            body,
            coding: encoding.filter(|_| decoder.is_some()).map(Arc::from),
            decoder,
            failure,
            lease,
            max_kept: limits.max_body_kept,
            max_parsed: limits.max_parse_bytes,
            frames: 0,
            parts: 0,
            wants_parts: false,
        }
    }

    /// Has its frames counted from this number on.
    pub(crate) fn begin_at(&mut self, frame: u32) {
        self.frames = frame;
    }

    /// Says how many bytes of a document are to come.
    pub(crate) fn expect(&mut self, bytes: usize) {
        if let Body::Document(document) = &mut self.body {
            document.expected = bytes;
        }
    }

    /// Whether it reads an event stream.
    pub(crate) fn is_of_events(&self) -> bool {
        matches!(self.body, Body::Events { .. })
    }

    /// Whether the bytes that came so far end inside a frame.
    pub(crate) fn is_inside_frame(&self) -> bool {
        match &self.body {
            Body::Events { cutter, .. } => cutter.is_inside_frame(),
            Body::Document(document) => document.size > 0,
            Body::Lines(lines) => lines.is_inside(),
        }
    }

    /// The content coding that is undone.
    pub(crate) fn coding(&self) -> Option<&Arc<str>> {
        self.coding.as_ref()
    }

    /// Takes the next bytes. `wants_parts`: someone needs the bytes of frames that are not whole yet.
    pub(crate) fn push(&mut self, chunk: &Bytes, is_last: bool, wants_parts: bool, out: &mut Vec<Draft>) {
        self.wants_parts = wants_parts;
        match self.decode(chunk) {
            Some(decoded) => self.push_decoded(&decoded, is_last, wants_parts, out),
            None => self.push_decoded(chunk, is_last, wants_parts, out),
        }
    }

    /// The body ended: `is_whole`, or broken off.
    pub(crate) fn finish(&mut self, is_whole: bool, out: &mut Vec<Draft>) {
        if let Some(mut decoder) = self.decoder.take() {
            let mut rest = Vec::new();
            if let Err(error) = decoder.finish(&mut rest) {
                self.failure.get_or_insert_with(|| error.to_string());
            }
            self.push_decoded(&Bytes::from(rest), false, false, out);
        }
        match &mut self.body {
            Body::Document(document) if document.size > 0 => {
                let document = document.next();
                self.end_document(document, !is_whole, out);
            }
            Body::Document(_) => {}
            Body::Events { cutter, pieces, .. } => {
                cutter.finish(pieces);
                self.take_pieces(out);
            }
            Body::Lines(lines) => {
                lines.end();
                self.take_lines(out);
            }
        }
        self.lease.resize(0);
    }

    fn decode(&mut self, chunk: &Bytes) -> Option<Bytes> {
        let decoder = self.decoder.as_mut()?;
        let mut plain = Vec::new();
        if let Err(error) = decoder.push(chunk, &mut plain) {
            self.failure = Some(error.to_string());
            self.decoder = None;
        }
        Some(plain.into())
    }

    fn push_decoded(&mut self, chunk: &Bytes, is_last: bool, wants_parts: bool, out: &mut Vec<Draft>) {
        if chunk.is_empty() && !is_last {
            return;
        }
        match self.body {
            Body::Events { .. } => return self.push_events(chunk, out),
            Body::Lines(_) => return self.push_lines(chunk, out),
            Body::Document(_) => {}
        }
        let is_encoded = self.coding.is_some();
        let Body::Document(document) = &mut self.body else {
            return;
        };
        let is_whole = is_last && document.size == 0 && self.parts == 0 && !is_encoded;
        document.keep(chunk, self.max_kept, &mut self.lease);
        let is_kept = !document.is_cut;
        if wants_parts && !(is_whole && is_kept) && !chunk.is_empty() {
            self.put_part(chunk, out);
        }
        if is_whole && let Body::Document(document) = &mut self.body {
            let document = document.next();
            self.end_document(document, false, out);
        }
    }

    fn put_part(&mut self, bytes: &Bytes, out: &mut Vec<Draft>) {
        let is_small = bytes.len() < COPIED_BELOW_BYTES;
        let bytes = if is_small {
            Bytes::copy_from_slice(bytes)
        } else {
            bytes.clone()
        };
        out.push(Draft::Part {
            frame: self.frames,
            part: self.parts,
            bytes,
        });
        self.parts += 1;
    }

    fn end_document(&mut self, mut document: Document, is_fragment: bool, out: &mut Vec<Draft>) {
        let wire = document.take_kept();
        let found = document.scanner.finish();
        let problem = self
            .failure
            .clone()
            .or_else(|| document_problem(&found, document.is_json));
        self.put_frame(
            FrameDraft {
                frame: 0,
                parts: 0,
                payload: wire.clone(),
                wire,
                size: document.size,
                payload_size: document.size,
                is_cut: document.is_cut,
                is_fragment,
                sse: None,
                scan: found,
                problem,
            },
            out,
        );
    }

    fn put_frame(&mut self, frame: FrameDraft, out: &mut Vec<Draft>) {
        out.push(Draft::Frame(Box::new(FrameDraft {
            frame: self.frames,
            parts: self.parts,
            ..frame
        })));
        self.frames = self.frames.saturating_add(1);
        self.parts = 0;
    }

    fn push_events(&mut self, chunk: &Bytes, out: &mut Vec<Draft>) {
        if let Body::Events { cutter, pieces, .. } = &mut self.body {
            cutter.push(chunk, pieces);
            if !self.lease.resize(cutter.reserved()) {
                cutter.give_up(pieces);
                self.lease.resize(0);
            }
        }
        self.take_pieces(out);
    }

    fn take_pieces(&mut self, out: &mut Vec<Draft>) {
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
        let kept = block.len().min(self.max_kept);
        let wire = Bytes::copy_from_slice(&block[..kept]);
        let line = parsed.data_line;
        let event = parsed.event.filter(|_| !is_fragment);
        let payload_size = match (&line, &event) {
            (_, None) => 0,
            (Some(line), Some(_)) => line.len() as u64,
            (None, Some(event)) => event.data.len() as u64,
        };
        let found = event
            .as_ref()
            .map_or_else(|| scan(b""), |event| scan(event.data.as_bytes()));
        let problem = event
            .as_ref()
            .and_then(|event| event_problem(&found, &event.name, &event.data));
        let name = event.as_ref().map(|event| event.name.clone());
        let payload = match (line, event) {
            (_, None) => Bytes::new(),
            (Some(line), Some(_)) => wire.slice(line.start.min(kept)..line.end.min(kept)),
            (None, Some(event)) => cut_to(event.data.into_bytes(), self.max_kept),
        };
        let sse = SseObserved {
            event: name,
            id: parsed.id.map(String::into_boxed_str),
            retry: parsed.retry,
            comments: parsed.comments,
        };
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

    /// History keeps the head of a large event; whoever wants parts gets all of it.
    fn pass_beyond_kept(&mut self, block: &Bytes, out: &mut Vec<Draft>) {
        if self.wants_parts && block.len() > self.max_kept {
            self.put_part(block, out);
        }
    }

    /// An event too large to be taken apart: its one data line is scanned where it stands.
    fn put_large_event(&mut self, block: &Bytes, is_fragment: bool, out: &mut Vec<Draft>) {
        let line = single_data_line(block);
        self.pass_beyond_kept(block, out);
        let found = line.clone().map_or_else(|| scan(b""), |line| scan(&block[line]));
        let kept = self.max_kept.min(block.len());
        let wire = Bytes::copy_from_slice(&block[..kept]);
        let payload_size = line.as_ref().map_or(block.len(), ExactSizeIterator::len) as u64;
        let payload = line.map_or_else(
            || wire.clone(),
            |line| wire.slice(line.start.min(kept)..line.end.min(kept)),
        );
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
            sse: Some(SseObserved {
                event: Some("message".into()),
                ..SseObserved::default()
            }),
            scan: found,
            problem,
        };
        self.put_frame(draft, out);
    }

    fn put_oversize(&mut self, head: &Bytes, bytes: u64, is_fragment: bool, out: &mut Vec<Draft>) {
        let draft = FrameDraft {
            frame: 0,
            parts: 0,
            wire: head.clone(),
            payload: head.clone(),
            size: bytes,
            payload_size: bytes,
            is_cut: true,
            is_fragment,
            sse: Some(SseObserved {
                event: Some("message".into()),
                ..SseObserved::default()
            }),
            scan: scan(b""),
            problem: Some("too large to be put together; passed on untouched".to_owned()),
        };
        self.put_frame(draft, out);
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Side;
    use crate::resource::meters::BufferPool;

    fn reader(kind: BodyKind, limits: &ResourceLimits) -> BodyReader {
        BodyReader::new(
            kind,
            None,
            limits,
            BufferPool::new(limits.max_buffer_pool).lease(Side::Reverse),
        )
    }

    fn read(kind: BodyKind, chunks: &[&'static str], limits: &ResourceLimits) -> Vec<FrameDraft> {
        let (mut reader, mut out) = (reader(kind, limits), Vec::new());
        for chunk in chunks {
            reader.push(&Bytes::from_static(chunk.as_bytes()), false, false, &mut out);
        }
        reader.finish(true, &mut out);
        out.into_iter()
            .filter_map(|draft| {
                if let Draft::Frame(frame) = draft {
                    Some(*frame)
                } else {
                    None
                }
            })
            .collect()
    }

    const JSON: BodyKind = BodyKind::Document { is_json: true };
    const RESULT: &str = r#"{"jsonrpc":"2.0","id":7,"result":{}}"#;

    #[test]
    fn media_types_decide_in_any_case_and_with_parameters() {
        assert_eq!(
            BodyKind::of(Some("Text/Event-Stream; charset=utf-8")),
            BodyKind::Events
        );
        assert_eq!(BodyKind::of(Some("application/problem+JSON")), JSON);
        assert_eq!(BodyKind::of(None), BodyKind::Document { is_json: false });
    }

    #[test]
    fn a_document_is_one_frame_however_it_arrives() {
        let limits = ResourceLimits::default();
        let (head, tail) = RESULT.split_at(10);
        for chunks in [&[RESULT][..], &[head, tail]] {
            let frames = read(JSON, chunks, &limits);
            assert_eq!(frames.len(), 1);
            assert_eq!(frames[0].payload, RESULT);
            assert_eq!(frames[0].scan.messages.len(), 1);
            assert_eq!(frames[0].problem, None);
        }
        assert!(read(JSON, &[], &limits).is_empty());
    }

    #[test]
    fn a_last_chunk_that_is_the_whole_document_needs_no_end() {
        let limits = ResourceLimits::default();
        let (mut reader, mut out) = (reader(JSON, &limits), Vec::new());
        reader.push(&Bytes::from_static(RESULT.as_bytes()), true, true, &mut out);
        assert!(matches!(&out[..], [Draft::Frame(frame)] if frame.parts == 0));
        reader.finish(true, &mut out);
        assert_eq!(out.len(), 1);
    }

    #[test]
    fn a_recorder_gets_every_byte_of_a_document_in_parts() {
        let limits = ResourceLimits {
            max_body_kept: 8,
            ..ResourceLimits::default()
        };
        let (mut reader, mut out) = (reader(JSON, &limits), Vec::new());
        let (head, tail) = RESULT.split_at(10);
        for chunk in [head, tail] {
            reader.push(&Bytes::from_static(chunk.as_bytes()), false, true, &mut out);
        }
        reader.finish(true, &mut out);
        let mut bytes = Vec::new();
        for draft in &out {
            match draft {
                Draft::Part { bytes: part, .. } => bytes.extend_from_slice(part),
                Draft::Frame(frame) => {
                    assert_eq!((frame.parts, frame.is_cut, frame.wire.len()), (2, true, 8));
                    assert_eq!(frame.scan.messages[0].id.as_ref().unwrap().to_string(), "7");
                }
            }
        }
        assert_eq!(bytes, RESULT.as_bytes());
    }

    #[test]
    fn events_show_what_they_carry() {
        let stream = "id: 1\nretry: 1500\ndata:\n\n: ping\n\nevent: endpoint\ndata: /m?s=1\n\ndata: {\"jsonrpc\":\"2.0\",\ndata: \"id\":1,\"result\":{}}\n\ndata: hi\n\ndata: rest";
        let frames = read(BodyKind::Events, &[stream], &ResourceLimits::default());
        let names: Vec<_> = frames
            .iter()
            .map(|frame| frame.sse.as_ref().unwrap().event.as_deref())
            .collect();
        assert_eq!(
            names,
            [
                Some("message"),
                None,
                Some("endpoint"),
                Some("message"),
                Some("message"),
                None
            ]
        );
        assert_eq!(frames[0].problem, None);
        assert_eq!(frames[1].sse.as_ref().unwrap().comments, 1);
        assert_eq!(frames[2].payload, "/m?s=1");
        assert_eq!(frames[3].scan.messages.len(), 1);
        assert!(frames[4].problem.is_some());
        assert!(frames[5].is_fragment);
    }

    #[test]
    fn an_event_that_finds_no_buffer_is_shown_by_its_head() {
        let limits = ResourceLimits {
            max_buffer_pool: 90,
            ..ResourceLimits::default()
        };
        let long: &'static str = Box::leak(format!("data: {}", "x".repeat(200)).into_boxed_str());
        let frames = read(BodyKind::Events, &[long, "yy\n\n", "data: 1\n\n"], &limits);
        assert_eq!((frames[0].is_cut, frames[0].size), (true, 210));
        assert_eq!(frames[1].payload, "1");
    }

    #[test]
    fn an_unknown_coding_is_said_and_not_guessed_at() {
        let limits = ResourceLimits::default();
        let lease = BufferPool::new(limits.max_buffer_pool).lease(Side::Reverse);
        let mut reader = BodyReader::new(JSON, Some("secret"), &limits, lease);
        let mut out = Vec::new();
        reader.push(&Bytes::from_static(b"??"), true, false, &mut out);
        assert!(
            matches!(&out[..], [Draft::Frame(frame)] if frame.problem.as_deref().unwrap().contains("secret"))
        );
    }

    #[test]
    fn nothing_is_kept_behind_a_gap_and_a_recorder_gets_what_history_has_no_room_for() {
        let limits = ResourceLimits::default();
        let pool = BufferPool::new(300);
        let mut reader = BodyReader::new(JSON, None, &limits, pool.lease(Side::Reverse));
        let mut out = Vec::new();
        let large = Bytes::from(vec![b' '; 250]);
        reader.push(&large, false, true, &mut out);
        reader.push(&Bytes::from_static(b"{}"), false, true, &mut out);
        reader.finish(true, &mut out);
        let frame = out.iter().find_map(|draft| match draft {
            Draft::Frame(frame) => Some(frame),
            Draft::Part { .. } => None,
        });
        assert_eq!(
            frame.map(|frame| (frame.wire.len(), frame.size, frame.is_cut)),
            Some((0, 252, true))
        );
        let mut reader = BodyReader::new(JSON, None, &limits, pool.lease(Side::Reverse));
        let mut out = Vec::new();
        reader.push(&large, true, true, &mut out);
        assert!(matches!(&out[0], Draft::Part { bytes, .. } if *bytes == large));
    }

    #[test]
    fn lines_are_messages_and_what_else_a_command_prints_is_said_to_be_none() {
        let output = "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\r\n\nlistening on 80\n{\"a\":1}\n{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}";
        let frames = read(BodyKind::Lines, &[output], &ResourceLimits::default());
        let shown: Vec<_> = frames
            .iter()
            .map(|frame| {
                (
                    frame.scan.messages.len(),
                    frame.problem.as_deref(),
                    &frame.payload[..],
                )
            })
            .collect();
        let no_json = "the line is no JSON: output that is not part of the protocol";
        assert_eq!(
            shown,
            [
                (1, None, RESULT.as_bytes()),
                (0, None, &b""[..]),
                (0, Some(no_json), b"listening on 80"),
                (1, Some("the line is JSON, but no JSON-RPC message"), b"{\"a\":1}"),
                (1, None, b"{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}"),
            ]
        );
        assert_eq!(&frames[0].wire[RESULT.len()..], b"\r\n");
    }

    #[test]
    fn a_line_too_long_to_be_put_together_is_still_known_by_its_id() {
        let limits = ResourceLimits {
            max_message_bytes: 16,
            ..ResourceLimits::default()
        };
        for chunks in [
            &[RESULT, "\n"][..],
            &["{\"jsonrpc\":\"2.0\",", "\"id\":7,\"result\":{}}\n"],
        ] {
            let frames = read(BodyKind::Lines, chunks, &limits);
            assert_eq!(frames.len(), 1);
            assert_eq!(frames[0].scan.messages[0].id.as_ref().unwrap().to_string(), "7");
            assert!(frames[0].is_cut);
        }
    }

    #[test]
    fn error_output_is_text_whatever_is_in_it() {
        let frames = read(
            BodyKind::Text,
            &["{\"jsonrpc\"\n", "bye"],
            &ResourceLimits::default(),
        );
        let texts: Vec<_> = frames.iter().map(|frame| &frame.payload[..]).collect();
        assert_eq!(texts, [&b"{\"jsonrpc\""[..], b"bye"]);
        assert!(frames.iter().all(|frame| frame.problem.is_none()));
    }

    #[test]
    fn a_byte_order_mark_that_comes_alone_still_belongs_to_the_first_event() {
        let events = read(
            BodyKind::Events,
            &["\u{feff}", "event: endpoint\ndata: /m\n\n"],
            &ResourceLimits::default(),
        );
        assert_eq!(events[0].sse.as_ref().unwrap().event.as_deref(), Some("endpoint"));
        assert_eq!(&events[0].payload[..], b"/m");
    }
}
