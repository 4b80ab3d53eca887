//! Secrets in text that is written for people: `Authorization: Bearer …`, `password=…`, URLs.

use super::leap::{Landing, Leap, TAG_OPEN, is_behind_word, is_in_word, rest_of_word};
use super::names::{MAX_NAME_BYTES, is_secret_in_prose, is_whole_line};
use super::output::Output;
use super::spelling::{Held, Spelling};
use super::tag::Secret;
use super::text::TextRedactor;

/// What stands before a credential instead of a name.
const SCHEMES: [&[u8]; 4] = [b"bearer", b"basic", b"dpop", b"digest"];

/// The longest of these.
pub(super) const SCHEME_BYTES: usize = 6;

/// What stands where a value is described, not told.
const HARMLESS: [&[u8]; 7] = [b"true", b"false", b"null", b"none", b"nil", b"str", b"string"];

/// From this length on a word behind a scheme is a credential, and not the next word of a sentence.
const CREDENTIAL_BYTES: usize = 16;

/// How the tag of a secret that was replaced before starts, up to its colon.
const TAG_START: &[u8] = "\u{2039}secret".as_bytes();
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
            if spelling.is_at_rest() {
                let behind = words.pass_over(bytes, at, &mut leap);
                out.pass(&bytes[at..behind]);
                at = behind;
            }
            if let Some(byte) = bytes.get(at) {
                spelling.byte(*byte, &mut |raw, byte| words.byte(raw, byte, out));
                at += 1;
            }
        }
        self.room = between.bytes;
    }
}

impl Words {
    /// Nothing that was read matters for what follows the next word.
    fn is_idle(&self) -> bool {
        matches!(self.state, State::Behind) && !is_scheme(&self.word)
    }

    /// Up to where nothing is to be looked at.
    fn pass_over(&mut self, bytes: &[u8], at: usize, leap: &mut Leap<'_>) -> usize {
        if matches!(self.state, State::Word) && self.word.len() > MAX_NAME_BYTES {
            return at + rest_of_word(&bytes[at..]);
        }
        if at < leap.end() || !self.is_idle() {
            return at;
        }
        match leap.from(at) {
            Landing::Word(start) if start > at => {
                self.restart(&bytes[at..start]);
                start
            }
            Landing::Word(start) => start,
            Landing::InLongWord(end) => {
                self.state = State::Word;
                self.tag = 0;
                self.word.clear();
                self.word.extend_from_slice(&bytes[end - MAX_NAME_BYTES - 1..end]);
                end
            }
        }
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

fn is_before_value(byte: u8) -> bool {
    b" \t\"'=>".contains(&byte)
}

/// Where it shows what the first word of a value is.
fn is_head_end(byte: u8, end: End) -> bool {
    End::Word.is(byte) || end.is(byte) || byte == b'\\'
}

#[cfg(test)]
mod tests;
