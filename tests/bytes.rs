//! The byte promises, tested with raw sockets on both sides.

mod support;

use std::io::Write as _;

use support::*;

const EVENT_STREAM: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// A client and a server with an engine between them; the client has asked, the server has read the request.
async fn asked(body: &str) -> (shadowcat::engine::EngineHandle, RawPeer, RawPeer, String) {
    let server = RawServer::bind().await;
    let engine = engine_for(server.address());
    let mut client = RawPeer::connect(address(&engine)).await;
    client.send(post(address(&engine), body)).await;
    let mut upstream = server.accept().await;
    let head = upstream.read_head().await;
    upstream.read_exactly(body.len()).await;
    (engine, client, upstream, head)
}

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;

#[tokio::test]
async fn odd_event_streams_arrive_byte_for_byte() {
    let (_engine, mut client, mut upstream, _) = asked(CALL).await;
    upstream.send(EVENT_STREAM).await;
    client.read_head().await;
    let stream: &[&[u8]] = &[
        b"\xEF\xBB\xBF: a comment\r\n\r",
        b"\ndata: \xE2\x82",
        b"\xAC\r\rdata:x\nid\n\n",
        b"unknown: field\nretry: +5\n\n: keepalive\n\n\n\n",
        b"data: {\"bad\": \xff}\n\n",
        b"data: a trailing fragment",
    ];
    for piece in stream {
        upstream.send(chunk(piece)).await;
        assert_eq!(client.read_chunked(piece.len()).await, *piece);
    }
    upstream.send("0\r\n\r\n").await;
    assert_eq!(client.read_chunk().await, b"");
}

#[tokio::test]
async fn the_first_event_arrives_before_the_second_is_sent() {
    let (_engine, mut client, mut upstream, _) = asked(CALL).await;
    upstream.send(EVENT_STREAM).await;
    client.read_head().await;
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        upstream.send(chunk(event.as_bytes())).await;
        assert_eq!(client.read_chunk().await, event.as_bytes());
    }
}

#[tokio::test]
async fn a_huge_event_passes_in_large_and_in_tiny_writes() {
    let event = format!("data: {}\n\n", "x".repeat(5 << 20)).into_bytes();
    for step in [65_536, 1] {
        let (_engine, mut client, upstream, _) = asked(CALL).await;
        let writer = upstream.socket.into_std().unwrap();
        let sent = event.clone();
        let writing = std::thread::Builder::new().spawn(move || {
            writer.set_nonblocking(false).unwrap();
            writer.set_nodelay(false).unwrap();
            let mut writer = &writer;
            writer
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
                .unwrap();
            for piece in sent.chunks(step) {
                writer.write_all(piece).unwrap();
            }
        });
        client.read_head().await;
        assert!(
            client.read_chunked(event.len()).await == event,
            "the bytes differ"
        );
        assert_eq!(client.read_chunk().await, b"");
        writing.unwrap().join().unwrap();
    }
}

#[tokio::test]
async fn a_compressed_stream_stays_compressed_and_comes_event_by_event() {
    let (engine, mut client, mut upstream, _) = asked(CALL).await;
    let mut frontend = engine.frontend().unwrap();
    upstream
        .send(EVENT_STREAM.replace("\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\n"))
        .await;
    assert!(client.read_head().await.contains("Content-Encoding: gzip"));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    for number in 1..=3 {
        let data = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":{number}}}}}"#
        );
        write!(encoder, "data: {data}\n\n").unwrap();
        encoder.flush().unwrap();
        let bytes = std::mem::take(encoder.get_mut());
        upstream.send(chunk(&bytes)).await;
        assert_eq!(client.read_chunked(bytes.len()).await, bytes);
        snapshot_when(&mut frontend, "the event on screen", |snapshot| {
            snapshot.messages.total == number + 1
        })
        .await;
    }
}

#[tokio::test]
async fn an_empty_202_keeps_its_length_and_gets_nothing_added() {
    let (_engine, mut client, mut upstream, _) =
        asked(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    upstream
        .send("HTTP/1.1 202 Taken\r\nContent-Length: 0\r\nX-ZeTa: 1\r\n\r\n")
        .await;
    assert_eq!(
        client.read_head().await,
        "HTTP/1.1 202 Taken\r\nContent-Length: 0\r\nX-ZeTa: 1\r\n\r\n"
    );
}

#[tokio::test]
async fn a_request_arrives_with_its_own_spelling_order_and_target() {
    let server = RawServer::bind().await;
    let engine = engine_for(server.address());
    let mut client = RawPeer::connect(address(&engine)).await;
    let head = format!(
        "POST /a/../b//c%2f?x=%27&&é=[1] HTTP/1.1\r\nhOsT: {}\r\nX-ZeTa: 1\r\naccept: a\r\nAccept: b\r\nx-empty:\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
        address(&engine)
    )
    .replace('é', "%C3%A9");
    client.send(&head).await;
    let mut upstream = server.accept().await;
    let seen = upstream.read_head().await;
    let expected = format!(
        "POST /a/../b//c%2f?x=%27&&%C3%A9=[1] HTTP/1.1\r\nhOsT: {}\r\nX-ZeTa: 1\r\naccept: a\r\nAccept: b\r\nx-empty:\r\nContent-Length: 2\r\n\r\n",
        server.address()
    );
    assert_eq!(seen, expected);
    assert_eq!(upstream.read_exactly(2).await, b"hi");
}

#[tokio::test]
async fn repeated_response_fields_and_reason_and_trailers_are_kept() {
    let server = RawServer::bind().await;
    let engine = engine_for(server.address());
    let mut client = RawPeer::connect(address(&engine)).await;
    client
        .send(format!(
            "GET /mcp HTTP/1.1\r\nHost: {}\r\nTE: trailers\r\n\r\n",
            address(&engine)
        ))
        .await;
    let mut upstream = server.accept().await;
    assert!(upstream.read_head().await.contains("TE: trailers"));
    upstream
        .send(
            "HTTP/1.1 200 Very Fine\r\nSet-Cookie: a=1\r\nWWW-Authenticate: DPoP\r\nset-cookie: b=2\r\nTrailer: X-End\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-End: yes\r\n\r\n",
        )
        .await;
    let head = client.read_head().await;
    assert!(head.starts_with("HTTP/1.1 200 Very Fine\r\n"), "{head}");
    let cookies: Vec<&str> = head
        .lines()
        .filter(|line| line.to_lowercase().starts_with("set-cookie"))
        .collect();
    assert_eq!(cookies, ["Set-Cookie: a=1", "set-cookie: b=2"]);
    assert!(!head.to_lowercase().contains("\r\ndate:") && !head.to_lowercase().contains("\r\nserver:"));
    assert_eq!(client.read_chunk().await, b"ok");
    let end = String::from_utf8(client.read_through(b"\r\n\r\n").await).unwrap();
    assert_eq!(end.to_lowercase(), "0\r\nx-end: yes\r\n\r\n");
}

#[tokio::test]
async fn an_abort_stays_an_abort() {
    for head in [
        EVENT_STREAM,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n",
    ] {
        let (engine, mut client, mut upstream, _) = asked(CALL).await;
        let mut frontend = engine.frontend().unwrap();
        upstream.send(head).await;
        let piece = if head == EVENT_STREAM {
            chunk(b"data: 1\n\n")
        } else {
            b"{\"half\":".to_vec()
        };
        upstream.send(&piece).await;
        client.read_head().await;
        client.read_exactly(piece.len()).await;
        drop(upstream);
        let (rest, _) = client.read_to_end().await;
        assert_eq!(rest, b"", "a truncated body must not get a well-formed end");
        snapshot_when(&mut frontend, "the failed call", |snapshot| {
            snapshot.totals.errors > 0
        })
        .await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_byte_ends_the_upstream_exchange() {
    let (engine, client, mut upstream, _) = asked(CALL).await;
    drop(client);
    upstream.wait_closed().await;
    let mut frontend = engine.frontend().unwrap();
    snapshot_when(&mut frontend, "the cancelled call", |snapshot| {
        snapshot.totals.messages == 1 && snapshot.totals.open_calls == 0
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_a_silent_stream_ends_it_upstream() {
    let (_engine, mut client, mut upstream, _) = asked(CALL).await;
    upstream.send(EVENT_STREAM).await;
    client.read_head().await;
    drop(client);
    upstream.wait_closed().await;
}

#[tokio::test]
async fn smuggling_shapes_are_answered_400_and_never_forwarded() {
    let server = RawServer::bind().await;
    let engine = engine_for(server.address());
    let host = address(&engine);
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 6",
        "Transfer-Encoding: chunked, identity",
        "X: a\r\n folded: b",
        "Content-Length : 5",
        "X: a\rb: c",
    ] {
        let mut client = RawPeer::connect(host).await;
        client.send(format!("POST /mcp HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        let (answer, _) = client.read_to_end().await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{fields}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{fields}: {answer}");
    }
    // The first thing the server ever sees is an honest request.
    let mut client = RawPeer::connect(host).await;
    client.send(post(host, CALL)).await;
    assert!(server.accept().await.read_head().await.starts_with("POST /mcp "));
}

#[tokio::test]
async fn a_slow_reader_stops_only_its_own_upstream() {
    let server = RawServer::bind().await;
    let engine = engine_for(server.address());
    let host = address(&engine);
    let mut stalled = RawPeer::connect(host).await;
    stalled.send(post(host, CALL)).await;
    let mut flooding = server.accept().await;
    flooding.read_head().await;
    flooding
        .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 1000000000\r\n\r\n")
        .await;
    let block = format!("data: {}\n\n", "x".repeat(60_000));
    let mut flooded = 0_usize;
    while let Ok(Ok(())) = tokio::time::timeout(
        std::time::Duration::from_secs(2),
        tokio::io::AsyncWriteExt::write_all(&mut flooding.socket, block.as_bytes()),
    )
    .await
    {
        flooded += block.len();
        assert!(flooded < 100 << 20, "nothing holds the flood back");
    }
    let mut other = RawPeer::connect(host).await;
    other.send(post(host, CALL)).await;
    let mut upstream = server.accept().await;
    upstream.read_head().await;
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    other.read_head().await;
    assert_eq!(other.read_exactly(2).await, b"ok");
}

#[tokio::test]
async fn an_unreachable_upstream_is_a_502_that_names_it_and_carries_the_id() {
    let gone = RawServer::bind().await.address();
    let engine = engine_for(gone);
    let host = address(&engine);
    let mut client = RawPeer::connect(host).await;
    client
        .send(post(host, r#"{"jsonrpc":"2.0","id":"a-1","method":"ping"}"#))
        .await;
    let head = client.read_head().await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert!(head.contains("shadowcat-error: upstream_failed"), "{head}");
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap()
        .parse()
        .unwrap();
    let body: serde_json::Value = serde_json::from_slice(&client.read_exactly(length).await).unwrap();
    assert_eq!(body["id"], "a-1");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(
        message.contains(&gone.to_string()) && message.contains("refused"),
        "{message}"
    );
    let mut frontend = engine.frontend().unwrap();
    snapshot_when(&mut frontend, "the call and its failure", |snapshot| {
        snapshot
            .messages
            .rows
            .iter()
            .any(|row| row.method.as_deref() == Some("ping"))
            && snapshot.totals.errors > 0
    })
    .await;
}

#[tokio::test]
async fn foreign_hosts_are_403_and_nothing_reaches_the_server() {
    let server = RawServer::bind().await;
    let engine = engine_for(server.address());
    let mut client = RawPeer::connect(address(&engine)).await;
    client
        .send("POST /mcp HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 403 "));
    assert!(futures_util::FutureExt::now_or_never(server.accept()).is_none());
}

#[tokio::test]
async fn an_absolute_target_goes_where_it_says() {
    let server = RawServer::bind().await;
    let engine = engine_with(&[], |_| {});
    let mut client = RawPeer::connect(address(&engine)).await;
    let target = server.address();
    client.send(format!("POST http://{target}/x?y HTTP/1.1\r\nHost: {target}\r\nProxy-Connection: keep-alive\r\nContent-Length: 2\r\n\r\nhi")).await;
    let mut upstream = server.accept().await;
    assert_eq!(
        upstream.read_head().await,
        format!("POST /x?y HTTP/1.1\r\nHost: {target}\r\nContent-Length: 2\r\n\r\n")
    );
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(client.read_head().await, "HTTP/1.1 204 No Content\r\n\r\n");
}

#[tokio::test]
async fn connect_opens_a_blind_tunnel_that_is_shown_as_one() {
    let server = RawServer::bind().await;
    let engine = engine_with(&[], |_| {});
    let mut frontend = engine.frontend().unwrap();
    let mut client = RawPeer::connect(address(&engine)).await;
    client
        .send(format!(
            "CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n",
            server.address()
        ))
        .await;
    assert_eq!(client.read_head().await, "HTTP/1.1 200 OK\r\n\r\n");
    let mut upstream = server.accept().await;
    client.send(b"\x16\x03\x01 not looked at").await;
    assert_eq!(upstream.read_exactly(17).await, b"\x16\x03\x01 not looked at");
    upstream.send("pong").await;
    assert_eq!(client.read_exactly(4).await, b"pong");
    let is_tunnel = |row: &shadowcat::snapshot::MessageRow| row.kind == shadowcat::snapshot::RowKind::Tunnel;
    snapshot_when(&mut frontend, "the tunnel's row", |snapshot| {
        snapshot.messages.rows.iter().any(is_tunnel)
    })
    .await;
    drop(client);
    upstream.wait_closed().await;
}

#[tokio::test]
async fn a_request_with_nowhere_to_go_gets_a_page_that_helps() {
    let engine = engine_with(&[], |_| {});
    let mut client = RawPeer::connect(address(&engine)).await;
    client
        .send(format!(
            "GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            address(&engine)
        ))
        .await;
    let (answer, _) = client.read_to_end().await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 502 ")
            && answer.contains("--upstream")
            && answer.contains("HTTP_PROXY="),
        "{answer}"
    );
}

#[tokio::test]
async fn a_head_above_the_limit_is_431() {
    let server = RawServer::bind().await;
    let engine = engine_for(server.address());
    let mut client = RawPeer::connect(address(&engine)).await;
    let fields: Vec<String> = (0..300).map(|number| format!("x-{number}: y")).collect();
    let fields = fields.join("\r\n") + "\r\n";
    client
        .send(format!(
            "GET /mcp HTTP/1.1\r\nHost: {}\r\n{fields}\r\n",
            address(&engine)
        ))
        .await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn an_event_without_end_flows_on_and_costs_no_more_than_its_limit() {
    let server = RawServer::bind().await;
    let engine = engine_with(&[&format!("http://{}/mcp", server.address())], |config| {
        config.limits.max_message_bytes = 1 << 20;
    });
    let mut frontend = engine.frontend().unwrap();
    let host = address(&engine);
    let mut client = RawPeer::connect(host).await;
    client.send(post(host, CALL)).await;
    let mut upstream = server.accept().await;
    upstream.read_head().await;
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: ")
        .await;
    client.read_head().await;
    let piece = vec![b'x'; 1 << 20];
    assert_eq!(client.read_chunked(6).await, b"data: ");
    for _ in 0..32 {
        upstream.send(&piece).await;
        assert!(
            client.read_chunked(piece.len()).await == piece,
            "the bytes differ"
        );
    }
    upstream.send("\n\ndata: the next event\n\n").await;
    assert_eq!(client.read_chunked(24).await, b"\n\ndata: the next event\n\n");
    let snapshot = snapshot_when(&mut frontend, "the next event", |snapshot| {
        snapshot.messages.rows.iter().any(|row| row.size == 22)
    })
    .await;
    let history = snapshot
        .resources
        .gauges
        .iter()
        .find(|gauge| gauge.name == "max_history_memory");
    assert!(history.is_none_or(|gauge| gauge.peak < 4 << 20), "{history:?}");
    let huge = snapshot
        .messages
        .rows
        .iter()
        .find(|row| row.size > 32 << 20)
        .unwrap();
    assert!(!huge.findings.is_empty(), "{huge:?}");
}

#[tokio::test]
async fn a_json_bomb_and_broken_text_pass_untouched_and_are_shown() {
    let bomb = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let broken = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"text\":\"\xff\xfe \x1b[2J\"}}".to_vec();
    for body in [bomb.into_bytes(), broken, b"{\"jsonrpc\":\"2.0\",".to_vec()] {
        let (engine, mut client, mut upstream, _) = asked(CALL).await;
        let mut frontend = engine.frontend().unwrap();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        upstream.send(&head).await;
        upstream.send(&body).await;
        assert_eq!(client.read_head().await, head);
        assert!(client.read_exactly(body.len()).await == body, "the bytes differ");
        let snapshot = snapshot_when(&mut frontend, "both rows", |snapshot| {
            snapshot.messages.total >= 2
        })
        .await;
        let answer = snapshot.messages.rows.last().unwrap().id;
        let ask = shadowcat::snapshot::Command::Inspect { id: answer };
        let reply = soon("the detail", frontend.commands.ask(ask)).await.unwrap();
        assert!(
            matches!(reply, shadowcat::snapshot::Reply::Detail(_)),
            "{reply:?}"
        );
    }
}
