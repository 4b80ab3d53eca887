//! Servers that break off, hang, close half and talk nonsense.

use shadowcat::snapshot::EndKind;

use crate::house::{all_is_well, house, leaves_at_once, while_others_go_on};
use crate::support::stage::json;
use crate::support::{RawPeer, snapshot_when};

/// Breaks the connection with a reset instead of an end.
fn reset(peer: RawPeer) {
    peer.socket.set_zero_linger().unwrap();
    drop(peer);
}

async fn assert_502_with_id(client: &mut RawPeer, id: u64, what: &str) {
    let head = client.read_head().await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{what}: {head}");
    let length = head
        .to_ascii_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ").map(str::to_owned));
    let body = client.read_exactly(length.unwrap().parse().unwrap()).await;
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["id"], id, "{what}");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("Upstream faulty"), "{what}: {message}");
}

#[tokio::test]
async fn a_server_that_breaks_off_or_talks_nonsense_before_its_head_is_whole_is_a_502() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(5_000));
    let nonsense: &[(&str, &[u8])] = &[
        ("nothing", b""),
        ("half a head", b"HTTP/1.1 200 OK\r\nConte"),
        ("another protocol", b"SSH-2.0-OpenSSH_9.9\r\n"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        ("HTTP/2", b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64"),
        ("zeros", &[0; 4096]),
        ("a broken status", b"HTTP/1.1 abc OK\r\n\r\n"),
        (
            "a length that is none",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        ),
        (
            "two lengths",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        ),
        ("a head above max_head_bytes", long.as_bytes()),
        ("a head above max_headers", many.as_bytes()),
    ];
    let house = house(|_| {}).await;
    while_others_go_on(house.address(), async {
        for (id, (what, bytes)) in (1..).zip(nonsense) {
            let (mut client, mut upstream) = house.begin(id).await;
            // A server whose words were enough to give it up may find the connection gone.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut upstream.socket, bytes).await;
            if id % 2 == 0 {
                reset(upstream);
            } else {
                drop(upstream);
            }
            assert_502_with_id(&mut client, id, what).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_reset_in_a_body_reaches_the_client_as_a_broken_body_and_the_row() {
    let events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let document = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n";
    for (head, part) in [(document, "{\"half\":"), (events, "C\r\ndata: {\"half\r\n")] {
        let mut house = house(|_| {}).await;
        let host = house.address();
        while_others_go_on(host, async {
            let (mut client, mut upstream) = house.begin(1).await;
            upstream.send([head, part].concat()).await;
            assert_eq!(client.read_head().await, head);
            assert_eq!(client.read_exactly(part.len()).await, part.as_bytes());
            reset(upstream);
            assert_eq!(
                client.read_to_end().await.0,
                b"",
                "the body must not get a well-formed end"
            );
        })
        .await;
        house.assert_ended_as(EndKind::UpstreamAborted).await;
    }
}

#[tokio::test]
async fn a_broken_chunk_ends_the_body_there_and_not_well() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    for broken in ["zz\r\n", "fffffffffffffffffff\r\n", "3\r\nabcXX", "-1\r\n"] {
        let mut house = house(|_| {}).await;
        let host = house.address();
        while_others_go_on(host, async {
            let (mut client, mut upstream) = house.begin(1).await;
            upstream.send([head, "4\r\nabcd\r\n"].concat()).await;
            client.read_head().await;
            assert_eq!(client.read_chunk().await, b"abcd");
            upstream.send(broken).await;
            let (rest, _) = client.read_to_end().await;
            assert!(!rest.ends_with(b"0\r\n\r\n"), "{broken}: {rest:?}");
        })
        .await;
        house.assert_ended_as(EndKind::UpstreamAborted).await;
    }
}

#[tokio::test]
async fn a_server_that_hangs_holds_its_own_clients_only_and_is_let_go_with_them() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let half = "C\r\ndata: {\"half";
    let mut house = house(|_| {}).await;
    while_others_go_on(house.address(), async {
        for (id, said) in (1..).zip(["", head, &[head, half].concat()]) {
            let (mut client, mut upstream) = house.begin(id).await;
            upstream.send(said).await;
            assert_eq!(client.read_exactly(said.len()).await, said.as_bytes());
            for _ in 0..20 {
                all_is_well(house.address()).await;
            }
            drop(client);
            leaves_at_once(&mut upstream, said).await;
        }
    })
    .await;
    snapshot_when(&mut house.frontend, "the end of all calls", |snapshot| {
        snapshot.totals.open_calls == 0
    })
    .await;
}

#[tokio::test]
async fn a_server_that_closes_its_half_after_the_answer_has_said_it_all() {
    let mut house = house(|_| {}).await;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n";
    let body = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let host = house.address();
    while_others_go_on(host, async {
        let (mut client, mut upstream) = house.begin(1).await;
        upstream.send([head, body].concat()).await;
        tokio::io::AsyncWriteExt::shutdown(&mut upstream.socket)
            .await
            .unwrap();
        client.read_head().await;
        assert_eq!(client.read_chunked(body.len()).await, body.as_bytes());
        assert_eq!(client.read_chunk().await, b"");
    })
    .await;
    house.assert_ended_as(EndKind::Complete).await;
}

#[tokio::test]
async fn a_server_that_answers_before_it_has_read_the_request_is_heard() {
    let house = house(|_| {}).await;
    let host = house.address();
    while_others_go_on(host, async {
        let mut client = RawPeer::connect(host).await;
        client
            .send(format!("POST /faulty HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"))
            .await;
        let mut upstream = house.faulty.accept().await;
        upstream.read_head().await;
        upstream.send(json("{\"early\":1}").replace("200 OK", "413 Too Large")).await;
        assert!(client.read_head().await.starts_with("HTTP/1.1 413 Too Large\r\n"));
        assert_eq!(client.read_exactly(11).await, b"{\"early\":1}");
    })
    .await;
}
