//! What an atom compares with, ready to be asked many times.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::time::Duration;

use regex::Regex;

use super::scan::JsonValue;
use super::{Field, FieldValue};

/// The answer of an atom: yes, no, or that the row has nothing to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    Yes,
    No,
    Absent,
}

impl Truth {
    pub(super) fn negated(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Absent => Self::Absent,
        }
    }

    /// What several values say together: one that fits is enough, and one that can be compared is there.
    pub(super) fn or_else(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Absent, Self::Absent) => Self::Absent,
        }
    }
}

impl From<bool> for Truth {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// An order that a value must have to the operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    pub(super) fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
        }
    }
}

/// A comparison with a text.
#[derive(Clone, Debug)]
pub(super) enum TextTest {
    /// Equal without regard to case; the operand is in lower case.
    Same(String),
    Exact(String),
    Prefix(String),
    Pattern(Regex),
    Ordered(Comparison, String),
}

impl TextTest {
    pub(super) fn same(text: &str) -> Self {
        Self::Same(text.chars().flat_map(char::to_lowercase).collect())
    }

    pub(super) fn holds(&self, text: &str) -> bool {
        match self {
            Self::Same(lower) => text.chars().flat_map(char::to_lowercase).eq(lower.chars()),
            Self::Exact(exact) => text == exact,
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Self::Pattern(pattern) => pattern.is_match(text),
            Self::Ordered(comparison, operand) => comparison.holds(text.cmp(operand)),
        }
    }
}

/// A number that keeps integers above 2^53 apart, which a JSON-RPC id may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Integer(i128),
    Float(f64),
}

impl Number {
    pub(super) fn parse(text: &str) -> Option<Self> {
        // The standard parser also takes "inf" and "nan".
        let is_numeric = text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
        if !is_numeric {
            return None;
        }
        text.parse()
            .map(Self::Integer)
            .or_else(|_| text.parse().map(Self::Float))
            .ok()
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "an integer meets a float: the float has no more digits either"
    )]
    pub(super) fn float(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }

    /// The order of two numbers; none for what is not a number.
    pub(super) fn order(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => Some(left.cmp(&right)),
            (left, right) => left.float().partial_cmp(&right.float()),
        }
    }
}

/// A comparison with a JSON value, which has a type.
#[derive(Clone, Debug)]
pub(super) enum JsonTest {
    /// A value of any type, by its text.
    Any(TextTest),
    /// Strings only.
    String(TextTest),
    /// The number, and with a text test also a string that reads like it.
    Number(Number, Option<TextTest>),
    /// `true`, `false` or `null`, and with a text test also a string that reads like it.
    Literal(String, Option<TextTest>),
    Order(Comparison, Number),
    OrderText(TextTest),
}

impl JsonTest {
    pub(super) fn check(&self, value: &JsonValue<'_>) -> Truth {
        match (self, value) {
            (Self::Any(test), value) => test.holds(value.text()).into(),
            (
                Self::String(test)
                | Self::OrderText(test)
                | Self::Number(_, Some(test))
                | Self::Literal(_, Some(test)),
                JsonValue::String(found),
            ) => test.holds(found).into(),
            (Self::Number(wanted, _), JsonValue::Number(found)) => compare(Comparison::Equal, found, *wanted),
            (Self::Literal(wanted, _), JsonValue::Literal(found)) => (wanted == found).into(),
            (Self::Order(comparison, wanted), JsonValue::Number(found)) => {
                compare(*comparison, found, *wanted)
            }
            // Two types have no order, so there is nothing to compare; equal they are not.
            (Self::Order(..) | Self::OrderText(_), _) => Truth::Absent,
            (Self::String(_) | Self::Number(..) | Self::Literal(..), _) => Truth::No,
        }
    }
}

fn compare(comparison: Comparison, found: &str, wanted: Number) -> Truth {
    let ordering = Number::parse(found).and_then(|found| found.order(wanted));
    ordering.map_or(Truth::Absent, |ordering| comparison.holds(ordering).into())
}

/// A comparison with the value of a field.
#[derive(Clone, Debug)]
pub(super) enum FieldTest {
    Text(TextTest),
    /// One of these words.
    Words(&'static [&'static str]),
    /// The place of a word among the words of the field.
    Rank(Comparison, usize),
    Number(Comparison, f64),
    Duration(Comparison, Duration),
    Bytes(Comparison, u64),
    /// A session of this number on either side.
    SessionNumber(String),
    Id(JsonTest),
}

impl FieldTest {
    /// Compares; [`Truth::Absent`] if the value is of a type that cannot be compared.
    pub(super) fn check(&self, field: Field, value: &FieldValue<'_>) -> Truth {
        match (self, value) {
            (_, FieldValue::Many(values)) if values.is_empty() => Truth::No,
            (_, FieldValue::Many(values)) => values
                .iter()
                .map(|value| self.check(field, value))
                .fold(Truth::Absent, Truth::or_else),
            (Self::Text(test), FieldValue::Text(found)) => test.holds(found).into(),
            (Self::Words(words), FieldValue::Text(text)) => words.contains(&text.as_ref()).into(),
            (Self::Rank(comparison, wanted), FieldValue::Text(text)) => {
                rank(field, text).map_or(Truth::Absent, |found| comparison.holds(found.cmp(wanted)).into())
            }
            (Self::Number(comparison, wanted), FieldValue::Number(found)) => found
                .partial_cmp(wanted)
                .map_or(Truth::Absent, |ordering| comparison.holds(ordering).into()),
            (Self::Duration(comparison, wanted), FieldValue::Duration(found)) => {
                comparison.holds(found.cmp(wanted)).into()
            }
            (Self::Bytes(comparison, wanted), FieldValue::Bytes(found)) => {
                comparison.holds(found.cmp(wanted)).into()
            }
            (Self::SessionNumber(number), FieldValue::Text(text)) => text
                .strip_prefix(['R', 'F'])
                .is_some_and(|found| found == number)
                .into(),
            (Self::Id(test), FieldValue::Id(token)) => {
                JsonValue::of_token(token).map_or(Truth::Absent, |value| test.check(&value))
            }
            _ => Truth::Absent,
        }
    }
}

fn rank(field: Field, text: &str) -> Option<usize> {
    field.words().iter().position(|word| word.name == text)
}

/// Whether the values of a subject hold this word.
pub(super) fn holds_word(value: &FieldValue<'_>, word: &str) -> bool {
    match value {
        FieldValue::Text(text) => text.eq_ignore_ascii_case(word),
        FieldValue::Many(values) => values.iter().any(|value| holds_word(value, word)),
        _ => false,
    }
}

/// The texts of a value that a search looks at.
pub(super) fn texts<'v>(value: &'v FieldValue<'_>) -> Vec<Cow<'v, str>> {
    match value {
        FieldValue::Text(text) => vec![Cow::Borrowed(text)],
        FieldValue::Many(values) => values.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_above_two_to_the_53_are_told_apart() {
        let parse = |text| Number::parse(text).expect("a number");
        let order = parse("9007199254740993").order(parse("9007199254740992"));
        assert_eq!(order, Some(Ordering::Greater));
        assert_eq!(parse("1e3").order(parse("1000")), Some(Ordering::Equal));
    }

    #[test]
    fn words_are_not_numbers() {
        for text in ["inf", "nan", "", "-", "1_000", "e"] {
            assert!(Number::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn equality_without_case_knows_letters_beyond_ascii() {
        assert!(TextTest::same("ÉCOLE").holds("école"));
        assert!(!TextTest::same("ecole").holds("école"));
    }
}
