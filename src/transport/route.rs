//! Where a request goes, decided from its first line and a few fields. Pure: no socket, no DNS.
//!
//! Source: RFC 9110 and 9112 for the request forms; MCP, Transports, "Security Warning" for Host and Origin.

mod guard;

use std::net::SocketAddr;
use std::sync::Arc;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Uri, Version};

use crate::ca::CERTIFICATE_FILE;
use crate::config::forward::ForwardConfig;
use crate::config::{Config, OauthMode, UpstreamConfig, UpstreamProtocol};

use super::bridge::Goal;
use super::headers::host_value;
use super::oauth::{paths, servers};
use guard::host_of;

/// A configured upstream with its counters' place.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) config: UpstreamConfig,
    pub(crate) label: Arc<str>,
    /// `Host` as it has to hear it.
    pub(crate) host: HeaderValue,
    /// Where its counters are.
    pub(crate) index: usize,
}

/// What the routing needs to know of the configuration.
#[derive(Debug)]
pub(crate) struct Routes {
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    /// The names of commands, in the order of the configuration.
    commands: Vec<Option<String>>,
    allowed_hosts: Vec<String>,
    allowed_origins: Vec<String>,
    oauth: OauthMode,
    forward: ForwardConfig,
}

/// The host that this proxy is called by those who ask it for its certificate through itself. Never resolves (RFC 6761
/// §6.4).
const OWN_NAME: &str = "shadowcat.invalid";

/// The tunnel in which a request came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Within {
    pub(crate) scheme: Scheme,
    /// Where it goes, without a port that the scheme implies.
    pub(crate) authority: Authority,
    /// What its client speaks, for a request that we make in its place.
    pub(crate) spoken: Option<Version>,
}

/// What the routing needs to know of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    /// Our end of the connection.
    pub(crate) local: SocketAddr,
    /// The one server that this end is for; `None` where all are.
    pub(crate) only: Option<ServerPlace>,
    pub(crate) within: Option<&'a Within>,
    /// All our listeners on this machine, each with the one server that it is for.
    pub(crate) listeners: Listeners<'a>,
}

/// Where we listen.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Listeners<'a> {
    /// Where all servers are.
    pub(crate) common: &'a [SocketAddr],
    /// Where one server is alone.
    pub(crate) ports: &'a [(ServerPlace, SocketAddr)],
}

/// Which of the configured servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerPlace {
    /// The upstream at this place of the configuration.
    Upstream(usize),
    /// The command at this place of the configuration.
    Command(usize),
}

impl ServerPlace {
    /// All servers of `config`, in the order in which they get ports of their own.
    pub(crate) fn all(config: &Config) -> impl Iterator<Item = Self> {
        let upstreams = (0..config.upstreams.len()).map(Self::Upstream);
        upstreams.chain((0..config.commands.len()).map(Self::Command))
    }
}

/// Where a request goes.
#[derive(Debug, Clone)]
pub(crate) enum Route {
    /// To a configured upstream.
    Reverse {
        upstream: Arc<Upstream>,
        target: Uri,
        /// Prefix under which the upstream is mounted: empty or `/NAME`.
        mount: String,
        /// What the client calls us: for URLs that we rewrite.
        own_authority: Option<Authority>,
    },
    /// To a command that is served here.
    Bridge(Goal),
    /// To an authorization server that we stand before.
    Authorization {
        asked: servers::Asked,
        /// What the client calls us.
        own: Authority,
    },
    /// To where the client says.
    Forward { target: Uri, authority: Authority },
    /// To the certificate of the local authority.
    Certificate,
    /// To where the client says, as a tunnel.
    Connect { authority: Authority },
    /// Nowhere: the reason and what to do.
    Nowhere(Nowhere),
}

/// Why a request goes nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Nowhere {
    /// Origin-form, and no upstream is configured.
    NoUpstream,
    /// No upstream has this name.
    UnknownMount { name: String, known: Vec<String> },
    /// The `Host` is none of ours (DNS rebinding).
    ForeignHost { host: String },
    /// The `Origin` is not allowed.
    ForeignOrigin { origin: String },
    /// A forward request over a connection from beyond this machine.
    OpenProxy,
    /// A forward request without the credentials that are asked for.
    ProxyAuth,
    /// A tunnel to where none may go.
    NotAllowed { authority: String },
    /// A request for another server than the one that its tunnel goes to.
    Misdirected { asked: String, tunnel: String },
    /// The destination is this listener.
    Loop,
    /// TRACE.
    Trace,
    /// A target that cannot be requested from anyone.
    BadTarget { target: String },
}

impl Routes {
    pub(crate) fn new(config: &Config) -> Self {
        let upstream = |(index, config): (usize, &UpstreamConfig)| {
            Arc::new(Upstream {
                config: config.clone(),
                label: config.label(),
                host: host_value(&config.authority, config.scheme() == Scheme::HTTPS),
                index,
            })
        };
        Self {
            oauth: config.oauth,
            upstreams: config.upstreams.iter().enumerate().map(upstream).collect(),
            commands: config
                .commands
                .iter()
                .map(|command| command.name.clone())
                .collect(),
            allowed_hosts: config
                .allowed_hosts
                .iter()
                .map(|host| host.to_ascii_lowercase())
                .collect(),
            allowed_origins: config
                .allowed_origins
                .iter()
                .map(|origin| origin.to_ascii_lowercase())
                .collect(),
            forward: config.forward.clone(),
        }
    }

    /// Decides. Total: every request has an answer.
    pub(crate) fn route(&self, asked: Asked<'_>) -> Route {
        if asked.method == Method::TRACE {
            return Route::Nowhere(Nowhere::Trace);
        }
        if let Some(within) = asked.within {
            return tunnelled(asked, within);
        }
        if asked.method == Method::CONNECT {
            return self.connect(asked);
        }
        match asked.uri.authority() {
            Some(authority) if authority.host().eq_ignore_ascii_case(OWN_NAME) => own_page(asked),
            Some(authority) if !self.names_us(authority, asked.local) => {
                match self.elsewhere(authority, asked) {
                    Some(there) => self.reverse(there, Some(authority.clone())),
                    None => self.forward(asked, authority),
                }
            }
            named => self.reverse(asked, named.cloned().or_else(|| host_of(asked.headers))),
        }
    }

    /// The same request at the one of our other listeners that `authority` names: a client that was told to use this one
    /// as its proxy may ask it for them all.
    fn elsewhere<'a>(&self, authority: &Authority, asked: Asked<'a>) -> Option<Asked<'a>> {
        let Listeners { common, ports } = asked.listeners;
        let common = common.iter().map(|local| (None, *local));
        let mut all = common.chain(ports.iter().map(|(place, local)| (Some(*place), *local)));
        let (only, local) = all.find(|(_, local)| self.names_us(authority, *local))?;
        Some(Asked { local, only, ..asked })
    }

    fn connect(&self, asked: Asked<'_>) -> Route {
        let Some(authority) = asked.uri.authority() else {
            return Route::Nowhere(Nowhere::BadTarget {
                target: asked.uri.to_string(),
            });
        };
        if self.names_us(authority, asked.local) {
            return Route::Nowhere(Nowhere::Loop);
        }
        if let Some(refused) = self.forward_guard(asked) {
            return Route::Nowhere(refused);
        }
        if !self.forward.allows_connect(authority) {
            return Route::Nowhere(Nowhere::NotAllowed {
                authority: authority.to_string(),
            });
        }
        Route::Connect {
            authority: authority.clone(),
        }
    }

    fn forward(&self, asked: Asked<'_>, authority: &Authority) -> Route {
        match self.forward_guard(asked) {
            Some(refused) => Route::Nowhere(refused),
            None => forward(asked, authority),
        }
    }

    fn reverse(&self, asked: Asked<'_>, own_authority: Option<Authority>) -> Route {
        if let Some(refused) = self.guard(asked, own_authority.as_ref()) {
            return Route::Nowhere(refused);
        }
        let path = asked
            .uri
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/"));
        // Its address is made of what the client calls us, which may be the port of an upstream.
        if self.oauth == OauthMode::Relay
            && !matches!(asked.only, Some(ServerPlace::Command(_)))
            && asked.local.ip().is_loopback()
            && let Some(server) = servers::Asked::parse(path.as_str())
            && let Some(own) = own_authority.clone()
        {
            return Route::Authorization { asked: server, own };
        }
        if let Some(ServerPlace::Upstream(place)) = asked.only
            && let Some(upstream) = self.upstreams.get(place)
        {
            return to_upstream(upstream, &path, String::new(), own_authority);
        }
        if let Some(ServerPlace::Command(index)) = asked.only {
            return Route::Bridge(command_at_root(index, path.path()));
        }
        let named = self.named(&path, own_authority.as_ref());
        named.unwrap_or_else(|| self.unnamed(&path, own_authority))
    }

    /// Where a path that begins with the name of a server goes, or one that is about a named one.
    fn named(&self, path: &PathAndQuery, own_authority: Option<&Authority>) -> Option<Route> {
        let mut named = self
            .upstreams
            .iter()
            .filter(|upstream| upstream.config.name.is_some());
        let mounted = named.find_map(|upstream| {
            let path = mounted_path(path, &upstream.mount(), upstream)?;
            Some((Arc::clone(upstream), path))
        });
        if let Some((upstream, path)) = mounted.or_else(|| self.metadata(path)) {
            let mount = upstream.mount();
            return Some(to_upstream(&upstream, &path, mount, own_authority.cloned()));
        }
        self.named_command(path.path()).map(Route::Bridge)
    }

    /// Where every other path goes: to the server without a name, of which there is one at most.
    fn unnamed(&self, path: &PathAndQuery, own_authority: Option<Authority>) -> Route {
        if let Some(index) = self.commands.iter().position(Option::is_none) {
            return Route::Bridge(command_at_root(index, path.path()));
        }
        let mut upstreams = self.upstreams.iter();
        match upstreams.find(|upstream| upstream.config.name.is_none()) {
            Some(upstream) => to_upstream(upstream, path, String::new(), own_authority),
            None if is_certificate(path.path()) => Route::Certificate,
            None => Route::Nowhere(self.unknown(path.path())),
        }
    }

    fn unknown(&self, path: &str) -> Nowhere {
        if self.upstreams.is_empty() && self.commands.is_empty() {
            return Nowhere::NoUpstream;
        }
        let names = self
            .upstreams
            .iter()
            .filter_map(|upstream| upstream.config.name.as_ref());
        Nowhere::UnknownMount {
            name: path.split('/').nth(1).unwrap_or_default().to_owned(),
            known: names.chain(self.commands.iter().flatten()).cloned().collect(),
        }
    }

    /// The named upstream whose metadata is at a client's path, and the path there. The well-known part stands before the
    /// name; without a name it is clear only if there is one upstream.
    fn metadata(&self, path: &PathAndQuery) -> Option<(Arc<Upstream>, PathAndQuery)> {
        let suffix = paths::suffix(path.as_str()).filter(|_| self.oauth != OauthMode::Off)?;
        let mut named = self
            .upstreams
            .iter()
            .filter(|upstream| upstream.config.name.is_some());
        let found = named.find_map(|upstream| {
            let path = paths::mounted_suffix(suffix, &upstream.mount(), upstream)?;
            Some((Arc::clone(upstream), path))
        });
        match &self.upstreams[..] {
            [only] if only.config.name.is_some() && !suffix.starts_with('/') => {
                found.or_else(|| Some((Arc::clone(only), path.clone())))
            }
            _ => found,
        }
    }

    /// The command whose name `path` begins with.
    fn named_command(&self, path: &str) -> Option<Goal> {
        let mut parts = path.trim_start_matches('/').splitn(2, '/');
        let (name, rest) = (parts.next()?, parts.next().unwrap_or_default());
        let index = self
            .commands
            .iter()
            .position(|command| command.as_deref() == Some(name))?;
        Some(Goal {
            index,
            endpoint: format!("/{name}"),
            is_endpoint: rest.is_empty() || rest == "mcp",
        })
    }
}

/// A command that gets every path: it is served at `/mcp` and at the root.
fn command_at_root(index: usize, path: &str) -> Goal {
    Goal {
        index,
        endpoint: "/mcp".to_owned(),
        is_endpoint: matches!(path, "/mcp" | "/mcp/" | "/"),
    }
}

fn is_certificate(path: &str) -> bool {
    path.strip_prefix('/') == Some(CERTIFICATE_FILE)
}

/// What this proxy has to say through itself.
fn own_page(asked: Asked<'_>) -> Route {
    if is_certificate(asked.uri.path()) {
        Route::Certificate
    } else {
        Route::Nowhere(Nowhere::NoUpstream)
    }
}

/// A request inside a tunnel goes to where the tunnel goes. One that names another server is turned away with 421 (RFC
/// 9110 §15.5.20), so that nobody gets anywhere else through a tunnel that was allowed.
fn tunnelled(asked: Asked<'_>, within: &Within) -> Route {
    let bad_target = || {
        Route::Nowhere(Nowhere::BadTarget {
            target: asked.uri.to_string(),
        })
    };
    if asked.method == Method::CONNECT {
        return bad_target();
    }
    if let Some(authority) = asked.uri.authority()
        && !is_same_server(asked.uri.scheme(), authority, within)
    {
        return Route::Nowhere(Nowhere::Misdirected {
            asked: authority.to_string(),
            tunnel: within.authority.to_string(),
        });
    }
    let path = asked.uri.path_and_query().cloned();
    let target = Uri::builder()
        .scheme(within.scheme.clone())
        .authority(within.authority.clone())
        .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
        .build();
    match target {
        Ok(target) => Route::Forward {
            target,
            authority: within.authority.clone(),
        },
        Err(_) => bad_target(),
    }
}

fn is_same_server(scheme: Option<&Scheme>, authority: &Authority, within: &Within) -> bool {
    let default = if within.scheme == Scheme::HTTPS { 443 } else { 80 };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
    scheme.is_none_or(|scheme| *scheme == within.scheme)
        && !authority.as_str().contains('@')
        && authority.host().eq_ignore_ascii_case(within.authority.host())
        && port(authority) == port(&within.authority)
}

fn forward(asked: Asked<'_>, authority: &Authority) -> Route {
    let is_http = asked
        .uri
        .scheme()
        .is_none_or(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    if !is_http || authority.as_str().contains('@') {
        return Route::Nowhere(Nowhere::BadTarget {
            target: asked.uri.to_string(),
        });
    }
    let mut parts = asked.uri.clone().into_parts();
    parts.scheme.get_or_insert(Scheme::HTTP);
    parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    match Uri::from_parts(parts) {
        Ok(target) => Route::Forward {
            target,
            authority: authority.clone(),
        },
        Err(_) => Route::Nowhere(Nowhere::BadTarget {
            target: asked.uri.to_string(),
        }),
    }
}

/// The upstream's path for a client's path under `mount`: `/NAME` is the URL's path, `/NAME/x` is `/x` at its origin.
pub(crate) fn mounted_path(path: &PathAndQuery, mount: &str, upstream: &Upstream) -> Option<PathAndQuery> {
    let rest = path.as_str().strip_prefix(mount)?;
    match rest.bytes().next() {
        None => Some(upstream.config.path.clone()),
        Some(b'?') if upstream.config.path.query().is_none() => {
            format!("{}{rest}", upstream.config.path).parse().ok()
        }
        Some(b'?') => format!("{}&{}", upstream.config.path, rest.trim_start_matches('?'))
            .parse()
            .ok(),
        Some(b'/') => rest.parse().ok(),
        Some(_) => None,
    }
}

/// Built from parts, so that no path can change the authority.
fn to_upstream(
    upstream: &Arc<Upstream>,
    path: &PathAndQuery,
    mount: String,
    own_authority: Option<Authority>,
) -> Route {
    let target = Uri::builder()
        .scheme(upstream.config.scheme())
        .authority(upstream.config.authority.clone())
        .path_and_query(path.clone())
        .build();
    match target {
        Ok(target) => Route::Reverse {
            upstream: Arc::clone(upstream),
            target,
            mount,
            own_authority,
        },
        Err(_) => Route::Nowhere(Nowhere::BadTarget {
            target: path.to_string(),
        }),
    }
}

impl Upstream {
    /// The prefix under which it is mounted: empty or `/NAME`.
    pub(crate) fn mount(&self) -> String {
        let name = self.config.name.as_ref();
        name.map_or_else(String::new, |name| format!("/{name}"))
    }

    pub(crate) fn is_h2c(&self) -> bool {
        self.config.protocol == UpstreamProtocol::H2c
    }
}

#[cfg(test)]
mod tests;
