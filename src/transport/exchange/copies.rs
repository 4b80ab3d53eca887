//! Whom a server asks while a copy of a call is open that was sent again from here.

use crate::codec::envelope::{Envelope, MessageKind};
use crate::codec::rpc_id::RpcId;
use crate::snapshot::{Direction, Finding, Severity};

use super::Exchange;

/// Whom a request of the server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskedOf {
    /// No copy is open that it could be about.
    Client,
    /// A copy: no call of the client is open.
    Copy,
    /// It cannot be told: a copy is open, and a call of the client.
    Either,
}

impl Exchange {
    /// Whom a server asks where answers to copies come among those to the client: on pipes, and in an HTTP+SSE session.
    /// A `ping` is about no call, and for the client.
    pub(crate) fn asked_of(&self, question: &Envelope) -> AskedOf {
        let holds = &self.hub.interceptor.holds;
        let is_question = question.kind == MessageKind::Request && question.method.as_deref() != Some("ping");
        let session = self.session().filter(|_| is_question && holds.has_wishes());
        let Some(session) = session else {
            return AskedOf::Client;
        };
        let copies = holds.awaited_in(session.id);
        if copies.is_empty() {
            return AskedOf::Client;
        }
        let is_copy = |id: &RpcId| id.token().is_some_and(|id| copies.iter().any(|copy| copy == id));
        let talk = session.talk();
        let mut open = talk.pairing.open_ids(Direction::ClientToServer);
        if open.all(is_copy) {
            AskedOf::Copy
        } else {
            AskedOf::Either
        }
    }

    /// What is remarkable about a question that may not be for the client that gets it.
    pub(super) fn doubt(&self, direction: Direction, asked: &Envelope) -> Option<Finding> {
        let is_doubtful = direction == Direction::ServerToClient && self.asked_of(asked) == AskedOf::Either;
        is_doubtful.then(|| Finding {
            severity: Severity::Warning,
            text: "it may be about a request that was sent again from here; a call of the client is open too, so the client is asked"
                .to_owned(),
        })
    }
}
