//! The palette with words behind a command: what is typed is done, and nothing else is guessed.

use std::path::PathBuf;

use shadowcat::intercept::interceptor::InterceptCommand;
use shadowcat::snapshot::{Command, RecorderState};

use super::held_tests::asked;
use crate::effect::{Effect, Purpose};
use crate::fake::Fake;
use crate::model::{Mode, Screen};
use crate::stage::Stage;
use crate::theme::Palette;

fn stage() -> Stage {
    Stage::new(Fake::typical(), 80, 24)
}

#[test]
fn a_command_with_words_says_what_it_is_while_it_is_typed() {
    for (typed, said) in [
        ("break<space>next<space>tool:echo", "break [next] FILTER"),
        ("filter<space>method:ping", "filter TEXT"),
        ("theme<space>light", "dark, light or mono"),
        ("record<space>a.jsonl", "record PATH"),
        ("replay-to<space>http://h/", "replay-to URL|NAME"),
        ("open<space>a.jsonl", "open FILE"),
        ("quit<space>now", "`quit` takes no argument"),
    ] {
        let mut stage = stage();
        stage.keys(&format!(":{typed}"));
        let text = stage.text();
        assert!(text.contains(said), "{typed}: {text}");
        assert!(!text.contains("no command of that name"), "{typed}: {text}");
    }
}

#[test]
fn a_command_without_arguments_is_not_run_with_some() {
    let mut stage = stage();
    stage.keys(":quit<space>now<enter>");
    assert_eq!(stage.effects, []);
    assert!(
        stage.text().contains("`quit` takes no argument"),
        "{}",
        stage.text()
    );
    stage.keys(":quit<space><enter>");
    assert_eq!(stage.effects, [Effect::Quit], "a space is no argument");
}

#[test]
fn words_that_are_like_several_commands_run_none_of_them_until_one_is_chosen() {
    let mut stage = stage();
    stage.keys(":the<space>screen<enter>");
    assert!(matches!(stage.model.mode, Mode::Palette(_)));
    assert!(stage.text().contains("choose one"), "{}", stage.text());
    stage.keys("<ctrl-u>the<space>s<down><enter>");
    assert!(matches!(stage.model.mode, Mode::Normal));
}

#[test]
fn filter_theme_and_record_take_what_they_are_about() {
    let mut stage = stage();
    stage.keys("3:filter<space>tools<enter>");
    assert_eq!(
        (stage.model.filter.as_str(), stage.model.screen),
        ("tools", Screen::Traffic)
    );
    stage.keys(":theme<space>light<enter>");
    assert_eq!(stage.model.theme.palette, Palette::Light);
    stage.keys(":theme<space>pink<enter>");
    assert!(stage.text().contains("`pink` is none of"), "{}", stage.text());
    stage.fake.recorder = RecorderState::Off;
    stage.publish();
    stage.keys(":record<space>my<space>run.jsonl<enter>");
    let path = Some(PathBuf::from("my run.jsonl"));
    let start = Effect::Ask(Purpose::Record, Command::StartRecording { path });
    assert_eq!(stage.effects, [start]);
}

#[test]
fn a_breakpoint_on_the_next_message_is_made() {
    let mut stage = Stage::new(Fake::holding(), 80, 24);
    stage.keys(":break<space>next<space>tool:echo<enter>");
    let (filter, is_once) = ("tool:echo".to_owned(), true);
    assert_eq!(asked(&mut stage), [InterceptCommand::Break { filter, is_once }]);
}

#[test]
fn commands_that_need_words_are_listed_and_tab_completes_what_is_behind_them() {
    let mut stage = Stage::new(Fake::typical().with_servers(Fake::several_servers()), 80, 24);
    stage.keys(":replay");
    assert!(stage.text().contains("replay-to URL|NAME"), "{}", stage.text());
    stage.keys("<tab>");
    assert!(stage.text().contains(":replay-to "), "{}", stage.text());
    stage.keys("<tab>");
    for name in ["docs", "everything", "never-started"] {
        assert!(stage.text().contains(name), "{name}: {}", stage.text());
    }
    stage.keys("do<tab>");
    assert!(stage.text().contains(":replay-to docs"), "{}", stage.text());
    stage.keys("<ctrl-u>theme<space>l<tab><enter>");
    assert_eq!(stage.model.theme.palette, Palette::Light);
    stage.keys(":filter<space>tool:ec<tab><enter>");
    assert_eq!(stage.model.filter, "tool:echo");
}
