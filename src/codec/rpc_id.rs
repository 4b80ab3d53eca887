//! JSON-RPC ids and progress tokens: typed, and kept as they were spelled.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::fingerprint::Fingerprint;
use super::text::{Text, capped, is_number, string_end};

/// The longest spelling and the longest value that is kept as a whole, in bytes.
pub const MAX_ID_BYTES: usize = 256;

/// The id of a JSON-RPC message, or a token that works like one.
///
/// Equality is typed, as the protocol has it: `1` and `"1"` differ, `null` equals only `null`, numbers compare by
/// their spelling (`1` and `1.0` differ), strings by their decoded value, because a peer may escape them differently
/// on the way back. A value longer than [`MAX_ID_BYTES`] is compared by its length and a 64-bit hash.
///
/// `Display` and the serialised form show the raw token (`1`, `"1"`, `null`), cut after [`MAX_ID_BYTES`] bytes.
///
/// Source: JSON-RPC 2.0, section 4; MCP, "Requests": ids are strings or integers.
#[derive(Debug, Clone)]
pub struct RpcId {
    raw: Arc<str>,
    value: Value,
}

/// What is compared. The common forms need nothing beside the raw text.
#[derive(Debug, Clone)]
enum Value {
    Null,
    /// The raw text is the number.
    Number,
    /// The raw text is the string and its two quotes.
    Text,
    /// Decoded, because it has escapes or its raw text is cut or not UTF-8.
    Decoded(Box<[u8]>),
    LongNumber(Fingerprint),
    LongText(Fingerprint),
}

/// One comparable form for all the ways to keep a value.
#[derive(PartialEq, Eq, Hash)]
enum Comparable<'a> {
    Null,
    Number(&'a [u8]),
    Text(&'a [u8]),
    LongNumber(Fingerprint),
    LongText(Fingerprint),
}

impl RpcId {
    /// Reads one JSON token: a string with its quotes, a number or `null`. Anything else, also with spaces around it,
    /// is no id.
    pub fn parse(raw: &str) -> Option<Self> {
        let bytes = raw.as_bytes();
        let Some(inner) = bytes.strip_prefix(b"\"") else {
            return Self::from_scalar(Text::plain(bytes));
        };
        if string_end(inner, &mut false)? + 1 != inner.len() {
            return None;
        }
        let inner = &inner[..inner.len() - 1];
        if !inner.contains(&b'\\') {
            return Some(Self::from_string(Text::plain(inner)));
        }
        let decoded = super::text::decode(inner);
        Some(Self::from_string(Text {
            decoded: &decoded,
            ..Text::plain(inner)
        }))
    }

    /// The id `null`.
    pub fn null() -> Self {
        Self {
            raw: "null".into(),
            value: Value::Null,
        }
    }

    /// Whether this is `null`, which a request may not use and an error may.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// Whether this is a string.
    pub fn is_text(&self) -> bool {
        matches!(self.value, Value::Text | Value::Decoded(_) | Value::LongText(_))
    }

    /// The raw token as it was spelled, if it is here as a whole: what an answer has to carry. Bytes that are not
    /// UTF-8 have become U+FFFD.
    pub fn token(&self) -> Option<&str> {
        let is_whole = match &self.value {
            Value::Null | Value::Number | Value::Text => true,
            Value::Decoded(_) => self.raw.ends_with('"'),
            Value::LongNumber(_) | Value::LongText(_) => false,
        };
        is_whole.then_some(&*self.raw)
    }

    /// Bytes of heap memory beside the value itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        let decoded = if let Value::Decoded(decoded) = &self.value {
            decoded.len()
        } else {
            0
        };
        self.raw.len() + decoded
    }

    /// From the text between the quotes.
    pub(crate) fn from_string(text: Text<'_>) -> Self {
        if text.is_decoded_cut || text.decoded.len() > MAX_ID_BYTES {
            return Self {
                raw: quoted(text),
                value: Value::LongText(text.fingerprint()),
            };
        }
        let raw = quoted(text);
        let is_same =
            raw.len() == text.decoded.len() + 2 && raw.as_bytes().get(1..raw.len() - 1) == Some(text.decoded);
        let value = if is_same {
            Value::Text
        } else {
            Value::Decoded(text.decoded.into())
        };
        Self { raw, value }
    }

    /// From a number or `null`; other words are no id.
    pub(crate) fn from_scalar(text: Text<'_>) -> Option<Self> {
        if text.raw == b"null" {
            return Some(Self::null());
        }
        if !text.is_raw_cut && !is_number(text.raw) {
            return None;
        }
        if text.is_raw_cut || text.raw.len() > MAX_ID_BYTES {
            let is_numeric = text
                .raw
                .iter()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
            let raw = capped(text.raw, text.is_raw_cut, MAX_ID_BYTES).into();
            return is_numeric.then(|| Self {
                raw,
                value: Value::LongNumber(text.fingerprint()),
            });
        }
        Some(Self {
            raw: std::str::from_utf8(text.raw).ok()?.into(),
            value: Value::Number,
        })
    }

    fn comparable(&self) -> Comparable<'_> {
        match &self.value {
            Value::Null => Comparable::Null,
            Value::Number => Comparable::Number(self.raw.as_bytes()),
            Value::Text => Comparable::Text(&self.raw.as_bytes()[1..self.raw.len() - 1]),
            Value::Decoded(decoded) => Comparable::Text(decoded),
            Value::LongNumber(fingerprint) => Comparable::LongNumber(*fingerprint),
            Value::LongText(fingerprint) => Comparable::LongText(*fingerprint),
        }
    }
}

/// The raw text of a string with its quotes; a cut one ends in `…` instead of its second quote.
fn quoted(text: Text<'_>) -> Arc<str> {
    let is_cut = text.is_raw_cut || text.raw.len() + 2 > MAX_ID_BYTES;
    let mut raw = String::with_capacity(text.raw.len().min(MAX_ID_BYTES) + 2);
    raw.push('"');
    raw.push_str(&capped(text.raw, is_cut, MAX_ID_BYTES - 2));
    if !is_cut {
        raw.push('"');
    }
    raw.into()
}

impl PartialEq for RpcId {
    fn eq(&self, other: &Self) -> bool {
        self.comparable() == other.comparable()
    }
}

impl Eq for RpcId {}

impl Hash for RpcId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.comparable().hash(state);
    }
}

impl fmt::Display for RpcId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

/// Between the head of a long id and its fingerprint in the serialised form. No JSON token contains it outside quotes.
const LONG_MARK: char = '\u{1f}';

impl Serialize for RpcId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Value::LongNumber(print) | Value::LongText(print) => {
                let long = format!(
                    "{}{LONG_MARK}{:016x}{LONG_MARK}{}",
                    self.raw, print.hash, print.bytes
                );
                serializer.serialize_str(&long)
            }
            Value::Decoded(decoded) if self.token().is_none() => {
                // The spelling was cut, the value was not: any spelling of the same value will do.
                let spelled = serde_json::to_string(&String::from_utf8_lossy(decoded)).unwrap_or_default();
                serializer.serialize_str(&spelled)
            }
            _ => serializer.serialize_str(&self.raw),
        }
    }
}

impl<'de> Deserialize<'de> for RpcId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = String::deserialize(deserializer)?;
        parse_long(&raw).or_else(|| Self::parse(&raw)).ok_or_else(|| {
            de::Error::custom(format_args!(
                "{raw:?} is no JSON-RPC id; write a string, a number or null"
            ))
        })
    }
}

fn parse_long(serialised: &str) -> Option<RpcId> {
    let mut parts = serialised.rsplitn(3, LONG_MARK);
    let bytes = parts.next()?.parse().ok()?;
    let hash = u64::from_str_radix(parts.next()?, 16).ok()?;
    let raw: Arc<str> = parts.next()?.into();
    let print = Fingerprint { hash, bytes };
    let value = if raw.starts_with('"') {
        Value::LongText(print)
    } else {
        Value::LongNumber(print)
    };
    Some(RpcId { raw, value })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn id(raw: &str) -> RpcId {
        RpcId::parse(raw).unwrap()
    }

    #[test]
    fn ids_are_typed() {
        let all = [
            "1",
            "\"1\"",
            "-3",
            "1.5",
            "1.0",
            "null",
            "\"null\"",
            "\"\"",
            "0",
            "12345678901234567890123",
        ];
        let distinct: HashSet<RpcId> = all.iter().map(|raw| id(raw)).collect();
        assert_eq!(distinct.len(), all.len());
        for raw in all {
            assert_eq!(id(raw).to_string(), raw);
            assert_eq!(id(raw).token(), Some(raw));
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for raw in [
            "", "true", "{}", "[1]", "01", "1.", "-", "1e", " 1", "\"a", "\"a\"b", "nul", ".5", "+1", "1 ",
        ] {
            assert_eq!(RpcId::parse(raw), None, "{raw}");
        }
        assert!(RpcId::parse("-0.5e+10").is_some());
    }

    #[test]
    fn a_string_escaped_in_another_way_is_the_same_id() {
        assert_eq!(id(r#""a\/b""#), id("\"a/b\""));
        assert_eq!(id(r#""\u0061""#), id("\"a\""));
        assert_eq!(id(r#""\u0061""#).to_string(), r#""\u0061""#);
        assert_ne!(id(r#""\ud800""#), id(r#""\ud801""#));
    }

    #[test]
    fn a_very_long_id_is_shown_cut_and_still_compared_whole() {
        let long = |last: char| format!("\"{}{last}\"", "x".repeat(5_000));
        assert_eq!(id(&long('a')), id(&long('a')));
        assert_ne!(id(&long('a')), id(&long('b')));
        assert!(id(&long('a')).to_string().len() <= MAX_ID_BYTES + 4);
        assert!(id(&long('a')).to_string().ends_with('…'));
        assert_eq!(id(&long('a')).token(), None);
        assert_ne!(id(&"1".repeat(300)), id(&"1".repeat(301)));
        // A long spelling of a short value.
        let spelled = format!("\"{}\"", r"\u0061".repeat(100));
        assert_eq!(id(&spelled), id(&format!("\"{}\"", "a".repeat(100))));
    }

    proptest! {
        #[test]
        fn the_serialised_form_keeps_equality(text in ".{0,40}", times in 1usize..30) {
            let raw = serde_json::to_string(&text.repeat(times)).unwrap();
            let before = id(&raw);
            let json = serde_json::to_string(&before).unwrap();
            let after: RpcId = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&before, &after);
            if raw.len() <= MAX_ID_BYTES {
                prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), raw);
            }
        }

        #[test]
        fn numbers_are_accepted_exactly_as_json_has_them(text in "-?[0-9]{0,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?") {
            let is_valid = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
            prop_assert_eq!(RpcId::parse(&text).is_some(), is_valid);
        }
    }
}
