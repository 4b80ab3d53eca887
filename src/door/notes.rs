//! What the door knows of itself, for gauges and notices.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::clock::Timestamp;
use crate::resource::meters::Level;
use crate::snapshot::{Notice, Severity};

/// Most words that wait to be shown; the newest stay.
const MAX_WORDS: usize = 16;

/// Who is linked, and what the user should hear of it.
#[derive(Debug, Default)]
pub(crate) struct DoorNotes {
    /// Links now (`max_shims`).
    pub(crate) links: Level,
    /// Those of scripts among them.
    pub(crate) scripts: Level,
    words: Mutex<VecDeque<(String, Notice)>>,
}

impl DoorNotes {
    /// Says something about `subject`, in place of the last word about it.
    pub(crate) fn say(&self, subject: &str, at: Timestamp, severity: Severity, text: String) {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        words.retain(|(other, _)| other != subject);
        if words.len() == MAX_WORDS {
            words.pop_front();
        }
        words.push_back((subject.to_owned(), Notice { at, severity, text }));
    }

    /// What was said since the last call: subject and word.
    pub(crate) fn take_words(&self) -> Vec<(String, Notice)> {
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        words.drain(..).collect()
    }
}
