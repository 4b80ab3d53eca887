//! What is wrong with a message that was edited, before it is sent.

use std::ops::Range;

use super::fields::span_in;
use super::path::push_index;
use super::reader::{position, read};
use super::schema::{self, Contract};
use crate::codec::envelope::{Envelope, EnvelopeProblem, MessageKind, Scan, Shape, scan};
use crate::codec::json::{PathStep, find_path};
use crate::snapshot::Severity;

/// Most problems of [`check`]; what is behind them is left out.
pub const MAX_PROBLEMS: usize = 100;

/// What an edited message is compared with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expectation<'a> {
    /// The message before the edit.
    pub original: &'a [u8],
    /// The JSON Schema of what it carries: the `inputSchema` of the tool for a `tools/call`, the `outputSchema` for the
    /// answer to one.
    pub schema: Option<&'a str>,
}

/// Something about an edited message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// An error: it is no JSON, no JSON-RPC or against its schema. A warning: it is on purpose, or a mistake. Else a
    /// note: something was not checked.
    pub severity: Severity,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// Where, such as `$.params.arguments.x`; `$` for the message itself.
    pub path: String,
    /// What it is.
    pub text: String,
}

/// Checks an edited message: JSON, then the shape of JSON-RPC, then what others rely on and the edit has changed, then
/// the schema. The message may be sent all the same. Ordered so, and at most [`MAX_PROBLEMS`].
///
/// A schema that cannot be used, is too large or could take too long gives a note: it comes from the peer. It never
/// makes anything be fetched. Patterns are searched in linear time; formats are not checked.
///
/// Source: JSON-RPC 2.0; MCP 2024-11-05 to 2026-07-28, "Messages"; JSON Schema 2020-12, unless the schema says another.
pub fn check(payload: &[u8], expectation: &Expectation<'_>) -> Vec<Problem> {
    let root = match read(payload) {
        Ok(root) => root,
        Err(error) => {
            return vec![Problem {
                severity: Severity::Error,
                line: error.line,
                column: error.column,
                path: "$".to_owned(),
                text: format!("no JSON: {}", error.text),
            }];
        }
    };
    let mut problems = Problems::new(payload);
    if let Err(error) = std::str::from_utf8(payload) {
        let text = "no UTF-8: readers will see another character here, or refuse the message";
        problems.push(Severity::Error, error.valid_up_to(), "$", text.to_owned());
    }
    let scanned = scan(payload);
    check_shape(payload, &root, &scanned, &mut problems);
    check_relied_on(payload, &root, expectation.original, &scanned, &mut problems);
    if let Some(schema) = expectation.schema {
        check_contract(payload, &root, schema, &mut problems);
    }
    problems.found
}

/// Collects what is found.
pub(super) struct Problems<'a> {
    payload: &'a [u8],
    found: Vec<Problem>,
}

impl<'a> Problems<'a> {
    fn new(payload: &'a [u8]) -> Self {
        Self {
            payload,
            found: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, severity: Severity, at: usize, path: &str, text: String) {
        if self.found.len() >= MAX_PROBLEMS {
            return;
        }
        let (line, column) = position(self.payload, at);
        self.found.push(Problem {
            severity,
            line,
            column,
            path: path.to_owned(),
            text,
        });
    }
}

fn check_shape(payload: &[u8], root: &Range<usize>, scanned: &Scan, problems: &mut Problems<'_>) {
    if !matches!(scanned.shape, Shape::Single | Shape::Batch) {
        let text = "no message: it is neither an object nor an array of them";
        problems.push(Severity::Error, root.start, "$", text.to_owned());
        return;
    }
    for (index, message) in scanned.messages.iter().enumerate() {
        if problems.found.len() >= MAX_PROBLEMS {
            return;
        }
        let mut path = "$".to_owned();
        if scanned.shape == Shape::Batch {
            push_index(&mut path, index);
        }
        let span = span_of(payload, message);
        if let Some(problem) = message.problem {
            let severity = match problem {
                EnvelopeProblem::DuplicateKey => Severity::Warning,
                _ => Severity::Error,
            };
            problems.push(severity, span.start, &path, problem.to_string());
        }
        if message.problem != Some(EnvelopeProblem::NotAnObject) {
            check_members(payload, &span, message, &path, problems);
        }
    }
}

fn span_of(payload: &[u8], message: &Envelope) -> Range<usize> {
    let place = |at: u64| usize::try_from(at).map_or(payload.len(), |at| at.min(payload.len()));
    place(message.span.start)..place(message.span.end)
}

/// The parts that the envelope does not look at.
fn check_members(
    payload: &[u8],
    span: &Range<usize>,
    message: &Envelope,
    path: &str,
    problems: &mut Problems<'_>,
) {
    let raw = &payload[span.clone()];
    let first = |keys: &[&str]| {
        let steps: Vec<PathStep<'_>> = keys.iter().map(|key| PathStep::Key(key)).collect();
        find_path(raw, &steps).and_then(|value| value.first().copied())
    };
    let is_error = message.kind == MessageKind::Error;
    let is_number = |first: Option<u8>| matches!(first, Some(b'-' | b'0'..=b'9'));
    let wrong = [
        (!message.is_version_2, "", "`jsonrpc` is not \"2.0\""),
        (
            first(&["params"]).is_some_and(|first| !matches!(first, b'{' | b'[')),
            ".params",
            "`params` is neither an object nor an array",
        ),
        (
            is_error && !is_number(first(&["error", "code"])),
            ".error",
            "`error` has no `code`, which is a number",
        ),
        (
            is_error && first(&["error", "message"]) != Some(b'"'),
            ".error",
            "`error` has no `message`, which is a text",
        ),
    ];
    for (is_wrong, member, text) in wrong {
        if is_wrong {
            let place = span_in(payload, span, &format!("${member}"));
            let at = place.map_or(span.start, |place| place.start);
            problems.push(Severity::Error, at, &format!("{path}{member}"), text.to_owned());
        }
    }
}

/// Values that somebody relies on: where they are, and why they should stay.
const RELIED_ON: &[(&str, &str)] = &[
    ("$.id", "its sender pairs the answer with the request by it"),
    (
        "$.params._meta.progressToken",
        "progress is paired with its request by it",
    ),
    (
        "$.params.progressToken",
        "progress is paired with its request by it",
    ),
    (
        "$.params.requestState",
        "a client has to return it as the server gave it",
    ),
    (
        "$.result.requestState",
        "the server expects it back as it gave it",
    ),
    (
        "$.params._meta[\"io.modelcontextprotocol/protocolVersion\"]",
        "the protocol version decides how the message is read",
    ),
    (
        "$.params.protocolVersion",
        "the protocol version of the session follows from it",
    ),
    (
        "$.result.protocolVersion",
        "the protocol version of the session follows from it",
    ),
];

fn check_relied_on(
    payload: &[u8],
    root: &Range<usize>,
    original: &[u8],
    scanned: &Scan,
    problems: &mut Problems<'_>,
) {
    let Ok(original_root) = read(original) else { return };
    let before = scan(original);
    if let (Some(now), Some(then)) = (scanned.single(), before.single())
        && now.kind != then.kind
    {
        let text = format!(
            "it was {} and is now {}",
            kind_name(then.kind),
            kind_name(now.kind)
        );
        problems.push(Severity::Warning, span_of(payload, now).start, "$", text);
    }
    for (path, why) in RELIED_ON {
        let (then, now) = (
            span_in(original, &original_root, path),
            span_in(payload, root, path),
        );
        let what = match (&then, &now) {
            (Some(then), Some(now)) if original[then.clone()] != payload[now.clone()] => "is another one",
            (Some(_), None) => "is gone",
            (None, Some(_)) => "is new",
            _ => continue,
        };
        problems.push(
            Severity::Warning,
            now.map_or(0, |now| now.start),
            path,
            format!("{what}: {why}"),
        );
    }
}

fn kind_name(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::Request => "a request",
        MessageKind::Notification => "a notification",
        MessageKind::Result => "a result",
        MessageKind::Error => "an error",
        MessageKind::Malformed => "no kind of message",
    }
}

/// Finds what the schema is about and checks that.
fn check_contract(payload: &[u8], root: &Range<usize>, schema: &str, problems: &mut Problems<'_>) {
    let at = |path: &str| span_in(payload, root, path);
    let is_word = |path: &str, word: &[u8]| at(path).is_some_and(|span| &payload[span] == word);
    let (path, place) = if is_word("$.method", b"\"tools/call\"") {
        let path = "$.params.arguments";
        (path, at(path))
    } else if at("$.result").is_some() {
        let path = "$.result.structuredContent";
        let place = at(path);
        let is_complete = !is_word("$.result.isError", b"true")
            && (at("$.result.resultType").is_none() || is_word("$.result.resultType", b"\"complete\""));
        if place.is_none() {
            if is_complete && at("$.result.content").is_some() {
                let text = "the tool promises `structuredContent` by its outputSchema, and there is none";
                let start = at("$.result").map_or(root.start, |result| result.start);
                problems.push(Severity::Warning, start, "$.result", text.to_owned());
            }
            return;
        }
        (path, place)
    } else {
        return;
    };
    let contract = Contract {
        payload,
        path,
        // A call without arguments has none of them.
        place,
        schema,
    };
    schema::check(&contract, problems);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(payload: &str, original: &str, schema: Option<&str>) -> Vec<String> {
        let expectation = Expectation {
            original: original.as_bytes(),
            schema,
        };
        check(payload.as_bytes(), &expectation)
            .iter()
            .map(|problem| {
                format!(
                    "{:?} {}:{} {} {}",
                    problem.severity, problem.line, problem.column, problem.path, problem.text
                )
            })
            .collect()
    }

    const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":1},"_meta":{"progressToken":1}}}"#;

    #[test]
    fn a_message_as_it_was_has_no_problems() {
        let schema = r#"{"type":"object","properties":{"x":{"type":"integer"}}}"#;
        assert_eq!(shown(CALL, CALL, Some(schema)), [""; 0]);
        let result = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":{"x":1}}}"#;
        assert_eq!(shown(result, result, Some(schema)), [""; 0]);
        assert_eq!(shown("[]", "no JSON", None), [""; 0]);
    }

    #[test]
    fn what_is_no_json_is_said_with_its_place() {
        assert_eq!(
            shown("{\n \"a\":1,\n}", CALL, None),
            ["Error 3:1 $ no JSON: there is a comma before this }"]
        );
        let bad = check(
            b"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\"}",
            &Expectation::default(),
        );
        assert_eq!((bad.len(), bad[0].column), (1, 28));
        assert!(bad[0].text.contains("no UTF-8"));
    }

    #[test]
    fn the_shape_of_json_rpc_is_checked() {
        assert_eq!(
            shown(r#"{"jsonrpc":"1.0","id":null,"method":"a","params":1}"#, "", None),
            [
                "Error 1:1 $ a request must not have the id null",
                "Error 1:1 $ `jsonrpc` is not \"2.0\"",
                "Error 1:50 $.params `params` is neither an object nor an array"
            ]
        );
        assert_eq!(
            shown(
                "\n[{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":\"x\"}},7]",
                "",
                None
            ),
            [
                "Error 2:34 $[0].error `error` has no `code`, which is a number",
                "Error 2:34 $[0].error `error` has no `message`, which is a text",
                "Error 2:48 $[1] a batch member is not an object"
            ]
        );
        assert_eq!(
            shown("7", "", None),
            ["Error 1:1 $ no message: it is neither an object nor an array of them"]
        );
    }

    #[test]
    fn what_others_rely_on_is_a_warning() {
        let edited = CALL
            .replace("\"id\":1", "\"id\":1.0")
            .replace(",\"_meta\":{\"progressToken\":1}", ",\"requestState\":\"x\"");
        assert_eq!(
            shown(&edited, CALL, None),
            [
                "Warning 1:23 $.id is another one: its sender pairs the answer with the request by it",
                "Warning 1:1 $.params._meta.progressToken is gone: progress is paired with its request by it",
                "Warning 1:105 $.params.requestState is new: a client has to return it as the server gave it"
            ]
        );
        let warnings = shown(&CALL.replace("\"id\":1,", ""), CALL, None);
        assert_eq!(
            warnings[0],
            "Warning 1:1 $ it was a request and is now a notification"
        );
    }

    #[test]
    fn arguments_and_results_are_checked_by_their_schema() {
        let schema = r#"{"type":"object","properties":{"x":{"type":"integer"},"~y/":{"items":{"enum":["a"]}}},"required":["x"]}"#;
        assert_eq!(
            shown(
                &CALL.replace("\"x\":1", "\n\"x\":\"1\",\"~y/\":[\"a\",\"b\"]"),
                CALL,
                Some(schema)
            ),
            [
                "Error 2:5 $.params.arguments.x value is not of type \"integer\"",
                "Error 2:20 $.params.arguments[\"~y/\"][1] value is not one of \"a\""
            ]
        );
        let none = CALL.replace(",\"arguments\":{\"x\":1}", "");
        let found = shown(&none, &none, Some(schema));
        assert!(
            found.len() == 1
                && found[0].starts_with("Error 1:56 $.params.arguments")
                && found[0].contains("\"x\""),
            "{found:?}"
        );
        let result = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;
        assert_eq!(
            shown(result, result, Some(schema)),
            [
                "Warning 1:34 $.result the tool promises `structuredContent` by its outputSchema, and there is none"
            ]
        );
        let failed = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":true}}"#;
        assert_eq!(shown(failed, failed, Some(schema)), [""; 0]);
    }

    #[test]
    fn problems_have_a_bound() {
        let batch = format!("[{}7]", "7,".repeat(500));
        assert_eq!(shown(&batch, "", None).len(), MAX_PROBLEMS);
    }
}
