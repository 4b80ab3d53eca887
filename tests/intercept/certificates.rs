//! The authority and its certificates: where they are, and how many are kept.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

use crate::peers::*;
use crate::support::*;

/// What a client of `house` gets from `server` under the name `host`.
async fn answer_of(server: &TlsServer, house: &House, host: &str) -> String {
    let authority = format!("{host}:{}", server.port());
    let asking = async {
        let mut client = house.client(&authority, &["http/1.1"]).await;
        client
            .send(format!(
                "GET /mcp HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n"
            ))
            .await;
        client.read_to_end().await
    };
    let (answer, ()) = tokio::join!(asking, server.answer_one());
    answer
}

#[tokio::test]
async fn a_certificate_that_is_its_own_authority_is_believed_if_it_was_named() {
    for is_ca in [
        IsCa::Ca(BasicConstraints::Unconstrained),
        IsCa::ExplicitNoCa,
        IsCa::NoCa,
    ] {
        let server = TlsServer::self_signed(|params| params.is_ca = is_ca).await;
        let house = House::trusting(&server);
        let answer = answer_of(&server, &house, "localhost").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{is_ca:?}: {answer}");
        let answer = answer_of(&server, &house, "127.0.0.1").await;
        assert!(
            answer.starts_with("HTTP/1.1 502 ") && answer.contains("subjectAltName"),
            "it is not made for that name: {answer}"
        );
        let other = TlsServer::self_signed(|params| params.is_ca = is_ca).await;
        let answer = answer_of(&other, &house, "localhost").await;
        let advice = match is_ca {
            IsCa::Ca(_) => "The certificate is self-signed",
            _ => "or the server's own",
        };
        assert!(
            answer.starts_with("HTTP/1.1 502 ") && answer.contains(advice),
            "another one was named: {answer}"
        );
    }
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_not_believed_although_it_was_named() {
    let server = TlsServer::self_signed(|params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = date_time_ymd(2020, 1, 1);
    })
    .await;
    let answer = answer_of(&server, &House::trusting(&server), "localhost").await;
    assert!(
        answer.starts_with("HTTP/1.1 502 ") && answer.contains("needs a new certificate"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_servers_own_certificate_vouches_for_no_other() {
    let mut own = CertificateParams::new(vec!["dev.test".to_owned()]).unwrap();
    own.is_ca = IsCa::ExplicitNoCa;
    let own = CertifiedIssuer::self_signed(own, KeyPair::generate().unwrap()).unwrap();
    let server = TlsServer::issued_by(&own).await;
    let answer = answer_of(&server, &House::trusting(&server), "localhost").await;
    assert!(
        answer.starts_with("HTTP/1.1 502 "),
        "its key could be used for any name: {answer}"
    );
}

#[tokio::test]
async fn beyond_max_certificates_one_goes_and_is_made_again() {
    let house = House::new(|config| config.limits.max_certificates = 2);
    let mut frontend = house.engine.frontend().unwrap();
    for host in ["a.test", "b.test", "c.test", "c.test"] {
        house.client(&format!("{host}:443"), &["http/1.1"]).await;
    }
    snapshot_when(&mut frontend, "the full cache", |snapshot| {
        let gauge = gauge(snapshot, "max_certificates", "");
        (gauge.used, gauge.limit, gauge.reached) == (2, 2, 1)
    })
    .await;
    house.client("a.test:443", &["http/1.1"]).await;
}

#[tokio::test]
async fn the_certificate_can_be_fetched_and_the_key_cannot() {
    let house = House::new(|_| {});
    let own = address(&house.engine);
    for (target, host) in [
        ("/shadowcat-ca.pem".to_owned(), own.to_string()),
        (
            "http://shadowcat.invalid/shadowcat-ca.pem".to_owned(),
            "shadowcat.invalid".to_owned(),
        ),
    ] {
        let mut client = RawPeer::connect(own).await;
        client
            .send(format!(
                "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            ))
            .await;
        let (answer, _) = client.read_to_end().await;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 200 ") && head.contains("shadowcat-answer: ca_certificate"),
            "{head}"
        );
        assert_eq!(body.trim_end(), house.root_pem().trim_end());
        assert!(!body.contains("PRIVATE"));
    }
}

#[tokio::test]
async fn a_proxy_without_an_authority_says_so() {
    let engine = engine_with(&[], |_| {});
    let own = address(&engine);
    let mut client = RawPeer::connect(own).await;
    client
        .send(format!("GET /shadowcat-ca.pem HTTP/1.1\r\nHost: {own}\r\n\r\n"))
        .await;
    assert!(client.read_head().await.starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn without_a_usable_authority_tunnels_pass_as_they_are() {
    let server = TlsServer::speaking(&["http/1.1"]).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let house = House::new(|config| config.forward.ca_dir = Some(file.path().join("ca")));
    let mut frontend = house.engine.frontend().unwrap();
    let authority = format!("localhost:{}", server.port());
    let tunnel = house.connect(&authority).await;
    let (client, _upstream) = tokio::join!(
        handshake(tunnel, "localhost", server.root_pem(), &["http/1.1"]),
        server.accept()
    );
    assert!(client.is_ok(), "{:?}", client.err());
    snapshot_when(&mut frontend, "the notice", |snapshot| {
        let mut notices = snapshot.notices.iter();
        notices
            .any(|notice| notice.text.contains("cannot be intercepted") && notice.text.contains("--ca-dir"))
    })
    .await;
}
