//! The demonstration server: one endpoint, `/mcp`, for legacy sessions and modern requests.

mod asks;
mod events;
mod http;
mod jobs;
mod legacy;
mod listen;
mod methods;
mod modern;
mod rounds;
mod route;
mod session;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use shadowcat::tasks::{TaskKind, Tasks};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

use self::rounds::Rounds;
use self::session::Sessions;

/// Connections served at once; the next one waits to be accepted.
const MAX_CONNECTIONS: usize = 256;
/// Modern calls and subscriptions that stream at once; one more is refused with 503.
const MAX_STREAMS: usize = 64;
/// Changes that a slow listener may lag behind; older ones are lost to it.
const CHANGES_KEPT: usize = 32;
/// How long a connection may stay without a request.
const IDLE: Duration = Duration::from_mins(5);
/// How long a silent event stream stays without a comment.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// How long the server waits for an answer to a request of its own; long, because people hold messages.
const PATIENCE: Duration = Duration::from_mins(10);
/// The pause after a failed accept, so that a lack of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running demonstration server. It ends when its task registry is stopped.
#[derive(Debug)]
pub(crate) struct DemoServer {
    address: SocketAddr,
    #[cfg_attr(not(test), expect(dead_code, reason = "tests look at the server's side"))]
    shared: Arc<Shared>,
}

impl DemoServer {
    /// Binds a free port of 127.0.0.1 and serves it from tasks of `tasks` until that is stopped.
    ///
    /// # Errors
    /// What the system says when no port can be bound.
    pub(crate) async fn start(tasks: &Tasks) -> io::Result<Self> {
        Self::start_with(tasks, KEEP_ALIVE).await
    }

    /// As [`DemoServer::start`], with a comment on every stream that was silent for `keep_alive`.
    pub(super) async fn start_with(tasks: &Tasks, keep_alive: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(tasks.clone(), keep_alive));
        tasks.spawn(TaskKind::Frontend, accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared })
    }

    /// Where the server listens. The endpoint is `/mcp` there.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Modern calls whose client closed the stream before the answer.
    #[cfg(test)]
    pub(super) fn calls_closed(&self) -> u64 {
        self.shared.calls_closed.load(Ordering::Relaxed)
    }

    /// Legacy sessions that have not ended.
    #[cfg(test)]
    pub(super) fn open_sessions(&self) -> usize {
        self.shared.sessions.count()
    }
}

/// Something that listeners are told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// The list of tools.
    Tools,
    /// The resource `demo://note`.
    Note,
}

/// What every connection of the server shares.
#[derive(Debug)]
struct Shared {
    tasks: Tasks,
    keep_alive: Duration,
    sessions: Sessions,
    rounds: Rounds,
    changes: broadcast::Sender<Change>,
    streams: Arc<Semaphore>,
    has_extra: AtomicBool,
    touched: AtomicU64,
    calls_closed: AtomicU64,
}

impl Shared {
    fn new(tasks: Tasks, keep_alive: Duration) -> Self {
        Self {
            tasks,
            keep_alive,
            sessions: Sessions::default(),
            rounds: Rounds::default(),
            changes: broadcast::Sender::new(CHANGES_KEPT),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            has_extra: AtomicBool::new(false),
            touched: AtomicU64::new(0),
            calls_closed: AtomicU64::new(0),
        }
    }

    /// Room for one more modern stream.
    fn stream_permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.streams).try_acquire_owned().ok()
    }

    fn has_extra(&self) -> bool {
        self.has_extra.load(Ordering::Relaxed)
    }

    fn touched(&self) -> u64 {
        self.touched.load(Ordering::Relaxed)
    }

    fn toggle_extra(&self) -> bool {
        let is_there = !self.has_extra.fetch_xor(true, Ordering::Relaxed);
        self.announce(Change::Tools);
        is_there
    }

    fn touch_note(&self) -> u64 {
        let touched = self.touched.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        self.announce(Change::Note);
        touched
    }

    fn announce(&self, change: Change) {
        // An error only says that nobody listens.
        let _ = self.changes.send(change);
        self.sessions.announce(change);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let stopping = shared.tasks.stopping().clone();
    while let Some(Ok(permit)) = stopping
        .run_until_cancelled(Arc::clone(&connections).acquire_owned())
        .await
    {
        match stopping.run_until_cancelled(listener.accept()).await {
            None => return,
            Some(Ok((stream, _))) => {
                let connection = serve(stream, Arc::clone(&shared), permit);
                shared.tasks.spawn(TaskKind::Frontend, connection);
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "the demonstration server could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>, _permit: OwnedSemaphorePermit) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "events may be delayed");
    }
    let stopping = shared.tasks.stopping().clone();
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(route::answer(&shared, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the demonstration server broke");
    }
}
