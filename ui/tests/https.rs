//! The real binary in front of an https upstream, whose certificate it has to find in the system's store.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Bytes, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A server that answers with the HTTP version in which it was asked. Returns its address and its authority's certificate.
async fn tls_server(protocols: &[&[u8]]) -> (SocketAddr, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = builder
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], private)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    #[expect(
        clippy::disallowed_methods,
        reason = "a peer of the test, which ends with its runtime"
    )]
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let stream = acceptor.accept(socket).await.unwrap();
        let service = service_fn(async |request: Request<Incoming>| {
            let host = request
                .headers()
                .get("host")
                .map(|host| host.to_str().unwrap().to_owned());
            let text = format!("{:?} {}", request.version(), host.unwrap_or_default());
            Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from(text))))
        });
        let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
        // The connection ends when the proxy does.
        drop(server.serve_connection(TokioIo::new(stream), service).await);
    });
    (address, authority.pem())
}

/// The binary, ended when the test is.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn proxy(port: u16, store: &Path) -> (Proxy, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shadowcat-tui"));
    command.args(["--listen", "127.0.0.1:0", "--headless", "--format", "none"]);
    command.args(["--upstream", &format!("https://localhost:{port}/mcp")]);
    command
        .env("SSL_CERT_FILE", store)
        .env_remove("SSL_CERT_DIR")
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let errors = child.stderr.take().unwrap();
    let proxy = Proxy(child);
    let listening = BufReader::new(errors).lines().map(Result::unwrap);
    let mut addresses =
        listening.filter_map(|line| line.strip_prefix("listening on http://").map(str::to_owned));
    (proxy, addresses.next().unwrap())
}

async fn ask(address: &str) -> String {
    let text = async {
        let client = reqwest_client();
        client
            .get(format!("http://{address}/mcp"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), text)
        .await
        .unwrap()
}

fn reqwest_client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = config
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(config)
        .build()
        .unwrap()
}

#[tokio::test]
async fn https_upstreams_are_verified_and_spoken_to_as_they_negotiate() {
    for (protocols, expected) in [
        (&[&b"http/1.1"[..]][..], "HTTP/1.1"),
        (&[&b"h2"[..], b"http/1.1"], "HTTP/2.0"),
        (&[], "HTTP/1.1"),
    ] {
        let (server, authority) = tls_server(protocols).await;
        let store = tempfile::NamedTempFile::new().unwrap();
        store.as_file().write_all(authority.as_bytes()).unwrap();
        let (_proxy, address) = proxy(server.port(), store.path());
        assert_eq!(
            ask(&address).await,
            format!("{expected} localhost:{}", server.port())
        );
    }
}

#[tokio::test]
async fn an_upstream_whose_certificate_nobody_vouches_for_is_a_502_that_says_so() {
    let (server, _) = tls_server(&[b"http/1.1"]).await;
    let (_, other) = tls_server(&[]).await;
    let store = tempfile::NamedTempFile::new().unwrap();
    store.as_file().write_all(other.as_bytes()).unwrap();
    let (_proxy, address) = proxy(server.port(), store.path());
    let text = ask(&address).await;
    assert!(text.contains("the TLS handshake with localhost failed"), "{text}");
}
