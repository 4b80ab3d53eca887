//! What is done by hand to held messages: remembered, so that the last edit can be undone and the last decision can become
//! a rule.

use shadowcat::ids::HoldId;
use shadowcat::intercept::hold::HeldRow;
use shadowcat::intercept::interceptor::{InterceptCommand, Remedy};
use shadowcat::snapshot::{Direction, RowKind};

use super::held::{prompt, send, send_for};
use super::like::quoted;
use crate::effect::{Effect, Purpose};
use crate::held_screen::ByHand;
use crate::keymap::{Action, spelled};
use crate::model::{HoldPurpose, Model};
use crate::theme::Role;

/// Most bytes of edits that can be undone; the oldest go.
const MOST_UNDONE_BYTES: usize = 16 << 20;

/// Most edits that can be undone; the oldest go.
const MOST_UNDONE: usize = 100;

/// Decides about a held message.
pub(super) fn decide(model: &mut Model, what: InterceptCommand, effects: &mut Vec<Effect>) {
    model.held.tried = by_hand(model, &what);
    send(what, effects);
}

/// What `what` does to a message, if a rule could do it too.
fn by_hand(model: &Model, what: &InterceptCommand) -> Option<ByHand> {
    let (id, remedy) = match what {
        InterceptCommand::Forward { id }
        | InterceptCommand::Step { id }
        | InterceptCommand::Continue { id } => (*id, edited(model, *id)?),
        InterceptCommand::Answer { id, result } => (
            *id,
            Remedy::Answered {
                result: result.clone(),
            },
        ),
        InterceptCommand::Refuse { id, refusal } => (
            *id,
            Remedy::Refused {
                refusal: refusal.clone(),
            },
        ),
        InterceptCommand::Drop { id, is_silent } => (
            *id,
            Remedy::Dropped {
                is_silent: *is_silent,
            },
        ),
        _ => return None,
    };
    let row = model.held_row(id.get())?.clone();
    Some(ByHand { row, remedy })
}

/// The edit of the message `id`, as far as its text is here.
fn edited(model: &Model, id: HoldId) -> Option<Remedy> {
    let text = model.held.text.as_ref().filter(|text| text.row.id == id)?;
    let fields = text.head_edit.fields.clone();
    let after = text.edited.clone();
    Some(Remedy::Edited {
        before: text.original.clone(),
        after: after.or_else(|| (!fields.is_empty()).then(|| text.original.clone()))?,
        fields,
    })
}

/// Puts `text` in the place of what `id` says now, and remembers that.
pub(super) fn edit(model: &mut Model, id: HoldId, text: Option<String>, effects: &mut Vec<Effect>) {
    let shown = model.held.text.as_ref().filter(|shown| shown.row.id == id);
    if let Some(shown) = shown {
        let before = shown.edited.clone();
        if before != text {
            remember(model, id, before);
        }
    }
    send_edit(id, text, effects);
}

fn send_edit(id: HoldId, text: Option<String>, effects: &mut Vec<Effect>) {
    let is_edit = text.is_some();
    let what = InterceptCommand::Edit { id, text };
    if is_edit {
        send_for(Purpose::HeldEdit(id), what, effects);
    } else {
        send(what, effects);
    }
}

/// The engine has taken an edit: the message is still held, and what lets it go is told.
pub(super) fn put(model: &mut Model, id: HoldId) {
    model.held.is_stale = true;
    let text = match key_of(model, Action::Forward) {
        Some(key) => format!("{id} is edited; {key} sends it"),
        None => format!("{id} is edited and stays held"),
    };
    model.say(Role::Good, text);
}

/// The first key of `action`.
fn key_of(model: &Model, action: Action) -> Option<String> {
    let mut entries = model.keymap.entries().iter();
    let entry = entries.find(|entry| entry.binding.action == action)?;
    entry.keys.first().map(|key| spelled(key))
}

fn remember(model: &mut Model, id: HoldId, before: Option<String>) {
    let steps = &mut model.held.steps;
    steps.push((id, before));
    let size = |steps: &[(HoldId, Option<String>)]| -> usize {
        steps.iter().flat_map(|(_, text)| text).map(String::len).sum()
    };
    while steps.len() > MOST_UNDONE || steps.len() > 1 && size(steps) > MOST_UNDONE_BYTES {
        steps.remove(0);
    }
}

/// Takes the last edit of the message `id` back.
pub(super) fn undo(model: &mut Model, id: HoldId, effects: &mut Vec<Effect>) {
    let steps = &mut model.held.steps;
    let Some(place) = steps.iter().rposition(|(step, _)| *step == id) else {
        return model.say(
            Role::Dim,
            "there is no edit of it to undo; u takes all of them back",
        );
    };
    let (_, text) = steps.remove(place);
    send_edit(id, text, effects);
}

/// What was tried was done: it can become a rule. Gives a hint at that.
pub(super) fn keep_in_mind(model: &mut Model) -> String {
    let Some(tried) = model.held.tried.take() else {
        return String::new();
    };
    model.held.last = Some(tried);
    let key = key_of(model, Action::Always);
    key.map_or_else(String::new, |key| format!("; {key} does so always"))
}

/// Why nothing can become a rule.
pub(super) fn no_rule(model: &Model) -> Option<&'static str> {
    let is_edited = model.selected_held().is_some_and(|row| row.is_edited);
    (!is_edited && model.held.last.is_none())
        .then_some("nothing was done by hand yet: edit, answer, refuse or drop a message first")
}

/// A prompt for the messages to which is done from now on what was done to one: to the chosen one if it is edited, else
/// to the one that was decided about last.
pub(super) fn always(model: &mut Model, meant: Option<HeldRow>) {
    let done = match meant.filter(|row| row.is_edited) {
        Some(row) => match edited(model, row.id) {
            Some(remedy) => ByHand { row, remedy },
            None => return model.say(Role::Warn, "its text has not come yet"),
        },
        None => match model.held.last.clone() {
            Some(last) => last,
            None => return model.say(Role::Warn, no_rule(model).unwrap_or_default()),
        },
    };
    let when = words(&done.row);
    prompt(model, HoldPurpose::Always(Box::new(done)), &when);
}

/// Arms the rule for what matches `when`.
pub(super) fn always_for(done: &ByHand, when: String, effects: &mut Vec<Effect>) {
    let what = done.row.name.as_deref().or(done.row.method.as_deref());
    let command = InterceptCommand::Always {
        when,
        name: format!("{} {}", done.remedy.verb(), what.unwrap_or("message")),
        remedy: done.remedy.clone(),
    };
    send(command, effects);
}

/// Filter words for messages like `row`.
fn words(row: &HeldRow) -> String {
    let method = row.method.as_deref();
    let key = match method {
        Some("tools/call") => "tool",
        Some("prompts/get") => "prompt",
        Some(method) if method.starts_with("resources/") => "uri",
        _ => "name",
    };
    let equals = if key == "uri" { "=" } else { ":" };
    let name = row
        .name
        .as_deref()
        .map(|name| format!("{key}{equals}{}", quoted(name)));
    let kind = match row.kind {
        RowKind::Result | RowKind::Error | RowKind::Event => Some(format!("kind:{}", row.kind.name())),
        _ => None,
    };
    let direction = match row.direction {
        Direction::ClientToServer => "dir:c2s",
        Direction::ServerToClient => "dir:s2c",
    };
    let method = method.map(|method| format!("method:{}", quoted(method)));
    let words = [method, name, kind, Some(direction.to_owned())];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
