//! Reads a copy of a body while its bytes go on: cuts it into frames and says what is in them. Never slows, changes or
//! ends the traffic; what it cannot keep or understand it says so of.

mod document;
mod events;
mod lines;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header};

use crate::codec::content::{ContentDecoder, DecodeLimits};
use crate::codec::cut::Piece;
use crate::codec::envelope::Scan;
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

impl FrameDraft {
    /// A frame of so many bytes of which only the head is known.
    fn of_head(head: &Bytes, bytes: u64, scan: Scan, problem: Option<String>) -> Self {
        Self {
            frame: 0,
            parts: 0,
            wire: head.clone(),
            payload: head.clone(),
            size: bytes,
            payload_size: bytes,
            is_cut: true,
            is_fragment: false,
            sse: None,
            scan,
            problem,
        }
    }
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

    /// History keeps the head of a large frame; whoever wants parts gets all of it.
    fn pass_beyond_kept(&mut self, frame: &Bytes, out: &mut Vec<Draft>) {
        if self.wants_parts && frame.len() > self.max_kept {
            self.put_part(frame, out);
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
}

#[cfg(test)]
mod tests;
