//! What is refused because a server like the recorded one would refuse it too.

use serde_json::{Value, json};

use super::MISSED;
use super::core::Core;
use super::needs::Need;
use super::plan::{Decision, Plan, Request};
use super::record::Found;
use crate::codec::envelope::Field;
use crate::mcp::era;

/// What the protocol has for a method that a server does not know (JSON-RPC 2.0).
const METHOD_NOT_FOUND: i64 = -32_601;
/// What the protocol has for questions that a client cannot be asked (MCP 2026-07-28, "Error codes").
const MISSING_CAPABILITY: i64 = -32_021;
/// What the protocol has for a revision that a server does not speak (MCP 2026-07-28, "Error codes").
const UNSUPPORTED_VERSION: i64 = -32_022;

fn refused(found: Found, error: Value, note: String) -> Decision {
    let plan = Plan::Error { error, status: 400 };
    Decision {
        plan,
        found,
        recorded: None,
        note: Some(note),
    }
}

impl Core {
    /// Those of the equal scripts that this client can be given, in their order.
    ///
    /// # Errors
    /// What it is answered if there is none: its headers contradict its body, or it cannot be asked what all of them ask.
    pub(super) fn playable(
        &self,
        request: &Request,
        mut alike: Vec<usize>,
    ) -> Result<Vec<usize>, Box<Decision>> {
        let is_mismatch = |place: &usize| self.library.scripts[*place].said.is_mismatch;
        if let Some(refusal) = contradiction(request) {
            // The recorded server may have said it in words of its own.
            alike.retain(is_mismatch);
            return if alike.is_empty() {
                Err(Box::new(refusal))
            } else {
                Ok(alike)
            };
        }
        if !alike.iter().all(is_mismatch) {
            alike.retain(|place| !is_mismatch(place));
        }
        let lacks = |place: &usize| {
            let mut needs = self.library.scripts[*place].needs.iter();
            needs.find(|need| !need.is_met(&request.capabilities)).copied()
        };
        match alike.first().and_then(lacks) {
            Some(need) if alike.iter().all(|place| lacks(place).is_some()) => Err(Box::new(not_asked(need))),
            _ => {
                alike.retain(|place| lacks(place).is_none());
                Ok(alike)
            }
        }
    }

    /// A client of the era that was not recorded learns it in the way of that era, so that it can fall back.
    pub(super) fn other_era(&self, request: &Request) -> Option<Decision> {
        if request.is_modern && !self.library.has_modern {
            return Some(modern_to_legacy(request));
        }
        if era::is_legacy_handshake(&request.envelope) && !self.library.has_legacy {
            let asked = request.envelope.fields.get(Field::ParamsProtocolVersion);
            let supported = &self.library.modern_revisions;
            let message = format!(
                "Unsupported protocol version; the recording has {} only, which knows no `initialize`",
                supported.join(", ")
            );
            let data = json!({"supported": supported, "requested": asked});
            let error = json!({"code": UNSUPPORTED_VERSION, "message": message, "data": data});
            let note = "a handshake, of which the recording has none".to_owned();
            return Some(refused(Found::Missed, error, note));
        }
        None
    }
}

/// Whoever knows both eras asks for the newer one first: to a server of the older one that is a method it does not have.
fn modern_to_legacy(request: &Request) -> Decision {
    let data = json!({"origin": "shadowcat", "reason": "other_era"});
    if request.method == "server/discover" {
        let message =
            "Method not found: the recording has no traffic of 2026-07-28 or later; begin with `initialize`.";
        let error = json!({"code": METHOD_NOT_FOUND, "message": message, "data": data});
        let note = "method not found, as a server says that knows no 2026-07-28".to_owned();
        return refused(Found::Refused, error, note);
    }
    let message = "The recording has no traffic of 2026-07-28 or later; begin with `initialize`.";
    let error = json!({"code": MISSED, "message": message, "data": data});
    refused(
        Found::Missed,
        error,
        "a modern request to a recording without any".to_owned(),
    )
}

/// What a request gets whose headers do not say what its body says.
///
/// Source: MCP 2026-07-28, Transports, "Standard Request Headers".
pub(super) fn contradiction(request: &Request) -> Option<Decision> {
    let (code, text) = request.contradiction.as_ref()?;
    let data = json!({"origin": "shadowcat", "reason": "invalid_request"});
    let error = json!({"code": code, "message": text, "data": data});
    Some(refused(Found::Refused, error, text.clone()))
}

fn not_asked(need: Need) -> Decision {
    let message = format!(
        "The recorded answer asks the client something that needs its capability `{}`, which it has not declared.",
        need.name()
    );
    let data = json!({"requiredCapabilities": need.declared()});
    let error = json!({"code": MISSING_CAPABILITY, "message": message, "data": data});
    let note = format!("the client has not declared `{}`", need.name());
    refused(Found::Refused, error, note)
}
