//! A line of text being typed.

use ratatui::layout::Rect;

use crate::format::cells;
use crate::line_edit::LineEdit;
use crate::paint::{Canvas, Line};
use crate::text::Safe;
use crate::theme::Role;

/// Draws `label` and the text into the first row of `area`; gives the place of the cursor.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect, label: &'static str, edit: &LineEdit) -> (u16, u16) {
    let (head, tail) = edit.halves();
    let line = Line::of(Role::Key, label)
        .say(Role::Strong, &head)
        .say(Role::Strong, &tail);
    let skip = shift(area, label, edit);
    canvas.clear(Rect { height: 1, ..area });
    canvas.line_from(area, 0, &line, skip);
    let column = (label.len() + Safe::of(&head).width()).saturating_sub(skip);
    (area.x + cells(column), area.y)
}

/// Columns by which the text is moved to the left so that its cursor is in view.
pub(super) fn shift(area: Rect, label: &str, edit: &LineEdit) -> usize {
    let head = Safe::of(&edit.halves().0).width() + label.len();
    (head + 1).saturating_sub(usize::from(area.width))
}

/// Draws a question that a key answers into the first row of `area`.
pub(super) fn ask(canvas: &mut Canvas<'_>, area: Rect, text: &str) {
    let question = Line::default().say(Role::Warn, &format!(" {text}"));
    let answers = |no| Line::of(Role::Key, " y").with(Role::Text, no);
    let long = answers(" yes, any other key no");
    let width = usize::from(area.width);
    let answers = if question.width() + long.width() <= width {
        long
    } else {
        answers(" yes, else no")
    };
    let question = question.fit(width.saturating_sub(answers.width()), canvas.theme);
    canvas.clear(Rect { height: 1, ..area });
    canvas.line(area, 0, &question.joined(answers));
}
