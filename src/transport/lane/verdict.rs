//! What a rule has decided about a message, done to it.

use bytes::Bytes;

use crate::intercept::edit::{self, Change};
use crate::intercept::hold::{Actor, Decision, Ending};
use crate::intercept::rule::{Fault, Verdict};
use crate::intercept::rules::template;

use super::carry::Deed;
use super::{Chosen, Entry, Lane, Passed, words};

impl Lane {
    /// Does what a rule says.
    pub(super) fn obey(&mut self, entry: &Entry, rule: &Chosen, on: &mut Passed) -> Deed {
        match &rule.verdict {
            Verdict::Replace(changes) => self.replace(entry, changes, &rule.name, on),
            Verdict::Answer { result } => match self.answer_from(entry, result) {
                Ok(message) => self.carry_out(entry, &Decision::Answer(message), None, Actor::Rule, on),
                Err(problem) => {
                    tracing::warn!(
                        "the answer of the rule `{}` cannot be made in session {}: {problem}; the message went on as it came",
                        rule.name,
                        self.session_word()
                    );
                    self.forward(entry, None, Actor::Rule, on)
                }
            },
            Verdict::Refuse(refusal) => {
                self.carry_out(entry, &Decision::Refuse(refusal.clone()), None, Actor::Rule, on)
            }
            Verdict::Drop { is_silent } => self.carry_out(
                entry,
                &Decision::Drop {
                    is_silent: *is_silent,
                },
                None,
                Actor::Rule,
                on,
            ),
            Verdict::Fault(fault) => self.break_it(entry, *fault, on),
            Verdict::Hold | Verdict::Forward | Verdict::Log | Verdict::Delay { .. } => {
                self.forward(entry, None, Actor::Rule, on)
            }
        }
    }

    fn answer_from(&self, entry: &Entry, result: &str) -> Result<Bytes, String> {
        if !self.is_answerable() {
            return Err("nothing can be said here in the place of its client".to_owned());
        }
        let payload = entry
            .noted
            .as_ref()
            .map(|noted| noted.payload.clone())
            .unwrap_or_default();
        if words::is_batch(&payload) {
            return Err("the batch is broken or too long to be taken apart".to_owned());
        }
        let result = template::fill(result, &payload).map_err(|error| error.to_string())?;
        Ok(template::answer(&payload, &result).into())
    }

    /// Its session as a log names it.
    fn session_word(&self) -> String {
        let session = self.exchange.session();
        session.map_or_else(|| "-".to_owned(), |session| session.id.to_string())
    }

    fn replace(&mut self, entry: &Entry, changes: &[Change], rule: &str, on: &mut Passed) -> Deed {
        let Some(noted) = entry.noted.as_ref().filter(|noted| !noted.is_cut) else {
            tracing::warn!(
                "the rule `{rule}` cannot change a message of session {} that could not be decoded; it went on as it came",
                self.session_word()
            );
            return self.forward(entry, None, Actor::Rule, on);
        };
        let mut payload = noted.payload.to_vec();
        for change in changes {
            match change {
                Change::SetHeader { name, value } => {
                    self.outcome.fields.push((name.clone(), Some(value.clone())));
                }
                Change::RemoveHeader { name } => self.outcome.fields.push((name.clone(), None)),
                change => match edit::apply(&payload, change) {
                    Ok(next) => payload = next,
                    Err(problem) => {
                        tracing::warn!(
                            "a change of the rule `{rule}` does not fit a message of session {}: {problem}; its other changes were made",
                            self.session_word()
                        );
                    }
                },
            }
        }
        let edited = (payload != noted.payload).then(|| payload.into());
        self.forward(entry, edited, Actor::Rule, on)
    }

    fn break_it(&mut self, entry: &Entry, fault: Fault, on: &mut Passed) -> Deed {
        let bytes = &entry.bytes;
        match fault {
            Fault::Close => {
                self.outcome.is_closed = true;
                self.close(on);
                Deed::of(Ending::Dropped, Actor::Rule, None)
            }
            Fault::Truncate { bytes: kept } => {
                let kept = usize::try_from(kept).unwrap_or(usize::MAX).min(bytes.len());
                on.pieces.push(bytes.slice(..kept));
                self.close(on);
                Deed::of(Ending::Edited, Actor::Rule, Some(bytes.slice(..kept)))
            }
            Fault::Duplicate { times } => {
                for _ in 0..times {
                    on.pieces.push(bytes.clone());
                }
                self.outcome.is_changed |= times != 1;
                Deed::of(Ending::Forwarded, Actor::Rule, None)
            }
            Fault::InvalidJson | Fault::WrongId | Fault::Reorder { .. } | Fault::Slow { .. } => {
                self.forward(entry, spoiled(entry, fault), Actor::Rule, on)
            }
        }
    }
}

/// A message as a fault of its content leaves it; `None` if that changes nothing.
fn spoiled(entry: &Entry, fault: Fault) -> Option<Bytes> {
    let payload = entry.noted.as_ref().map_or(&entry.bytes, |noted| &noted.payload);
    match fault {
        Fault::InvalidJson => Some(Bytes::copy_from_slice(&payload[..payload.len() / 2])),
        Fault::WrongId => {
            let change = Change::Set {
                path: "$.id".to_owned(),
                value: words::WRONG_ID.to_owned(),
            };
            edit::apply(payload, &change).ok().map(Bytes::from)
        }
        _ => None,
    }
}
