//! What a recording has only tags of, so that somebody has to supply it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::bind::{each_named_string, tags};
use super::plan::{Act, Plan, SessionPlan};
use crate::replay::alike::{TAG_END, TAG_START, is_one_tag};
use crate::replay::tape::Tape;

/// Head fields that each connection makes for itself.
const OF_THE_CONNECTION: [&str; 3] = ["mcp-session-id", "referer", "origin"];

/// How many texts of JSON inside of each other are looked into.
const MAX_TEXTS: usize = 8;

/// A secret that the recording has only a tag of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum MissingSecret {
    /// A header of the requests.
    Header {
        /// Its name, in lower case.
        name: String,
    },
    /// A value in a message.
    Value {
        /// The tag without its marks: `5be1c0ffee01`.
        tag: String,
        /// Where it stands, such as `tools/call login, password`.
        place: String,
    },
}

impl fmt::Display for MissingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header { name } if name == "dpop" => write!(
                f,
                "the header dpop, which is a proof for one request and cannot be sent again: use credentials without it"
            ),
            Self::Header { name } => write!(
                f,
                "the header {name}: add --header '{name}: VALUE' or --header-env {name}=VARIABLE"
            ),
            Self::Value { tag, place } => write!(f, "{place}: add --secret-env {tag}=VARIABLE"),
        }
    }
}

fn bare(tag: &str) -> String {
    tag.trim_start_matches(TAG_START)
        .trim_end_matches(TAG_END)
        .to_owned()
}

/// The tags, without their marks, of all secrets in the messages of a recording: those that can be supplied.
pub fn tags_in(tape: &Tape) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for message in tape.sessions.iter().flat_map(|session| &session.messages) {
        each_named_string(&message.text, &mut |_, value| found.extend(tags(value).map(bare)));
    }
    found
}

impl Plan {
    /// Secrets that are to be sent, that the recording has only tags of, and that no live answer brings before. `headers` and
    /// `tags` are those that somebody supplies; header fields matter only where there are any (`is_http`).
    pub fn missing_secrets(
        &self,
        headers: &BTreeSet<String>,
        supplied: &BTreeMap<String, String>,
        is_http: bool,
    ) -> Vec<MissingSecret> {
        let mut missing = BTreeSet::new();
        for session in &self.sessions {
            if is_http {
                missing.extend(session.missing_headers(headers));
            }
            missing.extend(session.missing_values(supplied));
        }
        missing.into_iter().collect()
    }
}

impl SessionPlan {
    fn missing_headers(&self, supplied: &BTreeSet<String>) -> impl Iterator<Item = MissingSecret> {
        let secret = self.fields.iter().filter(|(name, value)| {
            value.contains(TAG_START)
                && !OF_THE_CONNECTION.contains(&name.as_str())
                // Those are made again from the message.
                && !name.starts_with("mcp-")
                && !supplied.contains(name)
        });
        secret.map(|(name, _)| MissingSecret::Header { name: name.clone() })
    }

    fn missing_values(&self, supplied: &BTreeMap<String, String>) -> Vec<MissingSecret> {
        let mut missing = Vec::new();
        self.each_brought(&mut |tag, title, name| {
            let tag = bare(tag);
            if !supplied.contains_key(&tag) {
                let place = format!("{title}, {name}");
                missing.push(MissingSecret::Value { tag, place });
            }
        });
        missing
    }

    /// Shows the tags that the client sends before the server has given them, with what has them and the name there.
    pub(super) fn each_brought(&self, see: &mut dyn FnMut(&str, &str, &str)) {
        let given = self.given();
        for (title, text, place) in self.said() {
            let is_given = |tag: &str| given.get(tag).is_some_and(|since| *since < place);
            each_named_string(text, &mut |name, value| {
                let brought = tags(value).filter(|tag| !is_given(tag));
                brought.for_each(|tag| see(tag, &title, name));
            });
        }
    }

    /// Tags that the server hands out, and in which message first.
    fn given(&self) -> BTreeMap<String, usize> {
        let answers = self
            .calls
            .iter()
            .filter_map(|call| Some((call.answer.as_ref()?, call.places.1?)));
        let asks = self.asks.iter().map(|ask| (&ask.request, ask.places.0));
        let mut given: BTreeMap<String, usize> = BTreeMap::new();
        for (text, place) in answers.chain(asks) {
            each_handed_out(text, 0, &mut |tag| {
                let since = given.entry(tag.to_owned()).or_insert(place);
                *since = place.min(*since);
            });
        }
        given
    }

    /// Everything that is sent, with words for it and its place among the messages.
    fn said(&self) -> impl Iterator<Item = (String, &[u8], usize)> {
        let calls = self.calls.iter().map(|call| {
            (
                format!("{} {}", call.method, call.about).trim_end().to_owned(),
                &*call.request,
                call.places.0,
            )
        });
        let notes = self.steps.iter().filter_map(|step| match &step.act {
            Act::Notify(text) => Some(("a notification".to_owned(), &**text, step.place)),
            _ => None,
        });
        let answers = self.asks.iter().filter_map(|ask| {
            let (answer, place) = (ask.answer.as_ref()?, ask.places.1?);
            Some((format!("the answer to {}", ask.method), &**answer, place))
        });
        calls.chain(notes).chain(answers)
    }
}

/// Shows the tags that are values of their own, also in JSON inside of texts: what a live server gives there is learned.
fn each_handed_out(json: &[u8], depth: usize, see: &mut dyn FnMut(&str)) {
    each_named_string(json, &mut |_, text| {
        if is_one_tag(text) {
            see(text);
        } else if text.starts_with(['{', '[']) && depth < MAX_TEXTS {
            each_handed_out(text.as_bytes(), depth + 1, see);
        }
    });
}
