//! The values of a held message, to be changed in place.

use ratatui::layout::Rect;
use shadowcat::intercept::edit::{FieldKind, FieldLine};

use super::{centred, prompt, scroll_mark};
use crate::format::{self, cells};
use crate::model::FieldsState;
use crate::paint::{Canvas, Line};
use crate::theme::Role;

/// Widest that the list becomes.
const WIDEST: usize = 110;

/// Deepest indentation that is drawn.
const DEEPEST: usize = 20;

pub(super) fn draw(canvas: &mut Canvas<'_>, body: Rect, state: &FieldsState) -> Option<(u16, u16)> {
    let area = centred(body, WIDEST, state.lines.len() + 2);
    canvas.clear(area);
    let mut title = Line::of(Role::Text, " ")
        .with(Role::Key, "Fields ")
        .say(Role::Accent, &format!("{} ", state.id));
    let choices = state.edit.as_ref().map(|edit| edit.choices.join(" | "));
    if let Some(choices) = choices.filter(|choices| !choices.is_empty()) {
        title = title
            .with(Role::Key, "Tab ")
            .say(Role::Dim, &format!("{choices} "));
    }
    let inner = canvas.frame(area, &title, true);
    let height = usize::from(inner.height);
    let top = (state.chosen + 1).saturating_sub(height);
    let mut cursor = None;
    for (y, (place, line)) in state.lines.iter().enumerate().skip(top).take(height).enumerate() {
        let y = cells(y);
        let key = key(line);
        match state.edit.as_ref().filter(|_| place == state.chosen) {
            Some(edit) => {
                canvas.line(inner, y, &key);
                let left = cells(key.width()).min(inner.width / 2);
                let rest = Rect {
                    x: inner.x + left,
                    y: inner.y + y,
                    width: inner.width - left,
                    height: 1,
                };
                cursor = Some(prompt::draw(canvas, rest, "", &edit.line));
            }
            None => canvas.line(inner, y, &key.joined(value(line))),
        }
        if place == state.chosen && state.edit.is_none() {
            canvas.cursor_row(inner, y, true);
        }
    }
    scroll_mark(canvas, area, top as u64, height, state.lines.len() as u64);
    cursor
}

fn key(line: &FieldLine) -> Line {
    let indent = "  ".repeat(line.depth.min(DEEPEST));
    Line::default()
        .say(Role::Text, &indent)
        .say(Role::JsonKey, &line.key)
        .with(Role::Dim, ": ")
}

fn value(line: &FieldLine) -> Line {
    let count = line.children as u64;
    match line.kind {
        FieldKind::Object => {
            Line::default().say(Role::Dim, &format!("{{ {} }}", format::plural(count, "member")))
        }
        FieldKind::Array => {
            Line::default().say(Role::Dim, &format!("[ {} ]", format::plural(count, "element")))
        }
        FieldKind::Text => Line::default().say(Role::JsonString, &line.value),
        FieldKind::Number => Line::default().say(Role::JsonNumber, &line.value),
        FieldKind::Bool | FieldKind::Null => Line::default().say(Role::JsonWord, &line.value),
    }
}
