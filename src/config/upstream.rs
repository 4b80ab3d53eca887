//! Servers of the reverse side that are reached over HTTP.

use std::str::FromStr;
use std::sync::Arc;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

use crate::recording::{hide_url_secrets, redact};

use super::{AddedHeaders, ConfigError};

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
        let (masked, _) = redact::masked_argument(text, redact::Behind::Nothing);
        let shown = masked.as_deref().unwrap_or(text);
        let problem = |problem: &str| ConfigError::Upstream {
            text: shown.to_owned(),
            problem: problem.to_owned(),
        };
        let (name, url) = split_name(text);
        if name.is_some_and(|name| !is_name(name)) {
            return Err(problem("a NAME may have letters, digits, `-`, `_` and `.` only"));
        }
        if url.contains('#') {
            return Err(problem("a URL with a `#fragment` cannot be requested"));
        }
        let uri: Uri = url.parse().map_err(|error| problem(&format!("{error}")))?;
        let protocol = protocol_of(&uri).map_err(problem)?;
        let authority = uri
            .authority()
            .cloned()
            .ok_or_else(|| problem("there is no host"))?;
        if authority.as_str().contains('@') {
            return Err(problem(
                "a URL with a user or password would end up in logs; let the client send Authorization",
            ));
        }
        if let Some(wrong) = port_problem(&authority) {
            return Err(problem(wrong));
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

/// How the server of a URL is spoken to, or what is wrong with the scheme.
fn protocol_of(uri: &Uri) -> Result<UpstreamProtocol, &'static str> {
    match uri.scheme_str() {
        Some("http") => Ok(UpstreamProtocol::Http),
        Some("https") => Ok(UpstreamProtocol::Https),
        Some("h2c") => Ok(UpstreamProtocol::H2c),
        Some("ws") => Err("a WebSocket begins as an HTTP request: write http://…"),
        Some("wss") => Err("a WebSocket begins as an HTTP request: write https://…"),
        Some(_) => Err("the scheme is not http, https or h2c (HTTP/2 without TLS)"),
        None => Err("there is no http:// or https://"),
    }
}

/// What is wrong with the port of a URL, which the parser of URLs does not look at: without one that can be read it would be
/// the usual one of the scheme.
pub(crate) fn port_problem(authority: &Authority) -> Option<&'static str> {
    let place = authority.as_str();
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    // The colons of an IPv6 address stand in brackets.
    let after_host = place.rsplit_once(']').map_or(place, |(_, after)| after);
    match after_host.rsplit_once(':')?.1 {
        "" => Some("there is a colon, and no port behind it"),
        port if port.parse::<u16>().is_ok_and(|port| port > 0) => None,
        _ => Some("the port is no number from 1 to 65535"),
    }
}

fn is_name(text: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.bytes().all(is_of_name)
}

/// `NAME=URL`, where the URL may itself have a `=`.
fn split_name(text: &str) -> (Option<&str>, &str) {
    match text.split_once('=') {
        Some((name, url)) if !name.contains([':', '/', '?']) => (Some(name), url),
        _ => (None, text),
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
    fn an_upstream_is_read_with_and_without_name() {
        let plain = upstream("http://127.0.0.1:3001/mcp?x=1");
        assert_eq!(
            (plain.name.as_deref(), plain.url().as_str()),
            (None, "http://127.0.0.1:3001/mcp?x=1")
        );
        let named = upstream("db=https://example.com/mcp");
        assert_eq!((named.name.as_deref(), named.port()), (Some("db"), 443));
        assert_eq!(upstream("h2c://127.0.0.1:9/").url(), "h2c://127.0.0.1:9/");
        assert_eq!(upstream("http://[::1]/mcp").port(), 80);
        assert_eq!(upstream("http://[::1]:65535/mcp").port(), 65535);
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
            ("http://127.0.0.1:", "no port behind it"),
            ("https://[::1]:/mcp", "no port behind it"),
            ("a=http://x:/mcp", "no port behind it"),
            ("http://x:0/mcp", "1 to 65535"),
            ("http://x:70000/mcp", "1 to 65535"),
        ] {
            let error = text.parse::<UpstreamConfig>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
