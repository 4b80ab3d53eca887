//! Long work in short slices.

use std::time::Duration;

use crate::clock::{Clock, Timestamp};

/// Rows looked at in one slice, at most.
const ROWS: usize = 4096;
/// Time for one slice.
const TIME: Duration = Duration::from_millis(2);
/// Rows between two looks at the clock. One row can cost a search through 256 KiB.
const ROWS_PER_LOOK: usize = 16;

/// What may still be done before others get a turn.
#[derive(Debug)]
pub(super) struct Slice {
    left: usize,
    until: Timestamp,
    clock: Clock,
}

impl Slice {
    pub(super) fn new(clock: Clock) -> Self {
        Self::of(ROWS, clock)
    }

    /// A slice of at most `rows`.
    pub(super) fn of(rows: usize, clock: Clock) -> Self {
        Self {
            left: rows,
            until: clock.now().plus(TIME),
            clock,
        }
    }

    /// Takes one row off the slice. False if it is used up.
    pub(super) fn spend(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        if self.left.is_multiple_of(ROWS_PER_LOOK) && self.clock.now() >= self.until {
            self.left = 0;
        }
        true
    }
}
