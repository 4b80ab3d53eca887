//! A request that is sent again, and an answer in the place of a client, wherever the client is: nobody but the server hears
//! of it, and it takes the way that the client's own requests take.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]
#![expect(
    unreachable_pub,
    reason = "the helpers of this program are public to its parts only"
)]

mod copies;
mod elsewhere;
mod instead;
#[path = "../intercept/peers.rs"]
#[expect(dead_code, reason = "this program looks at less of it than another")]
mod peers;
#[path = "../support/mod.rs"]
mod support;

/// A call that is no other in its test.
const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;

/// The call under another id.
fn under(id: &str) -> String {
    CALL.replace("\"id\":1", &format!("\"id\":{id}"))
}

fn result_of(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)
}
