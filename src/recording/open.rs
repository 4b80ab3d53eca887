//! One recording that is being written. All of this runs on a thread that may block.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::behind::{Behind, Settling};
use super::disk::{DiskUse, NO_ROOM};
use super::encode::{Encoder, Ending};
use super::file::{self, AppendError, LineFile, REMOVED};
use super::gap::Gap;
use super::settings::Rotation;
use super::writer::FinishedRecording;
use crate::clock::{Clock, Timestamp};
use crate::resource::queue::Weigh as _;
use crate::session::observation::Observation;
use crate::snapshot::RecorderState;

/// Lines are written when they are this many bytes together, and at the end of each batch.
const WRITE_BYTES: usize = 1 << 20;

/// What compressing can add to lines that cannot be made smaller.
const FRAME_BYTES: u64 = 4096;

/// How long nothing is tried after a write failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A recording that is being written.
///
/// When writing fails, records are counted instead, once a second it is tried again, and when it works the count is
/// written as a gap.
#[derive(Debug)]
pub(super) struct OpenRecording {
    /// The file that is being written.
    path: PathBuf,
    /// The one with which the recording began.
    first: PathBuf,
    /// Number of the file that is being written.
    segment: u32,
    file: LineFile,
    /// What the file has to begin with and has not yet.
    start: Vec<u8>,
    /// When the first record was written to the file. What a file begins with is no record.
    first_record: Option<Timestamp>,
    /// When the next file may be tried again.
    next_file_at: Timestamp,
    rotation: Rotation,
    disk: DiskUse,
    encoder: Encoder,
    clock: Clock,
    is_redacted: bool,
    /// Of the files before.
    before: Counted,
    lines: u64,
    /// Records in gaps that the file tells of.
    lost: u64,
    /// What the file does not tell of yet.
    gap: Option<Gap>,
    failure: Option<Failure>,
    /// Why writing failed last, however long ago.
    failed_for: Option<String>,
    /// The room of the lines that were written last.
    buffer: Vec<u8>,
    behind: Behind,
}

#[derive(Debug)]
struct Failure {
    cause: String,
    retry_at: Timestamp,
}

/// What finished files of the recording have.
#[derive(Debug, Default)]
struct Counted {
    files: u32,
    bytes: u64,
    lines: u64,
    lost: u64,
}

/// What a recording is begun with.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) path: PathBuf,
    pub(super) file: LineFile,
    pub(super) encoder: Encoder,
    pub(super) clock: Clock,
    pub(super) is_redacted: bool,
    pub(super) rotation: Rotation,
    pub(super) disk: DiskUse,
}

/// Lines that belong together, and the time they cover.
#[derive(Debug)]
struct Lines {
    bytes: Vec<u8>,
    from: Timestamp,
    to: Timestamp,
}

impl OpenRecording {
    /// Writes the header into a new, empty file.
    ///
    /// # Errors
    /// What the system says, and the disk that was not used.
    pub(super) fn begin(beginning: Beginning) -> Result<Self, (DiskUse, io::Error)> {
        let Beginning {
            path,
            mut file,
            encoder,
            clock,
            is_redacted,
            rotation,
            mut disk,
        } = beginning;
        let mut header = Vec::new();
        encoder.header(&mut header);
        let room = disk.make_room(0, header.len() as u64);
        if let Err(error) = room.and_then(|()| file.append(&header).map_err(|error| error.source)) {
            return Err((disk, error));
        }
        Ok(Self {
            first: path.clone(),
            path,
            segment: 1,
            file,
            start: Vec::new(),
            first_record: None,
            next_file_at: Timestamp::default(),
            rotation,
            disk,
            encoder,
            clock,
            is_redacted,
            before: Counted::default(),
            lines: 1,
            lost: 0,
            gap: None,
            failure: None,
            failed_for: None,
            buffer: Vec::new(),
            behind: Behind::default(),
        })
    }

    /// Where it is written to.
    pub(super) fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// What the screen shows of it.
    pub(super) fn state(&self) -> RecorderState {
        let missing = self.gap.as_ref().map_or(0, |gap| gap.lost);
        match self.complaint(missing) {
            Some(cause) => RecorderState::Failed {
                path: self.path.clone(),
                cause,
            },
            None => RecorderState::On {
                path: self.path.clone(),
                bytes: self.before.bytes + self.file.bytes(),
                lines: self.before.lines + self.lines,
                lost: self.before.lost + self.lost + missing,
                is_redacted: self.is_redacted,
                files: self.before.files + 1,
                removed: self.disk.removed(),
            },
        }
    }

    fn complaint(&self, missing: u64) -> Option<String> {
        let Some(Failure { cause, .. }) = &self.failure else {
            return self.behind.failure();
        };
        let advice = match cause.as_str() {
            NO_ROOM => "raise --max-disk for the next recording",
            REMOVED => "stop the recording and start another",
            _ => "make room, and the recording goes on by itself",
        };
        Some(format!("{cause}; {missing} records are lost so far; {advice}"))
    }

    /// What is to be brought to the disk beside the writing; `None` if that is little, or some is under way already. To be
    /// followed by [`OpenRecording::settled`].
    pub(super) fn take_unsettled(&mut self) -> Option<Settling> {
        self.behind.due(&self.file, self.path.clone())
    }

    /// What was to be brought to the disk is there, or why not.
    pub(super) fn settled(&mut self, outcome: Result<(), String>) {
        self.behind.done(outcome);
    }

    /// Whether lines are better gathered for a while.
    pub(super) const fn is_compressed(&self) -> bool {
        self.file.is_compressed()
    }

    /// Writes what was before the recording.
    pub(super) fn write_preamble(&mut self, preamble: Vec<Observation>) {
        self.encoder.set_preamble(true);
        self.write(preamble, None);
        self.encoder.set_preamble(false);
        self.first_record = None;
    }

    /// Writes a batch, and the gap that follows it.
    pub(super) fn write(&mut self, batch: Vec<Observation>, gap: Option<Gap>) {
        let mut rest = batch.into_iter();
        if self.is_working(self.clock.now()) && self.write_gap() {
            self.write_lines(&mut rest);
        }
        for observation in rest {
            self.lose(observation.at, observation.weight() as u64);
        }
        if let Some(gap) = gap {
            self.gap
                .get_or_insert_with(|| Gap {
                    lost: 0,
                    bytes: 0,
                    ..gap.clone()
                })
                .merge(&gap);
            if self.failure.is_none() {
                self.write_gap();
            }
        }
    }

    /// Ends the recording in order. What is left to be brought to the disk need not be waited for.
    pub(super) fn finish(mut self) -> (FinishedRecording, DiskUse, Option<Settling>) {
        let is_whole = self.write_gap() && self.end_file(None);
        self.disk.finish(self.path.clone(), self.file.bytes());
        let untold = self.gap.map_or(0, |gap| gap.lost);
        let left = self.behind.last(&self.file, self.path.clone());
        let finished = FinishedRecording {
            path: self.path,
            bytes: self.before.bytes + self.file.bytes(),
            lines: self.before.lines + self.lines,
            lost: self.before.lost + self.lost + untold,
            untold,
            lost_to: self.failed_for,
            failure: self
                .failure
                .filter(|_| !is_whole)
                .map(|failure| failure.cause)
                .or_else(|| self.behind.failed_for()),
        };
        (finished, self.disk, left)
    }

    /// Writes the last line of the file.
    fn end_file(&mut self, continued_by: Option<String>) -> bool {
        let now = self.clock.now();
        let mut end = Vec::new();
        let ending = Ending {
            lines: self.lines,
            bytes: self.file.text_bytes(),
            lost: self.lost,
            continued_by,
        };
        self.encoder.end(now, ending, &mut end);
        let lines = Lines {
            bytes: end,
            from: now,
            to: now,
        };
        self.append(&lines, 0)
    }

    /// Goes on in a new file, if this one is large or old enough.
    fn rotate_if_due(&mut self) {
        let now = self.clock.now();
        if !self.is_due(now) || now < self.next_file_at || !self.write_start() || !self.write_gap() {
            return;
        }
        match file::create_next(&self.first, self.segment)
            .and_then(|(path, file, number)| Ok((LineFile::at(&path, file)?, path, number)))
        {
            Ok((file, path, number)) => self.go_on_in(file, path, number, now),
            Err(error) => {
                self.next_file_at = now.plus(RETRY_AFTER);
                let path = self.path.display();
                tracing::warn!(%path, %error, "the recording cannot go on in a new file, so it goes on in this one");
            }
        }
    }

    /// Whether the file is large or old enough. One without records is neither.
    fn is_due(&self, now: Timestamp) -> bool {
        let Some(first_record) = self.first_record else {
            return false;
        };
        let age = now.since(first_record);
        self.file.bytes() >= self.max_file() || self.rotation.max_age.is_some_and(|max| age >= max)
    }

    fn go_on_in(&mut self, file: LineFile, path: PathBuf, number: u32, now: Timestamp) {
        // Without its last line the file is as good as one whose writer was killed.
        self.end_file(Some(name_of(&path)));
        let continues = name_of(&self.path);
        self.behind.next_file(&self.file);
        let old = std::mem::replace(&mut self.file, file);
        let old_path = std::mem::replace(&mut self.path, path);
        self.before.files += 1;
        self.before.bytes += old.bytes();
        self.before.lines += std::mem::take(&mut self.lines);
        self.before.lost += std::mem::take(&mut self.lost);
        self.disk.finish(old_path, old.bytes());
        self.segment = number;
        self.first_record = None;
        self.encoder.next_file(now, number, continues, &mut self.start);
        tracing::info!(path = %self.path.display(), "the recording goes on in a new file");
        self.write_start();
    }

    fn max_file(&self) -> u64 {
        let asked = self.rotation.max_bytes.unwrap_or(u64::MAX);
        asked.min(self.disk.max_file())
    }

    /// How much may be written before it is time to look at the size of the file again.
    fn write_bytes(&self) -> usize {
        let room = self.max_file().saturating_sub(self.file.bytes());
        usize::try_from(room).unwrap_or(usize::MAX).min(WRITE_BYTES)
    }

    /// Writes what the file has to begin with; true if it does.
    fn write_start(&mut self) -> bool {
        if self.start.is_empty() {
            return true;
        }
        let start = std::mem::take(&mut self.start);
        let Err(error) = self.write_to_file(&start) else {
            self.lines += count(&start);
            return true;
        };
        self.lines += count(&start[..error.kept]);
        self.start = start[error.kept..].to_vec();
        self.fail(&error.source);
        false
    }

    fn write_to_file(&mut self, lines: &[u8]) -> Result<(), AppendError> {
        let room = self
            .disk
            .make_room(self.file.bytes(), lines.len() as u64 + FRAME_BYTES);
        let outcome = match room {
            Ok(()) => self.file.append(lines),
            Err(source) => Err(AppendError { kept: 0, source }),
        };
        self.disk.note(self.file.bytes());
        outcome
    }

    /// Whether writing is worth a try.
    fn is_working(&self, now: Timestamp) -> bool {
        self.failure
            .as_ref()
            .is_none_or(|failure| now >= failure.retry_at)
    }

    fn write_lines(&mut self, observations: &mut std::vec::IntoIter<Observation>) {
        while let Some(first) = observations.as_slice().first() {
            self.rotate_if_due();
            let write_bytes = self.write_bytes();
            let mut lines = Lines {
                bytes: std::mem::take(&mut self.buffer),
                from: first.at,
                to: first.at,
            };
            // Where the lines of the last observation begin: all before them fit into one file.
            let mut last = 0;
            for observation in observations.by_ref() {
                lines.to = observation.at;
                last = lines.bytes.len();
                self.encoder.observation(observation, &mut lines.bytes);
                if lines.bytes.len() >= write_bytes {
                    break;
                }
            }
            let lines_before = self.lines;
            let beyond = self.split_beyond(&mut lines, last);
            let is_appended = lines.bytes.is_empty() || self.append(&lines, 1);
            let is_written = self.refuse(&lines, &beyond) && is_appended;
            if self.lines > lines_before {
                self.first_record.get_or_insert_with(|| self.clock.now());
            }
            self.buffer = lines.bytes;
            self.buffer.clear();
            self.buffer.shrink_to(2 * WRITE_BYTES);
            if !is_written {
                return;
            }
        }
    }

    /// Takes the lines from `last` on out of `lines`, if they are more than `max_disk` allows.
    fn split_beyond(&self, lines: &mut Lines, last: usize) -> Vec<u8> {
        let bytes = lines.bytes.len() as u64 + FRAME_BYTES;
        if self.disk.can_take(self.file.bytes(), bytes) {
            return Vec::new();
        }
        lines.bytes.split_off(last)
    }

    /// Leaves out lines that are larger than all the room there is, with a gap in their place; false if that cannot be
    /// written.
    fn refuse(&mut self, lines: &Lines, beyond: &[u8]) -> bool {
        if beyond.is_empty() {
            return true;
        }
        let (path, bytes) = (self.path.display(), beyond.len());
        tracing::warn!(%path, bytes, "a record is larger than max_disk has room for, and is left out of the recording");
        self.disk.refuse();
        self.failed_for = Some(NO_ROOM.to_owned());
        let gap = self.gap.get_or_insert_with(|| Gap::at(lines.to, NO_ROOM));
        gap.lost += count(beyond);
        gap.bytes += beyond.len() as u64;
        gap.to = gap.to.max(lines.to);
        self.failure.is_none() && self.write_gap()
    }

    /// Tells the file of what it lacks; true if it lacks nothing any more.
    fn write_gap(&mut self) -> bool {
        let Some(gap) = self.gap.clone() else {
            return true;
        };
        let now = self.clock.now();
        let mut line = Vec::new();
        self.encoder.gap(now, &gap, &mut line);
        let is_written = self.append(
            &Lines {
                bytes: line,
                from: gap.from,
                to: gap.to,
            },
            0,
        );
        if is_written {
            self.lost += gap.lost;
            self.gap = None;
        }
        is_written
    }

    /// Appends lines, each of which stands for so many `records`.
    fn append(&mut self, lines: &Lines, records: u64) -> bool {
        if !self.write_start() {
            if records > 0 {
                self.note_lost(lines, &lines.bytes);
            }
            return false;
        }
        let Err(error) = self.write_to_file(&lines.bytes) else {
            self.lines += count(&lines.bytes);
            if self.failure.take().is_some() {
                let path = self.path.display();
                tracing::info!(%path, "the recording is written again; what is missing is in its gap lines");
            }
            return true;
        };
        let (kept, lost) = lines.bytes.split_at(error.kept);
        self.lines += count(kept);
        self.fail(&error.source);
        if records > 0 {
            self.note_lost(lines, lost);
        }
        false
    }

    fn fail(&mut self, source: &io::Error) {
        let (path, cause) = (self.path.display(), source.to_string());
        if self.failure.is_none() {
            tracing::error!(%path, %cause, "the recording cannot be written; it is tried again every second");
        }
        self.failed_for = Some(cause.clone());
        self.failure = Some(Failure {
            cause,
            retry_at: self.clock.now().plus(RETRY_AFTER),
        });
    }

    fn note_lost(&mut self, lines: &Lines, lost: &[u8]) {
        let gap = self.open_gap(lines.from);
        gap.lost += count(lost);
        gap.bytes += lost.len() as u64;
        gap.to = gap.to.max(lines.to);
    }

    fn lose(&mut self, at: Timestamp, bytes: u64) {
        self.open_gap(at).add(at, bytes);
    }

    fn open_gap(&mut self, at: Timestamp) -> &mut Gap {
        let cause = self.failure.as_ref().map_or("", |failure| &failure.cause);
        let reason = format!("could not write: {cause}");
        self.gap.get_or_insert_with(|| Gap::at(at, reason))
    }
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn count(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}
