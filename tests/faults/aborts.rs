//! A client that leaves, at every point of an exchange, is known to the server within a second.

use crate::house::{house, leaves_at_once, request, while_others_go_on};
use crate::support::{RawPeer, snapshot_when};

const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const DOCUMENT: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n";

/// Leaves as programs do that are killed, or as those that close.
fn leave(client: RawPeer, is_reset: bool) {
    if is_reset {
        client.socket.set_zero_linger().unwrap();
    }
    drop(client);
}

#[tokio::test]
async fn a_client_that_leaves_is_known_to_the_server_within_a_second_wherever_it_was() {
    let mut house = house(|_| {}).await;
    let host = house.address();
    let parts = [
        "",
        DOCUMENT,
        &[DOCUMENT, "{\"a\":"].concat(),
        EVENTS,
        &[EVENTS, "6\r\ndata: \r\n"].concat(),
    ];
    while_others_go_on(host, async {
        for is_reset in [false, true] {
            for (id, said) in (1..).zip(parts) {
                let (mut client, mut upstream) = house.begin(id).await;
                upstream.send(said).await;
                assert_eq!(client.read_exactly(said.len()).await, said.as_bytes());
                leave(client, is_reset);
                leaves_at_once(&mut upstream, said).await;
            }
        }
    })
    .await;
    snapshot_when(&mut house.frontend, "the end of all calls", |snapshot| {
        snapshot.totals.open_calls == 0
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_request_takes_the_servers_half_with_it() {
    let house = house(|_| {}).await;
    let host = house.address();
    while_others_go_on(host, async {
        for is_reset in [false, true] {
            let mut client = RawPeer::connect(host).await;
            let whole = request(host, "faulty", 1);
            client.send(&whole.as_bytes()[..whole.len() - 5]).await;
            let mut upstream = house.faulty.accept().await;
            upstream.read_head().await;
            leave(client, is_reset);
            leaves_at_once(&mut upstream, "half a request").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_without_having_read_what_came_is_known_to_the_server() {
    let house = house(|_| {}).await;
    let host = house.address();
    while_others_go_on(host, async {
        let (client, mut upstream) = house.begin(1).await;
        upstream.send(EVENTS).await;
        let block = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        let flood = async {
            while tokio::io::AsyncWriteExt::write_all(&mut upstream.socket, block.as_bytes())
                .await
                .is_ok()
            {}
        };
        // Everything on the way is full before it leaves.
        let full = tokio::time::timeout(std::time::Duration::from_secs(1), flood).await;
        assert!(full.is_err(), "nothing held the flood back");
        drop(client);
        leaves_at_once(&mut upstream, "a flood").await;
    })
    .await;
}
