//! TLS on both sides: what a tunnel begins with, being a server to its client, and whom to believe beyond.

pub(crate) mod first;
mod leaves;
pub(crate) mod prefixed;
pub(crate) mod ready;
pub(crate) mod trust;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::{AlertDescription, ServerConfig};
use tokio::sync::OnceCell;

use crate::ca::{Authority, CaError};
use crate::clock::Clock;
use crate::config::forward::ForwardConfig;
use crate::limits::ResourceLimits;
use crate::resource::meters::Meters;
use crate::snapshot::{Notice, Severity};
use crate::tasks::{TaskKind, Tasks};

use super::causes::describe;
use leaves::Leaves;

/// Notices that wait to be shown; the newest stay.
const NOTICES: usize = 16;

/// What is about certificates that clients do not believe.
const REFUSED: &str = "certificates refused by clients";

/// Everything about intercepting tunnels that connections share.
#[derive(Debug)]
pub(crate) struct Interception {
    pub(crate) forward: ForwardConfig,
    leaves: OnceCell<Leaves>,
    most: usize,
    meters: Arc<Meters>,
    clock: Clock,
    notices: Mutex<VecDeque<(&'static str, Notice)>>,
}

impl Interception {
    pub(crate) fn new(
        forward: &ForwardConfig,
        limits: &ResourceLimits,
        clock: Clock,
        meters: &Arc<Meters>,
    ) -> Self {
        Self {
            forward: forward.clone(),
            leaves: OnceCell::new(),
            most: limits.max_certificates,
            meters: Arc::clone(meters),
            clock,
            notices: Mutex::default(),
        }
    }

    /// How to be `host` towards a client.
    ///
    /// # Errors
    /// [`CaError`] if there is no authority, or it cannot make a certificate for that host.
    pub(crate) async fn config_for(
        &self,
        host: &str,
        tasks: &Tasks,
        with_h2: bool,
    ) -> Result<Arc<ServerConfig>, CaError> {
        let leaves = self.leaves(tasks).await?;
        let config = leaves.config_for(host, self.clock.now(), with_h2)?;
        Ok(Arc::new(config))
    }

    /// The authority's certificate, for clients that are to trust it. `None` if nothing is intercepted.
    ///
    /// # Errors
    /// [`CaError`] if it can neither be read nor made.
    pub(crate) async fn certificate(&self, tasks: &Tasks) -> Result<Option<String>, CaError> {
        if self.forward.ca_dir.is_none() {
            return Ok(None);
        }
        let leaves = self.leaves(tasks).await?;
        Ok(Some(leaves.authority().certificate_pem().to_owned()))
    }

    /// The authority is opened, or made, when it is needed for the first time.
    async fn leaves(&self, tasks: &Tasks) -> Result<&Leaves, CaError> {
        self.leaves.get_or_try_init(|| self.open(tasks)).await
    }

    async fn open(&self, tasks: &Tasks) -> Result<Leaves, CaError> {
        let directory = self.forward.ca_dir.clone().unwrap_or_default();
        let now = self.clock.now();
        let opening = move || Authority::open_or_create(&directory, now);
        let opened = tasks.run_blocking(TaskKind::File, opening).await;
        let authority = opened.map_err(|fault| rustls::Error::General(fault.message))??;
        Leaves::new(authority, self.most, &self.meters)
    }

    /// Says that `host` could not be intercepted, and why.
    pub(crate) fn tell_failure(&self, host: &str, error: &CaError) {
        let error = describe(error);
        tracing::error!(host, %error, "TLS cannot be intercepted; the tunnel is passed on without a look");
        self.tell(
            "certificate authority",
            Severity::Error,
            format!(
                "TLS to {host} cannot be intercepted: {error}. Its tunnels are passed on without a look."
            ),
        );
    }

    /// Says that a client did not believe the certificate for `host`. Returns the text for its row.
    pub(crate) fn tell_refused(&self, host: &str, how: &str) -> String {
        let text = format!(
            "A client {how}. Let it trust the local certificate authority (`shadowcat-tui ca` says how, `shadowcat-tui exec -- CLIENT` does it for one client), or start with --no-intercept {host}"
        );
        tracing::warn!(
            host,
            how,
            "a client refused the certificate of the local authority"
        );
        self.tell(REFUSED, Severity::Warning, format!("TLS to {host}: {text}."));
        text
    }

    fn tell(&self, subject: &'static str, severity: Severity, text: String) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        if notices.len() == NOTICES {
            notices.pop_front();
        }
        let at = self.clock.now();
        notices.push_back((subject, Notice { at, severity, text }));
    }

    /// The notices since the last call, each with what it is about.
    pub(crate) fn take_notices(&self) -> Vec<(&'static str, Notice)> {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        notices.drain(..).collect()
    }
}

/// How a client has shown in its handshake that it does not believe our certificate, in words. `None` if it failed for
/// another reason.
pub(crate) fn refusal(error: &io::Error) -> Option<&'static str> {
    let cause = error
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match (cause, error.kind()) {
        (Some(rustls::Error::AlertReceived(alert)), _) => refusal_by_alert(*alert),
        (None, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
            Some("closed the connection during the TLS handshake, so it may not trust the certificate")
        }
        _ => None,
    }
}

/// Source: RFC 8446 §6.2.
const fn refusal_by_alert(alert: AlertDescription) -> Option<&'static str> {
    match alert {
        AlertDescription::UnknownCA => Some("does not know the certificate authority (TLS alert unknown_ca)"),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::AccessDenied => Some("refused the certificate (TLS alert)"),
        _ => None,
    }
}
