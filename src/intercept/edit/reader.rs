//! JSON text as it is spelled, read strictly, in one pass and without recursion.

use std::fmt;
use std::ops::Range;

use crate::codec::BYTE_ORDER_MARK;
use crate::codec::text::{blanks, is_number, scalar_end, string_end, value_end};

/// Most objects and arrays inside each other. More: refused.
pub const MAX_NESTING: usize = 128;

/// Where a text stops being JSON, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyntaxError {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub text: &'static str,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.text)
    }
}

/// Line and column of a byte, both from 1; the column in characters.
pub(super) fn position(bytes: &[u8], at: usize) -> (usize, usize) {
    let head = &bytes[..at.min(bytes.len())];
    let line = memchr::memchr_iter(b'\n', head).count() + 1;
    let start = memchr::memrchr(b'\n', head).map_or(0, |end| end + 1);
    let shown = head[start..]
        .strip_prefix(BYTE_ORDER_MARK)
        .unwrap_or(&head[start..]);
    (line, String::from_utf8_lossy(shown).chars().count() + 1)
}

/// A piece of JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// The name of a member, with its quotes.
    Key(Range<usize>),
    /// A string, number or word.
    Scalar(Range<usize>),
    /// An object or array begins.
    Open(usize),
    /// The innermost object or array ends at this bracket.
    Close(usize),
}

/// What is wrong at a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) text: &'static str,
}

impl Fault {
    pub(super) fn in_text(self, bytes: &[u8]) -> SyntaxError {
        let (line, column) = position(bytes, self.at);
        SyntaxError {
            line,
            column,
            text: self.text,
        }
    }
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expects {
    Value,
    FirstElement,
    FirstKey,
    Key,
    /// A comma, a bracket or the end.
    More,
    /// Nothing: a fault was found.
    Nothing,
}

/// Gives the pieces of a JSON text; ends after a fault. Text in strings may be bad UTF-8.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// For each open container whether it is an object.
    open: Vec<bool>,
    expects: Expects,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: if bytes.starts_with(BYTE_ORDER_MARK) {
                BYTE_ORDER_MARK.len()
            } else {
                0
            },
            open: Vec::new(),
            expects: Expects::Value,
        }
    }

    fn read(&mut self) -> Result<Option<Event>, Fault> {
        use Expects::{FirstElement, FirstKey, Key, More, Nothing, Value};
        loop {
            self.at += blanks(&self.bytes[self.at..]);
            let byte = self.bytes.get(self.at).copied();
            let inside = self.open.last().copied();
            match (self.expects, byte, inside) {
                (Nothing, ..) | (More, None, None) => return Ok(None),
                (More, Some(b','), Some(is_object)) => {
                    self.at += 1;
                    self.expects = if is_object { Key } else { Value };
                }
                (More | FirstKey, Some(b'}'), Some(true))
                | (More | FirstElement, Some(b']'), Some(false)) => {
                    return Ok(Some(self.close()));
                }
                (FirstKey | Key, Some(b'"'), _) => return self.key().map(Some),
                (Value | FirstElement, Some(byte), _) => return self.value(byte).map(Some),
                (expects, byte, inside) => return Err(self.fault(unexpected(expects, byte, inside))),
            }
        }
    }

    fn fault(&self, text: &'static str) -> Fault {
        Fault { at: self.at, text }
    }

    fn close(&mut self) -> Event {
        self.open.pop();
        self.expects = Expects::More;
        self.at += 1;
        Event::Close(self.at - 1)
    }

    fn key(&mut self) -> Result<Event, Fault> {
        let key = self.string()?;
        self.at += blanks(&self.bytes[self.at..]);
        if self.bytes.get(self.at) != Some(&b':') {
            return Err(self.fault("a colon is missing after this name"));
        }
        self.at += 1;
        self.expects = Expects::Value;
        Ok(Event::Key(key))
    }

    fn value(&mut self, byte: u8) -> Result<Event, Fault> {
        match byte {
            b'"' => {
                self.expects = Expects::More;
                self.string().map(Event::Scalar)
            }
            b'{' | b'[' => self.open(byte == b'{'),
            _ => self.word(byte),
        }
    }

    fn open(&mut self, is_object: bool) -> Result<Event, Fault> {
        if self.open.len() == MAX_NESTING {
            return Err(self.fault(TOO_DEEP));
        }
        self.open.push(is_object);
        self.expects = if is_object {
            Expects::FirstKey
        } else {
            Expects::FirstElement
        };
        self.at += 1;
        Ok(Event::Open(self.at - 1))
    }

    fn word(&mut self, byte: u8) -> Result<Event, Fault> {
        let rest = &self.bytes[self.at..];
        let text = &rest[..scalar_end(rest).unwrap_or(rest.len())];
        if !matches!(text, b"true" | b"false" | b"null") && !is_number(text) {
            return Err(self.fault(match byte {
                b',' | b'}' | b']' => "a value is missing before this",
                b'-' | b'0'..=b'9' => "this is no number",
                _ => "this is no value; a text needs quotes",
            }));
        }
        let start = self.at;
        self.at += text.len();
        self.expects = Expects::More;
        Ok(Event::Scalar(start..self.at))
    }

    /// Passes a string that starts here.
    fn string(&mut self) -> Result<Range<usize>, Fault> {
        let start = self.at;
        let inside = &self.bytes[start + 1..];
        let length =
            string_end(inside, &mut false).ok_or_else(|| self.fault("this text has no closing quote"))?;
        if let Some((at, text)) = fault_in_string(&inside[..length]) {
            return Err(Fault {
                at: start + 1 + at,
                text,
            });
        }
        self.at = start + length + 2;
        Ok(start..self.at)
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Event, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        if read.is_err() {
            self.expects = Expects::Nothing;
        }
        read.transpose()
    }
}

pub(super) const TOO_DEEP: &str = "more than 128 objects and arrays inside each other";

fn unexpected(expects: Expects, byte: Option<u8>, inside: Option<bool>) -> &'static str {
    match (expects, byte, inside) {
        (Expects::Value, None, None) => "there is no value",
        (_, None, _) => "the text ends before it is complete",
        (Expects::More, Some(_), None) => "something follows the end of the value",
        (Expects::More, Some(_), Some(true)) => "a comma or } is missing before this",
        (Expects::More, Some(_), Some(false)) => "a comma or ] is missing before this",
        (Expects::Key, Some(b'}'), _) => "there is a comma before this }",
        _ => "a name in double quotes is missing before this",
    }
}

/// What is wrong inside a string, and where.
fn fault_in_string(inside: &[u8]) -> Option<(usize, &'static str)> {
    if let Some(at) = inside.iter().position(|byte| *byte < b' ') {
        let text = if matches!(inside[at], b'\n' | b'\r') {
            "the text is not closed on its line; a line break in a text is written \\n"
        } else {
            "a control character in a text is written as an escape, such as \\t"
        };
        return Some((at, text));
    }
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &inside[at..]) {
        at += found;
        let is_known = match inside.get(at + 1) {
            Some(b'u') => inside
                .get(at + 2..at + 6)
                .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
            Some(byte) => br#""\/bfnrt"#.contains(byte),
            None => false,
        };
        if !is_known {
            return Some((at, "there is no such escape; a backslash is written \\\\"));
        }
        at += 2;
    }
    None
}

/// Checks a text; where its value stands, without what surrounds it.
pub(super) fn read(bytes: &[u8]) -> Result<Range<usize>, SyntaxError> {
    let mut whole: Option<Range<usize>> = None;
    for event in Reader::new(bytes) {
        let place = match event.map_err(|fault| fault.in_text(bytes))? {
            Event::Key(place) | Event::Scalar(place) => place,
            Event::Open(at) | Event::Close(at) => at..at + 1,
        };
        whole = Some(whole.map_or(place.start, |whole| whole.start)..place.end);
    }
    // Without a value there was a fault.
    Ok(whole.unwrap_or_default())
}

/// A member of an object or an element of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Child {
    /// The name of a member, with its quotes.
    pub(super) key: Option<Range<usize>>,
    /// The value as it is spelled.
    pub(super) value: Range<usize>,
}

impl Child {
    /// Where the child starts: at its name, if it has one.
    pub(super) fn start(&self) -> usize {
        self.key.as_ref().unwrap_or(&self.value).start
    }
}

/// The children of a value in order; none if it is no object or array. For text that [`read`] has checked: what is
/// broken ends them.
pub(super) fn children<'a>(bytes: &'a [u8], value: &Range<usize>) -> impl Iterator<Item = Child> + use<'a> {
    let is_object = bytes.get(value.start) == Some(&b'{');
    let end = if is_object || bytes.get(value.start) == Some(&b'[') {
        value.end - 1
    } else {
        0
    };
    let mut at = value.start + 1;
    std::iter::from_fn(move || {
        at += blanks(bytes.get(at..end)?);
        at += usize::from(bytes[at] == b',');
        at += blanks(bytes.get(at..end)?);
        let key = if is_object {
            Some(at..at + value_end(bytes.get(at..)?)?)
        } else {
            None
        };
        if let Some(key) = &key {
            at = key.end + blanks(&bytes[key.end..]) + 1;
            at += blanks(bytes.get(at..end)?);
        }
        let value = at..at + value_end(bytes.get(at..end)?)?;
        at = value.end;
        Some(Child { key, value })
    })
}

/// What a value is, as it is said in an error.
pub(super) fn described(bytes: &[u8], value: &Range<usize>) -> String {
    match bytes[value.start] {
        b'{' => "an object".to_owned(),
        b'[' => format!("an array of {}", children(bytes, value).count()),
        b'"' => "a text".to_owned(),
        b't' | b'f' => "true or false".to_owned(),
        b'n' => "null".to_owned(),
        _ => "a number".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fault(text: &str) -> (usize, usize, &'static str) {
        let error = read(text.as_bytes()).unwrap_err();
        (error.line, error.column, error.text)
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, line, column, reason) in [
            ("", 1, 1, "no value"),
            ("{\"a\":1\n \"b\":2}", 2, 2, "a comma or }"),
            ("[1,\n2,\n]", 3, 1, "a value is missing"),
            ("{\"é\":1,}", 1, 8, "a comma before this }"),
            ("{a:1}", 1, 2, "a name in double quotes"),
            ("{\"a\" 1}", 1, 6, "a colon"),
            ("{\"a\":\"x\n\"}", 1, 8, "not closed on its line"),
            ("[\"x\\q\"]", 1, 4, "no such escape"),
            ("[\"\\u00g0\"]", 1, 3, "no such escape"),
            ("[\"open", 1, 2, "no closing quote"),
            ("[01]", 1, 2, "no number"),
            ("[yes]", 1, 2, "a text needs quotes"),
            ("{} {}", 1, 4, "follows the end"),
            ("[1", 1, 3, "ends before it is complete"),
            ("[}", 1, 2, "a value is missing"),
        ] {
            let found = fault(text);
            assert!(found.2.contains(reason), "{text}: {found:?}");
            assert_eq!((found.0, found.1), (line, column), "{text}");
        }
    }

    #[test]
    fn nesting_has_a_bound() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(read(nested(MAX_NESTING).as_bytes()), Ok(0..2 * MAX_NESTING));
        assert_eq!(fault(&nested(MAX_NESTING + 1)).2, TOO_DEEP);
        assert!(TOO_DEEP.contains(&MAX_NESTING.to_string()));
        assert_eq!(fault(&nested(100_000)).2, TOO_DEEP);
    }

    #[test]
    fn a_mark_and_white_space_are_not_part_of_the_value() {
        assert_eq!(read("\u{feff} [1] \n".as_bytes()), Ok(4..7));
    }

    #[test]
    fn children_are_found_where_they_stand() {
        let text = br#"{ "a" : [1, 2] , "b":{} }"#;
        let spans: Vec<_> = children(text, &(0..text.len())).collect();
        assert_eq!(&text[spans[0].key.clone().unwrap()], br#""a""#);
        assert_eq!(&text[spans[0].value.clone()], b"[1, 2]");
        assert_eq!(&text[spans[1].value.clone()], b"{}");
        assert_eq!(spans.len(), 2);
        assert_eq!(children(b"[ ]", &(0..3)).count(), 0);
        assert_eq!(children(b"12", &(0..2)).count(), 0);
    }

    proptest! {
        #[test]
        fn a_text_is_json_where_a_full_parser_says_so(text in r#"[\[\]{},:"a1 \\n.e-]{0,12}"#) {
            let expected = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(read(text.as_bytes()).is_ok(), expected, "{}", text);
        }

        #[test]
        fn any_bytes_are_read_without_a_fault(bytes: Vec<u8>) {
            let _ = read(&bytes);
            children(&bytes, &(0..bytes.len().max(1))).count();
        }
    }
}
