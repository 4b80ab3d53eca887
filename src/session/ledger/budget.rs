//! Bytes of history, by session and in all, and who has to give something up.
//!
//! Every session (and, for each side, the traffic without one) has a shelf. A shelf above its budget gives up its oldest
//! things; history above the common budget takes them from the largest shelf, so a loud session cannot push out a quiet
//! one. A message loses its body first and goes later: bodies go, oldest first, from the older half of the rows, and from
//! newer ones while bodies are more than half of the shelf; then the oldest row goes.
//!
//! What cannot be given up is counted too: the record of an exchange is paid for from its beginning, and a row that is
//! given up while something waits for its end is paid for until then. Tables, sessions and streams, which other limits
//! bound, are a figure of their own ([`Shelves::set_fixed`]) that leaves less room for rows.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::ids::{CallId, ExchangeId, IdMap, MessageId, ProxySessionId};
use crate::limits::ResourceLimits;
use crate::resource::heap;
use crate::session::history::Row;
use crate::session::history::exchange::{ChargeState, ExchangeRecord};
use crate::session::history::owner::{Owner, SessionFacts};

/// Shelves are ranked by size in steps of this many bytes, so that a row seldom changes the ranking.
const RANK_BYTES: usize = 4096;
/// Rows of an owner among which those of a frame are looked for when something was decided about it.
const MAX_SEEK: usize = 16_384;
/// Rows keep at least this part of the common budget, however much of it sessions and streams take.
const ROWS_SHARE: usize = 4;

/// What one session holds.
#[derive(Debug, Default)]
struct Shelf {
    rows: VecDeque<Arc<Row>>,
    /// Rows at the front that have been asked for their body.
    stripped: usize,
    bytes: usize,
    body_bytes: usize,
    /// In order.
    open_calls: Vec<CallId>,
}

impl Shelf {
    fn rank(&self) -> usize {
        self.bytes / RANK_BYTES
    }

    /// Its place in order of arrival, which for a new row is the end.
    fn place(&mut self, row: Arc<Row>) {
        let at = match self.rows.back() {
            Some(last) if last.id() > row.id() => self.rows.partition_point(|known| known.id() < row.id()),
            _ => self.rows.len(),
        };
        if at < self.stripped {
            self.stripped += 1;
        }
        self.rows.insert(at, row);
    }

    fn pop_oldest(&mut self) -> Option<Arc<Row>> {
        let row = self.rows.pop_front()?;
        self.stripped = self.stripped.saturating_sub(1);
        Some(row)
    }

    /// Whether the next thing to go is a body.
    fn has_body_to_give(&self) -> bool {
        self.stripped < (self.rows.len() / 2).max(1) || 2 * self.body_bytes > self.bytes
    }

    /// Drops the oldest body that is to go before a row does. Gives its row and its size.
    fn strip_oldest(&mut self) -> Option<(MessageId, usize)> {
        while self.has_body_to_give() {
            let row = self.rows.get(self.stripped)?;
            self.stripped += 1;
            let freed = row.drop_body();
            if freed > 0 {
                return Some((row.id(), freed));
            }
        }
        None
    }
}

/// What had to go.
#[derive(Debug, Default)]
pub(super) struct Lost {
    pub(super) rows: Vec<Arc<Row>>,
    pub(super) bodies: Vec<MessageId>,
}

impl Lost {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.bodies.is_empty()
    }
}

/// All shelves.
#[derive(Debug)]
pub(super) struct Shelves {
    by_owner: IdMap<Owner, Shelf>,
    by_size: BTreeSet<(usize, Owner)>,
    /// Rows that were given up while somebody holds them until their end, and who pays for them.
    pinned: IdMap<MessageId, (Owner, Arc<Row>)>,
    bytes: usize,
    fixed: usize,
    /// Of rows that are on no shelf any more, since they are packed.
    packed: usize,
    peak: usize,
    max_shelf: usize,
    max_bytes: usize,
    pub(super) shelf_reached: u64,
    pub(super) total_reached: u64,
    pub(super) lost: Lost,
}

impl Shelves {
    pub(super) fn new(limits: &ResourceLimits) -> Self {
        Self {
            by_owner: IdMap::default(),
            by_size: BTreeSet::new(),
            pinned: IdMap::default(),
            bytes: 0,
            fixed: 0,
            packed: 0,
            peak: 0,
            max_shelf: limits.max_memory_per_session,
            max_bytes: limits.max_history_memory,
            shelf_reached: 0,
            total_reached: 0,
            lost: Lost::default(),
        }
    }

    /// All bytes of history: what the owners hold, what is packed and what is fixed.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.packed + self.fixed
    }

    /// Whether packed rows have to go.
    pub(super) fn is_above_budget(&self) -> bool {
        self.packed > 0 && self.bytes() > self.max_bytes
    }

    /// Notes what packed rows take.
    pub(super) fn set_packed(&mut self, bytes: usize) {
        self.packed = bytes;
        self.peak = self.peak.max(self.bytes());
    }

    /// Takes rows, in order, off their shelves: they are packed, and cost what [`Shelves::set_packed`] says. `open` are
    /// the exchanges that are held with them.
    pub(super) fn pack(&mut self, rows: &[Arc<Row>], open: &[Arc<ExchangeRecord>]) {
        let owner = |row: &Arc<Row>| Owner::of(row.session(), row.side());
        let mut owners: Vec<Owner> = rows.iter().map(owner).collect();
        owners.sort_unstable();
        owners.dedup();
        for exchange in open {
            let owner = exchange.charge.get().owner;
            self.hold(owner.unwrap_or(Owner::Stray(exchange.side)), exchange);
        }
        for owner in owners {
            for row in self.take_packed(owner, rows) {
                self.shrink(owner, row.own_bytes(), row.body_bytes());
                self.release(row.exchange());
            }
        }
    }

    fn take_packed(&mut self, owner: Owner, rows: &[Arc<Row>]) -> Vec<Arc<Row>> {
        let (Some(held), Some(first), Some(last)) =
            (self.by_owner.get_mut(&owner), rows.first(), rows.last())
        else {
            return Vec::new();
        };
        let start = held.rows.partition_point(|row| row.id() < first.id());
        let end = held.rows.partition_point(|row| row.id() <= last.id());
        let is_packed = |row: &Arc<Row>| rows.binary_search_by_key(&row.id(), |row| row.id()).is_ok();
        let (packed, live): (Vec<_>, Vec<_>) = held.rows.drain(start..end).partition(is_packed);
        for row in live.into_iter().rev() {
            held.rows.insert(start, row);
        }
        held.stripped = held.stripped.min(start);
        packed
    }

    /// Notes what history holds beside the shelves.
    pub(super) fn set_fixed(&mut self, bytes: usize) {
        self.fixed = bytes;
        self.peak = self.peak.max(self.bytes());
    }

    /// Whether what is fixed takes so much that some of it should go.
    pub(super) fn is_fixed_too_large(&self) -> bool {
        self.fixed > self.max_bytes / 2
    }

    /// Bytes of the tables in which the shelves are found.
    pub(super) fn table_bytes(&self) -> usize {
        /// The first room of the list of open calls.
        const CALLS_BYTES: usize = 4 * size_of::<CallId>();
        heap::map(&self.by_owner)
            + heap::tree_set(&self.by_size)
            + heap::map(&self.pinned)
            + self.by_owner.len() * CALLS_BYTES
    }

    pub(super) fn peak(&self) -> usize {
        self.peak
    }

    pub(super) fn bytes_of(&self, owner: Owner) -> usize {
        self.by_owner.get(&owner).map_or(0, |held| held.bytes)
    }

    pub(super) fn largest(&self) -> usize {
        self.by_size.last().map_or(0, |(_, owner)| self.bytes_of(*owner))
    }

    pub(super) fn open_calls(&self, owner: Owner) -> usize {
        self.by_owner.get(&owner).map_or(0, |held| held.open_calls.len())
    }

    pub(super) fn most_open_calls(&self) -> usize {
        self.by_owner
            .values()
            .map(|held| held.open_calls.len())
            .max()
            .unwrap_or(0)
    }

    /// Notes an open call. Gives the oldest one back if there are now more than `max`.
    pub(super) fn open_call(&mut self, owner: Owner, call: CallId, max: usize) -> Option<CallId> {
        let open = &mut self.by_owner.entry(owner).or_default().open_calls;
        if let Err(place) = open.binary_search(&call) {
            open.insert(place, call);
        }
        (open.len() > max).then(|| open.remove(0))
    }

    pub(super) fn close_call(&mut self, owner: Owner, call: CallId) {
        if let Some(held) = self.by_owner.get_mut(&owner)
            && let Ok(place) = held.open_calls.binary_search(&call)
        {
            held.open_calls.remove(place);
        }
    }

    pub(super) fn calls_of(&self, owner: Owner) -> Vec<CallId> {
        self.by_owner
            .get(&owner)
            .map_or_else(Vec::new, |held| held.open_calls.clone())
    }

    /// Puts a row on its shelf.
    pub(super) fn add(&mut self, owner: Owner, row: Arc<Row>) {
        self.hold(owner, row.exchange());
        self.shelve(owner, row);
    }

    fn shelve(&mut self, owner: Owner, row: Arc<Row>) {
        let (own, body) = (row.own_bytes(), row.body_bytes());
        self.by_owner.entry(owner).or_default().place(row);
        self.grow(owner, own, body);
    }

    /// Changes a row in a way that changes what it costs.
    pub(super) fn change(&mut self, owner: Owner, row: &Row, change: impl FnOnce(&Row)) {
        let owner = self.pinned.get(&row.id()).map_or(owner, |(owner, _)| *owner);
        let before = (row.own_bytes(), row.body_bytes());
        change(row);
        let after = (row.own_bytes(), row.body_bytes());
        self.grow(
            owner,
            after.0.saturating_sub(before.0),
            after.1.saturating_sub(before.1),
        );
        self.shrink(
            owner,
            before.0.saturating_sub(after.0),
            before.1.saturating_sub(after.1),
        );
    }

    /// Whether history no longer has the row, although somebody holds it until its end.
    pub(super) fn is_pinned(&self, row: MessageId) -> bool {
        self.pinned.contains_key(&row)
    }

    /// A row that waited has its end, and nobody holds it for that any more.
    pub(super) fn settle(&mut self, row: MessageId) {
        if self.pinned.is_empty() {
            return;
        }
        if let Some((owner, row)) = self.pinned.remove(&row) {
            self.shrink(owner, row.own_bytes(), 0);
            self.release(row.exchange());
        }
    }

    /// The record of an exchange became larger.
    pub(super) fn recharge(&mut self, record: &ExchangeRecord) {
        let charge = record.charge.get();
        if let Some(owner) = charge.owner {
            let bytes = record.heap_bytes();
            self.grow(owner, bytes.saturating_sub(charge.bytes), 0);
            record.charge.set(ChargeState { bytes, ..charge });
        }
    }

    /// One more holds the record; the first one pays for it.
    pub(super) fn hold(&mut self, owner: Owner, record: &ExchangeRecord) {
        let mut charge = record.charge.get();
        charge.holders += 1;
        if charge.owner.is_none() {
            charge.owner = Some(owner);
            charge.bytes = record.heap_bytes();
            self.grow(owner, charge.bytes, 0);
        }
        record.charge.set(charge);
    }

    /// One less holds the record; after the last one it is gone.
    pub(super) fn release(&mut self, record: &ExchangeRecord) {
        let mut charge = record.charge.get();
        charge.holders = charge.holders.saturating_sub(1);
        if charge.holders == 0 {
            if let Some(owner) = charge.owner {
                self.shrink(owner, charge.bytes, 0);
            }
            charge = ChargeState::default();
        }
        record.charge.set(charge);
    }

    fn transfer(&mut self, record: &ExchangeRecord, to: Owner) {
        let charge = record.charge.get();
        if let Some(from) = charge.owner {
            self.shrink(from, charge.bytes, 0);
            self.grow(to, charge.bytes, 0);
            record.charge.set(ChargeState {
                owner: Some(to),
                ..charge
            });
        }
    }

    /// Moves what an exchange left on the common shelf to the session that it turned out to belong to. `first` is its
    /// first row, if it has any.
    pub(super) fn adopt(
        &mut self,
        from: Owner,
        session: &Arc<SessionFacts>,
        record: &ExchangeRecord,
        first: Option<MessageId>,
    ) -> Vec<Arc<Row>> {
        let to = Owner::Session(session.id);
        self.transfer(record, to);
        let Some(first) = first else {
            return Vec::new();
        };
        self.adopt_pinned(from, session, record.id);
        let theirs = self.take_rows(from, record.id, first);
        for row in &theirs {
            row.assign(Arc::clone(session));
            self.shrink(from, row.own_bytes(), row.body_bytes());
            self.shelve(to, Arc::clone(row));
        }
        theirs
    }

    fn take_rows(&mut self, from: Owner, exchange: ExchangeId, first: MessageId) -> Vec<Arc<Row>> {
        let Some(held) = self.by_owner.get_mut(&from) else {
            return Vec::new();
        };
        let start = held.rows.partition_point(|row| row.id() < first);
        let (theirs, others): (Vec<_>, Vec<_>) = held
            .rows
            .drain(start..)
            .partition(|row| row.exchange_id() == exchange);
        held.rows.extend(others);
        held.stripped = held.stripped.min(start);
        theirs
    }

    fn adopt_pinned(&mut self, from: Owner, session: &Arc<SessionFacts>, exchange: ExchangeId) {
        let to = Owner::Session(session.id);
        let mut moved = 0;
        for (owner, row) in self.pinned.values_mut() {
            if *owner == from && row.exchange_id() == exchange {
                row.assign(Arc::clone(session));
                *owner = to;
                moved += row.own_bytes();
            }
        }
        if moved > 0 {
            self.shrink(from, moved, 0);
            self.grow(to, moved, 0);
        }
    }

    /// Gives up things until the shelf of `owner` and history as a whole are within their budgets.
    pub(super) fn enforce(&mut self, owner: Owner) {
        let is_over = self.bytes_of(owner) > self.max_shelf;
        self.shelf_reached += u64::from(is_over);
        while self.bytes_of(owner) > self.max_shelf && self.give_up(owner) {}
        let max = self.max_bytes.saturating_sub(self.fixed + self.packed);
        let max = max.max(self.max_bytes / ROWS_SHARE);
        self.total_reached += u64::from(self.bytes > max);
        while self.bytes > max {
            let Some((_, largest)) = self.by_size.last().copied() else {
                break;
            };
            if !self.give_up(largest) {
                break;
            }
        }
    }

    /// Takes away every row of `owner`. What is still held elsewhere stays counted until it is let go.
    pub(super) fn remove(&mut self, owner: Owner) {
        while self.give_up_row(owner) {}
        self.remove_if_empty(owner);
    }

    fn give_up(&mut self, owner: Owner) -> bool {
        let Some(held) = self.by_owner.get_mut(&owner) else {
            return false;
        };
        match held.strip_oldest() {
            Some((id, freed)) => {
                self.lost.bodies.push(id);
                self.shrink(owner, 0, freed);
                true
            }
            None => self.give_up_row(owner),
        }
    }

    fn give_up_row(&mut self, owner: Owner) -> bool {
        let Some(row) = self.by_owner.get_mut(&owner).and_then(Shelf::pop_oldest) else {
            return false;
        };
        // Its place in a segment is cleaned up later; its body need not wait for that.
        let body = row.drop_body();
        if row.is_open() {
            self.shrink(owner, 0, body);
            self.pinned.insert(row.id(), (owner, Arc::clone(&row)));
        } else {
            self.shrink(owner, row.own_bytes(), body);
            self.release(row.exchange());
        }
        self.lost.rows.push(row);
        self.remove_if_empty(owner);
        true
    }

    fn remove_if_empty(&mut self, owner: Owner) {
        let is_empty = |held: &Shelf| held.rows.is_empty() && held.open_calls.is_empty() && held.bytes == 0;
        if self.by_owner.get(&owner).is_some_and(is_empty) {
            self.by_size.remove(&(0, owner));
            self.by_owner.remove(&owner);
        }
    }

    fn grow(&mut self, owner: Owner, own: usize, body: usize) {
        self.resize(owner, |held| {
            held.bytes += own + body;
            held.body_bytes += body;
        });
        self.bytes += own + body;
        self.peak = self.peak.max(self.bytes());
    }

    fn shrink(&mut self, owner: Owner, own: usize, body: usize) {
        self.resize(owner, |held| {
            held.bytes = held.bytes.saturating_sub(own + body);
            held.body_bytes = held.body_bytes.saturating_sub(body);
        });
        self.bytes = self.bytes.saturating_sub(own + body);
        self.remove_if_empty(owner);
    }

    fn resize(&mut self, owner: Owner, change: impl FnOnce(&mut Shelf)) {
        let is_new = !self.by_size.contains(&(self.bytes_of(owner) / RANK_BYTES, owner));
        let held = self.by_owner.entry(owner).or_default();
        let before = held.rank();
        change(held);
        let after = held.rank();
        if before != after {
            self.by_size.remove(&(before, owner));
        }
        if is_new || before != after {
            self.by_size.insert((after, owner));
        }
    }

    /// The latest rows of a session, at most `max`, newest first.
    pub(super) fn latest(&self, session: ProxySessionId, max: usize) -> impl Iterator<Item = MessageId> {
        let held = self.by_owner.get(&Owner::Session(session));
        held.into_iter()
            .flat_map(move |held| held.rows.iter().rev().take(max).map(|row| row.id()))
    }

    /// The rows of one frame, if they are among the latest of their owner; those of a batch stand together.
    pub(super) fn rows_of_frame(&self, owner: Owner, is_it: impl Fn(&Row) -> bool) -> Vec<Arc<Row>> {
        let latest = self.by_owner.get(&owner).into_iter();
        let latest = latest.flat_map(|held| held.rows.iter().rev().take(MAX_SEEK));
        let found = latest.skip_while(|row| !is_it(row)).take_while(|row| is_it(row));
        found.map(Arc::clone).collect()
    }

    /// Adds up anew what every shelf holds, `open` exchanges included, to compare with what was counted.
    #[cfg(test)]
    pub(super) fn recount<'a>(&self, open: impl Iterator<Item = &'a Arc<ExchangeRecord>>) -> (usize, usize) {
        let mut records: std::collections::HashMap<_, _> = open
            .map(|record| (Arc::as_ptr(record), record.heap_bytes()))
            .collect();
        let mut rows = 0;
        let on_shelves = self.by_owner.values().flat_map(|held| &held.rows);
        for row in on_shelves.chain(self.pinned.values().map(|(_, row)| row)) {
            rows += row.own_bytes() + row.body_bytes();
            records.insert(Arc::as_ptr(row.exchange()), row.exchange().heap_bytes());
        }
        let shelves = self.by_owner.values().map(|held| held.bytes).sum();
        (rows + records.values().sum::<usize>(), shelves)
    }

    /// What the owners hold, without what is fixed.
    #[cfg(test)]
    pub(super) fn shelved(&self) -> usize {
        self.bytes
    }
}
