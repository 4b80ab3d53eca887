//! The schema of the documentation holds what is written, and says no to what is not.

use std::path::Path;

use jsonschema::Validator;
use serde_json::Value;

use super::support::encode;
use crate::recording::redact::Tagger;

const SCHEMA: &str = include_str!("../../../docs/recording.schema.json");
const PAGE: &str = include_str!("../../../docs/recording-format.md");

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn validator() -> Validator {
    let schema = schema();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

#[track_caller]
pub(super) fn check(file: &[u8]) {
    let validator = validator();
    for line in file.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let value: Value = serde_json::from_slice(line).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:?}: {value}");
    }
}

#[test]
fn every_line_of_the_recordings_that_come_along_fits_the_schema() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings");
    let mut files = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            check(&std::fs::read(path).unwrap());
            files += 1;
        }
    }
    assert!(files > 10, "{files}");
}

#[test]
fn every_line_that_is_written_fits_the_schema() {
    let scripted = super::secrets::scripted();
    for tagger in [None, Some(Tagger::fixed())] {
        check(&encode(&scripted, tagger));
    }
    let (_, example) = PAGE.split_once("```jsonl\n").unwrap();
    check(example.split_once("```").unwrap().0.as_bytes());
}

#[test]
fn the_schema_and_the_documentation_name_the_same_fields() {
    fn names(value: &Value, found: &mut Vec<String>) {
        let Value::Object(members) = value else { return };
        for (name, value) in members {
            if let ("properties", Value::Object(fields)) = (name.as_str(), value) {
                found.extend(fields.keys().cloned());
            }
            match value {
                Value::Array(values) => values.iter().for_each(|value| names(value, found)),
                value => names(value, found),
            }
        }
    }
    let mut found = Vec::new();
    names(&schema(), &mut found);
    assert!(found.len() > 50, "{found:?}");
    for name in found {
        assert!(PAGE.contains(&format!("`{name}`")), "{name} is not described");
    }
}

#[test]
fn what_breaks_the_format_does_not_fit_the_schema_and_what_may_be_added_does() {
    let validator = validator();
    let fits = |line: &str| validator.is_valid(&serde_json::from_str(line).unwrap());
    assert!(fits(
        r#"{"type":"session_end","seq":1,"us":-5,"session":"R1","reason":"over","mood":"good"}"#
    ));
    assert!(fits(r#"{"type":"omen"}"#));
    for broken in [
        r#"{"seq":1,"us":1}"#,
        r#"{"type":"session_end","seq":0,"us":-5,"session":"R1","reason":"over"}"#,
        r#"{"type":"session_end","seq":1,"us":-5,"session":"7","reason":"over"}"#,
        r#"{"type":"frame","seq":1,"us":1,"exchange":1,"direction":"up","transport":"sse","frame":0,"part":0,"last":true}"#,
        r#"{"type":"frame","seq":1,"us":1,"exchange":1,"direction":"client_to_server","transport":"sse","frame":0,"part":0,"last":false,"size":4}"#,
        r#"{"type":"request","seq":1,"us":1,"exchange":1}"#,
        r#"{"type":"header","format":"shadowcat-recording","version":2,"created":"2026-11-23T04:23:03Z","proxy":"x"}"#,
    ] {
        assert!(!fits(broken), "{broken}");
    }
}
