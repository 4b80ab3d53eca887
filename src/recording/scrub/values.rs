//! The values that are secrets somewhere in a recording, and what finds them everywhere else.

use std::collections::{BTreeSet, HashMap};
use std::fmt::{self, Write as _};

use base64::Engine as _;

use crate::recording::redact::{RedactPattern, RedactPatterns, TAG_BYTES, TAG_START, Tagger};

/// Shorter values stand in many places by chance.
const MIN_VALUE_BYTES: usize = 8;

/// Longer ones are not looked for: a match across the parts of a frame is found up to this length.
const MAX_VALUE_BYTES: usize = 4096;

/// Values that are looked for.
pub(super) const MAX_VALUES: usize = 4096;

/// Bytes of all of them.
const MAX_ALL_BYTES: usize = 256 << 10;

/// Bytes of the values in one regular expression, so that it stays small when it is compiled.
const PATTERN_BYTES: usize = 4096;

/// From this length on nobody writes a value by chance, so it is found inside of words too.
const MIN_STRONG_BYTES: usize = 16;

/// Words of the protocol and names of secrets. If one of them is somebody's password, only its own place is masked.
const PLAIN: [&str; 12] = [
    "application/json",
    "authorization",
    "initialize",
    "localhost",
    "password",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "text/event-stream",
    "tools/call",
    "tools/list",
];

/// A set of values, bounded.
#[derive(Debug, Default)]
pub(super) struct Values {
    all: BTreeSet<Vec<u8>>,
    bytes: usize,
    /// Values that are looked for in their own place only, since there is no room or they are too long.
    pub(super) left: u64,
}

impl Values {
    /// Takes a value that a recorder replaces, and the password in it if it is one of `Basic` credentials or of a URL.
    pub(super) fn add(&mut self, value: &[u8]) {
        self.insert(value);
        let decoded = base64::engine::general_purpose::STANDARD.decode(value).ok();
        for credentials in [Some(value), decoded.as_deref()].into_iter().flatten() {
            if let Some(password) = password_of(credentials) {
                self.insert(password);
            }
        }
    }

    fn insert(&mut self, value: &[u8]) {
        if value.len() < MIN_VALUE_BYTES || is_plain(value) || self.all.contains(value) {
            return;
        }
        let has_room = self.all.len() < MAX_VALUES && self.bytes + value.len() <= MAX_ALL_BYTES;
        if value.len() > MAX_VALUE_BYTES || !has_room {
            self.left += 1;
            return;
        }
        self.bytes += value.len();
        self.all.insert(value.to_vec());
    }

    /// What finds them, in every spelling, besides what `own` finds.
    pub(super) fn patterns(&self, own: &RedactPatterns) -> RedactPatterns {
        let mut spellings: Vec<Vec<u8>> = self.all.iter().flat_map(|value| spellings(value)).collect();
        // Of two values that begin alike the longer one has to be tried first.
        spellings.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        spellings.dedup();
        let mut patterns: Vec<RedactPattern> = own.iter().cloned().collect();
        let mut rest = &spellings[..];
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |spelling: &&Vec<u8>| {
                bytes += spelling.len();
                bytes <= PATTERN_BYTES
            };
            let count = rest.iter().take_while(fits).count().max(1);
            let (some, after) = rest.split_at(count);
            compile(some, &mut patterns);
            rest = after;
        }
        patterns.into_iter().collect()
    }

    /// The tags of other spellings, each with the tag of the value itself.
    pub(super) fn retags(&self, tagger: &Tagger) -> Retags {
        let mut tags = HashMap::new();
        for value in &self.all {
            let tag = tagger.tag(value);
            for spelling in spellings(value).into_iter().filter(|spelling| spelling != value) {
                tags.insert(tagger.tag(&spelling).into_bytes(), tag.clone().into_bytes());
            }
        }
        Retags(tags)
    }
}

/// Puts the tag of a value in the place of those of its other spellings.
#[derive(Debug, Default)]
pub(super) struct Retags(HashMap<Vec<u8>, Vec<u8>>);

impl Retags {
    pub(super) fn apply(&self, text: &mut [u8]) {
        if self.0.is_empty() {
            return;
        }
        let places: Vec<usize> = memchr::memmem::find_iter(text, TAG_START.as_bytes()).collect();
        for place in places {
            if let Some(tag) = text.get_mut(place..place + TAG_BYTES)
                && let Some(own) = self.0.get(tag)
            {
                tag.copy_from_slice(own);
            }
        }
    }
}

/// What finds values that somebody named as secrets, in every spelling, besides what `own` finds. Those that stand in many
/// places by chance are not looked for: shorter than four bytes, numbers shorter than six, words of the protocol.
pub(crate) fn patterns_of<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
    own: &RedactPatterns,
) -> RedactPatterns {
    let is_telling = |value: &&[u8]| {
        let is_long = value.len() >= 4 && (!is_number(value) || value.len() >= 6);
        is_long && !is_word_of_all(value)
    };
    let telling = values.into_iter().filter(is_telling);
    let mut spellings: Vec<Vec<u8>> = telling.flat_map(spellings).collect();
    spellings.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
    let mut patterns: Vec<RedactPattern> = own.iter().cloned().collect();
    for spelling in spellings {
        compile(&[spelling], &mut patterns);
    }
    patterns.into_iter().collect()
}

fn is_number(value: &[u8]) -> bool {
    value
        .iter()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte))
}

/// Words that anybody may write, and tags.
fn is_word_of_all(value: &[u8]) -> bool {
    PLAIN
        .iter()
        .any(|word| word.as_bytes().eq_ignore_ascii_case(value))
        || memchr::memmem::find(value, TAG_START.as_bytes()).is_some()
        || value.iter().all(u8::is_ascii_whitespace)
}

/// Words that anybody may write, and numbers: a tag in the place of one would break the JSON around it.
fn is_plain(value: &[u8]) -> bool {
    is_number(value) || is_word_of_all(value)
}

/// What stands behind the user's name.
fn password_of(credentials: &[u8]) -> Option<&[u8]> {
    let text = std::str::from_utf8(credentials).ok()?;
    let (user, password) = text.split_once(':')?;
    let is_one = !user.is_empty() && !text.contains(|c: char| c.is_control() || c == '/' || c == ' ');
    is_one.then_some(password.as_bytes())
}

/// The value as it is, inside of JSON, inside of JSON in JSON, and inside of a URL.
fn spellings(value: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![value.to_vec()];
    if let Ok(text) = std::str::from_utf8(value) {
        let escaped = json(text);
        all.extend(
            [
                json(&escaped),
                ascii(&escaped),
                escaped.replace('/', "\\/"),
                escaped,
            ]
            .map(String::into_bytes),
        );
        all.extend([percent(text, "%20"), percent(text, "+")].map(String::into_bytes));
    }
    all.sort();
    all.dedup();
    all
}

fn json(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    let inside = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inside.unwrap_or(text).to_owned()
}

fn push(out: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = out.write_fmt(text);
}

/// Letters outside of ASCII as many programs write them in JSON.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => out.push(char::from(byte)),
            _ => push(&mut out, format_args!("\\u{unit:04x}")),
        }
    }
    out
}

fn percent(text: &str, blank: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push_str(blank),
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(char::from(byte)),
            byte => push(&mut out, format_args!("%{byte:02X}")),
        }
    }
    out
}

/// One pattern for these, or several if it would be too large.
fn compile(spellings: &[Vec<u8>], patterns: &mut Vec<RedactPattern>) {
    let alternatives: Vec<String> = spellings.iter().map(|spelling| alternative(spelling)).collect();
    match alternatives.join("|").parse() {
        Ok(pattern) => patterns.push(pattern),
        Err(_) if spellings.len() > 1 => {
            let (one, other) = spellings.split_at(spellings.len() / 2);
            compile(one, patterns);
            compile(other, patterns);
        }
        Err(error) => tracing::warn!(%error, "a secret value is not looked for"),
    }
}

/// A pattern of what is no text.
fn bytes(spelling: &[u8]) -> String {
    let mut out = String::with_capacity(spelling.len() * 11);
    for byte in spelling {
        push(&mut out, format_args!(r"(?-u:\x{byte:02x})"));
    }
    out
}

fn alternative(spelling: &[u8]) -> String {
    let text = match std::str::from_utf8(spelling) {
        Ok(text) => regex::escape(text),
        Err(_) => bytes(spelling),
    };
    let is_word = |byte: &u8| byte.is_ascii_alphabetic() || b"-_ ".contains(byte);
    if spelling.len() < MIN_STRONG_BYTES && spelling.iter().all(is_word) {
        format!(r"(?-u:\b){text}(?-u:\b)")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Values {
        let mut all = Values::default();
        for value in values {
            all.add(value.as_bytes());
        }
        all
    }

    /// The text with `[…]` around what would be replaced.
    fn marked(values: &[&str], text: &str) -> String {
        let tagger = Tagger::fixed();
        let values = of(values);
        let tagger = tagger.with_patterns(values.patterns(&RedactPatterns::default()));
        let mut out = crate::recording::redact::Output::new(&tagger);
        out.bytes = text.as_bytes().to_vec();
        let mut replaced = out.take();
        values.retags(&tagger).apply(&mut replaced);
        let mut text = String::from_utf8(replaced).unwrap();
        for value in &values.all {
            text = text.replace(
                &tagger.tag(value),
                &format!("[{}]", String::from_utf8_lossy(value)),
            );
        }
        text
    }

    #[test]
    fn a_value_is_found_in_every_spelling_and_has_one_tag() {
        assert_eq!(
            marked(&["tok-4711-abc"], "a=tok-4711-abc, xtok-4711-abcx"),
            "a=[tok-4711-abc], x[tok-4711-abc]x"
        );
        let odd = "pa\"ss/wörd 1";
        for text in [
            "pa\"ss/wörd 1",
            r#"pa\"ss/wörd 1"#,
            r#"pa\"ss\/wörd 1"#,
            r#"pa\"ss/w\u00f6rd 1"#,
            r#"pa\\\"ss/wörd 1"#,
            "pa%22ss%2Fw%C3%B6rd%201",
            "pa%22ss%2Fw%C3%B6rd+1",
        ] {
            assert_eq!(marked(&[odd], text), format!("[{odd}]"), "{text}");
        }
    }

    #[test]
    fn of_two_values_the_longer_one_is_found() {
        assert_eq!(
            marked(&["token-12", "token-1234"], "token-1234 token-12"),
            "[token-1234] [token-12]"
        );
    }

    #[test]
    fn short_values_numbers_and_words_of_the_protocol_are_left_alone() {
        let values = of(&["short", "1234567890", "tools/call", "Password", "        "]);
        assert_eq!(values.all.len(), 0);
        assert_eq!(
            marked(&["production"], "production, reproductions"),
            "[production], reproductions"
        );
    }

    #[test]
    fn the_password_of_basic_credentials_and_of_a_url_is_looked_for_too() {
        let basic = base64::engine::general_purpose::STANDARD.encode("me:open-sesame-1");
        assert_eq!(marked(&[&basic], "open-sesame-1"), "[open-sesame-1]");
        assert_eq!(marked(&["me:open-sesame-2"], "open-sesame-2"), "[open-sesame-2]");
    }

    #[test]
    fn values_that_find_no_room_are_counted() {
        let mut values = Values::default();
        for number in 0..MAX_VALUES + 3 {
            values.add(format!("value-{number:06}").as_bytes());
        }
        values.add(&[b'x'; MAX_VALUE_BYTES + 1]);
        assert_eq!((values.all.len(), values.left), (MAX_VALUES, 4));
        let patterns = values.patterns(&RedactPatterns::default());
        assert!(patterns.iter().count() < 40, "{}", patterns.iter().count());
    }
}
