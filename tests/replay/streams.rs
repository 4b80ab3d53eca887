//! Streams, sessions and times of a mock server.

use std::time::Duration;

use serde_json::{Value, json};
use shadowcat::replay::mock::Pace;
use shadowcat::replay::{MockServer, RunningMock};
use tokio::time::Instant;

use crate::peer::{Event, Events, Peer, Streamable, client, nothing};
use crate::recording;

const LONG: &str = "trigger-long-running-operation";

fn call(id: u64, name: &str, arguments: &Value) -> Value {
    let params = json!({"name": name, "arguments": arguments, "_meta": {"progressToken": id}});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
}

fn long_call(id: u64) -> Value {
    call(id, LONG, &json!({"duration": 0.5, "steps": 3}))
}

async fn session(mock: &RunningMock, capabilities: Value) -> Streamable {
    let mut peer = Peer::Streamable(Streamable::new(mock.url()));
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": {"name": "c", "version": "1"}});
    let request = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
    peer.ask(&request, &nothing).await;
    let Peer::Streamable(peer) = peer else {
        unreachable!()
    };
    peer
}

async fn started(pace: Pace) -> RunningMock {
    let mock = MockServer::from_recording(recording("legacy-http.jsonl")).pace(pace);
    mock.start().await.unwrap()
}

async fn all(events: &mut Events) -> Vec<Event> {
    let mut found = Vec::new();
    while let Some(event) = events.next().await {
        found.push(event);
    }
    found
}

#[tokio::test]
async fn a_stream_that_was_cut_is_resumed_where_it_stopped() {
    let mock = started(Pace::Max).await;
    let peer = session(&mock, json!({})).await;
    let mut events = Events::new(peer.post(&long_call(7)).await);
    let priming = events.next().await.unwrap();
    assert_eq!(priming.data, "");
    let first = events.next().await.unwrap();
    assert_eq!(first.message()["params"]["progress"], 1);
    drop(events);
    let resumed = peer.get(first.id.as_deref()).await;
    let rest = all(&mut Events::new(resumed)).await;
    assert_eq!(rest.len(), 3, "{rest:#?}");
    assert_eq!(rest[2].message()["id"], 7);
    let ids: Vec<&String> = rest.iter().filter_map(|event| event.id.as_ref()).collect();
    assert_eq!(ids.len(), 3);
    assert!(peer.get(Some("99-1")).await.status().is_client_error());
}

#[tokio::test]
async fn a_session_has_its_own_stream_once_and_ends_with_delete() {
    let mock = started(Pace::Max).await;
    let peer = session(&mock, json!({"roots": {}})).await;
    let mut own = Events::new(peer.get(None).await);
    assert_eq!(peer.get(None).await.status(), 409);
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(peer.post(&initialized).await.status(), 202);
    let asked = own.next().await.unwrap().message();
    assert_eq!(asked["method"], "roots/list");
    assert_eq!(peer.post(&nothing(&asked)).await.status(), 202);
    assert_eq!(
        own.next().await.unwrap().message()["method"],
        "notifications/message"
    );
    assert_eq!(peer.delete().await.status(), 200);
    assert_eq!(own.next().await, None);
    assert_eq!(peer.post(&long_call(1)).await.status(), 404);
}

#[tokio::test]
async fn a_client_that_cannot_be_asked_is_not_asked() {
    let mock = started(Pace::Max).await;
    let peer = session(&mock, json!({})).await;
    let arguments = json!({"prompt": "Say hello", "maxTokens": 10});
    let mut events = Events::new(peer.post(&call(5, "trigger-sampling-request", &arguments)).await);
    let told: Vec<Event> = all(&mut events).await;
    let messages: Vec<Value> = told
        .iter()
        .filter(|event| !event.data.is_empty())
        .map(Event::message)
        .collect();
    assert_eq!(messages.len(), 1, "{messages:#?}");
    assert_eq!(messages[0]["id"], 5);
}

#[tokio::test]
async fn recorded_times_are_kept_where_that_was_asked_for() {
    let begun = Instant::now();
    let mock = started(Pace::Times(2.0)).await;
    let peer = session(&mock, json!({})).await;
    let mut events = Events::new(peer.post(&long_call(7)).await);
    events.next().await.unwrap();
    let before = Instant::now();
    assert_eq!(all(&mut events).await.len(), 4);
    // Recorded: 502 ms from the priming event to the answer.
    assert!(
        before.elapsed() >= Duration::from_millis(240),
        "{:?}",
        before.elapsed()
    );
    assert!(begun.elapsed() >= Duration::from_millis(250));
}

#[tokio::test]
async fn a_latency_is_the_same_for_every_request() {
    let mock = started(Pace::Latency(Duration::from_millis(120))).await;
    let begun = Instant::now();
    let peer = session(&mock, json!({})).await;
    assert!(
        begun.elapsed() >= Duration::from_millis(120),
        "{:?}",
        begun.elapsed()
    );
    let shaken = Instant::now();
    let response = peer.post(&long_call(7)).await;
    assert_eq!(all(&mut Events::new(response)).await.len(), 5);
    assert!(shaken.elapsed() >= Duration::from_millis(120));
}

#[tokio::test]
async fn equal_requests_get_the_recorded_answers_in_turn_and_then_the_last_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("turns.jsonl");
    let lines = [
        r#"{"type":"header","format":"shadowcat-recording","version":1,"created":"2026-11-23T04:23:03.123456Z","proxy":"x","redacted":true}"#.to_owned(),
        turn(1, "one"),
        turn(2, "two"),
    ];
    std::fs::write(&path, lines.join("\n")).unwrap();
    let mock = MockServer::from_recording(&path).start().await.unwrap();
    let mut told = Vec::new();
    for _ in 0..2 {
        let mut peer = Peer::Streamable(session(&mock, json!({})).await);
        for id in 1..=3 {
            let request =
                json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "next"}});
            told.push(peer.ask(&request, &nothing).await.answer["result"]["said"].clone());
        }
    }
    assert_eq!(
        told,
        ["one", "two", "two", "one", "two", "two"],
        "a new session begins anew"
    );
    assert_eq!(
        mock.calls()[2].to_string(),
        "S1 tools/call next  same request (#2, 2 of 2)"
    );
}

/// An exchange of a recording: the tool `next` says something.
fn turn(number: u64, said: &str) -> String {
    let (us, seq) = (number * 100, number * 10);
    let request = json!({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": "next", "arguments": {}}});
    let answer = json!({"jsonrpc": "2.0", "id": number, "result": {"said": said}});
    let frame = |seq: u64, us: u64, direction: &str, text: &Value| json!({"type": "frame", "seq": seq, "us": us, "session": "R1", "exchange": number, "direction": direction, "transport": "http", "frame": 0, "part": 0, "last": true, "text": text.to_string(), "messages": 1});
    let head = json!({"line": "POST /mcp HTTP/1.1", "fields": []});
    let lines = [
        json!({"type": "request", "seq": seq, "us": us, "session": "R1", "exchange": number, "connection": 1, "client": "127.0.0.1:1", "side": "reverse", "server": "s", "kind": "message", "method": "POST", "target": "/mcp", "head": head}),
        frame(seq + 1, us + 1, "client_to_server", &request),
        json!({"type": "response", "seq": seq + 2, "us": us + 2, "session": "R1", "exchange": number, "status": 200, "head": {"line": "HTTP/1.1 200 OK", "fields": []}, "media_type": "application/json"}),
        frame(seq + 3, us + 3, "server_to_client", &answer),
    ];
    lines.map(|line| line.to_string()).join("\n")
}

#[tokio::test]
async fn a_foreign_host_or_origin_gets_nothing() {
    let mock = started(Pace::Max).await;
    let http = client();
    let ask = |name: &'static str, value: &'static str| {
        let request = http.post(mock.url()).header("content-type", "application/json");
        request
            .header(name, value)
            .body(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
            .send()
    };
    assert_eq!(ask("host", "evil.example").await.unwrap().status(), 403);
    assert_eq!(ask("origin", "https://evil.example").await.unwrap().status(), 403);
    assert!(mock.calls().is_empty());
}

#[tokio::test]
async fn a_modern_call_without_a_recorded_answer_stays_open_until_the_client_leaves() {
    let mock = MockServer::from_recording(recording("modern-http.jsonl"))
        .start()
        .await
        .unwrap();
    let peer = Streamable::new(mock.url());
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}, "progressToken": "live"});
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "slow", "arguments": {}, "_meta": meta}});
    let mut events = Events::new(peer.post(&request).await);
    let progress = events.next().await.unwrap().message();
    assert_eq!(progress["params"]["progressToken"], "live");
    assert_eq!(
        mock.calls()[0].note.as_deref(),
        Some("no answer was recorded, so it stays open")
    );
    drop(events);
    // A call that stayed open would hold this up until it is cut.
    let begun = Instant::now();
    crate::support::soon("the end", mock.stop()).await;
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_client_that_says_everything_at_once_hears_the_handshake_first() {
    let input = [
        r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        // Without an end, as the last line of a file may be.
        r#"{"jsonrpc":"2.0","id":"e","method":"tools/call","params":{"name":"echo","arguments":{"message":"hello ☃"}}}"#,
    ]
    .join("\n");
    let mut output = Vec::new();
    let mut told = Vec::new();
    let mock = MockServer::from_recording(recording("wrap-legacy.jsonl"));
    let served = mock.serve(input.as_bytes(), &mut output, |call| told.push(call.to_string()));
    crate::support::soon("the end of the input", Box::pin(served))
        .await
        .unwrap();
    let lines: Vec<Value> = output
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines[0]["result"]["protocolVersion"], "2025-11-25");
    let echo = lines.iter().find(|line| line["id"] == "e").unwrap();
    assert_eq!(echo["result"]["content"][0]["text"], "Echo: hello ☃");
    let changes = lines
        .iter()
        .filter(|line| line["method"] == "notifications/tools/list_changed");
    assert_eq!(changes.count(), 5);
    assert_eq!(
        told,
        [
            "S1 initialize  same request (#1, id 0)",
            "S1 tools/call echo  same request (#1, id 1)"
        ]
    );
}

/// A stream of changes that a client of 2026-07-28 opened under the id 9 and left.
fn listening() -> String {
    let key = "io.modelcontextprotocol/subscriptionId";
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    let wanted = json!({"toolsListChanged": true});
    let asked = json!({"jsonrpc": "2.0", "id": 9, "method": "subscriptions/listen", "params": {"notifications": wanted, "_meta": meta}});
    let told = |method: &str| json!({"jsonrpc": "2.0", "method": method, "params": {"_meta": {key: 9}}});
    let event = |number: u64, method: &str| {
        let text = format!("event: message\ndata: {}\n\n", told(method));
        json!({"type": "frame", "seq": 10 + number, "us": 10 + number, "session": "R1", "exchange": 1, "direction": "server_to_client", "transport": "sse", "frame": number, "part": 0, "last": true, "text": text, "sse": {"event": "message"}, "messages": 1})
    };
    let head = |line: &str| json!({"line": line, "fields": []});
    let lines = [
        json!({"type": "header", "format": "shadowcat-recording", "version": 1, "created": "2026-11-23T04:23:03.123456Z", "proxy": "x"}),
        json!({"type": "request", "seq": 1, "us": 0, "session": "R1", "exchange": 1, "connection": 1, "client": "127.0.0.1:1", "side": "reverse", "server": "s", "kind": "message", "method": "POST", "target": "/mcp", "head": head("POST /mcp HTTP/1.1")}),
        json!({"type": "frame", "seq": 2, "us": 1, "session": "R1", "exchange": 1, "direction": "client_to_server", "transport": "http", "frame": 0, "part": 0, "last": true, "text": asked.to_string(), "messages": 1}),
        json!({"type": "response", "seq": 3, "us": 2, "session": "R1", "exchange": 1, "status": 200, "head": head("HTTP/1.1 200 OK"), "media_type": "text/event-stream"}),
        event(0, "notifications/subscriptions/acknowledged"),
        event(1, "notifications/tools/list_changed"),
        json!({"type": "exchange_end", "seq": 20, "us": 90, "session": "R1", "exchange": 1, "request_end": "complete", "response_end": "client_aborted", "request_bytes": 1, "response_bytes": 1}),
    ];
    lines.map(|line| line.to_string()).join("\n")
}

#[tokio::test]
async fn a_subscription_is_called_what_the_live_client_calls_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("listening.jsonl");
    std::fs::write(&path, listening()).unwrap();
    let mock = MockServer::from_recording(&path).start().await.unwrap();
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    let params = json!({"notifications": {"toolsListChanged": true}, "_meta": meta});
    let request = json!({"jsonrpc": "2.0", "id": "live", "method": "subscriptions/listen", "params": params});
    let mut events = Events::new(Streamable::new(mock.url()).post(&request).await);
    for method in [
        "notifications/subscriptions/acknowledged",
        "notifications/tools/list_changed",
    ] {
        let told = events.next().await.unwrap().message();
        assert_eq!(told["method"], method);
        assert_eq!(
            told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"],
            "live"
        );
    }
}

/// A run of a command: a call that is cancelled, whose progress goes on for a while.
fn cancelled_run() -> String {
    let info = json!({"name": "x", "version": "1"});
    let line = |number: u64, direction: &str, message: &Value| {
        json!({"type": "frame", "seq": 10 + number, "us": 10 + number, "session": "F1", "exchange": 1, "direction": direction, "transport": "stdio", "frame": number, "part": 0, "last": true, "text": format!("{message}\n"), "messages": 1}).to_string()
    };
    let client = |number: u64, message: Value| line(number, "client_to_server", &message);
    let server = |number: u64, message: Value| line(number, "server_to_client", &message);
    let progress = |step: u64| json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": step}});
    let lines = [
        json!({"type": "header", "format": "shadowcat-recording", "version": 1, "created": "2026-11-23T04:23:03.123456Z", "proxy": "x"}).to_string(),
        json!({"type": "request", "seq": 1, "us": 0, "session": "F1", "exchange": 1, "connection": 1, "client": "x", "side": "forward", "server": "s", "kind": "run", "method": "run", "target": "s", "head": {"line": "s", "fields": []}}).to_string(),
        client(0, json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}})),
        server(0, json!({"jsonrpc": "2.0", "id": 0, "result": {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": info}})),
        client(1, json!({"jsonrpc": "2.0", "method": "notifications/initialized"})),
        client(2, json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "long", "_meta": {"progressToken": 1}}})),
        server(3, progress(1)),
        client(4, json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})),
        server(5, progress(2)),
        server(6, json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})),
    ];
    lines.join("\n")
}

#[tokio::test]
async fn progress_after_a_cancel_is_not_told_to_a_session_that_did_not_ask() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cancelled.jsonl");
    std::fs::write(&path, cancelled_run()).unwrap();
    let mock = MockServer::from_recording(&path).start().await.unwrap();
    let peer = session(&mock, json!({})).await;
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(peer.post(&initialized).await.status(), 202);
    let mut own = Events::new(peer.get(None).await);
    let told = own.next().await.unwrap().message();
    assert_eq!(told["method"], "notifications/tools/list_changed");
    let mut call = Events::new(peer.post(&call(7, "long", &json!({}))).await);
    let told = call.next().await.unwrap().message();
    assert_eq!(
        (&told["params"]["progressToken"], &told["params"]["progress"]),
        (&json!(7), &json!(1))
    );
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}});
    assert_eq!(peer.post(&cancel).await.status(), 202);
    assert_eq!(call.next().await, None);
}
