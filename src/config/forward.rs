//! What the forward side is to do beside passing requests on: interception of TLS, who may use it, and by which way.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Uri;
use http::uri::Authority;
use ring::digest;

use super::port_problem;

/// Everything that is said about the forward side, and about TLS on both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForwardConfig {
    /// Directory of the local certificate authority. `None`: what is in a tunnel is not looked at.
    pub ca_dir: Option<PathBuf>,
    /// Hosts whose tunnels are not looked at.
    pub no_intercept: Vec<HostPattern>,
    /// Upstreams and destinations whose certificates are not checked.
    pub insecure: Vec<HostPattern>,
    /// Files of further roots (PEM) for upstreams and destinations.
    pub upstream_ca: Vec<PathBuf>,
    /// Where tunnels may go; everywhere if empty.
    pub allow_connect: Vec<ConnectRule>,
    /// What forward requests have to prove.
    pub proxy_auth: Option<ProxyCredentials>,
    /// The proxy through which everything is sent on.
    pub via: Option<ViaProxy>,
}

impl ForwardConfig {
    /// Checks what no value can check for itself.
    ///
    /// # Errors
    /// [`ForwardConfigError::InsecurePattern`].
    pub(crate) fn check(&self) -> Result<(), ForwardConfigError> {
        match self.insecure.iter().find(|pattern| !pattern.is_one_host()) {
            Some(pattern) => Err(ForwardConfigError::InsecurePattern {
                text: pattern.to_string(),
            }),
            None => Ok(()),
        }
    }

    /// Whether tunnels to `host` are passed on without a look.
    pub fn is_blind_to(&self, host: &str) -> bool {
        self.ca_dir.is_none() || self.no_intercept.iter().any(|pattern| pattern.matches(host))
    }

    /// Whether certificates of `host` are not checked.
    pub fn is_insecure(&self, host: &str) -> bool {
        self.insecure.iter().any(|pattern| pattern.matches(host))
    }

    /// Whether a tunnel to `authority` may be opened.
    pub fn allows_connect(&self, authority: &Authority) -> bool {
        self.allow_connect.is_empty() || self.allow_connect.iter().any(|rule| rule.matches(authority))
    }
}

/// A piece of it cannot be used. Never names a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardConfigError {
    /// A host that cannot be one.
    #[error("`{text}` is no host; write a name such as api.example.com, an address, *.example.com, or *")]
    Host {
        /// What was given.
        text: String,
    },
    /// A destination that cannot be one.
    #[error("`{text}` is no HOST or HOST:PORT; write such as api.example.com:443 or *.example.com")]
    Connect {
        /// What was given.
        text: String,
    },
    /// Credentials without a colon, or none at all.
    #[error("credentials are written USER:PASSWORD, or @FILE for a file that holds this")]
    Credentials,
    /// The file of credentials cannot be read.
    #[error("could not read the credentials in {}: {problem}", .path.display())]
    CredentialsFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// A proxy that cannot be used.
    #[error(
        "cannot send through this proxy: {problem}; write http://HOST:PORT or http://USER:PASSWORD@HOST:PORT"
    )]
    Via {
        /// What is wrong.
        problem: &'static str,
    },
    /// The proxy is this proxy.
    #[error(
        "the proxy {url} is this proxy's own address; requests would run in a circle: name the other one in --via"
    )]
    ViaLoop {
        /// Its URL, without credentials.
        url: String,
    },
    /// A pattern where one host has to be named.
    #[error(
        "certificates are left unchecked for single hosts only, and `{text}` means several; repeat --insecure HOST"
    )]
    InsecurePattern {
        /// What was given.
        text: String,
    },
    /// Roots that cannot be used.
    #[error("cannot use the certificates in {}: {problem}; --upstream-ca needs a file in PEM form", .path.display())]
    UpstreamCa {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// A host, all hosts below a name (`*.example.com`), or every host (`*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern(String);

impl HostPattern {
    /// Whether `host` is meant, with or without the brackets of an IPv6 address. `*.example.com` does not mean `example.com`.
    pub fn matches(&self, host: &str) -> bool {
        let host = plain_host(host);
        match self.0.strip_prefix('*') {
            Some("") => true,
            Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            None => host == self.0,
        }
    }

    /// Whether one host is meant, and no pattern.
    pub fn is_one_host(&self) -> bool {
        !self.0.starts_with('*')
    }
}

/// A host as it is compared: small letters, no brackets, no dot at the end.
pub(crate) fn plain_host(host: &str) -> String {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = bare.unwrap_or(host);
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for HostPattern {
    type Err = ForwardConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let host = plain_host(text.trim());
        let name = match host.strip_prefix('*') {
            Some("") => return Ok(Self(host)),
            Some(suffix) => suffix.strip_prefix('.').unwrap_or_default(),
            None => host.as_str(),
        };
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        if is_name || host.parse::<IpAddr>().is_ok() {
            return Ok(Self(host));
        }
        Err(ForwardConfigError::Host {
            text: text.to_owned(),
        })
    }
}

/// A destination of tunnels: a host, and a port unless all are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectRule {
    host: HostPattern,
    port: Option<u16>,
}

impl ConnectRule {
    /// Whether a tunnel to `authority` is meant. Without a port, CONNECT means 443.
    pub fn matches(&self, authority: &Authority) -> bool {
        let port = authority.port_u16().unwrap_or(443);
        self.port.is_none_or(|allowed| allowed == port) && self.host.matches(authority.host())
    }
}

impl fmt::Display for ConnectRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) if self.host.0.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
            None => self.host.fmt(f),
        }
    }
}

impl FromStr for ConnectRule {
    type Err = ForwardConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |_| ForwardConfigError::Connect {
            text: text.to_owned(),
        };
        // An IPv6 address without brackets has colons of its own.
        let split = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => Some((host, port)),
            _ => None,
        };
        let Some((host, port)) = split else {
            return Ok(Self {
                host: text.parse().map_err(wrong)?,
                port: None,
            });
        };
        let port = port.parse().map_err(|_| ForwardConfigError::Connect {
            text: text.to_owned(),
        })?;
        Ok(Self {
            host: host.parse().map_err(wrong)?,
            port: Some(port),
        })
    }
}

/// A user and a password for a proxy. Shown without the password, also by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyCredentials {
    user: String,
    /// `Basic …`, as it stands in the header.
    field: String,
}

impl ProxyCredentials {
    /// The value of `Proxy-Authorization` that proves them (RFC 7617).
    pub(crate) fn field(&self) -> &str {
        &self.field
    }

    /// Whether a `Proxy-Authorization` proves them. Takes the same time whatever is wrong with it.
    pub(crate) fn are_proved_by(&self, field: &[u8]) -> bool {
        // The scheme's name is written in any case (RFC 9110 §11.1); the rest is compared as digests, of one length.
        let (scheme, rest) = field.split_at(field.len().min(6));
        let ours = self.field.as_bytes().get(6..).unwrap_or_default();
        let (given, wanted) = (sha256(rest.trim_ascii()), sha256(ours));
        let difference = given
            .as_ref()
            .iter()
            .zip(wanted.as_ref())
            .fold(0, |difference, (a, b)| difference | (a ^ b));
        difference == 0 && scheme.eq_ignore_ascii_case(b"basic ")
    }

    fn new(user: &str, password: &str) -> Self {
        Self {
            user: user.to_owned(),
            field: format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))),
        }
    }
}

fn sha256(bytes: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, bytes)
}

impl fmt::Display for ProxyCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:***", self.user)
    }
}

impl fmt::Debug for ProxyCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyCredentials({self})")
    }
}

impl FromStr for ProxyCredentials {
    type Err = ForwardConfigError;

    /// Reads `USER:PASSWORD`, or the first line of FILE for `@FILE`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let from_file;
        let text = match text.strip_prefix('@') {
            Some(path) => {
                from_file =
                    std::fs::read_to_string(path).map_err(|error| ForwardConfigError::CredentialsFile {
                        path: path.into(),
                        problem: error.to_string(),
                    })?;
                from_file.lines().next().unwrap_or_default()
            }
            None => text,
        };
        match text.split_once(':') {
            Some((user, password)) if !user.is_empty() && !password.is_empty() => {
                Ok(Self::new(user, password))
            }
            _ => Err(ForwardConfigError::Credentials),
        }
    }
}

/// Another proxy on the way. Shown without its password, also by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct ViaProxy {
    authority: Authority,
    credentials: Option<ProxyCredentials>,
}

impl ViaProxy {
    /// Its host and port.
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// What it has to be shown.
    pub(crate) const fn credentials(&self) -> Option<&ProxyCredentials> {
        self.credentials.as_ref()
    }

    /// Whether it runs on this machine.
    pub(crate) fn is_here(&self) -> bool {
        is_loopback(self.authority.host())
    }
}

/// Whether `host` is this machine by name or address.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = plain_host(host);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for ViaProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.credentials {
            Some(credentials) => write!(f, "http://{credentials}@{}", self.authority),
            None => write!(f, "http://{}", self.authority),
        }
    }
}

impl fmt::Debug for ViaProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ViaProxy({self})")
    }
}

impl FromStr for ViaProxy {
    type Err = ForwardConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |problem| ForwardConfigError::Via { problem };
        let uri: Uri = text.parse().map_err(|_| wrong("it is no URL"))?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong("its URL has to begin with http://"));
        }
        let authority = uri.authority().ok_or(wrong("there is no host"))?;
        let (userinfo, place) = match authority.as_str().rsplit_once('@') {
            Some((userinfo, place)) => (Some(userinfo), place),
            None => (None, authority.as_str()),
        };
        let credentials = match userinfo.map(|text| text.split_once(':').unwrap_or((text, ""))) {
            Some((user, password)) => {
                let decoded = |text| percent_decoded(text).ok_or(wrong("its credentials are not readable"));
                Some(ProxyCredentials::new(&decoded(user)?, &decoded(password)?))
            }
            None => None,
        };
        let authority: Authority = place
            .parse()
            .map_err(|_| wrong("its host or port cannot be read"))?;
        if let Some(problem) = port_problem(&authority) {
            return Err(wrong(problem));
        }
        Ok(Self {
            authority,
            credentials,
        })
    }
}

/// `%40` and the like undone (RFC 3986 §2.1).
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_pattern_means_a_host_what_is_below_a_name_or_everything() {
        for (text, host, is_meant) in [
            ("Api.Example.com", "api.example.COM.", true),
            ("api.example.com", "x.api.example.com", false),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "badexample.com", false),
            ("*", "[::1]", true),
            ("[::1]", "::1", true),
            ("10.0.0.1", "10.0.0.1", true),
        ] {
            assert_eq!(pattern(text).matches(host), is_meant, "{text} {host}");
        }
        for text in ["", "*x.dev", "a b", "http://x"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_rule_for_tunnels_may_name_a_port() {
        let meant = |rule: &str, authority: &str| {
            let rule: ConnectRule = rule.parse().unwrap();
            rule.matches(&authority.parse().unwrap())
        };
        assert!(meant("x.dev", "x.dev:8443") && meant("x.dev:443", "x.dev"));
        assert!(!meant("x.dev:443", "x.dev:22") && meant("[::1]:443", "[::1]:443"));
        assert!(meant("*.dev:443", "a.dev:443") && meant("::1", "[::1]:9"));
        for text in ["x.dev:no", ":443", "x.dev:99999"] {
            assert!(text.parse::<ConnectRule>().is_err(), "{text}");
        }
    }

    #[test]
    fn credentials_are_proved_by_the_same_only_and_never_shown() {
        let credentials: ProxyCredentials = "aladdin:open:sesame".parse().unwrap();
        let proof = BASE64_STANDARD.encode("aladdin:open:sesame");
        for (field, is_right) in [
            (format!("Basic {proof}"), true),
            (format!("bAsIc  {proof}"), true),
            (format!("Bearer {proof}"), false),
            ("Basic".to_owned(), false),
            (String::new(), false),
            (format!("Basic {}", BASE64_STANDARD.encode("aladdin:open")), false),
        ] {
            assert_eq!(credentials.are_proved_by(field.as_bytes()), is_right, "{field}");
        }
        assert_eq!(
            format!("{credentials} {credentials:?}"),
            "aladdin:*** ProxyCredentials(aladdin:***)"
        );
        assert!("aladdin".parse::<ProxyCredentials>().is_err());
    }

    #[test]
    fn credentials_can_stand_in_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a:b\n").unwrap();
        let read: ProxyCredentials = format!("@{}", file.path().display()).parse().unwrap();
        assert_eq!(read, "a:b".parse().unwrap());
        assert!("@/no/such/file".parse::<ProxyCredentials>().is_err());
    }

    #[test]
    fn a_proxy_on_the_way_is_shown_without_its_password() {
        let via: ViaProxy = "http://me:p%40ss@proxy.example:3128".parse().unwrap();
        assert_eq!(via.to_string(), "http://me:***@proxy.example:3128");
        assert!(!format!("{via:?}").contains("p%40ss"));
        assert!(via.credentials().unwrap().are_proved_by(b"Basic bWU6cEBzcw=="));
        assert_eq!(via.authority().as_str(), "proxy.example:3128");
        for text in ["https://x:1", "x:1", "http://", "http://x:70000"] {
            assert!(text.parse::<ViaProxy>().is_err(), "{text}");
        }
        let wrong = "http://me:s3cret@x:".parse::<ViaProxy>().unwrap_err().to_string();
        assert!(
            wrong.contains("no port behind it") && !wrong.contains("s3cret"),
            "{wrong}"
        );
    }
}
