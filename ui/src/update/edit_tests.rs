//! Editors that end in every way, and ranges of marks.

use shadowcat::intercept::interceptor::InterceptCommand;

use super::Event;
use super::held_tests::{asked, at_the_oldest, id};
use crate::effect::Effect;

#[test]
fn an_edit_that_may_be_wrong_stays_when_the_editor_is_left_with_an_error() {
    let mut stage = at_the_oldest();
    stage.keys("e");
    let broken = b"{\"id\":7".to_vec();
    stage.event(Event::Edited(Some(id(1)), Ok(Some(broken.clone()))));
    stage.keys("e");
    stage.event(Event::Edited(Some(id(1)), Ok(None)));
    assert!(
        stage.text().contains("This edit may be wrong"),
        "{}",
        stage.text()
    );
    stage.keys("r");
    let text = Some("{\"id\":7".to_owned());
    assert_eq!(asked(&mut stage), [InterceptCommand::Edit { id: id(1), text }]);
}

#[test]
fn an_edit_that_comes_back_while_something_is_typed_is_asked_about_afterwards() {
    let mut stage = at_the_oldest();
    stage.keys("e");
    stage.keys("1/tools");
    stage.event(Event::Edited(Some(id(1)), Ok(Some(b"{\"id\":7".to_vec()))));
    assert!(
        !stage.text().contains("This edit may be wrong"),
        "{}",
        stage.text()
    );
    stage.keys("<enter>");
    assert!(
        stage.text().contains("This edit may be wrong"),
        "{}",
        stage.text()
    );
}

#[test]
fn one_message_is_edited_at_a_time() {
    let mut stage = at_the_oldest();
    stage.keys("e");
    stage.effects.clear();
    stage.keys("je");
    assert!(
        !stage
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Edit { .. }))
    );
    assert!(
        stage.text().contains("h1 is in your editor already"),
        "{}",
        stage.text()
    );
}

#[test]
fn a_range_is_seen_and_ends_with_the_next_key_that_is_no_move() {
    let mut stage = at_the_oldest();
    stage.keys("vj");
    assert!(
        stage.text().contains("range from h1: v keeps it"),
        "{}",
        stage.text()
    );
    stage.keys("W");
    asked(&mut stage);
    assert!(!stage.text().contains("range from"), "{}", stage.text());
    stage.keys("jj");
    assert_eq!(stage.model.held.marks.iter().copied().collect::<Vec<_>>(), [1, 2]);
}
