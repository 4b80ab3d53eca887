//! What a rule has seen: counts that all connections share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::intercept::rule::Hits;

/// The counts of one rule, its switch, and its source of chance.
#[derive(Debug)]
pub(super) struct State {
    is_on: AtomicBool,
    /// Matches since the rule was last switched on, by which [`Hits`] counts.
    round: AtomicU64,
    matches: AtomicU64,
    hits: AtomicU64,
    /// Microseconds; 0 if there was none.
    last_hit: AtomicU64,
    chance: AtomicU64,
}

impl State {
    pub(super) fn new(is_on: bool, seed: u64) -> Self {
        Self {
            is_on: AtomicBool::new(is_on),
            round: AtomicU64::new(0),
            matches: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            last_hit: AtomicU64::new(0),
            chance: AtomicU64::new(seed),
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Returns whether this changed anything. A rule that is switched on counts from 1 again.
    pub(super) fn switch(&self, is_on: bool) -> bool {
        if is_on && !self.is_on() {
            self.round.store(0, Ordering::Relaxed);
        }
        self.is_on.swap(is_on, Ordering::AcqRel) != is_on
    }

    pub(super) fn matches(&self) -> u64 {
        self.matches.load(Ordering::Relaxed)
    }

    pub(super) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    pub(super) fn last_hit(&self) -> Option<Timestamp> {
        match self.last_hit.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Timestamp::from_micros(micros)),
        }
    }

    /// Counts a match and says whether the rule acts on it; [`Hits::Once`] switches itself off with that.
    pub(super) fn is_due(&self, policy: Hits) -> bool {
        self.matches.fetch_add(1, Ordering::Relaxed);
        let number = self.round.fetch_add(1, Ordering::Relaxed) + 1;
        match policy {
            Hits::Always => true,
            // Of two messages at the same time only one may win.
            Hits::Once => self.switch(false),
            Hits::Nth(n) => number == n,
            Hits::Every(n) => n != 0 && number.is_multiple_of(n),
            Hits::After(n) => number > n,
            Hits::Percent(percent) => self.fraction() * 100.0 < percent,
        }
    }

    /// Counts a hit; gives its number.
    pub(super) fn hit(&self, now: Timestamp) -> u64 {
        self.last_hit.fetch_max(now.as_micros(), Ordering::Relaxed);
        self.hits.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A time at random from zero up to `most`.
    pub(super) fn up_to(&self, most: Duration) -> Duration {
        if most.is_zero() {
            return most;
        }
        most.mul_f64(self.fraction())
    }

    /// A number at random, at least 0 and less than 1.
    ///
    /// `SplitMix64` (Steele, Lea, Flood 2014): each value is a function of a counter, so one atomic add is all that
    /// connections share, and a seed gives the same row of values on every machine.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit into the mantissa exactly")]
    fn fraction(&self) -> f64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.chance.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}
