//! Keys on held messages do what they say to the message that was on the screen.

use shadowcat::ids::HoldId;
use shadowcat::intercept::hold::HeadEdit;
use shadowcat::intercept::interceptor::{Deed, InterceptCommand, Remedy};
use shadowcat::intercept::rule::Refusal;
use shadowcat::snapshot::{Command, Repeat, RowKind};

use super::Event;
use crate::effect::Effect;
use crate::fake::Fake;
use crate::model::{Mode, Screen};
use crate::stage::Stage;

pub(super) fn id(number: u64) -> HoldId {
    HoldId::new(number).unwrap()
}

/// The Held screen with the first of four under the cursor.
pub(super) fn at_the_oldest() -> Stage {
    let mut stage = Stage::new(Fake::holding(), 120, 40);
    stage.keys("gh");
    stage.fake.asked.clear();
    stage
}

/// The message `number` leaves.
fn leaves(stage: &mut Stage, number: u64) {
    let mut rows = stage.fake.intercept.rows.clone();
    rows.retain(|row| row.id != id(number));
    stage.fake.hold(rows);
    stage.publish();
}

/// What was asked other than for texts.
pub(super) fn asked(stage: &mut Stage) -> Vec<InterceptCommand> {
    let mut asked = std::mem::take(&mut stage.fake.asked);
    asked.retain(|what| !matches!(what, InterceptCommand::Show { .. }));
    asked
}

#[test]
fn the_oldest_is_reached_from_everywhere_and_goes_on_with_one_key() {
    let mut stage = at_the_oldest();
    assert_eq!(stage.model.screen, Screen::Held);
    stage.keys("f");
    assert_eq!(asked(&mut stage), [InterceptCommand::Forward { id: id(1) }]);
}

#[test]
fn a_key_means_the_message_that_was_drawn_and_not_the_one_that_took_its_place() {
    let mut stage = at_the_oldest();
    leaves(&mut stage, 1);
    stage.press("f");
    assert_eq!(asked(&mut stage), []);
    assert!(stage.text().contains("h1 has left; nothing was done"));
}

#[test]
fn what_has_just_come_under_the_cursor_is_safe_for_a_moment() {
    let mut stage = at_the_oldest();
    leaves(&mut stage, 1);
    stage.draw();
    stage.press("f");
    assert_eq!(asked(&mut stage), []);
    stage.wait(200);
    stage.press("f");
    assert_eq!(asked(&mut stage), [InterceptCommand::Forward { id: id(2) }]);
}

#[test]
fn a_decision_by_name_from_another_screen_shows_first_what_it_would_mean() {
    let mut stage = Stage::new(Fake::holding(), 120, 40);
    stage.keys(":forward<enter>");
    assert_eq!(asked(&mut stage), []);
    assert_eq!(stage.model.screen, Screen::Held);
    stage.keys(":forward<enter>");
    assert_eq!(asked(&mut stage), [InterceptCommand::Forward { id: id(1) }]);
}

#[test]
fn a_cursor_that_the_user_moved_may_act_at_once() {
    let mut stage = at_the_oldest();
    stage.press("j");
    stage.press("W");
    assert_eq!(asked(&mut stage), [InterceptCommand::Keep { id: id(2) }]);
}

#[test]
fn dropping_an_answer_is_asked_about_and_dropping_a_call_is_not() {
    let mut stage = at_the_oldest();
    let drop = |number| InterceptCommand::Drop {
        id: id(number),
        is_silent: false,
    };
    stage.keys("d");
    assert_eq!(asked(&mut stage), [drop(1)]);
    stage.keys("jd");
    assert_eq!(asked(&mut stage), []);
    stage.keys("j");
    assert_eq!(asked(&mut stage), [], "any other key is a no");
    stage.keys("dy");
    assert_eq!(asked(&mut stage), [drop(2)]);
}

#[test]
fn the_menu_of_refusals_says_what_each_does_and_does_it() {
    let mut stage = at_the_oldest();
    stage.keys("x");
    assert!(stage.text().contains("as if it had asked too often"));
    stage.keys("9");
    let refusal = Refusal::Status(429);
    assert_eq!(
        asked(&mut stage),
        [InterceptCommand::Refuse { id: id(1), refusal }]
    );
}

#[test]
fn letting_go_of_several_is_asked_about() {
    let mut stage = at_the_oldest();
    stage.keys("i");
    assert!(stage.text().contains("4 held messages go on unchanged"));
    stage.keys("<esc>");
    assert_eq!(asked(&mut stage), []);
    stage.keys("iy");
    assert_eq!(asked(&mut stage), [InterceptCommand::Intercept { is_on: false }]);
}

#[test]
fn quitting_asks_while_something_is_held() {
    let mut stage = Stage::new(Fake::holding(), 120, 40);
    stage.keys("q");
    assert!(matches!(stage.model.mode, Mode::Ask(_)));
    assert!(!stage.effects.contains(&Effect::Quit));
    stage.keys("y");
    assert!(stage.effects.contains(&Effect::Quit));
}

#[test]
fn an_edit_that_may_be_wrong_is_told_before_it_counts() {
    let mut stage = at_the_oldest();
    stage.keys("e");
    let Some(Effect::Edit { text, .. }) = stage.effects.pop() else {
        panic!("no editor");
    };
    assert!(
        String::from_utf8(text)
            .unwrap()
            .contains("\n      \"limit\": 1.10\n")
    );
    stage.event(Event::Edited(Some(id(1)), Ok(Some(b"{\"id\":7".to_vec()))));
    assert!(stage.text().contains("This edit may be wrong"));
    assert_eq!(asked(&mut stage), []);
    stage.keys("r");
    let text = Some("{\"id\":7".to_owned());
    assert_eq!(asked(&mut stage), [InterceptCommand::Edit { id: id(1), text }]);
    assert!(stage.text().contains("h1 is edited; f sends it"));
}

#[test]
fn an_edit_that_may_be_wrong_is_not_lost_in_the_editor() {
    let mut stage = at_the_oldest();
    stage.keys("e");
    let broken = b"{\"id\":7".to_vec();
    for _ in 0..2 {
        stage.event(Event::Edited(Some(id(1)), Ok(Some(broken.clone()))));
        assert!(stage.text().contains("This edit may be wrong"));
        stage.keys("e");
        let again = Effect::Edit {
            id: Some(id(1)),
            text: broken.clone(),
        };
        assert_eq!(stage.effects.pop(), Some(again));
    }
    assert_eq!(asked(&mut stage), []);
}

#[test]
fn an_editor_that_fails_changes_nothing() {
    let mut stage = at_the_oldest();
    stage.keys("e");
    stage.event(Event::Edited(Some(id(1)), Ok(None)));
    assert_eq!(asked(&mut stage), []);
    assert!(stage.text().contains("nothing was changed"));
}

#[test]
fn a_field_is_typed_without_quotes_and_its_neighbours_keep_their_spelling() {
    let mut stage = at_the_oldest();
    stage.keys("E");
    stage.keys("jjjjjjj<enter>");
    stage.keys("<ctrl-u>a \"b\"<enter>");
    let [InterceptCommand::Edit { text: Some(text), .. }] = &asked(&mut stage)[..] else {
        panic!("no edit: {}", stage.text());
    };
    assert!(text.contains(r#""query":"a \"b\"","limit":1.10"#), "{text}");
}

#[test]
fn a_breakpoint_is_made_from_the_row_under_the_cursor_or_by_name() {
    let mut stage = Stage::new(Fake::typical(), 120, 40);
    stage.keys(":break next kind:error<enter>");
    assert_eq!(
        asked(&mut stage),
        [InterceptCommand::Break {
            filter: "kind:error".to_owned(),
            is_once: true
        }]
    );
    stage.keys("b");
    assert!(stage.text().contains("hold all that match: "));
    stage.keys("<enter>");
    assert!(
        matches!(&asked(&mut stage)[..], [InterceptCommand::Break { filter, is_once: false }] if filter.contains("dir:"))
    );
}

#[test]
fn a_rule_is_switched_by_space_and_one_of_the_file_cannot_be_taken_away() {
    let mut stage = Stage::new(Fake::holding(), 120, 40);
    stage.keys("I");
    stage.press("space");
    let rule = "searches".to_owned();
    assert_eq!(
        asked(&mut stage),
        [InterceptCommand::Switch { rule, is_on: false }]
    );
    stage.keys("jd");
    assert_eq!(asked(&mut stage), []);
    assert!(stage.text().contains("it is in the file of rules"));
}

#[test]
fn what_was_edited_by_hand_becomes_a_rule_with_a_filter_that_can_be_changed() {
    let mut stage = at_the_oldest();
    stage.keys("jjj");
    stage.keys("w");
    assert!(
        stage
            .text()
            .contains("always edit so what matches: method:tools/call tool:search dir:c2s")
    );
    stage.keys(" session:R1<enter>");
    let [InterceptCommand::Always { when, name, remedy }] = &asked(&mut stage)[..] else {
        panic!("no rule: {}", stage.text());
    };
    assert_eq!(when, "method:tools/call tool:search dir:c2s session:R1");
    assert_eq!(name, "edit search");
    let Remedy::Edited { before, after, .. } = remedy else {
        panic!("{remedy:?}");
    };
    assert_eq!(after, &before.replace("rust sse", "rust mcp"));
}

#[test]
fn the_last_decision_becomes_a_rule_after_the_fact() {
    let mut stage = at_the_oldest();
    stage.keys("w");
    assert!(stage.text().contains("nothing was done by hand yet"));
    stage.keys("x9");
    leaves(&mut stage, 1);
    stage.fake.asked.clear();
    stage.wait(200);
    stage.keys("w");
    assert!(
        stage
            .text()
            .contains("always refuse so what matches: method:tools/call tool:search dir:c2s")
    );
    stage.keys("<enter>");
    let refusal = Refusal::Status(429);
    assert!(matches!(
        &asked(&mut stage)[..],
        [InterceptCommand::Always { remedy: Remedy::Refused { refusal: said }, .. }] if *said == refusal
    ));
}

#[test]
fn edits_are_undone_one_by_one() {
    let mut stage = at_the_oldest();
    stage.keys("jjj");
    stage.keys("U");
    assert!(stage.text().contains("there is no edit of it to undo"));
    stage.keys("Ejjjjjjj<enter><ctrl-u>a<enter><esc>");
    let [InterceptCommand::Edit { .. }] = &asked(&mut stage)[..] else {
        panic!("no edit");
    };
    stage.keys("U");
    let [InterceptCommand::Edit { text: Some(text), .. }] = &asked(&mut stage)[..] else {
        panic!("nothing undone");
    };
    assert!(
        text.contains("rust mcp"),
        "the edit before is there again: {text}"
    );
}

#[test]
fn marked_messages_go_on_together_in_the_order_in_which_they_came() {
    let mut stage = at_the_oldest();
    stage.keys("jj<space>kkk<space>");
    assert!(stage.text().contains("f sends the 2 marked"));
    stage.keys("f");
    let ids = vec![id(1), id(3)];
    let deed = Deed::Forward;
    assert_eq!(asked(&mut stage), [InterceptCommand::Together { ids, deed }]);
    assert!(!stage.text().contains("marked"));
}

#[test]
fn a_range_goes_with_the_cursor_and_dropping_it_is_asked_about() {
    let mut stage = at_the_oldest();
    stage.keys("vjj");
    stage.keys("d");
    assert!(
        stage
            .text()
            .contains("drop the 3 marked messages, 1 answer among them?")
    );
    stage.keys("n");
    assert_eq!(asked(&mut stage), []);
    stage.keys("kdy");
    let deed = Deed::Drop { is_silent: false };
    let ids = vec![id(1), id(2)];
    assert_eq!(asked(&mut stage), [InterceptCommand::Together { ids, deed }]);
}

#[test]
fn escape_takes_marks_away_before_it_leaves() {
    let mut stage = at_the_oldest();
    stage.keys("<space><esc>");
    assert!(stage.model.held.marks.is_empty());
    assert_eq!(stage.model.screen, Screen::Held);
    stage.keys("k<space>jj");
    leaves(&mut stage, 1);
    assert!(
        stage.model.held.marks.is_empty(),
        "a mark leaves with its message"
    );
}

#[test]
fn refusing_the_marked_refuses_all_of_them() {
    let mut stage = at_the_oldest();
    stage.keys("<space><space>x5");
    let deed = Deed::Refuse {
        refusal: Refusal::Status(503),
    };
    let ids = vec![id(1), id(2)];
    assert_eq!(asked(&mut stage), [InterceptCommand::Together { ids, deed }]);
}

#[test]
fn the_terminal_rings_once_when_three_quarters_of_the_time_are_over() {
    let mut stage = Stage::new(Fake::holding(), 120, 40);
    let rings = |stage: &Stage| {
        let rings = stage.effects.iter().filter_map(|effect| match effect {
            Effect::Ring(text) => Some(text.clone()),
            _ => None,
        });
        rings.collect::<Vec<_>>()
    };
    assert_eq!(
        rings(&stage),
        ["shadowcat-tui: h2 held 71 of 60 s and 1 more"],
        "h2 and h4 are late already"
    );
    stage.wait(20_000);
    assert_eq!(rings(&stage).len(), 1);
    stage.wait(10_000);
    assert_eq!(rings(&stage).len(), 2);
    stage.wait(1_000);
    assert_eq!(rings(&stage).len(), 2);
}

#[test]
fn a_view_that_decides_nothing_does_not_ring() {
    let mut stage = Stage::new(Fake::typical(), 120, 40);
    stage.model.has_bell = false;
    stage.fake.intercept = Fake::holding().intercept;
    stage.publish();
    assert!(
        !stage
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Ring(_)))
    );
}

#[test]
fn an_answer_by_hand_begins_with_what_the_tool_answered_last() {
    let mut stage = at_the_oldest();
    stage.keys("m");
    let Mode::Hold(prompt) = &stage.model.mode else {
        panic!("{}", stage.text());
    };
    let text = prompt.line.text();
    let _: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_ne!(text, "{}");
    stage.keys("<esc>");
    stage.fake.rows.clear();
    stage.keys("m");
    assert!(stage.text().contains(r#""structuredContent":{"hits":0}"#));
}

#[test]
fn a_field_with_a_choice_is_stepped_through_with_tab() {
    let mut stage = at_the_oldest();
    stage.keys("Ejjjjjjj<enter>");
    assert!(stage.text().contains("Tab rust sse | rust mcp"));
    stage.keys("<tab><enter>");
    let [InterceptCommand::Edit { text: Some(text), .. }] = &asked(&mut stage)[..] else {
        panic!("no edit");
    };
    assert!(text.contains(r#""query":"rust mcp""#), "{text}");
}

#[test]
fn a_row_of_the_traffic_is_the_held_message_of_its_exchange_and_frame() {
    let mut stage = Stage::new(Fake::typical(), 120, 40);
    let row = stage.model.snapshot.messages.rows.last().unwrap().clone();
    let mut held = crate::fake::held(1, row.kind, stage.fake.now(), 3);
    (held.exchange, held.direction, held.frame) = (row.exchange, row.direction, 1);
    stage.fake.hold(vec![held.clone()]);
    stage.publish();
    assert_eq!(stage.model.held_of(&row), None, "another frame of its exchange");
    held.frame = 0;
    stage.fake.hold(vec![held]);
    stage.publish();
    assert!(stage.model.held_of(&row).is_some());
}

#[test]
fn a_header_that_follows_the_edit_can_be_left_as_it_came() {
    let mut stage = at_the_oldest();
    stage.keys("H");
    assert!(stage.text().contains("no header says the same"));
    stage.keys("jjj");
    assert!(stage.text().contains("mcp-name: search → find follows the edit"));
    stage.keys("H<space>");
    let edit = HeadEdit {
        fields: Vec::new(),
        refused: vec!["mcp-name".to_owned()],
    };
    assert_eq!(asked(&mut stage), [InterceptCommand::Head { id: id(4), edit }]);
    assert!(stage.text().contains("[ ] mcp-name: search stays as it came"));
    stage.keys("<space>");
    assert!(
        stage
            .text()
            .contains("[x] mcp-name: search → find follows the edit")
    );
    stage.keys("<esc>");
    assert!(matches!(stage.model.mode, Mode::Normal));
}

#[test]
fn headers_are_edited_before_the_message_and_only_what_was_changed_is_told() {
    let mut stage = at_the_oldest();
    stage.keys("e");
    let Some(Effect::Edit { text, .. }) = stage.effects.pop() else {
        panic!("no editor");
    };
    let text = String::from_utf8(text).unwrap();
    let typed = text.replace("mcp-name: search\n", "mcp-name: other\nx-new: 1\n");
    stage.event(Event::Edited(Some(id(1)), Ok(Some(typed.into_bytes()))));
    let edit = HeadEdit {
        fields: vec![
            ("mcp-name".to_owned(), Some("other".to_owned())),
            ("x-new".to_owned(), Some("1".to_owned())),
        ],
        refused: Vec::new(),
    };
    assert_eq!(asked(&mut stage), [InterceptCommand::Head { id: id(1), edit }]);
    assert!(stage.text().contains("x-new: 1"));
}

/// What was asked to be sent again.
fn resent(stage: &Stage) -> Vec<Repeat> {
    let asked = stage.effects.iter().filter_map(|effect| match effect {
        Effect::Ask(_, Command::Resend(repeat)) => Some((**repeat).clone()),
        _ => None,
    });
    asked.collect()
}

#[test]
fn a_copy_of_a_held_request_is_sent_as_it_is_edited_and_the_request_stays_held() {
    let mut stage = at_the_oldest();
    stage.keys("jp");
    assert!(resent(&stage).is_empty(), "an answer is not sent again");
    stage.keys("jjp");
    let [repeat] = &resent(&stage)[..] else {
        panic!("{}", stage.text());
    };
    assert!(repeat.original.contains("rust sse") && repeat.body.contains("rust mcp"));
    assert_eq!(repeat.client, "127.0.0.1");
    assert_eq!(asked(&mut stage), []);
    assert!(stage.text().contains("sent again as \"shadowcat-9\""));
}

#[test]
fn a_request_of_the_traffic_is_sent_again_and_an_answer_is_not() {
    let mut stage = Stage::new(Fake::typical(), 120, 40);
    stage.keys("gg");
    let is_request = |stage: &Stage| {
        stage
            .model
            .selected()
            .is_some_and(|row| row.kind == RowKind::Request)
    };
    while !is_request(&stage) {
        stage.keys("j");
    }
    stage.keys("p");
    assert_eq!(resent(&stage).len(), 1, "{}", stage.text());
    while is_request(&stage) {
        stage.keys("j");
    }
    stage.keys("p");
    assert_eq!(resent(&stage).len(), 1);
    assert!(stage.text().contains("only requests of a client are sent again"));
}

#[test]
fn a_held_message_goes_on_later_or_more_than_once() {
    let mut stage = at_the_oldest();
    stage.keys("z2");
    let times = 2;
    assert_eq!(
        asked(&mut stage),
        [InterceptCommand::Duplicate { id: id(1), times }]
    );
    stage.keys("zs<enter>");
    let millis = 5_000;
    assert_eq!(asked(&mut stage), [InterceptCommand::Delay { id: id(1), millis }]);
    stage.keys("zx");
    assert_eq!(asked(&mut stage), []);
}

#[test]
fn another_place_in_the_lane_is_asked_about() {
    let mut stage = at_the_oldest();
    stage.keys(">");
    assert!(stage.text().contains("nothing waits behind it"));
    stage.keys("j");
    stage.press("<");
    assert!(stage.text().contains("it is at the head of its lane"));
    stage.keys(">y");
    let is_earlier = false;
    assert_eq!(
        asked(&mut stage),
        [InterceptCommand::Move {
            id: id(2),
            is_earlier
        }]
    );
    stage.keys("j");
    stage.press("<");
    stage.keys("n");
    assert_eq!(asked(&mut stage), []);
}

#[test]
fn a_request_of_the_traffic_is_changed_in_the_editor_before_it_is_sent_again() {
    let mut stage = Stage::new(Fake::typical(), 120, 40);
    stage.keys("gg");
    while stage
        .model
        .selected()
        .is_some_and(|row| row.kind != RowKind::Request)
    {
        stage.keys("j");
    }
    stage.keys("P");
    let Some(Effect::Edit { id: None, text }) = stage.effects.pop() else {
        panic!("no editor: {}", stage.text());
    };
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("---\n"), "{text}");
    stage.event(Event::Edited(None, Ok(Some(text.clone().into_bytes()))));
    assert!(resent(&stage).is_empty() && stage.text().contains("and nothing was sent"));
    stage.keys("P");
    let typed = text.replacen("---\n", "---\nx-new: 1\n", 1);
    stage.event(Event::Edited(None, Ok(Some(typed.into_bytes()))));
    let [repeat] = &resent(&stage)[..] else {
        panic!("{}", stage.text());
    };
    assert_eq!(repeat.edit.fields, [("x-new".to_owned(), Some("1".to_owned()))]);
    assert_eq!(repeat.body, repeat.original);
}
