//! The Recordings screen as plain data: what is listed, and what is known of each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use shadowcat::clock::Timestamp;

use crate::format;
use crate::list::{ListState, RowId, Rows};
use crate::recordings::{Checked, Found, Listing};

/// How old a list is that is made anew while it is on the screen.
const STALE_AFTER: Duration = Duration::from_secs(5);

/// Files up to this size are read to their end as soon as the cursor rests on them; larger ones when that is asked for.
const READ_BY_ITSELF: u64 = 64 << 20;

/// A row, for as long as its file is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RecordingNumber(u64);

/// The list is in the order of time, its numbers in that of being met.
impl RowId for RecordingNumber {
    fn rank(self) -> Option<u64> {
        None
    }
}

/// What reading a file to its end has shown, as long as the file stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    bytes: u64,
    modified: Timestamp,
    pub(crate) outcome: Result<Checked, String>,
}

/// The state of the Recordings screen.
#[derive(Debug, Clone)]
pub(crate) struct Recordings {
    pub(crate) rows: Vec<(RecordingNumber, Found)>,
    pub(crate) left_out: u64,
    pub(crate) trouble: Vec<String>,
    pub(crate) list: ListState<RecordingNumber>,
    /// A first list has come.
    pub(crate) is_listed: bool,
    /// When a list was asked for that has not come.
    asked_at: Option<Timestamp>,
    listed_at: Timestamp,
    last_number: u64,
    checks: BTreeMap<PathBuf, Check>,
    /// The file that is being read.
    pub(crate) reading: Option<PathBuf>,
    /// The row under the cursor when time passed last.
    rested_on: Option<RecordingNumber>,
    pub(crate) scroll: usize,
}

impl Default for Recordings {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            left_out: 0,
            trouble: Vec::new(),
            list: ListState::new(false),
            is_listed: false,
            asked_at: None,
            listed_at: Timestamp::default(),
            last_number: 0,
            checks: BTreeMap::new(),
            reading: None,
            rested_on: None,
            scroll: 0,
        }
    }
}

impl Recordings {
    pub(crate) fn list_rows(&self) -> Rows<RecordingNumber> {
        Rows {
            ids: self.rows.iter().map(|(number, _)| *number).collect(),
            first: 0,
            total: self.rows.len() as u64,
        }
    }

    /// The recording under the cursor.
    pub(crate) fn selected(&self) -> Option<&Found> {
        let cursor = self.list.cursor?;
        let mut rows = self.rows.iter();
        rows.find(|(number, _)| *number == cursor).map(|(_, found)| found)
    }

    /// What is known of `found` by having read it.
    pub(crate) fn check_of(&self, found: &Found) -> Option<&Check> {
        let check = self.checks.get(&found.path)?;
        (check.bytes == found.bytes && check.modified == found.modified).then_some(check)
    }

    /// Whether a list is to be asked for now, which is then noted.
    pub(crate) fn wants_list(&mut self, now: Timestamp) -> bool {
        let is_stale = !self.is_listed || now.since(self.listed_at) >= STALE_AFTER;
        let is_wanted = is_stale && self.asked_at.is_none();
        if is_wanted {
            self.asked_at = Some(now);
        }
        is_wanted
    }

    /// The next list is wanted at once.
    pub(crate) fn make_stale(&mut self) {
        self.is_listed &= !self.rows.is_empty();
        self.listed_at = Timestamp::default();
    }

    /// Takes in a list. Files that were in the last one keep their rows.
    pub(crate) fn put(&mut self, listing: Listing, now: Timestamp) {
        let known: BTreeMap<PathBuf, RecordingNumber> = self
            .rows
            .drain(..)
            .map(|(number, found)| (found.path, number))
            .collect();
        for found in listing.found {
            let number = known.get(&found.path).copied().unwrap_or_else(|| {
                self.last_number += 1;
                RecordingNumber(self.last_number)
            });
            self.rows.push((number, found));
        }
        (self.left_out, self.trouble) = (listing.left_out, listing.trouble);
        (self.is_listed, self.asked_at, self.listed_at) = (true, None, now);
        let rows = &self.rows;
        self.checks
            .retain(|path, _| rows.iter().any(|(_, found)| found.path == *path));
    }

    /// Takes in what reading `path` has shown.
    pub(crate) fn put_check(&mut self, path: &Path, outcome: Result<Checked, String>) {
        if self.reading.as_deref() == Some(path) {
            self.reading = None;
        }
        let Some((_, found)) = self.rows.iter().find(|(_, found)| found.path == path) else {
            return;
        };
        let check = Check {
            bytes: found.bytes,
            modified: found.modified,
            outcome,
        };
        self.checks.insert(path.to_owned(), check);
    }

    /// The file that is to be read by itself: the cursor has rested on it, and it does not change.
    pub(crate) fn due_for_reading(&mut self, under_way: Option<&Path>) -> Option<PathBuf> {
        let rested_on = std::mem::replace(&mut self.rested_on, self.list.cursor);
        let found = self.selected()?;
        let is_wanted = rested_on == self.list.cursor
            && self.reading.is_none()
            && found.bytes <= READ_BY_ITSELF
            && under_way != Some(&*found.path)
            && self.check_of(found).is_none();
        is_wanted.then(|| found.path.clone())
    }

    /// A file is being read on which the cursor is no longer.
    pub(crate) fn reads_another(&self) -> bool {
        let selected = self.selected().map(|found| &found.path);
        self.reading.is_some() && self.reading.as_ref() != selected
    }
}

/// How long ago it was changed.
pub(crate) fn age(found: &Found, now: Timestamp) -> String {
    match now.since(found.modified) {
        age if age < Duration::from_secs(1) => "now".to_owned(),
        age if age < Duration::from_secs(10) => format!("{} s", age.as_secs()),
        age if age >= Duration::from_hours(48) => format!("{} days", age.as_secs() / 86_400),
        age => format::duration(Duration::from_secs(age.as_secs())),
    }
}
