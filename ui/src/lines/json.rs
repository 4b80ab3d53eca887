//! Messages for programs: one JSON object a line. Fields are added, never renamed; absent ones are left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use shadowcat::clock::Timestamp;
use shadowcat::intercept::hold::{Actor, Effect, Ending};
use shadowcat::snapshot::{
    Body, Carrier, Direction, Finding, MessageRow, Outcome, RowKind, RowState, RowVerdict,
};

use crate::text::harmless_json;

/// A line for one message.
#[derive(Serialize)]
struct Row<'a> {
    id: u64,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    exchange: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<u64>,
    direction: Direction,
    carrier: Carrier,
    kind: RowKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rpc_id: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    summary: &'a str,
    size: u64,
    server: &'a str,
    #[serde(flatten)]
    fate: Fate,
    #[serde(skip_serializing_if = "<[Finding]>::is_empty")]
    findings: &'a [Finding],
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<(u32, u32)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict<'a>>,
    #[serde(flatten)]
    body: Option<BodyFields<'a>>,
}

/// What a rule or a person decided about the message.
#[derive(Serialize)]
struct Verdict<'a> {
    rule: &'a str,
    /// Its number among those that were held.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<u64>,
    /// Absent while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    ending: Option<Ending>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<Effect>,
    actor: Actor,
    held_us: u64,
}

/// What became of the message, as far as it was known when it was printed.
#[derive(Default, Serialize)]
struct Fate {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    /// The JSON-RPC error's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    took_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

#[derive(Serialize)]
struct BodyFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    body_size: u64,
    body_is_cut: bool,
}

#[derive(Serialize)]
struct Gap {
    gap: u64,
}

pub(super) fn row(out: &mut Vec<u8>, row: &MessageRow, body: Option<&Body>) {
    line(
        out,
        &Row {
            id: row.id.get(),
            at: moment(row.at),
            session: row.session.map(|session| session.to_string()),
            exchange: row.exchange.get(),
            stream: row.stream.map(shadowcat::ids::StreamId::get),
            call: row.call.map(shadowcat::ids::CallId::get),
            direction: row.direction,
            carrier: row.carrier,
            kind: row.kind,
            method: row.method.as_deref(),
            rpc_id: row.rpc_id.as_deref(),
            summary: &row.summary,
            size: row.size,
            server: &row.server,
            fate: fate(&row.state),
            findings: &row.findings,
            batch: row.batch,
            verdict: row.verdict.as_ref().map(verdict),
            body: body.map(body_fields),
        },
    );
}

pub(super) fn gap(out: &mut Vec<u8>, missed: u64) {
    line(out, &Gap { gap: missed });
}

pub(super) fn line(out: &mut Vec<u8>, value: &impl Serialize) {
    out.extend_from_slice(harmless_json(value).as_bytes());
    out.push(b'\n');
}

/// RFC 3339 in UTC, to the microsecond.
pub(super) fn moment(at: Timestamp) -> String {
    let micros = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
    let moment = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX);
    format!("{moment:.6}")
}

fn fate(state: &RowState) -> Fate {
    let (name, took, outcome, status) = match *state {
        RowState::Passed => ("passed", None, None, None),
        RowState::Open { .. } => ("open", None, None, None),
        RowState::Answered {
            took,
            outcome,
            status,
        } => ("answered", Some(took), Some(outcome), status),
        RowState::Answer {
            took,
            outcome,
            status,
        } => ("answer", took, Some(outcome), status),
    };
    let (outcome, code, own_status) = outcome.map_or((None, None, None), of_outcome);
    Fate {
        state: name,
        outcome,
        code,
        took_us: took.map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX)),
        status: status.or(own_status),
    }
}

fn verdict(verdict: &RowVerdict) -> Verdict<'_> {
    Verdict {
        rule: &verdict.rule,
        hold: verdict.hold.map(shadowcat::ids::HoldId::get),
        ending: verdict.ending,
        effect: verdict.effect,
        actor: verdict.actor,
        held_us: u64::try_from(verdict.held_for.as_micros()).unwrap_or(u64::MAX),
    }
}

const fn of_outcome(outcome: Outcome) -> (Option<&'static str>, Option<i64>, Option<u16>) {
    let (code, status) = match outcome {
        Outcome::RpcError(code) => (Some(code), None),
        Outcome::HttpError(status) | Outcome::ProxyError(status) => (None, Some(status)),
        _ => (None, None),
    };
    (Some(outcome.name()), code, status)
}

fn body_fields(body: &Body) -> BodyFields<'_> {
    let text = std::str::from_utf8(&body.bytes).ok();
    BodyFields {
        body: text,
        body_base64: text.is_none().then(|| STANDARD.encode(&body.bytes)),
        body_size: body.size,
        body_is_cut: body.is_cut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::sample_row;

    fn shown(message: &MessageRow, body: Option<&Body>) -> serde_json::Value {
        let mut out = Vec::new();
        row(&mut out, message, body);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 1);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped_and_the_value_stays() {
        let mut message = sample_row();
        let summary = "a\u{202e}b\u{9b}2J\u{7f}\u{e0041}é";
        message.summary = summary.to_owned();
        let mut out = Vec::new();
        row(&mut out, &message, None);
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("a\\u202eb\\u009b2J\\u007f\\udb40\\udc41é"),
            "{text}"
        );
        assert_eq!(shown(&message, None)["summary"], summary);
    }

    #[test]
    fn the_shape_of_a_line_is_what_the_documentation_shows() {
        let page = include_str!("../../../docs/configuration.md");
        let example = page.split("```json\n").nth(1).unwrap();
        let example: serde_json::Value = serde_json::from_str(example.split("```").next().unwrap()).unwrap();
        assert_eq!(shown(&sample_row(), None), example);
    }

    #[test]
    fn what_was_decided_about_a_message_is_an_object_of_its_own() {
        let mut message = sample_row();
        message.verdict = Some(RowVerdict {
            batch: None,
            rule: "deep".to_owned(),
            hold: shadowcat::ids::HoldId::new(3),
            ending: Some(Ending::Edited),
            effect: Some(Effect::Delayed),
            actor: Actor::Key,
            held_for: std::time::Duration::from_millis(2),
        });
        assert_eq!(
            shown(&message, None)["verdict"],
            serde_json::json!({"rule": "deep", "hold": 3, "ending": "edited", "effect": "delayed", "actor": "key", "held_us": 2000})
        );
        assert!(shown(&sample_row(), None).get("verdict").is_none());
    }

    #[test]
    fn a_failed_call_carries_its_code() {
        let mut message = sample_row();
        message.state = RowState::Answer {
            took: None,
            outcome: Outcome::RpcError(-32601),
            status: None,
        };
        let line = shown(&message, None);
        assert_eq!(
            (&line["outcome"], &line["code"]),
            (&"rpc_error".into(), &(-32601).into())
        );
        assert!(line.get("status").is_none());
    }

    #[test]
    fn bytes_that_are_no_text_come_as_base64() {
        let body = Body {
            bytes: bytes::Bytes::from_static(b"\xff\x00"),
            wire: bytes::Bytes::new(),
            size: 2,
            is_cut: false,
            coding: None,
            media_type: None,
        };
        let line = shown(&sample_row(), Some(&body));
        assert_eq!(line["body_base64"], "/wA=");
        assert!(line.get("body").is_none());
    }

    #[test]
    fn a_gap_is_a_line_of_its_own() {
        let mut out = Vec::new();
        gap(&mut out, 12);
        assert_eq!(out, b"{\"gap\":12}\n");
    }
}
