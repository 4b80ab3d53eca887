//! Any action by its name.

use ratatui::layout::Rect;

use super::{centred, prompt};
use crate::format::cells;
use crate::keymap::{self, TABLE};
use crate::model::{Choice, Model, PaletteState};
use crate::paint::{Canvas, Line};
use crate::theme::Role;
use crate::update;
use crate::update::typed::{Meaning, TypedCommand, meaning};

const MOST_ROWS: usize = 14;

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, body: Rect, state: &PaletteState) -> (u16, u16) {
    let rows = state.found.len().max(state.names.len()).clamp(1, MOST_ROWS);
    let area = Rect {
        y: body.y,
        ..centred(body, 76, rows + 4)
    };
    canvas.clear(area);
    let inner = canvas.frame(
        area,
        &Line::of(Role::Text, " ").with(Role::Key, "Commands "),
        true,
    );
    let cursor = prompt::draw(canvas, inner, ":", &state.line);
    let list = Rect {
        y: inner.y + 1,
        height: inner.height.saturating_sub(1),
        ..inner
    };
    let height = usize::from(list.height).max(1);
    let top = (state.chosen + 1).saturating_sub(height);
    for (y, choice) in state.found.iter().skip(top).take(height).enumerate() {
        if let Some(line) = line(model, *choice) {
            canvas.line(list, cells(y), &line);
        }
        if top + y == state.chosen {
            canvas.cursor_row(list, cells(y), true);
        }
    }
    if !state.names.is_empty() {
        names(canvas, list, &state.names);
    } else if state.found.is_empty() {
        canvas.line(list, 0, &hint(&state.line.text()));
    }
    cursor
}

/// How what was typed could go on; the last row says how many more there are.
fn names(canvas: &mut Canvas<'_>, list: Rect, names: &[String]) {
    let height = usize::from(list.height);
    let shown = if names.len() > height {
        height.saturating_sub(1)
    } else {
        height
    };
    for (y, name) in names.iter().take(shown).enumerate() {
        canvas.line(list, cells(y), &Line::of(Role::Text, " ").say(Role::Text, name));
    }
    if names.len() > shown {
        let more = format!(" and {} more", names.len() - shown);
        canvas.line(list, cells(shown), &Line::default().say(Role::Dim, &more));
    }
}

/// What Enter does with a line that no command of the list is like.
fn hint(line: &str) -> Line {
    match meaning(line) {
        Meaning::With(command) => Line::of(Role::Text, " ")
            .with(Role::Strong, command.usage)
            .with(Role::Text, "  ")
            .with(Role::Dim, command.help),
        Meaning::TakesNone(name) => Line::default().say(Role::Warn, &format!(" `{name}` takes no argument")),
        Meaning::Name => Line::of(Role::Dim, " no command of that name"),
    }
}

fn typed(command: &TypedCommand) -> Line {
    Line::of(Role::Text, " ")
        .with(Role::Strong, command.usage)
        .pad_to(34)
        .with(Role::Dim, command.help)
}

fn line(model: &Model, choice: Choice) -> Option<Line> {
    let position = match choice {
        Choice::Action(position) => position,
        Choice::Typed(command) => return Some(typed(command)),
    };
    let binding = TABLE.get(position)?;
    let keys = model
        .keymap
        .entries()
        .get(position)
        .map(keymap::keys_of)
        .unwrap_or_default();
    let disabled = update::disabled(model, binding.action);
    let role = if disabled.is_some() {
        Role::Dim
    } else {
        Role::Strong
    };
    let line = Line::of(Role::Text, " ")
        .with(role, binding.name())
        .pad_to(20)
        .say(Role::Key, &keys)
        .pad_to(34);
    Some(match disabled {
        Some(reason) => line.with(Role::Warn, reason),
        None => line.with(Role::Dim, binding.help),
    })
}
