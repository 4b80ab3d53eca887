//! The Recordings screen as plain data: what is listed, and what is known of each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use shadowcat::clock::Timestamp;

use crate::format;
use crate::list::{ListState, RowId, Rows};
use crate::recordings::{Checked, Compared, Found, Listing, MockState};

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

/// Two recordings, and what differs; `None` until that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Comparison {
    pub(crate) before: PathBuf,
    pub(crate) after: PathBuf,
    pub(crate) outcome: Option<Result<Compared, String>>,
    /// The row under the cursor meanwhile, once there is one: it is not shown with another.
    pub(crate) at: Option<RecordingNumber>,
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
    /// Those that are to be compared.
    pub(crate) marks: BTreeSet<RecordingNumber>,
    /// It is shown in the place of what is known of the chosen one.
    pub(crate) comparison: Option<Comparison>,
    /// Comparing is under way.
    pub(crate) is_comparing: bool,
    /// Those that are served, or could not be.
    pub(crate) mocks: BTreeMap<PathBuf, MockState>,
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
            marks: BTreeSet::new(),
            comparison: None,
            is_comparing: false,
            mocks: BTreeMap::new(),
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
        self.found(self.list.cursor?)
    }

    /// What is known of `found` by having read it.
    pub(crate) fn check_of(&self, found: &Found) -> Option<&Check> {
        let check = self.checks.get(&found.path)?;
        (check.bytes == found.bytes && check.modified == found.modified).then_some(check)
    }

    /// The recording of that number.
    fn found(&self, number: RecordingNumber) -> Option<&Found> {
        let mut rows = self.rows.iter();
        rows.find(|(other, _)| *other == number).map(|(_, found)| found)
    }

    /// The two that are to be compared, the older one first: those that are marked, or the one and the one under the
    /// cursor.
    ///
    /// # Errors
    /// What to tell the user if these are not two.
    pub(crate) fn pair(&self) -> Result<(PathBuf, PathBuf), String> {
        let mut chosen = self.marks.clone();
        if chosen.len() == 1 {
            chosen.extend(self.list.cursor);
        }
        let mut files: Vec<&Found> = chosen.iter().filter_map(|number| self.found(*number)).collect();
        files.sort_by_key(|found| found.begun());
        match files.as_slice() {
            [before, after] => Ok((before.path.clone(), after.path.clone())),
            [] | [_] => Err("mark two recordings with Space first".to_owned()),
            more => Err(format!("two can be compared, and {} are marked", more.len())),
        }
    }

    /// The cursor has moved: what is below the list is about another recording.
    pub(crate) fn show_card(&mut self) {
        (self.scroll, self.comparison) = (0, None);
    }

    /// A comparison goes with the row with which it was asked for.
    pub(crate) fn settle_comparison(&mut self) {
        let cursor = self.list.cursor;
        if let Some(shown) = &mut self.comparison {
            shown.at = shown.at.or(cursor);
            if shown.at != cursor {
                self.show_card();
            }
        }
    }

    /// The recording under way is listed even if no list has it yet.
    pub(crate) fn include(&mut self, found: Found) {
        if !self.lists(&found.path) {
            self.last_number += 1;
            self.rows.insert(0, (RecordingNumber(self.last_number), found));
        }
    }

    fn lists(&self, path: &Path) -> bool {
        self.rows.iter().any(|(_, found)| is_same(&found.path, path))
    }

    /// Recordings that are served, or begin or end to be.
    pub(crate) fn served(&self) -> usize {
        self.mocks.values().filter(|mock| mock.is_running()).count()
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
        self.marks
            .retain(|mark| rows.iter().any(|(number, _)| number == mark));
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
            && !under_way.is_some_and(|path| is_same(path, &found.path))
            && self.check_of(found).is_none();
        is_wanted.then(|| found.path.clone())
    }

    /// A file is being read on which the cursor is no longer.
    pub(crate) fn reads_another(&self) -> bool {
        let selected = self.selected().map(|found| &found.path);
        self.reading.is_some() && self.reading.as_ref() != selected
    }
}

/// Whether two names are one file's, as far as names tell.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    let bare = |path: &'_ Path| {
        path.components()
            .filter(|part| *part != Component::CurDir)
            .collect::<PathBuf>()
    };
    one == other || bare(one) == bare(other)
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
