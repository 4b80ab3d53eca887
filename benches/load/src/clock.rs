//! Time that processes of one machine share.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the machine's monotonic clock: the same in every process, so an event can carry the moment it was sent.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// How long ago a moment of [`now_ns`] was.
pub(crate) fn since(then_ns: u64) -> Duration {
    Duration::from_nanos(now_ns().saturating_sub(then_ns))
}

/// The moment of [`now_ns`] that is `time` from now.
pub(crate) fn after(time: Duration) -> u64 {
    now_ns() + nanoseconds(time)
}

/// A duration in nanoseconds; five centuries are the longest.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
