//! When two requests are the same, and how they differ. Pure.

use serde_json::{Map, Value};

use super::library::Script;
use crate::codec::json::{PathStep, find_path};
use crate::intercept::edit::{Difference, diff};
use crate::replay::alike::are_alike;

/// Differences that are told of the nearest request; further ones are counted.
pub(super) const TOLD_DIFFERENCES: usize = 5;

/// What a request is recognized by: its params without `_meta`, and without members that say nothing.
///
/// A handshake is recognized by its method alone, since what a client is called has no part in it.
pub(super) fn salient_params(method: &str, message: &[u8]) -> Value {
    if matches!(method, "initialize" | "server/discover") {
        return Value::Null;
    }
    let params = find_path(message, &[PathStep::Key("params")]).unwrap_or(b"null");
    let params = match serde_json::from_slice(params) {
        Ok(Value::Object(params)) => params,
        Ok(other) => return other,
        // Nested too deeply for a tree: then only the same spelling is the same.
        Err(_) => return Value::String(String::from_utf8_lossy(params).into_owned()),
    };
    let params: Map<String, Value> = params.into_iter().filter(says_something).collect();
    if params.is_empty() {
        Value::Null
    } else {
        Value::Object(params)
    }
}

/// Whether a member of the params tells requests apart. Some clients write empty arguments as an empty list, since their
/// language has one word for both.
fn says_something((name, value): &(String, Value)) -> bool {
    let is_empty = match value {
        Value::Null => return false,
        Value::Object(members) => members.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        _ => false,
    };
    name != "_meta" && !(is_empty && name == "arguments")
}

/// How alike two requests of one method are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Likeness {
    /// The same round of questions, answered in another way.
    Round,
    /// The same but for members that are `null` in one and absent in the other.
    ButForNulls,
    /// The same.
    Same,
}

/// Whether `asked` is the request that was `recorded`.
pub(super) fn likeness(recorded: &Value, asked: &Value) -> Option<Likeness> {
    if are_alike(recorded, asked) {
        return Some(Likeness::Same);
    }
    if (has_null(recorded) || has_null(asked)) && are_alike(&without_nulls(recorded), &without_nulls(asked)) {
        return Some(Likeness::ButForNulls);
    }
    // A client may answer the questions of a server in its own way: then it is the round that counts.
    let (recorded, asked) = (recorded.as_object()?, asked.as_object()?);
    let keys = |params: &Map<String, Value>| {
        let answers = params.get(ANSWERS)?.as_object()?;
        let mut keys: Vec<String> = answers.keys().cloned().collect();
        keys.sort();
        Some(keys)
    };
    let is_round = keys(recorded)? == keys(asked)?;
    (is_round && are_alike(&without_round(recorded), &without_round(asked))).then_some(Likeness::Round)
}

/// Whether a member is `null`, at any depth.
fn has_null(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.values().any(|value| value.is_null() || has_null(value)),
        Value::Array(elements) => elements.iter().any(has_null),
        _ => false,
    }
}

/// The params without members that are `null`, and without arguments if nothing is left of them.
fn without_nulls(params: &Value) -> Value {
    let mut params = params.clone();
    drop_nulls(&mut params);
    match params {
        Value::Object(members) => {
            let members: Map<String, Value> = members.into_iter().filter(says_something).collect();
            Value::Object(members)
        }
        other => other,
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(elements) => elements.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

const ANSWERS: &str = "inputResponses";
const STATE: &str = "requestState";

fn without_round(params: &Map<String, Value>) -> Value {
    let is_other = |(name, _): &(&String, &Value)| *name != ANSWERS && *name != STATE;
    let rest = params.iter().filter(is_other);
    Value::Object(rest.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// The recorded request that is most like the asked one.
#[derive(Debug)]
pub(super) struct Nearest {
    /// Its script.
    pub(super) place: usize,
    /// How it differs.
    pub(super) differences: Vec<Difference>,
    /// It is about another tool, prompt, resource or task, so that its answer is none to what was asked.
    pub(super) is_about_another: bool,
}

/// The recorded request of the same method that is most like the asked one; one about the same thing, if there is any.
pub(super) fn nearest<'a>(
    scripts: impl Iterator<Item = (usize, &'a Script)>,
    params: &Value,
) -> Option<Nearest> {
    let asked = serde_json::to_vec(params).unwrap_or_default();
    let about = |params: &Value| {
        let member = |name: &str| params.get(name).cloned();
        ["name", "uri", "ref", "taskId"].into_iter().find_map(member)
    };
    let rated = scripts.map(|(place, script)| {
        let recorded = serde_json::to_vec(&script.params).unwrap_or_default();
        let differences = diff(&recorded, &asked);
        let is_about_another = about(&script.params) != about(params);
        (is_about_another, differences.len(), place, differences)
    });
    let best = rated.min_by_key(|(is_about_another, count, place, _)| (*is_about_another, *count, *place));
    best.map(|(is_about_another, _, place, differences)| Nearest {
        place,
        differences,
        is_about_another,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &str) -> Value {
        salient_params("tools/call", format!("{{\"params\":{text}}}").as_bytes())
    }

    fn alike(recorded: &str, asked: &str) -> Option<Likeness> {
        likeness(&params(recorded), &params(asked))
    }

    #[test]
    fn ids_tokens_and_empty_members_say_nothing() {
        let recorded = r#"{"name":"a","arguments":{"n":2},"_meta":{"progressToken":4}}"#;
        assert_eq!(
            alike(recorded, r#"{"arguments":{"n":2.0},"name":"a","task":null}"#),
            Some(Likeness::Same)
        );
        assert_eq!(alike(recorded, r#"{"name":"a","arguments":{"n":3}}"#), None);
        assert_eq!(
            alike(r#"{"name":"a","arguments":{}}"#, r#"{"name":"a"}"#),
            Some(Likeness::Same)
        );
        assert_eq!(params("{}"), salient_params("tools/list", b"{\"id\":1}"));
    }

    #[test]
    fn arguments_that_are_absent_null_or_empty_are_alike() {
        let spellings = [
            r#"{"name":"a"}"#,
            r#"{"name":"a","arguments":null}"#,
            r#"{"name":"a","arguments":{}}"#,
            r#"{"name":"a","arguments":[]}"#,
        ];
        for recorded in spellings {
            for asked in spellings {
                assert_eq!(alike(recorded, asked), Some(Likeness::Same), "{recorded} {asked}");
            }
            let with_null = r#"{"name":"a","arguments":{"to":null}}"#;
            assert_eq!(alike(recorded, with_null), Some(Likeness::ButForNulls));
            assert_eq!(alike(with_null, recorded), Some(Likeness::ButForNulls));
            assert_eq!(alike(recorded, r#"{"name":"a","arguments":{"to":0}}"#), None);
        }
    }

    #[test]
    fn a_null_argument_is_alike_an_absent_one_and_never_another_value() {
        let recorded = r#"{"name":"a","arguments":{"x":1,"in":{"y":null},"list":[null,1]}}"#;
        for (asked, likeness) in [
            (
                r#"{"name":"a","arguments":{"x":1,"in":{},"list":[null,1]}}"#,
                Some(Likeness::ButForNulls),
            ),
            (
                r#"{"name":"a","arguments":{"x":1,"in":{"y":null},"list":[null,1],"z":null}}"#,
                Some(Likeness::ButForNulls),
            ),
            (
                r#"{"name":"a","arguments":{"x":1,"in":{"y":2},"list":[null,1]}}"#,
                None,
            ),
            (r#"{"name":"a","arguments":{"x":1,"in":{},"list":[1]}}"#, None),
        ] {
            assert_eq!(alike(recorded, asked), likeness, "{asked}");
        }
    }

    #[test]
    fn a_secret_is_equal_to_whatever_it_may_have_been() {
        let recorded = r#"{"name":"login","arguments":{"password":"‹secret:5be1c0ffee01›"}}"#;
        assert_eq!(
            alike(recorded, r#"{"name":"login","arguments":{"password":"x"}}"#),
            Some(Likeness::Same)
        );
        assert_eq!(
            alike(recorded, r#"{"name":"login","arguments":{"password":{}}}"#),
            None
        );
    }

    #[test]
    fn a_round_is_found_whatever_the_client_answered() {
        let recorded = r#"{"name":"ask","inputResponses":{"who":{"action":"accept"}},"requestState":"a"}"#;
        assert_eq!(
            alike(
                recorded,
                r#"{"name":"ask","inputResponses":{"who":{"action":"decline"}},"requestState":"b"}"#
            ),
            Some(Likeness::Round)
        );
        assert_eq!(
            alike(
                recorded,
                r#"{"name":"ask","inputResponses":{"where":{"action":"accept"}}}"#
            ),
            None
        );
        assert_eq!(alike(recorded, r#"{"name":"ask"}"#), None);
    }
}
