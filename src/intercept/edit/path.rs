//! Where a change is made: `$.params.arguments.x`, `[0]`, `["any name"]`, and the pointers of a JSON Patch.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use super::error::EditError;
use super::reader::{Child, MAX_NESTING, children, described};
use crate::codec::json::string_value;

/// One step into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A member of an object.
    Key(String),
    /// An element of an array.
    Index(usize),
    /// Either, as the value is: a reference token of RFC 6901.
    Token(String),
}

impl Step {
    /// The name of a member, if this can be one.
    pub(super) fn key(&self) -> Option<&str> {
        match self {
            Self::Key(key) | Self::Token(key) => Some(key),
            Self::Index(_) => None,
        }
    }

    /// The place in an array of this length, if this can be one; `-` of a pointer is the end.
    pub(super) fn index(&self, length: usize) -> Option<usize> {
        match self {
            Self::Key(_) => None,
            Self::Index(index) => Some(*index),
            Self::Token(token) if token == "-" => Some(length),
            Self::Token(token) => {
                let is_plain = token == "0" || !token.starts_with('0');
                let is_number = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
                token.parse().ok().filter(|_| is_plain && is_number)
            }
        }
    }
}

/// Reads the path that `text` starts with; gives its steps and what follows.
pub(super) fn read_path(text: &str) -> Result<(Vec<Step>, &str), EditError> {
    let failed = |rest: &str, reason| EditError::Path {
        path: text.to_owned(),
        column: text.chars().count() - rest.chars().count() + 1,
        reason,
    };
    let Some(mut rest) = text.strip_prefix('$') else {
        return Err(failed(text, "it starts with $, such as $.params.arguments.x"));
    };
    let mut steps = Vec::new();
    loop {
        let (step, after) = if let Some(after) = rest.strip_prefix('.') {
            name(after).ok_or_else(|| failed(after, "a name follows the dot; [\"…\"] takes any name"))?
        } else if let Some(after) = rest.strip_prefix("[\"") {
            quoted_name(after)
                .map(|(name, rest)| (Step::Key(name), rest))
                .ok_or_else(|| failed(after, "the name ends with \"]"))?
        } else if let Some(after) = rest.strip_prefix('[') {
            number(after).ok_or_else(|| failed(after, "inside [ ] goes a number from 0 or a \"name\""))?
        } else {
            return Ok((steps, rest));
        };
        if steps.len() == MAX_NESTING {
            return Err(failed(rest, "it has more than 128 steps"));
        }
        steps.push(step);
        rest = after;
    }
}

/// The names on the way to the value at a path, `None` for a place in an array. `None` if the text is no path.
pub(crate) fn names_of(path: &str) -> Option<Vec<Option<String>>> {
    let names = parse(path).ok()?.into_iter().map(|step| match step {
        Step::Key(name) | Step::Token(name) => Some(name),
        Step::Index(_) => None,
    });
    Some(names.collect())
}

/// Reads a text that is a path and nothing else.
pub(super) fn parse(text: &str) -> Result<Vec<Step>, EditError> {
    let text = text.trim();
    let (steps, rest) = read_path(text)?;
    if rest.is_empty() {
        return Ok(steps);
    }
    Err(EditError::Path {
        path: text.to_owned(),
        column: text.chars().count() - rest.chars().count() + 1,
        reason: "write .name, [0] or [\"any name\"]",
    })
}

fn name(text: &str) -> Option<(Step, &str)> {
    let (name, rest) = text.split_at(text.find(|c| !is_name(c)).unwrap_or(text.len()));
    (!matches!(name, "" | "*")).then(|| (Step::Key(name.to_owned()), rest))
}

/// Reads what stands behind `["`: the name, and what follows the `"]`.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut key = String::new();
    let mut rest = text.chars();
    loop {
        match rest.next()? {
            '"' => return Some((key, rest.as_str().strip_prefix(']')?)),
            '\\' if matches!(rest.as_str().chars().next(), Some('"' | '\\')) => key.extend(rest.next()),
            plain => key.push(plain),
        }
    }
}

fn number(text: &str) -> Option<(Step, &str)> {
    let (digits, rest) = text.split_once(']')?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    Some((Step::Index(digits.parse().ok().filter(|_| is_number)?), rest))
}

/// What filters take as a name too.
fn is_name(c: char) -> bool {
    !c.is_whitespace() && !".[]():=!~^<>|\"".contains(c)
}

/// Reads a JSON Pointer.
///
/// Source: RFC 6901, sections 3 and 4.
pub(super) fn parse_pointer(text: &str) -> Result<Vec<Step>, EditError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let Some(tokens) = text.strip_prefix('/') else {
        return Err(EditError::Patch(
            "a path of a JSON Patch is a pointer such as /params/arguments/x",
        ));
    };
    if tokens.bytes().filter(|byte| *byte == b'/').count() >= MAX_NESTING {
        return Err(EditError::TooDeep);
    }
    let unescaped = |token: &str| Step::Token(token.replace("~1", "/").replace("~0", "~"));
    Ok(tokens.split('/').map(unescaped).collect())
}

/// Adds `.name` or `["any name"]` to a path.
pub(super) fn push_key(path: &mut String, key: &str) {
    if !key.is_empty() && key != "*" && key.chars().all(is_name) {
        path.push('.');
        path.push_str(key);
        return;
    }
    let escaped = key.replace('\\', "\\\\").replace('"', "\\\"");
    path.push_str("[\"");
    path.push_str(&escaped);
    path.push_str("\"]");
}

/// Adds `[0]` to a path.
pub(super) fn push_index(path: &mut String, index: usize) {
    // Writing to a string does not fail.
    let _ = write!(path, "[{index}]");
}

/// Writes steps as a path. A step of a pointer is written as a name unless it is a number.
pub(super) fn written(steps: &[Step]) -> String {
    let mut path = "$".to_owned();
    for step in steps {
        match (step, step.index(usize::MAX)) {
            (Step::Token(_), Some(index)) if index != usize::MAX => push_index(&mut path, index),
            (Step::Key(key) | Step::Token(key), _) => push_key(&mut path, key),
            (Step::Index(index), _) => push_index(&mut path, *index),
        }
    }
    path
}

/// Whether the raw name of a member says `key`.
pub(super) fn is_key(raw: &[u8], key: &str) -> bool {
    match string_value(raw) {
        Cow::Borrowed(name) => name == key,
        Cow::Owned(name) => name == key,
    }
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Located {
    /// This value.
    Value(Range<usize>),
    /// Nothing; so many steps lead to this value, which could have the next one but has not.
    Missing { container: Range<usize>, steps: usize },
}

/// Follows a path from the value at `root`; of members with the same name the last counts.
pub(super) fn locate(bytes: &[u8], root: &Range<usize>, steps: &[Step]) -> Result<Located, EditError> {
    let mut value = root.clone();
    for (taken, step) in steps.iter().enumerate() {
        let not_there = || not_there(bytes, &value, steps, taken);
        let child = match bytes[value.start] {
            b'{' => member(bytes, &value, step.key().ok_or_else(not_there)?),
            b'[' => children(bytes, &value).nth(step.index(usize::MAX).ok_or_else(not_there)?),
            _ => return Err(not_there()),
        };
        match child {
            Some(child) => value = child.value,
            None => {
                return Ok(Located::Missing {
                    container: value,
                    steps: taken,
                });
            }
        }
    }
    Ok(Located::Value(value))
}

/// Follows a path that has to lead to a value.
pub(super) fn existing(bytes: &[u8], root: &Range<usize>, steps: &[Step]) -> Result<Range<usize>, EditError> {
    match locate(bytes, root, steps)? {
        Located::Value(place) => Ok(place),
        Located::Missing {
            container,
            steps: taken,
        } => Err(not_there(bytes, &container, steps, taken)),
    }
}

fn member(bytes: &[u8], object: &Range<usize>, key: &str) -> Option<Child> {
    let is_wanted = |child: &Child| child.key.clone().is_some_and(|name| is_key(&bytes[name], key));
    children(bytes, object).filter(is_wanted).last()
}

/// The error for a path of which only so many steps lead somewhere.
pub(super) fn not_there(bytes: &[u8], value: &Range<usize>, steps: &[Step], taken: usize) -> EditError {
    let mut found = described(bytes, value);
    if bytes[value.start] == b'{'
        && let Some(key) = steps.get(taken).and_then(Step::key)
    {
        found = format!("an object without `{key}`");
    }
    EditError::NotThere {
        path: written(steps),
        place: written(&steps[..taken]),
        found,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_numbers_and_any_text_are_steps() {
        let steps = parse(r#" $.params["a b \"c\" \d"][3].x-y_z/é "#).unwrap();
        let expected = [
            Step::Key("params".to_owned()),
            Step::Key(r#"a b "c" \d"#.to_owned()),
            Step::Index(3),
            Step::Key("x-y_z/é".to_owned()),
        ];
        assert_eq!(steps, expected);
        assert_eq!(parse("$").unwrap(), []);
    }

    #[test]
    fn a_wrong_path_says_where() {
        for (text, column) in [
            ("a.b", 1),
            ("$.é..b", 5),
            ("$.*", 3),
            ("$[x]", 3),
            ("$[1", 3),
            ("$[\"a]", 4),
            ("$.a b", 4),
            ("$[+1]", 3),
        ] {
            let Err(EditError::Path { column: found, .. }) = parse(text) else {
                panic!("{text}")
            };
            assert_eq!(found, column, "{text}");
        }
        assert!(parse(&("$".to_owned() + &"[0]".repeat(MAX_NESTING + 1))).is_err());
    }

    #[test]
    fn a_pointer_names_members_and_places() {
        let steps = parse_pointer("/a~1b/~01/0/-/").unwrap();
        let tokens: Vec<&str> = steps.iter().filter_map(Step::key).collect();
        assert_eq!(tokens, ["a/b", "~1", "0", "-", ""]);
        assert_eq!(steps[2].index(5), Some(0));
        assert_eq!(steps[3].index(5), Some(5));
        for token in ["", "01", "+1", "1.0", "-1"] {
            assert_eq!(Step::Token(token.to_owned()).index(5), None, "{token}");
        }
        assert!(parse_pointer("a").is_err());
    }

    proptest! {
        #[test]
        fn a_written_path_is_read_back(keys in prop::collection::vec(".{0,6}", 0..5), index: usize) {
            let mut steps: Vec<Step> = keys.into_iter().map(Step::Key).collect();
            steps.push(Step::Index(index));
            prop_assert_eq!(parse(&written(&steps)).unwrap(), steps);
        }
    }
}
