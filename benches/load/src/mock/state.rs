//! What the mock server remembers of its sessions.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Sessions and what was counted in them.
#[derive(Debug, Default)]
pub(super) struct State {
    next_session: AtomicU64,
    calls: Mutex<HashMap<String, u64>>,
}

impl State {
    fn calls(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session and returns its id.
    pub(super) fn begin(&self) -> String {
        let number = self.next_session.fetch_add(1, Ordering::Relaxed);
        let id = format!("load-session-{number:08}");
        self.calls().insert(id.clone(), 0);
        id
    }

    /// Counts a call of a session and returns how many it has made; zero for a session that there is not.
    pub(super) fn count_call(&self, session: &str) -> u64 {
        self.calls().get_mut(session).map_or(0, |count| {
            *count += 1;
            *count
        })
    }

    /// Ends a session; false if there is none with this id.
    pub(super) fn end(&self, session: &str) -> bool {
        self.calls().remove(session).is_some()
    }

    /// Whether there is such a session.
    pub(super) fn knows(&self, session: &str) -> bool {
        self.calls().contains_key(session)
    }
}
