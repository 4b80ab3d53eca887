//! The official Rust SDK on both sides: what it sees through the engine is what it sees without, and the screen shows
//! what was said.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

mod sdk;
mod support;

use sdk::*;
use support::*;

use std::collections::BTreeMap;

use serde_json::Value;
use shadowcat::engine::EngineHandle;
use shadowcat::frontend::Frontend;
use shadowcat::ids::{CallId, Side};
use shadowcat::snapshot::{
    Direction, Era, MessageRow, Outcome, Progress, RowKind, RowState, SessionBasis, SessionState, Severity,
    Snapshot,
};

struct Stage {
    server: SdkServer,
    engine: EngineHandle,
    frontend: Frontend,
    way: Way,
}

async fn stage(side: Side) -> Stage {
    let server = SdkServer::start().await;
    let (engine, way) = match side {
        Side::Reverse => {
            let engine = engine_with(&[&server.url()], |_| {});
            let way = Way {
                url: format!("http://{}/mcp", address(&engine)),
                proxy: None,
            };
            (engine, way)
        }
        Side::Forward => {
            let engine = engine_with(&[], |_| {});
            let way = Way {
                url: server.url(),
                proxy: Some(format!("http://{}", address(&engine))),
            };
            (engine, way)
        }
    };
    Stage {
        frontend: engine.frontend().unwrap(),
        server,
        engine,
        way,
    }
}

fn direct(server: &SdkServer) -> Way {
    Way {
        url: server.url(),
        proxy: None,
    }
}

/// The rows once `clients` have acted out the whole script and nothing is open any more.
async fn settled_rows(frontend: &mut Frontend, clients: usize, speaks: Speaks) -> Vec<MessageRow> {
    let is_last_answer =
        |row: &&MessageRow| row.kind == RowKind::Result && row.method.as_deref() == Some("prompts/get");
    let is_farewell = |row: &&MessageRow| row.method.as_deref() == Some("DELETE");
    snapshot_when(frontend, "everything's end", |snapshot| {
        let rows = &snapshot.messages.rows;
        let farewells = if speaks == Speaks::Legacy { clients } else { 0 };
        rows.iter().filter(is_last_answer).count() == clients
            && rows.iter().filter(is_farewell).count() >= farewells
            && rows.iter().all(|row| !matches!(row.state, RowState::Open { .. }))
            && snapshot.totals.open_calls == 0
            && snapshot.sessions.rows.iter().all(|row| row.open_streams == 0)
    })
    .await;
    rows(frontend).await
}

fn is_rpc_request(row: &MessageRow) -> bool {
    row.kind == RowKind::Request
}

/// Every request that has an answer shares its call and its id with exactly one.
fn assert_paired(rows: &[MessageRow]) {
    for request in rows.iter().filter(|row| is_rpc_request(row)) {
        let answers: Vec<&MessageRow> = rows
            .iter()
            .filter(|row| matches!(row.kind, RowKind::Result | RowKind::Error))
            .filter(|row| row.call.is_some() && row.call == request.call)
            .collect();
        assert_eq!(answers.len(), 1, "{request:#?} has {answers:#?}");
        let answer = answers[0];
        assert_eq!(answer.rpc_id, request.rpc_id);
        assert_eq!(answer.method, request.method);
        assert_eq!(answer.session, request.session);
        assert_eq!(answer.direction, request.direction.opposite());
        assert!(matches!(request.state, RowState::Answered { .. }), "{request:#?}");
    }
}

fn assert_no_warnings(rows: &[MessageRow]) {
    for row in rows {
        assert!(
            row.findings
                .iter()
                .all(|finding| finding.severity == Severity::Info),
            "{row:#?}"
        );
    }
}

fn requests<'a>(rows: &'a [MessageRow], method: &str, subject: &str) -> Vec<&'a MessageRow> {
    rows.iter()
        .filter(|row| is_rpc_request(row) && row.method.as_deref() == Some(method))
        .filter(|row| row.summary.contains(subject))
        .collect()
}

fn outcome(row: &MessageRow) -> Outcome {
    match &row.state {
        RowState::Answered { outcome, .. } => *outcome,
        other => panic!("{other:?}"),
    }
}

fn assert_outcomes(rows: &[MessageRow]) {
    let of = |method: &str, subject: &str| outcome(requests(rows, method, subject)[0]);
    assert_eq!(of("tools/call", "echo"), Outcome::Ok);
    assert_eq!(of("tools/call", "fail"), Outcome::ToolError);
    assert_eq!(of("tools/call", "refuse"), Outcome::RpcError(-32602));
    assert_eq!(of("resources/read", "memo://insights"), Outcome::Ok);
    assert_eq!(of("prompts/get", "greet"), Outcome::Ok);
}

fn assert_progress(rows: &[MessageRow]) {
    let call = requests(rows, "tools/call", "slow")[0].call.unwrap();
    let progress: Vec<&MessageRow> = rows
        .iter()
        .filter(|row| row.method.as_deref() == Some("notifications/progress"))
        .collect();
    assert_eq!(progress.len(), usize::from(STEPS));
    assert!(progress.iter().all(|row| row.call == Some(call)), "{progress:#?}");
}

async fn seen_through(side: Side, speaks: Speaks) -> (Stage, Vec<MessageRow>) {
    let mut stage = stage(side).await;
    let directly = act_out(&direct(&stage.server), speaks, "inspector").await;
    assert_eq!(
        directly["echo"]["content"][0]["text"],
        r#"{"big":9007199254740993}"#
    );
    assert!(directly["ask"].to_string().contains("Paris"), "{directly:#}");
    assert_eq!(
        sorted(act_out(&stage.way, speaks, "inspector").await),
        sorted(directly)
    );
    let rows = settled_rows(&mut stage.frontend, 1, speaks).await;
    assert_paired(&rows);
    assert_no_warnings(&rows);
    assert_outcomes(&rows);
    assert_progress(&rows);
    let expected = stage.server.address.to_string();
    assert!(rows.iter().all(|row| row.server == expected), "{rows:#?}");
    assert!(rows.iter().all(|row| row.session.unwrap().side() == side));
    (stage, rows)
}

/// The SDK hands notifications to its handler side by side.
fn sorted(mut seen: Value) -> Value {
    let progress = seen["progress"].as_array_mut().unwrap();
    progress.sort_by_key(ToString::to_string);
    seen
}

async fn session_when(
    frontend: &mut Frontend,
    what: &str,
    is_it: impl Fn(&shadowcat::snapshot::SessionRow) -> bool,
) -> shadowcat::snapshot::SessionRow {
    let snapshot = snapshot_when(frontend, what, |snapshot: &Snapshot| {
        snapshot.sessions.rows.iter().any(&is_it)
    })
    .await;
    snapshot.sessions.rows.into_iter().find(|row| is_it(row)).unwrap()
}

async fn legacy_through(side: Side) {
    let (mut stage, rows) = seen_through(side, Speaks::Legacy).await;
    let session = session_when(&mut stage.frontend, "the session's end", |session| {
        session.state == SessionState::Ended
    })
    .await;
    assert_eq!(session.client.as_deref(), Some("inspector 1.2"));
    assert_eq!(session.server_info.as_deref(), Some("everything 2.1"));
    assert_eq!(session.era, Some(Era::Legacy));
    assert_eq!(session.revision.as_deref(), Some("2025-11-25"));
    assert_eq!(session.basis, SessionBasis::Initialize);
    let messages = rows.iter().filter(|row| row.kind != RowKind::HttpResponse);
    for row in messages {
        assert_eq!(row.session, Some(session.id), "{row:#?}");
    }
    let asked = requests(&rows, "sampling/createMessage", "");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].direction, Direction::ServerToClient);
    let of_http = |method: &str| {
        rows.iter()
            .any(|row| row.kind == RowKind::Http && row.method.as_deref() == Some(method))
    };
    assert!(of_http("DELETE") && of_http("GET"), "{rows:#?}");
    drop(stage.engine);
}

#[tokio::test]
async fn the_sdk_sees_the_same_through_the_reverse_side() {
    legacy_through(Side::Reverse).await;
}

#[tokio::test]
async fn the_sdk_sees_the_same_through_the_forward_side() {
    legacy_through(Side::Forward).await;
}

async fn modern_through(side: Side) {
    let (mut stage, rows) = seen_through(side, Speaks::Modern).await;
    let session = session_when(&mut stage.frontend, "the session", |session| {
        session.server_info.is_some()
    })
    .await;
    assert_eq!(session.client.as_deref(), Some("inspector 1.2"));
    assert_eq!(session.server_info.as_deref(), Some("everything 2.1"));
    assert_eq!(session.era, Some(Era::Modern));
    assert_eq!(session.revision.as_deref(), Some("2026-07-28"));
    assert_eq!(session.basis, SessionBasis::Inferred);
    let rounds: Vec<Outcome> = requests(&rows, "tools/call", "ask")
        .into_iter()
        .map(outcome)
        .collect();
    assert_eq!(rounds, [Outcome::InputRequired, Outcome::Ok]);
    assert!(
        rows.iter()
            .all(|row| row.method.as_deref() != Some("initialize") && row.kind != RowKind::Http),
        "{rows:#?}"
    );
}

#[tokio::test]
async fn the_sdk_of_the_modern_era_sees_the_same_through_the_reverse_side() {
    modern_through(Side::Reverse).await;
}

#[tokio::test]
async fn the_sdk_of_the_modern_era_sees_the_same_through_the_forward_side() {
    modern_through(Side::Forward).await;
}

#[tokio::test]
async fn modern_clients_with_equal_ids_stay_apart() {
    let mut stage = stage(Side::Reverse).await;
    let (first, second) = tokio::join!(
        act_out(&stage.way, Speaks::Modern, "first"),
        act_out(&stage.way, Speaks::Modern, "second")
    );
    assert_eq!(sorted(first), sorted(second));
    let rows = settled_rows(&mut stage.frontend, 2, Speaks::Modern).await;
    assert_paired(&rows);
    assert_no_warnings(&rows);
    let mut ids: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for row in rows.iter().filter(|row| is_rpc_request(row)) {
        ids.entry(row.session.unwrap())
            .or_default()
            .push(row.rpc_id.as_deref().unwrap());
    }
    let ids: Vec<Vec<&str>> = ids.into_values().collect();
    assert_eq!(ids.len(), 2, "each client is a session of its own");
    assert_eq!(ids[0], ids[1], "both count alike");
    let mut exchanges_of_calls: BTreeMap<CallId, Vec<_>> = BTreeMap::new();
    for row in &rows {
        exchanges_of_calls
            .entry(row.call.unwrap())
            .or_default()
            .push(row.exchange);
    }
    for (call, exchanges) in exchanges_of_calls {
        assert!(
            exchanges.iter().all(|exchange| *exchange == exchanges[0]),
            "{call}: {exchanges:?}"
        );
    }
}

#[tokio::test]
async fn a_modern_client_that_closes_its_stream_cancels_the_call() {
    let mut stage = stage(Side::Reverse).await;
    let host = address(&stage.engine);
    let body = r#"{"jsonrpc":"2.0","id":"only","method":"tools/call","params":{"name":"wait","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"raw","version":"1"}}}}"#;
    let mut client = RawPeer::connect(host).await;
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: wait\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    client.send(head).await;
    soon("the call", stage.server.waiting.wait_for(|count| *count == 1))
        .await
        .unwrap();
    drop(client);
    soon(
        "the server's cancel",
        stage.server.cancelled.wait_for(|count| *count == 1),
    )
    .await
    .unwrap();
    let snapshot = snapshot_when(&mut stage.frontend, "the cancelled row", |snapshot| {
        snapshot.totals.messages > 0 && snapshot.totals.open_calls == 0
    })
    .await;
    let row = &snapshot.messages.rows[0];
    assert_eq!(row.rpc_id.as_deref(), Some("\"only\""));
    assert_eq!(outcome(row), Outcome::Cancelled);
    assert_eq!(snapshot.totals.errors, 0, "a cancel is no failure");
}

#[tokio::test]
async fn progress_is_on_the_row_of_its_call_while_it_runs() {
    let server = RawServer::bind().await;
    let engine = engine_for(server.address());
    let mut frontend = engine.frontend().unwrap();
    let mut client = RawPeer::connect(address(&engine)).await;
    let call = r#"{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"slow","_meta":{"progressToken":0}}}"#;
    client.send(post(address(&engine), call)).await;
    let mut upstream = server.accept().await;
    upstream.read_head().await;
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        .await;
    for step in ["1", "2.50"] {
        upstream
            .send(format!("data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{{\"progressToken\":0,\"progress\":{step},\"total\":4}}}}\n\n"))
            .await;
        let expected = RowState::Open {
            progress: Some(Progress {
                progress: step.to_owned(),
                total: Some("4".to_owned()),
            }),
        };
        snapshot_when(&mut frontend, "the progress", |snapshot| {
            snapshot.messages.rows.iter().any(|row| row.state == expected)
        })
        .await;
    }
}
