//! Who may use the forward side, and for which destinations.

use crate::peers::*;
use crate::support::*;

const PROOF: &str = "Proxy-Authorization: Basic bWU6c2VjcmV0LXdvcmQ=\r\n";

fn guarded(record: Option<&std::path::Path>) -> House {
    House::new(|config| {
        config.forward.proxy_auth = Some("me:secret-word".parse().unwrap());
        config.record = record.map(|path| shadowcat::config::RecordConfig {
            path: Some(path.to_owned()),
        });
    })
}

#[tokio::test]
async fn without_credentials_a_forward_request_gets_407_and_nothing_is_dialled() {
    let server = RawServer::bind().await;
    let house = guarded(None);
    let target = server.address();
    for wrong in ["", "Proxy-Authorization: Basic bWU6d3Jvbmc=\r\n"] {
        let (head, _) = house.ask_for_tunnel(&target.to_string(), wrong).await;
        assert!(head.starts_with("HTTP/1.1 407 "), "{head}");
        assert!(head.contains("proxy-authenticate: Basic realm="), "{head}");
        let mut client = RawPeer::connect(address(&house.engine)).await;
        client
            .send(format!(
                "GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\n{wrong}\r\n"
            ))
            .await;
        assert!(client.read_head().await.starts_with("HTTP/1.1 407 "));
    }
    let mut client = RawPeer::connect(address(&house.engine)).await;
    client
        .send(format!(
            "GET / HTTP/1.1\r\nHost: {}\r\n\r\n",
            address(&house.engine)
        ))
        .await;
    assert!(
        client.read_head().await.starts_with("HTTP/1.1 502 "),
        "only forward requests are asked"
    );
}

#[tokio::test]
async fn with_credentials_a_request_goes_on_without_them_and_no_recording_has_them() {
    let server = RawServer::bind().await;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("r.jsonl");
    let house = guarded(Some(&file));
    let target = server.address();
    let mut client = RawPeer::connect(address(&house.engine)).await;
    client
        .send(format!(
            "GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\nX-A: 1\r\n{PROOF}X-B: 2\r\n\r\n"
        ))
        .await;
    let mut upstream = server.accept().await;
    let head = upstream.read_head().await;
    assert_eq!(
        head,
        format!("GET / HTTP/1.1\r\nHost: {target}\r\nX-A: 1\r\nX-B: 2\r\n\r\n")
    );
    let (head, _tunnel) = house.ask_for_tunnel(&target.to_string(), PROOF).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    house.engine.shut_down();
    let recorded = std::fs::read_to_string(file).unwrap();
    assert!(recorded.contains("Proxy-Authorization"));
    assert!(!recorded.contains("bWU6c2VjcmV0LXdvcmQ") && !recorded.contains("secret-word"));
}

#[tokio::test]
async fn tunnels_go_only_where_they_are_allowed() {
    let server = RawServer::bind().await;
    let port = server.address().port();
    let house = House::new(|config| {
        config
            .forward
            .allow_connect
            .push(format!("127.0.0.1:{port}").parse().unwrap());
    });
    let (head, _) = house.ask_for_tunnel("localhost:443", "").await;
    assert!(
        head.starts_with("HTTP/1.1 403 ") && head.contains("connect_not_allowed"),
        "{head}"
    );
    house.connect(&format!("127.0.0.1:{port}")).await;
}
