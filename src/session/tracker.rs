//! The SSE event ids of a session, to link a resumed stream to the exchange it continues.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::ids::ExchangeId;
use crate::resource::heap;

/// A bounded memory of event ids: by count and by age.
///
/// Source: MCP 2025-11-25, Transports, "Resumability and Redelivery": event ids are unique within a session.
#[derive(Debug)]
pub struct EventTracker {
    /// Ids by their hash: servers choose their length, and a collision would only name a wrong origin.
    events: VecDeque<(u64, ExchangeId, Timestamp)>,
    max_events: usize,
    max_age: Duration,
    /// Ids that became too old since the last [`TrackerUse`].
    aged_out: u64,
}

/// What a tracker holds, and what it had to let go for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrackerUse {
    /// Ids remembered.
    pub ids: usize,
    /// Age of the oldest of them.
    pub oldest: Duration,
    /// Ids that went now because there were too many.
    pub crowded_out: u64,
    /// Ids that went because they were too old, since this was last asked.
    pub aged_out: u64,
}

impl EventTracker {
    /// Remembers `max_events` ids for `max_age`.
    pub fn new(max_events: usize, max_age: Duration) -> Self {
        Self {
            events: VecDeque::new(),
            max_events,
            max_age,
            aged_out: 0,
        }
    }

    /// Remembers that `id` was seen on `exchange`.
    pub fn remember(&mut self, id: &str, exchange: ExchangeId, now: Timestamp) -> TrackerUse {
        self.forget_old(now);
        let mut crowded_out = 0;
        if !id.is_empty() {
            if self.events.len() >= self.max_events {
                self.events.pop_front();
                crowded_out = 1;
            }
            self.events.push_back((hash(id), exchange, now));
        }
        let oldest = self.events.front().map(|(.., at)| now.since(*at));
        TrackerUse {
            ids: self.events.len(),
            oldest: oldest.unwrap_or_default(),
            crowded_out,
            aged_out: std::mem::take(&mut self.aged_out),
        }
    }

    /// The exchange on which `id` was last seen, if that is remembered.
    pub fn origin(&mut self, id: &str, now: Timestamp) -> Option<ExchangeId> {
        self.forget_old(now);
        let id = hash(id);
        self.events
            .iter()
            .rev()
            .find(|(known, ..)| *known == id)
            .map(|(_, exchange, _)| *exchange)
    }

    /// Ids remembered now.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Bytes of heap memory that it holds.
    pub fn heap_bytes(&self) -> usize {
        heap::queue(&self.events)
    }

    fn forget_old(&mut self, now: Timestamp) {
        let before = self.events.len();
        while self
            .events
            .front()
            .is_some_and(|(.., at)| now.since(*at) > self.max_age)
        {
            self.events.pop_front();
        }
        self.aged_out += (before - self.events.len()) as u64;
    }
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn ids_are_forgotten_by_count_and_by_age() {
        let mut tracker = EventTracker::new(2, Duration::from_secs(10));
        let exchange = ExchangeId::new(7).unwrap();
        let mut held = TrackerUse::default();
        for (id, second) in [("a", 0), ("b", 1), ("c", 2)] {
            held = tracker.remember(id, exchange, at(second));
        }
        assert_eq!((held.ids, held.crowded_out, held.aged_out), (2, 1, 0));
        assert_eq!(held.oldest, Duration::from_secs(1));
        assert_eq!(tracker.origin("a", at(2)), None);
        assert_eq!(tracker.origin("c", at(2)), Some(exchange));
        assert_eq!(tracker.origin("b", at(12)), None);
        assert_eq!(tracker.origin("c", at(12)), Some(exchange));
        assert_eq!(tracker.len(), 1);
        let held = tracker.remember("d", exchange, at(20));
        assert_eq!((held.ids, held.crowded_out, held.aged_out), (1, 0, 2));
    }

    #[test]
    fn an_empty_id_is_not_remembered_and_a_huge_one_costs_no_more_than_others() {
        let mut tracker = EventTracker::new(2, Duration::from_secs(10));
        let exchange = ExchangeId::new(1).unwrap();
        tracker.remember("", exchange, at(0));
        assert!(tracker.is_empty());
        let huge = "x".repeat(100_000);
        tracker.remember(&huge, exchange, at(0));
        assert_eq!(tracker.origin(&huge, at(0)), Some(exchange));
        assert!(tracker.heap_bytes() < 1000);
    }
}
