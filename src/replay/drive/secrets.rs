//! What a recording has only tags of, so that somebody has to supply it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::bind::{each_named_string, tags};
use super::plan::{Act, Plan, SessionPlan};
use crate::replay::alike::{TAG_END, TAG_START};
use crate::replay::tape::Tape;

/// Head fields that each connection makes for itself.
const OF_THE_CONNECTION: [&str; 3] = ["mcp-session-id", "referer", "origin"];

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
    /// Secrets that are to be sent, that the recording has only tags of, and that no live answer brings. `headers` and
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
        let mut known: BTreeSet<String> = supplied
            .keys()
            .map(|tag| format!("{TAG_START}{tag}{TAG_END}"))
            .collect();
        let answers = self.calls.iter().filter_map(|call| call.answer.as_ref());
        for given in answers.chain(self.asks.iter().map(|ask| &ask.request)) {
            each_named_string(given, &mut |_, text| known.extend(tags(text).map(str::to_owned)));
        }
        let mut missing = Vec::new();
        for (title, text) in self.said() {
            each_named_string(text, &mut |name, value| {
                for tag in tags(value).filter(|tag| !known.contains(*tag)) {
                    missing.push(MissingSecret::Value {
                        tag: bare(tag),
                        place: format!("{title}, {name}"),
                    });
                }
            });
        }
        missing
    }

    /// Everything that is sent, with words for it.
    fn said(&self) -> impl Iterator<Item = (String, &[u8])> {
        let calls = self.calls.iter().map(|call| {
            (
                format!("{} {}", call.method, call.about).trim_end().to_owned(),
                &*call.request,
            )
        });
        let notes = self.steps.iter().filter_map(|step| match &step.act {
            Act::Notify(text) => Some(("a notification".to_owned(), &**text)),
            _ => None,
        });
        let answers = self.asks.iter().filter_map(|ask| {
            let answer = ask.answer.as_ref()?;
            Some((format!("the answer to {}", ask.method), &**answer))
        });
        calls.chain(notes).chain(answers)
    }
}
