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

#[cfg(test)]
mod tests {
    use shadowcat::snapshot::Direction;

    use super::*;
    use crate::fake::{Fake, held};
    use crate::stage::Stage;

    /// A progress and the answer to a call, on one stream, of which the progress is held.
    fn behind_progress() -> Stage {
        let mut fake = Fake::typical();
        let place = fake.rows.iter().rposition(|row| row.kind == RowKind::Result);
        let answer = &mut fake.rows[place.unwrap()];
        answer.frame = Some(2);
        let (exchange, carrier) = (answer.exchange, answer.carrier);
        let mut progress = held(1, RowKind::Notification, fake.now(), 3);
        (progress.exchange, progress.carrier, progress.frame) = (exchange, carrier, 1);
        progress.direction = Direction::ServerToClient;
        fake.hold(vec![progress]);
        Stage::new(fake, 120, 40)
    }

    #[test]
    fn what_waits_behind_a_held_event_and_the_call_that_it_answers_have_no_tick() {
        let mut stage = behind_progress();
        let text = stage.text();
        let line = |text: &str| {
            let line = text.lines().find(|line| line.contains(text_of_waiting()));
            line.map(str::to_owned)
        };
        assert!(line(&text).is_some_and(|line| !line.contains('✓')), "{text}");
        assert_eq!(text.matches("answer waits").count(), 1, "{text}");
        stage.fake.hold(Vec::new());
        stage.publish();
        assert_eq!(line(&stage.text()), None);
    }

    const fn text_of_waiting() -> &'static str {
        "⏳ behind h1"
    }
}
