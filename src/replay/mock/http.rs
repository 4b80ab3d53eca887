//! A mock server over HTTP: who may ask, and where what is served.

mod older;
mod streamable;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::MISSED;
use super::body::{MockBody, whole};
use super::core::Core;
use super::library::Shape;
use crate::codec::envelope::{Envelope, MessageKind, Scan, Shape as DocumentShape, scan};
use crate::config::Config;
use crate::tasks::TaskKind;
use crate::transport::accepting::{Guests, accept_each};
use crate::transport::answer::{OwnAnswer, make_stream};
use crate::transport::route::{Asked, Listeners, Routes};

/// The endpoint of Streamable HTTP.
pub(super) const ENDPOINT: &str = "/mcp";
/// The stream of the older transport.
pub(super) const STREAM: &str = "/sse";
/// Where messages of the older transport are posted.
pub(super) const MESSAGES: &str = "/messages";

pub(super) const PARSE_ERROR: i64 = -32_700;
pub(super) const INVALID_REQUEST: i64 = -32_600;

/// What the connections share.
#[derive(Debug)]
pub(super) struct HttpServer {
    core: Arc<Core>,
    routes: Routes,
    room: Arc<Semaphore>,
}

impl HttpServer {
    pub(super) fn new(core: Arc<Core>) -> Self {
        let room = core.options.limits.max_connections.min(Semaphore::MAX_PERMITS);
        let config = Config {
            allowed_hosts: core.options.allowed_hosts.clone(),
            allowed_origins: core.options.allowed_origins.clone(),
            ..Config::default()
        };
        Self {
            core,
            routes: Routes::new(&config),
            room: Arc::new(Semaphore::new(room)),
        }
    }
}

/// Accepts clients until the mock server ends; at `max_connections` none until one leaves.
pub(super) async fn accept(server: Arc<HttpServer>, listener: TcpListener) {
    let guests = Guests {
        one: "a connection to the mock server",
        all: "connections to the mock server",
    };
    let full = || tracing::debug!("the mock server has max_connections clients; others wait");
    let begin = |(socket, _), permit| start(&server, socket, permit);
    let accepting = accept_each(&listener, &server.room, guests, full, begin);
    server.core.tasks.stopping().run_until_cancelled(accepting).await;
}

fn start(server: &Arc<HttpServer>, socket: TcpStream, permit: OwnedSemaphorePermit) {
    let server = Arc::clone(server);
    server.core.tasks.clone().spawn(TaskKind::Connection, async move {
        if let Err(error) = drive(&server, socket).await {
            tracing::debug!(%error, "a connection to the mock server broke off");
        }
        drop(permit);
    });
}

async fn drive(server: &Arc<HttpServer>, socket: TcpStream) -> Result<(), hyper::Error> {
    let Ok(local) = socket.local_addr() else {
        // It has gone already.
        return Ok(());
    };
    // Events are small, and each is waited for; a system that does not let us is only slower.
    let _ = socket.set_nodelay(true);
    let service = service_fn(|request| serve(Arc::clone(server), local, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .max_buf_size(server.core.options.limits.max_head_bytes)
        .max_headers(server.core.options.limits.max_headers)
        .serve_connection(TokioIo::new(socket), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = server.core.tasks.stopping().cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

async fn serve(
    server: Arc<HttpServer>,
    local: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<MockBody>, Infallible> {
    let asked = Asked {
        method: request.method(),
        uri: request.uri(),
        headers: request.headers(),
        local,
        only: None,
        within: None,
        listeners: Listeners::default(),
    };
    if let Some(refusal) = server.routes.refusal(asked) {
        let answer = OwnAnswer::nowhere(&refusal, &local.to_string());
        return Ok(*words(answer.status, &answer.text).0);
    }
    let outcome = route(&server.core, request).await;
    Ok(outcome.unwrap_or_else(|refusal| *refusal.0))
}

/// A refusal is an answer too.
type Outcome = Result<Response<MockBody>, Refused>;

/// A refusal, boxed since it is large and rare.
struct Refused(Box<Response<MockBody>>);

impl Refused {
    fn new(response: Response<MockBody>) -> Self {
        Self(Box::new(response))
    }
}

async fn route(core: &Arc<Core>, request: Request<Incoming>) -> Outcome {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let target = parts.uri.path_and_query().map_or(path, |target| target.as_str());
    if parts.method == Method::POST {
        let posted = Posted::read(core, body).await?;
        return match path {
            MESSAGES => older::post(core, parts.uri.query(), &posted),
            _ => streamable::post(core, &parts.headers, posted).await,
        };
    }
    match (&parts.method, path) {
        (&Method::GET, STREAM) => older::get(core),
        (&Method::GET | &Method::DELETE, _) if parts.headers.contains_key(SESSION_ID) || path == ENDPOINT => {
            streamable::get_or_delete(core, &parts.method, &parts.headers, target)
        }
        (&Method::GET, _) => plain(core, "GET", target).ok_or_else(|| {
            words(
                StatusCode::NOT_FOUND,
                &format!("There is nothing here. The endpoint is {ENDPOINT}; that of HTTP+SSE is {STREAM}."),
            )
        }),
        _ => Err(not_allowed()),
    }
}

/// An exchange without messages that was recorded for this target.
fn plain(core: &Core, method: &str, target: &str) -> Option<Response<MockBody>> {
    let mut plain = core.library.plain.iter();
    let found = plain.find(|plain| plain.method == method && plain.target == target)?;
    Some(shaped(&found.shape, found.shape.body.clone().unwrap_or_default()))
}

pub(super) const SESSION_ID: &str = "mcp-session-id";

fn not_allowed() -> Refused {
    let mut response = words(StatusCode::METHOD_NOT_ALLOWED, "This method is not served here.");
    let allowed = HeaderValue::from_static("POST, GET, DELETE");
    response.0.headers_mut().insert(header::ALLOW, allowed);
    response
}

/// What a client has posted.
struct Posted {
    bytes: Bytes,
    scan: Scan,
}

impl Posted {
    async fn read(core: &Core, body: Incoming) -> Result<Self, Refused> {
        let max = core.options.limits.max_message_bytes;
        let Ok(bytes) = Limited::new(body, max).collect().await else {
            let text =
                format!("The message has more than {max} bytes (max_message_bytes), or was broken off.");
            return Err(words(StatusCode::PAYLOAD_TOO_LARGE, &text));
        };
        let bytes = bytes.to_bytes();
        let scan = scan(&bytes);
        let bad = |code: i64, text: &str| {
            let error = json!({"code": code, "message": text});
            let body = json!({"jsonrpc": "2.0", "id": null, "error": error});
            Refused::new(document(StatusCode::BAD_REQUEST, body.to_string().into()))
        };
        if !matches!(scan.shape, DocumentShape::Single | DocumentShape::Batch) {
            return Err(bad(PARSE_ERROR, "The body is not a JSON document."));
        }
        let is_message = |message: &Envelope| message.is_version_2 && message.kind != MessageKind::Malformed;
        if scan.messages.is_empty() || scan.messages_cut > 0 || !scan.messages.iter().all(is_message) {
            return Err(bad(INVALID_REQUEST, "The body is not a JSON-RPC 2.0 message."));
        }
        Ok(Self { bytes, scan })
    }

    /// Each message with its text.
    fn messages(&self) -> impl Iterator<Item = (Bytes, &Envelope)> {
        self.scan.messages.iter().map(|envelope| {
            let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.bytes.len());
            let (start, end) = (place(envelope.span.start), place(envelope.span.end));
            (self.bytes.slice(start..end.max(start)), envelope)
        })
    }

    fn is_batch(&self) -> bool {
        self.scan.shape == DocumentShape::Batch
    }
}

/// Plain words.
fn words(status: StatusCode, text: &str) -> Refused {
    let mut response = Response::new(whole(Bytes::from(format!("{text}\n"))));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Refused::new(response)
}

/// A refusal that a program reads too.
fn refused(status: StatusCode, id: Option<&str>, reason: &str, text: &str) -> Refused {
    let error = json!({"code": MISSED, "message": text, "data": {"origin": "shadowcat", "reason": reason}});
    let body = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{error}}}",
        id.unwrap_or("null")
    );
    Refused::new(document(status, body.into()))
}

fn document(status: StatusCode, body: Bytes) -> Response<MockBody> {
    let mut response = Response::new(whole(body));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn events(body: MockBody) -> Response<MockBody> {
    let mut response = Response::new(body);
    make_stream(response.headers_mut());
    response
}

fn empty(status: StatusCode) -> Response<MockBody> {
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// An answer as it was recorded.
fn shaped(shape: &Shape, body: Bytes) -> Response<MockBody> {
    let mut response = Response::new(whole(body));
    *response.status_mut() = StatusCode::from_u16(shape.status).unwrap_or(StatusCode::OK);
    add_fields(response.headers_mut(), shape);
    response
}

/// The recorded fields, beside those that are there.
fn add_fields(headers: &mut HeaderMap, shape: &Shape) {
    for (name, value) in &shape.fields {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_str(value);
        if let (Ok(name), Ok(value)) = (name, value)
            && name != header::CACHE_CONTROL
        {
            headers.append(name, value);
        }
    }
}

/// Whether a client takes event streams, and documents.
fn accepts(headers: &HeaderMap) -> (bool, bool) {
    let fields: Vec<String> = headers
        .get_all(header::ACCEPT)
        .iter()
        .map(|field| String::from_utf8_lossy(field.as_bytes()).to_ascii_lowercase())
        .collect();
    let takes = |kinds: &[&str]| {
        fields.is_empty()
            || fields
                .iter()
                .any(|field| kinds.iter().any(|kind| field.contains(kind)))
    };
    (
        takes(&["text/event-stream", "text/*", "*/*"]),
        takes(&["application/json", "application/*", "*/*"]),
    )
}

/// A JSON value that is a string.
fn text_of(value: Option<&HeaderValue>) -> Option<&str> {
    value.and_then(|value| value.to_str().ok())
}

/// Several answers as one document.
fn joined(answers: &[Bytes]) -> Bytes {
    let texts: Vec<&[u8]> = answers.iter().map(|answer| &answer[..]).collect();
    [b"[".as_slice(), &texts.join(&b","[..]), b"]"].concat().into()
}

/// The error that is answered to a request which was cancelled.
fn cancelled() -> Value {
    json!({"code": MISSED, "message": "The request was cancelled, and no answer was recorded.", "data": {"origin": "shadowcat", "reason": "cancelled"}})
}
