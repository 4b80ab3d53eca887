//! Secrets that are kept out of an editor's file and put back behind it.

use std::collections::HashMap;
use std::fmt;

use memchr::memmem;

use crate::recording::redact::{BodyFacts, BodyRedactor, Output, TAG_END, TAG_START, Tagger};
use crate::snapshot::Carrier;

/// The secrets that placeholders stand for. Neither `Debug` nor anything else shows them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Placeholders {
    /// What stands before the number in each placeholder.
    opening: String,
    secrets: Vec<Secret>,
}

/// A secret as it was spelled.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Secret {
    /// A text without its quotes, or a number.
    text: Vec<u8>,
    is_number: bool,
}

impl Placeholders {
    /// How many different secrets there are.
    pub fn len(&self) -> usize {
        self.secrets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    fn placeholder(&self, number: usize) -> String {
        format!("{}{number}{CLOSING}", self.opening)
    }
}

impl fmt::Debug for Placeholders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Placeholders({})", self.secrets.len())
    }
}

const CLOSING: &str = "»";

/// The payload with the secrets in it, which recordings would not keep either, replaced by `"«secret 1»"`,
/// `"«secret 2»"` and so on, and what they stand for. Equal secrets get the same number; every other byte stays.
///
/// What is JSON by its first byte is looked through, also where it is broken; anything else is read as text.
pub fn mask(payload: &[u8]) -> (Vec<u8>, Placeholders) {
    let mut mask = Mask {
        masked: Vec::with_capacity(payload.len()),
        placeholders: Placeholders {
            opening: free_opening(payload),
            secrets: Vec::new(),
        },
        numbers: HashMap::new(),
    };
    let Ok(tagger) = Tagger::random() else {
        // Without a key for the tags nothing can be found, so nothing is shown.
        mask.push_secret(payload, false);
        return (mask.masked, mask.placeholders);
    };
    let facts = BodyFacts {
        is_known: true,
        ..BodyFacts::default()
    };
    let mut redactor = BodyRedactor::new(Carrier::Http, facts, false);
    let mut out = Output::new(&tagger);
    let mut held_start = None;
    // Byte by byte, it is seen which bytes go through and which are swallowed.
    for at in 0..payload.len() {
        redactor.push(&payload[at..=at], &mut out);
        mask.take(payload, at, &mut out, &mut held_start);
    }
    redactor.finish(&mut out);
    mask.take(payload, payload.len(), &mut out, &mut held_start);
    (mask.masked, mask.placeholders)
}

/// Where in `taken` the one secret is that has a tag in `made`, and whether it is a number, to which quotes came.
fn replaced(taken: &[u8], made: &[u8]) -> Option<(usize, usize, bool)> {
    let tag = memmem::find(made, TAG_START.as_bytes())?;
    let (before, rest) = made.split_at(tag);
    let behind = memmem::find(rest, TAG_END.as_bytes()).map(|at| &rest[at + TAG_END.len()..])?;
    if memmem::find(behind, TAG_START.as_bytes()).is_some() {
        return None;
    }
    let place = |before: &[u8], behind: &[u8]| {
        let fits = taken.len() > before.len() + behind.len();
        (fits && taken.starts_with(before) && taken.ends_with(behind))
            .then(|| (before.len(), taken.len() - behind.len()))
    };
    let number = || place(before.strip_suffix(b"\"")?, behind.strip_prefix(b"\"")?);
    let found = place(before, behind).map(|(start, end)| (start, end, false));
    found.or_else(|| number().map(|(start, end)| (start, end, true)))
}

struct Mask {
    masked: Vec<u8>,
    placeholders: Placeholders,
    numbers: HashMap<Secret, usize>,
}

impl Mask {
    /// Takes what the redactor made of the byte at `at`, or of the end.
    fn take(&mut self, payload: &[u8], at: usize, out: &mut Output<'_>, held_start: &mut Option<usize>) {
        let made = std::mem::take(&mut out.bytes);
        if made.is_empty() {
            held_start.get_or_insert(at);
            return;
        }
        let held = held_start.take().unwrap_or(at);
        let taken = &payload[held..payload.len().min(at + 1)];
        if made == taken {
            self.masked.extend_from_slice(taken);
            return;
        }
        // Where more was replaced than can be told apart, the last byte is not part of it.
        let (start, end, is_number) = replaced(taken, &made).unwrap_or((0, at - held, false));
        self.masked.extend_from_slice(&taken[..start]);
        self.push_secret(&taken[start..end], is_number);
        self.masked.extend_from_slice(&taken[end..]);
    }

    fn push_secret(&mut self, text: &[u8], is_number: bool) {
        let secret = Secret {
            text: text.to_vec(),
            is_number,
        };
        let placeholders = &mut self.placeholders;
        let number = *self.numbers.entry(secret.clone()).or_insert_with(|| {
            placeholders.secrets.push(secret);
            placeholders.secrets.len()
        });
        let quote = if is_number { "\"" } else { "" };
        let text = [quote, &placeholders.placeholder(number), quote].concat();
        self.masked.extend_from_slice(text.as_bytes());
    }
}

/// A beginning for placeholders that the payload does not have: with more `'` than any that is there.
fn free_opening(payload: &[u8]) -> String {
    const WORD: &str = "«secret";
    let marks = |at: usize| {
        let behind = &payload[at + WORD.len()..];
        behind.iter().take_while(|byte| **byte == b'\'').count()
    };
    let most = memmem::find_iter(payload, WORD.as_bytes()).map(marks).max();
    WORD.to_owned() + &"'".repeat(most.map_or(0, |most| most + 1)) + " "
}

/// The text with the secrets put back, as they were spelled, wherever their placeholders stand: also moved, repeated,
/// or inside of a longer text. A placeholder with a number that was not given stays.
pub fn unmask(edited: &[u8], placeholders: &Placeholders) -> Vec<u8> {
    let mut unmasked = Vec::with_capacity(edited.len());
    if placeholders.is_empty() {
        return edited.to_vec();
    }
    let mut rest = edited;
    while let Some(at) = memmem::find(rest, placeholders.opening.as_bytes()) {
        let (before, placeholder) = rest.split_at(at);
        let inside = &placeholder[placeholders.opening.len()..];
        let Some((secret, after)) = placeholders.read(inside) else {
            unmasked.extend_from_slice(&rest[..rest.len() - inside.len()]);
            rest = inside;
            continue;
        };
        // A number loses the quotes that its placeholder needed.
        let whole = (before.strip_suffix(b"\""), after.strip_prefix(b"\""));
        let (before, after) = match whole {
            (Some(before), Some(after)) if secret.is_number => (before, after),
            _ => (before, after),
        };
        unmasked.extend_from_slice(before);
        unmasked.extend_from_slice(&secret.text);
        rest = after;
    }
    unmasked.extend_from_slice(rest);
    unmasked
}

impl Placeholders {
    /// Reads `1»`: the secret, and what follows.
    fn read<'a>(&self, text: &'a [u8]) -> Option<(&Secret, &'a [u8])> {
        let end = memmem::find(&text[..text.len().min(24)], CLOSING.as_bytes())?;
        let number: usize = std::str::from_utf8(&text[..end]).ok()?.parse().ok()?;
        let secret = self.secrets.get(number.checked_sub(1)?)?;
        Some((secret, &text[end + CLOSING.len()..]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::intercept::edit::tests::{spelled, value};

    const CALL: &str = r#"{"id":1,"params":{"arguments":{"api_key":"k\"1","password":12345,"user":"me","token":"k\"1"},"requestState":"Zm9v","password":""}}"#;
    const MASKED: &str = r#"{"id":1,"params":{"arguments":{"api_key":"«secret 1»","password":"«secret 2»","user":"me","token":"«secret 1»"},"requestState":"«secret 3»","password":""}}"#;

    fn masked(payload: &str) -> (String, Placeholders) {
        let (masked, placeholders) = mask(payload.as_bytes());
        (String::from_utf8(masked).unwrap(), placeholders)
    }

    fn unmasked(edited: &str, placeholders: &Placeholders) -> String {
        String::from_utf8(unmask(edited.as_bytes(), placeholders)).unwrap()
    }

    #[test]
    fn a_secret_inside_of_a_string_is_masked_and_the_rest_of_the_string_stays() {
        let call = r#"{"text":"see http://host/x and https://u:p@h/?code=c&x=1, Bearer of news, {\"token\":\"t\"}"}"#;
        let (text, placeholders) = masked(call);
        assert_eq!(
            text,
            r#"{"text":"see http://host/x and https://«secret 1»@h/?code=«secret 2»&x=1, Bearer of news, {\"token\":\"«secret 3»\"}"}"#
        );
        assert_eq!(unmasked(&text, &placeholders), call);
    }

    #[test]
    fn what_recordings_do_not_keep_is_masked_and_put_back() {
        let (text, placeholders) = masked(CALL);
        assert_eq!(text, MASKED);
        assert_eq!(placeholders.len(), 3);
        assert_eq!(unmasked(&text, &placeholders), CALL);
        assert_eq!(format!("{placeholders:?}"), "Placeholders(3)");
    }

    #[test]
    fn a_placeholder_works_where_it_was_moved_to() {
        let (_, placeholders) = masked(CALL);
        assert_eq!(
            unmasked(
                r#"["«secret 2»","x «secret 2»","Bearer «secret 1»","«secret 1»","«secret 9»","«secret x»"]"#,
                &placeholders
            ),
            r#"[12345,"x 12345","Bearer k\"1","k\"1","«secret 9»","«secret x»"]"#
        );
    }

    #[test]
    fn a_text_that_looks_like_a_placeholder_stays_a_text() {
        let payload = r#"{"note":"«secret 1»","token":"abc"}"#;
        let (text, placeholders) = masked(payload);
        assert_eq!(text, r#"{"note":"«secret 1»","token":"«secret' 1»"}"#);
        assert_eq!(unmasked(&text, &placeholders), payload);
        assert_eq!(unmasked("«secret 1»", &Placeholders::default()), "«secret 1»");
    }

    #[test]
    fn secrets_in_broken_json_are_masked_too() {
        for payload in [r#"{"token":"abc"#, r#"{"token":12"#, r#"{"token":"abc",}"#] {
            let (text, placeholders) = masked(payload);
            assert!(!text.contains("abc") && !text.contains("12"), "{text}");
            assert_eq!(unmasked(&text, &placeholders), payload);
        }
    }

    #[test]
    fn what_is_no_json_is_read_as_text() {
        let (text, placeholders) = masked("see token=abc, ok");
        assert_eq!(text, "see token=«secret 1», ok");
        assert_eq!(unmasked(&text, &placeholders), "see token=abc, ok");
        assert_eq!(masked("a b=c").0, "a b=c");
        assert_eq!(masked("").0, "");
    }

    proptest! {
        #[test]
        fn what_was_masked_comes_back(value in value(), secret in value(), is_pretty: bool) {
            let payload = spelled(&serde_json::json!({"a": value, "token": secret, "content": {"password": [secret]}}), is_pretty);
            let (text, placeholders) = masked(&payload);
            prop_assert_eq!(unmasked(&text, &placeholders), payload);
        }

        #[test]
        fn any_bytes_come_back(payload in r#"[{\["]{0,2}("token"|"a"|[:,\[\]{}1-3 "\\]|«secret 1»){0,12}"#) {
            let (text, placeholders) = masked(&payload);
            prop_assert_eq!(unmasked(&text, &placeholders), payload);
        }
    }
}
