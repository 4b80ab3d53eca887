//! Checks of the filter language and of the file of rules.

use std::borrow::Cow;
use std::time::Duration;

use super::filter::{Field, FieldValue, Filter, Subject, complete};
use super::rule::Rule;
use super::rules::file::{parse, render, with_rule, with_rule_first, without_rule};

/// Longer filters may be too long once their names are written out.
const MAX_FILTER: usize = 1000;

/// A call with an answer, or a row that has nothing at all.
#[derive(Clone, Copy)]
enum Row {
    Call,
    Bare,
}

const BODY: &[u8] = br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search","arguments":{"limit":10,"q":["x",null,true,1.5e3]}}}"#;

impl Subject for Row {
    fn field(&self, field: Field) -> Option<FieldValue<'_>> {
        match (self, field) {
            (Self::Bare, _) => None,
            (_, Field::Id) => Some(FieldValue::Id("7")),
            (_, Field::Duration) => Some(Duration::from_millis(2500).into()),
            (_, Field::Size) => Some(FieldValue::Bytes(70_000)),
            (_, Field::Status) => Some(FieldValue::Many(vec![FieldValue::Number(404.0), "error".into()])),
            (_, Field::Code | Field::Call | Field::Exchange | Field::Stream) => Some(FieldValue::Number(1.0)),
            (_, Field::Has) => Some(FieldValue::Many(vec!["tool".into(), "cut".into()])),
            (_, Field::Revision) => Some("2025-06-18".into()),
            _ => Some("search".into()),
        }
    }

    fn body(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Call => Some(Cow::Borrowed(BODY)),
            Self::Bare => None,
        }
    }
}

/// A text is a filter that means the same when it is written out, or is refused at a place inside it.
pub(crate) fn filter(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for cursor in [0, text.len() / 2, text.len()] {
        let found = complete(&text, cursor, &|_| vec!["search".to_owned(), "a b".to_owned()]);
        for completion in found {
            assert!(text.get(completion.replace.clone()).is_some(), "{completion:?}");
        }
    }
    let filter = match Filter::parse(&text) {
        Ok(filter) => filter,
        Err(error) => {
            assert!(error.column + error.length <= text.chars().count(), "{error:?}");
            return;
        }
    };
    let normal = filter.to_string();
    let matches = |filter: &Filter| [Row::Call, Row::Bare].map(|row| filter.matches(&row));
    let found = matches(&filter);
    if text.len() > MAX_FILTER {
        return;
    }
    let Ok(again) = Filter::parse(&normal) else {
        panic!("{text:?} is written out as {normal:?}, which is no filter");
    };
    assert_eq!(again.to_string(), normal);
    assert_eq!(matches(&again), found, "{text:?} {normal:?}");
    assert_eq!(again.needs(), filter.needs(), "{text:?} {normal:?}");
    if let Ok(opposite) = Filter::parse(&format!("!({normal})")) {
        let both = matches(&opposite).into_iter().zip(found);
        assert!(
            filter.is_all() || both.into_iter().all(|(one, other)| !(one && other)),
            "{text:?}"
        );
    }
}

/// A text is a file of rules that comes back as it was when it is written, and of which one rule can be changed or taken
/// out, or is refused at a place inside it.
pub(crate) fn rules(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let rules = match parse(text) {
        Ok(rules) => rules,
        Err(error) => {
            let lines = text.split('\n').count();
            assert!((1..=lines).contains(&error.line) && error.column > 0, "{error}");
            return;
        }
    };
    assert_eq!(parse(&render(&rules)).as_ref(), Ok(&rules), "{}", render(&rules));
    for rule in rules.iter().take(4) {
        let without: Vec<Rule> = rules
            .iter()
            .filter(|other| other.name != rule.name)
            .cloned()
            .collect();
        let cut = without_rule(text, &rule.name);
        assert_eq!(
            cut.and_then(|text| parse(&text)).as_ref(),
            Ok(&without),
            "{}",
            rule.name
        );
        assert_eq!(
            with_rule(text, rule).and_then(|text| parse(&text)).as_ref(),
            Ok(&rules)
        );
        let toggled = Rule {
            is_on: !rule.is_on,
            ..rule.clone()
        };
        let changed = with_rule_first(text, &toggled).and_then(|text| parse(&text));
        let expected = rules
            .iter()
            .map(|old| if old.name == rule.name { &toggled } else { old });
        assert!(
            changed.is_ok_and(|changed| changed.iter().eq(expected)),
            "{}",
            rule.name
        );
    }
}
