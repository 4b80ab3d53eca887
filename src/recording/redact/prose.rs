//! Secrets in lines that a program writes for people: `Authorization: Bearer …`, `password=…`, URLs.

use super::names::{MAX_NAME_BYTES, is_secret_member};
use super::output::Output;
use super::tag::Secret;
use super::text::TextRedactor;

/// What stands before a credential instead of a name.
const SCHEMES: [&[u8]; 4] = [b"bearer", b"basic", b"dpop", b"digest"];

/// Names whose value goes on to the end of the line.
const WHOLE_LINES: [&[u8]; 2] = [b"cookie", b"set-cookie"];

/// From this length on a word behind a scheme is a credential, and not the next word of a sentence.
const CREDENTIAL_BYTES: usize = 16;

/// How a tag begins, and how it ends behind its twelve digits.
const TAG_START: &[u8] = "\u{2039}secret:".as_bytes();
const TAG_END: &[u8] = "\u{203a}".as_bytes();
const TAG_DIGITS: usize = 12;
const TAG_BYTES: usize = TAG_START.len() + TAG_DIGITS + TAG_END.len();

/// Redacts one line of text that comes in parts of any size.
///
/// A value is a secret if the word before its `:` or `=` names one, and so is a word behind `Bearer` that has a digit
/// or sixteen characters. URLs are redacted like elsewhere.
#[derive(Debug)]
pub(crate) struct ProseRedactor {
    urls: TextRedactor,
    words: Words,
}

#[derive(Debug, Default)]
struct Words {
    state: State,
    /// The word that was read last, cut where no name is longer.
    word: Vec<u8>,
}

#[derive(Debug, Default)]
enum State {
    /// In a word.
    #[default]
    Word,
    /// Behind a word; its name counts until the next one.
    Behind,
    /// In what may be a tag that stands there already.
    Tag(Vec<u8>),
    /// Behind a name and its sign: the value comes.
    Sought { to_end: bool },
    /// The first bytes of a value, which may be a scheme.
    Head { held: Vec<u8>, to_end: bool },
    /// The word behind a scheme in a sentence.
    Doubtful(Vec<u8>),
    /// In a secret.
    Value { secret: Secret, to_end: bool },
}

impl Default for ProseRedactor {
    fn default() -> Self {
        Self {
            urls: TextRedactor::for_urls(),
            words: Words::default(),
        }
    }
}

impl ProseRedactor {
    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Output<'_>) {
        let mut between = out.beside();
        self.urls.push(bytes, &mut between);
        self.take(between, out);
    }

    /// The line is over.
    pub(super) fn finish(&mut self, out: &mut Output<'_>) {
        let mut between = out.beside();
        self.urls.finish(&mut between);
        self.take(between, out);
        self.words.end(out);
    }

    fn take(&mut self, between: Output<'_>, out: &mut Output<'_>) {
        out.redactions += between.redactions;
        for byte in between.bytes {
            self.words.byte(byte, out);
        }
    }
}

impl Words {
    fn byte(&mut self, byte: u8, out: &mut Output<'_>) {
        match &mut self.state {
            State::Word | State::Behind => self.plain(byte, out),
            State::Tag(held) if goes_on(held.len(), byte) => {
                held.push(byte);
                if held.len() == TAG_BYTES {
                    out.pass(held);
                    self.state = State::Behind;
                }
            }
            State::Tag(_) => {
                self.no_tag(out);
                self.byte(byte, out);
            }
            State::Sought { to_end } => {
                let to_end = *to_end;
                if is_before_value(byte) {
                    out.pass(&[byte]);
                } else if is_end(byte, to_end) {
                    self.state = State::Behind;
                    out.pass(&[byte]);
                } else {
                    self.state = State::Head {
                        held: vec![byte],
                        to_end,
                    };
                }
            }
            State::Head { held, to_end } if !is_end(byte, false) => {
                held.push(byte);
                let longest = SCHEMES.iter().map(|scheme| scheme.len()).max().unwrap_or(0);
                if held.len() > longest {
                    let to_end = *to_end;
                    self.state = begun(held, to_end, out);
                }
            }
            State::Head { held, to_end } => {
                let to_end = *to_end;
                if is_scheme(held) && byte == b' ' {
                    out.pass(held);
                    out.pass(b" ");
                    self.state = State::Sought { to_end };
                } else {
                    self.state = begun(held, to_end, out);
                    self.byte(byte, out);
                }
            }
            State::Doubtful(held) if !is_end(byte, false) => {
                held.push(byte);
                if held.len() >= CREDENTIAL_BYTES {
                    self.state = begun(held, false, out);
                }
            }
            State::Value { secret, to_end } if !is_end(byte, *to_end) => secret.push(&[byte]),
            State::Doubtful(_) | State::Value { .. } => {
                self.end(out);
                self.plain(byte, out);
            }
        }
    }

    /// Outside of values.
    fn plain(&mut self, byte: u8, out: &mut Output<'_>) {
        let is_in_word = matches!(self.state, State::Word);
        if byte == TAG_START[0] {
            self.word.clear();
            self.state = State::Tag(vec![byte]);
            return;
        }
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            if !is_in_word && is_scheme(&self.word) {
                self.word.clear();
                self.state = State::Doubtful(vec![byte]);
                return;
            }
            if !is_in_word {
                self.word.clear();
            }
            if self.word.len() <= MAX_NAME_BYTES {
                self.word.push(byte);
            }
            self.state = State::Word;
        } else if matches!(byte, b':' | b'=') && is_secret(&self.word) {
            let to_end = WHOLE_LINES
                .iter()
                .any(|name| self.word.eq_ignore_ascii_case(name));
            self.word.clear();
            self.state = State::Sought { to_end };
        } else {
            if !matches!(byte, b' ' | b'\t' | b'"' | b'\'') {
                self.word.clear();
            }
            self.state = State::Behind;
        }
        out.pass(&[byte]);
    }

    /// What began like a tag is text like any other, in which a name may stand, and a secret behind it.
    fn no_tag(&mut self, out: &mut Output<'_>) {
        if let State::Tag(held) = std::mem::replace(&mut self.state, State::Behind) {
            out.pass(&held[..1]);
            for byte in &held[1..] {
                self.byte(*byte, out);
            }
        }
    }

    /// What was held back is whole.
    fn end(&mut self, out: &mut Output<'_>) {
        while matches!(self.state, State::Tag(_)) {
            self.no_tag(out);
        }
        match std::mem::replace(&mut self.state, State::Behind) {
            State::Head { held, .. } => out.replace(&held),
            State::Doubtful(held) if held.iter().any(u8::is_ascii_digit) => out.replace(&held),
            State::Doubtful(held) => out.pass(&held),
            State::Value { secret, .. } => out.end(secret),
            State::Word | State::Behind | State::Tag(_) | State::Sought { .. } => {}
        }
    }
}

fn begun(held: &[u8], to_end: bool, out: &Output<'_>) -> State {
    let mut secret = out.begin();
    secret.push(held);
    State::Value { secret, to_end }
}

/// Whether a tag of which so many bytes came may go on with this one.
fn goes_on(at: usize, byte: u8) -> bool {
    let digits = TAG_START.len()..TAG_START.len() + TAG_DIGITS;
    if digits.contains(&at) {
        return byte.is_ascii_hexdigit();
    }
    let known = TAG_START
        .get(at)
        .or_else(|| TAG_END.get(at.saturating_sub(digits.end)));
    known == Some(&byte)
}

fn is_secret(name: &[u8]) -> bool {
    is_secret_member(name) || WHOLE_LINES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn is_scheme(word: &[u8]) -> bool {
    SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

fn is_before_value(byte: u8) -> bool {
    b" \t\"'=>".contains(&byte)
}

fn is_end(byte: u8, to_end: bool) -> bool {
    matches!(byte, b'\r' | b'\n')
        || !to_end && (byte <= b' ' || byte == 0x7f || b"\"',;&<>()[]{}".contains(&byte))
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
    }
}
