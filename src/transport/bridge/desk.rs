//! Where a child and its clients meet: the router behind its lock, and who has to be woken when.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep, timeout};

use crate::codec::envelope::Scan;
use crate::resource::meters::Meters;
use crate::snapshot::{Finding, Severity};

use super::child_link::ChildLink;
use super::reply::Visit;
use super::routing::{Effect, Routing};
use super::server::Tally;
use super::spool::{Lane, Next, SpoolBounds};

/// How long a client that does not read may keep its child's other clients waiting.
const STALLED: Duration = Duration::from_secs(5);
/// How long the answer to a cancelled request may take all the same.
const CANCELLED: Duration = Duration::from_secs(2);
/// Findings that are shown at the run of a child; further ones are only counted.
const SHOWN_FINDINGS: usize = 32;

/// Findings that are not shown yet.
#[derive(Debug, Default)]
struct Findings {
    untold: Vec<String>,
    count: usize,
}

/// Where a child and its clients meet.
#[derive(Debug)]
pub(super) struct Desk<R: Routing> {
    router: Mutex<R>,
    /// A message was read.
    room: Notify,
    /// A request was answered or given up.
    settled: Notify,
    link: OnceLock<ChildLink>,
    meters: Arc<Meters>,
    tally: Arc<Tally>,
    findings: Mutex<Findings>,
}

impl Visit<'_> {
    /// A desk for a program of this server.
    pub(super) fn desk<R: Routing>(&self, router: R) -> Arc<Desk<R>> {
        Desk::new(
            router,
            Arc::clone(&self.hub.meters),
            Arc::clone(&self.server.tally),
        )
    }

    /// What a spool may keep; nothing of it can be resumed.
    pub(super) fn bounds(&self) -> SpoolBounds {
        SpoolBounds {
            messages: self.hub.limits.replay_buffer,
            bytes: self.hub.limits.replay_buffer_bytes,
            keeps_delivered: false,
        }
    }
}

impl<R: Routing> Desk<R> {
    pub(super) fn new(router: R, meters: Arc<Meters>, tally: Arc<Tally>) -> Arc<Self> {
        Arc::new(Self {
            router: Mutex::new(router),
            room: Notify::new(),
            settled: Notify::new(),
            link: OnceLock::new(),
            meters,
            tally,
            findings: Mutex::default(),
        })
    }

    /// The router. Held for moments only, never across an await.
    pub(super) fn router(&self) -> MutexGuard<'_, R> {
        self.router.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way to the child, once it was started.
    pub(super) fn link(&self) -> Option<&ChildLink> {
        self.link.get()
    }

    /// The child was started. Only the first one counts.
    pub(super) fn connect(&self, link: ChildLink) {
        // There is one child for a desk, started by whoever made the desk.
        let _ = self.link.set(link);
    }

    /// Asks the child to end.
    pub(super) fn stop(&self) {
        if let Some(link) = self.link() {
            link.stop();
        }
    }

    /// Takes a line of the child, without its end.
    pub(super) fn take(&self, line: &Bytes, scan: &Scan) {
        let effects = self.router().route(line, scan);
        self.carry_out(effects);
    }

    /// Takes note of a line that was too long to be held.
    pub(super) fn take_too_long(&self, scan: &Scan, text: &str) {
        let effects = self.router().route_too_long(scan, text);
        self.carry_out(effects);
    }

    fn carry_out(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Say(line) => {
                    let is_said = self.link().is_some_and(|link| link.say(line));
                    if !is_said {
                        self.find("the server does not read what it should be told at once".to_owned());
                    }
                }
                Effect::Finding(text) => self.find(text),
            }
        }
        self.note_usage();
        self.settled.notify_one();
    }

    fn find(&self, text: String) {
        self.tally.find(&text);
        let mut findings = self.findings();
        findings.count += 1;
        if findings.count <= SHOWN_FINDINGS {
            findings.untold.push(text);
        }
    }

    /// What was found since the last time and is to be shown at the run.
    pub(super) fn take_findings(&self) -> Vec<Finding> {
        let untold = std::mem::take(&mut self.findings().untold);
        let finding = |text| Finding {
            severity: Severity::Warning,
            text,
        };
        untold.into_iter().map(finding).collect()
    }

    fn findings(&self) -> MutexGuard<'_, Findings> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_usage(&self) {
        let (messages, bytes) = self.router().spool().usage();
        self.meters.replay_messages.note(messages as u64);
        self.meters.replay_bytes.note(bytes as u64);
    }

    /// Waits until there is room for more of what the child says; who keeps the others waiting too long loses its stream.
    pub(super) async fn make_room(&self) {
        while self.is_full() {
            self.meters.replay_messages.reach();
            self.meters.replay_bytes.reach();
            if timeout(STALLED, self.room.notified()).await.is_err() {
                self.shed();
            }
        }
    }

    fn is_full(&self) -> bool {
        let (lost, is_full) = {
            let mut router = self.router();
            let spool = router.spool();
            (spool.make_room(), spool.is_full())
        };
        if !lost.is_empty() {
            self.carry_out(super::routing::tell_lost(lost));
        }
        is_full
    }

    fn shed(&self) {
        let shed = self.router().spool().shed();
        let Some((lane, lost)) = shed else { return };
        let mut effects = super::routing::tell_lost(lost);
        effects.extend(self.router().left(lane));
        let text = "a client did not read its stream, which kept others waiting; the stream was closed";
        effects.push(Effect::Finding(text.to_owned()));
        self.carry_out(effects);
    }

    /// The child is gone.
    pub(super) fn over(&self, text: &str) {
        self.router().over(text);
        self.room.notify_one();
        self.settled.notify_one();
    }

    /// Ends streams that wait for nothing in particular, then waits until nobody waits for an answer.
    pub(super) async fn run_dry(&self) {
        self.router().close_idle_streams();
        while !self.router().is_idle() {
            self.settled.notified().await;
        }
    }

    /// Makes the caller the reader of a lane; see [`super::spool::Spool::attach`].
    pub(super) fn sit_down(self: &Arc<Self>, lane: Lane, after: Option<u64>) -> Option<Seat<R>> {
        let reader = self.router().spool().attach(lane, after)?;
        Some(self.seat(lane, reader))
    }

    /// The seat of a reader that is attached.
    pub(super) fn seat(self: &Arc<Self>, lane: Lane, reader: u64) -> Seat<R> {
        Seat {
            desk: Arc::clone(self),
            lane,
            reader,
            grace: None,
        }
    }

    fn left(&self, lane: Lane, reader: u64) {
        let mut router = self.router();
        let was_reader = router.spool().detach(lane, reader);
        let effects = if was_reader { router.left(lane) } else { Vec::new() };
        drop(router);
        self.room.notify_one();
        self.carry_out(effects);
    }
}

/// The reader of a lane, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat<R: Routing> {
    desk: Arc<Desk<R>>,
    lane: Lane,
    reader: u64,
    /// Runs once nothing has to come any more.
    grace: Option<Pin<Box<Sleep>>>,
}

impl<R: Routing> Seat<R> {
    pub(super) const fn lane(&self) -> Lane {
        self.lane
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let mut next = self.desk.router().spool().poll_next(self.lane, self.reader, cx);
        if next.is_pending() && self.is_grace_over(cx) {
            let mut router = self.desk.router();
            router.give_up(self.lane);
            next = router.spool().poll_next(self.lane, self.reader, cx);
            drop(router);
            self.desk.settled.notify_one();
        }
        if next.is_ready() {
            self.desk.room.notify_one();
        }
        next
    }

    /// Whether everything that could still come was cancelled, and has had its time.
    fn is_grace_over(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.desk.router().is_cancelled(self.lane) {
            return false;
        }
        let grace = self.grace.get_or_insert_with(|| Box::pin(sleep(CANCELLED)));
        grace.as_mut().poll(cx).is_ready()
    }

    /// The next message. Cancel safe: what was not returned is still there.
    pub(super) async fn next(&mut self) -> Next {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Nobody can resume what was read here: it need not be kept.
    pub(super) fn forget(&self) {
        self.desk.router().spool().forget_delivered(self.lane);
    }
}

impl<R: Routing> Drop for Seat<R> {
    fn drop(&mut self) {
        self.desk.left(self.lane, self.reader);
    }
}
