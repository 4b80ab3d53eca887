//! Copies whose answer comes in the event stream of an HTTP+SSE session (MCP 2024-11-05), where the client listens.

use shadowcat::snapshot::Severity;

use crate::support::again::*;
use crate::support::stage::{ACCEPTED, EVENTS, Stage, json, stage};
use crate::support::*;
use crate::{CALL, result_of, under};

fn event(data: &str) -> String {
    format!("event: message\ndata: {data}\n\n")
}

/// A session: the client's end of its stream, and the server's.
async fn session(stage: &Stage, endpoint: &str) -> (RawPeer, RawPeer) {
    let request = stage
        .request("GET", "", "")
        .replace("Content-Type", "Accept: text/event-stream\r\nContent-Type");
    let (mut client, mut upstream) = stage.begin(&request).await;
    let first = format!("event: endpoint\ndata: {endpoint}\n\n");
    upstream.send([EVENTS, &first].concat()).await;
    client.read_head().await;
    assert_eq!(client.read_chunked(first.len()).await, first.as_bytes());
    (client, upstream)
}

/// The call goes to `endpoint`, and the server accepts it.
async fn call(stage: &Stage, endpoint: &str) {
    let post = stage.request("POST", "", CALL).replace("/mcp", endpoint);
    stage.exchange(&post, ACCEPTED).await;
}

#[tokio::test]
async fn the_answer_to_a_copy_is_left_out_of_the_stream_of_its_client() {
    let mut stage = stage(|_| {}).await;
    let endpoint = "/messages?id=7";
    let (mut client, mut upstream) = session(&stage, endpoint).await;
    call(&stage, endpoint).await;
    upstream.send(event(&result_of("1"))).await;
    let answered = event(&result_of("1"));
    assert_eq!(client.read_chunked(answered.len()).await, answered.as_bytes());
    let (id, message) = send_again(&mut stage.frontend).await;
    let mut poster = stage.server.accept().await;
    let head = poster.read_head().await;
    assert!(head.starts_with("POST /messages?id=7 HTTP/1.1\r\n"), "{head}");
    let body = poster.read_exactly(under(&id).len()).await;
    assert_eq!(body, under(&id).as_bytes());
    poster.send(ACCEPTED).await;
    upstream.send(event(&result_of(&id))).await;
    let shown = answer_shown(&mut stage.frontend, &id).await;
    assert_eq!(shown.session, message.row.session);
    // What comes next reaches the client.
    let next = event(r#"{"jsonrpc":"2.0","method":"notifications/message"}"#);
    upstream.send(&next).await;
    assert_eq!(client.read_chunked(next.len()).await, next.as_bytes());
}

#[tokio::test]
async fn progress_of_a_copy_is_left_out_too() {
    let mut stage = stage(|_| {}).await;
    let endpoint = "/messages?id=7";
    let (mut client, mut upstream) = session(&stage, endpoint).await;
    call(&stage, endpoint).await;
    let (id, _) = send_again(&mut stage.frontend).await;
    let progress = |token: &str| {
        event(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#
        ))
    };
    let own = progress("1");
    upstream
        .send([progress(&id), own.clone(), event(&result_of(&id)), own.clone()].concat())
        .await;
    let expected = [own.clone(), own].concat();
    assert_eq!(client.read_chunked(expected.len()).await, expected.as_bytes());
}

const QUESTION: &str = r#"{"jsonrpc":"2.0","id":"q","method":"roots/list"}"#;

/// What the server is asked for next.
async fn post_heard(stage: &Stage) -> String {
    let mut poster = stage.server.accept().await;
    let head = poster.read_head().await.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let body = poster.read_exactly(length.unwrap().trim().parse().unwrap()).await;
    poster.send(ACCEPTED).await;
    String::from_utf8(body).unwrap()
}

#[tokio::test]
async fn what_a_server_asks_while_only_a_copy_is_open_does_not_reach_the_client() {
    let mut stage = stage(|_| {}).await;
    let endpoint = "/messages?id=7";
    let (mut client, mut upstream) = session(&stage, endpoint).await;
    call(&stage, endpoint).await;
    let answered = event(&result_of("1"));
    upstream.send(&answered).await;
    client.read_chunked(answered.len()).await;
    let (id, _) = send_again(&mut stage.frontend).await;
    assert!(post_heard(&stage).await.contains(&id));
    let ping = event(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#);
    upstream.send([event(QUESTION), ping.clone()].concat()).await;
    let told = post_heard(&stage).await;
    assert!(
        told.contains("\"id\":\"q\",\"error\"") && told.contains("is not asked"),
        "{told}"
    );
    // What is about no call reaches the client.
    assert_eq!(client.read_chunked(ping.len()).await, ping.as_bytes());
    upstream.send(event(&result_of(&id))).await;
    answer_shown(&mut stage.frontend, &id).await;
    upstream.send(event(QUESTION)).await;
    assert_eq!(
        client.read_chunked(event(QUESTION).len()).await,
        event(QUESTION).as_bytes()
    );
}

#[tokio::test]
async fn while_a_call_of_the_client_is_open_too_the_client_is_asked_and_the_question_has_a_warning() {
    let mut stage = stage(|_| {}).await;
    let endpoint = "/messages?id=7";
    let (mut client, mut upstream) = session(&stage, endpoint).await;
    call(&stage, endpoint).await;
    let (id, _) = send_again(&mut stage.frontend).await;
    assert!(post_heard(&stage).await.contains(&id));
    upstream.send(event(QUESTION)).await;
    assert_eq!(
        client.read_chunked(event(QUESTION).len()).await,
        event(QUESTION).as_bytes()
    );
    let shown = snapshot_when(&mut stage.frontend, "a warning at the question", |snapshot| {
        let mut rows = snapshot.messages.rows.iter();
        rows.any(|row| {
            row.method.as_deref() == Some("roots/list")
                && row.findings.iter().any(|finding| {
                    finding.severity == Severity::Warning && finding.text.contains("sent again")
                })
        })
    });
    shown.await;
}

#[tokio::test]
async fn no_copy_is_sent_whose_answer_has_nowhere_to_come() {
    let mut stage = stage(|_| {}).await;
    let endpoint = "/messages?id=7";
    let (mut client, upstream) = session(&stage, endpoint).await;
    call(&stage, endpoint).await;
    call_that_passed(&mut stage.frontend).await;
    drop(upstream);
    client.read_to_end().await;
    let told = refusal(&mut stage.frontend).await;
    assert!(
        told.contains("event stream") && told.contains("has ended"),
        "{told}"
    );
}

#[tokio::test]
async fn a_path_that_only_sounds_like_that_transport_is_like_any_other() {
    let mut stage = stage(|_| {}).await;
    let post = stage.request("POST", "", CALL).replace("/mcp", "/session/mcp");
    stage.exchange(&post, &json(&result_of("1"))).await;
    let (id, _) = send_again(&mut stage.frontend).await;
    let mut upstream = stage.server.accept().await;
    assert!(upstream.read_head().await.starts_with("POST /session/mcp "));
    upstream.read_exactly(under(&id).len()).await;
    upstream.send(json(&result_of(&id))).await;
    answer_shown(&mut stage.frontend, &id).await;
}
