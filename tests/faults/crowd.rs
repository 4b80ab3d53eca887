//! A crowd that does not read, on a runtime of two threads.

use std::time::Duration;

use shadowcat::clock::Clock;
use shadowcat::engine::EngineHandle;
use tokio::io::AsyncWriteExt as _;

use crate::house::{House, all_is_well, house, request, while_others_go_on};
use crate::support::{RawPeer, alone_on_two_threads, arrival, snapshot_when};

/// Streams that nobody reads.
const STREAMS: usize = 1_000;
/// What each of them may cost of our memory; the system's socket buffers are not ours.
const BYTES_EACH: u64 = 1024 * 1024;
const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

#[test]
fn a_thousand_clients_that_do_not_read_stand_in_nobodys_way_on_two_threads() {
    alone_on_two_threads("crowd::a_thousand_streams_are_flooded");
}

async fn resident_bytes(engine: &EngineHandle) -> u64 {
    let mut fresh = engine.frontend().unwrap();
    let snapshot = snapshot_when(&mut fresh, "the memory in use", |snapshot| {
        snapshot.resources.rss_bytes.is_some()
    })
    .await;
    snapshot.resources.rss_bytes.unwrap()
}

/// Floods `upstream` until nothing more goes in for a while.
async fn flood(upstream: &mut RawPeer, block: &[u8]) {
    upstream.send(EVENTS).await;
    let moment = Duration::from_millis(200);
    while let Ok(Ok(_)) = tokio::time::timeout(moment, upstream.socket.write(block)).await {}
}

/// A client that takes next to nothing, and a call of it that the faulty server has read.
async fn begin(house: &House) -> (RawPeer, RawPeer) {
    let call = request(house.address(), "faulty", 1);
    let mut client = RawPeer::connect_narrow(house.address()).await;
    client.send(&call).await;
    (client, arrival(&house.faulty, &call).await)
}

/// The other clients go on until what had been on its way has been worked off, and everything stands still.
async fn until_all_stalled(house: &mut House) {
    let mut passed = 0;
    let mut unchanged = 0;
    while unchanged < 3 {
        all_is_well(house.address()).await;
        house.frontend.snapshots.changed().await.unwrap();
        let streams = &house.frontend.snapshots.borrow_and_update().streams;
        let bytes = streams
            .rows
            .iter()
            .filter(|row| row.server == "faulty")
            .map(|row| row.bytes)
            .sum();
        unchanged = if bytes == passed { unchanged + 1 } else { 0 };
        passed = bytes;
    }
}

#[tokio::test]
#[ignore = "run by the test above in a process with two threads for the engine and enough descriptors"]
async fn a_thousand_streams_are_flooded() {
    let mut house = house(|config| {
        config.limits.max_history_memory = 16 << 20;
        config.limits.max_ended_streams = 1;
    })
    .await;
    let host = house.address();
    all_is_well(host).await;
    let before = resident_bytes(&house.engine).await;
    let mut open = Vec::new();
    for _ in 0..STREAMS {
        open.push(begin(&house).await);
    }
    let notification = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#;
    let block = format!(": {}\ndata: {notification}\n\n", "x".repeat(30_000));
    let floods = open
        .iter_mut()
        .map(|(_, upstream)| flood(upstream, block.as_bytes()));
    while_others_go_on(host, futures_util::future::join_all(floods)).await;
    until_all_stalled(&mut house).await;
    for _ in 0..20 {
        let clock = Clock::start();
        all_is_well(host).await;
        let took = clock.now().since(clock.started_at());
        assert!(took < Duration::from_secs(1), "{took:?} with everything full");
    }
    let grown = resident_bytes(&house.engine).await.saturating_sub(before);
    let each = grown / STREAMS as u64;
    assert!(each < BYTES_EACH, "{} KiB each", each / 1024);

    let (clients, upstreams): (Vec<RawPeer>, Vec<RawPeer>) = open.into_iter().unzip();
    drop(clients);
    let clock = Clock::start();
    for mut upstream in upstreams {
        upstream.wait_closed().await;
    }
    let took = clock.now().since(clock.started_at());
    assert!(
        took < Duration::from_secs(5),
        "the last server was told after {took:?}"
    );
    snapshot_when(&mut house.frontend, "the end of all of it", |snapshot| {
        let live = |kind: &str| {
            let mut rows = snapshot.resources.tasks.iter();
            rows.find(|row| row.kind == kind).map(|row| row.live)
        };
        live("connection") == Some(0)
            && live("upstream connection") == Some(0)
            && snapshot.totals.open_calls == 0
    })
    .await;
    all_is_well(host).await;
}
