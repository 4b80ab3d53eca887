//! With rules armed that mean other messages, what passes is what was sent, to the byte.

use std::io::Write as _;

use crate::support::stage::{EVENTS, Stage};
use crate::support::*;
use crate::{ask, call, held, progress, ruled};

use shadowcat::intercept::interceptor::InterceptCommand;

/// A rule of every kind; none of them matches what passes here.
const RULES: &str = r#"
[[rule]]
name = "a"
when = "method:never"
then = "hold"
[[rule]]
name = "b"
when = "method:never"
replace = { set = { "$.x" = 1 } }
[[rule]]
name = "c"
when = '$.params.never="x"'
fault = "close"
"#;

/// Everything that an event stream may look like.
const STREAM: &[u8] = b"\xef\xbb\xbf: welcome\r\n\r\ndata: {\"jsonrpc\":\"2.0\",\r\ndata:\"method\":\"notifications/x\"}\r\n\r\n\
: comment\n\nid: 7\nretry: 10\ndata:\n\nevent:  odd\ndata\n\n:in the event\rdata: {\"a\":1.0}\r\r\n\n\n: more\n\nid\n\ndata: \xff\xfe\n\ndata: cut off";

#[tokio::test]
async fn an_event_stream_passes_byte_for_byte_however_it_is_cut() {
    let stage = ruled(RULES).await;
    for size in [1, 7, 64, STREAM.len()] {
        let request = stage.request("POST", "", &call(1, "slow"));
        let (mut client, mut upstream) = stage.begin(&request).await;
        upstream.send(EVENTS).await;
        for piece in STREAM.chunks(size) {
            upstream.send(piece).await;
        }
        drop(upstream);
        client.read_head().await;
        let arrived = client.read_all_chunks().await;
        assert!(
            arrived == STREAM,
            "in pieces of {size}: {}",
            String::from_utf8_lossy(&arrived)
        );
    }
}

#[tokio::test]
async fn around_a_held_event_a_stream_passes_byte_for_byte() {
    let mut stage = crate::armed(crate::breakpoint("method:notifications/progress")).await;
    let request = stage.request("POST", "", &call(1, "slow"));
    let (mut client, mut upstream) = stage.begin(&request).await;
    upstream.send(EVENTS).await;
    upstream.send("\u{feff}: first\r\n\r\nretry: 5\n\n").await;
    upstream.send(progress(1)).await;
    let rows = held(&mut stage, 1).await;
    // Comments do not wait, events do.
    upstream
        .send("data: {\"behind\":1}\r\n\r\n: passes\n\n: too\r\n\r\n")
        .await;
    client.read_head().await;
    let before = "\u{feff}: first\r\n\r\nretry: 5\n\n: passes\n\n: too\r\n\r\n";
    assert_eq!(client.read_chunked(before.len()).await, before.as_bytes());
    ask(&stage, InterceptCommand::Forward { id: rows[0].id }).await;
    drop(upstream);
    let rest = client.read_all_chunks().await;
    let expected = [&progress(1), "data: {\"behind\":1}\r\n\r\n"].concat();
    assert_eq!(String::from_utf8(rest).unwrap(), expected);
}

#[tokio::test]
async fn bodies_pass_byte_for_byte_plain_and_encoded() {
    let stage = ruled(RULES).await;
    let odd = "\u{feff}{ \"jsonrpc\":\"2.0\" ,\"id\":1.0,\"method\":\"tools/call\",\"a\":1e3,\"a\":9007199254740993,\"b\":\"\\u00e9\\/\"}\r\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&b"{\"jsonrpc\":\"2.0\",\"id\":1.0,\"result\":{}}".repeat(2))
        .unwrap();
    let encoded = gzip.finish().unwrap();
    let request = stage.request("POST", "", odd);
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(&request).await;
    let mut upstream = stage.server.accept().await;
    upstream.read_head().await;
    assert_eq!(upstream.read_exactly(odd.len()).await, odd.as_bytes());
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nETag: \"x\"\r\nContent-Length: {}\r\n\r\n",
        encoded.len()
    );
    upstream.send([head.as_bytes(), &encoded].concat()).await;
    let head = client.read_head().await.to_ascii_lowercase();
    for field in [
        "content-encoding: gzip\r\n",
        "etag: \"x\"\r\n",
        &format!("content-length: {}\r\n", encoded.len()),
    ] {
        assert!(head.contains(field), "{head}");
    }
    assert_eq!(client.read_to_end().await.0, encoded);
}

#[tokio::test]
async fn a_held_answer_in_a_content_coding_is_shown_and_edited_without_it() {
    let mut stage = crate::armed(crate::breakpoint("kind:result")).await;
    // Above what the screen keeps of a message.
    let text = "0123456789abcdef".repeat(40_000);
    let answer = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"text":"{text}"}}}}"#);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    gzip.write_all(answer.as_bytes()).unwrap();
    let encoded = gzip.finish().unwrap();
    let request = stage.request("POST", "", &call(1, "read"));
    let (mut client, mut upstream) = stage.begin(&request).await;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        encoded.len()
    );
    upstream.send([head.as_bytes(), &encoded].concat()).await;
    let id = held(&mut stage, 1).await[0].id;
    let shown = match ask(&stage, InterceptCommand::Show { id }).await {
        shadowcat::intercept::interceptor::InterceptReply::Message(message) => message.original,
        other => panic!("{other:?}"),
    };
    assert!(shown == answer, "the shown text is another one");
    let edited = answer.replace("0123", "3210");
    ask(
        &stage,
        InterceptCommand::Edit {
            id,
            text: Some(edited.clone()),
        },
    )
    .await;
    ask(&stage, InterceptCommand::Forward { id }).await;
    let head = client.read_head().await.to_ascii_lowercase();
    assert!(!head.contains("content-encoding"), "{head}");
    assert!(
        head.contains(&format!("content-length: {}\r\n", edited.len())),
        "{head}"
    );
    assert!(
        client.read_to_end().await.0 == edited.as_bytes(),
        "another text arrived"
    );
}

/// A request and an answer in chunks, each with trailers, read to their ends.
async fn with_trailers(stage: &Stage) {
    let host = address(&stage.engine);
    let body = call(1, "echo");
    let mut client = RawPeer::connect(host).await;
    client
        .send(format!(
            "POST /mcp HTTP/1.1\r\nHost: {host}\r\nTE: trailers\r\nTrailer: X-Sum\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\nX-Sum: 7\r\n\r\n",
            body.len()
        ))
        .await;
    let mut upstream = stage.server.accept().await;
    let head = upstream.read_head().await.to_ascii_lowercase();
    assert!(
        head.contains("transfer-encoding: chunked\r\n") && !head.contains("content-length"),
        "{head}"
    );
    assert_eq!(upstream.read_chunked(body.len()).await, body.as_bytes());
    let end = upstream.read_through(b"\r\n\r\n").await;
    assert_eq!(
        String::from_utf8(end).unwrap().to_ascii_lowercase(),
        "0\r\nx-sum: 7\r\n\r\n"
    );
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    upstream
        .send(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTrailer: X-End\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{answer}\r\n0\r\nX-End: yes\r\n\r\n",
            answer.len()
        ))
        .await;
    client.read_head().await;
    assert_eq!(client.read_chunked(answer.len()).await, answer.as_bytes());
    let end = client.read_through(b"\r\n\r\n").await;
    assert_eq!(
        String::from_utf8(end).unwrap().to_ascii_lowercase(),
        "0\r\nx-end: yes\r\n\r\n"
    );
}

#[tokio::test]
async fn trailers_come_behind_their_body_and_end_it_with_and_without_rules() {
    for rules in [RULES, ""] {
        let stage = ruled(rules).await;
        let mut frontend = stage.engine.frontend().unwrap();
        with_trailers(&stage).await;
        let snapshot = snapshot_when(&mut frontend, "the end", |snapshot| {
            snapshot.messages.rows.len() == 2
        })
        .await;
        for row in &snapshot.messages.rows {
            assert!(row.findings.is_empty(), "{:?}", row.findings);
        }
    }
}

#[tokio::test]
async fn a_request_without_a_body_gets_no_length_of_ours() {
    let stage = ruled(RULES).await;
    let host = address(&stage.engine);
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        let mut client = RawPeer::connect(host).await;
        client
            .send(format!(
                "{method} /t HTTP/1.1\r\nHost: {host}\r\nTE: trailers\r\n\r\n"
            ))
            .await;
        let mut upstream = stage.server.accept().await;
        let head = upstream.read_head().await.to_ascii_lowercase();
        assert!(
            !head.contains("content-length") && !head.contains("transfer-encoding"),
            "{head}"
        );
    }
}
