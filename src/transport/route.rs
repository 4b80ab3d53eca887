//! Where a request goes, decided from its first line and a few fields. Pure: no socket, no DNS.
//!
//! Source: RFC 9110 and 9112 for the request forms; MCP, Transports, "Security Warning" for Host and Origin.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Uri, header};

use crate::ca::CERTIFICATE_FILE;
use crate::config::forward::ForwardConfig;
use crate::config::{Config, OauthMode, UpstreamConfig, UpstreamProtocol};

use super::bridge::Goal;
use super::headers::host_value;
use super::oauth::{paths, servers};

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
            Some(authority) if !self.names_us(authority, asked.local) => self.forward(asked, authority),
            named => self.reverse(asked, named.cloned().or_else(|| host_of(asked.headers))),
        }
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

    /// Who may use the forward side: this machine, or whoever has the credentials if there are any.
    fn forward_guard(&self, asked: Asked<'_>) -> Option<Nowhere> {
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

    fn reverse(&self, asked: Asked<'_>, own_authority: Option<Authority>) -> Route {
        if let Some(refused) = self.guard(asked, own_authority.as_ref()) {
            return Route::Nowhere(refused);
        }
        let path = asked
            .uri
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/"));
        if let Some(ServerPlace::Upstream(place)) = asked.only
            && let Some(upstream) = self.upstreams.get(place)
        {
            return to_upstream(upstream, &path, String::new(), own_authority);
        }
        if let Some(ServerPlace::Command(index)) = asked.only {
            return Route::Bridge(command_at_root(index, path.path()));
        }
        if self.oauth == OauthMode::Relay
            && asked.local.ip().is_loopback()
            && let Some(server) = servers::Asked::parse(path.as_str())
            && let Some(own) = own_authority.clone()
        {
            return Route::Authorization { asked: server, own };
        }
        let named = self
            .upstreams
            .iter()
            .filter(|upstream| upstream.config.name.is_some());
        for upstream in named {
            let mount = upstream.mount();
            if let Some(path) = mounted_path(&path, &mount, upstream) {
                return to_upstream(upstream, &path, mount, own_authority);
            }
        }
        if let Some((upstream, path)) = self.metadata(&path) {
            let mount = upstream.mount();
            return to_upstream(&upstream, &path, mount, own_authority);
        }
        if let Some(goal) = self.named_command(path.path()) {
            return Route::Bridge(goal);
        }
        if let Some(index) = self.commands.iter().position(Option::is_none) {
            return Route::Bridge(command_at_root(index, path.path()));
        }
        match self
            .upstreams
            .iter()
            .find(|upstream| upstream.config.name.is_none())
        {
            Some(upstream) => to_upstream(upstream, &path, String::new(), own_authority),
            None if is_certificate(path.path()) => Route::Certificate,
            None if self.upstreams.is_empty() && self.commands.is_empty() => {
                Route::Nowhere(Nowhere::NoUpstream)
            }
            None => {
                let name = path.path().split('/').nth(1).unwrap_or_default().to_owned();
                let known = self
                    .upstreams
                    .iter()
                    .filter_map(|upstream| upstream.config.name.clone())
                    .chain(self.commands.iter().flatten().cloned());
                Route::Nowhere(Nowhere::UnknownMount {
                    name,
                    known: known.collect(),
                })
            }
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

    /// Why a request to a listener of ours that is no proxy is refused: the same checks of `Host` and `Origin`.
    pub(crate) fn refusal(&self, asked: Asked<'_>) -> Option<Nowhere> {
        self.guard(asked, host_of(asked.headers).as_ref())
    }

    /// On a loopback listener the `Host` must be ours, since a web page can make a browser connect to it under any name.
    fn guard(&self, asked: Asked<'_>, own_authority: Option<&Authority>) -> Option<Nowhere> {
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

    fn is_allowed_origin(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        let host = origin
            .split_once("://")
            .and_then(|(_, rest)| rest.parse::<Authority>().ok());
        let is_loopback = host.is_some_and(|authority| is_loopback_name(authority.host()));
        is_loopback || self.allowed_origins.contains(&origin)
    }

    /// Whether `authority` is this listener: our port under a loopback name, our address, or a configured name.
    fn names_us(&self, authority: &Authority, local: SocketAddr) -> bool {
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

/// A command that gets every path: it is served at `/mcp` and at the root.
fn command_at_root(index: usize, path: &str) -> Goal {
    Goal {
        index,
        endpoint: "/mcp".to_owned(),
        is_endpoint: matches!(path, "/mcp" | "/mcp/" | "/"),
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

fn host_of(headers: &HeaderMap) -> Option<Authority> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?;
    let authority = host.to_str().ok()?.parse::<Authority>().ok()?;
    (hosts.next().is_none() && !authority.as_str().contains('@')).then_some(authority)
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
mod tests {
    use super::*;

    fn routes(upstreams: &[&str]) -> Routes {
        Routes::new(&Config {
            upstreams: upstreams.iter().map(|text| text.parse().unwrap()).collect(),
            allowed_hosts: vec!["cat.example".to_owned()],
            ..Config::default()
        })
    }

    fn ask(routes: &Routes, method: &str, target: &str, fields: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let asked = Asked {
            method: &method.parse().unwrap(),
            uri: &target.parse().unwrap(),
            headers: &headers,
            local: "127.0.0.1:8080".parse().unwrap(),
            only: None,
            within: None,
        };
        shown(routes.route(asked))
    }

    fn shown(route: Route) -> String {
        match route {
            Route::Reverse { target, mount, .. } => format!("reverse {mount} {target}"),
            Route::Bridge(goal) => format!("bridge {} {} {}", goal.index, goal.endpoint, goal.is_endpoint),
            Route::Forward { target, .. } => format!("forward {target}"),
            Route::Authorization { asked, .. } => format!("authorization {asked:?}"),
            Route::Connect { authority } => format!("connect {authority}"),
            Route::Certificate => "certificate".to_owned(),
            Route::Nowhere(nowhere) => format!("{nowhere:?}"),
        }
    }

    const OURS: &[(&str, &str)] = &[("host", "127.0.0.1:8080")];

    #[test]
    fn one_unnamed_upstream_keeps_the_target_byte_for_byte() {
        let routes = routes(&["http://up:3001/mcp"]);
        for target in ["/mcp", "/mcp/", "/a/../b//c%2f?x=%27&&", "/"] {
            assert_eq!(
                ask(&routes, "POST", target, OURS),
                format!("reverse  http://up:3001{target}")
            );
        }
    }

    #[test]
    fn named_upstreams_live_under_their_name() {
        let routes = routes(&["db=http://up:1/mcp", "gh=http://up:2/x/mcp?k=v"]);
        for (target, expected) in [
            ("/db", "reverse /db http://up:1/mcp"),
            ("/db?a=b", "reverse /db http://up:1/mcp?a=b"),
            ("/gh?a=b", "reverse /gh http://up:2/x/mcp?k=v&a=b"),
            ("/db/other", "reverse /db http://up:1/other"),
            ("/dbx", r#"UnknownMount { name: "dbx", known: ["db", "gh"] }"#),
        ] {
            assert_eq!(ask(&routes, "POST", target, OURS), expected);
        }
    }

    #[test]
    fn commands_live_under_their_name_or_at_mcp() {
        let command = |name: Option<&str>| crate::config::CommandServer {
            name: name.map(str::to_owned),
            program: "x".to_owned(),
            args: Vec::new(),
            cwd: None,
            env: Vec::new(),
        };
        let routes = Routes::new(&Config {
            upstreams: vec!["db=http://up:1/mcp".parse().unwrap()],
            commands: vec![command(Some("fs")), command(None)],
            ..Config::default()
        });
        for (target, expected) in [
            ("/db", "reverse /db http://up:1/mcp"),
            ("/fs", "bridge 0 /fs true"),
            ("/fs/mcp?x", "bridge 0 /fs true"),
            ("/fs/other", "bridge 0 /fs false"),
            ("/mcp", "bridge 1 /mcp true"),
            ("/.well-known/oauth-protected-resource/mcp", "bridge 1 /mcp false"),
        ] {
            assert_eq!(ask(&routes, "POST", target, OURS), expected);
        }
        let foreign = ask(&routes, "POST", "/mcp", &[("host", "evil.example")]);
        assert!(foreign.starts_with("ForeignHost"), "{foreign}");
    }

    #[test]
    fn at_a_port_of_its_own_a_named_upstream_gets_every_path_as_it_is() {
        let routes = routes(&["db=http://up:1/mcp", "gh=http://up:2/x/mcp"]);
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:9002"));
        for target in ["/x/mcp", "/db", "/?a=b"] {
            let asked = Asked {
                method: &Method::POST,
                uri: &target.parse().unwrap(),
                headers: &headers,
                local: "127.0.0.1:9002".parse().unwrap(),
                only: Some(ServerPlace::Upstream(1)),
                within: None,
            };
            let Route::Reverse {
                target: onward,
                mount,
                ..
            } = routes.route(asked)
            else {
                panic!("{target} went nowhere");
            };
            assert_eq!(
                (onward.to_string(), mount),
                (format!("http://up:2{target}"), String::new())
            );
        }
    }

    #[test]
    fn no_path_can_change_the_authority() {
        let routes = routes(&["http://up:3001/mcp", "db=http://db:1/mcp"]);
        for target in [
            "//evil.example/",
            "/@evil.example",
            "/db//evil.example/",
            "/db/@evil",
            "/db/..%2f",
        ] {
            let uri: Uri = ask(&routes, "GET", target, OURS)
                .rsplit(' ')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            assert!(
                ["up", "db"].contains(&uri.host().unwrap()),
                "{target} went to {uri}"
            );
        }
    }

    #[test]
    fn an_absolute_target_is_forward_unless_it_names_us() {
        let routes = routes(&["http://up:3001/mcp"]);
        assert_eq!(
            ask(&routes, "GET", "http://x.dev/a?b", &[]),
            "forward http://x.dev/a?b"
        );
        assert_eq!(
            ask(&routes, "GET", "http://localhost:8080/mcp", OURS),
            "reverse  http://up:3001/mcp"
        );
        assert_eq!(ask(&routes, "CONNECT", "x.dev:443", &[]), "connect x.dev:443");
        assert_eq!(ask(&routes, "CONNECT", "127.0.0.1:8080", &[]), "Loop");
        assert_eq!(ask(&routes, "TRACE", "/", OURS), "Trace");
    }

    #[test]
    fn foreign_hosts_and_origins_are_refused_on_loopback() {
        let routes = routes(&["http://up:3001/mcp"]);
        let refused =
            |fields: &[(&'static str, &str)]| !ask(&routes, "POST", "/mcp", fields).starts_with("reverse");
        assert!(refused(&[("host", "evil.example:8080")]));
        assert!(refused(&[("host", "localhost:9999")]));
        assert!(refused(&[]));
        assert!(refused(&[("host", "127.0.0.1:8080"), ("host", "127.0.0.1:8080")]));
        assert!(refused(&[("host", "localhost:8080"), ("origin", "null")]));
        assert!(refused(&[
            ("host", "localhost:8080"),
            ("origin", "https://evil.example")
        ]));
        assert!(!refused(&[
            ("host", "[::1]:8080"),
            ("origin", "http://localhost:5173")
        ]));
        assert!(!refused(&[("host", "cat.example")]));
    }

    #[test]
    fn forwarding_is_for_this_machine_only() {
        let asked = Asked {
            method: &Method::GET,
            uri: &"http://x.dev/".parse().unwrap(),
            headers: &HeaderMap::new(),
            local: "10.0.0.5:8080".parse().unwrap(),
            only: None,
            within: None,
        };
        assert!(matches!(
            routes(&[]).route(asked),
            Route::Nowhere(Nowhere::OpenProxy)
        ));
        let mut guarded = routes(&[]);
        guarded.forward.proxy_auth = Some("me:secret".parse().unwrap());
        assert!(matches!(guarded.route(asked), Route::Nowhere(Nowhere::ProxyAuth)));
        let mut headers = HeaderMap::new();
        headers.insert(
            "proxy-authorization",
            HeaderValue::from_static("Basic bWU6c2VjcmV0"),
        );
        let proved = Asked {
            headers: &headers,
            ..asked
        };
        assert!(matches!(guarded.route(proved), Route::Forward { .. }));
    }

    #[test]
    fn credentials_are_asked_of_forward_requests_only() {
        let mut routes = routes(&["http://up:3001/mcp"]);
        routes.forward.proxy_auth = Some("me:secret".parse().unwrap());
        let proof = &[("proxy-authorization", "Basic bWU6c2VjcmV0")];
        for (method, target) in [("GET", "http://x.dev/a"), ("CONNECT", "x.dev:443")] {
            assert_eq!(ask(&routes, method, target, &[]), "ProxyAuth");
            let wrong = &[("proxy-authorization", "Basic bWU6d3Jvbmc=")];
            assert_eq!(ask(&routes, method, target, wrong), "ProxyAuth");
            assert_ne!(ask(&routes, method, target, proof), "ProxyAuth");
        }
        assert!(ask(&routes, "POST", "/mcp", OURS).starts_with("reverse"));
        assert!(routes.takes_proxy_authorization());
    }

    #[test]
    fn tunnels_go_where_they_may() {
        let mut routes = routes(&[]);
        routes.forward.allow_connect = vec!["*.dev:443".parse().unwrap()];
        assert_eq!(ask(&routes, "CONNECT", "x.dev:443", &[]), "connect x.dev:443");
        for place in ["x.dev:22", "x.com:443"] {
            assert!(ask(&routes, "CONNECT", place, &[]).starts_with("NotAllowed"));
        }
    }

    #[test]
    fn inside_a_tunnel_nobody_gets_anywhere_else() {
        let within = Within {
            scheme: Scheme::HTTPS,
            authority: "x.dev".parse().unwrap(),
        };
        let go = |method: &str, target: &str| {
            shown(routes(&["http://up:3001/mcp"]).route(Asked {
                method: &method.parse().unwrap(),
                uri: &target.parse().unwrap(),
                headers: &HeaderMap::new(),
                local: "127.0.0.1:8080".parse().unwrap(),
                only: None,
                within: Some(&within),
            }))
        };
        for target in ["/mcp?a=//b", "//evil.dev/", "/@evil.dev", "/..%2f"] {
            assert_eq!(go("POST", target), format!("forward https://x.dev{target}"));
        }
        for target in ["https://x.dev/a", "https://X.dev:443/a"] {
            assert_eq!(go("GET", target), "forward https://x.dev/a");
        }
        for target in [
            "https://evil.dev/",
            "http://x.dev/",
            "https://x.dev:444/",
            "https://a@x.dev/",
            "http://127.0.0.1:8080/mcp",
        ] {
            assert!(go("GET", target).starts_with("Misdirected"), "{target}");
        }
        assert!(go("CONNECT", "x.dev:443").starts_with("BadTarget"));
        assert!(go("OPTIONS", "*").starts_with("forward https://x.dev"));
        assert_eq!(go("TRACE", "/"), "Trace");
    }

    #[test]
    fn the_certificate_is_where_no_upstream_has_its_place() {
        let nobody = routes(&[]);
        assert_eq!(ask(&nobody, "GET", "/shadowcat-ca.pem", OURS), "certificate");
        assert!(ask(&nobody, "GET", "/shadowcat-ca.pem", &[]).starts_with("ForeignHost"));
        let server = routes(&["http://up:3001/mcp"]);
        assert!(ask(&server, "GET", "/shadowcat-ca.pem", OURS).starts_with("reverse"));
        assert_eq!(
            ask(&server, "GET", "http://shadowcat.invalid/shadowcat-ca.pem", &[]),
            "certificate"
        );
        assert_eq!(
            ask(&server, "GET", "http://shadowcat.invalid/", &[]),
            "NoUpstream"
        );
    }
}
