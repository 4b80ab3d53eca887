//! Quitting while something is held.

use super::held_tests::{asked, at_the_oldest};
use crate::effect::Effect;
use crate::fake::Fake;
use crate::model::Mode;
use crate::stage::Stage;

#[test]
fn every_way_to_quit_asks_while_something_is_held_and_the_same_key_again_is_a_yes() {
    for (key, again) in [
        ("<ctrl-c>", "<ctrl-c>"),
        ("4Q", "Q"),
        (":exit<enter>", "y"),
        ("Q", "<ctrl-c>"),
    ] {
        let mut stage = Stage::new(Fake::holding(), 120, 40);
        stage.keys(key);
        assert!(!stage.effects.contains(&Effect::Quit), "{key}");
        assert!(stage.text().contains("would go on unchanged"), "{}", stage.text());
        stage.keys(again);
        assert!(stage.effects.contains(&Effect::Quit), "{key} {again}");
    }
    let mut stage = Stage::new(Fake::holding(), 120, 40);
    stage.keys("<ctrl-c>n");
    assert!(matches!(stage.model.mode, Mode::Normal));
    assert!(!stage.effects.contains(&Effect::Quit));
    let mut stage = at_the_oldest();
    stage.keys("i<ctrl-c>");
    assert_eq!(
        asked(&mut stage),
        [],
        "a question about something else is answered with no"
    );
}

#[test]
fn the_question_keeps_its_keys_where_there_is_little_room() {
    for columns in 40..80 {
        let mut stage = Stage::new(Fake::holding(), columns, 10);
        stage.keys("<ctrl-c>");
        let text = stage.text();
        assert!(text.contains("quit?") && text.contains(" y yes, "), "{text}");
    }
}
