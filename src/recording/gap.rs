//! What a recording lost, and when.

use crate::clock::Timestamp;

/// Records that are missing at one place of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gap {
    /// How many.
    pub(super) lost: u64,
    /// Their size, roughly.
    pub(super) bytes: u64,
    /// When the first of them happened.
    pub(super) from: Timestamp,
    /// When the last of them happened.
    pub(super) to: Timestamp,
    /// Why.
    pub(super) reason: String,
}

impl Gap {
    /// A gap in which nothing is lost yet.
    pub(super) fn at(at: Timestamp, reason: impl Into<String>) -> Self {
        Self {
            lost: 0,
            bytes: 0,
            from: at,
            to: at,
            reason: reason.into(),
        }
    }

    /// Counts one more lost record.
    pub(super) fn add(&mut self, at: Timestamp, bytes: u64) {
        self.lost += 1;
        self.bytes += bytes;
        self.from = self.from.min(at);
        self.to = self.to.max(at);
    }

    /// Takes in a gap that stands beside this one.
    pub(super) fn merge(&mut self, other: &Self) {
        self.lost += other.lost;
        self.bytes += other.bytes;
        self.from = self.from.min(other.from);
        self.to = self.to.max(other.to);
    }
}
