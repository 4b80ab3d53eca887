//! A line of the client that is said to the command again: the client hears nothing of it.

use std::path::Path;

use shadowcat::intercept::hold::HeadEdit;
use shadowcat::recording::RecordingReader;
use shadowcat::recording::format::Line;
use shadowcat::replay::tape::{Tape, TapeOptions};
use shadowcat::snapshot::{Command as EngineCommand, Direction, MessageRow, Repeat, Reply, RowKind};

use super::holding::{Holding, call};
use super::*;

/// Answers every line under its id.
pub(super) const SERVER: &str = r#"while IFS= read -r line; do id=${line#*\"id\":}; printf '{"jsonrpc":"2.0","id":%s,"result":{}}\n' "${id%%,*}"; done"#;

fn rows(proxy: &Holding) -> Vec<MessageRow> {
    let ask = EngineCommand::Rows {
        after: None,
        limit: 1000,
        filter: String::new(),
    };
    match proxy.command(ask) {
        Reply::Rows { rows, .. } => rows,
        other => panic!("{other:?}"),
    }
}

/// The same, and asks its client something during each call of `again`.
const ASKING: &str = r#"while IFS= read -r line; do id=${line#*\"id\":}; case $line in *again*) printf '{"jsonrpc":"2.0","id":"q","method":"roots/list"}\n'; IFS= read -r heard;; esac; printf '{"jsonrpc":"2.0","id":%s,"result":{}}\n' "${id%%,*}"; done"#;

/// Says calls until the proxy, which the shim finds in its own time, has seen one; that one.
pub(super) fn seen_call(proxy: &Holding, wrapped: &mut Wrapped) -> MessageRow {
    let (mut id, mut seen) = (0, None);
    until("a call that the proxy sees", || {
        id += 1;
        wrapped.say(&format!("{}\n", call(id, "echo", "")));
        assert_eq!(
            wrapped.line(),
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)
        );
        seen = rows(proxy).into_iter().find(|row| row.kind == RowKind::Request);
        seen.is_some()
    });
    seen.unwrap()
}

fn send_again(proxy: &Holding, row: &MessageRow) -> Reply {
    let Reply::Detail(detail) = proxy.command(EngineCommand::Inspect { id: row.id }) else {
        panic!("the row is gone: {row:?}");
    };
    let exchange = detail.exchange.unwrap();
    let text = String::from_utf8(detail.body.unwrap().bytes.to_vec()).unwrap();
    proxy.command(EngineCommand::Resend(Box::new(Repeat {
        exchange: exchange.id,
        head: shadowcat::snapshot::Head::default(),
        target: exchange.target,
        side: exchange.side,
        server: exchange.server,
        client: exchange.client,
        edit: HeadEdit::default(),
        body: text.replace("echo", "again"),
        original: text,
    })))
}

#[test]
fn what_the_command_asks_about_a_copy_does_not_reach_the_client_and_the_copy_is_answered() {
    let home = Home::new();
    let proxy = Holding::with(&home, Vec::new());
    let mut wrapped = Wrapped::start(&home, &[], &["sh", "-c", ASKING]);
    let row = seen_call(&proxy, &mut wrapped);
    let Reply::Resent { id } = send_again(&proxy, &row) else {
        panic!("it was not sent again");
    };
    until("the answer to the copy, and ours to the question", || {
        let rows = rows(&proxy);
        let is_answer = |row: &MessageRow| row.kind == RowKind::Result && row.rpc_id.as_deref() == Some(&*id);
        let is_ours = |row: &MessageRow| {
            row.kind == RowKind::Error
                && row.direction == Direction::ClientToServer
                && row.rpc_id.as_deref() == Some("\"q\"")
        };
        rows.iter().any(is_answer) && rows.iter().any(is_ours)
    });
    wrapped.say(&format!("{}\n", call(4711, "echo", "")));
    assert_eq!(wrapped.line(), r#"{"jsonrpc":"2.0","id":4711,"result":{}}"#);
    assert!(wrapped.finish().success());
}

#[test]
fn a_call_is_said_again_and_its_answer_does_not_reach_the_client() {
    let home = Home::new();
    let proxy = Holding::with(&home, Vec::new());
    let path = home.path().join("again.jsonl");
    proxy.record(&path);
    let mut wrapped = Wrapped::start(&home, &[], &["sh", "-c", SERVER]);
    let row = seen_call(&proxy, &mut wrapped);
    let Reply::Resent { id } = send_again(&proxy, &row) else {
        panic!("it was not sent again");
    };
    let is_copy = |row: &MessageRow| row.rpc_id.as_deref() == Some(&*id);
    until("the copy and its answer", || {
        let mut kinds = rows(&proxy)
            .into_iter()
            .filter(|row| is_copy(row))
            .map(|row| row.kind);
        kinds.next() == Some(RowKind::Request) && kinds.next() == Some(RowKind::Result)
    });
    wrapped.say(&format!("{}\n", call(4711, "echo", "")));
    assert_eq!(wrapped.line(), r#"{"jsonrpc":"2.0","id":4711,"result":{}}"#);
    assert!(wrapped.finish().success());
    until(
        "that the command is over",
        || matches!(send_again(&proxy, &row), Reply::Refused { message } if message.contains("still run")),
    );
    proxy.stop_recording();
    assert_marked(&path, &id);
}

/// Fails unless the recording marks the copy with this id, and only that, as one that no client sent.
fn assert_marked(path: &Path, id: &str) {
    let mut copies = 0;
    for record in RecordingReader::open(path).unwrap() {
        let Line::Frame(frame) = record.unwrap().line else {
            continue;
        };
        let is_said = frame.direction == Direction::ClientToServer;
        let is_injected = frame.injected;
        let text = String::from_utf8(frame.into_bytes()).unwrap();
        let is_copy = is_said && text.contains(id);
        assert_eq!(is_injected, is_copy, "{text}");
        copies += u32::from(is_copy);
    }
    assert_eq!(copies, 1);
    // Whoever plays the recording gets neither the copy nor its answer.
    let has_it = |options: &TapeOptions| {
        let tape = Tape::load(path, options).unwrap();
        let exchanges = tape.sessions.iter().flat_map(|session| &session.exchanges);
        let mut frames = exchanges.flat_map(|exchange| &exchange.frames);
        frames.any(|frame| String::from_utf8_lossy(&frame.bytes).contains(id))
    };
    let options = TapeOptions::as_it_arrived();
    assert!(!has_it(&options) && has_it(&options.with_injected()));
}
