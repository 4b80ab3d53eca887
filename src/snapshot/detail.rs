//! All about one row.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{EndKind, MessageRow, SessionRow};
use crate::clock::Timestamp;
use crate::ids::{ConnectionId, ExchangeId, Side};
use crate::resource::heap;

/// All about one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageDetail {
    /// The row itself, as it is now.
    pub row: MessageRow,
    /// Its bytes.
    pub body: Option<Body>,
    /// What was sent in the place of those bytes: on, or back to the sender. Of a batch, all of it.
    #[serde(default)]
    pub sent: Option<Body>,
    /// SSE fields of the event that carried it.
    pub sse: Option<SseFields>,
    /// The HTTP exchange that carried it.
    pub exchange: Option<ExchangeDetail>,
    /// The rows of its call, oldest first, itself included; at most 200.
    pub call: Vec<MessageRow>,
    /// Rows of the call beyond those.
    pub call_cut: u64,
    /// Its session.
    pub session: Option<SessionRow>,
}

/// Bytes of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// The payload (of an SSE event: its data), or its head if it is cut.
    #[serde(with = "self::base64_bytes")]
    pub bytes: bytes::Bytes,
    /// The whole block as it was on the wire, where that is more than the payload (SSE).
    #[serde(with = "self::base64_bytes")]
    pub wire: bytes::Bytes,
    /// Full size of the payload.
    pub size: u64,
    /// Only the head was kept.
    pub is_cut: bool,
    /// Content coding that was undone to get these bytes.
    pub coding: Option<String>,
    /// Media type, as the head says.
    pub media_type: Option<String>,
}

/// The SSE fields of an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SseFields {
    /// `event`, or `message` when it was absent.
    pub event: String,
    /// `id`, if the block has one.
    pub id: Option<String>,
    /// `retry`, if the block has one.
    pub retry: Option<u64>,
    /// Comment lines in the block.
    pub comments: u32,
}

/// Both heads and all times of an exchange.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExchangeDetail {
    /// Its identity.
    pub id: ExchangeId,
    /// The client's connection.
    pub connection: ConnectionId,
    /// The client's address.
    pub client: String,
    /// Which side it belongs to.
    pub side: Side,
    /// Name of the upstream, or authority of the destination.
    pub server: String,
    /// It is the run of a command, whose head is the command line.
    #[serde(default)]
    pub is_run: bool,
    /// Where the request went: path and query, or a URL if its client said so or it came through a tunnel.
    #[serde(default)]
    pub target: String,
    /// Request as the client sent it.
    pub request: Head,
    /// What we changed in its head before sending it on: one line a change, `Host: a → b`.
    pub rewrites: Vec<String>,
    /// How the head that was sent on differs from it; `None` if it does not, or if that is not known.
    #[serde(default)]
    pub sent: Option<Box<SentHead>>,
    /// What we changed in its body.
    #[serde(default)]
    pub body_rewrites: Vec<String>,
    /// What we changed in the response's head.
    #[serde(default)]
    pub response_rewrites: Vec<String>,
    /// How the head that was handed to the client differs from the response's.
    #[serde(default)]
    pub response_sent: Option<Box<SentHead>>,
    /// What we changed in the response's body.
    #[serde(default)]
    pub response_body_rewrites: Vec<String>,
    /// Response as the upstream sent it; `None` before it came, or if it never did.
    pub response: Option<Head>,
    /// The response is one of our own (502, 503 …).
    pub is_our_answer: bool,
    /// When things happened.
    pub timing: Timing,
    /// How the request ended; `None` while it is going on.
    pub request_end: Option<EndKind>,
    /// How the response ended; `None` while it is going on.
    pub response_end: Option<EndKind>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// Body bytes of the request.
    pub request_bytes: u64,
    /// Body bytes of the response.
    pub response_bytes: u64,
}

/// First line and fields of an HTTP message, in order, repeats kept. Values are shown as Latin-1 where they are not UTF-8.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// `POST /mcp HTTP/1.1`, `HTTP/1.1 200 OK`.
    pub line: String,
    /// Name and value of each field.
    pub fields: Vec<(String, String)>,
}

/// How a head that went on differs from the one that came. The one that went on is the one that came with `line` as its
/// first line, without the fields that are `removed`, and with those that are `set`: in the place of the first field of that
/// name, or at the end. Fields of one name stand together in it. Names are compared without case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentHead {
    /// The first line, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// Names of fields that went no further.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Fields with the value that they have now; several of one name if it has several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<(String, String)>,
    /// Names of fields whose value is the configured one, which is told nowhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configured: Vec<String>,
}

impl SentHead {
    /// Whether what went on is what came.
    pub fn is_empty(&self) -> bool {
        self.line.is_none() && self.removed.is_empty() && self.set.is_empty() && self.configured.is_empty()
    }

    /// `None` if what went on is what came.
    pub(crate) fn boxed(self) -> Option<Box<Self>> {
        (!self.is_empty()).then(|| Box::new(self))
    }

    /// This difference and then another one, as one.
    pub(crate) fn then(mut self, next: Self) -> Self {
        let is_set = |name: &String| {
            let set = next.set.iter().map(|(name, _)| name);
            set.chain(&next.configured)
                .any(|set| set.eq_ignore_ascii_case(name))
        };
        let is_removed = |name: &String| next.removed.iter().any(|gone| gone.eq_ignore_ascii_case(name));
        self.removed.retain(|name| !is_set(name) && !is_removed(name));
        self.set.retain(|(name, _)| !is_set(name) && !is_removed(name));
        self.configured.retain(|name| !is_set(name) && !is_removed(name));
        self.removed.extend(next.removed);
        self.set.extend(next.set);
        self.configured.extend(next.configured);
        self.line = next.line.or(self.line);
        self
    }

    /// Bytes of heap memory that a difference takes, if there is one.
    pub(crate) fn boxed_bytes(sent: Option<&Self>) -> usize {
        sent.map_or(0, Self::heap_bytes)
    }

    /// Bytes of heap memory, this value included.
    fn heap_bytes(&self) -> usize {
        let names = self.removed.iter().chain(&self.configured).chain(&self.line);
        let pairs = self.set.iter().flat_map(|(name, value)| [name, value]);
        size_of::<Self>()
            + heap::vector(&self.removed)
            + heap::vector(&self.set)
            + heap::vector(&self.configured)
            + names.chain(pairs).map(String::capacity).sum::<usize>()
    }
}

/// Moments of an exchange; all on one clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// The request head was here.
    pub started: Timestamp,
    /// The request's last byte was here.
    pub request_done: Option<Timestamp>,
    /// An upstream connection was there (new or reused) and the request head was handed to it.
    pub sent: Option<Timestamp>,
    /// Name look-up, TCP connect and TLS handshake, if a connection was opened for it.
    pub connect: Option<Duration>,
    /// The response head was here.
    pub response_head: Option<Timestamp>,
    /// The response's head was handed to the client's connection. Not for answers of our own.
    pub handed_on: Option<Timestamp>,
    /// The first body byte of the response was here.
    pub first_byte: Option<Timestamp>,
    /// The last byte was here.
    pub done: Option<Timestamp>,
}

/// Bytes as base64 text in serialized form.
pub(crate) mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &bytes::Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bytes::Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD
            .decode(text)
            .map(Into::into)
            .map_err(serde::de::Error::custom)
    }
}
