//! Keys on held messages do what they say to the message that was on the screen.

use shadowcat::ids::HoldId;
use shadowcat::intercept::interceptor::InterceptCommand;
use shadowcat::intercept::rule::Refusal;

use super::Event;
use crate::effect::Effect;
use crate::fake::Fake;
use crate::model::{Mode, Screen};
use crate::stage::Stage;

fn id(number: u64) -> HoldId {
    HoldId::new(number).unwrap()
}

/// The Held screen with the first of four under the cursor.
fn at_the_oldest() -> Stage {
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
fn asked(stage: &mut Stage) -> Vec<InterceptCommand> {
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
    stage.event(Event::Edited(id(1), Ok(Some(b"{\"id\":7".to_vec()))));
    assert!(stage.text().contains("This edit may be wrong"));
    assert_eq!(asked(&mut stage), []);
    stage.keys("r");
    let text = Some("{\"id\":7".to_owned());
    assert_eq!(asked(&mut stage), [InterceptCommand::Edit { id: id(1), text }]);
}

#[test]
fn an_editor_that_fails_changes_nothing() {
    let mut stage = at_the_oldest();
    stage.keys("e");
    stage.event(Event::Edited(id(1), Ok(None)));
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
