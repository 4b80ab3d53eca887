//! Authorization through a reverse proxy: the server's metadata has to name what the client dials, and nothing else may
//! change. With `relay` the proxy stands before the authorization server as well, so that tokens are for the server's own
//! address.
//!
//! Source: MCP 2025-06-18, Authorization; RFC 9728 (metadata of a protected resource), RFC 8414 (of an authorization
//! server), RFC 8707 (`resource`).

mod audience;
mod challenge;
mod form;
mod metadata;
pub(crate) mod paths;
pub(crate) mod registration;
pub(crate) mod servers;
mod splice;
mod way_back;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::header::{self, Entry, HeaderMap, HeaderValue};
use reqwest::Url;

use crate::clock::Timestamp;
use crate::config::OauthMode;
use crate::snapshot::{Notice, Severity};

use super::headers::Rewrites;
use super::rewrite::Changes;
use super::rewrite::Rewrite;
use super::rewrite::document::{DocumentRewrite, DocumentWatch};
use super::rewrite::mount::{Mount, path_and_query};
use audience::Logins;
use servers::Servers;

/// Places of metadata that servers named themselves and that are remembered; beyond, the oldest goes.
const MAX_PLACES: usize = 64;
/// Notices that wait to be shown; each upstream has one at most.
const MAX_NOTICES: usize = 16;

/// What to do about a server that wants tokens for its own address.
const WAYS_OUT: &str = "Ways out: the forward proxy with TLS interception, where the client keeps the server's own address; a token in the client's \
     static headers; or --oauth relay. docs/oauth.md has more.";

/// What is known of authorization, for all connections.
#[derive(Debug)]
pub(crate) struct Oauth {
    mode: OauthMode,
    logins: Logins,
    /// Those that we stand before.
    pub(crate) servers: Servers,
    /// Upstream and path of metadata at unusual places.
    places: Mutex<Vec<(usize, String)>>,
    notices: Mutex<Vec<(String, Notice)>>,
}

/// A response of an upstream, as far as authorization is concerned.
#[derive(Debug)]
pub(crate) struct Answered<'a> {
    pub(crate) mount: &'a Mount,
    /// The client's address without its port.
    pub(crate) client: Arc<str>,
    pub(crate) status: u16,
    /// A fingerprint of the token that the request had; 0 for none.
    pub(crate) credential: u64,
    pub(crate) now: Timestamp,
}

impl Oauth {
    pub(crate) fn new(mode: OauthMode) -> Self {
        Self {
            mode,
            logins: Logins::default(),
            servers: Servers::default(),
            places: Mutex::default(),
            notices: Mutex::default(),
        }
    }

    /// Whether anything may be changed at all.
    pub(crate) fn is_on(&self) -> bool {
        self.mode != OauthMode::Off
    }

    /// Whether an upstream has metadata of itself at this path.
    pub(crate) fn is_metadata(&self, upstream: usize, path: &str) -> bool {
        let is_place = |(other, place): &(usize, String)| *other == upstream && place == path;
        self.is_on() && (paths::is_metadata(path) || lock(&self.places).iter().any(is_place))
    }

    /// Makes the URLs of metadata in the challenges of a 401 or 403 lead through the proxy.
    pub(crate) fn challenge(&self, mount: &Mount, fields: &mut HeaderMap, rewrites: &mut Rewrites) {
        let Entry::Occupied(mut challenges) = fields.entry(header::WWW_AUTHENTICATE) else {
            return;
        };
        for value in challenges.iter_mut() {
            let changed = challenge::map_metadata_url(value.as_bytes(), |theirs| {
                let ours = paths::metadata_url(mount, theirs)?;
                self.learn_place(mount.upstream.index, theirs);
                rewrites.push(["resource_metadata: ", theirs, " → ", &ours].concat());
                Some(ours)
            });
            if let Some(changed) = changed.and_then(|value| HeaderValue::from_bytes(&value).ok()) {
                *value = changed;
            }
        }
    }

    fn learn_place(&self, upstream: usize, url: &str) {
        let Some(path) = Url::parse(url).ok().map(|url| path_and_query(&url)) else {
            return;
        };
        if paths::is_metadata(&path) || self.is_metadata(upstream, &path) {
            return;
        }
        let mut places = lock(&self.places);
        if places.len() == MAX_PLACES {
            places.remove(0);
        }
        places.push((upstream, path));
    }

    /// Changes metadata of a protected resource.
    pub(crate) fn metadata_stage(self: &Arc<Self>, answered: &Answered<'_>) -> impl Rewrite + 'static {
        let oauth = Arc::clone(self);
        let (mount, key, now) = (answered.mount.clone(), key(answered), answered.now);
        DocumentRewrite::new(move |text, changes| {
            let server = |theirs: &str, issuer: &str| oauth.relayed(&mount, issuer, theirs);
            let changed = metadata::rewrite(text, &mount, server, changes)?;
            oauth.logins.metadata_changed(key.clone(), now);
            Some(changed)
        })
    }

    /// Our issuer for an authorization server, if we stand before it.
    fn relayed(&self, mount: &Mount, issuer: &str, resource: &str) -> Option<String> {
        (self.mode == OauthMode::Relay).then_some(())?;
        let server = self.servers.learn(mount.upstream.index, issuer, resource)?;
        Some(server.issuer_for(&mount.own))
    }

    /// Looks out for the loop of tokens that are refused as soon as they are issued.
    pub(crate) fn watch(&self, answered: &Answered<'_>) -> Changes {
        let mut changes = Changes::default();
        // With a relay tokens are for the server's own address, and a refusal has another reason.
        if answered.credential == 0 || self.mode != OauthMode::Assist {
            return changes;
        }
        match answered.status {
            200..=299 => self.logins.accepted(&key(answered)),
            401 if self
                .logins
                .refused(key(answered), answered.credential, answered.now) =>
            {
                changes.warn("401 for a token that the client was issued just now: it is probably for the proxy's address and not for the server's own");
                changes.notice = Some(format!(
                    "{} refuses tokens that its clients were just issued: they ask for one for {}, and the server wants one for its own address. {WAYS_OUT}",
                    answered.mount.upstream.label,
                    answered.mount.origin(),
                ));
            }
            _ => {}
        }
        changes
    }

    /// Looks out for `invalid_target` in what an authorization server says.
    pub(crate) fn target_watch(server: Arc<str>) -> impl Rewrite + 'static {
        DocumentWatch::new(move |text, changes| {
            let error = crate::codec::json::find_path(text, &[crate::codec::json::PathStep::Key("error")]);
            if error == Some(&br#""invalid_target""#[..]) {
                changes.warn(
                    "the authorization server issues no token for the `resource` that it was asked for (invalid_target)",
                );
                changes.notice = Some(format!(
                    "{server} issues no token for the address that it was asked for (invalid_target). {WAYS_OUT}"
                ));
            }
        })
    }

    /// Has the user told something about an upstream.
    pub(crate) fn tell(&self, upstream: &str, at: Timestamp, text: String) {
        let mut notices = lock(&self.notices);
        notices.retain(|(subject, _)| subject != upstream);
        if notices.len() == MAX_NOTICES {
            notices.remove(0);
        }
        tracing::warn!(upstream, "{text}");
        let severity = Severity::Warning;
        notices.push((upstream.to_owned(), Notice { at, severity, text }));
    }

    /// What the user should know since the last call, each with the upstream that it is about.
    pub(crate) fn take_notices(&self) -> Vec<(String, Notice)> {
        std::mem::take(&mut *lock(&self.notices))
    }
}

fn key(answered: &Answered<'_>) -> audience::Key {
    (answered.mount.upstream.index, Arc::clone(&answered.client))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
