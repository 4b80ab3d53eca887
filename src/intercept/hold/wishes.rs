//! Messages that are waited for though no rule means them: the next one of a call, and answers to requests of our own that
//! come where a client listens.

use std::sync::atomic::Ordering;

use crate::ids::{CallId, HoldId, ProxySessionId};

use super::{Actor, Decision, HoldError, Holds, Inner};

/// Most requests of our own whose answers come where a client listens and are not there yet.
pub(crate) const MAX_AWAITED: usize = 64;

/// An answer that is not for the client of the session that it comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Awaited {
    session: ProxySessionId,
    /// Its JSON-RPC id as spelled.
    id: String,
}

impl Holds {
    /// Forwards one, and holds the next message of its call whatever the rules say.
    ///
    /// # Errors
    /// As [`Holds::decide`]; [`HoldError::Unfit`] if it belongs to no call.
    pub fn step(&self, id: HoldId, actor: Actor) -> Result<(), HoldError> {
        let call = {
            let inner = self.lock();
            inner.items.get(&id).ok_or(HoldError::Gone(id))?.facts.call
        };
        let Some(call) = call else {
            return Err(HoldError::Unfit {
                id,
                what: "no part of a call",
                why: "there is no next message to hold",
            });
        };
        self.decide(id, Decision::Forward, actor)?;
        let mut inner = self.lock();
        if !inner.steps.contains(&call) {
            // Calls that never went on are forgotten in favour of newer ones.
            let excess = (inner.steps.len() + 1).saturating_sub(self.max_messages);
            inner.steps.drain(..excess);
            inner.steps.push(call);
        }
        self.note_wishes(&inner);
        Ok(())
    }

    /// Whether the next message of `call` was to be held; true once for each step.
    pub(crate) fn takes_step(&self, call: CallId) -> bool {
        let mut inner = self.lock();
        let place = inner.steps.iter().position(|step| *step == call);
        let is_wanted = place.map(|place| inner.steps.remove(place)).is_some();
        self.note_wishes(&inner);
        is_wanted
    }

    /// From now on the answer with this id, as it is spelled, is kept from the client of `session`. False if too many are
    /// waited for.
    pub(crate) fn await_answer(&self, session: ProxySessionId, id: &str) -> bool {
        let mut inner = self.lock();
        if inner.awaited.len() >= MAX_AWAITED {
            return false;
        }
        let id = id.to_owned();
        inner.awaited.push(Awaited { session, id });
        self.note_wishes(&inner);
        true
    }

    /// Whether that answer is still to come.
    pub(crate) fn awaits(&self, session: ProxySessionId, id: &str) -> bool {
        let inner = self.lock();
        let mut awaited = inner.awaited.iter();
        awaited.any(|awaited| awaited.session == session && awaited.id == id)
    }

    /// The ids of all answers that are still to come in `session`, as they are spelled.
    pub(crate) fn awaited_in(&self, session: ProxySessionId) -> Vec<String> {
        let inner = self.lock();
        let of_session = inner.awaited.iter().filter(|awaited| awaited.session == session);
        of_session.map(|awaited| awaited.id.clone()).collect()
    }

    /// That answer has come, or is not waited for any longer.
    pub(crate) fn end_wait(&self, session: ProxySessionId, id: &str) {
        let mut inner = self.lock();
        inner
            .awaited
            .retain(|awaited| awaited.session != session || awaited.id != id);
        self.note_wishes(&inner);
        drop(inner);
        self.tell();
    }

    /// Whether any message is waited for that no rule means.
    pub(crate) fn has_wishes(&self) -> bool {
        self.wishes.load(Ordering::Acquire) > 0
    }

    /// Asked about for all that passes, so that it is known without the lock.
    fn note_wishes(&self, inner: &Inner) {
        let count = inner.steps.len() + inner.awaited.len();
        self.wishes.store(count, Ordering::Release);
    }
}
