//! What clients and servers do while something of theirs is held, and the clock.

use std::time::Duration;

use futures_util::FutureExt as _;
use shadowcat::intercept::interceptor::InterceptCommand;

use crate::support::stage::{ACCEPTED, EVENTS, Stage, call, json};
use crate::support::*;
use crate::{RESULT, armed, ask, breakpoint, held, only_held, progress, request_at, ruled, ruled_with};

fn cancel(id: u32) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#)
}

#[tokio::test]
async fn a_cancelled_request_leaves_the_table_and_neither_it_nor_its_cancel_reaches_the_server() {
    let mut stage = armed(breakpoint("tool:search dir:c2s")).await;
    stage.notify("s").await;
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(stage.request("POST", "s", &call(5, "search"))).await;
    only_held(&mut stage).await;
    let mut canceller = RawPeer::connect(address(&stage.engine)).await;
    canceller.send(stage.request("POST", "s", &cancel(5))).await;
    assert!(canceller.read_head().await.starts_with("HTTP/1.1 202 "));
    let (answer, _) = client.read_to_end().await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(
        answer.contains(r#""id":5,"error""#) && answer.contains("cancelled"),
        "{answer}"
    );
    held(&mut stage, 0).await;
    assert!(stage.server.accept().now_or_never().is_none());
}

#[tokio::test]
async fn a_request_whose_client_left_never_reaches_its_server() {
    let mut stage = armed(breakpoint("tool:search dir:c2s")).await;
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(stage.request("POST", "", &call(5, "search"))).await;
    only_held(&mut stage).await;
    client.reset();
    held(&mut stage, 0).await;
    assert!(stage.server.accept().now_or_never().is_none());
}

#[tokio::test]
async fn a_server_whose_held_stream_has_lost_its_client_is_left() {
    let mut stage = armed(breakpoint("method:notifications/progress")).await;
    let request = stage.request("POST", "", &call(1, "slow"));
    let (mut client, mut upstream) = stage.begin(&request).await;
    upstream.send([EVENTS, &progress(1)].concat()).await;
    client.read_head().await;
    only_held(&mut stage).await;
    client.reset();
    upstream.wait_closed().await;
    held(&mut stage, 0).await;
}

#[tokio::test]
async fn the_client_of_a_held_stream_is_kept_with_comments() {
    let mut stage = ruled_with(
        "[[rule]]\nname = \"r\"\nwhen = \"$.params.progress=1\"\nthen = \"hold\"\n",
        |config| config.comment_every = Some(Duration::from_millis(50)),
    )
    .await;
    let request = stage.request("POST", "", &call(1, "slow"));
    let (mut client, mut upstream) = stage.begin(&request).await;
    upstream
        .send([EVENTS, "\u{feff}", &progress(1), RESULT].concat())
        .await;
    client.read_head().await;
    let kept = "\u{feff}: held\n\n: held\n\n";
    assert_eq!(client.read_chunked(kept.len()).await, kept.as_bytes());
    let id = only_held(&mut stage).await;
    ask(&stage, InterceptCommand::Forward { id }).await;
    drop(upstream);
    let rest = String::from_utf8(client.read_all_chunks().await).unwrap();
    assert_eq!(rest.replace(": held\n\n", ""), [&progress(1), RESULT].concat());
    assert!(rest.ends_with(&[&progress(1), RESULT].concat()), "{rest}");
}

#[tokio::test]
async fn an_answer_that_is_held_keeps_no_other_exchange_waiting() {
    let mut stage = armed(breakpoint("kind:result tool:held")).await;
    let request = stage.request("POST", "", &call(1, "held"));
    let (_client, mut upstream) = stage.begin(&request).await;
    upstream
        .send(json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#))
        .await;
    only_held(&mut stage).await;
    for id in 2..52 {
        stage.call("", id, "other", "free").await;
    }
    only_held(&mut stage).await;
}

#[tokio::test]
async fn what_comes_once_interception_is_off_is_not_held() {
    let mut stage = armed(breakpoint("method:tools/call")).await;
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(stage.request("POST", "", &call(1, "echo"))).await;
    only_held(&mut stage).await;
    ask(&stage, InterceptCommand::Intercept { is_on: false }).await;
    let mut upstream = stage.server.accept().await;
    assert_eq!(request_at(&mut upstream).await.1, call(1, "echo"));
    stage.call("", 2, "other", "free").await;
    held(&mut stage, 0).await;
}

#[tokio::test]
async fn a_delay_can_be_made_shorter_while_it_runs() {
    let mut stage = armed(breakpoint("method:tools/call")).await;
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(stage.request("POST", "", &call(1, "echo"))).await;
    let id = only_held(&mut stage).await;
    ask(
        &stage,
        InterceptCommand::Delay {
            id,
            millis: 3_600_000,
        },
    )
    .await;
    ask(&stage, InterceptCommand::Delay { id, millis: 1 }).await;
    let mut upstream = stage.server.accept().await;
    assert_eq!(request_at(&mut upstream).await.1, call(1, "echo"));
}

#[tokio::test]
async fn a_rules_delay_ends_when_rules_no_longer_act() {
    let mut stage = ruled(
        "[[rule]]\nname = \"r\"\nwhen = \"method:tools/call\"\ndelay = \"1h\"\n"
            .replace("1h", "60m")
            .as_str(),
    )
    .await;
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(stage.request("POST", "", &call(1, "echo"))).await;
    snapshot_when(&mut stage.frontend, "the hit", |snapshot| {
        snapshot.intercept.rules[0].hits == 1
    })
    .await;
    ask(&stage, InterceptCommand::Intercept { is_on: false }).await;
    let mut upstream = stage.server.accept().await;
    assert_eq!(request_at(&mut upstream).await.1, call(1, "echo"));
}

#[tokio::test]
async fn a_step_holds_the_next_message_of_the_same_call_only() {
    let mut stage = armed(breakpoint("tool:search dir:c2s")).await;
    stage.notify("s").await;
    let body = call(5, "search");
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(stage.request("POST", "s", &body)).await;
    let id = only_held(&mut stage).await;
    ask(&stage, InterceptCommand::Step { id }).await;
    held(&mut stage, 0).await;
    let mut upstream = stage.server.accept().await;
    request_at(&mut upstream).await;
    stage.call("s", 6, "other", "free").await;
    let result = r#"{"jsonrpc":"2.0","id":5,"result":{}}"#;
    upstream.send(json(result)).await;
    let rows = held(&mut stage, 1).await;
    assert_eq!((&*rows[0].rule, rows[0].rpc_id.as_deref()), ("step", Some("5")));
    ask(&stage, InterceptCommand::Forward { id: rows[0].id }).await;
    let (answer, _) = client.read_to_end().await;
    assert!(String::from_utf8(answer).unwrap().ends_with(result));
}

/// The client of session `s` gives up after a bit more than the second below which it would not be learned.
async fn teach_patience(stage: &Stage) {
    let body = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"hasty","version":"1"}}}"#;
    let result = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}"#;
    let response = format!(
        "HTTP/1.1 200 OK\r\nMcp-Session-Id: s\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{result}",
        result.len()
    );
    stage.exchange(&stage.request("POST", "", body), &response).await;
    // A rule lets the call take its time.
    let request = stage.request("POST", "s", &call(1, "late"));
    let (_client, _upstream) = stage.begin(&request).await;
    stage
        .exchange(&stage.request("POST", "s", &cancel(1)), ACCEPTED)
        .await;
}

#[tokio::test]
async fn when_its_client_will_not_wait_longer_each_rule_does_what_it_says() {
    let hold = |tool: &str, policy: &str| {
        format!(
            "[[rule]]\nname = \"{tool}\"\nwhen = \"tool:{tool}\"\nthen = \"hold\"\non-expire = \"{policy}\"\n"
        )
    };
    let rules = [
        "[[rule]]\nname = \"late\"\nwhen = \"tool:late\"\ndelay = \"1100ms\"\n".to_owned(),
        hold("forwarded", "forward"),
        hold("failed", "error"),
        hold("dropped", "drop"),
        hold("kept", "wait"),
    ];
    let mut stage = ruled(&rules.concat()).await;
    teach_patience(&stage).await;
    let mut clients = Vec::new();
    for (id, tool) in [(2, "forwarded"), (3, "failed"), (4, "dropped"), (5, "kept")] {
        let mut client = RawPeer::connect(address(&stage.engine)).await;
        client.send(stage.request("POST", "s", &call(id, tool))).await;
        clients.push(client);
    }
    let mut upstream = stage.server.accept().await;
    assert_eq!(request_at(&mut upstream).await.1, call(2, "forwarded"));
    for (client, id, words) in [(1, 3, "without a decision"), (2, 4, "dropped")] {
        let (answer, _) = clients[client].read_to_end().await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.contains(&format!(r#""id":{id},"error""#)) && answer.contains(words),
            "{answer}"
        );
    }
    let rows = held(&mut stage, 1).await;
    assert_eq!(rows[0].name.as_deref(), Some("kept"));
    assert_eq!(rows[0].client.as_deref(), Some("hasty"));
    assert!(rows[0].budget < Duration::from_mins(1), "{:?}", rows[0]);
}
