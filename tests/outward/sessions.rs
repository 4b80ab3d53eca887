//! Sessions, streams, cancellations and the older transport.

use serde_json::{Value, json};
use shadowcat::outward::OutwardEnd;

use crate::shim::*;

#[tokio::test]
async fn a_session_is_kept_from_its_first_request_to_its_end() {
    let (server, mut shim) = raw().await;
    shim.say(INITIALIZE).await;
    shim.say(INITIALIZED).await;
    shim.say(&ping("\"1\"")).await;
    let first = Asked::by(&server).await;
    assert_eq!(
        (first.body.as_str(), first.field("mcp-session-id")),
        (INITIALIZE, None)
    );
    assert_eq!(first.field("accept"), Some("application/json, text/event-stream"));
    first.answer("200 OK", SESSION, AGREED).await;
    let second = Asked::by(&server).await;
    assert_eq!(second.body, INITIALIZED, "only after the answer");
    assert_eq!(second.field("mcp-session-id"), Some("s-1"));
    assert_eq!(second.field("mcp-protocol-version"), Some("2025-06-18"));
    second.accept().await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let asked = Asked::by(&server).await;
        assert_eq!(asked.field("mcp-session-id"), Some("s-1"));
        seen.push(asked.line().to_owned());
        if asked.body.is_empty() {
            asked.answer("405 Method Not Allowed", "", "").await;
        } else {
            asked
                .answer_json(r#"{"jsonrpc":"2.0","id":"1","result":{}}"#)
                .await;
        }
    }
    seen.sort();
    assert_eq!(seen, ["GET /mcp HTTP/1.1", "POST /mcp HTTP/1.1"]);
    assert_eq!(shim.hear().await, AGREED);
    assert_eq!(shim.hear().await, r#"{"jsonrpc":"2.0","id":"1","result":{}}"#);
    shim.input = None;
    let last = Asked::by(&server).await;
    assert_eq!(last.line(), "DELETE /mcp HTTP/1.1");
    assert_eq!(last.field("mcp-session-id"), Some("s-1"));
    last.answer("405 Method Not Allowed", "", "").await;
    assert_eq!(shim.end().await.unwrap(), OutwardEnd::InputEnded);
}

#[tokio::test]
async fn every_answer_becomes_one_line_spelled_as_it_was() {
    let (server, mut shim) = raw().await;
    shim.say(&ping("1")).await;
    let pretty = "{\r\n  \"jsonrpc\": \"2.0\",\n  \"id\": 1, \"result\": {\"n\": 1.0, \"n\": 1e3, \"s\": \"\\u00e9\"}\n}\n";
    Asked::by(&server).await.answer_json(pretty).await;
    assert_eq!(
        shim.hear().await,
        r#"{  "jsonrpc": "2.0",  "id": 1, "result": {"n": 1.0, "n": 1e3, "s": "\u00e9"}}"#
    );
    shim.say(&ping("2")).await;
    let mut asked = Asked::by(&server).await;
    asked
        .stream(": hello\n\nid: 7\ndata:\n\nevent: other\ndata: {\"not\":\"for us\"}\n\ndata: {\"jsonrpc\":\"2.0\",\ndata: \"method\":\"notifications/message\"}\r\n\r\ndata: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n\n")
        .await;
    assert_eq!(
        shim.hear().await,
        r#"{"jsonrpc":"2.0","method":"notifications/message"}"#
    );
    assert_eq!(shim.hear().await, r#"{"jsonrpc":"2.0","id":2,"result":{}}"#);
}

#[tokio::test]
async fn a_slow_call_does_not_hold_up_others() {
    let (server, mut shim) = raw().await;
    for id in ["1", "2"] {
        shim.say(&ping(id)).await;
    }
    let (slow, fast) = (Asked::by(&server).await, Asked::by(&server).await);
    assert_eq!(
        (slow.body.as_str(), fast.body.as_str()),
        (&*ping("1"), &*ping("2"))
    );
    fast.answer_json(r#"{"jsonrpc":"2.0","id":2,"result":{}}"#).await;
    assert_eq!(shim.hear_json().await["id"], 2);
    slow.answer_json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).await;
    assert_eq!(shim.hear_json().await["id"], 1);
}

#[tokio::test]
async fn a_modern_request_repeats_in_headers_what_its_body_says() {
    let (server, mut shim) = raw().await;
    shim.say(&modern(1, "tools/list", "")).await;
    let list = Asked::by(&server).await;
    assert_eq!(list.field("mcp-protocol-version"), Some("2026-07-28"));
    assert_eq!(list.field("mcp-method"), Some("tools/list"));
    assert_eq!(list.field("mcp-name"), None);
    list.answer_json(r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","tools":[{"name":"d\u00e9ploy","inputSchema":{"properties":{"region":{"type":"string","x-mcp-header":"Region"}}}}]}}"#).await;
    shim.hear().await;
    let params = r#""name":"d\u00e9ploy","arguments":{"region":"eu-1"},"#;
    shim.say(&modern(2, "tools/call", params)).await;
    let call = Asked::by(&server).await;
    assert_eq!(call.body, modern(2, "tools/call", params));
    assert_eq!(call.field("mcp-name"), Some("=?base64?ZMOpcGxveQ==?="));
    assert_eq!(call.field("mcp-param-region"), Some("eu-1"));
    // A refusal that says which revisions would do has no id in this era.
    call.answer(
        "400 Bad Request",
        "Content-Type: application/json\r\n",
        r#"{"jsonrpc":"2.0","error":{"code":-32022,"message":"no","data":{"supported":["2026-07-28"]}}}"#,
    )
    .await;
    let error = shim.hear_json().await;
    assert_eq!(
        (&error["id"], &error["error"]["code"]),
        (&json!(2), &json!(-32022))
    );
}

#[tokio::test]
async fn a_line_that_cancels_a_modern_request_closes_its_post_and_is_not_sent() {
    let (server, mut shim) = raw().await;
    shim.say(&modern(1, "tools/call", r#""name":"slow","#)).await;
    let mut call = Asked::by(&server).await;
    call.stream(": working\n\n").await;
    shim.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#)
        .await;
    call.peer.wait_closed().await;
    shim.say(&modern(2, "tools/list", "")).await;
    let next = Asked::by(&server).await;
    assert_eq!(next.field("mcp-method"), Some("tools/list"));
    next.answer_json(r#"{"jsonrpc":"2.0","id":2,"result":{}}"#).await;
    assert_eq!(shim.hear_json().await["id"], 2, "the cancelled one has no answer");
}

#[tokio::test]
async fn a_line_that_cancels_a_legacy_request_is_sent_like_any_other() {
    let (server, mut shim) = raw_session().await;
    shim.say(&ping("1")).await;
    let _held = Asked::by(&server).await;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    shim.say(cancel).await;
    assert_eq!(Asked::by(&server).await.body, cancel);
}

#[tokio::test]
async fn a_stream_that_was_cut_is_resumed_where_it_ended() {
    let (server, mut shim) = raw_session().await;
    shim.say(&ping("\"a\"")).await;
    let mut first = Asked::by(&server).await;
    first.stream("id: s-0\nretry: 60\ndata:\n\n").await;
    drop(first);
    let mut again = Asked::by(&server).await;
    assert_eq!(again.line(), "GET /mcp HTTP/1.1");
    assert_eq!(again.field("last-event-id"), Some("s-0"));
    assert_eq!(again.field("mcp-session-id"), Some("s-1"));
    again
        .stream("id: s-1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"m\"}\n\n")
        .await;
    drop(again);
    let mut last = Asked::by(&server).await;
    assert_eq!(last.field("last-event-id"), Some("s-1"));
    last.stream("data: {\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":{}}\n\n")
        .await;
    assert_eq!(shim.hear_json().await["method"], "m");
    assert_eq!(shim.hear_json().await["id"], "a");
}

#[tokio::test]
async fn a_stream_that_ends_without_an_answer_is_an_error_with_the_requests_own_id() {
    let (server, mut shim) = raw_session().await;
    shim.say(&ping("\"a\\u0062\"")).await;
    let mut asked = Asked::by(&server).await;
    asked.stream(": sorry\n\n").await;
    drop(asked);
    let line = shim.hear().await;
    assert!(line.contains(r#""id":"a\u0062""#), "{line}");
    assert_ours(&serde_json::from_str(&line).unwrap(), &json!("ab"), "no_answer");
}

#[tokio::test]
async fn what_the_server_says_on_its_own_is_heard_and_answered() {
    let (server, mut shim) = raw().await;
    shim.say(INITIALIZE).await;
    Asked::by(&server).await.answer("200 OK", SESSION, AGREED).await;
    shim.hear().await;
    shim.say(INITIALIZED).await;
    Asked::by(&server).await.accept().await;
    let mut listening = Asked::by(&server).await;
    let question = r#"{"jsonrpc":"2.0","id":0,"method":"roots/list"}"#;
    listening
        .stream(&format!("id: 5\nretry: 60\ndata: {question}\n\n"))
        .await;
    assert_eq!(shim.hear().await, question);
    let answer = r#"{"jsonrpc":"2.0","id":0,"result":{"roots":[]}}"#;
    shim.say(answer).await;
    let asked = Asked::by(&server).await;
    assert_eq!(asked.body, answer);
    asked.accept().await;
    drop(listening);
    let again = Asked::by(&server).await;
    assert_eq!(again.field("last-event-id"), Some("5"), "it is opened again");
}

#[tokio::test]
async fn a_server_of_the_older_transport_is_found_by_itself() {
    let (server, mut shim) = raw().await;
    shim.say(INITIALIZE).await;
    Asked::by(&server)
        .await
        .answer("405 Method Not Allowed", "", "")
        .await;
    let mut stream = Asked::by(&server).await;
    assert_eq!(
        (stream.line(), stream.field("accept")),
        ("GET /mcp HTTP/1.1", Some("text/event-stream"))
    );
    stream
        .stream("event: endpoint\ndata: /messages?sessionId=ab\n\n")
        .await;
    let again = Asked::by(&server).await;
    assert_eq!(
        (again.line(), again.body.as_str()),
        ("POST /messages?sessionId=ab HTTP/1.1", INITIALIZE)
    );
    again
        .answer("202 Accepted", "Content-Type: text/plain\r\n", "Accepted")
        .await;
    stream
        .peer
        .send(format!("event: message\ndata: {AGREED}\n\n"))
        .await;
    assert_eq!(shim.hear().await, AGREED);
    shim.say(INITIALIZED).await;
    Asked::by(&server).await.accept().await;
    shim.say(&ping("7")).await;
    let asked = Asked::by(&server).await;
    assert_eq!(asked.line(), "POST /messages?sessionId=ab HTTP/1.1");
    asked.accept().await;
    // The session is the stream.
    drop(stream);
    assert_ours(&shim.hear_json().await, &json!(7), "session_lost");
    assert!(matches!(shim.end().await, Ok(OutwardEnd::SessionLost { .. })));
}

#[tokio::test]
async fn an_endpoint_at_another_origin_gets_nothing() {
    let (server, mut shim) = raw().await;
    shim.say(INITIALIZE).await;
    Asked::by(&server).await.answer("404 Not Found", "", "").await;
    let mut stream = Asked::by(&server).await;
    stream
        .stream("event: endpoint\ndata: http://127.0.0.1:1/messages\n\n")
        .await;
    let error = shim.hear_json().await;
    assert_ours(&error, &json!(0), "http_status");
    assert!(
        error["error"]["message"].as_str().unwrap().contains("own origin"),
        "{error}"
    );
}

#[tokio::test]
async fn a_forgotten_session_ends_everything_with_errors() {
    let (server, mut shim) = raw_session().await;
    shim.say(&ping("1")).await;
    let _held = Asked::by(&server).await;
    shim.say(&ping("2")).await;
    Asked::by(&server)
        .await
        .answer("404 Not Found", "", "Session not found")
        .await;
    let mut ids = Vec::new();
    for line in shim.rest().await {
        let error: Value = serde_json::from_str(&line).unwrap();
        assert_ours(&error, &error["id"], "session_lost");
        ids.push(error["id"].clone());
    }
    ids.sort_by_key(Value::as_u64);
    assert_eq!(ids, [1, 2]);
    let told = shim.hear_error().await;
    assert!(
        told.contains("Session not found") && told.contains("begin anew"),
        "{told}"
    );
    let Ok(OutwardEnd::SessionLost { cause }) = shim.end().await else {
        panic!("the session is lost");
    };
    assert!(cause.contains("Session not found"), "{cause}");
}
