//! What the traffic tells its watchers. The same type is applied by the ledger, written by the recorder and made again
//! from a recording, so that a live proxy and an opened file show the same things.

mod weight;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::codec::envelope::Envelope;
use crate::codec::rpc_id::RpcId;
use crate::ids::{CallId, ConnectionId, ExchangeId, HoldId, ProxySessionId, Side, StreamId};
use crate::intercept::hold::{Actor, Effect, Ending};
use crate::snapshot::{
    Carrier, Direction, EndKind, Finding, Head, RowVerdict, SentHead, SessionBasis, Timing,
};

/// Why a session ends that is the run of a command.
pub const COMMAND_ENDED: &str = "the command ended";

/// Why a session ends whose shim has gone before its command.
pub const SHIM_GONE: &str = "the shim that watched the command has gone";

/// Why a session ends whose command goes on.
pub const NOT_WATCHED: &str = "the proxy stopped and watches the command no longer";

/// The code of a JSON-RPC error in place of a server's answer; `data.origin` is `shadowcat`.
pub const OWN_ERROR: i64 = -33_001;

/// Why a JSON document has no message in it.
pub const NO_JSON_RPC: &str = "JSON, but no JSON-RPC message";

/// Why the session of a WebSocket is over.
pub const SOCKET_CLOSED: &str = "the WebSocket was closed";

/// One thing that happened, and when. Its place in the global sequence is given by the queue.
#[derive(Debug, Clone)]
pub struct Observation {
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: Event,
}

/// What can happen.
#[derive(Debug, Clone)]
pub enum Event {
    /// A session was met for the first time. Comes before anything that names it.
    Session(Box<SessionOpened>),
    /// A session is over: deleted by its client, no longer known to its server, or gone with its stream or connection.
    SessionEnded {
        /// Which.
        session: ProxySessionId,
        /// Why, in words.
        reason: &'static str,
    },
    /// A request head came and an exchange began.
    Request(Box<RequestObserved>),
    /// The head of the response came (or we answered ourselves).
    Response(Box<ResponseObserved>),
    /// Something in a body was changed on its way, or is remarkable about the exchange as a whole.
    Rewritten(Box<RewrittenObserved>),
    /// A message was held, or something was decided about it.
    Verdict(Box<VerdictObserved>),
    /// A piece of a frame that is not whole yet. For the recorder only; the whole follows as [`Event::Frame`].
    Part(FramePart),
    /// A frame was whole. Shared, since the ledger and the recorder only look at it.
    Frame(Arc<FrameObserved>),
    /// Both directions of an exchange ended.
    ExchangeEnd(Box<ExchangeEnded>),
}

/// A new session.
#[derive(Debug, Clone)]
pub struct SessionOpened {
    /// Its identity.
    pub id: ProxySessionId,
    /// Name of the upstream, or authority of the destination.
    pub server: Arc<str>,
    /// The rule that made it.
    pub basis: SessionBasis,
    /// The client's address without its port.
    pub client: Arc<str>,
}

/// A head, exact where the wire had text (HTTP/1), as fields where it had not (HTTP/2).
#[derive(Debug, Clone)]
pub enum ObservedHead {
    /// The bytes of an HTTP/1 head, from the first line to the blank line.
    Raw(Bytes),
    /// First line and fields as we understood them.
    Fields(Box<Head>),
}

impl ObservedHead {
    /// First line and fields. Tolerant: what cannot be split is shown as a value without name.
    pub fn to_head(&self) -> Head {
        match self {
            Self::Fields(head) => (**head).clone(),
            Self::Raw(bytes) => parse_raw_head(bytes),
        }
    }
}

/// UTF-8 where it is, else Latin-1: every byte of a head stays visible.
pub fn head_text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(
        |_| bytes.iter().map(|byte| char::from(*byte)).collect(),
        str::to_owned,
    )
}

fn parse_raw_head(bytes: &[u8]) -> Head {
    let mut lines = bytes
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let line = head_text(lines.next().unwrap_or_default());
    let split = |line: &[u8]| match memchr::memchr(b':', line) {
        Some(colon) => (
            head_text(&line[..colon]),
            head_text(line[colon + 1..].trim_ascii()),
        ),
        None => (String::new(), head_text(line)),
    };
    Head {
        line,
        fields: lines.filter(|line| !line.is_empty()).map(split).collect(),
    }
}

/// What kind of exchange a request opens, as far as its head tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeKind {
    /// Its body may carry messages.
    Message,
    /// Any other HTTP request.
    Http,
    /// CONNECT.
    Tunnel,
    /// A run of a command whose lines are the messages.
    Run,
    /// A run of a command behind HTTP: what it says is shown where clients hear it, its lines are recorded as they are.
    BridgedRun,
}

/// An exchange began.
#[derive(Debug, Clone)]
pub struct RequestObserved {
    /// Its identity.
    pub exchange: ExchangeId,
    /// The client's connection.
    pub connection: ConnectionId,
    /// The client's address with port.
    pub client: String,
    /// The side it belongs to.
    pub side: Side,
    /// Name of the upstream, or authority of the destination.
    pub server: Arc<str>,
    /// Its session, if the head alone tells.
    pub session: Option<ProxySessionId>,
    /// What it may carry.
    pub kind: ExchangeKind,
    /// HTTP method.
    pub method: String,
    /// Target as the client wrote it.
    pub target: String,
    /// Head as it came.
    pub head: ObservedHead,
    /// What was changed before it was sent on, one line a change.
    pub rewrites: Vec<String>,
    /// How the head that went on differs from it.
    pub sent: Option<Box<SentHead>>,
    /// `Last-Event-ID`, if the client resumes a stream.
    pub resumes: Option<String>,
}

/// A response began.
#[derive(Debug, Clone)]
pub struct ResponseObserved {
    /// The exchange.
    pub exchange: ExchangeId,
    /// Its session, if it is known by now.
    pub session: Option<ProxySessionId>,
    /// HTTP status.
    pub status: u16,
    /// Head as it came; our own answers have fields only.
    pub head: ObservedHead,
    /// It is our own answer (502, 503 …).
    pub is_ours: bool,
    /// Set if the body is an event stream.
    pub stream: Option<StreamId>,
    /// `Content-Type`, as it is.
    pub media_type: Option<String>,
    /// What was changed before it was sent on, one line a change.
    pub rewrites: Vec<String>,
    /// How the head that went on differs from it.
    pub sent: Option<Box<SentHead>>,
}

/// What was changed in a body, and what was found about its exchange. Frames tell what arrived; this tells the difference
/// to what was sent on.
#[derive(Debug, Clone)]
pub struct RewrittenObserved {
    /// The exchange.
    pub exchange: ExchangeId,
    /// Its session, if it is known by now.
    pub session: Option<ProxySessionId>,
    /// Which body it is.
    pub direction: Direction,
    /// What was changed, one line a change.
    pub rewrites: Vec<String>,
    /// How the head that went on differs from the one that came, if that was told otherwise before.
    pub sent: Option<Box<SentHead>>,
    /// What is remarkable.
    pub findings: Vec<Finding>,
}

/// What was decided about a message. Its frame tells what arrived.
#[derive(Debug, Clone)]
pub struct VerdictObserved {
    /// The exchange that carries it.
    pub exchange: ExchangeId,
    /// Its session, if it is known by now.
    pub session: Option<ProxySessionId>,
    /// Which way it goes.
    pub direction: Direction,
    /// Number of its frame in its direction of the exchange, from 0.
    pub frame: u32,
    /// Which message of a batch it is, from 1, and of how many.
    pub batch: Option<(u32, u32)>,
    /// What it was called while it was held.
    pub hold: Option<HoldId>,
    /// The rule.
    pub rule: Arc<str>,
    /// How it left; `None` when it is held or delayed from now on.
    pub ending: Option<Ending>,
    /// What was done to it beside that.
    pub effect: Option<Effect>,
    /// Who decided.
    pub actor: Actor,
    /// How long it was held.
    pub held_for: Duration,
    /// The payload that went on in the place of what came.
    pub sent: Option<Bytes>,
}

impl VerdictObserved {
    /// As its row says it.
    pub(crate) fn to_row_verdict(&self) -> RowVerdict {
        RowVerdict {
            rule: self.rule.to_string(),
            batch: self.batch,
            hold: self.hold,
            ending: self.ending,
            effect: self.effect,
            actor: self.actor,
            held_for: self.held_for,
        }
    }
}

/// A piece of a frame, in order; the recorder writes it at once.
#[derive(Debug, Clone)]
pub struct FramePart {
    /// The exchange.
    pub exchange: ExchangeId,
    /// Its session, if it is known by now.
    pub session: Option<ProxySessionId>,
    /// Direction of the frame.
    pub direction: Direction,
    /// What carries it.
    pub carrier: Carrier,
    /// Number of the frame in its direction of the exchange, from 0.
    pub frame: u32,
    /// Number of the part in the frame, from 0.
    pub part: u32,
    /// The bytes (after content coding was undone, if `coding` says so).
    pub bytes: Bytes,
    /// Content coding that was undone.
    pub coding: Option<Arc<str>>,
}

/// A whole frame.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct FrameObserved {
    /// The exchange.
    pub exchange: ExchangeId,
    /// Its session.
    pub session: Option<ProxySessionId>,
    /// The SSE stream, if it is one of its events.
    pub stream: Option<StreamId>,
    /// Direction.
    pub direction: Direction,
    /// What carried it.
    pub carrier: Carrier,
    /// Number of the frame in its direction of the exchange, from 0.
    pub frame: u32,
    /// Parts that went before as [`Event::Part`]; 0 means that `wire` is all of it and the recorder has to write it.
    /// Otherwise the recorder has to write only that the frame is complete.
    pub parts: u32,
    /// The frame's bytes as they were on the wire (content coding undone); its head if `is_cut`. An allocation of their
    /// own: no slice of a read buffer, which history would keep alive as a whole.
    pub wire: Bytes,
    /// The JSON payload: `wire` itself for a body, the joined data lines for an SSE event.
    pub payload: Bytes,
    /// Full size of the wire form.
    pub size: u64,
    /// Full size of the payload.
    pub payload_size: u64,
    /// Only the head is here.
    pub is_cut: bool,
    /// The stream or body ended inside of it.
    pub is_fragment: bool,
    /// Content coding that was undone.
    pub coding: Option<Arc<str>>,
    /// What the SSE block says, if it is one.
    pub sse: Option<SseObserved>,
    /// The JSON-RPC messages in it; more than one for a batch, none if it carries no message.
    pub messages: Vec<PlacedMessage>,
    /// Set where a message was expected (a JSON media type, an SSE `message` event with data) and none could be read.
    pub unreadable: Option<String>,
    /// We made it up ourselves while a message was held.
    pub is_synthetic: bool,
    /// It was sent again from here: its client did not say it.
    pub is_injected: bool,
}

/// The fields of an SSE block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SseObserved {
    /// Name of the event; `None` if the block dispatches no event (comments, a lone id or retry).
    pub event: Option<Cow<'static, str>>,
    /// `id`, if present (it may be empty).
    pub id: Option<Box<str>>,
    /// `retry`, if present.
    pub retry: Option<u64>,
    /// Comment lines.
    pub comments: u32,
}

/// A message and its place among the others of its session.
#[derive(Debug, Clone)]
pub struct PlacedMessage {
    /// The message.
    pub envelope: Envelope,
    /// Where it belongs.
    pub placement: Placement,
}

/// Which call a message belongs to, and how.
#[derive(Debug, Clone, Default)]
pub struct Placement {
    /// The call; `None` for what belongs to the session as a whole.
    pub call: Option<CallId>,
    /// How it belongs to the call.
    pub role: CallRole,
    /// When the call's request was here.
    pub request_at: Option<Timestamp>,
    /// Method of the call's request.
    pub request_method: Option<Arc<str>>,
    /// Tool, uri or prompt of the call's request.
    pub request_name: Option<Arc<str>>,
    /// How its progress is told, if the call asked for that.
    pub progress: Option<Box<ProgressTold>>,
    /// What is remarkable: late, duplicate, unknown id, era or header mismatch.
    pub findings: Vec<Finding>,
}

/// What the sender of a call has been told of its progress.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgressTold {
    /// The token that it gave.
    pub token: RpcId,
    /// The latest value before this message; 0 if there was none.
    pub before: f64,
}

/// How a message belongs to its call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CallRole {
    /// It does not.
    #[default]
    None,
    /// It is the request.
    Opens,
    /// It is the (first) answer.
    Answers,
    /// It reports progress.
    Progress,
    /// It cancels the call.
    Cancels,
    /// It is a log line or another notification that came with the call.
    Accompanies,
}

/// Both directions of an exchange ended.
#[derive(Debug, Clone)]
pub struct ExchangeEnded {
    /// The exchange.
    pub exchange: ExchangeId,
    /// Its session.
    pub session: Option<ProxySessionId>,
    /// How the request ended.
    pub request_end: EndKind,
    /// How the response ended.
    pub response_end: EndKind,
    /// Why it failed, in words that name the peer.
    pub failure: Option<String>,
    /// Status of our own answer, if we had to give one.
    pub our_status: Option<u16>,
    /// When things happened.
    pub timing: Timing,
    /// Body bytes of the request.
    pub request_bytes: u64,
    /// Body bytes of the response.
    pub response_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_head_keeps_order_spelling_and_repeats() {
        let raw =
            b"POST /mcp HTTP/1.1\r\nhOsT: a:1\r\nSet-Cookie: x\r\nset-cookie:  y \r\nbroken line\r\n\r\n";
        let head = ObservedHead::Raw(Bytes::from_static(raw)).to_head();
        assert_eq!(head.line, "POST /mcp HTTP/1.1");
        let fields: Vec<_> = head
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            fields,
            [
                ("hOsT", "a:1"),
                ("Set-Cookie", "x"),
                ("set-cookie", "y"),
                ("", "broken line")
            ]
        );
    }

    #[test]
    fn a_head_that_is_not_utf8_is_shown_byte_for_byte() {
        assert_eq!(head_text(b"caf\xe9"), "caf\u{e9}");
    }
}
