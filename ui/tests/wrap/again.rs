//! A line of the client that is said to the command again: the client hears nothing of it.

use shadowcat::intercept::hold::HeadEdit;
use shadowcat::snapshot::{Command as EngineCommand, MessageRow, Repeat, Reply, RowKind};

use super::holding::{Holding, call};
use super::*;

/// Answers every line under its id.
const SERVER: &str = r#"while IFS= read -r line; do id=${line#*\"id\":}; printf '{"jsonrpc":"2.0","id":%s,"result":{}}\n' "${id%%,*}"; done"#;

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

/// Says calls until the proxy, which the shim finds in its own time, has seen one; that one.
fn seen_call(proxy: &Holding, wrapped: &mut Wrapped) -> MessageRow {
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
fn a_call_is_said_again_and_its_answer_does_not_reach_the_client() {
    let home = Home::new();
    let proxy = Holding::with(&home, Vec::new());
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
}
