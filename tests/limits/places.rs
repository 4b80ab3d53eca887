//! Places that tunnels and idle upstream connections take.

use shadowcat::engine::EngineHandle;

use crate::support::stage::*;
use crate::support::*;

/// A client that asks for a tunnel to `server`, and the answer's head.
async fn connect(engine: &EngineHandle, server: &RawServer) -> (RawPeer, String) {
    let mut client = RawPeer::connect(address(engine)).await;
    let target = server.address();
    client
        .send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"))
        .await;
    let head = client.read_head().await;
    (client, head)
}

#[tokio::test]
pub(super) async fn a_flood_of_tunnels_gets_503_and_leaves_room_for_calls() {
    let mut stage = stage(|config| config.limits.max_tasks_per_kind = 2).await;
    let destination = RawServer::bind().await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let (client, head) = connect(&stage.engine, &destination).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        open.push((client, destination.accept().await));
    }
    for _ in 0..5 {
        let (mut refused, head) = connect(&stage.engine, &destination).await;
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
        assert!(head.to_ascii_lowercase().contains("\r\nretry-after: "), "{head}");
        let (said, _) = refused.read_to_end().await;
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains("--max-tasks-per-kind"), "{said}");
    }
    stage.call("s", 1, "echo", "hi").await;
    let snapshot = snapshot_when(&mut stage.frontend, "the call and the refusals", |snapshot| {
        let gauge = gauge(snapshot, "max_tasks_per_kind", "tunnel");
        (gauge.used, gauge.limit, gauge.reached) == (2, 2, 5)
            && super::gauge(snapshot, "max_connections", "").used == 2
    })
    .await;
    assert_eq!(
        gauge(&snapshot, "max_concurrent_tasks", "").used,
        2,
        "a tunnel is a task"
    );
    drop(open.pop());
    snapshot_when(&mut stage.frontend, "the free place", |snapshot| {
        gauge(snapshot, "max_tasks_per_kind", "tunnel").used == 1
    })
    .await;
    let (_client, head) = connect(&stage.engine, &destination).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}

#[tokio::test]
pub(super) async fn tunnels_leave_a_quarter_of_the_connections_to_others() {
    let stage = stage(|config| config.limits.max_connections = 4).await;
    let destination = RawServer::bind().await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let (client, head) = connect(&stage.engine, &destination).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        open.push(client);
    }
    let (_, head) = connect(&stage.engine, &destination).await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    stage.call("s", 1, "echo", "hi").await;
}

#[tokio::test]
pub(super) async fn beyond_max_idle_per_upstream_a_connection_is_closed_and_the_kept_one_is_used_again() {
    let mut stage = stage(|config| config.limits.max_idle_per_upstream = 1).await;
    let request = stage.request("POST", "s", &call(1, "echo"));
    let (mut first, mut one) = stage.begin(&request).await;
    let (mut second, mut other) = stage.begin(&request).await;
    for (client, upstream) in [(&mut first, &mut one), (&mut second, &mut other)] {
        upstream.send(json("{}")).await;
        client.read_to_end().await;
    }
    let mut kept = tokio::select! {
        () = one.wait_closed() => other,
        () = other.wait_closed() => one,
    };
    snapshot_when(&mut stage.frontend, "the closed connection", |snapshot| {
        let gauge = gauge(snapshot, "max_idle_per_upstream", "of all upstreams");
        (gauge.used, gauge.limit, gauge.reached) == (1, 1, 1)
    })
    .await;
    let mut third = RawPeer::connect(address(&stage.engine)).await;
    third.send(&request).await;
    assert!(kept.read_head().await.starts_with("POST /mcp "));
    kept.send(json("{}")).await;
    assert!(third.read_head().await.starts_with("HTTP/1.1 200 "));
}
