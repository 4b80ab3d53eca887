//! The state between two rounds of a modern call, kept here under an unguessable handle that works once.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::demo::wire::at;

/// Calls that wait for their next round; the oldest is forgotten first.
const ROUNDS_KEPT: usize = 64;

/// 128 random bits as text, `None` when the system gives none.
pub(super) fn secret() -> Option<String> {
    let mut bytes = [0; 16];
    let provider = rustls::crypto::ring::default_provider();
    provider.secure_random.fill(&mut bytes).ok()?;
    Some(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// The calls that wait for their next round.
#[derive(Debug, Default)]
pub(super) struct Rounds(Mutex<VecDeque<(String, Value)>>);

impl Rounds {
    /// Keeps the call with these parameters and returns the handle for its next round.
    pub(super) fn begin(&self, params: &Value) -> Option<String> {
        let handle = secret()?;
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= ROUNDS_KEPT {
            waiting.pop_front();
        }
        waiting.push_back((handle.clone(), call_of(params)));
        Some(handle)
    }

    /// Ends the wait for the round with this handle: true once, and only for the same tool and arguments.
    pub(super) fn resume(&self, handle: &str, params: &Value) -> bool {
        let call = call_of(params);
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = waiting
            .iter()
            .position(|(known, kept)| known == handle && *kept == call);
        found.is_some_and(|index| waiting.remove(index).is_some())
    }
}

fn call_of(params: &Value) -> Value {
    json!([at(params, &["name"]), at(params, &["arguments"])])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_works_once_and_for_its_own_call_only() {
        let rounds = Rounds::default();
        let call = json!({ "name": "ask_user", "arguments": {} });
        let handle = rounds.begin(&call).unwrap();
        assert!(!rounds.resume(&handle, &json!({ "name": "ask_model", "arguments": {} })));
        assert!(!rounds.resume("guess", &call));
        assert!(rounds.resume(&handle, &call));
        assert!(!rounds.resume(&handle, &call));
    }

    #[test]
    fn only_the_last_rounds_are_kept() {
        let rounds = Rounds::default();
        let call = json!({ "name": "ask_user" });
        let first = rounds.begin(&call).unwrap();
        let handles: Vec<_> = (0..ROUNDS_KEPT).map(|_| rounds.begin(&call).unwrap()).collect();
        assert!(!rounds.resume(&first, &call));
        assert!(handles.iter().all(|handle| rounds.resume(handle, &call)));
    }
}
