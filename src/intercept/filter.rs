//! The filter language: one for the view, the search, breakpoints and rules.
//!
//! `docs/filters.md` is the page for people. In short: conditions such as `method:tools/call dur>2s` that all hold,
//! `|` between alternatives, `!` before what is excluded, parentheses around what belongs together. A condition on
//! something a row does not have is neither true nor false, so neither it nor its `!` matches that row.
//!
//! Pure: no I/O, no clock. Parsing is linear and without recursion, matching is linear in the body and never builds a
//! value tree, and every size has a bound below.

mod atom;
mod compare;
mod compile;
mod complete;
mod error;
mod evaluate;
mod field;
mod path;
mod scan;
mod subject;
mod syntax;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use complete::{Completion, MAX_COMPLETIONS, complete};
pub use error::FilterError;
pub(in crate::intercept) use error::nearest;
pub use field::Field;
pub use subject::{FieldValue, Subject};
pub(crate) use words::{direction_word, kind_word};

use compare::Truth;
use evaluate::Row;
use syntax::Expression;

/// Longest text of a filter, in bytes. Longer: refused.
pub const MAX_TEXT_BYTES: usize = 4096;
/// Most parentheses inside each other. More: refused.
pub const MAX_NESTING: usize = 64;
/// Most conditions of a filter. More: refused.
pub const MAX_ATOMS: usize = 256;
/// Most regular expressions of a filter. More: refused.
pub const MAX_REGEXES: usize = 32;
/// Largest compiled form of one regular expression, in bytes. Larger: refused.
pub const MAX_REGEX_BYTES: usize = 1024 * 1024;

/// A condition on messages, parsed and ready to be asked many times.
///
/// Cheap to clone. Two filters are equal if they were written the same way. `Display` gives the normalised text:
/// full field names, single spaces, no needless parentheses; parsing it gives a filter that means the same. (Within a
/// few hundred bytes of [`MAX_TEXT_BYTES`] full names and spaces may take it over the limit.)
#[derive(Clone, Debug)]
pub struct Filter {
    source: Arc<str>,
    expression: Option<Arc<Expression>>,
}

/// How much of a message a filter must see before it can answer, from little to much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Needs {
    /// No byte of the body: what the connection and the heads tell is enough.
    Nothing,
    /// Method, id, kind, what a call names, and what pairing knows; not the rest of the body.
    Envelope,
    /// The whole body.
    Whole,
}

impl Filter {
    /// The filter that matches everything.
    pub fn all() -> Self {
        Self {
            source: "".into(),
            expression: None,
        }
    }

    /// Reads a filter. Blank text is [`Filter::all`].
    ///
    /// # Errors
    /// [`FilterError`] with the place and what to write instead; also beyond [`MAX_TEXT_BYTES`], [`MAX_NESTING`],
    /// [`MAX_ATOMS`], [`MAX_REGEXES`] and [`MAX_REGEX_BYTES`].
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let expression = syntax::parse(text)?.map(Arc::new);
        Ok(Self {
            source: text.into(),
            expression,
        })
    }

    /// Whether this is the filter that matches everything.
    pub fn is_all(&self) -> bool {
        self.expression.is_none()
    }

    /// The text as it was typed.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the subject matches.
    ///
    /// Parts are asked from left to right and only as far as needed; the body is asked for at most once. Time is
    /// linear in the body for each condition on it.
    pub fn matches(&self, subject: &(impl Subject + ?Sized)) -> bool {
        self.truth(subject) == Truth::Yes
    }

    /// How much of a message must be known to answer; [`Needs::Nothing`] for [`Filter::all`].
    pub fn needs(&self) -> Needs {
        self.expression.as_deref().map_or(Needs::Nothing, needs)
    }

    fn truth(&self, subject: &(impl Subject + ?Sized)) -> Truth {
        self.expression
            .as_deref()
            .map_or(Truth::Yes, |expression| Row::new(subject).ask(expression))
    }
}

fn needs(expression: &Expression) -> Needs {
    match expression {
        Expression::All(parts) | Expression::Any(parts) => {
            parts.iter().map(needs).max().unwrap_or(Needs::Nothing)
        }
        Expression::Not(inner) => needs(inner),
        Expression::Atom(atom) => atom.needs(),
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::all()
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Filter {}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expression
            .as_deref()
            .map_or(Ok(()), |expression| expression.fmt(f))
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}
