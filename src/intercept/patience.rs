//! How long clients bear a message that does not come: learned from when they gave up, else what they are known for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a client is granted that nothing is known of: the default of the TypeScript SDK.
pub const USUAL: Duration = Duration::from_mins(1);
/// Shorter waits than this are cancels by hand, not by a clock.
const SHORTEST: Duration = Duration::from_secs(1);
/// Most clients that something is remembered of; beyond, one of the others is forgotten.
const MAX_CLIENTS: usize = 1_000;

/// How long a client will wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// So long, from the moment at which its request came.
    pub time: Duration,
    /// How that is known.
    pub source: String,
}

/// What is known of the clients.
#[derive(Debug, Default)]
pub struct Patience {
    learned: Mutex<HashMap<Box<str>, Duration>>,
}

impl Patience {
    /// What the client of this name will bear.
    pub fn of(&self, client: Option<&str>) -> Budget {
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        match client.and_then(|client| learned.get(client)) {
            Some(time) => Budget {
                time: *time,
                source: "it gave up so".to_owned(),
            },
            None => Budget {
                time: USUAL,
                source: "usual".to_owned(),
            },
        }
    }

    /// The client of this name cancelled a call, or left, after `time` without an answer. The shortest counts, so that
    /// the warning comes in time.
    pub fn gave_up(&self, client: &str, time: Duration) {
        if time < SHORTEST {
            return;
        }
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = learned.get_mut(client) {
            *known = time.min(*known);
            return;
        }
        if learned.len() >= MAX_CLIENTS {
            let other = learned.keys().next().cloned();
            if let Some(other) = other {
                learned.remove(&other);
            }
        }
        learned.insert(client.into(), time);
    }
}
