//! Answers made from a template and the request that is answered, and the answers that refuse.
//!
//! Values go in as the request spells them; nothing is parsed into numbers on the way.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::de::IgnoredAny;

use crate::codec::json::{PathStep, find_path, string_value};

use super::path::Path;

/// Largest answer that a template makes, in bytes. Larger: refused.
pub const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// A template cannot be read, or not be filled for this request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A place begins and does not end.
    #[error(
        "a place that begins with {{{{ has to end with }}}}; write \\u007b\\u007b for braces that mean themselves"
    )]
    Open,
    /// What is between the braces is neither `id` nor a path.
    #[error("`{place}` is no place of a request: write {{{{id}}}} or {{{{$.params.arguments.x}}}}; {hint}")]
    Unknown {
        /// What is there.
        place: String,
        /// What is wrong with it.
        hint: String,
    },
    /// The request has nothing at the place.
    #[error("the request has no {place}")]
    Missing {
        /// The place as it is written.
        place: String,
    },
    /// The result is no JSON.
    #[error("the answer would be no JSON: {problem}")]
    NotJson {
        /// What is wrong and where.
        problem: String,
    },
    /// The result would be larger than [`MAX_ANSWER_BYTES`].
    #[error("the answer would be larger than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
}

/// Fills the places of a template with what the request says: `{{id}}` is its id as spelled, `{{$.params.arguments.x}}`
/// the value there. Inside a JSON string a string goes in without its quotes, anything else as its text.
///
/// Takes one pass over the template and one over the request for each place.
///
/// # Errors
/// [`TemplateError`] if a place is wrong or missing in the request, or if the whole is no JSON or too large.
pub fn fill(template: &str, request: &[u8]) -> Result<String, TemplateError> {
    let filled = substitute(template, |place| {
        let value = place.find(request);
        value.map(String::from_utf8_lossy).map(Cow::into_owned)
    })?;
    check_json(&filled)?;
    Ok(filled)
}

/// Whether a template can be filled by a request that has all it names.
///
/// # Errors
/// [`TemplateError`] as for [`fill`], but never [`TemplateError::Missing`].
pub fn check(template: &str) -> Result<(), TemplateError> {
    let filled = substitute(template, |_| Some("0".to_owned()))?;
    check_json(&filled)
}

/// The answer to a request: its own id and this result. A request without an id is answered under `null`. The result of a
/// request of 2026-07-28 is complete, if it does not say otherwise.
///
/// Source: MCP 2026-07-28, Base Protocol, "Results": `resultType` has to be there.
pub fn answer(request: &[u8], result: &str) -> String {
    let result = with_result_type(request, result);
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id_of(request))
}

/// Whether a message is a request, or a result, of 2026-07-28, by what is in it.
fn has_result_types(message: &[u8]) -> bool {
    const REVISION: [PathStep<'_>; 3] = [
        PathStep::Key("params"),
        PathStep::Key("_meta"),
        PathStep::Key("io.modelcontextprotocol/protocolVersion"),
    ];
    const RESULT_TYPE: [PathStep<'_>; 2] = [PathStep::Key("result"), PathStep::Key("resultType")];
    find_path(message, &REVISION).is_some() || find_path(message, &RESULT_TYPE).is_some()
}

fn with_result_type<'a>(request: &[u8], result: &'a str) -> Cow<'a, str> {
    let has_type = find_path(result.as_bytes(), &[PathStep::Key("resultType")]).is_some();
    let Some(members) = result.trim_start().strip_prefix('{').map(str::trim_start) else {
        return result.into();
    };
    if has_type || !has_result_types(request) {
        return result.into();
    }
    let comma = if members.starts_with('}') { "" } else { "," };
    format!(r#"{{"resultType":"complete"{comma}{members}"#).into()
}

/// An error as answer to the request with this id, which is a JSON token such as `7` or `"7"`.
///
/// Source: JSON-RPC 2.0, section 5.1.
pub fn error_answer(request_id: &str, code: i64, message: &str) -> String {
    let message = json_string(message);
    format!(r#"{{"jsonrpc":"2.0","id":{request_id},"error":{{"code":{code},"message":{message}}}}}"#)
}

/// A tool result that says `isError`, in the place of `message`: a request, or its answer, with this id. It has a `resultType` if
/// `message` is of 2026-07-28.
///
/// Source: MCP, Tools, "Error Handling"; MCP 2026-07-28, Base Protocol, "Results".
pub fn tool_error_answer(request_id: &str, text: &str, message: &[u8]) -> String {
    let text = json_string(text);
    let result_type = if has_result_types(message) {
        r#""resultType":"complete","#
    } else {
        ""
    };
    format!(
        r#"{{"jsonrpc":"2.0","id":{request_id},"result":{{{result_type}"content":[{{"type":"text","text":{text}}}],"isError":true}}}}"#
    )
}

/// The id of a request as it is spelled; `null` if it has none.
pub fn id_of(request: &[u8]) -> String {
    let id = find_path(request, &[PathStep::Key("id")]);
    id.map_or_else(
        || "null".to_owned(),
        |id| String::from_utf8_lossy(id).into_owned(),
    )
}

/// What stands between the braces.
enum Place {
    Id,
    Path(Path),
}

impl Place {
    fn read(text: &str) -> Result<Self, TemplateError> {
        let text = text.trim();
        if text == "id" {
            return Ok(Self::Id);
        }
        Path::read(text)
            .map(Self::Path)
            .map_err(|hint| TemplateError::Unknown {
                place: text.to_owned(),
                hint: hint.to_owned(),
            })
    }

    fn find<'r>(&self, request: &'r [u8]) -> Option<&'r [u8]> {
        match self {
            Self::Id => find_path(request, &[PathStep::Key("id")]),
            Self::Path(path) => path.find(request),
        }
    }
}

fn substitute(template: &str, value: impl Fn(&Place) -> Option<String>) -> Result<String, TemplateError> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    let mut is_in_string = false;
    while let Some((before, after)) = rest.split_once("{{") {
        is_in_string = ends_in_string(before, is_in_string);
        filled.push_str(before);
        // Outside a string two braces can begin nothing else: an object has a name first.
        let (written, after) = after.split_once("}}").ok_or(TemplateError::Open)?;
        let written = if is_in_string {
            string_value(format!("\"{written}\"").as_bytes()).into_owned()
        } else {
            written.to_owned()
        };
        let found = value(&Place::read(&written)?).ok_or(TemplateError::Missing { place: written })?;
        push_value(&found, is_in_string, &mut filled);
        if filled.len() > MAX_ANSWER_BYTES {
            return Err(TemplateError::TooLarge);
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Whether a JSON text ends inside a string, if it began as told.
fn ends_in_string(text: &str, mut is_in_string: bool) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => is_in_string = !is_in_string,
            b'\\' if is_in_string => {
                bytes.next();
            }
            _ => {}
        }
    }
    is_in_string
}

fn push_value(raw: &str, is_in_string: bool, filled: &mut String) {
    if !is_in_string {
        filled.push_str(raw);
        return;
    }
    let inside = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
    if let Some(inside) = inside {
        // Already spelled as the inside of a string.
        filled.push_str(inside);
        return;
    }
    let quoted = json_string(raw);
    let inside = quoted.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
    filled.push_str(inside.unwrap_or(&quoted));
}

fn check_json(text: &str) -> Result<(), TemplateError> {
    if text.len() > MAX_ANSWER_BYTES {
        return Err(TemplateError::TooLarge);
    }
    serde_json::from_str::<IgnoredAny>(text)
        .map(|_| ())
        .map_err(|error| TemplateError::NotJson {
            problem: error.to_string(),
        })
}

/// A text as a JSON string with its quotes.
///
/// Source: RFC 8259, section 7.
pub(super) fn json_string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] = br#"{"jsonrpc":"2.0","id":"a\u00e9","method":"tools/call","params":
        {"name":"add","arguments":{"a":1.50,"text":"say \"hi\"\n","list":[1,"x"],"a b":2}}}"#;

    #[test]
    fn values_go_in_as_the_request_spells_them() {
        let filled = fill(
            r#"{"id":{{id}},"sum":{{$.params.arguments.a}},"list":{{ $.params.arguments.list }}}"#,
            REQUEST,
        );
        assert_eq!(filled.unwrap(), r#"{"id":"a\u00e9","sum":1.50,"list":[1,"x"]}"#);
    }

    #[test]
    fn inside_a_string_a_value_is_its_text() {
        let template = r#"{"text":"\"{{$.params.arguments.text}}\" {{$.params.arguments.a}} {{$.params.arguments.list}} {{$.params.arguments[\"a b\"]}} {{id}}"}"#;
        let filled = fill(template, REQUEST).unwrap();
        let parsed: serde_json::Value = serde_json::from_str(&filled).unwrap();
        assert_eq!(parsed["text"], "\"say \"hi\"\n\" 1.50 [1,\"x\"] 2 aé");
    }

    #[test]
    fn a_place_the_request_does_not_have_is_named() {
        let error = fill(r#"{"x":{{$.params.arguments.z}}}"#, REQUEST).unwrap_err();
        assert_eq!(error.to_string(), "the request has no $.params.arguments.z");
    }

    #[test]
    fn a_template_is_checked_before_any_request_comes() {
        assert_eq!(check(r#"{"a":{"b":{{id}}}}"#), Ok(()));
        assert_eq!(check(r#"{"a":{{id}"#), Err(TemplateError::Open));
        assert!(matches!(check("{{user}}"), Err(TemplateError::Unknown { .. })));
        assert!(matches!(
            check(r#"{"a":{{id}},}"#),
            Err(TemplateError::NotJson { .. })
        ));
        assert_eq!(check(r#"{"a":"\u007b\u007bliteral}}"}"#), Ok(()));
    }

    #[test]
    fn an_answer_that_would_be_too_large_is_refused() {
        let long = "x".repeat(MAX_ANSWER_BYTES / 4);
        let request = format!(r#"{{"id":1,"x":"{long}"}}"#);
        let template = format!("[{}]", ["{{$.x}}"; 5].join(","));
        assert_eq!(fill(&template, request.as_bytes()), Err(TemplateError::TooLarge));
    }

    #[test]
    fn answers_carry_the_live_id() {
        assert_eq!(
            answer(REQUEST, "{}"),
            r#"{"jsonrpc":"2.0","id":"a\u00e9","result":{}}"#
        );
        assert_eq!(answer(b"{}", "{}"), r#"{"jsonrpc":"2.0","id":null,"result":{}}"#);
        assert_eq!(
            error_answer("7", -32602, "no \"x\""),
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"no \"x\""}}"#
        );
    }

    #[test]
    fn a_result_for_a_modern_request_is_complete_unless_it_says_otherwise() {
        let modern =
            br#"{"id":1,"params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        for (result, expected) in [
            (r#"{"a":1}"#, r#"{"resultType":"complete","a":1}"#),
            ("{ }", r#"{"resultType":"complete"}"#),
            (r#"{"resultType":"x"}"#, r#"{"resultType":"x"}"#),
            ("[1]", "[1]"),
        ] {
            let expected = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{expected}}}"#);
            assert_eq!(answer(modern, result), expected);
        }
        assert_eq!(
            answer(br#"{"id":1}"#, "{}"),
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#
        );
    }

    #[test]
    fn a_tool_error_is_a_result_with_its_text() {
        let answer: serde_json::Value =
            serde_json::from_str(&tool_error_answer("\"7\"", "a\u{1}b\\", b"{}")).unwrap();
        assert_eq!(answer["id"], "7");
        assert_eq!(answer["result"]["isError"], true);
        assert_eq!(answer["result"]["content"][0]["text"], "a\u{1}b\\");
        assert_eq!(
            answer["result"].get("resultType"),
            None,
            "older revisions have none"
        );
    }

    #[test]
    fn a_tool_error_of_2026_07_28_says_that_it_is_complete() {
        let request =
            br#"{"id":1,"params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let result = br#"{"id":1,"result":{"resultType":"complete"}}"#;
        for message in [&request[..], &result[..]] {
            let answer: serde_json::Value =
                serde_json::from_str(&tool_error_answer("1", "no", message)).unwrap();
            assert_eq!(answer["result"]["resultType"], "complete");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_and_request_are_filled_without_a_fault(template: String, request: Vec<u8>) {
            let _ = fill(&template, &request);
            let _ = check(&template);
        }

        #[test]
        fn a_text_goes_through_a_template_unchanged(text: String) {
            let request = serde_json::json!({"id": 1, "x": &text}).to_string();
            let filled = fill(r#"["{{$.x}}",{{$.x}}]"#, request.as_bytes()).unwrap();
            let parsed: Vec<String> = serde_json::from_str(&filled).unwrap();
            proptest::prop_assert_eq!(parsed, [text.clone(), text]);
        }
    }
}
