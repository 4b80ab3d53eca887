//! Lives end with what they belong to: after a thousand sessions of any kind nothing of them is left but their history.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

mod support;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use shadowcat::engine::EngineHandle;
use shadowcat::frontend::Frontend;
use shadowcat::snapshot::{EndKind, SessionState, Snapshot};
use support::{RawPeer, address, engine_with, gauge, snapshot_when, soon, spawn};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const SESSIONS: usize = 1000;
/// Sessions at once.
const AT_ONCE: usize = 50;
/// Calls of each session.
const CALLS: usize = 3;
/// So small that most of what a thousand sessions say has to go.
const HISTORY: usize = 1 << 20;

/// An MCP server of the legacy era that also answers stateless requests, and knows how many streams it holds open.
#[derive(Clone)]
struct Server {
    sessions: Arc<Mutex<HashMap<String, CancellationToken>>>,
    streams: watch::Sender<usize>,
}

/// Counts a stream for as long as its body lives.
struct OpenStream(watch::Sender<usize>);

impl OpenStream {
    fn of(streams: &watch::Sender<usize>) -> Self {
        streams.send_modify(|count| *count += 1);
        Self(streams.clone())
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Server {
    async fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self {
            sessions: Arc::default(),
            streams: watch::channel(0).0,
        };
        let router = Router::new().fallback(answer).with_state(server.clone());
        spawn(async move { axum::serve(listener, router).await.unwrap() });
        (server, address)
    }

    async fn streams_are(&self, wanted: usize) {
        let mut streams = self.streams.subscribe();
        soon("the streams", streams.wait_for(|count| *count == wanted))
            .await
            .unwrap();
    }

    fn initialize(&self) -> Response<Body> {
        let mut sessions = self.sessions.lock().unwrap();
        let session = format!("session-{}", sessions.len());
        sessions.insert(session.clone(), CancellationToken::new());
        let mut response = json(
            r#"{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"s","version":"1"}}"#,
        );
        response
            .headers_mut()
            .insert("mcp-session-id", session.parse().unwrap());
        response
    }

    /// A stream with one event, until its session or its client ends.
    fn stream(&self, session: &str) -> Response<Body> {
        let ended = self.sessions.lock().unwrap()[session].clone();
        let guard = OpenStream::of(&self.streams);
        let event = "id: 1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n";
        let events = stream::once(async move { Ok::<_, std::io::Error>(Bytes::from(event)) });
        let end = stream::once(async move {
            let _open = guard;
            ended.cancelled().await;
            Ok(Bytes::new())
        });
        let mut response = Response::new(Body::from_stream(events.chain(end)));
        response
            .headers_mut()
            .insert("content-type", "text/event-stream".parse().unwrap());
        response
    }
}

async fn answer(
    State(server): State<Server>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let session = headers.get("mcp-session-id").map(|id| id.to_str().unwrap());
    let body = std::str::from_utf8(&body).unwrap();
    match (method, session) {
        (Method::GET, Some(session)) => server.stream(session),
        (Method::DELETE, Some(session)) => {
            server.sessions.lock().unwrap()[session].cancel();
            status(StatusCode::NO_CONTENT)
        }
        (_, Some(session)) if body.contains("\"slow\"") => server.stream(session),
        _ if body.contains("\"initialize\"") => server.initialize(),
        _ if !body.contains("\"id\"") => status(StatusCode::ACCEPTED),
        _ => json(r#"{"content":[{"type":"text","text":"done"}]}"#),
    }
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn json(result: &str) -> Response<Body> {
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
    let mut response = Response::new(Body::from(body));
    response
        .headers_mut()
        .insert("content-type", "application/json".parse().unwrap());
    response
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;

const SLOW_CALL: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"slow"}}"#;

/// A call of the modern era by a client of that number.
fn modern_call(client: usize) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{{"name":"client {client}","version":"1"}}}}}}}}"#
    )
}

/// A client's connection of HTTP/1.1, and how it writes where it wants to go.
struct Client {
    peer: RawPeer,
    target: String,
    host: SocketAddr,
}

impl Client {
    async fn connect(proxy: SocketAddr, target: &str, host: SocketAddr) -> Self {
        Self {
            peer: RawPeer::connect(proxy).await,
            target: target.to_owned(),
            host,
        }
    }

    async fn send(&mut self, method: &str, session: &str, body: &str) {
        let session = if session.is_empty() {
            String::new()
        } else {
            format!("Mcp-Session-Id: {session}\r\n")
        };
        let Self { target, host, .. } = self;
        let length = body.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\n{session}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.peer.send(request).await;
    }

    /// Sends a request and reads its answer whole. Gives the head.
    async fn ask(&mut self, method: &str, session: &str, body: &str) -> String {
        self.send(method, session, body).await;
        let head = self.peer.read_head().await.to_ascii_lowercase();
        self.peer
            .read_exactly(field(&head, "content-length").map_or(0, |length| length.parse().unwrap()))
            .await;
        assert!(head.starts_with("http/1.1 20"), "{head}");
        head
    }

    /// Opens the stream of a session and reads its first event.
    async fn listen(&mut self, session: &str) {
        self.send("GET", session, "").await;
        self.peer.read_head().await;
        assert!(self.peer.read_chunk().await.ends_with(b"\n\n"));
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// What the sessions go through, and whither.
#[derive(Clone)]
struct House {
    proxy: SocketAddr,
    server: SocketAddr,
}

impl House {
    async fn reverse(&self) -> Client {
        Client::connect(self.proxy, "/mcp", self.proxy).await
    }

    async fn forward(&self) -> Client {
        let target = format!("http://{}/mcp", self.server);
        Client::connect(self.proxy, &target, self.server).await
    }
}

/// A session from `initialize` to DELETE, with calls beside an open stream.
async fn legacy_session(mut client: Client, mut listener: Client) {
    let head = client.ask("POST", "", INITIALIZE).await;
    let session = field(&head, "mcp-session-id").unwrap().to_owned();
    client.ask("POST", &session, INITIALIZED).await;
    listener.listen(&session).await;
    for _ in 0..CALLS {
        client.ask("POST", &session, CALL).await;
    }
    client.ask("DELETE", &session, "").await;
    listener.peer.read_all_chunks().await;
}

async fn tunnelled_session(house: House) {
    let mut client = Client::connect(house.proxy, "/mcp", house.server).await;
    client
        .peer
        .send(format!(
            "CONNECT {} HTTP/1.1\r\nHost: {}\r\n\r\n",
            house.server, house.server
        ))
        .await;
    assert!(client.peer.read_head().await.starts_with("HTTP/1.1 200"));
    for _ in 0..CALLS {
        client.ask("POST", "", CALL).await;
    }
}

async fn modern_session(house: House, number: usize) {
    let mut client = house.reverse().await;
    for _ in 0..CALLS {
        client.ask("POST", "", &modern_call(number)).await;
    }
}

/// A session over one HTTP/2 connection.
async fn http2_session(house: House) {
    let socket = TcpStream::connect(house.proxy).await.unwrap();
    let handshake = Builder::new(TokioExecutor::new()).handshake(TokioIo::new(socket));
    let (mut sender, connection) = soon("a handshake", handshake).await.unwrap();
    spawn(async move {
        // How it ends is what the requests on it see.
        let _ = connection.await;
    });
    let head = http2_ask(&mut sender, &house, Method::POST, "", INITIALIZE).await;
    let session = head.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    head.into_body().collect().await.unwrap();
    let listening = http2_ask(&mut sender, &house, Method::GET, &session, "").await;
    for _ in 0..CALLS {
        let answer = http2_ask(&mut sender, &house, Method::POST, &session, CALL).await;
        assert!(
            answer
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .ends_with(b"}")
        );
    }
    http2_ask(&mut sender, &house, Method::DELETE, &session, "").await;
    soon("the end of the stream", listening.into_body().collect())
        .await
        .unwrap();
}

async fn http2_ask(
    sender: &mut SendRequest<Full<Bytes>>,
    house: &House,
    method: Method,
    session: &str,
    body: &'static str,
) -> Response<hyper::body::Incoming> {
    let mut request = http::Request::builder()
        .method(method)
        .uri(format!("http://{}/mcp", house.proxy))
        .header("content-type", "application/json");
    if !session.is_empty() {
        request = request.header("mcp-session-id", session);
    }
    soon("room for a stream", sender.ready()).await.unwrap();
    let request = request.body(Full::from(body)).unwrap();
    let answer = soon("an answer", sender.send_request(request)).await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    answer
}

struct Stage {
    house: House,
    server: Server,
    /// Ends with the test.
    _engine: EngineHandle,
    frontend: Frontend,
}

async fn stage(change: impl FnOnce(&mut shadowcat::config::Config)) -> Stage {
    let (server, address_of_server) = Server::start().await;
    let engine = engine_with(&[&format!("http://{address_of_server}/mcp")], |config| {
        // What is pooled is no leak, but it would hide one.
        config.limits.max_idle_per_upstream = 0;
        config.limits.max_history_memory = HISTORY;
        change(config);
    });
    Stage {
        house: House {
            proxy: address(&engine),
            server: address_of_server,
        },
        server,
        frontend: engine.frontend().unwrap(),
        _engine: engine,
    }
}

/// What must be the same before and after.
#[derive(Debug)]
struct Figures {
    tasks: Vec<(String, u64)>,
    open_files: u64,
    connections: u64,
    permits: u64,
    buffers: u64,
    open_calls: u64,
    open_streams: u64,
    queued: u64,
}

impl Figures {
    fn of(snapshot: &Snapshot) -> Self {
        let used = |name, part| gauge(snapshot, name, part).used;
        let tasks = snapshot.resources.tasks.iter();
        let streams = snapshot.streams.rows.iter();
        let sessions = snapshot.sessions.rows.iter();
        Self {
            // Work on files comes and goes with the recorder and the name look-ups.
            tasks: tasks.map(|row| (row.kind.clone(), row.live)).collect(),
            open_files: snapshot.resources.open_files.unwrap_or(0),
            connections: used("max_connections", ""),
            permits: used("max_concurrent_tasks", ""),
            buffers: ["forward", "reverse", "stdio", "for all"]
                .map(|part| used("max_buffer_pool", part))
                .into_iter()
                .sum(),
            open_calls: snapshot
                .totals
                .open_calls
                .max(sessions.map(|row| row.open_calls).sum()),
            open_streams: streams.filter(|row| row.ended.is_none()).count() as u64,
            queued: used("observation_queue", ""),
        }
    }

    /// Nothing came on top of `before`. Descriptors are counted once a second, so `before` may have had one too many.
    fn are_as(&self, before: &Self) -> bool {
        self.are_at_rest() && self.tasks == before.tasks && self.open_files <= before.open_files
    }

    /// Nothing is there that traffic brings.
    fn are_at_rest(&self) -> bool {
        self.connections + self.permits + self.buffers + self.open_calls + self.open_streams + self.queued
            == 0
            && self.tasks.iter().all(|(kind, live)| {
                !matches!(
                    kind.as_str(),
                    "connection" | "client stream" | "upstream connection" | "tunnel"
                ) || *live == 0
            })
    }
}

/// One session to get everything going that stays, then a thousand, and then the same figures as before.
async fn a_thousand<F: Future<Output = ()>>(
    stage: &mut Stage,
    session: impl Fn(House, usize) -> F,
) -> Arc<Snapshot> {
    session(stage.house.clone(), 0).await;
    let seconds = stage.frontend.snapshots.borrow().resources.uptime;
    let at_rest = snapshot_when(&mut stage.frontend, "rest after the first session", |snapshot| {
        snapshot.totals.bytes_from_clients > 0
            && snapshot.resources.uptime > seconds
            && Figures::of(snapshot).are_at_rest()
    })
    .await;
    let before = Figures::of(&at_rest);
    stream::iter(1..=SESSIONS)
        .for_each_concurrent(AT_ONCE, |number| session(stage.house.clone(), number))
        .await;
    let seconds = stage.frontend.snapshots.borrow().resources.uptime;
    let after = tokio::time::timeout(support::PATIENCE, async {
        let is_after = |snapshot: &Arc<Snapshot>| {
            let history = gauge(snapshot, "max_history_memory", "");
            snapshot.resources.uptime > seconds
                && Figures::of(snapshot).are_as(&before)
                && history.used <= history.limit
        };
        Arc::clone(&*stage.frontend.snapshots.wait_for(is_after).await.unwrap())
    })
    .await;
    let Ok(after) = after else {
        let now = Figures::of(&stage.frontend.snapshots.borrow());
        let history = gauge(&stage.frontend.snapshots.borrow(), "max_history_memory", "").clone();
        panic!("before: {before:?}\nand now: {now:?}\nwith {history:?}");
    };
    assert!(
        gauge(&after, "max_connections", "").peak > 2,
        "they came one by one"
    );
    after
}

/// Sessions that were deleted are marked so, and are no more than a few in what the traffic keeps.
fn assert_ended(snapshot: &Snapshot, side: &str) {
    let rows = &snapshot.sessions.rows;
    assert!(!rows.is_empty());
    for row in rows {
        assert_eq!((row.state, row.open_streams), (SessionState::Ended, 0), "{row:?}");
    }
    let known = gauge(snapshot, "max_sessions", side).used;
    assert!(known <= 200, "{known} sessions are still known");
    let bytes = snapshot.resources.session_bytes;
    assert!(bytes < 1 << 20, "{bytes} bytes are kept of sessions that ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sessions_leave_nothing_behind() {
    let mut stage = stage(|_| ()).await;
    let after = a_thousand(&mut stage, async |house: House, _| {
        legacy_session(house.reverse().await, house.reverse().await).await;
    })
    .await;
    assert_ended(&after, "reverse");
    assert_eq!(*stage.server.streams.borrow(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sessions_through_a_forward_proxy_leave_nothing_behind() {
    let mut stage = stage(|_| ()).await;
    let after = a_thousand(&mut stage, async |house: House, _| {
        legacy_session(house.forward().await, house.forward().await).await;
    })
    .await;
    assert_ended(&after, "forward");
    assert_eq!(*stage.server.streams.borrow(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sessions_over_http2_leave_nothing_behind() {
    let mut stage = stage(|_| ()).await;
    let after = a_thousand(&mut stage, async |house: House, _| http2_session(house).await).await;
    assert_ended(&after, "reverse");
    assert_eq!(*stage.server.streams.borrow(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_stateless_clients_leave_nothing_behind() {
    let mut stage = stage(|_| ()).await;
    let after = a_thousand(&mut stage, modern_session).await;
    // Nothing says that such a client has gone, so it is known until its place is needed.
    assert_eq!(gauge(&after, "max_sessions", "reverse").used, SESSIONS as u64 + 1);
    assert!(
        after
            .sessions
            .rows
            .iter()
            .all(|row| row.state == SessionState::Active)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_tunnels_leave_nothing_behind() {
    let mut stage = stage(|_| ()).await;
    let after = a_thousand(&mut stage, async |house: House, _| tunnelled_session(house).await).await;
    assert_eq!(after.sessions.total, 1, "one client, one destination");
}

/// Sessions whose clients are reset in the middle of everything: an open stream and an unfinished call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_vanish_end_their_streams_at_once_and_their_sessions_become_idle() {
    const VANISHED: usize = 50;
    let mut stage = stage(|config| {
        config.limits.session_idle_timeout = Duration::from_secs(1);
        config.limits.max_sessions = VANISHED;
    })
    .await;
    let mut clients = Vec::new();
    for _ in 0..VANISHED {
        let mut client = stage.house.reverse().await;
        let head = client.ask("POST", "", INITIALIZE).await;
        let session = field(&head, "mcp-session-id").unwrap().to_owned();
        let mut listener = stage.house.reverse().await;
        listener.listen(&session).await;
        client.send("POST", &session, SLOW_CALL).await;
        clients.push((client, listener));
    }
    stage.server.streams_are(2 * VANISHED).await;
    let gone_at = shadowcat::clock::Clock::start();
    for (client, listener) in clients {
        client.peer.reset();
        listener.peer.reset();
    }
    stage.server.streams_are(0).await;
    let took = gone_at.now().since(gone_at.started_at());
    assert!(took < Duration::from_secs(1), "upstream was told after {took:?}");
    let after = snapshot_when(&mut stage.frontend, "idle sessions", |snapshot| {
        let sessions = &snapshot.sessions.rows;
        sessions.len() == VANISHED
            && sessions.iter().all(|row| row.state == SessionState::Idle)
            && Figures::of(snapshot).are_at_rest()
    })
    .await;
    for row in &after.streams.rows {
        assert_eq!(
            row.ended.map(|(_, how)| how),
            Some(EndKind::ClientAborted),
            "{row:?}"
        );
    }
    // Their places are free.
    let house = stage.house.clone();
    legacy_session(house.reverse().await, house.reverse().await).await;
    snapshot_when(&mut stage.frontend, "a new session", |snapshot| {
        let newest = snapshot.sessions.rows.last();
        newest.is_some_and(|row| row.id.to_string() == format!("R{}", VANISHED + 1))
    })
    .await;
}
