//! Filter words for messages like the one under the cursor.

use shadowcat::snapshot::{MessageRow, RowKind};

use super::meant_row;
use crate::model::Model;
use crate::row_text;
use crate::theme::Role;

/// Filter words for the message under the cursor.
pub(super) fn words_of_selected(model: &Model) -> Vec<String> {
    model
        .selected()
        .map(|row| words_for(row, request_of(model, row)))
        .unwrap_or_default()
}

/// Puts words for the row under the cursor to the filter.
pub(super) fn filter_from_row(model: &mut Model) {
    let row = match meant_row(model) {
        Ok(row) => row,
        Err(reason) => return model.say(Role::Warn, reason),
    };
    let Some(row) = model.row(row) else {
        return;
    };
    let words = words_for(row, request_of(model, row));
    if words.is_empty() {
        return model.say(Role::Dim, "this message has no method to filter by");
    }
    let before = model.filter.trim();
    let mut text = before.to_owned();
    for word in words {
        // The same key twice adds nothing.
        if !format!(" {before} ").contains(&format!(" {word} ")) {
            text = format!("{text} {word}");
        }
    }
    let text = text.trim().to_owned();
    super::modes::remember(model, &text);
    model.say(Role::Accent, format!("filter: {text}"));
}

/// The request of the call that `row` belongs to, as far as it is here.
fn request_of<'a>(model: &'a Model, row: &MessageRow) -> Option<&'a MessageRow> {
    let call = row.call?;
    let shown = model.detail.message.iter().flat_map(|message| &message.call);
    let mut near = model.snapshot.messages.rows.iter().chain(shown);
    near.find(|other| {
        other.call == Some(call) && other.kind == RowKind::Request && row_text::tool(other).is_some()
    })
}

fn words_for(row: &MessageRow, request: Option<&MessageRow>) -> Vec<String> {
    let method = row.method.as_ref();
    // Messages within a call have no tool of their own: a filter for one would hide them.
    let is_call = method.is_some_and(|method| method == "tools/call");
    let tool = request.and_then(row_text::tool).or_else(|| row_text::tool(row));
    let tool = tool.filter(|_| is_call);
    let method = method.map(|method| format!("method:{}", quoted(method)));
    let tool = tool.map(|tool| format!("tool:{}", quoted(tool)));
    method.into_iter().chain(tool).collect()
}

pub(super) fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '_' | '-' | '.');
    if value.chars().all(is_plain) {
        value.to_owned()
    } else {
        format!("{value:?}")
    }
}
