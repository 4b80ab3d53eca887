//! A recording that is played at the pace at which it was recorded.

use std::time::Duration;

use shadowcat::clock::Timestamp;

/// Time between two moves of the play head.
pub(crate) const BEAT: Duration = Duration::from_millis(33);

/// How fast it can be: numerator, denominator and name.
const SPEEDS: [(u32, u32, &str); 8] = [
    (1, 4, "1/4"),
    (1, 2, "1/2"),
    (1, 1, "1"),
    (2, 1, "2"),
    (5, 1, "5"),
    (10, 1, "10"),
    (50, 1, "50"),
    (200, 1, "200"),
];

/// As fast as it was.
const AS_RECORDED: usize = 2;

/// The play head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Playback {
    /// The recorded moment that is reached.
    pub(crate) head: Timestamp,
    pub(crate) is_paused: bool,
    /// The cursor was moved in a pause: the time is that of its row.
    pub(crate) is_at_cursor: bool,
    speed: usize,
    /// When the head was moved last.
    moved_at: Timestamp,
}

impl Playback {
    /// From the recorded moment `head` on, beginning at `now`.
    pub(crate) const fn begin(head: Timestamp, now: Timestamp) -> Self {
        Self {
            head,
            is_paused: false,
            is_at_cursor: false,
            speed: AS_RECORDED,
            moved_at: now,
        }
    }

    /// Moves the head to where it is at `now`.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        let passed = now.since(std::mem::replace(&mut self.moved_at, now));
        if let Some((times, of, _)) = SPEEDS.get(self.speed)
            && !self.is_paused
        {
            self.head = self.head.plus(passed.saturating_mul(*times) / *of);
        }
    }

    /// Goes on from `head`.
    pub(crate) const fn go_on(&mut self, head: Timestamp, now: Timestamp) {
        (self.head, self.moved_at) = (head, now);
        (self.is_paused, self.is_at_cursor) = (false, false);
    }

    pub(crate) fn faster(&mut self) {
        self.speed = (self.speed + 1).min(SPEEDS.len() - 1);
    }

    pub(crate) const fn slower(&mut self) {
        self.speed = self.speed.saturating_sub(1);
    }

    /// How many times as fast as recorded, in words.
    pub(crate) fn speed(&self) -> &'static str {
        SPEEDS.get(self.speed).map_or("1", |(_, _, name)| name)
    }
}
