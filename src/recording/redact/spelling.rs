//! How a text is spelled: as it is, or with the escapes of a JSON string.

use memchr::{memchr, memmem};

use crate::codec::text::{Unescape, short_escape};

/// What stands for an escape that has no end: no letter, and no end of a value.
const BROKEN: u8 = 0x80;

/// Digits of such a number.
const DIGITS: usize = 4;

/// Takes a text apart into its bytes, each with the bytes that spell it.
///
/// The spellings of all bytes, one after the other, are the text as it came. A byte of a character that has several has
/// an empty spelling, except for the first.
#[derive(Debug, Default)]
pub(super) struct Spelling {
    escapes: Option<Escapes>,
}

#[derive(Debug, Default)]
struct Escapes {
    unescape: Unescape,
    /// The start of an escape.
    raw: Vec<u8>,
}

impl Spelling {
    /// For what stands between the quotes of a JSON string.
    pub(super) fn json() -> Self {
        Self {
            escapes: Some(Escapes::default()),
        }
    }

    pub(super) const fn is_json(&self) -> bool {
        self.escapes.is_some()
    }

    /// No escape is under way, so that the next byte stands for itself unless it is a backslash.
    pub(super) fn is_at_rest(&self) -> bool {
        self.escapes
            .as_ref()
            .is_none_or(|escapes| escapes.raw.is_empty() && escapes.unescape.is_at_rest())
    }

    /// Takes the next byte of the spelling; `take` gets the bytes of the text that are known now.
    pub(super) fn byte(&mut self, byte: u8, take: &mut impl FnMut(&[u8], u8)) {
        let Some(escapes) = &mut self.escapes else {
            return take(&[byte], byte);
        };
        let Escapes { unescape, raw } = escapes;
        match (unescape.is_at_rest(), &raw[..]) {
            (true, []) if byte == b'\\' => raw.push(byte),
            (true, []) => take(&[byte], byte),
            (true, [b'\\']) => {
                let escape = [b'\\', byte];
                if let Some(text) = short_escape(byte) {
                    raw.clear();
                    take(&escape, text);
                } else {
                    raw.push(byte);
                    unescape.push(&escape, &mut |text| spelled(raw, text, take));
                }
            }
            _ => {
                raw.push(byte);
                unescape.push(&[byte], &mut |text| spelled(raw, text, take));
            }
        }
    }

    /// The text is over.
    pub(super) fn finish(&mut self, take: &mut impl FnMut(&[u8], u8)) {
        let Some(Escapes { unescape, raw }) = &mut self.escapes else {
            return;
        };
        unescape.finish(&mut |text| spelled(raw, text, take));
        if !raw.is_empty() {
            take(raw, BROKEN);
            raw.clear();
        }
    }
}

fn spelled(raw: &mut Vec<u8>, text: &[u8], take: &mut impl FnMut(&[u8], u8)) {
    for byte in text {
        take(raw, *byte);
        raw.clear();
    }
}

/// Where the next ASCII character that is written with its number begins in a JSON string, the next escape whose number is
/// one of `others`, or one that is cut.
pub(super) fn next_escape(string: &[u8], others: &[&[u8]]) -> Option<usize> {
    memchr(b'\\', string)?;
    let is_meant = |at: &usize| {
        let number = &string[at + 2..string.len().min(at + 2 + DIGITS)];
        let is_one = number.len() < DIGITS || number.starts_with(b"00") || others.contains(&number);
        is_one && !is_escaped(string, *at)
    };
    let mut escapes = memmem::find_iter(string, b"\\u").filter(is_meant);
    let cut = || string.ends_with(b"\\") && !is_escaped(string, string.len() - 1);
    escapes.next().or_else(|| cut().then(|| string.len() - 1))
}

/// Whether an odd number of backslashes stands before the byte at `at`.
pub(super) fn is_escaped(string: &[u8], at: usize) -> bool {
    let before = string[..at].iter().rev();
    before.take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// Text that is held back, as it is and as it is spelled.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) raw: Vec<u8>,
    pub(super) text: Vec<u8>,
}

impl Held {
    pub(super) fn of(raw: &[u8], byte: u8) -> Self {
        Self {
            raw: raw.to_vec(),
            text: vec![byte],
        }
    }

    pub(super) fn push(&mut self, raw: &[u8], byte: u8) {
        self.raw.extend_from_slice(raw);
        self.text.push(byte);
    }
}

/// Where something is found next, looked for once.
#[derive(Debug, Default)]
pub(super) struct Next(Option<usize>);

impl Next {
    /// The first place from `at` on; the end of `bytes` if there is none. `at` never falls.
    pub(super) fn from(&mut self, at: usize, bytes: &[u8], find: impl Fn(&[u8]) -> Option<usize>) -> usize {
        match self.0 {
            Some(next) if next >= at => next,
            _ => {
                let next = find(&bytes[at..]).map_or(bytes.len(), |found| at + found);
                *self.0.insert(next)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::text::decode;

    fn taken(spelled: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut spelling = Spelling::json();
        let (mut raw, mut text) = (Vec::new(), Vec::new());
        let mut take = |spelled: &[u8], byte: u8| {
            raw.extend_from_slice(spelled);
            text.push(byte);
        };
        for byte in spelled {
            spelling.byte(*byte, &mut take);
        }
        spelling.finish(&mut take);
        (raw, text)
    }

    #[test]
    fn a_backslash_that_is_escaped_begins_nothing() {
        for (string, next) in [
            (r"a\nb\\u0026", None),
            (r"a\u0026", Some(1)),
            (r"\\\u0026", Some(2)),
            (r"a\", Some(1)),
            (r"a\\", None),
            (r"\u4e2d\u203a", Some(6)),
            (r"\u4e2d\u20", Some(6)),
        ] {
            assert_eq!(next_escape(string.as_bytes(), &[b"203a"]), next, "{string}");
        }
    }

    #[test]
    fn escapes_are_one_byte_with_a_longer_spelling() {
        let text = br#"a\n\"\/\u003d"#;
        assert_eq!(taken(text), (text.to_vec(), b"a\n\"/=".to_vec()));
    }

    proptest! {
        #[test]
        fn no_byte_of_the_spelling_is_lost(parts in prop::collection::vec(prop_oneof![
            Just("\\"), Just("u"), Just("\\u00"), Just("e4"), Just("\\ud83d"), Just("\\ude00"), Just("n"), Just("="), Just("\u{e4}"), Just("\""),
        ], 0..12)) {
            let text = parts.concat();
            let (raw, decoded) = taken(text.as_bytes());
            prop_assert_eq!(raw, text.as_bytes());
            prop_assert!(decoded.starts_with(&decode(text.as_bytes())));
        }
    }
}
