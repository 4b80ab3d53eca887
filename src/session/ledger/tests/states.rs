//! How requests and exchanges come to their end.

use std::sync::Arc;
use std::time::Duration;

use crate::ids::CallId;
use crate::limits::ResourceLimits;
use crate::session::ledger::testing::{Talk, block, call, result, session_id};
use crate::session::observation::{Event, ExchangeKind};
use crate::snapshot::{EndKind, Outcome, Progress, RowKind, RowState, SessionBasis};

fn asked() -> Talk {
    let mut talk = Talk::default();
    talk.post(1);
    talk.asks(1, &call(1, "echo"));
    talk
}

fn outcome(state: &RowState) -> Option<Outcome> {
    match state {
        RowState::Answered { outcome, .. } | RowState::Answer { outcome, .. } => Some(*outcome),
        _ => None,
    }
}

fn ended(talk: &mut Talk) -> Option<Outcome> {
    let state = talk.state(1);
    outcome(&state)
}

#[test]
fn a_call_is_open_until_its_answer_comes_and_both_rows_say_how_long_it_took() {
    let mut talk = asked();
    assert_eq!(talk.state(1), RowState::Open { progress: None });
    assert_eq!(talk.view().totals().open_calls, 1);
    talk.respond(1, 200, None);
    talk.answers(1, &result(1));
    let took = Duration::from_millis(3);
    assert_eq!(
        talk.state(1),
        RowState::Answered {
            took: talk.row(2).at.since(talk.row(1).at),
            outcome: Outcome::Ok,
            status: Some(200)
        }
    );
    assert!(
        matches!(talk.state(2), RowState::Answer { took: Some(known), outcome: Outcome::Ok, status: Some(200) } if known <= took)
    );
    assert_eq!(talk.view().totals().open_calls, 0);
    let answer = talk.row(2);
    assert_eq!(
        (answer.method.as_deref(), answer.summary.as_str()),
        (Some("tools/call"), "echo")
    );
    assert_eq!(answer.call, talk.row(1).call);
}

#[test]
fn progress_is_shown_on_the_open_call() {
    let mut talk = asked();
    talk.respond(1, 200, Some(1));
    talk.sends(1, 1, r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":2,"total":5}}"#);
    let progress = Progress {
        progress: "2".to_owned(),
        total: Some("5".to_owned()),
    };
    assert_eq!(
        talk.state(1),
        RowState::Open {
            progress: Some(progress)
        }
    );
    assert_eq!(talk.state(2), RowState::Passed);
    talk.sends(1, 1, &result(1));
    assert_eq!(ended(&mut talk), Some(Outcome::Ok));
}

#[test]
fn an_error_and_a_failed_tool_are_told_apart_and_counted_once() {
    let mut talk = asked();
    talk.respond(1, 200, None);
    talk.answers(
        1,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}"#,
    );
    talk.end(1);
    assert_eq!(ended(&mut talk), Some(Outcome::RpcError(-32601)));
    assert_eq!(talk.view().totals().errors, 1);
    talk.post(2);
    talk.asks(2, &call(2, "echo"));
    talk.respond(2, 200, None);
    talk.answers(2, r#"{"jsonrpc":"2.0","id":2,"result":{"isError":true}}"#);
    assert_eq!(outcome(&talk.state(3)), Some(Outcome::ToolError));
    assert_eq!(talk.view().totals().errors, 2);
    assert_eq!(talk.view().sessions()[0].errors, 2);
}

#[test]
fn input_required_and_tasks_are_no_errors() {
    for (result, wanted) in [
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required"}}"#,
            Outcome::InputRequired,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"t1"}}}"#,
            Outcome::Task,
        ),
    ] {
        let mut talk = asked();
        talk.respond(1, 200, None);
        talk.answers(1, result);
        assert_eq!(ended(&mut talk), Some(wanted));
        assert_eq!(talk.view().totals().errors, 0);
    }
}

#[test]
fn a_cancel_ends_its_call_and_a_late_answer_does_not_change_that() {
    let mut talk = asked();
    talk.post(2);
    talk.asks(
        2,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
    );
    assert_eq!(ended(&mut talk), Some(Outcome::Cancelled));
    talk.respond(1, 200, None);
    talk.answers(1, &result(1));
    assert_eq!(ended(&mut talk), Some(Outcome::Cancelled));
    assert_eq!(talk.row(3).findings.len(), 1);
    assert_eq!(talk.row(3).call, talk.row(1).call);
}

#[test]
fn a_modern_client_cancels_by_closing_its_response() {
    let mut talk = Talk::modern();
    talk.post(1);
    let modern = call(1, "echo").replace(
        r#""progressToken":1"#,
        r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#,
    );
    talk.asks(1, &modern);
    talk.respond(1, 200, Some(1));
    talk.end_with(1, EndKind::ClientAborted, None);
    assert_eq!(ended(&mut talk), Some(Outcome::Cancelled));
}

#[test]
fn a_modern_stream_that_ends_without_answer_leaves_the_call_unanswered() {
    let mut talk = Talk::modern();
    talk.post(1);
    talk.asks(
        1,
        &call(1, "echo").replace(
            r#""progressToken":1"#,
            r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#,
        ),
    );
    talk.respond(1, 200, Some(1));
    talk.end(1);
    assert_eq!(ended(&mut talk), Some(Outcome::Unanswered));
}

#[test]
fn a_legacy_client_that_goes_away_is_gone() {
    let mut talk = asked();
    talk.end_with(1, EndKind::ClientAborted, None);
    assert_eq!(ended(&mut talk), Some(Outcome::ClientGone));
    assert_eq!(talk.view().totals().errors, 1);
}

#[test]
fn a_legacy_stream_that_ends_cleanly_leaves_the_call_open_and_a_resumed_one_answers_it() {
    let mut talk = asked();
    talk.respond(1, 200, Some(1));
    talk.end(1);
    assert_eq!(talk.state(1), RowState::Open { progress: None });
    talk.request(2, ExchangeKind::Http, "GET", "/mcp");
    talk.respond(2, 200, Some(2));
    talk.sends(2, 2, &result(1));
    assert_eq!(ended(&mut talk), Some(Outcome::Ok));
}

#[test]
fn a_legacy_stream_that_breaks_may_be_resumed_if_it_set_an_event_id() {
    let mut talk = asked();
    talk.respond(1, 200, Some(1));
    talk.sends_block(1, 1, block(Some("message"), Some("e1"), None), "");
    talk.end_with(1, EndKind::UpstreamAborted, None);
    assert_eq!(talk.state(1), RowState::Open { progress: None });
    let mut talk = asked();
    talk.respond(1, 200, Some(1));
    talk.end_with(1, EndKind::UpstreamAborted, None);
    assert_eq!(ended(&mut talk), Some(Outcome::UpstreamGone));
}

#[test]
fn an_http_error_without_message_ends_the_call_and_has_a_row() {
    let mut talk = asked();
    talk.respond_with(1, 404, None, "text/plain", false);
    let mut frame = talk.frame(1, crate::snapshot::Direction::ServerToClient, "Session not found");
    frame.messages.clear();
    talk.tell(Event::Frame(Arc::new(frame)));
    talk.end(1);
    assert_eq!(ended(&mut talk), Some(Outcome::HttpError(404)));
    let response = talk.row(2);
    assert_eq!(
        (response.kind, response.summary.as_str()),
        (RowKind::HttpResponse, "404 Session not found")
    );
    assert_eq!(outcome(&response.state), Some(Outcome::HttpError(404)));
    assert_eq!(
        (response.method.as_deref(), response.call),
        (Some("POST"), talk.row(1).call)
    );
    assert_eq!(talk.view().totals().errors, 1);
}

#[test]
fn an_empty_http_error_to_a_notification_has_a_row() {
    let mut talk = Talk::default();
    talk.post(1);
    talk.asks(1, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    talk.respond(1, 400, None);
    talk.end(1);
    assert_eq!(talk.state(1), RowState::Passed);
    let response = talk.row(2);
    assert_eq!(
        (response.kind, outcome(&response.state)),
        (RowKind::HttpResponse, Some(Outcome::HttpError(400)))
    );
}

#[test]
fn an_accepted_notification_stays_passed_and_makes_no_second_row() {
    let mut talk = Talk::default();
    talk.post(1);
    talk.asks(1, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    talk.respond(1, 202, None);
    let mut frame = talk.frame(1, crate::snapshot::Direction::ServerToClient, "Accepted");
    frame.messages.clear();
    talk.tell(Event::Frame(Arc::new(frame)));
    talk.end(1);
    assert_eq!(talk.rows().len(), 1);
    assert_eq!(talk.state(1), RowState::Passed);
}

#[test]
fn an_upstream_that_cannot_be_reached_is_told_by_our_answer() {
    let mut talk = asked();
    talk.respond_with(1, 502, None, "text/plain", true);
    talk.end_with(1, EndKind::UpstreamUnreachable, Some(502));
    assert_eq!(ended(&mut talk), Some(Outcome::ProxyError(502)));
    assert_eq!(talk.row(2).summary, "502 everything refused the connection");
    assert_eq!(talk.view().totals().errors, 1);
}

#[test]
fn an_upstream_that_breaks_off_and_a_cut_of_ours_are_told_apart() {
    let mut talk = asked();
    talk.respond(1, 200, None);
    talk.end_with(1, EndKind::UpstreamAborted, None);
    assert_eq!(ended(&mut talk), Some(Outcome::UpstreamGone));
    let mut talk = asked();
    talk.respond(1, 200, Some(1));
    talk.end_with(1, EndKind::CutByProxy, None);
    assert_eq!(ended(&mut talk), Some(Outcome::Unanswered));
}

#[test]
fn the_answer_of_an_http_sse_server_comes_on_another_exchange() {
    let mut talk = Talk::default();
    talk.open("R2", SessionBasis::SseEndpoint);
    talk.request(1, ExchangeKind::Http, "GET", "/sse");
    talk.respond(1, 200, Some(1));
    talk.post(2);
    talk.asks(2, &call(7, "echo"));
    talk.respond(2, 200, None);
    talk.end(2);
    assert_eq!(talk.state(2), RowState::Open { progress: None });
    talk.sends(1, 1, &result(7));
    assert_eq!(outcome(&talk.state(2)), Some(Outcome::Ok));
}

#[test]
fn an_event_stream_is_open_until_it_ends() {
    let mut talk = Talk::default();
    talk.request(1, ExchangeKind::Http, "GET", "/mcp?x=1");
    talk.respond(1, 200, Some(1));
    let row = talk.row(1);
    assert_eq!(
        (row.kind, row.method.as_deref(), row.summary.as_str()),
        (RowKind::Http, Some("GET"), "/mcp?x=1")
    );
    assert_eq!(row.state, RowState::Open { progress: None });
    talk.end_with(1, EndKind::ClientAborted, None);
    assert_eq!(ended(&mut talk), Some(Outcome::Cancelled));
}

#[test]
fn a_plain_exchange_ends_with_its_status() {
    let mut talk = Talk::default();
    talk.request(1, ExchangeKind::Http, "DELETE", "/mcp");
    talk.respond(1, 405, None);
    talk.end(1);
    assert!(matches!(
        talk.state(1),
        RowState::Answered {
            outcome: Outcome::HttpError(405),
            status: Some(405),
            ..
        }
    ));
    assert_eq!(talk.rows().len(), 1);
    assert_eq!(talk.view().totals().errors, 1);
}

#[test]
fn a_tunnel_ends_well_whoever_closes_it() {
    let mut talk = Talk::default();
    talk.request(1, ExchangeKind::Tunnel, "CONNECT", "example.com:443");
    talk.respond(1, 200, None);
    assert_eq!(talk.row(1).kind, RowKind::Tunnel);
    talk.end_with(1, EndKind::ClientAborted, None);
    assert_eq!(ended(&mut talk), Some(Outcome::Ok));
}

#[test]
fn the_oldest_of_too_many_open_calls_is_no_longer_waited_for() {
    let limits = ResourceLimits {
        max_open_calls: 2,
        ..ResourceLimits::default()
    };
    let mut talk = Talk::within(&limits);
    for number in 1..=3 {
        talk.post(number);
        talk.asks(number, &call(number, "slow"));
    }
    assert_eq!(ended(&mut talk), Some(Outcome::Unanswered));
    assert_eq!(talk.state(2), RowState::Open { progress: None });
    assert_eq!(talk.view().totals().open_calls, 2);
    assert_eq!(talk.view().usage().calls_given_up, 1);
}

#[test]
fn the_end_of_a_session_ends_its_calls() {
    let mut talk = asked();
    talk.tell(Event::SessionEnded {
        session: session_id("R1"),
        reason: "deleted by the client",
    });
    assert_eq!(ended(&mut talk), Some(Outcome::Unanswered));
    assert_eq!(
        talk.view().sessions()[0].state,
        crate::snapshot::SessionState::Ended
    );
}

#[test]
fn a_request_of_the_server_waits_for_the_client_beyond_its_stream() {
    let mut talk = asked();
    talk.respond(1, 200, Some(1));
    talk.sends(
        1,
        1,
        r#"{"jsonrpc":"2.0","id":0,"method":"sampling/createMessage","params":{}}"#,
    );
    talk.sends(1, 1, &result(1));
    talk.end(1);
    assert_eq!(talk.state(2), RowState::Open { progress: None });
    talk.post(2);
    talk.asks(2, r#"{"jsonrpc":"2.0","id":0,"result":{}}"#);
    assert_eq!(outcome(&talk.state(2)), Some(Outcome::Ok));
    assert_eq!(talk.row(4).method.as_deref(), Some("sampling/createMessage"));
}

#[test]
fn a_request_that_belongs_to_no_call_is_not_waited_for() {
    let mut talk = Talk::default();
    talk.post(1);
    let mut frame = talk.frame(1, crate::snapshot::Direction::ClientToServer, &call(1, "echo"));
    frame.messages[0].placement = crate::session::observation::Placement::default();
    talk.tell(Event::Frame(Arc::new(frame)));
    assert_eq!(talk.state(1), RowState::Passed);
    assert_eq!(talk.row(1).call, None::<CallId>);
}
