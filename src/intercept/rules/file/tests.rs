//! What a person who writes rules would notice.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::intercept::edit::Change;
use crate::intercept::filter::Filter;
use crate::intercept::rule::{Fault, Hits, OnExpire, Refusal, Verdict, WhileHeld};
use crate::intercept::rules::MAX_RULES;
use crate::snapshot::Direction;

mod page;
mod saving;

fn hold(name: &str) -> Rule {
    Rule {
        name: name.to_owned(),
        is_on: true,
        when: Filter::all(),
        direction: None,
        hits: Hits::Always,
        verdict: Verdict::Hold,
        on_expire: None,
        while_held: WhileHeld::default(),
    }
}

/// A rule with these lines beside its name.
fn with(lines: &str) -> Result<Rule, RulesError> {
    parse(&format!("[[rule]]\nname = \"r\"\n{lines}\n")).map(|mut rules| rules.remove(0))
}

fn verdict(line: &str) -> Verdict {
    with(line).unwrap().verdict
}

fn hits(value: &str) -> Hits {
    with(&format!("hits = {value}\nthen = \"hold\"")).unwrap().hits
}

fn mistake(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn a_rule_is_read_with_all_its_keys() {
    let text = r#"
        [[rule]]
        name = "db"
        on = false
        when = "method:tools/call tool:search"
        direction = "c2s"
        hits = { nth = 3 }
        then = "hold"
        on-expire = "forward"
    "#;
    let expected = Rule {
        is_on: false,
        when: Filter::parse("method:tools/call tool:search").unwrap(),
        direction: Some(Direction::ClientToServer),
        hits: Hits::Nth(3),
        on_expire: Some(OnExpire::Forward),
        while_held: WhileHeld::default(),
        ..hold("db")
    };
    assert_eq!(parse(text), Ok(vec![expected]));
    assert_eq!(parse(" # nothing yet\n"), Ok(Vec::new()));
}

#[test]
fn every_way_to_count_hits_is_read() {
    assert_eq!(hits("\"always\""), Hits::Always);
    assert_eq!(hits("\"once\""), Hits::Once);
    assert_eq!(hits("\"next\""), Hits::Once);
    assert_eq!(hits("{ after = 2 }"), Hits::After(2));
    assert_eq!(hits("{ every = 5 }"), Hits::Every(5));
    assert_eq!(hits("{ percent = 10 }"), Hits::Percent(10.0));
    assert_eq!(hits("{ percent = 0.5 }"), Hits::Percent(0.5));
}

#[test]
fn every_verdict_is_read() {
    assert_eq!(verdict("then = \"forward\""), Verdict::Forward);
    assert_eq!(verdict("then = \"log\""), Verdict::Log);
    assert_eq!(
        verdict("then = \"drop silently\""),
        Verdict::Drop { is_silent: true }
    );
    assert_eq!(
        verdict("delay = \"250ms\""),
        Verdict::Delay {
            fixed: Duration::from_millis(250),
            jitter: Duration::ZERO
        }
    );
    assert_eq!(
        verdict("delay = { fixed = \"1s\", jitter = \"500ms\" }"),
        Verdict::Delay {
            fixed: Duration::from_secs(1),
            jitter: Duration::from_millis(500)
        }
    );
    let refused = |value: &str| match verdict(&format!("refuse = {value}")) {
        Verdict::Refuse(refusal) => refusal.to_string(),
        other => other.to_string(),
    };
    assert_eq!(refused("{ code = -32602, message = \"no\" }"), "error -32602: no");
    assert_eq!(refused("{ tool-error = \"quota\" }"), "tool error: quota");
    assert_eq!(refused("{ status = 429 }"), "HTTP 429");
    assert_eq!(refused("\"close\""), "connection closed");
}

#[test]
fn every_fault_is_read() {
    let fault = |value: &str| match verdict(&format!("fault = {value}")) {
        Verdict::Fault(fault) => fault,
        other => panic!("{other}"),
    };
    assert_eq!(fault("\"close\""), Fault::Close);
    assert_eq!(fault("\"invalid-json\""), Fault::InvalidJson);
    assert_eq!(fault("\"wrong-id\""), Fault::WrongId);
    assert_eq!(fault("{ truncate = 100 }"), Fault::Truncate { bytes: 100 });
    assert_eq!(fault("{ duplicate = 2 }"), Fault::Duplicate { times: 2 });
    assert_eq!(fault("{ reorder = 1 }"), Fault::Reorder { by: 1 });
    assert_eq!(
        fault("{ slow = \"1KiB\" }"),
        Fault::Slow {
            bytes_per_second: 1024
        }
    );
}

#[test]
fn changes_are_made_in_the_order_in_which_they_are_written() {
    let text = r#"replace = { remove = ["$.b"], set = { "$.z" = 1.50, "$.a" = "x" }, set-json = { "$.n" = 'null' }, patch = [{ op = "remove", path = "/a" }], merge = { x = { y = true } }, set-header = { "X-One" = "1" }, remove-header = ["X-Two"] }"#;
    let set = |path: &str, value: &str| Change::Set {
        path: path.to_owned(),
        value: value.to_owned(),
    };
    let expected = vec![
        Change::Remove {
            path: "$.b".to_owned(),
        },
        set("$.z", "1.50"),
        set("$.a", "\"x\""),
        set("$.n", "null"),
        Change::Patch(r#"[{"op":"remove","path":"/a"}]"#.to_owned()),
        Change::Merge(r#"{"x":{"y":true}}"#.to_owned()),
        Change::SetHeader {
            name: "X-One".to_owned(),
            value: "1".to_owned(),
        },
        Change::RemoveHeader {
            name: "X-Two".to_owned(),
        },
    ];
    assert_eq!(verdict(text), Verdict::Replace(expected));
    let tables = "[rule.replace]\ntext = \"oops\"\n";
    assert_eq!(
        verdict(tables),
        Verdict::Replace(vec![Change::Text("oops".to_owned())])
    );
}

#[test]
fn an_answer_is_a_table_or_json_text() {
    let table = r#"answer = { content = [{ type = "text", text = "id {{id}}" }], isError = false }"#;
    let json = r#"{"content":[{"type":"text","text":"id {{id}}"}],"isError":false}"#;
    let result = json.to_owned();
    assert_eq!(verdict(table), Verdict::Answer { result });
    let raw = r#"{"n": {{$.params.arguments.n}}}"#;
    let result = raw.to_owned();
    assert_eq!(verdict(&format!("answer = '{raw}'")), Verdict::Answer { result });
}

#[test]
fn a_mistake_is_told_with_its_place() {
    let rule = |lines: &str| mistake(&format!("[[rule]]\nname = \"r\"\n{lines}"));
    for (lines, told) in [
        (
            "then = \"hodl\"",
            "line 3, column 8: `then` cannot be `hodl`; did you mean `hold`?",
        ),
        (
            "thn = \"hold\"",
            "line 3, column 1: unknown key `thn`; did you mean `then`?",
        ),
        (
            "on_expire = \"wait\"",
            "line 3, column 1: unknown key `on_expire`; did you mean `on-expire`?",
        ),
        ("on = 1", "line 3, column 6: `on` is true or false"),
        (
            "then = \"hold\"\nfault = \"close\"",
            "line 4, column 1: a rule has one verdict, and `then` is there already",
        ),
        (
            "hits = { nth = 0 }",
            "line 3, column 16: `nth` is a whole number from 1 on",
        ),
        (
            "hits = { nth = 1, every = 2 }",
            "line 3, column 19: `nth` is there already; write one of the two",
        ),
        (
            "hits = { percent = 101 }",
            "line 3, column 20: `percent` is a number from 0 to 100",
        ),
        (
            "delay = 250",
            "line 3, column 9: `delay` is a time with its unit, such as \"250ms\" or \"2s\"",
        ),
        (
            "delay = \"2h\"",
            "line 3, column 9: `delay` is a time with its unit, such as \"250ms\" or \"2s\"",
        ),
        ("delay = \"61m\"", "line 3, column 9: `delay` is at most 3600 s"),
        (
            "fault = { duplicate = 1 }",
            "line 3, column 23: `duplicate` is a whole number from 2 to 1000",
        ),
        (
            "refuse = { status = 99 }",
            "line 3, column 21: `status` is a whole number from 200 to 599",
        ),
        (
            "refuse = { code = 1 }",
            "line 3, column 10: `message` is missing; write message = \"…\"",
        ),
        (
            "refuse = { message = \"x\" }",
            "line 3, column 10: `code` is missing; write code = -32602",
        ),
        (
            "answer = '{{user}}'",
            "line 3, column 10: `user` is no place of a request",
        ),
        ("answer = '{'", "line 3, column 10: the answer would be no JSON"),
        (
            "replace = { sett = 1 }",
            "line 3, column 13: unknown key `sett`; did you mean `set`?",
        ),
        ("replace = {}", "line 3, column 11: `replace` says no change"),
        (
            "replace = { set = { x = 1 } }",
            "line 3, column 21: `x` is no path: a path starts with $",
        ),
        (
            "replace = { set = { \"$.x\" = nan } }",
            "line 3, column 29: JSON has neither inf nor nan",
        ),
        (
            "replace = { set-json = { \"$.x\" = '{' } }",
            "line 3, column 34: `$.x` is no JSON",
        ),
        (
            "replace = { patch = '{}' }",
            "line 3, column 21: `patch` is a list",
        ),
        (
            "replace = { set-header = { \"a b\" = \"1\" } }",
            "line 3, column 28: `a b` is no name of a header",
        ),
        (
            "replace = { set-header = { a = \"1\\n2\" } }",
            "line 3, column 32: a header's value is one line",
        ),
        ("", "line 1, column 1: the rule does not say what to do"),
    ] {
        let message = rule(lines);
        assert!(message.starts_with(told), "{lines}\n{message}\n{told}");
    }
}

#[test]
fn a_mistake_in_a_patch_or_a_fault_is_told_with_all_that_is_known() {
    let rule = |lines: &str| mistake(&format!("[[rule]]\nname = \"r\"\n{lines}"));
    for (lines, told) in [
        (
            "replace = { patch = [{ op = \"test\", path = \"/a\", value = 1 }, { op = \"delete\", path = \"/a\" }] }",
            "line 3, column 63: `patch` of the rule `r`: operation 2 of the patch: its `op` cannot be `delete`; known are add, remove, replace, move, copy and test",
        ),
        (
            "replace = { patch = '[{\"op\":\"replce\",\"path\":\"/a\",\"value\":1}]' }",
            "line 3, column 21: `patch` of the rule `r`: operation 1 of the patch: its `op` cannot be `replce`; known are add, remove, replace, move, copy and test; did you mean `replace`?",
        ),
        (
            "replace = { patch = [{ op = \"add\", path = \"/a\" }] }",
            "line 3, column 22: `patch` of the rule `r`: operation 1 of the patch: it has no `value`",
        ),
        (
            "fault = \"bogus\"",
            "line 3, column 9: `fault` cannot be `bogus`; write \"close\", \"invalid-json\", \"wrong-id\", { truncate = 100 }, { duplicate = 2 }, { reorder = 1 } or { slow = \"1KiB\" }",
        ),
        (
            "fault = { trunkate = 1 }",
            "line 3, column 9: `fault` cannot be `trunkate`; write \"close\", ",
        ),
        (
            "then = \"drop\"\nearly-stream = true",
            "line 4, column 1: `early-stream` is for rules that hold; write then = \"hold\"",
        ),
    ] {
        let message = rule(lines);
        assert!(message.starts_with(told), "{lines}\n{message}\n{told}");
    }
}

#[test]
fn a_mistake_in_a_filter_is_told_at_its_column_of_the_file() {
    let error = with("when = \"method:tools/call metohd:x\"\nthen = \"hold\"").unwrap_err();
    assert_eq!((error.line, error.column), (3, 27), "{error}");
    let error = with("when = \"é \\\"x\\\" metohd:x\"\nthen = \"hold\"").unwrap_err();
    assert_eq!((error.line, error.column), (3, 17), "{error}");
    let error = with("when = '''\ntool:a\nmetohd:x'''\nthen = \"hold\"").unwrap_err();
    assert_eq!((error.line, error.column), (5, 1), "{error}");
}

#[test]
fn what_is_no_toml_is_told_with_its_place() {
    assert!(mistake("[[rule]]\nname = \"a\nthen = \"hold\"").starts_with("line 2, column "));
    assert!(mistake("[[rule]").starts_with("line 1, column "));
    assert!(mistake("[[rules]]\nname = \"a\"").contains("did you mean `rule`?"));
    let inline = mistake("rule = [{ name = \"a\", then = \"hold\" }]");
    assert!(inline.contains("[[rule]]"), "{inline}");
}

#[test]
fn a_name_is_unique_and_short() {
    let twice = "[[rule]]\nname = \"a\"\nthen = \"hold\"\n[[rule]]\nname = \"a\"\nthen = \"log\"\n";
    let expected = "line 5, column 8: there is a rule `a` already; names are unique";
    assert_eq!(mistake(twice), expected);
    assert!(mistake("[[rule]]\nthen = \"hold\"").starts_with("line 1, column 1: `name` is missing"));
    let long = format!("[[rule]]\nname = \"{}\"\nthen = \"hold\"", "x".repeat(129));
    assert!(mistake(&long).contains("1 to 128 bytes"));
}

#[test]
fn more_rules_or_bytes_than_the_limit_are_refused() {
    let many = (0..=MAX_RULES).map(|n| format!("[[rule]]\nname = \"{n}\"\nthen = \"log\"\n"));
    let many = many.collect::<Vec<_>>().concat();
    assert!(mistake(&many).contains("at most 1000 rules"));
    assert!(mistake(&"#".repeat(MAX_FILE_BYTES + 1)).contains("at most 1 MiB"));
}

#[test]
fn a_rule_is_written_as_a_person_would_write_it() {
    let rule = Rule {
        when: Filter::parse("method:tools/call arg.q~\"drop\"").unwrap(),
        direction: Some(Direction::ClientToServer),
        hits: Hits::Percent(10.0),
        verdict: Verdict::Replace(vec![
            Change::Set {
                path: "$.params.arguments.x".to_owned(),
                value: "[1,\"a\"]".to_owned(),
            },
            Change::Set {
                path: "$.b".to_owned(),
                value: "null".to_owned(),
            },
        ]),
        ..hold("a \"b\"")
    };
    let expected = r#"[[rule]]
name = 'a "b"'
when = 'method:tools/call arg.q~"drop"'
direction = "c2s"
hits = { percent = 10 }
replace = { set = { "$.params.arguments.x" = [1, "a"] }, set-json = { "$.b" = "null" } }
"#;
    assert_eq!(render(&[rule]), expected);
}

fn json() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        (-1e6..1e6).prop_map(|number: f64| serde_json::Value::from(number)),
        ".{0,6}".prop_map(serde_json::Value::from),
    ];
    let value = scalar.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(serde_json::Value::from),
            prop::collection::vec((".{0,4}", inner), 0..3)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    });
    prop_oneof![
        value.clone().prop_map(|value| value.to_string()),
        value.prop_map(|value| format!("{value:#}")),
        Just("1.50".to_owned()),
        Just("123456789012345678901234567890".to_owned()),
    ]
}

fn path() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,3}".prop_map(|name| format!("$.params.{name}")),
        "[a-z \"']{0,3}".prop_map(|name| format!("$[{}]", serde_json::Value::from(name))),
        (0..9_usize).prop_map(|index| format!("$.a[{index}]")),
    ]
}

fn operation() -> impl Strategy<Value = String> {
    json().prop_map(|value| format!("{{\"op\": \"add\", \"path\": \"/a\", \"value\": {value}}}"))
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (path(), json()).prop_map(|(path, value)| Change::Set { path, value }),
        path().prop_map(|path| Change::Remove { path }),
        prop::collection::vec(operation(), 0..3)
            .prop_map(|operations| Change::Patch(format!("[{}]", operations.join(", ")))),
        json().prop_map(Change::Merge),
        ("[A-Za-z-]{1,4}", "[ -~]{0,5}").prop_map(|(name, value)| Change::SetHeader { name, value }),
        "[a-z-]{1,4}".prop_map(|name| Change::RemoveHeader { name }),
        "\\PC{0,9}".prop_map(Change::Text),
        any::<String>().prop_map(Change::Text),
    ]
}

fn any_verdict() -> impl Strategy<Value = Verdict> {
    let time = || (0..3_600_000_000_000_u64).prop_map(Duration::from_nanos);
    let refusal = prop_oneof![
        (any::<i64>(), any::<String>()).prop_map(|(code, message)| Refusal::Error { code, message }),
        any::<String>().prop_map(|text| Refusal::ToolError { text }),
        (200..600_u16).prop_map(Refusal::Status),
        Just(Refusal::Close),
    ];
    let fault = prop_oneof![
        Just(Fault::Close),
        Just(Fault::InvalidJson),
        Just(Fault::WrongId),
        prop_oneof![any::<u64>(), 0..9_000_u64].prop_map(|bytes| Fault::Truncate { bytes }),
        (2..=1000_u32).prop_map(|times| Fault::Duplicate { times }),
        (1..=1000_u32).prop_map(|by| Fault::Reorder { by }),
        (1..=u64::MAX).prop_map(|bytes_per_second| Fault::Slow { bytes_per_second }),
    ];
    prop_oneof![
        Just(Verdict::Hold),
        Just(Verdict::Forward),
        Just(Verdict::Log),
        any::<bool>().prop_map(|is_silent| Verdict::Drop { is_silent }),
        (time(), time()).prop_map(|(fixed, jitter)| Verdict::Delay { fixed, jitter }),
        refusal.prop_map(Verdict::Refuse),
        fault.prop_map(Verdict::Fault),
        json()
            .prop_filter("two braces begin a place", |json| !json.contains("{{"))
            .prop_map(|result| Verdict::Answer { result }),
        Just(Verdict::Answer {
            result: "{\"id\": {{id}}}".to_owned()
        }),
        prop::collection::vec(change(), 1..6).prop_map(Verdict::Replace),
    ]
}

fn any_hits() -> impl Strategy<Value = Hits> {
    let count = || 1..i64::MAX.unsigned_abs();
    prop_oneof![
        Just(Hits::Always),
        Just(Hits::Once),
        count().prop_map(Hits::Nth),
        count().prop_map(Hits::Every),
        (0..9_u64).prop_map(Hits::After),
        (0.0..=100.0).prop_map(Hits::Percent),
    ]
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let when = prop_oneof![
        Just(String::new()),
        Just("method:tools/call arg.q~\"a\\\\b'c\"".to_owned()),
        "[a-z]{1,8}",
        Just("\"ü\t\"".to_owned()),
    ];
    let direction = prop_oneof![
        Just(None),
        Just(Some(Direction::ClientToServer)),
        Just(Some(Direction::ServerToClient))
    ];
    let on_expire = prop_oneof![
        Just(None),
        prop::sample::select(&OnExpire::ALL[..]).prop_map(Some)
    ];
    let name = "[a-z\"'\\\\ é]{0,5}x";
    let first = (name, any::<bool>(), when, direction);
    let while_held = any::<(bool, bool)>();
    let second = (any_hits(), any_verdict(), on_expire, while_held);
    (first, second).prop_map(
        |((name, is_on, when, direction), (hits, verdict, on_expire, (early_stream, synthetic_progress)))| {
            Rule {
                name,
                is_on,
                when: Filter::parse(&when).unwrap(),
                direction,
                hits,
                on_expire,
                while_held: WhileHeld {
                    early_stream: early_stream && verdict == Verdict::Hold,
                    synthetic_progress: synthetic_progress && verdict == Verdict::Hold,
                },
                verdict,
            }
        },
    )
}

/// Rules with names of their own.
fn any_rules() -> impl Strategy<Value = Vec<Rule>> {
    prop::collection::vec(any_rule(), 0..4).prop_map(|mut rules| {
        for (index, rule) in rules.iter_mut().enumerate() {
            rule.name.push_str(&index.to_string());
        }
        rules
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn rules_that_are_written_are_read_as_they_were(rules in any_rules()) {
        let text = render(&rules);
        prop_assert_eq!(parse(&text), Ok(rules), "{}", text);
    }

    #[test]
    fn any_text_is_read_without_a_fault(text in "[\\[\\]{}=\"'#.$a-z0-9\n ]{0,60}", tail: String) {
        let _ = parse(&text);
        let _ = parse(&format!("[[rule]]\nname = \"a\"\nwhen = \"{text}{tail}\"\nthen = \"hold\"\n"));
    }

    #[test]
    fn a_saved_rule_is_read_back_among_the_others(rules in any_rules(), saved in any_rule(), at in 0..4_usize) {
        let mut saved = saved;
        if let Some(taken) = rules.get(at) {
            saved.name.clone_from(&taken.name);
        }
        let text = with_rule(&render(&rules), &saved).unwrap();
        let mut expected = rules.clone();
        match expected.get_mut(at) {
            Some(old) => *old = saved.clone(),
            None => expected.push(saved.clone()),
        }
        prop_assert_eq!(parse(&text).unwrap(), expected.clone());
        expected.retain(|rule| rule.name != saved.name);
        prop_assert_eq!(parse(&without_rule(&text, &saved.name).unwrap()).unwrap(), expected);
    }
}
