//! Changes of the children of an object or array that leave every other byte where it is.

use std::ops::Range;

use super::reader::{Child, children};

/// A stretch of the text that becomes another text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Splice {
    place: Range<usize>,
    text: Vec<u8>,
}

impl Splice {
    pub(super) fn new(place: Range<usize>, text: &[u8]) -> Self {
        Self {
            place,
            text: text.to_vec(),
        }
    }

    fn removal(place: Range<usize>) -> Self {
        Self::new(place, b"")
    }
}

/// The text with the splices made, which do not overlap.
pub(super) fn spliced(bytes: &[u8], mut splices: Vec<Splice>) -> Vec<u8> {
    splices.sort_by_key(|splice| (splice.place.start, splice.place.end));
    let mut changed = Vec::with_capacity(bytes.len());
    let mut at = 0;
    for splice in splices {
        changed.extend_from_slice(&bytes[at..splice.place.start]);
        changed.extend_from_slice(&splice.text);
        at = splice.place.end;
    }
    changed.extend_from_slice(&bytes[at..]);
    changed
}

/// How an object or array spells what is between its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Style {
    /// Between two children: a comma with white space.
    pub(super) separator: Vec<u8>,
    /// Between a name and its value: a colon with white space.
    pub(super) colon: Vec<u8>,
}

impl Style {
    /// Without white space.
    pub(super) fn tight() -> Self {
        Self {
            separator: b",".to_vec(),
            colon: b":".to_vec(),
        }
    }

    /// That of the last children of a value; what they do not tell is as `outer` has it, on one line.
    pub(super) fn of(bytes: &[u8], container: &Range<usize>, outer: &Self) -> Self {
        let mut first_gap = None;
        let mut separator = None;
        let mut colon = None;
        let mut last_end = None;
        for child in children(bytes, container) {
            let start = child.start();
            match last_end {
                None => first_gap = Some(&bytes[container.start + 1..start]),
                Some(end) => separator = Some(&bytes[end..start]),
            }
            colon = child.key.map(|key| &bytes[key.end..child.value.start]);
            last_end = Some(child.value.end);
        }
        let colon = colon.map_or_else(|| outer.colon.clone(), <[u8]>::to_vec);
        let separator = match (separator, first_gap) {
            (Some(separator), _) => separator.to_vec(),
            (None, Some(gap)) if !gap.is_empty() => [b",", gap].concat(),
            _ if colon.ends_with(b" ") => b", ".to_vec(),
            _ => b",".to_vec(),
        };
        Self { separator, colon }
    }

    /// The text of a member.
    pub(super) fn member(&self, key: &[u8], value: &[u8]) -> Vec<u8> {
        [key, &self.colon, value].concat()
    }
}

/// What becomes of a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    /// It stays.
    Keep,
    /// It goes, with its comma.
    Remove,
    /// Its value becomes this.
    Replace(Vec<u8>),
    /// It stays, behind this new child.
    Behind(Vec<u8>),
}

/// Changes the children of a value: asks what becomes of each, and puts `added` behind the last.
///
/// The splices are added to `splices`; those of other values, also of children that are kept, do not overlap them.
pub(super) fn edit_children(
    bytes: &[u8],
    container: &Range<usize>,
    style: &Style,
    act: &mut dyn FnMut(&Child) -> Act,
    added: &[Vec<u8>],
    splices: &mut Vec<Splice>,
) {
    let mut edit = Edit {
        kept_end: None,
        removed: None,
        splices,
    };
    for child in children(bytes, container) {
        match act(&child) {
            Act::Remove => edit.remove(&child),
            Act::Keep => edit.keep(&child),
            Act::Replace(text) => {
                edit.keep(&child);
                edit.splices.push(Splice::new(child.value, &text));
            }
            Act::Behind(text) => {
                edit.keep(&child);
                let start = child.start();
                let text = [text, style.separator.clone()].concat();
                edit.splices.push(Splice::new(start..start, &text));
            }
        }
    }
    edit.finish(container, style, added);
}

/// The state of [`edit_children`]: where the last child that stays ends, and which ones behind it go.
struct Edit<'a> {
    kept_end: Option<usize>,
    removed: Option<Range<usize>>,
    splices: &'a mut Vec<Splice>,
}

impl Edit<'_> {
    fn remove(&mut self, child: &Child) {
        let start = self
            .removed
            .as_ref()
            .map_or(child.start(), |removed| removed.start);
        self.removed = Some(start..child.value.end);
    }

    fn keep(&mut self, child: &Child) {
        if let Some(removed) = self.removed.take() {
            self.splices.push(Splice::removal(match self.kept_end {
                None => removed.start..child.start(),
                Some(kept_end) => kept_end..removed.end,
            }));
        }
        self.kept_end = Some(child.value.end);
    }

    fn finish(self, container: &Range<usize>, style: &Style, added: &[Vec<u8>]) {
        let inside = container.start + 1..container.end - 1;
        let text = added.join(&style.separator[..]);
        let behind = [&style.separator[..], &text].concat();
        let splice = match (self.kept_end, self.removed, added.is_empty()) {
            (_, None, true) => return,
            (Some(kept_end), Some(removed), true) => Splice::removal(kept_end..removed.end),
            (None, Some(_), true) => Splice::removal(inside),
            (Some(kept_end), None, false) => Splice::new(kept_end..kept_end, &behind),
            (Some(kept_end), Some(removed), false) => Splice::new(kept_end..removed.end, &behind),
            (None, Some(removed), false) => Splice::new(removed, &text),
            (None, None, false) => Splice::new(inside.start..inside.start, &text),
        };
        self.splices.push(splice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Removes what is in `gone`, adds `added`, and gives the text.
    fn edited(text: &str, gone: &[&str], added: &[&str]) -> String {
        let bytes = text.as_bytes();
        let whole = 0..bytes.len();
        let style = Style::of(bytes, &whole, &Style::tight());
        let added: Vec<Vec<u8>> = added.iter().map(|text| text.as_bytes().to_vec()).collect();
        let mut splices = Vec::new();
        let mut act = |child: &Child| {
            if gone
                .iter()
                .any(|gone| gone.as_bytes() == &bytes[child.value.clone()])
            {
                Act::Remove
            } else {
                Act::Keep
            }
        };
        edit_children(bytes, &whole, &style, &mut act, &added, &mut splices);
        String::from_utf8(spliced(bytes, splices)).unwrap()
    }

    #[test]
    fn what_goes_takes_one_comma_with_it() {
        for (gone, left) in [
            (&["1"][..], "[ 2 ,3,  4 ]"),
            (&["2"], "[ 1 ,3,  4 ]"),
            (&["4"], "[ 1, 2 ,3 ]"),
            (&["1", "2"], "[ 3,  4 ]"),
            (&["3", "4"], "[ 1, 2 ]"),
            (&["1", "3"], "[ 2,  4 ]"),
            (&["1", "4"], "[ 2 ,3 ]"),
            (&["1", "2", "3", "4"], "[]"),
            (&[], "[ 1, 2 ,3,  4 ]"),
        ] {
            assert_eq!(edited("[ 1, 2 ,3,  4 ]", gone, &[]), left, "{gone:?}");
        }
    }

    #[test]
    fn what_comes_is_set_apart_as_its_neighbours_are() {
        for (text, changed) in [
            ("[]", "[9,8]"),
            ("[ ]", "[9,8 ]"),
            ("[1]", "[1,9,8]"),
            ("[ 1 ]", "[ 1, 9, 8 ]"),
            ("[1, 2]", "[1, 2, 9, 8]"),
            ("[\n  1,\n  2\n]", "[\n  1,\n  2,\n  9,\n  8\n]"),
            ("[\n  1\n]", "[\n  1,\n  9,\n  8\n]"),
        ] {
            assert_eq!(edited(text, &[], &["9", "8"]), changed, "{text}");
        }
        assert_eq!(edited("{\"a\": 1}", &[], &["\"b\": 2"]), "{\"a\": 1, \"b\": 2}");
    }

    #[test]
    fn what_comes_takes_the_place_of_what_goes() {
        assert_eq!(edited("[ 1, 2 ]", &["1", "2"], &["9"]), "[ 9 ]");
        assert_eq!(edited("[ 1, 2 ]", &["2"], &["9"]), "[ 1, 9 ]");
        assert_eq!(edited("[ 1, 2 ]", &["1"], &["9"]), "[ 2, 9 ]");
    }
}
