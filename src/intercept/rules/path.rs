//! Paths to one value of a message, as rules write them: `$.params.arguments.x`, `$.list[0]`, `$["any name"]`.

use crate::codec::json::{self, PathStep};

/// Most steps of a path, as for changes.
const MAX_STEPS: usize = 128;

/// A path that names one value at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    /// Reads a path. Says what to write instead if it is none.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let mut rest = text
            .strip_prefix('$')
            .ok_or("a path starts with $, such as $.params.arguments.x")?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if steps.len() == MAX_STEPS {
                return Err("it has more than 128 steps");
            }
            let (step, after) = read_step(rest)?;
            steps.push(step);
            rest = after;
        }
        Ok(Self(steps))
    }

    /// The value in a document, as spelled.
    pub(super) fn find<'d>(&self, document: &'d [u8]) -> Option<&'d [u8]> {
        let steps: Vec<_> = self.0.iter().map(Step::borrow).collect();
        json::find_path(document, &steps)
    }
}

impl Step {
    fn borrow(&self) -> PathStep<'_> {
        match self {
            Self::Key(key) => PathStep::Key(key),
            Self::Index(index) => PathStep::Index(*index),
        }
    }
}

fn read_step(text: &str) -> Result<(Step, &str), &'static str> {
    if let Some(rest) = text.strip_prefix('.') {
        let end = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        return match name {
            "" | "*" => Err("write a name after the dot, such as $.params.name; [\"…\"] takes any name"),
            name => Ok((Step::Key(name.to_owned()), after)),
        };
    }
    let rest = text
        .strip_prefix('[')
        .ok_or("go on with .name, [0] or [\"any name\"]")?;
    let (step, rest) = match rest.strip_prefix('"') {
        Some(quoted) => read_quoted(quoted)?,
        None => read_index(rest)?,
    };
    let after = rest.strip_prefix(']').ok_or("close the bracket with ]")?;
    Ok((step, after))
}

fn read_quoted(text: &str) -> Result<(Step, &str), &'static str> {
    let mut key = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, rest.as_str().chars().next()) {
            ('"', _) => return Ok((Step::Key(key), rest.as_str())),
            ('\\', Some(escaped @ ('"' | '\\'))) => {
                key.push(escaped);
                rest.next();
            }
            _ => key.push(c),
        }
    }
    Err("close the name with \"")
}

fn read_index(text: &str) -> Result<(Step, &str), &'static str> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, after) = text.split_at(end);
    let index = digits
        .parse()
        .map_err(|_| "inside [ ] goes a number that counts from 0, or a \"name\"")?;
    Ok((Step::Index(index), after))
}

/// As in the filter language.
fn is_name(c: char) -> bool {
    !c.is_whitespace() && !".[]():=!~^<>|\"".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, document: &str) -> Option<String> {
        let found = Path::read(path).expect(path).find(document.as_bytes())?.to_vec();
        Some(String::from_utf8(found).unwrap())
    }

    #[test]
    fn a_path_finds_its_value_as_spelled() {
        let document = r#"{"a":{"x \"y\"":[1,{"b":1.50}]}}"#;
        assert_eq!(found(r#"$.a["x \"y\""][1].b"#, document).as_deref(), Some("1.50"));
        assert_eq!(found("$", "7").as_deref(), Some("7"));
        assert_eq!(found("$.a.none", document), None);
    }

    #[test]
    fn what_is_no_path_says_what_to_write() {
        for text in [
            "params.x",
            "$.",
            "$.*",
            "$x",
            "$[",
            "$[*]",
            "$[\"a",
            "$[0",
            "$[99999999999999999999999]",
        ] {
            assert!(Path::read(text).is_err(), "{text}");
        }
        assert_eq!(
            Path::read("params"),
            Err("a path starts with $, such as $.params.arguments.x")
        );
    }
}
