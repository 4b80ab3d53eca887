//! One condition of a filter: its target, its operator and what it compares with.

use std::fmt;

use super::compare::{FieldTest, JsonTest, TextTest};
use super::path::{JsonPath, write_quoted};
use super::{Field, Needs};

/// What stands between a field and a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Is,
    Equal,
    NotEqual,
    Matches,
    Prefix,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Operator {
    /// Every operator; those of two characters first, so that the first that fits is the longest.
    pub(super) const ALL: [Self; 9] = [
        Self::NotEqual,
        Self::Prefix,
        Self::GreaterOrEqual,
        Self::LessOrEqual,
        Self::Is,
        Self::Equal,
        Self::Matches,
        Self::Greater,
        Self::Less,
    ];

    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Is => ":",
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Matches => "~",
            Self::Prefix => "^=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
        }
    }

    pub(super) fn help(self) -> &'static str {
        match self {
            Self::Is => "is, loosely: without case, * stands for anything",
            Self::Equal => "is exactly",
            Self::NotEqual => "is not exactly",
            Self::Matches => "matches a regular expression",
            Self::Prefix => "starts with",
            Self::Greater => "is more than",
            Self::GreaterOrEqual => "is at least",
            Self::Less => "is less than",
            Self::LessOrEqual => "is at most",
        }
    }

    /// The operator at this place of the text.
    pub(super) fn read(text: &[char]) -> Option<Self> {
        Self::ALL.into_iter().find(|operator| {
            operator
                .symbol()
                .chars()
                .eq(text.iter().copied().take(operator.width()))
        })
    }

    pub(super) fn width(self) -> usize {
        self.symbol().len()
    }
}

/// What is asked.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Field(Field),
    Path(JsonPath),
    /// As a path, written `arg.NAME`.
    Argument(JsonPath),
    /// A bare word: wherever a row shows words, and its body.
    Anywhere,
}

/// The text to compare with, and whether it was quoted: `7` is a number and `"7"` is a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) is_quoted: bool,
}

/// A comparison, ready to run.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Field(FieldTest),
    Json(JsonTest),
    /// Text of the body, or anywhere.
    Pattern(TextTest),
    /// Whether the row has the mark or the field.
    Has {
        mark: Option<&'static str>,
        field: Option<Field>,
    },
    /// Whether the body has a value there.
    Exists(JsonPath),
}

/// One condition.
#[derive(Clone, Debug)]
pub(super) struct Atom {
    pub(super) target: Target,
    pub(super) operator: Operator,
    pub(super) value: Value,
    pub(super) test: Test,
}

impl Atom {
    pub(super) fn needs(&self) -> Needs {
        match (&self.target, &self.test) {
            (
                _,
                Test::Has {
                    mark: None,
                    field: Some(field),
                },
            )
            | (Target::Field(field), _) => field.needs(),
            (Target::Path(_) | Target::Argument(_) | Target::Anywhere, _) => Needs::Whole,
        }
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Anywhere => return self.value.fmt(f),
            Target::Field(field) => f.write_str(field.name())?,
            Target::Path(path) => path.fmt(f)?,
            Target::Argument(path) => {
                f.write_str("arg")?;
                path.write_argument(f)?;
            }
        }
        f.write_str(self.operator.symbol())?;
        self.value.fmt(f)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_quoted {
            write_quoted(&self.text, f)
        } else {
            f.write_str(&self.text)
        }
    }
}
