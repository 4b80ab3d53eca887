//! The recordings of this repository open, whole, and show what their page says.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

mod support;

use std::path::{Path, PathBuf};

use shadowcat::engine::Engine;
use shadowcat::frontend::Frontend;
use shadowcat::ids::ProxySessionId;
use shadowcat::limits::ResourceLimits;
use shadowcat::resource::log_ring::LogRing;
use shadowcat::snapshot::{
    Carrier, Command, Era, MessageRow, Outcome, Reply, RowKind, RowState, SessionState, Snapshot, Source,
};
use support::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings")
}

async fn open(
    name: &str,
) -> (
    shadowcat::engine::EngineHandle,
    Frontend,
    Snapshot,
    Vec<MessageRow>,
) {
    let engine = Engine::open(
        &folder().join(name),
        &ResourceLimits::default(),
        LogRing::default(),
    )
    .unwrap();
    let mut frontend = engine.frontend().unwrap();
    let is_loaded = |snapshot: &Snapshot| matches!(&snapshot.source, Source::File { read_bytes, total_bytes, .. } if read_bytes == total_bytes);
    let snapshot = snapshot_when(&mut frontend, "the whole file", is_loaded).await;
    let rows = rows(&frontend).await;
    (engine, frontend, snapshot, rows)
}

fn methods(rows: &[MessageRow], kind: RowKind) -> Vec<&str> {
    rows.iter()
        .filter(|row| row.kind == kind)
        .filter_map(|row| row.method.as_deref())
        .collect()
}

#[tokio::test]
async fn every_recording_is_whole_named_on_the_page_and_free_of_secrets() {
    let page = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        files += 1;
        assert!(page.contains(&format!("`{name}`")), "{name} is not on the page");
        assert!(
            !std::fs::read_to_string(&path).unwrap().contains("interop-secret"),
            "{name}"
        );
        let (_engine, _, snapshot, rows) = open(&name).await;
        let Source::File { damage, .. } = snapshot.source else {
            panic!("{name} is no file")
        };
        assert_eq!(damage, Vec::<String>::new(), "{name}");
        assert!(!rows.is_empty(), "{name}");
    }
    assert!(files >= 3);
}

#[tokio::test]
async fn the_legacy_session_shows_its_calls_and_what_the_server_asked() {
    let (_engine, frontend, snapshot, rows) = open("legacy-http.jsonl").await;
    let session = &snapshot.sessions.rows[0];
    assert_eq!(
        (session.era, session.revision.as_deref()),
        (Some(Era::Legacy), Some("2025-11-25"))
    );
    assert_eq!(session.client.as_deref(), Some("interop 1.0.0"));
    let requests = methods(&rows, RowKind::Request);
    for method in [
        "initialize",
        "ping",
        "roots/list",
        "sampling/createMessage",
        "elicitation/create",
    ] {
        assert!(requests.contains(&method), "{method}");
    }
    let long = rows
        .iter()
        .find(|row| row.summary.contains("long-running") && row.kind == RowKind::Request)
        .unwrap();
    let progress = rows
        .iter()
        .filter(|row| row.call == long.call && row.kind == RowKind::Notification)
        .count();
    assert!(progress >= 3, "its progress belongs to it");
    let ask = Command::Inspect { id: long.id };
    let Reply::Detail(detail) = soon("the detail", frontend.commands.ask(ask)).await.unwrap() else {
        panic!("the row is gone")
    };
    let body: serde_json::Value = serde_json::from_slice(&detail.body.unwrap().bytes).unwrap();
    assert_eq!(body["params"]["arguments"]["steps"], 3);
}

#[tokio::test]
async fn the_websocket_is_a_session_with_paired_calls() {
    let (_engine, _, snapshot, rows) = open("websocket.jsonl").await;
    let session = &snapshot.sessions.rows[0];
    assert_eq!(session.client.as_deref(), Some("socket client 1.0.0"));
    assert_eq!(session.state, SessionState::Ended);
    assert_eq!(
        methods(&rows, RowKind::Request),
        ["initialize", "tools/list", "tools/call", "no/such-method"]
    );
    let outcomes: Vec<Outcome> = rows
        .iter()
        .filter(|row| row.carrier == Carrier::WebSocket)
        .filter_map(outcome)
        .collect();
    assert!(
        outcomes.contains(&Outcome::RpcError(-32601)) && outcomes.contains(&Outcome::Ok),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn the_websocket_of_the_sdk_shows_what_the_server_asked_and_an_answer_that_came_in_two_frames() {
    let (_engine, _, snapshot, rows) = open("websocket-sdk.jsonl").await;
    assert_eq!(snapshot.sessions.rows[0].client.as_deref(), Some("interop 1.0.0"));
    assert!(methods(&rows, RowKind::Request).contains(&"sampling/createMessage"));
    let consulted = rows
        .iter()
        .find(|row| row.kind == RowKind::Result && row.summary.contains("consult"))
        .unwrap();
    assert_eq!(outcome(consulted), Some(Outcome::Ok));
}

#[tokio::test]
async fn a_client_that_starts_the_shim_is_a_session_of_the_forward_side_with_its_run() {
    for (name, server, opening) in [
        ("wrap-legacy.jsonl", "index.js", "initialize"),
        ("wrap-modern.jsonl", "modern-server.mjs", "server/discover"),
        ("outward-legacy.jsonl", "127.0.0.1:", "initialize"),
        ("outward-modern.jsonl", "127.0.0.1:", "server/discover"),
    ] {
        let (_engine, _, snapshot, rows) = open(name).await;
        for session in &snapshot.sessions.rows {
            assert!(matches!(session.id, ProxySessionId::Forward(_)), "{name}");
            assert!(session.server.starts_with(server), "{name}: {}", session.server);
        }
        assert!(
            rows.iter()
                .any(|row| row.carrier == Carrier::Stdio && row.kind == RowKind::Run),
            "{name}"
        );
        let asked = methods(&rows, RowKind::Request);
        assert_eq!(asked.first(), Some(&opening), "{name}");
        assert!(asked.contains(&"tools/call"), "{name}: {asked:?}");
    }
}

#[tokio::test]
async fn the_modern_session_shows_a_round_of_input_and_a_cancelled_call() {
    let (_engine, _, snapshot, rows) = open("modern-http.jsonl").await;
    assert_eq!(snapshot.sessions.rows[0].era, Some(Era::Modern));
    let outcomes: Vec<Outcome> = rows.iter().filter_map(outcome).collect();
    assert!(
        outcomes.contains(&Outcome::InputRequired) && outcomes.contains(&Outcome::Cancelled),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn the_error_paths_show_their_errors() {
    let (_engine, _, _, rows) = open("errors.jsonl").await;
    let outcomes: Vec<Outcome> = rows.iter().filter_map(outcome).collect();
    for expected in [
        Outcome::ToolError,
        Outcome::RpcError(-32602),
        Outcome::RpcError(-32601),
    ] {
        assert!(outcomes.contains(&expected), "{expected:?} in {outcomes:?}");
    }
    let (_engine, _, _, rows) = open("unreachable.jsonl").await;
    assert!(
        rows.iter()
            .filter_map(outcome)
            .any(|outcome| outcome == Outcome::ProxyError(502)),
        "{rows:?}"
    );
}

#[tokio::test]
async fn intercepted_tls_shows_its_tunnels_and_what_was_asked_in_them() {
    for (name, opening) in [
        ("https-legacy.jsonl", "initialize"),
        ("https-modern.jsonl", "server/discover"),
    ] {
        let (_engine, _, _, rows) = open(name).await;
        assert!(rows.iter().any(|row| row.kind == RowKind::Tunnel), "{name}");
        let asked = methods(&rows, RowKind::Request);
        assert_eq!(asked.first(), Some(&opening), "{name}");
        assert!(asked.contains(&"tools/call"), "{name}: {asked:?}");
    }
}

fn outcome(row: &MessageRow) -> Option<Outcome> {
    match row.state {
        RowState::Answered { outcome, .. } | RowState::Answer { outcome, .. } => Some(outcome),
        RowState::Passed | RowState::Open { .. } => None,
    }
}
