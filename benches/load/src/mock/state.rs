//! What the mock server remembers.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::now_ns;
use crate::shared::locked;

#[derive(Debug, Default)]
struct Session {
    calls: u64,
    ended: CancellationToken,
}

/// Sessions, and which streams their readers left.
#[derive(Debug, Default)]
pub(super) struct State {
    next_session: AtomicU64,
    sessions: Mutex<HashMap<String, Session>>,
    /// When the peer of a stream closed its connection before the stream's end.
    left: Mutex<Vec<(u64, u64)>>,
    hang_up: Notify,
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

    /// Notes that the reader of a stream is gone.
    pub(super) fn note_left(&self, stream: u64) {
        locked(&self.left).push((stream, now_ns()));
    }

    /// The streams that were left since the last time, a line each: number and moment.
    pub(super) fn take_left(&self) -> String {
        let left = std::mem::take(&mut *locked(&self.left));
        let line = |text: String, (stream, at): &(u64, u64)| text + &format!("{stream} {at}\n");
        left.iter().fold(String::new(), line)
    }
}
