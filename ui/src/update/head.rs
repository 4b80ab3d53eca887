//! What is done to the head of a held request.

use shadowcat::ids::HoldId;
use shadowcat::intercept::edit::{FieldChanges, Fixup};
use shadowcat::intercept::hold::HeadEdit;
use shadowcat::intercept::interceptor::{HeldText, InterceptCommand};

use super::held::send_for;
use crate::effect::{Effect, Purpose};
use crate::held_screen::is_refused;
use crate::keymap::Action;
use crate::model::{HeadState, Mode, Model};
use crate::theme::Role;

/// Puts these changes in the place of those that were made before.
pub(super) fn put(model: &Model, id: HoldId, fields: FieldChanges, effects: &mut Vec<Effect>) {
    let refused = text_of(model, id).map(|text| text.head_edit.refused.clone());
    // Without any it may be as it came again.
    let purpose = if fields.is_empty() {
        Purpose::Intercept
    } else {
        Purpose::HeldEdit(id)
    };
    let edit = HeadEdit {
        fields,
        refused: refused.unwrap_or_default(),
    };
    send_for(purpose, InterceptCommand::Head { id, edit }, effects);
}

/// Shows the fields that follow the edit of the message `id`.
pub(super) fn begin(model: &mut Model, id: HoldId) {
    let Some(text) = text_of(model, id) else {
        return model.say(Role::Warn, "its text has not come yet");
    };
    if text.fixups.is_empty() {
        let reason = if text.head.is_none() {
            "only the heads of HTTP requests can be changed"
        } else {
            "no header says the same as what was edited; e changes headers too"
        };
        return model.say(Role::Dim, reason);
    }
    model.mode = Mode::Head(HeadState { id, chosen: 0 });
}

pub(super) fn perform(model: &mut Model, mut state: HeadState, action: Action, effects: &mut Vec<Effect>) {
    let Some(text) = text_of(model, state.id) else {
        return;
    };
    let last = text.fixups.len().saturating_sub(1);
    match action {
        Action::Back => return,
        Action::Down => state.chosen = (state.chosen + 1).min(last),
        Action::Up => state.chosen = state.chosen.saturating_sub(1),
        Action::Accept => {
            if let Some(fixup) = text.fixups.get(state.chosen) {
                let edit = toggled(text, fixup);
                let what = InterceptCommand::Head { id: state.id, edit };
                send_for(Purpose::HeldEdit(state.id), what, effects);
            }
        }
        _ => {}
    }
    model.mode = Mode::Head(state);
}

fn toggled(text: &HeldText, fixup: &Fixup) -> HeadEdit {
    let mut edit = text.head_edit.clone();
    if is_refused(text, fixup) {
        edit.refused
            .retain(|name| !name.eq_ignore_ascii_case(&fixup.name));
    } else {
        edit.refused.push(fixup.name.clone());
    }
    edit
}

fn text_of(model: &Model, id: HoldId) -> Option<&HeldText> {
    let text = model.held.text.as_deref()?;
    (text.row.id == id).then_some(text)
}
