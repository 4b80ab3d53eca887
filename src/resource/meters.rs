//! Counters that the traffic raises and the Resources screen shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ids::Side;

/// Something that goes up and down, and how far up it went.
#[derive(Debug, Default)]
pub struct Level {
    now: AtomicU64,
    peak: AtomicU64,
    reached: AtomicU64,
}

impl Level {
    /// Goes up by `amount`.
    pub fn add(&self, amount: u64) {
        let now = self.now.fetch_add(amount, Ordering::Relaxed) + amount;
        self.peak.fetch_max(now, Ordering::Relaxed);
    }

    /// Goes down by `amount`.
    pub fn sub(&self, amount: u64) {
        self.now.fetch_sub(amount, Ordering::Relaxed);
    }

    /// Counts that the limit was reached.
    pub fn reach(&self) {
        self.reached.fetch_add(1, Ordering::Relaxed);
    }

    /// Use now, at most, and how often the limit was reached.
    pub fn read(&self) -> (u64, u64, u64) {
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        (read(&self.now), read(&self.peak), read(&self.reached))
    }
}

/// All levels of the engine.
#[derive(Debug, Default)]
pub struct Meters {
    /// Open client connections.
    pub connections: Level,
    /// Exchanges in flight.
    pub exchanges: Level,
    /// Exchanges so far.
    pub exchanges_total: AtomicU64,
}

/// Bytes of half-received messages, with a guaranteed share for each side, so that one cannot starve the other.
#[derive(Debug)]
pub struct BufferPool {
    guaranteed: u64,
    shared: u64,
    sides: [Level; Side::ALL.len()],
    own_used: [AtomicU64; Side::ALL.len()],
    shared_used: AtomicU64,
}

impl BufferPool {
    /// A pool of `limit` bytes: a third is each side's own, a third is for whoever comes first.
    pub fn new(limit: usize) -> Arc<Self> {
        let guaranteed = limit as u64 / 3;
        let shared = limit as u64 - guaranteed * 2;
        Arc::new(Self {
            guaranteed,
            shared,
            sides: Default::default(),
            own_used: Default::default(),
            shared_used: AtomicU64::new(0),
        })
    }

    /// Use of `side` in its own share and in the shared one: now, peak, refusals.
    pub fn usage(&self, side: Side) -> (u64, u64, u64) {
        self.sides[side as usize].read()
    }

    /// Use of the share that is `side`'s own, and its size.
    pub fn own_share(&self, side: Side) -> (u64, u64) {
        (
            self.own_used[side as usize].load(Ordering::Relaxed),
            self.guaranteed,
        )
    }

    /// Use of the share that is for whoever comes first, and its size.
    pub fn common_share(&self) -> (u64, u64) {
        (self.shared_used.load(Ordering::Relaxed), self.shared)
    }

    /// An empty lease of `side`.
    pub fn lease(self: &Arc<Self>, side: Side) -> Lease {
        Lease {
            pool: Arc::clone(self),
            side,
            own: 0,
            shared: 0,
        }
    }

    fn take_own(&self, side: Side, wanted: u64) -> u64 {
        let mut taken = 0;
        let take = |used: u64| {
            taken = wanted.min(self.guaranteed.saturating_sub(used));
            (taken > 0).then(|| used + taken)
        };
        let own = &self.own_used[side as usize];
        let is_taken = own
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok();
        if is_taken { taken } else { 0 }
    }

    fn take_shared(&self, wanted: u64) -> bool {
        let take = |used: u64| (used + wanted <= self.shared).then(|| used + wanted);
        self.shared_used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }
}

/// Bytes taken from a pool. Given back when dropped.
#[derive(Debug)]
pub struct Lease {
    pool: Arc<BufferPool>,
    side: Side,
    own: u64,
    shared: u64,
}

impl Lease {
    /// Makes the lease `bytes` large. False, and unchanged, if the pool has no room for that.
    pub fn resize(&mut self, bytes: usize) -> bool {
        let (wanted, held) = (bytes as u64, self.own + self.shared);
        if wanted <= held {
            self.give_back(held - wanted);
            return true;
        }
        let level = &self.pool.sides[self.side as usize];
        let more = wanted - held;
        let own = self.pool.take_own(self.side, more);
        if own < more && !self.pool.take_shared(more - own) {
            self.pool.own_used[self.side as usize].fetch_sub(own, Ordering::Relaxed);
            level.reach();
            return false;
        }
        self.own += own;
        self.shared += more - own;
        level.add(more);
        true
    }

    fn give_back(&mut self, bytes: u64) {
        let shared = bytes.min(self.shared);
        self.shared -= shared;
        self.own -= bytes - shared;
        self.pool.shared_used.fetch_sub(shared, Ordering::Relaxed);
        self.pool.own_used[self.side as usize].fetch_sub(bytes - shared, Ordering::Relaxed);
        self.pool.sides[self.side as usize].sub(bytes);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back(self.own + self.shared);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flooded_side_leaves_the_other_its_share() {
        let pool = BufferPool::new(300);
        let mut greedy = pool.lease(Side::Forward);
        assert!(greedy.resize(200));
        assert!(!greedy.resize(201));
        let mut modest = pool.lease(Side::Reverse);
        assert!(modest.resize(100));
        assert!(!modest.resize(101));
        assert_eq!(pool.usage(Side::Forward), (200, 200, 1));
    }

    #[test]
    fn what_one_holder_gives_back_another_of_the_same_side_gets() {
        let pool = BufferPool::new(300);
        let (mut first, mut second) = (pool.lease(Side::Forward), pool.lease(Side::Forward));
        assert!(first.resize(100) && second.resize(100));
        drop(first);
        assert!(pool.lease(Side::Forward).resize(100));
    }

    #[test]
    fn all_bytes_come_back() {
        let pool = BufferPool::new(300);
        let mut lease = pool.lease(Side::Forward);
        assert!(lease.resize(150) && lease.resize(20) && lease.resize(180));
        drop(lease);
        assert_eq!(pool.usage(Side::Forward).0, 0);
        assert_eq!(pool.shared_used.load(Ordering::Relaxed), 0);
        assert!(pool.lease(Side::Reverse).resize(200));
    }
}
