//! The server of 2024-11-05: one stream a session, on which all answers come.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::shared::locked;

/// Answers of a session that may wait for its stream.
const ANSWERS: usize = 64;

/// A session's way to its stream, and its calls.
#[derive(Debug)]
struct Open {
    answers: mpsc::Sender<Vec<u8>>,
    calls: u64,
}

/// The sessions that have a stream.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Open>>,
}

impl Endpoints {
    /// A new session and what its stream has to send.
    pub(super) fn open(&self) -> (u64, mpsc::Receiver<Vec<u8>>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (answers, waiting) = mpsc::channel(ANSWERS);
        locked(&self.open).insert(number, Open { answers, calls: 0 });
        (number, waiting)
    }

    /// Its stream has gone.
    pub(super) fn close(&self, number: u64) {
        locked(&self.open).remove(&number);
    }

    /// The way to the stream of the session that a POST is for, and the number of its next call.
    pub(super) fn of(&self, line: &str, is_call: bool) -> Option<(mpsc::Sender<Vec<u8>>, u64)> {
        let digits = line.split_once("/messages?s=")?.1.split(' ').next()?;
        let mut open = locked(&self.open);
        let session = open.get_mut(&digits.parse().ok()?)?;
        session.calls += u64::from(is_call);
        Some((session.answers.clone(), session.calls))
    }
}
