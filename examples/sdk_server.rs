//! The test server of the Rust SDK on standard input and output: for tests of the bridge.

#[path = "../tests/sdk/mod.rs"]
#[expect(dead_code, reason = "this program needs the server only")]
mod sdk;
#[path = "../tests/support/mod.rs"]
mod support;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    sdk::serve_on_stdio().await;
}
