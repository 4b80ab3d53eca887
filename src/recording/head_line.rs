//! Heads in a recording: as text that people can read, from which the exact bytes can be made again.

use bytes::Bytes;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};

use super::format::{decode_base64, encode_base64};
use super::redact::{Behind, Output, Tagger, redact_argument, redact_field, redact_urls};
use crate::session::observation::{ObservedHead, head_text};
use crate::snapshot::Head;

/// What usually stands between a field's name and its value.
const USUAL_SEPARATOR: &str = ": ";
/// What usually ends a line.
const USUAL_ENDING: &str = "\r\n";

/// A head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadLine {
    /// The first line, without its line ending.
    pub line: HeadText,
    /// The fields in order, repeats kept.
    pub fields: Vec<HeadField>,
    /// The head is that of HTTP/1, byte for byte. Otherwise there were no such bytes (HTTP/2, the proxy's own answer).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
    /// How the first line ended, if not with CR LF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_ending: Option<HeadText>,
    /// What followed the last field, if not CR LF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<HeadText>,
}

/// Text of a head: a string where it is UTF-8, otherwise `{"base64": …}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "HeadTextForm")]
pub struct HeadText(pub Vec<u8>);

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum HeadTextForm {
    Text(String),
    Base64 { base64: Base64Text },
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Base64Text(Vec<u8>);

impl TryFrom<String> for Base64Text {
    type Error = serde::de::value::Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        decode_base64(&text).map(Self)
    }
}

impl From<HeadTextForm> for HeadText {
    fn from(form: HeadTextForm) -> Self {
        match form {
            HeadTextForm::Text(text) => Self(text.into_bytes()),
            HeadTextForm::Base64 { base64 } => Self(base64.0),
        }
    }
}

impl Serialize for HeadText {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = std::str::from_utf8(&self.0) {
            return to.serialize_str(text);
        }
        let mut object = to.serialize_struct("HeadText", 1)?;
        object.serialize_field("base64", &encode_base64(&self.0))?;
        object.end()
    }
}

impl HeadText {
    fn unless(bytes: &[u8], usual: &str) -> Option<Self> {
        (bytes != usual.as_bytes()).then(|| Self(bytes.to_vec()))
    }
}

/// One field: `[name, value]`, or `[name, value, separator, ending]` where the wire had not `name: value` CR LF.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<HeadText>")]
pub struct HeadField {
    /// Its name; empty for a line without a colon.
    pub name: HeadText,
    /// Its value without the blanks around it.
    pub value: HeadText,
    /// What stood between the two, and what ended the line, if one of them was unusual.
    pub spelling: Option<(HeadText, HeadText)>,
}

impl TryFrom<Vec<HeadText>> for HeadField {
    type Error = &'static str;

    fn try_from(texts: Vec<HeadText>) -> Result<Self, Self::Error> {
        // More than four is what a later version may add.
        let mut texts = texts.into_iter();
        let (Some(name), Some(value)) = (texts.next(), texts.next()) else {
            return Err("a head field needs a name and a value");
        };
        Ok(Self {
            name,
            value,
            spelling: texts.next().zip(texts.next()),
        })
    }
}

impl Serialize for HeadField {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let spelling = self.spelling.as_ref();
        let spelling = spelling
            .into_iter()
            .flat_map(|(separator, ending)| [separator, ending]);
        to.collect_seq([&self.name, &self.value].into_iter().chain(spelling))
    }
}

impl HeadLine {
    /// The line for a head that was observed.
    pub(super) fn new(head: &ObservedHead) -> Self {
        match head {
            ObservedHead::Raw(bytes) => Self::exact(bytes),
            ObservedHead::Fields(head) => Self::plain(head),
        }
    }

    fn plain(head: &Head) -> Self {
        let text = |text: &String| HeadText(text.clone().into_bytes());
        let field = |(name, value): &(String, String)| HeadField {
            name: text(name),
            value: text(value),
            spelling: None,
        };
        Self {
            line: text(&head.line),
            fields: head.fields.iter().map(field).collect(),
            exact: false,
            line_ending: None,
            end: None,
        }
    }

    fn exact(bytes: &[u8]) -> Self {
        let (line, ending, mut rest) = split_line(bytes);
        let mut fields = Vec::new();
        loop {
            let (content, ending, after) = split_line(rest);
            if content.is_empty() {
                break;
            }
            fields.push(HeadField::exact(content, ending));
            rest = after;
        }
        Self {
            line: HeadText(line.to_vec()),
            fields,
            exact: true,
            line_ending: HeadText::unless(ending, USUAL_ENDING),
            end: HeadText::unless(rest, USUAL_ENDING),
        }
    }

    /// Replaces the secrets; returns how many there were.
    pub(super) fn redact(&mut self, tagger: &Tagger) -> u32 {
        let mut out = Output::new(tagger);
        redact_urls(&self.line.0, &mut out);
        out.take_into(&mut self.line.0);
        for field in &mut self.fields {
            redact_field(&field.name.0, &field.value.0, &mut out);
            out.take_into(&mut field.value.0);
        }
        out.redactions
    }

    /// Replaces the secrets among the arguments of a command: `--token=x`, `--api-key x`, `TOKEN=x`.
    pub(super) fn redact_arguments(&mut self, tagger: &Tagger) -> u32 {
        let mut out = Output::new(tagger);
        let mut behind = Behind::default();
        for field in self.fields.iter_mut().filter(|field| field.name.0 == b"argument") {
            behind = redact_argument(&field.value.0, behind, &mut out);
            out.take_into(&mut field.value.0);
        }
        out.redactions
    }

    /// Program and arguments in one text.
    pub(super) fn command_line(&self) -> String {
        let arguments = self.fields.iter().filter(|field| field.name.0 == b"argument");
        let words = std::iter::once(&self.line).chain(arguments.map(|field| &field.value));
        let words: Vec<String> = words.map(|word| head_text(&word.0)).collect();
        words.join(" ")
    }

    /// The head as it was observed.
    pub fn to_observed(&self) -> ObservedHead {
        if self.exact {
            return ObservedHead::Raw(self.to_bytes());
        }
        let text = |text: &HeadText| head_text(&text.0);
        ObservedHead::Fields(Box::new(Head {
            line: text(&self.line),
            fields: self
                .fields
                .iter()
                .map(|field| (text(&field.name), text(&field.value)))
                .collect(),
        }))
    }

    fn to_bytes(&self) -> Bytes {
        let usual = |text: &Option<HeadText>| {
            text.as_ref()
                .map_or_else(|| USUAL_ENDING.as_bytes().to_vec(), |text| text.0.clone())
        };
        let mut bytes = self.line.0.clone();
        bytes.extend(usual(&self.line_ending));
        for field in &self.fields {
            let spelling = field.spelling.as_ref();
            bytes.extend(&field.name.0);
            bytes.extend(spelling.map_or(USUAL_SEPARATOR.as_bytes(), |(separator, _)| &separator.0));
            bytes.extend(&field.value.0);
            bytes.extend(spelling.map_or(USUAL_ENDING.as_bytes(), |(_, ending)| &ending.0));
        }
        bytes.extend(usual(&self.end));
        bytes.into()
    }

    /// The value of the first field called `name`, in any case.
    pub(super) fn field(&self, name: &str) -> Option<&[u8]> {
        let is_it = |field: &&HeadField| field.name.0.eq_ignore_ascii_case(name.as_bytes());
        self.fields.iter().find(is_it).map(|field| &field.value.0[..])
    }
}

impl HeadField {
    fn exact(content: &[u8], ending: &[u8]) -> Self {
        let colon = memchr::memchr(b':', content);
        let (name, after) = colon.map_or((&content[..0], content), |at| content.split_at(at));
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = usize::from(colon.is_some());
        let blank = after[start..].iter().take_while(|byte| is_blank(byte)).count();
        let (separator, value) = after.split_at(start + blank);
        let blank = value.iter().rev().take_while(|byte| is_blank(byte)).count();
        let (value, trailing) = value.split_at(value.len() - blank);
        let is_usual = separator == USUAL_SEPARATOR.as_bytes()
            && trailing.is_empty()
            && ending == USUAL_ENDING.as_bytes();
        let spelling = || {
            (
                HeadText(separator.to_vec()),
                HeadText([trailing, ending].concat()),
            )
        };
        Self {
            name: HeadText(name.to_vec()),
            value: HeadText(value.to_vec()),
            spelling: (!is_usual).then(spelling),
        }
    }
}

/// The first line, its ending, and what follows.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let Some(feed) = memchr::memchr(b'\n', bytes) else {
        return (bytes, &[], &[]);
    };
    let (line, rest) = bytes.split_at(feed + 1);
    let content = line.strip_suffix(b"\n").unwrap_or(line);
    let content = content.strip_suffix(b"\r").unwrap_or(content);
    let (content, ending) = line.split_at(content.len());
    (content, ending, rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes_again(raw: &[u8]) -> Vec<u8> {
        let head = HeadLine::new(&ObservedHead::Raw(Bytes::copy_from_slice(raw)));
        let text = serde_json::to_string(&head).unwrap();
        let read: HeadLine = serde_json::from_str(&text).unwrap();
        match read.to_observed() {
            ObservedHead::Raw(bytes) => bytes.to_vec(),
            ObservedHead::Fields(_) => panic!("an exact head became fields"),
        }
    }

    #[test]
    fn an_ordinary_head_is_easy_to_read() {
        let raw = b"GET /mcp HTTP/1.1\r\nHost: a:1\r\nX-Odd:caf\xe9 \n\r\n";
        let head = HeadLine::new(&ObservedHead::Raw(Bytes::from_static(raw)));
        assert_eq!(
            serde_json::to_string(&head).unwrap(),
            r#"{"line":"GET /mcp HTTP/1.1","fields":[["Host","a:1"],["X-Odd",{"base64":"Y2Fm6Q=="},":"," \n"]],"exact":true}"#
        );
    }

    proptest! {
        #[test]
        fn every_head_comes_back_byte_for_byte(
            lines in prop::collection::vec(("[A-Za-z-]{0,5}[: ]{0,3}[ -~\u{e9}]{0,8}", prop_oneof![Just("\r\n"), Just("\n"), Just("\r\r\n")]), 0..6),
            tail in prop::collection::vec(any::<u8>(), 0..4),
        ) {
            let mut raw: Vec<u8> = lines.into_iter().flat_map(|(line, ending)| (line + ending).into_bytes()).collect();
            raw.extend(tail);
            prop_assert_eq!(bytes_again(&raw), raw);
        }
    }
}
