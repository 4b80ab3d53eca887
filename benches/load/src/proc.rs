//! What a process costs, from `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// How far the two ways to count processor time may be apart: some ticks and what is not yet accounted.
const TOLERANCE: Duration = Duration::from_millis(30);

/// What one or more processes have used and hold at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// User and system time of all threads since the start, to a clock tick.
    cpu: Duration,
    /// The time that the threads which still run have had, to a nanosecond.
    running: Duration,
    /// Resident bytes.
    pub(crate) rss: u64,
    /// The most resident bytes so far.
    pub(crate) peak: u64,
    pub(crate) threads: u64,
    pub(crate) fds: u64,
}

impl Sample {
    /// The sum over some processes.
    ///
    /// # Errors
    /// One of them is gone.
    pub(crate) fn of(pids: &[u32]) -> Result<Self> {
        pids.iter()
            .try_fold(Self::default(), |sum, pid| Ok(sum.plus(&Self::of_one(*pid)?)))
    }

    /// Processor time used since an earlier sample, in microseconds.
    pub(crate) fn cpu_micros_since(&self, earlier: &Self) -> f64 {
        let exact = self.running.saturating_sub(earlier.running);
        let whole = self.cpu.saturating_sub(earlier.cpu);
        // A thread that ended between the two has taken its nanoseconds with it, its ticks are still there.
        let used = if exact.abs_diff(whole) > TOLERANCE {
            whole
        } else {
            exact
        };
        used.as_secs_f64() * 1e6
    }

    fn plus(self, other: &Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            running: self.running + other.running,
            rss: self.rss + other.rss,
            peak: self.peak + other.peak,
            threads: self.threads + other.threads,
            fds: self.fds + other.fds,
        }
    }

    fn of_one(pid: u32) -> Result<Self> {
        let status = read(pid, "status")?;
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).with_context(|| gone(pid))?;
        Ok(Self {
            cpu: cpu_of(&read(pid, "stat")?).with_context(|| gone(pid))?,
            running: running_threads(pid),
            rss: status_field(&status, "VmRSS:") * 1024,
            peak: status_field(&status, "VmHWM:") * 1024,
            threads: status_field(&status, "Threads:"),
            fds: fds.count() as u64,
        })
    }
}

/// Time on a processor of all threads of a process that still run.
fn running_threads(pid: u32) -> Duration {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Duration::ZERO;
    };
    let times = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split_ascii_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(times.sum())
}

fn gone(pid: u32) -> String {
    format!("process {pid} is gone")
}

fn read(pid: u32, name: &str) -> Result<String> {
    fs::read_to_string(format!("/proc/{pid}/{name}")).with_context(|| gone(pid))
}

/// The number of a line of `/proc/PID/status`; zero if there is none, as for a process that is ending.
fn status_field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// User and system time in `/proc/PID/stat`. The name before it may hold spaces and brackets.
fn cpu_of(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let tick = Duration::from_secs(1) / u32::try_from(rustix::param::clock_ticks_per_second()).ok()?;
    Some(tick * u32::try_from(user + system).ok()?)
}

/// The children of a process.
pub(crate) fn children_of(parent: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?
        .1
        .split_ascii_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let rest = "S 1 1 1 0 -1 4194560 9 0 0 0 123 77 0 0 20 0 4 0 9 9 9";
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        for name in ["load", "a b", "x) R 5 (y"] {
            let cpu = cpu_of(&format!("42 ({name}) {rest}")).unwrap();
            assert!((cpu.as_secs_f64() - 200.0 / ticks).abs() < 1e-9, "{name}");
        }
    }

    #[test]
    fn this_process_can_be_measured() {
        let sample = Sample::of(&[std::process::id()]).unwrap();
        assert!(sample.rss > 0 && sample.peak >= sample.rss && sample.threads > 0 && sample.fds > 0);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(Sample::of(&[u32::MAX]).is_err());
    }
}
