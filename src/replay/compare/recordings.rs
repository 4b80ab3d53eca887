//! Two recordings, compared.

use serde_json::Value;

use super::drift::{is_page, tools_of};
use super::{
    CallEnd, CompareOptions, Moments, Outcome, Report, Row, asks, call_key, compare, is_result, pair_up,
};
use crate::clock::Timestamp;
use crate::replay::tape::{Tape, TapeCall, TapeSession};
use crate::session::pairing::subject;

/// Compares the answers to the calls that both recordings have: the same method and parameters, the first with the
/// first. What only one has is missing or extra. What the servers asked comes after them, compared in the same way.
///
/// The remarks are the damage of both, and behind it what else there is to say.
pub fn compare_recordings(before: &Tape, after: &Tape, options: &CompareOptions) -> Report {
    let (old, new) = (calls(before), calls(after));
    let keys = |calls: &[Asked<'_>]| -> Vec<String> { calls.iter().map(Asked::key).collect() };
    let pairs = pair_up(&keys(&old), &keys(&new));
    let rows = pairs.iter().map(|pair| match *pair {
        (Some(one), Some(other)) => old[one].against(&new[other], options),
        (Some(one), None) => old[one]
            .row(Outcome::Missing)
            .noting("there is no such call in the second"),
        (None, Some(other)) => new[other]
            .row(Outcome::Extra)
            .noting("there is no such call in the first"),
        (None, None) => Row::new("", "", "", Outcome::Same),
    });
    let damage = |tape: &Tape| {
        let path = tape.path.display().to_string();
        tape.damage
            .iter()
            .map(move |damage| format!("{path}: {damage}"))
            .collect::<Vec<_>>()
    };
    let mut report = Report {
        rows: rows.collect(),
        remarks: [damage(before), damage(after)].concat(),
        failures: Vec::new(),
    };
    asks::add(&mut report, (before, after), (&old, &new), &pairs, options);
    report
}

/// The tools that a recording lists, the latest of each name; `None` if it lists none.
pub fn tools_in(tape: &Tape) -> Option<Vec<Value>> {
    let mut found: Option<Vec<Value>> = None;
    for session in &tape.sessions {
        for call in session
            .client_calls()
            .filter(|call| &*call.method == "tools/list")
        {
            let answer = call.answer.map(|answer| &session.messages[answer].text);
            if let Some(tools) = answer.and_then(|answer| tools_of(answer)) {
                found.get_or_insert_default().extend(tools);
            }
        }
    }
    found
}

/// Whether a session of the recording has no last page of its tools: the answer to its last `tools/list` has a `nextCursor`.
pub fn lacks_tools(tape: &Tape) -> bool {
    tape.sessions.iter().any(|session| {
        let lists = session
            .client_calls()
            .filter(|call| &*call.method == "tools/list");
        let answers = lists.filter_map(|call| Some(&session.messages[call.answer?].text));
        answers.last().is_some_and(|answer| is_page(answer))
    })
}

/// A request of a client.
pub(super) struct Asked<'a> {
    tape: &'a Tape,
    session: &'a TapeSession,
    pub(super) call: &'a TapeCall,
}

/// What a session is called.
pub(super) fn name_of(session: &TapeSession) -> String {
    session
        .id
        .map_or_else(|| session.server.to_string(), |id| id.to_string())
}

fn calls(tape: &Tape) -> Vec<Asked<'_>> {
    let of = |session| TapeSession::client_calls(session).map(move |call| Asked { tape, session, call });
    tape.sessions.iter().flat_map(of).collect()
}

impl Asked<'_> {
    fn key(&self) -> String {
        match &*self.call.method {
            // Whichever client asks for whichever revision.
            method @ "initialize" => method.to_owned(),
            _ => call_key(&self.session.messages[self.call.request].text),
        }
    }

    fn answer(&self) -> Option<&[u8]> {
        Some(&self.session.messages[self.call.answer?].text)
    }

    /// When the answer came.
    fn answered_at(&self) -> Option<Timestamp> {
        Some(self.tape.moment(self.session.messages[self.call.answer?].us))
    }

    fn row(&self, outcome: Outcome) -> Row {
        let message = &self.session.messages[self.call.request];
        let about = subject(&message.envelope).unwrap_or_default();
        Row::new(&name_of(self.session), &self.call.method, about, outcome)
    }

    fn against(&self, other: &Self, options: &CompareOptions) -> Row {
        let (end, other_end) = (self.end(), other.end());
        match (self.answer(), other.answer()) {
            (Some(one), Some(two)) => {
                let moments = Moments {
                    recorded: self.answered_at(),
                    live: other.answered_at(),
                };
                let found = compare(&self.call.method, one, two, moments, options);
                let ending = end.against_answered(other_end, is_result(two));
                let row = self.row(Outcome::Same).compared(found.ending(ending));
                if is_page(one) == is_page(two) {
                    row
                } else {
                    row.noting("only one of the two answers is a page (nextCursor), so what one of them lacks may be on another page")
                }
            }
            (Some(_), None) => self
                .row(Outcome::Missing)
                .ending(end.against_unanswered(other_end))
                .noting("it is not answered in the second"),
            (None, Some(_)) => self
                .row(Outcome::Extra)
                .ending(end.against_unanswered(other_end))
                .noting("it is answered in the second only"),
            (None, None) => self
                .row(Outcome::Same)
                .both_unanswered(end, other_end)
                .noting("answered in neither"),
        }
    }

    fn end(&self) -> CallEnd {
        CallEnd::of(self.session, self.call)
    }
}
