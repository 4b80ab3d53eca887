//! What has arrived and not gone on, as far as the screen can tell: it waits behind something that is held or delayed.

use shadowcat::snapshot::{MessageRow, RowKind, RowState};

use crate::model::Model;

impl Model {
    /// The message behind which `row` of the traffic waits, as it is called where it is listed: it has arrived, and not
    /// gone on.
    pub(crate) fn waits_behind(&self, row: &MessageRow) -> Option<String> {
        let frame = row.frame.filter(|_| self.is_live())?;
        let held = self.snapshot.intercept.rows.iter().find(|held| {
            held.exchange == row.exchange
                && (held.direction, held.carrier) == (row.direction, row.carrier)
                && held.frame < frame
        });
        let delayed = || {
            let mut rows = self.snapshot.messages.rows.iter();
            rows.find(|other| {
                let is_before = other.frame.is_some_and(|other| other < frame);
                let waits = other
                    .verdict
                    .as_ref()
                    .is_some_and(|verdict| verdict.ending.is_none());
                is_before
                    && waits
                    && other.exchange == row.exchange
                    && (other.direction, other.carrier) == (row.direction, row.carrier)
            })
        };
        let held = held.map(|held| held.id.to_string());
        held.or_else(|| delayed().map(|other| other.id.to_string()))
    }

    /// Whether the answer to the request `row` has arrived, and not gone on.
    pub(crate) fn has_waiting_answer(&self, row: &MessageRow) -> bool {
        if !matches!(row.state, RowState::Answered { .. }) || !self.is_live() {
            return false;
        }
        let is_answer = |kind| matches!(kind, RowKind::Result | RowKind::Error);
        let held = &self.snapshot.intercept.rows;
        let mut listed = self.snapshot.messages.rows.iter();
        row.call.is_some()
            && (held
                .iter()
                .any(|held| held.call == row.call && is_answer(held.kind))
                || listed.any(|other| {
                    other.call == row.call && is_answer(other.kind) && self.waits_behind(other).is_some()
                }))
    }
}
