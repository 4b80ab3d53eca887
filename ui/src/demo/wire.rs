//! What both sides of the demonstration share: names on the wire, JSON-RPC shapes, header values.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

/// The modern revision.
pub(super) const MODERN: &str = "2026-07-28";
/// The legacy revision with resumable POST streams.
pub(super) const POLLING: &str = "2025-11-25";
/// The legacy revision before that.
pub(super) const PLAIN: &str = "2025-06-18";
/// The legacy revisions that the server speaks, newest first.
pub(super) const LEGACY: [&str; 2] = [POLLING, PLAIN];

pub(super) const SESSION_HEADER: &str = "mcp-session-id";
pub(super) const VERSION_HEADER: &str = "mcp-protocol-version";
pub(super) const METHOD_HEADER: &str = "mcp-method";
pub(super) const NAME_HEADER: &str = "mcp-name";
pub(super) const PARAM_HEADER_PREFIX: &str = "mcp-param-";
pub(super) const LAST_EVENT_HEADER: &str = "last-event-id";

pub(super) const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
pub(super) const CLIENT_INFO_KEY: &str = "io.modelcontextprotocol/clientInfo";
pub(super) const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";
pub(super) const LOG_LEVEL_KEY: &str = "io.modelcontextprotocol/logLevel";
pub(super) const SERVER_INFO_KEY: &str = "io.modelcontextprotocol/serverInfo";
pub(super) const SUBSCRIPTION_KEY: &str = "io.modelcontextprotocol/subscriptionId";

pub(super) const PARSE_ERROR: i64 = -32700;
pub(super) const INVALID_REQUEST: i64 = -32600;
pub(super) const METHOD_NOT_FOUND: i64 = -32601;
pub(super) const INVALID_PARAMS: i64 = -32602;
/// Not found, as legacy revisions say it for resources.
pub(super) const RESOURCE_NOT_FOUND: i64 = -32002;
/// "Session not found", the habit of the official SDKs.
pub(super) const SESSION_NOT_FOUND: i64 = -32001;
/// A limit of the server was reached; implementation-defined range.
pub(super) const BUSY: i64 = -32000;
pub(super) const HEADER_MISMATCH: i64 = -32020;
pub(super) const MISSING_CAPABILITY: i64 = -32021;
pub(super) const UNSUPPORTED_VERSION: i64 = -32022;

/// Log levels, the quietest detail first.
const LEVELS: [&str; 8] = [
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
];

/// The rank of a log level; `None` for a word that is none.
pub(super) fn level_rank(level: &str) -> Option<usize> {
    LEVELS.iter().position(|known| *known == level)
}

/// A request.
pub(super) fn request(id: &Value, method: &str, params: Value) -> Value {
    let mut message = json!({ "jsonrpc": "2.0", "id": id, "method": method });
    put_params(&mut message, params);
    message
}

/// A notification.
pub(super) fn notification(method: &str, params: Value) -> Value {
    let mut message = json!({ "jsonrpc": "2.0", "method": method });
    put_params(&mut message, params);
    message
}

fn put_params(message: &mut Value, params: Value) {
    if let (Value::Object(message), false) = (message, params.is_null()) {
        message.insert("params".to_owned(), params);
    }
}

/// A successful answer.
pub(super) fn result(id: &Value, result: Value) -> Value {
    let mut message = json!({ "jsonrpc": "2.0", "id": id });
    message["result"] = result;
    message
}

/// An error answer; without `id` when the request could not be read.
pub(super) fn error(id: Option<&Value>, fault: &Fault) -> Value {
    let mut error = json!({ "code": fault.code, "message": fault.message });
    if let (Value::Object(error), Some(data)) = (&mut error, &fault.data) {
        error.insert("data".to_owned(), data.clone());
    }
    let mut message = Map::new();
    message.insert("jsonrpc".to_owned(), json!("2.0"));
    if let Some(id) = id {
        message.insert("id".to_owned(), id.clone());
    }
    message.insert("error".to_owned(), error);
    Value::Object(message)
}

/// What a JSON-RPC error says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub(super) code: i64,
    pub(super) message: String,
    pub(super) data: Option<Value>,
}

impl Fault {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    pub(super) fn with_data(self, data: Value) -> Self {
        Self {
            data: Some(data),
            ..self
        }
    }
}

/// What a message is, by its top-level members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Notification,
    Response,
    Unknown,
}

/// The kind of `message`; the id `null` makes no request.
pub(super) fn kind(message: &Value) -> Kind {
    let has_id = message
        .get("id")
        .is_some_and(|id| id.is_number() || id.is_string());
    let has_method = message.get("method").is_some_and(Value::is_string);
    let answers = message.get("result").is_some() || message.get("error").is_some();
    match (has_method, has_id, answers) {
        (true, true, false) => Kind::Request,
        (true, false, false) if message.get("id").is_none() => Kind::Notification,
        (false, _, true) => Kind::Response,
        _ => Kind::Unknown,
    }
}

/// The method, or nothing.
pub(super) fn method_of(message: &Value) -> &str {
    message.get("method").and_then(Value::as_str).unwrap_or_default()
}

/// The member at `path`, `null` when any step is missing.
pub(super) fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter()
        .try_fold(value, |value, key| value.get(*key))
        .unwrap_or(&Value::Null)
}

/// The text at `path`, if there is one.
pub(super) fn text_at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    at(value, path).as_str()
}

/// The parameter that `Mcp-Name` repeats for this method.
pub(super) fn mirrored_name<'a>(method: &str, params: &'a Value) -> Option<&'a str> {
    match method {
        "tools/call" | "prompts/get" => text_at(params, &["name"]),
        "resources/read" => text_at(params, &["uri"]),
        _ => None,
    }
}

/// Arguments of a tool that are repeated in `Mcp-Param-*` headers, as (argument, header) by the tool's schema.
/// Top-level properties only: the demonstration's tools nest none.
pub(super) fn mirrored_arguments(tool: &Value) -> Vec<(String, String)> {
    let Some(properties) = at(tool, &["inputSchema", "properties"]).as_object() else {
        return Vec::new();
    };
    let annotated = properties.iter().filter_map(|(argument, schema)| {
        let header = text_at(schema, &["x-mcp-header"])?;
        let header = format!("{PARAM_HEADER_PREFIX}{}", header.to_ascii_lowercase());
        Some((argument.clone(), header))
    });
    annotated.collect()
}

/// The text of an argument as a header repeats it; nothing for what no header can carry.
pub(super) fn mirrored_value(argument: &Value) -> Option<String> {
    match argument {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(argument.to_string()),
        _ => None,
    }
}

const WRAP_START: &str = "=?base64?";
const WRAP_END: &str = "?=";

/// `value` as a header value: wrapped in base64 unless it is plain visible ASCII.
///
/// Source: MCP 2026-07-28, Transports, value encoding.
pub(super) fn encode_header_value(value: &str) -> String {
    let is_plain = value.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let is_trimmed = value.trim() == value;
    let is_wrapped_already = value.starts_with(WRAP_START) && value.ends_with(WRAP_END);
    if is_plain && is_trimmed && !is_wrapped_already {
        return value.to_owned();
    }
    format!("{WRAP_START}{}{WRAP_END}", BASE64_STANDARD.encode(value))
}

/// The value that a header carries; `None` if its wrapping does not hold UTF-8 text.
pub(super) fn decode_header_value(value: &str) -> Option<String> {
    let inner = value
        .strip_prefix(WRAP_START)
        .and_then(|rest| rest.strip_suffix(WRAP_END));
    match inner {
        None => Some(value.to_owned()),
        Some(inner) => String::from_utf8(BASE64_STANDARD.decode(inner).ok()?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_value_reads_back_whatever_it_holds() {
        for value in ["plain", "日本語", " edge ", "=?base64?eA==?=", "tab\there", ""] {
            let encoded = encode_header_value(value);
            assert!(encoded.is_ascii() && encoded.trim() == encoded, "{encoded:?}");
            assert_eq!(decode_header_value(&encoded).as_deref(), Some(value));
        }
        assert_eq!(encode_header_value("plain"), "plain");
    }

    #[test]
    fn kinds_are_told_apart_by_their_members() {
        let kinds = [
            (json!({ "id": 0, "method": "ping" }), Kind::Request),
            (json!({ "id": "", "method": "ping" }), Kind::Request),
            (
                json!({ "method": "notifications/initialized" }),
                Kind::Notification,
            ),
            (json!({ "id": 0, "result": {} }), Kind::Response),
            (json!({ "error": { "code": 1, "message": "" } }), Kind::Response),
            (json!({ "id": null, "method": "ping" }), Kind::Unknown),
            (json!([]), Kind::Unknown),
        ];
        for (message, expected) in kinds {
            assert_eq!(kind(&message), expected, "{message}");
        }
    }
}
