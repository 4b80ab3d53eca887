//! Marks on held messages, and keys that act on all that are marked.

use shadowcat::ids::HoldId;
use shadowcat::intercept::interceptor::{Deed, InterceptCommand};
use shadowcat::intercept::rule::Refusal;
use shadowcat::snapshot::RowKind;

use super::held::{ask, send};
use crate::effect::Effect;
use crate::format;
use crate::keymap::Action;
use crate::model::{Mode, Model, Pane, Screen, Then};
use crate::theme::Role;

/// Whether `action` is about the marked messages rather than the one under the cursor.
pub(super) fn takes(model: &Model, action: Action) -> bool {
    let is_for_marks = matches!(
        action,
        Action::Forward | Action::ForwardLane | Action::DropHeld | Action::Refuse
    );
    is_for_marks && model.screen == Screen::Held && !model.held.marks.is_empty()
}

pub(super) fn perform(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    match action {
        Action::DropHeld => drop_all(model),
        Action::Refuse => model.mode = Mode::Refuse(0),
        _ => together(model, Deed::Forward, effects),
    }
}

fn drop_all(model: &mut Model) {
    let answers = model.snapshot.intercept.rows.iter().filter(|row| {
        model.held.marks.contains(&row.id.get()) && matches!(row.kind, RowKind::Result | RowKind::Error)
    });
    let answers = match answers.count() {
        0 => String::new(),
        count => format!(", {} among them", format::plural(count as u64, "answer")),
    };
    let text = format!("drop the {} marked messages{answers}?", model.held.marks.len());
    let deed = Deed::Drop { is_silent: false };
    let ids = marked(model);
    ask(
        model,
        text,
        Then::Intercept(InterceptCommand::Together { ids, deed }),
    );
}

/// All that are marked are refused; `None` drops them without a word, which is asked about.
pub(super) fn refuse(model: &mut Model, refusal: Option<Refusal>, effects: &mut Vec<Effect>) {
    if model.held.marks.is_empty() {
        return model.say(Role::Warn, "they have all left; nothing was done");
    }
    if let Some(refusal) = refusal {
        return together(model, Deed::Refuse { refusal }, effects);
    }
    let text = format!(
        "drop the {} marked messages without a word? Whoever waits for them waits until it gives up.",
        model.held.marks.len()
    );
    let deed = Deed::Drop { is_silent: true };
    let ids = marked(model);
    ask(
        model,
        text,
        Then::Intercept(InterceptCommand::Together { ids, deed }),
    );
}

fn together(model: &mut Model, deed: Deed, effects: &mut Vec<Effect>) {
    let ids = marked(model);
    clear(model);
    send(InterceptCommand::Together { ids, deed }, effects);
}

/// They in the order of the list, which is the order in which they came.
fn marked(model: &Model) -> Vec<HoldId> {
    let rows = model.snapshot.intercept.rows.iter();
    rows.map(|row| row.id)
        .filter(|id| model.held.marks.contains(&id.get()))
        .collect()
}

/// Marks `row`, or takes its mark away, and goes on to the next.
pub(super) fn toggle(model: &mut Model, row: HoldId) {
    model.held.range = None;
    if !model.held.marks.remove(&row.get()) {
        model.held.marks.insert(row.get());
    }
    super::moving::step(model, Pane::Held, 1);
}

/// Begins a range at `row` that goes with the cursor, or ends the one there is.
pub(super) fn range(model: &mut Model, row: HoldId) {
    if model.held.range.take().is_some() {
        return;
    }
    model.held.range = Some((row.get(), model.held.marks.clone()));
    model.say(
        Role::Accent,
        "all from here to the cursor; v again keeps it, Esc clears it",
    );
}

/// Takes all marks away; `false` if there was none.
pub(super) fn clear(model: &mut Model) -> bool {
    model.held.range = None;
    let had_any = !model.held.marks.is_empty();
    model.held.marks.clear();
    had_any
}

/// Brings marks in line with what is there and where the cursor is.
pub(super) fn settle(model: &mut Model) {
    let ids = model.held_rows().ids;
    let place = |row: u64| ids.iter().position(|id| *id == row);
    if let Some((anchor, before)) = &model.held.range {
        match (place(*anchor), model.held.list.cursor.and_then(place)) {
            (Some(one), Some(other)) => {
                let between = ids.iter().take(one.max(other) + 1).skip(one.min(other));
                model.held.marks = before.iter().chain(between).copied().collect();
            }
            _ => model.held.range = None,
        }
    }
    model.held.marks.retain(|mark| ids.binary_search(mark).is_ok());
}
