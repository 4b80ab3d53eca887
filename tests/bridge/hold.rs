//! Messages that are held on their way to a command and back.

use serde_json::json;
use shadowcat::engine::EngineHandle;
use shadowcat::intercept::interceptor::InterceptCommand;

use crate::peer::*;
use crate::support::holding::{breakpoint, decide, held_one, held_rows};

fn armed(when: &str) -> EngineHandle {
    bridge(scripted(""), |config| {
        config.can_hold = true;
        config.rules = vec![breakpoint(when)];
    })
}

#[tokio::test]
async fn a_call_is_held_before_the_command_sees_it_and_goes_on_edited() {
    let engine = armed("method:tools/call dir:c2s");
    let mut frontend = engine.frontend().unwrap();
    let client = Client::in_session(&engine, "2025-06-18").await;
    let deciding = async {
        let id = held_one(&mut frontend).await;
        let text = Some(call("1", "echo", r#"{"text":"edited, and longer"}"#));
        decide(&frontend, InterceptCommand::Edit { id, text }).await;
        decide(&frontend, InterceptCommand::Forward { id }).await;
    };
    let body = call("1", "echo", r#"{"text":"a"}"#);
    let (answer, ()) = tokio::join!(client.post(&body), deciding);
    let expected = json!({"text": "edited, and longer"});
    assert_eq!(answer.json()["result"]["arguments"], expected);
}

#[tokio::test]
async fn an_answered_call_is_none_for_the_command() {
    let engine = armed("method:tools/call dir:c2s tool:exit");
    let mut frontend = engine.frontend().unwrap();
    let client = Client::in_session(&engine, "2025-06-18").await;
    let deciding = async {
        let id = held_one(&mut frontend).await;
        let result = r#"{"mine":true}"#.to_owned();
        decide(&frontend, InterceptCommand::Answer { id, result }).await;
        held_rows(&mut frontend, 0).await;
    };
    let body = call("7", "exit", "{}");
    let (answer, ()) = tokio::join!(client.post(&body), deciding);
    let expected = json!({"jsonrpc": "2.0", "id": 7, "result": {"mine": true}});
    assert_eq!(answer.json(), expected);
    // It is still there.
    assert_eq!(client.post(&call("8", "echo", "{}")).await.status, 200);
}

#[tokio::test]
async fn the_answer_of_a_command_is_held_and_edited() {
    let engine = armed("method:tools/call dir:s2c");
    let mut frontend = engine.frontend().unwrap();
    let client = Client::in_session(&engine, "2025-06-18").await;
    let deciding = async {
        let id = held_one(&mut frontend).await;
        let text = Some(r#"{"jsonrpc":"2.0","id":1,"result":{"edited":true}}"#.to_owned());
        decide(&frontend, InterceptCommand::Edit { id, text }).await;
        decide(&frontend, InterceptCommand::Forward { id }).await;
    };
    let body = call("1", "echo", "{}");
    let (answer, ()) = tokio::join!(client.post(&body), deciding);
    let is_stream = answer.field("content-type") == Some("text/event-stream");
    let message = if is_stream {
        answer.events().pop().unwrap()
    } else {
        answer.json()
    };
    assert_eq!(message["result"], json!({"edited": true}));
}
