//! Through another proxy.

use tokio::net::TcpStream;

use crate::peers::*;
use crate::support::*;

/// A proxy of which the test is the other half.
fn house_via(proxy: &RawServer, server: Option<&TlsServer>) -> House {
    let via = format!("http://me:p%40ss@{}", proxy.address());
    House::new(|config| {
        config.forward.via = Some(via.parse().unwrap());
        config.forward.upstream_ca.extend(server.map(TlsServer::root));
    })
}

/// `me:p@ss`
const PROOF: &str = "Basic bWU6cEBzcw==";

#[tokio::test]
async fn http_goes_to_the_other_proxy_with_its_whole_url_and_our_credentials() {
    let proxy = RawServer::bind().await;
    let house = house_via(&proxy, None);
    let mut client = RawPeer::connect(address(&house.engine)).await;
    client
        .send("GET http://mcp.test/x?y HTTP/1.1\r\nHost: mcp.test\r\nProxy-Authorization: Basic bWluZQ==\r\n\r\n")
        .await;
    let mut upstream = proxy.accept().await;
    let head = upstream.read_head().await;
    assert!(
        head.starts_with("GET http://mcp.test/x?y HTTP/1.1\r\nHost: mcp.test\r\n"),
        "{head}"
    );
    assert!(
        head.to_ascii_lowercase()
            .contains(&format!("proxy-authorization: {PROOF}").to_ascii_lowercase()),
        "{head}"
    );
    assert!(!head.contains("bWluZQ"), "{head}");
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 204 "));
}

#[tokio::test]
async fn https_goes_through_a_tunnel_of_the_other_proxy() {
    let (proxy, server) = (RawServer::bind().await, TlsServer::speaking(&["http/1.1"]).await);
    let house = house_via(&proxy, Some(&server));
    let asking = async {
        let mut client = house.client("mcp.test:443", &["http/1.1"]).await;
        client.send("GET /x HTTP/1.1\r\nHost: mcp.test\r\n\r\n").await;
        client.read_head().await
    };
    let relaying = async {
        let mut peer = proxy.accept().await;
        let head = peer.read_head().await;
        assert!(
            head.starts_with("CONNECT mcp.test:443 HTTP/1.1\r\nHost: mcp.test:443\r\n"),
            "{head}"
        );
        assert!(
            head.contains(&format!("Proxy-Authorization: {PROOF}\r\n")),
            "{head}"
        );
        peer.send("HTTP/1.1 200 Connection established\r\n\r\n").await;
        let mut onward = TcpStream::connect(server.address()).await.unwrap();
        // It ends with the test.
        let _ = tokio::io::copy_bidirectional(&mut peer.socket, &mut onward).await;
    };
    let answering = async {
        let mut upstream = server.accept().await;
        let head = upstream.read_head().await;
        upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        upstream.read_through("nothing more comes").await;
        head
    };
    let head = tokio::select! {
        head = asking => head,
        () = relaying => panic!("the other proxy ended"),
        head = answering => panic!("the server ended after {head}"),
    };
    assert!(head.starts_with("HTTP/1.1 204 "), "{head}");
}

#[tokio::test]
async fn what_the_other_proxy_refuses_is_a_502_that_names_it_without_its_password() {
    let proxy = RawServer::bind().await;
    let house = house_via(&proxy, None);
    let asking = async {
        let mut client = house.client("mcp.test:443", &["http/1.1"]).await;
        client
            .send("GET /x HTTP/1.1\r\nHost: mcp.test\r\nConnection: close\r\n\r\n")
            .await;
        client.read_to_end().await
    };
    let refusing = async {
        let mut peer = proxy.accept().await;
        peer.read_head().await;
        peer.send("HTTP/1.1 407 Who are you\r\n\r\n").await;
    };
    let (answer, ()) = tokio::join!(asking, refusing);
    assert!(
        answer.starts_with("HTTP/1.1 502 ")
            && answer.contains("407 Who are you")
            && answer.contains("--via http://USER:PASSWORD@HOST:PORT"),
        "{answer}"
    );
    assert!(
        answer.contains(&format!("http://me:***@{}", proxy.address())),
        "{answer}"
    );
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named_and_the_server_is_not_blamed() {
    let nobody = RawServer::bind().await.address();
    let house = House::new(|config| {
        config.forward.via = Some(format!("http://{nobody}").parse().unwrap());
    });
    let mut client = RawPeer::connect(address(&house.engine)).await;
    client
        .send("GET http://mcp.test/x HTTP/1.1\r\nHost: mcp.test\r\nConnection: close\r\n\r\n")
        .await;
    let answer = String::from_utf8(client.read_to_end().await.0).unwrap();
    assert!(
        answer.contains(&format!("the proxy http://{nobody} on the way"))
            && answer.contains("Check that this proxy runs"),
        "{answer}"
    );
    assert!(!answer.contains("the server runs"), "{answer}");
}

#[tokio::test]
async fn a_proxy_that_is_this_one_is_refused() {
    let house = House::new(|config| {
        config.listen = vec!["127.0.0.1:0".parse().unwrap()];
    });
    let own = address(&house.engine);
    let config = shadowcat::config::Config {
        listen: vec![own.to_string().parse().unwrap()],
        forward: shadowcat::config::forward::ForwardConfig {
            via: Some(format!("http://localhost:{}", own.port()).parse().unwrap()),
            ..Default::default()
        },
        ..Default::default()
    };
    let refused = config.check().unwrap_err().to_string();
    assert!(refused.contains("circle"), "{refused}");
}
