//! Any keys in any order, with traffic in between: what must hold all the time.

use proptest::prelude::*;
use shadowcat::ids::MessageId;

use super::Event;
use crate::fake::Fake;
use crate::model::{Mode, Pane};
use crate::stage::Stage;

#[derive(Debug, Clone)]
enum Step {
    Key(&'static str),
    Traffic(u64),
    Evict(usize),
    Wait(u64),
    Resize(u16, u16),
}

/// Everything but leaving: each key of the table, and some text.
const KEYS: &[&str] = &[
    "j",
    "j",
    "k",
    "k",
    "g",
    "G",
    "ctrl-d",
    "ctrl-u",
    "ctrl-f",
    "ctrl-b",
    "enter",
    "esc",
    "esc",
    "tab",
    "shift-tab",
    "1",
    "2",
    "3",
    "4",
    "5",
    "/",
    "f",
    "}",
    "{",
    "[",
    "]",
    "y",
    "s",
    "n",
    "N",
    "w",
    "x",
    "m",
    "h",
    "l",
    "+",
    "_",
    "R",
    "z",
    "v",
    "?",
    ":",
    "up",
    "down",
    "a",
    "e",
    "backspace",
    "p",
    "b",
    "r",
    "i",
    "I",
    "7",
    "8",
    "9",
    "V",
    "t",
    "space",
    "b",
    "B",
    "d",
    "D",
    "E",
    "F",
    "W",
    "u",
];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => proptest::sample::select(KEYS).prop_map(Step::Key),
        2 => (1_u64..30).prop_map(Step::Traffic),
        1 => (1_usize..40).prop_map(Step::Evict),
        1 => (1_u64..3_000).prop_map(Step::Wait),
        1 => (20_u16..220, 5_u16..60).prop_map(|(columns, rows)| Step::Resize(columns, rows)),
    ]
}

fn take(stage: &mut Stage, step: &Step) {
    match step {
        Step::Key(key) => stage.press(key),
        Step::Traffic(calls) => stage.traffic(*calls),
        Step::Evict(rows) => {
            stage.fake.evict(*rows);
            stage.publish();
        }
        Step::Wait(millis) => stage.wait(*millis),
        Step::Resize(columns, rows) => stage.event(Event::Resize(*columns, *rows)),
    }
}

/// The cursor is on a row that is on the screen.
fn check_cursor(stage: &Stage) -> Result<(), TestCaseError> {
    let model = &stage.model;
    let rows = model.message_rows();
    if rows.ids.is_empty() {
        return Ok(());
    }
    let height = model.areas().rows_of(Pane::Messages).saturating_sub(1).max(1);
    let shown: Vec<MessageId> = rows
        .ids
        .iter()
        .skip(model.messages.top_position)
        .take(height)
        .copied()
        .collect();
    let cursor = model.messages.cursor;
    prop_assert!(
        cursor.is_some_and(|cursor| shown.contains(&cursor)),
        "{cursor:?} is not in {shown:?}"
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_cursor_is_always_on_screen_and_nothing_panics(steps in proptest::collection::vec(step(), 1..80)) {
        let mut stage = Stage::new(Fake::holding(), 80, 24);
        for step in &steps {
            take(&mut stage, step);
            check_cursor(&stage)?;
            stage.draw();
        }
    }

    #[test]
    fn traffic_moves_the_cursor_only_while_it_follows(steps in proptest::collection::vec(step(), 1..60)) {
        let mut stage = Stage::new(Fake::typical(), 80, 24);
        for step in &steps {
            let (before, follows) = (stage.model.messages.cursor, stage.model.messages.is_following);
            let is_listed = before.is_some_and(|before| stage.model.row(before).is_some());
            take(&mut stage, step);
            if matches!(step, Step::Traffic(_)) && !follows && is_listed {
                prop_assert_eq!(stage.model.messages.cursor, before);
            }
        }
    }

    #[test]
    fn escape_leads_out_of_everything(steps in proptest::collection::vec(step(), 1..60)) {
        let mut stage = Stage::new(Fake::holding(), 80, 24);
        for step in &steps {
            take(&mut stage, step);
        }
        for _ in 0..12 {
            stage.press("esc");
        }
        prop_assert!(matches!(stage.model.mode, Mode::Normal));
        prop_assert!(stage.model.filter.is_empty() && stage.model.session.is_none() && !stage.model.is_zoomed);
        prop_assert_eq!(stage.model.pane(), Pane::Messages);
    }
}
