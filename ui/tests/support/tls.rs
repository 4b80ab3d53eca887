//! A server with a certificate of an authority of its own, and clients that believe what they are told.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Bytes, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// What a POST is answered with.
pub(crate) const PONG: &str = r#"{"jsonrpc":"2.0","id":"p-1","result":{}}"#;

/// A server that answers a GET with the HTTP version in which it was asked and the `Host`. Returns its address and its
/// authority's certificate.
pub(crate) async fn server(protocols: &[&[u8]]) -> (SocketAddr, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], private)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            spawn(serve(acceptor.clone(), socket));
        }
    });
    (address, authority.pem())
}

fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a peer of the test, which ends with its runtime"
    )]
    tokio::spawn(future);
}

async fn serve(acceptor: TlsAcceptor, socket: TcpStream) {
    // Whoever does not believe the certificate leaves.
    let Ok(stream) = acceptor.accept(socket).await else {
        return;
    };
    let service = service_fn(async |request: Request<Incoming>| {
        if request.method() == hyper::Method::POST {
            let mut pong = Response::new(Full::new(Bytes::from_static(PONG.as_bytes())));
            let json = hyper::header::HeaderValue::from_static("application/json");
            pong.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
            return Ok(pong);
        }
        let host = request.headers().get("host");
        let host = host.map(|host| host.to_str().unwrap().to_owned());
        let text = format!("{:?} {}", request.version(), host.unwrap_or_default());
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
    });
    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    // The connection ends when the proxy does.
    drop(server.serve_connection(TokioIo::new(stream), service).await);
}

/// The body at `url`, asked for without a proxy and without trust in anybody.
pub(crate) async fn get_plain(url: &str) -> String {
    let client = builder(RootCertStore::empty()).no_proxy().build().unwrap();
    text(&client, url).await
}

/// The body at `url`, asked for through `proxy` by a client that believes what is in the file `roots`.
pub(crate) async fn get(url: &str, proxy: &str, roots: impl AsRef<Path>) -> String {
    let mut store = RootCertStore::empty();
    let file = std::fs::read(roots).unwrap();
    store.add_parsable_certificates(CertificateDer::pem_slice_iter(&file).map(Result::unwrap));
    let proxy = reqwest::Proxy::all(proxy).unwrap();
    let client = builder(store).proxy(proxy).build().unwrap();
    text(&client, url).await
}

fn builder(roots: RootCertStore) -> reqwest::ClientBuilder {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(config)
}

async fn text(client: &reqwest::Client, url: &str) -> String {
    let text = async { client.get(url).send().await.unwrap().text().await.unwrap() };
    tokio::time::timeout(Duration::from_secs(30), text).await.unwrap()
}
