//! Memory: what goes, in which order, and whose.

use proptest::prelude::*;

use crate::ids::ProxySessionId;
use crate::limits::ResourceLimits;
use crate::session::history::{History as _, SEGMENT_ROWS};
use crate::session::ledger::testing::{Talk, call, message_id, session_id};
use crate::session::observation::{Event, ExchangeKind};
use crate::snapshot::MessageRow;

fn limits(session: usize, all: usize) -> ResourceLimits {
    ResourceLimits {
        max_memory_per_session: session,
        max_history_memory: all,
        ..ResourceLimits::default()
    }
}

fn of(rows: &[MessageRow], session: ProxySessionId) -> Vec<u64> {
    rows.iter()
        .filter(|row| row.session == Some(session))
        .map(|row| row.id.get())
        .collect()
}

#[test]
fn the_oldest_messages_lose_their_body_first_and_then_their_row() {
    let mut talk = Talk::within(&limits(64 * 1024, 1 << 30));
    for number in 1..=200 {
        talk.post(number);
        talk.asks(number, &call(number, &"x".repeat(200)));
        talk.end(number);
    }
    let rows = talk.rows();
    let totals = *talk.view().totals();
    assert_eq!(totals.rows_evicted, 200 - rows.len() as u64);
    assert!(totals.rows_evicted > 0 && totals.bodies_evicted > 0);
    // What is left is the newest rows without a hole, and of them the newest have their body.
    let ids: Vec<u64> = rows.iter().map(|row| row.id.get()).collect();
    assert_eq!(ids, (totals.rows_evicted + 1..=200).collect::<Vec<_>>());
    let first_with_body = rows.iter().position(|row| row.has_body).unwrap();
    assert!(rows[first_with_body..].iter().all(|row| row.has_body));
    assert!(rows.last().unwrap().has_body);
    assert!(talk.view().usage().largest_session_bytes <= 64 * 1024);
}

#[test]
fn one_message_cannot_take_more_than_its_share_of_a_session() {
    let mut talk = Talk::within(&limits(64 * 1024, 1 << 30));
    talk.round_trip(1, "echo");
    talk.post(2);
    talk.asks(2, &call(2, &"x".repeat(200_000)));
    assert_eq!(talk.rows().len(), 3);
    assert!(talk.row(3).has_body);
    let view = talk.view();
    assert_eq!(
        view.body(&view.find(message_id(3)).unwrap())
            .unwrap()
            .payload
            .len(),
        16 * 1024
    );
}

#[test]
fn a_loud_session_does_not_push_out_a_quiet_one() {
    let mut talk = Talk::within(&limits(1 << 20, 128 * 1024));
    talk.round_trip(1, "quiet");
    let quiet = session_id("R1");
    talk.enter("R2");
    for number in 2..=500 {
        talk.round_trip(number, "loud");
    }
    let rows = talk.rows();
    assert_eq!(of(&rows, quiet), [1, 2]);
    assert!(talk.row(1).has_body);
    let loud = of(&rows, session_id("R2"));
    assert!(loud.len() < 900 && loud.last() == Some(&1000));
    assert!(talk.view().usage().bytes <= 128 * 1024);
    assert!(talk.view().usage().history_reached > 0);
}

#[test]
fn traffic_without_session_has_a_budget_too() {
    let mut talk = Talk::within(&limits(32 * 1024, 1 << 30));
    talk.session = None;
    for number in 1..=200 {
        talk.request(number, ExchangeKind::Http, "GET", "/favicon.ico");
        talk.end(number);
    }
    assert!(talk.view().usage().largest_session_bytes <= 32 * 1024);
    assert_eq!(talk.rows().last().map(|row| row.id.get()), Some(200));
}

#[test]
fn the_longest_idle_ended_session_is_forgotten_first_with_its_rows() {
    let mut talk = Talk::within(&ResourceLimits {
        max_sessions: 2,
        ..ResourceLimits::default()
    });
    talk.round_trip(1, "first");
    talk.enter("R2");
    talk.round_trip(2, "second");
    let ended = Event::SessionEnded {
        session: session_id("R2"),
        reason: "deleted",
    };
    talk.tell(ended);
    talk.enter("R3");
    let ids: Vec<_> = talk
        .view()
        .sessions()
        .iter()
        .map(|row| row.id.to_string())
        .collect();
    assert_eq!(ids, ["R1", "R3"]);
    assert_eq!(of(&talk.rows(), session_id("R2")), Vec::<u64>::new());
    // The sides do not compete.
    talk.enter("F1");
    assert_eq!(talk.view().sessions().len(), 3);
    assert_eq!(talk.view().usage().sessions_forgotten, [0, 1]);
    talk.enter("R4");
    let ids: Vec<_> = talk
        .view()
        .sessions()
        .iter()
        .map(|row| row.id.to_string())
        .collect();
    assert_eq!(ids, ["R3", "F1", "R4"]);
}

#[test]
fn a_hundred_thousand_rows_are_found_by_place_and_by_id() {
    let mut talk = Talk::within(&limits(1 << 30, 1 << 30));
    talk.post(1);
    for _ in 0..100_000 {
        talk.asks(1, r#"{"jsonrpc":"2.0","method":"x"}"#);
    }
    let view = talk.view();
    assert_eq!(
        (view.count(), view.segments().len()),
        (100_000, 100_000_usize.div_ceil(SEGMENT_ROWS))
    );
    for place in [0, 255, 256, 99_999] {
        let row = view.row(place).unwrap();
        assert_eq!(row.id().get(), place + 1);
        assert_eq!(view.position(row.id()), Ok(place));
    }
    assert!(view.row(100_000).is_none());
    assert_eq!(view.position(message_id(100_001)), Err(100_000));
}

#[test]
fn a_thinned_out_history_is_put_together_again() {
    let mut talk = Talk::within(&ResourceLimits {
        max_sessions: 2,
        ..limits(1 << 30, 1 << 30)
    });
    talk.enter("R2");
    for number in 0..4000 {
        talk.session = Some(session_id(if number % 4 == 0 { "R2" } else { "R1" }));
        talk.asks(1 + number % 2, r#"{"jsonrpc":"2.0","method":"x"}"#);
        talk.end(1 + number % 2);
    }
    talk.tell(Event::SessionEnded {
        session: session_id("R1"),
        reason: "deleted",
    });
    talk.enter("R3");
    let view = talk.view();
    assert_eq!((view.count(), view.totals().rows_evicted), (1000, 3000));
    assert!(
        view.segments().len() <= 1 + 1000 / (SEGMENT_ROWS / 2),
        "{}",
        view.segments().len()
    );
    assert!(view.segments().iter().all(|segment| !segment.rows().is_empty()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever comes, what was counted is what is there, and no budget is passed.
    #[test]
    fn the_books_are_right(steps in proptest::collection::vec((0u8..6, 0usize..3, 0usize..2000), 1..200)) {
        let limits = limits(24 * 1024, 48 * 1024);
        let mut talk = Talk::within(&limits);
        let mut number = 0;
        for (step, session, size) in steps {
            let name = ["R1", "R2", "F1"][session];
            talk.enter(name);
            match step {
                0 => { number += 1; talk.post(number); talk.asks(number, &call(number, &"x".repeat(size))); }
                1 => talk.respond(number.max(1), 200, None),
                2 => talk.answers(number.max(1), &format!(r#"{{"id":{number},"result":"{}"}}"#, "y".repeat(size))),
                3 => talk.end(number.max(1)),
                4 => { talk.session = None; number += 1; talk.post(number); talk.asks(number, "[{}, {}]"); }
                _ => { number += 1; talk.round_trip(number, "echo"); }
            }
            let open = talk.ledger.exchanges.values().map(|open| &open.record);
            let (recounted, shelves) = talk.ledger.shelves.recount(open);
            prop_assert_eq!(talk.ledger.shelves.shelved(), recounted);
            prop_assert_eq!(shelves, recounted);
            let view = talk.view();
            let ids: Vec<u64> = view.rows_from(0).map(|row| row.id().get()).collect();
            prop_assert!(ids.is_sorted());
            prop_assert_eq!(ids.len() as u64, view.count());
            prop_assert_eq!(view.count() + view.totals().rows_evicted, talk.ledger.last_row);
            let mut backwards: Vec<u64> = view.rows_before(view.count()).map(|row| row.id().get()).collect();
            backwards.reverse();
            prop_assert_eq!(ids, backwards);
        }
    }
}
