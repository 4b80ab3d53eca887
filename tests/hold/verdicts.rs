//! Every verdict of a rule, over HTTP and in event streams.

use futures_util::FutureExt as _;

use crate::support::stage::{EVENTS, Stage, call, json};
use crate::support::*;
use crate::{RESULT, progress, request_at, ruled};

const CALL: &str = r#"{"jsonrpc":"2.0","id":"a-1","method":"tools/call","params":{"name":"search","arguments":{"q":"x","limit":10}}}"#;

/// What the client of `CALL` gets, from a proxy whose server must not hear of it.
async fn refused(rule: &str) -> String {
    let stage = ruled(&format!("[[rule]]\nname = \"r\"\ndirection = \"c2s\"\n{rule}\n")).await;
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(stage.request("POST", "", CALL)).await;
    let (answer, _) = client.read_to_end().await;
    assert!(
        stage.server.accept().now_or_never().is_none(),
        "{rule}: the server was asked"
    );
    String::from_utf8(answer).unwrap()
}

/// What the server gets of `CALL`.
async fn changed(rule: &str) -> (String, String) {
    let stage = ruled(&format!("[[rule]]\nname = \"r\"\ndirection = \"c2s\"\n{rule}\n")).await;
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(stage.request("POST", "", CALL)).await;
    let mut upstream = stage.server.accept().await;
    let asked = request_at(&mut upstream).await;
    upstream
        .send(json(r#"{"jsonrpc":"2.0","id":"a-1","result":{}}"#))
        .await;
    client.read_to_end().await;
    asked
}

/// What a client gets of a stream of these events when `rule` acts on it.
async fn stream(rule: &str, events: &str) -> (String, bool) {
    let stage = ruled(&format!("[[rule]]\nname = \"r\"\ndirection = \"s2c\"\n{rule}\n")).await;
    streamed(&stage, "", events).await
}

async fn streamed(stage: &Stage, session: &str, events: &str) -> (String, bool) {
    let request = stage.request("POST", session, &call(1, "slow"));
    let (mut client, mut upstream) = stage.begin(&request).await;
    upstream.send([EVENTS, events].concat()).await;
    drop(upstream);
    let (answer, _) = client.read_to_end().await;
    let answer = String::from_utf8(answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    unchunked(body)
}

/// A chunked body, and whether its end came.
pub(super) fn unchunked(mut body: &str) -> (String, bool) {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (text, true);
        }
        text.push_str(rest.get(..size).unwrap_or(rest));
        body = rest.get(size + 2..).unwrap_or_default();
    }
    (text, false)
}

#[tokio::test]
async fn a_replaced_request_arrives_changed_where_the_rule_says_and_nowhere_else() {
    for (rule, expected) in [
        (
            r#"replace = { set = { "$.params.arguments.limit" = 3 } }"#,
            CALL.replace("10", "3"),
        ),
        (
            r#"replace = { remove = ["$.params.arguments.q"] }"#,
            CALL.replace(r#""q":"x","#, ""),
        ),
        (
            r#"replace = { patch = [{ op = "replace", path = "/params/name", value = "find" }] }"#,
            CALL.replace("search", "find"),
        ),
        (
            r#"replace = { merge = { params = { name = "find" } } }"#,
            CALL.replace("search", "find"),
        ),
        (r#"replace = { text = "no JSON" }"#, "no JSON".to_owned()),
    ] {
        let (head, body) = changed(rule).await;
        assert_eq!(body, expected, "{rule}");
        let length = format!("content-length: {}\r\n", expected.len());
        assert!(head.to_ascii_lowercase().contains(&length), "{head}");
    }
}

#[tokio::test]
async fn headers_of_a_request_are_set_and_removed_and_its_body_stays() {
    let rule = r#"replace = { set-header = { "x-added" = "yes" }, remove-header = ["content-type"] }"#;
    let (head, body) = changed(rule).await;
    let head = head.to_ascii_lowercase();
    assert!(
        head.contains("x-added: yes\r\n") && !head.contains("content-type"),
        "{head}"
    );
    assert_eq!(body, CALL);
}

#[tokio::test]
async fn a_replaced_answer_arrives_changed_and_with_the_rules_headers() {
    let stage = ruled(
        "[[rule]]\nname = \"r\"\nwhen = \"kind:result\"\n[rule.replace]\nset-json = { \"$.result.n\" = \"0.10\" }\nset-header = { \"x-changed\" = \"n\" }\n",
    )
    .await;
    let request = stage.request("POST", "", &call(1, "price"));
    let (mut client, mut upstream) = stage.begin(&request).await;
    upstream
        .send(json(
            r#"{"jsonrpc":"2.0","id":1,"result":{"n":1,"big":9007199254740993}}"#,
        ))
        .await;
    let (answer, _) = client.read_to_end().await;
    let answer = String::from_utf8(answer).unwrap();
    let body = r#"{"jsonrpc":"2.0","id":1,"result":{"n":0.10,"big":9007199254740993}}"#;
    assert!(
        answer.ends_with(body) && answer.contains("x-changed: n\r\n"),
        "{answer}"
    );
    assert!(
        answer
            .to_ascii_lowercase()
            .contains(&format!("content-length: {}\r\n", body.len())),
        "{answer}"
    );
}

#[tokio::test]
async fn a_replaced_event_keeps_its_id_its_name_and_its_line_ends() {
    let rule = "when = \"kind:result\"\nreplace = { set = { \"$.result.x\" = 2 } }";
    let event =
        "event: message\r\nid: 9\r\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"x\":1}}\r\n\r\n";
    let (text, is_whole) = stream(rule, event).await;
    assert_eq!((text, is_whole), (event.replace(":1}}", ":2}}"), true));
}

#[tokio::test]
async fn an_answer_from_a_rule_has_the_requests_id_and_values() {
    let answer = refused(
        r#"answer = '{"content":[],"structuredContent":{"echo":{{$.params.arguments.q}},"of":{{id}}}}'"#,
    )
    .await;
    let body =
        r#"{"jsonrpc":"2.0","id":"a-1","result":{"content":[],"structuredContent":{"echo":"x","of":"a-1"}}}"#;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(body),
        "{answer}"
    );
}

#[tokio::test]
async fn a_request_is_refused_in_each_of_four_ways() {
    let error = refused(r#"refuse = { code = -32602, message = "no" }"#).await;
    assert!(error.starts_with("HTTP/1.1 200 "), "{error}");
    assert!(
        error.ends_with(r#"{"jsonrpc":"2.0","id":"a-1","error":{"code":-32602,"message":"no"}}"#),
        "{error}"
    );
    let tool = refused(r#"refuse = { tool-error = "broken" }"#).await;
    assert!(
        tool.contains(r#""id":"a-1","result":"#) && tool.contains(r#""text":"broken"}],"isError":true"#),
        "{tool}"
    );
    let status = refused("refuse = { status = 429 }").await;
    assert!(
        status.starts_with("HTTP/1.1 429 ") && status.contains(r#""id":"a-1","error""#),
        "{status}"
    );
    let closed = refused(r#"refuse = "close""#).await;
    assert!(!closed.contains("a-1"), "{closed}");
}

#[tokio::test]
async fn a_dropped_request_fails_and_a_dropped_notification_is_accepted() {
    let dropped = refused("then = \"drop\"").await;
    assert!(
        dropped.contains(r#""id":"a-1","error""#) && dropped.contains("dropped"),
        "{dropped}"
    );
    let stage = ruled("[[rule]]\nname = \"r\"\nthen = \"drop\"\n").await;
    let body = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(stage.request("POST", "", body)).await;
    let (answer, _) = client.read_to_end().await;
    assert!(answer.starts_with(b"HTTP/1.1 202 "));
}

#[tokio::test]
async fn a_silently_dropped_request_is_never_answered() {
    let mut stage = ruled("[[rule]]\nname = \"r\"\nwhen = \"tool:lost\"\nthen = \"drop silently\"\n").await;
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(stage.request("POST", "", &call(1, "lost"))).await;
    snapshot_when(&mut stage.frontend, "the hit", |snapshot| {
        snapshot.intercept.rules[0].hits == 1
    })
    .await;
    stage.call("", 2, "other", "free").await;
    assert!(client.read_chunk().now_or_never().is_none());
    assert!(stage.server.accept().now_or_never().is_none());
}

#[tokio::test]
async fn a_dropped_event_leaves_the_place_to_resume_from() {
    let text = "[[rule]]\nname = \"r\"\nwhen = \"method:notifications/progress\"\nthen = \"drop\"\n";
    let stage = ruled(text).await;
    let event = format!("id: 7\n{}", progress(1));
    let (old, _) = streamed(&stage, "", &[&event, RESULT].concat()).await;
    assert_eq!(old, format!("id: 7\n\n{RESULT}"));
    let (without, _) = streamed(&stage, "", &[&progress(1), RESULT].concat()).await;
    assert_eq!(without, RESULT);
    // A client of a revision that knows events without data gets one.
    let body = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
    let result = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}"#;
    let response = format!(
        "HTTP/1.1 200 OK\r\nMcp-Session-Id: s\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{result}",
        result.len()
    );
    stage.exchange(&stage.request("POST", "", body), &response).await;
    let (new, _) = streamed(&stage, "s", &[&event, RESULT].concat()).await;
    assert_eq!(new, format!("id: 7\ndata:\n\n{RESULT}"));
}

#[tokio::test]
async fn a_refused_or_dropped_answer_is_replaced_by_an_error_with_its_id() {
    for rule in ["refuse = { code = -32603, message = \"no\" }", "then = \"drop\""] {
        let (text, _) = stream(
            &format!("when = \"kind:result\"\n{rule}"),
            &[&progress(1), RESULT].concat(),
        )
        .await;
        assert!(text.starts_with(&progress(1)), "{text}");
        assert!(
            text.contains("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"error\":"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_delayed_message_comes_later_and_what_follows_it_stays_behind() {
    let began = tokio::time::Instant::now();
    let (text, is_whole) = stream(
        "when = \"$.params.progress=1\"\ndelay = \"300ms\"",
        &[&progress(1), &progress(2), RESULT].concat(),
    )
    .await;
    assert!(began.elapsed().as_millis() >= 300);
    assert_eq!(
        (text, is_whole),
        ([&progress(1), &progress(2), RESULT].concat(), true)
    );
}

#[tokio::test]
async fn each_fault_breaks_a_stream_in_its_own_way() {
    let (one, two) = (progress(1), progress(2));
    let all = [&one, &two, RESULT].concat();
    for (fault, expected, is_whole) in [
        ("\"close\"", String::new(), false),
        ("{ truncate = 10 }", one.get(..10).unwrap().to_owned(), false),
        (
            "{ duplicate = 3 }",
            [&one, &one, &one, &two, RESULT].concat(),
            true,
        ),
        ("{ reorder = 1 }", [&two, &one, RESULT].concat(), true),
        ("{ reorder = 2 }", [&two, RESULT, &one].concat(), true),
        ("{ reorder = 9 }", [&two, RESULT, &one].concat(), true),
        ("{ slow = \"1KiB\" }", all.clone(), true),
    ] {
        let rule = format!("when = \"$.params.progress=1\"\nfault = {fault}");
        assert_eq!(stream(&rule, &all).await, (expected, is_whole), "{fault}");
    }
    let (text, _) = stream("when = \"$.params.progress=1\"\nfault = \"invalid-json\"", &all).await;
    let first = text.strip_prefix("data: ").unwrap().split('\n').next().unwrap();
    assert!(
        serde_json::from_str::<serde_json::Value>(first).is_err(),
        "{text}"
    );
    assert!(text.ends_with(&[&two, RESULT].concat()), "{text}");
    let (text, _) = stream("when = \"kind:result\"\nfault = \"wrong-id\"", &all).await;
    assert!(text.starts_with(&[&*one, &*two].concat()), "{text}");
    assert!(
        !text.contains("\"id\":1,") && text.contains("\"result\":{}"),
        "{text}"
    );
}

#[tokio::test]
async fn an_event_put_behind_others_waits_for_them() {
    let stage =
        ruled("[[rule]]\nname = \"r\"\nwhen = \"$.params.progress=1\"\nfault = { reorder = 1 }\n").await;
    let request = stage.request("POST", "", &call(1, "slow"));
    let (mut client, mut upstream) = stage.begin(&request).await;
    upstream.send([EVENTS, &progress(1), ": here\n\n"].concat()).await;
    client.read_head().await;
    // The comment shows that the event was seen before it.
    assert_eq!(client.read_chunked(8).await, b": here\n\n");
    upstream.send(progress(2)).await;
    let expected = [progress(2), progress(1)].concat();
    assert_eq!(client.read_chunked(expected.len()).await, expected.as_bytes());
}

#[tokio::test]
async fn a_request_that_is_to_find_a_closed_connection_never_reaches_its_server() {
    let closed = refused("fault = \"close\"").await;
    assert!(!closed.contains("a-1"), "{closed}");
}
