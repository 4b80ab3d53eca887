//! The list of messages. Columns that do not fit go, the least telling first.

use ratatui::layout::Rect;
use ratatui::style::Style;
use shadowcat::clock::Timestamp;
use shadowcat::intercept::filter::Field;
use shadowcat::recording::hide_url_secrets;
use shadowcat::snapshot::{MessageRow, RowState};

use super::sessions::title_role;
use super::{follow_sign, prose, scroll_mark};
use crate::address::dialled_text;
use crate::format::{self, cells};
use crate::model::{Model, Pane};
use crate::paint::{Canvas, Line};
use crate::playback::Playback;
use crate::row_text;
use crate::text::Safe;
use crate::theme::{Role, Theme};
use crate::update::playback;
use crate::verdict_text;

/// Widths of the columns, 0 for those that are not shown; each is followed by one space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Columns {
    time: u16,
    number: u16,
    kind: u16,
    summary: u16,
    session: u16,
    server: u16,
    state: u16,
    size: u16,
}

impl Columns {
    fn for_width(width: u16, has_many_sessions: bool, has_many_servers: bool) -> Self {
        let mut columns = Self {
            time: 0,
            number: 4,
            kind: 12,
            summary: 0,
            session: 0,
            server: 0,
            state: 10,
            size: 0,
        };
        let mut spare = width.saturating_sub(columns.used()).saturating_sub(8);
        let mut grow = |column: &mut u16, by: u16, gap: u16| {
            if spare >= by + gap {
                *column += by;
                spare -= by + gap;
            }
        };
        // The summary gets its share before others do, and what is left over.
        let mut summary = 0;
        grow(&mut columns.time, 8, 1);
        grow(&mut columns.state, 4, 0);
        grow(&mut summary, 6, 0);
        grow(&mut columns.kind, 2, 0);
        grow(&mut summary, 10, 0);
        grow(&mut columns.size, 8, 1);
        grow(&mut columns.number, 2, 0);
        grow(&mut columns.time, 4, 0);
        if has_many_sessions {
            grow(&mut columns.session, 4, 1);
        }
        if has_many_servers {
            grow(&mut columns.server, 14, 1);
        }
        grow(&mut summary, 16, 0);
        grow(&mut columns.kind, 6, 0);
        grow(&mut columns.state, 4, 0);
        grow(&mut summary, 20, 0);
        grow(&mut columns.kind, 6, 0);
        columns.summary = width.saturating_sub(columns.used());
        columns
    }

    /// A row without a state lends its column to the summary beside it.
    fn lending(self, state: &Line) -> Self {
        if !state.0.is_empty() || self.state == 0 || self.session + self.server > 0 {
            return self;
        }
        Self {
            summary: self.summary + self.state + 1,
            state: 0,
            ..self
        }
    }

    /// Columns in use, with the gap after each, the sign of the direction included.
    fn used(self) -> u16 {
        let others = [
            self.time,
            self.number,
            self.kind,
            self.session,
            self.server,
            self.state,
            self.size,
        ];
        2 + others
            .iter()
            .map(|width| if *width > 0 { width + 1 } else { 0 })
            .sum::<u16>()
            + self.summary
    }
}

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let has_focus = model.pane() == Pane::Messages;
    let inner = canvas.frame(area, &title(model, has_focus), has_focus);
    canvas.line_right(
        Rect {
            width: area.width.saturating_sub(1),
            height: 1,
            ..area
        },
        0,
        &following(model),
    );
    if inner.height == 0 {
        return;
    }
    let page = &model.snapshot.messages;
    if page.rows.is_empty() {
        return empty(model, canvas, inner);
    }
    let columns = columns(model, inner.width);
    heading(canvas, inner, columns);
    let list = &model.messages;
    let body = Rect {
        y: inner.y + 1,
        height: inner.height - 1,
        ..inner
    };
    let shown = page.rows.iter().skip(list.top_position).take(body.height.into());
    for (y, row) in shown.enumerate() {
        let y = cells(y);
        canvas.line(body, y, &line(model, row, columns));
        if model.playback.is_some() && Some(row.id) > list.cursor {
            // What is still to come.
            canvas.tint(body, y, Style::reset());
            canvas.tint(body, y, model.theme.style(Role::Dim));
        }
        if list.cursor == Some(row.id) {
            canvas.cursor_row(body, y, has_focus);
        }
    }
    scroll_mark(canvas, area, list.top_index(), body.height.into(), page.matched);
}

/// The columns that tell rows apart: one session or one server needs none.
fn columns(model: &Model, width: u16) -> Columns {
    let is_all = model.session.is_none();
    let has_many_sessions = model.snapshot.sessions.total > 1;
    let has_many_servers = model.seen.has_many(Field::Server);
    Columns::for_width(width, is_all && has_many_sessions, is_all && has_many_servers)
}

fn title(model: &Model, has_focus: bool) -> Line {
    let mut title = Line::of(Role::Text, " ").with(title_role(has_focus), "Messages");
    if let Some(session) = model.session {
        let rows = &model.snapshot.sessions.rows;
        let server = rows
            .iter()
            .find(|row| row.id == session)
            .map_or("", |row| row.server.as_str());
        title = title.say(Role::Accent, &format!(" {session} {server}"));
    }
    title.say(
        Role::Dim,
        &format!(" {} ", format::count(model.snapshot.messages.matched)),
    )
}

fn following(model: &Model) -> Line {
    if let Some(playback) = &model.playback {
        return played(model, playback);
    }
    // In a recording nothing is new.
    if !model.is_live() {
        return Line::default();
    }
    let list = &model.messages;
    let new = list.new_below(model.snapshot.messages.matched);
    if new == 0 {
        return follow_sign(list.is_following, model.theme);
    }
    let sign = model.theme.sign("↓", "v");
    Line::default().say(Role::Wait, &format!(" {} new {sign} G ", format::count(new)))
}

/// Where the play head is, and how fast it moves.
fn played(model: &Model, playback: &Playback) -> Line {
    let theme = model.theme;
    let (role, sign) = if playback.is_paused {
        (Role::Wait, theme.sign("⏸", "="))
    } else {
        (Role::Good, theme.sign("▶", ">"))
    };
    let head = playback::shown(model).unwrap_or(playback.head);
    let time = format::time_of_day(head, &model.zone, false);
    let times = theme.sign("×", "x");
    Line::default().say(role, &format!(" {sign} {time} {times}{} ", playback.speed()))
}

/// An empty list explains itself.
fn empty(model: &Model, canvas: &mut Canvas<'_>, inner: Rect) {
    let page = &model.snapshot.messages;
    let lines: Vec<Line> = if page.total > 0 && page.scanned < page.total {
        vec![Line::of(Role::Wait, "searching …")]
    } else if page.total > 0 {
        let text = format!("none of {} matches", format::plural(page.total, "message"));
        vec![
            Line::default().say(Role::Warn, &text),
            Line::of(
                Role::Dim,
                "Esc lifts filter and session limit, / changes the filter",
            ),
        ]
    } else {
        waiting(model, inner.width.saturating_sub(1).into())
    };
    let area = Rect {
        x: inner.x + 1,
        width: inner.width.saturating_sub(1),
        ..inner
    };
    prose(canvas, area, &lines);
}

fn waiting(model: &Model, width: usize) -> Vec<Line> {
    let shadowcat::snapshot::Source::Live {
        listen, upstreams, ..
    } = &model.snapshot.source
    else {
        return vec![Line::of(Role::Dim, "this recording has no messages")];
    };
    let address = dialled_text(listen.first().map_or("", String::as_str));
    let mut lines = vec![Line::of(Role::Strong, "nothing has passed yet")];
    if upstreams.is_empty() {
        lines.push(Line::of(Role::Text, "start your client with"));
        lines.push(Line::default().say(Role::Accent, &format!("  HTTP_PROXY=http://{address}")));
    } else {
        lines.push(Line::of(Role::Text, "point your client at"));
        lines.extend(upstreams.iter().map(|upstream| {
            let url = Line::default().say(
                Role::Accent,
                &format!("  {}", hide_url_secrets(&upstream.client_url)),
            );
            let name = format!("   for {}", upstream.name);
            let whole = url.clone().say(Role::Dim, &format!("{name} ({})", upstream.url));
            let named = url.clone().say(Role::Dim, &name);
            // What does not fit goes as a whole.
            let mut ways = [whole, named].into_iter();
            ways.find(|line| line.width() <= width).unwrap_or(url)
        }));
    }
    lines.extend(other_ways(&address));
    lines
}

/// Ways in beside the address: for a client with URLs of its own, and for a server that its client starts.
fn other_ways(address: &str) -> [Line; 4] {
    let connect = if address == crate::exec::DEFAULT_PLACE {
        String::new()
    } else {
        format!("--connect {address} ")
    };
    let run = format!("  shadowcat-tui exec {connect}-- CLIENT");
    [
        Line::of(Role::Text, "or run it so, for https:// too"),
        Line::default().say(Role::Accent, &run),
        Line::of(Role::Text, "for a stdio server, as its command"),
        Line::of(Role::Accent, "  shadowcat-tui wrap -- COMMAND"),
    ]
}

fn heading(canvas: &mut Canvas<'_>, area: Rect, columns: Columns) {
    let cells = [
        (columns.time, "time"),
        (1, ""),
        (columns.number, "id"),
        (columns.kind, "message"),
        (columns.summary.saturating_sub(1), "what"),
        (columns.session, "sess"),
        (columns.server, "server"),
        (columns.state, "state"),
    ];
    let mut line = Line::default();
    let mut column = 0;
    for (width, text) in cells.into_iter().filter(|(width, _)| *width > 0) {
        line = line.with(Role::Dim, text);
        column += usize::from(width) + usize::from(!text.is_empty() || width == 1);
        line = line.pad_to(column);
    }
    canvas.line(area, 0, &line);
    if columns.size > 0 {
        canvas.line_right(
            Rect {
                width: area.width - 1,
                ..area
            },
            0,
            &Line::of(Role::Dim, "size"),
        );
    }
}

fn line(model: &Model, row: &MessageRow, columns: Columns) -> Line {
    let theme = model.theme;
    let mut line = Line::default();
    let mut end = 0;
    let mut cell = |line: Line, width: u16, text: Line| {
        if width == 0 {
            return line;
        }
        end += usize::from(width) + 1;
        cut(line, text, width.into(), theme.ellipsis()).pad_to(end)
    };
    let time = format::time_of_day(row.at, &model.zone, columns.time < 12);
    line = cell(line, columns.time, Line::default().say(Role::Dim, &time));
    line = cell(line, 1, row_text::direction(row, theme));
    line = cell(
        line,
        columns.number,
        Line::of(
            Role::Accent,
            row_text::short_number(row, columns.number.into(), theme),
        ),
    );
    let (role, kind) = row_text::kind(row);
    line = cell(line, columns.kind, Line::of(role, kind));
    let role = if row_text::is_failure(row) {
        Role::Bad
    } else {
        Role::Text
    };
    let state = state(model, row);
    let columns = columns.lending(&state);
    let state = with_flag_kept(state, row, columns.state.into(), theme);
    // The summary's width holds its own gap.
    let room = columns.summary.saturating_sub(1);
    let what = with_mark(row, Line::default().say(role, &row.summary), room.into(), theme);
    line = cell(line, room, what);
    let session = row.session.map(|session| session.to_string()).unwrap_or_default();
    line = cell(line, columns.session, Line::default().say(Role::Dim, &session));
    line = cell(line, columns.server, Line::default().say(Role::Dim, &row.server));
    line = cell(line, columns.state, state);
    let size = format!("{:>8}", format::size(row.size));
    cell(line, columns.size, Line::default().say(Role::Dim, &size))
}

/// The state in so many columns; the mark behind it is not what is cut.
fn with_flag_kept(mut state: Line, row: &MessageRow, columns: usize, theme: Theme) -> Line {
    let flag = row_text::flag(row, theme);
    let is_flagged = !flag.0.is_empty() && state.0.ends_with(&flag.0);
    if !is_flagged || state.width() <= columns || columns <= flag.width() {
        return state;
    }
    state.0.truncate(state.0.len() - flag.0.len());
    cut(Line::default(), state, columns - flag.width(), theme.ellipsis()).joined(flag)
}

/// What became of the message. Nothing has a tick that waits here.
fn state(model: &Model, row: &MessageRow) -> Line {
    let theme = model.theme;
    if let Some(held) = model.held_of(row) {
        return super::held::state(model, held);
    }
    if let Some(before) = model.waits_behind(row) {
        return Line::default().say(Role::Wait, &format!("{}behind {before}", theme.sign("⏳ ", "")));
    }
    if model.has_waiting_answer(row) {
        return Line::of(Role::Wait, theme.sign("⏸ answer waits", "answer waits"));
    }
    if let Some(head) = playback::shown(model) {
        return state_at(row, head, theme);
    }
    row_text::state(row, model.is_live().then_some(model.now), theme)
}

/// What had become of the message at the recorded moment `head`.
fn state_at(row: &MessageRow, head: Timestamp, theme: Theme) -> Line {
    let answered_at = match &row.state {
        RowState::Answered { took, .. } => row.at.plus(*took),
        _ => row.at,
    };
    if row.at > head {
        return Line::default();
    }
    if answered_at <= head {
        return row_text::state(row, None, theme);
    }
    let open = MessageRow {
        state: RowState::Open { progress: None },
        ..row.clone()
    };
    row_text::state(&open, Some(head), theme)
}

/// `what` with a mark behind it for what was decided about the message: as many words as leave room for the text, and
/// else only the sign, before it.
fn with_mark(row: &MessageRow, what: Line, room: usize, theme: Theme) -> Line {
    /// Columns that a summary keeps beside words.
    const LEAST: usize = 12;
    let Some([whole, word, bare]) = verdict_text::marks(row, theme) else {
        return what;
    };
    let text = what.width();
    let fits = |mark: &Line| mark.width() + 1 + text.min(LEAST) <= room;
    let cut_to = |left| cut(Line::default(), what.clone(), left, theme.ellipsis());
    if let Some(mark) = [whole, word].into_iter().find(fits) {
        let left = room - mark.width() - 1;
        return cut_to(left).with(Role::Text, " ").joined(mark);
    }
    let left = room.saturating_sub(bare.width() + 1);
    bare.with(Role::Text, " ").joined(cut_to(left))
}

/// `line` with as much of `text` as fits into `width`.
fn cut(mut line: Line, text: Line, width: usize, ellipsis: &'static str) -> Line {
    let mut room = width;
    for (number, span) in text.0.into_iter().enumerate() {
        // Half a time reads like another time: later parts are shown whole or not at all.
        if number > 0 && span.text.width() > room {
            continue;
        }
        let fitted: Safe = span.text.fit(room, ellipsis);
        room -= fitted.width().min(room);
        line.push(span.role, fitted);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn columns_fill_every_width_exactly() {
        for (width, is_many) in (38..250).flat_map(|width| [(width, false), (width, true)]) {
            let columns = Columns::for_width(width, is_many, is_many);
            assert_eq!(columns.used(), width, "{columns:?}");
            assert!(columns.summary >= 7, "{width}: {columns:?}");
        }
    }

    #[test]
    fn a_mark_is_not_cut_off_a_long_state_and_copies_are_told_apart_by_their_ids() {
        let theme = Theme::default();
        let mut row = crate::lines::sample_row();
        row.rpc_id = Some("\"shadowcat-16\"".to_owned());
        row.findings = vec![shadowcat::snapshot::Finding {
            severity: shadowcat::snapshot::Severity::Info,
            text: String::new(),
        }];
        row.state = RowState::Answered {
            took: std::time::Duration::from_millis(22),
            outcome: shadowcat::snapshot::Outcome::RpcError(-32000),
            status: None,
        };
        let state = row_text::state(&row, None, theme);
        let fitted = |columns| with_flag_kept(state.clone(), &row, columns, theme).text();
        assert_eq!(fitted(20), "✗ -32000 22 ms ⚑");
        assert_eq!(fitted(14), "✗ -32000 ⚑");
        assert_eq!(fitted(10), "✗ -32000 ⚑");
        let number = |columns| row_text::short_number(&row, columns, theme).as_str().to_owned();
        assert_eq!(number(15), "#\"shadowcat-16\"");
        assert_eq!(number(6), "#…-16");
        assert_eq!(number(4), "#…16");
    }

    #[test]
    fn rows_of_one_server_do_not_name_it() {
        let heading = |fake| {
            let mut stage = crate::stage::Stage::new(fake, 140, 40);
            let text = stage.text();
            text.lines().nth(2).unwrap_or_default().to_owned()
        };
        assert!(heading(Fake::typical()).contains("server"));
        let mut one = Fake::typical();
        one.sessions.truncate(1);
        assert!(!heading(one).contains("server"));
    }
}
