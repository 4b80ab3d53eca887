//! Legacy sessions: who is there, what runs for them, which streams they can come back to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::events::EventLog;
use super::{Change, PATIENCE};
use crate::demo::catalogue::NOTE;
use crate::demo::wire::{self, POLLING, at};

/// Sessions at once; a new one ends the one that was idle longest.
const MAX_SESSIONS: usize = 64;
/// Streaming calls of one session at once; one more is refused with 503.
const MAX_CALLS: usize = 16;
/// Requests of the server to one session that wait for an answer at once; one more fails.
const MAX_WAITING: usize = 16;
/// POST streams that one session can come back to; the oldest that has ended goes first.
const MAX_STREAMS: usize = 24;
/// Subscriptions of one session; one more is refused.
const MAX_SUBSCRIPTIONS: usize = 16;
/// How long a client of 2025-11-25 waits before it comes back to a stream.
const RETRY: Duration = Duration::from_millis(500);

/// Every open session.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Arc<Session>>>);

impl Sessions {
    fn table(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a session in. When there are too many, the one that was idle longest ends.
    pub(super) fn enter(&self, session: Arc<Session>) {
        let mut table = self.table();
        if table.len() >= MAX_SESSIONS {
            let oldest = table.values().min_by_key(|session| session.state().last_used);
            if let Some(oldest) = oldest.map(Arc::clone) {
                oldest.closed.cancel();
                table.remove(&oldest.id);
            }
        }
        table.insert(session.id.clone(), session);
    }

    /// The session with this id, marked as used.
    pub(super) fn find(&self, id: &str) -> Option<Arc<Session>> {
        let session = self.table().get(id).map(Arc::clone)?;
        session.state().last_used = Instant::now();
        Some(session)
    }

    /// Ends a session: its calls and streams end with it.
    pub(super) fn close(&self, session: &Session) {
        self.table().remove(&session.id);
        session.closed.cancel();
    }

    /// Tells every session about a change.
    pub(super) fn announce(&self, change: Change) {
        let sessions: Vec<_> = self.table().values().map(Arc::clone).collect();
        for session in sessions {
            session.announce(change);
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.table().len()
    }
}

/// One legacy session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    /// The revision that was agreed on.
    pub(super) version: &'static str,
    /// What the client said it can do.
    pub(super) capabilities: Value,
    /// The stream for what belongs to no call, read by GET.
    pub(super) general: Arc<EventLog>,
    /// Cancelled when the session or the server ends.
    closed: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last_used: Instant,
    log_rank: Option<usize>,
    is_greeted: bool,
    subscriptions: BTreeSet<String>,
    calls: HashMap<String, CancellationToken>,
    waiting: HashMap<u64, oneshot::Sender<Value>>,
    next_request: u64,
    streams: BTreeMap<u64, Arc<EventLog>>,
    next_stream: u64,
}

impl Session {
    /// A session that ends when `closed` is cancelled.
    pub(super) fn new(
        id: String,
        version: &'static str,
        capabilities: Value,
        closed: CancellationToken,
    ) -> Self {
        let retry = (version == POLLING).then_some(RETRY);
        let general = EventLog::new("general".to_owned(), retry, closed.clone());
        let state = State {
            last_used: Instant::now(),
            log_rank: None,
            is_greeted: false,
            subscriptions: BTreeSet::new(),
            calls: HashMap::new(),
            waiting: HashMap::new(),
            next_request: 1,
            streams: BTreeMap::new(),
            next_stream: 1,
        };
        Self {
            id,
            version,
            capabilities,
            general: Arc::new(general),
            closed,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether streams may be cut and taken up again (2025-11-25).
    pub(super) fn is_polling(&self) -> bool {
        self.version == POLLING
    }

    /// True the first time only.
    pub(super) fn greet(&self) -> bool {
        !std::mem::replace(&mut self.state().is_greeted, true)
    }

    pub(super) fn log_rank(&self) -> Option<usize> {
        self.state().log_rank
    }

    pub(super) fn set_log_rank(&self, rank: usize) {
        self.state().log_rank = Some(rank);
    }

    /// Subscribes to a resource; false when there are too many subscriptions.
    pub(super) fn subscribe(&self, uri: &str) -> bool {
        let mut state = self.state();
        let has_room = state.subscriptions.len() < MAX_SUBSCRIPTIONS || state.subscriptions.contains(uri);
        if has_room {
            state.subscriptions.insert(uri.to_owned());
        }
        has_room
    }

    pub(super) fn unsubscribe(&self, uri: &str) {
        self.state().subscriptions.remove(uri);
    }

    fn announce(&self, change: Change) {
        let message = match change {
            Change::Tools => wire::notification("notifications/tools/list_changed", Value::Null),
            Change::Note if self.state().subscriptions.contains(NOTE) => {
                wire::notification("notifications/resources/updated", json!({ "uri": NOTE }))
            }
            Change::Note => return,
        };
        self.general.push(&message);
    }

    /// Begins a streaming call; `None` when too many run. The token is cancelled by the client, or by the end.
    pub(super) fn begin_call(&self, id: &Value) -> Option<CancellationToken> {
        let mut state = self.state();
        if state.calls.len() >= MAX_CALLS {
            return None;
        }
        let cancel = self.closed.child_token();
        state.calls.insert(id.to_string(), cancel.clone());
        Some(cancel)
    }

    pub(super) fn end_call(&self, id: &Value) {
        self.state().calls.remove(&id.to_string());
    }

    /// `notifications/cancelled` of the client. A call that is not known any more is no fault.
    pub(super) fn cancel_call(&self, id: &Value) {
        if let Some(cancel) = self.state().calls.remove(&id.to_string()) {
            cancel.cancel();
        }
    }

    /// A new stream for one call, kept so that the client can come back to it.
    pub(super) fn open_stream(&self) -> Arc<EventLog> {
        let retry = self.is_polling().then_some(RETRY);
        let mut state = self.state();
        let number = state.next_stream;
        state.next_stream = number.wrapping_add(1);
        let log = EventLog::new(format!("s{number}"), retry, self.closed.clone());
        let log = Arc::new(log);
        state.streams.insert(number, Arc::clone(&log));
        if state.streams.len() > MAX_STREAMS {
            let ended = state.streams.iter().find(|(_, log)| log.has_ended());
            if let Some(number) = ended.map(|(number, _)| *number) {
                state.streams.remove(&number);
            }
        }
        log
    }

    /// The stream that an event id belongs to, and the event's number.
    pub(super) fn find_event(&self, event_id: &str) -> Option<(Arc<EventLog>, u64)> {
        let (name, number) = event_id.rsplit_once('-')?;
        let number = number.parse().ok()?;
        if name == self.general.name() {
            return Some((Arc::clone(&self.general), number));
        }
        let state = self.state();
        let log = state.streams.values().find(|log| log.name() == name)?;
        Some((Arc::clone(log), number))
    }

    /// Asks the client on `stream` and waits for the answer, which comes on another exchange.
    ///
    /// # Errors
    /// What went wrong, in words for the tool's result: too many questions, no answer in time, an error as answer.
    pub(super) async fn ask(&self, stream: &EventLog, method: &str, params: Value) -> Result<Value, String> {
        let (place, answer) = Place::take(self).ok_or("too many questions are waiting")?;
        stream.push(&wire::request(&json!(place.number), method, params));
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        let answer = answer
            .ok()
            .and_then(Result::ok)
            .ok_or("the client did not answer")?;
        match answer.get("result") {
            Some(result) => Ok(result.clone()),
            None => Err(format!(
                "the client answered: {}",
                at(&answer, &["error", "message"])
            )),
        }
    }

    /// Takes the client's answer to a request of the server. An answer to nothing is ignored.
    pub(super) fn settle(&self, message: Value) {
        let number = message.get("id").and_then(Value::as_u64);
        let waiting = number.and_then(|number| self.state().waiting.remove(&number));
        if let Some(waiting) = waiting {
            // The asking call may have been cancelled meanwhile.
            let _ = waiting.send(message);
        }
    }
}

/// A request of the server that waits for its answer; given up when dropped.
struct Place<'a> {
    session: &'a Session,
    number: u64,
}

impl<'a> Place<'a> {
    fn take(session: &'a Session) -> Option<(Self, oneshot::Receiver<Value>)> {
        let mut state = session.state();
        if state.waiting.len() >= MAX_WAITING {
            return None;
        }
        let number = state.next_request;
        state.next_request = number.wrapping_add(1);
        let (sender, receiver) = oneshot::channel();
        state.waiting.insert(number, sender);
        drop(state);
        Some((Self { session, number }, receiver))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.session.state().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(id: &str) -> Arc<Session> {
        let closed = CancellationToken::new();
        Arc::new(Session::new(id.to_owned(), POLLING, json!({}), closed))
    }

    #[tokio::test(start_paused = true)]
    async fn one_session_too_many_ends_the_one_that_was_idle_longest() {
        let sessions = Sessions::default();
        let first = session("0");
        sessions.enter(Arc::clone(&first));
        for number in 1..MAX_SESSIONS {
            tokio::time::advance(Duration::from_millis(1)).await;
            sessions.enter(session(&number.to_string()));
        }
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(sessions.find("0").is_some());
        sessions.enter(session("new"));
        assert_eq!(sessions.count(), MAX_SESSIONS);
        assert!(sessions.find("1").is_none());
        assert!(sessions.find("0").is_some() && !first.closed.is_cancelled());
    }

    #[test]
    fn calls_streams_and_subscriptions_of_a_session_are_bounded() {
        let session = session("s");
        for id in 0..MAX_CALLS {
            assert!(session.begin_call(&json!(id)).is_some());
        }
        assert!(session.begin_call(&json!("more")).is_none());
        session.end_call(&json!(0));
        assert!(session.begin_call(&json!("more")).is_some());
        for _ in 0..=MAX_STREAMS {
            session.open_stream().end();
        }
        assert_eq!(session.state().streams.len(), MAX_STREAMS);
        let subscribed = (0..=MAX_SUBSCRIPTIONS).filter(|uri| session.subscribe(&uri.to_string()));
        assert_eq!(subscribed.count(), MAX_SUBSCRIPTIONS);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unanswered_question_fails_in_words_and_leaves_nothing_behind() {
        let session = session("s");
        let question = session.ask(&session.general, "ping", Value::Null).await;
        assert_eq!(question, Err("the client did not answer".to_owned()));
        assert!(session.state().waiting.is_empty());
    }
}
