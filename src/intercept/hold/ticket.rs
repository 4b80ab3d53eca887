//! A held message as its lane sees it.

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::intercept::rule::{OnExpire, Refusal};
use crate::session::observation::OWN_ERROR;

use super::{Actor, Decided, Decision, HeldFacts, Holds};

/// The place of a message in the table. Dropping it takes the message out.
#[derive(Debug)]
pub(crate) struct Ticket {
    holds: Arc<Holds>,
    facts: Arc<HeldFacts>,
}

impl Ticket {
    pub(super) fn new(holds: Arc<Holds>, facts: Arc<HeldFacts>) -> Self {
        Self { holds, facts }
    }

    /// What is known of the message.
    pub(crate) fn facts(&self) -> &HeldFacts {
        &self.facts
    }

    /// Waits for the decision.
    pub(crate) fn poll_decision(&self, cx: &mut Context<'_>) -> Poll<Decided> {
        self.holds.poll(self.facts.id, cx)
    }

    /// It is at the head of its lane now.
    pub(crate) fn come_up(&self) {
        self.holds.come_up(self.facts.id);
    }

    /// Another one is at the head of its lane now.
    pub(crate) fn step_down(&self) {
        self.holds.note(self.facts.id, |item| {
            item.is_head = false;
            (item.queued, item.queued_bytes) = (0, 0);
        });
    }

    /// Its lane ends, so that nothing that was decided can be done any more.
    pub(crate) fn orphan(&self) {
        self.holds.note(self.facts.id, |item| item.decision = None);
    }

    /// So much waits behind it.
    pub(crate) fn note_queue(&self, messages: usize, bytes: usize) {
        self.holds.note(self.facts.id, |item| {
            item.queued = messages;
            item.queued_bytes = bytes;
        });
    }

    /// Its time is over: what its rule wants happens, unless somebody said otherwise.
    pub(crate) fn expire(&self) {
        let decision = match self.holds.on_expire(self.facts.id) {
            OnExpire::Wait => return,
            OnExpire::Forward => Decision::Forward,
            OnExpire::Error => Decision::Refuse(expired(&self.facts)),
            OnExpire::Drop => Decision::Drop { is_silent: false },
        };
        // Where nobody waits for an answer, none is given.
        let decision = match self.facts.fits(&decision) {
            Ok(()) => decision,
            Err(_) => Decision::Drop { is_silent: false },
        };
        // Somebody may have been quicker.
        let _ = self.holds.decide(self.facts.id, decision, Actor::Timer);
    }
}

fn expired(facts: &HeldFacts) -> Refusal {
    let seconds = facts.budget.as_secs();
    Refusal::Error {
        code: OWN_ERROR,
        message: format!("The proxy held this message for {seconds} s without a decision."),
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.holds.take_out(self.facts.id);
    }
}
