//! The Rust SDK as a client of every recording.

use rmcp::model::{CallToolRequestParams, ClientConfig, ProtocolVersion};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientLifecycleMode, ClientServiceExt as _};
use serde_json::Value;
use shadowcat::replay::tape::{TapeCall, TapeSession};
use shadowcat::replay::{MockServer, RunningMock};
use shadowcat::snapshot::Era;

use crate::peer::client;
use crate::support::soon;
use crate::{recordings, tape};

fn value(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

/// Calls of tools whose answer does not depend on what the client says on the way.
fn plain_calls(session: &TapeSession) -> Vec<(&TapeCall, Value, Value)> {
    let of = |call: &'_ TapeCall| {
        let request = value(&session.messages[call.request].text);
        let answer = value(&session.messages[call.answer?].text);
        let is_plain = &*call.method == "tools/call" && answer["result"]["resultType"] != "input_required";
        let is_round = !request["params"]["inputResponses"].is_null();
        (is_plain && !is_round).then_some((request, answer))
    };
    session
        .client_calls()
        .filter_map(|call| of(call).map(|(request, answer)| (call, request, answer)))
        .collect()
}

async fn call_all(session: &TapeSession, mock: &RunningMock) -> usize {
    let config = StreamableHttpClientTransportConfig::with_uri(mock.url());
    let transport = StreamableHttpClientTransport::with_client(client(), config);
    let lifecycle = match session.era {
        Era::Legacy => ClientLifecycleMode::Initialize,
        Era::Modern => ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        },
    };
    let connecting = ClientConfig::default().serve_with_lifecycle(transport, lifecycle);
    let client = soon("a handshake", Box::pin(connecting)).await.unwrap();
    let calls = plain_calls(session);
    for (_, request, answer) in &calls {
        let name = request["params"]["name"].as_str().unwrap().to_owned();
        let mut params = CallToolRequestParams::new(name.clone());
        if let Some(arguments) = request["params"]["arguments"].as_object() {
            params = params.with_arguments(arguments.clone());
        }
        let told = soon(&format!("an answer of {name}"), client.call_tool(params)).await;
        match told {
            Ok(result) => {
                let result = serde_json::to_value(result).unwrap();
                assert_eq!(result["content"], answer["result"]["content"], "{name}");
            }
            Err(error) => {
                let message = answer["error"]["message"].as_str().unwrap();
                assert!(error.to_string().contains(message), "{error}");
            }
        }
    }
    soon("the client's leaving", client.cancel()).await.unwrap();
    calls.len()
}

#[tokio::test]
async fn the_rust_sdk_gets_the_recorded_results_of_every_recording() {
    let mut called = 0;
    for path in recordings() {
        // What a server that did not run answers: no client gets beyond it.
        if path.ends_with("unreachable.jsonl") {
            continue;
        }
        let tape = tape(&path);
        for session in tape
            .sessions
            .iter()
            .filter(|session| session.client_calls().count() > 1)
        {
            let mock = MockServer::from_recording(&path).start().await.unwrap();
            called += call_all(session, &mock).await;
            mock.assert_no_misses();
        }
    }
    assert!(called > 30, "only {called} calls");
}
