//! The program's own log.

use ratatui::layout::Rect;
use shadowcat::snapshot::LogRow;

use super::{follow_sign, scroll_mark};
use crate::format::{self, cells};
use crate::model::{LogLevel, Model};
use crate::paint::{Canvas, Line};
use crate::theme::Role;

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let mut title = Line::of(Role::Text, " ").with(Role::Key, "Log ");
    if model.log_level != LogLevel::All {
        title = title.say(Role::Accent, &format!("{} ", model.log_level.name()));
    }
    let inner = canvas.frame(area, &title, true);
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
            canvas.cursor_row(inner, y, true);
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
