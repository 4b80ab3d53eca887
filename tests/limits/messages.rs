//! What is kept of messages and events.

use std::time::Duration;

use shadowcat::snapshot::{Command, MessageRow, Reply, Snapshot};

use crate::support::stage::*;
use crate::support::*;

/// A notification of about `size` bytes with a word at its end.
fn notification(size: usize, word: &str) -> String {
    let text = "x".repeat(size);
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"data":"{text} {word}"}}}}"#)
}

async fn matching(stage: &Stage, filter: &str) -> Vec<MessageRow> {
    let ask = Command::Rows {
        after: None,
        limit: 100,
        filter: filter.to_owned(),
    };
    match reply(&stage.frontend, ask).await {
        Reply::Rows { rows, .. } => rows,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
pub(super) async fn a_message_above_max_parse_bytes_passes_and_no_filter_on_content_finds_it() {
    let mut stage = stage(|config| config.limits.max_parse_bytes = 1024).await;
    let small = notification(100, "needle");
    let large = notification(2000, "needle");
    for body in [&small, &large] {
        let (mut client, mut upstream) = stage.begin(&stage.request("POST", "s", body)).await;
        upstream.send(ACCEPTED).await;
        assert!(client.read_head().await.starts_with("HTTP/1.1 202 "));
    }
    snapshot_when(&mut stage.frontend, "both messages and the gauge", |snapshot| {
        let gauge = gauge(snapshot, "max_parse_bytes", "largest");
        snapshot.messages.total == 2 && (gauge.used, gauge.limit, gauge.reached) == (1024, 1024, 1)
    })
    .await;
    let sizes = |rows: &[MessageRow]| rows.iter().map(|row| row.size).collect::<Vec<_>>();
    assert_eq!(
        sizes(&matching(&stage, "text:needle").await),
        [small.len() as u64]
    );
    let by_method = matching(&stage, "method:notifications/message").await;
    assert_eq!(sizes(&by_method), [small.len() as u64, large.len() as u64]);
}

#[tokio::test]
pub(super) async fn of_a_message_above_max_body_kept_history_has_the_head() {
    const KEPT: usize = 256;
    let mut stage = stage(|config| config.limits.max_body_kept = KEPT).await;
    let body = notification(5000, "end");
    let (mut client, mut upstream) = stage.begin(&stage.request("POST", "s", &body)).await;
    upstream.send(ACCEPTED).await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 202 "));
    let snapshot = snapshot_when(&mut stage.frontend, "the message and the gauge", |snapshot| {
        let gauge = gauge(snapshot, "max_body_kept", "largest");
        snapshot.messages.total == 1 && (gauge.used, gauge.limit, gauge.reached) == (256, 256, 1)
    })
    .await;
    let row = &snapshot.messages.rows[0];
    assert_eq!(row.size, body.len() as u64);
    let Reply::Detail(detail) = reply(&stage.frontend, Command::Inspect { id: row.id }).await else {
        panic!("no detail");
    };
    let kept = detail.body.unwrap();
    assert!(kept.is_cut && kept.size == body.len() as u64, "{kept:?}");
    assert_eq!(kept.bytes, body.as_bytes()[..KEPT]);
}

#[tokio::test]
pub(super) async fn an_event_above_max_message_bytes_passes_whole_and_is_shown_by_its_head() {
    let mut stage = stage(|config| config.limits.max_message_bytes = 1024).await;
    let event = format!("data: {}\n\n", notification(5000, "end"));
    let next = format!("data: {}\n\n", notification(10, "next"));
    let (mut client, mut upstream) = stage.begin(&stage.request("GET", "s", "")).await;
    upstream.send(EVENTS).await;
    client.read_head().await;
    for event in [&event, &next] {
        upstream.send(event).await;
        assert_eq!(client.read_chunked(event.len()).await, event.as_bytes());
    }
    let snapshot = snapshot_when(&mut stage.frontend, "both events and the gauge", |snapshot| {
        let gauge = gauge(snapshot, "max_message_bytes", "largest");
        events_of(snapshot).len() == 2 && (gauge.used, gauge.limit, gauge.reached) == (1024, 1024, 1)
    })
    .await;
    let [large, small] = events_of(&snapshot)[..] else {
        panic!("{:#?}", snapshot.messages.rows);
    };
    assert_eq!(large.size, event.len() as u64);
    let said = large
        .findings
        .iter()
        .any(|finding| finding.text.contains("too large"));
    assert!(said, "{large:#?}");
    assert_eq!(small.method.as_deref(), Some("notifications/message"));
}

fn events_of(snapshot: &Snapshot) -> Vec<&MessageRow> {
    let rows = snapshot.messages.rows.iter();
    rows.filter(|row| row.stream.is_some()).collect()
}

/// Opens a stream that sets these event ids, and ends it.
async fn set_ids(stage: &Stage, ids: &[&str]) {
    let events: Vec<String> = ids.iter().map(|id| format!("id: {id}\ndata: {{}}\n\n")).collect();
    stage
        .exchange(
            &stage.request("GET", "s", ""),
            &format!("{EVENTS}{}", events.concat()),
        )
        .await;
}

/// Resumes from an event id. What the screen then says of the new stream: the id, and the exchange if it is known.
async fn resume(stage: &mut Stage, id: &str) -> String {
    let resumed = |snapshot: &Snapshot| {
        let streams = snapshot.streams.rows.iter().rev();
        streams.clone().find_map(|row| row.resumed_from.clone())
    };
    let before = stage.frontend.snapshots.borrow().streams.total;
    let host = address(&stage.engine);
    let request = format!(
        "GET /mcp HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nMcp-Session-Id: s\r\nLast-Event-ID: {id}\r\n\r\n"
    );
    stage.exchange(&request, EVENTS).await;
    let snapshot = snapshot_when(&mut stage.frontend, "the resumed stream", |snapshot| {
        snapshot.streams.total > before && snapshot.streams.rows.last().unwrap().resumed_from.is_some()
    })
    .await;
    resumed(&snapshot).unwrap()
}

#[tokio::test]
pub(super) async fn of_too_many_event_ids_the_oldest_can_no_longer_be_linked() {
    let mut stage = stage(|config| config.limits.max_event_tracker_events = 2).await;
    set_ids(&stage, &["one", "two", "three"]).await;
    snapshot_when(&mut stage.frontend, "the ids", |snapshot| {
        let gauge = gauge(snapshot, "max_event_tracker_events", "most in a session");
        (gauge.used, gauge.limit, gauge.reached) == (2, 2, 1) && snapshot.streams.total == 1
    })
    .await;
    assert_eq!(resume(&mut stage, "one").await, "one");
    assert_eq!(resume(&mut stage, "three").await, "three of #1");
}

#[tokio::test]
pub(super) async fn an_event_id_that_is_too_old_can_no_longer_be_linked() {
    let mut stage = stage(|config| config.limits.event_tracker_age = Duration::from_millis(200)).await;
    set_ids(&stage, &["one"]).await;
    soon("the end of the id", async {
        while resume(&mut stage, "one").await != "one" {}
    })
    .await;
    set_ids(&stage, &["two"]).await;
    snapshot_when(&mut stage.frontend, "the forgotten id", |snapshot| {
        let gauge = gauge(snapshot, "event_tracker_age", "");
        (gauge.limit, gauge.reached) == (200, 1)
    })
    .await;
}
