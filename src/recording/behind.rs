//! Brings what is written to the disk beside the writing, and lets it go from memory.
//!
//! A page of a file that the system never used before is dear to write to where the machine is a virtual one: ten times
//! what a used one costs. A recording that takes few pages uses the same ones again and again, leaves the memory to
//! others, and loses little when the power fails.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::file::LineFile;

/// So many bytes are written before they are brought to the disk.
pub(super) const SETTLE_BYTES: u64 = 8 << 20;

/// Finished files of a recording that wait for it at most; the oldest are left to the system.
const MAX_FINISHED: usize = 16;

/// Something whose bytes can be brought to the disk while more of them are written.
pub(super) trait Settle: Send + Sync + fmt::Debug {
    /// Returns when all bytes that were written before are on the disk; takes those of `from` to `to` out of memory, if the
    /// system can do that.
    fn settle(&self, from: u64, to: u64) -> io::Result<()>;
}

impl Settle for File {
    fn settle(&self, from: u64, to: u64) -> io::Result<()> {
        match self.sync_data() {
            // Some file systems have nothing that could be waited for.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
                ) => {}
            outcome => outcome?,
        }
        forget(self, from, to);
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn forget(file: &File, from: u64, to: u64) {
    let Some(length) = std::num::NonZeroU64::new(to.saturating_sub(from)) else {
        return;
    };
    if let Err(error) = rustix::fs::fadvise(file, from, Some(length), rustix::fs::Advice::DontNeed) {
        tracing::debug!(%error, "what was written stays in memory");
    }
}

#[cfg(not(target_os = "linux"))]
fn forget(_file: &File, _from: u64, _to: u64) {}

/// What of a recording is to be brought to the disk. It is done in another place, once at a time.
#[derive(Debug, Default)]
pub(super) struct Behind {
    is_under_way: bool,
    /// Up to here the file that is being written was given away.
    given: u64,
    /// Where that began when it was given away last.
    given_from: u64,
    finished: VecDeque<Part>,
    /// Why it failed, if it did when it was done last.
    failure: Option<String>,
    /// Why it failed last, however long ago.
    failed_for: Option<String>,
}

/// A part of one file.
#[derive(Debug)]
struct Part {
    file: Arc<dyn Settle>,
    from: u64,
    to: u64,
    /// Bytes that were in no part before.
    new: u64,
}

/// Work that may block, and may be done while the recording is written.
#[derive(Debug)]
pub(super) struct Settling {
    parts: Vec<Part>,
    path: PathBuf,
    is_failing: bool,
}

impl Settling {
    /// Brings everything to the disk.
    ///
    /// # Errors
    /// What the system says; then nobody knows which of the bytes are there. A first failure is logged.
    pub(super) fn run(self) -> io::Result<()> {
        let mut parts = self.parts.iter();
        let outcome = parts.try_for_each(|part| part.file.settle(part.from, part.to));
        if let Err(error) = &outcome
            && !self.is_failing
        {
            let path = self.path.display();
            tracing::error!(%path, %error, "the disk did not take what was recorded; parts of it may be missing");
        }
        outcome
    }
}

impl Behind {
    /// What is to be done now that `file` is written to `path`; `None` if that is little or some is under way.
    pub(super) fn due(&mut self, file: &LineFile, path: PathBuf) -> Option<Settling> {
        let finished: u64 = self.finished.iter().map(|part| part.new).sum();
        let is_due = finished + self.new_in(file) >= SETTLE_BYTES;
        (is_due && !self.is_under_way).then(|| self.give(file, path))
    }

    /// What is to be done at the end; `None` for a small recording, which is left to the system.
    pub(super) fn last(&mut self, file: &LineFile, path: PathBuf) -> Option<Settling> {
        (self.given > 0 || !self.finished.is_empty()).then(|| self.give(file, path))
    }

    /// Nothing more is written to `file`.
    pub(super) fn next_file(&mut self, file: &LineFile) {
        let part = self.part(file);
        self.finished.extend(part);
        if self.finished.len() > MAX_FINISHED {
            self.finished.pop_front();
        }
        (self.given, self.given_from) = (0, 0);
    }

    /// What was given away last is done.
    pub(super) fn done(&mut self, outcome: Result<(), String>) {
        self.is_under_way = false;
        self.failure = outcome.err();
        if self.failure.is_some() {
            self.failed_for.clone_from(&self.failure);
        }
    }

    /// Why it failed, if it did when it was done last.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.as_deref().map(in_words)
    }

    /// Why it failed last, however long ago.
    pub(super) fn failed_for(&self) -> Option<String> {
        self.failed_for.as_deref().map(in_words)
    }

    fn new_in(&self, file: &LineFile) -> u64 {
        // A broken line may have been cut off since.
        file.bytes().saturating_sub(self.given)
    }

    fn give(&mut self, file: &LineFile, path: PathBuf) -> Settling {
        let part = self.part(file);
        self.given_from = self.given;
        self.given = file.bytes();
        self.is_under_way = true;
        Settling {
            parts: self.finished.drain(..).chain(part).collect(),
            path,
            is_failing: self.failure.is_some(),
        }
    }

    fn part(&self, file: &LineFile) -> Option<Part> {
        Some(Part {
            file: file.settler()?,
            // Only whole pages, or several that are kept as one, leave the memory: what was given before is given once more.
            from: self.given_from,
            to: file.bytes(),
            new: self.new_in(file),
        })
    }
}

fn in_words(cause: &str) -> String {
    format!("the disk did not take what was written ({cause}); parts of it may be missing")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_has_the_same_bytes_after_they_left_the_memory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let mut file = File::create(&path).unwrap();
        let text = b"some bytes\n".repeat(100_000);
        let (first, second) = text.split_at(700_001);
        file.write_all(first).unwrap();
        file.settle(0, first.len() as u64).unwrap();
        file.write_all(second).unwrap();
        file.settle(0, text.len() as u64).unwrap();
        assert!(std::fs::read(&path).unwrap() == text);
    }
}
