//! The rows that match a filter, kept up while history goes on.

use std::collections::VecDeque;

use crate::ids::MessageId;
use crate::session::history::{History, HistoryView};

use super::criteria::Criteria;
use super::slice::Slice;

/// Numbers of matching rows in order. A new filter is worked off from the newest row backwards, because the end of the
/// list is what people look at; rows that arrive meanwhile are added at the other end.
#[derive(Debug)]
pub(super) struct MatchList {
    found: VecDeque<u64>,
    /// Rows with numbers in `below..from` have been looked at.
    below: u64,
    from: u64,
    /// The latest batch of changes that was taken in.
    seen: u64,
}

impl MatchList {
    /// An empty list: every row of `history` is still to be looked at.
    pub(super) fn new(history: &HistoryView) -> Self {
        let next = history.newest().map_or(1, |row| row.id().get() + 1);
        Self {
            found: VecDeque::new(),
            below: next,
            from: next,
            seen: history.changes.newest(),
        }
    }

    /// Matching rows found so far.
    pub(super) fn len(&self) -> u64 {
        self.found.len() as u64
    }

    /// The matching rows from `first` on.
    pub(super) fn ids(&self, first: u64, rows: usize) -> impl Iterator<Item = MessageId> {
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        self.found
            .iter()
            .skip(first)
            .take(rows)
            .filter_map(|number| MessageId::new(*number))
    }

    /// The index of a row among the matching ones, or of the first one after its place.
    pub(super) fn place(&self, id: MessageId) -> u64 {
        self.found.partition_point(|number| *number < id.get()) as u64
    }

    /// Rows of `history` that have been looked at.
    pub(super) fn scanned(&self, history: &HistoryView) -> u64 {
        place(history, self.from) - place(history, self.below)
    }

    /// Takes in what changed in rows that have been looked at: they are looked at again, and evicted ones go.
    pub(super) fn catch_up(&mut self, history: &HistoryView, criteria: &Criteria) {
        let Some(changed) = history.changes.since(self.seen) else {
            *self = Self::new(history);
            return;
        };
        self.seen = history.changes.newest();
        let looked_at = |number: &u64| (self.below..self.from).contains(number);
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for number in changed.into_iter().filter(looked_at) {
            let row = MessageId::new(number).and_then(|id| history.find(id));
            let is_match = row.is_some_and(|row| criteria.hold(history, &row));
            match (is_match, self.found.binary_search(&number).is_ok()) {
                (true, false) => added.push(number),
                (false, true) => removed.push(number),
                _ => {}
            }
        }
        self.amend(&added, &removed);
    }

    /// Looks at rows until all were looked at or the slice is used up. True if all were.
    pub(super) fn advance(&mut self, history: &HistoryView, criteria: &Criteria, slice: &mut Slice) -> bool {
        for row in history.rows_from(place(history, self.from)) {
            if !slice.spend() {
                return false;
            }
            self.from = row.id().get() + 1;
            if criteria.hold(history, &row) {
                self.found.push_back(row.id().get());
            }
        }
        for row in history.rows_before(place(history, self.below)) {
            if !slice.spend() {
                return false;
            }
            self.below = row.id().get();
            if criteria.hold(history, &row) {
                self.found.push_front(row.id().get());
            }
        }
        true
    }

    /// Puts in and takes out, both sorted, in one pass.
    fn amend(&mut self, added: &[u64], removed: &[u64]) {
        if !removed.is_empty() {
            self.found.retain(|number| removed.binary_search(number).is_err());
        }
        if added.is_empty() {
            return;
        }
        let mut added = added.iter().copied().peekable();
        let mut merged = VecDeque::with_capacity(self.found.len() + added.len());
        for number in self.found.drain(..) {
            while let Some(earlier) = added.next_if(|new| *new < number) {
                merged.push_back(earlier);
            }
            merged.push_back(number);
        }
        merged.extend(added);
        self.found = merged;
    }
}

/// The place of the first row with this number or a higher one.
fn place(history: &HistoryView, number: u64) -> u64 {
    MessageId::new(number).map_or(0, |id| history.position(id).unwrap_or_else(|next| next))
}
