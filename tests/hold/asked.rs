//! What a server asks its client is answered by somebody else: the server gets it as if the client had said it, and the
//! client never hears of the question.

use shadowcat::ids::HoldId;
use shadowcat::intercept::interceptor::InterceptCommand;
use shadowcat::intercept::rule::Refusal;

use crate::support::stage::{ACCEPTED, EVENTS, Stage, call, stage};
use crate::support::*;
use crate::{RESULT, armed, ask, breakpoint, held, only_held, progress, request_at, ruled};

const QUESTION: &str = "id: 5\ndata: {\"jsonrpc\":\"2.0\",\"id\":\"q-1\",\"method\":\"sampling/createMessage\",\"params\":{\"maxTokens\":9}}\n\n";
const HELD: &str = "method:sampling/createMessage dir:s2c";

fn answer(id: HoldId) -> InterceptCommand {
    let result = r#"{"role":"assistant","of":{{$.params.maxTokens}}}"#.to_owned();
    InterceptCommand::Answer { id, result }
}

const ANSWERED: &str = r#"{"jsonrpc":"2.0","id":"q-1","result":{"role":"assistant","of":9}}"#;

/// The next request at the server, which accepts it.
async fn accepted(stage: &Stage) -> (String, String) {
    let mut upstream = soon("the answer at the server", stage.server.accept()).await;
    let asked = request_at(&mut upstream).await;
    upstream.send(ACCEPTED).await;
    asked
}

/// The two ends of a stream of session `s` that was asked for with `method`.
async fn stream(stage: &Stage, method: &str) -> (RawPeer, RawPeer) {
    stream_of(stage, method, "s").await
}

async fn stream_of(stage: &Stage, method: &str, session: &str) -> (RawPeer, RawPeer) {
    let body = if method == "GET" {
        String::new()
    } else {
        call(1, "ask")
    };
    let request = stage.request(method, session, &body).replace(
        "Content-Type",
        "Accept: text/event-stream\r\nAccept: text/event-stream\r\nAuthorization: Bearer t0ken\r\nLast-Event-ID: 4\r\nContent-Type",
    );
    let (mut client, mut upstream) = stage.begin(&request).await;
    upstream.send(EVENTS).await;
    client.read_head().await;
    (client, upstream)
}

#[tokio::test]
async fn an_answer_is_posted_in_the_session_of_its_client_who_does_not_see_the_question() {
    for method in ["POST", "GET"] {
        let mut stage = armed(breakpoint(HELD)).await;
        let (mut client, mut upstream) = stream(&stage, method).await;
        upstream.send(QUESTION).await;
        let id = only_held(&mut stage).await;
        ask(&stage, answer(id)).await;
        let (head, body) = accepted(&stage).await;
        assert_eq!(body, ANSWERED);
        assert!(head.starts_with("POST /mcp HTTP/1.1\r\n"), "{head}");
        let head = head.to_ascii_lowercase();
        for field in [
            "mcp-session-id: s\r\n",
            "authorization: bearer t0ken\r\n",
            "content-type: application/json\r\n",
        ] {
            assert_eq!(head.matches(field).count(), 1, "{field} in {head}");
        }
        assert!(!head.contains("last-event-id"), "{head}");
        upstream.send(RESULT).await;
        drop(upstream);
        let seen = String::from_utf8(client.read_all_chunks().await).unwrap();
        // The place from which it would resume stays.
        assert_eq!(seen, format!("id: 5\n\n{RESULT}"));
    }
}

#[tokio::test]
async fn a_stream_that_was_open_before_any_rule_was_armed_is_answered_too() {
    let mut stage = stage(|config| config.can_hold = true).await;
    let (_client, mut upstream) = stream(&stage, "GET").await;
    let filter = HELD.to_owned();
    let is_once = false;
    ask(&stage, InterceptCommand::Break { filter, is_once }).await;
    upstream.send(QUESTION).await;
    let id = only_held(&mut stage).await;
    ask(&stage, answer(id)).await;
    assert_eq!(accepted(&stage).await.1, ANSWERED);
}

#[tokio::test]
async fn a_server_whose_question_is_refused_or_dropped_gets_an_error() {
    let refuse = |id| InterceptCommand::Refuse {
        id,
        refusal: Refusal::Error {
            code: -1,
            message: "not now".to_owned(),
        },
    };
    let drop = |id| InterceptCommand::Drop { id, is_silent: false };
    let decisions: [(&dyn Fn(HoldId) -> InterceptCommand, &str); 2] =
        [(&refuse, "not now"), (&drop, "dropped")];
    for (decide, words) in decisions {
        let mut stage = armed(breakpoint(HELD)).await;
        let (_client, mut upstream) = stream(&stage, "POST").await;
        upstream.send(QUESTION).await;
        let id = only_held(&mut stage).await;
        ask(&stage, decide(id)).await;
        let (_, body) = accepted(&stage).await;
        assert!(
            body.starts_with(r#"{"jsonrpc":"2.0","id":"q-1","error":"#) && body.contains(words),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_rule_answers_a_server_and_no_rule_is_asked_about_its_answer() {
    let rules = "[[rule]]\nname = \"a\"\nwhen = \"method:sampling/createMessage\"\ndirection = \"s2c\"\nanswer = { by = \"rule\" }\n\
        [[rule]]\nname = \"none\"\nwhen = \"kind:result\"\ndirection = \"c2s\"\nthen = \"drop\"\n";
    let stage = ruled(rules).await;
    let (_client, mut upstream) = stream(&stage, "POST").await;
    upstream.send(QUESTION).await;
    let (_, body) = accepted(&stage).await;
    assert_eq!(body, r#"{"jsonrpc":"2.0","id":"q-1","result":{"by":"rule"}}"#);
}

#[tokio::test]
async fn over_http_and_sse_a_call_is_answered_in_the_stream_of_its_session() {
    let mut stage = armed(breakpoint("method:tools/call | method:notifications/progress")).await;
    let (mut client, mut upstream) = stream_of(&stage, "GET", "").await;
    let endpoint = "event: endpoint\ndata: /messages?id=7\n\n";
    upstream.send(endpoint).await;
    assert_eq!(client.read_chunked(endpoint.len()).await, endpoint.as_bytes());
    let post = stage
        .request("POST", "", &call(1, "echo"))
        .replace("/mcp", "/messages?id=7");
    let mut poster = RawPeer::connect(address(&stage.engine)).await;
    poster.send(&post).await;
    let id = only_held(&mut stage).await;
    // What is held in the stream does not hold the answer up.
    upstream.send(progress(1)).await;
    held(&mut stage, 2).await;
    let result = r#"{"mine":true}"#.to_owned();
    ask(&stage, InterceptCommand::Answer { id, result }).await;
    assert!(poster.read_head().await.starts_with("HTTP/1.1 202 "));
    let said = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"mine\":true}}\n\n";
    assert_eq!(client.read_chunked(said.len()).await, said.as_bytes());
    ask(&stage, InterceptCommand::ForwardAll).await;
    drop(upstream);
    assert_eq!(client.read_all_chunks().await, progress(1).as_bytes());
    held(&mut stage, 0).await;
}

#[tokio::test]
async fn over_http_and_sse_the_answer_goes_to_the_endpoint_of_the_session() {
    let mut stage = armed(breakpoint(HELD)).await;
    let (_client, mut upstream) = stream_of(&stage, "GET", "").await;
    upstream.send("event: endpoint\ndata: /messages?id=7\n\n").await;
    upstream.send(QUESTION).await;
    let id = only_held(&mut stage).await;
    ask(&stage, answer(id)).await;
    let (head, body) = accepted(&stage).await;
    assert!(head.starts_with("POST /messages?id=7 HTTP/1.1\r\n"), "{head}");
    assert_eq!(body, ANSWERED);
}
