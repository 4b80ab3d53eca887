//! Progress that is made up for the client of what is held.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use shadowcat::config::{Config, RecordConfig};
use shadowcat::intercept::interceptor::InterceptCommand;
use shadowcat::snapshot::MessageRow;

use crate::support::stage::{EVENTS, Stage, json};
use crate::support::*;
use crate::{RESULT, ask, end, only_held, progress, request_at, ruled_with};

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow","_meta":{"progressToken":1}}}"#;

fn rule(when: &str, more: &str) -> String {
    format!("[[rule]]\nname = \"r\"\nwhen = \"{when}\"\nthen = \"hold\"\nsynthetic-progress = true\n{more}")
}

async fn quick(rule: &str, change: impl FnOnce(&mut Config)) -> Stage {
    ruled_with(rule, |config| {
        config.comment_every = Some(Duration::from_millis(50));
        change(config);
    })
    .await
}

/// The values of made up progress in a text.
fn values(text: &str) -> Vec<f64> {
    let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let messages = events.map(|data| serde_json::from_str::<Value>(data).unwrap());
    let notes = messages.filter(|message| message["method"] == "notifications/progress");
    notes
        .map(|note| {
            assert_eq!(note["params"]["progressToken"], 1);
            note["params"]["progress"].as_f64().unwrap()
        })
        .collect()
}

/// The rows of the screen once one of them says so.
async fn rows_with(stage: &mut Stage, summary: &str) -> Vec<MessageRow> {
    let seen = snapshot_when(&mut stage.frontend, summary, |snapshot| {
        let mut rows = snapshot.messages.rows.iter();
        rows.any(|row| row.summary == summary)
    });
    seen.await.messages.rows
}

/// Reads chunks until there are so many values.
async fn values_from(client: &mut RawPeer, count: usize) -> String {
    let mut text = String::new();
    while values(&text).len() < count {
        text.push_str(&String::from_utf8(client.read_chunk().await).unwrap());
    }
    text
}

fn frames(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["type"] == "frame").collect()
}

#[tokio::test]
async fn a_client_whose_event_is_held_is_told_of_progress_between_the_servers_values() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("synthetic.jsonl");
    let mut stage = quick(&rule("$.params.progress=2", ""), |config| {
        config.record = Some(RecordConfig {
            path: Some(path.clone()),
        });
    })
    .await;
    let (mut client, mut upstream) = stage.begin(&stage.request("POST", "", CALL)).await;
    upstream
        .send([EVENTS, &progress(1), &progress(2), RESULT].concat())
        .await;
    drop(upstream);
    client.read_head().await;
    let text = values_from(&mut client, 4).await;
    let id = only_held(&mut stage).await;
    ask(&stage, InterceptCommand::Forward { id }).await;
    let text = text + &String::from_utf8(client.read_all_chunks().await).unwrap();
    let values = values(&text);
    assert!(values.is_sorted_by(|a, b| a < b), "{values:?}");
    assert_eq!((values[0], values.last()), (1.0, Some(&2.0)));
    assert!(text.ends_with(&[&progress(2), RESULT].concat()), "{text}");
    let rows = rows_with(&mut stage, "synthetic 1.002").await;
    let made_up = rows.iter().find(|row| row.summary == "synthetic 1.002").unwrap();
    assert!(made_up.findings[0].text.contains("made it up"), "{made_up:?}");
    end(stage.engine).await;
    let synthetic = |frame: &&Value| frame["synthetic"] == true;
    assert_eq!(frames(&path).iter().filter(synthetic).count(), values.len() - 2);
}

#[tokio::test]
async fn progress_is_made_up_in_a_stream_that_began_early() {
    let mut stage = quick(&rule("dir:c2s", "early-stream = true\n"), |_| {}).await;
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    let request = stage.request("POST", "", CALL);
    client
        .send(request.replacen("\r\n", "\r\nAccept: text/event-stream\r\n", 1))
        .await;
    client.read_head().await;
    let text = values_from(&mut client, 2).await;
    assert_eq!(values(&text), [0.001, 0.002]);
    let id = only_held(&mut stage).await;
    ask(&stage, InterceptCommand::Forward { id }).await;
    let mut upstream = soon("the call", stage.server.accept()).await;
    request_at(&mut upstream).await;
    upstream
        .send(json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#))
        .await;
    let rest = String::from_utf8(client.read_all_chunks().await).unwrap();
    assert!(
        rest.ends_with("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n"),
        "{rest}"
    );
    let rows = rows_with(&mut stage, "synthetic 0.002").await;
    assert!(rows.iter().all(|row| {
        row.findings
            .iter()
            .all(|finding| finding.text.contains("synthetic"))
    }));
}

#[tokio::test]
async fn nothing_is_made_up_for_a_call_that_asked_for_no_progress() {
    let mut stage = quick(&rule("kind:result", ""), |_| {}).await;
    let call = CALL.replace(r#","_meta":{"progressToken":1}"#, "");
    let (mut client, mut upstream) = stage.begin(&stage.request("POST", "", &call)).await;
    upstream.send([EVENTS, RESULT].concat()).await;
    drop(upstream);
    client.read_head().await;
    let kept = ": held\n\n".repeat(3);
    assert_eq!(client.read_chunked(kept.len()).await, kept.as_bytes());
    let id = only_held(&mut stage).await;
    ask(&stage, InterceptCommand::Forward { id }).await;
    let rest = String::from_utf8(client.read_all_chunks().await).unwrap();
    assert_eq!(rest.replace(": held\n\n", ""), RESULT);
}
