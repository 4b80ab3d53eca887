//! Every limit reached with real traffic: who waits, what goes, and what the screen says of it.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

mod heads;
mod held;
mod messages;
mod places;
mod queues;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod times;

use support::stage::*;
use support::*;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures_util::FutureExt as _;
use shadowcat::clock::Timestamp;
use shadowcat::engine::EngineHandle;
use shadowcat::ids::{MessageId, Side};
use shadowcat::resource::log_ring::LogRing;
use shadowcat::snapshot::{
    Command, EndKind, LogRow, MessageRow, Outcome, Reply, RowKind, RowState, SessionState, Snapshot, Source,
};
use shadowcat::views::AttachError;
use tokio::io::AsyncWriteExt as _;

#[tokio::test]
async fn a_client_beyond_max_connections_waits_until_one_leaves() {
    let mut stage = stage(|config| config.limits.max_connections = 2).await;
    let request = stage.request("POST", "s", &call(1, "echo"));
    let first = stage.begin(&request).await;
    let _second = stage.begin(&request).await;
    let mut third = RawPeer::connect(address(&stage.engine)).await;
    third.send(&request).await;
    snapshot_when(&mut stage.frontend, "the full house", |snapshot| {
        let gauge = gauge(snapshot, "max_connections", "");
        (gauge.used, gauge.limit) == (2, 2) && gauge.reached > 0
    })
    .await;
    assert!(stage.server.accept().now_or_never().is_none());
    drop(first);
    let mut upstream = arrival(&stage.server, &request).await;
    upstream.send(json("{}")).await;
    assert!(third.read_head().await.starts_with("HTTP/1.1 200 "));
    let snapshot = snapshot_when(&mut stage.frontend, "the change", |snapshot| {
        snapshot.totals.bytes_from_servers > 0
    })
    .await;
    assert_eq!(gauge(&snapshot, "max_connections", "").peak, 2);
}

#[tokio::test]
async fn a_client_that_finds_no_room_for_its_task_gets_503_with_its_own_id() {
    const ROOM: usize = 16;
    let mut stage = stage(|config| {
        config.limits.max_concurrent_tasks = ROOM;
        config.limits.queue_timeout = Duration::from_millis(100);
    })
    .await;
    let request = stage.request("POST", "s", &call(7, "slow"));
    let mut open = Vec::new();
    for _ in 0..ROOM {
        open.push(stage.begin(&request).await);
    }
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(&request).await;
    let (answer, is_clean) = client.read_to_end().await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(is_clean && answer.starts_with("HTTP/1.1 503 "), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.to_ascii_lowercase().contains("\r\nretry-after: "), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["id"], 7);
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("--max-concurrent-tasks"), "{message}");
    snapshot_when(&mut stage.frontend, "the refusal", |snapshot| {
        let gauge = gauge(snapshot, "max_concurrent_tasks", "");
        (gauge.used, gauge.limit, gauge.reached) == (16, 16, 1) && snapshot.totals.errors > 0
    })
    .await;
    snapshot_when(&mut stage.frontend, "the wait", |snapshot| {
        let gauge = gauge(snapshot, "queue_timeout", "");
        gauge.peak >= 100 && (gauge.limit, gauge.reached) == (100, 1)
    })
    .await;
}

#[tokio::test]
async fn only_the_latest_ended_streams_are_listed() {
    let mut stage = stage(|config| config.limits.max_ended_streams = 2).await;
    for id in 1..=4 {
        stage
            .exchange(&stage.request("POST", "s", &call(id, "echo")), EVENTS)
            .await;
    }
    let snapshot = snapshot_when(&mut stage.frontend, "the last stream's end", |snapshot| {
        let last = snapshot.streams.rows.last();
        last.is_some_and(|row| row.id.get() == 4 && row.ended.is_some())
    })
    .await;
    let ids: Vec<u64> = snapshot.streams.rows.iter().map(|row| row.id.get()).collect();
    assert_eq!(ids, [3, 4]);
    snapshot_when(&mut stage.frontend, "the full list", |snapshot| {
        let gauge = gauge(snapshot, "max_ended_streams", "");
        (gauge.used, gauge.limit, gauge.reached) == (2, 2, 2)
    })
    .await;
}

#[tokio::test]
async fn beyond_max_sessions_the_ended_one_is_forgotten_first() {
    let mut stage = stage(|config| config.limits.max_sessions = 3).await;
    for session in ["one", "two", "three"] {
        stage.notify(session).await;
    }
    stage
        .exchange(
            &stage.request("DELETE", "two", ""),
            "HTTP/1.1 204 No Content\r\n\r\n",
        )
        .await;
    snapshot_when(&mut stage.frontend, "the end of a session", |snapshot| {
        let ended = |row: &&shadowcat::snapshot::SessionRow| row.state == SessionState::Ended;
        snapshot.sessions.rows.iter().filter(ended).count() == 1
    })
    .await;
    let ids = |snapshot: &Snapshot| -> Vec<String> {
        let rows = snapshot.sessions.rows.iter();
        rows.map(|row| row.id.to_string()).collect()
    };
    stage.notify("four").await;
    let snapshot = snapshot_when(&mut stage.frontend, "the fourth session", |snapshot| {
        ids(snapshot).last().is_some_and(|id| id == "R4")
            && gauge(snapshot, "max_sessions", "reverse").reached > 0
    })
    .await;
    assert_eq!(ids(&snapshot), ["R1", "R3", "R4"]);
    let gauge = gauge(&snapshot, "max_sessions", "reverse");
    assert_eq!((gauge.used, gauge.limit, gauge.reached), (3, 3, 1));
    // One that was forgotten is met like a new one.
    stage.notify("two").await;
    snapshot_when(&mut stage.frontend, "the fifth session", |snapshot| {
        ids(snapshot).last().is_some_and(|id| id == "R5") && ids(snapshot).len() == 3
    })
    .await;
}

#[tokio::test]
async fn a_session_above_its_memory_loses_its_oldest_bodies_and_then_rows() {
    const LIMIT: usize = 64 << 10;
    let mut stage = stage(|config| config.limits.max_memory_per_session = LIMIT).await;
    for id in 0..60 {
        stage.call("loud", id, "echo", &"x".repeat(4_000)).await;
    }
    let snapshot = snapshot_when(&mut stage.frontend, "the last call", |snapshot| {
        snapshot.totals.messages == 120
            && snapshot.totals.open_calls == 0
            && gauge(snapshot, "max_memory_per_session", "largest").reached > 0
    })
    .await;
    let session = &snapshot.sessions.rows[0];
    assert!(
        session.history_bytes > 0 && session.history_bytes <= LIMIT as u64,
        "{session:?}"
    );
    assert_eq!(session.messages, 120, "what it had is still counted");
    let totals = snapshot.totals;
    assert!(totals.rows_evicted > 0 && totals.bodies_evicted > 0, "{totals:?}");
    assert_eq!(
        snapshot.messages.total,
        120 - totals.rows_evicted,
        "counted is gone, and gone is counted"
    );
    let newest = snapshot.messages.rows.last().unwrap();
    assert!(newest.has_body, "{newest:?}");
    assert!(
        snapshot.messages.rows.iter().any(|row| !row.has_body),
        "bodies go before rows"
    );
    let first = Command::Inspect {
        id: MessageId::new(1).unwrap(),
    };
    assert_eq!(reply(&stage.frontend, first).await, Reply::Gone);
    let newest = Command::Inspect { id: newest.id };
    assert!(matches!(reply(&stage.frontend, newest).await, Reply::Detail(_)));
}

#[tokio::test]
async fn history_above_its_memory_takes_from_the_loud_session_only() {
    const LIMIT: usize = 128 << 10;
    let mut stage = stage(|config| config.limits.max_history_memory = LIMIT).await;
    stage.call("quiet", 0, "echo", "still here").await;
    for id in 0..60 {
        stage.call("loud", id, "echo", &"x".repeat(8_000)).await;
    }
    let snapshot = snapshot_when(&mut stage.frontend, "the last call", |snapshot| {
        snapshot.totals.messages == 122
            && snapshot.totals.open_calls == 0
            && gauge(snapshot, "max_history_memory", "").reached > 0
    })
    .await;
    let gauge = gauge(&snapshot, "max_history_memory", "");
    assert_eq!(gauge.limit, LIMIT as u64);
    assert!(gauge.used <= gauge.limit && gauge.used > 0, "{gauge:?}");
    assert!(snapshot.totals.bodies_evicted > 0);
    let quiet: Vec<MessageRow> = rows(&stage.frontend).await.into_iter().take(2).collect();
    assert!(
        quiet.iter().all(|row| row.id.get() <= 2 && row.has_body),
        "{quiet:#?}"
    );
}

#[tokio::test]
async fn a_frontend_beyond_max_frontends_is_refused_until_one_leaves() {
    let mut stage = stage(|config| config.limits.max_frontends = 2).await;
    let second = stage.engine.frontend().unwrap();
    let refused = stage.engine.frontend().unwrap_err();
    assert_eq!(refused, AttachError::TooMany { limit: 2 });
    assert!(refused.to_string().contains("--max-frontends"), "{refused}");
    snapshot_when(&mut stage.frontend, "the refusal", |snapshot| {
        let gauge = gauge(snapshot, "max_frontends", "");
        (gauge.used, gauge.limit, gauge.reached) == (2, 2, 1)
    })
    .await;
    drop(second);
    soon("a free place", async {
        while stage.engine.frontend().is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn beyond_max_open_calls_the_oldest_is_given_up_and_its_answer_still_arrives() {
    let mut stage = stage(|config| config.limits.max_open_calls = 2).await;
    let mut open = Vec::new();
    for id in 1..=3 {
        open.push(stage.begin(&stage.request("POST", "s", &call(id, "slow"))).await);
    }
    let state_of = |snapshot: &Snapshot, id: &str| {
        let rows = snapshot.messages.rows.iter();
        let mut requests = rows.filter(|row| row.kind == RowKind::Request);
        requests
            .find(|row| row.rpc_id.as_deref() == Some(id))
            .map(|row| row.state.clone())
    };
    let snapshot = snapshot_when(&mut stage.frontend, "the call that was given up", |snapshot| {
        state_of(snapshot, "3").is_some()
            && gauge(snapshot, "max_open_calls", "most in a session").reached > 0
    })
    .await;
    assert!(
        matches!(
            state_of(&snapshot, "1"),
            Some(RowState::Answered {
                outcome: Outcome::Unanswered,
                ..
            })
        ),
        "{:?}",
        state_of(&snapshot, "1")
    );
    assert_eq!(state_of(&snapshot, "2"), Some(RowState::Open { progress: None }));
    let (client, upstream) = &mut open[0];
    let result = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    upstream.send(json(result)).await;
    client.read_head().await;
    assert_eq!(client.read_exactly(result.len()).await, result.as_bytes());
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection_and_a_slow_body_does_not() {
    let mut stage = stage(|config| config.limits.head_timeout = Duration::from_millis(200)).await;
    let host = address(&stage.engine);
    let mut slow_body = RawPeer::connect(host).await;
    slow_body
        .send(format!(
            "POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\n\r\nha"
        ))
        .await;
    let mut upstream = stage.server.accept().await;
    upstream.read_head().await;
    let mut silent = RawPeer::connect(host).await;
    silent.wait_closed().await;
    let mut trickle = RawPeer::connect(host).await;
    trickle
        .send(format!("POST /mcp HTTP/1.1\r\nHost: {host}\r\nX-Slow: "))
        .await;
    // One byte now and then does not buy more time.
    soon("the end of the trickle", async {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        while trickle.socket.write_all(b"x").await.is_ok() {
            pace.tick().await;
        }
    })
    .await;
    slow_body.send("ha").await;
    assert_eq!(upstream.read_exactly(4).await, b"haha");
    upstream.send(ACCEPTED).await;
    assert!(slow_body.read_head().await.starts_with("HTTP/1.1 202 "));
    snapshot_when(&mut stage.frontend, "both timeouts", |snapshot| {
        let gauge = gauge(snapshot, "head_timeout", "");
        (gauge.peak, gauge.limit, gauge.reached) == (200, 200, 2)
    })
    .await;
}

/// An event that comes in two pieces, so that the first one has to be kept for a while.
fn large_event() -> String {
    let text = "x".repeat(20 << 10);
    format!(
        "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{{\"data\":\"{text}\"}}}}\n\n"
    )
}

#[tokio::test]
async fn a_flooded_forward_side_leaves_the_reverse_side_its_buffers() {
    const STREAMS: usize = 5;
    let mut stage = stage(|config| config.limits.max_buffer_pool = 96 << 10).await;
    let host = address(&stage.engine);
    let event = large_event();
    let (head, tail) = event.split_at(event.len() - 10);
    let foreign = RawServer::bind().await;
    let target = foreign.address();
    let request = format!("GET http://{target}/mcp HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n");
    let mut flood = Vec::new();
    for _ in 0..STREAMS {
        let mut client = RawPeer::connect(host).await;
        client.send(&request).await;
        let mut upstream = arrival(&foreign, &request).await;
        upstream.send(EVENTS).await;
        upstream.send(head).await;
        client.read_head().await;
        assert_eq!(client.read_chunked(head.len()).await, head.as_bytes());
        flood.push((client, upstream));
    }
    let (mut client, mut upstream) = stage.begin(&stage.request("POST", "s", &call(1, "log"))).await;
    upstream.send(EVENTS).await;
    upstream.send(head).await;
    client.read_head().await;
    assert_eq!(client.read_chunked(head.len()).await, head.as_bytes());
    upstream.send(tail).await;
    assert_eq!(client.read_chunked(tail.len()).await, tail.as_bytes());
    for (client, upstream) in &mut flood {
        upstream.send(tail).await;
        assert_eq!(client.read_chunked(tail.len()).await, tail.as_bytes());
    }
    let of_side = |snapshot: &Snapshot, side: Side| -> Vec<MessageRow> {
        let rows = snapshot.messages.rows.iter();
        let rows = rows.filter(|row| row.stream.is_some());
        rows.filter(|row| row.session.unwrap().side() == side)
            .cloned()
            .collect()
    };
    let snapshot = snapshot_when(&mut stage.frontend, "all events", |snapshot| {
        of_side(snapshot, Side::Forward).len() == STREAMS
            && of_side(snapshot, Side::Reverse).len() == 1
            && gauge(snapshot, "max_buffer_pool", "forward").reached > 0
    })
    .await;
    assert_eq!(gauge(&snapshot, "max_buffer_pool", "reverse").reached, 0);
    let shown = &of_side(&snapshot, Side::Reverse)[0];
    assert_eq!(shown.kind, RowKind::Notification, "{shown:#?}");
    let is_whole = |row: &&MessageRow| row.kind == RowKind::Notification;
    let forward = of_side(&snapshot, Side::Forward);
    let whole = forward.iter().filter(is_whole).count();
    assert!(whole > 0 && whole < STREAMS, "{forward:#?}");
    for cut in forward.iter().filter(|row| !is_whole(row)) {
        assert_eq!(cut.size, event.len() as u64);
        assert!(
            cut.findings
                .iter()
                .any(|finding| finding.text.contains("cut for display")),
            "{cut:#?}"
        );
    }
}

#[tokio::test]
async fn the_log_keeps_its_latest_lines_and_says_how_many_went() {
    let ring = LogRing::new(16);
    let log = ring.clone();
    let mut stage = stage(|config| {
        config.limits.log_ring = 16;
        config.log = log;
    })
    .await;
    for number in 1..=20 {
        ring.push(LogRow {
            number: 0,
            at: Timestamp::from_micros(number),
            level: "INFO".to_owned(),
            target: "limits".to_owned(),
            text: format!("line {number}"),
        });
    }
    let snapshot = snapshot_when(&mut stage.frontend, "the lines", |snapshot| {
        gauge(snapshot, "log_ring", "").reached == 4
    })
    .await;
    assert_eq!(snapshot.log.total, 16);
    assert_eq!(snapshot.log.rows[0].text, "line 5");
    assert_eq!(snapshot.log.rows[15].number, 20);
}

/// Ends the engine on a thread of its own, while the test goes on.
fn ending(engine: EngineHandle) -> std::thread::JoinHandle<shadowcat::engine::ShutdownReport> {
    std::thread::Builder::new()
        .spawn(move || engine.shut_down())
        .unwrap()
}

async fn report(
    ending: std::thread::JoinHandle<shadowcat::engine::ShutdownReport>,
) -> shadowcat::engine::ShutdownReport {
    soon("the engine's end", async {
        while !ending.is_finished() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    ending.join().unwrap()
}

#[tokio::test]
async fn the_end_cuts_streams_that_do_not_finish_and_says_so() {
    let stage = stage(|_| {}).await;
    let mut open = Vec::new();
    for session in ["a", "b"] {
        let (mut client, mut upstream) = stage.begin(&stage.request("GET", session, "")).await;
        upstream.send(EVENTS).await;
        client.read_head().await;
        open.push((client, upstream));
    }
    let mut frontend = stage.frontend;
    let report = report(ending(stage.engine)).await;
    assert_eq!(report.cut, [("connection".to_owned(), 2)]);
    assert!(report.to_string().contains("2 × connection"), "{report}");
    for (client, upstream) in &mut open {
        let (rest, _) = client.read_to_end().await;
        assert!(!rest.ends_with(b"0\r\n\r\n"), "a cut stream must not look whole");
        upstream.wait_closed().await;
    }
    let last = snapshot_when(&mut frontend, "the last snapshot", |snapshot| {
        snapshot.streams.rows.iter().all(|row| row.ended.is_some())
    })
    .await;
    let ends: Vec<EndKind> = last.streams.rows.iter().map(|row| row.ended.unwrap().1).collect();
    assert_eq!(ends, [EndKind::CutByProxy; 2]);
}

#[tokio::test]
async fn the_end_waits_for_an_exchange_that_finishes_in_time() {
    let stage = stage(|config| config.limits.drain_timeout = PATIENCE).await;
    let (mut client, mut upstream) = stage.begin(&stage.request("POST", "s", &call(1, "slow"))).await;
    let mut frontend = stage.frontend;
    let ending = ending(stage.engine);
    snapshot_when(&mut frontend, "the beginning of the end", |snapshot| {
        matches!(
            snapshot.source,
            Source::Live {
                is_draining: true,
                ..
            }
        )
    })
    .await;
    let result = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    upstream.send(json(result)).await;
    let (answer, is_clean) = client.read_to_end().await;
    assert!(is_clean && answer.ends_with(result.as_bytes()));
    assert_eq!(report(ending).await.cut, []);
}

fn live_tasks(snapshot: &Snapshot) -> BTreeMap<String, u64> {
    let rows = snapshot.resources.tasks.iter();
    rows.map(|row| (row.kind.clone(), row.live)).collect()
}

#[tokio::test]
async fn sessions_that_come_and_go_leave_no_task_behind() {
    const SESSIONS: usize = 200;
    let mut stage = stage(|_| {}).await;
    let first = snapshot_when(&mut stage.frontend, "the first snapshot", |_| true).await;
    let at_start = live_tasks(&first);
    let mut open = VecDeque::new();
    for number in 0..SESSIONS {
        let session = format!("s{number}");
        stage.notify(&session).await;
        let (mut client, mut upstream) = stage.begin(&stage.request("GET", &session, "")).await;
        upstream.send(EVENTS).await;
        client.read_head().await;
        open.push_back((client, upstream));
        stage.call(&session, 1, "echo", "hi").await;
        if open.len() > 10 {
            // Some leave, some are left.
            let (client, upstream) = open.pop_front().unwrap();
            if number % 2 == 0 {
                drop(client);
            } else {
                drop(upstream);
            }
        }
    }
    drop(open);
    let started = |snapshot: &Snapshot| {
        let connections = snapshot.resources.tasks.iter();
        let mut connections = connections.filter(|row| row.kind == "connection");
        connections.next().map(|row| (row.started, row.panicked))
    };
    let snapshot = snapshot_when(&mut stage.frontend, "the last task's end", |snapshot| {
        started(snapshot) == Some((3 * SESSIONS as u64, 0)) && live_tasks(snapshot) == at_start
    })
    .await;
    assert_eq!(snapshot.sessions.total, SESSIONS as u64);
    assert_eq!(gauge(&snapshot, "max_connections", "").used, 0);
    assert_eq!(gauge(&snapshot, "max_concurrent_tasks", "").used, 0);
    assert_eq!(gauge(&snapshot, "max_buffer_pool", "reverse").used, 0);
}
