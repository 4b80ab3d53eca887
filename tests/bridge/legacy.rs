//! Clients with sessions.

use serde_json::{Value, json};

use crate::peer::*;
use crate::support::*;

fn pid_of(answer: &Answer) -> u32 {
    answer.json()["result"]["serverInfo"]["version"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn each_session_has_a_program_of_its_own_from_initialize_to_delete() {
    let engine = bridge(scripted(""), |_| {});
    let nobody = Client::new(&engine);
    let first = nobody.post(&initialize("2025-06-18")).await;
    let second = nobody.post(&initialize("2025-06-18")).await;
    assert_eq!(
        (first.status, first.field("content-type")),
        (200, Some("application/json"))
    );
    assert_ne!(first.field("mcp-session-id"), second.field("mcp-session-id"));
    let (one, other) = (pid_of(&first), pid_of(&second));
    assert_ne!(one, other);
    let client = Client {
        session: first.field("mcp-session-id").map(str::to_owned),
        ..nobody.clone()
    };
    assert_eq!(client.delete().await.status, 204);
    until_gone(one).await;
    assert_eq!(client.post(&call("1", "echo", "{}")).await.status, 404);
    assert_eq!(client.delete().await.status, 404);
    let rest = Client {
        session: second.field("mcp-session-id").map(str::to_owned),
        ..nobody
    };
    assert_eq!(rest.post(&call("1", "echo", "{}")).await.status, 200);
}

#[tokio::test]
async fn a_body_over_several_lines_reaches_the_program_as_one_and_keeps_its_numbers() {
    let engine = bridge(scripted(""), |_| {});
    let client = Client::in_session(&engine, "2025-06-18").await;
    let body = call(
        "1",
        "echo",
        "{\r\n  \"big\": 9007199254740993,\n  \"text\": \"a \\n b\"\n}",
    );
    let answer = client.post(&body).await;
    assert_eq!(
        answer.json()["result"]["arguments"],
        json!({"big": 9_007_199_254_740_993_u64, "text": "a \n b"})
    );
}

#[tokio::test]
async fn progress_and_logs_come_on_a_stream_before_the_answer() {
    let engine = bridge(scripted(""), |_| {});
    let client = Client::in_session(&engine, "2025-06-18").await;
    let answer = client.post(&call("\"a\"", "progress", r#"{"count":2}"#)).await;
    assert_eq!(answer.field("content-type"), Some("text/event-stream"));
    let seen = answer.events();
    let steps: Vec<&Value> = seen.iter().map(|event| &event["params"]["progress"]).collect();
    assert_eq!(steps, [&json!(1), &json!(2), &Value::Null]);
    assert_eq!(
        (&seen[0]["params"]["progressToken"], &seen[2]["id"]),
        (&json!("a"), &json!("a"))
    );
    let answer = client.post(&call("2", "log", "{}")).await;
    assert_eq!(answer.events().len(), 2);
}

#[tokio::test]
async fn a_request_of_the_server_goes_to_the_get_stream_and_its_answer_back() {
    let engine = bridge(scripted(""), |_| {});
    let client = Client::in_session(&engine, "2025-06-18").await;
    let mut stream = client.listen("").await;
    let second = client.exchange("GET", "Accept: text/event-stream\r\n", "").await;
    assert_eq!(second.status, 409);
    let answer = client.post(&call("1", "ask", "{}")).await;
    assert_eq!(
        answer.json()["id"],
        1,
        "nothing but the answer is on the stream of the call"
    );
    let (_, asked) = next_event(&mut stream).await;
    assert_eq!(
        (&asked["method"], &asked["id"]),
        (&json!("roots/list"), &json!(0))
    );
    let told = client
        .post(r#"{"jsonrpc":"2.0","id":0,"result":{"roots":[]}}"#)
        .await;
    assert_eq!((told.status, told.field("content-length")), (202, Some("0")));
    let (_, log) = next_event(&mut stream).await;
    assert_eq!(log["params"]["data"], r#"answered: {"roots":[]}"#);
}

#[tokio::test]
async fn what_comes_while_no_stream_is_open_waits_for_the_next_one() {
    let engine = bridge(scripted(""), |_| {});
    let client = Client::in_session(&engine, "2025-06-18").await;
    // A client that takes no streams for this call: what the server asks has to wait.
    let answer = client
        .exchange("POST", "Accept: application/json\r\n", &call("1", "ask", "{}"))
        .await;
    assert_eq!((answer.status, &answer.json()["id"]), (200, &json!(1)));
    let (_, asked) = next_event(&mut client.listen("").await).await;
    assert_eq!(asked["method"], "roots/list");
}

#[tokio::test]
async fn a_stream_that_was_cut_is_resumed_where_it_was_and_the_call_was_not_cancelled() {
    let engine = bridge(scripted(""), |_| {});
    let client = Client::in_session(&engine, "2025-11-25").await;
    let mut cut = client
        .begin("POST", &format!("Accept: {BOTH}\r\n"), &call("1", "sleep", "{}"))
        .await;
    let head = cut.read_head().await;
    assert!(head.contains("text/event-stream"), "{head}");
    let (id, priming) = next_event(&mut cut).await;
    assert_eq!(
        priming,
        Value::Null,
        "a client of this revision can resume before anything was said"
    );
    cut.reset();
    let woken = client.post(&call("2", "wake", "{}")).await;
    assert!(woken.body.contains("\"id\":2"), "{woken:#?}");
    let rest = client
        .exchange(
            "GET",
            &format!("Accept: text/event-stream\r\nLast-Event-ID: {}\r\n", id.unwrap()),
            "",
        )
        .await;
    assert_eq!(
        rest.events(),
        [json!({"jsonrpc": "2.0", "id": 1, "result": {"woken": true}})]
    );
}

#[tokio::test]
async fn the_get_stream_is_resumed_too_and_an_unknown_event_is_a_400() {
    let engine = bridge(scripted(""), |_| {});
    let client = Client::in_session(&engine, "2025-06-18").await;
    let mut stream = client.listen("").await;
    client.post(&call("1", "flood", r#"{"count":3}"#)).await;
    let (first, _) = next_event(&mut stream).await;
    let mut again = client
        .listen(&format!("Last-Event-ID: {}\r\n", first.unwrap()))
        .await;
    for number in ["1", "2"] {
        let (_, event) = next_event(&mut again).await;
        assert!(
            event["params"]["data"].as_str().unwrap().starts_with(number),
            "{event}"
        );
    }
    let foreign = client
        .exchange("GET", "Accept: text/event-stream\r\nLast-Event-ID: 77-1\r\n", "")
        .await;
    assert_eq!(foreign.status, 400);
}

#[tokio::test]
async fn when_the_program_ends_every_request_gets_an_error_with_its_own_id_and_then_404() {
    let engine = bridge(scripted(""), |_| {});
    let client = Client::in_session(&engine, "2025-06-18").await;
    let mut get = client.listen("").await;
    let mut asleep = client
        .begin(
            "POST",
            &format!("Accept: {BOTH}\r\n"),
            &call("\"s\"", "sleep", "{}"),
        )
        .await;
    asleep.read_head().await;
    let answer = client.post(&call("7", "exit", "{}")).await;
    let error = &answer.json();
    assert_eq!(
        (answer.status, &error["id"], &error["error"]["code"]),
        (502, &json!(7), &json!(-33001))
    );
    assert_eq!(error["error"]["data"]["origin"], "shadowcat");
    let text = error["error"]["message"].as_str().unwrap();
    assert!(
        text.contains("exited with code 3") && text.contains("giving up"),
        "{text}"
    );
    let (_, error) = next_event(&mut asleep).await;
    assert_eq!(
        (&error["id"], &error["error"]["code"]),
        (&json!("s"), &json!(-33001))
    );
    assert_eq!(
        get.read_to_end().await,
        (b"0\r\n\r\n".to_vec(), true),
        "an orderly end"
    );
    assert_eq!(client.post(&call("8", "echo", "{}")).await.status, 404);
    let fresh = Client::in_session(&engine, "2025-06-18").await;
    assert_eq!(fresh.post(&call("8", "echo", "{}")).await.status, 200);
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why_in_its_own_words() {
    let engine = bridge(scripted("broken"), |_| {});
    let answer = Client::new(&engine).post(&initialize("2025-06-18")).await;
    assert_eq!((answer.status, answer.field("mcp-session-id")), (502, None));
    let error = &answer.json()["error"];
    let text = error["message"].as_str().unwrap();
    for part in [
        "scripted_server",
        "exited with code 7",
        "no database at db.example",
        "terminal",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(answer.json()["id"], 0);
}

#[tokio::test]
async fn a_refused_handshake_begins_no_session() {
    let engine = bridge(scripted(""), |_| {});
    let body = initialize("2025-06-18").replace("\"test\"", "\"unwanted\"");
    let answer = Client::new(&engine).post(&body).await;
    assert_eq!((answer.status, answer.field("mcp-session-id")), (200, None));
    assert_eq!(answer.json()["error"]["message"], "not you");
    let mut frontend = engine.frontend().unwrap();
    snapshot_when(&mut frontend, "no program", |snapshot| {
        gauge(snapshot, "max_children", "").used == 0
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_request_that_is_not_answered_ends_its_stream_and_no_other() {
    let engine = bridge(scripted(""), |_| {});
    let client = Client::in_session(&engine, "2025-06-18").await;
    let fields = format!("Accept: {BOTH}\r\n");
    let mut cancelled = client.begin("POST", &fields, &call("1", "sleep", "{}")).await;
    let mut other = client.begin("POST", &fields, &call("2", "sleep", "{}")).await;
    let json_only = "Accept: application/json\r\n";
    let mut document = client.begin("POST", json_only, &call("3", "sleep", "{}")).await;
    for stream in [&mut cancelled, &mut other] {
        assert!(stream.read_head().await.contains("text/event-stream"));
    }
    for id in [1, 3] {
        let cancel =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
        assert_eq!(client.post(&cancel.to_string()).await.status, 202);
    }
    let (bytes, is_whole) = cancelled.read_to_end().await;
    let rest = String::from_utf8(bytes).unwrap();
    assert!(is_whole && !rest.contains("\"id\":1"), "{rest}");
    let (bytes, _) = document.read_to_end().await;
    let answer = String::from_utf8(bytes).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"id\":3,\"error\""),
        "{answer}"
    );
    client.post(&call("4", "wake", "{}")).await;
    assert_eq!(next_answer(&mut other).await["result"], json!({"woken": true}));
}

/// The next answer on a stream, after whatever else stands there.
async fn next_answer(stream: &mut RawPeer) -> Value {
    loop {
        let (_, message) = next_event(stream).await;
        if message.get("result").is_some() {
            return message;
        }
    }
}

#[tokio::test]
async fn batches_pass_where_the_revision_has_them() {
    let engine = bridge(scripted(""), |_| {});
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":"1","method":"ping"}]"#;
    let client = Client::in_session(&engine, "2025-03-26").await;
    let answer = client.post(batch).await;
    let result = json!({"batched": true});
    assert_eq!(
        answer.json(),
        json!([{"jsonrpc": "2.0", "id": 1, "result": result}, {"jsonrpc": "2.0", "id": "1", "result": result}])
    );
    let client = Client::in_session(&engine, "2025-06-18").await;
    let answer = client.post(batch).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (400, &json!(-32600))
    );
}

#[tokio::test]
async fn what_no_session_can_take_is_refused_with_the_status_that_clients_act_on() {
    let engine = bridge(scripted(""), |_| {});
    let nobody = Client::new(&engine);
    assert_eq!(nobody.post(&call("1", "echo", "{}")).await.status, 400);
    assert_eq!(
        nobody
            .exchange("GET", "Accept: text/event-stream\r\n", "")
            .await
            .status,
        400
    );
    assert_eq!(nobody.post("{\"jsonrpc\":").await.json()["error"]["code"], -32700);
    assert_eq!(nobody.post("{\"a\":1}").await.json()["error"]["code"], -32600);
    let stranger = Client {
        session: Some("nobody-knows-me".to_owned()),
        ..nobody
    };
    assert_eq!(stranger.post(&initialize("2025-06-18")).await.status, 404);
    let client = Client::in_session(&engine, "2025-06-18").await;
    let html = client
        .exchange("POST", "Accept: text/html\r\n", &call("1", "echo", "{}"))
        .await;
    assert_eq!(html.status, 406);
    let head = client.exchange("HEAD", "", "").await;
    assert_eq!(
        (head.status, head.field("allow")),
        (405, Some("GET, POST, DELETE, OPTIONS"))
    );
    let events = client
        .exchange("POST", "Accept: text/event-stream\r\n", &call("1", "echo", "{}"))
        .await;
    assert_eq!(events.events()[0]["id"], 1);
}

#[tokio::test]
async fn a_browser_may_ask_from_an_allowed_origin_only() {
    let engine = bridge(scripted(""), |_| {});
    let client = Client::new(&engine);
    let fields = "Origin: http://localhost:3000\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type, mcp-param-region\r\n";
    let preflight = client.exchange("OPTIONS", fields, "").await;
    assert_eq!(preflight.status, 204);
    assert_eq!(
        preflight.field("access-control-allow-origin"),
        Some("http://localhost:3000")
    );
    assert!(
        preflight
            .field("access-control-allow-headers")
            .unwrap()
            .contains("mcp-param-region")
    );
    let fields = format!("Origin: http://localhost:3000\r\nAccept: {BOTH}\r\n");
    let answer = client.exchange("POST", &fields, &initialize("2025-06-18")).await;
    assert!(
        answer
            .field("access-control-expose-headers")
            .unwrap()
            .contains("Mcp-Session-Id")
    );
    let foreign = client
        .exchange(
            "POST",
            "Origin: http://evil.example\r\n",
            &initialize("2025-06-18"),
        )
        .await;
    assert_eq!(foreign.status, 403);
}

#[tokio::test]
async fn output_that_is_no_message_and_words_on_stderr_are_shown_and_not_passed_on() {
    let engine = bridge(scripted(""), |_| {});
    let mut frontend = engine.frontend().unwrap();
    let client = Client::in_session(&engine, "2025-06-18").await;
    let answer = client.post(&call("1", "noise", "{}")).await;
    assert_eq!(answer.json()["id"], 1);
    let snapshot = snapshot_when(&mut frontend, "the word on the side", |snapshot| {
        snapshot
            .messages
            .rows
            .iter()
            .any(|row| row.summary.contains("a word on the side"))
    })
    .await;
    let shown: Vec<&str> = snapshot
        .messages
        .rows
        .iter()
        .map(|row| row.summary.as_str())
        .collect();
    assert!(
        shown.iter().any(|text| text.contains("Listening on nothing")),
        "{shown:?}"
    );
    let line = snapshot.messages.rows.iter();
    let line = line.filter(|row| row.summary.contains("Listening on nothing"));
    assert!(
        line.clone().all(|row| !row.findings.is_empty()),
        "{:#?}",
        line.collect::<Vec<_>>()
    );
    let sessions = &snapshot.sessions.rows;
    assert_eq!(
        sessions.len(),
        1,
        "requests, program and stderr are one session: {sessions:#?}"
    );
}
