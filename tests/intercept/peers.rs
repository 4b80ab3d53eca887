//! Clients that trust the proxy's authority, and servers with certificates of an authority of their own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use shadowcat::ca::Authority;
use shadowcat::clock::Clock;
use shadowcat::config::Config;
use shadowcat::engine::EngineHandle;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::support::*;

/// One end of anything that bytes go through.
pub struct Wire<S> {
    pub stream: S,
    buffer: Vec<u8>,
}

pub type TlsClient = Wire<tokio_rustls::client::TlsStream<TcpStream>>;
pub type TlsPeer = Wire<tokio_rustls::server::TlsStream<TcpStream>>;

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub fn new(stream: S) -> Self {
        let buffer = Vec::new();
        Self { stream, buffer }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let writing = async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        };
        soon("a write", writing).await.unwrap();
    }

    /// Everything up to and including `end`.
    pub async fn read_through(&mut self, end: &str) -> String {
        loop {
            let found = self
                .buffer
                .windows(end.len())
                .position(|window| window == end.as_bytes());
            if let Some(at) = found {
                return String::from_utf8(self.buffer.drain(..at + end.len()).collect()).unwrap();
            }
            let read = soon(end, self.stream.read_buf(&mut self.buffer)).await.unwrap();
            let so_far = String::from_utf8_lossy(&self.buffer);
            assert!(read > 0, "it ended before {end:?}: {so_far:?}");
        }
    }

    pub async fn read_head(&mut self) -> String {
        self.read_through("\r\n\r\n").await
    }

    /// Everything up to the end, however that comes.
    pub async fn read_to_end(mut self) -> String {
        // TLS without a farewell is an error at the end of the bytes, which are there all the same.
        let _ = soon("the end", self.stream.read_to_end(&mut self.buffer)).await;
        String::from_utf8(self.buffer).unwrap()
    }
}

/// A server with a certificate for `localhost` and `127.0.0.1`.
pub struct TlsServer {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    home: TempDir,
    authority: String,
}

impl TlsServer {
    pub async fn speaking(protocols: &[&str]) -> Self {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let hosts = ["localhost", "127.0.0.1", "mcp.test"].map(str::to_owned);
        let leaf = CertificateParams::new(hosts)
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        Self::showing(&leaf, &key, &authority.pem(), protocols).await
    }

    /// One with a certificate that nobody but itself vouches for, as people make it by hand.
    pub async fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.self_signed(&key).unwrap();
        Self::showing(&certificate, &key, &certificate.pem(), &["http/1.1"]).await
    }

    /// One whose certificate was signed with the key of `issuer`.
    pub async fn issued_by(issuer: &CertifiedIssuer<'_, KeyPair>) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let leaf = params.signed_by(&key, issuer).unwrap();
        Self::showing(&leaf, &key, &issuer.pem(), &["http/1.1"]).await
    }

    /// `authority` is what has to be believed.
    async fn showing(certificate: &Certificate, key: &KeyPair, authority: &str, protocols: &[&str]) -> Self {
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("root.pem"), authority).unwrap();
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
            home,
            authority: authority.to_owned(),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub fn port(&self) -> u16 {
        self.address().port()
    }

    /// The file with the root that has to be believed.
    pub fn root(&self) -> PathBuf {
        self.home.path().join("root.pem")
    }

    pub fn root_pem(&self) -> &str {
        &self.authority
    }

    pub async fn accept(&self) -> TlsPeer {
        let (socket, _) = soon("a connection", self.listener.accept()).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Wire::new(soon("a handshake", self.acceptor.accept(socket)).await.unwrap())
    }

    /// Answers the one request of whoever comes, if they finish their handshake.
    pub async fn answer_one(&self) {
        let (socket, _) = soon("a connection", self.listener.accept()).await.unwrap();
        if let Ok(stream) = soon("a handshake", self.acceptor.accept(socket)).await {
            let mut peer = Wire::new(stream);
            peer.read_head().await;
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .await;
        }
    }

    /// Accepts whoever comes, and says nothing.
    pub async fn accept_tcp(&self) -> TcpStream {
        soon("a connection", self.listener.accept()).await.unwrap().0
    }

    /// Accepts whoever comes, whether or not they finish their handshake.
    pub async fn accept_any(&self) {
        let (socket, _) = soon("a connection", self.listener.accept()).await.unwrap();
        // Whoever does not believe the certificate leaves in the middle.
        let _ = soon("a handshake", self.acceptor.accept(socket)).await;
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The proxy with an authority of its own.
pub struct House {
    pub engine: EngineHandle,
    ca: TempDir,
}

impl House {
    pub fn new(change: impl FnOnce(&mut Config)) -> Self {
        let ca = tempfile::tempdir().unwrap();
        let engine = engine_with(&[], |config| {
            config.forward.ca_dir = Some(ca.path().join("ca"));
            change(config);
        });
        Self { engine, ca }
    }

    /// A proxy that believes `server`.
    pub fn trusting(server: &TlsServer) -> Self {
        Self::new(|config| config.forward.upstream_ca.push(server.root()))
    }

    pub fn ca_dir(&self) -> PathBuf {
        self.ca.path().join("ca")
    }

    pub fn root_pem(&self) -> String {
        authority_pem(&self.ca_dir())
    }

    /// A tunnel to `authority`, in which nothing was said yet.
    pub async fn connect(&self, authority: &str) -> TcpStream {
        let socket = self.ask_for_tunnel(authority, "").await;
        let (head, socket) = socket;
        assert_eq!(head, "HTTP/1.1 200 OK\r\n\r\n");
        socket
    }

    pub async fn ask_for_tunnel(&self, authority: &str, fields: &str) -> (String, TcpStream) {
        let socket = TcpStream::connect(address(&self.engine)).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let mut wire = Wire::new(socket);
        wire.send(format!(
            "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{fields}\r\n"
        ))
        .await;
        (wire.read_head().await, wire.stream)
    }

    /// A client that believes the proxy's authority, in a tunnel to `authority`.
    pub async fn client(&self, authority: &str, protocols: &[&str]) -> TlsClient {
        let host = authority.rsplit_once(':').unwrap().0;
        let tunnel = self.connect(authority).await;
        handshake(tunnel, host, &self.root_pem(), protocols)
            .await
            .unwrap()
    }
}

/// The certificate of the authority in `directory`, which is made if need be.
pub fn authority_pem(directory: &Path) -> String {
    let now = Clock::start().now();
    let authority = Authority::open_or_create(directory, now).unwrap();
    authority.certificate_pem().to_owned()
}

/// Speaks TLS in `tunnel` to `host` and believes `root` only.
pub async fn handshake(
    tunnel: TcpStream,
    host: &str,
    root: &str,
    protocols: &[&str],
) -> std::io::Result<TlsClient> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, tunnel);
    soon("a handshake", connecting).await.map(Wire::new)
}

/// The protocol that a client and the proxy agreed on.
pub fn protocol(client: &TlsClient) -> String {
    let protocol = client.stream.get_ref().1.alpn_protocol().unwrap_or_default();
    String::from_utf8(protocol.to_vec()).unwrap()
}

/// HTTP/2 on a client's connection.
pub async fn http2(client: TlsClient) -> SendRequest<Full<Bytes>> {
    let handshake = Builder::new(TokioExecutor::new()).handshake(TokioIo::new(client.stream));
    let (sender, connection) = soon("a handshake", handshake).await.unwrap();
    spawn(async move {
        // How it ends is what the requests on it see.
        let _ = connection.await;
    });
    sender
}
