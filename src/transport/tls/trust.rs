//! Whose certificates are believed on the way to upstreams and destinations.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

use crate::config::forward::{ForwardConfig, ForwardConfigError};
use crate::transport::relay::chain;

/// What may be negotiated with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alpn {
    /// HTTP/2, or else HTTP/1.1.
    Both,
    /// HTTP/1.1 only.
    Http1,
    /// Something else, which is not said.
    Unsaid,
}

/// Made when the first https server is dialled, since a machine without certificates can do without until then.
#[derive(Debug)]
pub(crate) struct Trust {
    forward: ForwardConfig,
    roots: Vec<CertificateDer<'static>>,
    checked: OnceLock<Result<ClientConfig, String>>,
    unchecked: OnceLock<Result<ClientConfig, String>>,
}

impl Trust {
    /// Reads the files of further roots. Blocks.
    ///
    /// # Errors
    /// [`ForwardConfigError::UpstreamCa`] if one of them cannot be used.
    pub(crate) fn new(forward: &ForwardConfig) -> Result<Self, ForwardConfigError> {
        let mut roots = Vec::new();
        for path in &forward.upstream_ca {
            roots.extend(
                read_roots(path).map_err(|problem| ForwardConfigError::UpstreamCa {
                    path: path.clone(),
                    problem,
                })?,
            );
        }
        Ok(Self {
            forward: forward.clone(),
            roots,
            checked: OnceLock::new(),
            unchecked: OnceLock::new(),
        })
    }

    /// How to speak TLS with `host`.
    pub(crate) fn config_for(&self, host: &str, alpn: Alpn) -> Result<Arc<ClientConfig>, String> {
        let base = if self.forward.is_insecure(host) {
            self.unchecked.get_or_init(unchecked)
        } else {
            self.checked.get_or_init(|| checked(self.roots.clone()))
        };
        let mut config = base.clone()?;
        match alpn {
            Alpn::Both => {}
            Alpn::Http1 => config.alpn_protocols = vec![b"http/1.1".to_vec()],
            Alpn::Unsaid => config.alpn_protocols = Vec::new(),
        }
        Ok(Arc::new(config))
    }
}

/// Whether a connection did not come about because the server's certificate is not believed.
pub(crate) fn is_refusal(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = chain(error).filter_map(of_tls);
    causes.any(|cause| matches!(cause, Error::InvalidCertificate(_)))
}

/// The error of TLS in an error of a connection, which may stand in several layers.
fn of_tls<'a>(mut cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    while let Some(error) = cause.downcast_ref::<io::Error>() {
        cause = error.get_ref()?;
    }
    cause.downcast_ref::<Error>()
}

fn read_roots(path: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    let mut store = RootCertStore::empty();
    for certificate in &found {
        store
            .add(certificate.clone())
            .map_err(|error| format!("one of them is no root: {error}"))?;
    }
    Ok(found)
}

/// The system's roots and `roots`, for HTTP/2 and HTTP/1.1.
pub(crate) fn checked(roots: Vec<CertificateDer<'static>>) -> Result<ClientConfig, String> {
    let text = |error: Error| error.to_string();
    let provider = provider();
    let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider)).map_err(text)?;
    with_verifier(provider, Arc::new(verifier)).map_err(text)
}

fn unchecked() -> Result<ClientConfig, String> {
    let provider = provider();
    let verifier = Unchecked(provider.signature_verification_algorithms);
    with_verifier(provider, Arc::new(verifier)).map_err(|error| error.to_string())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn with_verifier(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Believes every certificate (`--insecure HOST`). That the server has its key is checked all the same.
#[derive(Debug)]
struct Unchecked(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
