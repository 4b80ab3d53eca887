//! The loop that a reverse proxy can bring about: the client asks for a token for the address that it dials, the server
//! wants one for its own, and refuses every new token with 401.
//!
//! Source: RFC 8707 §2 (`resource`, `invalid_target`); MCP 2025-06-18, Authorization, "Token Audience Binding".

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;

/// A client that has read our metadata gets its token within this time; people have to log in.
const LOGIN: Duration = Duration::from_mins(10);
/// Clients that are remembered; beyond, the one that was quiet longest goes.
const MAX_CLIENTS: usize = 256;

/// A client and the upstream that it wants to use.
pub(super) type Key = (usize, Arc<str>);

#[derive(Debug, Default)]
struct Login {
    /// When it was last given metadata that we changed.
    rewritten: Option<Timestamp>,
    /// The credential that was refused before that.
    stale: Option<u64>,
    heard: Timestamp,
}

/// Which clients are about to log in.
#[derive(Debug, Default)]
pub(super) struct Logins(Mutex<HashMap<Key, Login>>);

impl Logins {
    /// The client read metadata in which we changed the resource.
    pub(super) fn metadata_changed(&self, key: Key, now: Timestamp) {
        self.with(key, now, |login| login.rewritten = Some(now));
    }

    /// A credential was refused with 401. True if the client got it after it had read our metadata.
    pub(super) fn refused(&self, key: Key, credential: u64, now: Timestamp) -> bool {
        self.with(key, now, |login| {
            let is_recent = login.rewritten.is_some_and(|at| now.since(at) <= LOGIN);
            let is_new = login.stale != Some(credential);
            if !is_recent {
                login.stale = Some(credential);
            }
            is_recent && is_new
        })
    }

    /// A credential was accepted: this login is done.
    pub(super) fn accepted(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    fn with<T>(&self, key: Key, now: Timestamp, change: impl FnOnce(&mut Login) -> T) -> T {
        let mut logins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logins.len() >= MAX_CLIENTS && !logins.contains_key(&key) {
            let oldest = logins.iter().min_by_key(|(_, login)| login.heard);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                logins.remove(&oldest);
            }
        }
        let login = logins.entry(key).or_default();
        login.heard = now;
        change(login)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn key() -> Key {
        (0, Arc::from("127.0.0.1"))
    }

    #[test]
    fn a_new_token_that_is_refused_soon_after_the_metadata_is_a_loop() {
        let logins = Logins::default();
        assert!(!logins.refused(key(), 1, at(0)), "nobody has read metadata");
        logins.metadata_changed(key(), at(1));
        assert!(!logins.refused(key(), 1, at(2)), "the same old token once more");
        assert!(logins.refused(key(), 2, at(60)));
        assert!(
            !logins.refused((1, Arc::from("127.0.0.1")), 2, at(60)),
            "another upstream"
        );
    }

    #[test]
    fn a_token_that_worked_or_came_long_after_is_none() {
        let logins = Logins::default();
        logins.metadata_changed(key(), at(1));
        logins.accepted(&key());
        assert!(!logins.refused(key(), 2, at(60)));
        logins.metadata_changed(key(), at(100));
        assert!(!logins.refused(key(), 3, at(3600)));
    }

    #[test]
    fn clients_are_remembered_up_to_a_bound() {
        let logins = Logins::default();
        for number in 0..=MAX_CLIENTS as u64 {
            logins.metadata_changed((0, number.to_string().into()), at(number));
        }
        assert_eq!(logins.0.lock().unwrap().len(), MAX_CLIENTS);
        assert!(
            !logins.refused((0, "0".into()), 1, at(300)),
            "the oldest was forgotten"
        );
    }
}
