//! What a server asks during a call that was sent again from here: nobody is asked about a call that nobody made, so it is
//! answered here.
//!
//! In the response to a copy all questions are about it (MCP 2025-11-25, Transports: requests on the stream of a POST relate
//! to its request). On pipes, and in the one stream of an HTTP+SSE session, no message says what it is about: there a
//! question is about the copy if no call of the client is open, and else it goes to the client.

use std::time::Duration;

use crate::codec::envelope::{Envelope, MessageKind};
use crate::intercept::rule::{Refusal, Verdict, WhileHeld};
use crate::snapshot::Direction;
use crate::transport::answer::RPC_CODE;
use crate::transport::exchange::AskedOf;

use super::{Chosen, Lane, Noted};

/// What the server hears in place of an answer of the client.
const NOT_ASKED: &str = "The call was sent again by a debugger; its client is not asked.";

impl Lane {
    /// Whether it is a request of the server that is taken to be about a copy.
    pub(super) fn is_asked_of_copy(&self, noted: &Noted) -> bool {
        let asked = question(noted).filter(|_| self.direction == Direction::ServerToClient);
        asked.is_some_and(|asked| self.exchange.asked_of(asked) == AskedOf::Copy)
    }

    /// What is said to a request of the server in the place of a client; `None` if it is none.
    pub(super) fn answer_to_question(&self, noted: &Noted) -> Option<Chosen> {
        if self.direction == Direction::ClientToServer {
            return None;
        }
        let verdict = if question(noted)?.method.as_deref() == Some("ping") {
            Verdict::Answer {
                result: "{}".to_owned(),
            }
        } else {
            Verdict::Refuse(Refusal::Error {
                code: RPC_CODE,
                message: NOT_ASKED.to_owned(),
            })
        };
        Some(Chosen {
            name: "sent again".into(),
            verdict,
            on_expire: None,
            while_held: WhileHeld::default(),
            delay: Duration::ZERO,
        })
    }
}

/// The one request that a frame is.
fn question(noted: &Noted) -> Option<&Envelope> {
    let [message] = &noted.messages[..] else {
        return None;
    };
    let envelope = &message.envelope;
    (envelope.kind == MessageKind::Request).then_some(envelope)
}
