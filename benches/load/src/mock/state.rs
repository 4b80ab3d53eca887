//! What the mock server remembers.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::now_ns;
use crate::shared::locked;

use super::legacy::Endpoints;

#[derive(Debug, Default)]
struct Session {
    calls: u64,
    ended: CancellationToken,
}

/// Sessions, and which streams are under way or were left.
#[derive(Debug, Default)]
pub(super) struct State {
    next_session: AtomicU64,
    sessions: Mutex<HashMap<String, Session>>,
    /// Streams, downloads and uploads that are under way or were left: when their peer closed the connection.
    begun: Mutex<HashMap<u64, Option<u64>>>,
    hang_up: Notify,
    pub(super) endpoints: Endpoints,
}

impl State {
    /// Begins a session and returns its id.
    pub(super) fn begin(&self) -> String {
        let number = self.next_session.fetch_add(1, Ordering::Relaxed);
        let id = format!("load-session-{number:08}");
        locked(&self.sessions).insert(id.clone(), Session::default());
        id
    }

    /// Counts a call of a session and returns how many it has made; zero for a session that there is not.
    pub(super) fn count_call(&self, session: &str) -> u64 {
        locked(&self.sessions).get_mut(session).map_or(0, |session| {
            session.calls += 1;
            session.calls
        })
    }

    /// Ends a session and its streams; false if there is none with this id.
    pub(super) fn end(&self, session: &str) -> bool {
        let session = locked(&self.sessions).remove(session);
        if let Some(session) = &session {
            session.ended.cancel();
        }
        session.is_some()
    }

    /// What tells that a session has ended, if there is such a session.
    pub(super) fn ended(&self, session: &str) -> Option<CancellationToken> {
        locked(&self.sessions)
            .get(session)
            .map(|session| session.ended.clone())
    }

    /// Lets every connection that waits for a request be closed.
    pub(super) fn hang_up(&self) {
        self.hang_up.notify_waiters();
    }

    /// Waits for [`Self::hang_up`].
    pub(super) async fn hung_up(&self) {
        self.hang_up.notified().await;
    }

    /// Notes that a stream, download or upload has begun.
    pub(super) fn note_begun(&self, stream: u64) {
        locked(&self.begun).insert(stream, None);
    }

    /// Notes that it came to its end.
    pub(super) fn note_ended(&self, stream: u64) {
        locked(&self.begun).remove(&stream);
    }

    /// Notes that the other end is gone.
    pub(super) fn note_left(&self, stream: u64) {
        locked(&self.begun).insert(stream, Some(now_ns()));
    }

    /// What is under way or was left, a line each: number and moment, zero for what is under way. What was left is
    /// told once.
    pub(super) fn take_begun(&self) -> String {
        let mut begun = locked(&self.begun);
        let mut text = String::new();
        for (stream, left) in begun.iter() {
            let _ = writeln!(text, "{stream} {}", left.unwrap_or(0));
        }
        begun.retain(|_, left| left.is_none());
        text
    }
}
