//! Laws that hold for any filter.

use proptest::prelude::*;

use super::{Row, call, parse, ping};
use crate::intercept::filter::compare::Truth;
use crate::intercept::filter::{Field, Filter};

fn filter_text() -> impl Strategy<Value = String> {
    let atom = prop::sample::select(vec![
        "method:tools/*",
        "tool:search",
        "prompt:x",
        "!id:7",
        "dur>2s",
        "!status>=400",
        "size:<1k",
        "call:1",
        "arg.limit:>5",
        "$.result.x:1",
        "has:tool",
        "drop",
        "!\"a \\\" b\"",
        "rev>=2025-06-18",
        "dir:->",
        "level:warn",
        "code:1",
        "!text:zebra",
    ])
    .prop_map(str::to_owned);
    atom.prop_recursive(5, 40, 4, |inner| {
        let many = prop::collection::vec(inner, 1..4);
        prop_oneof![
            many.clone().prop_map(|parts| parts.join(" ")),
            many.clone().prop_map(|parts| format!("({})", parts.join("|"))),
            many.clone().prop_map(|parts| format!("!({})", parts.join(" "))),
            many.prop_map(|parts| format!("! ({})", parts.join(" | "))),
        ]
    })
}

fn rows() -> [Row; 4] {
    let sparse = Row::default()
        .with(Field::Tool, "other")
        .with(Field::Status, "ok")
        .body("{\"result\":{\"x\":1}}");
    [call(), ping(), sparse, Row::default()]
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused_at_a_place_inside_it(text in "[a-z:=!~^<>()|\" $.\\[\\]*\\\\0-9é#]{0,40}") {
        match Filter::parse(&text) {
            Ok(filter) => {
                let normal = filter.to_string();
                let again = Filter::parse(&normal);
                prop_assert!(again.is_ok(), "{normal}: {again:?}");
                prop_assert_eq!(again.map(|again| again.to_string()), Ok(normal));
            }
            Err(error) => prop_assert!(error.column + error.length <= text.chars().count(), "{error:?}"),
        }
    }

    #[test]
    fn arbitrary_unicode_is_parsed_or_refused(text: String) {
        if let Err(error) = Filter::parse(&text) {
            prop_assert!(error.column + error.length <= text.chars().count());
        }
    }

    #[test]
    fn a_condition_with_any_value_comes_back(
        target in prop::sample::select(vec!["tool", "id", "dur", "kind", "status", "has", "$.a", "arg.b", "text", "rev"]),
        operator in prop::sample::select(vec![":", "=", "!=", "~", "^=", ">", "<="]),
        value in "[^\"]{1,8}", quoted: bool,
    ) {
        let text = if quoted { format!("{target}{operator}\"{value}\"") } else { format!("{target}{operator}{value}") };
        if let Ok(filter) = Filter::parse(&text) {
            let normal = filter.to_string();
            let again = parse(&normal);
            prop_assert_eq!(again.to_string(), normal);
            for row in rows() {
                prop_assert_eq!(again.truth(&row), filter.truth(&row), "{}", text);
            }
        }
    }

    #[test]
    fn the_normalised_text_means_the_same(text in filter_text()) {
        let filter = parse(&text);
        let normal = filter.to_string();
        let again = parse(&normal);
        prop_assert_eq!(again.to_string(), normal);
        for row in rows() {
            prop_assert_eq!(again.truth(&row), filter.truth(&row), "{}", text);
        }
    }

    #[test]
    fn a_filter_and_its_opposite_never_both_match(text in filter_text()) {
        let (filter, opposite) = (parse(&text), parse(&format!("!({text})")));
        for row in rows() {
            prop_assert!(!(filter.matches(&row) && opposite.matches(&row)), "{}", text);
            let is_absent = filter.truth(&row) == Truth::Absent;
            prop_assert_eq!(is_absent, !filter.matches(&row) && !opposite.matches(&row), "{}", text);
            prop_assert_eq!(parse(&format!("!(!({text}))")).truth(&row), filter.truth(&row));
        }
    }

    #[test]
    fn excluding_alternatives_is_excluding_each(left in filter_text(), right in filter_text()) {
        let together = parse(&format!("!(({left}) | ({right}))"));
        let each = parse(&format!("!({left}) !({right})"));
        let either = parse(&format!("!(({left}) ({right}))"));
        let any = parse(&format!("!({left}) | !({right})"));
        for row in rows() {
            prop_assert_eq!(together.truth(&row), each.truth(&row));
            prop_assert_eq!(either.truth(&row), any.truth(&row));
        }
    }
}
