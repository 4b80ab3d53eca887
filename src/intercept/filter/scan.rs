//! A pull scanner over JSON bytes: no recursion, no value tree, nothing kept but a position.

use std::borrow::Cow;

use memchr::memchr2;

/// A JSON value where it lies.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum JsonValue<'b> {
    /// A string, decoded. What is not valid UTF-8 or half a surrogate pair is U+FFFD.
    String(Cow<'b, str>),
    /// A number as it is spelled.
    Number(&'b str),
    /// `true`, `false` or `null`.
    Literal(&'b str),
    /// An object or array as it is spelled.
    Container(Cow<'b, str>),
}

impl<'b> JsonValue<'b> {
    /// The value of one raw JSON token, such as an id.
    pub(super) fn of_token(token: &'b str) -> Option<Self> {
        let mut scanner = Scanner::new(token.as_bytes());
        scanner.value(true)
    }

    /// A string decoded, anything else as it is spelled.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::String(text) | Self::Container(text) => text,
            Self::Number(text) | Self::Literal(text) => text,
        }
    }
}

/// Reads a JSON document from front to back. Lenient: what is skipped is not checked beyond strings and brackets.
///
/// Methods that give an `Option` answer `None` where the bytes end too early or cannot be JSON; the search ends there.
pub(super) struct Scanner<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Scanner<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    /// Passes over a byte order mark, which some peers send.
    pub(super) fn skip_mark(&mut self) {
        if self.bytes.starts_with(b"\xef\xbb\xbf") {
            self.at = 3;
        }
    }

    pub(super) fn skip_white(&mut self) {
        self.skip_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    }

    /// Passes over white space and commas between the children of a container.
    pub(super) fn skip_separators(&mut self) {
        self.skip_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b','));
    }

    /// Reads the name of a member and its colon.
    pub(super) fn key(&mut self) -> Option<Cow<'b, str>> {
        let raw = self.string()?;
        self.skip_white();
        if self.peek()? != b':' {
            return None;
        }
        self.advance();
        Some(decode(raw))
    }

    /// Reads one value. Only a value that `is_whole` documents may end where the bytes end.
    pub(super) fn value(&mut self, is_whole: bool) -> Option<JsonValue<'b>> {
        self.skip_white();
        let first = self.peek()?;
        if first == b'"' {
            return self.string().map(|raw| JsonValue::String(decode(raw)));
        }
        let start = self.at;
        self.skip_value(is_whole)?;
        let raw = self.bytes.get(start..self.at)?;
        if matches!(first, b'{' | b'[') {
            return Some(JsonValue::Container(String::from_utf8_lossy(raw)));
        }
        match (first, std::str::from_utf8(raw).ok()?) {
            (_, literal @ ("true" | "false" | "null")) => Some(JsonValue::Literal(literal)),
            (b'-' | b'0'..=b'9', number) => Some(JsonValue::Number(number)),
            _ => None,
        }
    }

    /// Passes over one value, however deep it is.
    pub(super) fn skip_value(&mut self, is_whole: bool) -> Option<()> {
        self.skip_white();
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            b'{' | b'[' => self.skip_container(),
            _ => self.skip_scalar(is_whole),
        }
    }

    fn skip_container(&mut self) -> Option<()> {
        // A counter instead of a stack: which bracket closes which matters only to a checker.
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.advance();
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn skip_scalar(&mut self, is_whole: bool) -> Option<()> {
        let start = self.at;
        self.skip_while(|byte| {
            !matches!(
                byte,
                b' ' | b'\t' | b'\r' | b'\n' | b',' | b']' | b'}' | b'[' | b'{' | b':' | b'"'
            )
        });
        let is_cut = self.at == self.bytes.len() && !is_whole;
        (self.at > start && !is_cut).then_some(())
    }

    /// Reads a string and gives what is between its quotes.
    fn string(&mut self) -> Option<&'b [u8]> {
        if self.peek()? != b'"' {
            return None;
        }
        let start = self.at + 1;
        let mut end = start;
        loop {
            end += memchr2(b'"', b'\\', self.bytes.get(end..)?)?;
            if self.bytes.get(end) == Some(&b'"') {
                break;
            }
            end += 2;
        }
        self.at = end + 1;
        self.bytes.get(start..end)
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.advance();
        }
    }
}

/// Decodes what is between the quotes of a JSON string.
///
/// Source: RFC 8259, section 7. An escape it does not know stays as it is spelled.
fn decode(raw: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(raw);
    if !text.contains('\\') {
        return text;
    }
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c == '\\' {
            decode_escape(&mut rest, &mut decoded);
        } else {
            decoded.push(c);
        }
    }
    Cow::Owned(decoded)
}

fn decode_escape(rest: &mut std::str::Chars<'_>, decoded: &mut String) {
    match rest.next() {
        Some('n') => decoded.push('\n'),
        Some('t') => decoded.push('\t'),
        Some('r') => decoded.push('\r'),
        Some('b') => decoded.push('\u{8}'),
        Some('f') => decoded.push('\u{c}'),
        Some('u') => decoded.push(decode_unit(rest)),
        Some(plain @ ('"' | '\\' | '/')) => decoded.push(plain),
        Some(unknown) => decoded.extend(['\\', unknown]),
        None => decoded.push('\\'),
    }
}

/// Reads the digits of a `\u` escape, and the second half of a surrogate pair if one follows.
fn decode_unit(rest: &mut std::str::Chars<'_>) -> char {
    let Some(unit) = hex_unit(rest) else {
        return char::REPLACEMENT_CHARACTER;
    };
    if let Some(c) = char::from_u32(unit) {
        return c;
    }
    let mut ahead = rest.clone();
    let is_high = (0xd800..0xdc00).contains(&unit);
    let is_followed = is_high && ahead.next() == Some('\\') && ahead.next() == Some('u');
    if is_followed && let Some(low @ 0xdc00..0xe000) = hex_unit(&mut ahead) {
        *rest = ahead;
        let joined = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        return char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    char::REPLACEMENT_CHARACTER
}

fn hex_unit(rest: &mut std::str::Chars<'_>) -> Option<u32> {
    let mut ahead = rest.clone();
    let mut unit = 0;
    for _ in 0..4 {
        unit = unit * 16 + ahead.next()?.to_digit(16)?;
    }
    *rest = ahead;
    Some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_value_of_its_own_type() {
        assert_eq!(JsonValue::of_token("7"), Some(JsonValue::Number("7")));
        assert_eq!(JsonValue::of_token("\"7\""), Some(JsonValue::String("7".into())));
        assert_eq!(JsonValue::of_token("null"), Some(JsonValue::Literal("null")));
        assert_eq!(JsonValue::of_token("nonsense"), None);
        assert_eq!(JsonValue::of_token(""), None);
    }

    #[test]
    fn escapes_are_decoded() {
        assert_eq!(decode(br#"a\n\"\/\u00e9\ud83d\ude00"#), "a\n\"/é😀");
    }

    #[test]
    fn half_a_surrogate_pair_is_shown_as_such_and_eats_nothing() {
        assert_eq!(decode(br"\ud83dx"), "\u{fffd}x");
        assert_eq!(decode(br"\ud83d\u0041"), "\u{fffd}A");
        assert_eq!(decode(br"\u12"), "\u{fffd}12");
    }

    proptest::proptest! {
        #[test]
        fn a_string_decodes_as_a_full_parser_decodes_it(text: String) {
            let token = serde_json::to_string(&text).expect("a string is JSON");
            proptest::prop_assert_eq!(JsonValue::of_token(&token), Some(JsonValue::String(text.into())));
        }
    }
}
