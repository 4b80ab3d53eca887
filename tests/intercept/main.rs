//! What is in a tunnel: TLS that is intercepted, HTTP that is served, and everything else, which passes as it is.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]
#![expect(
    unreachable_pub,
    reason = "the helpers of this program are public to its parts only"
)]

#[path = "../support/recorded.rs"]
mod recorded;
#[path = "../support/mod.rs"]
mod support;

mod access;
mod certificates;
mod peers;
mod tunnels;
mod via;
mod wire;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use shadowcat::ids::Side;
use shadowcat::snapshot::{MessageRow, RowKind};

use peers::*;
use support::*;

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;

fn request(host: &str) -> String {
    let length = CALL.len();
    format!(
        "POST /mcp HTTP/1.1\r\nHost: {host}\r\ncontent-Type: application/json\r\nX-ZeTa: 1\r\nContent-Length: {length}\r\n\r\n{CALL}"
    )
}

fn is_call(row: &MessageRow) -> bool {
    row.method.as_deref() == Some("tools/call")
}

#[tokio::test]
async fn an_exchange_over_tls_passes_byte_for_byte_and_is_shown_like_any_other() {
    let server = TlsServer::speaking(&["http/1.1"]).await;
    let house = House::trusting(&server);
    let mut frontend = house.engine.frontend().unwrap();
    for host in ["localhost", "127.0.0.1"] {
        let authority = format!("{host}:{}", server.port());
        let mut client = house.client(&authority, &["http/1.1"]).await;
        client.send(request(&authority)).await;
        let mut upstream = server.accept().await;
        assert_eq!(upstream.read_through(CALL).await, request(&authority));
        let answer = "HTTP/1.1 200 Fine\r\nX-ZeTa: 2\r\nContent-Type: application/json\r\nContent-Length: 38\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"ok\"}";
        upstream.send(answer).await;
        assert_eq!(client.read_through("\"ok\"}").await, answer);
    }
    snapshot_when(&mut frontend, "both answers", |snapshot| {
        let rows = snapshot.messages.rows.iter();
        rows.filter(|row| is_call(row) && row.kind == RowKind::Result)
            .count()
            == 2
    })
    .await;
    let rows = rows(&frontend).await;
    let tunnels = rows.iter().filter(|row| row.kind == RowKind::Tunnel).count();
    assert_eq!(tunnels, 2);
    let call = rows.iter().find(|row| is_call(row)).unwrap();
    assert_eq!(call.session.unwrap().side(), Side::Forward);
}

#[tokio::test]
async fn a_websocket_over_tls_is_switched_to_on_http1_even_if_the_server_has_http2() {
    let server = TlsServer::speaking(&["h2", "http/1.1"]).await;
    let house = House::trusting(&server);
    let mut frontend = house.engine.frontend().unwrap();
    let authority = format!("localhost:{}", server.port());
    let mut client = house.client(&authority, &["http/1.1"]).await;
    let ask = format!(
        "GET /ws HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: mcp\r\n\r\n"
    );
    client.send(&ask).await;
    let mut upstream = server.accept().await;
    assert_eq!(upstream.read_head().await, ask);
    let consent = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: mcp\r\n\r\n";
    upstream.send(consent).await;
    assert_eq!(client.read_head().await, consent);
    // Text in two fragments, the second of them empty.
    let mut message = vec![0x01, u8::try_from(CALL.len()).unwrap()];
    message.extend(CALL.bytes());
    client.send(&message).await;
    upstream.read_through(CALL).await;
    client.send([0x80, 0]).await;
    snapshot_when(&mut frontend, "the call", |snapshot| {
        snapshot.messages.rows.iter().any(is_call)
    })
    .await;
}

#[tokio::test]
async fn a_server_that_speaks_http2_is_offered_so_and_hears_it_on_one_connection() {
    let server = TlsServer::speaking(&["h2", "http/1.1"]).await;
    let house = House::trusting(&server);
    let authority = format!("localhost:{}", server.port());
    let peer = async {
        let peer = server.accept().await;
        assert_eq!(peer.stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let service = hyper::service::service_fn(async |request: Request<hyper::body::Incoming>| {
            let text = format!("{:?} {}", request.version(), request.uri());
            Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(Bytes::from(text))))
        });
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        // It ends with the test.
        let _ = server.serve_connection(TokioIo::new(peer.stream), service).await;
    };
    let asking = async {
        for _ in 0..2 {
            let client = house.client(&authority, &["h2", "http/1.1"]).await;
            assert_eq!(protocol(&client), "h2");
            let mut sender = http2(client).await;
            let url = format!("https://{authority}/mcp?x=1");
            let request = Request::post(&url).body(Full::from(CALL)).unwrap();
            let response = soon("a response", sender.send_request(request)).await.unwrap();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, format!("HTTP/2.0 {url}"));
        }
    };
    tokio::select! {
        () = peer => panic!("the server's connection ended"),
        () = asking => {}
    }
}

#[tokio::test]
async fn a_server_without_http2_is_not_offered_with_it() {
    let server = TlsServer::speaking(&["http/1.1"]).await;
    let house = House::trusting(&server);
    let authority = format!("localhost:{}", server.port());
    let accepting = async {
        let mut upstream = server.accept().await;
        upstream.read_head().await
    };
    let asking = async {
        let mut client = house.client(&authority, &["h2", "http/1.1"]).await;
        assert_eq!(protocol(&client), "http/1.1");
        client
            .send(format!("GET /x HTTP/1.1\r\nHost: {authority}\r\n\r\n"))
            .await;
        client
    };
    let (head, _client) = tokio::join!(accepting, asking);
    assert!(
        head.starts_with("GET /x HTTP/1.1\r\n"),
        "the connection that asked for its protocol is used: {head}"
    );
}

#[tokio::test]
async fn a_client_without_http2_makes_the_server_hear_http1() {
    let server = TlsServer::speaking(&["h2", "http/1.1"]).await;
    let house = House::trusting(&server);
    let authority = format!("localhost:{}", server.port());
    let mut client = house.client(&authority, &[]).await;
    client
        .send(format!("GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n"))
        .await;
    let mut upstream = server.accept().await;
    assert!(upstream.read_head().await.starts_with("GET / HTTP/1.1\r\n"));
}

#[tokio::test]
async fn events_come_through_tls_one_by_one() {
    let server = TlsServer::speaking(&["http/1.1"]).await;
    let house = House::trusting(&server);
    let authority = format!("localhost:{}", server.port());
    let mut client = house.client(&authority, &["http/1.1"]).await;
    client.send(request(&authority)).await;
    let mut upstream = server.accept().await;
    upstream.read_through(CALL).await;
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    client.read_head().await;
    for number in 0..3 {
        let event =
            format!("id: {number}\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}}\n\n");
        upstream.send(format!("{:x}\r\n{event}\r\n", event.len())).await;
        assert!(client.read_through("\n\n\r\n").await.contains(&event));
    }
}

#[tokio::test]
async fn a_request_for_another_server_is_turned_away() {
    let server = TlsServer::speaking(&["http/1.1"]).await;
    let house = House::trusting(&server);
    let authority = format!("localhost:{}", server.port());
    let mut client = house.client(&authority, &["http/1.1"]).await;
    client
        .send("GET https://evil.example/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        .await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    assert!(
        answer.contains("evil.example") && answer.contains(&authority),
        "{answer}"
    );
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_a_502_that_names_it() {
    let server = TlsServer::speaking(&["h2", "http/1.1"]).await;
    let other = TlsServer::speaking(&[]).await;
    let house = House::trusting(&other);
    let authority = format!("localhost:{}", server.port());
    for protocols in [&["http/1.1"][..], &["h2", "http/1.1"]] {
        let asking = async {
            let mut client = house.client(&authority, protocols).await;
            assert_ne!(protocol(&client), "h2");
            client.send(request(&authority)).await;
            client.read_through("\"reason\":\"upstream_failed\"").await
        };
        let (answer, ()) = tokio::join!(asking, server.accept_any());
        assert!(
            answer.starts_with("HTTP/1.1 502 ") && answer.contains("\"id\":1"),
            "{answer}"
        );
        assert!(answer.contains("--upstream-ca FILE"), "{answer}");
        assert!(
            answer.contains("the TLS handshake with localhost failed"),
            "{answer}"
        );
        assert!(answer.contains(&format!("https://{authority}/mcp")), "{answer}");
    }
}

#[tokio::test]
async fn an_insecure_host_is_believed_and_said_so_loudly() {
    let server = TlsServer::speaking(&["http/1.1"]).await;
    let other = TlsServer::speaking(&[]).await;
    let house = House::new(|config| {
        config.forward.upstream_ca.push(other.root());
        config.forward.insecure.push("localhost".parse().unwrap());
    });
    let mut frontend = house.engine.frontend().unwrap();
    snapshot_when(&mut frontend, "the notice", |snapshot| {
        let mut notices = snapshot.notices.iter();
        notices.any(|notice| notice.text.contains("localhost are NOT checked (--insecure)"))
    })
    .await;
    let authority = format!("localhost:{}", server.port());
    let mut client = house.client(&authority, &["http/1.1"]).await;
    client.send(request(&authority)).await;
    let mut upstream = server.accept().await;
    assert!(upstream.read_head().await.starts_with("POST /mcp "));
    let authority = format!("127.0.0.1:{}", server.port());
    let asking = async {
        let mut client = house.client(&authority, &["http/1.1"]).await;
        client.send(request(&authority)).await;
        client.read_head().await
    };
    let (head, ()) = tokio::join!(asking, server.accept_any());
    assert!(
        head.starts_with("HTTP/1.1 502 "),
        "the same server under another name is checked: {head}"
    );
}
