//! The words of a row: the one thing that tells it from its neighbours, and how an answer ended its call.
//!
//! Works from the envelope only, so a message of any size costs the same. Text of peers comes out as it is; a frontend
//! makes it safe to show.

use crate::codec::envelope::{Envelope, Field, MessageKind};
use crate::session::observation::{Placement, SseObserved};
use crate::session::pairing::subject;
use crate::snapshot::{Outcome, Progress};

/// Longest summary in characters; a longer one ends in `…`.
pub const MAX_SUMMARY_CHARS: usize = 240;

/// The summary of a message.
pub fn message(envelope: &Envelope, placement: &Placement) -> String {
    let words = match envelope.kind {
        MessageKind::Request => request(envelope),
        MessageKind::Notification => notification(envelope),
        MessageKind::Result => result(envelope, placement),
        MessageKind::Error => error(envelope, placement),
        MessageKind::Malformed => malformed(envelope),
    };
    shorten(&words)
}

/// The summary of an SSE block that carries no message: `endpoint /messages?…`, `priming, id 7`, `id 7, retry 1500 ms`.
pub fn block(sse: &SseObserved, payload: &[u8]) -> String {
    let data = String::from_utf8_lossy(payload.get(..4 * MAX_SUMMARY_CHARS).unwrap_or(payload));
    let words = match sse.event.as_deref() {
        None => String::new(),
        Some("message") if data.is_empty() => "priming".to_owned(),
        Some("message") => data.into_owned(),
        Some(name) => join(&[name, &data], " "),
    };
    let id = sse.id.as_ref().map(|id| format!("id {id}"));
    let retry = sse.retry.map(|retry| format!("retry {retry} ms"));
    let is_endpoint = sse.event.as_deref() == Some("endpoint");
    let fields = [id, retry].map(|field| field.filter(|_| !is_endpoint).unwrap_or_default());
    shorten(&join(&[&words, &fields[0], &fields[1]], ", "))
}

/// The words of a whole text on one line: a body that is no message.
pub fn text(payload: &[u8]) -> String {
    let head = String::from_utf8_lossy(payload.get(..4 * MAX_SUMMARY_CHARS).unwrap_or(payload));
    shorten(
        head.lines()
            .map(str::trim)
            .find(|line| !line.is_empty())
            .unwrap_or_default(),
    )
}

/// What an entry in a stream's lane says about a message: `progress 2/5`, `result #3`, `error #3`, `tools/call #0`.
pub fn lane(envelope: &Envelope) -> String {
    let id = envelope
        .id
        .as_ref()
        .map(|id| format!("#{id}"))
        .unwrap_or_default();
    let words = match envelope.kind {
        MessageKind::Result => join(&["result", &id], " "),
        MessageKind::Error => join(&["error", &id], " "),
        MessageKind::Request => join(&[envelope.method.as_deref().unwrap_or_default(), &id], " "),
        MessageKind::Notification => match progress(envelope) {
            Some(progress) => format!("progress {}", steps(&progress)),
            None => method_tail(envelope).to_owned(),
        },
        MessageKind::Malformed => "malformed".to_owned(),
    };
    shorten(&words)
}

/// What a progress notification reports; `None` for any other message.
pub fn progress(envelope: &Envelope) -> Option<Progress> {
    if envelope.method.as_deref() != Some("notifications/progress") {
        return None;
    }
    Some(Progress {
        progress: envelope.fields.get(Field::ParamsProgress)?.to_owned(),
        total: envelope.fields.get(Field::ParamsTotal).map(str::to_owned),
    })
}

/// How an answer ends its call.
///
/// Source: MCP, Tools ("Error Handling": a failed tool is a result); 2026-07-28 `resultType`; 2025-11-25 Tasks.
pub fn outcome(envelope: &Envelope) -> Outcome {
    if envelope.kind == MessageKind::Error {
        return Outcome::RpcError(error_code(envelope).unwrap_or_default());
    }
    let fields = &envelope.fields;
    match fields.get(Field::ResultType) {
        _ if fields.get(Field::ResultIsError) == Some("true") => Outcome::ToolError,
        Some("input_required") => Outcome::InputRequired,
        Some("task") => Outcome::Task,
        None if fields.get(Field::ResultTaskTaskId).is_some() => Outcome::Task,
        _ => Outcome::Ok,
    }
}

/// The code of a JSON-RPC error, rounded if a peer spells it as a fraction.
pub fn error_code(envelope: &Envelope) -> Option<i64> {
    let spelled = envelope.fields.get(Field::ErrorCode)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a code beyond 64 bits is shown as the nearest one"
    )]
    let rounded = || spelled.parse::<f64>().ok().map(|code| code as i64);
    spelled.parse().ok().or_else(rounded)
}

/// Name and version in one text.
pub fn name_and_version(envelope: &Envelope, name: Field, version: Field) -> Option<String> {
    let name = envelope.fields.get(name)?;
    Some(join(
        &[name, envelope.fields.get(version).unwrap_or_default()],
        " ",
    ))
}

fn request(envelope: &Envelope) -> String {
    let get = |field| envelope.fields.get(field).unwrap_or_default();
    match envelope.method.as_deref().unwrap_or_default() {
        "initialize" => {
            let client = name_and_version(envelope, Field::ParamsClientName, Field::ParamsClientVersion);
            join(
                &[get(Field::ParamsProtocolVersion), &client.unwrap_or_default()],
                " · ",
            )
        }
        "server/discover" => get(Field::MetaProtocolVersion).to_owned(),
        "logging/setLevel" => get(Field::ParamsLevel).to_owned(),
        "elicitation/create" => join(&[get(Field::ParamsMode), get(Field::ParamsMessage)], " "),
        method if method.ends_with("/list") => page("cursor", get(Field::ParamsCursor)),
        _ => {
            let is_answering = envelope.fields.has_input_responses();
            let input = if is_answering {
                "with the input asked for"
            } else {
                ""
            };
            join(&[subject(envelope).unwrap_or_default(), input], " ")
        }
    }
}

fn notification(envelope: &Envelope) -> String {
    let get = |field| envelope.fields.get(field).unwrap_or_default();
    match envelope.method.as_deref().unwrap_or_default() {
        "notifications/progress" => {
            let steps = progress(envelope)
                .map(|progress| steps(&progress))
                .unwrap_or_default();
            join(&[&steps, get(Field::ParamsMessage)], " ")
        }
        "notifications/cancelled" => {
            let id = envelope
                .fields
                .id(Field::ParamsRequestId)
                .map(|id| format!("#{id}"));
            join(&[&id.unwrap_or_default(), get(Field::ParamsReason)], " ")
        }
        "notifications/message" => join(&[get(Field::ParamsLevel), get(Field::ParamsMessage)], " "),
        "notifications/elicitation/complete" => get(Field::ParamsElicitationId).to_owned(),
        _ => subject(envelope).unwrap_or_default().to_owned(),
    }
}

fn result(envelope: &Envelope, placement: &Placement) -> String {
    let get = |field| envelope.fields.get(field).unwrap_or_default();
    let about = placement.request_name.as_deref().unwrap_or_default();
    match (outcome(envelope), placement.request_method.as_deref()) {
        (Outcome::ToolError, _) => join(&[about, "failed"], " "),
        (Outcome::InputRequired, _) => join(&[about, "asks for input"], " "),
        (Outcome::Task, _) => {
            let id = envelope
                .fields
                .get(Field::ResultTaskTaskId)
                .unwrap_or(get(Field::ResultTaskId));
            join(&[about, "goes on as task", id], " ")
        }
        (_, Some("initialize")) => {
            let server = name_and_version(envelope, Field::ResultServerName, Field::ResultServerVersion);
            join(
                &[get(Field::ResultProtocolVersion), &server.unwrap_or_default()],
                " · ",
            )
        }
        (_, Some("server/discover")) => get(Field::ResultMetaServerName).to_owned(),
        (_, Some(method)) if method.ends_with("/list") => page("next cursor", get(Field::ResultNextCursor)),
        _ => about.to_owned(),
    }
}

fn error(envelope: &Envelope, placement: &Placement) -> String {
    let code = error_code(envelope)
        .map(|code| code.to_string())
        .unwrap_or_default();
    let message = envelope.fields.get(Field::ErrorMessage).unwrap_or_default();
    let said = join(&[&code, message], " ");
    join(
        &[placement.request_name.as_deref().unwrap_or_default(), &said],
        ": ",
    )
}

fn malformed(envelope: &Envelope) -> String {
    let problem = envelope.problem.map(|problem| problem.to_string());
    join(
        &[
            envelope.method.as_deref().unwrap_or_default(),
            &problem.unwrap_or_default(),
        ],
        ": ",
    )
}

fn method_tail(envelope: &Envelope) -> &str {
    let method = envelope.method.as_deref().unwrap_or_default();
    method.strip_prefix("notifications/").unwrap_or(method)
}

/// `2/5`, or `2` where nobody knows how many there will be.
fn steps(progress: &Progress) -> String {
    match &progress.total {
        Some(total) => format!("{}/{total}", progress.progress),
        None => progress.progress.clone(),
    }
}

fn page(word: &str, cursor: &str) -> String {
    if cursor.is_empty() {
        String::new()
    } else {
        format!("{word} {cursor}")
    }
}

fn join(words: &[&str], between: &str) -> String {
    let words: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
    words.join(between)
}

/// At most [`MAX_SUMMARY_CHARS`] characters, the last one `…` if there were more.
pub fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_SUMMARY_CHARS) {
        None => text.to_owned(),
        Some(_) => text.chars().take(MAX_SUMMARY_CHARS - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::envelope::scan;

    fn envelope(json: &str) -> Envelope {
        scan(json.as_bytes()).messages.into_iter().next().unwrap()
    }

    fn words(json: &str) -> String {
        message(&envelope(json), &Placement::default())
    }

    fn answer_to(method: &str, name: &str, json: &str) -> String {
        let request_name = (!name.is_empty()).then(|| name.into());
        message(
            &envelope(json),
            &Placement {
                request_method: Some(method.into()),
                request_name,
                ..Placement::default()
            },
        )
    }

    #[test]
    fn a_request_says_what_it_is_about() {
        let tool = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;
        assert_eq!(words(tool), "echo");
        let read = r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a"}}"#;
        assert_eq!(words(read), "file:///a");
        let hello = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","clientInfo":{"name":"c","version":"1"}}}"#;
        assert_eq!(words(hello), "2025-06-18 · c 1");
        let page = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"p2"}}"#;
        assert_eq!(words(page), "cursor p2");
        assert_eq!(words(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#), "");
    }

    #[test]
    fn a_notification_says_how_far_it_is_or_whom_it_cancels() {
        let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":0,"progress":2,"total":5,"message":"halfway"}}"#;
        assert_eq!(words(progress), "2/5 halfway");
        let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"3","reason":"user"}}"#;
        assert_eq!(words(cancelled), "#\"3\" user");
        let log =
            r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"warning","data":1}}"#;
        assert_eq!(words(log), "warning");
    }

    #[test]
    fn an_answer_says_what_was_asked_and_how_it_went() {
        assert_eq!(answer_to("tools/call", "echo", r#"{"id":1,"result":{}}"#), "echo");
        assert_eq!(
            answer_to("tools/call", "echo", r#"{"id":1,"result":{"isError":true}}"#),
            "echo failed"
        );
        let agreed =
            r#"{"id":0,"result":{"protocolVersion":"2025-03-26","serverInfo":{"name":"s","version":"2"}}}"#;
        assert_eq!(answer_to("initialize", "", agreed), "2025-03-26 · s 2");
        let error = r#"{"id":1,"error":{"code":-32602,"message":"bad"}}"#;
        assert_eq!(answer_to("tools/call", "echo", error), "echo: -32602 bad");
        assert_eq!(words(error), "-32602 bad");
        let more = r#"{"id":1,"result":{"tools":[],"nextCursor":"p2"}}"#;
        assert_eq!(answer_to("tools/list", "", more), "next cursor p2");
    }

    #[test]
    fn an_answer_is_more_than_right_or_wrong() {
        let of = |json: &str| outcome(&envelope(json));
        assert_eq!(of(r#"{"id":1,"result":{}}"#), Outcome::Ok);
        assert_eq!(of(r#"{"id":1,"result":{"isError":true}}"#), Outcome::ToolError);
        assert_eq!(of(r#"{"id":1,"result":{"isError":false}}"#), Outcome::Ok);
        assert_eq!(
            of(r#"{"id":1,"result":{"resultType":"input_required"}}"#),
            Outcome::InputRequired
        );
        assert_eq!(
            of(r#"{"id":1,"result":{"resultType":"task","taskId":"t"}}"#),
            Outcome::Task
        );
        assert_eq!(of(r#"{"id":1,"result":{"task":{"taskId":"t"}}}"#), Outcome::Task);
        assert_eq!(
            of(r#"{"id":1,"result":{"resultType":"complete","taskId":"t"}}"#),
            Outcome::Ok
        );
        assert_eq!(
            of(r#"{"id":1,"error":{"code":-32601,"message":""}}"#),
            Outcome::RpcError(-32601)
        );
        assert_eq!(
            of(r#"{"id":1,"error":{"code":-3.26e4}}"#),
            Outcome::RpcError(-32600)
        );
        assert_eq!(of(r#"{"id":1,"error":{}}"#), Outcome::RpcError(0));
    }

    #[test]
    fn a_block_without_message_says_what_it_sets() {
        let sse = |event: Option<&str>, id: Option<&str>, retry| SseObserved {
            event: event.map(|name| name.to_owned().into()),
            id: id.map(Into::into),
            retry,
            comments: 0,
        };
        assert_eq!(
            block(&sse(Some("endpoint"), None, None), b"/messages?s=1"),
            "endpoint /messages?s=1"
        );
        assert_eq!(
            block(&sse(Some("message"), Some("7"), Some(1500)), b""),
            "priming, id 7, retry 1500 ms"
        );
        assert_eq!(block(&sse(None, Some("7"), None), b""), "id 7");
    }

    #[test]
    fn a_lane_entry_is_short() {
        assert_eq!(lane(&envelope(r#"{"id":3,"result":{}}"#)), "result #3");
        let list = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
        assert_eq!(lane(&envelope(list)), "tools/list_changed");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let long = "ü".repeat(500);
        assert_eq!(shorten(&long).chars().count(), MAX_SUMMARY_CHARS);
        assert!(shorten(&long).ends_with('…'));
    }
}
