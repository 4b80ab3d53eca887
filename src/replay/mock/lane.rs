//! One stream of messages to a client, bounded, from which it can be resumed.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::limits::ResourceLimits;

/// Messages that wait for a reader; whoever has more to say waits.
const WAITING: usize = 64;

/// What was said on one stream.
#[derive(Debug)]
pub(super) struct Lane {
    /// What its event ids begin with; `None` if its events have none.
    name: Option<u64>,
    max_events: usize,
    max_bytes: usize,
    state: Mutex<State>,
    changed: Notify,
}

/// The lane and the number in an event id of ours.
pub(super) fn parse_event_id(id: &str) -> Option<(u64, u64)> {
    let (lane, number) = id.trim().split_once('-')?;
    Some((lane.parse().ok()?, number.parse().ok()?))
}

/// One message, and the event that carries it.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) number: u64,
    /// The message; empty for an event without one.
    pub(super) text: Bytes,
    /// Pieces of the event and how long to wait before each.
    pub(super) pieces: Vec<(std::time::Duration, Bytes)>,
}

#[derive(Debug, Default)]
struct State {
    said: VecDeque<Said>,
    last: u64,
    delivered: u64,
    bytes: usize,
    is_over: bool,
    readers: u64,
    has_reader: bool,
}

impl Lane {
    pub(super) fn new(name: Option<u64>, limits: &ResourceLimits) -> Self {
        Self {
            name,
            max_events: limits.replay_buffer.max(WAITING),
            max_bytes: limits.replay_buffer_bytes,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id of an event.
    pub(super) fn event_id(&self, number: u64) -> Option<String> {
        self.name.map(|name| format!("{name}-{number}"))
    }

    /// Says something, once there is room for it. `make` gets the number of the event.
    ///
    /// # Cancel safety
    /// Safe: a dropped future has said nothing.
    pub(super) async fn say(&self, text: Bytes, make: impl FnOnce(u64) -> Vec<(std::time::Duration, Bytes)>) {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.state();
                if state.last - state.delivered < WAITING as u64 {
                    let number = state.last + 1;
                    state.push(Said {
                        number,
                        text,
                        pieces: make(number),
                    });
                    state.trim(self.max_events, self.max_bytes);
                    break;
                }
            }
            changed.await;
        }
        self.changed.notify_waiters();
    }

    /// Nothing more will be said.
    pub(super) fn end(&self) {
        self.state().is_over = true;
        self.changed.notify_waiters();
    }

    /// Whether somebody reads.
    pub(super) fn has_reader(&self) -> bool {
        self.state().has_reader
    }

    /// Begins to read behind `after`. `None` if that is not kept any more. An earlier reader ends.
    pub(super) fn read(&self, after: u64) -> Option<u64> {
        let mut state = self.state();
        let oldest = state.said.front().map_or(state.last + 1, |said| said.number);
        if after > state.last || after + 1 < oldest {
            return None;
        }
        state.readers += 1;
        state.has_reader = true;
        let reader = state.readers;
        drop(state);
        self.changed.notify_waiters();
        Some(reader)
    }

    /// Begins to read what nobody has read.
    pub(super) fn read_new(&self) -> (u64, u64) {
        let delivered = self.state().delivered;
        (self.read(delivered).unwrap_or_default(), delivered)
    }

    /// The message behind `after`; `None` at the end, or if another reader came.
    ///
    /// # Cancel safety
    /// Safe: what was not returned is returned by the next call.
    pub(super) async fn next(&self, reader: u64, after: u64) -> Option<Said> {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.state();
                if state.readers != reader {
                    return None;
                }
                if let Some(said) = state.said.iter().find(|said| said.number > after).cloned() {
                    state.delivered = state.delivered.max(said.number);
                    drop(state);
                    self.changed.notify_waiters();
                    return Some(said);
                }
                if state.is_over {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// A reader has gone.
    pub(super) fn left(&self, reader: u64) {
        let mut state = self.state();
        if state.readers == reader {
            state.has_reader = false;
        }
    }
}

impl State {
    fn push(&mut self, said: Said) {
        self.last = said.number;
        self.bytes += said.size();
        self.said.push_back(said);
    }

    /// What was delivered and is above the bounds goes.
    fn trim(&mut self, max_events: usize, max_bytes: usize) {
        while self.said.len() > max_events || self.bytes > max_bytes {
            let is_delivered = self
                .said
                .front()
                .is_some_and(|said| said.number <= self.delivered);
            if !is_delivered {
                return;
            }
            if let Some(said) = self.said.pop_front() {
                self.bytes -= said.size();
            }
        }
    }
}

impl Said {
    fn size(&self) -> usize {
        self.text.len() + self.pieces.iter().map(|(_, piece)| piece.len()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn lane(max_events: usize) -> Lane {
        let limits = ResourceLimits {
            replay_buffer: max_events,
            ..ResourceLimits::default()
        };
        Lane::new(Some(1), &limits)
    }

    async fn say(lane: &Lane, text: &'static str) {
        lane.say(Bytes::from_static(text.as_bytes()), |_| Vec::new())
            .await;
    }

    #[tokio::test]
    async fn a_stream_is_resumed_behind_what_was_read() {
        let lane = lane(100);
        for text in ["a", "b", "c"] {
            say(&lane, text).await;
        }
        let (reader, after) = lane.read_new();
        assert_eq!(lane.next(reader, after).await.unwrap().text, "a");
        let again = lane.read(1).unwrap();
        assert!(lane.next(reader, 1).await.is_none(), "the first reader has ended");
        assert_eq!(lane.next(again, 1).await.unwrap().text, "b");
        lane.end();
        assert_eq!(lane.next(again, 2).await.unwrap().text, "c");
        assert!(lane.next(again, 3).await.is_none());
    }

    #[tokio::test]
    async fn whoever_says_too_much_waits_for_the_reader_and_old_messages_go() {
        let lane = lane(1);
        for _ in 0..WAITING {
            say(&lane, "x").await;
        }
        assert!(say(&lane, "one more").now_or_never().is_none());
        let (reader, after) = lane.read_new();
        let first = lane.next(reader, after).await.unwrap();
        assert!(say(&lane, "one more").now_or_never().is_some());
        assert_eq!(first.number, 1);
        assert_eq!(lane.read(0), None, "the first message is not kept any more");
    }
}
