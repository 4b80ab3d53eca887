//! A test against a recording instead of a server.
//!
//!     cargo run --example mock_server [RECORDING]
//!
//! The client is that of the Rust SDK; it calls the tool `echo` as it was called when the recording was made, and once
//! in a way in which it was not.

#![expect(clippy::print_stdout, reason = "whoever starts it reads what it prints")]

use std::error::Error;

use rmcp::model::{CallToolRequestParams, ClientConfig, JsonObject};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientLifecycleMode, ClientServiceExt as _};
use serde_json::json;
use shadowcat::replay::MockServer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // Fails only if a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let recording = std::env::args().nth(1);
    let recording = recording.unwrap_or_else(|| "recordings/legacy-http.jsonl".to_owned());
    let mock = MockServer::from_recording(recording).start().await?;

    let config = StreamableHttpClientTransportConfig::with_uri(mock.url());
    let http = reqwest::Client::builder().no_proxy().build()?;
    let transport = StreamableHttpClientTransport::with_client(http, config);
    let client = ClientConfig::default()
        .serve_with_lifecycle(transport, ClientLifecycleMode::Initialize)
        .await?;
    let echo = |message: &str| {
        let arguments = JsonObject::from_iter([("message".to_owned(), json!(message))]);
        client.call_tool(CallToolRequestParams::new("echo").with_arguments(arguments))
    };
    println!("recorded: {}", serde_json::to_string(&echo("hello ☃").await?)?);
    match echo("something else").await {
        Ok(answer) => println!("not recorded: {}", serde_json::to_string(&answer)?),
        Err(error) => println!("not recorded: {error}"),
    }
    client.cancel().await?;

    mock.assert_called("tools/call", Some("echo"));
    for call in mock.calls() {
        println!("asked: {call}");
    }
    mock.stop().await;
    Ok(())
}
