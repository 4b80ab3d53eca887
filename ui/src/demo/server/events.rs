//! The event streams of a legacy session: each keeps its last events, so that a client can come back for them.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Events that one stream keeps; the oldest goes first.
const EVENTS_KEPT: usize = 128;

/// One event as a modern stream carries it: without an id.
pub(super) fn plain_event(message: &Value) -> Bytes {
    Bytes::from(format!("event: message\ndata: {message}\n\n"))
}

/// One legacy stream: its last events, numbered from 1 (0 is the priming event).
#[derive(Debug)]
pub(super) struct EventLog {
    name: String,
    state: Mutex<LogState>,
    news: Notify,
    /// The session's end ends every reader.
    closed: CancellationToken,
}

#[derive(Debug)]
struct LogState {
    events: VecDeque<Bytes>,
    /// Number of the first event kept.
    first: u64,
    /// Number of the first event that no reader has taken yet.
    unread: u64,
    /// The newest reader; older ones end.
    reader: u64,
    is_read: bool,
    has_ended: bool,
}

impl LogState {
    fn next(&self) -> u64 {
        self.first.saturating_add(self.events.len() as u64)
    }

    fn keep(&mut self, event: Bytes) {
        self.events.push_back(event);
        if self.events.len() > EVENTS_KEPT {
            self.events.pop_front();
            self.first = self.first.saturating_add(1);
        }
    }

    fn get(&self, number: u64) -> Option<Bytes> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.events.get(index).cloned()
    }
}

impl EventLog {
    /// A stream whose event ids start with `name`. With `retry` it starts with a priming event that carries it.
    pub(super) fn new(name: String, retry: Option<Duration>, closed: CancellationToken) -> Self {
        let priming = retry.map(|retry| {
            let retry = retry.as_millis();
            Bytes::from(format!("id: {name}-0\nretry: {retry}\ndata:\n\n"))
        });
        let first = u64::from(priming.is_none());
        let state = LogState {
            events: priming.into_iter().collect(),
            first,
            unread: first,
            reader: 0,
            is_read: false,
            has_ended: false,
        };
        Self {
            name,
            state: Mutex::new(state),
            news: Notify::new(),
            closed,
        }
    }

    fn state(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the stream's event ids start with.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Adds a message. Nothing is added after the end.
    pub(super) fn push(&self, message: &Value) {
        let mut state = self.state();
        if !state.has_ended {
            let number = state.next();
            let event = format!("id: {}-{number}\nevent: message\ndata: {message}\n\n", self.name);
            state.keep(Bytes::from(event));
        }
        drop(state);
        self.news.notify_waiters();
    }

    /// Ends the stream once its reader has taken everything.
    pub(super) fn end(&self) {
        self.state().has_ended = true;
        self.news.notify_waiters();
    }

    /// Sends the reader away after what it has not read yet; the stream goes on and waits for another one.
    pub(super) fn send_reader_away(&self) {
        self.state().is_read = false;
        self.news.notify_waiters();
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state().has_ended
    }

    /// Whether somebody reads the stream now.
    pub(super) fn is_read(&self) -> bool {
        self.state().is_read
    }

    /// A reader from the first event that nobody has read, or from the one after `last`. An older reader ends.
    pub(super) fn reader(self: &Arc<Self>, last: Option<u64>) -> Reader {
        let mut state = self.state();
        state.reader = state.reader.wrapping_add(1);
        state.is_read = true;
        let wanted = last.map_or(state.unread, |last| last.saturating_add(1));
        let reader = Reader {
            log: Arc::clone(self),
            number: state.reader,
            next: wanted.max(state.first),
        };
        drop(state);
        self.news.notify_waiters();
        reader
    }
}

/// One HTTP response that reads an [`EventLog`].
#[derive(Debug)]
pub(super) struct Reader {
    log: Arc<EventLog>,
    number: u64,
    next: u64,
}

enum Step {
    Event(Bytes),
    Wait,
    End,
}

impl Reader {
    /// The next event's bytes; `None` at the end, after the session, or when another reader took over.
    ///
    /// # Cancel safety
    /// Safe: an event is taken in the poll that returns it.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        let log = Arc::clone(&self.log);
        loop {
            let mut news = pin!(log.news.notified());
            // Registered before the look, so that nothing said in between is missed.
            news.as_mut().enable();
            match self.step() {
                Step::Event(event) => return Some(event),
                Step::End => return None,
                Step::Wait => {
                    log.closed.run_until_cancelled(news).await?;
                }
            }
        }
    }

    fn step(&mut self) -> Step {
        let mut state = self.log.state();
        if state.reader != self.number {
            return Step::End;
        }
        self.next = self.next.max(state.first);
        if let Some(event) = state.get(self.next) {
            self.next = self.next.saturating_add(1);
            state.unread = state.unread.max(self.next);
            return Step::Event(event);
        }
        if state.has_ended || !state.is_read {
            return Step::End;
        }
        Step::Wait
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.log.state();
        if state.reader == self.number {
            state.is_read = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn log(retry: Option<Duration>) -> Arc<EventLog> {
        Arc::new(EventLog::new("s1".to_owned(), retry, CancellationToken::new()))
    }

    async fn rest(mut reader: Reader) -> String {
        let mut text = String::new();
        while let Some(bytes) = reader.next().await {
            text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        text
    }

    #[tokio::test]
    async fn a_primed_stream_starts_with_an_id_a_delay_and_empty_data() {
        let log = log(Some(Duration::from_millis(1500)));
        log.push(&json!(7));
        log.end();
        let text = rest(log.reader(None)).await;
        assert_eq!(
            text,
            "id: s1-0\nretry: 1500\ndata:\n\nid: s1-1\nevent: message\ndata: 7\n\n"
        );
    }

    #[tokio::test]
    async fn a_reader_that_was_sent_away_comes_back_for_the_rest_and_can_read_again() {
        let log = log(None);
        let first = log.reader(None);
        log.push(&json!(1));
        log.send_reader_away();
        assert_eq!(rest(first).await, "id: s1-1\nevent: message\ndata: 1\n\n");
        log.push(&json!(2));
        log.end();
        let second = "id: s1-2\nevent: message\ndata: 2\n\n";
        assert_eq!(rest(log.reader(Some(1))).await, second);
        assert!(rest(log.reader(Some(0))).await.ends_with(second));
        assert_eq!(rest(log.reader(None)).await, "");
    }

    #[tokio::test]
    async fn a_second_reader_ends_the_first_and_only_the_last_events_are_kept() {
        let log = log(None);
        let first = log.reader(None);
        for number in 0..=EVENTS_KEPT {
            log.push(&json!(number));
        }
        let mut second = log.reader(Some(0));
        assert_eq!(rest(first).await, "");
        assert!(second.next().await.unwrap().starts_with(b"id: s1-2\n"));
        assert!(log.is_read());
        drop(second);
        assert!(!log.is_read());
    }

    #[tokio::test]
    async fn the_end_of_the_session_ends_a_waiting_reader() {
        let log = log(None);
        let reader = log.reader(None);
        log.closed.cancel();
        assert_eq!(rest(reader).await, "");
    }
}
