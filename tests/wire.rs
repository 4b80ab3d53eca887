//! With `--record-secrets` the frames of a recording are the bytes of the wire: HTTP+SSE and web sockets. Commands behind
//! HTTP are in `tests/bridge`, HTTPS in `tests/intercept`, pipes in the tests of the program.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

#[path = "support/recorded.rs"]
#[expect(unreachable_pub, reason = "other programs use it too")]
mod recorded;
mod support;

use futures_util::{SinkExt as _, StreamExt as _};
use recorded::{assert_recorded, recorded, with_secrets};
use shadowcat::recording::RecordingReader;
use shadowcat::recording::format::Line;
use shadowcat::snapshot::{Carrier, Direction, SentHead};
use support::*;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{accept_async, client_async};

const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"login","arguments":{"password":"s3cr3t-1"}}}"#;

/// The events of a stream, one with lines ended in another way, one with two lines of data.
const EVENTS: [&str; 3] = [
    "event: endpoint\ndata: /messages?sessionId=s3cr3t-2\n\n",
    ": still here\r\n\r\n",
    "event: message\r\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\r\ndata: \"result\":{\"access_token\":\"s3cr3t-3\"}}\r\n\r\n",
];

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn http_sse_is_recorded_byte_for_byte() {
    let server = RawServer::bind().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("w.jsonl");
    let engine = engine_with(&[&format!("http://{}/sse", server.address())], |config| {
        with_secrets(config, &path);
    });
    let host = address(&engine);
    let get = format!("GET /sse HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer s3cr3t-0\r\n\r\n");
    let (mut client, mut upstream) = begin(&engine, &server, &get).await;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    upstream.send(format!("{head}{}", chunk(EVENTS[0]))).await;
    let post = format!(
        "POST /messages?sessionId=s3cr3t-2 HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    // It reads the body, too, as long as it was sent.
    let (mut poster, mut handler) = begin(&engine, &server, &post).await;
    handler
        .send("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert!(poster.read_head().await.starts_with("HTTP/1.1 202 "));
    upstream
        .send(format!("{}{}0\r\n\r\n", chunk(EVENTS[1]), chunk(EVENTS[2])))
        .await;
    client.read_head().await;
    let came = client.read_all_chunks().await;
    assert_eq!(came, EVENTS.concat().as_bytes());
    tokio::task::block_in_place(|| engine.shut_down());
    assert_eq!(recorded(&path, Carrier::Sse, Direction::ServerToClient), came);
    assert_recorded(&path, Carrier::Http, BODY.as_bytes(), b"");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("Bearer s3cr3t-0"), "{text}");
}

/// A head as it was sent on, by what is recorded of the one that came; names in lower case.
fn sent_on(came: &str, sent: Option<&SentHead>) -> Vec<String> {
    let sent = sent.cloned().unwrap_or_default();
    let mut lines = came.trim_end().split("\r\n");
    let line = lines.next().unwrap();
    let mut head = vec![sent.line.as_deref().unwrap_or(line).to_owned()];
    let field = |(name, value): (&str, &str)| format!("{}: {}", name.to_ascii_lowercase(), value.trim());
    let is_replaced = |name: &str| sent.set.iter().any(|(other, _)| other == name);
    for (name, value) in lines.map(|line| line.split_once(':').unwrap()) {
        let lower = name.to_ascii_lowercase();
        if !sent.removed.contains(&lower) && !is_replaced(&lower) {
            head.push(field((name, value)));
        }
    }
    head.extend(sent.set.iter().map(|(name, value)| field((name, value))));
    head[1..].sort();
    head
}

#[tokio::test(flavor = "multi_thread")]
async fn the_heads_that_were_sent_on_follow_from_the_recorded_ones() {
    let server = RawServer::bind().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("w.jsonl");
    let engine = engine_with(&[&format!("up=http://{}", server.address())], |config| {
        with_secrets(config, &path);
    });
    let asked = format!(
        "POST /up/mcp HTTP/1.1\r\nHost: {}\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\nTE: gzip\r\nAccept: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        address(&engine)
    );
    let body = format!("{}0\r\n\r\n", chunk(BODY));
    let mut client = RawPeer::connect(address(&engine)).await;
    client.send(format!("{asked}{body}")).await;
    let mut upstream = server.accept().await;
    let arrived = upstream.read_head().await;
    upstream.read_all_chunks().await;
    let answer = "HTTP/1.0 200 Fine\r\nKeep-Alive: timeout=5\r\nContent-Type: application/json\r\nLocation: /a\r\n\r\n";
    upstream.send(format!("{answer}{{}}")).await;
    drop(upstream);
    let given = client.read_head().await;
    client.read_all_chunks().await;
    tokio::task::block_in_place(|| engine.shut_down());

    let (mut of_request, mut of_response) = (None, None);
    for record in RecordingReader::open(&path).unwrap() {
        match record.unwrap().line {
            Line::Request(line) => of_request = line.sent,
            Line::Response(line) => of_response = line.sent,
            _ => {}
        }
    }
    assert_eq!(
        sent_on(&asked, of_request.as_deref()),
        sent_on(&arrived, None),
        "{of_request:?}"
    );
    assert_eq!(
        sent_on(answer, of_response.as_deref()),
        sent_on(&given, None),
        "{of_response:?}"
    );
    let line = of_response.unwrap().line;
    assert_eq!(line.as_deref(), Some("HTTP/1.1 200 Fine"));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_websocket_are_recorded_byte_for_byte() {
    let server = RawServer::bind().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("w.jsonl");
    let engine = engine_with(&[&format!("http://{}/mcp", server.address())], |config| {
        with_secrets(config, &path);
    });
    let host = address(&engine);
    let connecting = async {
        let stream = tokio::net::TcpStream::connect(host).await.unwrap();
        let request = format!("ws://{host}/ws?token=s3cr3t-4").into_client_request();
        client_async(request.unwrap(), stream).await.unwrap().0
    };
    let accepting = async { accept_async(server.accept().await.socket).await.unwrap() };
    let (mut client, mut upstream) = tokio::join!(connecting, accepting);
    let long = format!("{{\"token\":\"s3cr3t-5\",\"text\":\"{}\"}}", "é".repeat(70_000));
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for message in [
        Message::text(BODY),
        Message::binary(vec![0, 255, 254, b'{']),
        Message::text(long),
        Message::text(""),
    ] {
        client.send(message.clone()).await.unwrap();
        assert_eq!(
            soon("a message", upstream.next()).await.unwrap().unwrap(),
            message
        );
        up.extend_from_slice(&message.clone().into_data());
        upstream.send(message.clone()).await.unwrap();
        assert_eq!(soon("a message", client.next()).await.unwrap().unwrap(), message);
        down.extend_from_slice(&message.into_data());
    }
    client.close(None).await.unwrap();
    while upstream.next().await.is_some() {}
    tokio::task::block_in_place(|| engine.shut_down());
    assert_recorded(&path, Carrier::WebSocket, &up, &down);
}
