//! HTTP in front of commands: real programs, raw clients, and the Rust SDK on both ends.

#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking, and its helpers too"
)]

mod again;
mod hold;
mod http_sse;
mod legacy;
mod modern;
mod peer;
#[path = "../support/recorded.rs"]
mod recorded;
mod runs;
#[path = "../sdk/mod.rs"]
#[expect(dead_code, reason = "this program looks at less of it than another")]
mod sdk;
mod sdks;
mod stops;
#[path = "../support/mod.rs"]
mod support;
mod wire;
