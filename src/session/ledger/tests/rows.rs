//! What becomes a row, and what the row says.

use std::sync::Arc;

use bytes::Bytes;

use crate::limits::ResourceLimits;
use crate::session::history::{BodyLocator, BodySource, FrameBytes, History as _};
use crate::session::ledger::Ledger;
use crate::session::ledger::testing::{Talk, block, call, message_id, result};
use crate::session::observation::{Event, ExchangeKind, RewrittenObserved, SseObserved};
use crate::snapshot::{Carrier, Direction, Finding, Outcome, RowKind, RowState, Severity};

#[test]
fn each_member_of_a_batch_has_a_row_and_its_own_bytes() {
    let mut talk = Talk::default();
    talk.post(1);
    let first = call(1, "echo");
    let second = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#;
    talk.asks(1, &format!("[{first}, {second}]"));
    let rows = talk.rows();
    assert_eq!(
        rows.iter().map(|row| row.batch).collect::<Vec<_>>(),
        [Some((1, 2)), Some((2, 2))]
    );
    assert_eq!(rows[0].size, first.len() as u64);
    let view = talk.view();
    let body = view.body(&view.find(message_id(2)).unwrap()).unwrap();
    assert_eq!(&body.payload[..], second.as_bytes());
    talk.respond(1, 200, None);
    talk.answers(1, &format!("[{}]", result(1)));
    assert_eq!(talk.row(3).batch, Some((1, 1)));
    assert!(matches!(
        talk.state(1),
        RowState::Answered {
            outcome: Outcome::Ok,
            ..
        }
    ));
}

#[test]
fn ids_are_shown_with_their_type_and_only_the_same_type_answers() {
    let mut talk = Talk::default();
    for (number, id) in [(1, "1"), (2, "\"1\"")] {
        talk.post(number);
        talk.asks(
            number,
            &format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#),
        );
    }
    talk.respond(2, 200, None);
    talk.answers(2, r#"{"jsonrpc":"2.0","id":"1","result":{}}"#);
    let ids: Vec<_> = talk.rows().into_iter().filter_map(|row| row.rpc_id).collect();
    assert_eq!(ids, ["1", "\"1\"", "\"1\""]);
    assert_eq!(talk.state(1), RowState::Open { progress: None });
    assert!(matches!(talk.state(2), RowState::Answered { .. }));
}

#[test]
fn events_without_message_have_a_row_and_comments_have_none() {
    let mut talk = Talk::default();
    talk.request(1, ExchangeKind::Http, "GET", "/sse");
    talk.respond(1, 200, Some(1));
    talk.sends_block(1, 1, block(Some("endpoint"), None, None), "/messages?s=1");
    talk.sends_block(1, 1, block(Some("message"), Some("e0"), Some(1500)), "");
    talk.sends_block(
        1,
        1,
        SseObserved {
            comments: 1,
            ..SseObserved::default()
        },
        "keepalive",
    );
    talk.sends_block(1, 1, block(None, Some("e1"), None), "");
    talk.sends_block(1, 1, block(Some("ping"), None, None), "now");
    let rows = talk.rows();
    let events: Vec<_> = rows.iter().filter(|row| row.kind == RowKind::Event).collect();
    let words: Vec<_> = events.iter().map(|row| row.summary.as_str()).collect();
    assert_eq!(
        words,
        [
            "endpoint /messages?s=1",
            "priming, id e0, retry 1500 ms",
            "id e1",
            "ping now"
        ]
    );
    assert!(
        events
            .iter()
            .all(|row| row.carrier == Carrier::Sse && row.state == RowState::Passed)
    );
}

#[test]
fn what_cannot_be_read_is_malformed_and_says_why() {
    let mut talk = Talk::default();
    talk.post(1);
    let mut frame = talk.frame(1, Direction::ClientToServer, "{broken");
    frame.messages.clear();
    frame.unreadable = Some("it ends inside an object".to_owned());
    talk.tell(Event::Frame(Arc::new(frame)));
    let row = talk.row(1);
    assert_eq!(
        (row.kind, row.summary.as_str(), row.has_body),
        (RowKind::Malformed, "{broken", true)
    );
    assert_eq!(row.findings[0].severity, Severity::Warning);
    assert!(row.findings[0].text.ends_with("it ends inside an object"));
    talk.asks(1, "[1]");
    assert_eq!(talk.row(2).kind, RowKind::Malformed);
}

#[test]
fn the_body_of_a_plain_request_belongs_to_the_row_of_its_exchange() {
    let mut talk = Talk::default();
    talk.request(1, ExchangeKind::Http, "POST", "/token");
    let mut frame = talk.frame(1, Direction::ClientToServer, "grant_type=x");
    frame.messages.clear();
    talk.tell(Event::Frame(Arc::new(frame)));
    let row = talk.row(1);
    assert_eq!((row.kind, row.size, row.has_body), (RowKind::Http, 12, true));
    talk.respond_with(1, 200, None, "image/png", false);
    let mut frame = talk.frame(1, Direction::ServerToClient, "PNG");
    frame.messages.clear();
    talk.tell(Event::Frame(Arc::new(frame)));
    assert_eq!(
        (talk.row(2).kind, talk.row(2).summary),
        (RowKind::HttpResponse, "200 image/png".to_owned())
    );
}

#[test]
fn an_exchange_that_said_nothing_has_a_row_at_its_end() {
    let mut talk = Talk::default();
    talk.post(1);
    talk.respond(1, 200, None);
    talk.end(1);
    assert_eq!(talk.rows().len(), 1);
    assert!(matches!(
        talk.row(1).state,
        RowState::Answered {
            outcome: Outcome::Ok,
            ..
        }
    ));
}

#[test]
fn a_large_message_keeps_its_head_and_says_so() {
    let mut talk = Talk::within(&ResourceLimits {
        max_body_kept: 256,
        ..ResourceLimits::default()
    });
    talk.post(1);
    talk.asks(1, &call(1, &"x".repeat(1000)));
    let row = talk.row(1);
    assert!(row.size > 1000);
    assert!(
        row.findings[0]
            .text
            .starts_with("cut for display: the first 256 of")
    );
    let view = talk.view();
    let body = view.body(&view.find(message_id(1)).unwrap()).unwrap();
    assert_eq!(
        (body.payload.len(), body.is_cut, body.size),
        (256, true, row.size)
    );
}

#[test]
fn what_ended_too_early_says_so() {
    let mut talk = Talk::default();
    talk.post(1);
    let mut frame = talk.frame(
        1,
        Direction::ClientToServer,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
    );
    frame.is_fragment = true;
    talk.tell(Event::Frame(Arc::new(frame)));
    assert_eq!(talk.row(1).findings[0].text, "it ended before it was complete");
}

#[test]
fn rows_of_an_exchange_get_their_session_once_it_is_known() {
    let mut talk = Talk::default();
    let session = talk.session.take();
    talk.post(1);
    talk.asks(1, &call(1, "echo"));
    assert_eq!(talk.row(1).session, None);
    talk.session = session;
    talk.respond(1, 200, None);
    assert_eq!(talk.row(1).session, session);
    let sessions = talk.view().sessions().to_vec();
    assert_eq!((sessions[0].messages, sessions[0].open_calls), (1, 1));
    talk.answers(1, &result(1));
    assert_eq!(talk.view().sessions()[0].open_calls, 0);
}

#[test]
fn traffic_whose_beginning_was_lost_is_shown_all_the_same() {
    let mut talk = Talk::default();
    talk.answers(9, &result(1));
    assert_eq!(talk.row(1).kind, RowKind::Result);
    assert!(talk.row(1).findings[0].text.contains("no open request"));
    talk.end(9);
    assert_eq!(talk.rows().len(), 1);
}

#[derive(Debug)]
struct File;

impl BodySource for File {
    fn fetch(&self, locator: BodyLocator) -> std::io::Result<FrameBytes> {
        let bytes = Bytes::from(format!("frame at {}", locator.offset));
        Ok(FrameBytes {
            wire: bytes.clone(),
            payload: bytes,
        })
    }
}

#[test]
fn bodies_of_a_recording_stay_in_its_file() {
    let mut in_memory = Talk::default();
    let mut in_file = Talk::default();
    in_file.ledger = Ledger::new(&ResourceLimits::default()).with_source(Arc::new(File));
    in_file.locator = Some(BodyLocator { offset: 77, len: 10 });
    let body = call(1, &"x".repeat(20_000));
    for talk in [&mut in_memory, &mut in_file] {
        talk.post(1);
        talk.asks(1, &body);
    }
    let view = in_file.view();
    let row = view.find(message_id(1)).unwrap();
    assert_eq!(&view.body(&row).unwrap().payload[..], b"frame at 77");
    assert!(in_memory.view().usage().bytes > view.usage().bytes + 19_000);
}

#[test]
fn what_is_found_of_an_exchange_later_is_on_the_rows_that_stand_for_it_up_to_a_bound() {
    let mut talk = Talk::default();
    talk.post(1);
    talk.asks(1, &call(1, "echo"));
    talk.respond(1, 401, None);
    let before = talk.view().usage.bytes;
    for number in 0..40 {
        let found = Finding {
            severity: Severity::Warning,
            text: format!("odd {number}"),
        };
        talk.tell(Event::Rewritten(Box::new(RewrittenObserved {
            exchange: crate::ids::ExchangeId::new(1).unwrap(),
            session: None,
            direction: Direction::ServerToClient,
            rewrites: vec![format!("a: {number} \u{2192} b")],
            sent: None,
            findings: vec![found],
        })));
    }
    assert!(talk.view().usage.bytes > before + 32 * 10);
    talk.end(1);
    let rows = talk.rows();
    assert_eq!(
        (rows[1].kind, rows[1].findings.len()),
        (RowKind::HttpResponse, 32)
    );
    assert_eq!(rows[0].findings, [], "the request itself is as it should be");
    let view = talk.view();
    let detail = view.find(message_id(1)).unwrap().exchange().detail().unwrap();
    assert_eq!(detail.response_body_rewrites.len(), 32);
    assert!(detail.body_rewrites.is_empty() && detail.rewrites.is_empty());
}
