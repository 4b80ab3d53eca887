//! The latest events of the chosen stream, with the silences between them.

use std::time::Duration;

use ratatui::layout::Rect;
use shadowcat::snapshot::{StreamEvent, StreamRow};

use super::scroll_mark;
use super::sessions::title_role;
use super::streams::{ended, sign};
use crate::format::{self, cells};
use crate::model::{Model, Pane};
use crate::paint::{Canvas, Line};
use crate::theme::Role;

/// A silence of this length is drawn.
const SILENCE: Duration = Duration::from_secs(1);

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let has_focus = model.pane() == Pane::Events;
    let mut title = Line::of(Role::Text, " ").with(title_role(has_focus), "Events ");
    let Some(stream) = model.selected_stream() else {
        canvas.frame(area, &title, has_focus);
        return;
    };
    title = title.say(Role::Dim, &format!("{} {} ", stream.id, stream.label));
    let inner = canvas.frame(area, &title, has_focus);
    let facts = facts(stream);
    canvas.line_right(
        Rect {
            y: area.y + area.height.saturating_sub(1),
            height: 1,
            width: area.width.saturating_sub(2),
            ..area
        },
        0,
        &facts,
    );
    let list = &model.events;
    let rows = model.event_rows();
    let shown = rows
        .ids
        .iter()
        .enumerate()
        .skip(list.top_position)
        .take(inner.height.into());
    for (y, (position, id)) in shown.enumerate() {
        let y = cells(y);
        let before = position
            .checked_sub(1)
            .and_then(|before| stream.recent.get(before));
        if let Some(event) = stream.recent.get(position) {
            canvas.line(inner, y, &line(model, event, before));
        }
        if list.cursor == Some(*id) && has_focus {
            canvas.cursor_row(inner, y, true);
        }
    }
    scroll_mark(canvas, area, list.top_index(), inner.height.into(), rows.total);
}

fn facts(stream: &StreamRow) -> Line {
    let mut line = Line::default().say(
        Role::Dim,
        &format!(" longest gap {} ", format::duration(stream.longest_gap)),
    );
    if stream.comments > 0 {
        line = line.say(
            Role::Dim,
            &format!(" {} ", format::plural(stream.comments, "comment")),
        );
    }
    if let Some(id) = &stream.last_event_id {
        line = line.say(Role::Dim, &format!(" last id {id} "));
    }
    if let Some(from) = &stream.resumed_from {
        line = line.say(Role::Accent, &format!(" resumed from {from} "));
    }
    if let Some(retry) = stream.retry {
        line = line.say(Role::Dim, &format!(" retry {retry} ms "));
    }
    line.with(Role::Bad, ended(stream))
}

fn line(model: &Model, event: &StreamEvent, before: Option<&StreamEvent>) -> Line {
    let (role, sign) = sign(event.kind, event.comments > 0, model.theme);
    let time = format::time_of_day(event.at, &model.zone, false);
    let mut line = Line::default()
        .say(Role::Dim, &format!("{time} "))
        .with(role, sign)
        .with(Role::Text, " ");
    let text = if event.comments > 0 { Role::Dim } else { Role::Text };
    line = line
        .say(text, &event.label)
        .say(Role::Dim, &format!("  {}", format::size(event.bytes)));
    if let Some(id) = &event.event_id {
        line = line.say(Role::Dim, &format!("  id {id}"));
    }
    let gap = before
        .map(|before| event.at.since(before.at))
        .filter(|gap| *gap >= SILENCE);
    if let Some(gap) = gap {
        let sign = model.theme.sign("  ┄┄ after ", "  -- after ");
        line = line
            .with(Role::Wait, sign)
            .say(Role::Wait, &format::duration(gap));
    }
    line
}
