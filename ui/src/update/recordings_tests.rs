//! The Recordings screen: what keys lead to, and what comes of it.

use std::path::{Path, PathBuf};

use super::Event;
use crate::effect::Effect;
use crate::fake::{Fake, recordings};
use crate::model::{Pane, Screen};
use crate::recordings::{Agreed, Compared, Errand, Listing, MockState, Outcome, Secret, Supplied};
use crate::stage::Stage;

/// The screen with its list.
fn listed() -> Stage {
    let mut stage = Stage::new(Fake::typical(), 80, 24);
    stage.keys("9");
    stage.event(Event::Recordings(Outcome::Listed(recordings::listing())));
    stage.effects.clear();
    stage
}

fn path(name: &str) -> PathBuf {
    Path::new("recordings").join(name)
}

fn checked(stage: &mut Stage, name: &str, outcome: Result<crate::recordings::Checked, String>) {
    let path = path(name);
    stage.event(Event::Recordings(Outcome::Checked { path, outcome }));
}

#[test]
fn the_screen_asks_for_a_list_once_and_again_when_it_is_old() {
    let mut stage = Stage::new(Fake::typical(), 80, 24);
    stage.wait(10_000);
    assert_eq!(stage.effects, [], "nobody looks at the list");
    stage.keys("9jj");
    let folders = vec![PathBuf::from("recordings")];
    let list = Effect::Recordings(Errand::List { folders });
    assert_eq!(stage.effects, std::slice::from_ref(&list));
    stage.event(Event::Recordings(Outcome::Listed(Listing::default())));
    stage.wait(4_000);
    assert_eq!(stage.effects.len(), 1);
    stage.wait(2_000);
    assert_eq!(stage.effects, [list.clone(), list]);
}

#[test]
fn the_cursor_stays_on_its_recording_when_newer_ones_come() {
    let mut stage = listed();
    stage.keys("jj");
    let mut listing = recordings::listing();
    let mut newer = listing.found[0].clone();
    newer.path = path("newest.jsonl");
    listing.found.insert(0, newer);
    stage.event(Event::Recordings(Outcome::Listed(listing.clone())));
    let selected = |stage: &Stage| stage.model.recordings.selected().map(|found| found.path.clone());
    assert_eq!(selected(&stage), Some(path("killed.jsonl")));
    listing.found.retain(|found| found.path != path("killed.jsonl"));
    stage.event(Event::Recordings(Outcome::Listed(listing)));
    assert!(selected(&stage).is_some(), "the next one takes its place");
}

#[test]
fn enter_gives_the_terminal_to_the_recording_and_a_failure_is_told() {
    let mut stage = listed();
    stage.keys("j<enter>");
    assert_eq!(stage.effects, [Effect::OpenRecording(path("session-0.jsonl"))]);
    let outcome = Err("could not read it".to_owned());
    let path = path("session-0.jsonl");
    stage.event(Event::Recordings(Outcome::CameBack { path, outcome }));
    let text = stage.text();
    assert!(
        text.contains("session-0.jsonl was not shown: could not read it"),
        "{text}"
    );
    assert!(matches!(
        stage.effects.last(),
        Some(Effect::Recordings(Errand::List { .. }))
    ));
}

#[test]
fn the_path_can_be_copied() {
    let mut stage = listed();
    stage.keys("jjy");
    let (what, text) = ("path".to_owned(), "recordings/killed.jsonl".to_owned());
    assert_eq!(stage.effects, [Effect::Copy { what, text }]);
}

#[test]
fn a_recording_is_read_once_the_cursor_rests_on_it() {
    let mut stage = listed();
    stage.keys("j");
    stage.wait(1_000);
    assert_eq!(stage.effects, [], "it has only just come there");
    stage.wait(1_000);
    let check = Effect::Recordings(Errand::Check {
        path: path("session-0.jsonl"),
    });
    assert_eq!(stage.effects, [check]);
    checked(&mut stage, "session-0.jsonl", Ok(recordings::whole()));
    let text = stage.text();
    assert!(text.contains("2 sessions, 41 messages"), "{text}");
    stage.effects.clear();
    stage.wait(1_000);
    assert_eq!(stage.effects, [], "what is known is not read again");
}

#[test]
fn the_one_under_way_and_very_large_ones_are_read_only_when_that_is_asked_for() {
    let mut stage = listed();
    stage.wait(1_000);
    stage.wait(1_000);
    stage.keys("jjj");
    stage.wait(1_000);
    stage.wait(1_000);
    assert_eq!(stage.effects, []);
    stage.keys("V");
    let path = path("slow disk.jsonl");
    assert_eq!(stage.effects, [Effect::Recordings(Errand::Check { path })]);
    assert_eq!(stage.model.pane(), Pane::Recording);
}

#[test]
fn reading_ends_when_the_cursor_goes_on() {
    let mut stage = listed();
    stage.keys("jV");
    stage.effects.clear();
    stage.keys("<esc>j");
    assert_eq!(stage.effects, [Effect::Recordings(Errand::StopReading)]);
    checked(&mut stage, "session-0.jsonl", Ok(recordings::whole()));
    stage.keys("k");
    assert!(
        stage.text().contains("41 messages"),
        "what was read all the same is kept"
    );
}

#[test]
fn damage_is_listed_with_its_lines() {
    let mut stage = listed();
    stage.keys("jjV");
    checked(&mut stage, "killed.jsonl", Ok(recordings::damaged()));
    let text = stage.text();
    for words in ["damaged, 2 places", "line 5", "no gap tells of them", "file"] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn a_file_that_has_grown_is_read_anew() {
    let mut stage = listed();
    stage.keys("jV");
    checked(&mut stage, "session-0.jsonl", Ok(recordings::whole()));
    let mut listing = recordings::listing();
    listing.found[1].bytes += 1;
    stage.event(Event::Recordings(Outcome::Listed(listing)));
    assert!(!stage.text().contains("41 messages"));
}

#[test]
fn its_keys_say_where_there_is_nothing_to_do() {
    let mut stage = Stage::new(Fake::empty(), 80, 24);
    stage.keys(":verify<enter>");
    assert_eq!(stage.model.screen, Screen::Recordings);
    stage.event(Event::Recordings(Outcome::Listed(Listing::default())));
    assert!(stage.text().contains("there are no recordings"));
    stage.keys("<enter>");
    assert!(stage.text().contains("there is no recording under the cursor"));
    stage.keys("l<esc><esc>");
    assert_eq!(stage.model.screen, Screen::Traffic);
}

fn compare(before: &str, after: &str) -> Effect {
    let (before, after) = (path(before), path(after));
    Effect::Recordings(Errand::Compare { before, after })
}

fn compared(stage: &mut Stage, before: &str, after: &str, line: &str) {
    stage.event(Event::Recordings(Outcome::Compared {
        before: path(before),
        after: path(after),
        outcome: Ok(Compared {
            lines: vec![line.to_owned()],
            is_cut: false,
        }),
    }));
}

#[test]
fn two_marked_recordings_are_compared_the_older_one_first() {
    let mut stage = listed();
    stage.keys("j<space><space>D");
    assert_eq!(stage.effects, [compare("killed.jsonl", "session-0.jsonl")]);
    assert!(
        stage
            .text()
            .contains("Compared killed.jsonl with session-0.jsonl")
    );
    compared(
        &mut stage,
        "killed.jsonl",
        "session-0.jsonl",
        "changed  R1  tools/call greet",
    );
    assert!(stage.text().contains("changed  R1  tools/call greet"));
    stage.keys("<esc>");
    assert!(
        !stage.text().contains("Compared"),
        "back to what is known of the chosen one"
    );
    stage.keys("<esc>");
    assert!(stage.model.recordings.marks.is_empty());
    assert_eq!(stage.model.screen, Screen::Recordings);
}

#[test]
fn one_mark_is_compared_with_the_cursor_and_too_few_or_many_are_refused() {
    let mut stage = listed();
    stage.keys("D");
    assert!(stage.text().contains("mark two recordings"), "{}", stage.text());
    stage.keys("j<space>D");
    assert_eq!(stage.effects, [compare("killed.jsonl", "session-0.jsonl")]);
    stage.keys("<esc><space><space>D");
    assert!(stage.text().contains("3 are marked"), "{}", stage.text());
}

#[test]
fn comparing_ends_when_nobody_waits_for_it() {
    let mut stage = listed();
    stage.keys("j<space>D<esc>");
    assert_eq!(
        stage.effects.last(),
        Some(&Effect::Recordings(Errand::StopComparing))
    );
    compared(&mut stage, "killed.jsonl", "session-0.jsonl", "too late");
    assert!(!stage.text().contains("too late"));
}

fn replay_to(url: &str, agreed: Agreed) -> Effect {
    let path = path("session-1.jsonl");
    let url = url.to_owned();
    Effect::Recordings(Errand::ReplayTo { path, url, agreed })
}

#[test]
fn the_recording_under_the_cursor_is_sent_to_a_live_server() {
    let mut stage = listed();
    stage.keys(":replay-to<space>http://127.0.0.1:9/mcp<enter>");
    assert_eq!(
        stage.effects,
        [replay_to("http://127.0.0.1:9/mcp", Agreed::default())]
    );
    assert!(
        stage
            .text()
            .contains("Compared session-1.jsonl with http://127.0.0.1:9/mcp"),
        "{}",
        stage.text()
    );
    stage.event(Event::Recordings(Outcome::Compared {
        before: path("session-1.jsonl"),
        after: "http://127.0.0.1:9/mcp".into(),
        outcome: Err("this tool may change something: greet; add `yes` behind the address".to_owned()),
    }));
    assert!(stage.text().contains("this tool may change something"));
    stage.keys(":replay-to<space>http://127.0.0.1:9/mcp<space>yes<space>without-secrets<enter>");
    let agreed = Agreed {
        calls_tools: true,
        sends_tags: true,
        supplied: Vec::new(),
    };
    assert_eq!(
        stage.effects.last(),
        Some(&replay_to("http://127.0.0.1:9/mcp", agreed))
    );
}

#[test]
fn secrets_for_a_live_server_are_named_by_their_variables() {
    let mut stage = listed();
    stage.keys(
        ":replay-to<space>http://h/<space>secret-env<space>0a0b=KEY<space>--header-env<space>x-key=X<enter>",
    );
    let secret = |what, name: &str, variable: &str| Supplied {
        what,
        name: name.to_owned(),
        variable: variable.to_owned(),
    };
    let agreed = Agreed {
        supplied: vec![
            secret(Secret::Value, "0a0b", "KEY"),
            secret(Secret::Header, "x-key", "X"),
        ],
        ..Agreed::default()
    };
    assert_eq!(stage.effects, [replay_to("http://h/", agreed)]);
}

#[test]
fn what_cannot_be_sent_to_a_live_server_says_why() {
    let mut stage = listed();
    for (typed, said) in [
        ("replay-to", "write :replay-to URL"),
        ("replay-to<space>nobody", "neither a URL nor a server here"),
        (
            "replay-to<space>http://h/<space>maybe",
            "`maybe` is none of `yes`",
        ),
        (
            "replay-to<space>http://h/<space>secret-env",
            "write secret-env 5be1c0ffee01=API_KEY",
        ),
        (
            "replay-to<space>http://h/<space>header-env<space>a=",
            "write header-env authorization=AUTH",
        ),
    ] {
        stage.keys(&format!(":{typed}<enter>"));
        assert!(stage.text().contains(said), "{typed}: {}", stage.text());
    }
    stage.keys("1:replay-to<space>http://h/<enter>");
    assert!(stage.text().contains("choose a recording"), "{}", stage.text());
    assert_eq!(stage.effects, []);
}

fn told(stage: &mut Stage, to: Option<MockState>) {
    let path = path("session-0.jsonl");
    stage.event(Event::Recordings(Outcome::Mock { path, state: to }));
}

#[test]
fn a_recording_is_served_until_the_key_is_pressed_again() {
    let mut stage = listed();
    stage.keys("jr");
    let file = path("session-0.jsonl");
    let begin = Effect::Recordings(Errand::Serve { path: file.clone() });
    assert_eq!(stage.effects, [begin]);
    stage.keys("u");
    assert!(stage.text().contains("it is not served"), "{}", stage.text());
    let url = "http://127.0.0.1:4711/mcp".to_owned();
    told(&mut stage, Some(MockState::Serving { url: url.clone() }));
    let text = stage.text();
    assert!(text.contains("⇄ served") && text.contains(&url), "{text}");
    stage.keys("ur");
    let what = "address".to_owned();
    let end = Effect::Recordings(Errand::EndServing { path: file });
    assert_eq!(stage.effects[1..], [Effect::Copy { what, text: url }, end]);
    stage.keys("r");
    assert_eq!(stage.effects.len(), 3, "it is ending already");
    told(&mut stage, None);
    let text = stage.text();
    assert!(
        text.contains("served no more") && !text.contains("⇄ served"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_served_says_why_and_can_be_tried_again() {
    let mut stage = listed();
    stage.keys("jr");
    told(
        &mut stage,
        Some(MockState::Failed("the port is taken".to_owned())),
    );
    stage.keys("G");
    stage.keys("gg");
    stage.keys("j");
    assert!(
        stage.text().contains("serving   the port is taken"),
        "{}",
        stage.text()
    );
    stage.keys("r");
    assert_eq!(stage.effects.len(), 2);
}

#[test]
fn a_read_only_view_serves_nothing() {
    let mut stage = listed();
    stage.model.is_read_only = true;
    stage.keys("jr");
    assert_eq!(stage.effects, []);
    assert!(stage.text().contains("read-only"));
}

#[test]
fn a_file_is_opened_by_its_name_from_anywhere() {
    let mut stage = listed();
    stage.keys("1:open<space>~/my<space>files/a.jsonl<enter>");
    let path = PathBuf::from("~/my files/a.jsonl");
    assert_eq!(stage.effects, [Effect::OpenRecording(path.clone())]);
    let outcome = Err("No such file or directory".to_owned());
    stage.event(Event::Recordings(Outcome::CameBack { path, outcome }));
    let text = stage.text();
    assert!(text.contains("a.jsonl was not shown: No such file"), "{text}");
}

#[test]
fn a_file_name_goes_on_with_tab_as_far_as_it_is_clear() {
    let mut stage = listed();
    stage.keys(":open<space>re<tab>");
    let asked = |typed: &str| {
        Effect::Recordings(Errand::Names {
            typed: typed.to_owned(),
        })
    };
    assert_eq!(stage.effects, [asked("re")]);
    let named = |typed: &str, names: &[&str]| {
        Event::Recordings(Outcome::Named {
            typed: typed.to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        })
    };
    assert!(
        stage.text().contains("Tab completes its name"),
        "{}",
        stage.text()
    );
    stage.event(named("r", &["run.jsonl"]));
    assert!(
        stage.text().contains(":open re"),
        "what was typed meanwhile stays: {}",
        stage.text()
    );
    stage.event(named("re", &["records/", "recordings/"]));
    assert!(stage.text().contains(":open record"), "{}", stage.text());
    stage.event(named("record", &["recordings/"]));
    assert!(stage.text().contains(":open recordings/"), "{}", stage.text());
    stage.event(named("recordings/", &[]));
    assert!(
        stage.text().contains("no recording of that name"),
        "{}",
        stage.text()
    );
    stage.event(named(
        "recordings/",
        &["recordings/a.jsonl", "recordings/b.jsonl"],
    ));
    let text = stage.text();
    assert!(
        text.contains("recordings/a.jsonl") && text.contains("recordings/b.jsonl"),
        "{text}"
    );
    stage.keys("b");
    assert!(!stage.text().contains("recordings/a.jsonl"), "{}", stage.text());
}

fn footer(stage: &mut Stage) -> String {
    stage.text().lines().last().unwrap_or_default().to_owned()
}

#[test]
fn below_the_list_enter_leads_back_and_opens_nothing() {
    let mut stage = listed();
    stage.keys("jV");
    stage.effects.clear();
    let keys = footer(&mut stage);
    assert!(
        keys.contains("Enter to the list") && !keys.contains("Enter open"),
        "{keys}"
    );
    stage.keys("19");
    assert!(
        footer(&mut stage).contains("Enter to the list"),
        "it still has the focus"
    );
    stage.keys("<enter>");
    assert_eq!((stage.model.pane(), stage.effects.len()), (Pane::Recordings, 0));
    assert!(footer(&mut stage).contains("Enter open"));
}

#[test]
fn a_comparison_never_stands_beside_another_recording() {
    let mut stage = listed();
    stage.keys("j<space>D");
    compared(&mut stage, "killed.jsonl", "session-0.jsonl", "changed  R1  x");
    assert!(stage.text().contains("Compared"));
    let mut listing = recordings::listing();
    let cursor = stage.model.recordings.selected().unwrap().path.clone();
    listing.found.retain(|found| found.path != cursor);
    stage.event(Event::Recordings(Outcome::Listed(listing)));
    assert!(!stage.text().contains("Compared"), "{}", stage.text());
    let mut stage = listed();
    stage.keys("j<space>Dh");
    assert!(
        !stage.text().contains("Compared"),
        "back at the list: {}",
        stage.text()
    );
}

#[test]
fn the_recording_under_way_is_there_as_soon_as_it_has_begun() {
    let mut stage = Stage::new(Fake::empty(), 80, 24);
    stage.keys("9");
    stage.event(Event::Recordings(Outcome::Listed(Listing::default())));
    assert!(stage.text().contains("there are no recordings"));
    stage.keys("R<enter>");
    stage.publish();
    let text = stage.text();
    assert!(
        text.contains("● recording") && !text.contains("there are no recordings"),
        "{text}"
    );
    stage.event(Event::Recordings(Outcome::Listed(Listing::default())));
    let text = stage.text();
    assert!(
        text.contains("● recording"),
        "its file may have nothing yet: {text}"
    );
}

#[test]
fn names_that_differ_near_their_end_can_be_told_apart() {
    for columns in [80, 100, 120] {
        let mut stage = Stage::new(Fake::typical(), columns, 24);
        stage.keys("9");
        let mut listing = recordings::listing();
        let first = listing.found.swap_remove(1);
        listing.found.clear();
        for seconds in 0..5 {
            let mut found = first.clone();
            found.path = path(&format!("session-of-the-long-run-20261124T02470{seconds}Z.jsonl"));
            listing.found.push(found);
        }
        stage.event(Event::Recordings(Outcome::Listed(listing)));
        let text = stage.text();
        for seconds in 0..5 {
            assert!(
                text.contains(&format!("02470{seconds}Z.jsonl")),
                "{columns}: {text}"
            );
        }
    }
}

#[test]
fn an_opened_recording_that_is_still_being_written_is_not_called_damaged() {
    let mut fake = Fake::typical();
    fake.open("recordings/a.jsonl", 9, 9);
    if let shadowcat::snapshot::Source::File { damage, .. } = &mut fake.source {
        damage.push(shadowcat::recording::NO_END.to_owned());
    }
    let mut stage = Stage::new(fake, 80, 24);
    assert!(stage.text().contains("has no end"), "{}", stage.text());
    stage.model.is_still_written = true;
    assert!(stage.text().contains("still being written"), "{}", stage.text());
    if let shadowcat::snapshot::Source::File { damage, .. } = &mut stage.fake.source {
        damage.push("line 7: something else".to_owned());
    }
    stage.publish();
    assert!(stage.text().contains("damaged, 3 says where"), "{}", stage.text());
}
