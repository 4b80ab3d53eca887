//! Checks of the decoders.

use bytes::Bytes;
use serde_json::Value;

use super::content::{ContentDecoder, DecodeError, DecodeLimits};
use super::cut::{Boundary, Cutter, Piece};
use super::envelope::{EnvelopeScanner, MAX_FIELD_BYTES, Shape, scan};
use super::event::{ParsedBlock, SseEvent, has_data, rewrite_data, single_data_line};
use super::json::{PathStep, compact, elements, find_path, members, pretty, string_value};
use super::lines::{LineBoundary, line_content};
use super::rpc_id::RpcId;
use super::sse::BoundaryFinder;
use super::websocket::{Heard, WebSocketError, WebSocketReader, put_frame, reframed};
use crate::fuzzing::cuttings;

/// Limits of frames: one that nothing here reaches, and some that are in the way.
const MAX_FRAMES: [usize; 4] = [1 << 20, 20, 5, 1];

/// Pieces of a stream; no byte may be lost, and nothing above `max` kept.
fn cut<B: Boundary + Default>(chunks: &[&[u8]], max: usize) -> Vec<Piece> {
    let mut cutter = Cutter::<B>::new(max);
    let mut pieces = Vec::new();
    for chunk in chunks {
        cutter.push(&Bytes::copy_from_slice(chunk), &mut pieces);
        assert!(cutter.buffered() <= max && cutter.reserved() <= max.max(8));
    }
    cutter.finish(&mut pieces);
    let mut all = Vec::new();
    for piece in &pieces {
        match piece {
            Piece::Frame(bytes) | Piece::Tail(bytes) => {
                assert!(!bytes.is_empty() && bytes.len() <= max);
                all.extend_from_slice(bytes);
            }
            Piece::Part(bytes) => all.extend_from_slice(bytes),
            Piece::Oversize { bytes, head, .. } => {
                assert!(*bytes > max as u64 && head.len() as u64 <= *bytes);
            }
        }
    }
    assert_eq!(all, chunks.concat(), "bytes were lost");
    pieces
}

/// Lines of a command are the same however its output comes.
pub(crate) fn lines(bytes: &[u8]) {
    let whole = cut::<LineBoundary>(&[bytes], bytes.len() + 1);
    for piece in &whole {
        if let Piece::Frame(line) = piece {
            let content = line_content(line);
            assert!(line.starts_with(content) && !content.contains(&b'\n'));
        }
    }
    for chunks in cuttings(bytes) {
        assert_eq!(cut::<LineBoundary>(&chunks, bytes.len() + 1), whole);
        for max in MAX_FRAMES {
            cut::<LineBoundary>(&chunks, max);
        }
    }
}

/// What a client would see of whole events.
fn meaning(pieces: &[Piece]) -> Vec<ParsedBlock> {
    let frames = pieces.iter().filter_map(|piece| match piece {
        Piece::Frame(bytes) | Piece::Tail(bytes) => Some(bytes),
        _ => None,
    });
    let parsed = frames
        .enumerate()
        .map(|(index, bytes)| SseEvent::parse(bytes, index == 0));
    parsed.filter(|block| !block.is_blank).collect()
}

/// An event stream says the same however it comes, and changing the data of an event changes nothing else in it.
pub(crate) fn events(bytes: &[u8]) {
    let whole = cut::<BoundaryFinder>(&[bytes], bytes.len() + 1);
    let said = meaning(&whole);
    for chunks in cuttings(bytes) {
        assert_eq!(meaning(&cut::<BoundaryFinder>(&chunks, bytes.len() + 1)), said);
        for max in MAX_FRAMES {
            cut::<BoundaryFinder>(&chunks, max);
        }
    }
    for piece in &whole {
        if let Piece::Frame(block) | Piece::Tail(block) = piece {
            event(block);
        }
    }
}

fn event(block: &[u8]) {
    let parsed = SseEvent::parse(block, false);
    assert_eq!(parsed.event.is_some(), parsed.has_data_field);
    assert_eq!(single_data_line(block), parsed.data_line);
    if !block.starts_with(super::BYTE_ORDER_MARK) {
        assert_eq!(has_data(block), parsed.has_data_field);
    }
    let data = parsed.event.as_ref().map_or("", |event| &event.data);
    if let Some(range) = parsed.data_line.clone() {
        assert_eq!(String::from_utf8_lossy(&block[range]), data);
    }
    for new in [data, "", "a", " b\n", "a\n:\n\nb"] {
        let after = SseEvent::parse(&rewrite_data(block, new), true);
        let before = SseEvent::parse(block, true);
        assert_eq!(after.event.as_ref().map(|event| &*event.data), Some(new));
        let name = |parsed: &ParsedBlock| parsed.event.as_ref().map(|event| event.name.clone());
        assert!(before.event.is_none() || name(&before) == name(&after));
        assert_eq!(
            (after.id, after.retry, after.comments),
            (before.id, before.retry, before.comments)
        );
    }
}

/// A document is scanned alike however it comes, and as a parser of all of it would; its other forms say the same.
pub(crate) fn envelope(bytes: &[u8]) {
    let whole = scan(bytes);
    for chunks in cuttings(bytes) {
        let mut scanner = EnvelopeScanner::new();
        for chunk in chunks {
            scanner.push(chunk);
        }
        assert_eq!(scanner.finish(), whole);
    }
    for message in &whole.messages {
        assert!(message.span.start <= message.span.end && message.span.end <= bytes.len() as u64);
        assert!(
            message
                .method
                .as_ref()
                .is_none_or(|method| method.len() <= MAX_FIELD_BYTES + 4)
        );
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(id) = RpcId::parse(text)
        && let Some(token) = id.token()
    {
        assert_eq!(RpcId::parse(token).as_ref(), Some(&id));
    }
    other_forms(bytes);
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        agrees(bytes, &value);
    }
}

fn other_forms(bytes: &[u8]) {
    assert!(!compact(bytes).iter().any(|byte| matches!(byte, b'\r' | b'\n')));
    for max in [0, 9, usize::MAX] {
        pretty(bytes, max);
    }
    find_path(bytes, &[PathStep::Index(0), PathStep::Key("params")]);
    string_value(bytes);
    members(bytes).for_each(drop);
}

/// The document is JSON, of which serde makes `value`.
fn agrees(bytes: &[u8], value: &Value) {
    let scanned = scan(bytes);
    let parsed = |raw: &[u8]| serde_json::from_slice::<Value>(raw).ok();
    assert_eq!(parsed(&compact(bytes)).as_ref(), Some(value));
    let laid_out = pretty(bytes, usize::MAX);
    let spans = laid_out.lines.iter().flat_map(|line| &line.spans);
    let laid_out: String = spans.map(|(_, text)| text.as_str()).collect();
    assert_eq!(parsed(laid_out.as_bytes()).as_ref(), Some(value));
    match value {
        Value::Object(fields) => {
            assert_eq!(scanned.shape, Shape::Single);
            let method = fields.get("method").and_then(Value::as_str);
            let short = method.filter(|method| method.len() <= MAX_FIELD_BYTES);
            let found = scanned.messages[0].method.as_deref();
            assert!(short.is_none() || short == found, "{method:?} {found:?}");
            for (name, member) in fields {
                let raw = find_path(bytes, &[PathStep::Key(name)]);
                assert_eq!(raw.and_then(parsed).as_ref(), Some(member));
            }
        }
        Value::Array(entries) => {
            assert_eq!(scanned.shape, Shape::Batch);
            assert_eq!(
                scanned.messages.len() as u64 + scanned.messages_cut,
                entries.len() as u64
            );
            let found: Vec<Option<Value>> = elements(bytes).map(parsed).collect();
            assert!(found.iter().map(Option::as_ref).eq(entries.iter().map(Some)));
        }
        Value::String(text) => assert_eq!(string_value(bytes.trim_ascii()), *text),
        _ => assert_eq!(scanned.shape, Shape::NotJson),
    }
}

/// What was said on a `WebSocket`, messages whole.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Message(bool, Vec<u8>),
    Ping,
    Pong,
    Close(Option<u16>, Vec<u8>),
}

#[derive(Default)]
struct Listener {
    said: Vec<Said>,
    message: Vec<u8>,
}

impl Listener {
    fn hear(&mut self, heard: &Heard<'_>) {
        self.said.push(match *heard {
            Heard::Data {
                bytes,
                is_text,
                is_last,
            } => {
                self.message.extend_from_slice(bytes);
                if !is_last {
                    return;
                }
                Said::Message(is_text, std::mem::take(&mut self.message))
            }
            Heard::Ping => Said::Ping,
            Heard::Pong => Said::Pong,
            Heard::Close { code, reason } => Said::Close(code, reason.to_vec()),
        });
    }
}

fn listen(agreed: Option<bool>, chunks: &[&[u8]]) -> (Vec<Said>, Result<(), WebSocketError>) {
    let (mut reader, mut listener) = (WebSocketReader::new(agreed), Listener::default());
    let outcome = chunks
        .iter()
        .try_for_each(|chunk| reader.push(chunk, &mut |heard| listener.hear(&heard)));
    (listener.said, outcome)
}

/// The same, frame after frame.
fn listen_by_frame(agreed: Option<bool>, chunks: &[&[u8]]) -> (Vec<Said>, Result<(), WebSocketError>) {
    let (mut reader, mut listener) = (WebSocketReader::new(agreed), Listener::default());
    for mut chunk in chunks.iter().copied() {
        while !chunk.is_empty() {
            match reader.push_frame(chunk, &mut |heard| listener.hear(&heard)) {
                Ok(step) => {
                    assert!(step.taken > 0 && step.taken <= chunk.len());
                    chunk = &chunk[step.taken..];
                }
                Err(error) => return (listener.said, Err(error)),
            }
        }
    }
    (listener.said, Ok(()))
}

/// A `WebSocket` says the same however its bytes come, and what is written on one is read as it was.
pub(crate) fn websocket(bytes: &[u8]) {
    for agreed in [None, Some(true), Some(false)] {
        let whole = listen(agreed, &[bytes]);
        // How much a message may grow depends on how much of it is there.
        let is_comparable =
            |outcome: &Result<(), WebSocketError>| !matches!(outcome, Err(WebSocketError::TooLarge(_)));
        for chunks in cuttings(bytes) {
            for parts in [listen(agreed, &chunks), listen_by_frame(agreed, &chunks)] {
                if is_comparable(&whole.1) && is_comparable(&parts.1) {
                    assert_eq!(parts, whole);
                }
            }
        }
    }
    for mask in [None, Some([0x37, 0xfa, 0x21, 0x3d])] {
        let mut written = Vec::new();
        put_frame(1, true, mask, bytes, &mut written);
        let expected = (vec![Said::Message(true, bytes.to_vec())], Ok(()));
        assert_eq!(listen(None, &[&written]), expected);
        let other = reframed(&written, b"other");
        assert_eq!(
            listen(None, &[&other]).0,
            [Said::Message(true, b"other".to_vec())]
        );
    }
}

/// A body is decoded alike however it comes, and never to more than is allowed.
pub(crate) fn content(bytes: &[u8]) {
    let limits = DecodeLimits {
        max_output_bytes: 1 << 16,
        max_ratio: 250,
    };
    for codings in ["gzip", "deflate", "br", "zstd", "gzip, br", "zstd, deflate"] {
        let whole = decode(codings, &[bytes], limits);
        for chunks in [cuttings(bytes).swap_remove(0), cuttings(bytes).swap_remove(5)] {
            let parts = decode(codings, &chunks, limits);
            let is_too_large =
                |outcome: &Result<(), DecodeError>| matches!(outcome, Err(DecodeError::TooLarge { .. }));
            if is_too_large(&whole.1) || is_too_large(&parts.1) {
                continue;
            }
            assert_eq!(
                parts.1.is_ok(),
                whole.1.is_ok(),
                "{codings}: {:?} {:?}",
                parts.1,
                whole.1
            );
            if whole.1.is_ok() {
                assert_eq!(parts.0, whole.0, "{codings}");
            }
        }
    }
}

fn decode(codings: &str, chunks: &[&[u8]], limits: DecodeLimits) -> (Vec<u8>, Result<(), DecodeError>) {
    let Ok(Some(mut decoder)) = ContentDecoder::with_limits(codings, limits) else {
        panic!("{codings} are known");
    };
    let mut out = Vec::new();
    let pushed = chunks.iter().try_for_each(|chunk| decoder.push(chunk, &mut out));
    let outcome = pushed.and_then(|()| decoder.finish(&mut out));
    // One step of a decoder may be more than is left.
    assert!(
        out.len() as u64 <= limits.max_output_bytes + (1 << 18),
        "{codings}: {}",
        out.len()
    );
    (out, outcome)
}
