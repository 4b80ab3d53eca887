//! Held messages with real sockets: one waits, the rest runs, and each leaves as it was decided.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

mod asked;
mod batches;
mod bytes;
mod crowd;
mod early;
mod ends;
mod http;
mod order;
mod peers;
mod recorded;
#[path = "../sdk/mod.rs"]
#[expect(dead_code, reason = "this program looks at less of it than another")]
mod sdk;
mod sdks;
#[path = "../support/mod.rs"]
mod support;
mod synthetic;
mod verdicts;

use support::holding::{breakpoint, decide, held_one, held_rows};
use support::stage::{EVENTS, Stage, call, json, stage};
use support::*;

use shadowcat::config::Config;
use shadowcat::engine::{EngineHandle, ShutdownReport};
use shadowcat::ids::HoldId;
use shadowcat::intercept::hold::HeldRow;
use shadowcat::intercept::interceptor::{InterceptCommand, InterceptReply};
use shadowcat::intercept::rule::{Refusal, Rule};
use shadowcat::intercept::rules::file;

async fn armed(rule: Rule) -> Stage {
    stage(|config| {
        config.can_hold = true;
        config.rules = vec![rule];
    })
    .await
}

/// A stage with the rules of a file, each in the words of `docs/rules.md`.
async fn ruled(text: &str) -> Stage {
    ruled_with(text, |_| {}).await
}

async fn ruled_with(text: &str, change: impl FnOnce(&mut Config)) -> Stage {
    let rules = file::parse(text).unwrap();
    stage(|config| {
        config.can_hold = true;
        config.rules = rules;
        change(config);
    })
    .await
}

/// A notification of progress as an event.
fn progress(number: u32) -> String {
    format!(
        "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{{\"progressToken\":1,\"progress\":{number}}}}}\n\n"
    )
}

/// The result that ends a stream.
const RESULT: &str = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n";

/// What an upstream is asked: head and body.
async fn request_at(upstream: &mut RawPeer) -> (String, String) {
    let head = upstream.read_head().await;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().unwrap())
    });
    let body = upstream.read_exactly(length.unwrap_or(0)).await;
    (head, String::from_utf8(body).unwrap())
}

/// Ends an engine beside the test, from now on.
fn end(engine: EngineHandle) -> impl Future<Output = ShutdownReport> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the end of an engine is waited for on a thread of its own, and the engine's tasks cannot do that"
    )]
    let ending = tokio::task::spawn_blocking(move || engine.shut_down());
    async { ending.await.unwrap() }
}

async fn ask(stage: &Stage, what: InterceptCommand) -> InterceptReply {
    decide(&stage.frontend, what).await
}

async fn held(stage: &mut Stage, count: usize) -> Vec<HeldRow> {
    held_rows(&mut stage.frontend, count).await
}

async fn only_held(stage: &mut Stage) -> HoldId {
    held_one(&mut stage.frontend).await
}

#[tokio::test]
async fn a_held_call_reaches_its_server_as_it_came_once_it_is_forwarded() {
    let mut stage = armed(breakpoint("method:tools/call tool:search dir:c2s")).await;
    let body = r#"{ "jsonrpc":"2.0", "id":1.0,"method":"tools/call","params":{"name":"search"}}"#;
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(stage.request("POST", "", body)).await;
    let rows = held(&mut stage, 1).await;
    assert_eq!(rows[0].name.as_deref(), Some("search"));
    // Another call runs meanwhile.
    stage.call("", 2, "other", "free").await;
    ask(&stage, InterceptCommand::Forward { id: rows[0].id }).await;
    let mut upstream = soon("the held call", stage.server.accept()).await;
    let head = upstream.read_head().await;
    assert!(
        head.to_ascii_lowercase()
            .contains(&format!("content-length: {}", body.len()))
    );
    assert_eq!(upstream.read_exactly(body.len()).await, body.as_bytes());
    upstream
        .send(json(r#"{"jsonrpc":"2.0","id":1.0,"result":{}}"#))
        .await;
    let (answer, _) = client.read_to_end().await;
    assert!(
        String::from_utf8(answer)
            .unwrap()
            .ends_with(r#"{"jsonrpc":"2.0","id":1.0,"result":{}}"#)
    );
    held(&mut stage, 0).await;
}

#[tokio::test]
async fn an_edited_call_goes_on_with_its_new_length() {
    let mut stage = armed(breakpoint("method:tools/call")).await;
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(stage.request("POST", "", &call(1, "echo"))).await;
    let id = only_held(&mut stage).await;
    let edited = call(1, "another-tool");
    let text = Some(edited.clone());
    ask(&stage, InterceptCommand::Edit { id, text }).await;
    ask(&stage, InterceptCommand::Forward { id }).await;
    let mut upstream = soon("the edited call", stage.server.accept()).await;
    let head = upstream.read_head().await.to_ascii_lowercase();
    assert!(
        head.contains(&format!("content-length: {}\r\n", edited.len())),
        "{head}"
    );
    assert_eq!(upstream.read_exactly(edited.len()).await, edited.as_bytes());
}

/// A decision, and what its client may then get.
type Case<'a> = (&'a dyn Fn(HoldId) -> InterceptCommand, &'a dyn Fn(&str) -> bool);

#[tokio::test]
async fn a_call_is_answered_refused_and_dropped_without_its_server() {
    let mut stage = armed(breakpoint("method:tools/call")).await;
    let answered = |text: &str| text.contains(r#""id":7,"result":{"ok":true}"#);
    let refused = |text: &str| text.contains(r#""id":7,"error":{"code":-32602,"message":"no"}"#);
    let status = |text: &str| text.starts_with("HTTP/1.1 429") && text.contains(r#""id":7,"error""#);
    let tool = |text: &str| text.contains(r#""isError":true"#);
    let dropped = |text: &str| text.contains(r#""id":7,"error""#) && text.contains("dropped");
    let refuse = |id, refusal| InterceptCommand::Refuse { id, refusal };
    let cases: [Case<'_>; 5] = [
        (
            &|id| InterceptCommand::Answer {
                id,
                result: r#"{"ok":true}"#.to_owned(),
            },
            &answered,
        ),
        (
            &|id| {
                refuse(
                    id,
                    Refusal::Error {
                        code: -32602,
                        message: "no".to_owned(),
                    },
                )
            },
            &refused,
        ),
        (&|id| refuse(id, Refusal::Status(429)), &status),
        (
            &|id| {
                refuse(
                    id,
                    Refusal::ToolError {
                        text: "broken".to_owned(),
                    },
                )
            },
            &tool,
        ),
        (&|id| InterceptCommand::Drop { id, is_silent: false }, &dropped),
    ];
    for (command, is_right) in cases {
        let mut client = RawPeer::connect(address(&stage.engine)).await;
        client.send(stage.request("POST", "", &call(7, "echo"))).await;
        let id = only_held(&mut stage).await;
        ask(&stage, command(id)).await;
        let (answer, _) = client.read_to_end().await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(is_right(&answer), "{answer}");
        held(&mut stage, 0).await;
    }
}

#[tokio::test]
async fn a_held_event_holds_its_stream_and_nothing_overtakes_it() {
    let mut stage = armed(breakpoint("method:notifications/progress $.params.progress=2")).await;
    let request = stage.request("POST", "", &call(1, "slow"));
    let (mut client, mut upstream) = stage.begin(&request).await;
    upstream.send(EVENTS).await;
    client.read_head().await;
    upstream.send(progress(1)).await;
    let first = progress(1);
    assert_eq!(client.read_chunked(first.len()).await, first.as_bytes());
    upstream.send([progress(2), progress(3)].concat()).await;
    upstream.send(RESULT).await;
    drop(upstream);
    let snapshot = snapshot_when(&mut stage.frontend, "two wait behind", |snapshot| {
        let rows = &snapshot.intercept.rows;
        rows.first().is_some_and(|row| row.queued_behind == 2)
    })
    .await;
    let id = snapshot.intercept.rows[0].id;
    ask(&stage, InterceptCommand::Forward { id }).await;
    let rest = client.read_all_chunks().await;
    let expected = [progress(2), progress(3), RESULT.to_owned()].concat();
    assert_eq!(String::from_utf8(rest).unwrap(), expected);
}

#[tokio::test]
async fn what_came_in_one_piece_with_a_held_event_is_counted_behind_it() {
    let mut stage = armed(breakpoint("method:notifications/progress $.params.progress=2")).await;
    let request = stage.request("POST", "", &call(1, "slow"));
    let (_client, mut upstream) = stage.begin(&request).await;
    upstream
        .send([EVENTS, &progress(1), &progress(2), &progress(3), RESULT].concat())
        .await;
    snapshot_when(&mut stage.frontend, "two wait behind", |snapshot| {
        let rows = &snapshot.intercept.rows;
        rows.first().is_some_and(|row| row.queued_behind == 2)
    })
    .await;
}

#[tokio::test]
async fn what_is_held_when_the_proxy_ends_goes_on_unchanged() {
    let mut stage = stage(|config| {
        config.can_hold = true;
        config.rules = vec![breakpoint("method:tools/call")];
        config.limits.drain_timeout = PATIENCE;
    })
    .await;
    let body = call(1, "echo");
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(stage.request("POST", "", &body)).await;
    held(&mut stage, 1).await;
    let Stage {
        server,
        engine,
        frontend,
    } = stage;
    drop(frontend);
    let ending = end(engine);
    let mut upstream = soon("the held call", server.accept()).await;
    upstream.read_head().await;
    assert_eq!(upstream.read_exactly(body.len()).await, body.as_bytes());
    upstream
        .send(json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#))
        .await;
    let (answer, _) = client.read_to_end().await;
    assert!(String::from_utf8(answer).unwrap().contains(r#""result":{}"#));
    let report = ending.await;
    assert_eq!(report.cut, []);
}
