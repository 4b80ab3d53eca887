//! A recording of 2026-07-28, which has no handshake, in front of a server that may be older.

use serde_json::{Value, json};

use super::{Plan, outcomes, result, talked, tape};
use crate::intercept::filter::Filter;
use crate::replay::drive::DriveOptions;
use crate::replay::drive::call::{End, Told};
use crate::replay::tape::Tape;

fn modern(id: u32, method: &str, name: &str) -> (char, Value) {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let mut params = json!({"_meta": meta});
    if !name.is_empty() {
        params["name"] = name.into();
    }
    (
        '>',
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}),
    )
}

/// A client that calls a tool without a word before.
fn abrupt() -> Tape {
    tape(&[
        modern(1, "tools/call", "a"),
        result(1, &json!({"resultType": "complete", "content": []})),
    ])
}

/// One that looks first whom it speaks to.
fn polite() -> Tape {
    tape(&[
        modern(1, "server/discover", ""),
        result(
            1,
            &json!({"resultType": "complete", "supportedVersions": ["2026-07-28"]}),
        ),
        modern(2, "tools/call", "a"),
        result(2, &json!({"resultType": "complete", "content": []})),
    ])
}

fn newer(message: &Value) -> Vec<Value> {
    let result = match message["method"].as_str() {
        Some("server/discover") => {
            json!({"resultType": "complete", "supportedVersions": ["2026-07-28"]})
        }
        _ => json!({"resultType": "complete", "content": []}),
    };
    vec![json!({"jsonrpc": "2.0", "id": message["id"], "result": result})]
}

async fn sent(tape: &Tape, only: &str, serve: impl FnMut(&Value) -> Vec<Value>) -> (Told, Vec<String>) {
    let (told, heard) = talked(tape, only, &DriveOptions::default(), serve).await;
    let method = |message: &Value| message["method"].as_str().unwrap_or_default().to_owned();
    (told, heard.iter().map(method).collect())
}

#[tokio::test(start_paused = true)]
async fn a_newer_server_is_asked_who_it_is_and_that_is_no_row_unless_it_was_recorded() {
    let (told, heard) = sent(&abrupt(), "", newer).await;
    assert_eq!(outcomes(&told.rows), ["same tools/call a"]);
    assert_eq!(heard, ["server/discover", "tools/call"]);

    let (told, heard) = sent(&polite(), "", newer).await;
    assert_eq!(
        outcomes(&told.rows),
        ["same server/discover", "same tools/call a"]
    );
    assert_eq!(heard, ["server/discover", "tools/call"]);

    let (told, heard) = sent(&polite(), "tool:a", newer).await;
    assert_eq!(outcomes(&told.rows), ["same tools/call a"]);
    assert_eq!(heard, ["server/discover", "tools/call"]);
}

#[tokio::test(start_paused = true)]
async fn an_older_server_is_asked_nothing_else_and_the_sentence_says_why() {
    for tape in [abrupt(), polite()] {
        let older = |message: &Value| {
            let error = json!({"code": -32601, "message": "Method not found"});
            vec![json!({"jsonrpc": "2.0", "id": message["id"], "error": error})]
        };
        let (told, heard) = sent(&tape, "", older).await;
        assert_eq!(heard, ["server/discover"]);
        assert_eq!(outcomes(&told.rows).last().unwrap(), "unsent tools/call a");
        let End::Refused { why, advice, .. } = told.end else {
            panic!("{:?}", told.end);
        };
        assert!(why.contains("-32601: Method not found"), "{why}");
        assert!(advice.contains("older revision"), "{advice}");

        let (told, heard) = sent(&tape, "", |_| Vec::new()).await;
        assert_eq!(heard, ["server/discover"]);
        assert!(
            matches!(told.end, End::Refused { advice, .. } if advice.contains("older revision")),
            "a server that does not answer before a handshake"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_left_the_revision_behind_is_not_called_older() {
    let left_behind = |message: &Value| {
        let error = json!({"code": -32022, "message": "Unsupported protocol version"});
        vec![json!({"jsonrpc": "2.0", "id": message["id"], "error": error})]
    };
    let (told, _) = sent(&polite(), "", left_behind).await;
    assert!(
        matches!(told.end, End::Refused { advice, .. } if advice.contains("left this revision behind")),
        "{:?}",
        told.end
    );
}

#[test]
fn a_server_that_was_not_there_then_is_not_asked_who_it_is() {
    let tape = tape(&[modern(1, "tools/call", "a")]);
    let plan = Plan::new(&tape, &Filter::default());
    assert_eq!(plan.requests(), 1);
}
