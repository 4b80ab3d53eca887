//! A recording as a server: what was recorded is answered again to live clients.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use shadowcat::replay::MockServer;
//!
//! let mock = MockServer::from_recording("recordings/legacy-http.jsonl").start().await?;
//! // … let the program under test connect to mock.url() …
//! mock.assert_called("tools/call", Some("echo"));
//! mock.assert_no_misses();
//! # Ok(())
//! # }
//! ```
//!
//! - **What carried the recording does not matter.** [`RunningMock::url`] speaks Streamable HTTP, [`RunningMock::sse_url`]
//!   the older HTTP+SSE, [`MockServer::serve`] standard input and output. Streams stay streams where the carrier allows.
//! - **A request is recognized by its method and params**, never by its id, a progress token or other `_meta`. Where
//!   a secret was recorded as a tag, any value fits. Equal requests get the recorded answers one after the other, and
//!   then the last one again and again; a new session begins anew. A session is answered from the recorded session
//!   that its handshake belongs to, if that has the request.
//! - **Ids are live**: those of requests, progress tokens, subscriptions, sessions, events. Everything else, such as
//!   cursors, task ids and `requestState`, is as recorded.
//! - **What the server asked is asked again** (sampling, elicitation, roots), unless the client cannot be asked, and
//!   what follows waits for the client's answer.
//! - **What is not in the recording is an error** that says what is nearest and how it differs; see [`OnMiss`]. `ping`
//!   always has an answer, and so have the handshake and the lists of tools, prompts and resources if the recording
//!   has none of that kind at all.

mod body;
mod core;
mod event;
mod heads;
mod http;
mod lane;
mod library;
mod likeness;
mod needs;
mod pass;
mod plan;
mod play;
mod record;
mod refusal;
mod said;
mod session;
mod stdio;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::broadcast;

use self::core::Core;
use self::http::HttpServer;
use super::tape::{Tape, TapeError, TapeOptions};
use crate::config::UpstreamConfig;
use crate::limits::ResourceLimits;
use crate::recording::{Extent, RedactPatterns, shown};
use crate::session::observation::OWN_ERROR;
use crate::tasks::{TaskFault, TaskKind, Tasks};

pub use record::{Found, MAX_CALLS, MockCall, Recorded};

/// JSON-RPC code of a request that is not in the recording, also if the live server that was to answer cannot.
pub const MISSED: i64 = OWN_ERROR;

/// What happens to a request that is not in the recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OnMiss {
    /// An error that says what is nearest and how it differs.
    #[default]
    Error,
    /// The most similar request of the same method is taken; an error if there is none.
    Nearest,
    /// A live server answers; an error that names it and the reason if it cannot be reached.
    Pass(Box<UpstreamConfig>),
}

/// How far apart messages stay that came apart, where nobody asked for the recorded times.
const APART: Duration = Duration::from_millis(2);

/// When answers come.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Pace {
    /// At once. Messages that came apart stay a little apart, 2 ms at most: some clients forget whom progress is for once
    /// they have read the answer, so that progress in one chunk with it is lost.
    #[default]
    Max,
    /// With the recorded times, so many times as fast; above zero.
    Times(f64),
    /// So long after the request, whatever was recorded.
    Latency(Duration),
}

impl Pace {
    /// How long to wait before anything is said.
    const fn before(self) -> Duration {
        match self {
            Self::Latency(latency) => latency,
            Self::Max | Self::Times(_) => Duration::ZERO,
        }
    }

    /// How long a recorded wait takes.
    fn scaled(self, us: u64) -> Duration {
        match self {
            Self::Times(times) => Duration::from_micros(us).div_f64(times.clamp(1e-6, 1e6)),
            Self::Max | Self::Latency(_) => Duration::from_micros(us).min(APART),
        }
    }

    /// How long a recorded wait between the parts of one event takes.
    fn within_an_event(self, us: u64) -> Duration {
        match self {
            Self::Times(_) => self.scaled(us),
            Self::Max | Self::Latency(_) => Duration::ZERO,
        }
    }
}

/// How a mock server behaves.
#[derive(Debug, Clone, Default)]
pub struct MockOptions {
    /// When answers come.
    pub pace: Pace,
    /// What happens to a request that is not in the recording.
    pub on_miss: OnMiss,
    /// `Host` values beside the loopback names.
    pub allowed_hosts: Vec<String>,
    /// `Origin` values beside those of loopback names.
    pub allowed_origins: Vec<String>,
    /// Bounds: `max_history_memory` for the recording, `max_connections`, `max_sessions`, `max_message_bytes`,
    /// `replay_buffer` and `replay_buffer_bytes` for a stream that can be resumed, `drain_timeout`.
    pub limits: ResourceLimits,
    /// How much of a recording in several files it answers from.
    pub extent: Extent,
    /// What is a secret besides what always is one: the mock's own words have a tag in its place.
    pub redact: RedactPatterns,
}

/// A mock server could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MockError {
    /// The recording cannot be used.
    #[error(transparent)]
    Tape(#[from] TapeError),
    /// It has no request of any client.
    #[error(
        "{} has no requests of a client, so there is nothing to answer; was everything in it a tunnel?",
        shown(.path)
    )]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The address cannot be listened on.
    #[error(
        "the mock server cannot listen on {address}; is another program using the port? Choose port 0 for any free one"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Reading panicked.
    #[error("the recording could not be read: {}", .0.message)]
    Fault(TaskFault),
    /// Standard input or output failed.
    #[error("the client's messages cannot be read, or its answers not be written")]
    Pipe(#[source] io::Error),
}

/// A mock server that is not started yet.
#[derive(Debug, Clone)]
pub struct MockServer {
    path: PathBuf,
    /// In place of what is in the file.
    tape: Option<Arc<Tape>>,
    address: SocketAddr,
    options: MockOptions,
}

impl MockServer {
    /// A server of what is in the recording `path`, on a free port of the loopback address.
    pub fn from_recording(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            tape: None,
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            options: MockOptions::default(),
        }
    }

    /// A server of what is on `tape` in place of the file, which is not read then: for a recording that comes through a pipe.
    /// It has to be taken with [`TapeOptions::as_the_client_saw_it`]; how much of it is bounds of its own.
    #[must_use]
    pub fn tape(mut self, tape: Tape) -> Self {
        self.tape = Some(Arc::new(tape));
        self
    }

    /// Listens on `address` instead.
    #[must_use]
    pub const fn listen(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// How much of a recording in several files it answers from; all of it unless told otherwise.
    #[must_use]
    pub const fn extent(mut self, extent: Extent) -> Self {
        self.options.extent = extent;
        self
    }

    /// When answers come; at once unless told otherwise.
    #[must_use]
    pub const fn pace(mut self, pace: Pace) -> Self {
        self.options.pace = pace;
        self
    }

    /// What happens to requests that are not in the recording; an error unless told otherwise.
    #[must_use]
    pub fn on_miss(mut self, on_miss: OnMiss) -> Self {
        self.options.on_miss = on_miss;
        self
    }

    /// What is a secret besides; see [`MockOptions::redact`].
    #[must_use]
    pub fn redacting(mut self, redact: RedactPatterns) -> Self {
        self.options.redact = redact;
        self
    }

    /// What was chosen.
    pub const fn chosen(&self) -> &MockOptions {
        &self.options
    }

    /// Its bounds; see [`MockOptions::limits`].
    #[must_use]
    pub fn limits(mut self, limits: ResourceLimits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Everything else that can be chosen.
    #[must_use]
    pub fn options(mut self, options: MockOptions) -> Self {
        self.options = options;
        self
    }

    /// Reads the recording and serves it over HTTP, on the runtime that this is called in, until the result is dropped.
    ///
    /// # Errors
    /// [`MockError`] if the recording cannot be used or the address not be listened on.
    pub async fn start(self) -> Result<RunningMock, MockError> {
        let address = self.address;
        let (core, remarks) = self.load().await?;
        let bind = |source| MockError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let bound = listener.local_addr().map_err(bind)?;
        let server = Arc::new(HttpServer::new(Arc::clone(&core)));
        core.tasks
            .spawn(TaskKind::Listener, http::accept(server, listener));
        Ok(RunningMock {
            core,
            address: bound,
            remarks,
        })
    }

    /// Serves the recording to one stdio client: a line is a message. Ends with its `input`, once everything was
    /// answered. `watch` is called with each request.
    ///
    /// # Errors
    /// [`MockError`] if the recording cannot be used, or the pipes fail.
    pub async fn serve(
        self,
        input: impl AsyncRead + Unpin,
        output: impl AsyncWrite + Unpin,
        mut watch: impl FnMut(&MockCall),
    ) -> Result<(), MockError> {
        let (core, _) = self.load().await?;
        let mut calls = core.journal.watch();
        let serving = stdio::serve(Arc::clone(&core), input, output);
        let mut serving = std::pin::pin!(serving);
        let mut seen = 0;
        let mut tell_new = || {
            // From what is kept: a client that says a thousand things at once is faster than any queue is long.
            for call in core.journal.calls_behind(seen) {
                seen = call.number;
                watch(&call);
            }
        };
        let ended = loop {
            tokio::select! {
                biased;
                _ = calls.recv() => tell_new(),
                ended = &mut serving => break ended,
            }
        };
        tell_new();
        core.tasks.stop();
        ended.map_err(MockError::Pipe)
    }

    async fn load(self) -> Result<(Arc<Core>, Vec<String>), MockError> {
        let Self {
            path, tape, options, ..
        } = self;
        let tasks = Tasks::within(&options.limits);
        let tape = match tape {
            Some(tape) => tape,
            None => Arc::new(loaded(&tasks, &path, &options).await?),
        };
        let core = Core::new(&tape, options, tasks);
        if core.library.scripts.is_empty() {
            return Err(MockError::Empty { path });
        }
        Ok((Arc::new(core), tape.damage.clone()))
    }
}

async fn loaded(tasks: &Tasks, path: &Path, options: &MockOptions) -> Result<Tape, MockError> {
    let taken = TapeOptions::as_the_client_saw_it()
        .within(&options.limits)
        .reading(options.extent);
    let path = path.to_owned();
    let reading = tasks.run_blocking(TaskKind::File, move || Tape::load(&path, &taken));
    Ok(reading.await.map_err(MockError::Fault)??)
}

/// A mock server that runs. Dropping it ends it, and the sessions with it.
#[derive(Debug)]
pub struct RunningMock {
    core: Arc<Core>,
    address: SocketAddr,
    remarks: Vec<String>,
}

impl Drop for RunningMock {
    fn drop(&mut self) {
        self.core.tasks.stop();
    }
}

impl RunningMock {
    /// The URL for clients that speak Streamable HTTP.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, http::ENDPOINT)
    }

    /// The URL for clients that speak the older HTTP+SSE.
    pub fn sse_url(&self) -> String {
        format!("http://{}{}", self.address, http::STREAM)
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the recording lacks, a sentence each.
    pub fn damage(&self) -> &[String] {
        &self.remarks
    }

    /// The requests so far, oldest first; the last [`MAX_CALLS`] of them.
    pub fn calls(&self) -> Vec<MockCall> {
        self.core.journal.calls()
    }

    /// Those of them that are not in the recording and were answered with an error.
    pub fn misses(&self) -> Vec<MockCall> {
        let mut calls = self.calls();
        calls.retain(|call| call.found == Found::Missed);
        calls
    }

    /// Requests from now on. Whoever is 1,024 of them behind misses the oldest.
    pub fn watch(&self) -> broadcast::Receiver<MockCall> {
        self.core.journal.watch()
    }

    /// Fails unless a request with this `method` came; with a `subject`, one about that tool, prompt, uri or task.
    ///
    /// # Panics
    /// If there was none; the message lists what came.
    #[track_caller]
    pub fn assert_called(&self, method: &str, subject: Option<&str>) {
        let is_it = |call: &MockCall| {
            call.method == method && (subject.is_none() || call.subject.as_deref() == subject)
        };
        let calls = self.calls();
        let about = subject.map_or_else(String::new, |subject| format!(" of `{subject}`"));
        assert!(
            calls.iter().any(is_it),
            "there was no {method}{about}, only:{}",
            listed(&calls)
        );
    }

    /// Fails if a request was not in the recording.
    ///
    /// # Panics
    /// If there was one; the message lists them, each with what is nearest.
    #[track_caller]
    pub fn assert_no_misses(&self) {
        let misses = self.misses();
        assert!(misses.is_empty(), "not in the recording:{}", listed(&misses));
    }

    /// Begins to end it, without waiting: its sessions and streams are over.
    pub fn end(&self) {
        self.core.tasks.stop();
    }

    /// Ends it: no new connections, requests under way get `drain_timeout`, then they are cut.
    pub async fn stop(self) {
        let drain = self.core.options.limits.drain_timeout;
        self.core.tasks.end_traffic(drain).await;
        self.core.tasks.end_services(drain).await;
    }
}

/// Calls, a line each.
fn listed(calls: &[MockCall]) -> String {
    let lines: Vec<String> = calls.iter().map(|call| format!("\n  {call}")).collect();
    lines.concat()
}
