//! The program's own log.

use ratatui::layout::Rect;
use shadowcat::snapshot::LogRow;

use super::sessions::title_role;
use super::{follow_sign, scroll_mark};
use crate::format::{self, cells};
use crate::model::{LogLevel, Model, Pane};
use crate::paint::{Canvas, Line};
use crate::theme::Role;

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let mut title = Line::of(Role::Text, " ").with(Role::Key, "Log ");
    if model.log_level != LogLevel::All {
        title = title.say(Role::Accent, &format!("{} ", model.log_level.name()));
    }
    let has_focus = model.pane() == Pane::Log;
    let inner = canvas.frame(area, &title, has_focus);
    let sign = follow_sign(model.log.is_following, model.theme);
    canvas.line_right(
        Rect {
            width: area.width.saturating_sub(1),
            height: 1,
            ..area
        },
        0,
        &sign,
    );
    let rows = model.log_rows();
    if rows.ids.is_empty() {
        return canvas.line(inner, 0, &Line::of(Role::Dim, "no line of this level"));
    }
    let shown = rows
        .ids
        .iter()
        .skip(model.log.top_position)
        .take(inner.height.into());
    for (y, number) in shown.enumerate() {
        let y = cells(y);
        let row = model.snapshot.log.rows.iter().find(|row| row.number == *number);
        if let Some(row) = row {
            canvas.line_from(inner, y, &line(row, model), model.log_scroll_right);
        }
        if model.log.cursor == Some(*number) && !model.log.is_following {
            canvas.cursor_row(inner, y, has_focus);
        }
    }
    scroll_mark(
        canvas,
        area,
        model.log.top_index(),
        inner.height.into(),
        rows.total,
    );
}

/// The line under the cursor as a whole.
pub(super) fn draw_line(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let has_focus = model.pane() == Pane::LogLine;
    let title = Line::of(Role::Text, " ").with(title_role(has_focus), "Line ");
    let inner = canvas.frame(area, &title, has_focus);
    let Some(row) = model.selected_log_line() else {
        return canvas.line(inner, 0, &Line::of(Role::Dim, "no line chosen"));
    };
    let lines = line(row, model).wrapped_at_words(inner.width.into());
    let height = usize::from(inner.height);
    let scroll = model.log_line_scroll.min(lines.len().saturating_sub(height));
    for (y, line) in lines.iter().skip(scroll).take(height).enumerate() {
        canvas.line(inner, cells(y), line);
    }
    scroll_mark(canvas, area, scroll as u64, height, lines.len() as u64);
}

fn line(row: &LogRow, model: &Model) -> Line {
    let role = match row.level.as_str() {
        "ERROR" => Role::Bad,
        "WARN" => Role::Warn,
        "INFO" => Role::Text,
        _ => Role::Dim,
    };
    let time = format::time_of_day(row.at, &model.zone, false);
    Line::default()
        .say(Role::Dim, &format!("{time} "))
        .say(role, &format!("{:<5} ", row.level))
        .say(role, &row.text)
        .say(Role::Dim, &format!("  {}", row.target))
}
