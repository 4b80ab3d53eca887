//! What clients are given: files with the authority's certificate, alone and among the system's.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::{CaError, files, fingerprint};

/// Letters of base64 on a line of PEM (RFC 7468 §2).
const PEM_LINE: usize = 64;

/// Files for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    /// The authority's certificate alone, for clients that add it to others.
    pub certificate: PathBuf,
    /// The system's roots and the authority, for clients that believe one file only.
    pub bundle: PathBuf,
}

impl ClientFiles {
    /// Writes them into `directory`, for their owner only. Reads the system's roots, or those that `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` name. Blocks.
    ///
    /// # Errors
    /// [`CaError`] if `certificate_pem` is no certificate or a file cannot be written.
    pub fn write(directory: &Path, certificate_pem: &str) -> Result<Self, CaError> {
        let path = |name: &str| directory.join(name);
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes());
        let certificate = certificate.map_err(|error| CaError::Content {
            path: path(files::CERTIFICATE_FILE),
            problem: error.to_string(),
        })?;
        // Several proxies may have authorities of their own.
        let number = fingerprint(&certificate).replace(':', "").to_ascii_lowercase();
        let number = number.get(..8).unwrap_or_default();
        let written = Self {
            certificate: path(&format!("client-{number}.pem")),
            bundle: path(&format!("bundle-{number}.pem")),
        };
        let own = pem(&certificate);
        files::create_directory_for(directory)?;
        files::write_private(&written.certificate, &own)?;
        files::write_private(&written.bundle, &format!("{}{own}", system_roots()))?;
        Ok(written)
    }
}

/// The system's roots in PEM form; those that cannot be read are left out.
fn system_roots() -> String {
    let loaded = rustls_native_certs::load_native_certs();
    for error in loaded.errors {
        tracing::debug!(%error, "a root of the system was left out");
    }
    loaded.certs.iter().map(pem).collect()
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = BASE64_STANDARD.encode(certificate);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(PEM_LINE).unwrap_or((rest, ""));
        let _ = writeln!(pem, "{line}");
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::Authority;
    use crate::clock::Timestamp;

    #[test]
    fn clients_get_our_certificate_alone_and_last_in_the_bundle() {
        let home = tempfile::tempdir().unwrap();
        let now = Timestamp::from_micros(1_795_392_000_000_000);
        let authority = Authority::open_or_create(&home.path().join("ca"), now).unwrap();
        let files = ClientFiles::write(&home.path().join("new/dir"), authority.certificate_pem()).unwrap();
        let certificates = |path: &Path| -> Vec<CertificateDer<'static>> {
            let text = std::fs::read(path).unwrap();
            CertificateDer::pem_slice_iter(&text)
                .map(Result::unwrap)
                .collect()
        };
        assert_eq!(
            certificates(&files.certificate),
            std::slice::from_ref(&authority.certificate)
        );
        assert_eq!(certificates(&files.bundle).last(), Some(&authority.certificate));
        assert!(ClientFiles::write(home.path(), "hello").is_err());
    }
}
