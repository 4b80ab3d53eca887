//! The way from the traffic to the ledger and the recorder: in order, bounded, and nothing lost when a client leaves.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::recording::RecorderTap;
use crate::resource::queue::{Producer, Reserved, Turn};
use crate::session::observation::{Event, Observation};

/// Everyone who is told what happens.
#[derive(Debug, Clone)]
pub(crate) struct Watchers {
    pub(crate) ledger: Producer<Observation>,
    pub(crate) recorder: RecorderTap,
}

impl Watchers {
    /// Whether a recorder wants parts of frames that are not whole yet.
    pub(crate) fn is_recording(&self) -> bool {
        self.recorder.is_on()
    }

    /// Tells at once, beyond all bounds. For ends and for what a vanished client leaves behind.
    pub(crate) fn tell_beyond(&self, observation: Observation) {
        if self.recorder.is_on() {
            self.recorder.record_beyond(observation.clone());
        }
        self.tell_ledger_beyond(observation);
    }

    fn tell_ledger_beyond(&self, observation: Observation) {
        if !matches!(observation.event, Event::Part(_)) {
            self.ledger.push_beyond(observation);
        }
    }

    /// Tells the end of an exchange in the place that was kept for it.
    pub(crate) fn tell_end(&self, observation: Observation, place: Option<Reserved<Observation>>) {
        if self.recorder.is_on() {
            self.recorder.record_beyond(observation.clone());
        }
        match place {
            Some(place) => place.push(observation),
            None => self.tell_ledger_beyond(observation),
        }
    }
}

/// What one direction of an exchange has still to tell. What is told makes the traffic wait when the watchers are full.
#[derive(Debug)]
pub(crate) struct Outbox {
    watchers: Arc<Watchers>,
    waiting: VecDeque<Observation>,
    for_recorder: Option<Observation>,
    for_ledger: Option<Observation>,
    /// The ledger's queue was full when it got the last one.
    turn: Option<Turn>,
}

impl Outbox {
    pub(crate) fn new(watchers: Arc<Watchers>) -> Self {
        Self {
            watchers,
            waiting: VecDeque::new(),
            for_recorder: None,
            for_ledger: None,
            turn: None,
        }
    }

    pub(crate) fn is_recording(&self) -> bool {
        self.watchers.is_recording()
    }

    /// Whether something is still to be told.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(crate) fn put(&mut self, observation: Observation) {
        self.waiting.push_back(observation);
    }

    /// Tells all that waits, the recorder first. Ready when nothing is left.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.watchers.recorder.poll_record(cx, &mut self.for_recorder));
            if let Some(observation) = self.for_ledger.take() {
                self.turn = self.watchers.ledger.push_and_wait(observation);
            }
            ready!(self.watchers.ledger.poll_turn(cx, &mut self.turn));
            let Some(next) = self.waiting.pop_front() else {
                return Poll::Ready(());
            };
            if self.watchers.is_recording() {
                self.for_recorder = Some(next.clone());
            }
            if !matches!(next.event, Event::Part(_)) {
                self.for_ledger = Some(next);
            }
        }
    }

    /// Tells all that waits, waiting for room.
    pub(crate) async fn flush(&mut self) {
        std::future::poll_fn(|cx| self.poll_flush(cx)).await;
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        if let Some(observation) = self.for_recorder.take() {
            self.watchers.recorder.record_beyond(observation);
        }
        if let Some(observation) = self.for_ledger.take() {
            self.watchers.tell_ledger_beyond(observation);
        }
        for observation in self.waiting.drain(..) {
            self.watchers.tell_beyond(observation);
        }
    }
}
