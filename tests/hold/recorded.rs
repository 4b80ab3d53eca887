//! A recording of held traffic has what came, what was decided and what went on.

use std::path::Path;

use serde_json::Value;
use shadowcat::config::RecordConfig;
use shadowcat::engine::Engine;
use shadowcat::intercept::interceptor::InterceptCommand;
use shadowcat::limits::ResourceLimits;
use shadowcat::resource::log_ring::LogRing;
use shadowcat::snapshot::{Command, Reply, Source};

use crate::support::stage::{Stage, call, json};
use crate::support::*;
use crate::{ask, end, held, only_held, request_at, ruled_with};

fn verdicts(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["type"] == "verdict").collect()
}

/// An edited call, a call that is refused by a rule, and one whose client leaves.
async fn act(stage: &mut Stage) {
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(stage.request("POST", "", &call(1, "edited"))).await;
    let id = only_held(stage).await;
    let text = Some(call(1, "other").replace("}}", r#","arguments":{"password":"hunter2"}}}"#));
    ask(stage, InterceptCommand::Edit { id, text }).await;
    ask(stage, InterceptCommand::Forward { id }).await;
    let mut upstream = stage.server.accept().await;
    assert!(request_at(&mut upstream).await.1.contains("hunter2"));
    upstream
        .send(json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#))
        .await;
    client.read_to_end().await;
    held(stage, 0).await;
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(stage.request("POST", "", &call(2, "refused"))).await;
    client.read_to_end().await;
    let mut client = RawPeer::connect(address(&stage.engine)).await;
    client.send(stage.request("POST", "", &call(3, "left"))).await;
    only_held(stage).await;
    client.reset();
    held(stage, 0).await;
}

#[tokio::test]
async fn each_verdict_is_in_the_recording_and_on_the_screen_that_opens_it() {
    const RULES: &str = "[[rule]]\nname = \"look\"\nwhen = \"dir:c2s tool:edited | dir:c2s tool:left\"\nthen = \"hold\"\n\
        [[rule]]\nname = \"no\"\nwhen = \"tool:refused\"\nrefuse = { code = -32000, message = \"no\" }\n";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("held.jsonl");
    let mut stage = ruled_with(RULES, |config| {
        config.record = Some(RecordConfig {
            path: Some(path.clone()),
        });
    })
    .await;
    act(&mut stage).await;
    let Stage { engine, frontend, .. } = stage;
    drop(frontend);
    end(engine).await;

    let lines = verdicts(&path);
    let told: Vec<(&str, &str, Option<&str>)> = lines
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str();
            (text("rule").unwrap(), text("actor").unwrap(), text("ending"))
        })
        .collect();
    let expected = [
        ("look", "rule", None),
        ("look", "key", Some("edited")),
        ("no", "rule", Some("refused")),
        ("look", "rule", None),
        ("look", "peer", Some("orphaned")),
    ];
    assert_eq!(told, expected);
    let sent = lines[1]["sent"].as_str().unwrap();
    assert!(
        sent.contains(r#""name":"other""#) && !sent.contains("hunter2"),
        "{sent}"
    );
    assert_eq!(
        (&lines[1]["hold"], &lines[0]["hold"]),
        (&lines[0]["hold"], &lines[1]["hold"])
    );
    assert!(lines[1]["held_us"].as_u64().unwrap() > 0);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("edited"), "what came is recorded too");

    let shown = rewrites(&path).await;
    for words in [
        "then edited by hand",
        "refused by the rule `no`",
        "then orphaned because its sender gave up",
        r#"row edited by hand: {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"other""#,
        r#"row refused by rule:no: {"jsonrpc":"2.0","id":2,"error":{"code":-32000"#,
        "row orphaned because its sender gave up: ",
    ] {
        assert!(
            shown.iter().any(|text| text.contains(words)),
            "{words}: {shown:#?}"
        );
    }
}

/// What the screen says was decided about the messages of a recording, and what it shows of what was sent.
async fn rewrites(path: &Path) -> Vec<String> {
    let engine = Engine::open(path, &ResourceLimits::default(), LogRing::default()).unwrap();
    let mut frontend = engine.frontend().unwrap();
    // The last line of all is a verdict: all rows are there before it.
    snapshot_when(&mut frontend, "all of the recording", |snapshot| {
        matches!(&snapshot.source, Source::File { read_bytes, total_bytes, .. }
            if *total_bytes > 0 && read_bytes == total_bytes)
    })
    .await;
    let mut found = Vec::new();
    for row in rows(&frontend).await {
        let Ok(Reply::Detail(detail)) = frontend.commands.ask(Command::Inspect { id: row.id }).await else {
            panic!("no detail");
        };
        if let Some(verdict) = &detail.row.verdict {
            let sent = detail.sent.as_ref().map_or(&b""[..], |sent| &sent.bytes);
            let sent = String::from_utf8_lossy(sent);
            found.push(format!("row {} {}: {sent}", verdict.deed(), verdict.by()));
        }
        found.extend(
            detail
                .exchange
                .into_iter()
                .flat_map(|exchange| exchange.body_rewrites),
        );
    }
    found
}
