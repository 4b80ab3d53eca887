//! The fields of a head that follow an edit.

use ratatui::layout::Rect;

use super::centred;
use crate::format::cells;
use crate::held_screen::{followed, is_refused};
use crate::model::{HeadState, Model};
use crate::paint::{Canvas, Line};
use crate::theme::Role;

/// Widest that the list becomes.
const WIDEST: usize = 100;

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, body: Rect, state: &HeadState) {
    let text = model.held.text.as_ref().filter(|text| text.row.id == state.id);
    let Some(text) = text else {
        return;
    };
    let area = centred(body, WIDEST, text.fixups.len() + 3);
    canvas.clear(area);
    let title = Line::of(Role::Text, " ")
        .with(Role::Key, "Headers ")
        .say(Role::Accent, &format!("{} ", state.id));
    let inner = canvas.frame(area, &title, true);
    for (place, fixup) in text.fixups.iter().enumerate() {
        let sign = if is_refused(text, fixup) { "[ ] " } else { "[x] " };
        let line = Line::of(Role::Key, sign).joined(followed(text, fixup, model.theme));
        canvas.line(inner, cells(place), &line);
        if place == state.chosen {
            canvas.cursor_row(inner, cells(place), true);
        }
    }
    let length = Line::of(
        Role::Dim,
        "    Content-Length always follows: the connection could not go on otherwise",
    );
    canvas.line(inner, cells(text.fixups.len()), &length);
}
