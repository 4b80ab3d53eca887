//! Secrets in text that is or contains URLs, and in form bodies: query values, fragments, user names and passwords.

use super::glance::Glance;
use super::names::{MAX_NAME_BYTES, is_secret_parameter};
use super::output::Output;
use super::spelling::{Held, Spelling};
use super::tag::Secret;

/// The longest authority that is held back to see whether it names a user. A longer one is left out as a whole,
/// since no host is that long.
pub(super) const MAX_AUTHORITY_BYTES: usize = 2048;

/// What stands for a user and a password in our own advice, and is nobody's secret.
const PLACEHOLDER: &[u8] = b"USER:PASSWORD";

/// Redacts text that comes in parts of any size.
///
/// A value is taken for a secret by the name before its `=`; a name starts after `?`, `&` or `#`, in a form also at
/// the start. What stands between `://` and an `@` is a secret too. All else passes as it is.
#[derive(Debug)]
pub(crate) struct TextRedactor {
    spelling: Spelling,
    bytes: Bytes,
}

#[derive(Debug)]
struct Bytes {
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
    Authority(Authority),
    LongAuthority(Secret),
}

#[derive(Debug)]
struct Value {
    secret: Secret,
    percent: PercentDecoder,
    is_empty: bool,
}

/// What may be a user and a host.
#[derive(Debug, Default)]
struct Authority {
    held: Held,
    /// Where its last `@` is, in the spelling and in the text.
    at: Option<(usize, usize)>,
}

impl TextRedactor {
    /// For text that may contain URLs.
    pub(crate) fn for_urls() -> Self {
        Self::new(State::Plain(0), false, Spelling::default())
    }

    /// For the same between the quotes of a JSON string.
    pub(super) fn for_string() -> Self {
        Self::new(State::Plain(0), false, Spelling::json())
    }

    /// For a body of `application/x-www-form-urlencoded`.
    pub(super) fn for_form() -> Self {
        Self::new(State::Name, true, Spelling::default())
    }

    fn new(state: State, is_form: bool, spelling: Spelling) -> Self {
        let name = Vec::new();
        let bytes = Bytes { state, name, is_form };
        Self { spelling, bytes }
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8], out: &mut Output<'_>) {
        let Self {
            spelling,
            bytes: text,
        } = self;
        let mut glance = Glance::new(bytes, spelling.is_json());
        let mut at = 0;
        while at < bytes.len() {
            if matches!(text.state, State::Plain(0)) && spelling.is_at_rest() {
                let end = glance.from(at);
                out.pass(&bytes[at..end]);
                at = end;
            }
            if let Some(byte) = bytes.get(at) {
                spelling.byte(*byte, &mut |raw, byte| text.byte(raw, byte, out));
                at += 1;
            }
        }
    }

    /// The text, or a line of it, is over.
    pub(crate) fn finish(&mut self, out: &mut Output<'_>) {
        let Self {
            spelling,
            bytes: text,
        } = self;
        spelling.finish(&mut |raw, byte| text.byte(raw, byte, out));
        text.finish(out);
    }
}

impl Bytes {
    fn finish(&mut self, out: &mut Output<'_>) {
        match std::mem::replace(&mut self.state, State::Plain(0)) {
            State::Plain(_) | State::Name => {}
            State::Value(value) => value.finish(out),
            State::Authority(authority) => authority.write(out),
            State::LongAuthority(secret) => out.end(secret),
        }
    }

    fn byte(&mut self, raw: &[u8], byte: u8, out: &mut Output<'_>) {
        match &mut self.state {
            State::Plain(matched) => {
                let matched = *matched;
                self.plain(raw, byte, matched, out);
            }
            State::Name => self.name_byte(raw, byte, out),
            State::Value(value) => {
                if is_value_end(byte, self.is_form) {
                    self.finish(out);
                    self.plain(raw, byte, 0, out);
                } else {
                    value.push(byte);
                }
            }
            State::Authority(_) | State::LongAuthority(_) if is_authority_end(byte) => {
                self.finish(out);
                self.plain(raw, byte, 0, out);
            }
            State::Authority(authority) if authority.held.text.len() < MAX_AUTHORITY_BYTES => {
                authority.push(raw, byte);
            }
            State::Authority(authority) => {
                let mut secret = out.begin();
                secret.push(&authority.held.text);
                secret.push(&[byte]);
                self.state = State::LongAuthority(secret);
            }
            State::LongAuthority(secret) => secret.push(&[byte]),
        }
    }

    fn plain(&mut self, raw: &[u8], byte: u8, matched: u8, out: &mut Output<'_>) {
        out.pass(raw);
        self.state = match (byte, matched) {
            (b'?' | b'&' | b'#', _) => {
                self.name.clear();
                State::Name
            }
            (b':', _) => State::Plain(1),
            (b'/', 1) => State::Plain(2),
            (b'/', 2) => State::Authority(Authority::default()),
            _ => State::Plain(0),
        };
    }

    fn name_byte(&mut self, raw: &[u8], byte: u8, out: &mut Output<'_>) {
        if byte == b'=' {
            out.pass(raw);
            self.state = if is_secret_parameter(&percent_decoded(&self.name)) {
                State::Value(Value {
                    secret: out.begin(),
                    percent: PercentDecoder::default(),
                    is_empty: true,
                })
            } else {
                State::Plain(0)
            };
        } else if is_in_name(byte) {
            out.pass(raw);
            // Three bytes a character at most; what does not fit is too long to be compared anyway.
            if self.name.len() <= MAX_NAME_BYTES * 3 {
                self.name.push(byte);
            }
        } else if byte == b';' && self.name == b"amp" {
            // HTML writes `&amp;`.
            out.pass(raw);
            self.name.clear();
        } else {
            self.plain(raw, byte, 0, out);
        }
    }
}

impl Authority {
    fn push(&mut self, raw: &[u8], byte: u8) {
        if byte == b'@' {
            self.at = Some((self.held.raw.len(), self.held.text.len()));
        }
        self.held.push(raw, byte);
    }

    fn write(&self, out: &mut Output<'_>) {
        let Held { raw, text } = &self.held;
        let (in_raw, in_text) = self.at.unwrap_or_default();
        let user = &text[..in_text];
        if user == PLACEHOLDER {
            out.pass(raw);
        } else {
            out.replace(user);
            out.pass(&raw[in_raw..]);
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

pub(super) fn is_in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~%[]+!$*".contains(&byte)
}

fn is_value_end(byte: u8, is_form: bool) -> bool {
    byte == b'&' || !is_form && (byte <= b' ' || byte == 0x7f || b"#\"<>".contains(&byte))
}

pub(super) fn is_authority_end(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f || b"/?#\"<>".contains(&byte)
}

/// The text of a query or a form, as far as it is written in escapes. A `+` stays.
pub(crate) fn percent_decoded(text: &[u8]) -> Vec<u8> {
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
        assert_eq!(
            redacted("<a href=\"/cb?x=1&amp;code=c&amp;y=2\">", false),
            format!("<a href=\"/cb?x=1&amp;code={}&amp;y=2\">", tag("c"))
        );
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
