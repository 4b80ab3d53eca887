//! Whether two answers say the same: structurally, and without what is new each time.
//!
//! Pure: no I/O, no clock.

mod asks;
mod canonical;
pub mod drift;
mod ending;
mod ignore;
mod key;
mod recordings;
mod report;
mod times;

pub(crate) use ending::{CallEnd, Lack, is_result};
pub use ignore::{IgnorePath, IgnorePathError};
pub use key::{call_key, pair_up};
pub use recordings::{compare_recordings, lacks_tools, tools_in};
pub use report::{Outcome, Report, Row, RowDifference};
pub use times::Moments;

use crate::codec::json::{PathStep, find_path};
use crate::intercept::edit::{Difference, DifferenceKind, MAX_DIFFERENCES, diff};

use super::alike::{fits, is_one_tag};
use canonical::{Canonical, Task};
use times::are_of_their_time;

/// Most differences that a row lists; the rest is counted.
pub const MAX_LISTED: usize = 20;

/// Where answers may differ without a word, unless [`CompareOptions::is_exact`].
///
/// The id belongs to the call, and the others are handed out anew by each server: sessions, places in lists, tasks.
const VOLATILE: [&str; 13] = [
    "$.result.nextCursor",
    "$.result.requestState",
    "$.result.taskId",
    "$.result.createdAt",
    "$.result.lastUpdatedAt",
    "$.result.task.taskId",
    "$.result.task.createdAt",
    "$.result.task.lastUpdatedAt",
    "$.result.tasks[*].taskId",
    "$.result._meta[\"io.modelcontextprotocol/related-task\"].taskId",
    "$.result._meta[\"io.modelcontextprotocol/subscriptionId\"]",
    "$.params.elicitationId",
    "$.error.data.elicitations[*].elicitationId",
];

/// What counts as a difference.
#[derive(Debug, Clone, Default)]
pub struct CompareOptions {
    /// Places that are left out of both sides.
    pub ignore: Vec<IgnorePath>,
    /// Count everything but the id: times, identifiers, cursors and the spelling of numbers and texts too.
    pub is_exact: bool,
}

impl CompareOptions {
    /// The same for requests of a server, which have ids of their own in more places.
    pub(crate) fn of_asks(&self) -> Self {
        const THEIRS: [&str; 3] = [
            "$.params._meta.progressToken",
            "$.params._meta[\"io.modelcontextprotocol/related-task\"]",
            "$.params.task",
        ];
        let mut options = self.clone();
        options
            .ignore
            .extend(THEIRS.iter().filter_map(|path| path.parse().ok()));
        options
    }
}

/// Two answers, compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The first [`MAX_LISTED`] differences.
    pub differences: Vec<Difference>,
    /// How many there are besides.
    pub more: usize,
    /// What is no difference but remarkable: another order of a list.
    pub remarks: Vec<String>,
}

impl Comparison {
    /// Whether they say the same.
    pub fn is_same(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Compares two messages: answers of a request for `method`, or such requests themselves.
///
/// - Lists that MCP has as sets (tools and prompts by name, resources by uri, templates by their template) are compared
///   member by member, so that a path reads `$.result.tools.echo.description`; another order is a remark.
/// - The id, cursors, task ids and their times, `requestState` and the like may differ; so may whole UUIDs and times
///   within any text (RFC 3339 and 2822, 12-hour clocks, what JavaScript and C print), unless `is_exact`.
/// - Numbers that count the time since 1970, in s, ms or µs, may differ under names that speak of time, and under any
///   name if each is about the time of its own answer, which `moments` has.
/// - A text that is a JSON object or array on both sides is compared as what is in it, and paths go on into it; as it is
///   spelled if `is_exact`, unless a place in it is left out.
/// - A secret that a recording has replaced by a tag equals any text.
///
/// Linear in both, but for the differences; nothing deeper than 128 levels is looked into.
pub fn compare(
    method: &str,
    recorded: &[u8],
    live: &[u8],
    moments: Moments,
    options: &CompareOptions,
) -> Comparison {
    let task = Task {
        method,
        ignore: &options.ignore,
        volatile: if options.is_exact { &[] } else { &VOLATILE },
        is_exact: options.is_exact,
        is_key: false,
    };
    let (one, other) = Canonical::both(&task, recorded, live);
    let mut differences = telling(diff(&one.text, &other.text), moments, options);
    let more = differences.len().saturating_sub(MAX_LISTED);
    differences.truncate(MAX_LISTED);
    let remarks = other_order(&one, &other);
    Comparison {
        differences,
        more,
        remarks: remarks.into_iter().collect(),
    }
}

/// Those that are no secrets and no times.
fn telling(found: Vec<Difference>, moments: Moments, options: &CompareOptions) -> Vec<Difference> {
    let is_time = |found: &Difference| match (&found.before, &found.after) {
        (Some(one), Some(other)) if !options.is_exact => are_of_their_time(one, other, moments),
        _ => false,
    };
    let told = found
        .iter()
        .filter(|found| !is_hidden_secret(found) && !is_time(found));
    let told: Vec<Difference> = told.cloned().collect();
    // Behind so many there may be others, of which nobody knows what they are.
    if told.is_empty() && found.len() >= MAX_DIFFERENCES {
        return found;
    }
    told
}

/// The same members in another order.
fn other_order(one: &Canonical, other: &Canonical) -> Option<String> {
    let (list, old) = one.list.as_ref()?;
    let (_, new) = other.list.as_ref()?;
    let common = |names: &[String], others: &[String]| -> Vec<String> {
        let names = names.iter().filter(|name| others.contains(name));
        names.cloned().collect()
    };
    (common(old, new) != common(new, old)).then(|| format!("the order of {list} is another one"))
}

/// What was a secret may be anything now.
fn is_hidden_secret(difference: &Difference) -> bool {
    let (DifferenceKind::Changed, Some(before), Some(after)) =
        (difference.kind, &difference.before, &difference.after)
    else {
        return false;
    };
    let hides = |one: &str, other: &str| is_one_tag(one.trim_matches('"')) || fits(one, other);
    hides(before, after) || hides(after, before)
}

/// The text at a path of names, decoded; `None` if there is no text.
pub(crate) fn text_at(message: &[u8], path: &[&str]) -> Option<String> {
    let steps: Vec<PathStep<'_>> = path.iter().map(|key| PathStep::Key(key)).collect();
    let raw = find_path(message, &steps)?;
    (raw.first() == Some(&b'"')).then(|| crate::codec::json::string_value(raw).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn shown(method: &str, one: &str, other: &str, ignore: &[&str]) -> Vec<String> {
        let options = CompareOptions {
            ignore: ignore.iter().map(|path| path.parse().unwrap()).collect(),
            is_exact: false,
        };
        let compared = compare(
            method,
            one.as_bytes(),
            other.as_bytes(),
            Moments::default(),
            &options,
        );
        let lines = compared.differences.iter().map(|found| {
            let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".to_owned());
            format!("{}: {} → {}", found.path, text(&found.before), text(&found.after))
        });
        lines.chain(compared.remarks.iter().cloned()).collect()
    }

    #[test]
    fn ids_cursors_times_and_spellings_are_no_differences() {
        let one = r#"{"jsonrpc":"2.0","id":1,"result":{"nextCursor":"a","n":1.0,"text":"é at 2026-11-23T06:17:34Z","u":"0e3f1c6a-1d1f-4f6e-9a57-0c1d2e3f4a5b"}}"#;
        let other = r#"{"id":"x","result":{"u":"1e3f1c6a-1d1f-4f6e-9a57-0c1d2e3f4a5b","n":1,"text":"\u00e9 at 2027-01-02T03:04:05.678+01:00","nextCursor":"b"},"jsonrpc":"2.0"}"#;
        assert_eq!(shown("x", one, other, &[]), [""; 0]);
        let exact = CompareOptions {
            is_exact: true,
            ..CompareOptions::default()
        };
        let found = compare("x", one.as_bytes(), other.as_bytes(), Moments::default(), &exact);
        assert_eq!(found.differences.len(), 4);
    }

    #[test]
    fn numbers_are_times_by_their_names_or_by_when_they_came() {
        let one = r#"{"id":1,"result":{"createdAt":1700000000,"times":[1700000000123],"n":1700000010,"size":1700000010}}"#;
        let other =
            r#"{"id":1,"result":{"createdAt":1763948123,"times":[1763948123123],"n":1763948123,"size":12}}"#;
        let listed = |moments, is_exact| -> Vec<String> {
            let options = CompareOptions {
                is_exact,
                ..CompareOptions::default()
            };
            let found = compare("x", one.as_bytes(), other.as_bytes(), moments, &options);
            found.differences.into_iter().map(|found| found.path).collect()
        };
        let at = |seconds: u64| Some(Timestamp::from_micros(seconds * 1_000_000));
        let moments = Moments {
            recorded: at(1_700_000_000),
            live: at(1_763_948_000),
        };
        assert_eq!(
            listed(Moments::default(), false),
            ["$.result.times[0]", "$.result.n", "$.result.size"]
        );
        assert_eq!(listed(moments, false), ["$.result.size"]);
        assert_eq!(listed(moments, true).len(), 4);
    }

    #[test]
    fn so_many_times_that_others_may_be_behind_them_are_no_reason_to_call_it_the_same() {
        let at = Some(Timestamp::from_micros(1_700_000_000_000_000));
        let moments = Moments {
            recorded: at,
            live: at,
        };
        let list = |first: u64, count: u64| {
            let numbers: Vec<u64> = (0..count).map(|number| first + number).collect();
            format!(r#"{{"result":{numbers:?}}}"#)
        };
        let found = |count| {
            let (one, other) = (list(1_700_000_000_000, count), list(1_700_000_090_000, count));
            compare(
                "x",
                one.as_bytes(),
                other.as_bytes(),
                moments,
                &CompareOptions::default(),
            )
        };
        assert!(found(999).is_same());
        assert!(!found(2000).is_same());
    }

    #[test]
    fn a_cursor_that_is_gone_is_a_difference() {
        let one = r#"{"id":1,"result":{"nextCursor":"a"}}"#;
        let other = r#"{"id":1,"result":{}}"#;
        assert_eq!(
            shown("tools/list", one, other, &[]),
            ["$.result.nextCursor: \"‹any›\" → –"]
        );
    }

    #[test]
    fn ignored_places_are_left_out_of_both_sides() {
        let one = r#"{"result":{"_meta":{"a":1},"content":[{"type":"text","text":"x"},{"type":"text","text":"y"}]}}"#;
        let other = r#"{"result":{"content":[{"type":"text","text":"z"},{"type":"text","text":"w"}]}}"#;
        let found = shown("tools/call", one, other, &["$.result._meta.a"]);
        assert_eq!(
            found,
            [
                "$.result.content[0].text: \"x\" → \"z\"",
                "$.result.content[1].text: \"y\" → \"w\""
            ]
        );
        let none = ["$.result._meta", "$.result.content[*].text"];
        assert_eq!(shown("tools/call", one, other, &none), [""; 0]);
        assert_eq!(
            shown("tools/call", one, other, &["$..text", "$.result._meta"]),
            [""; 0]
        );
        let last = ["$.result['_meta']", "$.result.content[-1]"];
        assert_eq!(
            shown("tools/call", one, other, &last),
            ["$.result.content[0].text: \"x\" → \"z\""]
        );
    }

    #[test]
    fn a_text_that_is_json_is_compared_as_what_is_in_it_and_paths_go_on_into_it() {
        let answer = |text: &str| {
            let text = serde_json::to_string(text).unwrap();
            format!(r#"{{"result":{{"content":[{{"type":"text","text":{text}}}]}}}}"#)
        };
        let told = |one: &str, other: &str, ignore: &[&str]| {
            shown("tools/call", &answer(one), &answer(other), ignore)
        };
        let one = r#"{"n": 1, "took": 0.5, "at": "2026-11-23T06:17:34Z", "created_at": 1700000000}"#;
        let other = r#"{
            "created_at": 1763948123, "at": "2026-12-01T00:00:00Z", "took": 0.7, "n": 1 }"#;
        assert_eq!(
            told(one, other, &[]),
            ["$.result.content[0].text.took: 0.5 → 0.7"]
        );
        assert_eq!(told(one, other, &["$.result.content[*].text.took"]), [""; 0]);
        assert_eq!(told(one, other, &["$..took"]), [""; 0]);
        assert_eq!(
            told(r#"[[{"a": 1}]]"#, r#"[[{"a":2}]]"#, &["$..text[0][-1].a"]),
            [""; 0]
        );
        let nested = |n: u32| format!(r#"{{"inner": "{{\"n\": {n}}}"}}"#);
        assert_eq!(
            told(&nested(1), &nested(2), &[]),
            ["$.result.content[0].text.inner.n: 1 → 2"]
        );
    }

    #[test]
    fn a_text_that_is_json_on_one_side_only_stays_a_text() {
        let text = r#"{"result":{"text":"{\"a\":1}","b":"[1]"}}"#;
        let plain = r#"{"result":{"text":"a is 1","b":"[2]"}}"#;
        assert_eq!(
            shown("x", text, plain, &[]),
            [r#"$.result.text: "{\"a\":1}" → "a is 1""#, "$.result.b[0]: 1 → 2"]
        );
        let structure = r#"{"result":{"text":{"a":1},"b":"[1]"}}"#;
        assert_eq!(
            shown("x", text, structure, &[]),
            [r#"$.result.text: "{\"a\":1}" → {"a":1}"#]
        );
        let spaced = r#"{"result":{"text":"{\"a\": 1}","b":"[1]"}}"#;
        assert_eq!(shown("x", text, spaced, &[]), [""; 0]);
        let exact = |ignore: &[&str]| CompareOptions {
            ignore: ignore.iter().map(|path| path.parse().unwrap()).collect(),
            is_exact: true,
        };
        let differ = |options: &CompareOptions| {
            compare(
                "x",
                text.as_bytes(),
                spaced.as_bytes(),
                Moments::default(),
                options,
            )
            .differences
            .len()
        };
        assert_eq!(
            (differ(&exact(&[])), differ(&exact(&["$.result.text.a"]))),
            (1, 0)
        );
    }

    #[test]
    fn tools_are_compared_by_name_and_another_order_is_told() {
        let one = r#"{"result":{"tools":[{"name":"a","description":"A"},{"name":"b"}]}}"#;
        let other = r#"{"result":{"tools":[{"name":"b"},{"name":"a","description":"B"}]}}"#;
        assert_eq!(
            shown("tools/list", one, other, &[]),
            [
                "$.result.tools.a.description: \"A\" → \"B\"",
                "the order of tools is another one"
            ]
        );
    }

    #[test]
    fn a_secret_that_was_replaced_equals_any_text() {
        let one = r#"{"result":{"token":"‹secret:5be1c0ffee01›","text":"key ‹secret:5be1c0ffee01›!"}}"#;
        let other = r#"{"result":{"token":12,"text":"key abc!"}}"#;
        assert_eq!(shown("x", one, other, &[]), [""; 0]);
        let wrong = r#"{"result":{"token":12,"text":"kay abc!"}}"#;
        assert_eq!(shown("x", one, wrong, &[]).len(), 1);
    }

    #[test]
    fn what_is_no_json_is_compared_by_lines() {
        assert_eq!(shown("x", "a", "b", &[]), ["line 1: a → b"]);
    }
}
