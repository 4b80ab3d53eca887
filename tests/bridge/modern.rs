//! Clients without sessions.

use serde_json::json;
use shadowcat::snapshot::RowKind;

use crate::peer::*;
use crate::support::*;

#[tokio::test]
async fn equal_ids_of_clients_at_the_same_time_do_not_meet_in_the_program_that_they_share() {
    let engine = bridge(scripted("modern"), |_| {});
    let client = Client::new(&engine);
    let mut asleep = Vec::new();
    for id in ["0", "0", "\"0\""] {
        let mut peer = client.begin_modern(&modern_call(id, "sleep", "{}")).await;
        // The head of a stream: the call is with the program by now.
        assert!(peer.read_head().await.contains("text/event-stream"));
        asleep.push((id, peer));
    }
    let progress = client
        .post_modern(&modern_call("0", "progress", r#"{"count":1}"#))
        .await;
    let seen = progress.events();
    assert_eq!(
        (&seen[0]["params"]["progressToken"], &seen[1]["id"]),
        (&json!(0), &json!(0))
    );
    assert!(
        seen[1]["result"]["token"].as_u64().unwrap() > 1 << 40,
        "on the pipe it was another one: {seen:?}"
    );
    client.post_modern(&modern_call("0", "wake", "{}")).await;
    for (id, mut peer) in asleep {
        let (_, answer) = next_event(&mut peer).await;
        assert_eq!(
            (&answer["id"].to_string(), &answer["result"]),
            (&id.to_owned(), &json!({"woken": true}))
        );
    }
    let mut frontend = engine.frontend().unwrap();
    let snapshot = snapshot_when(&mut frontend, "gauges", |_| true).await;
    assert_eq!(
        gauge(&snapshot, "max_children", "").peak,
        1,
        "all share one program"
    );
}

#[tokio::test]
async fn closing_a_stream_cancels_its_request_in_the_program() {
    let engine = bridge(scripted("modern"), |_| {});
    let client = Client::new(&engine);
    let logged = modern_call("5", "sleep", "{}").replace(
        "\"io.modelcontextprotocol/clientCapabilities\"",
        "\"io.modelcontextprotocol/logLevel\":\"info\",\"io.modelcontextprotocol/clientCapabilities\"",
    );
    let mut listener = client.begin_modern(&logged).await;
    listener.read_head().await;
    let mut leaving = client.begin_modern(&modern_call("6", "sleep", "{}")).await;
    leaving.read_head().await;
    leaving.reset();
    let (_, log) = next_event(&mut listener).await;
    assert_eq!(
        log["params"]["data"], "cancelled: 6",
        "a log line goes to the oldest request that wants any"
    );
}

#[tokio::test]
async fn a_subscription_stays_open_until_its_client_leaves() {
    let engine = bridge(scripted("modern"), |_| {});
    let client = Client::new(&engine);
    let listen = modern(
        "9",
        "subscriptions/listen",
        r#""notifications":{"toolsListChanged":true}"#,
    );
    let mut first = client.begin_modern(&listen).await;
    let mut second = client.begin_modern(&listen).await;
    for stream in [&mut first, &mut second] {
        let head = stream.read_head().await;
        assert!(head.contains("text/event-stream"), "{head}");
        let (id, acknowledged) = next_event(stream).await;
        assert_eq!(id, None, "there is nothing to resume");
        let key = &acknowledged["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
        assert_eq!(*key, json!(9));
    }
}

#[tokio::test]
async fn a_head_that_disagrees_with_its_body_is_refused_before_the_program_hears_of_it() {
    let engine = bridge(scripted("modern"), |_| {});
    let client = Client::new(&engine);
    let body = modern_call("1", "echo", "{}");
    let wrong = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: Echo\r\n";
    let answer = client.exchange("POST", wrong, &body).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (400, &json!(-32020))
    );
    assert_eq!(answer.json()["id"], 1);
    let bare = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let answer = client
        .exchange(
            "POST",
            "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/list\r\n",
            bare,
        )
        .await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (400, &json!(-32602))
    );
}

#[tokio::test]
async fn arguments_that_headers_repeat_are_compared_by_the_last_list_of_tools() {
    let engine = bridge(scripted("modern"), |_| {});
    let client = Client::new(&engine);
    let body = modern_call("1", "deploy", r#"{"region":"eu-1"}"#);
    let with = async |field: &str| {
        let fields = modern_head(&body) + field;
        let answer = client.exchange("POST", &fields, &body).await;
        (answer.status, answer.json()["error"]["code"].as_i64())
    };
    let mismatch = (400, Some(-32020));
    assert_eq!(with("").await, (200, None), "nobody knows the tool yet");
    assert_eq!(with("Mcp-Param-Region: =?base64?ZXUtMQ?=\r\n").await, mismatch);
    client.post_modern(&modern("2", "tools/list", "")).await;
    assert_eq!(with("").await, mismatch);
    assert_eq!(with("Mcp-Param-Region: EU-1\r\n").await, mismatch);
    assert_eq!(with("mcp-param-region:  eu-1 \r\n").await, (200, None));
    assert_eq!(
        with("Mcp-Param-Region: =?base64?ZXUtMQ==?=\r\n").await,
        (200, None)
    );
    client.post_modern(&modern_call("3", "exit", "{}")).await;
    client.post_modern(&modern_call("4", "echo", "{}")).await;
    assert_eq!(
        with("").await,
        mismatch,
        "its tools are the same after a new start"
    );
}

#[tokio::test]
async fn unknown_methods_are_404_and_there_is_no_get() {
    let engine = bridge(scripted("modern"), |_| {});
    let client = Client {
        session: Some("means nothing here".to_owned()),
        ..Client::new(&engine)
    };
    let answer = client.post_modern(&modern("1", "no/such", "")).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (404, &json!(-32601))
    );
    for method in ["GET", "DELETE"] {
        let answer = client
            .exchange(method, "MCP-Protocol-Version: 2026-07-28\r\n", "")
            .await;
        assert_eq!((answer.status, answer.field("allow")), (405, Some("POST")));
    }
    let answer = client.post_modern(&modern_call("1", "ask", "{}")).await;
    assert_eq!(answer.json()["id"], 1, "a request of the server is not passed on");
    let mut frontend = engine.frontend().unwrap();
    snapshot_when(&mut frontend, "the finding at the program's run", |snapshot| {
        let mut runs = snapshot
            .messages
            .rows
            .iter()
            .filter(|row| row.kind == RowKind::Run);
        runs.any(|row| {
            row.findings
                .iter()
                .any(|finding| finding.text.contains("a request of the server"))
        })
    })
    .await;
}

#[tokio::test]
async fn when_the_program_ends_streams_end_without_an_answer_and_the_next_request_starts_it_anew() {
    let engine = bridge(scripted("modern"), |_| {});
    let client = Client::new(&engine);
    let mut asleep = client.begin_modern(&modern_call("1", "sleep", "{}")).await;
    asleep.read_head().await;
    let answer = client.post_modern(&modern_call("2", "exit", "{}")).await;
    assert_eq!((answer.status, &answer.json()["id"]), (502, &json!(2)));
    assert!(answer.body.contains("giving up"), "{answer:#?}");
    assert_eq!(asleep.read_to_end().await, (b"0\r\n\r\n".to_vec(), true));
    assert_eq!(
        client.post_modern(&modern_call("3", "echo", "{}")).await.status,
        200
    );
}

#[tokio::test]
async fn a_command_of_the_legacy_era_makes_clients_fall_back_to_it() {
    let engine = bridge(scripted(""), |_| {});
    let client = Client::new(&engine);
    let answer = client.post_modern(&modern("1", "server/discover", "")).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (400, &json!(-33001))
    );
    let client = Client::in_session(&engine, "2025-11-25").await;
    assert_eq!(client.post(&call("1", "echo", "{}")).await.status, 200);
}
