//! How far a consumer is behind what it consumes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Timestamp;

/// Written by the one consumer, read by anyone.
#[derive(Debug, Default)]
pub struct Lag {
    /// The moment of what is being taken in, in microseconds; 0 while there is nothing to do.
    at_work_on: AtomicU64,
    most: AtomicU64,
}

impl Lag {
    /// The consumer takes in, `now`, what happened at `happened`.
    pub fn at_work(&self, happened: Timestamp, now: Timestamp) {
        self.at_work_on.store(happened.as_micros(), Ordering::Relaxed);
        let behind = now.since(happened).as_micros();
        self.most
            .fetch_max(u64::try_from(behind).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The consumer has taken in all that was there.
    pub fn idle(&self) {
        self.at_work_on.store(0, Ordering::Relaxed);
    }

    /// How far it is behind `now` (zero while it has nothing to do), and the most that it was when it took something in.
    pub fn read(&self, now: Timestamp) -> (Duration, Duration) {
        let behind = match self.at_work_on.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            happened => now.since(Timestamp::from_micros(happened)),
        };
        let most = Duration::from_micros(self.most.load(Ordering::Relaxed));
        (behind, most.max(behind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_grows_while_the_consumer_is_at_work_and_is_none_when_it_has_nothing_to_do() {
        let at = Timestamp::from_micros;
        let lag = Lag::default();
        assert_eq!(lag.read(at(50)), (Duration::ZERO, Duration::ZERO));
        lag.at_work(at(100), at(130));
        assert_eq!(lag.read(at(180)).0, Duration::from_micros(80));
        lag.idle();
        assert_eq!(lag.read(at(999)), (Duration::ZERO, Duration::from_micros(30)));
    }
}
