//! Opens a recording in place of a proxy: the same ledger, views and screens, fed from the file.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use crate::clock::{Clock, Timestamp};
use crate::codec::event::{SseEvent, single_data_line};
use crate::codec::lines::line_content;
use crate::frontend::CommandEnvelope;
use crate::ids::{ExchangeId, IdSource, ProxySessionId};
use crate::limits::ResourceLimits;
use crate::mcp::era;
use crate::recording::format::Line;
use crate::recording::{
    BodyRange, FileInput, Loader, RecordingReader, RecordingText, SegmentFile, Segments, Unplaced,
    read_body_in,
};
use crate::resource::log_ring::LogRing;
use crate::resource::process;
use crate::session::history::{BodyLocator, BodySource, FrameBytes, HistoryView};
use crate::session::ledger::Ledger;
use crate::session::observation::{Event, Placement};
use crate::session::pairing::{Carriage, Pairing};
use crate::snapshot::{
    Carrier, Command, Direction, LogRow, Notice, Page, RecorderState, Reply, Resources, Source, Window,
};
use crate::tasks::{TaskKind, Tasks};
use crate::views::{self, Surroundings};

use super::servers::recorded_row;
use super::threads::{runtime, start_views};
use super::{EngineHandle, Running, StartError};

/// Observations between two looks at whether the program is ending, and two views of what was read.
const SLICE: usize = 2048;
/// The largest body that is fetched from the file for display.
const MAX_BODY_BYTES: usize = 64 << 20;

/// How far the loading has come.
#[derive(Debug, Clone, Default)]
struct Progress {
    read_bytes: u64,
    damage: Vec<String>,
}

struct FileSurroundings {
    path: PathBuf,
    created: Timestamp,
    total_bytes: u64,
    progress: Arc<Mutex<Progress>>,
    history: watch::Receiver<Arc<HistoryView>>,
    log: LogRing,
    tasks: Tasks,
    clock: Clock,
}

pub(super) fn open(
    path: &Path,
    segments: &Segments,
    limits: &ResourceLimits,
    log: LogRing,
) -> Result<EngineHandle, StartError> {
    let sizes = segments.files().iter().map(SegmentFile::bytes);
    // Of a pipe the size is not known; a recording has a header in any case.
    let total_bytes = sizes.sum::<u64>().max(1);
    let reader = RecordingReader::open_segments(segments)?;
    let runtime = runtime()?;
    let (clock, tasks) = (Clock::start(), Tasks::new(limits.max_concurrent_tasks));
    let progress: Arc<Mutex<Progress>> = Arc::default();
    let (publish, history) = watch::channel(Arc::new(HistoryView::default()));
    let surroundings = FileSurroundings {
        path: path.to_owned(),
        created: reader.created(),
        total_bytes,
        progress: Arc::clone(&progress),
        history: history.clone(),
        log,
        tasks: tasks.clone(),
        clock,
    };
    let (door, ports) = views::door(limits);
    let recorder = refuse_recording(&runtime, &tasks);
    let views = start_views(
        ports,
        history,
        Arc::new(surroundings),
        recorder,
        limits.clone(),
        clock,
    )?;
    let loading = Loading {
        progress,
        total_bytes,
        publish,
        limits: file_limits(limits),
        tasks: tasks.clone(),
    };
    start_loading(&runtime, loading, reader);
    Ok(EngineHandle {
        addresses: Vec::new(),
        metrics_addresses: Vec::new(),
        door,
        tasks,
        running: Some(Running {
            runtime,
            views,
            proxy: None,
        }),
    })
}

fn start_loading(runtime: &Runtime, loading: Loading, reader: RecordingReader<FileInput>) {
    let _inside = runtime.enter();
    let tasks = loading.tasks.clone();
    let stopping = tasks.stopping().clone();
    loading.tasks.clone().spawn(TaskKind::Ledger, async move {
        let loaded = tasks
            .run_blocking(TaskKind::File, move || loading.run(reader))
            .await;
        // The views end when the publisher is dropped, so it stays until the program ends.
        stopping.cancelled().await;
        drop(loaded);
    });
}

/// A recording's bodies stay in its file, so one session may fill the whole history with its rows.
fn file_limits(limits: &ResourceLimits) -> ResourceLimits {
    ResourceLimits {
        max_memory_per_session: limits.max_history_memory,
        ..limits.clone()
    }
}

/// Answers everyone who wants to record a recording, or to change something about its traffic.
fn refuse_recording(runtime: &Runtime, tasks: &Tasks) -> mpsc::Sender<CommandEnvelope> {
    let (sender, mut commands) = mpsc::channel::<CommandEnvelope>(1);
    let _inside = runtime.enter();
    let stopping = tasks.stopping().clone();
    tasks.spawn(TaskKind::Frontend, async move {
        let refusing = async {
            while let Some((command, reply)) = commands.recv().await {
                let message = match command {
                    Command::ResetBreaker { .. } => {
                        "this is an opened recording: there is no upstream to be tried"
                    }
                    _ => "this is an opened recording: there is no traffic to record",
                };
                let message = message.to_owned();
                if reply.send(Reply::Refused { message }).is_err() {
                    tracing::debug!("whoever wanted to record has gone");
                }
            }
        };
        stopping.run_until_cancelled(refusing).await;
    });
    sender
}

struct Loading {
    progress: Arc<Mutex<Progress>>,
    total_bytes: u64,
    publish: watch::Sender<Arc<HistoryView>>,
    limits: ResourceLimits,
    tasks: Tasks,
}

impl Loading {
    /// Reads the whole file. Returns the publisher, which the views need as long as they live.
    fn run(self, reader: RecordingReader<FileInput>) -> watch::Sender<Arc<HistoryView>> {
        let text = reader.text().clone();
        let source = FileBodies { text: text.clone() };
        let mut ledger = Ledger::new(&self.limits)
            .with_source(Arc::new(source))
            .learning_servers();
        let placer = Arc::new(Mutex::new(Placer::new(self.limits.max_open_calls)));
        let place = {
            let placer = Arc::clone(&placer);
            move |message: Unplaced<'_>| lock(&placer).place(&message)
        };
        let mut loader = Loader::new(reader, &self.limits, place);
        let mut last = Timestamp::default();
        for count in 1.. {
            let Some(entry) = loader.next() else { break };
            if let Event::ExchangeEnd(end) = &entry.observation.item.event {
                lock(&placer).end_exchange(end.exchange, end.session);
            }
            last = entry.observation.item.at;
            let locator = entry.body.map(|range| BodyLocator {
                offset: range.offset,
                len: range.length,
            });
            ledger.apply_located(entry.observation, locator);
            if count % SLICE == 0 {
                if self.tasks.stopping().is_cancelled() {
                    return self.publish;
                }
                let read_bytes = self.read_bytes(&text, loader.read_bytes());
                self.tell(read_bytes, loader.damage(), &mut ledger);
            }
        }
        ledger.tick(last);
        self.tell(self.total_bytes, loader.damage(), &mut ledger);
        self.publish
    }

    /// How much of the files was read. Of a compressed one the last frame may be read long before its end is shown.
    fn read_bytes(&self, text: &RecordingText, text_bytes: u64) -> u64 {
        text.read_bytes(text_bytes)
            .min(self.total_bytes.saturating_sub(1))
    }

    fn tell(&self, read_bytes: u64, damage: Vec<String>, ledger: &mut Ledger) {
        // Whoever waits for the whole file must find its rows in place.
        let view = ledger.publish();
        self.publish.send_replace(Arc::clone(&view));
        *lock(&self.progress) = Progress { read_bytes, damage };
        self.publish.send_replace(view);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives the messages of a recording their place, as the live sessions did.
struct Placer {
    max_open_calls: usize,
    ids: IdSource,
    sessions: HashMap<Option<ProxySessionId>, Pairing>,
    modern: HashMap<ExchangeId, bool>,
}

impl Placer {
    fn new(max_open_calls: usize) -> Self {
        Self {
            max_open_calls,
            ids: IdSource::default(),
            sessions: HashMap::new(),
            modern: HashMap::new(),
        }
    }

    fn place(&mut self, message: &Unplaced<'_>) -> Placement {
        if message.direction == Direction::ClientToServer {
            // On a pipe ids count for all of it, whatever the era.
            let is_modern = message.carrier != Carrier::Stdio && era::is_modern(message.envelope);
            self.modern.insert(message.exchange, is_modern);
        }
        let carriage = Carriage {
            at: message.at,
            direction: message.direction,
            exchange: message.exchange,
            is_modern: self.modern.get(&message.exchange).copied().unwrap_or(false),
        };
        let max = self.max_open_calls;
        let pairing = self
            .sessions
            .entry(message.session)
            .or_insert_with(|| Pairing::new(max));
        pairing.place(carriage, message.envelope, &self.ids)
    }

    fn end_exchange(&mut self, exchange: ExchangeId, session: Option<ProxySessionId>) {
        self.modern.remove(&exchange);
        if let Some(pairing) = self.sessions.get_mut(&session) {
            pairing.end_exchange(exchange);
        }
    }
}

/// Bodies that stay in the recording's file.
#[derive(Debug)]
struct FileBodies {
    text: RecordingText,
}

impl BodySource for FileBodies {
    fn fetch(&self, locator: BodyLocator) -> io::Result<FrameBytes> {
        let range = self.range(locator)?;
        let wire = read_body_in(&self.text, &range, MAX_BODY_BYTES).map_err(io::Error::other)?;
        let payload = match range.carrier {
            Carrier::Sse => event_data(&wire, range.frame == 0),
            Carrier::Stdio | Carrier::Stderr => wire.slice(..line_content(&wire).len()),
            Carrier::Http | Carrier::Tunnel | Carrier::WebSocket => wire.clone(),
        };
        Ok(FrameBytes { wire, payload })
    }
}

fn event_data(block: &Bytes, is_first: bool) -> Bytes {
    match single_data_line(block) {
        Some(line) => block.slice(line),
        None => SseEvent::parse(block, is_first)
            .event
            .map_or_else(Bytes::new, |event| event.data.into()),
    }
}

impl FileBodies {
    /// Whose frame stands at `locator`: its first line says.
    fn range(&self, locator: BodyLocator) -> io::Result<BodyRange> {
        let file = self.text.open_at(locator.offset)?;
        let mut text = Vec::new();
        BufReader::new(file.take(locator.len)).read_until(b'\n', &mut text)?;
        let Line::Frame(frame) = Line::parse(&text).map_err(io::Error::other)? else {
            return Err(io::Error::other(
                "the recording was changed while it was open; open it again",
            ));
        };
        Ok(BodyRange {
            carrier: frame.transport,
            offset: locator.offset,
            length: locator.len,
            line: 1,
            exchange: frame.exchange,
            direction: frame.direction,
            frame: frame.frame,
        })
    }
}

impl Surroundings for FileSurroundings {
    fn source(&self) -> Source {
        let progress = lock(&self.progress).clone();
        let history = Arc::clone(&self.history.borrow());
        Source::File {
            path: self.path.clone(),
            created: self.created,
            read_bytes: progress.read_bytes,
            total_bytes: self.total_bytes,
            damage: progress.damage,
            upstreams: history.servers().iter().map(recorded_row).collect(),
        }
    }

    fn recorder(&self) -> RecorderState {
        RecorderState::Off
    }

    fn resources(&self) -> Resources {
        Resources {
            uptime: self.clock.now().since(self.clock.started_at()),
            tasks: self.tasks.rows(),
            rss_bytes: process::resident_bytes(),
            cpu: process::cpu_time(),
            ..Resources::default()
        }
    }

    fn log(&self, window: Window<u64>) -> Page<LogRow> {
        self.log.page(window)
    }

    fn notices(&self) -> Vec<Notice> {
        Vec::new()
    }
}
