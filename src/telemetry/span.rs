//! One span: what is told of a call, and how it is written as OTLP/JSON.
//!
//! Arguments, results, resource URIs and error texts are never told, and of a session id only a tag that stands for it.
//!
//! Source: OpenTelemetry semantic conventions for generative AI, "Model Context Protocol"; OpenTelemetry Protocol, "JSON
//! Protobuf Encoding" (ids in hexadecimal, 64-bit numbers as text, enumerations as numbers).

use std::fmt::Write as _;

use serde::Serialize;

use crate::config::UpstreamConfig;
use crate::mcp::trace::TraceContext;
use crate::recording::redact::Tagger;
use crate::session::ended_call::EndedCall;
use crate::snapshot::{Direction, Head, Outcome};

/// `SPAN_KIND_INTERNAL`: what the server asks of its client.
const INTERNAL: u8 = 1;
/// `SPAN_KIND_SERVER`: what the client asks, seen where the server is expected to be.
const SERVER: u8 = 2;
/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;
/// Flags: the trace is sampled.
const SAMPLED: u32 = 0x001;
/// Flags: it is known whether the parent is remote.
const HAS_IS_REMOTE: u32 = 0x100;
/// Flags: it is.
const IS_REMOTE: u32 = 0x200;

/// A span as it is sent.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Span {
    trace_id: String,
    #[serde(rename = "spanId")]
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    flags: u32,
    name: String,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<Attribute>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

#[derive(Debug, Clone, Serialize)]
struct Attribute {
    key: &'static str,
    value: Value,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
enum Value {
    StringValue(String),
    /// A 64-bit number is text in JSON.
    IntValue(String),
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    trace_id: String,
    span_id: String,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Status {
    code: u8,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    address: String,
    port: Option<u16>,
}

impl Target {
    pub(super) fn of_upstream(upstream: &UpstreamConfig) -> Self {
        Self {
            port: Some(upstream.port()),
            ..Self::of_authority(upstream.authority.as_str())
        }
    }

    /// `host:port`, as a forward proxy is asked for it.
    fn of_authority(authority: &str) -> Self {
        let parsed = authority.parse::<http::uri::Authority>().ok();
        let host = parsed.as_ref().map_or(authority, http::uri::Authority::host);
        Self {
            address: host.trim_matches(['[', ']']).to_owned(),
            port: parsed.as_ref().and_then(http::uri::Authority::port_u16),
        }
    }
}

/// The span of a call; `None` if its sender says that its trace is not recorded. `target` is where its server is, if the
/// configuration says so.
pub(super) fn of_call(
    call: &EndedCall<'_>,
    target: Option<&Target>,
    tagger: Option<&Tagger>,
) -> Option<Span> {
    let head = call.exchange().request_head().unwrap_or_default();
    let by_header = field(&head, "traceparent").and_then(TraceContext::parse);
    let context = call.trace.or(by_header);
    if context.is_some_and(|context| !context.is_sampled) {
        return None;
    }
    let remote = context.map_or(0, |_| IS_REMOTE);
    Some(Span {
        trace_id: hex(&context.map_or_else(random, |context| context.trace)),
        id: hex(&random::<8>()),
        parent_span_id: context.map(|context| hex(&context.parent)),
        flags: SAMPLED | HAS_IS_REMOTE | remote,
        name: name(call),
        kind: match call.direction() {
            Direction::ClientToServer => SERVER,
            Direction::ServerToClient => INTERNAL,
        },
        start_time_unix_nano: nanos(call.began()),
        end_time_unix_nano: nanos(call.ended.max(call.began())),
        attributes: attributes(call, &head, target, tagger),
        links: call.trace.and(by_header).map(Link::to).into_iter().collect(),
        status: call.outcome.is_error().then_some(Status { code: ERROR }),
    })
}

impl Link {
    /// The context of the transport, where the message has one of its own.
    fn to(context: TraceContext) -> Self {
        Self {
            trace_id: hex(&context.trace),
            span_id: hex(&context.parent),
        }
    }
}

/// Method and target, the latter only where there are few of them: tools and prompts.
fn name(call: &EndedCall<'_>) -> String {
    match (call.method(), call.subject()) {
        (method @ ("tools/call" | "prompts/get"), Some(subject)) => format!("{method} {subject}"),
        (method, _) => method.to_owned(),
    }
}

fn attributes(
    call: &EndedCall<'_>,
    head: &Head,
    target: Option<&Target>,
    tagger: Option<&Tagger>,
) -> Vec<Attribute> {
    let mut attributes = Attributes::default();
    attributes.text("mcp.method.name", Some(call.method()));
    attributes.text(
        "jsonrpc.request.id",
        call.rpc_id().filter(|id| *id != "null").map(unquoted),
    );
    attributes.text("mcp.protocol.version", call.revision().as_deref());
    let session = field(head, "mcp-session-id");
    let tag = session.zip(tagger).map(|(id, tagger)| tagger.tag(id.as_bytes()));
    attributes.text("mcp.session.id", tag.as_deref());
    attributes.of_subject(call);
    attributes.of_outcome(call.outcome);
    attributes.text("network.transport", Some("tcp"));
    attributes.text("network.protocol.name", Some("http"));
    attributes.text("network.protocol.version", http_version(head));
    let asked = || Target::of_authority(call.exchange().server());
    let target = target.cloned().unwrap_or_else(asked);
    attributes.text("server.address", Some(&target.address));
    attributes.number("server.port", target.port.map(i64::from));
    let shown = call.session().map(|session| session.to_string());
    attributes.text("shadowcat.session", shown.as_deref());
    attributes.0
}

#[derive(Default)]
struct Attributes(Vec<Attribute>);

impl Attributes {
    fn text(&mut self, key: &'static str, value: Option<&str>) {
        self.0.extend(value.map(|text| Attribute {
            key,
            value: Value::StringValue(text.to_owned()),
        }));
    }

    fn number(&mut self, key: &'static str, value: Option<i64>) {
        self.0.extend(value.map(|number| Attribute {
            key,
            value: Value::IntValue(number.to_string()),
        }));
    }

    fn of_subject(&mut self, call: &EndedCall<'_>) {
        match call.method() {
            "tools/call" => {
                self.text("gen_ai.operation.name", Some("execute_tool"));
                self.text("gen_ai.tool.name", call.subject());
            }
            "prompts/get" => self.text("gen_ai.prompt.name", call.subject()),
            _ => {}
        }
    }

    fn of_outcome(&mut self, outcome: Outcome) {
        self.text("shadowcat.outcome", Some(outcome.name()));
        match outcome {
            Outcome::RpcError(code) => {
                let code = code.to_string();
                self.text("rpc.response.status_code", Some(&code));
                self.text("error.type", Some(&code));
            }
            Outcome::HttpError(status) => self.text("error.type", Some(&status.to_string())),
            failed if failed.is_error() => self.text("error.type", Some(failed.name())),
            _ => {}
        }
    }
}

fn field<'a>(head: &'a Head, name: &str) -> Option<&'a str> {
    let is_it = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
    head.fields.iter().find(is_it).map(|(_, value)| value.as_str())
}

/// `1.1` or `2`, from the end of a request's first line.
fn http_version(head: &Head) -> Option<&str> {
    let (_, version) = head.line.rsplit_once("HTTP/")?;
    Some(
        version
            .strip_suffix(".0")
            .filter(|major| *major != "1")
            .unwrap_or(version),
    )
}

/// A JSON-RPC id without the quotes that tell a text from a number on screen.
fn unquoted(id: &str) -> &str {
    id.strip_prefix('"')
        .and_then(|id| id.strip_suffix('"'))
        .unwrap_or(id)
}

fn nanos(at: crate::clock::Timestamp) -> String {
    (u128::from(at.as_micros()) * 1000).to_string()
}

/// Random bytes that are not all zero, which would be no id.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let source = ring::rand::SystemRandom::new();
    let filled = ring::rand::SecureRandom::fill(&source, &mut bytes);
    if filled.is_err() || bytes == [0; N] {
        // A system without randomness: the span is shown, though perhaps among others.
        bytes[N - 1] = 1;
    }
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A request to a receiver of traces with these spans in it.
pub(super) fn export_request(spans: &[Span]) -> Vec<u8> {
    let text = |key: &'static str, value: &str| Attribute {
        key,
        value: Value::StringValue(value.to_owned()),
    };
    let version = env!("CARGO_PKG_VERSION");
    let request = serde_json::json!({
        "resourceSpans": [{
            "resource": {
                "attributes": [text("service.name", "shadowcat-tui"), text("service.version", version)],
            },
            "scopeSpans": [{
                "scope": { "name": "shadowcat", "version": version },
                "spans": spans,
            }],
        }],
    });
    request.to_string().into_bytes()
}

#[cfg(test)]
impl Span {
    pub(super) fn named(name: &str) -> Self {
        Self {
            trace_id: hex(&random::<16>()),
            id: hex(&random::<8>()),
            parent_span_id: None,
            flags: 0,
            name: name.to_owned(),
            kind: SERVER,
            start_time_unix_nano: String::new(),
            end_time_unix_nano: String::new(),
            attributes: Vec::new(),
            links: Vec::new(),
            status: None,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_told_as_host_and_port() {
        for (authority, address, port) in [
            ("example.com:8080", "example.com", Some(8080)),
            ("example.com", "example.com", None),
            ("[::1]:9", "::1", Some(9)),
        ] {
            let target = Target::of_authority(authority);
            assert_eq!((target.address.as_str(), target.port), (address, port));
        }
        let upstream = "db=https://example.com/mcp".parse().unwrap();
        assert_eq!(Target::of_upstream(&upstream).port, Some(443));
    }

    #[test]
    fn protocol_versions_are_told_as_the_conventions_spell_them() {
        for (line, version) in [
            ("POST /mcp HTTP/1.1", Some("1.1")),
            ("POST http://h/mcp HTTP/2.0", Some("2")),
            ("GET / HTTP/1.0", Some("1.0")),
            ("", None),
        ] {
            let head = Head {
                line: line.to_owned(),
                fields: Vec::new(),
            };
            assert_eq!(http_version(&head), version, "{line}");
        }
    }

    #[test]
    fn an_id_is_told_without_its_quotes() {
        assert_eq!(
            (unquoted("\"a\""), unquoted("7"), unquoted("\"")),
            ("a", "7", "\"")
        );
    }
}
