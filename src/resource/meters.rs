//! Counters that the traffic raises and the Resources screen shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Timestamp, millis};
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

    /// Goes up by one if that is within `limit`. False, and counted, if not.
    pub fn try_add(&self, limit: u64) -> bool {
        let more = |now: u64| (now < limit).then(|| now + 1);
        let added = self.now.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        match added {
            Ok(before) => self.raise_to(before + 1),
            Err(_) => self.reach(),
        }
        added.is_ok()
    }

    /// Goes down by `amount`.
    pub fn sub(&self, amount: u64) {
        self.now.fetch_sub(amount, Ordering::Relaxed);
    }

    /// Is at `amount` now.
    pub fn set(&self, amount: u64) {
        self.now.store(amount, Ordering::Relaxed);
        self.raise_to(amount);
    }

    /// Notes that it went up to `amount`, which is counted elsewhere.
    pub fn raise_to(&self, amount: u64) {
        self.peak.fetch_max(amount, Ordering::Relaxed);
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

/// For how long a [`Watermark`] shows a value at least; twice as long at most.
pub const OF_LATE: Duration = Duration::from_secs(10);

/// The largest of what comes by (a size, a wait), of late and so far, and how often that was too much.
///
/// For limits that nothing stays within: a message is large for a moment, a wait is over when its length is known.
#[derive(Debug, Default)]
pub struct Watermark {
    latest: AtomicU64,
    earlier: AtomicU64,
    peak: AtomicU64,
    reached: AtomicU64,
    turned_at: AtomicU64,
}

impl Watermark {
    /// Takes note of `value`. Costs one load while it is not the largest of late.
    pub fn note(&self, value: u64) {
        if value > self.latest.load(Ordering::Relaxed) {
            self.latest.fetch_max(value, Ordering::Relaxed);
        }
    }

    /// Takes note of a time, in milliseconds; of one that is shorter as one.
    pub fn note_time(&self, time: Duration) {
        self.note(millis(time).max(1));
    }

    /// Counts that the limit was reached.
    pub fn reach(&self) {
        self.reach_times(1);
    }

    /// Counts that the limit was reached several times.
    pub fn reach_times(&self, times: u64) {
        self.reached.fetch_add(times, Ordering::Relaxed);
    }

    /// The largest of the last 10 to 20 seconds ([`OF_LATE`]), the largest so far, and how often the limit was reached.
    pub fn read(&self, now: Timestamp) -> (u64, u64, u64) {
        let turned_at = self.turned_at.load(Ordering::Relaxed);
        let is_due = now.since(Timestamp::from_micros(turned_at)) >= OF_LATE;
        let turn = || {
            let order = Ordering::Relaxed;
            self.turned_at
                .compare_exchange(turned_at, now.as_micros(), order, order)
                .is_ok()
        };
        // Of several readers one turns the page.
        if is_due && turn() {
            let latest = self.latest.swap(0, Ordering::Relaxed);
            self.earlier.store(latest, Ordering::Relaxed);
            self.peak.fetch_max(latest, Ordering::Relaxed);
        }
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let used = read(&self.latest).max(read(&self.earlier));
        (used, read(&self.peak).max(used), read(&self.reached))
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
    /// HTTP/2 requests in flight on one connection (`max_exchanges_per_connection`).
    pub exchanges_per_connection: Watermark,
    /// Upstream connections closed for want of room among the idle ones (`max_idle_per_upstream`).
    pub idle_upstreams: Level,
    /// Certificates kept for intercepted connections (`max_certificates`).
    pub certificates: Level,
    /// Messages that wait behind a held one (`max_lane_events`).
    pub lane_events: Watermark,
    /// Their bytes (`max_lane_bytes`).
    pub lane_bytes: Watermark,
    /// SSE event ids remembered of one session (`max_event_tracker_events`).
    pub event_ids: Watermark,
    /// Their age (`event_tracker_age`).
    pub event_id_age: Watermark,
    /// Sizes of messages, and how many were larger than `max_body_kept`.
    pub bodies: Watermark,
    /// How many were larger than `max_parse_bytes`.
    pub unparsed: Watermark,
    /// Sizes of SSE events, and how many were larger than `max_message_bytes`.
    pub events: Watermark,
    /// Sizes of HTTP heads (`max_head_bytes`).
    pub head_bytes: Watermark,
    /// Their fields (`max_headers`).
    pub head_fields: Watermark,
    /// How long heads took (`head_timeout`).
    pub head_time: Watermark,
    /// Programs of commands that run (`max_children`).
    pub children: Level,
    /// Messages kept for the clients of one command (`replay_buffer`).
    pub replay_messages: Watermark,
    /// Their bytes (`replay_buffer_bytes`).
    pub replay_bytes: Watermark,
    /// How long it took to connect to upstreams (`upstream_connect_timeout`).
    pub connect_time: Watermark,
}

/// Whose share of the buffer pool is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// HTTP to where clients say.
    Forward,
    /// HTTP to our upstreams.
    Reverse,
    /// Lines of commands, whoever started them.
    Stdio,
}

impl Share {
    /// Every share, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Forward, Self::Reverse, Self::Stdio];

    /// The share in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Reverse => "reverse",
            Self::Stdio => "stdio",
        }
    }
}

impl From<Side> for Share {
    fn from(side: Side) -> Self {
        match side {
            Side::Forward => Self::Forward,
            Side::Reverse => Self::Reverse,
        }
    }
}

/// Bytes of half-received messages, with a guaranteed share for each carrier, so that none can starve the others.
#[derive(Debug)]
pub struct BufferPool {
    guaranteed: u64,
    shared: u64,
    shares: [Level; Share::ALL.len()],
    own_used: [AtomicU64; Share::ALL.len()],
    shared_used: AtomicU64,
}

impl BufferPool {
    /// A pool of `limit` bytes: a quarter is each share's own, a quarter is for whoever comes first.
    pub fn new(limit: usize) -> Arc<Self> {
        let guaranteed = limit as u64 / 4;
        let shared = limit as u64 - guaranteed * 3;
        Arc::new(Self {
            guaranteed,
            shared,
            shares: Default::default(),
            own_used: Default::default(),
            shared_used: AtomicU64::new(0),
        })
    }

    /// Use of `share` in its own share and in the shared one: now, peak, refusals.
    pub fn usage(&self, share: Share) -> (u64, u64, u64) {
        self.shares[share as usize].read()
    }

    /// Use of the share that is `share`'s own, and its size.
    pub fn own_share(&self, share: Share) -> (u64, u64) {
        (
            self.own_used[share as usize].load(Ordering::Relaxed),
            self.guaranteed,
        )
    }

    /// Use of the share that is for whoever comes first, and its size.
    pub fn common_share(&self) -> (u64, u64) {
        (self.shared_used.load(Ordering::Relaxed), self.shared)
    }

    /// An empty lease of `share`.
    pub fn lease(self: &Arc<Self>, share: impl Into<Share>) -> Lease {
        Lease {
            pool: Arc::clone(self),
            share: share.into(),
            own: 0,
            shared: 0,
        }
    }

    fn take_own(&self, share: Share, wanted: u64) -> u64 {
        let mut taken = 0;
        let take = |used: u64| {
            taken = wanted.min(self.guaranteed.saturating_sub(used));
            (taken > 0).then(|| used + taken)
        };
        let own = &self.own_used[share as usize];
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
    share: Share,
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
        let level = &self.pool.shares[self.share as usize];
        let more = wanted - held;
        let own = self.pool.take_own(self.share, more);
        if own < more && !self.pool.take_shared(more - own) {
            self.pool.own_used[self.share as usize].fetch_sub(own, Ordering::Relaxed);
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
        self.pool.own_used[self.share as usize].fetch_sub(bytes - shared, Ordering::Relaxed);
        self.pool.shares[self.share as usize].sub(bytes);
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
    fn a_watermark_shows_the_largest_of_late_and_forgets_it_after_a_while() {
        let at = |seconds: u64| Timestamp::from_micros(seconds * 1_000_000);
        let mark = Watermark::default();
        mark.read(at(100));
        mark.note(7);
        mark.note(3);
        mark.reach();
        assert_eq!(mark.read(at(101)), (7, 7, 1));
        assert_eq!(
            mark.read(at(110)),
            (7, 7, 1),
            "one turn of the page later it still shows"
        );
        mark.note(5);
        assert_eq!(mark.read(at(121)), (5, 7, 1));
        assert_eq!(mark.read(at(132)), (0, 7, 1));
    }

    #[test]
    fn a_flooded_side_leaves_the_other_its_share() {
        let pool = BufferPool::new(400);
        let mut greedy = pool.lease(Side::Forward);
        assert!(greedy.resize(200));
        assert!(!greedy.resize(201));
        let mut modest = pool.lease(Side::Reverse);
        assert!(modest.resize(100));
        assert!(!modest.resize(101));
        let mut lines = pool.lease(Share::Stdio);
        assert!(lines.resize(100));
        assert!(!lines.resize(101));
        assert_eq!(pool.usage(Share::Forward), (200, 200, 1));
    }

    #[test]
    fn what_one_holder_gives_back_another_of_the_same_side_gets() {
        let pool = BufferPool::new(400);
        let (mut first, mut second) = (pool.lease(Side::Forward), pool.lease(Side::Forward));
        assert!(first.resize(100) && second.resize(100));
        drop(first);
        assert!(pool.lease(Side::Forward).resize(100));
    }

    #[test]
    fn all_bytes_come_back() {
        let pool = BufferPool::new(400);
        let mut lease = pool.lease(Side::Forward);
        assert!(lease.resize(150) && lease.resize(20) && lease.resize(180));
        drop(lease);
        assert_eq!(pool.usage(Share::Forward).0, 0);
        assert_eq!(pool.shared_used.load(Ordering::Relaxed), 0);
        assert!(pool.lease(Side::Reverse).resize(200));
    }
}
