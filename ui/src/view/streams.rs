//! One lane for each SSE stream: what it is, and its events of the last minute on a time line.

use std::time::Duration;

use ratatui::layout::Rect;
use shadowcat::clock::Timestamp;
use shadowcat::snapshot::{EndKind, RowKind, StreamRow};

use super::sessions::title_role;
use super::{follow_sign, scroll_mark};
use crate::format::{self, cells};
use crate::model::{Model, Pane};
use crate::paint::{Canvas, Line};
use crate::theme::{Role, Theme};

/// What a lane's time line spans.
const SPAN: Duration = Duration::from_mins(1);

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let has_focus = model.pane() == Pane::Streams;
    let page = &model.snapshot.streams;
    let open = page.rows.iter().filter(|row| row.ended.is_none()).count();
    let title = Line::of(Role::Text, " ")
        .with(title_role(has_focus), "Streams")
        .say(Role::Dim, &format!(" {} open of {} ", open, page.total));
    let inner = canvas.frame(area, &title, has_focus);
    // In a recording nothing is new.
    let sign = if model.is_live() {
        follow_sign(model.streams.is_following, model.theme)
    } else {
        Line::default()
    };
    let edge = Rect {
        width: area.width.saturating_sub(1),
        height: 1,
        ..area
    };
    canvas.line_right(edge, 0, &sign);
    if page.rows.is_empty() {
        let text = "no SSE stream yet; one appears when a server answers with text/event-stream";
        return canvas.line(inner, 0, &Line::of(Role::Dim, text));
    }
    let lanes = usize::from(inner.height / 2);
    let shown = page.rows.iter().skip(model.streams.top_position).take(lanes);
    let end = right_end(shown.clone(), model);
    for (lane, stream) in shown.enumerate() {
        let y = cells(lane * 2);
        canvas.line(inner, y, &header(stream, model));
        canvas.line(inner, y + 1, &track(stream, end, model, inner.width.into()));
        if model.streams.cursor == Some(stream.id) {
            canvas.cursor_row(inner, y, has_focus);
        }
    }
    scroll_mark(canvas, area, model.streams.top_index(), lanes, page.total);
}

fn header(stream: &StreamRow, model: &Model) -> Line {
    let theme = model.theme;
    let (role, sign) = match stream.ended {
        None => (Role::Good, theme.sign("≋", "~")),
        Some((_, EndKind::Complete)) => (Role::Dim, theme.sign("✓", "ok")),
        Some(_) => (Role::Bad, theme.sign("✗", "x")),
    };
    let session = stream
        .session
        .map_or_else(|| "-".to_owned(), |session| session.to_string());
    Line::of(role, sign)
        .say(Role::Strong, &format!(" {} ", stream.id))
        .say(Role::Text, &stream.label)
        .say(Role::Dim, &format!("  {session} {}  ", stream.server))
        .say(Role::Text, &format::plural(stream.events, "event"))
        .say(Role::Dim, &format!("  {}", format::size(stream.bytes)))
        .with(Role::Dim, ended(stream))
}

pub(super) const fn ended(stream: &StreamRow) -> &'static str {
    match stream.ended {
        None | Some((_, EndKind::Complete)) => "",
        Some((_, EndKind::ClientAborted)) => "  client went away",
        Some((_, EndKind::UpstreamAborted)) => "  server broke off",
        Some((_, EndKind::UpstreamUnreachable)) => "  server not reached",
        Some((_, EndKind::CutByProxy)) => "  cut by the proxy",
        Some((_, EndKind::Unwatched)) => "  shim gone",
    }
}

/// The moment at the right end of the lanes: now, or in a recording the last that happened in what is on the screen.
fn right_end<'a>(shown: impl Iterator<Item = &'a StreamRow>, model: &Model) -> Timestamp {
    if model.is_live() {
        return model.now;
    }
    let latest = shown.map(|stream| {
        let ended = stream.ended.map(|(at, _)| at);
        ended.map_or(stream.active_at, |at| at.max(stream.active_at))
    });
    latest.max().unwrap_or(model.now)
}

/// The minute up to `end` from left to right, a sign for each event.
fn track(stream: &StreamRow, end: Timestamp, model: &Model, width: usize) -> Line {
    let theme = model.theme;
    let label = match stream.ended {
        None if model.is_live() => {
            let silence = format::duration(end.since(stream.active_at));
            format!(" {silence} ago")
        }
        None => " open".to_owned(),
        Some(_) => " ended".to_owned(),
    };
    let room = width.saturating_sub(label.chars().count().max(14) + 2);
    let mut signs = vec![(Role::Dim, theme.sign("·", ".")); room];
    for event in &stream.recent {
        let age = end.since(event.at);
        let Some(left) = SPAN.checked_sub(age) else {
            continue;
        };
        let place = left.as_micros() * (room.saturating_sub(1)) as u128 / SPAN.as_micros();
        if let Some(cell) = usize::try_from(place).ok().and_then(|place| signs.get_mut(place)) {
            *cell = sign(event.kind, event.comments > 0, theme);
        }
    }
    let mut line = Line::of(Role::Text, "  ");
    for (role, sign) in signs {
        line.push(role, sign);
    }
    line.say(Role::Dim, &label)
}

/// The sign of an event: a word for it is in the list of events.
pub(super) const fn sign(kind: Option<RowKind>, is_comment: bool, theme: Theme) -> (Role, &'static str) {
    match kind {
        _ if is_comment => (Role::Dim, theme.sign("∙", ",")),
        Some(RowKind::Result) => (Role::Good, theme.sign("◆", "R")),
        Some(RowKind::Error | RowKind::Malformed) => (Role::Bad, theme.sign("✗", "x")),
        Some(RowKind::Request) => (Role::Warn, theme.sign("◇", "Q")),
        Some(RowKind::Notification) => (Role::Accent, theme.sign("●", "n")),
        _ => (Role::Text, theme.sign("○", "o")),
    }
}
