//! Where a request is sent.

use std::sync::Arc;

use http::Uri;
use http::uri::Authority;

use crate::ids::Side;

use super::authorize::Authorization;
use super::rewrite::mount::Mount;
use super::route::Upstream;
use super::upstream::Speaks;

/// Where a request is sent, and what has to be changed in its response.
pub(super) struct Destination {
    pub(super) side: Side,
    pub(super) server: Arc<str>,
    pub(super) target: Uri,
    pub(super) upstream: Option<(Arc<Upstream>, String, Option<Authority>)>,
    pub(super) speaks: Speaks,
    /// It is an authorization server that we stand before.
    pub(super) authorization: Option<Authorization>,
}

impl Destination {
    /// One that the client chose.
    pub(super) fn chosen(target: Uri, authority: &Authority, speaks: Speaks) -> Self {
        Self {
            side: Side::Forward,
            server: authority.as_str().into(),
            target,
            upstream: None,
            speaks,
            authorization: None,
        }
    }

    /// A configured upstream, mounted at a prefix of ours under the name that the client calls us.
    pub(super) fn configured(
        upstream: Arc<Upstream>,
        target: Uri,
        prefix: String,
        own: Option<Authority>,
    ) -> Self {
        Self {
            side: Side::Reverse,
            server: Arc::clone(&upstream.label),
            target,
            speaks: if upstream.is_h2c() {
                Speaks::PriorH2
            } else {
                Speaks::Negotiated
            },
            upstream: Some((upstream, prefix, own)),
            authorization: None,
        }
    }

    /// An authorization server that one of the upstreams named.
    pub(super) fn authorization(target: Uri, authorization: Authorization) -> Self {
        Self {
            side: Side::Reverse,
            server: authorization.label(),
            target,
            upstream: None,
            speaks: Speaks::Negotiated,
            authorization: Some(authorization),
        }
    }

    /// Whether our configuration chose it, and not the client.
    pub(super) fn is_ours(&self) -> bool {
        self.side == Side::Reverse
    }

    /// Whether it is neither an upstream nor an authorization server of one: nothing is changed then but by rules.
    pub(super) fn is_chosen(&self) -> bool {
        self.upstream.is_none() && self.authorization.is_none()
    }

    /// How the client sees the upstream; `None` for a destination of its own choice, and if it does not say what it
    /// calls us.
    pub(super) fn mount(&self) -> Option<Mount> {
        let (upstream, prefix, own) = self.upstream.as_ref()?;
        Some(Mount {
            upstream: Arc::clone(upstream),
            prefix: prefix.clone(),
            own: own.clone()?,
        })
    }
}
