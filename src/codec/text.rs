//! The tokens of JSON: where strings, scalars and structure end, and what a string says, in parts of any size.

use memchr::memchr2;

use super::fingerprint::{Fingerprint, Fingerprinter};

/// How many bytes are looked at one by one before the vectorised search is worth its call.
const NEAR_BYTES: usize = 16;

/// Finds the quote that closes a string. `is_escaped` carries a backslash at the end of one part into the next.
///
/// Returns the offset of the quote, or `None` when all of `bytes` is inside the string.
pub(crate) fn string_end(bytes: &[u8], is_escaped: &mut bool) -> Option<usize> {
    let mut at = usize::from(std::mem::take(is_escaped) && !bytes.is_empty());
    loop {
        at += special(bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        if at + 1 == bytes.len() {
            *is_escaped = true;
            return None;
        }
        at += 2;
    }
}

/// The next quote or backslash.
#[inline]
pub(crate) fn special(bytes: &[u8]) -> Option<usize> {
    let near = bytes.len().min(NEAR_BYTES);
    if let Some(at) = bytes[..near].iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        return Some(at);
    }
    memchr2(b'"', b'\\', &bytes[near..]).map(|at| at + near)
}

/// How many bytes of white space `bytes` starts with.
#[inline]
pub(crate) fn blanks(bytes: &[u8]) -> usize {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    bytes
        .iter()
        .position(|byte| !is_blank(byte))
        .unwrap_or(bytes.len())
}

/// Where a number or word ends.
#[inline]
pub(crate) fn scalar_end(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| {
        matches!(
            byte,
            b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' | b'"' | b'{' | b'}' | b'[' | b']'
        )
    })
}

/// The next byte that opens or closes something.
#[inline]
pub(crate) fn structural(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| IS_STRUCTURAL[usize::from(*byte)])
}

const IS_STRUCTURAL: [bool; 256] = {
    let mut table = [false; 256];
    table[b'"' as usize] = true;
    table[b'{' as usize] = true;
    table[b'}' as usize] = true;
    table[b'[' as usize] = true;
    table[b']' as usize] = true;
    table
};

/// Where the value that `bytes` start with ends; `None` where none begins, or it is not whole.
pub(crate) fn value_end(bytes: &[u8]) -> Option<usize> {
    let end = match bytes.first()? {
        b'"' => string_end(&bytes[1..], &mut false)? + 2,
        b'{' | b'[' => container_end(bytes)?,
        b'}' | b']' => return None,
        _ => scalar_end(bytes).unwrap_or(bytes.len()),
    };
    (end > 0).then_some(end)
}

/// Where the object or array that `bytes` start with ends.
fn container_end(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = 0;
    loop {
        at += structural(&bytes[at..])? + 1;
        match bytes[at - 1] {
            b'"' => at += string_end(&bytes[at..], &mut false)? + 1,
            b'{' | b'[' => depth += 1,
            _ => depth = depth.checked_sub(1)?,
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Whether `text` is a number by the grammar of JSON.
pub(crate) fn is_number(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let (whole, text) = digits(text);
    if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
        return false;
    }
    let text = match text.strip_prefix(b".").map(digits) {
        Some(([], _)) => return false,
        Some((_, rest)) => rest,
        None => text,
    };
    let Some(exponent) = text.strip_prefix(b"e").or_else(|| text.strip_prefix(b"E")) else {
        return text.is_empty();
    };
    let exponent = exponent
        .strip_prefix(b"+")
        .or_else(|| exponent.strip_prefix(b"-"))
        .unwrap_or(exponent);
    !exponent.is_empty() && digits(exponent).1.is_empty()
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(
        text.iter()
            .position(|byte| !byte.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}

/// Decodes the escapes of a JSON string that arrives in parts.
///
/// Tolerant: an unknown escape stays as it is spelled, a broken `\u` becomes U+FFFD. A lone surrogate keeps its value
/// as three bytes that are not UTF-8, so that two different lone surrogates stay different.
#[derive(Debug, Default, Clone)]
pub(crate) struct Unescape {
    state: EscapeState,
    high_surrogate: Option<u16>,
}

#[derive(Debug, Default, Clone, Copy)]
enum EscapeState {
    #[default]
    Plain,
    Backslash,
    Unicode {
        value: u16,
        digits: u8,
    },
}

impl Unescape {
    /// Decodes the next part of the text between the quotes and hands the decoded bytes to `sink`.
    pub(crate) fn push(&mut self, mut raw: &[u8], sink: &mut impl FnMut(&[u8])) {
        while let Some(&byte) = raw.first() {
            match self.state {
                EscapeState::Plain => {
                    let plain = memchr::memchr(b'\\', raw).unwrap_or(raw.len());
                    if plain > 0 {
                        self.flush(sink);
                        sink(&raw[..plain]);
                        raw = &raw[plain..];
                    } else {
                        self.state = EscapeState::Backslash;
                        raw = &raw[1..];
                    }
                }
                EscapeState::Backslash => {
                    self.escape(byte, sink);
                    raw = &raw[1..];
                }
                EscapeState::Unicode { value, digits } => {
                    if self.hex_digit(byte, value, digits, sink) {
                        raw = &raw[1..];
                    }
                }
            }
        }
    }

    /// No escape is under way.
    pub(crate) fn is_at_rest(&self) -> bool {
        matches!(self.state, EscapeState::Plain) && self.high_surrogate.is_none()
    }

    /// Ends the text: what is still pending cannot be completed any more.
    pub(crate) fn finish(&mut self, sink: &mut impl FnMut(&[u8])) {
        self.flush(sink);
        self.state = EscapeState::Plain;
    }

    fn escape(&mut self, byte: u8, sink: &mut impl FnMut(&[u8])) {
        if byte == b'u' {
            self.state = EscapeState::Unicode { value: 0, digits: 0 };
            return;
        }
        self.state = EscapeState::Plain;
        self.flush(sink);
        match short_escape(byte) {
            Some(decoded) => sink(&[decoded]),
            None => sink(&[b'\\', byte]),
        }
    }

    /// Takes one digit of `\uXXXX`; returns whether the byte was used up.
    fn hex_digit(&mut self, byte: u8, value: u16, digits: u8, sink: &mut impl FnMut(&[u8])) -> bool {
        let Some(digit) = char::from(byte).to_digit(16) else {
            self.state = EscapeState::Plain;
            self.flush(sink);
            sink("\u{fffd}".as_bytes());
            return false;
        };
        let value = value << 4 | u16::try_from(digit).unwrap_or(0);
        if digits < 3 {
            self.state = EscapeState::Unicode {
                value,
                digits: digits + 1,
            };
        } else {
            self.state = EscapeState::Plain;
            self.code_unit(value, sink);
        }
        true
    }

    fn code_unit(&mut self, unit: u16, sink: &mut impl FnMut(&[u8])) {
        match (self.high_surrogate, unit) {
            (Some(high), 0xDC00..=0xDFFF) => {
                self.high_surrogate = None;
                let scalar = 0x1_0000 + ((u32::from(high) - 0xD800) << 10) + (u32::from(unit) - 0xDC00);
                encode(scalar, sink);
            }
            (_, 0xD800..=0xDBFF) => {
                self.flush(sink);
                self.high_surrogate = Some(unit);
            }
            _ => {
                self.flush(sink);
                encode(u32::from(unit), sink);
            }
        }
    }

    fn flush(&mut self, sink: &mut impl FnMut(&[u8])) {
        if let Some(high) = self.high_surrogate.take() {
            encode(u32::from(high), sink);
        }
    }
}

/// Encodes a code point as UTF-8, and a lone surrogate by the same scheme (which is not valid UTF-8).
fn encode(code_point: u32, sink: &mut impl FnMut(&[u8])) {
    if let Some(character) = char::from_u32(code_point) {
        sink(character.encode_utf8(&mut [0; 4]).as_bytes());
        return;
    }
    let [_, _, high, low] = code_point.to_be_bytes();
    sink(&[
        0xE0 | high >> 4,
        0x80 | (high & 0x0F) << 2 | low >> 6,
        0x80 | low & 0x3F,
    ]);
}

/// Decodes the text between the quotes of a JSON string in one go.
pub(crate) fn decode(raw: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut unescape = Unescape::default();
    let mut sink = |part: &[u8]| decoded.extend_from_slice(part);
    unescape.push(raw, &mut sink);
    unescape.finish(&mut sink);
    decoded
}

/// How much of a JSON string [`TextCollector`] keeps, decoded, in bytes.
pub(crate) const MAX_TEXT_BYTES: usize = 512;

/// One JSON string (without its quotes) or scalar, as far as it was kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    /// As spelled; cut to the same length as `decoded` or later.
    pub(crate) raw: &'a [u8],
    /// With escapes decoded; the first [`MAX_TEXT_BYTES`] at least.
    pub(crate) decoded: &'a [u8],
    /// Whether something is missing at the end of `raw`, or of `decoded`.
    pub(crate) is_raw_cut: bool,
    /// Whether something is missing at the end of `decoded`.
    pub(crate) is_decoded_cut: bool,
    /// Of the whole decoded text, if it was asked for and `decoded` is cut.
    pub(crate) fingerprint: Option<Fingerprint>,
}

impl<'a> Text<'a> {
    /// A text that needed no decoding and is here as a whole.
    pub(crate) fn plain(text: &'a [u8]) -> Self {
        Self {
            raw: text,
            decoded: text,
            is_raw_cut: false,
            is_decoded_cut: false,
            fingerprint: None,
        }
    }

    /// The fingerprint of the whole decoded text.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.unwrap_or_else(|| Fingerprint::of(self.decoded))
    }

    /// The decoded text for display: lossy, at most [`MAX_TEXT_BYTES`] bytes and then `…`.
    pub(crate) fn to_capped(self) -> Box<str> {
        capped(self.decoded, self.is_decoded_cut, MAX_TEXT_BYTES)
    }
}

/// `bytes` as text of at most `max_bytes` bytes, cut between characters and then marked with `…`.
pub(crate) fn capped(bytes: &[u8], is_cut: bool, max_bytes: usize) -> Box<str> {
    if !is_cut
        && bytes.len() <= max_bytes
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return text.into();
    }
    let is_cut = is_cut || bytes.len() > max_bytes;
    let head = &bytes[..bytes.len().min(max_bytes)];
    let head = if is_cut {
        &head[..whole_characters(head)]
    } else {
        head
    };
    let mut text = String::from_utf8_lossy(head).into_owned();
    // Each bad byte has become three.
    let is_cut = is_cut || text.len() > max_bytes;
    text.truncate(whole_characters(&text.as_bytes()[..text.len().min(max_bytes)]));
    if is_cut {
        text.push('…');
    }
    text.into_boxed_str()
}

/// The length of `bytes` without a character that was cut in two at its end.
pub(crate) fn whole_characters(bytes: &[u8]) -> usize {
    let lead = bytes.iter().rev().take(4).position(|byte| byte & 0xC0 != 0x80);
    let Some(back) = lead else { return bytes.len() };
    let start = bytes.len() - back - 1;
    let needed = match bytes[start] {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF7 => 4,
        _ => 1,
    };
    if needed > back + 1 { start } else { bytes.len() }
}

/// Keeps the head of a JSON string that has escapes or arrives in parts.
#[derive(Debug, Default)]
pub(crate) struct TextCollector {
    raw: Vec<u8>,
    is_raw_cut: bool,
    decoded: Decoded,
    unescape: Unescape,
}

#[derive(Debug, Default)]
struct Decoded {
    head: Vec<u8>,
    is_cut: bool,
    wants_fingerprint: bool,
    fingerprinter: Option<Fingerprinter>,
}

impl Decoded {
    fn push(&mut self, part: &[u8]) {
        let room = MAX_TEXT_BYTES.saturating_sub(self.head.len());
        if !self.is_cut && part.len() <= room {
            self.head.extend_from_slice(part);
            return;
        }
        if self.wants_fingerprint {
            let head = &self.head;
            let hasher = self.fingerprinter.get_or_insert_with(|| {
                let mut hasher = Fingerprinter::default();
                hasher.push(head);
                hasher
            });
            hasher.push(part);
        }
        if !self.is_cut {
            self.head.extend_from_slice(&part[..room]);
        }
        self.is_cut = true;
    }
}

impl TextCollector {
    /// Starts over; `wants_fingerprint` when the whole text will be compared.
    pub(crate) fn reset(&mut self, wants_fingerprint: bool) {
        self.raw.clear();
        self.is_raw_cut = false;
        self.decoded.head.clear();
        self.decoded.is_cut = false;
        self.decoded.wants_fingerprint = wants_fingerprint;
        self.decoded.fingerprinter = None;
        self.unescape = Unescape::default();
    }

    /// Takes the next part of a string's inside.
    pub(crate) fn push_string(&mut self, part: &[u8]) {
        self.push_raw(part);
        let decoded = &mut self.decoded;
        self.unescape.push(part, &mut |text| decoded.push(text));
    }

    /// Takes the next part of a number or word, which has no escapes.
    pub(crate) fn push_scalar(&mut self, part: &[u8]) {
        self.push_raw(part);
        self.decoded.push(part);
    }

    fn push_raw(&mut self, part: &[u8]) {
        let kept = part.len().min(MAX_TEXT_BYTES.saturating_sub(self.raw.len()));
        self.raw.extend_from_slice(&part[..kept]);
        self.is_raw_cut |= kept < part.len();
    }

    /// Ends the text and shows what was kept.
    pub(crate) fn finish(&mut self) -> Text<'_> {
        let decoded = &mut self.decoded;
        self.unescape.finish(&mut |text| decoded.push(text));
        Text {
            raw: &self.raw,
            decoded: &self.decoded.head,
            is_raw_cut: self.is_raw_cut,
            is_decoded_cut: self.decoded.is_cut,
            fingerprint: self.decoded.fingerprinter.take().map(Fingerprinter::finish),
        }
    }
}

/// What a backslash and this byte stand for in a JSON string, if these two are all (RFC 8259 §7).
pub(crate) const fn short_escape(byte: u8) -> Option<u8> {
    Some(match byte {
        b'"' | b'\\' | b'/' => byte,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_decode_as_a_json_parser_does() {
        let raw = br#"a\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00 z"#;
        let expected: String = serde_json::from_slice(&[b"\"", &raw[..], b"\""].concat()).unwrap();
        assert_eq!(decode(raw), expected.as_bytes());
    }

    #[test]
    fn broken_escapes_stay_visible() {
        assert_eq!(decode(br"a\qb"), br"a\qb");
        assert_eq!(decode(br"\u00zb"), "\u{fffd}zb".as_bytes());
        assert_eq!(decode(br"\ud800x"), b"\xED\xA0\x80x");
        assert_ne!(decode(br"\ud800"), decode(br"\udbff"));
        assert_eq!(decode(br"\ud83d\ud83d\ude00"), b"\xED\xA0\xBD\xF0\x9F\x98\x80");
    }

    #[test]
    fn a_split_anywhere_finds_the_same_end_and_the_same_text() {
        let text = br#"say \"\u00e9\ud83d\ude00\\" rest"#;
        let end = string_end(text, &mut false).unwrap();
        for split in 0..=end {
            let mut is_escaped = false;
            assert_eq!(
                string_end(&text[..split], &mut is_escaped),
                None,
                "split at {split}"
            );
            assert_eq!(
                string_end(&text[split..], &mut is_escaped),
                Some(end - split),
                "split at {split}"
            );
            let mut collector = TextCollector::default();
            collector.push_string(&text[..split]);
            collector.push_string(&text[split..end]);
            assert_eq!(collector.finish().decoded, decode(&text[..end]));
        }
    }

    #[test]
    fn a_cut_falls_between_characters_and_is_marked() {
        assert_eq!(&*capped("aé".as_bytes(), false, 3), "aé");
        assert_eq!(&*capped("aéb".as_bytes(), false, 2), "a…");
        assert_eq!(&*capped("ab".as_bytes(), true, 2), "ab…");
        assert_eq!(&*capped(b"\xFF\xFF\xFF\xFF", false, 4), "\u{fffd}…");
        assert_eq!(whole_characters("a😀".as_bytes()), 5);
        assert_eq!(whole_characters(&"a😀".as_bytes()[..4]), 1);
        assert_eq!(whole_characters(b"\x80\x80\x80\x80"), 4);
    }

    #[test]
    fn a_long_text_is_kept_by_its_head_and_its_fingerprint() {
        let long = vec![b'x'; 2_000];
        let mut collector = TextCollector::default();
        collector.reset(true);
        for part in long.chunks(7) {
            collector.push_string(part);
        }
        let text = collector.finish();
        assert_eq!(text.decoded.len(), MAX_TEXT_BYTES);
        assert!(text.is_decoded_cut && text.is_raw_cut);
        assert_eq!(text.fingerprint(), Fingerprint::of(&long));
    }
}
