//! The local certificate authority: made on first use, kept in one directory, in force on this machine only.
//!
//! Its key never leaves its file. Certificates for hosts are made in memory and live for less than 90 days.

mod bundle;
mod files;
pub(crate) mod validity;

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use crate::clock::Timestamp;

pub use bundle::ClientFiles;
pub use files::{CERTIFICATE_FILE, KEY_FILE};

/// How long a new authority is valid.
const AUTHORITY_LIFE: Duration = Duration::from_hours(24 * 365 * 5);
/// How long a certificate for a host is valid, counted from the moment when it is made.
const LEAF_LIFE: Duration = Duration::from_hours(24 * 80);
/// How far back the beginning of a certificate lies, for clients whose clock is behind.
const BACK_DATED: Duration = Duration::from_hours(24);
/// Longest common name (RFC 5280, Appendix A.1, `ub-common-name`).
const LONGEST_NAME: usize = 64;

/// The request field with which `exec` asks a proxy for its certificate. Such a question is no traffic: it is answered
/// and not shown.
pub const PROBE_FIELD: &str = "shadowcat-probe";

/// The authority cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaError {
    /// A file or directory of it cannot be read.
    #[error("could not read {}; check that it is yours, or name another directory with --ca-dir", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or directory of it cannot be written.
    #[error("could not write {}; check that it is yours, or name another directory with --ca-dir", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The key is no secret.
    #[error("{} can be read by others, so nobody should trust it: make a new one with `shadowcat-tui ca --new`", .path.display())]
    Exposed {
        /// The file of the key.
        path: PathBuf,
    },
    /// The file holds something else.
    #[error("{} holds no key and certificate: {problem}; make new ones with `shadowcat-tui ca --new`", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It is too old.
    #[error("the certificate authority in {} is no longer valid; make a new one with `shadowcat-tui ca --new`", .path.display())]
    Expired {
        /// Its directory.
        path: PathBuf,
    },
    /// A key or certificate could not be made.
    #[error("no certificate could be made")]
    Mint(#[from] rcgen::Error),
    /// A certificate that was made cannot be used for TLS.
    #[error("a certificate could not be used")]
    Tls(#[from] rustls::Error),
}

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
    validity: (Timestamp, Timestamp),
}

/// A certificate for a host, ready for TLS.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub(crate) key: Arc<CertifiedKey>,
    pub(crate) not_after: Timestamp,
}

impl Authority {
    /// The authority in `directory`; a new one if there is none. Blocks.
    ///
    /// # Errors
    /// [`CaError`] if its files cannot be read, written or used, or it has expired by `now`.
    pub fn open_or_create(directory: &Path, now: Timestamp) -> Result<Self, CaError> {
        let authority = match Self::open(directory)? {
            Some(authority) => authority,
            None => Self::create(directory, now, false)?,
        };
        if authority.not_after() <= now {
            let path = directory.to_owned();
            return Err(CaError::Expired { path });
        }
        Ok(authority)
    }

    /// The authority in `directory`, whether or not it has expired; `None` if there is none. Blocks.
    ///
    /// # Errors
    /// [`CaError`] if its files cannot be read or used, or others can read its key.
    pub fn open(directory: &Path) -> Result<Option<Self>, CaError> {
        let Some(text) = files::read_key(directory)? else {
            return Ok(None);
        };
        let authority = Self::from_text(&text).map_err(|problem| CaError::Content {
            path: directory.join(KEY_FILE),
            problem,
        })?;
        files::write_certificate(directory, &authority.pem)?;
        Ok(Some(authority))
    }

    /// A new authority in `directory`, in place of the one that is there. Blocks.
    ///
    /// # Errors
    /// [`CaError`] if it cannot be made or written.
    pub fn replace(directory: &Path, now: Timestamp) -> Result<Self, CaError> {
        Self::create(directory, now, true)
    }

    fn create(directory: &Path, now: Timestamp, replaces: bool) -> Result<Self, CaError> {
        let key = KeyPair::generate()?;
        let certificate = authority_params(&key, now).self_signed(&key)?;
        let text = format!("{}{}", key.serialize_pem(), certificate.pem());
        files::write_key(directory, &text, replaces)?;
        // Another process may have been faster: what is on disk counts.
        Self::open(directory)?.ok_or_else(|| CaError::Read {
            path: directory.join(KEY_FILE),
            source: io::ErrorKind::NotFound.into(),
        })
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(|error| error.to_string())?;
        let key = KeyPair::try_from(&key).map_err(|error| error.to_string())?;
        let certificate =
            CertificateDer::from_pem_slice(text.as_bytes()).map_err(|error| error.to_string())?;
        let begin = text.find("-----BEGIN CERTIFICATE").unwrap_or_default();
        let validity = validity::of(&certificate).ok_or("its validity cannot be read")?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| error.to_string())?;
        Ok(Self {
            issuer,
            pem: text.get(begin..).unwrap_or_default().to_owned(),
            certificate,
            validity,
        })
    }

    /// The certificate in PEM form. Never the key.
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of the certificate, as `AB:CD:…`.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.certificate)
    }

    /// From when it is valid.
    pub const fn not_before(&self) -> Timestamp {
        self.validity.0
    }

    /// Until when it is valid.
    pub const fn not_after(&self) -> Timestamp {
        self.validity.1
    }

    /// A certificate for `host`, a name or an IP address.
    pub(crate) fn leaf(&self, host: &str, now: Timestamp) -> Result<Leaf, CaError> {
        let not_after = now.plus(LEAF_LIFE).min(self.not_after());
        let params = leaf_params(host, back_dated(now).max(self.not_before()), not_after)?;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signing = rustls::crypto::ring::sign::any_supported_type(&private)?;
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        Ok(Leaf {
            key: Arc::new(CertifiedKey::new(chain, signing)),
            not_after,
        })
    }
}

/// SHA-256 of a certificate, as `AB:CD:…`.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    let mut text = String::with_capacity(3 * digest.as_ref().len());
    for (index, byte) in digest.as_ref().iter().enumerate() {
        let colon = if index == 0 { "" } else { ":" };
        let _ = write!(text, "{colon}{byte:02X}");
    }
    text
}

/// What recent verifiers ask for: critical basic constraints and key usage, and key identifiers (RFC 5280 §4.2.1).
fn authority_params(key: &KeyPair, now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    let identifier = params.key_identifier(key);
    let mut number = String::new();
    for byte in identifier.iter().take(4) {
        let _ = write!(number, "{byte:02x}");
    }
    params.distinguished_name = DistinguishedName::new();
    let organization = DnType::OrganizationName;
    params.distinguished_name.push(organization, "shadowcat-tui");
    // Told apart by its number where several are trusted.
    let name = format!("shadowcat-tui local CA {number}");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date(back_dated(now));
    params.not_after = date(now.plus(AUTHORITY_LIFE));
    params
}

fn leaf_params(host: &str, from: Timestamp, until: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(vec![host.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    let name = if host.len() <= LONGEST_NAME {
        host
    } else {
        "shadowcat-tui"
    };
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = date(from);
    params.not_after = date(until);
    Ok(params)
}

fn back_dated(now: Timestamp) -> Timestamp {
    let micros = u64::try_from(BACK_DATED.as_micros()).unwrap_or(0);
    Timestamp::from_micros(now.as_micros().saturating_sub(micros))
}

/// In whole seconds, which is all that certificates know.
fn date(at: Timestamp) -> OffsetDateTime {
    let seconds = i64::try_from(at.as_micros() / 1_000_000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
