//! Rows of a recording whose bytes are in its file are kept compressed.

use std::sync::Arc;

use super::super::Ledger;
use super::super::testing::{Talk, call, exchange, message_id, result, session_id};
use crate::limits::ResourceLimits;
use crate::session::history::{BodyLocator, BodySource, FrameBytes, History as _, HistoryView, SEGMENT_ROWS};
use crate::session::observation::{Event, RewrittenObserved};
use crate::snapshot::{Direction, EndKind, Finding, Outcome, RowState, Severity};

#[derive(Debug)]
struct File;

impl BodySource for File {
    fn fetch(&self, locator: BodyLocator) -> std::io::Result<FrameBytes> {
        let bytes = bytes::Bytes::from(format!("frame at {}", locator.offset));
        Ok(FrameBytes {
            wire: bytes.clone(),
            payload: bytes,
        })
    }
}

/// A talk that is read from a recording.
fn recorded(limits: &ResourceLimits) -> Talk {
    let mut talk = Talk::within(limits);
    talk.ledger = Ledger::new(limits).with_source(Arc::new(File));
    talk.enter("R1");
    talk
}

/// The same without packing, to compare with.
fn unpacked(limits: &ResourceLimits) -> Talk {
    let mut talk = Talk::within(limits);
    talk.enter("R1");
    talk
}

fn locate(talk: &mut Talk, number: u64) {
    talk.locator = Some(BodyLocator {
        offset: number * 1000,
        len: 900,
    });
}

/// All that rows can have, again and again, and in the middle what goes on to the end.
fn speak(talk: &mut Talk, rounds: u64) {
    talk.post(1);
    talk.asks(1, &call(1, "slow"));
    talk.respond(1, 200, Some(1));
    for round in 0..rounds {
        let number = 10 + round * 10;
        locate(talk, number);
        talk.session = Some(session_id("R1"));
        talk.round_trip(number, "echo");
        talk.post(number + 1);
        talk.asks(
            number + 1,
            &format!(
                r#"[{},{{"jsonrpc":"2.0","method":"x"}},{{}}]"#,
                call(number + 1, "echo")
            ),
        );
        talk.respond(number + 1, 200, None);
        talk.answers(
            number + 1,
            &format!(
                r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":-5,"message":"no"}}}}"#,
                number + 1
            ),
        );
        talk.tell(Event::Rewritten(Box::new(RewrittenObserved {
            exchange: exchange(number + 1),
            session: talk.session,
            direction: Direction::ClientToServer,
            rewrites: vec![format!("a: {round}")],
            sent: None,
            findings: vec![Finding {
                severity: Severity::Warning,
                text: "odd".to_owned(),
            }],
        })));
        talk.end(number + 1);
        talk.sends(
            1,
            1,
            &format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":1,"progress":{round}}}}}"#),
        );
        talk.session = None;
        talk.post(number + 2);
        talk.asks(number + 2, "oops");
        talk.respond_with(number + 2, 502, None, "text/plain", true);
        talk.answers(number + 2, "no such upstream");
        talk.end_with(number + 2, EndKind::UpstreamUnreachable, Some(502));
    }
    talk.session = Some(session_id("R1"));
    talk.sends(1, 1, &result(1));
    talk.end(1);
}

fn told(view: &HistoryView, position: u64) -> String {
    let row = view.row(position).unwrap();
    let chain = (row.facts.previous_in_call, row.next_in_call());
    let exchange = row.exchange();
    let media = (exchange.request_media_type(), exchange.response_media_type());
    let more = (&row.facts.name, &row.facts.rare, row.facts.course, row.progress());
    format!(
        "{:?} {:?} {chain:?} {media:?} {more:?} {:?}",
        row.to_message_row(),
        exchange.detail(),
        exchange.findings()
    )
}

#[test]
fn a_packed_row_says_all_that_it_said_before() {
    let limits = ResourceLimits::default();
    let (mut packed, mut plain) = (recorded(&limits), unpacked(&limits));
    for talk in [&mut packed, &mut plain] {
        speak(talk, 1500);
    }
    let (packed, plain) = (packed.view(), plain.view());
    assert_eq!(packed.count(), plain.count());
    assert!(packed.count() > 20 * SEGMENT_ROWS as u64);
    for position in 0..plain.count() {
        assert_eq!(told(&packed, position), told(&plain, position));
        let id = plain.row(position).unwrap().id();
        assert_eq!(packed.position(id), Ok(position));
    }
    let row = packed.row(2).unwrap();
    assert_eq!(&packed.body(&row).unwrap().payload[..], b"frame at 10000");
    let (cost, before) = (packed.usage().bytes, plain.usage().bytes);
    assert!(cost * 4 < before, "{cost} of {before}");
}

#[test]
fn rows_come_in_order_both_ways_across_packed_segments_and_others() {
    let mut talk = recorded(&ResourceLimits::default());
    speak(&mut talk, 600);
    let view = talk.view();
    let all: Vec<u64> = (1..=view.count()).collect();
    for start in [0, 1, 255, 256, 300, view.count() - 1, view.count()] {
        let place = usize::try_from(start).unwrap();
        let from: Vec<u64> = view.rows_from(start).map(|row| row.id().get()).collect();
        assert_eq!(from, all[place..]);
        let mut before: Vec<u64> = view.rows_before(start).map(|row| row.id().get()).collect();
        before.reverse();
        assert_eq!(before, all[..place]);
    }
    assert_eq!(view.position(message_id(view.count() + 1)), Err(view.count()));
}

#[test]
fn a_call_that_is_answered_long_after_its_row_could_be_packed_gets_its_answer_and_keeps_its_chain() {
    let mut talk = recorded(&ResourceLimits::default());
    speak(&mut talk, 1500);
    let view = talk.view();
    let request = view.row(0).unwrap().to_message_row();
    assert!(matches!(
        request.state,
        RowState::Answered {
            outcome: Outcome::Ok,
            ..
        }
    ));
    let answer = view.newest().unwrap();
    let step =
        |row: &Arc<crate::session::history::Row>| row.facts.previous_in_call.and_then(|id| view.find(id));
    let chain = std::iter::successors(Some(answer), step);
    assert_eq!(chain.count(), 1500 + 2);
    let forth = std::iter::successors(view.row(0), |row| row.next_in_call().and_then(|id| view.find(id)));
    assert_eq!(forth.count(), 1500 + 2);
}

#[test]
fn above_the_budget_the_oldest_packed_rows_go_and_the_books_stay_right() {
    let limits = ResourceLimits {
        max_memory_per_session: 2 << 20,
        max_history_memory: 2 << 20,
        ..ResourceLimits::default()
    };
    let mut talk = recorded(&limits);
    speak(&mut talk, 6000);
    let view = talk.view();
    let usage = *view.usage();
    assert!(usage.bytes <= 2 << 20, "{}", usage.bytes);
    assert!(usage.history_reached > 0);
    assert_eq!(view.count() + view.totals().rows_evicted, talk.ledger.last_row);
    let ids: Vec<u64> = view.rows_from(0).map(|row| row.id().get()).collect();
    assert!(ids.is_sorted());
    assert_eq!(ids.len() as u64, view.count());
    assert!(view.count() > 6_000, "{}", view.count());
    let open = talk.ledger.exchanges.values().map(|open| &open.record);
    let (recounted, shelves) = talk.ledger.shelves.recount(open);
    assert_eq!((talk.ledger.shelves.shelved(), shelves), (recounted, recounted));
}
