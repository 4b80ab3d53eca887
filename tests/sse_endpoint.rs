//! HTTP+SSE (MCP 2024-11-05) behind the proxy: the address in the first event leads through it, the messages that are posted
//! there belong to the stream's session, and everything else on the stream is as the server wrote it.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

mod support;

use support::stage::{ACCEPTED, EVENTS};
use support::*;

use std::io::Write as _;
use std::net::SocketAddr;

use shadowcat::config::RecordConfig;
use shadowcat::engine::{Engine, EngineHandle};
use shadowcat::frontend::Frontend;
use shadowcat::limits::ResourceLimits;
use shadowcat::resource::log_ring::LogRing;
use shadowcat::snapshot::{Command, MessageDetail, Reply, RowKind, SessionBasis, SessionState, Source};

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"old","version":"1"}}}"#;
const RESULT: &str = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2024-11-05","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}"#;

fn get(host: SocketAddr, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n")
}

fn post_to(host: SocketAddr, path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// An open stream: the client's end, the server's end, and the request line that the server got.
async fn open_stream(engine: &EngineHandle, server: &RawServer, path: &str) -> (RawPeer, RawPeer, String) {
    let mut client = RawPeer::connect(address(engine)).await;
    client.send(get(address(engine), path)).await;
    let mut upstream = server.accept().await;
    let head = upstream.read_head().await;
    upstream.send(EVENTS).await;
    (client, upstream, head.lines().next().unwrap().to_owned())
}

async fn inspect(frontend: &Frontend, is_it: impl Fn(&MessageDetail) -> bool) -> MessageDetail {
    for row in rows(frontend).await {
        let asked = Command::Inspect { id: row.id };
        if let Reply::Detail(detail) = soon("a detail", frontend.commands.ask(asked)).await.unwrap()
            && is_it(&detail)
        {
            return *detail;
        }
    }
    panic!("no such row");
}

async fn endpoint_event(frontend: &mut Frontend) -> MessageDetail {
    snapshot_when(frontend, "the endpoint event", |snapshot| {
        snapshot
            .messages
            .rows
            .iter()
            .any(|row| row.summary.contains("endpoint"))
    })
    .await;
    let is_it = |detail: &MessageDetail| detail.sse.as_ref().is_some_and(|sse| sse.event == "endpoint");
    inspect(frontend, is_it).await
}

#[tokio::test]
async fn an_address_under_a_named_upstream_leads_through_it_and_all_is_one_session() {
    let server = RawServer::bind().await;
    let url = format!("ev=http://{}/sse", server.address());
    let engine = engine_with(&[&url], |config| config.limits.max_idle_per_upstream = 0);
    let mut frontend = engine.frontend().unwrap();
    let (mut client, mut stream, line) = open_stream(&engine, &server, "/ev").await;
    assert_eq!(line, "GET /sse HTTP/1.1");
    stream
        .send(": hi\n\nevent: endpoint\nid: 7\ndata: /messages?sessionId=a1\n\n")
        .await;
    client.read_head().await;
    let first = b": hi\n\nevent: endpoint\nid: 7\ndata: /ev/messages?sessionId=a1\n\n";
    assert_eq!(client.read_chunked(first.len()).await, first);

    let request = post_to(address(&engine), "/ev/messages?sessionId=a1", INITIALIZE);
    let mut poster = RawPeer::connect(address(&engine)).await;
    poster.send(&request).await;
    let mut upstream = server.accept().await;
    let head = upstream.read_head().await;
    assert!(
        head.starts_with("POST /messages?sessionId=a1 HTTP/1.1\r\n"),
        "{head}"
    );
    upstream.read_exactly(INITIALIZE.len()).await;
    upstream.send(ACCEPTED).await;
    poster.read_head().await;
    let answer = format!("event: message\ndata: {RESULT}\n\n");
    stream.send(&answer).await;
    assert_eq!(client.read_chunked(answer.len()).await, answer.as_bytes());

    let snapshot = snapshot_when(&mut frontend, "the answer", |snapshot| {
        let rows = &snapshot.messages.rows;
        rows.iter().any(|row| row.kind == RowKind::Result)
    })
    .await;
    let [session] = &snapshot.sessions.rows[..] else {
        panic!("{:#?}", snapshot.sessions.rows)
    };
    assert_eq!(session.basis, SessionBasis::SseEndpoint);
    assert!(
        snapshot
            .messages
            .rows
            .iter()
            .all(|row| row.session == Some(session.id))
    );
    let Source::Live { upstreams, .. } = &snapshot.source else {
        panic!("{:?}", snapshot.source);
    };
    assert!(upstreams[0].speaks_sse, "clients have to be told");
    let event = endpoint_event(&mut frontend).await;
    assert_eq!(event.body.unwrap().bytes, "/messages?sessionId=a1");
    let exchange = event.exchange.unwrap();
    assert_eq!(
        exchange.response_body_rewrites,
        ["endpoint: /messages?sessionId=a1 → /ev/messages?sessionId=a1"]
    );
}

#[tokio::test]
async fn an_absolute_address_becomes_ours_and_what_follows_is_not_waited_for() {
    let server = RawServer::bind().await;
    let engine = engine_with(&[&format!("http://{}/sse", server.address())], |_| {});
    let own = address(&engine);
    let (mut client, mut stream, _) = open_stream(&engine, &server, "/sse").await;
    let event = |origin: SocketAddr| format!("event: endpoint\r\ndata:http://{origin}/m?s=1\r\n\r\n");
    stream.send(event(server.address())).await;
    client.read_head().await;
    let first = event(own);
    assert_eq!(client.read_chunked(first.len()).await, first.as_bytes());
    // Neither a part of an event nor a second endpoint is held or changed any more.
    let rest = format!("{}data: half", event(server.address()));
    stream.send(&rest).await;
    assert_eq!(client.read_chunked(rest.len()).await, rest.as_bytes());
}

#[tokio::test]
async fn a_first_event_that_never_becomes_whole_goes_on_with_the_end() {
    let server = RawServer::bind().await;
    let engine = engine_with(&[&format!("http://{}/sse", server.address())], |_| {});
    let (mut client, mut stream, _) = open_stream(&engine, &server, "/sse").await;
    stream.send("event: endpoint\ndata: http://").await;
    drop(stream);
    client.read_head().await;
    assert_eq!(client.read_all_chunks().await, b"event: endpoint\ndata: http://");
}

#[tokio::test]
async fn a_stream_of_stated_length_gets_the_length_that_it_has_for_the_client() {
    let server = RawServer::bind().await;
    let engine = engine_with(&[&format!("ev=http://{}/sse", server.address())], |_| {});
    let mut client = RawPeer::connect(address(&engine)).await;
    client.send(get(address(&engine), "/ev")).await;
    let mut upstream = server.accept().await;
    upstream.read_head().await;
    let body = "event: endpoint\ndata: /m\n\ndata: {}\n\n";
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 36\r\nX-Last: 1\r\n\r\n";
    assert_eq!(body.len(), 36);
    upstream.send([head, body].concat()).await;
    let head = client.read_head().await;
    assert!(head.contains("Content-Length: 39\r\nX-Last: 1\r\n"), "{head}");
    assert_eq!(
        client.read_exactly(39).await,
        b"event: endpoint\ndata: /ev/m\n\ndata: {}\n\n"
    );
}

#[tokio::test]
async fn a_compressed_stream_is_left_alone_and_says_what_the_client_should_have_read() {
    let server = RawServer::bind().await;
    let url = format!("ev=http://{}/sse", server.address());
    let engine = engine_with(&[&url], |_| {});
    let mut frontend = engine.frontend().unwrap();
    let mut client = RawPeer::connect(address(&engine)).await;
    client.send(get(address(&engine), "/ev")).await;
    let mut upstream = server.accept().await;
    upstream.read_head().await;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(b"event: endpoint\ndata: /m?s=1\n\n").unwrap();
    let packed = encoder.finish().unwrap();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n";
    upstream.send(head).await;
    upstream.send(&packed).await;
    client.read_head().await;
    assert_eq!(client.read_chunked(packed.len()).await, packed);
    let event = endpoint_event(&mut frontend).await;
    assert!(
        event.row.findings[0]
            .text
            .contains("/ev/m?s=1 in place of /m?s=1"),
        "{event:#?}"
    );
}

#[tokio::test]
async fn a_forward_proxy_changes_nothing_and_still_sees_one_session() {
    let server = RawServer::bind().await;
    let engine = engine_with(&[], |config| config.limits.max_idle_per_upstream = 0);
    let mut frontend = engine.frontend().unwrap();
    let origin = format!("http://{}", server.address());
    let mut client = RawPeer::connect(address(&engine)).await;
    client.send(get(server.address(), &format!("{origin}/sse"))).await;
    let mut stream = server.accept().await;
    stream.read_head().await;
    stream.send(EVENTS).await;
    let event = format!("event: endpoint\ndata: {origin}/m?s=1\n\n");
    stream.send(&event).await;
    client.read_head().await;
    assert_eq!(client.read_chunked(event.len()).await, event.as_bytes());
    let request = post_to(server.address(), &format!("{origin}/m?s=1"), INITIALIZE);
    let (mut poster, mut upstream) = begin(&engine, &server, &request).await;
    upstream.send(ACCEPTED).await;
    poster.read_head().await;
    let snapshot = snapshot_when(&mut frontend, "the request", |snapshot| {
        let rows = &snapshot.messages.rows;
        rows.iter().any(|row| row.kind == RowKind::Request)
    })
    .await;
    assert_eq!(snapshot.sessions.rows.len(), 1);
    assert_eq!(snapshot.sessions.rows[0].basis, SessionBasis::SseEndpoint);
}

#[tokio::test]
async fn a_recording_has_what_arrived_and_what_was_made_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.jsonl");
    let server = RawServer::bind().await;
    let url = format!("ev=http://{}/sse", server.address());
    let engine = engine_with(&[&url], |config| {
        config.record = Some(RecordConfig {
            path: Some(path.clone()),
        });
    });
    let (mut client, mut stream, _) = open_stream(&engine, &server, "/ev").await;
    stream.send("event: endpoint\ndata: /m?session=a1\n\n").await;
    client.read_head().await;
    client.read_chunk().await;
    drop((client, stream));
    engine.shut_down();

    let text = std::fs::read_to_string(&path).unwrap();
    let line = text
        .lines()
        .find(|line| line.contains(r#""type":"rewrite""#))
        .unwrap();
    assert!(
        line.contains(r#""rewrites":["endpoint: /m?session=a1 → /ev/m?session=a1"]"#),
        "{line}"
    );
    assert!(text.contains(r#""text":"event: endpoint\ndata: /m?session=a1\n\n""#));
    let opened = Engine::open(&path, &ResourceLimits::default(), LogRing::default()).unwrap();
    let mut frontend = opened.frontend().unwrap();
    snapshot_when(&mut frontend, "the whole file", |snapshot| {
        match &snapshot.source {
            Source::File {
                read_bytes,
                total_bytes,
                ..
            } => read_bytes == total_bytes,
            Source::Live { .. } => false,
        }
    })
    .await;
    let event = endpoint_event(&mut frontend).await;
    let rewrites = event.exchange.unwrap().response_body_rewrites;
    assert!(rewrites[0].starts_with("endpoint: "), "{rewrites:?}");
}

#[tokio::test]
async fn a_session_is_over_when_its_stream_is_gone_whoever_ends_it() {
    let server = RawServer::bind().await;
    let engine = engine_with(&[&format!("http://{}/sse", server.address())], |_| {});
    let mut frontend = engine.frontend().unwrap();
    // The second gets the same address, as from a server that tells sessions apart by other means.
    for (ended, is_by_server) in [(1, true), (2, false)] {
        let (mut client, mut stream, _) = open_stream(&engine, &server, "/sse").await;
        let first = "event: endpoint\ndata: /messages\n\n";
        stream.send(first).await;
        client.read_head().await;
        client.read_chunked(first.len()).await;
        let is_ended = |state: &SessionState| *state == SessionState::Ended;
        snapshot_when(&mut frontend, "a session that goes on", |snapshot| {
            let states: Vec<_> = snapshot.sessions.rows.iter().map(|row| row.state).collect();
            states.len() == ended && !states.last().is_some_and(is_ended)
        })
        .await;
        if is_by_server {
            drop(stream);
            client.read_all_chunks().await;
        } else {
            drop(client);
        }
        snapshot_when(&mut frontend, "the end of the session", |snapshot| {
            snapshot
                .sessions
                .rows
                .iter()
                .filter(|row| is_ended(&row.state))
                .count()
                == ended
        })
        .await;
    }
}
