//! The file of rules: TOML in, rules out, and back.
//!
//! `docs/rules.md` is the page for people. Every mistake is told with line and column, one inside a filter at its own
//! column of the file.

mod error;
mod json;
mod node;
mod read;
mod surgery;
#[cfg(test)]
mod tests;
mod verdict;
mod write;

use crate::intercept::rule::Rule;

use super::MAX_FILE_BYTES;

pub use error::RulesError;
pub use surgery::{with_rule, with_rule_first, without_rule};

use error::Mistake;

/// Reads a file of rules, in the order in which they will be asked.
///
/// # Errors
/// [`RulesError`] with the place of the first mistake; also beyond [`MAX_FILE_BYTES`] and
/// [`MAX_RULES`](super::MAX_RULES).
pub fn parse(text: &str) -> Result<Vec<Rule>, RulesError> {
    try_parse(text).map_err(|mistake| mistake.within(text))
}

/// Writes rules so that [`parse`] gives the same again.
///
/// Rules that [`parse`] would refuse, such as one whose status is 99, are written as they are.
pub fn render(rules: &[Rule]) -> String {
    rules.iter().map(write::block).collect::<Vec<_>>().join("\n")
}

fn try_parse(text: &str) -> Result<Vec<Rule>, Mistake> {
    check_size(text)?;
    let document = read::document(text)?;
    let rules = read::rules(document.get_ref(), text)?;
    Ok(rules.into_iter().map(|read| read.rule).collect())
}

fn check_size(text: &str) -> Result<(), Mistake> {
    if text.len() > MAX_FILE_BYTES {
        return Err(Mistake::new(0, "a file of rules has at most 1 MiB"));
    }
    Ok(())
}
