//! One message closely, in tabs.

use ratatui::layout::Rect;

use super::scroll_mark;
use crate::detail::Tab;
use crate::format::cells;
use crate::model::{Model, Pane};
use crate::paint::{Canvas, Line};
use crate::theme::Role;

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let has_focus = model.pane() == Pane::Detail;
    let inner = canvas.frame(area, &tabs(model, area.width), has_focus);
    canvas.line_right(
        Rect {
            width: area.width.saturating_sub(1),
            height: 1,
            ..area
        },
        0,
        &corner(model),
    );
    if let Some(line) = in_place_of_lines(model) {
        return canvas.line(inner, 0, &line);
    }
    let detail = &model.detail;
    let shown = detail
        .lines
        .iter()
        .enumerate()
        .skip(detail.scroll)
        .take(inner.height.into());
    for (y, (number, line)) in shown.enumerate() {
        let y = cells(y);
        canvas.line_from(inner, y, &line.line, detail.scroll_right);
        if detail.hits.binary_search(&number).is_ok() {
            mark_hit(canvas, inner, y, detail.hits.get(detail.hit) == Some(&number));
        }
        if detail.tab == Tab::Call && number == detail.cursor && line.target.is_some() {
            canvas.cursor_row(inner, y, has_focus);
        }
    }
    scroll_mark(
        canvas,
        area,
        detail.scroll as u64,
        inner.height.into(),
        detail.lines.len() as u64,
    );
}

fn mark_hit(canvas: &mut Canvas<'_>, area: Rect, y: u16, is_chosen: bool) {
    let style = canvas.theme.style(Role::Hit);
    // All hits have a mark at the edge, the chosen one the whole line.
    let width = if is_chosen { area.width } else { 1 };
    canvas.tint(Rect { width, ..area }, y, style);
}

fn tabs(model: &Model, width: u16) -> Line {
    let mut line = Line::default();
    for tab in Tab::ALL {
        let is_on = tab == model.detail.tab;
        let role = if is_on { Role::TabOn } else { Role::Tab };
        let (open, close) = if is_on { ("[", "]") } else { (" ", " ") };
        line = line.with(role, open).with(role, tab.title()).with(role, close);
    }
    if width < 44 {
        // Too narrow for all of them: the one that is on, and its place.
        let place = Tab::ALL
            .iter()
            .position(|tab| *tab == model.detail.tab)
            .unwrap_or(0)
            + 1;
        return Line::of(Role::TabOn, model.detail.tab.title())
            .say(Role::Dim, &format!(" {place}/{} ", Tab::ALL.len()));
    }
    line
}

/// Number of the message, search hits, switches.
fn corner(model: &Model) -> Line {
    let detail = &model.detail;
    let mut line = Line::default();
    if !detail.search.is_empty() {
        let place = if detail.hits.is_empty() { 0 } else { detail.hit + 1 };
        line = line.say(Role::Hit, &format!(" {place}/{} ", detail.hits.len()));
    }
    if !detail.switches.wraps {
        line = line.with(Role::Dim, " no wrap");
    }
    if let Some(shown) = detail.shown() {
        line = line.say(Role::Dim, &format!(" {shown} "));
    }
    line
}

fn in_place_of_lines(model: &Model) -> Option<Line> {
    if model.detail.message.is_some() {
        return None;
    }
    Some(match (model.selected(), model.detail.gone) {
        (None, _) => Line::of(Role::Dim, "no message chosen"),
        (Some(_), Some(_)) => Line::of(
            Role::Warn,
            "history no longer has this message; a recording would have kept it",
        ),
        (Some(_), None) => Line::of(Role::Dim, "loading"),
    })
}
