//! Who may ask: the checks of `Host`, `Origin` and the proxy's own credentials.
//!
//! Source: MCP, Transports, "Security Warning"; RFC 9110 §11.7 for `Proxy-Authorization`.

use std::net::{IpAddr, SocketAddr};

use http::uri::Authority;
use http::{HeaderMap, header};

use super::{Asked, Nowhere, Routes};

impl Routes {
    /// Why a request to a listener of ours that is no proxy is refused: the same checks of `Host` and `Origin`.
    pub(crate) fn refusal(&self, asked: Asked<'_>) -> Option<Nowhere> {
        self.guard(asked, host_of(asked.headers).as_ref())
    }

    /// On a loopback listener the `Host` must be ours, since a web page can make a browser connect to it under any name.
    pub(super) fn guard(&self, asked: Asked<'_>, own_authority: Option<&Authority>) -> Option<Nowhere> {
        if let Some(origin) = asked.headers.get(header::ORIGIN)
            && !self.is_allowed_origin(origin.to_str().unwrap_or("?"))
        {
            let origin = crate::session::observation::head_text(origin.as_bytes());
            return Some(Nowhere::ForeignOrigin { origin });
        }
        if !asked.local.ip().is_loopback() {
            return None;
        }
        match own_authority {
            Some(authority) if self.names_us(authority, asked.local) => None,
            Some(authority) => Some(Nowhere::ForeignHost {
                host: authority.to_string(),
            }),
            None => {
                let host = asked
                    .headers
                    .get(header::HOST)
                    .map(http::HeaderValue::as_bytes)
                    .unwrap_or_default();
                Some(Nowhere::ForeignHost {
                    host: crate::session::observation::head_text(host),
                })
            }
        }
    }

    /// Who may use the forward side: this machine, or whoever has the credentials if there are any.
    pub(super) fn forward_guard(&self, asked: Asked<'_>) -> Option<Nowhere> {
        let Some(credentials) = &self.forward.proxy_auth else {
            return (!asked.local.ip().is_loopback()).then_some(Nowhere::OpenProxy);
        };
        let proof = asked.headers.get(header::PROXY_AUTHORIZATION);
        let is_proved = proof.is_some_and(|proof| credentials.are_proved_by(proof.as_bytes()));
        (!is_proved).then_some(Nowhere::ProxyAuth)
    }

    /// Whether `Proxy-Authorization` of forward requests is meant for us: always, unless another proxy that we do not
    /// prove anything to ourselves comes next.
    pub(crate) fn takes_proxy_authorization(&self) -> bool {
        let via = self.forward.via.as_ref();
        self.forward.proxy_auth.is_some() || via.is_none_or(|via| via.credentials().is_some())
    }

    pub(super) fn is_allowed_origin(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        let host = origin
            .split_once("://")
            .and_then(|(_, rest)| rest.parse::<Authority>().ok());
        let is_loopback = host.is_some_and(|authority| is_loopback_name(authority.host()));
        is_loopback || self.allowed_origins.contains(&origin)
    }

    /// Whether `authority` is this listener: our port under a loopback name, our address, or a configured name.
    pub(super) fn names_us(&self, authority: &Authority, local: SocketAddr) -> bool {
        let (host, full) = (authority.host(), authority.as_str());
        let is_allowed =
            |allowed: &String| allowed.eq_ignore_ascii_case(host) || allowed.eq_ignore_ascii_case(full);
        if self.allowed_hosts.iter().any(is_allowed) {
            return true;
        }
        authority.port_u16().unwrap_or(80) == local.port()
            && (is_loopback_name(host) && local.ip().is_loopback() || bare(host).parse() == Ok(local.ip()))
    }
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

fn is_loopback_name(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || bare(host).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

pub(super) fn host_of(headers: &HeaderMap) -> Option<Authority> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?;
    let authority = host.to_str().ok()?.parse::<Authority>().ok()?;
    (hosts.next().is_none() && !authority.as_str().contains('@')).then_some(authority)
}
