//! The list that is kept up equals a list made anew.

use proptest::prelude::*;

use crate::clock::Clock;
use crate::intercept::filter::Filter;
use crate::limits::ResourceLimits;
use crate::session::history::HistoryView;
use crate::session::ledger::testing::{Talk, call, result, session_id};
use crate::views::criteria::Criteria;
use crate::views::matches::MatchList;
use crate::views::slice::Slice;

fn full_scan(history: &HistoryView, criteria: &Criteria) -> Vec<u64> {
    let rows = history.rows_from(0).filter(|row| criteria.hold(history, row));
    rows.map(|row| row.id().get()).collect()
}

fn step(talk: &mut Talk, number: &mut u64, step: u8, size: usize) {
    match step {
        0 | 1 => {
            *number += 1;
            talk.post(*number);
            talk.asks(*number, &call(*number, &"x".repeat(size)));
        }
        2 => talk.respond(*number, 200, None),
        3 => talk.answers(*number, &result(*number)),
        4 => talk.end(*number),
        5 => talk.enter("R2"),
        6 => talk.enter("R1"),
        _ => talk.session = None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_match_list_equals_a_full_scan(
        steps in proptest::collection::vec((0u8..9, 0usize..600), 1..150),
        filter in prop::sample::select(vec!["status:open", "kind:request", "!status:ok", "text:xxx", "has:error | session:R2", ""]),
        session in prop::option::of(prop::sample::select(vec!["R1", "R2"])),
        rows_a_slice in 1usize..40,
    ) {
        let limits = ResourceLimits { max_memory_per_session: 12 * 1024, ..ResourceLimits::default() };
        let mut talk = Talk::within(&limits);
        let criteria = Criteria {
            filter: Filter::parse(filter).unwrap(),
            session: session.map(session_id),
            max_parse_bytes: 1 << 20,
        };
        let clock = Clock::start();
        let mut list = MatchList::new(&talk.view());
        let mut number = 1;
        for (kind, size) in steps {
            step(&mut talk, &mut number, kind, size);
            if size % 3 == 0 {
                let view = talk.view();
                list.catch_up(&view, &criteria);
                let mut slice = Slice::of(rows_a_slice, clock);
                let is_done = list.advance(&view, &criteria, &mut slice);
                let found: Vec<u64> = list.ids(0, usize::MAX).map(|id| id.get()).collect();
                let all = full_scan(&view, &criteria);
                if is_done {
                    prop_assert_eq!(&found, &all);
                    prop_assert_eq!(list.scanned(&view), crate::session::history::History::count(&*view));
                }
                prop_assert!(found.is_sorted());
                prop_assert!(found.iter().all(|id| all.contains(id)));
            }
        }
        let view = talk.view();
        list.catch_up(&view, &criteria);
        while !list.advance(&view, &criteria, &mut Slice::of(rows_a_slice, clock)) {}
        let found: Vec<u64> = list.ids(0, usize::MAX).map(|id| id.get()).collect();
        prop_assert_eq!(found, full_scan(&view, &criteria));
    }
}

#[test]
fn a_list_that_slept_too_long_starts_anew() {
    let mut talk = Talk::default();
    let criteria = Criteria {
        filter: Filter::parse("status:open").unwrap(),
        session: None,
        max_parse_bytes: 1,
    };
    let mut list = MatchList::new(&talk.view());
    for number in 1..=200 {
        talk.post(number);
        talk.asks(number, &call(number, "echo"));
        talk.view();
        talk.answers(number, &result(number));
        talk.view();
    }
    talk.post(201);
    talk.asks(201, &call(201, "echo"));
    let view = talk.view();
    list.catch_up(&view, &criteria);
    let clock = Clock::start();
    while !list.advance(&view, &criteria, &mut Slice::new(clock)) {}
    assert_eq!(list.ids(0, 10).map(|id| id.get()).collect::<Vec<_>>(), [401]);
}
