//! Which JSON is plain HTTP: metadata and tokens of OAuth, refusals of a gateway, answers to a GET. It is no JSON-RPC and
//! nobody expected it to be.
//!
//! Source: MCP 2025-11-25, Transports (messages travel in POSTs and in what answers them), Authorization.

use crate::codec::envelope::{Envelope, EnvelopeProblem};
use crate::session::describe;
use crate::session::history::ExchangeRecord;
use crate::session::observation::{FrameObserved, NO_JSON_RPC};
use crate::snapshot::{Carrier, Direction};

use super::Ledger;
use super::exchanges::OpenExchange;

impl Ledger {
    /// Whether a body that looks like JSON is plain HTTP.
    pub(super) fn is_plain(&self, frame: &FrameObserved) -> bool {
        let is_json = !frame.messages.is_empty() || frame.unreadable.as_deref() == Some(NO_JSON_RPC);
        let says_rpc = envelopes(frame).any(|envelope| envelope.is_version_2);
        if frame.carrier != Carrier::Http || !is_json || says_rpc {
            return false;
        }
        self.exchanges
            .get(&frame.exchange)
            .is_some_and(|open| match frame.direction {
                Direction::ClientToServer => is_plain_request(open, frame),
                Direction::ServerToClient => is_plain_response(open, frame),
            })
    }
}

fn envelopes(frame: &FrameObserved) -> impl Iterator<Item = &Envelope> {
    frame.messages.iter().map(|placed| &placed.envelope)
}

/// A request that says nowhere that it is MCP, neither in its head nor by what is in it.
fn is_plain_request(open: &OpenExchange, frame: &FrameObserved) -> bool {
    let is_nothing = |envelope: &Envelope| envelope.problem == Some(EnvelopeProblem::NoKind);
    !expects_messages(&open.record) && envelopes(frame).all(is_nothing)
}

/// An answer to what was no message, or a refusal that does not speak JSON-RPC (RFC 6750, section 3; RFC 6749, section 5.2).
fn is_plain_response(open: &OpenExchange, frame: &FrameObserved) -> bool {
    let names_request = |envelope: &Envelope| envelope.id.as_ref().is_some_and(|id| !id.is_null());
    let is_answer = |envelope: &Envelope| names_request(envelope) || describe::error_code(envelope).is_some();
    let is_refusal = open.record.status().is_some_and(|status| status >= 400);
    let is_asked = open.has_asked || expects_messages(&open.record);
    !is_asked || is_refusal && !envelopes(frame).any(is_answer)
}

/// Whether a request's head is one of MCP. Where it is not known, it may be.
fn expects_messages(record: &ExchangeRecord) -> bool {
    let Some(head) = record.request_head() else {
        return true;
    };
    let is_telling = |(name, value): &(String, String)| {
        let name = name.to_ascii_lowercase();
        name.starts_with("mcp-")
            || name == "accept" && value.to_ascii_lowercase().contains("text/event-stream")
    };
    &*record.method == "POST" && head.fields.iter().any(is_telling)
}
