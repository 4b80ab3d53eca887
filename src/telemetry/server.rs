//! Answers those who scrape: a small HTTP server of its own, so that metrics and traffic never share a port.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::resource::meters::Level;
use crate::tasks::TaskKind;
use crate::transport::accepting::{Guests, accept_each};
use crate::transport::answer::OwnAnswer;
use crate::transport::causes::describe;
use crate::transport::hub::Hub;
use crate::transport::route::Asked;

use super::families::{Exposition, MetricsSource};

/// How long one connection may last, from its first byte to the last of its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest head of a scrape.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// What all connections of those who scrape share.
#[derive(Debug)]
pub(crate) struct MetricsServer {
    hub: Arc<Hub>,
    exposition: Arc<Exposition>,
    room: Arc<Semaphore>,
    connections: Arc<Level>,
}

impl MetricsServer {
    /// A server of what `source` says. `connections` is the gauge of `max_scrapes`.
    pub(crate) fn new(hub: Arc<Hub>, source: Arc<dyn MetricsSource>, connections: Arc<Level>) -> Self {
        let room = hub.limits.max_scrapes.min(Semaphore::MAX_PERMITS);
        Self {
            hub,
            exposition: Arc::new(Exposition::new(source)),
            room: Arc::new(Semaphore::new(room)),
            connections,
        }
    }
}

/// Accepts those who scrape until the engine stops; at `max_scrapes` none until one is done.
pub(crate) async fn accept(server: Arc<MetricsServer>, listener: TcpListener) {
    let guests = Guests {
        one: "a connection for metrics",
        all: "connections for metrics",
    };
    let full = || server.connections.reach();
    let begin = |(socket, _), permit| start(&server, socket, permit);
    let accepting = accept_each(&listener, &server.room, guests, full, begin);
    let stopping = server.hub.tasks.stopping();
    stopping.run_until_cancelled(accepting).await;
}

fn start(server: &Arc<MetricsServer>, socket: TcpStream, permit: OwnedSemaphorePermit) {
    let server = Arc::clone(server);
    let stopping = server.hub.tasks.stopping().clone();
    server.hub.tasks.clone().spawn(TaskKind::Metrics, async move {
        server.connections.add(1);
        let answering = tokio::time::timeout(PATIENCE, drive(&server, socket));
        match stopping.run_until_cancelled(answering).await {
            Some(Ok(Err(error))) => tracing::debug!(error = describe(&error), "a scrape failed"),
            Some(Err(_)) => tracing::debug!("a scrape took too long and was cut"),
            Some(Ok(Ok(()))) | None => {}
        }
        server.connections.sub(1);
        drop(permit);
    });
}

async fn drive(server: &Arc<MetricsServer>, socket: TcpStream) -> Result<(), hyper::Error> {
    let Ok(local) = socket.local_addr() else {
        // It has gone already.
        return Ok(());
    };
    let service = service_fn(|request| answer(Arc::clone(server), local, request));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(socket), service)
        .await
}

async fn answer(
    server: Arc<MetricsServer>,
    local: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let asked = Asked {
        method: request.method(),
        uri: request.uri(),
        headers: request.headers(),
        local,
        only: None,
        within: None,
        listeners: crate::transport::route::Listeners::default(),
    };
    if let Some(refusal) = server.hub.routes.refusal(asked) {
        let answer = OwnAnswer::nowhere(&refusal, &local.to_string());
        return Ok(words(answer.status, answer.text));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = words(
            StatusCode::METHOD_NOT_ALLOWED,
            "Metrics can only be read: use GET.",
        );
        let allowed = HeaderValue::from_static("GET, HEAD");
        refused.headers_mut().insert(header::ALLOW, allowed);
        return Ok(refused);
    }
    if request.uri().path() != "/metrics" {
        return Ok(words(StatusCode::NOT_FOUND, "Metrics are at /metrics."));
    }
    Ok(page(&server).await)
}

/// All metrics. Read on a thread that may block, since the system is asked too.
async fn page(server: &MetricsServer) -> Response<Full<Bytes>> {
    let exposition = Arc::clone(&server.exposition);
    let tasks = &server.hub.tasks;
    let read = tasks.run_blocking(TaskKind::Metrics, move || exposition.text());
    match read.await {
        Ok(Ok(text)) => response(StatusCode::OK, Exposition::MEDIA_TYPE, text),
        Ok(Err(_)) | Err(_) => words(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The metrics could not be read; the log has more.",
        ),
    }
}

fn words(status: StatusCode, text: impl Into<String>) -> Response<Full<Bytes>> {
    let mut text = text.into();
    text.push('\n');
    response(status, "text/plain; charset=utf-8", text)
}

fn response(status: StatusCode, media_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
