//! Flags that say which messages are acted on.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use shadowcat::intercept::filter::Filter;
use shadowcat::intercept::rule::{Hits, Rule, Verdict, WhileHeld};

use super::filter_text::{FilterText, FilterTextError};

/// Most characters of a filter in the name of its rule.
const NAME_CHARACTERS: usize = 32;

/// What happens to messages beside passing.
#[derive(Debug, Default, Args)]
pub(super) struct InterceptArguments {
    /// Act on messages as this file of rules says, which is read again whenever it changes; see docs/rules.md
    #[arg(
        long,
        value_name = "FILE",
        env = "SHADOWCAT_RULES",
        help_heading = "Interception"
    )]
    pub(super) rules: Option<PathBuf>,
    /// Hold messages that match this filter until somebody decides; repeatable; see docs/filters.md
    #[arg(long, value_name = "EXPR", help_heading = "Interception")]
    pub(super) intercept: Vec<BreakpointText>,
}

/// A filter whose messages are held.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BreakpointText {
    text: FilterText,
    when: Filter,
}

impl FromStr for BreakpointText {
    type Err = FilterTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (text, when) = FilterText::read(text)?;
        Ok(Self { text, when })
    }
}

/// A rule that holds for each of them, under names that differ.
pub(super) fn breakpoints(texts: Vec<BreakpointText>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::with_capacity(texts.len());
    for BreakpointText { text, when } in texts {
        let name = free_name(&text.0, &rules);
        rules.push(Rule {
            name,
            is_on: true,
            when,
            direction: None,
            hits: Hits::Always,
            verdict: Verdict::Hold,
            on_expire: None,
            while_held: WhileHeld::default(),
        });
    }
    rules
}

fn free_name(text: &str, rules: &[Rule]) -> String {
    let text = text.trim();
    let base: String = if text.is_empty() { "everything" } else { text }
        .chars()
        .take(NAME_CHARACTERS)
        .collect();
    let is_taken = |name: &str| rules.iter().any(|rule| rule.name == name);
    let names = std::iter::once(base.clone()).chain((2..).map(|number| format!("{base} {number}")));
    names.into_iter().find(|name| !is_taken(name)).unwrap_or(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filter_makes_a_rule_that_holds_under_a_name_of_its_own() {
        let texts = ["tool:a", "", "tool:a"].map(|text| text.parse().unwrap());
        let rules = breakpoints(texts.to_vec());
        let names: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(names, ["tool:a", "everything", "tool:a 2"]);
        assert!(
            rules
                .iter()
                .all(|rule| rule.verdict == Verdict::Hold && rule.is_on)
        );
    }
}
