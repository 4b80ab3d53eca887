//! Whether the head of a modern request says what its body says. Pure.
//!
//! Source: MCP 2026-07-28, Transports, "Standard Request Headers": names in any case, values exactly; values that are no
//! plain ASCII travel as `=?base64?…?=`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;

use crate::codec::envelope::{Envelope, MessageKind};
use crate::codec::json::{PathStep, find_path};
use crate::mcp::era;
use crate::session::pairing::subject;

/// A header is missing or says something else than the body.
pub(super) const HEADER_MISMATCH: i64 = -32_020;
/// The parameters are wrong.
pub(super) const INVALID_PARAMS: i64 = -32_602;

/// Why a message is not taken: JSON-RPC code and what is wrong.
pub(super) type Disagreement = (i64, String);

/// Checks a message against the head that it came with.
pub(super) fn check(headers: &HeaderMap, line: &[u8], message: &Envelope) -> Result<(), Disagreement> {
    let is_request = message.kind == MessageKind::Request;
    let revision = era::stated_revision(message);
    if is_request {
        check_meta(line, revision)?;
    }
    compare(headers, "MCP-Protocol-Version", revision, is_request)?;
    compare(headers, "Mcp-Method", message.method.as_deref(), is_request)?;
    compare(headers, "Mcp-Name", named(message), is_request)
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
    let stated_text = decoded(first.as_bytes());
    if stated.next().is_none() && stated_text.as_deref() == Some(actual.as_bytes()) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(first.as_bytes())
        .escape_debug()
        .to_string();
    Err((
        HEADER_MISMATCH,
        format!("The header {name} says `{said}`, the body `{actual}`."),
    ))
}

/// A value as it was meant; `None` if its encoding is broken.
fn decoded(value: &[u8]) -> Option<Vec<u8>> {
    let value = value.trim_ascii();
    let Some(rest) = value.strip_prefix(b"=?base64?") else {
        return Some(value.to_vec());
    };
    STANDARD.decode(rest.strip_suffix(b"?=")?).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::codec::envelope::scan;

    const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"Grüße","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;

    fn ask(body: &str, fields: &[(&'static str, &'static str)]) -> Result<(), i64> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
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
}
