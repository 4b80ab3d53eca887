//! The list of sessions.

use ratatui::layout::Rect;
use shadowcat::snapshot::{SessionRow, SessionState};

use super::scroll_mark;
use crate::format;
use crate::model::{Model, Pane};
use crate::paint::{Canvas, Line};
use crate::theme::{Role, Theme};

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let has_focus = model.pane() == Pane::Sessions;
    let total = model.snapshot.sessions.total;
    let title = Line::of(Role::Text, " ")
        .with(title_role(has_focus), "Sessions")
        .say(Role::Dim, &format!(" {total} "));
    let inner = canvas.frame(area, &title, has_focus);
    let rows = model.session_rows();
    let list = &model.sessions;
    let shown = rows.ids.iter().skip(list.top_position).take(inner.height.into());
    for (y, id) in shown.enumerate() {
        let y = format::cells(y);
        let session = model
            .snapshot
            .sessions
            .rows
            .iter()
            .find(|row| Some(row.id) == *id);
        let is_limit = *id == model.session;
        let (left, right) = match session {
            Some(session) => row(session, is_limit, model.theme, inner.width),
            None => all(model, is_limit),
        };
        let room = Rect {
            width: inner.width.saturating_sub(format::cells(right.width()) + 1),
            ..inner
        };
        canvas.line(room, y, &left);
        canvas.line_right(inner, y, &right);
        if list.cursor == Some(*id) && (has_focus || is_limit) {
            canvas.cursor_row(inner, y, has_focus);
        }
    }
    scroll_mark(canvas, area, list.top_index(), inner.height.into(), rows.total);
}

pub(super) const fn title_role(has_focus: bool) -> Role {
    if has_focus { Role::Key } else { Role::Text }
}

fn mark(is_limit: bool, theme: Theme) -> &'static str {
    if is_limit { theme.sign("▸", ">") } else { " " }
}

fn all(model: &Model, is_limit: bool) -> (Line, Line) {
    let left = Line::of(Role::Accent, mark(is_limit, model.theme)).with(Role::Text, "all");
    (
        left,
        Line::default().say(Role::Dim, &format::count(model.snapshot.messages.total)),
    )
}

fn row(session: &SessionRow, is_limit: bool, theme: Theme, width: u16) -> (Line, Line) {
    let role = match session.state {
        SessionState::Active => Role::Strong,
        SessionState::Idle | SessionState::Ended => Role::Dim,
    };
    let mut left = Line::of(Role::Accent, mark(is_limit, theme)).say(role, &session.id.to_string());
    if session.open_streams > 0 {
        left = left.with(Role::Good, theme.sign("≋", "~"));
    } else {
        left = left.with(Role::Text, " ");
    }
    left = left.say(
        if role == Role::Dim { Role::Dim } else { Role::Text },
        &session.server,
    );
    if session.state == SessionState::Ended {
        left = left.with(Role::Dim, " ended");
    }
    if let Some(client) = &session.client {
        left = left.say(Role::Dim, &format!(" {client}"));
    }
    (left, counts(session, theme, width))
}

/// Failures, open calls, messages; in a narrow list failures take the place of the others.
fn counts(session: &SessionRow, theme: Theme, width: u16) -> Line {
    let is_narrow = width < 24;
    let mut line = Line::default();
    if session.errors > 0 {
        let sign = theme.sign("✗", "x");
        line = line.say(Role::Bad, &format!("{sign}{}", format::count(session.errors)));
        if is_narrow {
            return line;
        }
        line = line.with(Role::Text, " ");
    }
    if session.open_calls > 0 && !is_narrow {
        let sign = theme.sign("…", ".");
        line = line.say(Role::Wait, &format!("{sign}{} ", session.open_calls));
    }
    line.say(Role::Dim, &format::count(session.messages))
}
