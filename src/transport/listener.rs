//! Accepts clients and drives their connections.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ids::ConnectionId;
use crate::tasks::{TaskKind, TasksExecutor};

use super::accepting::{Guests, accept_each};
use super::exchange::Peer;
use super::hub::Hub;
use super::place::ConnectionPlace;
use super::route::{ServerPlace, Within};
use super::serve::{ClientConnection, serve};
use super::tap::{ClientTap, RequestHeads};
use super::upstream::{CONNECTION_WINDOW, MIN_READ_BUFFER, STREAM_WINDOW};

/// A socket that clients connect to.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    /// The one server that it is for; `None` if it is for all.
    pub(crate) only: Option<ServerPlace>,
}

/// Accepts clients until the engine stops. At `max_connections` none is accepted until one closes.
pub(crate) async fn accept(hub: Arc<Hub>, listener: Listener, room: Arc<Semaphore>) {
    let guests = Guests {
        one: "a client",
        all: "clients",
    };
    let full = || hub.meters.connections.reach();
    let begin = |client, permit| start(&hub, client, listener.only, permit);
    let accepting = accept_each(&listener.socket, &room, guests, full, begin);
    hub.tasks.stopping().run_until_cancelled(accepting).await;
}

fn start(
    hub: &Arc<Hub>,
    client: (TcpStream, SocketAddr),
    only: Option<ServerPlace>,
    permit: OwnedSemaphorePermit,
) {
    let hub = Arc::clone(hub);
    hub.clone().tasks.spawn(TaskKind::Connection, async move {
        let place = ConnectionPlace::new(Arc::clone(&hub), permit);
        let address = client.1;
        if let Err(error) = welcome(&hub, client, only, place).await {
            tell_failure(&address.to_string(), error.as_ref());
        }
    });
}

/// What cannot be read as HTTP has no exchange to show it in, so the log says it; a client that goes away is everyday.
fn tell_failure(address: &str, error: &(dyn std::error::Error + 'static)) {
    let hyper = error.downcast_ref::<hyper::Error>();
    let error = super::causes::describe(error);
    if hyper.is_some_and(hyper::Error::is_parse) {
        tracing::warn!(address, %error, "a client sent what is no HTTP request, or a head above max_head_bytes or max_headers");
    } else {
        tracing::debug!(address, %error, "a client's connection ended");
    }
}

type ConnectionError = Box<dyn std::error::Error + Send + Sync>;

/// A connection that can be served: a client's, or what is in a tunnel.
pub(super) struct Accepted {
    pub(super) peer: Peer,
    pub(super) local: SocketAddr,
    pub(super) place: Arc<ConnectionPlace>,
    /// The one server that our end is for.
    pub(super) only: Option<ServerPlace>,
    /// Why no request can be served on it.
    pub(super) refusal: Option<String>,
    /// The tunnel that it is in.
    pub(super) within: Option<Within>,
}

async fn welcome(
    hub: &Arc<Hub>,
    (socket, address): (TcpStream, SocketAddr),
    only: Option<ServerPlace>,
    place: ConnectionPlace,
) -> Result<(), ConnectionError> {
    socket.set_nodelay(true)?;
    let local = socket.local_addr()?;
    let permit = hub
        .tasks
        .permit(TaskKind::Connection, hub.limits.queue_timeout)
        .await;
    let accepted = Accepted {
        peer: Peer {
            connection: ConnectionId::from(hub.ids.connections.next()),
            address: address.to_string().into(),
            host: address.ip().to_string().into(),
            is_ours: false,
            is_repeat: false,
        },
        local,
        only,
        place: Arc::new(place),
        refusal: permit.as_ref().err().map(ToString::to_string),
        within: None,
    };
    drive(hub, socket, accepted).await.0
}

/// Serves what is in a tunnel. False if the client left without a word. Boxed, since a tunnel is opened by what is served itself.
pub(super) fn drive_boxed<S>(
    hub: Arc<Hub>,
    stream: S,
    accepted: Accepted,
) -> Pin<Box<dyn Future<Output = bool> + Send>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    Box::pin(async move {
        let address = Arc::clone(&accepted.peer.address);
        let (outcome, heads) = drive(&hub, stream, accepted).await;
        let mut is_ours = hub.tasks.stopping().is_cancelled();
        if let Err(error) = outcome {
            tell_failure(&address, error.as_ref());
            is_ours |= is_timeout(error.as_ref());
        }
        is_ours || heads.has_begun()
    })
}

/// Whether we were the one who did not wait any longer.
fn is_timeout(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = super::causes::chain(error).filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    causes.any(|cause| cause.kind() == std::io::ErrorKind::TimedOut)
}

/// Serves a connection to its end.
async fn drive<S>(
    hub: &Arc<Hub>,
    stream: S,
    accepted: Accepted,
) -> (Result<(), ConnectionError>, RequestHeads)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (max_head, patience) = (hub.limits.max_head_bytes, hub.limits.head_timeout);
    let (tap, heads) = ClientTap::new(stream, max_head, patience, &hub.meters);
    let seen = heads.clone();
    let connection = Arc::new(ClientConnection {
        hub: Arc::clone(hub),
        peer: accepted.peer,
        local: accepted.local,
        only: accepted.only,
        heads,
        place: accepted.place,
        in_flight: AtomicU64::new(0),
        refusal: accepted.refusal,
        within: accepted.within,
    });
    let builder = builder(hub);
    // hyper keeps room for it as long as the connection lasts, and it is large.
    let service = service_fn(move |request| Box::pin(serve(Arc::clone(&connection), request)));
    let served = builder.serve_connection_with_upgrades(TokioIo::new(tap), service);
    let mut served = std::pin::pin!(served);
    let outcome = tokio::select! {
        outcome = served.as_mut() => Some(outcome),
        () = hub.tasks.stopping().cancelled() => None,
    };
    if outcome.is_none() {
        served.as_mut().graceful_shutdown();
    }
    let outcome = match outcome {
        Some(outcome) => outcome,
        None => served.await,
    };
    note_large_head(hub, &seen, outcome.as_ref().err());
    (outcome, seen)
}

/// The limits on heads bind within hyper, which only says afterwards that one of them did.
fn note_large_head(hub: &Hub, heads: &RequestHeads, error: Option<&ConnectionError>) {
    let hyper = error.and_then(|error| error.downcast_ref::<hyper::Error>());
    if !hyper.is_some_and(hyper::Error::is_parse_too_large) {
        return;
    }
    if heads.is_too_large() {
        hub.meters.head_bytes.reach();
    } else {
        hub.meters.head_fields.reach();
    }
}

fn builder(hub: &Hub) -> Builder<TasksExecutor> {
    let limits = &hub.limits;
    let mut builder = Builder::new(TasksExecutor::new(hub.tasks.clone(), TaskKind::ClientStream));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .auto_date_header(false)
        .preserve_header_case(true)
        .max_headers(limits.max_headers)
        .max_buf_size(limits.max_head_bytes.max(MIN_READ_BUFFER));
    builder
        .http2()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(u32::try_from(limits.max_exchanges_per_connection).unwrap_or(u32::MAX))
        .max_header_list_size(u32::try_from(limits.max_head_bytes).unwrap_or(u32::MAX));
    builder
}
