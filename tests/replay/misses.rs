//! What is not in a recording.

use serde_json::{Value, json};
use shadowcat::replay::MockServer;
use shadowcat::replay::mock::{Found, MISSED, MockCall, OnMiss};
use tokio::io::AsyncReadExt as _;

use crate::peer::{Heard, Peer, Streamable, nothing};
use crate::recording;
use crate::sdk::{SdkServer, Speaks, Way, connect};
use crate::support::soon;

async fn started(name: &str, on_miss: OnMiss) -> shadowcat::replay::RunningMock {
    let mock = MockServer::from_recording(recording(name)).on_miss(on_miss);
    mock.start().await.unwrap()
}

async fn ask(peer: &mut Peer, method: &str, params: Value) -> Heard {
    let request = json!({"jsonrpc": "2.0", "id": 77, "method": method, "params": params});
    peer.ask(&request, &nothing).await
}

async fn handshake(peer: &mut Peer, revision: &str) -> Heard {
    let params =
        json!({"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
    ask(peer, "initialize", params).await
}

#[tokio::test]
async fn a_miss_says_what_is_nearest_and_how_it_differs() {
    let mock = started("legacy-http.jsonl", OnMiss::Error).await;
    let mut peer = Peer::Streamable(Streamable::new(mock.url()));
    handshake(&mut peer, "2025-11-25").await;
    let params = json!({"name": "get-sum", "arguments": {"a": 2, "b": 40}});
    let heard = ask(&mut peer, "tools/call", params).await;
    let error = &heard.answer["error"];
    assert_eq!(error["code"], MISSED);
    assert_eq!(
        error["message"],
        "Not in the recording: tools/call `get-sum`; the nearest is tools/call `get-sum` (#6), which differs at \
         $.arguments.b (recorded 3, asked 40)"
    );
    assert_eq!(
        error["data"]["nearest"]["differences"],
        json!([{"path": "$.arguments.b", "recorded": "3", "asked": "40"}])
    );
    let heard = ask(&mut peer, "prompts/get", json!({"name": "x"})).await;
    let message = heard.answer["error"]["message"].as_str().unwrap();
    assert_eq!(
        message,
        "Not in the recording: prompts/get `x`; it has these methods: initialize, ping, tools/call"
    );
    let misses = mock.misses();
    assert_eq!(misses.len(), 2);
    assert_eq!(
        misses[0].to_string(),
        "S1 tools/call get-sum  NOT RECORDED: the nearest is tools/call `get-sum` (#6), which differs at \
         $.arguments.b (recorded 3, asked 40)"
    );
}

#[tokio::test]
async fn a_miss_quotes_no_secret_of_the_client() {
    for on_miss in [OnMiss::Error, OnMiss::Nearest] {
        let pattern = "acme-[0-9]+".parse().unwrap();
        let mock = MockServer::from_recording(recording("legacy-http.jsonl"));
        let mock = mock.on_miss(on_miss).redacting([pattern].into_iter().collect());
        let mock = mock.start().await.unwrap();
        let mut peer = Peer::Streamable(Streamable::new(mock.url()));
        handshake(&mut peer, "2025-11-25").await;
        for arguments in [
            json!({"password": "s3cr3t-1"}),
            json!({"a": 2, "b": 3, "login": {"tokens": ["s3cr3t-2"], "pin": "acme-471"}}),
            json!({"a": 2, "b": "token=s3cr3t-3 acme-471"}),
        ] {
            let params = json!({"name": "get-sum", "arguments": arguments});
            let heard = ask(&mut peer, "tools/call", params).await;
            let answer = heard.answer.to_string();
            let call = mock.calls().pop().unwrap();
            let note = call.note.unwrap();
            for said in [&answer, &note] {
                assert!(!said.contains("s3cr3t") && !said.contains("acme-471"), "{said}");
            }
            assert!(note.contains("recorded ") && note.contains("‹secret:"), "{note}");
        }
    }
}

#[tokio::test]
async fn the_nearest_request_is_answered_where_that_was_asked_for() {
    let mock = started("legacy-http.jsonl", OnMiss::Nearest).await;
    let mut peer = Peer::Streamable(Streamable::new(mock.url()));
    handshake(&mut peer, "2025-11-25").await;
    let params = json!({"name": "get-sum", "arguments": {"a": 2, "b": 40}});
    let heard = ask(&mut peer, "tools/call", params).await;
    assert_eq!(heard.answer["id"], 77);
    assert_eq!(
        heard.answer["result"]["content"][0]["text"],
        "The sum of 2 and 3 is 5."
    );
    assert_eq!(
        mock.calls()[1].to_string(),
        "S1 tools/call get-sum  nearest request (#6): it differs at $.arguments.b (recorded 3, asked 40)"
    );
    mock.assert_no_misses();
}

#[tokio::test]
async fn the_nearest_request_is_never_one_about_another_tool() {
    let mock = started("legacy-http.jsonl", OnMiss::Nearest).await;
    let mut peer = Peer::Streamable(Streamable::new(mock.url()));
    handshake(&mut peer, "2025-11-25").await;
    let params = json!({"name": "delete-everything", "arguments": {"a": 2, "b": 3}});
    let heard = ask(&mut peer, "tools/call", params).await;
    let error = &heard.answer["error"];
    assert_eq!(error["code"], MISSED);
    let message = error["message"].as_str().unwrap();
    assert!(
        message.starts_with("Not in the recording: tools/call `delete-everything`; "),
        "{message}"
    );
    assert_eq!(mock.misses().len(), 1);
}

/// A client on pipes, which ends after this. Gives what it is answered, and which methods were told.
async fn on_pipes(said: String) -> (Vec<Value>, Vec<String>) {
    let mut told = Vec::new();
    let (mut ours, theirs) = tokio::io::duplex(1 << 20);
    let mock = MockServer::from_recording(recording("legacy-http.jsonl"));
    let mut text = String::new();
    let watch = |call: &MockCall| told.push(call.method.clone());
    let serving = mock.serve(said.as_bytes(), theirs, watch);
    let (served, read) = tokio::join!(serving, ours.read_to_string(&mut text));
    served.unwrap();
    read.unwrap();
    let answers = text.lines().map(|line| serde_json::from_str(line).unwrap());
    (answers.collect(), told)
}

#[tokio::test]
async fn each_request_is_told_however_many_come_at_once() {
    let pings = "{\"id\":1,\"method\":\"ping\"}\n".repeat(3_000);
    let (_, told) = on_pipes(pings).await;
    assert_eq!(told.len(), 3_000);
}

#[tokio::test]
async fn lines_that_are_no_messages_are_answered_with_the_errors_of_the_protocol() {
    let said = "hello\n\n{\"id\":1,\n[]\n{\"id\":7,\"method\":\"ping\"}\n";
    let (answers, told) = on_pipes(said.to_owned()).await;
    let code = |answer: &Value| answer["error"]["code"].as_i64();
    let codes: Vec<_> = answers.iter().filter_map(code).collect();
    assert_eq!(codes, [-32_700, -32_700, -32_600]);
    assert!(
        answers
            .iter()
            .filter(|answer| code(answer).is_some())
            .all(|answer| answer["id"].is_null())
    );
    assert!(answers.iter().any(|answer| answer["id"] == 7));
    assert_eq!(told, ["ping"]);
}

#[tokio::test]
async fn another_revision_gets_the_recorded_one_and_that_is_told() {
    let mock = started("legacy-http.jsonl", OnMiss::Error).await;
    let mut peer = Peer::Streamable(Streamable::new(mock.url()));
    let heard = handshake(&mut peer, "2025-06-18").await;
    assert_eq!(heard.answer["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(
        mock.calls()[0].note.as_deref(),
        Some("the client asked for 2025-06-18; the recording agreed on 2025-11-25, which is answered")
    );
}

#[tokio::test]
async fn ping_and_lists_that_were_not_recorded_are_made_up() {
    let mock = started("legacy-http.jsonl", OnMiss::Error).await;
    let mut peer = Peer::Streamable(Streamable::new(mock.url()));
    handshake(&mut peer, "2025-11-25").await;
    assert_eq!(
        ask(&mut peer, "ping", json!({})).await.answer["result"],
        json!({})
    );
    let tools = ask(&mut peer, "tools/list", json!({})).await.answer;
    let names: Vec<&str> = tools["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "echo",
            "get-sum",
            "trigger-elicitation-request",
            "trigger-long-running-operation",
            "trigger-sampling-request"
        ]
    );
    mock.assert_no_misses();
}

#[tokio::test]
async fn a_client_of_the_other_era_learns_it_in_the_words_of_the_protocol() {
    let legacy = started("legacy-http.jsonl", OnMiss::Error).await;
    let mut peer = Peer::Streamable(Streamable::new(legacy.url()));
    let meta = json!({"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}});
    let heard = ask(&mut peer, "server/discover", meta).await;
    assert_eq!(
        (heard.status, &heard.answer["error"]["code"]),
        (400, &json!(-32601))
    );
    assert_eq!(legacy.calls()[0].found, Found::Refused);
    legacy.assert_no_misses();

    let modern = started("modern-http.jsonl", OnMiss::Error).await;
    let mut peer = Peer::Streamable(Streamable::new(modern.url()));
    let heard = handshake(&mut peer, "2025-11-25").await;
    assert_eq!(heard.status, 400);
    assert_eq!(heard.answer["error"]["code"], -32022);
    assert_eq!(heard.answer["error"]["data"]["supported"], json!(["2026-07-28"]));
}

#[tokio::test]
async fn what_is_missing_is_answered_by_a_live_server_where_that_was_asked_for() {
    let server = SdkServer::start().await;
    let pass = || OnMiss::Pass(Box::new(server.url().parse().unwrap()));
    for (name, speaks) in [
        ("legacy-http.jsonl", Speaks::Legacy),
        ("modern-http.jsonl", Speaks::Modern),
    ] {
        let mock = started(name, pass()).await;
        let way = Way {
            url: mock.url(),
            proxy: None,
        };
        let client = connect(&way, speaks, "passed on").await;
        let prompts = soon("the live server's prompts", client.list_prompts(None))
            .await
            .unwrap();
        assert_eq!(prompts.prompts[0].name, "greet");
        let of = |method: &str| {
            let calls = mock.calls();
            let call = calls.iter().find(|call| call.method == method);
            call.map(|call| call.found)
        };
        assert_eq!(of("prompts/list"), Some(Found::Passed));
        let first = if speaks == Speaks::Legacy {
            "initialize"
        } else {
            "server/discover"
        };
        assert_eq!(of(first), Some(Found::Same));
        soon("the client's leaving", client.cancel()).await.unwrap();
    }
}

#[tokio::test]
async fn assertions_say_what_came_instead() {
    let mock = started("legacy-http.jsonl", OnMiss::Error).await;
    let mut peer = Peer::Streamable(Streamable::new(mock.url()));
    handshake(&mut peer, "2025-11-25").await;
    mock.assert_called("initialize", None);
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        mock.assert_called("tools/call", Some("echo"));
    }));
    let text = *failed.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(
        text,
        "there was no tools/call of `echo`, only:\n  S1 initialize  same request (#1)"
    );
}
