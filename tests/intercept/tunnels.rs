//! What passes as it is, and what is served although there is no TLS.

use shadowcat::snapshot::{RowKind, Snapshot};

use crate::peers::*;
use crate::support::*;

fn has_tunnel_that_says(snapshot: &Snapshot, word: &str) -> bool {
    let rows = snapshot.messages.rows.iter();
    rows.filter(|row| row.kind == RowKind::Tunnel)
        .any(|row| format!("{row:?}").contains(word))
}

#[tokio::test]
async fn a_host_that_is_not_to_be_intercepted_shows_its_own_certificate() {
    let server = TlsServer::speaking(&["http/1.1"]).await;
    let house = House::new(|config| config.forward.no_intercept.push("*".parse().unwrap()));
    let authority = format!("localhost:{}", server.port());
    let tunnel = house.connect(&authority).await;
    let (client, mut upstream) = tokio::join!(
        handshake(tunnel, "localhost", server.root_pem(), &["http/1.1"]),
        server.accept()
    );
    client.unwrap().send("GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(upstream.read_head().await, "GET / HTTP/1.1\r\n\r\n");
    assert!(
        !house.ca_dir().exists(),
        "no authority is made when none is needed"
    );
}

#[tokio::test]
async fn a_handshake_for_another_host_than_the_tunnels_passes_as_it_is() {
    let server = TlsServer::speaking(&[]).await;
    let house = House::new(|config| config.forward.no_intercept.push("*.test".parse().unwrap()));
    for name in ["localhost", "mcp.test"] {
        let tunnel = house.connect(&server.address().to_string()).await;
        let (client, mut upstream) =
            tokio::join!(handshake(tunnel, name, server.root_pem(), &[]), server.accept());
        client.unwrap().send("hello\r\n\r\n").await;
        assert_eq!(upstream.read_head().await, "hello\r\n\r\n");
    }
}

#[tokio::test]
async fn tls_for_another_protocol_passes_as_it_is() {
    let server = TlsServer::speaking(&["imap"]).await;
    let house = House::new(|_| {});
    let tunnel = house.connect(&format!("localhost:{}", server.port())).await;
    let (client, mut upstream) = tokio::join!(
        handshake(tunnel, "localhost", server.root_pem(), &["imap"]),
        server.accept()
    );
    upstream.send("* OK ready\r\n").await;
    client.unwrap().read_through("* OK ready\r\n").await;
}

#[tokio::test]
async fn what_is_in_tls_and_no_http_is_passed_on_in_tls() {
    let server = TlsServer::speaking(&[]).await;
    let house = House::trusting(&server);
    let authority = format!("localhost:{}", server.port());
    for client_first in [true, false] {
        let mut client = house.client(&authority, &[]).await;
        let greeting = "* OK ready\r\n";
        if client_first {
            client.send("EHLO me\r\n").await;
        }
        let mut upstream = server.accept().await;
        upstream.send(greeting).await;
        client.read_through(greeting).await;
        client.send("QUIT\r\n").await;
        let said = upstream.read_through("QUIT\r\n").await;
        assert_eq!(said.starts_with("EHLO me\r\n"), client_first);
    }
}

#[tokio::test]
async fn the_end_of_the_program_does_not_wait_for_tunnels_in_which_nothing_was_said() {
    let house = House::new(|config| config.limits.drain_timeout = PATIENCE);
    let _silent = house.connect("localhost:443").await;
    let report = house.engine.shut_down();
    assert_eq!(report.cut, [], "it had to be cut");
}

#[tokio::test]
async fn a_protocol_that_is_neither_tls_nor_http_passes_as_it_is() {
    let server = RawServer::bind().await;
    let house = House::new(|_| {});
    for word in ["\x16\x03\x01 is not always TLS", "EHLO me\r\n", "\0\x01"] {
        let mut client = Wire::new(house.connect(&server.address().to_string()).await);
        client.send(word).await;
        let mut upstream = server.accept().await;
        assert_eq!(upstream.read_exactly(word.len()).await, word.as_bytes());
        upstream.send("pong").await;
        client.read_through("pong").await;
    }
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard() {
    let server = RawServer::bind().await;
    let house = House::new(|_| {});
    let mut client = Wire::new(house.connect(&server.address().to_string()).await);
    let mut upstream = server.accept().await;
    upstream.send("220 ready\r\n").await;
    client.read_through("220 ready\r\n").await;
    client.send("GET / is passed on now\r\n").await;
    upstream.read_through(b"passed on now\r\n").await;
}

#[tokio::test]
async fn a_client_that_is_silent_for_long_is_still_looked_at() {
    let server = TlsServer::speaking(&["http/1.1"]).await;
    let house = House::trusting(&server);
    let authority = format!("localhost:{}", server.port());
    let tunnel = house.connect(&authority).await;
    // Its destination is dialled only once it has been silent, and given up when it speaks.
    let _dialled = server.accept_tcp().await;
    let client = handshake(tunnel, "localhost", &house.root_pem(), &["http/1.1"]).await;
    assert!(client.is_ok(), "{:?}", client.err());
}

#[tokio::test]
async fn plain_http_in_a_tunnel_is_served_and_shown() {
    let server = RawServer::bind().await;
    let house = House::new(|_| {});
    let mut frontend = house.engine.frontend().unwrap();
    let target = server.address();
    let mut client = Wire::new(house.connect(&target.to_string()).await);
    client
        .send(post(target, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}"))
        .await;
    let mut upstream = server.accept().await;
    let head = upstream.read_head().await;
    assert!(head.starts_with("POST /mcp HTTP/1.1\r\n"), "{head}");
    upstream
        .send("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 202 "));
    snapshot_when(&mut frontend, "the message", |snapshot| {
        let mut rows = snapshot.messages.rows.iter();
        rows.any(|row| row.method.as_deref() == Some("ping"))
    })
    .await;
}

#[tokio::test]
async fn a_destination_that_is_not_there_is_a_502_inside_of_tls() {
    let dead = DeadPort::bind();
    let house = House::new(|_| {});
    let authority = dead.address().to_string();
    let mut client = house.client(&authority, &["http/1.1"]).await;
    client
        .send(format!("GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n"))
        .await;
    let head = client.read_head().await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
}

#[tokio::test]
async fn a_client_that_does_not_believe_the_authority_is_shown_with_the_way_out() {
    let server = TlsServer::speaking(&["http/1.1"]).await;
    let house = House::trusting(&server);
    let mut frontend = house.engine.frontend().unwrap();
    let authority = format!("localhost:{}", server.port());
    let tunnel = house.connect(&authority).await;
    handshake(tunnel, "localhost", server.root_pem(), &["http/1.1"])
        .await
        .err()
        .unwrap();
    snapshot_when(&mut frontend, "the notice and the row", |snapshot| {
        let mut notices = snapshot.notices.iter();
        notices.any(|notice| {
            notice.text.contains("--no-intercept localhost") && notice.text.contains("shadowcat-tui ca")
        }) && has_tunnel_that_says(snapshot, "ClientGone")
    })
    .await;
    // One that looks at the certificate when the handshake is done, and leaves without a word.
    drop(house.client(&authority, &["http/1.1"]).await);
    snapshot_when(&mut frontend, "the second notice", |snapshot| {
        let mut notices = snapshot.notices.iter();
        notices.any(|notice| notice.text.contains("without asking anything"))
    })
    .await;
}
