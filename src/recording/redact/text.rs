//! Secrets in text that is or contains URLs, and in form bodies: query values, fragments, user names and passwords.

use super::names::{MAX_NAME_BYTES, is_secret_parameter};
use super::output::Output;
use super::tag::Secret;

/// The longest authority that is held back to see whether it names a user. A longer one is left out as a whole,
/// since no host is that long.
const MAX_AUTHORITY_BYTES: usize = 2048;

/// What stands for a user and a password in our own advice, and is nobody's secret.
const PLACEHOLDER: &[u8] = b"USER:PASSWORD";

/// Redacts text that comes in parts of any size.
///
/// A value is taken for a secret by the name before its `=`; a name starts after `?`, `&` or `#`, in a form also at
/// the start. What stands between `://` and an `@` is a secret too. All else passes as it is.
#[derive(Debug)]
pub(crate) struct TextRedactor {
    state: State,
    name: Vec<u8>,
    is_form: bool,
}

#[derive(Debug)]
enum State {
    /// How many bytes of `://` the text just had.
    Plain(u8),
    Name,
    Value(Value),
    Authority(Vec<u8>),
    LongAuthority(Secret),
}

#[derive(Debug)]
struct Value {
    secret: Secret,
    percent: PercentDecoder,
    is_empty: bool,
}

impl TextRedactor {
    /// For text that may contain URLs.
    pub(crate) fn for_urls() -> Self {
        Self {
            state: State::Plain(0),
            name: Vec::new(),
            is_form: false,
        }
    }

    /// For a body of `application/x-www-form-urlencoded`.
    pub(super) fn for_form() -> Self {
        Self {
            state: State::Name,
            name: Vec::new(),
            is_form: true,
        }
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8], out: &mut Output<'_>) {
        let mut rest = bytes;
        loop {
            if matches!(self.state, State::Plain(0)) {
                let run = rest.iter().position(|byte| may_begin(*byte));
                let (plain, after) = rest.split_at(run.unwrap_or(rest.len()));
                out.pass(plain);
                rest = after;
            }
            let Some((byte, after)) = rest.split_first() else {
                return;
            };
            self.byte(*byte, out);
            rest = after;
        }
    }

    /// The text, or a line of it, is over.
    pub(crate) fn finish(&mut self, out: &mut Output<'_>) {
        match std::mem::replace(&mut self.state, State::Plain(0)) {
            State::Plain(_) | State::Name => {}
            State::Value(value) => value.finish(out),
            State::Authority(held) => write_authority(&held, out),
            State::LongAuthority(secret) => out.end(secret),
        }
    }

    fn byte(&mut self, byte: u8, out: &mut Output<'_>) {
        match &mut self.state {
            State::Plain(matched) => {
                let matched = *matched;
                self.plain(byte, matched, out);
            }
            State::Name => self.name_byte(byte, out),
            State::Value(value) => {
                if is_value_end(byte, self.is_form) {
                    self.finish(out);
                    self.plain(byte, 0, out);
                } else {
                    value.push(byte);
                }
            }
            State::Authority(held) => {
                if is_authority_end(byte) {
                    self.finish(out);
                    self.plain(byte, 0, out);
                } else if held.len() < MAX_AUTHORITY_BYTES {
                    held.push(byte);
                } else {
                    let mut secret = out.begin();
                    secret.push(held);
                    secret.push(&[byte]);
                    self.state = State::LongAuthority(secret);
                }
            }
            State::LongAuthority(secret) => {
                if is_authority_end(byte) {
                    self.finish(out);
                    self.plain(byte, 0, out);
                } else {
                    secret.push(&[byte]);
                }
            }
        }
    }

    fn plain(&mut self, byte: u8, matched: u8, out: &mut Output<'_>) {
        out.pass(&[byte]);
        self.state = match (byte, matched) {
            (b'?' | b'&' | b'#', _) => {
                self.name.clear();
                State::Name
            }
            (b':', _) => State::Plain(1),
            (b'/', 1) => State::Plain(2),
            (b'/', 2) => State::Authority(Vec::new()),
            _ => State::Plain(0),
        };
    }

    fn name_byte(&mut self, byte: u8, out: &mut Output<'_>) {
        if byte == b'=' {
            out.pass(b"=");
            self.state = if is_secret_parameter(&decoded(&self.name)) {
                State::Value(Value {
                    secret: out.begin(),
                    percent: PercentDecoder::default(),
                    is_empty: true,
                })
            } else {
                State::Plain(0)
            };
        } else if byte.is_ascii_alphanumeric() || b"-_.~%[]+!$*".contains(&byte) {
            out.pass(&[byte]);
            // Three bytes a character at most; what does not fit is too long to be compared anyway.
            if self.name.len() <= MAX_NAME_BYTES * 3 {
                self.name.push(byte);
            }
        } else {
            self.plain(byte, 0, out);
        }
    }
}

impl Value {
    fn push(&mut self, byte: u8) {
        self.is_empty = false;
        let secret = &mut self.secret;
        self.percent.push(byte, &mut |decoded| secret.push(decoded));
    }

    fn finish(mut self, out: &mut Output<'_>) {
        let secret = &mut self.secret;
        self.percent.finish(&mut |decoded| secret.push(decoded));
        if !self.is_empty {
            out.end(self.secret);
        }
    }
}

/// Whether a parameter or a URL's authority may begin with it.
const fn may_begin(byte: u8) -> bool {
    matches!(byte, b'?' | b'&' | b'#' | b':')
}

fn write_authority(held: &[u8], out: &mut Output<'_>) {
    if let Some(at) = memchr::memrchr(b'@', held) {
        if held[..at] == *PLACEHOLDER {
            return out.pass(held);
        }
        out.replace(&held[..at]);
        out.pass(&held[at..]);
    } else {
        out.pass(held);
    }
}

fn is_value_end(byte: u8, is_form: bool) -> bool {
    byte == b'&' || !is_form && (byte <= b' ' || byte == 0x7f || b"#\"<>".contains(&byte))
}

fn is_authority_end(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f || b"/?#\"<>".contains(&byte)
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut percent = PercentDecoder::default();
    let mut sink = |bytes: &[u8]| decoded.extend_from_slice(bytes);
    for byte in text {
        percent.push(*byte, &mut sink);
    }
    percent.finish(&mut sink);
    decoded
}

/// Decodes `%41` to `A`, so that a secret has the same tag wherever it stands. What is no escape stays.
#[derive(Debug, Default)]
struct PercentDecoder {
    held: Vec<u8>,
}

impl PercentDecoder {
    fn push(&mut self, byte: u8, sink: &mut impl FnMut(&[u8])) {
        if byte == b'%' {
            self.finish(sink);
            self.held.push(byte);
            return;
        }
        if self.held.is_empty() {
            sink(&[byte]);
            return;
        }
        self.held.push(byte);
        if !byte.is_ascii_hexdigit() {
            self.finish(sink);
        } else if let [_, high, low] = self.held[..] {
            self.held.clear();
            sink(&[nibble(high) << 4 | nibble(low)]);
        }
    }

    fn finish(&mut self, sink: &mut impl FnMut(&[u8])) {
        if !self.held.is_empty() {
            sink(&self.held);
            self.held.clear();
        }
    }
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20).wrapping_sub(b'a').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::redact::tag::Tagger;

    fn redacted(text: &str, is_form: bool) -> String {
        let tagger = Tagger::fixed();
        let mut out = Output::new(&tagger);
        let mut redactor = if is_form {
            TextRedactor::for_form()
        } else {
            TextRedactor::for_urls()
        };
        redactor.push(text.as_bytes(), &mut out);
        redactor.finish(&mut out);
        String::from_utf8(out.bytes).unwrap()
    }

    fn tag(secret: &str) -> String {
        Tagger::fixed().tag(secret.as_bytes())
    }

    #[test]
    fn what_stands_for_credentials_in_advice_is_no_secret() {
        let advice = "use it as http://USER:PASSWORD@127.0.0.1:8080.";
        assert_eq!(redacted(advice, false), advice);
        let given = redacted("http://USER:PASSWORDS@h/", false);
        assert_eq!(given, format!("http://{}@h/", tag("USER:PASSWORDS")));
    }

    #[test]
    fn query_values_are_replaced_and_the_rest_stays() {
        assert_eq!(
            redacted("/messages?sessionId=ab%2f12&x=1&token= HTTP/1.1", false),
            format!("/messages?sessionId={}&x=1&token= HTTP/1.1", tag("ab/12"))
        );
        assert_eq!(
            redacted("http://h/cb#access%5Ftoken=t&state=s", false),
            format!("http://h/cb#access%5Ftoken={}&state={}", tag("t"), tag("s"))
        );
        let plain = "GET /mcp?cursor=abc&page=2#top HTTP/1.1 code=5";
        assert_eq!(redacted(plain, false), plain);
    }

    #[test]
    fn the_user_of_a_url_is_replaced() {
        assert_eq!(
            redacted("see https://me:pw@x@host:8080/path and http://host/@a", false),
            format!("see https://{}@host:8080/path and http://host/@a", tag("me:pw@x"))
        );
        let long = format!("http://{}@host/", "a".repeat(5000));
        assert!(!redacted(&long, false).contains("aaaa"));
    }

    #[test]
    fn a_form_is_redacted_from_its_first_name_on() {
        assert_eq!(
            redacted(
                "code=SplxlO&grant_type=authorization_code&client_secret=a b",
                true
            ),
            format!(
                "code={}&grant_type=authorization_code&client_secret={}",
                tag("SplxlO"),
                tag("a b")
            )
        );
    }

    #[test]
    fn broken_escapes_are_taken_as_they_are() {
        assert_eq!(redacted("?token=%4", false), format!("?token={}", tag("%4")));
        assert_eq!(
            redacted("?token=%zz%41", false),
            format!("?token={}", tag("%zzA"))
        );
    }
}
