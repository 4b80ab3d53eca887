//! Places that are not compared.

mod parse;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Most steps of a path: as many as fit into the states of [`IgnorePath::has`].
const MAX_STEPS: usize = 64;

/// A place in a message, and everything inside of it: `$.result._meta`, `$.result.content[*].text`, `$..timestamp`,
/// `$.result.content[-1]`, `$.result.content[1:3]['any name']`.
///
/// What has names instead of numbers here, such as the tools in a list, is found by names only. A path goes on into a text that
/// is a JSON object or array: `$.result.content[0].text.elapsed`.
///
/// Source: RFC 9535 (`JSONPath`) without filters; names without quotes may have any character but `.` and `[`.
#[derive(Debug, Clone)]
pub struct IgnorePath {
    text: String,
    steps: Vec<Step>,
    /// Shared by all copies.
    was_met: Arc<AtomicBool>,
}

impl PartialEq for IgnorePath {
    fn eq(&self, other: &Self) -> bool {
        self.steps == other.steps
    }
}

impl Eq for IgnorePath {}

/// One step of the pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    /// Any number of members and elements before it.
    is_deep: bool,
    /// What it takes, one of them or several.
    selectors: Vec<Selector>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Selector {
    Key(String),
    /// Below zero it counts from the end.
    Index(i64),
    /// One member or element, whichever.
    Any,
    Slice(Slice),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Slice {
    start: Option<i64>,
    end: Option<i64>,
    /// Not zero.
    step: i64,
}

/// One step of a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum At {
    Key(String),
    /// An element of an array of this length.
    Index(usize, usize),
}

/// A path cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the path {text} is wrong at column {column}: {reason}. Examples: $.result._meta, $.result.content[*].text, $..timestamp"
)]
pub struct IgnorePathError {
    text: String,
    column: usize,
    reason: &'static str,
}

impl FromStr for IgnorePath {
    type Err = IgnorePathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let failed = |(rest, reason): parse::Wrong<'_>| IgnorePathError {
            text: text.to_owned(),
            column: text.chars().count() - rest.chars().count() + 1,
            reason,
        };
        let mut rest = text
            .strip_prefix('$')
            .ok_or_else(|| failed((text, "it starts with $")))?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = parse::step(rest).map_err(failed)?;
            steps.push(step);
            if steps.len() > MAX_STEPS {
                return Err(failed((rest, "it has more than 64 steps")));
            }
            rest = after;
        }
        let takes_all = |step: &Step| step.selectors.contains(&Selector::Any);
        if steps.is_empty() || (steps.len() == 1 && steps.iter().all(takes_all)) {
            return Err(failed((rest, "it would leave nothing to compare")));
        }
        Ok(Self {
            text: text.to_owned(),
            steps,
            was_met: Arc::default(),
        })
    }
}

impl fmt::Display for IgnorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl IgnorePath {
    /// Whether something was at this place, in anything that was compared with this path or a copy of it.
    pub fn was_met(&self) -> bool {
        self.was_met.load(Ordering::Relaxed)
    }

    /// Whether this is the place, or one that it is inside of is (which the caller has left out already).
    pub(super) fn has(&self, place: &[At]) -> bool {
        let has = self.states(place) & (1 << self.steps.len()) != 0;
        if has {
            self.was_met.store(true, Ordering::Relaxed);
        }
        has
    }

    /// Whether something inside of this place may be meant.
    pub(super) fn goes_on(&self, place: &[At]) -> bool {
        self.states(place) != 0
    }

    /// Bit n: the first n steps lead to the place.
    fn states(&self, place: &[At]) -> u128 {
        let mut states: u128 = 1;
        for at in place {
            let mut next = 0;
            for (number, step) in self.steps.iter().enumerate() {
                if states & (1 << number) == 0 {
                    continue;
                }
                if step.is_deep {
                    next |= 1 << number;
                }
                if step.selectors.iter().any(|selector| selector.takes(at)) {
                    next |= 1 << (number + 1);
                }
            }
            states = next;
        }
        states
    }
}

impl Selector {
    fn takes(&self, at: &At) -> bool {
        match (self, at) {
            (Self::Any, _) => true,
            (Self::Key(key), At::Key(name)) => key == name,
            (Self::Index(index), At::Index(number, length)) => {
                normal(*index, signed(*length)) == signed(*number)
            }
            (Self::Slice(slice), At::Index(number, length)) => slice.takes(signed(*number), signed(*length)),
            _ => false,
        }
    }
}

impl Slice {
    /// Source: RFC 9535, section 2.3.4.2.2.
    fn takes(&self, index: i64, length: i64) -> bool {
        if self.step > 0 {
            let from = normal(self.start.unwrap_or(0), length).clamp(0, length);
            let to = normal(self.end.unwrap_or(length), length).clamp(0, length);
            return (from..to).contains(&index) && (index - from) % self.step == 0;
        }
        let last = length - 1;
        let from = self.start.map_or(last, |start| normal(start, length));
        let to = self.end.map_or(-1, |end| normal(end, length));
        let (from, to) = (from.clamp(-1, last), to.clamp(-1, last));
        index > to && index <= from && (from - index) % self.step == 0
    }
}

/// Counted from the start.
const fn normal(index: i64, length: i64) -> i64 {
    if index < 0 {
        index.saturating_add(length)
    } else {
        index
    }
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number is an element of an array of four.
    fn place(keys: &[&str]) -> Vec<At> {
        let at = |key: &&str| {
            key.parse()
                .map_or_else(|_| At::Key((*key).to_owned()), |n| At::Index(n, 4))
        };
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
        assert!(has("$..at", &["at"]));
        assert!(has("$..at", &["result", "2", "at"]));
        assert!(has("$.result..[*].at", &["result", "x", "2", "at"]));
        assert!(has("$..a..at", &["b", "a", "a", "at"]));
        assert!(!has("$..at", &["result", "2"]));
        assert!(!has("$..at", &["at", "2"]));
        assert!(has("$..*.at", &["x", "at"]));
        assert!(!has("$..*.at", &["at"]));
    }

    #[test]
    fn a_path_knows_whether_it_has_met_anything_and_so_do_its_copies() {
        let path: IgnorePath = "$.a[*].b".parse().unwrap();
        let copy = path.clone();
        assert!(path.goes_on(&place(&["a", "1"])) && !path.goes_on(&place(&["b"])));
        assert!(!copy.has(&place(&["a", "1"])) && !path.was_met());
        assert!(copy.has(&place(&["a", "1", "b"])) && path.was_met());
    }

    #[test]
    fn a_name_in_either_quotes_may_have_any_character() {
        for path in [
            r#"$["a.b \"c\""]"#,
            r#"$['a.b "c"']"#,
            r"$[ 'a.b \u0022c\u0022' ]",
        ] {
            assert!(has(path, &[r#"a.b "c""#]), "{path}");
        }
        assert!(has("$.a['it\\'s']..['x']", &["a", "it's", "b", "x"]));
        assert!(has(r"$['\ud83d\ude00']", &["\u{1f600}"]));
        assert!(has("$['a', 'b'][0, 2]", &["b", "2"]));
        assert!(!has("$['a', 'b'][0, 2]", &["b", "1"]));
    }

    #[test]
    fn elements_are_counted_from_the_end_too_and_taken_in_slices() {
        let taken = |path: &str| -> String {
            let numbers = ["0", "1", "2", "3"].into_iter();
            numbers.filter(|number| has(path, &["a", number])).collect()
        };
        for (path, numbers) in [
            ("$.a[-1]", "3"),
            ("$.a[-4]", "0"),
            ("$.a[-5]", ""),
            ("$.a[1:3]", "12"),
            ("$.a[:2]", "01"),
            ("$.a[-2:]", "23"),
            ("$.a[::2]", "02"),
            ("$.a[1 : 9]", "123"),
            ("$.a[::-2]", "13"),
            ("$.a[2:0:-1]", "12"),
            ("$.a[0,-1]", "03"),
        ] {
            assert_eq!(taken(path), numbers, "{path}");
        }
    }

    #[test]
    fn a_wrong_path_says_where_and_shows_a_right_one() {
        for (text, column) in [
            ("a", 1),
            ("$", 2),
            ("$a", 2),
            ("$.", 2),
            ("$.a[x]", 5),
            ("$.a[1", 6),
            ("$[\"a]", 3),
            ("$['a\\x']", 5),
            ("$.a..", 4),
            ("$.a[::0]", 5),
            ("$.a[99999999999999999999]", 5),
            ("$.a[?@.b]", 5),
            ("$..*", 5),
        ] {
            let error = text.parse::<IgnorePath>().unwrap_err();
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(error.to_string().contains("$.result.content[*].text"), "{error}");
        }
    }
}
