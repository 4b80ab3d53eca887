//! One message closely, in tabs.

use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::scroll_mark;
use crate::detail::Tab;
use crate::format::cells;
use crate::model::{Model, Pane};
use crate::paint::{Canvas, Line};
use crate::text::Safe;
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
            mark_hits(canvas, inner, y, &line.line, model);
            if detail.hits.get(detail.hit) == Some(&number) {
                canvas.tint(inner, y, Style::new().add_modifier(Modifier::UNDERLINED));
            }
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

/// Marks each place of the search text in a line; the chosen hit has the whole line underlined.
fn mark_hits(canvas: &mut Canvas<'_>, area: Rect, y: u16, line: &Line, model: &Model) {
    let style = canvas.theme.style(Role::Hit);
    let (text, wanted) = (line.text(), model.detail.search.to_lowercase());
    let lower = text.to_lowercase();
    // Where lower case has another length the places are not known; the mark at the edge has to do.
    if lower.len() != text.len() {
        return canvas.tint(Rect { width: 1, ..area }, y, style);
    }
    let hidden = model.detail.scroll_right;
    for (start, found) in lower.match_indices(&wanted) {
        let before = text.get(..start).map_or(0, |head| Safe::of(head).width());
        let place = (before + Safe::of(found).width()).saturating_sub(hidden);
        let start = before.saturating_sub(hidden);
        let left = cells(start).min(area.width);
        let width = cells(place.saturating_sub(start)).min(area.width - left);
        canvas.tint(
            Rect {
                x: area.x + left,
                width,
                ..area
            },
            y,
            style,
        );
    }
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
