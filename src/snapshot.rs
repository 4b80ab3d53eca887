//! The only door to a frontend: what it sees ([`Snapshot`]), what it looks at ([`ViewQuery`]), what it asks for ([`Command`]).
//!
//! All of it is plain data that can cross a socket. A snapshot holds the rows in view and no bodies; a body is fetched
//! by id with [`Command::Inspect`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{CallId, ConnectionId, ExchangeId, MessageId, ProxySessionId, Side, StreamId};

/// Most rows one [`Window`] may ask for; a larger wish is cut to this.
pub const MAX_WINDOW_ROWS: u16 = 1_000;

/// Everything a frontend draws, at one moment. Bounded by the windows of its [`ViewQuery`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Counts up with every snapshot of this frontend.
    pub revision: u64,
    /// The [`ViewQuery::serial`] that this snapshot answers.
    pub query_serial: u64,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// Where the traffic comes from.
    pub source: Source,
    /// What is being written to disk.
    pub recorder: RecorderState,
    /// Counters since the start.
    pub totals: Totals,
    /// Sessions in the asked window, in order of creation.
    pub sessions: Page<SessionRow>,
    /// Messages in the asked window that match the query, in order of arrival.
    pub messages: MessagePage,
    /// SSE streams in the asked window, in order of opening.
    pub streams: Page<StreamRow>,
    /// Limits, tasks and rates.
    pub resources: Resources,
    /// Lines of the program's own log.
    pub log: Page<LogRow>,
    /// What the user should know without asking, newest last; at most 16.
    pub notices: Vec<Notice>,
}

/// Where the rows come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Source {
    /// A running proxy.
    Live {
        /// The addresses on which clients are accepted.
        listen: Vec<String>,
        /// Configured upstreams; none for a pure forward proxy.
        upstreams: Vec<UpstreamRow>,
        /// The process is ending: no new client is accepted.
        is_draining: bool,
    },
    /// A recording that was opened.
    File {
        /// The file.
        path: PathBuf,
        /// When the recording was begun.
        created: Timestamp,
        /// Loading has read so many of so many bytes.
        read_bytes: u64,
        /// Size of the file.
        total_bytes: u64,
        /// Places at which the recording says that it lost something, or could not be read.
        damage: Vec<String>,
    },
}

impl Default for Source {
    fn default() -> Self {
        Self::Live {
            listen: Vec::new(),
            upstreams: Vec::new(),
            is_draining: false,
        }
    }
}

/// One configured upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamRow {
    /// Name under which it is mounted and shown.
    pub name: String,
    /// Its URL.
    pub url: String,
    /// What people dial instead of it.
    pub client_url: String,
    /// The last contact; `None` before the first.
    pub is_healthy: Option<bool>,
    /// Why the last contact failed.
    pub last_error: Option<String>,
    /// Exchanges sent to it.
    pub exchanges: u64,
    /// Exchanges that failed at it (connect, TLS, reset).
    pub failures: u64,
}

/// What the recorder does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum RecorderState {
    /// Nothing is recorded.
    #[default]
    Off,
    /// Everything is written to `path`.
    On {
        /// The file.
        path: PathBuf,
        /// Bytes written.
        bytes: u64,
        /// Lines written.
        lines: u64,
        /// Records lost in gaps because the disk did not keep up.
        lost: u64,
        /// Secrets are replaced by tags.
        is_redacted: bool,
    },
    /// Recording stopped by itself.
    Failed {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
}

/// Counters since the start (or of the whole opened recording).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// JSON-RPC messages and SSE events seen.
    pub messages: u64,
    /// Errors among them: JSON-RPC errors, failed tools, HTTP statuses from 400.
    pub errors: u64,
    /// Calls that wait for their answer now.
    pub open_calls: u64,
    /// Body bytes from clients.
    pub bytes_from_clients: u64,
    /// Body bytes from servers.
    pub bytes_from_servers: u64,
    /// Messages a second, over the last second.
    pub messages_per_second: f64,
    /// Rows that history no longer has.
    pub rows_evicted: u64,
    /// Bodies that history no longer has although it has their row.
    pub bodies_evicted: u64,
}

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The rows of the window.
    pub rows: Vec<T>,
    /// Index of the first of them in the whole list.
    pub first: u64,
    /// Length of the whole list.
    pub total: u64,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            first: 0,
            total: 0,
        }
    }
}

/// The messages in view, and how they came to be chosen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MessagePage {
    /// The rows of the window, oldest first.
    pub rows: Vec<MessageRow>,
    /// Index of the first of them among the matching rows.
    pub first: u64,
    /// Rows that match filter and session.
    pub matched: u64,
    /// Rows in history.
    pub total: u64,
    /// Rows already looked at; below `total` while a new filter is still at work.
    pub scanned: u64,
    /// The filter could not be read; the rows are those of the last good one.
    pub filter_error: Option<FilterProblem>,
    /// The last message of history, to count what is new below.
    pub newest: Option<MessageId>,
}

/// What is wrong with a filter's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterProblem {
    /// Column of the mistake, in characters from 0.
    pub column: usize,
    /// Length of the mistake in characters.
    pub length: usize,
    /// What is wrong and what to write.
    pub message: String,
}

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
    /// Its stream ended, or too many calls were open, before an answer came.
    Unanswered,
}

impl Outcome {
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
}

/// Use of a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauge {
    /// The limit's name in `ResourceLimits`.
    pub name: String,
    /// What distinguishes several gauges of one limit: `forward`, `reverse`; empty for one.
    pub part: String,
    /// What it counts.
    pub unit: crate::limits::Unit,
    /// Use now.
    pub used: u64,
    /// The limit.
    pub limit: u64,
    /// Highest use so far.
    pub peak: u64,
    /// How often it was reached.
    pub reached: u64,
}

/// Live tasks of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRow {
    /// What the tasks do.
    pub kind: String,
    /// Alive now.
    pub live: u64,
    /// Most that were alive at once.
    pub peak: u64,
    /// Started so far.
    pub started: u64,
    /// Ended by a panic.
    pub panicked: u64,
}

/// Limits, tasks and rates.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// Time since the start.
    pub uptime: Duration,
    /// Use of every limit.
    pub gauges: Vec<Gauge>,
    /// Tasks by kind.
    pub tasks: Vec<TaskRow>,
    /// A value a second for up to the last 120 seconds, oldest first, by name
    /// (`messages`, `bytes_from_clients`, `bytes_from_servers`, `exchanges`, `events`).
    pub rates: BTreeMap<String, Vec<u64>>,
    /// Resident memory of the process.
    pub rss_bytes: Option<u64>,
    /// Operating system threads.
    pub threads: Option<u64>,
    /// Open file descriptors.
    pub open_files: Option<u64>,
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

/// Something the user should know without asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// When it was noticed.
    pub at: Timestamp,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence that ends in what to do.
    pub text: String,
}

/// Which rows of a list a frontend shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window<Id> {
    /// Where it is fastened.
    pub anchor: Anchor<Id>,
    /// How many rows, at most [`MAX_WINDOW_ROWS`].
    pub rows: u16,
}

/// Where a window is fastened to its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor<Id> {
    /// The last rows, following new ones.
    Tail,
    /// Its first row is `shift` rows after (before, if negative) the row `id`, or after its place if the row is gone or hidden.
    Row {
        /// The row by which the window is held.
        id: Id,
        /// Rows from there to the window's first row.
        shift: i64,
    },
    /// Its first row is the one with this index.
    Index(u64),
}

impl<Id> Default for Window<Id> {
    fn default() -> Self {
        Self {
            anchor: Anchor::Tail,
            rows: 100,
        }
    }
}

/// What a frontend looks at. Sent over a `watch` channel: only the latest counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewQuery {
    /// Chosen by the frontend and given back in [`Snapshot::query_serial`].
    pub serial: u64,
    /// Filter over messages; empty shows all.
    pub filter: String,
    /// Show only this session's messages and streams.
    pub session: Option<ProxySessionId>,
    /// Messages in view.
    pub messages: Window<MessageId>,
    /// Sessions in view; rows are held by their creation order, so only `Tail` and `Index` are useful.
    pub sessions: Window<ProxySessionId>,
    /// Streams in view.
    pub streams: Window<StreamId>,
    /// Log lines in view, by number.
    pub log: Window<u64>,
}

/// What a frontend asks of the engine. Each has one [`Reply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command")]
pub enum Command {
    /// All about one row, with its bytes. Answered with [`Reply::Detail`] or [`Reply::Gone`].
    Inspect {
        /// The row.
        id: MessageId,
    },
    /// The rows after `after` (from the oldest if `None`), oldest first. Answered with [`Reply::Rows`].
    Rows {
        /// The last row the caller already has.
        after: Option<MessageId>,
        /// Most rows wanted, at most [`MAX_WINDOW_ROWS`].
        limit: u16,
        /// Filter text; empty for all.
        filter: String,
    },
    /// The next row after (or before) `from` that matches. Answered with [`Reply::Found`] or [`Reply::Refused`].
    Find {
        /// Where to start; `None` starts at the end the search comes from.
        from: Option<MessageId>,
        /// Towards older rows.
        is_backwards: bool,
        /// The filter it has to match, beside that of `scope`.
        filter: String,
        /// The filter and session of the list in which is searched.
        scope: String,
        /// Only this session.
        session: Option<ProxySessionId>,
    },
    /// Begin to record to `path`, or to a new file in `./recordings`. Answered with [`Reply::Recording`] or [`Reply::Refused`].
    StartRecording {
        /// The file; it must not exist yet.
        path: Option<PathBuf>,
    },
    /// Finish the recording. Answered with [`Reply::Recording`] or [`Reply::Refused`].
    StopRecording,
}

/// The engine's answer to a [`Command`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reply")]
pub enum Reply {
    /// All about one row.
    Detail(Box<MessageDetail>),
    /// History no longer has that row.
    Gone,
    /// Rows in order of arrival.
    Rows {
        /// The rows.
        rows: Vec<MessageRow>,
        /// Rows that had been evicted between `after` and the first of these.
        missed: u64,
    },
    /// The row that was searched; `None` if there is none.
    Found(Option<MessageId>),
    /// The recorder's state after the command.
    Recording(RecorderState),
    /// It could not be done.
    Refused {
        /// What was tried, what happened and what to do next.
        message: String,
    },
}

/// All about one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageDetail {
    /// The row itself, as it is now.
    pub row: MessageRow,
    /// Its bytes.
    pub body: Option<Body>,
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
    #[serde(with = "crate::snapshot::base64_bytes")]
    pub bytes: bytes::Bytes,
    /// The whole block as it was on the wire, where that is more than the payload (SSE).
    #[serde(with = "crate::snapshot::base64_bytes")]
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
    /// Request as the client sent it.
    pub request: Head,
    /// What we changed before sending it on: one line a change, `Host: a → b`.
    pub rewrites: Vec<String>,
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
