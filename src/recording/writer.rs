//! Starts, writes and ends recordings.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::disk::{DiskMeter, DiskUse};
use super::encode::Encoder;
use super::file::{self, LineFile};
use super::gap::Gap;
use super::open::{Beginning, OpenRecording};
use super::redact::{NoRandomnessError, Redaction, Tagger};
use super::settings::RecorderSettings;
use super::tap::{Item, RecorderTap, Shared, Start};
use super::totals::RecordedTotals;
use crate::clock::Clock;
use crate::limits::ResourceLimits;
use crate::resource::meters::Watermark;
use crate::resource::queue::{Consumer, QueueUse, Sequenced, batch_queue};
use crate::session::observation::Observation;
use crate::snapshot::RecorderState;
use crate::tasks::{Blocking, TaskKind, Tasks};

/// How long observations may gather before they are written together. With the write itself this stays far below the
/// 100 ms within which everything has to be in the file.
const GATHER: Duration = Duration::from_millis(20);

/// The same for a compressed file, in which small pieces cost much.
const GATHER_COMPRESSED: Duration = Duration::from_millis(80);

/// A recording could not be begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartRecordingError {
    /// One is being written.
    #[error("a recording to {} is going on; stop it first", .path.display())]
    AlreadyOn {
        /// Its file.
        path: PathBuf,
    },
    /// The file is there already.
    #[error("{} exists already and is not overwritten; choose another name or move it away", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be created.
    #[error("could not create {}; check that its directory is writable, or choose another path", .path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not even the first line could be written.
    #[error("could not write to {}; check that there is room on its disk, or choose another path", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no way to mask secrets.
    #[error("secrets could not be masked, so nothing is recorded; --record-secrets records without masking")]
    NoRandomness(#[source] io::Error),
    /// The recorder has ended.
    #[error("the recorder has ended, as the program is ending; start it again to record")]
    Ended,
}

/// A recording could not be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing is being recorded; start a recording first")]
pub struct NotRecordingError;

/// A recording that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedRecording {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Its lines.
    pub lines: u64,
    /// Records that it lacks.
    pub lost: u64,
    /// How many of them no gap of the file tells of, because there was no room for it.
    pub untold: u64,
    /// Why it could not be written when that failed last; `None` if it never did.
    pub lost_to: Option<String>,
    /// Why its end could not be written, or not all of it be brought to the disk; it can be read all the same.
    pub failure: Option<String>,
}

/// Makes a recorder, which records nothing yet, and starts its task.
///
/// Takes `recording_queue`, `recording_queue_bytes`, `recording_wait` and, for the exchanges that it keeps apart,
/// `max_concurrent_tasks` from `limits`. Must be called within the engine's runtime.
pub fn recorder(
    limits: &ResourceLimits,
    settings: impl Into<RecorderSettings>,
    clock: Clock,
    tasks: &Tasks,
) -> (Recorder, RecorderTap) {
    let (queue, items) = batch_queue(limits.recording_queue, limits.recording_queue_bytes);
    let shared = Arc::new(Shared::new(
        queue,
        clock,
        limits.recording_queue,
        limits.recording_wait,
    ));
    let ended = CancellationToken::new();
    let meter = DiskMeter::default();
    let writer = Writer {
        shared: Arc::clone(&shared),
        tasks: tasks.clone(),
        settings: settings.into(),
        max_exchanges: limits.max_concurrent_tasks,
        recording: None,
        settling: None,
        disk: None,
        meter: meter.clone(),
        max_disk: limits.max_disk,
        _ended: ended.clone().drop_guard(),
    };
    tasks.spawn(TaskKind::Recorder, writer.run(items));
    let tap = RecorderTap(Arc::clone(&shared));
    (Recorder { shared, ended, meter }, tap)
}

/// Starts and stops recordings while traffic goes on. Clones control the same recorder.
#[derive(Debug, Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
    ended: CancellationToken,
    meter: DiskMeter,
}

impl Recorder {
    /// Begins a recording in the new file `path`, or in `./recordings` under the current UTC time. Returns the file.
    ///
    /// `preamble` is asked when the tap is already open. It tells of the sessions and of the heads of exchanges that
    /// are going on, so that the file explains itself; what then comes through the tap a second time is written once.
    /// Traffic waits for it as for a slow disk.
    ///
    /// # Errors
    /// [`StartRecordingError`], which says what to do.
    ///
    /// # Cancel safety
    /// A dropped future may leave a recording that has begun, without its preamble.
    pub async fn start(
        &self,
        path: Option<PathBuf>,
        preamble: impl Future<Output = Vec<Observation>>,
    ) -> Result<PathBuf, StartRecordingError> {
        let (opened, is_open) = oneshot::channel();
        let (told, to_tell) = oneshot::channel();
        self.shared.queue.push_beyond(Item::Start(Box::new(Start {
            path,
            opened,
            preamble: to_tell,
        })));
        let path = is_open.await.map_err(|_| StartRecordingError::Ended)??;
        // If the writer is gone, the recording has ended too and says so by its state.
        let _ = told.send(preamble.await);
        Ok(path)
    }

    /// Ends the recording: what was handed to the tap before is in the file, then its last line.
    ///
    /// # Errors
    /// [`NotRecordingError`] if there is none.
    ///
    /// # Cancel safety
    /// The recording is ended also if the future is dropped.
    pub async fn stop(&self) -> Result<FinishedRecording, NotRecordingError> {
        self.shared.set_on(false);
        let (done, finished) = oneshot::channel();
        self.shared.queue.push_beyond(Item::Stop(done));
        finished.await.map_err(|_| NotRecordingError)
    }

    /// What the recorder does now.
    pub fn state(&self) -> RecorderState {
        self.shared.state()
    }

    /// What all recordings so far have in them.
    pub fn recorded(&self) -> RecordedTotals {
        self.shared.recorded.read()
    }

    /// Use of the queue between the traffic and the file.
    pub fn usage(&self) -> QueueUse {
        self.shared.queue.usage()
    }

    /// How long traffic waited for the file, and how often longer than `recording_wait`.
    pub(crate) fn waits(&self) -> &Watermark {
        &self.shared.waits
    }

    /// Bytes that the recordings of this run take on the disk, at most took, and how often `max_disk` was reached.
    pub(crate) fn disk(&self) -> (u64, u64, u64) {
        self.meter.read()
    }

    /// Ends the recording, if there is one, and the recorder. To be called when no traffic is left.
    pub async fn shut_down(&self) {
        self.shared.set_on(false);
        self.shared.queue.close();
        self.ended.cancelled().await;
    }
}

/// The one task that writes.
struct Writer {
    shared: Arc<Shared>,
    tasks: Tasks,
    settings: RecorderSettings,
    max_exchanges: usize,
    recording: Option<OpenRecording>,
    /// Brings what is written to the disk, beside the writing.
    settling: Option<Blocking<io::Result<()>>>,
    /// While nothing is recorded: the files of this run.
    disk: Option<DiskUse>,
    meter: DiskMeter,
    max_disk: u64,
    _ended: DropGuard,
}

impl Writer {
    async fn run(mut self, mut items: Consumer<Item>) {
        let mut batch = Vec::new();
        let shared = Arc::clone(&self.shared);
        while items.take_all(&mut batch).await {
            let gap = shared.queue_taken();
            shared.guarded(self.process(&mut batch, gap)).await;
            shared.rest(self.patience()).await;
        }
        self.finish().await;
    }

    fn patience(&self) -> Duration {
        let is_compressed = self.recording.as_ref().is_some_and(OpenRecording::is_compressed);
        if is_compressed { GATHER_COMPRESSED } else { GATHER }
    }

    async fn process(&mut self, batch: &mut Vec<Sequenced<Item>>, mut gap: Option<Gap>) {
        let mut observations = Vec::with_capacity(batch.len());
        for entry in batch.drain(..) {
            match entry.item {
                Item::Observed(observation) => observations.push(observation),
                Item::Start(start) => {
                    self.write(std::mem::take(&mut observations), None).await;
                    // What was lost while nothing was recorded is nobody's gap.
                    gap = gap.filter(|_| self.recording.is_some());
                    self.start(*start).await;
                }
                Item::Stop(done) => {
                    self.write(std::mem::take(&mut observations), gap.take()).await;
                    if let Some(finished) = self.finish().await {
                        // Who asked may have left.
                        let _ = done.send(finished);
                    }
                }
            }
        }
        self.write(observations, gap).await;
    }

    async fn start(&mut self, start: Start) {
        if let Some(recording) = &self.recording {
            let refusal = StartRecordingError::AlreadyOn {
                path: recording.path(),
            };
            // Who asked may have left.
            let _ = start.opened.send(Err(refusal));
            return;
        }
        let outcome = self.open(start.path).await.map(|recording| {
            let path = recording.path();
            self.shared.set_state(recording.state());
            self.recording = Some(recording);
            self.shared.set_on(true);
            path
        });
        let is_open = outcome.is_ok();
        // As above.
        let _ = start.opened.send(outcome);
        if is_open {
            // Without a preamble the recording begins with what comes.
            let preamble = start.preamble.await.unwrap_or_default();
            self.on_file(move |recording| recording.write_preamble(preamble))
                .await;
        }
    }

    async fn open(&mut self, path: Option<PathBuf>) -> Result<OpenRecording, StartRecordingError> {
        let tagger = tagger(&self.settings)?;
        let clock = self.shared.clock;
        let max_exchanges = self.max_exchanges;
        let rotation = self.settings.recording.rotation;
        let disk = self.disk.take();
        let disk = disk.unwrap_or_else(|| DiskUse::new(self.max_disk, self.meter.clone()));
        let create = move || {
            let now = clock.now();
            let (path, file) = match file::create(path, now) {
                Ok(created) => created,
                Err(error) => return Err((disk, error)),
            };
            let failed = |source| StartRecordingError::Write {
                path: path.clone(),
                source,
            };
            let file = match LineFile::at(&path, file) {
                Ok(file) => file,
                Err(source) => return Err((disk, failed(source))),
            };
            let beginning = Beginning {
                path: path.clone(),
                file,
                is_redacted: tagger.is_some(),
                encoder: Encoder::new(now, tagger, max_exchanges),
                clock,
                rotation,
                disk,
            };
            OpenRecording::begin(beginning).map_err(|(disk, source)| (disk, failed(source)))
        };
        match self.tasks.run_blocking(TaskKind::File, create).await {
            Ok(Ok(recording)) => Ok(recording),
            Ok(Err((disk, error))) => {
                self.disk = Some(disk);
                Err(error)
            }
            Err(_) => Err(StartRecordingError::Ended),
        }
    }

    async fn write(&mut self, observations: Vec<Observation>, gap: Option<Gap>) {
        if observations.is_empty() && gap.is_none() {
            return;
        }
        self.on_file(move |recording| recording.write(observations, gap))
            .await;
    }

    /// Does `work` with the recording, if there is one, where it may block.
    async fn on_file(&mut self, work: impl FnOnce(&mut OpenRecording) + Send + 'static) {
        let Some(mut recording) = self.recording.take() else {
            return;
        };
        let path = recording.path();
        let write = move || {
            work(&mut recording);
            recording
        };
        match self.tasks.run_blocking(TaskKind::File, write).await {
            Ok(mut recording) => {
                self.settle(&mut recording).await;
                self.shared.set_state(recording.state());
                self.recording = Some(recording);
            }
            Err(fault) => self.give_up(path, fault.message),
        }
    }

    /// Begins to bring to the disk what was written, unless it is little. Does not wait for it.
    async fn settle(&mut self, recording: &mut OpenRecording) {
        if let Some(settling) = self.settling.take_if(|settling| settling.is_finished()) {
            let outcome = settling.outcome().await;
            recording.settled(match outcome {
                Ok(outcome) => outcome.map_err(|error| error.to_string()),
                Err(fault) => Err(fault.message),
            });
        }
        if let Some(due) = recording.take_unsettled() {
            self.settling = Some(self.tasks.start_blocking(TaskKind::File, || due.run()));
        }
    }

    async fn finish(&mut self) -> Option<FinishedRecording> {
        self.shared.set_on(false);
        let mut recording = self.recording.take()?;
        self.settle(&mut recording).await;
        let path = recording.path();
        let finish = move || recording.finish();
        match self.tasks.run_blocking(TaskKind::File, finish).await {
            Ok((finished, disk, left)) => {
                self.disk = Some(disk);
                // Only the end of the program waits for these two; they log why they fail.
                self.settling = None;
                if let Some(left) = left {
                    drop(self.tasks.start_blocking(TaskKind::File, || left.run()));
                }
                self.shared.recorded.end(RecordedTotals {
                    bytes: finished.bytes,
                    lost: finished.lost,
                });
                self.shared.set_state(RecorderState::Off);
                Some(finished)
            }
            Err(fault) => {
                self.give_up(path, fault.message);
                None
            }
        }
    }

    /// The recording is lost to a fault of the program; what is in the file stays.
    fn give_up(&self, path: PathBuf, cause: String) {
        self.shared.set_on(false);
        self.shared.set_state(RecorderState::Failed { path, cause });
    }
}

/// What replaces the secrets of one recording; `None` if they are recorded.
pub(super) fn tagger(settings: &RecorderSettings) -> Result<Option<Tagger>, StartRecordingError> {
    match settings.redaction {
        Redaction::On => {
            let tagger = Tagger::random().map_err(no_randomness)?;
            Ok(Some(tagger.with_patterns(settings.recording.redact.clone())))
        }
        Redaction::Off => Ok(None),
    }
}

fn no_randomness(error: NoRandomnessError) -> StartRecordingError {
    StartRecordingError::NoRandomness(io::Error::other(error))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc;

    use super::*;
    use crate::recording::behind::{SETTLE_BYTES, Settle};
    use crate::recording::file::Storage;
    use crate::session::observation::Event;

    /// A disk that is brought up to date only when somebody lets it.
    #[derive(Debug)]
    struct SlowDisk(Arc<Gate>);

    #[derive(Debug)]
    struct Gate {
        begun: mpsc::SyncSender<u64>,
        go_on: std::sync::Mutex<mpsc::Receiver<()>>,
    }

    impl Storage for SlowDisk {
        fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn cut(&mut self, _length: u64) -> io::Result<()> {
            Ok(())
        }

        fn settler(&self) -> Option<Arc<dyn Settle>> {
            let gate: Arc<Gate> = Arc::clone(&self.0);
            Some(gate)
        }
    }

    impl Settle for Gate {
        fn settle(&self, _from: u64, to: u64) -> io::Result<()> {
            self.begun.send(to).unwrap();
            self.go_on.lock().unwrap().recv().unwrap();
            Ok(())
        }
    }

    fn recording(disk: SlowDisk, clock: Clock) -> OpenRecording {
        let beginning = Beginning {
            path: Path::new("a.jsonl").to_owned(),
            file: LineFile::new(Box::new(disk)),
            encoder: Encoder::new(clock.now(), None, 16),
            clock,
            is_redacted: false,
            rotation: crate::recording::Rotation::default(),
            disk: DiskUse::new(u64::MAX, DiskMeter::default()),
        };
        OpenRecording::begin(beginning).unwrap()
    }

    fn writer(recording: OpenRecording, clock: Clock) -> Writer {
        let limits = ResourceLimits::default();
        let (queue, _items) = batch_queue(limits.recording_queue, limits.recording_queue_bytes);
        Writer {
            shared: Arc::new(Shared::new(
                queue,
                clock,
                limits.recording_queue,
                limits.recording_wait,
            )),
            tasks: Tasks::new(16),
            settings: Redaction::Off.into(),
            max_exchanges: 16,
            recording: Some(recording),
            settling: None,
            disk: None,
            meter: DiskMeter::default(),
            max_disk: u64::MAX,
            _ended: CancellationToken::new().drop_guard(),
        }
    }

    /// Some eight mebibytes of lines.
    fn much() -> Vec<Observation> {
        let ended = Event::SessionEnded {
            session: crate::ids::ProxySessionId::Reverse(crate::ids::SessionId::new(1).unwrap()),
            reason: "it was written, and written again, to the very end of a disk that has no hurry at all",
        };
        let at = crate::clock::Timestamp::default();
        vec![Observation { at, event: ended }; 60_000]
    }

    #[tokio::test]
    async fn lines_are_written_while_a_slow_disk_takes_those_before() {
        let (begun, has_begun) = mpsc::sync_channel(8);
        let (let_go, go_on) = mpsc::sync_channel(8);
        let gate = Gate {
            begun,
            go_on: std::sync::Mutex::new(go_on),
        };
        let clock = Clock::start();
        let mut writer = writer(recording(SlowDisk(Arc::new(gate)), clock), clock);
        let mut sizes = Vec::new();
        for _ in 0..4 {
            writer.write(much(), None).await;
            sizes.push(writer.recording.as_ref().unwrap().state());
        }
        let bytes = |state: &RecorderState| match state {
            RecorderState::On { bytes, .. } => *bytes,
            other => panic!("{other:?}"),
        };
        let sizes: Vec<u64> = sizes.iter().map(bytes).collect();
        assert!(
            sizes[0] >= SETTLE_BYTES && sizes.is_sorted_by(|one, next| one < next),
            "{sizes:?}"
        );
        assert_eq!(has_begun.recv().unwrap(), sizes[0]);
        assert!(has_begun.try_recv().is_err(), "one at a time");

        let_go.send(()).unwrap();
        let_go.send(()).unwrap();
        let first = writer.settling.take().unwrap();
        first.outcome().await.unwrap().unwrap();
        writer.recording.as_mut().unwrap().settled(Ok(()));
        let_go.send(()).unwrap();
        let finished = writer.finish().await.unwrap();
        let rest = [has_begun.recv().unwrap(), has_begun.recv().unwrap()];
        assert_eq!(
            rest.iter().min(),
            Some(&sizes[3]),
            "all that came meanwhile, at once"
        );
        assert_eq!(rest.iter().max(), Some(&finished.bytes), "and the end");
        assert!(writer.tasks.end_services(Duration::from_mins(1)).await.is_empty());
    }
}
