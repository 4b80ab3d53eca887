//! The one way to start a task: counted by kind, bounded, heard when it panics, waited for at the end.

mod permits;

use std::collections::VecDeque;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::limits::ResourceLimits;
use crate::snapshot::TaskRow;

pub use permits::{NoRoomError, Permits, TaskPermit};

/// What a task is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// Accepts connections on one address.
    Listener,
    /// Serves one client connection and the exchanges on it.
    Connection,
    /// Serves one HTTP/2 stream of a client connection.
    ClientStream,
    /// Drives one connection to an upstream.
    UpstreamConnection,
    /// Relays one tunnel or WebSocket.
    Tunnel,
    /// Moves the pipes of one program that was started for clients, and ends it.
    Child,
    /// Owns history.
    Ledger,
    /// Writes the recording.
    Recorder,
    /// Blocking file work.
    File,
    /// What belongs to the frontend or to the built-in demonstration.
    Frontend,
    /// Serves metrics.
    Metrics,
    /// Exports spans.
    Export,
    /// Opens the control door, and serves one link through it.
    Door,
}

impl TaskKind {
    /// Every kind, in the order in which they are shown.
    pub const ALL: [Self; 13] = [
        Self::Listener,
        Self::Connection,
        Self::ClientStream,
        Self::UpstreamConnection,
        Self::Tunnel,
        Self::Child,
        Self::Ledger,
        Self::Recorder,
        Self::File,
        Self::Frontend,
        Self::Metrics,
        Self::Export,
        Self::Door,
    ];

    /// The kinds that cannot go beyond `max_tasks_per_kind`. Connections are none of them: everything else needs one,
    /// and `max_connections` bounds them.
    pub const WITH_SHARE: [Self; 2] = [Self::ClientStream, Self::Tunnel];

    /// Whether tasks of this kind carry what clients wait for, so that the end of the program waits for them.
    pub const fn is_traffic(self) -> bool {
        matches!(
            self,
            Self::Listener | Self::Connection | Self::ClientStream | Self::Tunnel | Self::Door | Self::Child
        )
    }

    /// The kind in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Connection => "connection",
            Self::ClientStream => "client stream",
            Self::UpstreamConnection => "upstream connection",
            Self::Tunnel => "tunnel",
            Self::Child => "program",
            Self::Ledger => "ledger",
            Self::Recorder => "recorder",
            Self::File => "file work",
            Self::Frontend => "frontend",
            Self::Metrics => "metrics",
            Self::Export => "export",
            Self::Door => "control door",
        }
    }
}

/// A task that ended by a panic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFault {
    /// What the task was for.
    pub kind: TaskKind,
    /// The panic's message.
    pub message: String,
}

/// Faults kept until they are read; a later one only counts.
const FAULTS_KEPT: usize = 16;

#[derive(Debug, Default)]
struct Count {
    live: AtomicU64,
    peak: AtomicU64,
    started: AtomicU64,
    panicked: AtomicU64,
}

/// Tasks that are waited for, and dropped, together.
#[derive(Debug, Default)]
struct TaskGroup {
    tracker: TaskTracker,
    abort: CancellationToken,
}

impl TaskGroup {
    /// Waits up to `patience` for the tasks to end, then drops those that are left. False if some had to be dropped.
    async fn end(&self, patience: Duration) -> bool {
        self.tracker.close();
        tokio::time::timeout(patience, self.tracker.wait()).await.is_ok()
    }

    /// Dropped tasks end at their next poll; blocking work cannot be dropped, so this wait has an end too.
    async fn cut(&self) {
        self.abort.cancel();
        if tokio::time::timeout(Duration::from_secs(1), self.tracker.wait())
            .await
            .is_err()
        {
            tracing::warn!("some tasks did not end when they were dropped");
        }
    }
}

#[derive(Debug)]
struct Shared {
    traffic: TaskGroup,
    upstream: TaskGroup,
    service: TaskGroup,
    stop: CancellationToken,
    permits: Permits,
    counts: [Count; TaskKind::ALL.len()],
    faults: Mutex<VecDeque<TaskFault>>,
}

/// The registry through which every task of the program is started. Clones share it.
#[derive(Debug, Clone)]
pub struct Tasks(Arc<Shared>);

impl Tasks {
    /// A registry for at most `limit` permits at once.
    pub fn new(limit: usize) -> Self {
        Self::within(&ResourceLimits {
            max_concurrent_tasks: limit,
            ..ResourceLimits::default()
        })
    }

    /// A registry that keeps to `max_concurrent_tasks` and `max_tasks_per_kind` of `limits`.
    pub fn within(limits: &ResourceLimits) -> Self {
        Self(Arc::new(Shared {
            traffic: TaskGroup::default(),
            upstream: TaskGroup::default(),
            service: TaskGroup::default(),
            stop: CancellationToken::new(),
            permits: Permits::new(limits),
            counts: Default::default(),
            faults: Mutex::default(),
        }))
    }

    /// Cancelled when the program begins to end: accept nothing new, finish what runs.
    pub fn stopping(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// Starts `task`. It is counted under `kind`, a panic in it is caught and kept as a [`TaskFault`], and it is
    /// dropped where it stands when the time of [`Tasks::end_traffic`] or [`Tasks::end_services`] is over.
    ///
    /// Must be called within the engine's runtime.
    pub fn spawn(&self, kind: TaskKind, task: impl Future<Output = ()> + Send + 'static) {
        let running = Running::enter(Arc::clone(&self.0), kind);
        let group = self.group(kind);
        let abort = group.abort.clone();
        let supervised = async move {
            let guarded = AssertUnwindSafe(task).catch_unwind();
            if let Some(Err(panic)) = abort.run_until_cancelled(guarded).await {
                running.fault(panic_text(panic.as_ref()));
            }
        };
        group
            .tracker
            .spawn(supervised.instrument(tracing::debug_span!("task", kind = kind.name())));
    }

    /// Runs blocking `work` on the runtime's blocking threads, counted like a task.
    ///
    /// # Errors
    /// [`TaskFault`] if the work panicked.
    ///
    /// # Cancel safety
    /// Dropping the future does not stop the work; shutdown still waits for it.
    pub async fn run_blocking<T: Send + 'static>(
        &self,
        kind: TaskKind,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, TaskFault> {
        self.start_blocking(kind, work).outcome().await
    }

    /// Starts such `work` without waiting for it.
    ///
    /// Must be called within the engine's runtime.
    pub fn start_blocking<T: Send + 'static>(
        &self,
        kind: TaskKind,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Blocking<T> {
        let running = Running::enter(Arc::clone(&self.0), kind);
        let handle = self.group(kind).tracker.spawn_blocking(move || {
            let outcome = std::panic::catch_unwind(AssertUnwindSafe(work));
            outcome.map_err(|panic| running.fault(panic_text(panic.as_ref())))
        });
        Blocking { handle, kind }
    }

    /// Waits for room for one more task of `kind`, `patience` at most; not at all if that is zero.
    ///
    /// # Errors
    /// [`NoRoomError`] when the time is over.
    ///
    /// # Cancel safety
    /// Safe: a dropped future has taken nothing.
    pub async fn permit(&self, kind: TaskKind, patience: Duration) -> Result<TaskPermit, NoRoomError> {
        self.0.permits.take(kind, patience).await
    }

    /// Permits in use, and how long was waited for them.
    pub fn permits(&self) -> &Permits {
        &self.0.permits
    }

    /// Live counts by kind, in the order of [`TaskKind::ALL`].
    pub fn rows(&self) -> Vec<TaskRow> {
        let row = |(kind, count): (TaskKind, &Count)| TaskRow {
            kind: kind.name().to_owned(),
            live: count.live.load(Ordering::Relaxed),
            peak: count.peak.load(Ordering::Relaxed),
            started: count.started.load(Ordering::Relaxed),
            panicked: count.panicked.load(Ordering::Relaxed),
        };
        TaskKind::ALL.into_iter().zip(&self.0.counts).map(row).collect()
    }

    /// Live tasks of one kind.
    pub fn live(&self, kind: TaskKind) -> u64 {
        self.0.counts[kind as usize].live.load(Ordering::Relaxed)
    }

    /// The faults since the last call; at most 16, the first ones.
    pub fn take_faults(&self) -> Vec<TaskFault> {
        let mut faults = self.0.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.drain(..).collect()
    }

    /// Whether the traffic that did not finish in time is being dropped.
    pub fn is_cutting_traffic(&self) -> bool {
        self.0.traffic.abort.is_cancelled()
    }

    /// Says that the end has begun: cancels [`Tasks::stopping`].
    pub fn stop(&self) {
        self.0.stop.cancel();
    }

    /// Ends the traffic: announces the end, waits up to `drain` for exchanges to finish, drops those that are left.
    /// Returns how many tasks of each kind had to be dropped.
    pub async fn end_traffic(&self, drain: Duration) -> Vec<(TaskKind, u64)> {
        self.stop();
        self.end_group(&self.0.traffic, drain).await
    }

    /// Ends everything else: drops pooled upstream connections, which nobody uses any more, waits up to `patience` for
    /// the rest, then drops it. Returns how many tasks of each kind had to be dropped.
    pub async fn end_services(&self, patience: Duration) -> Vec<(TaskKind, u64)> {
        self.stop();
        self.0.upstream.tracker.close();
        self.0.upstream.cut().await;
        self.end_group(&self.0.service, patience).await
    }

    async fn end_group(&self, group: &TaskGroup, patience: Duration) -> Vec<(TaskKind, u64)> {
        if group.end(patience).await {
            return Vec::new();
        }
        let kinds = TaskKind::ALL
            .into_iter()
            .filter(|kind| std::ptr::eq(self.group(*kind), group));
        let left = kinds
            .map(|kind| (kind, self.live(kind)))
            .filter(|(_, live)| *live > 0)
            .collect();
        group.cut().await;
        left
    }

    fn group(&self, kind: TaskKind) -> &TaskGroup {
        match kind {
            TaskKind::UpstreamConnection => &self.0.upstream,
            kind if kind.is_traffic() => &self.0.traffic,
            _ => &self.0.service,
        }
    }
}

/// Blocking work that was started. It goes on if this is dropped, and shutdown still waits for it.
#[derive(Debug)]
pub struct Blocking<T> {
    handle: tokio::task::JoinHandle<Result<T, TaskFault>>,
    kind: TaskKind,
}

impl<T> Blocking<T> {
    /// Whether it is done, so that its outcome is there at once.
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Waits for what came of it.
    ///
    /// # Errors
    /// [`TaskFault`] if the work panicked.
    ///
    /// # Cancel safety
    /// Dropping the future does not stop the work.
    pub async fn outcome(self) -> Result<T, TaskFault> {
        match self.handle.await {
            Ok(outcome) => outcome,
            Err(_) => Err(TaskFault {
                kind: self.kind,
                message: "the runtime ended first".to_owned(),
            }),
        }
    }
}

/// Counts a task for as long as it lives.
struct Running {
    shared: Arc<Shared>,
    kind: TaskKind,
}

impl Running {
    fn enter(shared: Arc<Shared>, kind: TaskKind) -> Self {
        let count = &shared.counts[kind as usize];
        count.started.fetch_add(1, Ordering::Relaxed);
        let live = count.live.fetch_add(1, Ordering::Relaxed) + 1;
        count.peak.fetch_max(live, Ordering::Relaxed);
        Self { shared, kind }
    }

    fn fault(&self, message: String) -> TaskFault {
        self.shared.counts[self.kind as usize]
            .panicked
            .fetch_add(1, Ordering::Relaxed);
        tracing::error!(kind = self.kind.name(), %message, "a task panicked; others go on");
        let fault = TaskFault {
            kind: self.kind,
            message,
        };
        let mut faults = self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.len() < FAULTS_KEPT {
            faults.push_back(fault.clone());
        }
        fault
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.counts[self.kind as usize]
            .live
            .fetch_sub(1, Ordering::Relaxed);
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// Lets hyper start its own tasks through the registry, so that they are counted and waited for too.
#[derive(Debug, Clone)]
pub struct TasksExecutor {
    tasks: Tasks,
    kind: TaskKind,
}

impl TasksExecutor {
    /// An executor whose tasks count under `kind`.
    pub const fn new(tasks: Tasks, kind: TaskKind) -> Self {
        Self { tasks, kind }
    }
}

impl<F> hyper::rt::Executor<F> for TasksExecutor
where
    F: Future + Send + 'static,
{
    fn execute(&self, future: F) {
        self.tasks.spawn(self.kind, async move {
            future.await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panicking_task_is_counted_and_kept_and_harms_no_other() {
        let tasks = Tasks::new(16);
        tasks.spawn(TaskKind::Tunnel, async { panic!("broken pipe dream") });
        let (done, finished) = tokio::sync::oneshot::channel();
        tasks.spawn(TaskKind::Tunnel, async move { done.send(7).unwrap() });
        assert_eq!(finished.await, Ok(7));
        assert_eq!(tasks.end_traffic(Duration::from_secs(5)).await, Vec::new());
        let faults = tasks.take_faults();
        assert_eq!(
            faults,
            [TaskFault {
                kind: TaskKind::Tunnel,
                message: "broken pipe dream".to_owned()
            }]
        );
        assert_eq!(tasks.live(TaskKind::Tunnel), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_waits_then_drops_and_reports_what_is_left() {
        let tasks = Tasks::new(16);
        tasks.spawn(TaskKind::Connection, std::future::pending());
        let left = tasks.end_traffic(Duration::from_secs(5)).await;
        assert_eq!(left, [(TaskKind::Connection, 1)]);
        assert_eq!(tasks.live(TaskKind::Connection), 0);
    }
}
