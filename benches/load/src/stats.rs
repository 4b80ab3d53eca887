//! Percentiles and medians.

use std::time::Duration;

/// Steps between one power of two and the next: a figure is at most 1.6 % above what was measured.
const STEPS: usize = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();
const POWERS: usize = 64;

/// Counts durations in buckets of nanoseconds, in constant memory.
#[derive(Clone)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: vec![0; STEPS * POWERS],
            count: 0,
        }
    }
}

impl Histogram {
    /// Counts one duration in nanoseconds.
    pub(crate) fn add(&mut self, nanoseconds: u64) {
        if let Some(bucket) = self.buckets.get_mut(bucket_of(nanoseconds)) {
            *bucket += 1;
            self.count += 1;
        }
    }

    /// Adds all that `other` has counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
    }

    /// How many durations were counted.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The shortest duration that `share` (0 to 1) of all do not exceed; zero if nothing was counted.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let rank = ((self.count as f64 * share).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(upper_bound(index));
            }
        }
        Duration::ZERO
    }
}

fn bucket_of(value: u64) -> usize {
    let Some(power) = value.checked_ilog2().filter(|power| *power >= STEP_BITS) else {
        return usize::try_from(value).unwrap_or(0);
    };
    let shift = power - STEP_BITS;
    // The leading one is in the row's number, the next bits tell the step.
    let step = usize::try_from(value >> shift).unwrap_or(STEPS) - STEPS;
    (shift as usize + 1) * STEPS + step
}

/// The largest value of a bucket.
fn upper_bound(bucket: usize) -> u64 {
    let (row, step) = ((bucket / STEPS) as u64, (bucket % STEPS) as u64);
    match row.checked_sub(1) {
        None => step,
        Some(shift) => ((STEPS as u64 + step + 1) << shift) - 1,
    }
}

/// The middle of some figures, the mean of the two middle ones if their number is even; zero for none.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (
        sorted.get(middle),
        middle.checked_sub(1).and_then(|below| sorted.get(below)),
    ) {
        (Some(upper), Some(lower)) if sorted.len().is_multiple_of(2) => f64::midpoint(*lower, *upper),
        (Some(middle), _) => *middle,
        (None, _) => 0.0,
    }
}

/// The smallest of some figures; zero for none.
pub(crate) fn smallest(figures: &[f64]) -> f64 {
    figures.iter().copied().min_by(f64::total_cmp).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        values.into_iter().for_each(|value| histogram.add(value));
        histogram
    }

    fn close(found: Duration, wanted: u64) -> bool {
        let found = found.as_nanos() as f64;
        found >= wanted as f64 && found <= wanted as f64 * 1.016 + 1.0
    }

    #[test]
    fn percentiles_are_right_to_the_width_of_a_bucket() {
        let histogram = of((1..=100_000).map(|n| n * 1_000));
        assert!(close(histogram.quantile(0.5), 50_000_000));
        assert!(close(histogram.quantile(0.99), 99_000_000));
        assert!(close(histogram.quantile(1.0), 100_000_000));
        assert!(close(histogram.quantile(0.0), 1_000));
    }

    #[test]
    fn small_and_huge_values_have_buckets_of_their_own() {
        for value in [0, 1, 63, 64, 65, 127, 128, 4_097, 1 << 40, u64::MAX / 2] {
            assert!(close(of([value]).quantile(0.5), value), "{value}");
        }
    }

    #[test]
    fn every_value_lies_in_a_bucket_that_holds_it() {
        let mut last = 0;
        for value in 0..100_000 {
            let bucket = bucket_of(value);
            assert!(bucket >= last && upper_bound(bucket) >= value, "{value}");
            assert!(bucket == 0 || upper_bound(bucket - 1) < value, "{value}");
            last = bucket;
        }
    }

    #[test]
    fn merged_histograms_count_both() {
        let mut one = of([10, 10, 10]);
        one.merge(&of([1_000_000]));
        assert_eq!(one.count(), 4);
        assert!(close(one.quantile(0.75), 10));
        assert!(close(one.quantile(0.76), 1_000_000));
    }

    #[test]
    fn an_empty_histogram_has_no_percentiles() {
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_middle_two() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!((median(&[7.0]) - 7.0).abs() < f64::EPSILON);
        assert!(median(&[]).abs() < f64::EPSILON);
        assert!((smallest(&[3.0, 1.0, 2.0]) - 1.0).abs() < f64::EPSILON);
    }
}
