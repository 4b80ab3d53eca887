//! Requests that are held while their client has an event stream already.

use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::{Value, json as value};

use shadowcat::ids::HoldId;
use shadowcat::intercept::interceptor::InterceptCommand;
use shadowcat::intercept::rule::Refusal;

use crate::support::stage::{EVENTS, Stage, call, json};
use crate::support::*;
use crate::{RESULT, ask, held, only_held, progress, request_at, ruled_with};

const RULE: &str = "[[rule]]\nname = \"r\"\nwhen = \"dir:c2s\"\nthen = \"hold\"\nearly-stream = true\n";

async fn early() -> Stage {
    ruled_with(RULE, |config| {
        config.comment_every = Some(Duration::from_millis(50));
    })
    .await
}

/// A client that takes event streams for an answer, and has posted this.
async fn posted(stage: &Stage, body: &str) -> RawPeer {
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    let request = stage.request("POST", "", body);
    client
        .send(request.replacen("\r\n", "\r\nAccept: application/json, text/event-stream\r\n", 1))
        .await;
    client
}

/// A client whose stream has begun, and what is held for it.
async fn begun(stage: &mut Stage) -> (RawPeer, HoldId) {
    let mut client = posted(stage, &call(1, "slow")).await;
    let head = client.read_head().await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.to_ascii_lowercase()
            .contains("content-type: text/event-stream\r\n"),
        "{head}"
    );
    let kept = ": held\n\n: held\n\n";
    assert_eq!(client.read_chunked(kept.len()).await, kept.as_bytes());
    assert!(stage.server.accept().now_or_never().is_none());
    (client, only_held(stage).await)
}

/// The rest of a stream without comments.
async fn rest(mut client: RawPeer) -> String {
    let rest = String::from_utf8(client.read_all_chunks().await).unwrap();
    rest.replace(": held\n\n", "")
}

/// The only event of a stream.
async fn only_event(client: RawPeer) -> Value {
    let rest = rest(client).await;
    let data = rest
        .strip_prefix("event: message\ndata: ")
        .unwrap_or_else(|| panic!("{rest}"));
    serde_json::from_str(data.strip_suffix("\n\n").unwrap()).unwrap()
}

#[tokio::test]
async fn a_json_answer_becomes_one_event_of_the_stream_that_began_early() {
    let mut stage = early().await;
    let (client, id) = begun(&mut stage).await;
    ask(&stage, InterceptCommand::Forward { id }).await;
    let mut upstream = soon("the call", stage.server.accept()).await;
    assert_eq!(request_at(&mut upstream).await.1, call(1, "slow"));
    upstream
        .send(json("{\"jsonrpc\":\"2.0\",\n\"id\":1,\"result\":{}}"))
        .await;
    assert_eq!(
        only_event(client).await,
        value!({"jsonrpc": "2.0", "id": 1, "result": {}})
    );
}

#[tokio::test]
async fn a_stream_of_the_server_flows_on_in_the_one_that_began_early() {
    let mut stage = early().await;
    let (mut client, id) = begun(&mut stage).await;
    ask(&stage, InterceptCommand::Forward { id }).await;
    let mut upstream = soon("the call", stage.server.accept()).await;
    request_at(&mut upstream).await;
    upstream.send([EVENTS, &progress(1)].concat()).await;
    client
        .read_through(format!("{}\r\n", progress(1)).as_bytes())
        .await;
    upstream.send(RESULT).await;
    drop(upstream);
    assert_eq!(rest(client).await, RESULT);
}

#[tokio::test]
async fn an_http_error_becomes_an_error_that_says_what_the_server_said() {
    let mut stage = early().await;
    for (response, message) in [
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\nno way!"
                .to_owned(),
            "The server answered with HTTP 403 Forbidden: no way!",
        ),
        (
            json(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"as it is"}}"#).replacen(
                "200 OK",
                "400 Bad Request",
                1,
            ),
            "as it is",
        ),
    ] {
        let (client, id) = begun(&mut stage).await;
        ask(&stage, InterceptCommand::Forward { id }).await;
        let mut upstream = soon("the call", stage.server.accept()).await;
        request_at(&mut upstream).await;
        upstream.send(response).await;
        let event = only_event(client).await;
        assert_eq!(
            (&event["id"], &event["error"]["message"]),
            (&value!(1), &value!(message))
        );
    }
    let (client, id) = begun(&mut stage).await;
    let refusal = Refusal::Status(429);
    ask(&stage, InterceptCommand::Refuse { id, refusal }).await;
    let event = only_event(client).await;
    assert!(
        event["error"]["message"].as_str().unwrap().contains("429"),
        "{event}"
    );
}

#[tokio::test]
async fn the_server_of_a_call_whose_client_left_its_early_stream_is_never_asked() {
    let mut stage = early().await;
    let (client, _) = begun(&mut stage).await;
    client.reset();
    held(&mut stage, 0).await;
    assert!(stage.server.accept().now_or_never().is_none());
}

#[tokio::test]
async fn a_handshake_and_a_client_that_takes_no_stream_get_their_answer_as_it_is() {
    let mut stage = early().await;
    let handshake = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
    let mut plain = RawPeer::connect(address(&stage.engine)).await;
    plain.send(stage.request("POST", "", &call(1, "slow"))).await;
    let clients = [plain, posted(&stage, handshake).await];
    for row in held(&mut stage, 2).await {
        ask(&stage, InterceptCommand::Forward { id: row.id }).await;
        let mut upstream = soon("the request", stage.server.accept()).await;
        request_at(&mut upstream).await;
        upstream
            .send(json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#))
            .await;
    }
    for mut client in clients {
        let head = client.read_head().await.to_ascii_lowercase();
        assert!(head.contains("content-type: application/json"), "{head}");
    }
}
