//! A message without what is new each time, spelled in one way.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde::de::IgnoredAny;

use super::ignore::{At, IgnorePath};
use super::times;
use crate::codec::json::{elements, members, string_value};
use crate::intercept::edit::MAX_NESTING;
use crate::replay::alike::SECRET_MASK;

/// What stands for a value that is another one each time.
const ANY: &str = "\"‹any›\"";

/// How a message is written.
pub(super) struct Task<'a> {
    /// Method of the request.
    pub(super) method: &'a str,
    /// Places to leave out.
    pub(super) ignore: &'a [IgnorePath],
    /// Places whose value does not matter, only that there is one.
    pub(super) volatile: &'a [&'a str],
    /// Everything as it is spelled.
    pub(super) is_exact: bool,
    /// Members by name and without those that say nothing, so that requests for the same have equal texts.
    pub(super) is_key: bool,
}

/// Which texts that are JSON are looked into.
#[derive(Debug, Clone, Copy)]
pub(super) enum Opening<'a> {
    /// All that may be.
    All,
    /// Only those at these places.
    Only(&'a Opened),
}

/// Places of texts that were looked into.
pub(super) type Opened = BTreeSet<Vec<At>>;

/// The message as it is compared.
#[derive(Debug)]
pub(super) struct Canonical {
    pub(super) text: Vec<u8>,
    /// The list that is a set, and the names in it, in order.
    pub(super) list: Option<(&'static str, Vec<String>)>,
    /// Texts that were looked into.
    opened: Opened,
}

impl Canonical {
    /// Two messages. A text that is JSON is written as what is in it where both have such a text, and as a text elsewhere.
    pub(super) fn both(task: &Task<'_>, one: &[u8], other: &[u8]) -> (Self, Self) {
        let [first, second] = [one, other].map(|message| Self::opening(task, message, Opening::All));
        if first.opened == second.opened {
            return (first, second);
        }
        let common: Opened = first.opened.intersection(&second.opened).cloned().collect();
        let [first, second] =
            [one, other].map(|message| Self::opening(task, message, Opening::Only(&common)));
        (first, second)
    }

    /// The canonical form of `message`, without a look into its texts; itself if it is no JSON object.
    pub(super) fn of(task: &Task<'_>, message: &[u8]) -> Self {
        Self::opening(task, message, Opening::Only(&Opened::new()))
    }

    fn opening(task: &Task<'_>, message: &[u8], opening: Opening<'_>) -> Self {
        let message = message.trim_ascii();
        if message.first() != Some(&b'{') {
            return Self {
                text: message.to_vec(),
                list: None,
                opened: Opened::new(),
            };
        }
        let volatile = task.volatile.iter().filter_map(|path| path.parse().ok());
        let mut writer = Writer {
            task,
            volatile: volatile.collect(),
            set: set_of(task.method),
            place: Vec::new(),
            text: Vec::with_capacity(message.len()),
            list: None,
            opening,
            opened: Opened::new(),
        };
        writer.value(message);
        Self {
            text: writer.text,
            list: writer.list,
            opened: writer.opened,
        }
    }
}

/// The list in the result that is a set, and what names its members.
///
/// Source: MCP, Tools, Prompts and Resources: names and URIs are unique within a server.
fn set_of(method: &str) -> Option<(&'static str, &'static str)> {
    match method {
        "tools/list" => Some(("tools", "name")),
        "prompts/list" => Some(("prompts", "name")),
        "resources/list" => Some(("resources", "uri")),
        "resources/templates/list" => Some(("resourceTemplates", "uriTemplate")),
        _ => None,
    }
}

struct Writer<'a> {
    task: &'a Task<'a>,
    volatile: Vec<IgnorePath>,
    set: Option<(&'static str, &'static str)>,
    place: Vec<At>,
    text: Vec<u8>,
    list: Option<(&'static str, Vec<String>)>,
    opening: Opening<'a>,
    opened: Opened,
}

impl Writer<'_> {
    fn value(&mut self, raw: &[u8]) {
        if self.volatile.iter().any(|path| path.has(&self.place)) {
            self.text.extend_from_slice(ANY.as_bytes());
            return;
        }
        match raw.first() {
            // Deeper than any message that could be compared is left as it is spelled.
            Some(b'{') if self.place.len() < MAX_NESTING => self.object(raw),
            Some(b'[') if self.place.len() < MAX_NESTING => self.array(raw),
            Some(b'"') => self.string(raw),
            Some(b'-' | b'0'..=b'9') if !self.task.is_exact => self.number(raw),
            _ => self.text.extend_from_slice(raw),
        }
    }

    fn object(&mut self, raw: &[u8]) {
        let mut found: Vec<(String, &[u8])> = members(raw)
            .map(|(key, value)| (string_value(key).into_owned(), value))
            .collect();
        if self.task.is_key {
            found.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
        self.members(found);
    }

    fn members<'b>(&mut self, found: impl IntoIterator<Item = (String, &'b [u8])>) {
        self.text.push(b'{');
        let mut is_first = true;
        for (key, value) in found {
            // The id is that of the call, and `jsonrpc` of the envelope.
            if self.place.is_empty() && matches!(key.as_str(), "id" | "jsonrpc") {
                continue;
            }
            let spelled = spelled(&key);
            self.place.push(At::Key(key));
            let start = self.text.len();
            let is_left_out = self.is_ignored() || (self.task.is_key && self.says_nothing(value));
            if !is_left_out {
                if !is_first {
                    self.text.push(b',');
                }
                self.text.extend_from_slice(spelled.as_bytes());
                self.text.push(b':');
                let value_start = self.text.len();
                self.value(value);
                // What was emptied by leaving things out is not there either.
                if self.text.ends_with(b"{}") && self.text.len() == value_start + 2 && !is_blank(value) {
                    self.text.truncate(start);
                } else {
                    is_first = false;
                }
            }
            self.place.pop();
        }
        self.text.push(b'}');
    }

    /// Whether a member of a request asks for nothing: `null`, and params or arguments without anything in them.
    fn says_nothing(&self, value: &[u8]) -> bool {
        let is_list_of_members = match self.place.as_slice() {
            [At::Key(params)] => params == "params",
            [At::Key(params), At::Key(arguments)] => params == "params" && arguments == "arguments",
            _ => false,
        };
        let has_something = |value: &[u8]| {
            let is_something = |(_, value): (_, &[u8])| value != b"null";
            members(value).any(is_something) || elements(value).next().is_some()
        };
        value == b"null"
            || (is_list_of_members && matches!(value.first(), Some(b'{' | b'[')) && !has_something(value))
    }

    fn array(&mut self, raw: &[u8]) {
        if let Some((list, key)) = self.set
            && self.place == [At::Key("result".to_owned()), At::Key(list.to_owned())]
        {
            return self.set(raw, list, key);
        }
        self.text.push(b'[');
        let mut is_first = true;
        let found: Vec<&[u8]> = elements(raw).collect();
        for (index, value) in found.iter().enumerate() {
            self.place.push(At::Index(index, found.len()));
            if !self.is_ignored() {
                if !is_first {
                    self.text.push(b',');
                }
                is_first = false;
                self.value(value);
            }
            self.place.pop();
        }
        self.text.push(b']');
    }

    /// A list as an object, whose members are called as what is in the list.
    fn set(&mut self, raw: &[u8], list: &'static str, key: &str) {
        let found = elements(raw).map(|value| {
            let name = super::text_at(value, &[key]);
            (name.unwrap_or_default(), value)
        });
        let found: Vec<(String, &[u8])> = found.collect();
        self.list = Some((list, found.iter().map(|(name, _)| name.clone()).collect()));
        self.members(found);
    }

    fn string(&mut self, raw: &[u8]) {
        let text = string_value(raw);
        if self.is_to_be_opened(&text) {
            self.opened.insert(self.place.clone());
            return self.value(text.trim_ascii().as_bytes());
        }
        let text = SECRET.replace_all(&text, SECRET_MASK);
        if self.task.is_exact {
            let is_masked = text.contains(SECRET_MASK);
            let spelled = is_masked.then(|| spelled(&text));
            let bytes = spelled.as_ref().map_or(raw, |text| text.as_bytes());
            self.text.extend_from_slice(bytes);
            return;
        }
        let text = UUID.replace_all(&text, "‹uuid›");
        let text = times::masked(&text);
        self.text.extend_from_slice(spelled(&text).as_bytes());
    }

    /// Whether a text is JSON with something in it to be looked at. Servers put what a tool returns into a text.
    fn is_to_be_opened(&self, text: &str) -> bool {
        let is_wanted = match self.opening {
            Opening::Only(places) => places.contains(&self.place),
            // As it is spelled, unless something in it is left out.
            Opening::All if self.task.is_exact => {
                self.task.ignore.iter().any(|path| path.goes_on(&self.place))
            }
            Opening::All => true,
        };
        is_wanted
            && self.place.len() < MAX_NESTING
            && text.trim_ascii_start().starts_with(['{', '['])
            && serde_json::from_str::<IgnoredAny>(text).is_ok()
    }

    fn number(&mut self, raw: &[u8]) {
        let number = number(raw);
        match times::number_mark(self.name(), &String::from_utf8_lossy(&number)) {
            Some(mark) => self.text.extend_from_slice(spelled(mark).as_bytes()),
            None => self.text.extend(number),
        }
    }

    /// The innermost name on the way to where we are.
    fn name(&self) -> &str {
        let name = |at: &'_ At| matches!(at, At::Key(_));
        match self.place.iter().rfind(|at| name(at)) {
            Some(At::Key(name)) => name,
            _ => "",
        }
    }

    fn is_ignored(&self) -> bool {
        self.task.ignore.iter().any(|path| path.has(&self.place))
    }
}

/// `{ }` with blanks.
fn is_blank(object: &[u8]) -> bool {
    members(object).next().is_none()
}

fn spelled(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// A number in one spelling, if that loses nothing.
fn number(raw: &[u8]) -> Vec<u8> {
    /// Whole numbers up to here have a floating point number of their own.
    const EXACT: f64 = 9_007_199_254_740_992.0;

    let text = String::from_utf8_lossy(raw);
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return raw.to_vec();
    }
    match text.parse::<f64>() {
        Ok(number) if number.abs() < EXACT => number.to_string().into_bytes(),
        _ => raw.to_vec(),
    }
}

static SECRET: LazyLock<Regex> = LazyLock::new(|| pattern("\u{2039}secret:[0-9a-f]+\u{203a}"));
static UUID: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"));

#[expect(
    clippy::expect_used,
    reason = "the patterns are constants, and every test reads them"
)]
pub(super) fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern")
}
