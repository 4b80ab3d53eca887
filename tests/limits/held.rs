//! What may be held: beyond, the sender waits, other lanes run, and nothing is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use shadowcat::config::Config;
use shadowcat::intercept::hold::Actor;
use shadowcat::intercept::interceptor::InterceptCommand;
use shadowcat::intercept::rules::file;
use shadowcat::snapshot::Command;

use crate::support::stage::*;
use crate::support::*;

const CALLS: &str = "[[rule]]\nname = \"r\"\nwhen = \"dir:c2s tool:held\"\nthen = \"hold\"\n";
const FIRST: &str = "[[rule]]\nname = \"r\"\nwhen = \"$.params.n=0\"\nthen = \"hold\"\n";

async fn holding(rules: &str, change: impl FnOnce(&mut Config)) -> Stage {
    let rules = file::parse(rules).unwrap();
    stage(|config| {
        config.can_hold = true;
        config.rules = rules;
        change(config);
    })
    .await
}

async fn forward_all(stage: &Stage) {
    let what = InterceptCommand::ForwardAll;
    let actor = Actor::Key;
    reply(&stage.frontend, Command::Intercept { what, actor }).await;
}

/// Two of three messages find a place, the third waits for one and then goes on too.
async fn one_waits_for_a_place(stage: &mut Stage, limit: &str, body: &str) {
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = RawPeer::connect(address(&stage.engine)).await;
        client.send(stage.request("POST", "", body)).await;
        clients.push(client);
    }
    snapshot_when(&mut stage.frontend, "the full table", |snapshot| {
        let gauge = gauge(snapshot, limit, "");
        snapshot.intercept.rows.len() == 2 && gauge.used <= gauge.limit && gauge.reached > 0
    })
    .await;
    stage.call("", 2, "other", "free").await;
    assert!(stage.server.accept().now_or_never().is_none());
    forward_all(stage).await;
    let request = stage.request("POST", "", body);
    for _ in 0..2 {
        arrival(&stage.server, &request).await;
    }
    snapshot_when(&mut stage.frontend, "the third in the table", |snapshot| {
        snapshot.intercept.rows.len() == 1
    })
    .await;
    forward_all(stage).await;
    arrival(&stage.server, &request).await;
}

#[tokio::test]
pub(super) async fn a_message_beyond_max_held_messages_waits_for_a_place() {
    let mut stage = holding(CALLS, |config| config.limits.max_held_messages = 2).await;
    one_waits_for_a_place(&mut stage, "max_held_messages", &call(1, "held")).await;
}

#[tokio::test]
pub(super) async fn messages_beyond_max_held_bytes_wait_for_a_place() {
    let mut stage = holding(CALLS, |config| config.limits.max_held_bytes = 64 << 10).await;
    let body = call(1, "held").replace(
        "}}",
        &format!(r#","arguments":{{"x":"{}"}}}}}}"#, "x".repeat(30_000)),
    );
    one_waits_for_a_place(&mut stage, "max_held_bytes", &body).await;
}

/// A server that sends without end to a held stream stops, and all that it sent arrives once nothing is held.
async fn the_sender_waits(stage: &mut Stage, limit: &str, size: usize) {
    const TOTAL: usize = 24 << 20;
    let (mut client, mut upstream) = stage.begin(&stage.request("GET", "s", "")).await;
    upstream.send(EVENTS).await;
    client.read_head().await;
    let text = "x".repeat(size);
    let event = move |number: usize| {
        format!(
            "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{{\"n\":{number},\"data\":\"{text}\"}}}}\n\n"
        )
    };
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    spawn(async move {
        let mut number = 0;
        while counter.load(Ordering::Relaxed) < TOTAL {
            let events: String = (number..number + 16).map(&event).collect();
            number += 16;
            tokio::io::AsyncWriteExt::write_all(&mut upstream.socket, events.as_bytes())
                .await
                .unwrap();
            counter.fetch_add(events.len(), Ordering::Relaxed);
        }
    });
    snapshot_when(&mut stage.frontend, "the full lane", |snapshot| {
        let gauge = gauge(snapshot, limit, "most behind one");
        gauge.reached > 0 && gauge.used > 0
    })
    .await;
    for id in 1..20 {
        stage.call("", id, "other", "free").await;
    }
    assert!(sent.load(Ordering::Relaxed) < TOTAL, "the sender was not stopped");
    forward_all(stage).await;
    let arrived = client.read_all_chunks().await;
    assert_eq!(arrived.len(), sent.load(Ordering::Relaxed));
    assert!(sent.load(Ordering::Relaxed) >= TOTAL);
}

#[tokio::test]
pub(super) async fn behind_a_held_event_max_lane_events_wait_and_then_the_sender() {
    let mut stage = holding(FIRST, |config| config.limits.max_lane_events = 5).await;
    the_sender_waits(&mut stage, "max_lane_events", 8 << 10).await;
}

#[tokio::test]
pub(super) async fn behind_a_held_event_max_lane_bytes_wait_and_then_the_sender() {
    let mut stage = holding(FIRST, |config| config.limits.max_lane_bytes = 64 << 10).await;
    the_sender_waits(&mut stage, "max_lane_bytes", 8 << 10).await;
}
