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
    /// `Content-Type` is that of a form.
    pub(crate) is_form: bool,
    /// There is a `Content-Encoding` beside `identity`.
    pub(crate) is_encoded: bool,
}

/// Redacts one frame that comes in parts of any size. Redacting the parts gives what redacting the whole gives.
///
/// JSON is told by its first byte, a form by its head, an event by its carrier, and what a command writes beside JSON is
/// read as text for people; other bodies pass. Left out is what
/// cannot be looked into: tunnels, bodies whose coding was not undone, and bodies that are no JSON and whose head is
/// unknown.
#[derive(Debug)]
pub(crate) enum BodyRedactor {
    /// Nothing but white space so far.
    Unknown {
        facts: BodyFacts,
        mark: u8,
        is_line: bool,
    },
    /// JSON, or something that starts like it.
    Json(JsonBody),
    /// A form.
    Form(TextRedactor),
    /// An event.
    Sse(SseBody),
    /// A line that is no JSON.
    Prose(Box<ProseRedactor>),
    /// What has no secrets that we know of.
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
            Carrier::Http if facts.is_form => Self::Form(TextRedactor::for_form()),
            Carrier::Http => Self::Unknown {
                facts,
                mark: 0,
                is_line: false,
            },
            Carrier::Stdio | Carrier::Stderr | Carrier::WebSocket => {
                let is_known = true;
                Self::Unknown {
                    facts: BodyFacts { is_known, ..facts },
                    mark: 0,
                    is_line: carrier != Carrier::WebSocket,
                }
            }
        }
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8], out: &mut Output<'_>) {
        let bytes = if let Self::Unknown { facts, mark, is_line } = self {
            let (facts, is_line, blank) = (*facts, *is_line, blank_bytes(bytes, mark));
            out.pass(&bytes[..blank]);
            let Some(first) = bytes.get(blank) else {
                return;
            };
            *self = match first {
                b'{' | b'[' => Self::Json(JsonBody::default()),
                _ if is_line => Self::Prose(Box::default()),
                _ if facts.is_known => Self::Passing,
                _ => Self::Withheld,
            };
            &bytes[blank..]
        } else {
            bytes
        };
        match self {
            Self::Json(json) => json.0.push(bytes, out),
            Self::Form(form) => form.push(bytes, out),
            Self::Sse(sse) => sse.0.push(bytes, out),
            Self::Prose(prose) => prose.push(bytes, out),
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
