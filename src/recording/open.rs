//! One recording that is being written. All of this runs on a thread that may block.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::encode::Encoder;
use super::file::LineFile;
use super::gap::Gap;
use super::writer::FinishedRecording;
use crate::clock::{Clock, Timestamp};
use crate::resource::queue::Weigh as _;
use crate::session::observation::Observation;
use crate::snapshot::RecorderState;

/// Lines are written when they are this many bytes together, and at the end of each batch.
const WRITE_BYTES: usize = 1 << 20;

/// How long nothing is tried after a write failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A recording that is being written.
///
/// When writing fails, records are counted instead, once a second it is tried again, and when it works the count is
/// written as a gap.
#[derive(Debug)]
pub(super) struct OpenRecording {
    path: PathBuf,
    file: LineFile,
    encoder: Encoder,
    clock: Clock,
    is_redacted: bool,
    lines: u64,
    /// Records in gaps that the file tells of.
    lost: u64,
    /// What the file does not tell of yet.
    gap: Option<Gap>,
    failure: Option<Failure>,
}

#[derive(Debug)]
struct Failure {
    cause: String,
    retry_at: Timestamp,
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
    pub(super) fn begin(
        path: PathBuf,
        mut file: LineFile,
        encoder: Encoder,
        clock: Clock,
        is_redacted: bool,
    ) -> io::Result<Self> {
        let mut header = Vec::new();
        encoder.header(&mut header);
        file.append(&header).map_err(|error| error.source)?;
        Ok(Self {
            path,
            file,
            encoder,
            clock,
            is_redacted,
            lines: 1,
            lost: 0,
            gap: None,
            failure: None,
        })
    }

    /// Where it is written to.
    pub(super) fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// What the screen shows of it.
    pub(super) fn state(&self) -> RecorderState {
        let missing = self.gap.as_ref().map_or(0, |gap| gap.lost);
        match &self.failure {
            Some(failure) => RecorderState::Failed {
                path: self.path.clone(),
                cause: format!(
                    "{}; {missing} records are lost so far; make room, and the recording goes on by itself",
                    failure.cause
                ),
            },
            None => RecorderState::On {
                path: self.path.clone(),
                bytes: self.file.bytes(),
                lines: self.lines,
                lost: self.lost + missing,
                is_redacted: self.is_redacted,
            },
        }
    }

    /// Writes what was before the recording.
    pub(super) fn write_preamble(&mut self, preamble: Vec<Observation>) {
        self.encoder.set_preamble(true);
        self.write(preamble, None);
        self.encoder.set_preamble(false);
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

    /// Ends the recording in order.
    pub(super) fn finish(mut self) -> FinishedRecording {
        let mut is_whole = self.write_gap();
        if is_whole {
            let now = self.clock.now();
            let mut end = Vec::new();
            self.encoder
                .end(now, self.lines, self.file.bytes(), self.lost, &mut end);
            is_whole = self.append(
                &Lines {
                    bytes: end,
                    from: now,
                    to: now,
                },
                0,
            );
        }
        FinishedRecording {
            path: self.path,
            bytes: self.file.bytes(),
            lines: self.lines,
            lost: self.lost + self.gap.map_or(0, |gap| gap.lost),
            failure: self.failure.filter(|_| !is_whole).map(|failure| failure.cause),
        }
    }

    /// Whether writing is worth a try.
    fn is_working(&self, now: Timestamp) -> bool {
        self.failure
            .as_ref()
            .is_none_or(|failure| now >= failure.retry_at)
    }

    fn write_lines(&mut self, observations: &mut std::vec::IntoIter<Observation>) {
        while let Some(first) = observations.as_slice().first() {
            let mut lines = Lines {
                bytes: Vec::new(),
                from: first.at,
                to: first.at,
            };
            for observation in observations.by_ref() {
                lines.to = observation.at;
                self.encoder.observation(observation, &mut lines.bytes);
                if lines.bytes.len() >= WRITE_BYTES {
                    break;
                }
            }
            if !self.append(&lines, 1) {
                return;
            }
        }
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
        let Err(error) = self.file.append(&lines.bytes) else {
            self.lines += count(&lines.bytes);
            if self.failure.take().is_some() {
                let path = self.path.display();
                tracing::info!(%path, "the recording is written again; what is missing is in its gap lines");
            }
            return true;
        };
        let (kept, lost) = lines.bytes.split_at(error.kept);
        self.lines += count(kept);
        let (path, cause) = (self.path.display(), error.source.to_string());
        if self.failure.is_none() {
            tracing::error!(%path, %cause, "the recording cannot be written; it is tried again every second");
        }
        self.failure = Some(Failure {
            cause,
            retry_at: self.clock.now().plus(RETRY_AFTER),
        });
        if records > 0 {
            self.note_lost(lines, lost);
        }
        false
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

fn count(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}
