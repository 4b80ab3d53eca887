//! What a mock server refuses as the recorded server would, and what it says when a live server cannot answer.

use std::time::Duration;

use serde_json::{Value, json};
use shadowcat::replay::mock::{Found, MISSED, OnMiss, Pace};
use shadowcat::replay::{MockServer, RunningMock};
use tokio::time::Instant;

use crate::peer::{Heard, Peer, Streamable, client, nothing};
use crate::recording;
use crate::support::soon;

fn modern(id: u64, name: &str, arguments: &Value, capabilities: &Value) -> Value {
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": capabilities});
    let params = json!({"name": name, "arguments": arguments, "_meta": meta});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
}

async fn started(name: &str) -> RunningMock {
    MockServer::from_recording(recording(name)).start().await.unwrap()
}

async fn ask(mock: &RunningMock, request: &Value) -> Heard {
    Peer::Streamable(Streamable::new(mock.url()))
        .ask(request, &nothing)
        .await
}

async fn shaken(mock: &RunningMock) -> Peer {
    let mut peer = Peer::Streamable(Streamable::new(mock.url()));
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
    peer.ask(&hello, &nothing).await;
    peer
}

/// Posts `message` with exactly these headers beside the usual ones.
async fn posted(url: &str, message: &Value, headers: &[(&str, &str)]) -> Heard {
    let mut request = client()
        .post(url)
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .body(message.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    Streamable::new(url.to_owned()).heard(response, &nothing).await
}

const VERSION: (&str, &str) = ("mcp-protocol-version", "2026-07-28");
const METHOD: (&str, &str) = ("mcp-method", "tools/call");

#[tokio::test]
async fn headers_that_contradict_the_body_are_refused_as_a_real_server_does() {
    let mock = started("modern-http.jsonl").await;
    let call = modern(1, "add", &json!({"a": 0.1, "b": 0.2}), &json!({}));
    for (headers, said) in [
        (&[][..], "MCP-Protocol-Version is missing"),
        (&[VERSION, METHOD], "Mcp-Name is missing"),
        (
            &[VERSION, METHOD, ("mcp-name", "sub")],
            "says `sub`, the body `add`",
        ),
        (
            &[VERSION, ("mcp-method", "Tools/Call"), ("mcp-name", "add")],
            "says `Tools/Call`",
        ),
    ] {
        let heard = posted(&mock.url(), &call, headers).await;
        let error = &heard.answer["error"];
        assert_eq!(
            (heard.status, &error["code"]),
            (400, &json!(-32020)),
            "{heard:#?}"
        );
        assert!(error["message"].as_str().unwrap().contains(said), "{error}");
    }
    let heard = posted(&mock.url(), &call, &[VERSION, METHOD, ("mcp-name", "add")]).await;
    assert_eq!(heard.status, 200, "{heard:#?}");
    let found: Vec<Found> = mock.calls().iter().map(|call| call.found).collect();
    assert_eq!(
        found,
        [
            Found::Refused,
            Found::Refused,
            Found::Refused,
            Found::Refused,
            Found::Same
        ]
    );
    mock.assert_no_misses();
}

/// A server that took a call of 2026-07-28 without any of its headers.
fn lenient() -> String {
    let request = modern(1, "next", &json!({}), &json!({}));
    let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {"resultType": "complete", "content": []}});
    let frame = |seq: u64, direction: &str, text: &Value| json!({"type": "frame", "seq": seq, "us": seq, "session": "R1", "exchange": 1, "direction": direction, "transport": "http", "frame": 0, "part": 0, "last": true, "text": text.to_string(), "messages": 1});
    let lines = [
        json!({"type": "header", "format": "shadowcat-recording", "version": 1, "created": "2026-11-23T04:23:03.123456Z", "proxy": "x", "redacted": true}),
        json!({"type": "request", "seq": 1, "us": 1, "session": "R1", "exchange": 1, "connection": 1, "client": "127.0.0.1:1", "side": "reverse", "server": "s", "kind": "message", "method": "POST", "target": "/mcp", "head": {"line": "POST /mcp HTTP/1.1", "fields": []}}),
        frame(2, "client_to_server", &request),
        json!({"type": "response", "seq": 3, "us": 3, "session": "R1", "exchange": 1, "status": 200, "head": {"line": "HTTP/1.1 200 OK", "fields": []}, "media_type": "application/json"}),
        frame(4, "server_to_client", &answer),
    ];
    lines.map(|line| line.to_string()).join("\n")
}

#[tokio::test]
async fn a_recorded_server_that_did_not_mind_its_headers_does_not_mind_them_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lenient.jsonl");
    std::fs::write(&path, lenient()).unwrap();
    let mock = MockServer::from_recording(&path).start().await.unwrap();
    let heard = posted(&mock.url(), &modern(7, "next", &json!({}), &json!({})), &[]).await;
    assert_eq!(
        (heard.status, &heard.answer["id"]),
        (200, &json!(7)),
        "{heard:#?}"
    );
}

#[tokio::test]
async fn questions_go_to_clients_only_that_said_they_can_be_asked() {
    let mock = started("modern-http.jsonl").await;
    let cannot = ask(&mock, &modern(1, "ask", &json!({}), &json!({}))).await;
    let error = &cannot.answer["error"];
    assert_eq!(
        (cannot.status, &error["code"]),
        (400, &json!(-32021)),
        "{cannot:#?}"
    );
    assert_eq!(error["data"]["requiredCapabilities"], json!({"elicitation": {}}));
    let can = ask(&mock, &modern(2, "ask", &json!({}), &json!({"elicitation": {}}))).await;
    assert_eq!(can.answer["result"]["resultType"], "input_required", "{can:#?}");
    assert_eq!(mock.calls()[0].found, Found::Refused);
    mock.assert_no_misses();
}

#[tokio::test]
async fn a_list_that_is_made_up_leaves_out_what_the_server_did_not_know() {
    let mock = started("outward-legacy.jsonl").await;
    let mut peer = shaken(&mock).await;
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let heard = peer.ask(&list, &nothing).await;
    let tools = heard.answer["result"]["tools"].as_array().unwrap();
    let names: Vec<&Value> = tools.iter().map(|tool| &tool["name"]).collect();
    assert!(names.contains(&&json!("echo")), "{names:?}");
    assert!(!names.contains(&&json!("no-such-tool")), "{names:?}");
}

#[tokio::test]
async fn what_is_not_recorded_is_late_too_where_a_latency_was_asked_for() {
    let latency = Duration::from_millis(120);
    let mock = MockServer::from_recording(recording("legacy-http.jsonl")).pace(Pace::Latency(latency));
    let mock = mock.start().await.unwrap();
    let mut peer = shaken(&mock).await;
    for method in ["prompts/get", "tools/list"] {
        let begun = Instant::now();
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"name": "x"}});
        peer.ask(&request, &nothing).await;
        assert!(begun.elapsed() >= latency, "{method}: {:?}", begun.elapsed());
    }
}

/// An address that nobody listens on.
fn dead() -> String {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/mcp", free.local_addr().unwrap())
}

#[tokio::test]
async fn a_live_server_that_is_dead_is_named_with_the_reason() {
    let url = dead();
    for name in ["legacy-http.jsonl", "modern-http.jsonl"] {
        let pass = OnMiss::Pass(Box::new(url.parse().unwrap()));
        let mock = MockServer::from_recording(recording(name)).on_miss(pass);
        let mock = mock.start().await.unwrap();
        let heard = if name.starts_with("legacy") {
            let call = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "nope"}});
            shaken(&mock).await.ask(&call, &nothing).await
        } else {
            ask(&mock, &modern(9, "nope", &json!({}), &json!({}))).await
        };
        let error = &heard.answer["error"];
        assert_eq!(
            (&heard.answer["id"], &error["code"]),
            (&json!(9), &json!(MISSED)),
            "{heard:#?}"
        );
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("Not in the recording, and "), "{message}");
        assert!(
            message.contains(&url) && message.contains("could not be reached"),
            "{message}"
        );
        assert_eq!(error["data"]["upstream"], url);
        let miss = mock.misses().pop().unwrap();
        assert!(miss.note.unwrap().contains("could not be reached"), "{name}");
        let begun = Instant::now();
        soon("the end of the mock server", mock.stop()).await;
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{name}: {:?}",
            begun.elapsed()
        );
    }
}

#[tokio::test]
async fn a_mock_server_with_a_session_at_a_live_server_ends_at_once() {
    let server = crate::sdk::SdkServer::start().await;
    let pass = OnMiss::Pass(Box::new(server.url().parse().unwrap()));
    let mock = MockServer::from_recording(recording("legacy-http.jsonl")).on_miss(pass);
    let mock = mock.start().await.unwrap();
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "prompts/list"});
    let heard = shaken(&mock).await.ask(&list, &nothing).await;
    assert!(heard.answer["result"]["prompts"].is_array(), "{heard:#?}");
    assert_eq!(mock.calls().pop().unwrap().found, Found::Passed);
    let begun = Instant::now();
    soon("the end of the mock server", mock.stop()).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
