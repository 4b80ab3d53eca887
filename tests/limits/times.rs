//! Waits that have an end.

use std::time::Duration;

use shadowcat::snapshot::SessionState;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::stage::*;
use crate::support::*;

/// A listener that accepts nobody and whose queue is full, so that no further connection comes about.
async fn full_listener() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    let patience = Duration::from_millis(200);
    while let Ok(connected) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
        queued.push(connected.unwrap());
    }
    (listener, queued)
}

#[tokio::test]
pub(super) async fn an_upstream_that_does_not_take_the_connection_in_time_is_a_502_that_says_so() {
    let (listener, _queued) = full_listener().await;
    let upstream = listener.local_addr().unwrap();
    let engine = engine_with(&[&format!("http://{upstream}/mcp")], |config| {
        config.limits.upstream_connect_timeout = Duration::from_millis(100);
    });
    let mut frontend = engine.frontend().unwrap();
    let host = address(&engine);
    let mut client = RawPeer::connect(host).await;
    client.send(post(host, &call(3, "echo"))).await;
    let head = client.read_head().await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    let said = String::from_utf8(client.read_through(b"}}").await).unwrap();
    assert!(
        said.contains(&upstream.to_string()) && said.contains("100ms"),
        "{said}"
    );
    snapshot_when(&mut frontend, "the timeout", |snapshot| {
        let gauge = gauge(snapshot, "upstream_connect_timeout", "");
        (gauge.used, gauge.limit, gauge.reached) == (100, 100, 1)
    })
    .await;
}

#[tokio::test]
pub(super) async fn a_silent_session_is_idle_after_its_time_and_its_stream_stays_open() {
    let mut stage = stage(|config| config.limits.session_idle_timeout = Duration::from_secs(1)).await;
    stage.notify("quiet").await;
    let (mut client, mut upstream) = stage.begin(&stage.request("GET", "listening", "")).await;
    upstream.send(EVENTS).await;
    client.read_head().await;
    let snapshot = snapshot_when(&mut stage.frontend, "the idle session", |snapshot| {
        gauge(snapshot, "session_idle_timeout", "").reached > 0
            && snapshot
                .sessions
                .rows
                .iter()
                .any(|row| row.state == SessionState::Idle)
    })
    .await;
    let states: Vec<SessionState> = snapshot.sessions.rows.iter().map(|row| row.state).collect();
    assert_eq!(states, [SessionState::Idle, SessionState::Active]);
    let event = "data: still here\n\n";
    upstream.send(event).await;
    assert_eq!(client.read_chunked(event.len()).await, event.as_bytes());
}
