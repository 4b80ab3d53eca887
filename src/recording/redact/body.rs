//! Secrets in a body, whatever it is.

use super::json::JsonRedactor;
use super::output::Output;
use super::prose::ProseRedactor;
use super::sse::SseRedactor;
use super::text::TextRedactor;
use crate::codec::BYTE_ORDER_MARK;
use crate::snapshot::Carrier;

/// What the head of a message says about its body, as far as it matters for finding secrets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BodyFacts {
    /// The head is known.
    pub(crate) is_known: bool,
    /// What `Content-Type` says.
    pub(crate) kind: BodyKind,
    /// There is a `Content-Encoding` beside `identity`.
    pub(crate) is_encoded: bool,
}

/// What a body is that is no JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum BodyKind {
    /// Text, as far as anybody knows. It is no text any more from a zero byte on.
    #[default]
    Text,
    /// The fields of a form.
    Form,
    /// Pictures, archives and the like.
    Binary,
}

impl BodyKind {
    /// What a value of `Content-Type` says.
    pub(crate) fn of(media_type: &[u8]) -> Self {
        let essence = media_type.split(|byte| *byte == b';').next().unwrap_or_default();
        let essence = essence.trim_ascii().to_ascii_lowercase();
        let is_in = |kind: &&[u8]| essence.starts_with(kind);
        if essence == b"application/x-www-form-urlencoded" {
            Self::Form
        } else if BINARY.iter().any(is_in) && !essence.ends_with(b"+xml") {
            Self::Binary
        } else {
            Self::Text
        }
    }
}

/// How the types of bodies start that are no text.
const BINARY: [&[u8]; 9] = [
    b"image/",
    b"audio/",
    b"video/",
    b"font/",
    b"application/octet-stream",
    b"application/pdf",
    b"application/wasm",
    b"application/zip",
    b"application/gzip",
];

/// Redacts one frame that comes in parts of any size. Redacting the parts gives what redacting the whole gives.
///
/// JSON is told by its first byte, a form by its head, an event by its carrier; all else is read as text for people, unless
/// its head calls it something else, up to the first zero byte. Left out is what cannot be looked into: tunnels, bodies
/// whose coding was not undone, and bodies that are no JSON and whose head is unknown.
#[derive(Debug)]
pub(crate) enum BodyRedactor {
    /// Nothing but white space so far.
    Unknown { facts: BodyFacts, mark: u8 },
    /// JSON, or something that starts like it.
    Json(JsonBody),
    /// A form.
    Form(TextRedactor),
    /// An event.
    Sse(SseBody),
    /// Text.
    Prose(Box<ProseRedactor>),
    /// What is no text.
    Passing,
    /// What cannot be looked into.
    Withheld,
}

/// A JSON body.
#[derive(Debug, Default)]
pub(crate) struct JsonBody(JsonRedactor);

/// A block of an event stream.
#[derive(Debug, Default)]
pub(crate) struct SseBody(SseRedactor);

impl BodyRedactor {
    /// For one frame; `is_decoded` if a content coding was undone.
    pub(crate) fn new(carrier: Carrier, facts: BodyFacts, is_decoded: bool) -> Self {
        match carrier {
            Carrier::Tunnel => Self::Withheld,
            _ if facts.is_encoded && !is_decoded => Self::Withheld,
            Carrier::Sse => Self::Sse(SseBody::default()),
            Carrier::Http if facts.kind == BodyKind::Form => Self::Form(TextRedactor::for_form()),
            Carrier::Http => Self::Unknown { facts, mark: 0 },
            Carrier::Stdio | Carrier::Stderr | Carrier::WebSocket => {
                let facts = BodyFacts {
                    is_known: true,
                    ..BodyFacts::default()
                };
                Self::Unknown { facts, mark: 0 }
            }
        }
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8], out: &mut Output<'_>) {
        let bytes = if let Self::Unknown { facts, mark } = self {
            let (facts, blank) = (*facts, blank_bytes(bytes, mark));
            out.pass(&bytes[..blank]);
            let Some(first) = bytes.get(blank) else {
                return;
            };
            *self = match first {
                b'{' | b'[' => Self::Json(JsonBody::default()),
                _ if !facts.is_known => Self::Withheld,
                _ if facts.kind == BodyKind::Binary => Self::Passing,
                _ => Self::Prose(Box::default()),
            };
            &bytes[blank..]
        } else {
            bytes
        };
        match self {
            Self::Json(json) => json.0.push(bytes, out),
            Self::Form(form) => form.push(bytes, out),
            Self::Sse(sse) => sse.0.push(bytes, out),
            Self::Prose(prose) => {
                let text = memchr::memchr(0, bytes).unwrap_or(bytes.len());
                prose.push(&bytes[..text], out);
                if text < bytes.len() {
                    prose.finish(out);
                    out.pass(&bytes[text..]);
                    *self = Self::Passing;
                }
            }
            Self::Passing | Self::Unknown { .. } => out.pass(bytes),
            Self::Withheld => out.withheld += bytes.len() as u64,
        }
    }

    /// The frame is over.
    pub(crate) fn finish(&mut self, out: &mut Output<'_>) {
        match self {
            Self::Json(json) => json.0.finish(out),
            Self::Form(form) => form.finish(out),
            Self::Sse(sse) => sse.0.finish(out),
            Self::Prose(prose) => prose.finish(out),
            Self::Passing | Self::Unknown { .. } | Self::Withheld => {}
        }
    }
}

/// How many bytes at the start are white space or belong to a byte order mark, of which `mark` bytes were seen.
fn blank_bytes(bytes: &[u8], mark: &mut u8) -> usize {
    let is_blank = |byte: &&u8| {
        if BYTE_ORDER_MARK.get(usize::from(*mark)) == Some(*byte) {
            *mark += 1;
            return true;
        }
        byte.is_ascii_whitespace()
    };
    bytes.iter().take_while(is_blank).count()
}
