//! What the system says of this process.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Processor time that all threads have used so far.
pub fn cpu_time() -> Option<Duration> {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanos) = (used.tv_sec.try_into().ok()?, used.tv_nsec.try_into().ok()?);
    Some(Duration::new(seconds, nanos))
}

/// Resident memory, in bytes.
pub fn resident_bytes() -> Option<u64> {
    memory_stats::memory_stats().map(|stats| stats.physical_mem as u64)
}

/// Operating system threads; `None` where the system keeps no list of them.
pub fn threads() -> Option<u64> {
    count_entries("/proc/self/task")
}

/// Open file descriptors; `None` where the system keeps no list of them.
pub fn open_files() -> Option<u64> {
    count_entries("/proc/self/fd")
}

fn count_entries(path: &str) -> Option<u64> {
    std::fs::read_dir(path).ok().map(|entries| entries.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_in_the_processor_time() {
        let before = cpu_time().unwrap();
        let mut sum = 0_u64;
        while cpu_time().unwrap() <= before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(resident_bytes().unwrap() > 0);
    }
}
