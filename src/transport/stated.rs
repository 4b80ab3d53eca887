//! What a request's head states about its session and its message, and where the body says otherwise.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use reqwest::Url;
use ring::digest;

use crate::codec::envelope::Envelope;
use crate::mcp::era;
use crate::session::observation::{ExchangeKind, head_text};
use crate::snapshot::{Finding, Severity};

use super::exchange::Beginning;
use super::reader::BodyKind;
use super::rewrite::mount::path_and_query;
use super::websocket::asks_for_socket;

/// What a request's head says about its session.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that have nothing to do with each other"
)]
pub(super) struct Stated {
    pub(super) session_id: Option<Box<str>>,
    protocol_version: Option<HeaderValue>,
    pub(super) method: Option<HeaderValue>,
    name: Option<HeaderValue>,
    pub(super) credential: u64,
    pub(super) target: Box<str>,
    pub(super) is_get: bool,
    pub(super) is_delete: bool,
    /// It asks for an event stream or a WebSocket and says nothing of a session.
    pub(super) asks_for_events: bool,
    pub(super) speaks_mcp: bool,
}

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

impl Stated {
    pub(super) fn read(beginning: &Beginning<'_>) -> Self {
        // Copied: a clone would keep the connection's whole read buffer alive as long as the exchange.
        let value = |name: HeaderName| {
            let value = beginning.headers.get(name)?;
            HeaderValue::from_bytes(value.as_bytes()).ok()
        };
        let is_mcp_name = |name: &HeaderName| name.as_str().starts_with("mcp-");
        let credential = beginning.headers.get(header::AUTHORIZATION);
        Self {
            session_id: value(SESSION_ID).map(|id| head_text(id.as_bytes()).into_boxed_str()),
            protocol_version: value(PROTOCOL_VERSION),
            method: value(METHOD),
            name: value(NAME),
            credential: credential.map_or(0, |value| fingerprint(value.as_bytes())),
            target: path_of(&beginning.target).into(),
            is_get: beginning.method == Method::GET,
            is_delete: beginning.method == Method::DELETE,
            asks_for_events: beginning.method == Method::GET
                && (asks_for_events(beginning.headers) || asks_for_socket(beginning.headers)),
            speaks_mcp: beginning.headers.keys().any(is_mcp_name),
        }
    }

    /// Where a header says something else than the body it mirrors (MCP 2026-07-28, Transports, "Standard Request Headers").
    pub(super) fn disagreements(&self, envelope: &Envelope) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut compare = |header: &str, stated: Option<&HeaderValue>, actual: Option<&str>| {
            if let (Some(stated), Some(actual)) = (stated.map(HeaderValue::as_bytes), actual)
                && stated.trim_ascii() != actual.as_bytes()
                && !stated.starts_with(b"=?base64?")
            {
                let stated = head_text(stated);
                let text = format!("the header {header} says `{stated}`, the body `{actual}`");
                findings.push(Finding {
                    severity: Severity::Warning,
                    text,
                });
            }
        };
        compare("Mcp-Method", self.method.as_ref(), envelope.method.as_deref());
        compare(
            "Mcp-Name",
            self.name.as_ref(),
            crate::session::pairing::subject(envelope),
        );
        compare(
            "MCP-Protocol-Version",
            self.protocol_version.as_ref(),
            era::stated_revision(envelope),
        );
        findings
    }
}

fn asks_for_events(fields: &HeaderMap) -> bool {
    let accepted = fields.get_all(header::ACCEPT).iter();
    let mut texts = accepted.filter_map(|value| value.to_str().ok());
    texts.any(|text| text.to_ascii_lowercase().contains("text/event-stream"))
}

/// A number by which equal credentials can be grouped; never shown and never written.
pub(super) fn fingerprint(secret: &[u8]) -> u64 {
    let digest = digest::digest(&digest::SHA256, secret);
    digest
        .as_ref()
        .iter()
        .take(8)
        .fold(1, |number, byte| number << 8 | u64::from(*byte))
}

/// What the exchange may carry, as far as its head tells.
pub(super) fn exchange_kind(beginning: &Beginning<'_>, stated: &Stated) -> ExchangeKind {
    if beginning.method == Method::CONNECT {
        return ExchangeKind::Tunnel;
    }
    let is_json = BodyKind::of_fields(beginning.headers).is_json();
    let may_carry = beginning.method == Method::POST && (is_json || stated.method.is_some());
    if may_carry {
        ExchangeKind::Message
    } else {
        ExchangeKind::Http
    }
}

/// Path and query of a URL or of a target in absolute form; any other text is that already.
pub(super) fn path_of(text: &str) -> &str {
    match text.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => {
            let start = rest.find(['/', '?']).unwrap_or(rest.len());
            rest.get(start..).filter(|path| !path.is_empty()).unwrap_or("/")
        }
        _ => text,
    }
}

/// Path and query of an HTTP+SSE endpoint, seen from the stream that named it.
pub(super) fn resolve(stream_target: &str, endpoint: &str) -> Box<str> {
    // Only path and query count: which server it is, the session's key says.
    let base = Url::parse("http://localhost").and_then(|base| base.join(stream_target));
    let resolved = base.and_then(|base| base.join(endpoint));
    resolved.map_or_else(|_| endpoint.trim().into(), |url| path_and_query(&url).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_resolved_against_the_stream_that_named_it() {
        for (endpoint, expected) in [
            ("/messages?sessionId=a", "/messages?sessionId=a"),
            ("messages/x", "/a/messages/x"),
            ("?s=1", "/a/sse?s=1"),
            ("http://h:1/m?s=2", "/m?s=2"),
            ("../m", "/m"),
            (" //h/m ", "/m"),
            ("/m?back=http://h/x", "/m?back=http://h/x"),
        ] {
            assert_eq!(&*resolve("/a/sse?x=1", endpoint), expected);
        }
    }

    #[test]
    fn a_target_in_absolute_form_is_known_by_its_path() {
        for (target, expected) in [
            ("http://h:1/m?s=2", "/m?s=2"),
            ("http://h:1", "/"),
            ("/m?u=http://h/", "/m?u=http://h/"),
        ] {
            assert_eq!(path_of(target), expected);
        }
    }

    #[test]
    fn equal_credentials_have_equal_fingerprints_and_none_is_zero() {
        assert_eq!(fingerprint(b"Bearer x"), fingerprint(b"Bearer x"));
        assert_ne!(fingerprint(b"Bearer x"), fingerprint(b"Bearer y"));
        assert_ne!(fingerprint(b""), 0);
    }
}
