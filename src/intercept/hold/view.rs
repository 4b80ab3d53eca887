//! The table as frontends see it: counts that are kept as things change, and rows of no more messages than are asked for.
//!
//! Lanes wait for the lock while somebody looks, so that nothing but the looking is done under it.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::ids::HoldId;

use super::{HeldFacts, HeldRow, HeldState, HeldSummary, Holds, Inner, Item};

/// How many messages stand at the heads of their lanes, and how many behind those.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    heads: usize,
    queued: usize,
}

impl Tally {
    pub(super) fn add(&mut self, item: &Item) {
        self.heads += usize::from(item.stands_first());
        self.queued += item.queued + usize::from(!item.is_head);
    }

    pub(super) fn remove(&mut self, item: &Item) {
        self.heads -= usize::from(item.stands_first());
        self.queued -= item.queued + usize::from(!item.is_head);
    }
}

impl Tally {
    /// Changes what a message counts for.
    pub(super) fn change<T>(&mut self, item: &mut Item, change: impl FnOnce(&mut Item) -> T) -> T {
        self.remove(item);
        let outcome = change(item);
        self.add(item);
        outcome
    }
}

/// What of a message may change while it is in the table.
pub(super) struct Stand {
    facts: Arc<HeldFacts>,
    state: HeldState,
    is_edited: bool,
    is_kept: bool,
    queued: usize,
    queued_bytes: usize,
}

impl Stand {
    pub(super) fn row(self, now: Timestamp) -> HeldRow {
        HeldRow {
            state: self.state,
            age: now.since(self.facts.at),
            is_edited: self.is_edited,
            is_kept: self.is_kept,
            queued_behind: self.queued,
            queued_bytes: self.queued_bytes as u64,
            ..self.facts.row()
        }
    }
}

impl Item {
    /// It is at the head of its lane, and somebody has to decide about it.
    fn stands_first(&self) -> bool {
        self.is_head && !self.waits_for_batch()
    }

    pub(super) fn stand(&self) -> Stand {
        let state = match (self.is_head, self.is_editing) {
            (false, _) => HeldState::Queued,
            (true, _) if self.waits_for_batch() => HeldState::Decided,
            (true, true) => HeldState::Editing,
            (true, false) => HeldState::Held,
        };
        Stand {
            facts: Arc::clone(&self.facts),
            state,
            is_edited: self.is_edited(),
            is_kept: self.is_kept,
            queued: self.queued,
            queued_bytes: self.queued_bytes,
        }
    }
}

impl Inner {
    /// Changes what a lane knows of a message. False if it has left.
    pub(super) fn change_place(&mut self, id: HoldId, change: impl FnOnce(&mut Item)) -> bool {
        let Some(item) = self.items.get_mut(&id) else {
            return false;
        };
        self.tally.change(item, change);
        true
    }
}

impl Holds {
    /// The oldest `limit` of them, oldest first.
    pub fn rows(&self, limit: usize) -> Vec<HeldRow> {
        let now = self.clock.now();
        let stands: Vec<Stand> = {
            let inner = self.lock();
            inner.items.values().take(limit).map(Item::stand).collect()
        };
        stands.into_iter().map(|stand| stand.row(now)).collect()
    }

    /// How many are held and queued, and how long the oldest has been.
    pub fn summary(&self) -> HeldSummary {
        let now = self.clock.now();
        let inner = self.lock();
        let mut summary = HeldSummary {
            held: inner.tally.heads,
            queued: inner.tally.queued,
            ..HeldSummary::default()
        };
        if let Some(oldest) = inner.items.values().find(|item| item.stands_first()) {
            summary.oldest_at = Some(oldest.facts.at);
            summary.oldest_age = now.since(oldest.facts.at);
            summary.oldest_budget = oldest.facts.budget;
        }
        summary
    }
}
