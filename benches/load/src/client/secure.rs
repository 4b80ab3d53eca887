//! TLS to a server, through a proxy if there is one.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream};

/// How a server is reached with TLS.
#[derive(Clone, Debug)]
pub(crate) struct Secure {
    /// The server, as it is asked for with CONNECT; directly if `None`.
    pub(super) through: Option<SocketAddr>,
    config: Arc<ClientConfig>,
}

impl Secure {
    /// Trusts the authority in the file `root` and nobody else.
    ///
    /// # Errors
    /// The file has no certificate.
    pub(crate) fn trusting(root: &Path, through: Option<SocketAddr>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        let file = || format!("the certificate in {}", root.display());
        roots.add(CertificateDer::from_pem_file(root).with_context(file)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            through,
            config: Arc::new(config),
        })
    }

    /// Puts TLS around a connection to the server or to the proxy before it.
    pub(super) async fn wrap(&self, mut stream: TcpStream) -> Result<TlsStream<TcpStream>> {
        if let Some(server) = self.through {
            connect(&mut stream, server).await?;
        }
        let name = ServerName::try_from("localhost")?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = connector
            .connect(name, stream)
            .await
            .context("the TLS handshake failed")?;
        Ok(stream.into())
    }
}

async fn connect(stream: &mut TcpStream, server: SocketAddr) -> Result<()> {
    let port = server.port();
    let request = format!("CONNECT localhost:{port} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.context("CONNECT has no answer")?);
    }
    if !head.starts_with(b"HTTP/1.1 200") {
        bail!("CONNECT was answered with {}", String::from_utf8_lossy(&head));
    }
    Ok(())
}
