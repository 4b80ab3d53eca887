//! What differs between two messages.

use std::collections::HashMap;
use std::ops::Range;

use super::fields::MAX_PATH_BYTES;
use super::path::{push_index, push_key};
use super::reader::{children, read};
use crate::codec::json::string_value;

/// Most differences of [`diff`]; as many may mean that there are more.
pub const MAX_DIFFERENCES: usize = 1000;

/// A value or line that is not the same in two messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where: a path such as `$.params.name`, or `line 3` in what is no JSON.
    pub path: String,
    /// What happened to it.
    pub kind: DifferenceKind,
    /// What was there, as it is spelled; bad UTF-8 as U+FFFD.
    pub before: Option<String>,
    /// What is there now, likewise.
    pub after: Option<String>,
}

/// What happened to a value or line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DifferenceKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another one.
    Changed,
}

/// What differs between two messages: value by value if both are JSON, else line by line.
///
/// Members are compared by their names, wherever they stand (of the same name the first with the first), elements by
/// their places. Only what is spelled differently counts, so `1` and `1.0` differ; white space between values and the
/// order of members do not. Values inside of what was added or removed are not listed.
///
/// At most [`MAX_DIFFERENCES`], in the order of the first message, what is new behind it. Time is linear for each level
/// of nesting.
pub fn diff(before: &[u8], after: &[u8]) -> Vec<Difference> {
    if before == after {
        return Vec::new();
    }
    match (read(before), read(after)) {
        (Ok(old), Ok(new)) => by_value(before, after, old, new),
        _ => by_line(before, after),
    }
}

/// A place in both messages, one of them, or none.
struct Pair {
    path: String,
    old: Option<Range<usize>>,
    new: Option<Range<usize>>,
}

fn by_value(before: &[u8], after: &[u8], old: Range<usize>, new: Range<usize>) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut path_bytes = 0;
    let mut rest = vec![Pair {
        path: "$".to_owned(),
        old: Some(old),
        new: Some(new),
    }];
    while let Some(pair) = rest.pop() {
        if let (Some(old), Some(new)) = (&pair.old, &pair.new) {
            if before[old.clone()] == after[new.clone()] {
                continue;
            }
            let mut inside = Inside {
                before,
                after,
                path: &pair.path,
                room: MAX_PATH_BYTES - path_bytes,
                pairs: Vec::new(),
            };
            let is_opened = match (before[old.start], after[new.start]) {
                (b'{', b'{') => {
                    inside.members(old, new);
                    true
                }
                (b'[', b'[') => {
                    inside.elements(old, new);
                    true
                }
                _ => false,
            };
            if is_opened {
                path_bytes = MAX_PATH_BYTES - inside.room;
                rest.extend(inside.pairs.into_iter().rev());
                continue;
            }
        }
        found.push(difference(before, after, pair));
        if found.len() == MAX_DIFFERENCES {
            break;
        }
    }
    found
}

fn difference(before: &[u8], after: &[u8], pair: Pair) -> Difference {
    let text = |bytes: &[u8], place: Range<usize>| String::from_utf8_lossy(&bytes[place]).into_owned();
    Difference {
        path: pair.path,
        kind: match (&pair.old, &pair.new) {
            (None, _) => DifferenceKind::Added,
            (_, None) => DifferenceKind::Removed,
            _ => DifferenceKind::Changed,
        },
        before: pair.old.map(|old| text(before, old)),
        after: pair.new.map(|new| text(after, new)),
    }
}

/// The children of two objects or two arrays that are not the same, as far as there is room for their paths.
struct Inside<'a> {
    before: &'a [u8],
    after: &'a [u8],
    path: &'a str,
    room: usize,
    pairs: Vec<Pair>,
}

impl Inside<'_> {
    fn compare(&mut self, name: &Name, old: Option<Range<usize>>, new: Option<Range<usize>>) {
        if let (Some(old), Some(new)) = (&old, &new)
            && self.before[old.clone()] == self.after[new.clone()]
        {
            return;
        }
        let mut path = self.path.to_owned();
        match name {
            Name::Member { key, .. } => push_key(&mut path, key),
            Name::Element(index) => push_index(&mut path, *index),
        }
        if self.pairs.len() < MAX_DIFFERENCES && path.len() <= self.room {
            self.room -= path.len();
            self.pairs.push(Pair { path, old, new });
        }
    }

    fn elements(&mut self, old: &Range<usize>, new: &Range<usize>) {
        let mut old = children(self.before, old).map(|child| child.value);
        let mut new = children(self.after, new).map(|child| child.value);
        for index in 0.. {
            match (old.next(), new.next()) {
                (None, None) => return,
                (old, new) => self.compare(&Name::Element(index), old, new),
            }
        }
    }

    fn members(&mut self, old: &Range<usize>, new: &Range<usize>) {
        let mut names = Names::default();
        let mut by_name: HashMap<Name, Range<usize>> = children(self.after, new)
            .filter_map(|child| Some((names.next(self.after, child.key?), child.value)))
            .collect();
        let mut names = Names::default();
        for child in children(self.before, old) {
            let Some(key) = child.key else { continue };
            let name = names.next(self.before, key);
            let new = by_name.remove(&name);
            self.compare(&name, Some(child.value), new);
        }
        let mut names = Names::default();
        for child in children(self.after, new) {
            let Some(key) = child.key else { continue };
            let name = names.next(self.after, key);
            if by_name.contains_key(&name) {
                self.compare(&name, None, Some(child.value));
            }
        }
    }
}

/// A child among its siblings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Name {
    /// The how-manieth of this name.
    Member {
        key: String,
        count: usize,
    },
    Element(usize),
}

#[derive(Debug, Default)]
struct Names(HashMap<String, usize>);

impl Names {
    fn next(&mut self, bytes: &[u8], key: Range<usize>) -> Name {
        let key = string_value(&bytes[key]).into_owned();
        let count = self.0.entry(key.clone()).or_default();
        *count += 1;
        Name::Member { key, count: *count }
    }
}

/// The lines between those that both texts start with and those that both end with.
fn by_line(before: &[u8], after: &[u8]) -> Vec<Difference> {
    let (old, new) = (lines(before), lines(after));
    let pairs = || old.iter().zip(&new);
    let head = pairs().take_while(|(old, new)| old == new).count();
    let shorter = old.len().min(new.len()) - head;
    let ends = old.iter().rev().zip(new.iter().rev());
    let tail = ends.take(shorter).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let text = |line: &&[u8]| String::from_utf8_lossy(line).into_owned();
    let line = |index: usize| {
        let (before, after) = (old.get(index).map(text), new.get(index).map(text));
        Difference {
            path: format!("line {}", head + index + 1),
            kind: match (&before, &after) {
                (None, _) => DifferenceKind::Added,
                (_, None) => DifferenceKind::Removed,
                _ => DifferenceKind::Changed,
            },
            before,
            after,
        }
    };
    let count = old.len().max(new.len()).min(MAX_DIFFERENCES);
    (0..count)
        .map(line)
        .filter(|difference| difference.before != difference.after)
        .collect()
}

/// The lines of a text with their ends, so that a change of these is seen.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::intercept::edit::tests::{spelled, value};

    fn shown(before: &str, after: &str) -> Vec<String> {
        let line = |found: Difference| {
            let text = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
            format!("{}: {} → {}", found.path, text(found.before), text(found.after))
        };
        diff(before.as_bytes(), after.as_bytes())
            .into_iter()
            .map(line)
            .collect()
    }

    #[test]
    fn values_are_compared_where_they_are() {
        assert_eq!(
            shown(
                r#"{"a":1,"b":{"c":[1,2,3],"d":"x"},"e":null,"n":1.0}"#,
                r#"{"b": {"d":"x", "c":[1,5]}, "a":1, "f":{"g":1},"e":[],"n":1}"#
            ),
            [
                "$.b.c[1]: 2 → 5",
                "$.b.c[2]: 3 → –",
                "$.e: null → []",
                "$.n: 1.0 → 1",
                "$.f: – → {\"g\":1}",
            ]
        );
        assert_eq!(shown("{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":3}"), ["$.a: 2 → 3"]);
        assert_eq!(shown("1", "[1]"), ["$: 1 → [1]"]);
    }

    #[test]
    fn white_space_and_order_are_no_differences() {
        assert_eq!(shown("{\"a\":1,\"b\":[]}", "{ \"b\": [], \"a\": 1 }\n"), [""; 0]);
    }

    #[test]
    fn what_is_no_json_is_compared_by_lines() {
        assert_eq!(
            shown("{\n\"a\":1\n}\n", "{\n\"a\":1,\n\"b\":\n}\n"),
            ["line 2: \"a\":1\n → \"a\":1,\n", "line 3: – → \"b\":\n"]
        );
        assert_eq!(shown("a\nb\nc", "a\nc"), ["line 2: b\n → –"]);
        assert_eq!(shown("", "x"), ["line 1: – → x"]);
    }

    #[test]
    fn differences_have_a_bound() {
        let numbers = |first: usize| {
            let numbers: Vec<String> = (first..first + 5000).map(|number| number.to_string()).collect();
            format!("[{}]", numbers.join(","))
        };
        assert_eq!(shown(&numbers(0), &numbers(1)).len(), MAX_DIFFERENCES);
        let lines = |line: &str| line.repeat(5000);
        assert_eq!(shown(&lines("a\n"), &lines("b\n")).len(), MAX_DIFFERENCES);
    }

    proptest! {
        #[test]
        fn equal_values_have_no_differences_and_others_have_some(one in value(), other in value(), is_pretty: bool) {
            prop_assert_eq!(shown(&spelled(&one, is_pretty), &spelled(&one, false)), [""; 0]);
            let differences = shown(&spelled(&one, is_pretty), &spelled(&other, true));
            prop_assert_eq!(differences.is_empty(), one == other);
        }
    }
}
