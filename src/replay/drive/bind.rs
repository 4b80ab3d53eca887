//! Values that a server hands out and gets back: those of the live server in the place of the recorded ones.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::codec::json::{elements, members, string_value};
use crate::replay::alike::{TAG_END, TAG_START, is_one_tag};

/// Deeper is not looked for handles.
const MAX_DEPTH: usize = 64;
/// Most handles that are remembered; further ones stay as they were recorded.
const MAX_HANDLES: usize = 65_536;

/// Recorded handles and what they are now.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    live: HashMap<String, String>,
    /// Handles that the live server has not given: the place where the recorded one had given them.
    gone: HashMap<String, String>,
    /// Tags of secrets that are the client's: what a server says of them in its answers is no news.
    brought: HashSet<String>,
    /// Members of elicited answers that are numbers. A tag is a text, whatever it stands for.
    numbers: HashSet<String>,
}

impl Bindings {
    /// Puts `value` in the place of a tag, wherever that stands.
    pub(super) fn supply(&mut self, tag: &str, value: &str) {
        self.live
            .insert(format!("{TAG_START}{tag}{TAG_END}"), value.to_owned());
    }

    /// Notes that the client brings the secret of this tag.
    pub(super) fn brings(&mut self, tag: String) {
        self.brought.insert(tag);
    }

    /// Notes which members a recorded message elicits as numbers: supplied secrets are no texts there.
    ///
    /// Source: MCP, Elicitation: `requestedSchema` is a flat object of primitive properties.
    pub(super) fn expect_numbers(&mut self, recorded: &[u8]) {
        if memchr::memmem::find(recorded, b"\"requestedSchema\"").is_none() {
            return;
        }
        if let Ok(message) = serde_json::from_slice::<Value>(recorded) {
            self.expect_numbers_in(&message);
        }
    }

    /// As deep as JSON is read, so the stack bears it.
    fn expect_numbers_in(&mut self, value: &Value) {
        match value {
            Value::Object(members) => {
                let schema = members.get("requestedSchema");
                let properties = schema.and_then(|schema| schema.get("properties")?.as_object());
                let is_number =
                    |schema: &Value| matches!(schema["type"].as_str(), Some("integer" | "number"));
                let numbers = properties.into_iter().flatten();
                let numbers = numbers.filter(|(_, schema)| is_number(schema));
                self.numbers.extend(numbers.map(|(name, _)| name.clone()));
                members.values().for_each(|value| self.expect_numbers_in(value));
            }
            Value::Array(elements) => elements.iter().for_each(|value| self.expect_numbers_in(value)),
            _ => {}
        }
    }

    /// Takes in what the live server has given in the place of what the recorded one had given.
    pub(super) fn learn(&mut self, recorded: &[u8], live: &[u8], of: &str) {
        let mut texts = HashSet::new();
        each_named_string(live, &mut |_, text| {
            texts.insert(text.to_owned());
        });
        self.learn_value(recorded, Some(live), Some(&texts), ("", of), 0);
    }

    fn learn_value(
        &mut self,
        recorded: &[u8],
        live: Option<&[u8]>,
        texts: Option<&HashSet<String>>,
        (name, of): (&str, &str),
        depth: usize,
    ) {
        if depth > MAX_DEPTH {
            return;
        }
        match recorded.first() {
            Some(b'{') => {
                let now: HashMap<Cow<'_, str>, &[u8]> = live
                    .into_iter()
                    .flat_map(members)
                    .map(|(key, value)| (string_value(key), value))
                    .collect();
                for (key, value) in members(recorded) {
                    let key = string_value(key);
                    self.learn_value(value, now.get(&key).copied(), texts, (&key, of), depth + 1);
                }
            }
            Some(b'[') => {
                let mut now = live.into_iter().flat_map(elements);
                for value in elements(recorded) {
                    self.learn_value(value, now.next(), texts, (name, of), depth + 1);
                }
            }
            Some(b'"') => self.learn_text(recorded, live, texts, (name, of), depth),
            _ => {}
        }
    }

    fn learn_text(
        &mut self,
        recorded: &[u8],
        live: Option<&[u8]>,
        texts: Option<&HashSet<String>>,
        (name, of): (&str, &str),
        depth: usize,
    ) {
        let was = string_value(recorded);
        let is_tag = is_one_tag(&was);
        // A secret that is a number is a text in the recording.
        let is_value = |live: &&[u8]| match live.first() {
            Some(b'"') => true,
            Some(first) => is_tag && (first.is_ascii_digit() || *first == b'-'),
            None => false,
        };
        let now = live.filter(is_value).map(string_value);
        if was.starts_with(['{', '[']) {
            // Tools put JSON into texts.
            let now = now.as_ref().map(|now| now.as_bytes());
            return self.learn_value(was.as_bytes(), now, texts, (name, of), depth + 1);
        }
        let is_given = is_handle(name) || is_tag && !self.brought.contains(&*was);
        if !is_given || was.is_empty() || self.live.len() + self.gone.len() >= MAX_HANDLES {
            return;
        }
        let is_still_there = texts.is_some_and(|texts| texts.contains(&*was));
        match now {
            _ if is_still_there => {
                self.gone.remove(&*was);
            }
            Some(now) => {
                self.gone.remove(&*was);
                self.live.insert(was.into_owned(), now.into_owned());
            }
            // A URI may well be one that needs no answer to be known.
            None if !self.live.contains_key(&*was) && !matches!(name, "uri" | "id" | "etag") => {
                self.gone
                    .insert(was.into_owned(), format!("`{name}` of the answer to {of}"));
            }
            None => {}
        }
    }

    /// The message with live handles, or the recorded handle that has none and where it was given.
    pub(super) fn applied(&self, message: &[u8]) -> Result<Vec<u8>, Gone> {
        let mut gone = None;
        let bound = replace_strings(message, &mut |name, text| {
            if let Some(place) = self.gone.get(text) {
                gone.get_or_insert_with(|| Gone {
                    handle: text.to_owned(),
                    place: place.clone(),
                });
            }
            self.spelled(name, text)
        });
        gone.map_or(Ok(bound), Err)
    }

    /// The message with live handles, as far as there are any.
    pub(super) fn translated(&self, message: &[u8]) -> Vec<u8> {
        replace_strings(message, &mut |name, text| self.spelled(name, text))
    }

    /// What takes the place of a text, as JSON.
    fn spelled(&self, name: &str, text: &str) -> Option<Vec<u8>> {
        let bound = self.bound(text)?;
        let is_number = self.numbers.contains(name)
            && is_one_tag(text)
            && serde_json::from_str::<serde_json::Number>(&bound).is_ok();
        if is_number {
            return Some(bound.trim().as_bytes().to_vec());
        }
        serde_json::to_vec(&bound).ok()
    }

    fn bound(&self, text: &str) -> Option<String> {
        if let Some(live) = self.live.get(text) {
            return Some(live.clone());
        }
        if !text.contains(TAG_START) {
            return None;
        }
        let mut changed = text.to_owned();
        for tag in tags(text) {
            if let Some(live) = self.live.get(tag) {
                changed = changed.replace(tag, live);
            }
        }
        (changed != text).then_some(changed)
    }
}

/// A handle that the live server has not given.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) handle: String,
    pub(super) place: String,
}

/// Whether a member of this name holds something that a server hands out and takes back.
fn is_handle(name: &str) -> bool {
    const NAMES: [&str; 8] = [
        "cursor",
        "nextCursor",
        "requestState",
        "id",
        "uri",
        "handle",
        "token",
        "etag",
    ];
    const ENDS: [&str; 10] = [
        "Id", "_id", "Uri", "_uri", "Cursor", "_cursor", "Handle", "_handle", "Token", "_token",
    ];
    NAMES.contains(&name) || ENDS.iter().any(|end| name.ends_with(end))
}

/// The tags in a text.
pub(super) fn tags(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(TAG_START)?;
        let (_, from) = rest.split_at(start);
        let end = from.find(TAG_END)? + TAG_END.len();
        let (tag, after) = from.split_at(end);
        rest = after;
        Some(tag)
    })
}

/// Shows every text value, decoded, and the name that stands before it.
pub(super) fn each_named_string(json: &[u8], see: &mut dyn FnMut(&str, &str)) {
    let mut name = Cow::Borrowed("");
    for token in strings(json) {
        let text = string_value(&json[token.start..token.end]);
        if token.is_name {
            name = text;
        } else {
            see(&name, &text);
        }
    }
}

/// The text with other values where `change` gives one as JSON, everything else byte for byte. It is shown the name that
/// stands before a text, too.
fn replace_strings(json: &[u8], change: &mut dyn FnMut(&str, &str) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    let mut done = 0;
    let mut name = Cow::Borrowed("");
    for token in strings(json) {
        let text = string_value(&json[token.start..token.end]);
        if token.is_name {
            name = text;
            continue;
        }
        let Some(new) = change(&name, &text) else {
            continue;
        };
        out.extend_from_slice(&json[done..token.start]);
        out.extend(new);
        done = token.end;
    }
    out.extend_from_slice(&json[done..]);
    out
}

/// Where a string stands, quotes included.
struct StringToken {
    start: usize,
    end: usize,
    is_name: bool,
}

fn strings(json: &[u8]) -> impl Iterator<Item = StringToken> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + memchr::memchr(b'"', &json[at..])?;
        let mut end = start + 1;
        loop {
            end += memchr::memchr2(b'"', b'\\', &json[end..])?;
            if json[end] == b'"' {
                break;
            }
            end = (end + 2).min(json.len());
        }
        end += 1;
        at = end;
        let next = json[end..].iter().find(|byte| !byte.is_ascii_whitespace());
        Some(StringToken {
            start,
            end,
            is_name: next == Some(&b':'),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(bindings: &Bindings, message: &str) -> String {
        String::from_utf8(bindings.applied(message.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn handles_of_the_live_server_take_the_place_of_recorded_ones() {
        let mut bindings = Bindings::default();
        bindings.learn(
            br#"{"id":1,"result":{"nextCursor":"a\u0031","text":"no","structuredContent":{"orderId":"o1"},"content":[{"text":"{\"taskId\":\"t1\"}"}]}}"#,
            br#"{"id":9,"result":{"nextCursor":"b","text":"yes","structuredContent":{"orderId":"o2"},"content":[{"text":"{\"taskId\": \"t2\"}"}]}}"#,
            "x",
        );
        assert_eq!(
            applied(
                &bindings,
                r#"{"a1":"a1", "o":[ "o1" ],"t":"t1","text":"no","n":1.0}"#
            ),
            r#"{"a1":"b", "o":[ "o2" ],"t":"t2","text":"no","n":1.0}"#
        );
    }

    #[test]
    fn a_secret_that_the_server_hands_out_is_learned_whatever_it_is_called() {
        let tag = |name: &str| format!("{TAG_START}{name}{TAG_END}");
        let recorded = format!(r#"{{"password":"{}","pin":"{}"}}"#, tag("0a"), tag("0b"));
        let mut bindings = Bindings::default();
        bindings.learn(recorded.as_bytes(), br#"{"password":"p","pin":17}"#, "x");
        let request = format!(r#"["{}","{}"]"#, tag("0a"), tag("0b"));
        assert_eq!(applied(&bindings, &request), r#"["p","17"]"#);

        // The client's own password stays what it was, whatever the server makes of it.
        let mut bindings = Bindings::default();
        bindings.brings(tag("0a"));
        bindings.supply("0a", "s3cret");
        bindings.learn(recorded.as_bytes(), br#"{"password":"***"}"#, "x");
        let request = format!(r#"["{}"]"#, tag("0a"));
        assert_eq!(applied(&bindings, &request), r#"["s3cret"]"#);
        let gone = bindings.applied(format!(r#"["{}"]"#, tag("0b")).as_bytes());
        assert_eq!(gone.unwrap_err().place, "`pin` of the answer to x");
    }

    #[test]
    fn a_handle_that_is_still_given_elsewhere_stays() {
        let mut bindings = Bindings::default();
        bindings.learn(
            br#"{"resources":[{"uri":"f:1"},{"uri":"f:2"}]}"#,
            br#"{"resources":[{"uri":"f:2"},{"uri":"f:1"}]}"#,
            "x",
        );
        assert_eq!(applied(&bindings, r#""f:1""#), r#""f:1""#);
    }

    #[test]
    fn a_handle_that_is_not_given_any_more_is_named_with_its_place() {
        let mut bindings = Bindings::default();
        bindings.learn(
            br#"{"result":{"nextCursor":"a"}}"#,
            br#"{"result":{}}"#,
            "tools/list",
        );
        let gone = bindings.applied(br#"{"params":{"cursor":"a"}}"#).unwrap_err();
        assert_eq!(
            (gone.handle.as_str(), gone.place.as_str()),
            ("a", "`nextCursor` of the answer to tools/list")
        );
    }

    #[test]
    fn a_supplied_number_is_a_number_where_one_was_elicited() {
        let mut bindings = Bindings::default();
        for (tag, value) in [("0a", "3"), ("0b", "x")] {
            bindings.supply(tag, value);
        }
        bindings.expect_numbers(
            br#"{"method":"elicitation/create","params":{"requestedSchema":{"type":"object","properties":{"n":{"type":"integer"},"s":{"type":"string"},"x":{"type":"number"}}}}}"#,
        );
        let tag = |name: &str| format!("{TAG_START}{name}{TAG_END}");
        let recorded = format!(
            r#"{{"content":{{"n":"{}","s":"{}","x":"{}"}}}}"#,
            tag("0a"),
            tag("0a"),
            tag("0b")
        );
        assert_eq!(
            applied(&bindings, &recorded),
            r#"{"content":{"n":3,"s":"3","x":"x"}}"#
        );
    }

    #[test]
    fn supplied_secrets_take_the_place_of_their_tags_within_texts() {
        let mut bindings = Bindings::default();
        bindings.supply("0a", "s3cret");
        let recorded = format!(r#"{{"a":"Bearer {TAG_START}0a{TAG_END}","b":"{TAG_START}0b{TAG_END}"}}"#);
        let expected = format!(r#"{{"a":"Bearer s3cret","b":"{TAG_START}0b{TAG_END}"}}"#);
        assert_eq!(applied(&bindings, &recorded), expected);
    }
}
