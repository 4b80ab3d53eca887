//! Which URLs of a text need no look, since they have neither a user nor a parameter that is a secret.

use memchr::{memchr_iter, memchr3};

use super::names::{MAX_NAME_BYTES, is_secret_parameter};
use super::spelling::{Next, next_escape};
use super::text::{MAX_AUTHORITY_BYTES, is_authority_end, is_in_name, percent_decoded};

/// Finds the places where a URL may have a secret.
pub(super) struct Glance<'a> {
    bytes: &'a [u8],
    is_json: bool,
    /// Nothing follows these bytes.
    is_whole: bool,
    parameter: Next,
    authority: Next,
    escape: Next,
}

impl<'a> Glance<'a> {
    pub(super) fn new(bytes: &'a [u8], is_json: bool) -> Self {
        Self {
            bytes,
            is_json,
            is_whole: false,
            parameter: Next::default(),
            authority: Next::default(),
            escape: Next::default(),
        }
    }

    /// For all that stands between the quotes of a JSON string.
    pub(super) fn of_whole_string(bytes: &'a [u8]) -> Self {
        Self {
            is_whole: true,
            ..Self::new(bytes, true)
        }
    }

    /// The first place from `at` on that needs a look; the end of the bytes if there is none. `at` is in no URL.
    pub(super) fn from(&mut self, mut at: usize) -> usize {
        let whole = self.bytes.len();
        loop {
            let is_json = self.is_json;
            let parameter = self
                .parameter
                .from(at, self.bytes, |bytes| memchr3(b'?', b'&', b'#', bytes));
            let authority = self
                .authority
                .from(at, self.bytes, |bytes| scheme_end(bytes, is_json));
            let escape = if is_json {
                self.escape
                    .from(at, self.bytes, |string| next_escape(string, &[]))
            } else {
                whole
            };
            let next = parameter.min(authority);
            if escape <= next {
                return escape;
            }
            let passed = if parameter < authority {
                self.parameter_end(parameter)
            } else {
                self.authority_end(authority)
            };
            match passed {
                Some(behind) if behind < escape || escape == whole => at = behind,
                _ => return next,
            }
        }
    }

    /// What follows the name of a parameter, or the sign behind it, if its value is no secret.
    fn parameter_end(&self, at: usize) -> Option<usize> {
        let mut start = at + 1;
        loop {
            let name = &self.bytes[start..];
            let Some(length) = name.iter().position(|byte| !is_in_name(*byte)) else {
                return self.is_whole.then_some(self.bytes.len());
            };
            let (name, end) = (&name[..length], start + length);
            match self.bytes[end] {
                b';' if name == b"amp" => start = end + 1,
                b'=' => return is_harmless(name).then_some(end + 1),
                _ => return Some(end),
            }
        }
    }

    /// Where an authority ends that has no user.
    fn authority_end(&self, at: usize) -> Option<usize> {
        let (_, rest) = self.bytes.split_at(at + 1);
        let Slash::Behind(rest) = slash(rest, self.is_json) else {
            return None;
        };
        let Slash::Behind(rest) = slash(rest, self.is_json) else {
            return None;
        };
        let start = self.bytes.len() - rest.len();
        let is_end = |byte: &u8| is_authority_end(*byte) || *byte == b'@' || self.is_json && *byte == b'\\';
        let Some(length) = rest.iter().position(is_end) else {
            return (self.is_whole && rest.len() <= MAX_AUTHORITY_BYTES).then_some(self.bytes.len());
        };
        let is_over = match &rest[length..] {
            [b'@', ..] => false,
            // Two backslashes are one, which ends nothing.
            [b'\\', escaped, ..] if self.is_json => b"\"/bfnrt".contains(escaped),
            [b'\\'] if self.is_json => false,
            _ => true,
        };
        (is_over && length <= MAX_AUTHORITY_BYTES).then_some(start + length)
    }
}

fn is_harmless(name: &[u8]) -> bool {
    if name.contains(&b'%') {
        return name.len() <= MAX_NAME_BYTES * 3 && !is_secret_parameter(&percent_decoded(name));
    }
    !is_secret_parameter(name)
}

/// Where `://` may begin.
fn scheme_end(text: &[u8], is_json: bool) -> Option<usize> {
    memchr_iter(b':', text).find(|at| match slash(&text[at + 1..], is_json) {
        Slash::Behind(rest) => !matches!(slash(rest, is_json), Slash::None),
        Slash::None => false,
        Slash::Cut => true,
    })
}

/// What a text begins with.
enum Slash<'a> {
    /// A slash, and this behind it.
    Behind(&'a [u8]),
    /// What may turn out to be one.
    Cut,
    None,
}

fn slash(text: &[u8], is_json: bool) -> Slash<'_> {
    match text {
        [b'/', rest @ ..] => Slash::Behind(rest),
        [b'\\', b'/', rest @ ..] if is_json => Slash::Behind(rest),
        [b'\\'] | [b'\\', b'u', ..] if is_json => Slash::Cut,
        [] => Slash::Cut,
        _ => Slash::None,
    }
}
