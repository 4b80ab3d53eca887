//! What happened in each of the last seconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::resource::heap;

/// Seconds that are remembered.
const SECONDS: usize = 120;
/// The shortest time over which a rate is taken.
const SECOND: Duration = Duration::from_secs(1);

/// Counters since the start, in the order of [`NAMES`].
pub(super) type Counters = [u64; NAMES.len()];

/// What is counted, as frontends know it.
pub(super) const NAMES: [&str; 5] = [
    "messages",
    "bytes_from_clients",
    "bytes_from_servers",
    "exchanges",
    "events",
];

/// A value a second for each counter.
#[derive(Debug, Default)]
pub(super) struct Rates {
    since: Option<Timestamp>,
    before: Counters,
    series: Arc<BTreeMap<String, Vec<u64>>>,
    pub(super) messages_per_second: f64,
}

impl Rates {
    pub(super) fn series(&self) -> Arc<BTreeMap<String, Vec<u64>>> {
        Arc::clone(&self.series)
    }

    /// Bytes of heap memory.
    pub(super) fn heap_bytes(&self) -> usize {
        heap::tree(&self.series) + self.series.values().map(heap::vector).sum::<usize>()
    }

    /// Closes the running second if it is over. True if what is shown changed.
    pub(super) fn tick(&mut self, now: Timestamp, counters: Counters) -> bool {
        let Some(since) = self.since else {
            self.since = Some(now);
            self.before = counters;
            return false;
        };
        let elapsed = now.since(since);
        if elapsed < SECOND {
            return false;
        }
        let seconds = usize::try_from(elapsed.as_secs()).unwrap_or(SECONDS).min(SECONDS);
        let deltas: Counters =
            std::array::from_fn(|index| counters[index].saturating_sub(self.before[index]));
        let is_new = self.push(seconds, deltas);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a rate to show; no second has 2^53 messages"
        )]
        let rate = deltas[0] as f64 / elapsed.as_secs_f64();
        self.messages_per_second = rate;
        self.since = Some(now);
        self.before = counters;
        is_new
    }

    /// A late tick stands for several seconds, and each gets its share.
    fn push(&mut self, seconds: usize, deltas: Counters) -> bool {
        let is_quiet = deltas.iter().all(|delta| *delta == 0)
            && self
                .series
                .values()
                .all(|values| values.iter().all(|value| *value == 0));
        let series = Arc::make_mut(&mut self.series);
        for (name, delta) in NAMES.into_iter().zip(deltas) {
            let values = series.entry(name.to_owned()).or_default();
            let before = values.len();
            values.extend(std::iter::repeat_n(delta / seconds as u64, seconds));
            values.drain(..values.len().saturating_sub(SECONDS));
            if is_quiet && before > 0 {
                values.truncate(before);
            }
        }
        !is_quiet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn each_second_has_what_happened_in_it() {
        let mut rates = Rates::default();
        assert!(!rates.tick(at(10), [5, 0, 0, 0, 0]));
        assert!(rates.tick(at(11), [12, 100, 0, 0, 0]));
        assert!(rates.tick(at(13), [16, 100, 0, 0, 0]));
        assert_eq!(rates.series()["messages"], [7, 2, 2]);
        assert_eq!(rates.series()["bytes_from_clients"], [100, 0, 0]);
        assert!((rates.messages_per_second - 2.0).abs() < f64::EPSILON);
    }

    #[test]
    fn only_the_latest_two_minutes_are_kept_and_silence_changes_nothing() {
        let mut rates = Rates::default();
        rates.tick(at(0), [0; 5]);
        rates.tick(at(1), [9; 5]);
        for second in 2..=121 {
            assert!(rates.tick(at(second), [9; 5]));
        }
        assert_eq!(rates.series()["messages"], vec![0; SECONDS]);
        assert!(!rates.tick(at(122), [9; 5]));
        assert_eq!(rates.series()["messages"].len(), SECONDS);
    }
}
