//! The only door to a frontend: what it sees ([`Snapshot`]), what it looks at ([`ViewQuery`]), what it asks for ([`Command`]).
//!
//! All of it is plain data that can cross a socket. A snapshot holds the rows in view and no bodies; a body is fetched
//! by id with [`Command::Inspect`].

mod command;
mod detail;
mod query;
mod rows;
mod verdict;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use command::copy_id;
pub use command::{Command, Repeat, Reply, is_copy};
pub use detail::{Body, ExchangeDetail, Head, MessageDetail, SentHead, SseFields, Timing};
pub use query::{Anchor, MAX_WINDOW_ROWS, ViewQuery, Window};
pub use rows::{
    Carrier, Direction, EndKind, Era, Finding, LogRow, MAX_STREAM_EVENTS, MessageRow, Outcome, Progress,
    RowKind, RowState, SessionBasis, SessionRow, SessionState, Severity, StreamEvent, StreamRow,
};
pub use verdict::RowVerdict;

use crate::clock::Timestamp;
use crate::ids::MessageId;
use crate::intercept::interceptor::InterceptView;

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
    /// Rules, and what they hold.
    pub intercept: InterceptView,
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
        /// The URLs at which metrics can be scraped.
        #[serde(default)]
        metrics: Vec<String>,
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
        /// The servers that its sessions name, at most 256, in the order in which they come up.
        #[serde(default)]
        upstreams: Vec<UpstreamRow>,
    },
}

/// What a configured server is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerKind {
    /// An HTTP server that runs elsewhere.
    #[default]
    Http,
    /// A command that is started here.
    Command,
}

/// One configured server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamRow {
    /// Name under which it is mounted and shown.
    pub name: String,
    /// What it is.
    #[serde(default)]
    pub kind: ServerKind,
    /// Its URL, or its command line, as it can be shown: with `***` for secrets. Empty where nobody knows: a recording says
    /// what its servers are called, not where they are.
    pub url: String,
    /// It speaks the older HTTP+SSE, as its configuration says or as it was seen to do.
    #[serde(default)]
    pub speaks_sse: bool,
    /// What people dial instead of it, exactly: the query may be a secret. Empty in a recording.
    pub client_url: String,
    /// What they may dial as well: it is alone at that port. `None` if it has none of its own.
    #[serde(default)]
    pub port_url: Option<String>,
    /// Names of the fields that its requests get from the configuration.
    #[serde(default)]
    pub added_headers: Vec<String>,
    /// The last contact; `None` before the first.
    pub is_healthy: Option<bool>,
    /// Why the last contact failed.
    pub last_error: Option<String>,
    /// Since when contacts have failed without one that did not.
    #[serde(default)]
    pub down_since: Option<Timestamp>,
    /// How many of a command run now.
    #[serde(default)]
    pub running: u64,
    /// How the last of them that ended did so.
    #[serde(default)]
    pub last_exit: Option<String>,
    /// What was found of a command that should not be: lines that are no messages, answers to nothing; the log has them.
    #[serde(default)]
    pub findings: u64,
    /// Calls that have ended.
    #[serde(default)]
    pub calls: u64,
    /// Those of them that failed.
    #[serde(default)]
    pub failed_calls: u64,
    /// Exchanges sent to it.
    pub exchanges: u64,
    /// Exchanges that failed at it (connect, TLS, reset).
    pub failures: u64,
    /// Whether requests get through to it.
    pub breaker: BreakerRow,
}

/// The breaker of an upstream: keeps requests off it while it accepts no connections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerRow {
    /// Whether requests get through.
    pub state: BreakerState,
    /// Connects that have failed in a row.
    pub failures: u64,
    /// Why the last of them failed; `None` while it is closed.
    pub cause: Option<String>,
    /// How often it opened.
    pub opened: u64,
    /// Requests that got 503 because it was open.
    pub refused: u64,
}

/// Whether a breaker lets requests through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum BreakerState {
    /// All of them.
    #[default]
    Closed,
    /// None until `next`, then one.
    Open {
        /// When it opened.
        since: Timestamp,
        /// From when on a request is tried.
        next: Timestamp,
    },
    /// One is being tried.
    HalfOpen {
        /// When it opened.
        since: Timestamp,
    },
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
        /// Records lost in gaps because the recorder did not keep up.
        lost: u64,
        /// Secrets are replaced by tags.
        is_redacted: bool,
        /// Files of this recording, `path` included; those that were removed too.
        #[serde(default)]
        files: u32,
        /// Files of this run that were removed, since `max_disk` was reached.
        #[serde(default)]
        removed: u32,
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
    /// Bytes of what the traffic keeps of its live sessions (`max_sessions`): their keys, open calls and event ids.
    /// What history knows of sessions is part of `max_history_memory`.
    #[serde(default)]
    pub session_bytes: u64,
    /// Resident memory of the process.
    pub rss_bytes: Option<u64>,
    /// Processor time that the process has used.
    pub cpu: Option<Duration>,
    /// Operating system threads.
    pub threads: Option<u64>,
    /// Open file descriptors.
    pub open_files: Option<u64>,
    /// Queues between the traffic and what watches it.
    pub queues: Vec<QueueRow>,
    /// How long the parts of the exchanges took so far.
    pub latencies: Vec<LatencyRow>,
    /// Spans on their way to another machine's eyes; `None` if none are exported.
    pub spans: Option<SpanExport>,
}

/// A queue between the traffic and what watches it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRow {
    /// Who takes from it: `ledger`, `recorder`, `spans`.
    pub name: String,
    /// Items in it now.
    pub items: u64,
    /// Bytes in it now; `None` where they are not counted.
    pub bytes: Option<u64>,
    /// How often traffic had to wait for room.
    pub waits: u64,
    /// Items that were given up because there was no room.
    pub dropped: u64,
    /// How far its taker is behind now, and at most; `None` where it is not measured.
    pub lag: Option<(Duration, Duration)>,
}

/// How long one part of the exchanges took so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyRow {
    /// The part: `request` and `response` are what the proxy adds, `upstream` is the rest.
    pub name: String,
    /// Exchanges that were measured.
    pub count: u64,
    /// Half of them took no longer.
    pub p50: Duration,
    /// 95 of 100 took no longer.
    pub p95: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
}

/// The export of spans.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanExport {
    /// Where they go.
    pub url: String,
    /// Spans that were taken there.
    pub sent: u64,
    /// Spans that were given up.
    pub dropped: u64,
    /// Calls whose trace is not sampled, as their sender says.
    pub unsampled: u64,
    /// Why the last attempt failed, while the receiver cannot be reached.
    pub failure: Option<String>,
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

impl Default for Source {
    fn default() -> Self {
        Self::Live {
            listen: Vec::new(),
            metrics: Vec::new(),
            upstreams: Vec::new(),
            is_draining: false,
        }
    }
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
