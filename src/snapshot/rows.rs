//! Rows of the lists a frontend shows.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::RowVerdict;
use crate::clock::Timestamp;
use crate::ids::{CallId, ExchangeId, MessageId, ProxySessionId, StreamId};

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the client to the server.
    ClientToServer,
    /// From the server to the client.
    ServerToClient,
}

impl Direction {
    /// Both, in the order of declaration.
    pub const ALL: [Self; 2] = [Self::ClientToServer, Self::ServerToClient];

    /// The name in serialized form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientToServer => "client_to_server",
            Self::ServerToClient => "server_to_client",
        }
    }

    /// The other way.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::ClientToServer => Self::ServerToClient,
            Self::ServerToClient => Self::ClientToServer,
        }
    }
}

/// What carried a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Carrier {
    /// A whole HTTP body.
    Http,
    /// One event of a `text/event-stream` body.
    Sse,
    /// A tunnel whose bytes are not looked at.
    Tunnel,
    /// One line of a command's standard input or output.
    Stdio,
    /// One line of a command's standard error output.
    Stderr,
    /// One message of a WebSocket.
    WebSocket,
}

impl Carrier {
    /// Every carrier, in the order of declaration.
    pub const ALL: [Self; 6] = [
        Self::Http,
        Self::Sse,
        Self::Tunnel,
        Self::Stdio,
        Self::Stderr,
        Self::WebSocket,
    ];

    /// The name in serialized form, which filters use too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Sse => "sse",
            Self::Tunnel => "tunnel",
            Self::Stdio => "stdio",
            Self::Stderr => "stderr",
            Self::WebSocket => "web_socket",
        }
    }
}

/// The two families of protocol revisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Era {
    /// 2024-11-05 to 2025-11-25: handshake and sessions.
    Legacy,
    /// 2026-07-28 and later: every request stands for itself.
    Modern,
}

/// What a row of history is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowKind {
    /// A JSON-RPC request.
    Request,
    /// A JSON-RPC result.
    Result,
    /// A JSON-RPC error.
    Error,
    /// A JSON-RPC notification.
    Notification,
    /// An SSE event that is no message (`endpoint`, priming, unknown names), or a block without event (id, retry).
    Event,
    /// A JSON text or a member of a batch that is no JSON-RPC message, where one was expected.
    Malformed,
    /// An HTTP request that carries no message, such as GET, DELETE or OAuth traffic.
    Http,
    /// An HTTP response that carries no message, or ended without one.
    HttpResponse,
    /// A CONNECT tunnel.
    Tunnel,
    /// A run of a command that speaks MCP on its standard input and output.
    Run,
    /// A line that such a command wrote to its standard error output.
    Stderr,
}

impl RowKind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 11] = [
        Self::Request,
        Self::Result,
        Self::Error,
        Self::Notification,
        Self::Event,
        Self::Malformed,
        Self::Http,
        Self::HttpResponse,
        Self::Tunnel,
        Self::Run,
        Self::Stderr,
    ];

    /// The name in serialized form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Result => "result",
            Self::Error => "error",
            Self::Notification => "notification",
            Self::Event => "event",
            Self::Malformed => "malformed",
            Self::Http => "http",
            Self::HttpResponse => "http_response",
            Self::Tunnel => "tunnel",
            Self::Run => "run",
            Self::Stderr => "stderr",
        }
    }

    /// Whether it is a message or an event, not the HTTP around it.
    pub const fn is_message(self) -> bool {
        !matches!(
            self,
            Self::Http | Self::HttpResponse | Self::Tunnel | Self::Run | Self::Stderr
        )
    }
}

/// One line of the message list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageRow {
    /// Identity of the row; counts up in order of arrival.
    pub id: MessageId,
    /// When its last byte arrived here.
    pub at: Timestamp,
    /// Its session; `None` for traffic that belongs to none (yet).
    pub session: Option<ProxySessionId>,
    /// The HTTP exchange that carried it.
    pub exchange: ExchangeId,
    /// Number of its frame in its direction of the exchange, from 0; messages of a batch share one. `None` for the rows
    /// of an exchange that carried no message.
    pub frame: Option<u32>,
    /// The SSE stream that carried it.
    pub stream: Option<StreamId>,
    /// The call it belongs to.
    pub call: Option<CallId>,
    /// Which way it went.
    pub direction: Direction,
    /// What carried it.
    pub carrier: Carrier,
    /// What it is.
    pub kind: RowKind,
    /// JSON-RPC method; on results and errors the method of the request they answer; HTTP method on HTTP rows.
    pub method: Option<String>,
    /// JSON-RPC id as spelled on the wire: `1` and `"1"` differ.
    pub rpc_id: Option<String>,
    /// The one thing that tells it from its neighbours: tool, uri, prompt, progress, error text, path.
    pub summary: String,
    /// Size of the message in bytes, as carried (an SSE event with its field names).
    pub size: u64,
    /// Name of the upstream, or authority of the destination in forward mode.
    pub server: String,
    /// What became of it.
    pub state: RowState,
    /// What is remarkable about it: unknown id, late answer, duplicate, header mismatch, cut for display …
    pub findings: Vec<Finding>,
    /// Position in a JSON-RPC batch, counted from 1, and the batch's length.
    pub batch: Option<(u32, u32)>,
    /// History still has (at least the head of) its bytes.
    pub has_body: bool,
    /// What a rule or a person decided about it; `None` if nobody did.
    #[serde(default)]
    pub verdict: Option<RowVerdict>,
}

/// What became of a row. Requests and HTTP rows move from `Open` to an end; all else is `Passed` at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum RowState {
    /// It went on as it came, and nothing more is expected.
    #[default]
    Passed,
    /// It waits for its answer.
    Open {
        /// Latest progress, if any was reported.
        progress: Option<Progress>,
    },
    /// It was answered.
    Answered {
        /// Time from request to answer.
        took: Duration,
        /// How.
        outcome: Outcome,
        /// HTTP status of the exchange that carried the request.
        status: Option<u16>,
    },
    /// It is an answer (or the end of an HTTP exchange).
    Answer {
        /// Time since its request; `None` if the request is unknown.
        took: Option<Duration>,
        /// How.
        outcome: Outcome,
        /// HTTP status of the exchange that carried the answer.
        status: Option<u16>,
    },
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With a result, or an HTTP status below 400.
    Ok,
    /// With a JSON-RPC error.
    RpcError(i64),
    /// With a tool result that says `isError`.
    ToolError,
    /// With an `input_required` result: the client is to come back.
    InputRequired,
    /// With a task that goes on after the answer.
    Task,
    /// With an HTTP status from 400 and no JSON-RPC answer.
    HttpError(u16),
    /// The sender cancelled it.
    Cancelled,
    /// The client went away first.
    ClientGone,
    /// The upstream went away first, or broke off the body.
    UpstreamGone,
    /// The proxy itself answered, because the upstream could not be reached or a limit was hit.
    ProxyError(u16),
    /// Its stream ended, or too many calls were open, before an answer came. Of a run: no server answered any of its calls.
    Unanswered,
    /// Nobody knows: the shim that watched the command has gone.
    Unwatched,
}

impl Outcome {
    /// The names of all outcomes, without the codes they may carry, in the order of declaration.
    pub const NAMES: [&str; 12] = [
        "ok",
        "rpc_error",
        "tool_error",
        "input_required",
        "task",
        "http_error",
        "cancelled",
        "client_gone",
        "upstream_gone",
        "proxy_error",
        "unanswered",
        "unwatched",
    ];

    /// Its place in [`Outcome::NAMES`].
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Ok => 0,
            Self::RpcError(_) => 1,
            Self::ToolError => 2,
            Self::InputRequired => 3,
            Self::Task => 4,
            Self::HttpError(_) => 5,
            Self::Cancelled => 6,
            Self::ClientGone => 7,
            Self::UpstreamGone => 8,
            Self::ProxyError(_) => 9,
            Self::Unanswered => 10,
            Self::Unwatched => 11,
        }
    }

    /// Its name, without the code it may carry.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self.index()]
    }

    /// Everything that a user would call a failure.
    pub const fn is_error(self) -> bool {
        !matches!(
            self,
            Self::Ok | Self::InputRequired | Self::Task | Self::Cancelled
        )
    }
}

/// A `notifications/progress` in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// `progress` as spelled.
    pub progress: String,
    /// `total` as spelled.
    pub total: Option<String>,
}

/// Something remarkable about a message that was forwarded all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// One sentence.
    pub text: String,
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Against the protocol, or lossy for display.
    Warning,
    /// Something failed.
    Error,
}

/// One client talking to one server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionRow {
    /// Its identity.
    pub id: ProxySessionId,
    /// Name of the upstream, or authority of the destination.
    pub server: String,
    /// `clientInfo` name and version, as the client calls itself.
    pub client: Option<String>,
    /// `serverInfo` name and version, as the server calls itself.
    pub server_info: Option<String>,
    /// Which family of revisions it speaks.
    pub era: Option<Era>,
    /// The negotiated (legacy) or stated (modern) revision.
    pub revision: Option<String>,
    /// The rule that made these exchanges one session.
    pub basis: SessionBasis,
    /// When its first message came.
    pub opened_at: Timestamp,
    /// When its latest message came.
    pub active_at: Timestamp,
    /// Whether it goes on.
    pub state: SessionState,
    /// Rows it had in all.
    pub messages: u64,
    /// Errors among them.
    pub errors: u64,
    /// Calls waiting for an answer.
    pub open_calls: u64,
    /// Open SSE streams.
    pub open_streams: u64,
    /// Bytes of history it holds.
    pub history_bytes: u64,
}

/// Why some exchanges are one session (`Mcp-Session-Id`, or a guess that is named as one).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionBasis {
    /// The server issued an `Mcp-Session-Id`.
    SessionHeader,
    /// One `initialize` whose answer has not come (or issued no id).
    Initialize,
    /// One HTTP+SSE endpoint.
    SseEndpoint,
    /// Inferred from upstream, credential, client name and address.
    Inferred,
    /// One CONNECT tunnel, or plain HTTP from one client to one server.
    Peer,
    /// One run of a command.
    Process,
    /// One WebSocket.
    Socket,
}

/// Whether a session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// It has an open exchange, or had one within the idle timeout.
    Active,
    /// Nothing came for `session_idle_timeout`.
    Idle,
    /// It was deleted by the client, or the server no longer knows it.
    Ended,
}

impl SessionState {
    /// Every state, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::Active, Self::Idle, Self::Ended];

    /// The name in serialized form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Idle => "idle",
            Self::Ended => "ended",
        }
    }
}

/// One SSE stream as the Streams screen shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamRow {
    /// Its identity.
    pub id: StreamId,
    /// The exchange whose response it is.
    pub exchange: ExchangeId,
    /// Its session.
    pub session: Option<ProxySessionId>,
    /// Name of the upstream, or authority of the destination.
    pub server: String,
    /// What opened it: `POST tools/call longRunning`, `GET /mcp`.
    pub label: String,
    /// When its head came.
    pub opened_at: Timestamp,
    /// When its latest event or comment came.
    pub active_at: Timestamp,
    /// How it ended; `None` while it is open.
    pub ended: Option<(Timestamp, EndKind)>,
    /// Events so far.
    pub events: u64,
    /// Comments so far.
    pub comments: u64,
    /// Bytes so far.
    pub bytes: u64,
    /// Last event id that was set.
    pub last_event_id: Option<String>,
    /// Latest `retry` in milliseconds.
    pub retry: Option<u64>,
    /// The `Last-Event-ID` with which the client asked to resume.
    pub resumed_from: Option<String>,
    /// Longest silence between two events.
    pub longest_gap: Duration,
    /// The latest events, oldest first; at most [`MAX_STREAM_EVENTS`].
    pub recent: Vec<StreamEvent>,
}

/// Most events in [`StreamRow::recent`].
pub const MAX_STREAM_EVENTS: usize = 32;

/// One event or a run of comments in a stream's lane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamEvent {
    /// When it came.
    pub at: Timestamp,
    /// The first row of history made of it; `None` for comments.
    pub message: Option<MessageId>,
    /// SSE event id.
    pub event_id: Option<String>,
    /// What it is: `progress 2/5`, `result #3`, `endpoint`, `priming`, `3 comments`.
    pub label: String,
    /// What kind of row it made; `None` for comments.
    pub kind: Option<RowKind>,
    /// Bytes of the block(s).
    pub bytes: u64,
    /// Comments folded into this entry (then it is no event).
    pub comments: u32,
}

/// How one direction of an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndKind {
    /// Whole.
    Complete,
    /// The client went away or broke off.
    ClientAborted,
    /// The upstream went away or broke off.
    UpstreamAborted,
    /// The upstream could not be reached at all.
    UpstreamUnreachable,
    /// We cut it: shutdown or a limit.
    CutByProxy,
    /// Nobody knows: the shim that watched it has gone.
    Unwatched,
}

/// One line of the program's own log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRow {
    /// Counts up from 1.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`.
    pub level: String,
    /// The module that said it.
    pub target: String,
    /// What it said, fields included.
    pub text: String,
}
