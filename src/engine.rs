//! The engine as a whole: starts everything on a runtime of its own, hands out frontends, ends everything in order.

mod binding;
mod gauges;
mod open;
mod recording;
mod servers;
mod surroundings;
mod telemetry;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::clock::Clock;
use crate::config::{CommandServer, Config, ConfigError, UpstreamConfig};
use crate::door::DoorNotes;
use crate::frontend::Frontend;
use crate::intercept::hold::Holds;
use crate::intercept::interceptor::Interceptor;
use crate::intercept::rule::{Rule, Verdict};
use crate::intercept::rules::Armory;
use crate::intercept::rules::watch::{self as rules_watch, RulesFile, RulesFileError, Saver};
use crate::limits::ResourceLimits;
use crate::recording::{
    Extent, Recorder, RecorderSettings, Redaction, Segments, StartRecordingError, recorder,
};
use crate::resource::log_ring::LogRing;
use crate::resource::meters::{BufferPool, Meters};
use crate::resource::queue::batch_queue;
use crate::session::history::HistoryView;
use crate::session::ledger::{self, Ledger};
use crate::session::registry::Registry;
use crate::tasks::{TaskKind, Tasks};
use crate::telemetry::{Exporter, ExporterError};
use crate::transport::bridge::{BridgeServer, program};
use crate::transport::gate::Gate;
use crate::transport::hub::{Hub, Ids, UpstreamState};
use crate::transport::listener::accept;
use crate::transport::oauth::Oauth;
use crate::transport::route::Routes;
use crate::transport::tls::Interception;
use crate::transport::tls::trust::Trust;
use crate::transport::upstream::{Clients, KnownUpstream, Way};
use crate::transport::watchers::Watchers;
use crate::views::{self, AttachError, Door, Surroundings};

use binding::Sockets;
use surroundings::LiveSurroundings;

/// How long the tasks that watch the traffic may take to finish once it has ended.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// Commands to the recorder that wait for the one under way; beyond, the frontend waits.
const RECORDER_COMMANDS: usize = 8;

/// Starts engines.
#[derive(Debug, Clone, Copy)]
pub struct Engine;

/// A running engine. Dropping it ends it like [`EngineHandle::shut_down`].
#[derive(Debug)]
pub struct EngineHandle {
    running: Option<Running>,
    addresses: Vec<SocketAddr>,
    metrics_addresses: Vec<SocketAddr>,
    door: Door,
    tasks: Tasks,
}

#[derive(Debug)]
struct Running {
    runtime: Runtime,
    views: JoinHandle<()>,
    /// `None` for an opened recording, which has no traffic.
    proxy: Option<Proxy>,
}

#[derive(Debug)]
struct Proxy {
    hub: Arc<Hub>,
    recorder: Recorder,
}

/// An engine could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {address}; {}",
        binding::advice(.source, "is another program using the port? Choose another with --listen, or port 0 for any free one")
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The port of one server cannot be listened on.
    #[error(
        "cannot listen on {address} for the server `{server}`; {}",
        binding::advice(.source, "is another program using the port? Choose another first port with --ports BASE, or --ports alone for free ones")
    )]
    BindPort {
        /// The server.
        server: String,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The address for metrics cannot be listened on.
    #[error(
        "cannot serve metrics on {address}; {}",
        binding::advice(.source, "is another program using the port? Choose another with --metrics, or port 0 for any free one")
    )]
    BindMetrics {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A command cannot be started.
    #[error("cannot start the server {label}: {problem}")]
    Command {
        /// What it is called.
        label: Arc<str>,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The recording cannot be begun.
    #[error("cannot record")]
    Record(#[from] StartRecordingError),
    /// Spans cannot be exported.
    #[error(transparent)]
    Export(#[from] ExporterError),
    /// The recording cannot be opened.
    #[error(transparent)]
    OpenRecording(#[from] crate::recording::OpenRecordingError),
    /// The file of rules cannot be used.
    #[error(transparent)]
    Rules(#[from] RulesFileError),
    /// The system gives no threads.
    #[error("the system gave no threads to run on; close other programs and try again")]
    Threads(#[source] io::Error),
}

impl StartError {
    /// The same failure, where it is about the port of one server.
    fn of_server(self, server: &str) -> Self {
        match self {
            Self::Bind { address, source } => Self::BindPort {
                server: server.to_owned(),
                address,
                source,
            },
            other => other,
        }
    }

    /// The same failure, where it is about the address for metrics.
    fn of_metrics(self) -> Self {
        match self {
            Self::Bind { address, source } => Self::BindMetrics { address, source },
            other => other,
        }
    }

    /// The exit code of a program that ends because of it: 2 for bad configuration, 3 for what could not be opened.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Rules(_) => 2,
            _ => 3,
        }
    }
}

/// What the end of an engine left undone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// How many tasks of each kind were cut, because they did not finish within `drain_timeout`.
    pub cut: Vec<(String, u64)>,
    /// The file of the recording that was finished.
    pub recording: Option<PathBuf>,
    /// Records that this recording lacks.
    pub lost: u64,
    /// Why the end of the recording could not be written.
    pub failure: Option<String>,
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sentences = Vec::new();
        if !self.cut.is_empty() {
            let kinds: Vec<String> = self
                .cut
                .iter()
                .map(|(kind, count)| format!("{count} × {kind}"))
                .collect();
            sentences.push(format!(
                "Cut because it did not finish in time: {}.",
                kinds.join(", ")
            ));
        }
        if let Some(path) = &self.recording {
            sentences.push(format!("Recorded to {}.", path.display()));
        }
        let cause = self.failure.as_deref();
        if self.lost > 0 {
            sentences.push(format!(
                "The recording lacks {} records: {}. Make room on its disk, or choose another for the next one; \
                 `shadowcat-tui verify FILE` names the places.",
                self.lost,
                cause.unwrap_or("the disk did not keep up, or was full for a while")
            ));
        } else if let Some(cause) = cause {
            sentences.push(format!("The end of the recording could not be written: {cause}."));
        }
        f.write_str(&sentences.join(" "))
    }
}

impl Engine {
    /// Starts a proxy: binds its addresses, then serves on a runtime of its own. Blocks until all is ready, also the
    /// thread of an async task that calls it.
    ///
    /// # Errors
    /// [`StartError`] if the configuration contradicts itself, an address cannot be bound, or the recording cannot be
    /// begun. Nothing is left running then.
    pub fn start(config: Config) -> Result<EngineHandle, StartError> {
        match outside_any_runtime("shadowcat-start", move || start(&config)) {
            Ok(Ok(started)) => started,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => Err(StartError::Threads(error)),
        }
    }

    /// Opens a recording, to be looked at with the same screens. It loads in the background, with all files of it.
    ///
    /// # Errors
    /// [`StartError::OpenRecording`] if the file is no recording that this build can read.
    pub fn open(path: &Path, limits: &ResourceLimits, log: LogRing) -> Result<EngineHandle, StartError> {
        Self::open_segments(path, &Segments::of(path, Extent::Whole)?, limits, log)
    }

    /// The same for these files of a recording, which have to be [rereadable](Segments::rereadable); the screens call them
    /// `path`.
    ///
    /// # Errors
    /// As of [`Engine::open`].
    pub fn open_segments(
        path: &Path,
        segments: &Segments,
        limits: &ResourceLimits,
        log: LogRing,
    ) -> Result<EngineHandle, StartError> {
        open::open(path, segments, limits, log)
    }
}

fn start(config: &Config) -> Result<EngineHandle, StartError> {
    config.check()?;
    check_commands(config)?;
    let rules = config.rules_file.as_ref().map(RulesFile::open).transpose()?;
    let way = Way {
        trust: Trust::new(&config.forward).map_err(ConfigError::from)?,
        via: config.forward.via.clone(),
    };
    let exporter = telemetry::exporter(config)?;
    let runtime = runtime()?;
    let (sockets, metrics_listeners) = {
        let _inside = runtime.enter();
        let metrics = config.metrics.as_slice();
        (
            Sockets::open(config)?,
            binding::bind_all(metrics).map_err(StartError::of_metrics)?,
        )
    };
    let addresses = sockets.addresses();
    let metrics_addresses = telemetry::addresses(&metrics_listeners);
    let parts = {
        let _inside = runtime.enter();
        start_parts(config, &sockets, &metrics_addresses, exporter, way)
    };
    if let Some((file, rules)) = rules {
        let _inside = runtime.enter();
        arm_file(file, rules, &parts.proxy.hub.interceptor, &parts.tasks);
    }
    if let Some(record) = &config.record {
        let began = record_from_start(&runtime, &parts.proxy, record.path.clone());
        if let Err(error) = began {
            end_proxy(&runtime, &parts.proxy, Duration::ZERO);
            return Err(error.into());
        }
    }
    let views = start_views(
        parts.ports,
        parts.history,
        Arc::clone(&parts.surroundings) as Arc<dyn Surroundings>,
        parts.recorder_commands,
        config.limits.clone(),
        parts.clock,
    )?;
    let room = Arc::clone(&parts.proxy.hub.room);
    {
        let _inside = runtime.enter();
        for listener in sockets.into_listeners() {
            let accepting = accept(Arc::clone(&parts.proxy.hub), listener, Arc::clone(&room));
            parts.tasks.spawn(TaskKind::Listener, accepting);
        }
        #[cfg(unix)]
        if let Some(directory) = config.door.clone() {
            crate::door::server::start(&parts.proxy.hub, directory);
        }
        telemetry::serve_metrics(&parts.surroundings, metrics_listeners);
    }
    Ok(EngineHandle {
        addresses,
        metrics_addresses,
        door: parts.door,
        tasks: parts.tasks,
        running: Some(Running {
            runtime,
            views,
            proxy: Some(parts.proxy),
        }),
    })
}

/// A mistyped program is better told now than to the first client. One of several servers keeps no other from starting.
fn check_commands(config: &Config) -> Result<(), StartError> {
    let mut only = config.commands.iter().filter(|command| command.name.is_none());
    let problem = only.find_map(|command| Some((command.label(), program::problem(command)?)));
    problem.map_or(Ok(()), |(label, problem)| {
        Err(StartError::Command { label, problem })
    })
}

struct Parts {
    tasks: Tasks,
    proxy: Proxy,
    door: Door,
    ports: views::Ports,
    history: watch::Receiver<Arc<HistoryView>>,
    surroundings: Arc<LiveSurroundings>,
    recorder_commands: mpsc::Sender<crate::frontend::CommandEnvelope>,
    clock: Clock,
}

fn start_parts(
    config: &Config,
    sockets: &Sockets,
    metrics_addresses: &[SocketAddr],
    exporter: Option<Exporter>,
    way: Way,
) -> Parts {
    let limits = config.limits.clone();
    let (common, ports) = (sockets.addresses(), sockets.ports());
    let all = common.iter().chain(ports.iter().map(|(_, address)| address));
    let listening: Arc<OnceLock<Vec<SocketAddr>>> =
        Arc::new(OnceLock::from(all.copied().collect::<Vec<_>>()));
    let clock = Clock::start();
    let tasks = Tasks::within(&limits);
    let (ledger_queue, observations) = batch_queue(limits.observation_queue, limits.observation_queue_bytes);
    let redaction = if config.records_secrets {
        Redaction::Off
    } else {
        Redaction::On
    };
    let settings = RecorderSettings {
        redaction,
        recording: config.recording.clone(),
    };
    let (recorder, tap) = recorder(&limits, settings, clock, &tasks);
    let (publish, history) = watch::channel(Arc::new(HistoryView::default()));
    let spans = exporter.map(|exporter| telemetry::start_export(exporter, &tasks));
    let ledger = Ledger::new(&limits)
        .with_servers(labels(config))
        .with_observer(telemetry::observer(spans.as_ref(), config));
    let ledger_lag = Arc::clone(ledger.lag());
    tasks.spawn(
        TaskKind::Ledger,
        ledger::run(ledger, observations, publish, clock),
    );
    let meters: Arc<Meters> = Arc::default();
    let gates = gates(config, clock);
    let hub = Arc::new(Hub {
        clock,
        ids: Ids::default(),
        registry: Registry::new(&limits),
        tasks: tasks.clone(),
        watchers: Arc::new(Watchers {
            ledger: ledger_queue,
            recorder: tap,
        }),
        meters: Arc::clone(&meters),
        buffers: BufferPool::new(limits.max_buffer_pool),
        routes: Routes::new(config),
        oauth: Arc::new(Oauth::new(config.oauth)),
        upstreams: gates
            .iter()
            .map(|known| UpstreamState::new(Arc::clone(&known.gate)))
            .collect(),
        bridges: bridges(config, clock),
        interception: Interception::new(&config.forward, &limits, clock, &meters),
        clients: Clients::new(&limits, &tasks, clock, &meters, listening, gates, way),
        common,
        ports,
        door: DoorNotes::default(),
        interceptor: interceptor(config, clock),
        runs: Arc::default(),
        room: Arc::new(Semaphore::new(
            config.limits.max_connections.min(Semaphore::MAX_PERMITS),
        )),
        limits: limits.clone(),
    });
    let (recorder_commands, asked) = mpsc::channel(RECORDER_COMMANDS);
    tasks.spawn(
        TaskKind::Frontend,
        recording::obey(recorder.clone(), Arc::clone(&hub), history.clone(), asked),
    );
    let (door, ports) = views::door(&limits);
    let surroundings = LiveSurroundings {
        hub: Arc::clone(&hub),
        recorder: recorder.clone(),
        history: history.clone(),
        log: config.log.clone(),
        door: door.clone(),
        notices: surroundings::Notices::of_config(config, clock.now()),
        ledger_lag,
        telemetry: telemetry::Telemetry::new(metrics_addresses, spans),
        ending_since: OnceLock::new(),
    };
    Parts {
        tasks,
        proxy: Proxy { hub, recorder },
        door,
        ports,
        history,
        surroundings: Arc::new(surroundings),
        recorder_commands,
        clock,
    }
}

/// Arms the rules of a file, and from then on whenever it changes.
fn arm_file(file: RulesFile, rules: Vec<Rule>, interceptor: &Interceptor, tasks: &Tasks) {
    let armory = interceptor.armory.clone();
    warn_of_idle(&rules, interceptor);
    if let Err(error) = armory.replace_saved(rules) {
        tracing::warn!("the rules of {} are not armed: {error}", file.path().display());
    }
    let (saver, wishes) = Saver::of(&file);
    interceptor.saver.get_or_init(|| saver);
    tasks.spawn(
        TaskKind::File,
        rules_watch::watch(file, wishes, armory, tasks.clone()),
    );
}

fn interceptor(config: &Config, clock: Clock) -> Interceptor {
    let limits = &config.limits;
    let interceptor = Interceptor {
        armory: Armory::new(),
        holds: Arc::new(Holds::new(clock, limits.max_held_messages, limits.max_held_bytes)),
        patience: Arc::default(),
        saver: Arc::default(),
        schemas: Arc::default(),
    };
    interceptor.holds.set_can_hold(config.can_hold);
    if let Some(every) = config.comment_every {
        interceptor.holds.set_comment_every(every);
    }
    for rule in &config.rules {
        if let Err(error) = interceptor.armory.put(rule.clone()) {
            tracing::warn!("the rule `{}` is not armed: {error}", rule.name);
        }
    }
    warn_of_idle(&config.rules, &interceptor);
    interceptor
}

/// Tells of rules that hold messages where nobody can decide about them.
fn warn_of_idle(rules: &[Rule], interceptor: &Interceptor) {
    let idle = rules.iter().filter(|rule| rule.verdict == Verdict::Hold);
    let names: Vec<&str> = idle.map(|rule| &*rule.name).collect();
    if !names.is_empty() && !interceptor.holds.can_hold() {
        tracing::warn!(
            "nothing is held by {}, since nobody is there who decides: add --wait and use `shadowcat-tui held`",
            names.join(", ")
        );
    }
}

/// The commands that are served, in their order.
fn bridges(config: &Config, clock: Clock) -> Vec<Arc<BridgeServer>> {
    let served = |command: &CommandServer| {
        let server = Arc::new(BridgeServer::new(command, config.guard.as_ref()));
        if let Some(problem) = program::problem(command) {
            tracing::warn!(
                server = &*server.label,
                "the command cannot be started: {problem}"
            );
            server.note_missing(problem, clock.now());
        }
        server
    };
    config.commands.iter().map(served).collect()
}

/// What the configured servers are called on screen.
fn labels(config: &Config) -> impl Iterator<Item = Arc<str>> {
    let upstreams = config.upstreams.iter().map(UpstreamConfig::label);
    upstreams.chain(config.commands.iter().map(CommandServer::label))
}

/// A breaker for each upstream, in their order.
fn gates(config: &Config, clock: Clock) -> Vec<KnownUpstream> {
    let known = |upstream: &UpstreamConfig| KnownUpstream {
        scheme: upstream.scheme(),
        authority: upstream.authority.clone(),
        gate: Arc::new(Gate::new(
            &upstream.label(),
            upstream.shown_url(),
            &config.limits,
            clock,
        )),
    };
    config.upstreams.iter().map(known).collect()
}

/// Runs `work` on a thread of its own, since a runtime can neither be waited for nor dropped within another one.
fn outside_any_runtime<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<std::thread::Result<T>> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(work).map(JoinHandle::join)
}

fn runtime() -> Result<Runtime, StartError> {
    Builder::new_multi_thread()
        .thread_name("shadowcat")
        .enable_all()
        .build()
        .map_err(StartError::Threads)
}

/// Views compute for milliseconds at a time, so they have a thread of their own beside the traffic's.
fn start_views(
    ports: views::Ports,
    history: watch::Receiver<Arc<HistoryView>>,
    surroundings: Arc<dyn Surroundings>,
    recorder: mpsc::Sender<crate::frontend::CommandEnvelope>,
    limits: ResourceLimits,
    clock: Clock,
) -> Result<JoinHandle<()>, StartError> {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(StartError::Threads)?;
    let thread = std::thread::Builder::new().name("shadowcat-views".to_owned());
    let serving = move || {
        runtime.block_on(views::run(ports, history, surroundings, recorder, &limits, clock));
    };
    thread.spawn(serving).map_err(StartError::Threads)
}

fn record_from_start(
    runtime: &Runtime,
    proxy: &Proxy,
    path: Option<PathBuf>,
) -> Result<PathBuf, StartRecordingError> {
    runtime.block_on(proxy.recorder.start(path, std::future::ready(Vec::new())))
}

fn named(kinds: Vec<(TaskKind, u64)>) -> Vec<(String, u64)> {
    kinds
        .into_iter()
        .map(|(kind, count)| (kind.name().to_owned(), count))
        .collect()
}

/// Stops accepting, lets exchanges finish, closes the recording, in this order.
fn end_proxy(runtime: &Runtime, proxy: &Proxy, drain: Duration) -> ShutdownReport {
    let tasks = &proxy.hub.tasks;
    let held = proxy.hub.interceptor.let_go();
    if held > 0 {
        tracing::info!("{held} held messages went on unchanged, because the proxy ends");
    }
    runtime.block_on(async {
        let mut cut = tasks.end_traffic(drain).await;
        let finished = proxy.recorder.stop().await.ok();
        proxy.recorder.shut_down().await;
        proxy.hub.watchers.ledger.close();

        cut.extend(tasks.end_services(LAST_WORDS).await);
        ShutdownReport {
            cut: named(cut),
            lost: finished.as_ref().map_or(0, |finished| finished.lost),
            failure: finished.as_ref().and_then(|finished| finished.failure.clone()),
            recording: finished.map(|finished| finished.path),
        }
    })
}

impl EngineHandle {
    /// The addresses on which clients are accepted; none for an opened recording.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The addresses on which metrics can be scraped, at `/metrics`.
    pub fn metrics_addresses(&self) -> &[SocketAddr] {
        &self.metrics_addresses
    }

    /// How long its end may wait for exchanges; nothing for an opened recording.
    pub fn drain_timeout(&self) -> Duration {
        let proxy = self.running.as_ref().and_then(|running| running.proxy.as_ref());
        proxy.map_or(Duration::ZERO, |proxy| proxy.hub.limits.drain_timeout)
    }

    /// A new view of the engine, with its own query and snapshots.
    ///
    /// # Errors
    /// [`AttachError`] if `max_frontends` views are open.
    pub fn frontend(&self) -> Result<Frontend, AttachError> {
        self.door.attach()
    }

    /// The registry through which every task is started.
    pub const fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Starts `task` on the engine's runtime. It ends with the engine at the latest.
    pub fn spawn(&self, kind: TaskKind, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(running) = &self.running {
            let _inside = running.runtime.enter();
            self.tasks.spawn(kind, task);
        }
    }

    /// Serves `socket` as if somebody had come with it through the control door.
    ///
    /// # Errors
    /// What the system says if the socket cannot be used.
    #[cfg(unix)]
    pub fn adopt(&self, socket: std::os::unix::net::UnixStream) -> io::Result<()> {
        let Some((running, proxy)) = self
            .running
            .as_ref()
            .and_then(|running| Some((running, running.proxy.as_ref()?)))
        else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let _inside = running.runtime.enter();
        socket.set_nonblocking(true)?;
        let socket = tokio::net::UnixStream::from_std(socket)?;
        crate::door::server::adopt(&proxy.hub, socket);
        Ok(())
    }

    /// The engine's runtime, for what has to be awaited on it.
    pub fn runtime(&self) -> Option<tokio::runtime::Handle> {
        self.running
            .as_ref()
            .map(|running| running.runtime.handle().clone())
    }

    /// Ends the engine: accepts nothing new, lets exchanges finish for `drain_timeout`, closes the recording, stops all
    /// tasks. Blocks until then, also the thread of an async task that calls it.
    pub fn shut_down(mut self) -> ShutdownReport {
        self.end()
    }

    fn end(&mut self) -> ShutdownReport {
        let Some(running) = self.running.take() else {
            return ShutdownReport::default();
        };
        let tasks = self.tasks.clone();
        match outside_any_runtime("shadowcat-end", move || running.end(&tasks)) {
            Ok(Ok(report)) => report,
            Ok(Err(_)) => {
                tracing::error!("the end of the engine panicked");
                ShutdownReport::default()
            }
            Err(error) => {
                tracing::error!(%error, "the system gave no thread to end the engine on");
                ShutdownReport::default()
            }
        }
    }
}

impl Running {
    fn end(self, tasks: &Tasks) -> ShutdownReport {
        let report = if let Some(proxy) = &self.proxy {
            end_proxy(&self.runtime, proxy, proxy.hub.limits.drain_timeout)
        } else {
            tasks.stop();
            let cut = self.runtime.block_on(tasks.end_services(LAST_WORDS));
            ShutdownReport {
                cut: named(cut),
                ..ShutdownReport::default()
            }
        };
        if self.views.join().is_err() {
            tracing::error!("the views ended by a panic");
        }
        drop(self.proxy);
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        report
    }
}

impl Drop for EngineHandle {
    fn drop(&mut self) {
        self.end();
    }
}
