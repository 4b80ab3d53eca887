//! What a person with rules would notice.

use std::borrow::Cow;
use std::time::Duration;

use super::*;
use crate::clock::Timestamp;
use crate::intercept::filter::{Field, FieldValue, Filter, Needs, Subject};
use crate::intercept::rule::{Hits, Verdict, WhileHeld};
use crate::snapshot::Direction::{self, ClientToServer, ServerToClient};

/// A message with a method and a kind.
struct Message(&'static str, &'static str);

impl Subject for Message {
    fn field(&self, field: Field) -> Option<FieldValue<'_>> {
        match field {
            Field::Method => Some(self.0.into()),
            Field::Kind => Some(self.1.into()),
            _ => None,
        }
    }

    fn body(&self) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(b"{}"))
    }
}

const CALL: Message = Message("tools/call", "request");
const PING: Message = Message("ping", "request");

fn rule(name: &str, when: &str, verdict: Verdict) -> Rule {
    Rule {
        name: name.to_owned(),
        is_on: true,
        when: Filter::parse(when).unwrap(),
        direction: None,
        hits: Hits::Always,
        verdict,
        on_expire: None,
        while_held: WhileHeld::default(),
    }
}

fn hold(name: &str, hits: Hits) -> Rule {
    Rule {
        hits,
        ..rule(name, "method:tools/call", Verdict::Hold)
    }
}

fn armory(rules: impl IntoIterator<Item = Rule>) -> Armory {
    let armory = Armory::seeded(1);
    for rule in rules {
        armory.add(rule).unwrap();
    }
    armory
}

fn chosen(armory: &Armory, message: &Message, direction: Direction) -> Option<String> {
    let now = Timestamp::from_micros(5);
    let chosen = armory.load().choose(message, direction, now)?;
    Some(chosen.rule.name().to_owned())
}

/// Which of the first `count` matches a rule acts on, counted from 1.
fn acted(hits: Hits, count: usize) -> Vec<usize> {
    let armory = armory([hold("r", hits)]);
    (1..=count)
        .filter(|_| chosen(&armory, &CALL, ClientToServer).is_some())
        .collect()
}

#[test]
fn the_first_rule_that_matches_acts() {
    let armory = armory([
        rule("pings", "method:ping", Verdict::Forward),
        rule("all", "", Verdict::Hold),
        rule("never reached", "", Verdict::Hold),
    ]);
    assert_eq!(chosen(&armory, &PING, ClientToServer).as_deref(), Some("pings"));
    assert_eq!(chosen(&armory, &CALL, ClientToServer).as_deref(), Some("all"));
    let hits: Vec<_> = armory.list().iter().map(|row| row.hits).collect();
    assert_eq!(hits, [1, 1, 0]);
}

#[test]
fn each_policy_acts_on_the_matches_it_names() {
    assert_eq!(acted(Hits::Always, 3), [1, 2, 3]);
    assert_eq!(acted(Hits::Once, 3), [1]);
    assert_eq!(acted(Hits::Nth(2), 5), [2]);
    assert_eq!(acted(Hits::Every(2), 5), [2, 4]);
    assert_eq!(acted(Hits::After(2), 5), [3, 4, 5]);
    assert_eq!(acted(Hits::Percent(0.0), 50), [0_usize; 0]);
    assert_eq!(acted(Hits::Percent(100.0), 50).len(), 50);
}

#[test]
fn chance_is_near_its_percentage_and_the_same_for_the_same_seed() {
    let first = acted(Hits::Percent(10.0), 10_000);
    assert!((900..1100).contains(&first.len()), "{}", first.len());
    assert_eq!(first, acted(Hits::Percent(10.0), 10_000));
}

#[test]
fn two_rules_of_the_same_chance_do_not_act_in_step() {
    let armory = armory([
        rule("a", "", Verdict::Log),
        hold("b", Hits::Percent(50.0)),
        hold("c", Hits::Percent(50.0)),
    ]);
    for _ in 0..1000 {
        chosen(&armory, &CALL, ClientToServer);
    }
    let rows = armory.list();
    // c is asked where b does not act; in step it would never act, or always.
    assert!((150..350).contains(&rows[2].hits), "{rows:?}");
}

#[test]
fn a_rule_for_the_next_message_is_off_afterwards_and_the_list_says_so() {
    let armory = armory([hold("next", Hits::Once)]);
    let before = armory.version();
    let old = armory.load();
    assert!(chosen(&armory, &CALL, ClientToServer).is_some());
    assert!(!armory.list()[0].is_on);
    assert!(armory.version() > before);
    assert!(armory.load().is_empty());
    assert!(old.choose(&CALL, ClientToServer, Timestamp::default()).is_none());
    assert!(armory.switch("next", true));
    assert!(chosen(&armory, &CALL, ClientToServer).is_some());
    assert_eq!(armory.list()[0].hits, 2);
}

#[test]
fn only_one_of_many_threads_gets_the_next_message() {
    let armory = armory([hold("next", Hits::Once)]);
    let hits: usize = std::thread::scope(|scope| {
        let ask = || usize::from(chosen(&armory, &CALL, ClientToServer).is_some());
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(hits, 1);
}

#[test]
fn a_rule_that_was_switched_on_again_counts_from_one() {
    let armory = armory([hold("second", Hits::Nth(2))]);
    let ask = || chosen(&armory, &CALL, ClientToServer).is_some();
    assert_eq!([ask(), ask(), ask()], [false, true, false]);
    armory.switch("second", false);
    assert!(!ask());
    armory.switch("second", true);
    assert_eq!([ask(), ask()], [false, true]);
    assert_eq!((armory.list()[0].matches, armory.list()[0].hits), (5, 2));
}

#[test]
fn a_rule_acts_only_in_its_direction() {
    let armory = armory([Rule {
        direction: Some(ServerToClient),
        ..rule("answers", "", Verdict::Hold)
    }]);
    assert_eq!(chosen(&armory, &CALL, ClientToServer), None);
    assert!(chosen(&armory, &CALL, ServerToClient).is_some());
    assert_eq!(armory.load().needs(ClientToServer), None);
    assert_eq!(armory.load().needs(ServerToClient), Some(Needs::Whole));
}

#[test]
fn a_rule_that_logs_counts_and_lets_the_next_act() {
    let armory = armory([rule("log", "", Verdict::Log), rule("hold", "", Verdict::Hold)]);
    assert_eq!(chosen(&armory, &CALL, ClientToServer).as_deref(), Some("hold"));
    assert_eq!(armory.list()[0].hits, 1);
}

#[test]
fn only_requests_are_answered() {
    let answer = Verdict::Answer {
        result: "{}".to_owned(),
    };
    let armory = armory([rule("mock", "", answer)]);
    let note = Message("notifications/progress", "notification");
    assert_eq!(chosen(&armory, &note, ClientToServer), None);
    assert_eq!(armory.list()[0].matches, 0);
    assert!(chosen(&armory, &CALL, ClientToServer).is_some());
}

#[test]
fn the_master_switch_stops_every_rule_and_keeps_each_switch() {
    let armory = armory([hold("a", Hits::Always)]);
    armory.set_intercepting(false);
    assert!(!armory.is_intercepting() && armory.load().is_empty());
    assert_eq!(chosen(&armory, &CALL, ClientToServer), None);
    assert!(armory.list()[0].is_on);
    armory.set_intercepting(true);
    assert!(chosen(&armory, &CALL, ClientToServer).is_some());
}

#[test]
fn what_rules_need_of_a_body_is_known_before_a_message_comes() {
    let needs =
        |when: &str, verdict: Verdict| armory([rule("r", when, verdict)]).load().needs(ClientToServer);
    assert_eq!(armory([]).load().needs(ClientToServer), None);
    assert_eq!(needs("server:github", Verdict::Forward), Some(Needs::Nothing));
    assert_eq!(
        needs("method:ping", Verdict::Drop { is_silent: false }),
        Some(Needs::Envelope)
    );
    assert_eq!(needs("arg.x=1", Verdict::Log), Some(Needs::Whole));
    assert_eq!(needs("server:github", Verdict::Hold), Some(Needs::Whole));
}

#[test]
fn a_reload_keeps_counts_and_switches_of_rules_that_did_not_change() {
    let armory = Armory::seeded(1);
    let rules = |verdict| {
        vec![
            hold("same", Hits::Always),
            rule("other", "method:ping", verdict),
            hold("switched", Hits::Always),
        ]
    };
    armory.replace_saved(rules(Verdict::Hold)).unwrap();
    chosen(&armory, &CALL, ClientToServer);
    chosen(&armory, &PING, ClientToServer);
    armory.switch("switched", false);
    let reload = armory.replace_saved(rules(Verdict::Forward)).unwrap();
    assert_eq!(
        reload,
        Reload {
            changed: 1,
            kept: 2,
            removed: 0
        }
    );
    let rows = armory.list();
    assert_eq!([rows[0].hits, rows[1].hits], [1, 0]);
    assert!(rows[1].is_on && !rows[2].is_on);
    assert_eq!(armory.replace_saved(Vec::new()).unwrap().removed, 3);
}

#[test]
fn a_switch_in_the_file_wins_and_keeps_the_counts() {
    let armory = Armory::seeded(1);
    armory.replace_saved(vec![hold("a", Hits::Always)]).unwrap();
    chosen(&armory, &CALL, ClientToServer);
    let off = Rule {
        is_on: false,
        ..hold("a", Hits::Always)
    };
    armory.replace_saved(vec![off]).unwrap();
    let row = &armory.list()[0];
    assert_eq!((row.is_on, row.hits), (false, 1));
}

#[test]
fn a_rule_from_the_keyboard_outlives_a_reload_and_is_asked_first() {
    let armory = Armory::seeded(1);
    armory
        .replace_saved(vec![rule("file", "", Verdict::Forward)])
        .unwrap();
    armory.add(hold("key", Hits::Always)).unwrap();
    armory
        .replace_saved(vec![rule("file", "", Verdict::Log)])
        .unwrap();
    let names = |armory: &Armory| {
        armory
            .list()
            .into_iter()
            .map(|row| (row.name, row.is_saved))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&armory),
        [("key".to_owned(), false), ("file".to_owned(), true)]
    );
    chosen(&armory, &CALL, ClientToServer);
    let saved = vec![rule("file", "", Verdict::Log), hold("key", Hits::Always)];
    armory.replace_saved(saved).unwrap();
    assert_eq!(
        names(&armory),
        [("file".to_owned(), true), ("key".to_owned(), true)]
    );
    assert_eq!(armory.list()[1].hits, 1);
}

#[test]
fn a_taken_name_is_refused_and_put_changes_the_rule() {
    let armory = armory([hold("a", Hits::Always)]);
    let error = armory.add(hold("a", Hits::Once)).unwrap_err();
    assert!(error.to_string().contains("`a`"), "{error}");
    armory.put(rule("a", "method:ping", Verdict::Forward)).unwrap();
    armory.put(rule("b", "", Verdict::Forward)).unwrap();
    assert_eq!(armory.list()[0].when, "method:ping");
    assert_eq!(armory.list().len(), 2);
    assert!(armory.remove("b") && !armory.remove("b"));
    assert!(!armory.switch("b", true));
}

#[test]
fn more_rules_than_the_limit_are_refused_and_change_nothing() {
    let armory = Armory::seeded(1);
    let many = |count: usize| {
        (0..count)
            .map(|n| hold(&n.to_string(), Hits::Always))
            .collect::<Vec<_>>()
    };
    armory.replace_saved(many(MAX_RULES)).unwrap();
    assert_eq!(armory.add(hold("more", Hits::Always)), Err(ArmError::TooMany));
    assert_eq!(armory.replace_saved(many(MAX_RULES + 1)), Err(ArmError::TooMany));
    assert_eq!(armory.list().len(), MAX_RULES);
    let twice = vec![hold("a", Hits::Always), hold("a", Hits::Once)];
    assert!(matches!(
        armory.replace_saved(twice),
        Err(ArmError::NameTaken { .. })
    ));
}

#[test]
fn a_delay_is_drawn_between_its_bounds() {
    let (fixed, jitter) = (Duration::from_millis(100), Duration::from_millis(50));
    let armory = armory([rule("slow", "", Verdict::Delay { fixed, jitter })]);
    let armed = armory.load();
    let delays: Vec<_> = (0..100).map(|_| armed.rules()[0].delay()).collect();
    assert!(
        delays.iter().all(|delay| (fixed..fixed + jitter).contains(delay)),
        "{delays:?}"
    );
    assert!(delays.iter().any(|delay| *delay != delays[0]));
}

#[test]
fn the_rule_that_is_saved_says_how_its_switch_stands() {
    let armory = armory([hold("a", Hits::Always)]);
    armory.switch("a", false);
    assert!(!armory.rule("a").unwrap().is_on);
    assert_eq!(armory.rule("b"), None);
}

#[test]
fn the_same_rule_for_the_next_message_can_be_put_again() {
    let armory = armory([hold("next", Hits::Once)]);
    for _ in 0..3 {
        assert!(chosen(&armory, &CALL, ClientToServer).is_some());
        assert_eq!(chosen(&armory, &CALL, ClientToServer), None);
        armory.put(hold("next", Hits::Once)).unwrap();
    }
    assert_eq!(armory.list()[0].hits, 3);
}

#[test]
fn a_rule_made_at_the_keyboard_gets_a_name_that_a_file_can_hold() {
    let armory = armory([hold("break", Hits::Always), hold("break 2", Hits::Always)]);
    assert_eq!(armory.free_name("break"), "break 3");
    assert_eq!(armory.free_name("method:ping"), "method:ping");
    assert_eq!(armory.free_name(" \n"), "rule");
    let long = armory.free_name(&"é".repeat(200));
    assert!(long.len() <= MAX_NAME_BYTES - 8 && long.chars().all(|c| c == 'é'));
}
