//! A conversation that is over.

use super::Talk;
use crate::replay::drive::call::{End, State, Told};

/// A conversation that is over.
pub(in crate::replay::drive) struct Said<'a> {
    pub(super) talk: Talk<'a>,
    pub(in crate::replay::drive) end: End,
}

impl<'a> Said<'a> {
    /// The request that waits for its answer, or that would have been next; empty if there is none.
    fn unanswered(&self) -> &'a str {
        let calls = self.talk.calls.iter().zip(&self.talk.plan.calls);
        let is_unanswered = |state: &State| matches!(state, State::Open | State::Planned | State::Failed(_));
        let mut unanswered = calls.filter(|(call, _)| is_unanswered(&call.state));
        unanswered.next().map_or("", |(_, planned)| &planned.method)
    }

    /// The same, ended by the server for this reason, if it was the server.
    pub(in crate::replay::drive) fn because(mut self, why: Option<String>) -> Self {
        if let (End::ByServer(known), Some(why)) = (&mut self.end, why) {
            *known = why;
        }
        self
    }

    /// What came of it.
    pub(in crate::replay::drive) fn told(mut self) -> Told {
        Told {
            unreachable: self.talk.unreachable.take().filter(|_| !self.talk.has_answered),
            unanswered: self.unanswered().to_owned(),
            remarks: self.talk.remarks(),
            stray: std::mem::take(&mut self.talk.stray),
            rows: self.talk.rows(&self.end),
            end: self.end,
        }
    }
}
