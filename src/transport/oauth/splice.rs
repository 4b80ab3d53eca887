//! Small changes of a JSON object in its own text: all else keeps its spelling, order and blanks.

use std::ops::Range;

use crate::codec::json::members;

/// One member of the outermost object.
#[derive(Debug)]
pub(super) struct Member<'a> {
    pub(super) name: String,
    /// The value as spelled.
    pub(super) value: &'a [u8],
    start: usize,
    end: usize,
}

/// An object that is being changed.
#[derive(Debug)]
pub(super) struct Splice<'a> {
    text: &'a [u8],
    edits: Vec<(Range<usize>, Vec<u8>)>,
}

impl<'a> Splice<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            edits: Vec::new(),
        }
    }

    /// The members in order, repeats too; none if the text is no JSON object.
    pub(super) fn members(&self) -> Vec<Member<'a>> {
        let Ok(text) = std::str::from_utf8(self.text) else {
            return Vec::new();
        };
        if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
            return Vec::new();
        }
        members(self.text.trim_ascii_start())
            .map(|(name, value)| Member {
                name: crate::codec::json::string_value(name).into_owned(),
                value,
                start: self.offset(name),
                end: self.offset(value) + value.len(),
            })
            .collect()
    }

    fn offset(&self, part: &[u8]) -> usize {
        part.as_ptr().addr() - self.text.as_ptr().addr()
    }

    /// Puts a string in place of `value`, a part of the text.
    pub(super) fn replace(&mut self, value: &[u8], with: &str) {
        let text = serde_json::Value::from(with).to_string();
        self.replace_raw(value, text.into_bytes());
    }

    /// Puts a text that is JSON already in place of `value`.
    pub(super) fn replace_raw(&mut self, value: &[u8], with: Vec<u8>) {
        let start = self.offset(value);
        self.edits.push((start..start + value.len(), with));
    }

    /// Takes a member out, with the comma that it no longer needs.
    pub(super) fn remove(&mut self, all: &[Member<'a>], at: usize) {
        let Some(member) = all.get(at) else { return };
        let before = at.checked_sub(1).and_then(|before| all.get(before));
        let range = match (before, all.get(at + 1)) {
            (Some(before), _) => before.end..member.end,
            (None, Some(next)) => member.start..next.start,
            (None, None) => member.start..member.end,
        };
        self.edits.push((range, Vec::new()));
    }

    /// The text with all changes; `None` if there are none.
    pub(super) fn finish(mut self) -> Option<Vec<u8>> {
        if self.edits.is_empty() {
            return None;
        }
        self.edits.sort_by_key(|(range, _)| range.start);
        let mut changed = Vec::with_capacity(self.text.len());
        let mut copied = 0;
        for (range, with) in self.edits {
            changed.extend_from_slice(self.text.get(copied..range.start).unwrap_or_default());
            changed.extend_from_slice(&with);
            copied = range.end.max(copied);
        }
        changed.extend_from_slice(self.text.get(copied..).unwrap_or_default());
        Some(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_go_and_strings_change_and_nothing_else_does() {
        for (text, expected) in [
            (
                r#" {"a":1, "gone": {"x":[1,2]} ,"b" : "old"}"#,
                r#" {"a":1 ,"b" : "new\"1"}"#,
            ),
            (r#"{"gone":1, "b":"old" }"#, r#"{"b":"new\"1" }"#),
            (r#"{ "gone" : 1 }"#, "{  }"),
            (r#"{"b":"old","gone":0}"#, r#"{"b":"new\"1"}"#),
            (r#"{"b":1.0,"c":1}"#, r#"{"b":"new\"1","c":1}"#),
        ] {
            let mut splice = Splice::new(text.as_bytes());
            let members = splice.members();
            for (at, member) in members.iter().enumerate() {
                match member.name.as_str() {
                    "gone" => splice.remove(&members, at),
                    "b" => splice.replace(member.value, "new\"1"),
                    _ => {}
                }
            }
            assert_eq!(String::from_utf8(splice.finish().unwrap()).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for text in [&b"[1]"[..], b"{\"a\":", b"", b"\xff", b"{} x"] {
            assert!(Splice::new(text).members().is_empty());
        }
    }
}
