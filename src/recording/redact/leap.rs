//! Which words of a text need no look: those behind which no sign stands, or whose name is nobody's secret.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::{memchr2, memmem};
use regex::bytes::Regex;

use super::glance::Glance;
use super::names::{MAX_NAME_BYTES, ends_like_ours, is_secret_in_prose};
use super::prose::SCHEME_BYTES;
use super::spelling::{Next, is_escaped, next_escape};

/// What stands before a credential instead of a name, for a search in long texts.
static SCHEME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("(?i-u)bearer|basic|dpop|digest").ok());

/// Below, a look at each byte costs less than that search.
const SHORT_BYTES: usize = 256;

/// A word of so many bytes is no name, with whatever escape before it.
const LONG_BYTES: usize = 2 * MAX_NAME_BYTES;

/// Bytes of a tag before its first letter.
pub(super) const TAG_OPEN: usize = 3;

/// That character, as an escape.
const TAG_ESCAPE: &[u8] = b"2039";

/// Bytes of an escape behind its backslash that look like letters of the word behind it.
const ESCAPE_BYTES: usize = 5;

/// Whether a whole JSON string, as it is spelled, may have a secret in it. Cheap for those that have none.
pub(super) fn may_have_secret(string: &[u8]) -> bool {
    // Without any of these there is neither a name nor a URL. Most short strings are of that kind.
    let is_plain = memchr2(b':', b'=', string).is_none() && memmem::find(string, b"\\u00").is_none();
    let is_named = || {
        let mut leap = Leap::new(string, true);
        leap.next_name(0) < string.len() || Glance::of_whole_string(string).from(0) < string.len()
    };
    string.len() > SCHEME_BYTES && scheme(string).is_some() || !is_plain && is_named()
}

/// Where a scheme may stand that has something behind it.
fn scheme(text: &[u8]) -> Option<usize> {
    if text.len() < SHORT_BYTES && !text.iter().any(|byte| is_behind_word(*byte)) {
        return None;
    }
    // Without the search nothing is passed over.
    let Some(scheme) = SCHEME.as_ref() else {
        return Some(0);
    };
    let mut found = scheme.find_iter(text).map(|found| found.range());
    found.find(|found| is_word(text, found)).map(|found| found.start)
}

/// Whether the bytes may be a word of their own, and not a part of one.
fn is_word(text: &[u8], place: &Range<usize>) -> bool {
    let (before, behind) = (&text[..place.start], text.get(place.end));
    // What looks like a letter may belong to an escape.
    let near = &before[before.len().saturating_sub(ESCAPE_BYTES + 1)..];
    let is_begun = before.last().is_none_or(|last| !is_in_word(*last)) || near.contains(&b'\\');
    is_begun && behind.is_none_or(|next| !is_in_word(*next))
}

/// What is passed over up to a place.
pub(super) enum Landing {
    /// Nothing of it matters for what follows.
    Word(usize),
    /// It ends with a word that is too long for a name, and may go on.
    InLongWord(usize),
}

/// Finds the words that are worth a look.
pub(super) struct Leap<'a> {
    bytes: &'a [u8],
    is_json: bool,
    sign: Next,
    escape: Next,
    scheme: Next,
    end: usize,
}

impl<'a> Leap<'a> {
    pub(super) fn new(bytes: &'a [u8], is_json: bool) -> Self {
        Self {
            bytes,
            is_json,
            sign: Next::default(),
            escape: Next::default(),
            scheme: Next::default(),
            end: 0,
        }
    }

    /// Up to here all bytes are to be looked at.
    pub(super) const fn end(&self) -> usize {
        self.end
    }

    /// Where to go on: where the last word before the next sign or scheme begins, or where a long one ends; `at` itself if
    /// there is nothing to pass over. A word may begin at `at`, and none is under way.
    pub(super) fn from(&mut self, at: usize) -> Landing {
        self.end = self.next_name(at).min(self.scheme.from(at, self.bytes, scheme));
        let text = &self.bytes[at..self.end];
        let near = text.len().saturating_sub(LONG_BYTES);
        if near > 0 && rest_of_word(&text[near..]) == LONG_BYTES {
            return Landing::InLongWord(self.end);
        }
        // In what is before, a tag may have begun.
        let start = (TAG_OPEN..text.len()).rev().find(|start| is_start(text, *start));
        Landing::Word(start.map_or(at, |start| at + start))
    }

    /// The next sign from `at` on that may have the name of a secret before it, or the next escape that may be part of one.
    fn next_name(&mut self, at: usize) -> usize {
        let mut end = self.bytes.len();
        if self.is_json {
            end = self
                .escape
                .from(at, self.bytes, |string| next_escape(string, &[TAG_ESCAPE]));
        }
        let mut sign = self.sign(at);
        while sign < end && is_no_name(&self.bytes[at..sign]) {
            sign = self.sign(sign + 1);
        }
        end.min(sign)
    }

    fn sign(&mut self, at: usize) -> usize {
        self.sign.from(at, self.bytes, |bytes| memchr2(b':', b'=', bytes))
    }
}

/// Whether nothing before `start` matters for what follows.
fn is_start(text: &[u8], start: usize) -> bool {
    let (before, next) = (text[start - 1], text[start]);
    let is_behind = before != b'\\' && !is_in_word(before);
    let is_over = !is_behind_word(before) && !matches!(next, 0x80..=0xbf);
    is_behind && (is_in_word(next) || is_over) || is_behind_number(&text[..start])
}

/// Whether the text ends with an escape such as `\u4e2d`.
fn is_behind_number(text: &[u8]) -> bool {
    let Some((rest, [b'\\', b'u', number @ ..])) = text.split_last_chunk::<6>() else {
        return false;
    };
    number.iter().all(u8::is_ascii_hexdigit) && !is_escaped(text, rest.len())
}

/// How many bytes at the start of `text` belong to a word that begins before it.
pub(super) fn rest_of_word(text: &[u8]) -> usize {
    let is_word = |chunk: &&[u8; 32]| chunk.iter().fold(true, |all, byte| all & is_in_word(*byte));
    let (chunks, _) = text.as_chunks::<32>();
    let whole = 32 * chunks.iter().take_while(is_word).count();
    let rest = text[whole..].iter().take_while(|byte| is_in_word(**byte));
    whole + rest.count()
}

/// Whether the word at the end of `text` is there as a whole and cannot name a secret.
fn is_no_name(text: &[u8]) -> bool {
    let end = text.iter().rposition(|byte| !is_behind_word(*byte));
    let Some(word) = end.map(|end| &text[..=end]) else {
        return false;
    };
    // A letter behind a backslash is none of the word.
    match word {
        [.., b'\\', _] | [_] => false,
        [.., b'\\', _, last] | [_, last] => !is_in_word(*last) && last.is_ascii(),
        [.., last] if !is_in_word(*last) => true,
        _ => !ends_like_ours(&word[word.len().saturating_sub(MAX_NAME_BYTES)..]) || !names_secret(word),
    }
}

/// Whether the letters at the end name a secret, with or without those that may belong to an escape.
fn names_secret(word: &[u8]) -> bool {
    let before = word.iter().rposition(|byte| !is_in_word(*byte));
    let name = &word[before.map_or(0, |before| before + 1)..];
    let is_behind_escape = before.is_some_and(|before| word[before] == b'\\');
    let unsure = if is_behind_escape { ESCAPE_BYTES } else { 0 };
    (0..=unsure.min(name.len())).any(|skipped| is_secret_in_prose(&name[skipped..]))
}

pub(super) fn is_in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// What may stand between a word and its sign.
pub(super) fn is_behind_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b'\\')
}
