//! What to speak to, and with which headers.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::UpstreamConfig;
use crate::config::forward::{ForwardConfig, HostPattern, ViaProxy};

use super::OutwardError;
use super::http::client;

/// Most requests that may wait for their answers at once, unless asked for otherwise.
pub const DEFAULT_MAX_REQUESTS: usize = 256;
/// Longest message in bytes, in either direction, unless asked for otherwise.
pub const DEFAULT_MAX_MESSAGE_BYTES: usize = 16 << 20;
/// How long answers are waited for once the input has ended, unless asked for otherwise.
pub const DEFAULT_DRAIN: Duration = Duration::from_secs(10);

/// What [`run`](super::run) does.
#[derive(Debug, Clone)]
pub struct OutwardConfig {
    /// The server. Its name is not used.
    pub server: UpstreamConfig,
    /// Sent with every request. [`StaticHeader`] refuses those that are ours to set.
    pub headers: HeaderMap,
    /// Files of further roots (PEM) that may vouch for the server.
    pub upstream_ca: Vec<PathBuf>,
    /// Hosts whose certificates are not checked, each a single one. That is told beside the messages.
    pub insecure: Vec<HostPattern>,
    /// The proxy through which the server is reached; one that is elsewhere is not used for a server of this machine.
    /// Not for `h2c://`.
    pub via: Option<ViaProxy>,
    /// Requests that wait for their answers at once. A further one is answered with an error: if it waited, an answer
    /// of the client's behind it could not reach the server, which may be what the others wait for.
    pub max_requests: usize,
    /// Longest message in bytes, in either direction. A longer one is refused with an error. All answers that are
    /// being read take sixteen times this much at most.
    pub max_message_bytes: usize,
    /// How long answers are waited for once the input has ended.
    pub drain: Duration,
}

impl OutwardConfig {
    /// For a server, without headers and with the default bounds.
    pub fn new(server: UpstreamConfig) -> Self {
        Self {
            server,
            headers: HeaderMap::new(),
            upstream_ca: Vec::new(),
            insecure: Vec::new(),
            via: None,
            max_requests: DEFAULT_MAX_REQUESTS,
            max_message_bytes: DEFAULT_MAX_MESSAGE_BYTES,
            drain: DEFAULT_DRAIN,
        }
    }

    /// Finds out whether there can be a client for the server, which [`run`](super::run) needs. Reads files; blocks.
    ///
    /// # Errors
    /// [`OutwardError::Way`] and [`OutwardError::Client`].
    pub fn check(&self) -> Result<(), OutwardError> {
        client(self).map(drop)
    }

    /// What it says about the way to the server.
    pub(super) fn way(&self) -> ForwardConfig {
        ForwardConfig {
            upstream_ca: self.upstream_ca.clone(),
            insecure: self.insecure.clone(),
            via: self.via.clone(),
            ..ForwardConfig::default()
        }
    }

    /// Adds a header; one that is there already stays beside it.
    pub fn add(&mut self, header: StaticHeader) {
        self.headers.append(header.name, header.value);
    }
}

/// A header for every request to the server. Its value is not shown by `Debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticHeader {
    name: HeaderName,
    value: HeaderValue,
}

/// A text is no header for requests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StaticHeaderError {
    /// There is no colon. The text is not repeated, it may be a secret.
    #[error("a header is written as 'Name: value'")]
    NoColon,
    /// What stands before the colon is no name.
    #[error("`{0}` is no header name")]
    Name(String),
    /// The value has line ends or other control characters.
    #[error("the value of the header {0} cannot be sent; it must be one line of text")]
    Value(HeaderName),
    /// The header says what only this side of the connection can know.
    #[error("the header {0} is set by each request itself and cannot be chosen")]
    Reserved(HeaderName),
}

/// Headers that a request has for its own reasons.
const RESERVED: [&str; 13] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "te",
    "transfer-encoding",
    "upgrade",
];

impl StaticHeader {
    /// A header from its name and its value; blanks around the value are not part of it.
    ///
    /// # Errors
    /// [`StaticHeaderError`] if it cannot be sent, or is not ours to choose.
    pub fn new(name: &str, value: &str) -> Result<Self, StaticHeaderError> {
        let name: HeaderName = name
            .trim()
            .parse()
            .map_err(|_| StaticHeaderError::Name(name.trim().to_owned()))?;
        if RESERVED.contains(&name.as_str()) {
            return Err(StaticHeaderError::Reserved(name));
        }
        let Ok(mut value) = HeaderValue::from_str(value.trim()) else {
            return Err(StaticHeaderError::Value(name));
        };
        value.set_sensitive(true);
        Ok(Self { name, value })
    }
}

impl std::str::FromStr for StaticHeader {
    type Err = StaticHeaderError;

    /// Reads `Name: value`.
    fn from_str(text: &str) -> Result<Self, StaticHeaderError> {
        let (name, value) = text.split_once(':').ok_or(StaticHeaderError::NoColon)?;
        Self::new(name, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_and_its_value_is_not_shown() {
        let header: StaticHeader = "Authorization: Bearer s3cret".parse().unwrap();
        assert_eq!(
            header,
            StaticHeader::new("authorization", "Bearer s3cret").unwrap()
        );
        assert!(!format!("{header:?}").contains("s3cret"));
    }

    #[test]
    fn what_cannot_be_sent_or_is_not_ours_to_choose_is_refused() {
        let refused = |text: &str| text.parse::<StaticHeader>().unwrap_err().to_string();
        assert!(!refused("s3cret").contains("s3cret"));
        assert!(refused("a b: c").contains("`a b`"));
        assert!(refused("X-A: b\r\nX-C: d").contains("one line"));
        assert!(refused("Mcp-Session-Id: 1").contains("cannot be chosen"));
    }
}
