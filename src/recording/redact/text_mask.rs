//! Texts that leave the program beside a recording, without their secrets.

use std::io;

use serde_json::Value;

use super::json::JsonRedactor;
use super::names::{is_secret_header, is_secret_member};
use super::output::Output;
use super::pattern::RedactPatterns;
use super::redact_text;
use super::tag::Tagger;

/// Replaces secrets in texts that leave the program beside a recording, such as printed lines. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TextMask(Tagger);

impl TextMask {
    /// A mask whose tags mean something only beside each other.
    ///
    /// # Errors
    /// If the system has no random bytes to offer.
    pub fn random() -> io::Result<Self> {
        Tagger::random().map(Self).map_err(io::Error::other)
    }

    /// The same; without random bytes all secrets look the same, as `***`.
    pub(crate) fn random_or_stars() -> Self {
        Self::random().unwrap_or_else(|_| Self::stars())
    }

    /// All secrets look the same, as `***`.
    pub(super) fn stars() -> Self {
        Self(Tagger::hiding())
    }

    /// The same, for which what matches `patterns` is a secret too, as it is in recordings.
    #[must_use]
    pub fn with_patterns(self, patterns: RedactPatterns) -> Self {
        Self(self.0.with_patterns(patterns))
    }

    /// The text without what a recording of a line that is no JSON would not have: users, passwords and token-like query
    /// values of URLs, `token=…`, `Bearer …`; and, if it has a JSON object from somewhere on, or the start of one, without
    /// the secret members of that.
    pub fn masked(&self, text: &str) -> String {
        let mut out = Output::new(&self.0);
        redact_text(text.as_bytes(), &mut out);
        taken(&mut out)
    }

    /// A name or an id, in which only the user's patterns find secrets.
    pub fn masked_name(&self, name: &str) -> String {
        let mut out = Output::new(&self.0);
        out.pass(name.as_bytes());
        taken(&mut out)
    }

    /// A whole JSON document without what a recording of it would not have; it stays JSON. Of an object the user's
    /// patterns are looked for in each member alone.
    pub fn masked_document(&self, document: &str) -> String {
        if !self.0.patterns().is_empty()
            && let Ok(Value::Object(members)) = serde_json::from_str(document)
        {
            let masked = members.into_iter().map(|(name, value)| {
                let value = self.masked_value(&[Some(&name)], &value);
                (name, value)
            });
            return Value::Object(masked.collect()).to_string();
        }
        self.masked_inside(&[], document)
    }

    /// JSON that stands somewhere in a message, as it is spelled, without what a recording of it would not have there.
    /// `names` lead to it from outside: a member's name, `None` for an array.
    pub(crate) fn masked_inside(&self, names: &[Option<&str>], json: &str) -> String {
        let mut out = Output::new(&self.0);
        let mut redactor = JsonRedactor::default();
        redactor.push(&opening(names), &mut out);
        out.bytes.clear();
        redactor.push(json.as_bytes(), &mut out);
        redactor.finish(&mut out);
        taken(&mut out)
    }

    /// The same for a value. One of which a pattern leaves no JSON becomes a text.
    pub(crate) fn masked_value(&self, names: &[Option<&str>], value: &Value) -> Value {
        let masked = self.masked_inside(names, &value.to_string());
        serde_json::from_str(&masked).unwrap_or(Value::String(masked))
    }
}

/// Whether a header field or a member of this name has a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    is_secret_header(name.as_bytes()) || is_secret_member(name.as_bytes())
}

/// The start of a document whose next value is the one that `names` lead to.
fn opening(names: &[Option<&str>]) -> Vec<u8> {
    let mut text = Vec::new();
    for name in names {
        match name {
            Some(name) => {
                text.push(b'{');
                text.extend(serde_json::to_vec(name).unwrap_or_default());
                text.push(b':');
            }
            None => text.push(b'['),
        }
    }
    text
}

fn taken(out: &mut Output<'_>) -> String {
    String::from_utf8_lossy(&out.take()).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mask() -> TextMask {
        TextMask(Tagger::fixed())
    }

    fn tag(secret: &str) -> String {
        Tagger::fixed().tag(secret.as_bytes())
    }

    #[test]
    fn a_value_is_a_secret_if_the_names_that_lead_to_it_say_so() {
        let inside = |names: &[Option<&str>], json: &str| mask().masked_inside(names, json);
        let params = Some("params");
        for (names, json, masked) in [
            (
                &[params, Some("password")][..],
                r#""X""#,
                format!("\"{}\"", tag("X")),
            ),
            (&[params, Some("password")], "17", format!("\"{}\"", tag("17"))),
            (
                &[params, Some("tokens"), None],
                r#""X""#,
                format!("\"{}\"", tag("X")),
            ),
            (
                &[params, Some("a \"b")],
                r#"{"n":1,"token":"X"}"#,
                format!(r#"{{"n":1,"token":"{}"}}"#, tag("X")),
            ),
            (
                &[Some("result"), Some("content"), Some("name")],
                r#""X""#,
                format!("\"{}\"", tag("X")),
            ),
            (
                &[params, Some("text")],
                r#""token=X2""#,
                format!("\"token={}\"", tag("X2")),
            ),
            (&[params, Some("city")], r#""X""#, r#""X""#.to_owned()),
        ] {
            assert_eq!(inside(names, json), masked, "{names:?} {json}");
        }
    }

    #[test]
    fn patterns_of_a_user_count_in_every_text_and_name() {
        let pattern = "acme-[0-9]+".parse().unwrap();
        let mask = mask().with_patterns([pattern].into_iter().collect());
        let expected = format!("a {}", tag("acme-12"));
        assert_eq!(mask.masked("a acme-12"), expected);
        assert_eq!(mask.masked_name("a acme-12"), expected);
        assert_eq!(
            mask.masked_document(r#"{"n":1,"a":["a acme-12"]}"#),
            format!("{{\"n\":1,\"a\":[\"{expected}\"]}}")
        );
        assert_eq!(
            mask.masked_value(&[], &json!(["a acme-12", 1])),
            json!([expected, 1])
        );
    }

    #[test]
    fn what_a_pattern_leaves_of_a_value_is_json_again() {
        let pattern = "[0-9]{4}".parse().unwrap();
        let mask = mask().with_patterns([pattern].into_iter().collect());
        let masked = mask.masked_document(r#"{"params":{"pin":4711},"n":1}"#);
        let params = format!(r#"{{"pin":{}}}"#, tag("4711"));
        assert_eq!(masked, json!({"params": params, "n": 1}).to_string());
    }
}
