//! Whether the head of a modern request says what its body says. Pure.
//!
//! Source: MCP 2026-07-28, Transports, "Standard Request Headers" and "Custom headers from tool parameters": names in any
//! case, values exactly; values that are no plain ASCII travel as `=?base64?…?=`.

use http::{HeaderMap, HeaderValue};

use crate::codec::envelope::{Envelope, Field, MessageKind};
use crate::codec::json::{PathStep, find_path, string_value};
use crate::mcp::era;
use crate::mcp::tool_headers::{PARAM_PREFIX, ToolHeader, meant, says};
use crate::recording::redact::is_secret_name;
use crate::session::pairing::subject;

/// A header is missing or says something else than the body.
pub(crate) const HEADER_MISMATCH: i64 = -32_020;
/// The parameters are wrong.
pub(crate) const INVALID_PARAMS: i64 = -32_602;

/// Why a message is not taken: JSON-RPC code and what is wrong.
pub(crate) type Disagreement = (i64, String);

/// Checks a message against the head that it came with.
pub(crate) fn check(headers: &HeaderMap, line: &[u8], message: &Envelope) -> Result<(), Disagreement> {
    let is_request = message.kind == MessageKind::Request;
    let revision = era::stated_revision(message);
    if is_request {
        check_meta(line, revision)?;
    }
    compare(headers, "MCP-Protocol-Version", revision, is_request)?;
    compare(headers, "Mcp-Method", message.method.as_deref(), is_request)?;
    compare(headers, "Mcp-Name", named(message), is_request)?;
    check_encoding(headers)
}

/// The tool that a message calls.
pub(crate) fn called_tool(message: &Envelope) -> Option<&str> {
    let is_call = message.kind == MessageKind::Request && message.method.as_deref() == Some("tools/call");
    is_call.then(|| message.fields.get(Field::ParamsName)).flatten()
}

/// Checks a call of a tool whose arguments are `repeated` in headers.
///
/// Source: MCP 2026-07-28, Transports, "Server behavior for custom headers".
pub(crate) fn check_params(
    headers: &HeaderMap,
    line: &[u8],
    repeated: &[ToolHeader],
) -> Result<(), Disagreement> {
    let path = [PathStep::Key("params"), PathStep::Key("arguments")];
    let arguments = find_path(line, &path).unwrap_or_default();
    repeated
        .iter()
        .filter(|repeated| repeated.is_needed)
        .try_for_each(|repeated| check_param(headers, arguments, repeated))
}

fn check_param(headers: &HeaderMap, arguments: &[u8], repeated: &ToolHeader) -> Result<(), Disagreement> {
    let (name, argument) = (&repeated.header, repeated.argument());
    let mut stated = headers.get_all(name).iter();
    let problem = match (stated.next(), repeated.value_in(arguments)) {
        (None, None) => return Ok(()),
        (None, Some(_)) => {
            format!("The header {name} is missing; it has to say what the argument `{argument}` says.")
        }
        (Some(_), None) => {
            format!(
                "The header {name} is there, but the body has no such value in the argument `{argument}`."
            )
        }
        (Some(first), Some(value)) => {
            let is_meant = meant(first.as_bytes()).is_some_and(|stated| says(&stated, value));
            if is_meant && stated.next().is_none() {
                return Ok(());
            }
            let (said, value) = (shown(first), string_value(value));
            if is_secret_name(name.as_str()) || is_secret_name(&argument) {
                format!("The header {name} does not say what the argument `{argument}` of the body says.")
            } else {
                format!("The header {name} says `{said}`, the argument `{argument}` of the body `{value}`.")
            }
        }
    };
    Err((HEADER_MISMATCH, problem))
}

/// A value that cannot be read is wrong, whatever it stands for.
fn check_encoding(headers: &HeaderMap) -> Result<(), Disagreement> {
    let params = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with(PARAM_PREFIX));
    for (name, value) in params {
        if meant(value.as_bytes()).is_none() {
            let said = if is_secret_name(name.as_str()) {
                "has a value".to_owned()
            } else {
                format!("says `{}`", shown(value))
            };
            let text = format!(
                "The header {name} {said}, which is neither plain ASCII nor =?base64?…?= around the base64 of UTF-8."
            );
            return Err((HEADER_MISMATCH, text));
        }
    }
    Ok(())
}

fn shown(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes())
        .escape_debug()
        .to_string()
}

/// What `Mcp-Name` mirrors.
fn named(message: &Envelope) -> Option<&str> {
    const WITH_NAME: [&str; 6] = [
        "tools/call",
        "prompts/get",
        "resources/read",
        "tasks/get",
        "tasks/update",
        "tasks/cancel",
    ];
    let method = message.method.as_deref()?;
    WITH_NAME.contains(&method).then(|| subject(message)).flatten()
}

fn check_meta(line: &[u8], revision: Option<&str>) -> Result<(), Disagreement> {
    let capabilities = [
        PathStep::Key("params"),
        PathStep::Key("_meta"),
        PathStep::Key("io.modelcontextprotocol/clientCapabilities"),
    ];
    let missing = if revision.is_none() {
        "protocolVersion"
    } else if find_path(line, &capabilities).is_none_or(|value| !value.starts_with(b"{")) {
        "clientCapabilities"
    } else {
        return Ok(());
    };
    let text = format!(
        "params._meta lacks io.modelcontextprotocol/{missing}, which every request of this revision carries."
    );
    Err((INVALID_PARAMS, text))
}

fn compare(
    headers: &HeaderMap,
    name: &str,
    actual: Option<&str>,
    is_needed: bool,
) -> Result<(), Disagreement> {
    let Some(actual) = actual else { return Ok(()) };
    let mut stated = headers.get_all(name).iter();
    let Some(first) = stated.next() else {
        let text = format!("The header {name} is missing; it has to say `{actual}` as the body does.");
        return if is_needed {
            Err((HEADER_MISMATCH, text))
        } else {
            Ok(())
        };
    };
    if stated.next().is_none() && meant(first.as_bytes()).as_deref() == Some(actual) {
        return Ok(());
    }
    let said = shown(first);
    Err((
        HEADER_MISMATCH,
        format!("The header {name} says `{said}`, the body `{actual}`."),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::envelope::scan;
    use crate::mcp::tool_headers::ToolHeaders;

    const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"Grüße","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;

    fn head(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn ask(body: &str, fields: &[(&'static str, &'static str)]) -> Result<(), i64> {
        let headers = head(fields);
        let message = scan(body.as_bytes()).messages.remove(0);
        check(&headers, body.as_bytes(), &message).map_err(|(code, _)| code)
    }

    const VERSION: (&str, &str) = ("mcp-protocol-version", "2026-07-28");
    const METHOD: (&str, &str) = ("mcp-method", "tools/call");
    const NAME: (&str, &str) = ("mcp-name", "=?base64?R3LDvMOfZQ==?=");

    #[test]
    fn a_head_that_mirrors_its_body_is_taken() {
        assert_eq!(ask(CALL, &[VERSION, METHOD, NAME]), Ok(()));
    }

    #[test]
    fn what_is_missing_or_different_is_a_mismatch() {
        for fields in [
            &[METHOD, NAME][..],
            &[VERSION, NAME],
            &[VERSION, METHOD],
            &[VERSION, ("mcp-method", "Tools/Call"), NAME],
            &[VERSION, METHOD, ("mcp-name", "Grusse")],
            &[VERSION, METHOD, ("mcp-name", "=?base64?R3LDv?=")],
            &[VERSION, VERSION, METHOD, NAME],
            &[("mcp-protocol-version", "2025-11-25"), METHOD, NAME],
        ] {
            assert_eq!(ask(CALL, fields), Err(HEADER_MISMATCH), "{fields:?}");
        }
    }

    #[test]
    fn a_request_without_its_meta_is_refused_and_a_notification_needs_none() {
        let bare = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        assert_eq!(
            ask(bare, &[VERSION, ("mcp-method", "tools/list")]),
            Err(INVALID_PARAMS)
        );
        let half = r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        assert_eq!(ask(half, &[VERSION, ("mcp-method", "a")]), Err(INVALID_PARAMS));
        assert_eq!(
            ask(r#"{"jsonrpc":"2.0","method":"notifications/x"}"#, &[VERSION]),
            Ok(())
        );
    }

    const REGION: &str = "mcp-param-region";

    #[test]
    fn a_parameter_that_cannot_be_read_is_refused_without_any_list_of_tools() {
        for (value, outcome) in [
            ("=?base64?SGVsbG8?=", Err(HEADER_MISMATCH)),
            ("=?base64?SGVs!!!bG8=?=", Err(HEADER_MISMATCH)),
            ("=?base64?SGVsbG8=?=", Ok(())),
            ("=?base64?SGVsbG8", Ok(())),
        ] {
            assert_eq!(
                ask(CALL, &[VERSION, METHOD, NAME, (REGION, value)]),
                outcome,
                "{value}"
            );
        }
    }

    #[test]
    fn a_parameter_says_what_its_argument_says_or_is_not_there() {
        let mut tools = ToolHeaders::default();
        tools.learn(
            br#"{"result":{"tools":[{"name":"deploy","inputSchema":{"properties":{
            "region":{"type":"string","x-mcp-header":"Region"},
            "to":{"properties":{"port":{"type":"integer","x-mcp-header":"Port"}}}}}}]}}"#,
            true,
        );
        let repeated = tools.of("deploy").unwrap();
        let check = |arguments: &str, fields: &[(&'static str, &'static str)]| {
            let body = format!(r#"{{"params":{{"arguments":{arguments}}}}}"#);
            check_params(&head(fields), body.as_bytes(), &repeated).map_err(|(code, _)| code)
        };
        let wrong = Err(HEADER_MISMATCH);
        let region = r#"{"region":"Hello"}"#;
        assert_eq!(check(region, &[(REGION, "Hello")]), Ok(()));
        assert_eq!(check(region, &[(REGION, "=?base64?SGVsbG8=?=")]), Ok(()));
        assert_eq!(check(region, &[(REGION, "hello")]), wrong);
        assert_eq!(check(region, &[]), wrong);
        assert_eq!(check(region, &[(REGION, "Hello"), (REGION, "Hello")]), wrong);
        for nothing in ["{}", r#"{"region":null}"#, r#"{"region":["Hello"]}"#, "null"] {
            assert_eq!(check(nothing, &[]), Ok(()), "{nothing}");
            assert_eq!(check(nothing, &[(REGION, "Hello")]), wrong, "{nothing}");
        }
        let port = r#"{"to":{"port":8443}}"#;
        assert_eq!(check(port, &[("mcp-param-port", "8443.0")]), Ok(()));
        assert_eq!(check(port, &[("mcp-param-port", "8444")]), wrong);
        assert_eq!(check(port, &[("mcp-param-other", "x")]), wrong);
    }

    #[test]
    fn values_of_secret_headers_and_arguments_are_not_quoted() {
        let mut tools = ToolHeaders::default();
        tools.learn(
            br#"{"result":{"tools":[{"name":"deploy","inputSchema":{"properties":{
            "password":{"type":"string","x-mcp-header":"Pass"}, "key":{"type":"string","x-mcp-header":"Api-Key"}}}}]}}"#,
            true,
        );
        let repeated = tools.of("deploy").unwrap();
        for (arguments, field) in [
            (r#"{"password":"s3cr3t-1"}"#, ("mcp-param-pass", "s3cr3t-2")),
            (r#"{"key":"s3cr3t-1"}"#, ("mcp-param-api-key", "s3cr3t-2")),
            (
                r#"{"key":"s3cr3t-1"}"#,
                ("mcp-param-api-key", "=?base64?s3cr3t!!!?="),
            ),
        ] {
            let body = format!(r#"{{"params":{{"arguments":{arguments}}}}}"#);
            let head = head(&[field]);
            let (_, text) = check_params(&head, body.as_bytes(), &repeated).unwrap_err();
            assert!(text.contains(field.0) && !text.contains("s3cr3t"), "{text}");
        }
    }
}
