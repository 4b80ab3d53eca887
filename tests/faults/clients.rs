//! Clients that talk nonsense, dawdle and close half.

use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::house::{all_is_well, house, request, while_others_go_on};
use crate::support::stage::json;
use crate::support::{RawPeer, arrival, gauge, snapshot_when};

#[tokio::test]
async fn nonsense_from_clients_ends_their_connection_and_reaches_no_server() {
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(300_000));
    let nonsense: &[&[u8]] = &[
        b"\0",
        &[0; 10_000],
        &[0xff; 10_000],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /faulty HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"\r\n\r\n\r\n\r\nnonsense\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense of quite some length, more than a frame's head",
        long.as_bytes(),
    ];
    let mut house = house(|config| config.limits.head_timeout = Duration::from_millis(300)).await;
    let host = house.address();
    while_others_go_on(host, async {
        for bytes in nonsense {
            let mut client = RawPeer::connect(host).await;
            // It may be thrown out before it has said everything.
            let _ = client.socket.write_all(bytes).await;
            let (answer, _) = client.read_to_end().await;
            let answer = String::from_utf8_lossy(&answer);
            assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
        }
    })
    .await;
    let snapshot = snapshot_when(&mut house.frontend, "the end of all connections", |snapshot| {
        let tasks = &snapshot.resources.tasks;
        tasks
            .iter()
            .any(|row| row.kind == "connection" && row.started > 0 && row.live == 0)
    })
    .await;
    assert!(snapshot.resources.tasks.iter().all(|row| row.panicked == 0));
    assert!(house.faulty.accept().now_or_never().is_none());
}

#[tokio::test]
async fn five_hundred_clients_with_half_a_head_stand_in_nobodys_way_and_are_thrown_out() {
    const CLIENTS: usize = 500;
    let mut house = house(|config| config.limits.head_timeout = Duration::from_secs(2)).await;
    let host = house.address();
    let mut slow = Vec::new();
    for number in 0..CLIENTS {
        let mut client = RawPeer::connect(host).await;
        client
            .send(&request(host, "faulty", 1).as_bytes()[..number % 60])
            .await;
        slow.push(client);
    }
    while_others_go_on(host, async {
        // Each byte more is no reason to wait longer.
        for client in &mut slow {
            let _ = client.socket.write_all(b"P").await;
            all_is_well(host).await;
        }
        for client in &mut slow {
            client.wait_closed().await;
        }
    })
    .await;
    drop(slow);
    snapshot_when(&mut house.frontend, "their end", |snapshot| {
        snapshot
            .resources
            .gauges
            .iter()
            .any(|gauge| gauge.name == "max_connections")
            && gauge(snapshot, "max_connections", "").peak > CLIENTS as u64
            && gauge(snapshot, "max_connections", "").used == 0
    })
    .await;
}

#[tokio::test]
async fn a_client_that_closes_its_half_after_the_request_gets_its_answer() {
    let house = house(|_| {}).await;
    let host = house.address();
    let answer = json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    while_others_go_on(host, async {
        let request = request(host, "faulty", 1);
        let mut client = RawPeer::connect(host).await;
        client.send(&request).await;
        client.socket.shutdown().await.unwrap();
        let mut upstream = arrival(&house.faulty, &request).await;
        upstream.send(&answer).await;
        let (got, is_clean) = client.read_to_end().await;
        assert_eq!(String::from_utf8_lossy(&got), answer);
        assert!(is_clean);
    })
    .await;
}
