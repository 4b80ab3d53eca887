//! What was decided about messages, put down with their rows and their exchange.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::session::history::Row;
use crate::session::history::body::KeptBody;
use crate::session::history::row::{Decided, RowFacts};
use crate::session::observation::{RewrittenObserved, VerdictObserved};
use crate::snapshot::Direction;

use super::Ledger;

impl Ledger {
    /// Adds to what is known of a message, and of its exchange, what was decided about it.
    pub(super) fn verdict(&mut self, at: Timestamp, verdict: &VerdictObserved) {
        let said = verdict.to_row_verdict();
        self.known_exchange(verdict.exchange, verdict.session, at);
        self.belongs_to(verdict.exchange, verdict.session, at);
        if let Some(words) = said.words() {
            self.rewritten(
                at,
                RewrittenObserved {
                    exchange: verdict.exchange,
                    session: verdict.session,
                    direction: verdict.direction,
                    rewrites: vec![words],
                    sent: None,
                    findings: Vec::new(),
                },
            );
        }
        if let Some(open) = self.exchanges.get_mut(&verdict.exchange) {
            let [from_client, from_server] = &mut open.held;
            let held = match verdict.direction {
                Direction::ClientToServer => from_client,
                Direction::ServerToClient => from_server,
            };
            *held = verdict.held_for.max(*held);
        }
        let Some(owner) = self.owner_of(Some(verdict.exchange)) else {
            return;
        };
        let sent = verdict.sent.as_ref().map(|sent| {
            let size = sent.len() as u64;
            Arc::new(KeptBody::copied(sent, b"", size, None, self.bounds.max_body_kept))
        });
        for row in self.rows_decided_about(verdict) {
            let decided = Decided {
                verdict: said.clone(),
                sent: sent.clone(),
            };
            self.shelves.change(owner, &row, |row| row.decide(decided));
            self.mark_changed(&row);
        }
    }

    /// The rows of the frame, or of its one message that was decided about; where none carries a message, the row that
    /// stands for the exchange.
    fn rows_decided_about(&self, verdict: &VerdictObserved) -> Vec<Arc<Row>> {
        let Some(open) = self.exchanges.get(&verdict.exchange) else {
            return Vec::new();
        };
        let frame = verdict.frame.checked_add(1);
        let rows = self.shelves.rows_of_frame(open.owner(), |row| {
            let facts = &row.facts;
            facts.exchange.id == verdict.exchange
                && facts.direction == verdict.direction
                && facts.frame.map(std::num::NonZeroU32::get) == frame
                && (verdict.batch.is_none() || verdict.batch == place_in_batch(facts))
        });
        if !rows.is_empty() {
            return rows;
        }
        let stands_for_it = |row: &Arc<Row>| row.facts.direction == verdict.direction;
        let row = open.http_row.clone().filter(stands_for_it);
        row.filter(|row| !self.shelves.is_pinned(row.id()))
            .into_iter()
            .collect()
    }
}

fn place_in_batch(facts: &RowFacts) -> Option<(u32, u32)> {
    facts.batch.map(|(place, length)| (place.get(), length))
}
