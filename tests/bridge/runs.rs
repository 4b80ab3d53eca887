//! What a recording tells of the runs of a program behind HTTP.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shadowcat::config::{CommandServer, RecordConfig};
use shadowcat::engine::EngineHandle;

use crate::peer::*;

fn recording(server: CommandServer, path: &Path) -> EngineHandle {
    bridge(server, |config| {
        config.record = Some(RecordConfig {
            path: Some(path.to_owned()),
        });
    })
}

/// The first line and the last about the only run in a recording.
fn run_in(path: &Path) -> (Value, Value) {
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let run = lines.iter().find(|line| line["kind"] == "bridged_run").unwrap();
    let is_end = |line: &&Value| line["type"] == "exchange_end" && line["exchange"] == run["exchange"];
    let end = lines.iter().find(is_end).unwrap();
    (run.clone(), end.clone())
}

/// How the run of a program ends that is asked to begin a session.
async fn end_of(server: CommandServer) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.jsonl");
    let engine = recording(server, &path);
    Client::new(&engine).post(&initialize("2025-06-18")).await;
    engine.shut_down();
    let (_, end) = run_in(&path);
    json!([end["request_end"], end["response_end"], end["failure"]])
}

#[tokio::test]
async fn a_program_that_failed_or_was_killed_is_told_so_with_the_number() {
    assert_eq!(
        end_of(scripted("broken")).await,
        json!(["complete", "upstream_aborted", "the command exited with code 7"])
    );
    let killed = command("sh", &["-c", "read line; kill -KILL $$"]);
    assert_eq!(
        end_of(killed).await,
        json!([
            "complete",
            "upstream_aborted",
            "the command was ended by signal 9"
        ])
    );
}

#[tokio::test]
async fn a_program_that_ends_in_order_is_complete_and_one_that_has_to_be_stopped_is_cut() {
    assert_eq!(end_of(scripted("")).await, json!(["complete", "complete", null]));
    let deaf = command(
        "sh",
        &[
            "-c",
            "read line; echo '{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{},\"serverInfo\":{\"name\":\"deaf\",\"version\":\"1\"}}}'; exec sleep 600",
        ],
    );
    assert_eq!(end_of(deaf).await, json!(["cut_by_proxy", "cut_by_proxy", null]));
}

#[tokio::test]
async fn a_program_runs_in_the_directory_that_its_run_tells() {
    let folder = tempfile::tempdir().unwrap();
    let here = std::env::current_dir().unwrap();
    let elsewhere = folder.path().canonicalize().unwrap();
    let ways: [(Option<PathBuf>, &Path); 3] = [
        (None, &here),
        (Some("src".into()), &here.join("src")),
        (Some(elsewhere.clone()), &elsewhere),
    ];
    for (number, (cwd, expected)) in ways.into_iter().enumerate() {
        let path = folder.path().join(format!("{number}.jsonl"));
        let engine = recording(CommandServer { cwd, ..scripted("") }, &path);
        Client::new(&engine).post(&initialize("2025-06-18")).await;
        engine.shut_down();
        let (run, _) = run_in(&path);
        let fields = run["head"]["fields"].as_array().unwrap();
        assert!(
            fields.contains(&json!(["working directory", expected])),
            "{fields:?}"
        );
    }
}
