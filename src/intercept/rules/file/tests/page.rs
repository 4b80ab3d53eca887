//! `docs/rules.md` shows only what works, and all of it.

use super::*;
use crate::intercept::rules::file::{read, verdict};

const PAGE: &str = include_str!("../../../../../docs/rules.md");

fn examples() -> Vec<&'static str> {
    let blocks = PAGE.split("```toml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap()).collect()
}

#[test]
fn every_example_of_the_page_is_a_file_of_rules() {
    assert!(examples().len() > 5);
    for example in examples() {
        if let Err(error) = parse(example) {
            panic!("{error}\n{example}");
        }
    }
}

#[test]
fn every_key_of_a_rule_and_of_a_change_is_on_the_page_with_an_example() {
    let all = examples().concat();
    for key in read::KEYS.into_iter().chain(verdict::CHANGES) {
        let is_shown = all.contains(&format!("{key} = ")) || all.contains(&format!("[rule.{key}]"));
        assert!(is_shown, "no example has `{key}`");
        assert!(
            PAGE.contains(&format!("`{key}`")),
            "the page does not explain `{key}`"
        );
    }
}

#[test]
fn the_examples_of_the_page_show_every_verdict() {
    let rules: Vec<Rule> = examples()
        .into_iter()
        .flat_map(|example| parse(example).unwrap())
        .collect();
    let shown = |wanted: &dyn Fn(&Verdict) -> bool| rules.iter().any(|rule| wanted(&rule.verdict));
    let is_fault = |text: &str| {
        shown(&|verdict| matches!(verdict, Verdict::Fault(fault) if format!("{fault:?}").starts_with(text)))
    };
    for fault in [
        "Close",
        "Truncate",
        "Duplicate",
        "Reorder",
        "InvalidJson",
        "WrongId",
        "Slow",
    ] {
        assert!(is_fault(fault), "{fault}");
    }
    let is_refusal = |text: &str| {
        shown(&|verdict| matches!(verdict, Verdict::Refuse(kind) if format!("{kind:?}").starts_with(text)))
    };
    for refusal in ["Error", "ToolError", "Status", "Close"] {
        assert!(is_refusal(refusal), "{refusal}");
    }
    for word in ["hold", "forward", "log", "drop", "drop silently"] {
        assert!(PAGE.contains(&format!("`then = \"{word}\"`")), "{word}");
    }
}
