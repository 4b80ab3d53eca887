//! Breakers with real sockets: what a client gets while a server is down, and how soon after it is back.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

mod support;

use support::stage::{call, json, reply};
use support::*;

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt as _;
use shadowcat::clock::Clock;
use shadowcat::engine::EngineHandle;
use shadowcat::frontend::Frontend;
use shadowcat::snapshot::{
    BreakerRow, BreakerState, Command, Outcome, Reply, RowState, Severity, Snapshot, Source,
};
use tokio::io::AsyncReadExt as _;

/// So long that no request is a probe.
const NEVER: Duration = Duration::from_hours(1);

/// What a client was answered.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn message(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        body["error"]["message"].as_str().unwrap().to_owned()
    }
}

/// One call on a connection of its own.
async fn ask(engine: &EngineHandle, path: &str, id: u64) -> Answer {
    ask_at(address(engine), path, id).await
}

async fn ask_at(address: SocketAddr, path: &str, id: u64) -> Answer {
    let mut client = RawPeer::connect(address).await;
    client.send(request(address, path, id)).await;
    let (answer, _) = client.read_to_end().await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

fn request(host: SocketAddr, path: &str, id: u64) -> String {
    let body = call(id, "echo");
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Answers every call with `body`, each on a connection of its own. Connections that bring no call are nobody's.
async fn answer_all(server: RawServer, body: &'static str) {
    loop {
        let mut peer = server.accept().await;
        let mut part = [0; 4096];
        if matches!(peer.socket.read(&mut part).await, Ok(1..)) {
            peer.send(json(body)).await;
        }
    }
}

/// An engine in front of a port at which nobody listens yet.
fn engine_for_dead(port: &DeadPort, pause: Duration) -> EngineHandle {
    engine_with(&[&format!("http://{}/mcp", port.address())], |config| {
        config.limits.breaker_pause = pause;
        config.limits.max_idle_per_upstream = 0;
    })
}

/// Lets as many connects fail as open the breaker.
async fn open(engine: &EngineHandle, path: &str) {
    for id in 1..=5 {
        assert_eq!(ask(engine, path, id).await.status, 502);
    }
}

fn breaker(snapshot: &Snapshot, at: usize) -> &BreakerRow {
    match &snapshot.source {
        Source::Live { upstreams, .. } => &upstreams[at].breaker,
        other @ Source::File { .. } => panic!("{other:?}"),
    }
}

async fn breaker_when(
    frontend: &mut Frontend,
    what: &str,
    is_it: impl Fn(&BreakerRow) -> bool,
) -> (BreakerRow, Snapshot) {
    let snapshot = snapshot_when(frontend, what, |snapshot| {
        matches!(&snapshot.source, Source::Live { upstreams, .. } if !upstreams.is_empty())
            && is_it(breaker(snapshot, 0))
    })
    .await;
    (breaker(&snapshot, 0).clone(), snapshot)
}

#[tokio::test]
async fn after_five_failed_connects_a_client_is_told_at_once_what_is_wrong_and_nothing_is_dialled() {
    let port = DeadPort::bind();
    let engine = engine_for_dead(&port, NEVER);
    let mut frontend = engine.frontend().unwrap();
    open(&engine, "/mcp").await;
    let server = port.listen();
    let answer = ask(&engine, "/mcp", 77).await;
    assert_eq!(answer.status, 503);
    assert!(answer.head.contains("\r\nretry-after: 3600"), "{}", answer.head);
    assert!(
        answer.head.contains("\r\nshadowcat-error: breaker_open"),
        "{}",
        answer.head
    );
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        (&body["id"], &body["error"]["data"]["reason"]),
        (&77.into(), &"breaker_open".into())
    );
    let (message, upstream) = (
        answer.message(),
        format!("{0} (http://{0}/mcp)", server.address()),
    );
    for part in [
        upstream.as_str(),
        "5 connects in a row",
        "refused",
        "open for",
        "35",
        "`r` on the Servers",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(server.accept().now_or_never().is_none());

    let (row, snapshot) = breaker_when(&mut frontend, "the 503", |row| row.refused == 1).await;
    assert!(matches!(row.state, BreakerState::Open { since, next } if next.since(since) == NEVER));
    assert_eq!((row.failures, row.opened), (5, 1));
    assert!(row.cause.unwrap().contains("refused"));
    let notice = snapshot.notices.last().unwrap();
    assert_eq!(notice.severity, Severity::Warning);
    assert!(
        notice.text.contains("could not be reached 5 times in a row"),
        "{}",
        notice.text
    );
    let snapshot = snapshot_when(&mut frontend, "the gauge", |snapshot| {
        let gauges = &snapshot.resources.gauges;
        gauges
            .iter()
            .any(|gauge| gauge.name == "breaker_failures" && gauge.reached == 1)
    })
    .await;
    let gauge = gauge(&snapshot, "breaker_failures", &server.address().to_string());
    assert_eq!((gauge.used, gauge.limit, gauge.peak), (5, 5, 5));
    let pause = support::gauge(&snapshot, "breaker_pause", &gauge.part);
    assert!(pause.used > 3_500_000 && pause.reached == 1, "{pause:?}");
}

#[tokio::test]
async fn a_503_of_ours_is_in_history_with_its_reason_like_any_answer() {
    let port = DeadPort::bind();
    let engine = engine_for_dead(&port, NEVER);
    let mut frontend = engine.frontend().unwrap();
    open(&engine, "/mcp").await;
    ask(&engine, "/mcp", 6).await;
    snapshot_when(&mut frontend, "all answers", |snapshot| {
        snapshot.totals.open_calls == 0 && snapshot.messages.total == 12
    })
    .await;
    let rows = rows(&frontend).await;
    let asked = rows
        .iter()
        .find(|row| row.rpc_id.as_deref() == Some("6"))
        .unwrap();
    assert!(
        matches!(
            asked.state,
            RowState::Answered {
                outcome: Outcome::ProxyError(503),
                ..
            }
        ),
        "{:?}",
        asked.state
    );
    let Reply::Detail(detail) = reply(&frontend, Command::Inspect { id: asked.id }).await else {
        panic!()
    };
    let exchange = detail.exchange.unwrap();
    assert!(exchange.is_our_answer);
    assert!(exchange.failure.unwrap().contains("is not asked"));
}

#[tokio::test]
async fn the_first_retry_within_a_second_of_the_restart_gets_through() {
    let port = DeadPort::bind();
    let engine = engine_for_dead(&port, Duration::from_secs(1));
    let mut frontend = engine.frontend().unwrap();
    open(&engine, "/mcp").await;
    let clock = Clock::start();
    // The server stays away for a few probes: the time to the next one must not grow.
    let mut probes = 0;
    while probes < 3 {
        probes += usize::from(ask(&engine, "/mcp", 1).await.status == 502);
    }
    assert!(clock.now().since(clock.started_at()) < Duration::from_secs(5));
    spawn(answer_all(
        port.listen(),
        r#"{"jsonrpc":"2.0","id":9,"result":{}}"#,
    ));
    let clock = Clock::start();
    while ask(&engine, "/mcp", 9).await.status != 200 {}
    let took = clock.now().since(clock.started_at());
    assert!(took < Duration::from_millis(1_500), "{took:?}");
    let (row, snapshot) = breaker_when(&mut frontend, "the end of it", |row| {
        row.state == BreakerState::Closed && row.opened == 1
    })
    .await;
    assert_eq!((row.failures, row.cause), (0, None));
    let about: Vec<_> = snapshot
        .notices
        .iter()
        .filter(|notice| {
            notice.text.contains(&"connections again".to_owned()) || notice.text.contains("in a row")
        })
        .collect();
    assert_eq!(
        about.len(),
        1,
        "the good news takes the place of the bad: {about:?}"
    );
    assert!(
        about[0].text.contains("accepts connections again"),
        "{}",
        about[0].text
    );
}

#[tokio::test]
async fn of_fifty_clients_at_once_one_each_pause_dials() {
    const PAUSE: Duration = Duration::from_millis(200);
    let port = DeadPort::bind();
    let engine = engine_for_dead(&port, PAUSE);
    open(&engine, "/mcp").await;
    let (clock, address) = (Clock::start(), address(&engine));
    let clients = (0..50).map(|client| async move {
        let mut dialled = 0;
        for id in 0..10 {
            let status = ask_at(address, "/mcp", client * 10 + id).await.status;
            assert!(matches!(status, 502 | 503), "{status}");
            dialled += u128::from(status == 502);
        }
        dialled
    });
    let dialled: u128 = futures_util::future::join_all(clients).await.into_iter().sum();
    let pauses = clock.now().since(clock.started_at()).as_millis() / PAUSE.as_millis();
    assert!(dialled <= pauses + 1, "{dialled} dials in {pauses} pauses");
}

#[tokio::test]
async fn a_probe_that_has_connected_lets_all_others_through_before_it_is_answered() {
    let port = DeadPort::bind();
    let engine = engine_for_dead(&port, Duration::from_millis(50));
    open(&engine, "/mcp").await;
    let server = port.listen();
    let address = address(&engine);
    spawn(async move { while ask_at(address, "/mcp", 1).await.status != 200 {} });
    let mut slow = server.accept().await;
    slow.read_head().await;
    let mut client = RawPeer::connect(address).await;
    client.send(request(address, "/mcp", 2)).await;
    let mut quick = server.accept().await;
    quick.read_head().await;
    quick.send(json(r#"{"jsonrpc":"2.0","id":2,"result":{}}"#)).await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 200 "));
    slow.send(json("{}")).await;
}

#[tokio::test]
async fn a_reset_lets_the_next_request_through_at_once() {
    let port = DeadPort::bind();
    let engine = engine_for_dead(&port, NEVER);
    let frontend = engine.frontend().unwrap();
    open(&engine, "/mcp").await;
    assert_eq!(ask(&engine, "/mcp", 6).await.status, 503);
    let name = port.address().to_string();
    spawn(answer_all(port.listen(), "{}"));
    let unknown = Command::ResetBreaker {
        upstream: Some("nobody".to_owned()),
    };
    let Reply::Refused { message } = reply(&frontend, unknown).await else {
        panic!()
    };
    assert!(
        message.contains("`nobody`") && message.contains(&name),
        "{message}"
    );
    assert_eq!(ask(&engine, "/mcp", 6).await.status, 503);
    let reset = Command::ResetBreaker {
        upstream: Some(name.clone()),
    };
    let done = Reply::BreakersReset {
        upstreams: vec![name],
    };
    assert_eq!(reply(&frontend, reset).await, done);
    assert_eq!(ask(&engine, "/mcp", 7).await.status, 200);
    let again = Command::ResetBreaker { upstream: None };
    assert_eq!(
        reply(&frontend, again).await,
        Reply::BreakersReset {
            upstreams: Vec::new()
        }
    );
}

#[tokio::test]
async fn other_servers_are_none_the_worse_for_it() {
    let (port, healthy) = (DeadPort::bind(), RawServer::bind().await);
    let upstreams = [
        format!("dead=http://{}/mcp", port.address()),
        format!("healthy=http://{}/mcp", healthy.address()),
    ];
    let engine = engine_with(&upstreams.each_ref().map(String::as_str), |config| {
        config.limits.breaker_pause = NEVER;
    });
    let mut frontend = engine.frontend().unwrap();
    spawn(answer_all(healthy, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#));
    open(&engine, "/dead").await;
    for _ in 0..10 {
        assert_eq!(ask(&engine, "/dead", 1).await.status, 503);
        let answer = ask(&engine, "/healthy", 1).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#)
        );
    }
    let (_, snapshot) = breaker_when(&mut frontend, "ten 503", |row| row.refused == 10).await;
    assert_eq!(*breaker(&snapshot, 1), BreakerRow::default());
}

#[tokio::test]
async fn a_server_that_accepts_and_then_fails_keeps_its_breaker_closed() {
    let server = RawServer::bind().await;
    let engine = engine_for(server.address());
    let mut frontend = engine.frontend().unwrap();
    spawn(async move {
        for turn in 0..20 {
            let mut peer = server.accept().await;
            peer.read_head().await;
            if turn % 2 == 0 {
                peer.send("HTTP/1.1 500 Oh\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                    .await;
            }
        }
    });
    for turn in 0..20 {
        let status = ask(&engine, "/mcp", turn).await.status;
        assert_eq!(status, if turn % 2 == 0 { 500 } else { 502 });
    }
    let snapshot = snapshot_when(&mut frontend, "all of them", |snapshot| {
        snapshot.totals.open_calls == 0
    })
    .await;
    assert_eq!(*breaker(&snapshot, 0), BreakerRow::default());
}

#[tokio::test]
async fn a_destination_of_forward_clients_has_no_breaker() {
    let (port, server) = (DeadPort::bind(), RawServer::bind().await);
    let engine = engine_for(server.address());
    let target = format!("http://{}/mcp", port.address());
    for id in 0..20 {
        assert_eq!(ask(&engine, &target, id).await.status, 502);
    }
}

#[tokio::test]
async fn where_connecting_hangs_most_clients_are_told_after_one_pause() {
    let port = DeadPort::bind();
    let engine = engine_with(&[&format!("http://{}/mcp", port.address())], |config| {
        config.limits.upstream_connect_timeout = Duration::from_secs(2);
        config.limits.breaker_failures = 1;
        config.limits.breaker_pause = Duration::from_millis(100);
        config.limits.max_idle_per_upstream = 0;
    });
    assert_eq!(ask(&engine, "/mcp", 1).await.status, 502);
    let (server, waiting) = port.listen_deaf().await;
    let mut told = Vec::new();
    while !told
        .iter()
        .any(|text: &String| text.contains("no connection within 100ms"))
    {
        let answer = ask(&engine, "/mcp", 2).await;
        told.push(answer.message());
    }
    drop(waiting);
    spawn(answer_all(server, "{}"));
    soon("an answer", async {
        while ask(&engine, "/mcp", 3).await.status != 200 {}
    })
    .await;
}
