//! What traffic has shown so far, for the completion of filters.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use shadowcat::codec::json::{self, PathStep};
use shadowcat::intercept::filter::{Field, MAX_COMPLETIONS};
use shadowcat::snapshot::{MessageDetail, MessageRow, Outcome, RowKind, RowState, Snapshot};

use crate::row_text;

/// Values kept of one field: no more can be offered. The one met first goes for a new one.
const MOST_VALUES: usize = MAX_COMPLETIONS;

/// Longest value kept, in bytes: nobody wants to be offered a whole page.
const LONGEST: usize = 200;

/// Values of fields, as far as snapshots and details have shown them.
///
/// They stay when a filter hides their rows: that is when they are typed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    fields: HashMap<Field, Values>,
}

#[derive(Debug, Clone, Default)]
struct Values {
    known: HashSet<Arc<str>>,
    in_order: VecDeque<Arc<str>>,
}

impl Values {
    fn add(&mut self, value: &str) {
        if value.is_empty() || value.len() > LONGEST || self.known.contains(value) {
            return;
        }
        if self.in_order.len() == MOST_VALUES
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.known.remove(&oldest);
        }
        let value: Arc<str> = value.into();
        self.known.insert(Arc::clone(&value));
        self.in_order.push_back(value);
    }
}

impl Seen {
    /// The values of `field` in the order in which they were met.
    pub(crate) fn values(&self, field: Field) -> Vec<String> {
        let values = self.fields.get(&field).map(|values| &values.in_order);
        values.into_iter().flatten().map(ToString::to_string).collect()
    }

    /// More than one value of `field` was met.
    pub(crate) fn has_many(&self, field: Field) -> bool {
        self.fields
            .get(&field)
            .is_some_and(|values| values.in_order.len() > 1)
    }

    /// Takes in the rows of a snapshot.
    pub(crate) fn learn(&mut self, snapshot: &Snapshot) {
        for session in &snapshot.sessions.rows {
            self.add(Field::Session, &session.id.to_string());
            self.add(Field::Server, &session.server);
            self.add(Field::Client, session.client.as_deref().unwrap_or_default());
            self.add(Field::Revision, session.revision.as_deref().unwrap_or_default());
        }
        for row in &snapshot.messages.rows {
            self.learn_row(row);
        }
    }

    fn learn_row(&mut self, row: &MessageRow) {
        self.add(Field::Method, row.method.as_deref().unwrap_or_default());
        self.add(Field::Server, &row.server);
        if let Some((field, name)) = named(row) {
            self.add(field, name);
            self.add(Field::Name, name);
        }
        let (RowState::Answered { outcome, status, .. } | RowState::Answer { outcome, status, .. }) =
            &row.state
        else {
            return;
        };
        if let Some(status) = status {
            self.add(Field::Status, &status.to_string());
        }
        if let Outcome::RpcError(code) = outcome {
            self.add(Field::Code, &code.to_string());
        }
    }

    /// Takes in the body of a call: the names of its arguments.
    pub(crate) fn learn_detail(&mut self, message: &MessageDetail) {
        if let Some(event) = &message.sse {
            self.add(Field::Event, &event.event);
        }
        if row_text::tool(&message.row).is_none() {
            return;
        }
        let Some(body) = &message.body else { return };
        let path = [PathStep::Key("params"), PathStep::Key("arguments")];
        let arguments = json::find_path(&body.bytes, &path).unwrap_or_default();
        for (name, _) in json::members(arguments).take(MOST_VALUES) {
            self.add(Field::Argument, &json::string_value(name));
        }
    }

    fn add(&mut self, field: Field, value: &str) {
        self.fields.entry(field).or_default().add(value);
    }
}

/// What a call is about, where the row says it and nothing else.
fn named(row: &MessageRow) -> Option<(Field, &str)> {
    if let Some(tool) = row_text::tool(row) {
        return Some((Field::Tool, tool));
    }
    let first_word = || row.summary.split_whitespace().next();
    match (row.kind, row.method.as_deref()?) {
        (RowKind::Request, "resources/read" | "resources/subscribe") => {
            first_word().map(|uri| (Field::Uri, uri))
        }
        // A prompt's name may hold spaces, and the request may say more than the name.
        (RowKind::Result, "prompts/get") => Some((Field::Prompt, row.summary.as_str())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn values_stay_when_a_filter_hides_their_rows() {
        let mut seen = Seen::default();
        let query = shadowcat::snapshot::ViewQuery::default();
        let mut snapshot = Fake::typical().snapshot(&query);
        seen.learn(&snapshot);
        snapshot.messages.rows.clear();
        seen.learn(&snapshot);
        assert!(seen.values(Field::Tool).contains(&"echo".to_owned()));
    }

    #[test]
    fn the_oldest_value_goes_for_a_new_one() {
        let mut values = Values::default();
        for number in 0..=MOST_VALUES {
            values.add(&number.to_string());
            values.add(&number.to_string());
        }
        values.add(&"x".repeat(LONGEST + 1));
        assert_eq!(values.in_order.len(), MOST_VALUES);
        assert_eq!(values.in_order.front().map(|value| &**value), Some("1"));
        assert_eq!(values.known.len(), MOST_VALUES);
    }

    #[test]
    fn arguments_are_learned_from_the_calls_that_are_looked_at() {
        let mut stage = crate::stage::Stage::new(Fake::typical(), 80, 24);
        assert_eq!(stage.model.seen.values(Field::Argument), [""; 0]);
        stage.keys("k");
        let names = stage.model.seen.values(Field::Argument);
        assert_eq!(names, ["message", "times", "exact", "deep"]);
    }
}
