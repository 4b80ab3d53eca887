//! JSON that is no JSON-RPC: plain where no message was expected, malformed where one was.

use std::sync::Arc;

use crate::session::ledger::testing::{Talk, call};
use crate::session::observation::{Event, ExchangeKind, NO_JSON_RPC};
use crate::snapshot::{Direction, MessageRow, Outcome, RowKind, RowState};

const METADATA: &str = r#"{"issuer":"http://127.0.0.1:9000","token_endpoint":"http://127.0.0.1:9000/token"}"#;
const REFUSAL: &str = r#"{"error":"invalid_token","error_description":"it has expired"}"#;

fn says(talk: &mut Talk, number: u64, direction: Direction, json: &str) {
    let mut frame = talk.frame(number, direction, json);
    frame.unreadable = Some(NO_JSON_RPC.to_owned());
    talk.tell(Event::Frame(Arc::new(frame)));
}

fn answers(talk: &mut Talk, number: u64, status: u16, json: &str) -> MessageRow {
    talk.respond(number, status, None);
    says(talk, number, Direction::ServerToClient, json);
    talk.end(number);
    talk.rows().pop().unwrap()
}

fn outcome(row: &MessageRow) -> Option<Outcome> {
    match row.state {
        RowState::Answer { outcome, .. } | RowState::Answered { outcome, .. } => Some(outcome),
        _ => None,
    }
}

#[test]
fn what_a_get_is_answered_with_is_a_response_and_nothing_odd() {
    for json in [METADATA, "{}", "[]"] {
        let mut talk = Talk::default();
        talk.request(
            1,
            ExchangeKind::Http,
            "GET",
            "/.well-known/oauth-authorization-server",
        );
        let row = answers(&mut talk, 1, 200, json);
        assert_eq!((row.kind, &row.findings[..]), (RowKind::HttpResponse, &[][..]));
        assert_eq!(row.summary, format!("200 {json}"));
        assert_eq!(outcome(&row), Some(Outcome::Ok));
    }
}

#[test]
fn a_client_that_registers_and_gets_a_token_sends_no_messages() {
    let mut talk = Talk::default();
    talk.request(1, ExchangeKind::Message, "POST", "/register");
    says(
        &mut talk,
        1,
        Direction::ClientToServer,
        r#"{"redirect_uris":["http://127.0.0.1/cb"]}"#,
    );
    let registered = answers(&mut talk, 1, 201, r#"{"client_id":"c","id":"c","error":null}"#);
    talk.request_with(
        2,
        ExchangeKind::Http,
        "POST",
        "/token",
        ("Content-Type", "application/x-www-form-urlencoded"),
    );
    let token = answers(&mut talk, 2, 200, r#"{"access_token":"t"}"#);
    let kinds: Vec<RowKind> = talk.rows().iter().map(|row| row.kind).collect();
    assert_eq!(
        kinds,
        [
            RowKind::Http,
            RowKind::HttpResponse,
            RowKind::Http,
            RowKind::HttpResponse
        ]
    );
    assert!(registered.findings.is_empty() && token.findings.is_empty());
    assert_eq!(talk.row(1).size, 41, "the request's body is on its row");
}

#[test]
fn a_refusal_in_the_words_of_oauth_ends_the_call_with_its_status() {
    let mut talk = Talk::default();
    talk.post(1);
    talk.asks(1, &call(1, "echo"));
    let row = answers(&mut talk, 1, 401, REFUSAL);
    assert_eq!(
        (row.kind, outcome(&row)),
        (RowKind::HttpResponse, Some(Outcome::HttpError(401)))
    );
    assert!(row.summary.starts_with("401 ") && row.summary.contains("invalid_token"));
    assert_eq!(outcome(&talk.row(1)), Some(Outcome::HttpError(401)));
    assert_eq!(talk.view().totals().errors, 1);
}

#[test]
fn an_error_without_a_code_of_its_own_has_that_of_its_status() {
    let mut talk = Talk::default();
    talk.post(1);
    talk.asks(1, &call(1, "echo"));
    talk.respond(1, 403, None);
    talk.answers(1, r#"{"jsonrpc":"2.0","id":1,"error":"forbidden"}"#);
    talk.end(1);
    assert_eq!(outcome(&talk.row(1)), Some(Outcome::HttpError(403)));
    assert_eq!(outcome(&talk.row(2)), Some(Outcome::HttpError(403)));
}

#[test]
fn json_in_the_place_of_a_message_is_malformed_still() {
    for field in [
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", "2025-06-18"),
    ] {
        let mut talk = Talk::default();
        talk.request_with(1, ExchangeKind::Message, "POST", "/mcp", field);
        says(&mut talk, 1, Direction::ClientToServer, r#"{"hello":1}"#);
        assert_eq!(talk.row(1).kind, RowKind::Malformed);
        assert!(!talk.row(1).findings.is_empty());
    }
    let mut talk = Talk::default();
    talk.post(1);
    talk.asks(1, &call(1, "echo"));
    let row = answers(&mut talk, 1, 200, "{}");
    assert_eq!((row.kind, row.findings.is_empty()), (RowKind::Malformed, false));
}

#[test]
fn a_refusal_that_answers_its_request_is_an_error_though_it_forgets_the_version() {
    let mut talk = Talk::default();
    talk.post(1);
    talk.asks(1, &call(1, "echo"));
    let row = answers(
        &mut talk,
        1,
        400,
        r#"{"id":1,"error":{"code":-32600,"message":"bad"}}"#,
    );
    assert_eq!(
        (row.kind, outcome(&row)),
        (RowKind::Error, Some(Outcome::RpcError(-32600)))
    );
}
