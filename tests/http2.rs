//! HTTP/2 with prior knowledge: towards clients, towards `h2c://` upstreams, and in front of HTTP/1 ones.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

mod support;

use support::*;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use shadowcat::engine::EngineHandle;
use shadowcat::snapshot::{Gauge, Outcome, RowState, Snapshot};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;
const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// A client's connection.
#[derive(Clone)]
struct Client {
    sender: SendRequest<Full<Bytes>>,
    address: SocketAddr,
}

impl Client {
    async fn connect(engine: &EngineHandle) -> Self {
        let address = address(engine);
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let mut builder = Builder::new(TokioExecutor::new());
        // So large that what one stream leaves unread is never the client's own reason to stall.
        builder
            .initial_stream_window_size(65_535)
            .initial_connection_window_size(1 << 30);
        let (sender, connection) = soon("a handshake", builder.handshake(TokioIo::new(socket)))
            .await
            .unwrap();
        spawn(async move {
            // How it ends is what the requests on it see.
            let _ = connection.await;
        });
        Self { sender, address }
    }

    fn request(&self, path: &str) -> Request<Full<Bytes>> {
        Request::post(format!("http://{}{path}", self.address))
            .header("content-type", "application/json")
            .body(Full::from(CALL))
            .unwrap()
    }

    /// Sends in the background; the answer comes through the channel.
    fn start(&self, path: &str) -> oneshot::Receiver<hyper::Result<Response<Incoming>>> {
        let (answer, answered) = oneshot::channel();
        let (mut sender, request) = (self.sender.clone(), self.request(path));
        spawn(async move {
            let sending = async {
                sender.ready().await?;
                sender.send_request(request).await
            };
            // A test that no longer waits for the answer has given up the request.
            let _ = answer.send(sending.await);
        });
        answered
    }
}

async fn answer(waiting: oneshot::Receiver<hyper::Result<Response<Incoming>>>) -> Response<Incoming> {
    soon("a response", waiting).await.unwrap().unwrap()
}

/// The next bytes of a body; `None` at its clean end.
async fn next(body: &mut Incoming) -> Option<Result<Bytes, hyper::Error>> {
    let frame = soon("more of the body", body.frame()).await?;
    Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
}

/// The body ends here, and cleanly.
async fn assert_ends(body: Incoming) {
    let rest = soon("the end of the body", body.collect()).await.unwrap();
    assert_eq!(rest.to_bytes(), "");
}

async fn text(body: &mut Incoming) -> String {
    String::from_utf8(next(body).await.unwrap().unwrap().to_vec()).unwrap()
}

type ServerBody = StreamBody<BoxStream<'static, io::Result<Frame<Bytes>>>>;

/// A request at the upstream and the way to answer it.
struct Arrived {
    request: Request<Incoming>,
    answer: oneshot::Sender<Response<ServerBody>>,
}

/// What an upstream's body is fed through; closed when nobody reads it any more.
type Feed = mpsc::Sender<io::Result<Bytes>>;

impl Arrived {
    /// Answers with an event stream that the test feeds.
    fn stream(self) -> Feed {
        let (feed, mut pieces) = mpsc::channel::<io::Result<Bytes>>(1);
        let body = stream::poll_fn(move |cx| pieces.poll_recv(cx)).map(|piece| piece.map(Frame::data));
        let response = Response::builder()
            .header("content-type", "text/event-stream")
            .body(StreamBody::new(body.boxed()))
            .unwrap();
        assert!(self.answer.send(response).is_ok());
        feed
    }
}

/// An upstream that speaks HTTP/2 only.
struct Upstream {
    address: SocketAddr,
    arrived: mpsc::Receiver<Arrived>,
    connections: mpsc::Receiver<()>,
}

impl Upstream {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (arrive, arrived) = mpsc::channel(1024);
        let (connect, connections) = mpsc::channel(1024);
        spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                connect.try_send(()).unwrap();
                spawn(serve(socket, arrive.clone()));
            }
        });
        Self {
            address,
            arrived,
            connections,
        }
    }

    fn engine(&self) -> EngineHandle {
        engine_with(&[&format!("h2c://{}/mcp", self.address)], |_| {})
    }

    async fn next(&mut self) -> Arrived {
        soon("a request at the upstream", self.arrived.recv())
            .await
            .unwrap()
    }
}

async fn serve(socket: TcpStream, arrive: mpsc::Sender<Arrived>) {
    let service = service_fn(move |request| {
        let arrive = arrive.clone();
        async move {
            let (answer, answered) = oneshot::channel();
            // Without the test's answer the stream is reset.
            let is_heard = arrive.send(Arrived { request, answer }).await.is_ok();
            let response = answered.await.ok().filter(|_| is_heard);
            response.ok_or_else(|| io::Error::other("the test is over"))
        }
    });
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder.max_concurrent_streams(1000);
    // How it ends is what the other side sees.
    let _ = builder.serve_connection(TokioIo::new(socket), service).await;
}

#[tokio::test]
async fn events_of_an_http1_upstream_arrive_one_by_one_and_the_call_is_shown() {
    let server = RawServer::bind().await;
    let engine = engine_for(server.address());
    let mut frontend = engine.frontend().unwrap();
    let client = Client::connect(&engine).await;
    let waiting = client.start("/mcp?x=%27");
    let mut upstream = server.accept().await;
    let head = upstream.read_head().await;
    assert!(head.starts_with("POST /mcp?x=%27 HTTP/1.1\r\n"), "{head}");
    let host = format!("\r\nhost: {}\r\n", server.address());
    assert!(head.to_ascii_lowercase().contains(&host), "{head}");
    assert_eq!(upstream.read_exactly(CALL.len()).await, CALL.as_bytes());
    upstream.send(EVENTS).await;
    let response = answer(waiting).await;
    let mut body = response.into_body();
    for event in [
        "data: 1\n\n",
        "data: 2\n\n",
        "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n",
    ] {
        upstream.send(chunk(event)).await;
        assert_eq!(text(&mut body).await, event);
    }
    upstream.send("0\r\n\r\n").await;
    assert_ends(body).await;
    snapshot_when(&mut frontend, "the answered call", |snapshot| {
        snapshot.messages.rows.iter().any(|row| {
            matches!(
                row.state,
                RowState::Answered {
                    outcome: Outcome::Ok,
                    ..
                }
            )
        })
    })
    .await;
}

#[tokio::test]
async fn events_of_an_http2_upstream_arrive_one_by_one() {
    let mut upstream = Upstream::start().await;
    let engine = upstream.engine();
    let client = Client::connect(&engine).await;
    let waiting = client.start("/mcp");
    let arrived = upstream.next().await;
    let authority = upstream.address.to_string();
    assert_eq!(arrived.request.uri().authority().unwrap().as_str(), authority);
    // It need not be there, but if it is it must say the same (RFC 9113 §8.3.1).
    let hosts = arrived.request.headers().get_all("host");
    assert!(
        hosts.iter().all(|host| *host == authority),
        "{:?}",
        arrived.request
    );
    let feed = arrived.stream();
    let mut body = answer(waiting).await.into_body();
    for event in ["data: 1\n\n", ": still here\n\n", "data: 2\n\n"] {
        feed.send(Ok(event.into())).await.unwrap();
        assert_eq!(text(&mut body).await, event);
    }
    drop(feed);
    assert_ends(body).await;
}

#[tokio::test]
async fn an_http1_client_reaches_an_http2_upstream() {
    let mut upstream = Upstream::start().await;
    let engine = upstream.engine();
    let mut client = RawPeer::connect(address(&engine)).await;
    client.send(post(address(&engine), CALL)).await;
    let arrived = upstream.next().await;
    assert_eq!(arrived.request.uri().path(), "/mcp");
    let feed = arrived.stream();
    feed.send(Ok("data: 1\n\n".into())).await.unwrap();
    let head = client.read_head().await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(client.read_chunk().await, b"data: 1\n\n");
}

#[tokio::test]
async fn fields_of_one_hop_never_reach_an_http2_client() {
    let server = RawServer::bind().await;
    let engine = engine_for(server.address());
    let client = Client::connect(&engine).await;
    let waiting = client.start("/mcp");
    let mut upstream = server.accept().await;
    upstream.read_head().await;
    upstream.send(EVENTS).await;
    let response = answer(waiting).await;
    assert_eq!(response.status(), StatusCode::OK);
    let names: Vec<&str> = response.headers().keys().map(http::HeaderName::as_str).collect();
    assert_eq!(names, ["content-type"]);
}

#[tokio::test]
async fn split_cookies_are_joined_for_an_http1_upstream() {
    let server = RawServer::bind().await;
    let engine = engine_for(server.address());
    let client = Client::connect(&engine).await;
    let mut request = client.request("/mcp");
    for cookie in ["a=1", "b=2", "c=3"] {
        request.headers_mut().append("cookie", cookie.parse().unwrap());
    }
    let mut sender = client.sender.clone();
    let sending = sender.send_request(request);
    let reading = async {
        let mut upstream = server.accept().await;
        let head = upstream.read_head().await;
        upstream
            .send("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            .await;
        head
    };
    let (response, head) = soon("an exchange", async { tokio::join!(sending, reading) }).await;
    assert_eq!(response.unwrap().status(), StatusCode::ACCEPTED);
    let cookies: Vec<&str> = head
        .lines()
        .filter(|line| line.to_ascii_lowercase().starts_with("cookie:"))
        .map(|line| line.split_once(':').unwrap().1.trim())
        .collect();
    assert_eq!(cookies, ["a=1; b=2; c=3"]);
}

#[tokio::test]
async fn a_client_that_resets_its_stream_ends_the_exchange_at_an_http1_upstream() {
    let server = RawServer::bind().await;
    let engine = engine_for(server.address());
    let client = Client::connect(&engine).await;
    let waiting = client.start("/mcp");
    let mut upstream = server.accept().await;
    upstream.read_head().await;
    upstream.send(EVENTS).await;
    drop(answer(waiting).await);
    upstream.wait_closed().await;
    // The connection itself goes on.
    let waiting = client.start("/again");
    assert!(
        server
            .accept()
            .await
            .read_head()
            .await
            .starts_with("POST /again ")
    );
    drop(waiting);
}

#[tokio::test]
async fn a_client_that_resets_its_stream_resets_it_at_an_http2_upstream() {
    let mut upstream = Upstream::start().await;
    let engine = upstream.engine();
    let client = Client::connect(&engine).await;
    let waiting = client.start("/mcp");
    let feed = upstream.next().await.stream();
    drop(answer(waiting).await);
    soon("the upstream's stream to be let go", feed.closed()).await;
}

#[tokio::test]
async fn an_upstream_that_breaks_off_resets_the_stream_and_nothing_else() {
    let server = RawServer::bind().await;
    let engine = engine_for(server.address());
    let client = Client::connect(&engine).await;
    let waiting = client.start("/mcp");
    let mut upstream = server.accept().await;
    upstream.read_head().await;
    upstream.send(EVENTS).await;
    upstream.send(chunk("data: 1\n\n")).await;
    let mut body = answer(waiting).await.into_body();
    assert_eq!(text(&mut body).await, "data: 1\n\n");
    let neighbour = client.start("/neighbour");
    let mut other = server.accept().await;
    other.read_head().await;
    drop(upstream);
    assert!(next(&mut body).await.unwrap().is_err(), "an abort stays an abort");
    other.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(text(&mut answer(neighbour).await.into_body()).await, "ok");
}

#[tokio::test]
async fn a_stream_that_an_http2_upstream_resets_is_reset_for_the_client() {
    let mut upstream = Upstream::start().await;
    let engine = upstream.engine();
    let client = Client::connect(&engine).await;
    let waiting = client.start("/mcp");
    let feed = upstream.next().await.stream();
    let mut body = answer(waiting).await.into_body();
    feed.send(Ok("data: 1\n\n".into())).await.unwrap();
    assert_eq!(text(&mut body).await, "data: 1\n\n");
    feed.send(Err(io::Error::other("out of ideas"))).await.unwrap();
    assert!(next(&mut body).await.unwrap().is_err());
}

#[tokio::test]
async fn a_stream_that_the_client_does_not_read_stalls_no_neighbour() {
    let server = RawServer::bind().await;
    let engine = engine_for(server.address());
    let client = Client::connect(&engine).await;
    let waiting = client.start("/stalled");
    let mut flooding = server.accept().await;
    flooding.read_head().await;
    flooding.send(EVENTS).await;
    let stalled = answer(waiting).await;
    let block = chunk(&format!("data: {}\n\n", "x".repeat(60_000)));
    let mut flooded = 0;
    let second = std::time::Duration::from_secs(1);
    while let Ok(Ok(())) = tokio::time::timeout(
        second,
        tokio::io::AsyncWriteExt::write_all(&mut flooding.socket, block.as_bytes()),
    )
    .await
    {
        flooded += block.len();
        assert!(flooded < 64 << 20, "nothing holds the flood back");
    }
    let waiting = client.start("/neighbour");
    let mut upstream = server.accept().await;
    upstream.read_head().await;
    upstream.send(EVENTS).await;
    let mut body = answer(waiting).await.into_body();
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        upstream.send(chunk(event)).await;
        assert_eq!(text(&mut body).await, event);
    }
    drop(stalled);
}

#[tokio::test]
async fn stalled_streams_of_one_upstream_connection_stall_no_neighbour() {
    // Each stalled stream takes its window of 256 KiB, together more than 64 MiB of the connection's.
    const STALLED: usize = 300;
    let mut upstream = Upstream::start().await;
    let engine = upstream.engine();
    let client = Client::connect(&engine).await;
    // The first exchange opens the connection that the others share.
    let waiting = client.start("/first");
    drop(upstream.next().await.stream());
    answer(waiting).await.into_body().collect().await.unwrap();
    let block = Bytes::from(format!("data: {}\n\n", "x".repeat(400 << 10)));
    let mut kept = Vec::new();
    for _ in 0..STALLED {
        let waiting = client.start("/stalled");
        let feed = upstream.next().await.stream();
        feed.send(Ok(block.clone())).await.unwrap();
        // Taken only when the first has been handed to the connection, which now waits for room.
        feed.send(Ok(block.clone())).await.unwrap();
        kept.push((answer(waiting).await, feed));
    }
    let waiting = client.start("/neighbour");
    let feed = upstream.next().await.stream();
    let mut body = answer(waiting).await.into_body();
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        feed.send(Ok(event.into())).await.unwrap();
        assert_eq!(text(&mut body).await, event);
    }
    assert_eq!(upstream.connections.len(), 1, "all on one connection");
    drop(kept);
}

/// Requests on HTTP/2 that are not done: a task each.
fn gauge_of_streams(snapshot: &Snapshot) -> &Gauge {
    gauge(snapshot, "max_tasks_per_kind", "client stream")
}

#[tokio::test]
async fn a_connection_takes_no_more_exchanges_than_its_limit() {
    let server = RawServer::bind().await;
    let engine = engine_with(&[&format!("http://{}/mcp", server.address())], |config| {
        config.limits.max_exchanges_per_connection = 2;
    });
    let mut frontend = engine.frontend().unwrap();
    let client = Client::connect(&engine).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let waiting = client.start("/open");
        let mut upstream = server.accept().await;
        upstream.read_head().await;
        upstream.send(EVENTS).await;
        open.push((answer(waiting).await, upstream));
    }
    let third = client.start("/third");
    let other = Client::connect(&engine).await.start("/other-connection");
    let mut upstream = server.accept().await;
    let head = upstream.read_head().await;
    assert!(head.starts_with("POST /other-connection "), "{head}");
    snapshot_when(&mut frontend, "the full connection", |snapshot| {
        let gauge = gauge(snapshot, "max_exchanges_per_connection", "most on one");
        let streams = gauge_of_streams(snapshot);
        (gauge.used, gauge.limit, gauge.reached) == (2, 2, 1) && streams.used == 3
    })
    .await;
    drop(open.pop());
    let mut upstream = server.accept().await;
    let head = upstream.read_head().await;
    assert!(head.starts_with("POST /third "), "{head}");
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(text(&mut answer(third).await.into_body()).await, "ok");
    drop(other);
}

#[tokio::test]
async fn a_request_that_finds_no_room_among_its_kind_gets_503_until_a_stream_ends() {
    let server = RawServer::bind().await;
    let engine = engine_with(&[&format!("http://{}/mcp", server.address())], |config| {
        config.limits.max_tasks_per_kind = 2;
        config.limits.queue_timeout = Duration::from_millis(100);
        config.limits.max_idle_per_upstream = 0;
    });
    let mut frontend = engine.frontend().unwrap();
    let client = Client::connect(&engine).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let waiting = client.start("/open");
        let mut upstream = server.accept().await;
        upstream.read_head().await;
        upstream.send(EVENTS).await;
        open.push((answer(waiting).await, upstream));
    }
    let refused = answer(client.start("/third")).await;
    assert_eq!(refused.status(), 503);
    let said = soon("the refusal", refused.into_body().collect()).await.unwrap();
    let said = String::from_utf8(said.to_bytes().to_vec()).unwrap();
    assert!(said.contains("--max-tasks-per-kind"), "{said}");
    snapshot_when(&mut frontend, "the refusal's gauge", |snapshot| {
        let gauge = gauge_of_streams(snapshot);
        (gauge.used, gauge.limit, gauge.reached) == (2, 2, 1)
    })
    .await;
    // Clients on HTTP/1 are not affected.
    let mut other = RawPeer::connect(address(&engine)).await;
    other.send(post(address(&engine), CALL)).await;
    let mut upstream = server.accept().await;
    assert!(upstream.read_head().await.starts_with("POST /mcp "));
    drop(open);
    snapshot_when(&mut frontend, "the free places", |snapshot| {
        gauge_of_streams(snapshot).used == 0
    })
    .await;
    let waiting = client.start("/fourth");
    let mut upstream = server.accept().await;
    assert!(upstream.read_head().await.starts_with("POST /fourth "));
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(text(&mut answer(waiting).await.into_body()).await, "ok");
}
