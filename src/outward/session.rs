//! What is agreed with the server.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;
use tokio_util::sync::CancellationToken;

use super::mirror::{METHOD, Mirror};

pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const REVISION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// What is agreed with the server. Nothing of it is needed in the modern era, except what requests repeat.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// The session's id.
    pub(super) id: Option<HeaderValue>,
    /// The revision of the legacy era that was agreed on.
    revision: Option<HeaderValue>,
    /// Where messages go with the transport HTTP+SSE.
    pub(super) endpoint: Option<Url>,
    /// The revision that the latest modern request stated.
    modern: Option<HeaderValue>,
    pub(super) mirror: Mirror,
    /// Ends the stream for what the server says on its own.
    pub(super) listening: CancellationToken,
}

/// What a message says of itself, as far as headers repeat it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stated<'a> {
    pub(super) method: Option<&'a str>,
    /// The revision, for the modern era.
    pub(super) revision: Option<&'a str>,
    pub(super) is_handshake: bool,
}

impl Session {
    /// A handshake begins: what was agreed before does not count any more, but the way messages go stays.
    pub(super) fn begin(&mut self) {
        self.listening.cancel();
        *self = Self {
            endpoint: self.endpoint.take(),
            modern: self.modern.take(),
            mirror: std::mem::take(&mut self.mirror),
            ..Self::default()
        };
    }

    /// The handshake was answered.
    pub(super) fn agree(&mut self, revision: Option<&str>) {
        self.revision = revision.and_then(|revision| HeaderValue::from_str(revision).ok());
    }

    /// Whether a handshake was answered.
    pub(super) fn is_agreed(&self) -> bool {
        self.revision.is_some()
    }

    /// Whether the client speaks the modern era only, as far as it has spoken.
    pub(super) fn is_modern(&self) -> bool {
        self.modern.is_some() && !self.is_agreed()
    }

    /// Sets the headers for a message.
    pub(super) fn apply(&mut self, stated: Stated<'_>, message: &[u8], headers: &mut HeaderMap) {
        if let Some(Ok(revision)) = stated.revision.map(HeaderValue::from_str) {
            self.modern = Some(revision.clone());
            headers.insert(REVISION, revision);
            self.mirror
                .apply(stated.method.unwrap_or_default(), message, headers);
        } else if !stated.is_handshake {
            self.apply_agreed(headers);
            if let (true, Some(revision)) = (self.is_modern(), &self.modern) {
                headers.insert(REVISION, revision.clone());
                if let Some(Ok(method)) = stated.method.map(HeaderValue::from_str) {
                    headers.insert(METHOD, method);
                }
            }
        }
    }

    /// Sets the headers for a stream, or for the end of the session.
    pub(super) fn apply_agreed(&self, headers: &mut HeaderMap) {
        for (name, value) in [(SESSION_ID, &self.id), (REVISION, &self.revision)] {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
    }
}

/// The endpoint that an HTTP+SSE server names, if it is at the origin that was dialled. At another one it would get
/// the headers that are meant for this one.
pub(super) fn endpoint(dialled: &Url, named: &str) -> Option<Url> {
    let endpoint = dialled.join(named.trim()).ok()?;
    (endpoint.origin() == dialled.origin()).then_some(endpoint)
}

/// Only JSON, or an event stream.
pub(super) fn accept(headers: &mut HeaderMap, media_types: &'static str) {
    headers.insert(header::ACCEPT, HeaderValue::from_static(media_types));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_resolved_and_stays_at_its_origin() {
        let dialled = Url::parse("http://127.0.0.1:3001/a/sse").unwrap();
        let at = |named: &str| endpoint(&dialled, named).map(|url| url.to_string());
        assert_eq!(at("/m?s=1").unwrap(), "http://127.0.0.1:3001/m?s=1");
        assert_eq!(at("m/x").unwrap(), "http://127.0.0.1:3001/a/m/x");
        assert_eq!(at("?s=1").unwrap(), "http://127.0.0.1:3001/a/sse?s=1");
        assert_eq!(at("http://127.0.0.1:3001/m").unwrap(), "http://127.0.0.1:3001/m");
        assert_eq!(at("http://127.0.0.1:3002/m"), None);
        assert_eq!(at("//evil.example/m"), None);
    }
}
