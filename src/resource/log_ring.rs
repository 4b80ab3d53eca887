//! The program's own log lines, kept for the Log screen.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::resource::meters::Level;
use crate::snapshot::{Anchor, LogRow, Page, Window};

#[derive(Debug)]
struct State {
    rows: VecDeque<LogRow>,
    capacity: usize,
    written: u64,
}

/// A bounded ring of log lines, shared between the one who logs and the engine that shows. The oldest line goes first.
#[derive(Debug, Clone)]
pub struct LogRing {
    state: Arc<Mutex<State>>,
    file: Arc<Level>,
}

impl Default for LogRing {
    fn default() -> Self {
        Self::new(crate::limits::ResourceLimits::default().log_ring)
    }
}

impl LogRing {
    /// A ring for `capacity` lines.
    pub fn new(capacity: usize) -> Self {
        let state = State {
            rows: VecDeque::new(),
            capacity: capacity.max(1),
            written: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            file: Arc::default(),
        }
    }

    /// Bytes that the day's log file has, and how many lines had no room in it (`log_file_bytes`). Kept by whoever
    /// writes that file.
    pub fn file(&self) -> &Arc<Level> {
        &self.file
    }

    /// Adds a line; its number is given here.
    pub fn push(&self, mut row: LogRow) {
        let mut state = self.lock();
        state.written += 1;
        row.number = state.written;
        if state.rows.len() == state.capacity {
            state.rows.pop_front();
        }
        state.rows.push_back(row);
    }

    /// Lines written so far; changes exactly when there is something new to show.
    pub fn written(&self) -> u64 {
        self.lock().written
    }

    /// Lines kept now.
    pub fn len(&self) -> usize {
        self.lock().rows.len()
    }

    /// Whether no line is kept.
    pub fn is_empty(&self) -> bool {
        self.lock().rows.is_empty()
    }

    /// The lines of a window.
    pub fn page(&self, window: Window<u64>) -> Page<LogRow> {
        let state = self.lock();
        let total = state.rows.len();
        let wanted = usize::from(window.rows);
        let last = total.saturating_sub(wanted);
        let oldest = state.rows.front().map_or(1, |row| row.number);
        let first = match window.anchor {
            Anchor::Tail => last,
            Anchor::Index(index) => usize::try_from(index).unwrap_or(usize::MAX).min(last),
            Anchor::Row { id, shift } => {
                let index = i64::try_from(id.saturating_sub(oldest))
                    .unwrap_or(i64::MAX)
                    .saturating_add(shift);
                usize::try_from(index.max(0)).unwrap_or(usize::MAX).min(last)
            }
        };
        let rows = state.rows.iter().skip(first).take(wanted).cloned().collect();
        Page {
            rows,
            first: first as u64,
            total: total as u64,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn ring_of(lines: u64, capacity: usize) -> LogRing {
        let ring = LogRing::new(capacity);
        for line in 0..lines {
            ring.push(LogRow {
                number: 0,
                at: Timestamp::from_micros(line),
                level: "INFO".to_owned(),
                target: "test".to_owned(),
                text: format!("line {line}"),
            });
        }
        ring
    }

    fn numbers(ring: &LogRing, anchor: Anchor<u64>, rows: u16) -> Vec<u64> {
        ring.page(Window { anchor, rows })
            .rows
            .iter()
            .map(|row| row.number)
            .collect()
    }

    #[test]
    fn the_oldest_line_goes_first_and_numbers_go_on() {
        let ring = ring_of(5, 3);
        assert_eq!(numbers(&ring, Anchor::Tail, 10), [3, 4, 5]);
        assert_eq!((ring.len(), ring.written()), (3, 5));
    }

    #[test]
    fn a_window_is_held_by_its_line() {
        let ring = ring_of(10, 100);
        assert_eq!(numbers(&ring, Anchor::Row { id: 4, shift: 1 }, 2), [5, 6]);
        assert_eq!(numbers(&ring, Anchor::Row { id: 1, shift: -9 }, 2), [1, 2]);
        assert_eq!(numbers(&ring, Anchor::Index(99), 2), [9, 10]);
    }
}
