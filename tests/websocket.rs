//! Web sockets through the proxy: bytes as they are, messages on the screen.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

mod support;

use support::*;

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use shadowcat::config::{Config, RecordConfig};
use shadowcat::engine::{Engine, EngineHandle};
use shadowcat::frontend::Frontend;
use shadowcat::ids::Side;
use shadowcat::limits::ResourceLimits;
use shadowcat::resource::log_ring::LogRing;
use shadowcat::snapshot::{
    Carrier, Command, MessageRow, Outcome, Reply, RowKind, RowState, SessionBasis, SessionState,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async, client_async};

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;
const ANSWER: &str = r#"{ "jsonrpc":"2.0", "id":1, "result":{"content":[]} }"#;
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"socket client","version":"1"}}}"#;
const CONSENT: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-OdD: 1\r\nSec-WebSocket-Protocol: mcp\r\n";

type Socket = WebSocketStream<TcpStream>;

async fn connect(engine: &EngineHandle) -> Result<Socket, Error> {
    let address = address(engine);
    let stream = TcpStream::connect(address).await.unwrap();
    let mut request = format!("ws://{address}/ws?x=1").into_client_request().unwrap();
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", "mcp".parse().unwrap());
    soon("a handshake", client_async(request, stream))
        .await
        .map(|(socket, _)| socket)
}

async fn accept(server: &RawServer) -> Socket {
    #[expect(clippy::result_large_err, reason = "the library's own signature")]
    let consent = |request: &Request, mut response: Response| {
        assert_eq!(request.uri(), "/ws?x=1");
        let protocol = request.headers()["sec-websocket-protocol"].clone();
        response.headers_mut().insert("sec-websocket-protocol", protocol);
        Ok(response)
    };
    let peer = server.accept().await;
    soon("a handshake", accept_hdr_async(peer.socket, consent))
        .await
        .unwrap()
}

/// A client and a server that talk over a WebSocket.
async fn sockets(change: impl FnOnce(&mut Config)) -> (EngineHandle, Socket, Socket) {
    let server = RawServer::bind().await;
    let engine = engine_with(&[&format!("http://{}/mcp", server.address())], change);
    let (client, server) = tokio::join!(connect(&engine), accept(&server));
    (engine, client.unwrap(), server)
}

async fn hear(socket: &mut Socket) -> Message {
    soon("a message", socket.next()).await.unwrap().unwrap()
}

async fn say(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
}

fn of_socket(rows: Vec<MessageRow>) -> Vec<MessageRow> {
    let is_of_socket = |row: &MessageRow| row.carrier == Carrier::WebSocket;
    rows.into_iter().filter(is_of_socket).collect()
}

async fn when_rows(frontend: &mut Frontend, count: usize) -> Vec<MessageRow> {
    snapshot_when(frontend, "the rows", |snapshot| {
        let rows = snapshot.messages.rows.iter();
        rows.filter(|row| row.carrier == Carrier::WebSocket).count() >= count
    })
    .await;
    of_socket(rows(frontend).await)
}

#[tokio::test]
async fn json_rpc_over_a_websocket_passes_and_is_shown_paired_in_a_session_of_its_own() {
    let (engine, mut client, mut server) = sockets(|_| {}).await;
    let mut frontend = engine.frontend().unwrap();
    for (request, answer) in [
        (
            INITIALIZE,
            r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"2"}}}"#,
        ),
        (CALL, ANSWER),
    ] {
        say(&mut client, request).await;
        assert_eq!(hear(&mut server).await, Message::text(request));
        say(&mut server, answer).await;
        assert_eq!(hear(&mut client).await, Message::text(answer));
    }
    let shown = when_rows(&mut frontend, 4).await;
    assert_eq!(shown.len(), 4, "{shown:#?}");
    let call = &shown[2];
    assert_eq!((call.kind, call.summary.as_str()), (RowKind::Request, "echo"));
    assert_eq!(call.call, shown[3].call);
    assert!(
        matches!(
            call.state,
            RowState::Answered {
                outcome: Outcome::Ok,
                ..
            }
        ),
        "{call:#?}"
    );
    let session = call.session.unwrap();
    assert_eq!(session.side(), Side::Reverse);
    client.close(None).await.unwrap();
    assert!(matches!(hear(&mut server).await, Message::Close(None)));
    assert!(soon("the end", server.next()).await.is_none());
    drop((client, server));
    let snapshot = snapshot_when(&mut frontend, "the end of the session", |snapshot| {
        let mut sessions = snapshot.sessions.rows.iter();
        sessions.any(|row| row.id == session && row.state == SessionState::Ended)
    })
    .await;
    let row = snapshot
        .sessions
        .rows
        .iter()
        .find(|row| row.id == session)
        .unwrap();
    assert_eq!(row.basis, SessionBasis::Socket);
    assert_eq!(row.client.as_deref(), Some("socket client 1"));
}

#[tokio::test]
async fn fragments_pings_and_binary_messages_are_read_as_what_they_are() {
    let (mut client, mut upstream, engine) = raw_socket("").await;
    let mut frontend = engine.frontend().unwrap();
    let (head, tail) = CALL.split_at(20);
    let frames = [
        frame(0x02, head.as_bytes()),
        frame(0x89, b"ping"),
        frame(0x80, tail.as_bytes()),
    ]
    .concat();
    client.send(&frames).await;
    assert_eq!(upstream.read_exactly(frames.len()).await, frames);
    let shown = when_rows(&mut frontend, 1).await;
    assert_eq!(shown[0].method.as_deref(), Some("tools/call"));
    assert_eq!(shown[0].size, CALL.len() as u64);
}

#[tokio::test]
async fn compressed_messages_pass_compressed_and_are_shown_in_the_clear() {
    let extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let (mut client, mut upstream, engine) = raw_socket(extension).await;
    let mut frontend = engine.frontend().unwrap();
    let mut deflate = flate2::Compress::new(flate2::Compression::default(), false);
    let mut compressed = Vec::with_capacity(1024);
    deflate
        .compress_vec(CALL.as_bytes(), &mut compressed, flate2::FlushCompress::Sync)
        .unwrap();
    compressed.truncate(compressed.len() - 4);
    let message = frame(0xC1, &compressed);
    client.send(&message).await;
    assert_eq!(upstream.read_exactly(message.len()).await, message);
    let shown = when_rows(&mut frontend, 1).await;
    assert_eq!(shown[0].summary, "echo");
}

#[tokio::test]
async fn what_is_no_websocket_after_all_passes_byte_for_byte_and_the_exchange_says_so() {
    let (mut client, mut upstream, engine) = raw_socket("").await;
    let mut frontend = engine.frontend().unwrap();
    upstream
        .send("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
        .await;
    client.read_through(b"Length: 2\r\n\r\n").await;
    client
        .send("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
        .await;
    upstream.read_through(b"Length: 2\r\n\r\n").await;
    snapshot_when(&mut frontend, "a finding", |snapshot| {
        let mut rows = snapshot.messages.rows.iter();
        rows.any(|row| {
            row.findings
                .iter()
                .any(|finding| finding.text.contains("is not shown"))
        })
    })
    .await;
}

/// A masked frame, as clients send it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126);
    let mut frame = vec![first, 0x80 | length];
    frame.extend(mask);
    frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    frame
}

fn upgrade(host: impl std::fmt::Display, target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mcp\r\n\r\n"
    )
}

/// Both ends, raw, after the consent. `fields` are added to it.
async fn raw_socket(fields: &str) -> (RawPeer, RawPeer, EngineHandle) {
    let server = RawServer::bind().await;
    let engine = engine_for(server.address());
    let request = upgrade(address(&engine), "/ws");
    let (mut client, mut upstream) = begin(&engine, &server, &request).await;
    upstream.send(format!("{CONSENT}{fields}\r\n")).await;
    client.read_head().await;
    (client, upstream, engine)
}

#[tokio::test]
async fn a_forward_client_switches_too_and_both_heads_pass() {
    let server = RawServer::bind().await;
    let engine = engine_with(&[], |_| {});
    let host = server.address();
    let mut client = RawPeer::connect(address(&engine)).await;
    client.send(upgrade(host, &format!("http://{host}/ws"))).await;
    let mut upstream = server.accept().await;
    let asked = upstream.read_head().await;
    assert_eq!(
        asked,
        upgrade(host, "/ws").replace("keep-alive, Upgrade", "Upgrade")
    );
    upstream.send(format!("{CONSENT}\r\nhello")).await;
    assert_eq!(client.read_head().await, format!("{CONSENT}\r\n"));
    assert_eq!(client.read_exactly(5).await, b"hello");
    client.send("anything").await;
    assert_eq!(upstream.read_exactly(8).await, b"anything");
}

#[tokio::test]
async fn a_refusal_is_an_answer_like_any_other() {
    let server = RawServer::bind().await;
    let engine = engine_for(server.address());
    let request = upgrade(address(&engine), "/ws");
    let (mut client, mut upstream) = begin(&engine, &server, &request).await;
    upstream
        .send(stage::json("{}").replace("200 OK", "403 Forbidden"))
        .await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 403 Forbidden"));
    assert_eq!(client.read_exactly(2).await, b"{}");
    // The connection goes on, and its heads are looked at as before.
    client
        .send("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
        .await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn no_other_protocol_is_switched_to() {
    let server = RawServer::bind().await;
    let engine = engine_for(server.address());
    let request = upgrade(address(&engine), "/ws").replace("Upgrade: websocket", "Upgrade: h2c");
    let mut client = RawPeer::connect(address(&engine)).await;
    client.send(request).await;
    let head = server.accept().await.read_head().await;
    assert!(!head.to_ascii_lowercase().contains("upgrade"), "{head}");
}

#[tokio::test]
async fn whoever_leaves_takes_the_other_along() {
    let (client, mut upstream, _engine) = raw_socket("").await;
    drop(client);
    upstream.wait_closed().await;
    let (mut client, upstream, _engine) = raw_socket("").await;
    upstream.reset();
    client.wait_closed().await;
    let (client, mut upstream, _engine) = raw_socket("").await;
    client.reset();
    upstream.wait_closed().await;
}

#[tokio::test]
async fn a_close_that_is_no_usual_one_is_shown_with_its_reason() {
    let (engine, mut client, mut server) = sockets(|_| {}).await;
    let mut frontend = engine.frontend().unwrap();
    let close = CloseFrame {
        code: CloseCode::Error,
        reason: "out of paper".into(),
    };
    server.close(Some(close)).await.unwrap();
    assert!(matches!(hear(&mut client).await, Message::Close(Some(_))));
    drop((client, server));
    let snapshot = snapshot_when(&mut frontend, "the end", |snapshot| {
        // The exchange ends after its session, and only then is its failure known.
        let mut rows = snapshot.messages.rows.iter();
        snapshot
            .sessions
            .rows
            .iter()
            .any(|row| row.state == SessionState::Ended)
            && rows.any(|row| row.kind == RowKind::Http && matches!(row.state, RowState::Answered { .. }))
    })
    .await;
    let id = snapshot.messages.rows[0].id;
    let detail = soon("a detail", frontend.commands.ask(Command::Inspect { id })).await;
    let Reply::Detail(detail) = detail.unwrap() else {
        panic!("no detail");
    };
    let failure = detail.exchange.unwrap().failure.unwrap();
    assert!(
        failure.contains("server") && failure.contains("1011: out of paper"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_session_that_the_request_named_goes_on_when_its_websocket_closes() {
    let server = RawServer::bind().await;
    let engine = engine_for(server.address());
    let mut frontend = engine.frontend().unwrap();
    let request = upgrade(address(&engine), "/ws").replace("\r\n\r\n", "\r\nMcp-Session-Id: s-1\r\n\r\n");
    let (mut client, mut upstream) = begin(&engine, &server, &request).await;
    upstream.send(format!("{CONSENT}\r\n")).await;
    client.read_head().await;
    drop((client, upstream));
    let snapshot = snapshot_when(&mut frontend, "the end of the exchange", |snapshot| {
        let mut rows = snapshot.messages.rows.iter();
        rows.any(|row| row.kind == RowKind::Http && matches!(row.state, RowState::Answered { .. }))
    })
    .await;
    let session = &snapshot.sessions.rows[0];
    assert_eq!(session.basis, SessionBasis::SessionHeader);
    assert_ne!(session.state, SessionState::Ended);
}

#[tokio::test]
async fn a_client_that_does_not_read_makes_its_server_wait_and_nobody_else() {
    let (mut client, mut upstream, _engine) = raw_socket("").await;
    // More than all buffers of the systems between the two.
    let message = vec![0; 64 << 20];
    let mut frame = vec![0x82, 127];
    frame.extend((message.len() as u64).to_be_bytes());
    upstream.send(frame).await;
    let stuck = tokio::time::timeout(Duration::from_millis(300), upstream.socket.write_all(&message));
    assert!(stuck.await.is_err(), "all of it was taken though nobody reads");
    client.send("still heard").await;
    let mut heard = [0; 11];
    soon("the other direction", upstream.socket.read_exact(&mut heard))
        .await
        .unwrap();
    assert_eq!(&heard, b"still heard");
}

#[tokio::test]
async fn a_socket_beyond_the_share_of_tunnels_is_refused_at_once() {
    let server = RawServer::bind().await;
    let engine = engine_with(&[&format!("http://{}/mcp", server.address())], |config| {
        config.limits.max_tasks_per_kind = 1;
    });
    let request = upgrade(address(&engine), "/ws");
    let (mut first, mut upstream) = begin(&engine, &server, &request).await;
    upstream.send(format!("{CONSENT}\r\n")).await;
    first.read_head().await;
    let mut second = RawPeer::connect(address(&engine)).await;
    second.send(&request).await;
    assert!(second.read_head().await.starts_with("HTTP/1.1 503"));
}

#[tokio::test]
async fn an_opened_recording_shows_the_messages_of_a_websocket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket.jsonl");
    let (engine, mut client, mut server) = sockets(|config| {
        config.record = Some(RecordConfig {
            path: Some(path.clone()),
        });
    })
    .await;
    let mut frontend = engine.frontend().unwrap();
    say(&mut client, CALL).await;
    hear(&mut server).await;
    say(&mut server, ANSWER).await;
    hear(&mut client).await;
    client.close(None).await.unwrap();
    hear(&mut server).await;
    drop((client, server));
    snapshot_when(&mut frontend, "the end", |snapshot| {
        let mut sessions = snapshot.sessions.rows.iter();
        sessions.any(|row| row.state == SessionState::Ended)
    })
    .await;
    let live = of_socket(rows(&frontend).await);
    engine.shut_down();
    let opened = Engine::open(&path, &ResourceLimits::default(), LogRing::default()).unwrap();
    let mut frontend = opened.frontend().unwrap();
    let snapshot = snapshot_when(&mut frontend, "the session's end", |snapshot| {
        let mut sessions = snapshot.sessions.rows.iter();
        sessions.any(|row| row.state == SessionState::Ended)
    })
    .await;
    assert_eq!(snapshot.sessions.rows[0].basis, SessionBasis::Socket);
    let shown = of_socket(rows(&frontend).await);
    let facts = |rows: &[MessageRow]| {
        let facts = rows.iter().map(|row| {
            (
                row.kind,
                row.method.clone(),
                row.rpc_id.clone(),
                row.size,
                row.has_body,
            )
        });
        facts.collect::<Vec<_>>()
    };
    assert_eq!(facts(&shown), facts(&live));
    assert_eq!(shown.len(), 2);
}
