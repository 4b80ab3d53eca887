//! The disk that the recordings of one run take, and the bound on it.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why nothing is written that does not fit into `max_disk`.
pub(crate) const NO_ROOM: &str = "max_disk has no room for it";

/// What all recordings of a run take on the disk. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct DiskMeter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    used: AtomicU64,
    peak: AtomicU64,
    removed: AtomicU64,
}

impl DiskMeter {
    /// Bytes now, bytes at most, and how often a file had to go or a record could not be written.
    pub(super) fn read(&self) -> (u64, u64, u64) {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        (load(&self.0.used), load(&self.0.peak), load(&self.0.removed))
    }

    fn set(&self, used: u64) {
        self.0.used.store(used, Ordering::Relaxed);
        self.0.peak.fetch_max(used, Ordering::Relaxed);
    }

    fn reach(&self) {
        self.0.removed.fetch_add(1, Ordering::Relaxed);
    }
}

/// The files of a run that are finished, oldest first.
#[derive(Debug)]
pub(super) struct DiskUse {
    max: u64,
    finished: VecDeque<(PathBuf, u64)>,
    finished_bytes: u64,
    /// Files that went.
    removed: u32,
    meter: DiskMeter,
}

impl DiskUse {
    /// Nothing yet; `max` bytes at most.
    pub(super) const fn new(max: u64, meter: DiskMeter) -> Self {
        Self {
            max,
            finished: VecDeque::new(),
            finished_bytes: 0,
            removed: 0,
            meter,
        }
    }

    /// The most that one file may take, so that a few of them fit.
    pub(super) const fn max_file(&self) -> u64 {
        self.max / 4
    }

    /// Files that went.
    pub(super) const fn removed(&self) -> u32 {
        self.removed
    }

    /// Nothing more is written to this file.
    pub(super) fn finish(&mut self, path: PathBuf, bytes: u64) {
        self.finished.push_back((path, bytes));
        self.finished_bytes += bytes;
        self.note(0);
    }

    /// Whether `more` bytes fit behind the `current` ones of the file that is being written, if all others go.
    pub(super) const fn can_take(&self, current: u64, more: u64) -> bool {
        current.saturating_add(more) <= self.max
    }

    /// Counts that something was left out, since it is larger than all the room there is.
    pub(super) fn refuse(&self) {
        self.meter.reach();
    }

    /// Takes away the oldest files until `more` bytes fit behind the `current` ones of the file that is being written.
    ///
    /// # Errors
    /// If they do not fit whatever goes; nothing is taken away then.
    pub(super) fn make_room(&mut self, current: u64, more: u64) -> io::Result<()> {
        if !self.can_take(current, more) {
            self.refuse();
            return Err(io::Error::other(NO_ROOM));
        }
        while self.finished_bytes + current + more > self.max {
            let Some((path, bytes)) = self.finished.pop_front() else {
                break;
            };
            self.meter.reach();
            self.finished_bytes -= bytes;
            let shown = path.display();
            match std::fs::remove_file(&path) {
                Ok(()) => {
                    self.removed += 1;
                    tracing::warn!(path = %shown, bytes, "the oldest file of the recording was removed, as max_disk is reached");
                }
                Err(error) => {
                    tracing::warn!(path = %shown, %error, "the oldest file of the recording could not be removed");
                }
            }
        }
        Ok(())
    }

    /// Tells the meter, with `current` bytes in the file that is being written.
    pub(super) fn note(&self, current: u64) {
        self.meter.set(self.finished_bytes + current);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_files_go_first_and_only_as_many_as_have_to() {
        let directory = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (1..=4)
            .map(|number| directory.path().join(number.to_string()))
            .collect();
        let meter = DiskMeter::default();
        let mut disk = DiskUse::new(100, meter.clone());
        for path in &paths {
            std::fs::write(path, "x").unwrap();
            disk.finish(path.clone(), 20);
        }
        disk.make_room(10, 10).unwrap();
        assert_eq!(meter.read(), (80, 80, 0));
        disk.make_room(20, 25).unwrap();
        let there: Vec<bool> = paths.iter().map(|path| path.exists()).collect();
        assert_eq!(there, [false, false, true, true]);
        assert_eq!((disk.removed(), meter.read().2), (2, 2));
        // Nothing goes for what does not fit anyway.
        assert!(disk.make_room(90, 20).is_err());
        assert_eq!((paths[3].exists(), disk.removed(), meter.read().2), (true, 2, 3));
    }
}
