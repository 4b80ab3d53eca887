//! Which rows changed since a view last looked, so that it need not look at all of them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::resource::heap::{self, ARC_BYTES};

/// Row numbers remembered in all batches together; beyond, the oldest batches go.
const MAX_NUMBERS: usize = 64 * 1024;
/// About the smallest row.
const ROW_BYTES: usize = 512;
/// Batches remembered.
const MAX_BATCHES: usize = 64;

/// Numbers of rows that changed or were evicted, between one published view and the next.
#[derive(Debug)]
pub(super) struct Batch {
    number: u64,
    rows: Box<[u64]>,
}

/// The latest changes. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Changes {
    batches: VecDeque<Arc<Batch>>,
    newest: u64,
    numbers: usize,
    max_numbers: usize,
}

impl Default for Changes {
    fn default() -> Self {
        Self::within(usize::MAX)
    }
}

impl Changes {
    /// A memory for a history of at most `max_bytes`: more changes than it can have rows need not be remembered.
    pub(crate) fn within(max_bytes: usize) -> Self {
        Self {
            batches: VecDeque::new(),
            newest: 0,
            numbers: 0,
            max_numbers: (max_bytes / ROW_BYTES).min(MAX_NUMBERS),
        }
    }

    /// Row numbers remembered at most.
    pub(crate) fn max_numbers(&self) -> usize {
        self.max_numbers
    }

    /// Bytes of heap memory.
    pub(crate) fn heap_bytes(&self) -> usize {
        let batch = ARC_BYTES + size_of::<Batch>();
        self.numbers * size_of::<u64>() + self.batches.len() * batch + heap::queue(&self.batches)
    }

    /// Adds what changed; an empty list makes no batch.
    pub(crate) fn add(&mut self, mut rows: Vec<u64>) {
        if rows.is_empty() {
            return;
        }
        rows.sort_unstable();
        rows.dedup();
        self.newest += 1;
        self.numbers += rows.len();
        self.batches.push_back(Arc::new(Batch {
            number: self.newest,
            rows: rows.into(),
        }));
        while self.batches.len() > MAX_BATCHES || self.numbers > self.max_numbers {
            let Some(oldest) = self.batches.pop_front() else {
                break;
            };
            self.numbers -= oldest.rows.len();
        }
    }

    /// Too much changed to say what: every view has to look at everything anew.
    pub(crate) fn forget(&mut self) {
        self.newest += 1;
        self.numbers = 0;
        self.batches.clear();
    }

    /// The number of the newest batch.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    /// The rows that changed after batch `seen`; `None` if that is too long ago to be known.
    pub(crate) fn since(&self, seen: u64) -> Option<Vec<u64>> {
        let oldest = self.newest + 1 - self.batches.len() as u64;
        if seen + 1 < oldest {
            return None;
        }
        let newer = self.batches.iter().filter(|batch| batch.number > seen);
        let mut rows: Vec<u64> = newer.flat_map(|batch| batch.rows.iter().copied()).collect();
        rows.sort_unstable();
        rows.dedup();
        Some(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_learns_what_changed_since_it_looked() {
        let mut changes = Changes::default();
        changes.add(vec![3, 1, 3]);
        changes.add(Vec::new());
        changes.add(vec![2]);
        assert_eq!(changes.newest(), 2);
        assert_eq!(changes.since(0), Some(vec![1, 2, 3]));
        assert_eq!(changes.since(1), Some(vec![2]));
        assert_eq!(changes.since(2), Some(Vec::new()));
    }

    #[test]
    fn a_view_that_looked_too_long_ago_is_told_so() {
        let mut changes = Changes::default();
        (0..=MAX_BATCHES as u64).for_each(|row| changes.add(vec![row]));
        assert_eq!(changes.since(0), None);
        assert_eq!(changes.since(1).map(|rows| rows.len()), Some(MAX_BATCHES));
        changes.add((0..=MAX_NUMBERS as u64).collect());
        assert_eq!(changes.since(changes.newest() - 1), None);
        assert_eq!(changes.since(changes.newest()), Some(Vec::new()));
    }
}
