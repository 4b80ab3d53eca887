use crate::recording::format::Line;
use crate::recording::redact::Tagger;

use super::support::{encode, load};

const PAGE: &str = include_str!("../../../docs/recording-format.md");

fn example() -> &'static str {
    let (_, rest) = PAGE.split_once("```jsonl\n").unwrap();
    rest.split_once("```").unwrap().0
}

#[test]
fn the_example_of_the_documentation_is_a_recording_without_unknown_lines_or_damage() {
    for line in example().lines() {
        let parsed = Line::parse(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_ne!(parsed, Line::Unknown, "{line}");
        let mut written = Vec::new();
        parsed.write_to(&mut written);
        assert_eq!(String::from_utf8(written).unwrap().trim_end(), line);
    }
    let (loaded, damage) = load(example().as_bytes());
    // The header, two parts, the gap and the end tell of nothing by themselves.
    assert_eq!(loaded.len(), example().lines().count() - 5);
    assert_eq!(damage.len(), 1, "the gap: {damage:?}");
}

#[test]
fn every_field_that_is_written_is_in_the_documentation() {
    fn names(value: &serde_json::Value, found: &mut Vec<String>) {
        if let serde_json::Value::Object(members) = value {
            for (name, value) in members {
                found.push(name.clone());
                names(value, found);
            }
        }
    }
    let written = encode(&super::secrets::scripted(), Some(Tagger::fixed()));
    let mut found = Vec::new();
    for line in example()
        .lines()
        .map(str::as_bytes)
        .chain(written.split(|byte| *byte == b'\n'))
    {
        if let Ok(line) = serde_json::from_slice(line) {
            names(&line, &mut found);
        }
    }
    for name in found {
        assert!(PAGE.contains(&format!("`{name}`")), "{name} is not described");
    }
}
