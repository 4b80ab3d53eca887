//! A request that is sent again, as a screen does it.

use shadowcat::frontend::Frontend;
use shadowcat::intercept::hold::HeadEdit;
use shadowcat::snapshot::{Command, Direction, MessageDetail, MessageRow, Repeat, Reply, RowKind};

use super::snapshot_when;
use super::stage::reply;

fn is_call(row: &MessageRow) -> bool {
    row.kind == RowKind::Request
        && row.direction == Direction::ClientToServer
        && row.method.as_deref() == Some("tools/call")
}

/// All about the first call that passed.
pub async fn call_that_passed(frontend: &mut Frontend) -> MessageDetail {
    let shown = snapshot_when(frontend, "the call", |snapshot| {
        snapshot.messages.rows.iter().any(is_call)
    })
    .await;
    let id = shown.messages.rows.iter().find(|row| is_call(row)).unwrap().id;
    match reply(frontend, Command::Inspect { id }).await {
        Reply::Detail(detail) => *detail,
        other => panic!("{other:?}"),
    }
}

/// That call as it is sent again.
pub fn again(message: &MessageDetail) -> Repeat {
    let exchange = message.exchange.clone().unwrap();
    let body = message.body.as_ref().unwrap();
    let text = String::from_utf8(body.bytes.to_vec()).unwrap();
    let (client, _) = exchange.client.rsplit_once(':').unwrap();
    Repeat {
        exchange: exchange.id,
        head: exchange.request,
        target: exchange.target,
        side: exchange.side,
        server: exchange.server,
        client: client.to_owned(),
        edit: HeadEdit::default(),
        original: text.clone(),
        body: text,
    }
}

/// Sends the first call that passed again; its new id, and the session of the call.
pub async fn send_again(frontend: &mut Frontend) -> (String, MessageDetail) {
    let message = call_that_passed(frontend).await;
    match reply(frontend, Command::Resend(Box::new(again(&message)))).await {
        Reply::Resent { id } => (id, message),
        other => panic!("{other:?}"),
    }
}

/// Why the first call that passed is not sent again.
pub async fn refusal(frontend: &mut Frontend) -> String {
    let message = call_that_passed(frontend).await;
    match reply(frontend, Command::Resend(Box::new(again(&message)))).await {
        Reply::Refused { message } => message,
        other => panic!("{other:?}"),
    }
}

/// The answer to `id` once it is shown.
pub async fn answer_shown(frontend: &mut Frontend, id: &str) -> MessageRow {
    let id = id.to_owned();
    let is_it = move |row: &MessageRow| row.kind == RowKind::Result && row.rpc_id.as_deref() == Some(&*id);
    let wanted = is_it.clone();
    let shown = snapshot_when(frontend, "the answer to the copy", move |snapshot| {
        snapshot.messages.rows.iter().any(&wanted)
    })
    .await;
    let mut rows = shown.messages.rows.into_iter();
    let answer = rows.find(|row| is_it(row)).unwrap();
    let rows = super::rows(frontend).await;
    let copies = rows
        .iter()
        .filter(|row| row.rpc_id == answer.rpc_id && row.kind == RowKind::Request);
    let is_marked = |row: &MessageRow| {
        row.findings
            .iter()
            .any(|finding| finding.text.starts_with("sent again from here"))
    };
    assert!(copies.clone().count() == 1 && copies.into_iter().all(is_marked));
    let is_copy = |row: &MessageRow| {
        row.rpc_id
            .as_deref()
            .is_some_and(|id| id.starts_with("\"shadowcat-"))
    };
    let of_clients = rows.iter().filter(|row| !is_copy(row));
    assert!(of_clients.into_iter().all(|row| !is_marked(row)));
    answer
}
