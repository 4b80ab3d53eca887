//! What is on a tape.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::codec::envelope::Envelope;
use crate::ids::{ExchangeId, ProxySessionId, Side};
use crate::intercept::hold::Ending;
use crate::recording::format::{RequestKind, SseFieldsLine};
use crate::session::observation::CallRole;
use crate::snapshot::{Carrier, Direction, EndKind, Era, Head, SentHead, SessionBasis};

/// A recording as conversations.
#[derive(Debug, Clone)]
pub struct Tape {
    /// The file.
    pub path: PathBuf,
    /// When the recording was begun; all `us` count from here, in microseconds.
    pub created: Timestamp,
    /// Secrets were replaced by tags such as `‹secret:5be1c0ffee01›`.
    pub is_redacted: bool,
    /// Every session with an exchange, in the order in which they were met. Tunnels have none.
    pub sessions: Vec<TapeSession>,
    /// What the file lacks, a sentence each, at most [`Tape::MAX_DAMAGE`] and the count of the rest.
    pub damage: Vec<String>,
}

impl Tape {
    /// Sentences about damage that are kept.
    pub const MAX_DAMAGE: usize = 100;

    /// The moment `us` microseconds after the recording was begun, or before.
    pub const fn moment(&self, us: i64) -> Timestamp {
        Timestamp::from_micros(self.created.as_micros().saturating_add_signed(us))
    }

    /// Bytes that are kept of the messages.
    pub fn bytes(&self) -> usize {
        let frames = self
            .sessions
            .iter()
            .flat_map(|session| &session.exchanges)
            .flat_map(|exchange| &exchange.frames);
        frames.map(|frame| frame.bytes.len()).sum()
    }
}

/// What carried a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TapeCarrier {
    /// POST, GET and DELETE at one endpoint.
    StreamableHttp,
    /// The older transport: one stream, and POSTs to the address in its first event.
    HttpSse,
    /// Standard input and output of a command.
    Stdio,
    /// A WebSocket.
    WebSocket,
    /// HTTP without a message.
    PlainHttp,
}

impl TapeCarrier {
    /// The carrier in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StreamableHttp => "Streamable HTTP",
            Self::HttpSse => "HTTP+SSE",
            Self::Stdio => "stdio",
            Self::WebSocket => "WebSocket",
            Self::PlainHttp => "HTTP",
        }
    }
}

/// One session of a recording.
#[derive(Debug, Clone)]
pub struct TapeSession {
    /// The session; `None` for exchanges of which nobody knew theirs.
    pub id: Option<ProxySessionId>,
    /// Name of the upstream, authority of the destination, or name of the command.
    pub server: Arc<str>,
    /// Why its exchanges are one session, if the file says.
    pub basis: Option<SessionBasis>,
    /// What carried it.
    pub carrier: TapeCarrier,
    /// `Modern` if it has modern messages and no handshake.
    pub era: Era,
    /// The revision that was agreed on, or that its messages or heads state.
    pub revision: Option<String>,
    /// In the order in which they began.
    pub exchanges: Vec<TapeExchange>,
    /// All messages, in the order in which they were whole.
    pub messages: Vec<TapeMessage>,
    /// All requests of both sides, in the order of their requests.
    pub calls: Vec<TapeCall>,
}

impl TapeSession {
    /// The requests of the client.
    pub fn client_calls(&self) -> impl Iterator<Item = &TapeCall> {
        self.calls
            .iter()
            .filter(|call| call.direction == Direction::ClientToServer)
    }

    /// The requests of the server.
    pub fn server_calls(&self) -> impl Iterator<Item = &TapeCall> {
        self.calls
            .iter()
            .filter(|call| call.direction == Direction::ServerToClient)
    }

    /// The places of the messages that belong to no call.
    pub fn loose(&self) -> impl Iterator<Item = usize> {
        let loose = |(place, message): (usize, &TapeMessage)| message.call.is_none().then_some(place);
        self.messages.iter().enumerate().filter_map(loose)
    }

    /// The exchange that carried a message.
    pub fn exchange_of(&self, message: &TapeMessage) -> &TapeExchange {
        &self.exchanges[message.exchange]
    }

    /// The frame of a message.
    pub fn frame_of(&self, message: &TapeMessage) -> &TapeFrame {
        &self.exchanges[message.exchange].frames[message.frame]
    }
}

/// One HTTP exchange, one run of a command, or one WebSocket.
#[derive(Debug, Clone)]
pub struct TapeExchange {
    /// Its number in the file.
    pub id: ExchangeId,
    /// Who chose the destination.
    pub side: Side,
    /// What it may carry.
    pub kind: RequestKind,
    /// HTTP method; `run` for a command.
    pub method: String,
    /// Target as the client wrote it; the command line of a command.
    pub target: String,
    /// Head of the request, secrets as tags.
    pub request_head: Head,
    /// How the head differs that was sent on.
    pub sent: Option<Box<SentHead>>,
    /// `Last-Event-ID`, if a stream was resumed.
    pub resumes: Option<String>,
    /// When it began.
    pub us: i64,
    /// The answer's head, if one came.
    pub response: Option<TapeResponse>,
    /// The frames of both directions in the order in which they were whole. Standard error and tunnels are left out.
    pub frames: Vec<TapeFrame>,
    /// How it ended; `None` if the file does not say.
    pub end: Option<TapeEnd>,
}

impl TapeExchange {
    /// The frames of one direction.
    pub fn frames_of(&self, direction: Direction) -> impl Iterator<Item = &TapeFrame> {
        self.frames
            .iter()
            .filter(move |frame| frame.direction == direction)
    }

    /// The first value of a field of the request's head, in any case.
    pub fn request_field(&self, name: &str) -> Option<&str> {
        field(&self.request_head, name)
    }

    /// Whether the answer is an event stream.
    pub fn is_stream(&self) -> bool {
        let media_type = self
            .response
            .as_ref()
            .and_then(|response| response.media_type.as_deref());
        media_type.is_some_and(|media_type| {
            let essence = media_type.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("text/event-stream")
        })
    }
}

fn field<'a>(head: &'a Head, name: &str) -> Option<&'a str> {
    let is_it = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
    head.fields.iter().find(is_it).map(|(_, value)| value.as_str())
}

/// The head of an answer.
#[derive(Debug, Clone)]
pub struct TapeResponse {
    /// When it came.
    pub us: i64,
    /// HTTP status.
    pub status: u16,
    /// The head, secrets as tags.
    pub head: Head,
    /// How the head differs that the client got.
    pub sent: Option<Box<SentHead>>,
    /// `Content-Type`.
    pub media_type: Option<String>,
    /// The proxy gave this answer itself.
    pub is_ours: bool,
}

impl TapeResponse {
    /// The first value of a field, in any case.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

/// How an exchange ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapeEnd {
    /// When.
    pub us: i64,
    /// The request.
    pub request: EndKind,
    /// The response.
    pub response: EndKind,
    /// Why it failed, in words.
    pub failure: Option<String>,
    /// Body bytes of the request on the wire.
    pub request_bytes: u64,
    /// Body bytes of the answer on the wire.
    pub response_bytes: u64,
}

/// The bytes of one document, event, line or WebSocket message.
#[derive(Debug, Clone)]
pub struct TapeFrame {
    /// Which way it went.
    pub direction: Direction,
    /// What carried it.
    pub carrier: Carrier,
    /// Its number in its direction of the exchange, from 0.
    pub number: u32,
    /// When its first part came.
    pub us: i64,
    /// When it was whole.
    pub done_us: i64,
    /// Its bytes: a document, the block of an event, a line with its end.
    pub bytes: Bytes,
    /// When which of its bytes came. One part that reaches to the end if it was replaced on its way.
    pub parts: Vec<TapePart>,
    /// Fields of the event.
    pub sse: Option<SseFieldsLine>,
    /// What it carries: the document, the data of the event, the line without its end.
    pub payload: Bytes,
    /// The stream or body ended inside of it.
    pub is_fragment: bool,
    /// Bytes of it are not in the file.
    pub is_cut: bool,
    /// What was decided about it, if anything was.
    pub verdict: Option<Ending>,
    /// It was sent again from the proxy.
    pub is_injected: bool,
}

/// Bytes of a frame that came together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TapePart {
    /// When they came.
    pub us: i64,
    /// Where they end in the frame.
    pub end: usize,
}

/// A JSON-RPC message.
#[derive(Debug, Clone)]
pub struct TapeMessage {
    /// Place of its exchange in [`TapeSession::exchanges`].
    pub exchange: usize,
    /// Place of its frame in [`TapeExchange::frames`]. The members of a batch share one.
    pub frame: usize,
    /// Which way it went.
    pub direction: Direction,
    /// When it was whole.
    pub us: i64,
    /// Its text, as spelled.
    pub text: Bytes,
    /// What it is.
    pub envelope: Envelope,
    /// Whether it is of the modern era.
    pub is_modern: bool,
    /// Place of its call in [`TapeSession::calls`].
    pub call: Option<usize>,
    /// What it does in that call.
    pub role: CallRole,
}

/// A request with all that belongs to it.
#[derive(Debug, Clone)]
pub struct TapeCall {
    /// Which side asked.
    pub direction: Direction,
    /// Its method.
    pub method: Box<str>,
    /// Whether it is of the modern era.
    pub is_modern: bool,
    /// Place of the request in [`TapeSession::messages`].
    pub request: usize,
    /// Place of the (first) answer; `None` if none was recorded.
    pub answer: Option<usize>,
    /// What came between the two, in order: progress, logs, cancellations, and for a call of the client also the
    /// requests of the server during it and the client's answers to them.
    pub between: Vec<usize>,
    /// For a request of the server: the call of the client during which it came, as far as that can be told. On a
    /// channel of its own it is the newest one that was open.
    pub during: Option<usize>,
    /// It was cancelled.
    pub is_cancelled: bool,
}
