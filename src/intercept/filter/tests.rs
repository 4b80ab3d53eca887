//! What a person who types a filter would notice.

use std::borrow::Cow;
use std::cell::Cell;
use std::time::Duration;

use super::compare::Truth;
use super::*;

mod page;
mod properties;

/// A row made of what a test says it has.
#[derive(Default)]
struct Row {
    fields: Vec<(Field, FieldValue<'static>)>,
    body: Option<Vec<u8>>,
    bodies_asked: Cell<usize>,
}

impl Row {
    fn with(mut self, field: Field, value: impl Into<FieldValue<'static>>) -> Self {
        self.fields.push((field, value.into()));
        self
    }

    fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }
}

impl Subject for Row {
    fn field(&self, field: Field) -> Option<FieldValue<'_>> {
        self.fields
            .iter()
            .find(|(name, _)| *name == field)
            .map(|(_, value)| value.clone())
    }

    fn body(&self) -> Option<Cow<'_, [u8]>> {
        self.bodies_asked.set(self.bodies_asked.get() + 1);
        self.body.as_deref().map(Cow::Borrowed)
    }
}

const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search","arguments":
    {"query":"Drop the beat","limit":10,"zip":"12345","deep":{"items":[{"id":"x"},{"id":"y"}]},"flag":true,"none":null}}}"#;

fn call() -> Row {
    Row::default()
        .with(Field::Method, "tools/call")
        .with(Field::Tool, "search")
        .with(Field::Name, "search")
        .with(Field::Id, FieldValue::Id("7"))
        .with(Field::Kind, "request")
        .with(Field::Direction, "c2s")
        .with(Field::Side, "reverse")
        .with(Field::Session, "R1")
        .with(Field::Server, "github")
        .with(
            Field::Status,
            FieldValue::Many(vec![FieldValue::Number(404.0), "error".into()]),
        )
        .with(Field::Duration, Duration::from_millis(2500))
        .with(Field::Size, FieldValue::Bytes(70_000))
        .with(Field::Exchange, FieldValue::Number(17.0))
        .with(Field::Revision, "2025-06-18")
        .with(Field::Level, "error")
        .with(
            Field::Has,
            FieldValue::Many(vec!["progress".into(), "cut".into()]),
        )
        .with(Field::Error, "Not found: the repository")
        .body(CALL)
}

fn ping() -> Row {
    Row::default()
        .with(Field::Method, "ping")
        .with(Field::Kind, "request")
}

fn parse(text: &str) -> Filter {
    match Filter::parse(text) {
        Ok(filter) => filter,
        Err(error) => panic!("{text}: {error:?}"),
    }
}

#[track_caller]
fn yes(row: &Row, filters: &[&str]) {
    for text in filters {
        assert_eq!(parse(text).truth(row), Truth::Yes, "{text}");
    }
}

#[track_caller]
fn no(row: &Row, filters: &[&str]) {
    for text in filters {
        assert_eq!(parse(text).truth(row), Truth::No, "{text}");
        assert!(parse(&format!("!({text})")).matches(row), "!({text})");
    }
}

#[track_caller]
fn absent(row: &Row, filters: &[&str]) {
    for text in filters {
        assert!(!parse(text).matches(row), "{text}");
        assert!(!parse(&format!("!({text})")).matches(row), "!({text})");
    }
}

/// The filter with the wrong characters underlined, and the message.
fn fault(text: &str) -> String {
    let error = Filter::parse(text).expect_err(text);
    let mark = if error.length == 0 {
        "^".to_owned()
    } else {
        "~".repeat(error.length)
    };
    format!("{text}\n{}{mark}\n{}", " ".repeat(error.column), error.message)
}

#[test]
fn blank_text_matches_everything() {
    for text in ["", "  \t "] {
        let filter = parse(text);
        assert!(filter.is_all() && filter.matches(&Row::default()));
        assert_eq!(filter.needs(), Needs::Nothing);
        assert_eq!(filter.to_string(), "");
    }
    assert!(!parse("a").is_all());
}

#[test]
fn is_ignores_case_and_knows_globs() {
    yes(
        &call(),
        &[
            "method:TOOLS/call",
            "method:tools/*",
            "method:*CALL",
            "tool:s*r*h",
            "method:*",
        ],
    );
    no(
        &call(),
        &["method:tools", "method:*list", "method:\"tools/*\"", "tool:searc"],
    );
}

#[test]
fn exact_and_prefix_mind_case() {
    yes(
        &call(),
        &["tool=search", "tool!=Search", "method^=tools/", "tool=\"search\""],
    );
    no(
        &call(),
        &["tool=Search", "tool!=search", "method^=Tools", "tool=s*"],
    );
}

#[test]
fn a_pattern_matches_anywhere_unless_anchored() {
    yes(
        &call(),
        &["method~ols", "method~^tools", r#"method~"^\w+/(call|list)$""#],
    );
    no(&call(), &["method~^ols", "method~TOOLS"]);
    yes(&call(), &["method~\"(?i)TOOLS\""]);
}

#[test]
fn conditions_hold_together_and_alternatives_bind_weaker() {
    yes(
        &call(),
        &[
            "tool:search method:tools/call",
            "tool:x | method:tools/call",
            "tool:x id:7 | side:reverse",
        ],
    );
    no(
        &call(),
        &[
            "tool:search method:ping",
            "tool:x | method:ping",
            "tool:x (id:7 | side:reverse)",
        ],
    );
    yes(
        &call(),
        &["!tool:x", "!(tool:x | method:ping)", "tool:search !method:ping"],
    );
}

#[test]
fn what_a_row_does_not_have_is_neither_in_nor_out() {
    absent(
        &ping(),
        &[
            "tool:search",
            "tool!=search",
            "dur>1s",
            "id:7",
            "$.a:1",
            "arg.query:x",
            "text:x",
            "status:ok",
        ],
    );
    absent(
        &ping(),
        &["tool:search method:ping", "tool:search | method:tools/call"],
    );
    // A part that decides alone still decides.
    yes(&ping(), &["tool:search | method:ping"]);
    no(&ping(), &["tool:search method:tools/call"]);
    yes(&ping(), &["!tool:search | !has:tool"]);
}

#[test]
fn has_is_never_absent() {
    yes(
        &call(),
        &[
            "has:progress",
            "has:tool",
            "has:error",
            "has:arg.query",
            "has:$.params.arguments.deep",
            "has!=warning",
        ],
    );
    no(
        &call(),
        &["has:warning", "has:prompt", "has:arg.nothing", "has:$.result"],
    );
    no(&ping(), &["has:progress", "has:tool", "has:$.params", "has:text"]);
    yes(&call(), &["has:text", "has:dur", "has:duration"]);
}

#[test]
fn ids_are_typed() {
    let with_id = |token| Row::default().with(Field::Id, FieldValue::Id(token));
    yes(&with_id("7"), &["id:7", "id=7", "id>6", "id:7.0"]);
    no(&with_id("7"), &["id:\"7\"", "id=\"7\"", "id:8"]);
    yes(&with_id("\"7\""), &["id:\"7\"", "id=\"7\"", "id~^7$"]);
    no(&with_id("\"7\""), &["id:7", "id=7"]);
    yes(
        &with_id("\"Req-1\""),
        &["id:req-1", "id:req-*", "id=Req-1", "id^=Req"],
    );
    yes(&with_id("null"), &["id:null"]);
    no(&with_id("\"null\""), &["id:null", "id=null"]);
    yes(&with_id("9007199254740993"), &["id:9007199254740993"]);
    no(&with_id("9007199254740993"), &["id:9007199254740992"]);
    absent(&with_id("\"x\""), &["id>6"]);
}

#[test]
fn directions_have_other_names() {
    yes(
        &call(),
        &["dir:c2s", "dir:->", "dir:client", "dir=→", "dir:C2S", "dir:c*"],
    );
    no(&call(), &["dir:<-", "dir:s2c", "dir:server"]);
}

#[test]
fn a_response_is_a_result_or_an_error() {
    for kind in ["result", "error"] {
        yes(&Row::default().with(Field::Kind, kind), &["kind:response"]);
    }
    no(&call(), &["kind:response"]);
}

#[test]
fn a_session_is_named_as_shown_or_by_its_number() {
    yes(&call(), &["session:R1", "session:r1", "session:1", "session:R*"]);
    no(&call(), &["session:F1", "session:2", "session:R"]);
    yes(&Row::default().with(Field::Session, "F1"), &["session:1"]);
}

#[test]
fn a_status_is_a_number_or_a_word() {
    yes(
        &call(),
        &[
            "status:404",
            "status>=400",
            "status:>=400 status:<500",
            "status:error",
            "status!=ok",
            "status:err*",
        ],
    );
    no(&call(), &["status:200", "status<400", "status:ok"]);
    let bare = Row::default().with(Field::Status, "ok");
    yes(&bare, &["status:ok"]);
    absent(&bare, &["status:404", "status>=400"]);
}

#[test]
fn measures_compare_with_units() {
    yes(
        &call(),
        &[
            "dur>2s",
            "dur:>2s",
            "dur>=2500ms",
            "dur<1m",
            "dur:2.5s",
            "dur!=1us",
        ],
    );
    no(&call(), &["dur>3s", "dur:<=2s"]);
    yes(
        &call(),
        &["size>64k", "size:>64K", "size<1M", "size=70000", "size<=70000"],
    );
    no(&call(), &["size>69k", "size:70k"]);
    yes(&call(), &["exchange:17", "exchange:#17", "exchange>16"]);
}

#[test]
fn levels_and_revisions_have_an_order() {
    yes(
        &call(),
        &[
            "level>=warning",
            "level:>warn",
            "level:error",
            "level<critical",
            "level!=debug",
        ],
    );
    no(&call(), &["level<warning", "level>error"]);
    yes(&call(), &["rev>=2025-06-18", "revision<2026-07-28", "rev:2025-*"]);
    no(&call(), &["rev>2025-06-18"]);
}

#[test]
fn bare_words_are_found_anywhere_with_smart_case() {
    yes(
        &call(),
        &["search", "\"drop the\"", "\"Drop the\"", "repository", "tools/c"],
    );
    no(&call(), &["\"DROP the\"", "absent-word", "tools/*"]);
    no(&ping(), &["search"]);
    absent(&Row::default(), &["search"]);
    yes(
        &Row::default().with(Field::Summary, "3 rows"),
        &["\"3 rows\"", "summary:rows"],
    );
}

#[test]
fn long_texts_are_asked_what_they_contain() {
    yes(
        &call(),
        &[
            "error:\"not found\"",
            "error:not*repo",
            "error^=Not",
            "text:jsonrpc",
            "text~\"limit.:1\\d\"",
        ],
    );
    no(&call(), &["error:\"NOT found\"", "error=Not", "text:absent-word"]);
}

#[test]
fn arguments_and_paths_look_into_the_body() {
    yes(
        &call(),
        &[
            "arg.query~Drop",
            "arg.query:\"drop the beat\"",
            "arg.limit:10",
            "arg.limit>9",
            "arg.limit:>9",
        ],
    );
    yes(
        &call(),
        &[
            "$.params.arguments.deep.items[1].id:y",
            "arg.deep.items[*].id:y",
            r#"$["params"].name=search"#,
        ],
    );
    yes(
        &call(),
        &[
            "arg.zip:12345",
            "arg.flag:true",
            "arg.none:null",
            "arg.deep:*",
            "arg.flag=true",
        ],
    );
    no(
        &call(),
        &[
            "arg.zip=12345",
            "arg.limit:\"10\"",
            "arg.limit<10",
            "arg.flag:false",
            "arg.deep.items[*].id:z",
        ],
    );
    absent(
        &call(),
        &[
            "arg.nothing:1",
            "arg.query>5",
            "arg.deep.items[2].id:x",
            "$.result.x:1",
        ],
    );
    yes(&call(), &["arg.query>=D", "arg.limit:1e1"]);
}

#[test]
fn the_body_is_asked_for_once_and_only_when_needed() {
    let row = call();
    assert!(parse("arg.limit:10 arg.zip:12345 text:beat").matches(&row));
    assert_eq!(row.bodies_asked.get(), 1);
    let row = call();
    assert!(!parse("tool:other arg.limit:10").matches(&row));
    assert_eq!(row.bodies_asked.get(), 0);
}

#[test]
fn a_body_that_is_not_json_or_not_utf8_is_searched_as_far_as_it_goes() {
    let row = Row::default().body(b"\xff{\"a\":1} plain");
    yes(&row, &["plain", "text:plain"]);
    absent(&row, &["$.a:1"]);
    let row = Row::default().body(b"{\"a\":\"\xff\",\"b\":2,\"cut");
    yes(&row, &["$.b:2", "$.a:*"]);
    absent(&row, &["$.cut:1"]);
}

#[test]
fn a_field_that_is_there_without_a_value_is_a_no() {
    no(
        &Row::default().with(Field::Server, FieldValue::Many(Vec::new())),
        &["server:x"],
    );
    // A value of another type than the field has cannot be compared.
    absent(&Row::default().with(Field::Duration, "soon"), &["dur>1s"]);
}

#[test]
fn needs_are_those_of_the_neediest_part() {
    assert_eq!(parse("server:x dir:c2s").needs(), Needs::Nothing);
    assert_eq!(parse("server:x | tool:y").needs(), Needs::Envelope);
    assert_eq!(parse("has:tool").needs(), Needs::Envelope);
    for whole in [
        "tool:y !arg.x:1",
        "word",
        "$.a:1",
        "text:x",
        "has:progress",
        "has:$.a",
        "error:x",
    ] {
        assert_eq!(parse(whole).needs(), Needs::Whole, "{whole}");
    }
    assert!(Needs::Nothing < Needs::Envelope && Needs::Envelope < Needs::Whole);
}

#[test]
fn the_normalised_text_has_full_names_and_no_needless_parentheses() {
    for (typed, normal) in [
        ("  ((tool:x)) ", "tool:x"),
        ("a|b", "a | b"),
        ("(a b)|c", "a b | c"),
        ("a (b|c)", "a (b | c)"),
        ("(a|b)|c", "a | b | c"),
        ("! ( a )", "!a"),
        ("!(!(a b))", "!(!(a b))"),
        ("rev:1 dir:-> dur:>2s", "revision:1 dir:c2s dur>2s"),
        ("level:>WARN", "level>warning"),
        (r#"$["a"]["b c"].*:1"#, r#"$.a["b c"][*]:1"#),
        (r#"arg["q"].r:"a\d\\""#, r#"arg.q.r:"a\d\\""#),
        ("has:duration", "has:dur"),
        ("\"quoted\"", "\"quoted\""),
    ] {
        assert_eq!(parse(typed).to_string(), normal, "{typed}");
        assert_eq!(parse(normal).to_string(), normal, "{normal}");
    }
}

#[test]
fn filters_are_equal_as_they_were_typed() {
    assert_eq!(parse("tool:x"), parse("tool:x"));
    assert_ne!(parse("tool:x"), parse("(tool:x)"));
    assert_eq!(parse(" tool:x").source(), " tool:x");
    assert_eq!("tool:x".parse(), Ok(parse("tool:x")));
}

#[test]
fn errors_point_at_the_place_and_say_what_to_write() {
    let faults = [
        "metohd:x",
        "http://x",
        "a ~m",
        "tool:",
        "tool: x",
        "tool>5",
        "é dur:2",
        "dur:>soon",
        "size>big",
        "kind:requst",
        "era:old",
        "level>loud",
        "status:4xx",
        "code:x",
        "has:progres",
        "tool~[a",
        "tool~(a|b)",
        "tool==x",
        "tool=~x",
        "$.a",
        "$.:1",
        "$[x]:1",
        "$[0:1",
        "arg.x",
        "(a",
        "a)",
        "()",
        "a|",
        "|a",
        "a||b",
        "(a|)",
        "!",
        "!!a",
        "a !|b",
        "\"a",
        "\"a\"b",
        "a AND b",
    ];
    let all: Vec<String> = faults.iter().map(|text| fault(text)).collect();
    insta::assert_snapshot!(all.join("\n\n"));
}

#[test]
fn each_limit_has_its_message() {
    let message = |text: &str| Filter::parse(text).expect_err("over a limit").message;
    assert!(Filter::parse(&"a".repeat(MAX_TEXT_BYTES)).is_ok());
    assert!(message(&"a".repeat(MAX_TEXT_BYTES + 1)).contains("4096 bytes"));
    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Filter::parse(&nested(MAX_NESTING)).is_ok());
    let error = Filter::parse(&nested(MAX_NESTING + 1)).expect_err("too deep");
    assert_eq!((error.column, error.length), (64, 1));
    assert!(error.message.contains("64 parentheses"));
    assert!(Filter::parse(&"a ".repeat(MAX_ATOMS)).is_ok());
    assert!(message(&"a ".repeat(MAX_ATOMS + 1)).contains("256 conditions"));
    assert!(Filter::parse(&"id~a ".repeat(MAX_REGEXES)).is_ok());
    assert!(message(&"id~a ".repeat(MAX_REGEXES + 1)).contains("32 regular expressions"));
    assert!(message(r#"tool~"(\w{99}){99}""#).contains("1024 KiB"));
    // Only parentheses nest, so nothing else can grow the tree.
    assert!(Filter::parse(&"(".repeat(MAX_TEXT_BYTES)).is_err());
    assert!(Filter::parse(&"!(".repeat(MAX_TEXT_BYTES / 2)).is_err());
}
