//! The lines of a recording. One line is one JSON object with a `type`; `docs/recording-format.md` describes each field.
//!
//! Readers ignore fields and types that they do not know, so that both can be added without a new version.

mod escape;
mod forms;

use serde::{Deserialize, Serialize};

use crate::ids::{ConnectionId, ExchangeId, HoldId, ProxySessionId, Side, StreamId};
use crate::intercept::hold::{Actor, Effect, Ending};
use crate::snapshot::{Carrier, Direction, EndKind, Finding, SentHead, SessionBasis};

use super::head_line::HeadLine;
use forms::{base64_option, session_option, session_text};
pub(super) use forms::{decode_base64, encode_base64};

/// The version of the format that this build writes, and the newest one that it reads.
pub const RECORDING_VERSION: u16 = 1;

/// What the header calls the format.
pub const RECORDING_FORMAT: &str = "shadowcat-recording";

/// One line of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// The first line.
    Header(HeaderLine),
    /// A session was met.
    Session(SessionLine),
    /// A session is over.
    SessionEnd(SessionEndLine),
    /// A request head.
    Request(RequestLine),
    /// A response head.
    Response(ResponseLine),
    /// A body was changed on its way, or something was found about an exchange.
    Rewrite(RewriteLine),
    /// A message was held, or something was decided about it.
    Verdict(VerdictLine),
    /// A frame, or a part of one.
    Frame(FrameLine),
    /// Both directions of an exchange ended.
    ExchangeEnd(ExchangeEndLine),
    /// Something was not recorded.
    Gap(GapLine),
    /// The recording was ended in order.
    End(EndLine),
    /// A type that this build does not know.
    Unknown,
}

impl Line {
    /// Reads one line, without its line ending.
    ///
    /// # Errors
    /// What serde says of a line that is no JSON object with a `type`, or lacks what its type needs.
    pub fn parse(line: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Tag<'a> {
            #[serde(rename = "type", borrow)]
            kind: std::borrow::Cow<'a, str>,
        }

        // In two passes, since an enum with an internal tag would first copy the whole line into a tree.
        let tag: Tag<'_> = serde_json::from_slice(line)?;
        Ok(match &*tag.kind {
            "header" => Self::Header(serde_json::from_slice(line)?),
            "session" => Self::Session(serde_json::from_slice(line)?),
            "session_end" => Self::SessionEnd(serde_json::from_slice(line)?),
            "request" => Self::Request(serde_json::from_slice(line)?),
            "response" => Self::Response(serde_json::from_slice(line)?),
            "rewrite" => Self::Rewrite(serde_json::from_slice(line)?),
            "verdict" => Self::Verdict(serde_json::from_slice(line)?),
            "frame" => Self::Frame(serde_json::from_slice(line)?),
            "exchange_end" => Self::ExchangeEnd(serde_json::from_slice(line)?),
            "gap" => Self::Gap(serde_json::from_slice(line)?),
            "end" => Self::End(serde_json::from_slice(line)?),
            _ => Self::Unknown,
        })
    }

    /// The number of the line; the header has none.
    pub const fn seq(&self) -> Option<u64> {
        match self {
            Self::Session(line) => Some(line.seq),
            Self::SessionEnd(line) => Some(line.seq),
            Self::Request(line) => Some(line.seq),
            Self::Response(line) => Some(line.seq),
            Self::Rewrite(line) => Some(line.seq),
            Self::Verdict(line) => Some(line.seq),
            Self::Frame(line) => Some(line.seq),
            Self::ExchangeEnd(line) => Some(line.seq),
            Self::Gap(line) => Some(line.seq),
            Self::End(line) => Some(line.seq),
            Self::Header(_) | Self::Unknown => None,
        }
    }

    /// Gives the line its number; the header has none.
    pub(super) const fn set_seq(&mut self, number: u64) {
        match self {
            Self::Session(line) => line.seq = number,
            Self::SessionEnd(line) => line.seq = number,
            Self::Request(line) => line.seq = number,
            Self::Response(line) => line.seq = number,
            Self::Rewrite(line) => line.seq = number,
            Self::Verdict(line) => line.seq = number,
            Self::Frame(line) => line.seq = number,
            Self::ExchangeEnd(line) => line.seq = number,
            Self::Gap(line) => line.seq = number,
            Self::End(line) => line.seq = number,
            Self::Header(_) | Self::Unknown => {}
        }
    }

    /// Appends the line and its line ending to `out`.
    pub(super) fn write_to(&self, out: &mut Vec<u8>) {
        let start = out.len();
        // These types always serialize; a line that did not would be left out as a whole.
        if serde_json::to_writer(&mut *out, self).is_ok() {
            out.push(b'\n');
        } else {
            out.truncate(start);
        }
    }
}

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderLine {
    /// [`RECORDING_FORMAT`].
    pub format: String,
    /// [`RECORDING_VERSION`] of the build that wrote it.
    pub version: u16,
    /// When the recording was begun; all `us` count from here. UTC, with microseconds.
    pub created: jiff::Timestamp,
    /// Name and version of the program that wrote it.
    pub proxy: String,
    /// Secrets were replaced by tags.
    #[serde(default)]
    pub redacted: bool,
    /// Number of this file among those of one recording, if it was written to several; from 2 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<u32>,
    /// Name of the file that this one continues. It begins with the sessions and heads of what was open there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<String>,
}

/// A session was met, or went on when the recording was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionLine {
    /// Number of the line, counted from 1 after the header.
    pub seq: u64,
    /// Microseconds since the header; negative for what was before.
    pub us: i64,
    /// The session.
    #[serde(with = "session_text")]
    pub session: ProxySessionId,
    /// Name of the upstream, or authority of the destination.
    pub server: String,
    /// The rule that made it one session.
    pub basis: SessionBasis,
    /// The client's address without its port.
    pub client: String,
}

/// A session is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEndLine {
    /// Number of the line.
    pub seq: u64,
    /// Microseconds since the header.
    pub us: i64,
    /// The session.
    #[serde(with = "session_text")]
    pub session: ProxySessionId,
    /// Why, in words.
    pub reason: String,
}

/// What a request may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// Messages.
    Message,
    /// Anything else.
    Http,
    /// CONNECT: a tunnel.
    Tunnel,
    /// A run of a command whose lines are the messages.
    Run,
    /// A run of a command behind HTTP, whose lines are recorded beside the messages.
    BridgedRun,
}

/// A request head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestLine {
    /// Number of the line.
    pub seq: u64,
    /// Microseconds since the header.
    pub us: i64,
    /// The session, if the head alone tells.
    #[serde(with = "session_option", default, skip_serializing_if = "Option::is_none")]
    pub session: Option<ProxySessionId>,
    /// The exchange that begins.
    pub exchange: ExchangeId,
    /// The client's connection.
    pub connection: ConnectionId,
    /// The client's address with port.
    pub client: String,
    /// `forward` or `reverse`.
    pub side: Side,
    /// Name of the upstream, or authority of the destination.
    pub server: String,
    /// What it may carry.
    pub kind: RequestKind,
    /// HTTP method.
    pub method: String,
    /// Target as the client wrote it.
    pub target: String,
    /// The head.
    pub head: HeadLine,
    /// What was changed before it was sent on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rewrites: Vec<String>,
    /// How the head that was sent on differs from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Box<SentHead>>,
    /// `Last-Event-ID`, if a stream is resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumes: Option<String>,
    /// Secrets that were replaced in this line.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redactions: u32,
}

/// A response head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseLine {
    /// Number of the line.
    pub seq: u64,
    /// Microseconds since the header.
    pub us: i64,
    /// The session, if it is known by now.
    #[serde(with = "session_option", default, skip_serializing_if = "Option::is_none")]
    pub session: Option<ProxySessionId>,
    /// The exchange.
    pub exchange: ExchangeId,
    /// HTTP status.
    pub status: u16,
    /// The head.
    pub head: HeadLine,
    /// The proxy gave this answer itself.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ours: bool,
    /// Number of the event stream, if the body is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamId>,
    /// `Content-Type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What was changed before it was sent on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rewrites: Vec<String>,
    /// How the head that was sent on differs from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Box<SentHead>>,
    /// Secrets that were replaced in this line.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redactions: u32,
}

/// What was changed in a body that is on its way, and what was found about its exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewriteLine {
    /// Number of the line.
    pub seq: u64,
    /// Microseconds since the header.
    pub us: i64,
    /// The session, if it is known by now.
    #[serde(with = "session_option", default, skip_serializing_if = "Option::is_none")]
    pub session: Option<ProxySessionId>,
    /// The exchange.
    pub exchange: ExchangeId,
    /// It is about the request's body, not the response's.
    #[serde(default, skip_serializing_if = "is_false")]
    pub of_request: bool,
    /// What was changed, one text a change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rewrites: Vec<String>,
    /// How the head that was sent on differs from the one that came, in the place of what the head's line says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<Box<SentHead>>,
    /// What is remarkable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Secrets that were replaced in this line.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redactions: u32,
}

/// What was decided about a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictLine {
    /// Number of the line.
    pub seq: u64,
    /// Microseconds since the header.
    pub us: i64,
    /// The session, if it is known by now.
    #[serde(with = "session_option", default, skip_serializing_if = "Option::is_none")]
    pub session: Option<ProxySessionId>,
    /// The exchange.
    pub exchange: ExchangeId,
    /// Which way the message goes.
    pub direction: Direction,
    /// Number of its frame in its direction of the exchange, from 0. The frame's line has what arrived.
    pub frame: u32,
    /// Which message of a batch it is, from 1, and of how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<(u32, u32)>,
    /// What it was called while it was held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldId>,
    /// The rule that acted on it.
    pub rule: String,
    /// How it left; absent when it is held or delayed from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// What was done to it beside that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// Who decided.
    pub actor: Actor,
    /// Microseconds for which it was held.
    #[serde(default)]
    pub held_us: u64,
    /// The text that went on in the place of what arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<String>,
    /// Secrets that were replaced in this line.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redactions: u32,
}

/// A frame, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a member of the line")]
pub struct FrameLine {
    /// Number of the line.
    pub seq: u64,
    /// Microseconds since the header.
    pub us: i64,
    /// The session, if it is known by now.
    #[serde(with = "session_option", default, skip_serializing_if = "Option::is_none")]
    pub session: Option<ProxySessionId>,
    /// The exchange.
    pub exchange: ExchangeId,
    /// Number of the event stream, if it is an event; on the last part only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamId>,
    /// `client_to_server` or `server_to_client`.
    pub direction: Direction,
    /// What carried it.
    pub transport: Carrier,
    /// Number of the frame in its direction of the exchange, from 0.
    pub frame: u32,
    /// Number of this part in the frame, from 0.
    pub part: u32,
    /// The frame is whole with this part.
    pub last: bool,
    /// Content coding that was undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coding: Option<String>,
    /// The bytes, if they are UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The bytes, if they are not.
    #[serde(with = "base64_option", default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<Vec<u8>>,
    /// The fields of the event; on the last part only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sse: Option<SseFieldsLine>,
    /// JSON-RPC messages in the frame; on the last part only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<u32>,
    /// Size of the whole frame on the wire, if the text of this line is not all of it; on the last part only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The stream or body ended inside the frame.
    #[serde(default, skip_serializing_if = "is_false")]
    pub fragment: bool,
    /// The proxy made it up while a message was held.
    #[serde(default, skip_serializing_if = "is_false")]
    pub synthetic: bool,
    /// It was sent again from the proxy: its client did not say it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub injected: bool,
    /// Why no message could be read where one was expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// Secrets that were replaced in this line.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redactions: u32,
    /// Bytes that were left out, because nobody could tell whether secrets are in them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub withheld: u64,
    /// Bytes at the end of the frame that nobody had any more when the recording began in the middle of it; on the
    /// last part only.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing: u64,
}

impl FrameLine {
    /// Puts the bytes in, as text if they are UTF-8.
    pub(super) fn set_bytes(&mut self, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match String::from_utf8(bytes) {
            Ok(text) => self.text = Some(text),
            Err(error) => self.base64 = Some(error.into_bytes()),
        }
    }

    /// The bytes of this line.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.take_bytes()
    }

    /// Takes the bytes out of the line.
    pub(super) fn take_bytes(&mut self) -> Vec<u8> {
        let text = self.text.take().map(String::into_bytes);
        text.or_else(|| self.base64.take()).unwrap_or_default()
    }
}

/// The fields of an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SseFieldsLine {
    /// Name of the event; absent if the block dispatches none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// `id`, if the block has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `retry` in milliseconds, if the block has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<u64>,
    /// Comment lines.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub comments: u32,
}

/// Both directions of an exchange ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeEndLine {
    /// Number of the line.
    pub seq: u64,
    /// Microseconds since the header.
    pub us: i64,
    /// The session.
    #[serde(with = "session_option", default, skip_serializing_if = "Option::is_none")]
    pub session: Option<ProxySessionId>,
    /// The exchange.
    pub exchange: ExchangeId,
    /// How the request ended.
    pub request_end: EndKind,
    /// How the response ended.
    pub response_end: EndKind,
    /// Why it failed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Status of the proxy's own answer, if it had to give one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub our_status: Option<u16>,
    /// When things happened.
    #[serde(default)]
    pub timing: TimingLine,
    /// Body bytes of the request.
    pub request_bytes: u64,
    /// Body bytes of the response.
    pub response_bytes: u64,
}

/// Moments of an exchange, in microseconds since the header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimingLine {
    /// The request head was here.
    pub started: i64,
    /// The request's last byte was here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_done: Option<i64>,
    /// The request head was handed to an upstream connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<i64>,
    /// How long opening that connection took, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_us: Option<u64>,
    /// The response head was here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_head: Option<i64>,
    /// The response head was handed to the client's connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_on: Option<i64>,
    /// The first body byte of the response was here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<i64>,
    /// The last byte was here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<i64>,
}

/// Something was not recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapLine {
    /// Number of the line.
    pub seq: u64,
    /// Microseconds since the header, when the recording went on.
    pub us: i64,
    /// Records that are missing.
    pub lost: u64,
    /// Their size, roughly.
    pub bytes: u64,
    /// When the first of them happened, in microseconds since the header.
    pub from: i64,
    /// When the last of them happened.
    pub to: i64,
    /// Why, in words.
    pub reason: String,
}

/// The recording was ended in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndLine {
    /// Number of the line.
    pub seq: u64,
    /// Microseconds since the header.
    pub us: i64,
    /// Lines of the file, this one and the header included.
    pub lines: u64,
    /// Bytes of the file before this line.
    pub bytes: u64,
    /// Records that are missing, of all gaps together.
    pub lost: u64,
    /// Name of the file in which the recording goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continued_by: Option<String>,
}

fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
