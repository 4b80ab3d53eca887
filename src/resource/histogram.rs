//! A histogram with fixed buckets: counting is two atomic additions, reading takes no lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper ends of the buckets, in microseconds: from 50 µs to a minute, about three to each power of ten. What took
/// longer is counted in one more bucket.
pub const BOUNDS: [u64; 19] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

const BUCKETS: usize = BOUNDS.len() + 1;

/// How often something took how long. Any number of tasks may count and read at once.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_micros: AtomicU64,
}

impl Histogram {
    /// Counts one length of time.
    pub fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// What was counted so far. While others count, the sum may be a few observations ahead of or behind the buckets.
    pub fn read(&self) -> HistogramReading {
        HistogramReading {
            buckets: self
                .buckets
                .each_ref()
                .map(|bucket| bucket.load(Ordering::Relaxed)),
            sum: Duration::from_micros(self.sum_micros.load(Ordering::Relaxed)),
        }
    }
}

/// What a histogram had counted at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HistogramReading {
    /// How many fell into each bucket of [`BOUNDS`], and in the end above the last.
    buckets: [u64; BUCKETS],
    /// All lengths of time together.
    pub sum: Duration,
}

impl HistogramReading {
    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Upper end of each bucket and how many fell into it alone; `None` is the bucket without an end.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let ends = BOUNDS.iter().map(|micros| Some(Duration::from_micros(*micros)));
        ends.chain([None]).zip(self.buckets)
    }

    /// The length of time that `per_thousand` of a thousand did not exceed, as far as the buckets tell: within a bucket
    /// all are taken for evenly spread, above the last bound for equal to it. `None` if nothing was counted.
    pub fn quantile(&self, per_thousand: u32) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = (u128::from(count) * u128::from(per_thousand))
            .div_ceil(1000)
            .max(1);
        let (mut below, mut lower) = (0_u128, 0_u64);
        for (upper, here) in BOUNDS.into_iter().zip(self.buckets) {
            let here = u128::from(here);
            if below + here >= rank {
                let share = u128::from(upper - lower) * (rank - below) / here;
                let micros = lower + u64::try_from(share).unwrap_or(upper - lower);
                return Some(Duration::from_micros(micros));
            }
            (below, lower) = (below + here, upper);
        }
        Some(Duration::from_micros(lower))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(micros: impl IntoIterator<Item = u64>) -> HistogramReading {
        let histogram = Histogram::default();
        for micros in micros {
            histogram.observe(Duration::from_micros(micros));
        }
        histogram.read()
    }

    #[test]
    fn a_length_on_a_bound_belongs_to_the_bucket_that_ends_there() {
        let reading = of([0, 50, 51, 60_000_000, 60_000_001]);
        let filled: Vec<_> = reading.buckets().filter(|(_, count)| *count > 0).collect();
        assert_eq!(
            filled,
            [
                (Some(Duration::from_micros(50)), 2),
                (Some(Duration::from_micros(100)), 1),
                (Some(Duration::from_mins(1)), 1),
                (None, 1),
            ]
        );
        assert_eq!(reading.count(), 5);
        assert_eq!(reading.sum, Duration::from_micros(120_000_102));
    }

    #[test]
    fn bounds_rise() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn quantiles_are_found_between_the_bounds_of_their_bucket() {
        // 90 between 100 and 250 µs, 10 between 1 and 2.5 ms.
        let reading = of([200; 90].into_iter().chain([2_000; 10]));
        let micros = |per_thousand| reading.quantile(per_thousand).unwrap().as_micros();
        assert_eq!(micros(500), 183);
        assert_eq!(micros(900), 250);
        assert_eq!(micros(950), 1_750);
        assert_eq!(micros(1000), 2_500);
    }

    #[test]
    fn nothing_has_no_quantile_and_the_endless_bucket_ends_at_the_last_bound() {
        assert_eq!(of([]).quantile(500), None);
        assert_eq!(of([90_000_000]).quantile(500), Some(Duration::from_mins(1)));
    }
}
