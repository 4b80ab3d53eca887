//! Whose certificates are believed on the way to upstreams and destinations.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, InvalidMessage, RootCertStore,
    SignatureScheme,
};
use rustls_platform_verifier::Verifier;

use crate::ca::validity;
use crate::clock::Timestamp;
use crate::config::forward::{ForwardConfig, ForwardConfigError};
use crate::transport::causes::chain;

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
    given: Vec<CertificateDer<'static>>,
    checked: OnceLock<Result<ClientConfig, String>>,
    unchecked: OnceLock<Result<ClientConfig, String>>,
}

impl Trust {
    /// Reads the files of certificates to believe. Blocks.
    ///
    /// # Errors
    /// [`ForwardConfigError::UpstreamCa`] if one of them cannot be used.
    pub(crate) fn new(forward: &ForwardConfig) -> Result<Self, ForwardConfigError> {
        let mut given = Vec::new();
        for path in &forward.upstream_ca {
            given.extend(
                read_certificates(path).map_err(|problem| ForwardConfigError::UpstreamCa {
                    path: path.clone(),
                    problem,
                })?,
            );
        }
        Ok(Self {
            forward: forward.clone(),
            given,
            checked: OnceLock::new(),
            unchecked: OnceLock::new(),
        })
    }

    /// How to speak TLS with `host`.
    pub(crate) fn config_for(&self, host: &str, alpn: Alpn) -> Result<Arc<ClientConfig>, String> {
        let base = if self.forward.is_insecure(host) {
            self.unchecked.get_or_init(unchecked)
        } else {
            self.checked.get_or_init(|| checked(self.given.clone()))
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

/// What to do about a connection that did not come about because the server's certificate is not believed, or because it
/// speaks no TLS. `None` if that was not the cause.
pub(crate) fn advice(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    chain(error).filter_map(of_tls).find_map(|cause| match cause {
        Error::InvalidCertificate(refusal) if is_self_signed(refusal) => Some(
            "The certificate is self-signed. To believe it, start with --upstream-ca FILE, where FILE (PEM) is that certificate; or do without with --insecure HOST.",
        ),
        Error::InvalidCertificate(refusal) => Some(advice_for(refusal)),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            Some("The server speaks no TLS there; write http:// in place of https://.")
        }
        _ => None,
    })
}

/// Whether a server shows the certificate of an authority, which is one that was made for itself. The word is of the
/// library below, which hands out no type for it.
fn is_self_signed(refusal: &CertificateError) -> bool {
    matches!(refusal, CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity"))
}

/// The error of TLS in an error of a connection, which may stand in several layers.
fn of_tls<'a>(mut cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    while let Some(error) = cause.downcast_ref::<io::Error>() {
        cause = error.get_ref()?;
    }
    cause.downcast_ref::<Error>()
}

const fn advice_for(refusal: &CertificateError) -> &'static str {
    use CertificateError as Refusal;
    match refusal {
        Refusal::Expired | Refusal::ExpiredContext { .. } => {
            "The server needs a new certificate; --insecure HOST does without."
        }
        Refusal::NotValidYet | Refusal::NotValidYetContext { .. } => {
            "Check the clocks of both machines; --insecure HOST does without the certificate."
        }
        Refusal::NotValidForName | Refusal::NotValidForNameContext { .. } => {
            "Use a name in the URL for which the certificate was made (its subjectAltName), or start with --insecure HOST."
        }
        _ => {
            "To believe it, start with --upstream-ca FILE, where FILE (PEM) is the certificate of the authority that issued it, or the server's own; or do without with --insecure HOST."
        }
    }
}

fn read_certificates(path: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, String> {
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
            .map_err(|error| format!("one of them cannot be read: {error}"))?;
    }
    Ok(found)
}

/// Believes the system's roots and `given`, for HTTP/2 and HTTP/1.1.
pub(crate) fn checked(given: Vec<CertificateDer<'static>>) -> Result<ClientConfig, String> {
    let text = |error: Error| error.to_string();
    let provider = provider();
    let roots = given
        .iter()
        .filter(|given| validity::is_authority(given))
        .cloned();
    let others = Verifier::new_with_extra_roots(roots, Arc::clone(&provider));
    let verifier: Arc<dyn ServerCertVerifier> = match (given.is_empty(), others) {
        (true, others) => Arc::new(others.map_err(text)?),
        (false, others) => Arc::new(Given {
            certificates: given,
            others,
            algorithms: provider.signature_verification_algorithms,
        }),
    };
    with_verifier(provider, verifier).map_err(text)
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

/// Believes the certificates that were named, each for itself, as long as it is valid and for the hosts that it names; all
/// others if the roots vouch for them. Servers that were set up by hand show a certificate that is its own authority, which
/// no path leads to.
#[derive(Debug)]
struct Given {
    certificates: Vec<CertificateDer<'static>>,
    /// A machine without roots of its own can do with what was named.
    others: Result<Verifier, Error>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Given {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.certificates.iter().any(|given| given == certificate) {
            check_validity(certificate, now)?;
            verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        let others = self.others.as_ref().map_err(Clone::clone)?;
        others.verify_server_cert(certificate, intermediates, name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn check_validity(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let (from, until) = validity::of(certificate).ok_or(CertificateError::BadEncoding)?;
    let now = Timestamp::from_micros(now.as_secs().saturating_mul(1_000_000));
    if now < from {
        return Err(CertificateError::NotValidYet.into());
    }
    if until < now {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
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
