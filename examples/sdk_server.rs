//! The test server of the Rust SDK, for tests of the bridge and for clients of other SDKs: on standard input and output,
//! or with the argument `http` over HTTP on a free port of the loopback, until its standard input ends.

#![expect(clippy::print_stderr, reason = "whoever starts it has to know the port")]

#[path = "../tests/sdk/mod.rs"]
#[expect(
    dead_code,
    clippy::wildcard_imports,
    reason = "it is a part of tests, of which this program needs the server only"
)]
mod sdk;
#[path = "../tests/support/mod.rs"]
mod support;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if std::env::args().nth(1).as_deref() == Some("http") {
        let server = sdk::SdkServer::start().await;
        eprintln!("test server on port {}", server.address.port());
        let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await;
    } else {
        sdk::serve_on_stdio().await;
    }
}
