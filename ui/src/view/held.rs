//! The messages that wait for a decision, and the chosen one.

use std::time::Duration;

use ratatui::layout::Rect;
use shadowcat::intercept::hold::{HeldRow, HeldState};
use shadowcat::intercept::rule::OnExpire;
use shadowcat::snapshot::{Carrier, Direction, RowKind, Severity};

use super::sessions::title_role;
use super::{centred, prose, scroll_mark};
use crate::format::{self, cells};
use crate::held_screen::{age, urgency};
use crate::keymap::{self, Action, Context};
use crate::model::{Model, Pane, ProblemsState};
use crate::paint::{Canvas, Line, bar};
use crate::theme::{Role, Theme};

/// Columns of the bar that shows how long a message has been held.
const BAR: usize = 6;

/// Where the columns begin; `None` for one that has no room.
struct Columns {
    has_bar: bool,
    age: usize,
    method: usize,
    name: Option<usize>,
    server: Option<usize>,
    rule: Option<usize>,
    state: usize,
}

impl Columns {
    fn within(width: usize) -> Self {
        // Id and its mark, then the bar with its seconds.
        let (age, method) = (7, 7 + BAR + 11);
        match width {
            0..60 => Self {
                has_bar: false,
                age,
                method: age + 9,
                name: None,
                server: None,
                rule: None,
                state: width.saturating_sub(12),
            },
            60..100 => Self {
                has_bar: true,
                age,
                method,
                name: Some(method + 16),
                server: None,
                rule: None,
                state: width - 16,
            },
            _ => {
                let (name, state) = (method + 16, width - 18);
                let share = (state - name) / 3;
                Self {
                    has_bar: true,
                    age,
                    method,
                    name: Some(name),
                    server: Some(name + share),
                    rule: Some(name + 2 * share),
                    state,
                }
            }
        }
    }
}

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let has_focus = model.pane() == Pane::Held;
    let inner = canvas.frame(area, &title(model, has_focus), has_focus);
    let rows = &model.snapshot.intercept.rows;
    if rows.is_empty() {
        return prose(canvas, inner, &empty(model));
    }
    if inner.height < 2 {
        return;
    }
    let columns = Columns::within(inner.width.into());
    canvas.line(inner, 0, &heading(&columns));
    let room = inner.height - 2;
    let body = Rect {
        y: inner.y + 1,
        height: room,
        ..inner
    };
    let list = &model.held.list;
    let shown = rows.iter().skip(list.top_position).take(room.into());
    for (y, row) in shown.enumerate() {
        let y = cells(y);
        canvas.line(body, y, &line(model, row, &columns));
        if list.cursor == Some(row.id.get()) {
            canvas.cursor_row(body, y, has_focus);
        }
    }
    if let Some(row) = model.selected_held() {
        let lane = lane(model, row).fit(inner.width.into(), model.theme);
        canvas.line(inner, inner.height - 1, &lane);
    }
    scroll_mark(
        canvas,
        area,
        list.top_position as u64,
        room.into(),
        rows.len() as u64,
    );
}

fn title(model: &Model, has_focus: bool) -> Line {
    let view = &model.snapshot.intercept;
    let title = Line::of(Role::Text, " ").with(title_role(has_focus), "Held ");
    let title = title.say(
        Role::Dim,
        &format!("{} ", view.summary.held + view.summary.queued),
    );
    let title = match &model.held.range {
        Some((from, _)) => title.say(Role::TabOn, &format!("range from h{from}: v keeps it ")),
        None => title,
    };
    if view.is_on {
        title
    } else {
        title.with(Role::Warn, "rules are off ")
    }
}

/// An empty list explains itself.
fn empty(model: &Model) -> Vec<Line> {
    let view = &model.snapshot.intercept;
    let breakpoints = view.rules.iter().filter(|rule| rule.is_breakpoint && rule.is_on);
    let mut lines = vec![Line::of(Role::Strong, "nothing is held")];
    let key = key_of(model, Action::Break);
    if !model.is_live() {
        lines.push(Line::of(
            Role::Dim,
            "a recording is open; nothing can be held in it",
        ));
    } else if view.is_on {
        let count = breakpoints.count() as u64;
        if count > 0 {
            let text = format!(
                "{} armed: what matches waits here",
                format::plural(count, "breakpoint")
            );
            lines.push(Line::default().say(Role::Text, &text));
        }
        let text = format!("{key} on a message of the Traffic screen holds those like it from then on");
        lines.push(Line::default().say(Role::Dim, &text));
    } else {
        let text = format!(
            "rules are off: {} switches them on",
            key_of(model, Action::Intercept)
        );
        lines.push(Line::default().say(Role::Warn, &text));
    }
    lines
}

fn key_of(model: &Model, action: Action) -> String {
    let mut entries = model.keymap.entries().iter();
    let entry = entries.find(|entry| entry.binding.action == action);
    entry
        .and_then(|entry| entry.keys.first())
        .map(|key| keymap::spelled(key))
        .unwrap_or_default()
}

fn heading(columns: &Columns) -> Line {
    let mut line = Line::of(Role::Dim, "id")
        .pad_to(columns.age)
        .with(Role::Dim, "held")
        .pad_to(columns.method)
        .with(Role::Dim, "  message");
    for (column, text) in [
        (columns.name, "name"),
        (columns.server, "server"),
        (columns.rule, "rule"),
        (Some(columns.state), "state"),
    ] {
        if let Some(column) = column {
            line = line.pad_to(column).with(Role::Dim, text);
        }
    }
    line
}

fn line(model: &Model, row: &HeldRow, columns: &Columns) -> Line {
    let theme = model.theme;
    let name_end = columns.server.unwrap_or(columns.state);
    let mut line = Line::default().say(Role::Accent, &row.id.to_string());
    if model.held.marks.contains(&row.id.get()) {
        line = line.with(Role::Key, theme.sign(" ●", " *"));
    }
    line = line
        .pad_to(columns.age)
        .joined(clock(model, row, columns.has_bar));
    line = line.pad_to(columns.method).joined(way(row, theme));
    line = put(
        line,
        Role::Strong,
        what(row),
        columns.name.unwrap_or(columns.state),
        theme,
    );
    if let Some(column) = columns.name {
        let name = row.name.as_deref().unwrap_or_default();
        line = put(line.pad_to(column), Role::Text, name, name_end, theme);
    }
    if let (Some(server), Some(rule)) = (columns.server, columns.rule) {
        let session = row.session.map(|session| session.to_string()).unwrap_or_default();
        let place = format!("{session} {}", row.server);
        line = put(line.pad_to(server), Role::Dim, place.trim(), rule, theme);
        line = put(line.pad_to(rule), Role::Dim, &row.rule, columns.state, theme);
    }
    line.pad_to(columns.state).joined(state(model, row))
}

/// `text` as far as there is room before column `end`, which stays free.
fn put(line: Line, role: Role, text: &str, end: usize, theme: Theme) -> Line {
    let room = end.saturating_sub(line.width() + 1);
    let text = crate::text::Safe::of(text).fit(room, theme.ellipsis());
    line.with(role, text)
}

/// `▓▓▓░░░ 19/60 s`, or how long it has been kept.
fn clock(model: &Model, row: &HeldRow, has_bar: bool) -> Line {
    let age = age(row, model.now);
    if row.is_kept {
        let text = format!("{} kept", format::duration(Duration::from_secs(age.as_secs())));
        return Line::default().say(Role::Dim, &text);
    }
    let role = urgency(age, row.budget);
    let seconds = format!("{}/{} s", age.as_secs(), row.budget.as_secs());
    if !has_bar {
        return Line::default().say(role, &seconds);
    }
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let (full, rest) = bar(millis(age), millis(row.budget), BAR, model.theme);
    Line::of(role, full)
        .with(Role::Dim, rest)
        .with(Role::Text, " ")
        .say(role, &seconds)
}

fn way(row: &HeldRow, theme: Theme) -> Line {
    match row.direction {
        Direction::ClientToServer => Line::of(Role::Client, theme.sign("→ ", "> ")),
        Direction::ServerToClient => Line::of(Role::Server, theme.sign("◄ ", "< ")),
    }
}

/// Its method, or its kind where it has none.
fn what(row: &HeldRow) -> &str {
    let method = row.method.as_deref().unwrap_or_default();
    let short = method.strip_prefix("notifications/").unwrap_or(method);
    match row.kind {
        _ if !short.is_empty() => short,
        RowKind::Result => "result",
        RowKind::Error => "error",
        RowKind::Event => "event",
        RowKind::Malformed => "malformed",
        RowKind::HttpResponse => "response",
        _ => "message",
    }
}

/// `⏸ HELD`, or what it waits behind.
pub(super) fn state(model: &Model, row: &HeldRow) -> Line {
    let theme = model.theme;
    let line = match row.state {
        HeldState::Held => Line::of(Role::Warn, theme.sign("⏸ HELD", "|| HELD")),
        HeldState::Editing => Line::of(Role::Accent, theme.sign("✎ editing", "editing")),
        HeldState::Queued => {
            let text = format!("{}behind {}", theme.sign("⏳ ", ""), head_of(model, row));
            Line::default().say(Role::Wait, &text)
        }
        HeldState::Decided => Line::default().say(Role::Wait, "decided, waits for its batch"),
    };
    let line = match row.batch {
        Some((number, count)) => line.say(Role::Dim, &format!(" entry {number} of {count}")),
        None => line,
    };
    if row.is_edited {
        line.with(Role::Accent, theme.sign(" ✎", " edited"))
    } else {
        line
    }
}

/// The message that stands at the head of the lane of `row`.
fn head_of(model: &Model, row: &HeldRow) -> String {
    let mut rows = model.snapshot.intercept.rows.iter();
    let head = rows.find(|other| other.lane == row.lane && other.state != HeldState::Queued);
    head.map_or_else(|| "another".to_owned(), |head| head.id.to_string())
}

/// What the lane is, what waits in it, and what the next `f` sends.
fn lane(model: &Model, row: &HeldRow) -> Line {
    let direction = match row.direction {
        Direction::ClientToServer => "to server",
        Direction::ServerToClient => "to client",
    };
    let carrier = match row.carrier {
        Carrier::Sse => "event stream",
        Carrier::Stdio => "stdio",
        _ => "exchange",
    };
    let text = format!(" lane {} {carrier} {} {direction}", row.server, row.exchange);
    let mut line = Line::default().say(Role::Dim, &text);
    let queued = row.queued_behind;
    if queued > 0 {
        let text = format!(" · {queued} queued, {}", format::size(row.queued_bytes));
        line = line.say(Role::Wait, &text);
    }
    line.say(Role::Text, &format!(" · {}", next(model, row)))
}

/// What forwarding sends.
fn next(model: &Model, row: &HeldRow) -> String {
    let key = key_of(model, Action::Forward);
    let marked = model.held.marks.len();
    if marked > 0 {
        return format!("{key} sends the {marked} marked, each lane in its order");
    }
    let text = model.held.text.as_ref().filter(|text| text.row.id == row.id);
    let edited = text.and_then(|text| text.edited.as_ref());
    match edited {
        Some(edited) if row.is_edited => {
            format!("{key} sends {}, edited", format::size(edited.len() as u64))
        }
        _ if row.is_edited => format!("{key} sends it edited"),
        _ => format!("{key} sends {} unchanged", format::size(row.size)),
    }
}

/// The chosen message.
pub(super) fn draw_text(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let has_focus = model.pane() == Pane::HeldText;
    let Some(row) = model.selected_held() else {
        let title = Line::of(Role::Text, " ").with(title_role(has_focus), "Message ");
        canvas.frame(area, &title, has_focus);
        return;
    };
    let inner = canvas.frame(area, &text_title(model, row, has_focus), has_focus);
    if inner.height == 0 {
        return;
    }
    canvas.line(inner, 0, &facts(model, row).fit(inner.width.into(), model.theme));
    let body = Rect {
        y: inner.y + 1,
        height: inner.height - 1,
        ..inner
    };
    if model.held.shown() != Some(row.id) {
        return canvas.line(body, 0, &Line::of(Role::Dim, "…"));
    }
    let lines = &model.held.lines;
    let wrapped = lines
        .iter()
        .skip(model.held.scroll)
        .flat_map(|line| line.wrapped(body.width.into()));
    for (y, line) in wrapped.take(body.height.into()).enumerate() {
        canvas.line(body, cells(y), &line);
    }
    scroll_mark(
        canvas,
        area,
        model.held.scroll as u64,
        body.height.into(),
        lines.len() as u64,
    );
}

fn text_title(model: &Model, row: &HeldRow, has_focus: bool) -> Line {
    let title = Line::of(Role::Text, " ").with(title_role(has_focus), "Message ");
    let title = title.say(Role::Accent, &format!("{} ", row.id));
    if model.held.shows_difference {
        title.with(Role::TabOn, "what was edited ")
    } else if row.is_edited {
        title.with(Role::TabOn, "as edited ")
    } else {
        title.with(Role::Dim, "as it came ")
    }
}

/// Who held it, what happens when its time is over, and for whom it is.
fn facts(model: &Model, row: &HeldRow) -> Line {
    /// Columns of a rule's name; what is behind it has to be seen too.
    const NAME: usize = 32;
    let name = crate::text::Safe::of(&row.rule).fit(NAME, model.theme.ellipsis());
    let mut line = Line::of(Role::Dim, "rule ").with(Role::Text, name);
    line = line.with(Role::Dim, " · ").joined(patience(model, row));
    if let Some(client) = &row.client {
        line = line.with(Role::Dim, " · client ").say(Role::Text, client);
    }
    if let Some(id) = &row.rpc_id {
        line = line.with(Role::Dim, " · id ").say(Role::Text, id);
    }
    line
}

/// How long its client will wait, and then.
fn patience(model: &Model, row: &HeldRow) -> Line {
    let budget = format!("bears {} ({})", format::duration(row.budget), row.budget_source);
    let line = Line::default().say(Role::Dim, &budget);
    let age = age(row, model.now);
    if row.is_kept {
        return line.with(Role::Dim, ", kept");
    }
    if age > row.budget {
        let over = Duration::from_secs(age.saturating_sub(row.budget).as_secs());
        let text = format!(", may have given up {} ago", format::duration(over));
        return line.say(Role::Bad, &text);
    }
    let then = match row.on_expire {
        OnExpire::Wait => ", then it still waits",
        OnExpire::Forward => ", then it goes on",
        OnExpire::Error => ", then an error is sent",
        OnExpire::Drop => ", then it is dropped",
    };
    line.with(Role::Dim, then)
}

/// What may be wrong with an edit, and the keys that decide.
pub(super) fn problems(model: &Model, canvas: &mut Canvas<'_>, body: Rect, state: &ProblemsState) {
    let contexts = [Context::Doubting];
    let keys = model.keymap.entries_of(&contexts).map(|entry| {
        Line::of(Role::Text, " ")
            .say(Role::Key, &keymap::keys_of(entry))
            .pad_to(8)
            .with(Role::Strong, entry.binding.label)
            .pad_to(26)
            .with(Role::Dim, entry.binding.help)
    });
    let keys: Vec<Line> = keys.collect();
    let width = body.width.min(100);
    let found = state.edited.problems.iter().flat_map(|problem| {
        let role = if problem.severity == Severity::Error {
            Role::Bad
        } else {
            Role::Warn
        };
        let place = format!(" {}:{} ", problem.line, problem.column);
        let line = Line::default().say(Role::Dim, &place).say(role, &problem.text);
        line.say(Role::Dim, &format!("  {}", problem.path))
            .wrapped_at_words(usize::from(width.saturating_sub(2)))
    });
    let room = usize::from(body.height).saturating_sub(keys.len() + 3);
    let lines: Vec<Line> = found.take(room).collect();
    let area = centred(body, width.into(), lines.len() + keys.len() + 3);
    canvas.clear(area);
    let title = Line::of(Role::Text, " ").with(Role::Warn, "This edit may be wrong ");
    let inner = canvas.frame(area, &title, true);
    let gap = Line::default();
    let all = lines.iter().chain(std::iter::once(&gap)).chain(&keys);
    for (y, line) in all.enumerate() {
        canvas.line(inner, cells(y), line);
    }
}
