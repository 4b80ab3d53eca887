//! The official Rust SDK on both sides of a held call, and the headers that follow an edit.

use rmcp::model::CallToolRequestParams;
use serde_json::json as value;
use shadowcat::intercept::interceptor::{InterceptCommand, InterceptReply};

use crate::sdk::{SdkServer, Speaks, Way, connect};
use crate::support::stage::{Stage, json};
use crate::support::*;
use crate::{armed, ask, breakpoint, held, only_held, request_at};

#[tokio::test]
async fn an_sdk_server_gets_the_changed_argument_and_the_client_its_result() {
    for speaks in [Speaks::Legacy, Speaks::Modern] {
        let server = SdkServer::start().await;
        let engine = engine_with(&[&server.url()], |config| {
            config.can_hold = true;
            config.rules = vec![breakpoint("tool:echo dir:c2s")];
        });
        let way = Way {
            url: format!("http://{}/mcp", address(&engine)),
            proxy: None,
        };
        let client = connect(&way, speaks, "held").await;
        let mut stage = Stage {
            server: RawServer::bind().await,
            frontend: engine.frontend().unwrap(),
            engine,
        };
        let arguments = serde_json::from_value(value!({"city": "Rome", "days": 3})).unwrap();
        let calling = client.call_tool(CallToolRequestParams::new("echo").with_arguments(arguments));
        let deciding = async {
            let rows = held(&mut stage, 1).await;
            assert_eq!(rows[0].client.as_deref(), Some("held"));
            let id = rows[0].id;
            let InterceptReply::Message(message) = ask(&stage, InterceptCommand::Show { id }).await else {
                panic!("no message");
            };
            let text = Some(message.original.replace("Rome", "Oslo"));
            ask(&stage, InterceptCommand::Edit { id, text }).await;
            ask(&stage, InterceptCommand::Forward { id }).await;
        };
        let (result, ()) = soon("the call", Box::pin(async { tokio::join!(calling, deciding) })).await;
        let result = serde_json::to_string(&result.unwrap()).unwrap();
        assert!(
            result.contains("Oslo") && !result.contains("Rome"),
            "{speaks:?}: {result}"
        );
        soon("the client's leaving", client.cancel()).await.unwrap();
    }
}

/// A request of the modern era.
fn modern(stage: &Stage, fields: &str, method: &str, params: &str) -> String {
    let host = address(&stage.engine);
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}{meta}}}}}"#);
    format!(
        "POST /mcp HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn headers_that_repeat_a_modern_call_follow_its_edit() {
    let mut stage = armed(breakpoint("method:tools/call dir:c2s")).await;
    let tool = |name: &str, header: &str| {
        format!(
            r#"{{"name":"{name}","inputSchema":{{"type":"object","properties":{{"city":{{"type":"string","x-mcp-header":"{header}"}}}}}}}}"#
        )
    };
    let tools = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"resultType":"complete","tools":[{},{}]}}}}"#,
        tool("weather", "City"),
        tool("climate", "Town")
    );
    stage
        .exchange(&modern(&stage, "", "tools/list", ""), &json(&tools))
        .await;
    let fields = "Mcp-Name: weather\r\nMcp-Param-City: Rome\r\n";
    let params = r#""name":"weather","arguments":{"city":"Rome"},"#;
    for (from, to, expected) in [
        (
            "\"Rome\"",
            "\"Oslo\"",
            ["mcp-name: weather\r\n", "mcp-param-city: oslo\r\n"],
        ),
        (
            "weather",
            "climate",
            ["mcp-name: climate\r\n", "mcp-param-town: rome\r\n"],
        ),
    ] {
        let mut client = RawPeer::connect(address(&stage.engine)).await;
        client.send(modern(&stage, fields, "tools/call", params)).await;
        let id = only_held(&mut stage).await;
        let InterceptReply::Message(message) = ask(&stage, InterceptCommand::Show { id }).await else {
            panic!("no message");
        };
        let text = Some(message.original.replace(from, to));
        ask(&stage, InterceptCommand::Edit { id, text }).await;
        ask(&stage, InterceptCommand::Forward { id }).await;
        let mut upstream = stage.server.accept().await;
        let (head, body) = request_at(&mut upstream).await;
        let head = head.to_ascii_lowercase();
        assert!(body.contains(to), "{body}");
        for field in expected {
            assert!(head.contains(field), "{to}: {head}");
        }
        assert_eq!(head.matches("mcp-param-").count(), 1, "{head}");
        upstream
            .send(json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#))
            .await;
        client.read_to_end().await;
        held(&mut stage, 0).await;
    }
}
