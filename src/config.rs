//! What an engine is to do, read from text with errors that say what to write instead.

mod allowed;
pub mod forward;
mod servers;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

use crate::child::GuardCommand;
use crate::intercept::rule::Rule;
use crate::limits::ResourceLimits;
use crate::limits::descriptors::Clamp;
use crate::recording::{RecordingSettings, hide_url_secrets};
use crate::resource::log_ring::LogRing;
use crate::telemetry::OtlpUrl;

use forward::{ForwardConfig, ForwardConfigError};
pub use servers::{AddedHeaders, ServerPorts};

/// What an engine is to do.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Where clients are accepted.
    pub listen: Vec<ListenAddress>,
    /// Servers of the reverse side. None makes a pure forward proxy.
    pub upstreams: Vec<UpstreamConfig>,
    /// Servers of the reverse side that are commands, started here and served over HTTP.
    pub commands: Vec<CommandServer>,
    /// What ends those commands if this process is killed; nothing does if `None`.
    pub guard: Option<GuardCommand>,
    /// Ports on which each server is alone, beside the common ones.
    pub ports: Option<ServerPorts>,
    /// Further names (with or without port) that a `Host` header may have on a loopback listener.
    pub allowed_hosts: Vec<String>,
    /// Further origins that an `Origin` header may have; loopback origins always may.
    pub allowed_origins: Vec<String>,
    /// Interception of TLS, and who may use the forward side by which way.
    pub forward: ForwardConfig,
    /// What is done for authorization in reverse mode.
    pub oauth: OauthMode,
    /// Rules that act on messages from the start, beside those of the file.
    pub rules: Vec<Rule>,
    /// The file of rules, which is read again whenever it changes.
    pub rules_file: Option<PathBuf>,
    /// Whether somebody is there who decides about held messages. Without, they go on.
    pub can_hold: bool,
    /// How often the client of a held event stream is kept with a comment, in whole milliseconds; 10 s if `None`.
    pub comment_every: Option<Duration>,
    /// Every capacity.
    pub limits: ResourceLimits,
    /// Which of them the machine made smaller than they should be; the user is told.
    pub clamps: Vec<Clamp>,
    /// Record from the start.
    pub record: Option<RecordConfig>,
    /// Write secrets into recordings as they are.
    pub records_secrets: bool,
    /// How recordings are written, from the start and later.
    pub recording: RecordingSettings,
    /// Where metrics can be scraped; nowhere if `None`.
    pub metrics: Option<ListenAddress>,
    /// The directory of the control door, through which wrapped commands are shown; no door if `None`.
    pub door: Option<PathBuf>,
    /// Where spans of calls are sent; nowhere if `None`.
    pub otlp: Option<OtlpUrl>,
    /// Where the Log screen finds its lines.
    pub log: LogRing,
}

/// What is done for authorization in reverse mode, where a client dials another address than its server has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OauthMode {
    /// The server's metadata names what the client dials; everything else stays as it is.
    #[default]
    Assist,
    /// The same, and the proxy stands before the authorization server too, so that tokens are for the server's address.
    Relay,
    /// Nothing at all.
    Off,
}

impl OauthMode {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Assist => "assist",
            Self::Relay => "relay",
            Self::Off => "off",
        }
    }
}

impl FromStr for OauthMode {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Assist, Self::Relay, Self::Off];
        let found = all.into_iter().find(|mode| mode.name() == text);
        found.ok_or_else(|| ConfigError::Oauth {
            text: text.to_owned(),
        })
    }
}

/// Where a recording goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordConfig {
    /// The file; a new one in `./recordings` if `None`.
    pub path: Option<PathBuf>,
}

/// Why a piece of configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An address to listen on that cannot be read.
    #[error(
        "cannot listen on `{text}`: {problem}; write HOST:PORT such as 127.0.0.1:8080, or :8080 for both loopback addresses"
    )]
    Listen {
        /// What was given.
        text: String,
        /// What is wrong.
        problem: String,
    },
    /// An upstream that cannot be read.
    #[error(
        "cannot use upstream `{text}`: {problem}; write a URL such as http://127.0.0.1:3001/mcp, or NAME=URL"
    )]
    Upstream {
        /// What was given.
        text: String,
        /// What is wrong.
        problem: String,
    },
    /// Two servers with one name.
    #[error(
        "two servers are called `{name}`; give each its own NAME, in --upstream NAME=URL or in the file that lists them"
    )]
    DuplicateUpstream {
        /// The name.
        name: String,
    },
    /// Two servers that both get everything.
    #[error("two servers without a NAME: write NAME=URL")]
    Unnamed,
    /// A name that takes the paths at which the server without one is served.
    #[error(
        "a server called `{name}` takes the path /{name}, at which clients look for {other}; give it another NAME"
    )]
    HiddenServer {
        /// The name.
        name: String,
        /// What cannot be reached beside it.
        other: String,
    },
    /// A header field that cannot be added to requests.
    #[error("cannot add the header `{name}` to requests: {problem}")]
    Header {
        /// Its name.
        name: String,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
    /// More servers than there are ports.
    #[error(
        "there are not enough ports from {base} on for {servers} servers; begin lower, or write --ports alone for free ones"
    )]
    Ports {
        /// The port of the first one.
        base: u16,
        /// How many servers there are.
        servers: usize,
    },
    /// Something about the forward side or about TLS.
    #[error(transparent)]
    Forward(#[from] ForwardConfigError),
    /// A mode of authorization that there is not.
    #[error("`{text}` is nothing that can be done for OAuth; write assist, relay or off")]
    Oauth {
        /// What was given.
        text: String,
    },
    /// The authorization server would be relayed for others.
    #[error(
        "--oauth relay hands out authorization endpoints of its own and is for this machine only: listen on a loopback address instead of {address}"
    )]
    OpenRelay {
        /// The address that others can reach.
        address: String,
    },
    /// A name that no `Host` can have.
    #[error(
        "`{text}` can be no Host of a request; write --allow-host NAME or NAME:PORT, without http:// and without a path"
    )]
    AllowedHost {
        /// What was given.
        text: String,
    },
    /// A text that no `Origin` can be.
    #[error(
        "`{text}` can be no Origin of a request; write --allow-origin SCHEME://HOST or SCHEME://HOST:PORT such as http://app.example:3000, without a path"
    )]
    AllowedOrigin {
        /// What was given.
        text: String,
    },
    /// An upstream that is this proxy itself.
    #[error(
        "upstream {url} is this proxy's own address; requests would run in a circle: point --upstream at the server"
    )]
    Loop {
        /// Its URL.
        url: String,
    },
}

/// `HOST:PORT` to listen on; the host may stand for several addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    text: String,
    addresses: Vec<SocketAddr>,
}

impl ListenAddress {
    /// The addresses to bind, the first one mandatory; of `:PORT` and `localhost` a missing second family is no error.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The same hosts at another port.
    pub(crate) fn at_port(&self, port: u16) -> Self {
        let at = |address: &SocketAddr| SocketAddr::new(address.ip(), port);
        Self {
            text: self.text.clone(),
            addresses: self.addresses.iter().map(at).collect(),
        }
    }

    /// Whether anyone but this machine can connect.
    pub fn is_open_to_others(&self) -> bool {
        self.addresses.iter().any(|address| !address.ip().is_loopback())
    }
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for ListenAddress {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = |problem: String| ConfigError::Listen {
            text: text.to_owned(),
            problem,
        };
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| problem("there is no `:PORT`".to_owned()))?;
        let port: u16 = port
            .parse()
            .map_err(|_| problem(format!("`{port}` is not a port from 0 to 65535")))?;
        let addresses = match host {
            "" | "localhost" => {
                vec![
                    (IpAddr::from(Ipv4Addr::LOCALHOST), port).into(),
                    (IpAddr::from(Ipv6Addr::LOCALHOST), port).into(),
                ]
            }
            _ => {
                let host = host
                    .strip_prefix('[')
                    .and_then(|host| host.strip_suffix(']'))
                    .unwrap_or(host);
                let found = (host, port)
                    .to_socket_addrs()
                    .map_err(|error| problem(format!("`{host}`: {error}")))?;
                found.take(1).collect()
            }
        };
        if addresses.is_empty() {
            return Err(problem(format!("`{host}` has no address")));
        }
        Ok(Self {
            text: text.to_owned(),
            addresses,
        })
    }
}

/// How an upstream is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamProtocol {
    /// HTTP/1.1 over TCP.
    Http,
    /// HTTP/1.1 or HTTP/2 by ALPN over TLS.
    Https,
    /// HTTP/2 over TCP with prior knowledge, written `h2c://`.
    H2c,
}

/// One server of the reverse side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Its mount point and name on screen; `None` for the one that gets everything.
    pub name: Option<String>,
    /// How it is spoken to.
    pub protocol: UpstreamProtocol,
    /// Host and port.
    pub authority: Authority,
    /// Path and query of its MCP endpoint.
    pub path: PathAndQuery,
    /// Fields that each request to it gets.
    pub headers: AddedHeaders,
    /// It is said to speak the older HTTP+SSE, which clients have to be told.
    pub speaks_sse: bool,
    /// What is shown in the place of its host and URL, which nobody would know; such as the name of a recording.
    pub shown_as: Option<String>,
}

impl UpstreamConfig {
    /// The scheme for request targets.
    pub fn scheme(&self) -> Scheme {
        if self.protocol == UpstreamProtocol::Https {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        }
    }

    /// The port that is dialled.
    pub fn port(&self) -> u16 {
        let default = if self.protocol == UpstreamProtocol::Https {
            443
        } else {
            80
        };
        self.authority.port_u16().unwrap_or(default)
    }

    /// `http://host:port`, as it is written in URLs of its own.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme(), self.authority)
    }

    /// The full URL.
    pub fn url(&self) -> String {
        let scheme = match self.protocol {
            UpstreamProtocol::Http => "http",
            UpstreamProtocol::Https => "https",
            UpstreamProtocol::H2c => "h2c",
        };
        format!("{scheme}://{}{}", self.authority, self.path)
    }

    /// The full URL as it can be shown: with `***` for the secrets in its query, or [`Self::shown_as`].
    pub fn shown_url(&self) -> String {
        let shown = self.shown_as.clone();
        shown.unwrap_or_else(|| hide_url_secrets(&self.url()))
    }

    /// What it is called on screen.
    pub fn label(&self) -> Arc<str> {
        let shown = self.shown_as.as_deref().unwrap_or(self.authority.as_str());
        self.name.as_deref().unwrap_or(shown).into()
    }
}

impl FromStr for UpstreamConfig {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Errors end up in logs.
        let (masked, _) = crate::recording::redact::masked_argument(text, false);
        let shown = masked.as_deref().unwrap_or(text);
        let problem = |problem: &str| ConfigError::Upstream {
            text: shown.to_owned(),
            problem: problem.to_owned(),
        };
        let (name, url) = split_name(text);
        if let Some(name) = name
            && !name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        {
            return Err(problem("a NAME may have letters, digits, `-`, `_` and `.` only"));
        }
        if url.contains('#') {
            return Err(problem("a URL with a `#fragment` cannot be requested"));
        }
        let uri: Uri = url.parse().map_err(|error| problem(&format!("{error}")))?;
        let protocol = match uri.scheme_str() {
            Some("http") => UpstreamProtocol::Http,
            Some("https") => UpstreamProtocol::Https,
            Some("h2c") => UpstreamProtocol::H2c,
            Some("ws") => {
                return Err(problem("a WebSocket begins as an HTTP request: write http://…"));
            }
            Some("wss") => {
                return Err(problem("a WebSocket begins as an HTTP request: write https://…"));
            }
            Some(_) => {
                return Err(problem(
                    "the scheme is not http, https or h2c (HTTP/2 without TLS)",
                ));
            }
            None => return Err(problem("there is no http:// or https://")),
        };
        let authority = uri
            .authority()
            .cloned()
            .ok_or_else(|| problem("there is no host"))?;
        if authority.as_str().contains('@') {
            return Err(problem(
                "a URL with a user or password would end up in logs; let the client send Authorization",
            ));
        }
        let path = uri
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self {
            name: name.map(str::to_owned),
            protocol,
            authority,
            path,
            headers: AddedHeaders::default(),
            speaks_sse: false,
            shown_as: None,
        })
    }
}

/// A server that is a command which speaks MCP on its standard input and output.
///
/// Only our own configuration can name one; nothing in a request ever becomes a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandServer {
    /// Its mount point and name on screen; `None` for the one that gets everything.
    pub name: Option<String>,
    /// The program, looked up in `PATH` if it has no slash.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its working directory; ours if `None`.
    pub cwd: Option<PathBuf>,
    /// Variables that are set beside those of our own environment.
    pub env: Vec<(String, String)>,
}

impl CommandServer {
    /// What it is called on screen: its name, or the program without its folder.
    pub fn label(&self) -> Arc<str> {
        let program = || {
            std::path::Path::new(&self.program)
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or(&self.program)
        };
        self.name.as_deref().unwrap_or_else(program).into()
    }
}

/// `NAME=URL`, where the URL may itself have a `=`.
fn split_name(text: &str) -> (Option<&str>, &str) {
    match text.split_once('=') {
        Some((name, url)) if !name.contains([':', '/', '?']) => (Some(name), url),
        _ => (None, text),
    }
}

impl Config {
    /// Checks what no part can check for itself.
    ///
    /// # Errors
    /// [`ConfigError`] for names used twice or in the way of another server, for a `Host` or an `Origin` that cannot be, for an upstream or a proxy on the way that is a listener of ours, for a relay of
    /// authorization servers that other machines could use, and for ports that do not exist.
    pub fn check(&self) -> Result<(), ConfigError> {
        servers::check_names(&self.upstreams, &self.commands)?;
        allowed::check(&self.allowed_hosts, &self.allowed_origins)?;
        let open = self.listen.iter().find(|address| address.is_open_to_others());
        if let Some(open) = open.filter(|_| self.oauth == OauthMode::Relay) {
            return Err(ConfigError::OpenRelay {
                address: open.to_string(),
            });
        }
        for upstream in &self.upstreams {
            if self.is_own_address(&upstream.authority, upstream.port()) {
                return Err(ConfigError::Loop {
                    url: upstream.shown_url(),
                });
            }
        }
        self.forward.check()?;
        if let Some(via) = &self.forward.via
            && self.is_own_address(via.authority(), via.authority().port_u16().unwrap_or(80))
        {
            let url = via.to_string();
            return Err(ForwardConfigError::ViaLoop { url }.into());
        }
        match self.ports {
            Some(ServerPorts::From(base)) if self.port_of(self.servers().saturating_sub(1)).is_none() => {
                let servers = self.servers();
                Err(ConfigError::Ports { base, servers })
            }
            _ => Ok(()),
        }
    }

    /// How many servers the reverse side has.
    pub fn servers(&self) -> usize {
        self.upstreams.len() + self.commands.len()
    }

    /// The port on which the server at `place` is alone: upstreams first, then commands.
    pub(crate) fn port_of(&self, place: usize) -> Option<u16> {
        self.ports?.of(place)
    }

    fn is_own_address(&self, authority: &Authority, port: u16) -> bool {
        let host = authority.host();
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let own_ports: Vec<u16> = (0..self.servers())
            .filter_map(|place| self.port_of(place))
            .collect();
        let mut addresses = self.listen.iter().flat_map(ListenAddress::addresses);
        addresses.any(|address| {
            let is_same_host = bare.parse() == Ok(address.ip())
                || (bare.eq_ignore_ascii_case("localhost") && address.ip().is_loopback());
            let is_same_port = address.port() == port || own_ports.contains(&port);
            port != 0 && is_same_port && is_same_host
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(text: &str) -> UpstreamConfig {
        text.parse().unwrap()
    }

    #[test]
    fn the_url_of_a_websocket_is_refused_with_what_to_write() {
        for (url, instead) in [
            ("ws://127.0.0.1:9/mcp", "write http://"),
            ("a=wss://x.dev/mcp", "write https://"),
        ] {
            let error = url.parse::<UpstreamConfig>().unwrap_err().to_string();
            assert!(error.contains(instead), "{error}");
        }
    }

    #[test]
    fn a_bare_port_means_both_loopback_addresses() {
        let address: ListenAddress = ":8080".parse().unwrap();
        let shown: Vec<String> = address.addresses().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["127.0.0.1:8080", "[::1]:8080"]);
        assert!(!address.is_open_to_others());
        assert!("0.0.0.0:1".parse::<ListenAddress>().unwrap().is_open_to_others());
    }

    #[test]
    fn an_address_without_port_says_what_to_write() {
        let error = "localhost".parse::<ListenAddress>().unwrap_err().to_string();
        assert!(
            error.contains("write HOST:PORT such as 127.0.0.1:8080"),
            "{error}"
        );
        assert!("127.0.0.1:99999".parse::<ListenAddress>().is_err());
    }

    #[test]
    fn an_upstream_is_read_with_and_without_name() {
        let plain = upstream("http://127.0.0.1:3001/mcp?x=1");
        assert_eq!(
            (plain.name.as_deref(), plain.url().as_str()),
            (None, "http://127.0.0.1:3001/mcp?x=1")
        );
        let named = upstream("db=https://example.com/mcp");
        assert_eq!((named.name.as_deref(), named.port()), (Some("db"), 443));
        assert_eq!(upstream("h2c://127.0.0.1:9/").url(), "h2c://127.0.0.1:9/");
        assert_eq!(
            upstream("https://a.dev/mcp?api_key=s3cret&page=2").shown_url(),
            "https://a.dev/mcp?api_key=***&page=2"
        );
    }

    #[test]
    fn an_upstream_that_cannot_work_is_refused_with_the_reason() {
        for (text, reason) in [
            ("127.0.0.1:3001/mcp", "invalid"),
            ("ftp://x/", "http, https"),
            ("http://u:s3cret@x/", "password"),
            ("http://x/?api_key=s3cret#y", "fragment"),
            ("a b=http://x/", "letters"),
        ] {
            let error = text.parse::<UpstreamConfig>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_circle_a_relay_for_others_and_a_name_used_twice_are_refused() {
        let listen = vec![":8080".parse().unwrap()];
        let circle = Config {
            listen: listen.clone(),
            upstreams: vec![upstream("http://localhost:8080/mcp")],
            ..Config::default()
        };
        assert!(matches!(circle.check(), Err(ConfigError::Loop { .. })));
        let open_relay = Config {
            listen: vec![":1".parse().unwrap(), "0.0.0.0:2".parse().unwrap()],
            oauth: OauthMode::Relay,
            ..Config::default()
        };
        let refused = open_relay.check().unwrap_err().to_string();
        assert!(refused.contains("instead of 0.0.0.0:2"), "{refused}");
        let twice = vec![upstream("a=http://x:1/"), upstream("a=http://x:2/")];
        let twice = Config {
            listen,
            upstreams: twice,
            ..Config::default()
        };
        assert_eq!(
            twice.check(),
            Err(ConfigError::DuplicateUpstream { name: "a".to_owned() })
        );
    }

    #[test]
    fn a_name_in_the_way_of_the_server_without_one_is_refused() {
        let cat = CommandServer {
            name: None,
            program: "/bin/cat".to_owned(),
            args: Vec::new(),
            cwd: None,
            env: Vec::new(),
        };
        let refusal = |upstreams: &[&str], commands: &[&CommandServer]| {
            let config = Config {
                upstreams: upstreams.iter().map(|text| upstream(text)).collect(),
                commands: commands.iter().map(|command| (*command).clone()).collect(),
                ..Config::default()
            };
            config.check().err().map(|error| error.to_string())
        };
        for name in ["mcp", "sse", "messages"] {
            let refused = refusal(&[&format!("{name}=http://x/")], &[&cat]).unwrap();
            assert!(
                refused.contains(&format!("/{name}")) && refused.contains("`cat`"),
                "{refused}"
            );
        }
        assert!(
            refusal(&["cat=http://x/"], &[&cat])
                .unwrap()
                .contains("two servers are called `cat`")
        );
        assert_eq!(refusal(&["dog=http://x/"], &[&cat]), None);
        assert_eq!(refusal(&["mcp=http://x/"], &[]), None);
        assert!(
            refusal(&["http://x/a/b", "a=http://y/"], &[])
                .unwrap()
                .contains("http://x/a/b")
        );
        assert_eq!(
            refusal(&["http://x/ab", "a=http://y/", "b=http://z/ab"], &[]),
            None
        );
        for two in [
            refusal(&["http://x/", "http://y/"], &[]),
            refusal(&["http://x/"], &[&cat]),
        ] {
            assert_eq!(two.as_deref(), Some("two servers without a NAME: write NAME=URL"));
        }
    }
}
