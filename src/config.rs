//! What an engine is to do, read from text with errors that say what to write instead.

mod allowed;
pub mod forward;
mod listen;
mod servers;
mod upstream;

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;

use crate::child::GuardCommand;
use crate::intercept::rule::Rule;
use crate::limits::ResourceLimits;
use crate::limits::descriptors::Clamp;
use crate::recording::RecordingSettings;
use crate::resource::log_ring::LogRing;
use crate::telemetry::OtlpUrl;

use forward::{ForwardConfig, ForwardConfigError};
pub use listen::ListenAddress;
pub use servers::{AddedHeaders, ServerPorts};
pub(crate) use upstream::port_problem;
pub use upstream::{UpstreamConfig, UpstreamProtocol};

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

impl Config {
    /// Checks what no part can check for itself.
    ///
    /// # Errors
    /// [`ConfigError`] for names used twice or in the way of another server, for a `Host` or an `Origin` that cannot be, for
    /// an upstream or a proxy on the way that is a listener of ours, for a relay of authorization servers that other
    /// machines could use, and for ports that do not exist.
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
