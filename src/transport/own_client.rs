//! The HTTP client of our own traffic: it asks nobody but the one it was made for, and changes nothing on its own.

use std::sync::Arc;

use reqwest::{Client, ClientBuilder};
use rustls::{ClientConfig, RootCertStore};

use super::tls::trust::{Alpn, Trust, checked};

/// A client for one `http:` or `https:` URL. The caller adds its own times.
///
/// It uses no proxy, since the one that is set in the environment may be us; it follows no redirect, repeats no
/// request and sends no referrer.
///
/// # Errors
/// Why certificates cannot be checked on this machine, for an `https:` URL.
pub(crate) fn builder(url: &str) -> Result<ClientBuilder, String> {
    let tls = if url.starts_with("https:") {
        checked(Vec::new())?
    } else {
        without_trust()?
    };
    Ok(with_tls(tls))
}

/// The same for a URL at `host`, believing whom `trust` says.
///
/// # Errors
/// As [`builder`].
pub(crate) fn trusting_builder(url: &str, host: &str, trust: &Trust) -> Result<ClientBuilder, String> {
    let tls = if url.starts_with("https:") {
        ClientConfig::clone(&*trust.config_for(host, Alpn::Both)?)
    } else {
        without_trust()?
    };
    Ok(with_tls(tls))
}

fn with_tls(tls: ClientConfig) -> ClientBuilder {
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .user_agent(concat!("shadowcat-tui/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls)
}

/// For a client that never uses TLS, which has to be given a configuration all the same.
fn without_trust() -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    Ok(builder
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}
