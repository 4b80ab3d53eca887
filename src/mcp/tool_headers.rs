//! Which arguments of which tools a request of the modern era repeats in `Mcp-Param-*` headers, by the latest list of
//! tools, and how values travel in headers. Pure.
//!
//! Source: MCP 2026-07-28, Transports, "Custom headers from tool parameters" and "Value encoding".

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderName;

use crate::codec::json::{PathStep, elements, find_path, members, string_value};

/// What the names of those headers begin with.
pub(crate) const PARAM_PREFIX: &str = "mcp-param-";
/// Before and after a value that cannot travel as it is.
pub(crate) const SENTINEL: (&str, &str) = ("=?base64?", "?=");
/// Tools whose parameters are known at once. Those of further ones are not repeated.
const MAX_TOOLS: usize = 4096;
/// Bytes of the names of those tools, of their headers and of their arguments. What goes beyond is not repeated.
const MAX_NAME_BYTES: usize = 1 << 20;
/// Parameters of a tool that are repeated.
const MAX_PARAMS: usize = 64;
/// How deep in a schema they are looked for.
const MAX_DEPTH: usize = 16;

/// An argument that a header repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToolHeader {
    pub(crate) header: HeaderName,
    path: Vec<String>,
    /// Its type is one of those that may be repeated, so that every client has to do it.
    pub(crate) is_needed: bool,
}

impl ToolHeader {
    /// The argument as it is spelled, if it is there and can be repeated: no null, no object, no array.
    pub(crate) fn value_in<'a>(&self, arguments: &'a [u8]) -> Option<&'a [u8]> {
        let path: Vec<PathStep<'_>> = self.path.iter().map(|key| PathStep::Key(key)).collect();
        find_path(arguments, &path).filter(|value| !matches!(*value, b"null" | [b'{' | b'[', ..]))
    }

    /// The name of the argument, for people.
    pub(crate) fn argument(&self) -> String {
        self.path.join(".")
    }

    fn name_bytes(&self) -> usize {
        self.header.as_str().len() + self.path.iter().map(String::len).sum::<usize>()
    }
}

/// Which arguments of which tools headers repeat.
#[derive(Debug, Clone, Default)]
pub(crate) struct ToolHeaders {
    tools: HashMap<String, Arc<[ToolHeader]>>,
    name_bytes: usize,
}

impl ToolHeaders {
    /// Takes in a page of the list of tools; the first one replaces what was known.
    pub(crate) fn learn(&mut self, answer: &[u8], is_first_page: bool) {
        if is_first_page {
            *self = Self::default();
        }
        let tools = find_path(answer, &[PathStep::Key("result"), PathStep::Key("tools")]).unwrap_or_default();
        for tool in elements(tools) {
            let name = find_path(tool, &[PathStep::Key("name")]).map(string_value);
            let Some(name) = name.filter(|_| memchr::memmem::find(tool, b"x-mcp-header").is_some()) else {
                continue;
            };
            let schema = find_path(tool, &[PathStep::Key("inputSchema")]);
            self.keep(name.into_owned(), schema.map(headers_of).unwrap_or_default());
        }
    }

    fn keep(&mut self, name: String, headers: Vec<ToolHeader>) {
        let bytes = name.len() + headers.iter().map(ToolHeader::name_bytes).sum::<usize>();
        if self.tools.len() < MAX_TOOLS && self.name_bytes + bytes <= MAX_NAME_BYTES {
            self.name_bytes += bytes;
            self.tools.insert(name, headers.into());
        }
    }

    /// What is repeated of the arguments of a tool; `None` if nothing is, or the tool is not known.
    pub(crate) fn of(&self, tool: &str) -> Option<Arc<[ToolHeader]>> {
        self.tools.get(tool).cloned()
    }
}

/// An argument that a schema marks.
pub(crate) struct Marked<'a> {
    /// What its header is called behind the prefix, as it is spelled.
    pub(crate) name: String,
    header: HeaderName,
    /// The keys that lead to it.
    pub(crate) path: Vec<String>,
    /// What is said of it.
    property: &'a [u8],
}

/// The arguments that a schema marks with `x-mcp-header` and a name that a header can have, as they stand in it.
pub(crate) fn marked(schema: &[u8]) -> Vec<Marked<'_>> {
    let mut found = Vec::new();
    collect(schema, &mut Vec::new(), &mut found);
    found
}

fn collect<'a>(schema: &'a [u8], path: &mut Vec<String>, found: &mut Vec<Marked<'a>>) {
    let properties = find_path(schema, &[PathStep::Key("properties")]).unwrap_or_default();
    for (key, property) in members(properties) {
        if found.len() >= MAX_PARAMS || path.len() >= MAX_DEPTH {
            return;
        }
        path.push(string_value(key).into_owned());
        let name = find_path(property, &[PathStep::Key("x-mcp-header")]).map(string_value);
        if let Some(name) = name.filter(|name| !name.is_empty())
            && let Ok(header) = format!("{PARAM_PREFIX}{name}").parse()
        {
            found.push(Marked {
                name: name.into_owned(),
                header,
                path: path.clone(),
                property,
            });
        }
        collect(property, path, found);
        path.pop();
    }
}

fn headers_of(schema: &[u8]) -> Vec<ToolHeader> {
    let mut headers: Vec<ToolHeader> = Vec::new();
    for marked in marked(schema) {
        let kind = find_path(marked.property, &[PathStep::Key("type")]);
        // Two arguments in one header: no client can say both, so none has to.
        let is_first = headers.iter().all(|other| other.header != marked.header);
        headers.push(ToolHeader {
            header: marked.header,
            path: marked.path,
            is_needed: is_first && matches!(kind, Some(br#""string""# | br#""integer""# | br#""boolean""#)),
        });
    }
    headers
}

/// The parameter that `Mcp-Name` repeats.
pub(crate) fn name_key(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    }
}

/// A value as it can travel in a header.
pub(crate) fn spelled(value: &str) -> Cow<'_, str> {
    let is_plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let has_edges = value.starts_with(' ') || value.ends_with(' ');
    if is_plain && !has_edges && wrapped(value.as_bytes()).is_none() {
        return Cow::Borrowed(value);
    }
    Cow::Owned([SENTINEL.0, &BASE64_STANDARD.encode(value), SENTINEL.1].concat())
}

/// A value as it was meant; `None` if it cannot travel so: it is neither plain ASCII nor the base64 of UTF-8. One that
/// lacks either end of the mark is plain.
pub(crate) fn meant(value: &[u8]) -> Option<Cow<'_, str>> {
    let value = value.trim_ascii();
    if let Some(encoded) = wrapped(value) {
        let decoded = BASE64_STANDARD.decode(encoded).ok()?;
        return String::from_utf8(decoded).ok().map(Cow::Owned);
    }
    let is_plain = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    let text = std::str::from_utf8(value).ok()?;
    is_plain.then_some(Cow::Borrowed(text))
}

fn wrapped(value: &[u8]) -> Option<&[u8]> {
    let rest = value.strip_prefix(SENTINEL.0.as_bytes())?;
    rest.strip_suffix(SENTINEL.1.as_bytes())
}

/// Whether a header says the same as a scalar of a body, as spelled there. Numbers are compared as such: `42.0` is `42`.
pub(crate) fn says(stated: &str, value: &[u8]) -> bool {
    *stated == *string_value(value)
        || matches!((Decimal::parse(stated.as_bytes()), Decimal::parse(value)), (Some(one), Some(other)) if one == other)
}

/// A JSON number, however it is spelled, without loss.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    /// Without zeros at either end; none for zero.
    digits: Vec<u8>,
    /// Of ten, behind the last digit.
    exponent: i64,
}

impl Decimal {
    fn parse(text: &[u8]) -> Option<Self> {
        if !crate::codec::text::is_number(text) {
            return None;
        }
        let (is_negative, text) = match text.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match memchr::memchr2(b'e', b'E', text) {
            Some(at) => (
                &text[..at],
                std::str::from_utf8(&text[at + 1..]).ok()?.parse().ok()?,
            ),
            None => (text, 0i64),
        };
        let point = memchr::memchr(b'.', mantissa).unwrap_or(mantissa.len());
        let fraction = mantissa.len().saturating_sub(point + 1);
        let digits: Vec<u8> = mantissa.iter().copied().filter(|byte| *byte != b'.').collect();
        let last = digits.iter().rposition(|digit| *digit != b'0');
        let Some(last) = last else {
            return Some(Self {
                is_negative: false,
                digits: Vec::new(),
                exponent: 0,
            });
        };
        let first = digits.iter().position(|digit| *digit != b'0')?;
        let dropped = i64::try_from(digits.len() - 1 - last).ok()?;
        Some(Self {
            is_negative,
            exponent: exponent
                .checked_sub(i64::try_from(fraction).ok()?)?
                .checked_add(dropped)?,
            digits: digits[first..=last].to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_not_plain_travels_as_base64_and_comes_back() {
        for (value, spelling) in [
            ("plain ~", "plain ~"),
            ("", ""),
            ("é", "=?base64?w6k=?="),
            (" x", "=?base64?IHg=?="),
            ("=?base64?eA==?=", "=?base64?PT9iYXNlNjQ/ZUE9PT89?="),
            ("=?base64?eA==", "=?base64?eA=="),
        ] {
            assert_eq!(spelled(value), spelling);
            assert_eq!(meant(spelling.as_bytes()).as_deref(), Some(value));
        }
    }

    #[test]
    fn what_cannot_have_been_meant_is_not_guessed() {
        for broken in [
            &b"=?base64?SGVsbG8?="[..],
            b"=?base64?SGVs!!!bG8=?=",
            b"=?base64?/w==?=",
            "é".as_bytes(),
        ] {
            assert_eq!(meant(broken), None, "{broken:?}");
        }
        assert_eq!(meant(b" Hello\t").as_deref(), Some("Hello"));
    }

    #[test]
    fn numbers_say_the_same_in_any_spelling_and_nothing_is_rounded() {
        for (stated, value) in [
            ("42", "42.0"),
            ("42.0", "42"),
            ("4.2e1", "42"),
            ("0", "-0.0"),
            ("1200", "1.2E+3"),
            ("0.001", "1e-3"),
            ("true", "true"),
            ("42", r#""42""#),
            ("é", r#""\u00e9""#),
        ] {
            assert!(says(stated, value.as_bytes()), "{stated} {value}");
        }
        for (stated, value) in [
            ("9007199254740993", "9007199254740992"),
            ("42.0", r#""42""#),
            ("1", "true"),
            ("-1", "1"),
            ("10", "1"),
            ("", "0"),
        ] {
            assert!(!says(stated, value.as_bytes()), "{stated} {value}");
        }
    }

    #[test]
    fn only_arguments_that_every_client_repeats_are_needed() {
        let mut tools = ToolHeaders::default();
        tools.learn(
            br#"{"result":{"tools":[{"name":"a","inputSchema":{"properties":{
            "s":{"type":"string","x-mcp-header":"S"},"n":{"type":"number","x-mcp-header":"N"},
            "again":{"type":"string","x-mcp-header":"s"},
            "list":{"type":"array","items":{"properties":{"in":{"type":"string","x-mcp-header":"In"}}}}}}},
            {"name":"plain","inputSchema":{}}]}}"#,
            true,
        );
        let headers = tools.of("a").unwrap();
        let found: Vec<_> = headers
            .iter()
            .map(|header| (header.argument(), header.is_needed))
            .collect();
        assert_eq!(
            found,
            [("s".into(), true), ("n".into(), false), ("again".into(), false)]
        );
        assert_eq!(tools.of("plain"), None);
        let arguments = br#"{"s":"x","n":null,"again":{}}"#;
        assert_eq!(headers[0].value_in(arguments), Some(&br#""x""#[..]));
        assert_eq!(
            (headers[1].value_in(arguments), headers[2].value_in(arguments)),
            (None, None)
        );
    }

    #[test]
    fn a_list_that_never_ends_is_known_as_far_as_there_is_room() {
        let mut tools = ToolHeaders::default();
        let name = "n".repeat(MAX_NAME_BYTES / 3);
        for page in 0..6 {
            let answer = format!(
                r#"{{"result":{{"tools":[{{"name":"{name}{page}","inputSchema":{{"properties":{{"a":{{"type":"string","x-mcp-header":"A"}}}}}}}}]}}}}"#
            );
            tools.learn(answer.as_bytes(), false);
        }
        assert_eq!(tools.tools.len(), 2);
        assert!(tools.name_bytes <= MAX_NAME_BYTES);
        tools.learn(br#"{"result":{"tools":[]}}"#, true);
        assert_eq!((tools.tools.len(), tools.name_bytes), (0, 0));
    }
}
