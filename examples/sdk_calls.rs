//! Calls tools with the Rust SDK and prints what came of each as JSON.
//!
//!     sdk_calls URL legacy|auto '[{"name": …, "arguments": {…}}, …]'

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "whoever starts it reads what it prints, and sees it fail by panicking"
)]

use std::env;
use std::time::Duration;

use rmcp::model::{CallToolRequestParams, ClientConfig, ProtocolVersion};
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientLifecycleMode, ClientServiceExt as _};
use serde_json::{Value, json};

/// Far more than an answer takes.
const STEP: Duration = Duration::from_secs(30);

async fn outcome(client: &RunningService<RoleClient, ClientConfig>, call: &Value) -> Value {
    let mut params = CallToolRequestParams::new(call["name"].as_str().unwrap().to_owned());
    if let Some(arguments) = call["arguments"].as_object() {
        params = params.with_arguments(arguments.clone());
    }
    match tokio::time::timeout(STEP, client.call_tool(params)).await {
        Ok(Ok(result)) => json!({"content": serde_json::to_value(result).unwrap()["content"]}),
        Ok(Err(error)) => json!({"error": error.to_string()}),
        Err(_) => json!({"error": "no answer"}),
    }
}

async fn calls(url: &str, mode: &str, wanted: &[Value]) -> Value {
    let lifecycle = if mode == "auto" {
        ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        }
    } else {
        ClientLifecycleMode::Initialize
    };
    let transport = StreamableHttpClientTransport::from_uri(url);
    let connecting = ClientConfig::default().serve_with_lifecycle(transport, lifecycle);
    let client = match tokio::time::timeout(STEP, connecting).await {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => return json!({"end": error.to_string(), "outcomes": []}),
        Err(_) => return json!({"end": "no handshake", "outcomes": []}),
    };
    let mut outcomes = Vec::new();
    for call in wanted {
        outcomes.push(outcome(&client, call).await);
    }
    // A server that has gone meanwhile is none of its business.
    let _ = client.cancel().await;
    json!({"outcomes": outcomes})
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // The HTTP client of the SDK is built for a provider that the program chooses.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [url, mode, wanted] = &arguments[..] else {
        panic!("three arguments");
    };
    let wanted: Vec<Value> = serde_json::from_str(wanted).unwrap();
    println!("{}", calls(url, mode, &wanted).await);
}
