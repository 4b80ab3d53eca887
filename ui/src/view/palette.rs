//! Any action by its name.

use ratatui::layout::Rect;

use super::{centred, prompt};
use crate::format::cells;
use crate::keymap::{self, TABLE};
use crate::model::{Model, PaletteState};
use crate::paint::{Canvas, Line};
use crate::theme::Role;
use crate::update;

const MOST_ROWS: usize = 14;

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, body: Rect, state: &PaletteState) -> (u16, u16) {
    let rows = state.found.len().clamp(1, MOST_ROWS);
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
    for (y, position) in state.found.iter().skip(top).take(height).enumerate() {
        if let Some(line) = line(model, *position) {
            canvas.line(list, cells(y), &line);
        }
        if top + y == state.chosen {
            canvas.cursor_row(list, cells(y), true);
        }
    }
    if state.found.is_empty() {
        let hint = if update::is_file_to_open(&state.line.text()) {
            "Enter shows this recording, Tab completes its name"
        } else {
            "no command of that name"
        };
        canvas.line(list, 0, &Line::of(Role::Dim, hint));
    }
    cursor
}

fn line(model: &Model, position: usize) -> Option<Line> {
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
