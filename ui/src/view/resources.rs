//! Limits and their use, tasks, rates, the process.

use ratatui::layout::Rect;
use shadowcat::limits::Unit;
use shadowcat::snapshot::{Gauge, Notice, Severity, Source, TaskRow};

use super::footer::{is_pressing, is_tight, used_of};
use super::{scroll_mark, telemetry};
use crate::format::{self, cells};
use crate::model::Model;
use crate::paint::{self, Canvas, Line};
use crate::text::Safe;
use crate::theme::Role;

/// From this width on there are two columns.
const WIDE: u16 = 146;

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let uptime = format::duration(model.snapshot.resources.uptime);
    let title = Line::of(Role::Text, " ")
        .with(Role::Key, "Resources")
        .say(Role::Dim, &format!(" up {uptime} "));
    let inner = canvas.frame(area, &title, true);
    let inner = Rect {
        x: inner.x + 1,
        width: inner.width.saturating_sub(2),
        ..inner
    };
    let half = inner.width / 2;
    let (left, right) = if inner.width >= WIDE {
        let right = Rect {
            x: inner.x + half + 1,
            width: inner.width - half - 1,
            ..inner
        };
        (
            Rect {
                width: half - 1,
                ..inner
            },
            right,
        )
    } else {
        (inner, inner)
    };
    let width = usize::from(left.width);
    let others = others(model, right.width.into());
    if inner.width >= WIDE {
        let limits = limits(model, width, &GROUPS);
        column(canvas, left, &limits, model.resources_scroll);
        column(canvas, right, &others, model.resources_scroll);
        let longest = limits.len().max(others.len());
        return mark(canvas, area, model.resources_scroll, longest);
    }
    // What may be wrong stands before what is only large.
    let (pressing, rest) = GROUPS.split_at(1);
    let mut lines = limits(model, width, pressing);
    lines.push(Line::default());
    lines.extend(others);
    lines.push(Line::default());
    lines.extend(limits(model, width, rest));
    column(canvas, inner, &lines, model.resources_scroll);
    mark(canvas, area, model.resources_scroll, lines.len());
}

fn column(canvas: &mut Canvas<'_>, area: Rect, lines: &[Line], scroll: usize) {
    let scroll = scroll.min(lines.len().saturating_sub(area.height.into()));
    for (y, line) in lines.iter().skip(scroll).take(area.height.into()).enumerate() {
        canvas.line(area, cells(y), line);
    }
}

fn mark(canvas: &mut Canvas<'_>, area: Rect, scroll: usize, lines: usize) {
    let height = usize::from(area.height.saturating_sub(2));
    let scroll = scroll.min(lines.saturating_sub(height));
    scroll_mark(canvas, area, scroll as u64, height, lines as u64);
}

fn heading(text: &'static str) -> Line {
    Line::of(Role::Title, text)
}

fn limits(model: &Model, width: usize, groups: &[(&'static str, &str, Group)]) -> Vec<Line> {
    let gauges = &model.snapshot.resources.gauges;
    let mut lines = Vec::new();
    for (title, note, group) in groups {
        let mut members = gauges.iter().filter(|gauge| group_of(gauge) == *group).peekable();
        if members.peek().is_none() {
            continue;
        }
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(heading(title).say(Role::Dim, note));
        lines.extend(members.map(|gauge| gauge_line(gauge, model, width)));
    }
    if gauges.is_empty() && groups.iter().any(|(.., group)| *group == Group::Pressing) {
        lines.push(heading("Limits in use"));
        lines.push(Line::of(Role::Dim, "none: this is a recording"));
    }
    lines
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Pressing,
    Easy,
    Times,
}

/// The groups of gauges: title, what to know of it.
const GROUPS: [(&str, &str, Group); 3] = [
    (
        "Limits in use",
        "  at the limit somebody waits or is refused",
        Group::Pressing,
    ),
    (
        "Kept and shown",
        "  at the limit the oldest goes, or less is kept",
        Group::Easy,
    ),
    ("Times", "  the longest of late", Group::Times),
];

fn group_of(gauge: &Gauge) -> Group {
    match gauge.unit {
        Unit::Time => Group::Times,
        _ if is_pressing(gauge) => Group::Pressing,
        _ => Group::Easy,
    }
}

fn gauge_line(gauge: &Gauge, model: &Model, width: usize) -> Line {
    let part = if gauge.part.is_empty() {
        String::new()
    } else {
        format!(" {}", gauge.part)
    };
    let name = Safe::of(&format!("{}{part}", gauge.name));
    let is_reached = gauge.reached > 0;
    let role = match group_of(gauge) {
        Group::Easy if is_reached => Role::Warn,
        _ if is_tight(gauge) || is_reached => Role::Bad,
        _ => Role::Bar,
    };
    let name_width = if width >= 76 {
        30
    } else {
        width.saturating_sub(24).min(28)
    };
    let mut line = Line::of(Role::Text, name.fit(name_width, model.theme.ellipsis())).pad_to(name_width + 1);
    if width >= 60 {
        let columns = if width >= 76 { 14 } else { 8 };
        let (full, empty) = paint::bar(gauge.used, gauge.limit, columns, model.theme);
        line = line
            .with(role, full)
            .with(Role::Dim, empty)
            .pad_to(name_width + columns + 2);
    }
    line = line.say(if role == Role::Bar { Role::Text } else { role }, &used_of(gauge));
    if gauge.reached > 0 {
        let times = format::plural(gauge.reached, "time");
        line = line.say(role, &format!("  reached {times}"));
    }
    line.say(
        Role::Dim,
        &format!("  peak {}", format::in_unit(gauge.peak, gauge.unit)),
    )
}

fn others(model: &Model, width: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Source::File { damage, .. } = &model.snapshot.source
        && !damage.is_empty()
    {
        lines.push(heading("Damage in the recording"));
        lines.extend(damage.iter().map(|text| Line::default().say(Role::Bad, text)));
        lines.push(Line::default());
    }
    lines.extend(notices(model, width));
    lines.extend(telemetry::lines(model));
    lines.extend(rates(model, width));
    lines.extend(process(model));
    lines.extend(tasks(&model.snapshot.resources.tasks));
    lines
}

fn rates(model: &Model, width: usize) -> Vec<Line> {
    let rates = &model.snapshot.resources.rates;
    if rates.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![heading("Each second")];
    for (name, values) in rates {
        let latest = values.last().copied().unwrap_or(0);
        let is_bytes = name.starts_with("bytes");
        let now = if is_bytes {
            format::size(latest)
        } else {
            format::count(latest)
        };
        let columns = width.saturating_sub(34).clamp(8, 60);
        let line = Line::default()
            .say(Role::Text, &name.replace('_', " "))
            .pad_to(20)
            .say(Role::Strong, &format!("{now:>10} "))
            .with(Role::Bar, paint::sparkline(values, columns, model.theme));
        lines.push(line);
    }
    lines.push(Line::default());
    lines
}

fn process(model: &Model) -> Vec<Line> {
    let resources = &model.snapshot.resources;
    let totals = &model.snapshot.totals;
    let known =
        |value: Option<u64>, show: fn(u64) -> String| value.map_or_else(|| "unknown".to_owned(), show);
    let plain: fn(u64) -> String = |number| number.to_string();
    let fact = |name: &'static str, value: String| {
        Line::of(Role::Text, name)
            .pad_to(20)
            .say(Role::Strong, &format!("{value:>10}"))
    };
    let mut lines = vec![
        heading("Process"),
        fact("resident memory", known(resources.rss_bytes, format::size)),
        fact("live sessions", format::size(resources.session_bytes)),
        fact(
            "processor time",
            resources
                .cpu
                .map_or_else(|| "unknown".to_owned(), format::duration),
        ),
        fact("threads", known(resources.threads, plain)),
        fact("open files", known(resources.open_files, plain)),
    ];
    let evicted = format!(
        "{} rows, {} bodies",
        format::count(totals.rows_evicted),
        format::count(totals.bodies_evicted)
    );
    lines.push(fact("left history", evicted));
    lines.push(Line::default());
    lines
}

fn tasks(tasks: &[TaskRow]) -> Vec<Line> {
    if tasks.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![
        heading("Tasks"),
        Line::of(Role::Dim, "kind                      live    peak  started"),
    ];
    for task in tasks {
        let role = if task.live > 0 { Role::Text } else { Role::Dim };
        let counts = format!(
            "{:>8}{:>8}{:>9}",
            task.live,
            task.peak,
            format::count(task.started)
        );
        let mut line = Line::default()
            .say(role, &task.kind)
            .pad_to(22)
            .say(role, &counts);
        if task.panicked > 0 {
            line = line.say(Role::Bad, &format!("  {} panicked", task.panicked));
        }
        lines.push(line);
    }
    lines.push(Line::default());
    lines
}

/// As a whole: the line at the bottom of the screen shows as much as fits.
fn notices(model: &Model, width: usize) -> Vec<Line> {
    let notices = &model.snapshot.notices;
    if notices.is_empty() {
        return Vec::new();
    }
    let line = |notice: &Notice| {
        let role = match notice.severity {
            Severity::Error => Role::Bad,
            Severity::Warning => Role::Warn,
            Severity::Info => Role::Text,
        };
        let time = format::time_of_day(notice.at, &model.zone, true);
        Line::default()
            .say(Role::Dim, &format!("{time} "))
            .say(role, &notice.text)
    };
    [heading("Notices")]
        .into_iter()
        .chain(
            notices
                .iter()
                .rev()
                .map(line)
                .flat_map(|line| line.wrapped_at_words(width)),
        )
        .chain([Line::default()])
        .collect()
}
