//! The configured servers: how each is, and what it is asked.

pub(super) mod card;

use ratatui::layout::Rect;
use shadowcat::snapshot::{ServerKind, UpstreamRow};

use super::sessions::title_role;
use super::{prose, scroll_mark};
use crate::format::{self, cells};
use crate::model::{Model, Pane};
use crate::paint::{Canvas, Line};
use crate::text::Safe;
use crate::theme::Role;

/// What the columns are wide; one that has no room is 0.
struct Columns {
    name: usize,
    state: usize,
    kind: usize,
    calls: usize,
    failed: usize,
    has_place: bool,
}

impl Columns {
    fn within(width: usize) -> Self {
        match width {
            0..54 => Self {
                name: 13,
                state: 24,
                kind: 0,
                calls: 0,
                failed: 0,
                has_place: false,
            },
            54..76 => Self {
                name: 16,
                state: 22,
                kind: 0,
                calls: 7,
                failed: 7,
                has_place: true,
            },
            76..110 => Self {
                name: 16,
                state: 22,
                kind: 8,
                calls: 7,
                failed: 7,
                has_place: true,
            },
            _ => Self {
                name: 24,
                state: 22,
                kind: 8,
                calls: 9,
                failed: 9,
                has_place: true,
            },
        }
    }

    /// The cells of a line, each as wide as its column.
    fn line(&self, sign: Line, [name, state, kind, calls, failed, place]: [Line; 6]) -> Line {
        let mut line = sign;
        let mut end = line.width();
        let in_order = [
            (self.name, name),
            (self.state, state),
            (self.kind, kind),
            (self.calls, calls),
            (self.failed, failed),
        ];
        for (width, cell) in in_order.into_iter().filter(|(width, _)| *width > 0) {
            line.extend(cell);
            end += width;
            line = line.pad_to(end);
        }
        if self.has_place { line.joined(place) } else { line }
    }
}

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let has_focus = model.pane() == Pane::Servers;
    let servers = model.servers();
    let down = servers
        .iter()
        .filter(|server| server.is_healthy == Some(false))
        .count();
    let mut title = Line::of(Role::Text, " ")
        .with(title_role(has_focus), "Servers")
        .say(Role::Dim, &format!(" {} ", servers.len()));
    if down > 0 {
        title = title.say(Role::Bad, &format!("{down} down "));
    }
    let inner = canvas.frame(area, &title, has_focus);
    if servers.is_empty() {
        return nothing(model, canvas, inner);
    }
    let columns = Columns::within(inner.width.into());
    canvas.line(inner, 0, &heading(&columns));
    let height = usize::from(inner.height.saturating_sub(1));
    let first = model.servers.top_position;
    for (y, (place, server)) in servers.iter().enumerate().skip(first).take(height).enumerate() {
        let y = cells(y + 1);
        canvas.line(inner, y, &line(model, server, &columns));
        if model.servers.cursor == Some(place as u64) {
            canvas.cursor_row(inner, y, has_focus);
        }
    }
    scroll_mark(
        canvas,
        area,
        model.servers.top_index(),
        height,
        servers.len() as u64,
    );
}

fn nothing(model: &Model, canvas: &mut Canvas<'_>, inner: Rect) {
    let texts: &[&'static str] = if model.is_live() {
        &[
            "none: clients choose where they go",
            "exec -- CLIENT runs one through here",
            "--upstream [NAME=]URL stands in for a server, --config mcp.json for those of a client",
            "wrap -- COMMAND: stdio servers, shown on Traffic",
        ]
    } else {
        &["none: no session of this recording names a server"]
    };
    let lines: Vec<Line> = texts.iter().map(|text| Line::of(Role::Dim, *text)).collect();
    prose(canvas, inner, &lines);
}

fn heading(columns: &Columns) -> Line {
    let texts = ["server", "state", "kind", "calls", "failed", "where"];
    let right =
        |text: &'static str, width: usize| Line::default().say(Role::Dim, &format!("{text:>width$} "));
    let cell = |text: &'static str| match text {
        "calls" if columns.calls > 0 => right(text, columns.calls - 1),
        "failed" if columns.failed > 0 => right(text, columns.failed - 1),
        _ => Line::of(Role::Dim, text),
    };
    columns.line(Line::of(Role::Text, " "), texts.map(cell))
}

fn line(model: &Model, server: &UpstreamRow, columns: &Columns) -> Line {
    let name = Safe::of(&server.name).fit(columns.name - 1, model.theme.ellipsis());
    let (role, state) = state(model, server);
    let state = Safe::of(&state).fit(columns.state - 1, model.theme.ellipsis());
    let number = |count: u64, role: Role, width: usize| {
        Line::default().say(
            role,
            &format!("{:>width$} ", format::count(count), width = width.max(1) - 1),
        )
    };
    let failed = if server.failed_calls > 0 {
        Role::Bad
    } else {
        Role::Dim
    };
    columns.line(
        Line::of(Role::Text, " "),
        [
            Line::of(Role::Strong, name),
            Line::of(role, state),
            Line::of(Role::Dim, kind(server)),
            number(server.calls, Role::Text, columns.calls),
            number(server.failed_calls, failed, columns.failed),
            Line::default().say(Role::Dim, &server.url),
        ],
    )
}

pub(super) const fn kind(server: &UpstreamRow) -> &'static str {
    match server.kind {
        ServerKind::Http if server.speaks_sse => "sse",
        ServerKind::Http => "http",
        ServerKind::Command => "command",
    }
}

/// How it is, in words and with a sign.
pub(super) fn state(model: &Model, server: &UpstreamRow) -> (Role, String) {
    let theme = model.theme;
    if !model.is_live() {
        return (Role::Dim, "- recorded".to_owned());
    }
    let (good, bad) = (theme.sign("✓", "+"), theme.sign("✗", "x"));
    match (server.is_healthy, server.kind, server.running) {
        (Some(false), ..) => {
            let since = server.down_since.map(|since| {
                let time = format::time_of_day(since, &model.zone, true);
                format!(" since {time}")
            });
            (Role::Bad, format!("{bad} down{}", since.unwrap_or_default()))
        }
        (_, ServerKind::Command, 1..) => (Role::Good, format!("{good} running {}", server.running)),
        (Some(true), ServerKind::Command, 0) => (Role::Dim, "- none runs now".to_owned()),
        (Some(true), ..) => (Role::Good, format!("{good} ok")),
        (None, ..) => (Role::Dim, "? never asked".to_owned()),
    }
}
