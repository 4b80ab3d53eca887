//! Places that are not compared.

use std::fmt;
use std::str::FromStr;

use crate::intercept::edit::quoted_name;

/// Most steps of a path.
const MAX_STEPS: usize = 64;

/// A place in a message, and everything inside of it: `$.result._meta`, `$.result.content[*].text`, `$..timestamp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnorePath {
    text: String,
    steps: Vec<Step>,
}

/// One step of the pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
    /// One member or element, whichever.
    Any,
    /// Any number of them.
    Deep,
}

/// One step of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum At {
    Key(String),
    Index(usize),
}

/// A path cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the path {text} is wrong at column {column}: {reason}")]
pub struct IgnorePathError {
    text: String,
    column: usize,
    reason: &'static str,
}

impl FromStr for IgnorePath {
    type Err = IgnorePathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let failed = |rest: &str, reason| IgnorePathError {
            text: text.to_owned(),
            column: text.chars().count() - rest.chars().count() + 1,
            reason,
        };
        let mut rest = text
            .strip_prefix('$')
            .ok_or_else(|| failed(text, "it starts with $, such as $.result._meta"))?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = step(rest).map_err(|reason| failed(rest, reason))?;
            if step == Step::Deep && after.is_empty() {
                return Err(failed(rest, "a name follows `..`"));
            }
            steps.push(step);
            if steps.len() > MAX_STEPS {
                return Err(failed(rest, "it has more than 64 steps"));
            }
            rest = after;
        }
        if steps.is_empty() {
            return Err(failed(rest, "it would leave nothing to compare"));
        }
        Ok(Self {
            text: text.to_owned(),
            steps,
        })
    }
}

fn step(text: &str) -> Result<(Step, &str), &'static str> {
    if let Some(after) = text.strip_prefix("..") {
        // The name follows as a step of its own.
        return Ok((Step::Deep, dotted(after).unwrap_or(after)));
    }
    if let Some(after) = text.strip_prefix('.') {
        return name(after);
    }
    if let Some(after) = text.strip_prefix("[*]") {
        return Ok((Step::Any, after));
    }
    if let Some(after) = text.strip_prefix("[\"") {
        let named = quoted_name(after).map(|(name, after)| (Step::Key(name), after));
        return named.ok_or("the name ends with \"]");
    }
    if let Some((digits, after)) = text.strip_prefix('[').and_then(|after| after.split_once(']')) {
        let index = digits.parse().ok().map(Step::Index);
        return index
            .map(|index| (index, after))
            .ok_or("inside [ ] goes a number from 0, * or a \"name\"");
    }
    // Only behind `..`, which has taken its dots along.
    name(text)
}

/// Nothing stands between `..` and a bracket.
fn dotted(text: &str) -> Option<&str> {
    text.starts_with('[').then_some(text)
}

fn name(text: &str) -> Result<(Step, &str), &'static str> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    match text.split_at(end) {
        ("", _) => Err("a name follows the dot; [\"…\"] takes any name"),
        ("*", after) => Ok((Step::Any, after)),
        (name, after) => Ok((Step::Key(name.to_owned()), after)),
    }
}

impl fmt::Display for IgnorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl IgnorePath {
    /// Whether this is the place, or one that it is inside of is (which the caller has left out already).
    pub(super) fn has(&self, place: &[At]) -> bool {
        is_at(&self.steps, place)
    }
}

fn is_at(steps: &[Step], place: &[At]) -> bool {
    match (steps.split_first(), place.split_first()) {
        (None, None) => true,
        (Some((Step::Deep, rest)), _) => {
            (0..=place.len()).any(|taken| place.get(taken..).is_some_and(|place| is_at(rest, place)))
        }
        (Some((step, steps)), Some((at, place))) => is_step(step, at) && is_at(steps, place),
        _ => false,
    }
}

fn is_step(step: &Step, at: &At) -> bool {
    match (step, at) {
        (Step::Any, _) => true,
        (Step::Key(key), At::Key(name)) => key == name,
        (Step::Index(index), At::Index(number)) => index == number,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(keys: &[&str]) -> Vec<At> {
        let at = |key: &&str| key.parse().map_or_else(|_| At::Key((*key).to_owned()), At::Index);
        keys.iter().map(at).collect()
    }

    fn has(path: &str, keys: &[&str]) -> bool {
        path.parse::<IgnorePath>().unwrap().has(&place(keys))
    }

    #[test]
    fn a_path_names_its_place_and_no_other() {
        assert!(has("$.result._meta", &["result", "_meta"]));
        assert!(!has("$.result._meta", &["result", "meta"]));
        assert!(!has("$.result._meta", &["result"]));
        assert!(has(
            "$.result.content[*].text",
            &["result", "content", "3", "text"]
        ));
        assert!(has(
            "$.result.tools.*.description",
            &["result", "tools", "a", "description"]
        ));
        assert!(has("$.a[1]", &["a", "1"]));
        assert!(!has("$.a[1]", &["a", "2"]));
        assert!(has(r#"$["a.b \"c\""]"#, &["a.b \"c\""]));
        assert!(has("$..at", &["at"]));
        assert!(has("$..at", &["result", "2", "at"]));
        assert!(has("$.result..[*].at", &["result", "x", "2", "at"]));
        assert!(!has("$..at", &["result", "2"]));
    }

    #[test]
    fn a_wrong_path_says_where() {
        for (text, column) in [
            ("a", 1),
            ("$", 2),
            ("$.", 2),
            ("$.a[x]", 4),
            ("$[\"a]", 2),
            ("$.a..", 4),
        ] {
            let error = text.parse::<IgnorePath>().unwrap_err();
            assert_eq!(error.column, column, "{text}: {error}");
        }
    }
}
