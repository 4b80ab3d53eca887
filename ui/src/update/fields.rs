//! Values of a held message changed in place, without an editor.

use shadowcat::codec::json::string_value;
use shadowcat::ids::HoldId;
use shadowcat::intercept::edit::{Change, FieldKind, FieldLine, apply, choices, fields, value_at};

use super::by_hand;
use crate::effect::Effect;
use crate::keymap::Action;
use crate::line_edit::LineEdit;
use crate::model::{FieldEdit, FieldsState, Mode, Model};
use crate::theme::Role;

/// Rows that a page moves by.
const PAGE: usize = 10;

/// Shows the values of the message `id`.
pub(super) fn begin(model: &mut Model, id: HoldId) {
    let text = model.held.text.as_ref().filter(|text| text.row.id == id);
    let Some(text) = text else {
        return model.say(Role::Warn, "its text has not come yet");
    };
    let current = text.edited.as_ref().unwrap_or(&text.original);
    let lines = fields(current.as_bytes());
    if lines.is_empty() || current.contains(char::REPLACEMENT_CHARACTER) {
        return model.say(Role::Warn, "it is no JSON that has values to change");
    }
    model.mode = Mode::Fields(FieldsState {
        id,
        payload: current.clone().into_bytes(),
        lines,
        chosen: 0,
        schema: text.schema.clone(),
        edit: None,
    });
}

pub(super) fn perform(model: &mut Model, mut state: FieldsState, action: Action, effects: &mut Vec<Effect>) {
    match (state.edit.take(), action) {
        (Some(_), Action::Back) => {}
        (Some(edit), Action::Accept) => put(model, &mut state, edit, effects),
        (Some(edit), Action::Complete) => state.edit = Some(next_choice(edit)),
        (Some(edit), _) => state.edit = Some(edit),
        (None, Action::Back) => return,
        (None, Action::Accept) => {
            let line = state.lines.get(state.chosen);
            state.edit = line.map(|line| edit_of(&state, line));
        }
        (None, action) => go(&mut state, action),
    }
    model.mode = Mode::Fields(state);
}

fn go(state: &mut FieldsState, action: Action) {
    let last = state.lines.len().saturating_sub(1);
    state.chosen = match action {
        Action::Down => state.chosen + 1,
        Action::Up => state.chosen.saturating_sub(1),
        Action::PageDown => state.chosen + PAGE,
        Action::PageUp => state.chosen.saturating_sub(PAGE),
        Action::First => 0,
        Action::Last => last,
        _ => state.chosen,
    }
    .min(last);
}

/// A text is typed without its quotes, unless it has characters that no line shows; all else as JSON.
fn edit_of(state: &FieldsState, line: &FieldLine) -> FieldEdit {
    let spelled = value_at(&state.payload, &line.path).unwrap_or(&line.value);
    let text = string_value(spelled.as_bytes());
    let is_bare = line.kind == FieldKind::Text && !text.chars().any(char::is_control);
    let shown = if is_bare { &text } else { spelled };
    FieldEdit {
        line: LineEdit::with(shown),
        before: shown.to_owned(),
        is_bare,
        choices: choices_of(state, line, is_bare),
    }
}

/// What the schema allows there, or the two words where one of them stands.
fn choices_of(state: &FieldsState, line: &FieldLine, is_bare: bool) -> Vec<String> {
    let schema = state.schema.as_deref().unwrap_or_default();
    let mut found = choices(schema, &line.path);
    if found.is_empty() && line.kind == FieldKind::Bool {
        found = vec!["true".to_owned(), "false".to_owned()];
    }
    if is_bare {
        let is_text = |choice: &String| choice.starts_with('"');
        found.retain(is_text);
        for choice in &mut found {
            *choice = string_value(choice.as_bytes()).into_owned();
        }
    }
    found
}

/// The choice behind the one that stands there, or the first.
fn next_choice(edit: FieldEdit) -> FieldEdit {
    let typed = edit.line.text();
    let next = edit
        .choices
        .iter()
        .position(|choice| *choice == typed)
        .map_or(0, |place| place + 1);
    let choice = edit.choices.get(next).or(edit.choices.first());
    match choice {
        Some(choice) => FieldEdit {
            line: LineEdit::with(choice),
            ..edit
        },
        None => edit,
    }
}

/// The typed value takes the place of the chosen one.
fn put(model: &mut Model, state: &mut FieldsState, edit: FieldEdit, effects: &mut Vec<Effect>) {
    let typed = edit.line.text();
    let Some(line) = state.lines.get(state.chosen).filter(|_| typed != edit.before) else {
        return;
    };
    let value = if edit.is_bare {
        serde_json::Value::String(typed).to_string()
    } else {
        typed
    };
    let path = line.path.clone();
    match apply(&state.payload, &Change::Set { path, value }) {
        Ok(payload) => {
            let text = Some(String::from_utf8_lossy(&payload).into_owned());
            by_hand::edit(model, state.id, text, effects);
            state.lines = fields(&payload);
            state.payload = payload;
            state.chosen = state.chosen.min(state.lines.len().saturating_sub(1));
        }
        Err(error) => {
            model.say(Role::Bad, error.to_string());
            state.edit = Some(edit);
        }
    }
}
