//! JSON paths: how they are written, and finding their values in a body without recursion.
//!
//! A body may be a hundred thousand arrays deep and many megabytes long, and is asked about for every row on screen.
//! So no value tree is built: one pass over the bytes keeps a frame for each matched segment of the path and only a
//! depth counter for what is skipped. Its memory is bounded by the length of the path, whatever the body holds.

use std::fmt;

use super::error::{FilterError, Span};
use super::scan::{JsonValue, Scanner};

/// Where a value lies in a JSON document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JsonPath {
    segments: Vec<Segment>,
}

/// One step into a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Key(String),
    Index(usize),
    /// Every child of an object or array.
    Any,
}

/// A container of the path that is being read.
struct Frame {
    is_object: bool,
    next_index: usize,
}

enum Child {
    Found,
    Closed,
}

impl JsonPath {
    /// The path of the arguments of a `tools/call`.
    pub(super) fn arguments() -> Self {
        Self {
            segments: vec![
                Segment::Key("params".to_owned()),
                Segment::Key("arguments".to_owned()),
            ],
        }
    }

    pub(super) fn root() -> Self {
        Self { segments: Vec::new() }
    }

    /// Reads `.name`, `[0]`, `["name"]`, `.*` and `[*]` from `start` on; gives the column after the last of them.
    pub(super) fn read_segments(&mut self, text: &[char], start: usize) -> Result<usize, FilterError> {
        let mut at = start;
        loop {
            match text.get(at) {
                Some('.') => at = self.read_name(text, at)?,
                Some('[') => at = self.read_bracket(text, at)?,
                _ => return Ok(at),
            }
        }
    }

    fn read_name(&mut self, text: &[char], dot: usize) -> Result<usize, FilterError> {
        let start = dot + 1;
        let length = text.iter().skip(start).take_while(|c| is_name(**c)).count();
        let name: String = text.iter().skip(start).take(length).collect();
        if length == 0 {
            let message = "write a name after the dot, such as $.params.name; [\"…\"] takes any name";
            return Err(FilterError::new(Span::at(dot), message));
        }
        self.segments.push(if name == "*" {
            Segment::Any
        } else {
            Segment::Key(name)
        });
        Ok(start + length)
    }

    fn read_bracket(&mut self, text: &[char], open: usize) -> Result<usize, FilterError> {
        let (segment, end) = match text.get(open + 1) {
            Some('"') => {
                let (key, end) = read_quoted(text, open + 1)?;
                (Segment::Key(key), end)
            }
            Some('*') => (Segment::Any, open + 2),
            _ => read_index(text, open)?,
        };
        if text.get(end) != Some(&']') {
            return Err(FilterError::new(
                Span::new(open, end),
                "close the bracket with ]; inside goes a number, * or a \"name\"",
            ));
        }
        self.segments.push(segment);
        Ok(end + 1)
    }

    /// Shows each value at this path to `see`, in the order of the body, until it answers `true`.
    ///
    /// A name that an object has twice is seen twice. What is malformed or cut ends the search; a value that is not
    /// complete is not seen. Time is linear in the body.
    pub(super) fn visit(&self, body: &[u8], see: &mut dyn FnMut(JsonValue<'_>) -> bool) {
        // `None` is the end of a malformed body; the values before it were seen.
        let _ = self.walk(&mut Scanner::new(body), see);
    }

    /// Whether the body has a value at this path.
    pub(super) fn exists(&self, body: &[u8]) -> bool {
        let mut found = false;
        self.visit(body, &mut |_| {
            found = true;
            true
        });
        found
    }

    fn walk(&self, scanner: &mut Scanner<'_>, see: &mut dyn FnMut(JsonValue<'_>) -> bool) -> Option<()> {
        let mut frames: Vec<Frame> = Vec::new();
        scanner.skip_mark();
        loop {
            match self.segments.get(frames.len()) {
                None => {
                    if see(scanner.value(frames.is_empty())?) {
                        return Some(());
                    }
                }
                Some(segment) => match segment.enter(scanner) {
                    Some(frame) => frames.push(frame),
                    None => scanner.skip_value(frames.is_empty())?,
                },
            }
            // Go on to the next value that lies on the path, leaving containers that are done.
            loop {
                let segment = self.segments.get(frames.len().checked_sub(1)?)?;
                match frames.last_mut()?.next_child(scanner, segment)? {
                    Child::Found => break,
                    Child::Closed => frames.pop(),
                };
            }
        }
    }
}

impl Frame {
    /// Moves to the next child that the segment names.
    fn next_child(&mut self, scanner: &mut Scanner<'_>, segment: &Segment) -> Option<Child> {
        loop {
            scanner.skip_separators();
            if matches!(scanner.peek()?, b']' | b'}') {
                scanner.advance();
                return Some(Child::Closed);
            }
            let wanted = if self.is_object {
                segment.takes_key(&scanner.key()?)
            } else {
                let index = self.next_index;
                self.next_index += 1;
                segment.takes_index(index)
            };
            if wanted {
                return Some(Child::Found);
            }
            scanner.skip_value(false)?;
        }
    }
}

impl Segment {
    /// Steps into the value if it is a container this segment can look into.
    fn enter(&self, scanner: &mut Scanner<'_>) -> Option<Frame> {
        scanner.skip_white();
        let is_object = match scanner.peek()? {
            b'{' => true,
            b'[' => false,
            _ => return None,
        };
        let fits = match self {
            Self::Key(_) => is_object,
            Self::Index(_) => !is_object,
            Self::Any => true,
        };
        if !fits {
            return None;
        }
        scanner.advance();
        Some(Frame {
            is_object,
            next_index: 0,
        })
    }

    fn takes_key(&self, found: &str) -> bool {
        match self {
            Self::Key(key) => key == found,
            Self::Index(_) => false,
            Self::Any => true,
        }
    }

    fn takes_index(&self, found: usize) -> bool {
        match self {
            Self::Key(_) => false,
            Self::Index(index) => *index == found,
            Self::Any => true,
        }
    }
}

/// Reads `"…"` from its opening quote on; gives the text and the column after the closing quote.
///
/// `\"` and `\\` are escapes; any other backslash stays, so that a regular expression needs none doubled.
pub(super) fn read_quoted(text: &[char], open: usize) -> Result<(String, usize), FilterError> {
    let mut read = String::new();
    let mut at = open + 1;
    loop {
        match (text.get(at), text.get(at + 1)) {
            (None, _) => {
                let message = "this quote is never closed; write \" at the end, and \\\" for a quote inside";
                return Err(FilterError::new(Span::new(open, text.len()), message));
            }
            (Some('"'), _) => return Ok((read, at + 1)),
            (Some('\\'), Some(escaped @ ('"' | '\\'))) => {
                read.push(*escaped);
                at += 2;
            }
            (Some(plain), _) => {
                read.push(*plain);
                at += 1;
            }
        }
    }
}

/// Writes text so that [`read_quoted`] gives it back, never longer than it was typed.
pub(super) fn write_quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let needs_escape = c == '"' || (c == '\\' && matches!(rest.peek(), None | Some('"' | '\\')));
        if needs_escape {
            f.write_str("\\")?;
        }
        write!(f, "{c}")?;
    }
    f.write_str("\"")
}

fn read_index(text: &[char], open: usize) -> Result<(Segment, usize), FilterError> {
    let start = open + 1;
    let digits: String = text
        .iter()
        .skip(start)
        .take_while(|c| c.is_ascii_digit())
        .collect();
    let end = start + digits.len();
    match digits.parse() {
        Ok(index) => Ok((Segment::Index(index), end)),
        Err(_) => Err(FilterError::new(
            Span::new(open, end.max(open + 1)),
            "inside [ ] goes a number that counts from 0, * or a \"name\"",
        )),
    }
}

fn is_name(c: char) -> bool {
    !c.is_whitespace() && !".[]():=!~^<>|\"".contains(c)
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        self.write_from(0, f)
    }
}

impl JsonPath {
    /// Writes the part behind `$.params.arguments`.
    pub(super) fn write_argument(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_from(Self::arguments().segments.len(), f)
    }

    fn write_from(&self, first: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in self.segments.iter().skip(first) {
            match segment {
                Segment::Key(key) if !key.is_empty() && key != "*" && key.chars().all(is_name) => {
                    write!(f, ".{key}")?;
                }
                Segment::Key(key) => {
                    f.write_str("[")?;
                    write_quoted(key, f)?;
                    f.write_str("]")?;
                }
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Any => f.write_str("[*]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> JsonPath {
        let chars: Vec<char> = text.chars().collect();
        let mut path = JsonPath::root();
        let end = path.read_segments(&chars, 1).expect(text);
        assert_eq!(end, chars.len(), "{text}");
        path
    }

    fn found(text: &str, body: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        path(text).visit(body, &mut |value| {
            found.push(value.text().to_owned());
            false
        });
        found
    }

    #[test]
    fn a_path_finds_its_value_at_any_depth() {
        let body = br#"{"a":{"x y":[1,{"b":"\u00e9"}]},"b":2}"#;
        assert_eq!(found(r#"$.a["x y"][1].b"#, body), ["é"]);
        assert_eq!(found("$.b", body), ["2"]);
        assert_eq!(found("$", b" 7 "), ["7"]);
    }

    #[test]
    fn a_wildcard_finds_every_child_and_comes_back_for_the_next() {
        let body = br#"{"content":[{"text":"a"},7,{"other":1},{"text":"b"}],"z":{"text":"c"}}"#;
        assert_eq!(found("$.content[*].text", body), ["a", "b"]);
        assert_eq!(found("$.*.text", body), ["c"]);
        assert_eq!(found("$[*][0].text", body), ["a"]);
    }

    #[test]
    fn a_name_that_comes_twice_is_seen_twice() {
        assert_eq!(found("$.a", br#"{"a":1,"b":{"a":3},"a":2}"#), ["1", "2"]);
    }

    #[test]
    fn an_escaped_name_is_the_name_it_spells() {
        assert_eq!(found("$.ab", br#"{"\u0061b":1}"#), ["1"]);
    }

    #[test]
    fn what_is_inside_a_string_is_not_structure() {
        assert_eq!(found("$.b", br#"{"a":"},{\"b\":1,\\","b":2}"#), ["2"]);
    }

    #[test]
    fn a_cut_body_gives_only_whole_values() {
        assert_eq!(found("$.a", br#"{"a":12"#), [""; 0]);
        assert_eq!(found("$.a", br#"{"a":12,"b":"unfinish"#), ["12"]);
        assert_eq!(found("$.b", br#"{"a":12,"b":"unfinish"#), [""; 0]);
        assert_eq!(found("$.b", br#"{"b":[1,2"#), [""; 0]);
    }

    #[test]
    fn a_hundred_thousand_nested_arrays_are_passed_over() {
        let deep = 100_000;
        let body = format!(r#"{{"deep":{}{},"after":1}}"#, "[".repeat(deep), "]".repeat(deep));
        assert_eq!(found("$.after", body.as_bytes()), ["1"]);
        assert_eq!(found("$[*][0]", body.as_bytes()).len(), 1);
        let unclosed = "[".repeat(deep);
        assert_eq!(found("$.after", unclosed.as_bytes()), [""; 0]);
    }

    #[test]
    fn a_path_that_is_not_there_finds_nothing() {
        for text in ["$.a.b", "$[0]", "$.c", "$.a[0]"] {
            assert_eq!(found(text, br#"{"a":"text","b":[]}"#), [""; 0], "{text}");
        }
    }

    #[test]
    fn bytes_that_are_not_json_find_nothing_and_never_fail() {
        let bodies: [&[u8]; 7] = [b"", b"{", b"}", b"{\"a\"", b"{\"a\":", b"\xff\xfe", b"{\"a\"::1}"];
        for body in bodies {
            assert_eq!(found("$.a", body), [""; 0]);
        }
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        assert_eq!(found("$.a", b"\xef\xbb\xbf{\"a\":1}"), ["1"]);
    }

    #[test]
    fn a_path_is_written_in_its_shortest_form() {
        assert_eq!(path(r#"$["a"]["x.y"][2].*"#).to_string(), r#"$.a["x.y"][2][*]"#);
        assert_eq!(path(r#"$["*"][""]"#).to_string(), r#"$["*"][""]"#);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_searched_without_a_fault(body: Vec<u8>) {
            for text in ["$", "$.a", "$[0][*]", "$.*.*"] {
                found(text, &body);
            }
        }

        #[test]
        fn a_value_is_found_as_a_full_parser_finds_it(key in "[a-z\"\\\\é]{1,4}", value: String, other: i64) {
            let body = serde_json::json!({"pad": [other, {"deep": value}], "at": {&key: [other, value]}});
            let path = JsonPath { segments: vec![
                Segment::Key("at".to_owned()), Segment::Key(key), Segment::Index(1),
            ] };
            let mut seen = Vec::new();
            path.visit(body.to_string().as_bytes(), &mut |found| {
                seen.push(found.text().to_owned());
                false
            });
            proptest::prop_assert_eq!(seen, [value]);
        }
    }
}
