//! What rows say of what was decided about their messages.

use std::time::Duration;

use bytes::Bytes;

use crate::ids::HoldId;
use crate::intercept::hold::{Actor, Effect, Ending};
use crate::limits::ResourceLimits;
use crate::session::history::History as _;
use crate::session::ledger::Ledger;
use crate::session::ledger::testing::{Talk, call, exchange, message_id, result};
use crate::session::observation::{Event, VerdictObserved};
use crate::snapshot::Direction;

fn verdict(ending: Option<Ending>) -> VerdictObserved {
    VerdictObserved {
        batch: None,
        exchange: exchange(1),
        session: None,
        direction: Direction::ClientToServer,
        frame: 0,
        hold: None,
        rule: "deep".into(),
        ending,
        effect: None,
        actor: Actor::Rule,
        held_for: Duration::ZERO,
        sent: None,
    }
}

fn tell(talk: &mut Talk, verdict: VerdictObserved) {
    talk.tell(Event::Verdict(Box::new(verdict)));
}

#[test]
fn a_row_says_that_it_is_held_and_then_what_became_of_it_and_what_was_sent() {
    let mut talk = Talk::default();
    talk.post(1);
    talk.asks(1, &call(1, "echo"));
    assert_eq!(talk.row(1).verdict, None);
    let held = VerdictObserved {
        hold: HoldId::new(3),
        ..verdict(None)
    };
    tell(&mut talk, held.clone());
    let row = talk.row(1).verdict.unwrap();
    assert_eq!((row.deed(), row.words()), ("held", None));
    tell(
        &mut talk,
        VerdictObserved {
            ending: Some(Ending::Edited),
            actor: Actor::Key,
            held_for: Duration::from_millis(1200),
            sent: Some(Bytes::from_static(b"{\"other\":1}")),
            ..held
        },
    );
    let row = talk.row(1).verdict.unwrap();
    assert_eq!((row.deed(), row.by().as_str()), ("edited", "by hand"));
    assert_eq!(row.held_for, Duration::from_millis(1200));
    let view = talk.view();
    let sent = view.sent(&view.find(message_id(1)).unwrap()).unwrap();
    assert_eq!(&sent.payload[..], b"{\"other\":1}");
    talk.respond(1, 200, None);
    talk.answers(1, &result(1));
    assert_eq!(talk.row(2).verdict, None, "its answer passed");
}

#[test]
fn each_message_of_a_batch_says_what_became_of_it_and_faults_say_which() {
    let mut talk = Talk::default();
    talk.post(1);
    talk.asks(1, &format!("[{}, {}]", call(1, "echo"), call(2, "echo")));
    tell(
        &mut talk,
        VerdictObserved {
            effect: Some(Effect::WrongId),
            ..verdict(Some(Ending::Edited))
        },
    );
    for row in talk.rows() {
        let verdict = row.verdict.unwrap();
        assert_eq!(
            (verdict.deed(), verdict.by().as_str()),
            ("fault: wrong id", "by rule:deep")
        );
    }
}

#[test]
fn what_was_sent_counts_as_history_and_goes_before_the_row() {
    let limits = ResourceLimits {
        max_memory_per_session: 64 * 1024,
        ..ResourceLimits::default()
    };
    let mut talk = Talk::default();
    talk.ledger = Ledger::new(&limits);
    talk.post(1);
    talk.asks(1, &call(1, "echo"));
    let before = talk.view().usage().bytes;
    tell(
        &mut talk,
        VerdictObserved {
            sent: Some(vec![b'x'; 15_000].into()),
            ..verdict(Some(Ending::Edited))
        },
    );
    assert!(talk.view().usage().bytes > before + 15_000);
    let has_sent = |talk: &mut Talk| {
        let view = talk.view();
        let row = view.find(message_id(1));
        view.sent(&row.expect("the row stays longer than its bytes"))
            .is_some()
    };
    for number in 2.. {
        talk.post(number);
        talk.asks(number, &call(number, &"long".repeat(200)));
        if !has_sent(&mut talk) {
            break;
        }
    }
    assert!(talk.row(1).verdict.is_some());
}
