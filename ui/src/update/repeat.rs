//! A request that is sent again, under an id of its own.

use shadowcat::ids::HoldId;
use shadowcat::intercept::hold::HeadEdit;
use shadowcat::snapshot::{Command, Direction, MessageDetail, Repeat, RowKind};

use crate::edit_job::EditJob;
use crate::effect::{Effect, Purpose};
use crate::model::Model;
use crate::theme::Role;

/// Why the request under the cursor cannot be sent again; `None` if it can.
pub(super) fn disabled(model: &Model) -> Option<&'static str> {
    if !model.is_live() {
        return Some("a recording is open; there is no session to send it in");
    }
    if model.is_read_only {
        return Some("this view is read-only; it sends nothing");
    }
    if model.is_engine_gone {
        return Some("the engine has ended");
    }
    let is_request = |row: &shadowcat::snapshot::MessageRow| {
        row.kind == RowKind::Request && row.direction == Direction::ClientToServer
    };
    let row = model.selected();
    if !row.is_some_and(is_request) {
        return Some("only requests of a client are sent again");
    }
    row.is_some_and(|row| row.batch.is_some())
        .then_some("a request in a batch is not sent again by itself")
}

/// Sends a copy of the request under the cursor, as it came or as the user makes it in an editor.
pub(super) fn row(model: &mut Model, is_edited: bool, effects: &mut Vec<Effect>) {
    let row = match super::meant_row(model) {
        Ok(row) => row,
        Err(reason) => return model.say(Role::Warn, reason),
    };
    let shown = model
        .detail
        .message
        .as_ref()
        .filter(|message| message.row.id == row);
    match shown.map(|message| of_row(message)) {
        None => model.say(Role::Warn, "its text has not come yet"),
        Some(Err(reason)) => model.say(Role::Warn, reason),
        Some(Ok(repeat)) if is_edited => super::edits::open(model, EditJob::of_copy(repeat), effects),
        Some(Ok(repeat)) => ask(model, repeat, effects),
    }
}

fn of_row(message: &MessageDetail) -> Result<Repeat, &'static str> {
    let exchange = message
        .exchange
        .as_ref()
        .ok_or("history no longer has its exchange")?;
    let body = message.body.as_ref().filter(|body| !body.is_cut);
    let body = body.ok_or("history does not have all of it")?;
    let text = std::str::from_utf8(&body.bytes).map_err(|_| "it is not all UTF-8")?;
    let host = exchange
        .client
        .rsplit_once(':')
        .map_or(&*exchange.client, |(host, _)| host);
    // The head of a run is its command line.
    let head = (!exchange.is_run).then(|| exchange.request.clone());
    Ok(Repeat {
        exchange: exchange.id,
        head: head.unwrap_or_default(),
        target: exchange.target.clone(),
        side: exchange.side,
        server: exchange.server.clone(),
        client: host.trim_matches(['[', ']']).to_owned(),
        edit: HeadEdit::default(),
        original: text.to_owned(),
        body: text.to_owned(),
    })
}

/// Sends a copy of a held request, as it is edited.
pub(super) fn held(model: &mut Model, id: HoldId, effects: &mut Vec<Effect>) {
    let text = model.held.text.as_ref().filter(|text| text.row.id == id);
    let Some(text) = text else {
        return model.say(Role::Warn, "its text has not come yet");
    };
    let head = text.head.clone().unwrap_or_default();
    let target = head.line.split_ascii_whitespace().nth(1);
    let repeat = Repeat {
        exchange: text.row.exchange,
        target: target.unwrap_or_default().to_owned(),
        head,
        side: text.side,
        server: text.row.server.clone(),
        client: text.address.clone(),
        edit: text.head_edit.clone(),
        original: text.original.clone(),
        body: text.edited.as_ref().unwrap_or(&text.original).clone(),
    };
    ask(model, repeat, effects);
}

pub(super) fn ask(model: &mut Model, repeat: Repeat, effects: &mut Vec<Effect>) {
    let number = model.detail.copies.ask(&repeat.original);
    effects.push(Effect::Ask(
        Purpose::Resend(number),
        Command::Resend(Box::new(repeat)),
    ));
}

pub(super) fn resent(model: &mut Model, number: u64, id: &str) {
    model.detail.note_copy(number, id);
    model.say(
        Role::Good,
        format!("sent again as {id}; its answer is on the Traffic screen"),
    );
}
