//! With `--record-secrets` the frames of a recording are the bytes of the wire, within TLS too.

use shadowcat::snapshot::{Carrier, Direction};

use crate::peers::*;
use crate::recorded::{assert_recorded, recorded, with_secrets};

const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"login","arguments":{"password":"s3cr3t-1"}}}"#;
const ANSWER: &str = r#"{"jsonrpc":"2.0", "id":1, "result":{"access_token":"s3cr3t-2"}}"#;
const EVENT: &str = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"access_token\":\"s3cr3t-3\"}}\n\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_within_tls_is_recorded_byte_for_byte() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("w.jsonl");
    let server = TlsServer::speaking(&["http/1.1"]).await;
    let house = House::new(|config| {
        config.forward.upstream_ca.push(server.root());
        with_secrets(config, &path);
    });
    let authority = format!("localhost:{}", server.port());
    for (kind, body) in [("application/json", ANSWER), ("text/event-stream", EVENT)] {
        let mut client = house.client(&authority, &["http/1.1"]).await;
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer s3cr3t-0\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            BODY.len()
        );
        client.send(format!("{head}{BODY}")).await;
        let mut upstream = server.accept().await;
        let came = upstream.read_through(BODY).await;
        assert!(came.contains("Bearer s3cr3t-0"), "{came}");
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        upstream.send(answer).await;
        let seen = client.read_to_end().await;
        assert!(seen.ends_with(body), "{seen}");
    }
    tokio::task::block_in_place(|| house.engine.shut_down());
    assert_recorded(&path, Carrier::Http, BODY.repeat(2).as_bytes(), ANSWER.as_bytes());
    let events = recorded(&path, Carrier::Sse, Direction::ServerToClient);
    assert_eq!(String::from_utf8_lossy(&events), EVENT);
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches("Bearer s3cr3t-0").count(), 2, "{text}");
}
