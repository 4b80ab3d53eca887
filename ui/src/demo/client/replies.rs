//! What the demonstration's clients answer when the server asks them.

use serde_json::{Value, json};

use crate::demo::wire::{Fault, METHOD_NOT_FOUND};

/// What the clients say they can do.
pub(super) fn capabilities() -> Value {
    json!({ "sampling": {}, "elicitation": {}, "roots": { "listChanged": false } })
}

/// Who the clients say they are.
pub(super) fn client_info() -> Value {
    json!({ "name": "shadowcat-demo-client", "version": env!("CARGO_PKG_VERSION") })
}

/// The answer to a request of the server.
///
/// # Errors
/// "Method not found" for anything else.
pub(super) fn reply(method: &str) -> Result<Value, Fault> {
    match method {
        "ping" => Ok(json!({})),
        "sampling/createMessage" => Ok(json!({
            "role": "assistant",
            "content": { "type": "text", "text": "The cat, and not even by a whisker. \u{1f408}" },
            "model": "demo-model-1",
            "stopReason": "endTurn",
        })),
        "elicitation/create" => Ok(json!({ "action": "accept", "content": { "name": "Ada" } })),
        "roots/list" => Ok(json!({ "roots": [{ "uri": "file:///home/ada/cats", "name": "cats" }] })),
        _ => Err(Fault::new(
            METHOD_NOT_FOUND,
            format!("there is no method `{method}` here"),
        )),
    }
}
