//! What all recordings of a run have in them, for counters that only rise.

use std::sync::{Mutex, PoisonError};

use crate::snapshot::RecorderState;

/// What was written, and what was not, since the start of the program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecordedTotals {
    /// Bytes written.
    pub bytes: u64,
    /// Records that are missing because the recorder did not keep up.
    pub lost: u64,
}

impl RecordedTotals {
    const fn and(self, other: Self) -> Self {
        Self {
            bytes: self.bytes + other.bytes,
            lost: self.lost + other.lost,
        }
    }
}

/// Adds recordings up as they go on.
#[derive(Debug, Default)]
pub(super) struct Sum(Mutex<(RecordedTotals, RecordedTotals)>);

impl Sum {
    /// The recording has come so far. One that has less than before is another one.
    pub(super) fn note(&self, state: &RecorderState) {
        let RecorderState::On { bytes, lost, .. } = state else {
            return;
        };
        let now = RecordedTotals {
            bytes: *bytes,
            lost: *lost,
        };
        self.advance(now);
    }

    /// The recording has ended with this.
    pub(super) fn end(&self, last: RecordedTotals) {
        self.advance(last);
        self.advance(RecordedTotals::default());
    }

    pub(super) fn read(&self) -> RecordedTotals {
        let (before, current) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        before.and(current)
    }

    fn advance(&self, now: RecordedTotals) {
        let mut sum = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, current) = *sum;
        *sum = if now.bytes < current.bytes {
            (before.and(current), now)
        } else {
            (before, now)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_recording_adds_to_the_first() {
        let of = |bytes, lost| RecordedTotals { bytes, lost };
        let on = |bytes, lost| RecorderState::On {
            path: "x".into(),
            bytes,
            lines: 1,
            lost,
            is_redacted: true,
            files: 1,
            removed: 0,
        };
        let sum = Sum::default();
        sum.note(&on(10, 0));
        sum.note(&on(30, 2));
        sum.note(&RecorderState::Off);
        assert_eq!(sum.read(), of(30, 2));
        sum.end(of(40, 2));
        assert_eq!(sum.read(), of(40, 2));
        sum.note(&on(5, 1));
        assert_eq!(sum.read(), of(45, 3));
    }
}
