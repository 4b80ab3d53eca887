//! JSON text as it is spelled: laid out for display, squeezed into one line, searched by path.
//!
//! Nothing here builds a tree, recurses, or changes a number's spelling, an escape, the order of keys or a duplicate.
//! Broken JSON is worked on as far as it goes.

use std::borrow::Cow;

use super::BYTE_ORDER_MARK;
use super::text::{blanks, decode, is_number, scalar_end, string_end, value_end};

/// The most lines that [`pretty`] makes.
pub const MAX_PRETTY_LINES: usize = 1 << 18;

/// What a stretch of text is, for colouring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A string before a colon.
    Key,
    /// Any other string.
    String,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`.
    Null,
    /// Brackets, braces, commas and colons.
    Punctuation,
    /// Something that JSON does not have.
    Garbage,
}

/// One line of laid out JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrettyLine {
    /// Nesting depth: how many steps to indent. Saturates.
    pub indent: u16,
    /// The stretches of text, spelled as in the source; bad UTF-8 as U+FFFD. Not yet safe for a terminal.
    pub spans: Vec<(TokenKind, String)>,
}

/// Laid out JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrettyText {
    /// The lines from the top.
    pub lines: Vec<PrettyLine>,
    /// Whether the text was longer than allowed.
    pub is_cut: bool,
}

/// Lays out JSON, one member or element a line, as far as `max_bytes` of its text and [`MAX_PRETTY_LINES`].
pub fn pretty(bytes: &[u8], max_bytes: usize) -> PrettyText {
    let mut layout = Layout {
        room: max_bytes,
        ..Layout::default()
    };
    let mut tokens = Tokens::new(bytes).peekable();
    while let Some(token) = tokens.next() {
        let next = tokens.peek().map(|next| next.text[0]);
        if !layout.put(token, next) {
            layout.text.is_cut = true;
            break;
        }
    }
    layout.text
}

#[derive(Debug, Default)]
struct Layout {
    text: PrettyText,
    depth: usize,
    room: usize,
    /// Whether the last token stays open for the next one on its line.
    is_joined: bool,
}

impl Layout {
    /// Adds a token, knowing the first byte of the next one; returns whether there was room for all of it.
    fn put(&mut self, token: Token<'_>, next: Option<u8>) -> bool {
        let byte = token.text[0];
        let is_punctuation = token.kind == TokenKind::Punctuation;
        if is_punctuation && matches!(byte, b'}' | b']') {
            self.depth = self.depth.saturating_sub(1);
        }
        let joins_back = is_punctuation && matches!(byte, b',' | b':');
        if !(self.is_joined || joins_back) || self.text.lines.is_empty() {
            if self.text.lines.len() == MAX_PRETTY_LINES {
                return false;
            }
            let indent = u16::try_from(self.depth).unwrap_or(u16::MAX);
            self.text.lines.push(PrettyLine {
                indent,
                spans: Vec::new(),
            });
        }
        let is_empty_pair = matches!((byte, next), (b'{', Some(b'}')) | (b'[', Some(b']')));
        self.is_joined = token.kind == TokenKind::Key || is_punctuation && (byte == b':' || is_empty_pair);
        if is_punctuation && matches!(byte, b'{' | b'[') {
            self.depth += 1;
        }
        self.push(&token)
    }

    fn push(&mut self, token: &Token<'_>) -> bool {
        let kept = token.text.len().min(self.room);
        self.room -= kept;
        let is_whole = kept == token.text.len();
        let kept = if is_whole {
            kept
        } else {
            super::text::whole_characters(&token.text[..kept])
        };
        let mut text = String::from_utf8_lossy(&token.text[..kept]).into_owned();
        if token.kind == TokenKind::Punctuation && text == ":" {
            text.push(' ');
        }
        if let Some(line) = self.text.lines.last_mut()
            && !text.is_empty()
        {
            line.spans.push((token.kind, text));
        }
        is_whole
    }
}

/// A token with its text, which is never empty.
#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    kind: TokenKind,
    text: &'a [u8],
}

/// Cuts text into tokens; a string that does not end reaches to the end of the text.
#[derive(Debug)]
struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Tokens<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes),
        }
    }

    fn string(&self) -> Token<'a> {
        let end = string_end(&self.rest[1..], &mut false).map_or(self.rest.len(), |end| end + 2);
        let (text, after) = self.rest.split_at(end);
        let is_key = after.get(blanks(after)) == Some(&b':');
        Token {
            kind: if is_key { TokenKind::Key } else { TokenKind::String },
            text,
        }
    }

    fn scalar(&self) -> Token<'a> {
        let text = &self.rest[..scalar_end(self.rest).unwrap_or(self.rest.len())];
        let kind = match text {
            b"null" => TokenKind::Null,
            b"true" | b"false" => TokenKind::Bool,
            _ if is_number(text) => TokenKind::Number,
            _ => TokenKind::Garbage,
        };
        Token { kind, text }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.rest = &self.rest[blanks(self.rest)..];
        let token = match self.rest.first()? {
            b'"' => self.string(),
            b'{' | b'}' | b'[' | b']' | b',' | b':' => Token {
                kind: TokenKind::Punctuation,
                text: &self.rest[..1],
            },
            _ => self.scalar(),
        };
        self.rest = &self.rest[token.text.len()..];
        Some(token)
    }
}

/// The same JSON in one line: without white space between tokens and without a byte order mark.
///
/// The result never contains a line feed or a carriage return: inside a string, where JSON does not allow them, they
/// become `\n` and `\r`. Words and numbers that only white space kept apart stay apart.
pub fn compact(bytes: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(bytes.len());
    let mut was_word = false;
    for token in Tokens::new(bytes) {
        let is_word = token.kind != TokenKind::Punctuation;
        if was_word && is_word {
            line.push(b' ');
        }
        was_word = is_word;
        push_without_line_ends(&mut line, token.text);
    }
    line
}

fn push_without_line_ends(line: &mut Vec<u8>, mut text: &[u8]) {
    while let Some(at) = memchr::memchr2(b'\n', b'\r', text) {
        line.extend_from_slice(&text[..at]);
        line.extend_from_slice(if text[at] == b'\n' { br"\n" } else { br"\r" });
        text = &text[at + 1..];
    }
    line.extend_from_slice(text);
}

/// One step of a path into JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PathStep<'a> {
    /// The member of an object with this decoded key; of several equal ones the last.
    Key(&'a str),
    /// The element of an array, from 0.
    Index(usize),
}

/// The text of the value at a path, as spelled; with an empty path the document without what surrounds it.
///
/// Takes time for one pass over the document and one over each object or array on the way; no memory.
pub fn find_path<'a>(bytes: &'a [u8], path: &[PathStep<'_>]) -> Option<&'a [u8]> {
    let mut value = value_at(bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes))?.0;
    for step in path {
        value = match step {
            PathStep::Key(key) => {
                members(value)
                    .filter(|(name, _)| string_value(name) == *key)
                    .last()?
                    .1
            }
            PathStep::Index(index) => elements(value).nth(*index)?,
        };
    }
    Some(value)
}

/// The members of an object in order: key with its quotes, and value, both as spelled. None if it is no object; those
/// before the break if it is broken.
pub fn members(object: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = inside(object, b'{');
    std::iter::from_fn(move || {
        let (key, after) = value_at(rest).filter(|(key, _)| key.starts_with(b"\""))?;
        let (value, after) = value_at(after[blanks(after)..].strip_prefix(b":")?)?;
        rest = after_comma(after);
        Some((key, value))
    })
}

/// The elements of an array in order, as spelled. None if it is no array; those before the break if it is broken.
pub fn elements(array: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = inside(array, b'[');
    std::iter::from_fn(move || {
        let (value, after) = value_at(rest)?;
        rest = after_comma(after);
        Some(value)
    })
}

fn inside(value: &[u8], opening: u8) -> &[u8] {
    if value.first() == Some(&opening) {
        &value[1..]
    } else {
        b""
    }
}

/// What follows the comma; nothing if there is none.
fn after_comma(rest: &[u8]) -> &[u8] {
    rest[blanks(rest)..].strip_prefix(b",").unwrap_or(b"")
}

/// The value that `bytes` start with, and what follows it.
fn value_at(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let bytes = &bytes[blanks(bytes)..];
    Some(bytes.split_at(value_end(bytes)?))
}

/// What a string token says, decoded; any other token as it is spelled. Bad UTF-8 and lone surrogates are read as
/// U+FFFD.
pub fn string_value(raw: &[u8]) -> Cow<'_, str> {
    let Some(inside) = raw.strip_prefix(b"\"") else {
        return String::from_utf8_lossy(raw);
    };
    let inside = inside.strip_suffix(b"\"").unwrap_or(inside);
    if !inside.contains(&b'\\') {
        return String::from_utf8_lossy(inside);
    }
    Cow::Owned(String::from_utf8_lossy(&decode(inside)).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn text_of(pretty: &PrettyText) -> String {
        let line = |line: &PrettyLine| {
            let spans: String = line.spans.iter().map(|(_, text)| text.as_str()).collect();
            "  ".repeat(line.indent.into()) + spans.trim_end()
        };
        pretty.lines.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn spelling_order_and_duplicates_stay() {
        let source = r#"{"b":1.10,"a":[1e3,{},[ ],"\u00e9\/"],"b":12345678901234567890123,"c":null}"#;
        let laid_out = text_of(&pretty(source.as_bytes(), 1_000));
        let expected = "{\n  \"b\": 1.10,\n  \"a\": [\n    1e3,\n    {},\n    [],\n    \"\\u00e9\\/\"\n  ],\n  \
                        \"b\": 12345678901234567890123,\n  \"c\": null\n}";
        assert_eq!(laid_out, expected);
    }

    #[test]
    fn broken_json_is_laid_out_as_far_as_it_goes() {
        assert_eq!(text_of(&pretty(b"{\"a\":[1,", 99)), "{\n  \"a\": [\n    1,");
        assert_eq!(text_of(&pretty(b"{\"a\": \"open", 99)), "{\n  \"a\": \"open");
        assert_eq!(
            text_of(&pretty(b"]]}{\"a\" 1 oops", 99)),
            "]\n]\n}\n{\n  \"a\"\n  1\n  oops"
        );
        assert_eq!(
            pretty(b"oops", 99).lines[0].spans,
            [(TokenKind::Garbage, "oops".to_owned())]
        );
        assert_eq!(pretty(b" ", 99), PrettyText::default());
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let cut = pretty("{\"key\":\"ééééé\"}".as_bytes(), 12);
        assert!(cut.is_cut);
        assert_eq!(text_of(&cut), "{\n  \"key\": \"éé");
    }

    #[test]
    fn a_hundred_thousand_nested_arrays_are_fine() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let laid_out = pretty(deep.as_bytes(), usize::MAX);
        assert_eq!((laid_out.lines.len(), laid_out.is_cut), (200_001, false));
        assert_eq!(laid_out.lines[100_000].indent, u16::MAX);
        assert_eq!(compact(deep.as_bytes()), deep.as_bytes());
        assert_eq!(
            find_path(deep.as_bytes(), &[PathStep::Index(0); 3])
                .unwrap()
                .len(),
            deep.len() - 6
        );
        assert!(pretty("[".repeat(MAX_PRETTY_LINES + 1).as_bytes(), usize::MAX).is_cut);
    }

    #[test]
    fn a_compact_text_is_one_line_and_says_the_same() {
        let source = "\u{feff}{ \"a b\" : [ 1 , \"x \\\" y\" ]\r\n}\n";
        assert_eq!(compact(source.as_bytes()), br#"{"a b":[1,"x \" y"]}"#);
        assert_eq!(compact(b"[1 2 \"a\nb\r\"]"), br#"[1 2 "a\nb\r"]"#);
    }

    #[test]
    fn paths_find_raw_values() {
        let source = br#" {"a":{"n":1.0},"\u0061":{"n":[ 1 , "x", {"k":[]} ]},"e":{}} "#;
        let find = |path: &[PathStep<'_>]| find_path(source, path).map(String::from_utf8_lossy);
        let array = [PathStep::Key("a"), PathStep::Key("n")];
        assert_eq!(find(&array).unwrap(), r#"[ 1 , "x", {"k":[]} ]"#);
        assert_eq!(
            find(&[array[0], array[1], PathStep::Index(2), PathStep::Key("k")]).unwrap(),
            "[]"
        );
        assert_eq!(find(&[array[0], array[1], PathStep::Index(3)]), None);
        assert_eq!(find(&[PathStep::Key("e"), PathStep::Key("x")]), None);
        assert_eq!(find(&[PathStep::Index(0)]), None);
        assert_eq!(find(&[]).unwrap().len(), source.len() - 2);
    }

    #[test]
    fn string_values_are_decoded() {
        assert_eq!(string_value(br#""a\n\ud83d\ude00""#), "a\n😀");
        assert!(matches!(string_value(b"\"plain\""), Cow::Borrowed("plain")));
        assert_eq!(string_value(b"1.50"), "1.50");
        assert_eq!(string_value(b"\""), "");
    }

    fn value() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z\"\\\\\n\té {}\\[\\]:,]{0,9}".prop_map(Value::from),
        ];
        scalar.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec(("[a-z\"\\\\\n]{0,4}", inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn layouts_agree_with_a_full_parser(value in value()) {
            let (spread, tight) = (serde_json::to_string_pretty(&value).unwrap(), serde_json::to_string(&value).unwrap());
            prop_assert_eq!(text_of(&pretty(tight.as_bytes(), usize::MAX)), &*spread);
            prop_assert_eq!(compact(spread.as_bytes()), tight.as_bytes());
        }

        #[test]
        fn members_and_elements_agree_with_a_full_parser(value in value()) {
            let text = serde_json::to_vec(&value).unwrap();
            let found: Vec<Value> = elements(&text).map(|raw| serde_json::from_slice(raw).unwrap()).collect();
            prop_assert_eq!(found, value.as_array().cloned().unwrap_or_default());
            for (key, member) in value.as_object().into_iter().flatten() {
                let raw = find_path(&text, &[PathStep::Key(key)]).unwrap();
                prop_assert_eq!(&serde_json::from_slice::<Value>(raw).unwrap(), member);
            }
        }

        #[test]
        fn any_bytes_are_laid_out_within_the_limit(text in prop::collection::vec(prop::sample::select(b"{}[]\",:\\ \r\n1a\xFF".to_vec()), 0..60), max in 0usize..70) {
            let laid_out = pretty(&text, max);
            let spans = laid_out.lines.iter().flat_map(|line| &line.spans);
            let characters: usize = spans.map(|(_, text)| text.replacen(": ", ":", 1).chars().count()).sum();
            prop_assert!(characters <= max);
            prop_assert!(laid_out.is_cut || characters <= text.len());
            prop_assert!(!compact(&text).iter().any(|byte| matches!(byte, b'\r' | b'\n')));
            find_path(&text, &[PathStep::Index(0), PathStep::Key("a")]);
        }
    }
}
