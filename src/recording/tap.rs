//! Where the traffic hands its observations to the recorder, without ever waiting long for a disk.

use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::gap::Gap;
use super::totals::Sum;
use super::writer::{FinishedRecording, StartRecordingError};
use crate::clock::Clock;
use crate::resource::meters::Watermark;
use crate::resource::queue::{Producer, Weigh};
use crate::session::observation::Observation;
use crate::snapshot::RecorderState;

/// Why records are missing that came faster than they could be masked and written.
pub(crate) const NOT_KEPT_UP: &str = "the recorder did not keep up";

/// What goes through the recorder's queue: observations, and where among them a recording begins and ends.
#[derive(Debug)]
pub(super) enum Item {
    Observed(Observation),
    Start(Box<Start>),
    Stop(oneshot::Sender<FinishedRecording>),
}

/// A recording is to begin here.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) path: Option<PathBuf>,
    pub(super) opened: oneshot::Sender<Result<PathBuf, StartRecordingError>>,
    pub(super) preamble: oneshot::Receiver<Vec<Observation>>,
}

impl Weigh for Item {
    fn weight(&self) -> usize {
        match self {
            Self::Observed(observation) => observation.weight(),
            Self::Start(_) | Self::Stop(_) => 0,
        }
    }
}

/// What tap, control and writer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: Producer<Item>,
    pub(super) clock: Clock,
    is_on: AtomicBool,
    /// The writer did not keep up: what comes is counted, not queued.
    is_gap: AtomicBool,
    max_items: u64,
    wait: Duration,
    stall: Mutex<Stall>,
    stalled: Notify,
    /// How long traffic waited, and how often that was too long.
    pub(super) waits: Watermark,
    state: Mutex<RecorderState>,
    pub(super) recorded: Sum,
}

#[derive(Debug, Default)]
struct Stall {
    /// When the first producer began to wait. In tokio's time, as the deadline is.
    since: Option<tokio::time::Instant>,
    /// Who waits; bounded by the tasks that carry traffic.
    wakers: Vec<Waker>,
    gap: Option<Gap>,
}

impl Shared {
    pub(super) fn new(queue: Producer<Item>, clock: Clock, max_items: usize, wait: Duration) -> Self {
        Self {
            queue,
            clock,
            is_on: AtomicBool::new(false),
            is_gap: AtomicBool::new(false),
            max_items: max_items as u64,
            wait,
            stall: Mutex::default(),
            stalled: Notify::new(),
            waits: Watermark::default(),
            state: Mutex::default(),
            recorded: Sum::default(),
        }
    }

    pub(super) fn set_on(&self, is_on: bool) {
        self.is_on.store(is_on, Ordering::Release);
    }

    pub(super) fn state(&self) -> RecorderState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_state(&self, state: RecorderState) {
        self.recorded.note(&state);
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    fn stall(&self) -> MutexGuard<'_, Stall> {
        self.stall.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer has emptied the queue: nobody waits any more. Returns what was lost before.
    pub(super) fn queue_taken(&self) -> Option<Gap> {
        let mut stall = self.stall();
        if let Some(since) = stall.since.take() {
            self.waits.note_time(since.elapsed());
        }
        stall.wakers.clear();
        self.is_gap.store(false, Ordering::Release);
        stall.gap.take()
    }

    /// Does `work` of the writer, and opens a gap if traffic has to wait for it too long.
    pub(super) async fn guarded<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = self.stall_is_too_long() => self.open_gap(),
            }
        }
    }

    /// Waits until somebody waits for room, `patience` at most.
    pub(super) async fn rest(&self, patience: Duration) {
        // Time over is as good as a wake-up here.
        let _ = tokio::time::timeout(patience, self.stalled.notified()).await;
    }

    async fn stall_is_too_long(&self) {
        loop {
            let since = self.stall().since;
            match since {
                Some(since) => {
                    tokio::time::sleep_until(since + self.wait).await;
                    if self.stall().since == Some(since) {
                        return;
                    }
                }
                None => self.stalled.notified().await,
            }
        }
    }

    fn open_gap(&self) {
        let mut stall = self.stall();
        stall.since = None;
        self.waits.note_time(self.wait);
        self.waits.reach();
        self.is_gap.store(true, Ordering::Release);
        let wakers = std::mem::take(&mut stall.wakers);
        drop(stall);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn lose(&self, observation: &Observation) {
        let mut stall = self.stall();
        let gap = stall
            .gap
            .get_or_insert_with(|| Gap::at(observation.at, NOT_KEPT_UP));
        gap.add(observation.at, observation.weight() as u64);
    }

    /// Notes that the task waits for room. False if nobody waits any more, since a gap is open.
    fn wait(&self, waker: &Waker) -> bool {
        let mut stall = self.stall();
        if self.is_gap.load(Ordering::Acquire) {
            return false;
        }
        if stall.since.is_none() {
            stall.since = Some(tokio::time::Instant::now());
            self.stalled.notify_one();
        }
        if !stall.wakers.iter().any(|known| known.will_wake(waker)) {
            stall.wakers.push(waker.clone());
        }
        true
    }

    /// Takes back [`Self::wait`]: there was room after all.
    fn wait_no_more(&self, waker: &Waker) {
        let mut stall = self.stall();
        stall.wakers.retain(|known| !known.will_wake(waker));
        if stall.wakers.is_empty() {
            stall.since = None;
        }
    }
}

/// What the traffic holds of the recorder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RecorderTap(pub(super) Arc<Shared>);

impl RecorderTap {
    /// Whether anything is recorded. Costs one atomic load.
    pub fn is_on(&self) -> bool {
        self.0.is_on.load(Ordering::Acquire)
    }

    /// Hands the observation of `slot` to the recorder, or leaves it there and registers the task to be woken.
    ///
    /// Always ready while nothing is recorded, or once traffic has waited `recording_wait` for the disk: then what
    /// comes is counted and lost, until the writer has caught up and writes the count into the recording.
    pub fn poll_record(&self, cx: &mut Context<'_>, slot: &mut Option<Observation>) -> Poll<()> {
        if !self.is_on() {
            *slot = None;
            return Poll::Ready(());
        }
        let Some(observation) = slot.take() else {
            return Poll::Ready(());
        };
        if self.0.is_gap.load(Ordering::Acquire) {
            self.0.lose(&observation);
            return Poll::Ready(());
        }
        let mut item = Some(Item::Observed(observation));
        if self.0.queue.poll_push(cx, &mut item).is_ready() {
            return Poll::Ready(());
        }
        let is_waiting = self.0.wait(cx.waker());
        // The queue may have been emptied between the two.
        if self.0.queue.poll_push(cx, &mut item).is_ready() {
            self.0.wait_no_more(cx.waker());
            return Poll::Ready(());
        }
        let Some(Item::Observed(observation)) = item else {
            return Poll::Ready(());
        };
        if is_waiting {
            *slot = Some(observation);
            return Poll::Pending;
        }
        self.0.lose(&observation);
        Poll::Ready(())
    }

    /// Hands an observation to the recorder, waiting as [`Self::poll_record`] does.
    ///
    /// # Cancel safety
    /// A dropped future has handed over nothing.
    pub async fn record(&self, observation: Observation) {
        let mut slot = Some(observation);
        poll_fn(|cx| self.poll_record(cx, &mut slot)).await;
    }

    /// Hands over what must not be lost and cannot wait: the end of an exchange. Goes beyond the queue's bound, by as
    /// much again at most; above that it is counted as lost.
    pub fn record_beyond(&self, observation: Observation) {
        if !self.is_on() {
            return;
        }
        if self.0.queue.usage().items >= self.0.max_items.saturating_mul(2) {
            self.0.lose(&observation);
        } else {
            self.0.queue.push_beyond(Item::Observed(observation));
        }
    }
}
