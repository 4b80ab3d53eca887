//! Secrets in text that is written for people: `Authorization: Bearer …`, `password=…`, URLs.

use std::sync::LazyLock;

use memchr::{memchr2, memmem};
use regex::bytes::Regex;

use super::names::{MAX_NAME_BYTES, ends_like_ours, is_secret_in_prose, is_whole_line};
use super::output::Output;
use super::spelling::{Held, Next, Spelling, next_numbered};
use super::tag::Secret;
use super::text::TextRedactor;

/// What stands before a credential instead of a name.
const SCHEMES: [&[u8]; 4] = [b"bearer", b"basic", b"dpop", b"digest"];

/// The longest of these.
const SCHEME_BYTES: usize = 6;

/// The same, for a search in long texts.
static SCHEME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("(?i-u)bearer|basic|dpop|digest").ok());

/// Below, a look at each byte costs less than that search.
const SHORT_BYTES: usize = 256;

/// What stands where a value is described, not told.
const HARMLESS: [&[u8]; 7] = [b"true", b"false", b"null", b"none", b"nil", b"str", b"string"];

/// From this length on a word behind a scheme is a credential, and not the next word of a sentence.
const CREDENTIAL_BYTES: usize = 16;

/// How the tag of a secret that was replaced before starts, up to its colon.
const TAG_START: &[u8] = "\u{2039}secret".as_bytes();
/// Bytes of it before its first letter.
const TAG_OPEN: usize = 3;
/// The hexadecimal digits behind that colon, and what is behind them.
const TAG_DIGITS: usize = 12;
const TAG_END: &[u8] = "\u{203a}".as_bytes();

/// More backslashes than that before a quote are part of a secret.
const MAX_BACKSLASHES: usize = 16;

/// Redacts text that comes in parts of any size.
///
/// A value is a secret if the word before its `:` or `=` names one, and so is a word behind `Bearer` that has a digit
/// or sixteen characters. A value in double quotes ends with these. URLs are redacted like elsewhere.
#[derive(Debug)]
pub(crate) struct ProseRedactor {
    urls: TextRedactor,
    spelling: Spelling,
    words: Words,
    /// Room for what the first of the two hands to the second.
    room: Vec<u8>,
}

#[derive(Debug, Default)]
struct Words {
    state: State,
    /// The word that was read last, cut where no name is longer.
    word: Vec<u8>,
    /// How many bytes of [`TAG_START`] the text just had.
    tag: usize,
}

#[derive(Debug, Default)]
enum State {
    /// In a word.
    #[default]
    Word,
    /// Behind a word; its name counts until the next one.
    Behind,
    /// Behind the colon of what may be a tag.
    Tag(Held),
    /// Behind a name and its sign: the value comes.
    Sought(End),
    /// The first bytes of a value, which may be a scheme.
    Head { held: Held, end: End },
    /// The word behind a scheme in a sentence.
    Doubtful(Held),
    /// In a secret.
    Value {
        secret: Secret,
        end: End,
        /// Backslashes that belong to the quote behind, if one comes.
        slashes: Held,
    },
}

/// Where a value ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Word,
    Quote,
    Line,
}

impl End {
    fn is(self, byte: u8) -> bool {
        match self {
            _ if matches!(byte, b'\r' | b'\n') => true,
            Self::Line => false,
            Self::Quote => byte == b'"',
            Self::Word => byte <= b' ' || byte == 0x7f || b"\"',;&<>()[]{}".contains(&byte),
        }
    }
}

impl Default for ProseRedactor {
    fn default() -> Self {
        Self {
            urls: TextRedactor::for_urls(),
            spelling: Spelling::default(),
            words: Words::default(),
            room: Vec::new(),
        }
    }
}

impl ProseRedactor {
    /// For what stands between the quotes of a JSON string. JSON inside of it is text with quotes.
    pub(super) fn for_string() -> Self {
        Self {
            urls: TextRedactor::for_string(),
            spelling: Spelling::json(),
            words: Words::default(),
            room: Vec::new(),
        }
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Output<'_>) {
        let mut between = self.between(out);
        self.urls.push(bytes, &mut between);
        self.take(between, out);
    }

    /// The text, or a line of it, is over.
    pub(super) fn finish(&mut self, out: &mut Output<'_>) {
        let mut between = self.between(out);
        self.urls.finish(&mut between);
        self.take(between, out);
        let Self { spelling, words, .. } = self;
        spelling.finish(&mut |raw, byte| words.byte(raw, byte, out));
        words.end(out);
        words.state = State::default();
        words.word.clear();
        words.tag = 0;
    }

    fn between<'a>(&mut self, out: &Output<'a>) -> Output<'a> {
        let mut between = out.beside();
        between.bytes = std::mem::take(&mut self.room);
        between.bytes.clear();
        between
    }

    fn take(&mut self, between: Output<'_>, out: &mut Output<'_>) {
        out.redactions += between.redactions;
        let Self { spelling, words, .. } = self;
        let bytes = &between.bytes[..];
        let mut leap = Leap::new(bytes, spelling.is_json());
        let mut at = 0;
        while at < bytes.len() {
            if at >= leap.end && words.is_idle() && spelling.is_at_rest() {
                let start = leap.from(at);
                if start > at {
                    out.pass(&bytes[at..start]);
                    words.restart(&bytes[at..start]);
                    at = start;
                }
            }
            if let Some(byte) = bytes.get(at) {
                spelling.byte(*byte, &mut |raw, byte| words.byte(raw, byte, out));
                at += 1;
            }
        }
        self.room = between.bytes;
    }
}

/// Whether a whole JSON string, as it is spelled, may have a secret in it. Cheap for those that have none.
pub(super) fn may_have_secret(string: &[u8]) -> bool {
    memchr2(b':', b'=', string).is_some()
        || memmem::find(string, b"\\u00").is_some()
        || string.len() > SCHEME_BYTES && scheme(string).is_some()
}

/// Where a scheme may stand that has something behind it.
fn scheme(text: &[u8]) -> Option<usize> {
    if text.len() < SHORT_BYTES && !text.iter().any(|byte| is_behind_word(*byte)) {
        return None;
    }
    let found = SCHEME.as_ref().map(|scheme| scheme.find(text));
    // Without the search nothing is passed over.
    found.map_or(Some(0), |found| found.map(|found| found.start()))
}

/// Finds the words that are worth a look.
struct Leap<'a> {
    bytes: &'a [u8],
    is_json: bool,
    sign: Next,
    escape: Next,
    scheme: Next,
    /// Up to here all bytes are to be looked at.
    end: usize,
}

impl<'a> Leap<'a> {
    fn new(bytes: &'a [u8], is_json: bool) -> Self {
        Self {
            bytes,
            is_json,
            sign: Next::default(),
            escape: Next::default(),
            scheme: Next::default(),
            end: 0,
        }
    }

    fn sign(&mut self, at: usize) -> usize {
        self.sign.from(at, self.bytes, |bytes| memchr2(b':', b'=', bytes))
    }

    /// The start of the last word before the next sign or scheme, or where it may have one before it; `at` itself if there
    /// is nothing to pass over.
    fn from(&mut self, at: usize) -> usize {
        self.end = self.scheme.from(at, self.bytes, scheme);
        if self.is_json {
            self.end = self.end.min(self.escape.from(at, self.bytes, next_numbered));
        }
        let mut sign = self.sign(at);
        while sign < self.end && is_no_name(&self.bytes[at..sign]) {
            sign = self.sign(sign + 1);
        }
        self.end = self.end.min(sign);
        let text = &self.bytes[at..self.end];
        let is_start = |start: &usize| {
            is_in_word(text[*start]) && !is_in_word(text[start - 1]) && text[start - 1] != b'\\'
        };
        // In what is before, a tag may have begun.
        let start = (TAG_OPEN..text.len()).rev().find(is_start);
        start.map_or(at, |start| at + start)
    }
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
        _ => !ends_like_ours(&word[word.len().saturating_sub(MAX_NAME_BYTES)..]),
    }
}

impl Words {
    /// Nothing that was read matters for what follows the next word.
    fn is_idle(&self) -> bool {
        matches!(self.state, State::Behind) && !is_scheme(&self.word)
    }

    /// A word begins behind `passed`.
    fn restart(&mut self, passed: &[u8]) {
        self.word.clear();
        self.tag = if passed.ends_with(&TAG_START[..TAG_OPEN]) {
            TAG_OPEN
        } else {
            0
        };
    }

    fn byte(&mut self, raw: &[u8], byte: u8, out: &mut Output<'_>) {
        match &mut self.state {
            State::Word | State::Behind => self.plain(raw, byte, out),
            State::Tag(held) if goes_on(held.text.len(), byte) => {
                held.push(raw, byte);
                if held.text.len() == TAG_DIGITS + TAG_END.len() {
                    out.pass(&held.raw);
                    self.state = State::Behind;
                }
            }
            // Whoever writes `‹secret:` writes a name and its sign.
            State::Tag(held) => {
                let (held, end) = (std::mem::take(held), End::Word);
                self.state = if held.text.is_empty() {
                    State::Sought(end)
                } else {
                    State::Head { held, end }
                };
                self.byte(raw, byte, out);
            }
            State::Sought(end) => {
                let end = *end;
                self.sought(raw, byte, end, out);
            }
            State::Head { held, end } if !is_head_end(byte, *end) => {
                let end = *end;
                held.push(raw, byte);
                if held.text.len() > SCHEME_BYTES {
                    self.state = begun(held, end, out);
                }
            }
            State::Head { held, end } => {
                let end = *end;
                if is_scheme(&held.text) && byte == b' ' {
                    out.pass(&held.raw);
                    out.pass(raw);
                    self.state = State::Sought(end);
                } else if end.is(byte) && is_harmless(&held.text) {
                    out.pass(&held.raw);
                    self.state = State::Behind;
                    self.plain(raw, byte, out);
                } else {
                    self.state = begun(held, end, out);
                    self.byte(raw, byte, out);
                }
            }
            // `Bearer token: …`
            State::Doubtful(held) if matches!(byte, b':' | b'=') && is_secret_in_prose(&held.text) => {
                out.pass(&held.raw);
                self.word = std::mem::take(&mut held.text);
                self.state = State::Word;
                self.plain(raw, byte, out);
            }
            State::Doubtful(held) if !End::Word.is(byte) && byte != b'\\' => {
                held.push(raw, byte);
                if held.text.len() >= CREDENTIAL_BYTES {
                    self.state = begun(held, End::Word, out);
                }
            }
            State::Doubtful(_) => {
                self.end(out);
                self.plain(raw, byte, out);
            }
            State::Value { .. } => self.value(raw, byte, out),
        }
    }

    /// Behind a name and its sign.
    fn sought(&mut self, raw: &[u8], byte: u8, end: End, out: &mut Output<'_>) {
        if byte == b'\\' || end != End::Quote && is_before_value(byte) {
            out.pass(raw);
            if byte == b'"' {
                self.state = State::Sought(End::Quote);
            }
        } else if end.is(byte) {
            self.state = State::Behind;
            out.pass(raw);
        } else {
            let held = Held::of(raw, byte);
            self.state = State::Head { held, end };
        }
    }

    fn value(&mut self, raw: &[u8], byte: u8, out: &mut Output<'_>) {
        let State::Value { secret, end, slashes } = &mut self.state else {
            return;
        };
        let is_over = end.is(byte) || secret.as_tag().is_some();
        if byte == b'\\' && !is_over && slashes.text.len() < MAX_BACKSLASHES {
            slashes.push(raw, byte);
            return;
        }
        if is_over {
            let before = std::mem::take(slashes);
            if byte != b'"' {
                secret.push(&before.text);
            }
            self.end(out);
            if byte == b'"' {
                out.pass(&before.raw);
            }
            self.plain(raw, byte, out);
        } else {
            secret.push(&std::mem::take(slashes).text);
            secret.push(&[byte]);
        }
    }

    /// Outside of values.
    fn plain(&mut self, raw: &[u8], byte: u8, out: &mut Output<'_>) {
        let is_tag = self.tag == TAG_START.len();
        self.tag = match TAG_START.get(self.tag) {
            Some(next) if *next == byte => self.tag + 1,
            _ => usize::from(byte == TAG_START[0]),
        };
        if is_in_word(byte) {
            if matches!(self.state, State::Behind) {
                let is_behind_scheme = is_scheme(&self.word);
                self.word.clear();
                if is_behind_scheme {
                    self.state = State::Doubtful(Held::of(raw, byte));
                    return;
                }
                self.state = State::Word;
            }
            if self.word.len() <= MAX_NAME_BYTES {
                self.word.push(byte);
            }
        } else if byte == b':' && is_tag {
            self.word.clear();
            self.state = State::Tag(Held::default());
        } else if matches!(byte, b':' | b'=') && is_secret_in_prose(&self.word) {
            let end = if is_whole_line(&self.word) {
                End::Line
            } else {
                End::Word
            };
            self.word.clear();
            self.state = State::Sought(end);
        } else {
            if !is_behind_word(byte) {
                self.word.clear();
            }
            self.state = State::Behind;
        }
        out.pass(raw);
    }

    /// What was held back is whole.
    fn end(&mut self, out: &mut Output<'_>) {
        match std::mem::replace(&mut self.state, State::Behind) {
            State::Head { held, .. } if is_harmless(&held.text) => out.pass(&held.raw),
            State::Head { held, .. } | State::Tag(held) => out.replace(&held.text),
            State::Doubtful(held) if held.text.iter().any(u8::is_ascii_digit) => out.replace(&held.text),
            State::Doubtful(held) => out.pass(&held.raw),
            State::Value {
                mut secret, slashes, ..
            } => {
                secret.push(&slashes.text);
                out.end(secret);
            }
            State::Word | State::Behind | State::Sought(_) => {}
        }
    }
}

fn begun(held: &Held, end: End, out: &Output<'_>) -> State {
    let mut secret = out.begin();
    secret.push(&held.text);
    State::Value {
        secret,
        end,
        slashes: Held::default(),
    }
}

/// Whether a tag that has so many bytes behind its colon may go on with this one.
fn goes_on(at: usize, byte: u8) -> bool {
    match at.checked_sub(TAG_DIGITS) {
        Some(at) => TAG_END.get(at) == Some(&byte),
        None => byte.is_ascii_hexdigit(),
    }
}

fn is_scheme(word: &[u8]) -> bool {
    SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

fn is_harmless(value: &[u8]) -> bool {
    HARMLESS.iter().any(|word| value.eq_ignore_ascii_case(word))
}

fn is_in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// What may stand between a word and its sign.
fn is_behind_word(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b'\\')
}

fn is_before_value(byte: u8) -> bool {
    b" \t\"'=>".contains(&byte)
}

/// Where it shows what the first word of a value is.
fn is_head_end(byte: u8, end: End) -> bool {
    End::Word.is(byte) || end.is(byte) || byte == b'\\'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recording::redact::tag::Tagger;

    fn redacted_in(parts: &[&[u8]]) -> String {
        let tagger = Tagger::fixed();
        let mut out = Output::new(&tagger);
        let mut redactor = ProseRedactor::default();
        for part in parts {
            redactor.push(part, &mut out);
        }
        redactor.finish(&mut out);
        String::from_utf8_lossy(&out.bytes).into_owned()
    }

    fn redacted(text: &str) -> String {
        redacted_in(&[text.as_bytes()])
    }

    fn tag(secret: &str) -> String {
        Tagger::fixed().tag(secret.as_bytes())
    }

    #[test]
    fn named_values_are_replaced_and_the_rest_stays() {
        let (short, long) = (tag("hunter2"), tag("abcdef0123456789"));
        for (text, expected) in [
            ("password: hunter2\n", format!("password: {short}\n")),
            (
                "login with API_KEY='hunter2', ok",
                format!("login with API_KEY='{short}', ok"),
            ),
            (
                "got {\"token\" : \"hunter2\"}",
                format!("got {{\"token\" : \"{short}\"}}"),
            ),
            (
                "Authorization: Bearer hunter2 sent",
                format!("Authorization: Bearer {short} sent"),
            ),
            (
                "bearer abcdef0123456789 is used",
                format!("bearer {long} is used"),
            ),
            ("Bearer hunter2", format!("Bearer {short}")),
            ("token => abcdef0123456789\r\n", format!("token => {long}\r\n")),
            ("Cookie: a=1; b=2\n", format!("Cookie: {}\n", tag("a=1; b=2"))),
            (
                "see http://hunter2@host/?token=hunter2&x=1",
                format!("see http://{short}@host/?token={short}&x=1"),
            ),
        ] {
            assert_eq!(redacted(text), expected);
            assert_eq!(redacted(&expected), expected, "a tag is no secret");
        }
    }

    fn in_string(parts: &[&[u8]]) -> String {
        let tagger = Tagger::fixed();
        let mut out = Output::new(&tagger);
        let mut redactor = ProseRedactor::for_string();
        for part in parts {
            redactor.push(part, &mut out);
        }
        redactor.finish(&mut out);
        String::from_utf8_lossy(&out.bytes).into_owned()
    }

    #[test]
    fn a_value_in_quotes_goes_on_to_their_end_and_one_that_is_described_stays() {
        let (two, one) = (tag("two words"), tag("hunter2"));
        for (text, expected) in [
            (
                "{\"password\": \"two words\", \"a\": \"b\"}",
                format!("{{\"password\": \"{two}\", \"a\": \"b\"}}"),
            ),
            ("token=\"\", a=\"b\"", "token=\"\", a=\"b\"".to_owned()),
            (
                "token: string, secret: null",
                "token: string, secret: null".to_owned(),
            ),
            ("the bearer token: hunter2", format!("the bearer token: {one}")),
            ("\u{2014} token=hunter2", format!("\u{2014} token={one}")),
            ("session_id=hunter2", format!("session_id={one}")),
        ] {
            assert_eq!(redacted(text), expected);
            assert_eq!(redacted(&expected), expected, "a tag is no secret");
        }
    }

    #[test]
    fn what_stands_in_a_json_string_is_read_without_its_escapes() {
        for (text, expected) in [
            (
                r#"{\"access_token\":\"hunt\\ner2\/\",\"a\":1}"#,
                format!(r#"{{\"access_token\":\"{}\",\"a\":1}}"#, tag("hunt\\ner2/")),
            ),
            (
                r#"{\\\"token\\\":\\\"hunter2\\\",\\\"password\\\":\\\"\\\"}"#,
                format!(
                    r#"{{\\\"token\\\":\\\"{}\\\",\\\"password\\\":\\\"\\\"}}"#,
                    tag("hunter2")
                ),
            ),
            (
                r"a\ntoken\u003dhunter2\nb",
                format!(r"a\ntoken\u003d{}\nb", tag("hunter2")),
            ),
            (
                r"https:\/\/u:p\u00e4@h\/?a=b\u0026code=hunter2\n",
                format!(
                    r"https:\/\/{}@h\/?a=b\u0026code={}\n",
                    tag("u:p\u{e4}"),
                    tag("hunter2")
                ),
            ),
            (
                r"sent\nAuthorization: Bearer hunter2\nok",
                format!(r"sent\nAuthorization: Bearer {}\nok", tag("hunter2")),
            ),
        ] {
            assert_eq!(in_string(&[text.as_bytes()]), expected);
            assert_eq!(in_string(&[expected.as_bytes()]), expected, "a tag is no secret");
        }
        let code = r"fn token(a: &str) -> u8 {\n\treturn a.b == 1 ? 2 : 3 \u2014 ok\n}";
        assert_eq!(in_string(&[code.as_bytes()]), code);
    }

    #[test]
    fn strings_without_signs_and_schemes_are_not_looked_into() {
        for (string, is_suspect) in [
            ("tools/call", false),
            ("the token of the day, and a secret", false),
            ("a=b", true),
            ("a\\u003db", true),
            ("see bearer abc", true),
        ] {
            assert_eq!(may_have_secret(string.as_bytes()), is_suspect, "{string}");
        }
    }

    #[test]
    fn signs_that_begin_like_a_tag_hide_no_secret() {
        let hidden = tag("hunter2");
        for (text, expected) in [
            ("\u{2192} token=hunter2\n", format!("\u{2192} token={hidden}\n")),
            (
                "\u{2026} password: hunter2 \u{201c}x\u{201d}",
                format!("\u{2026} password: {hidden} \u{201c}x\u{201d}"),
            ),
            ("\u{2039}secret:hunter2", format!("\u{2039}secret:{hidden}")),
            (
                "\u{2039}\u{2039}secret:0123456789ab\u{203a}\u{203a} token=hunter2",
                format!("\u{2039}\u{2039}secret:0123456789ab\u{203a}\u{203a} token={hidden}"),
            ),
            (
                "\u{2039}secret:0123456789ab\u{2039}",
                format!("\u{2039}secret:{}", tag("0123456789ab\u{2039}")),
            ),
        ] {
            assert_eq!(redacted(text), expected);
        }
    }

    #[test]
    fn sentences_stay() {
        for text in [
            "listening on http://127.0.0.1:3000/mcp: 2 tools, progressToken: 7\n",
            "Bearer authentication is required; no token was sent",
            "token:",
            "the password",
            "1:2=3 ‹ x",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    proptest! {
        #[test]
        fn parts_give_what_the_whole_gives(text in "(token|bearer|Cookie|a|1|https://|@|[:= \"'/?&]|\u{2039}secret:|0123456789ab|\u{203a}|\u{2192}){0,24}", at in 0..200_usize) {
            let bytes = text.as_bytes();
            let (one, other) = bytes.split_at(at.min(bytes.len()));
            prop_assert_eq!(redacted_in(&[one, other]), redacted(&text));
        }

        #[test]
        fn parts_of_a_string_give_what_the_whole_gives(
            parts in prop::collection::vec(prop::sample::select(vec![
                "token", "bearer", "Cookie", "a1", " word", "\\n", "\\\"", "\\\\", "\\/", "\\u003d", "\\u00", "://", "@",
                ":", "=", " ", "?", "&", "\u{2039}secret:", "\u{2014}", "\\t", "\\u2039secret", "basic x1",
            ]), 0..24),
            cuts in prop::collection::vec(0..200_usize, 0..4),
        ) {
            let text = parts.concat();
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            cuts.push(bytes.len());
            let starts = std::iter::once(0).chain(cuts.iter().copied());
            let parts: Vec<&[u8]> = starts.zip(&cuts).map(|(start, end)| &bytes[start..*end]).collect();
            let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
            let whole = in_string(&[bytes]);
            prop_assert_eq!(in_string(&parts), whole.clone());
            prop_assert_eq!(in_string(&bytewise), whole.clone());
            prop_assert_eq!(in_string(&[whole.as_bytes()]), whole.clone(), "a tag is no secret");
            prop_assert!(may_have_secret(bytes) || whole == text);
        }
    }
}
