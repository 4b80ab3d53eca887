//! A stdio client in front of an HTTP server: lines in, requests out, answers back as lines.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

mod codings;
mod ends;
mod refusals;
#[path = "../sdk/mod.rs"]
mod sdk;
mod sdks;
mod sessions;
mod shim;
#[path = "../support/mod.rs"]
mod support;
