//! The line on top: where traffic comes from, how the servers are, whether it is recorded, how much there is. Where there
//! is little room, parts of it are left out rather than cut.

use ratatui::layout::Rect;
use shadowcat::snapshot::{BreakerState, RecorderState, Source, UpstreamRow};

use crate::format;
use crate::held_screen as held;
use crate::model::{Model, Screen};
use crate::paint::{Canvas, Line};
use crate::theme::Role;

/// A part of the line, and how much it matters: what is in the way of others goes as a whole.
type Part = (u8, Line);

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let right = totals(model);
    let room = area.width.saturating_sub(format::cells(right.width()) + 1);
    let mut parts = vec![(1, Line::default().say(Role::Key, &model.title))];
    if model.screen != Screen::Traffic {
        parts.push((6, Line::of(Role::TabOn, model.screen.title())));
    }
    let names = parts.len();
    parts.push((10, waiting(model)));
    parts.push((5, armed(model)));
    parts.extend(source(model));
    parts.push((9, recorder(model)));
    canvas.line(
        Rect { width: room, ..area },
        0,
        &fitting(parts, names, room.into()),
    );
    canvas.line_right(area, 0, &right);
}

/// As many parts as fit, those that matter most; the first of these in any case. Behind the first `names` is less of a gap.
fn fitting(parts: Vec<Part>, names: usize, room: usize) -> Line {
    let mut ranked: Vec<(usize, &Part)> = parts.iter().enumerate().collect();
    ranked.retain(|(_, (_, line))| !line.0.is_empty());
    ranked.sort_by_key(|(_, (weight, _))| std::cmp::Reverse(*weight));
    let (mut used, mut kept) = (1, Vec::new());
    for (place, (_, line)) in ranked {
        let width = line.width() + if kept.is_empty() { 0 } else { 2 };
        if used + width <= room || kept.is_empty() {
            used += width;
            kept.push(place);
        }
    }
    let (mut line, mut gap) = (Line::default(), " ");
    for (place, (_, part)) in parts.into_iter().enumerate() {
        if kept.contains(&place) {
            line = line.with(Role::Text, gap).joined(part);
            gap = if place < names { " " } else { "  " };
        }
    }
    line
}

fn source(model: &Model) -> Vec<Part> {
    match &model.snapshot.source {
        Source::Live {
            listen,
            upstreams,
            is_draining,
            ..
        } => {
            let mut place = Line::of(Role::Text, model.theme.sign("⇄ ", "<> "));
            place = match listen.first() {
                Some(address) => place.say(Role::Text, address),
                None => place.with(Role::Dim, "not listening"),
            };
            if listen.len() > 1 {
                place = place.say(Role::Dim, &format!(" +{}", listen.len() - 1));
            }
            let mut parts = vec![(4, place)];
            if *is_draining {
                parts.push((8, Line::of(Role::Warn, "ending: no new clients")));
            }
            if let Some(down) = some_down(upstreams, model) {
                parts.insert(0, (7, down));
            } else {
                let is_down = upstreams
                    .iter()
                    .any(|upstream| upstream.is_healthy == Some(false));
                parts.push((if is_down { 7 } else { 3 }, health(upstreams, model)));
            }
            parts
        }
        Source::File {
            path,
            created,
            read_bytes,
            total_bytes,
            damage,
            ..
        } => {
            let name = Line::of(Role::Accent, "open ").say(Role::Text, &path.display().to_string());
            let begun = format::date_and_time(*created, &model.zone);
            let mut parts = vec![
                (7, name),
                (2, Line::default().say(Role::Dim, &format!("of {begun}"))),
            ];
            if read_bytes < total_bytes {
                let part = u128::from(*read_bytes) * 100 / u128::from(*total_bytes).max(1);
                parts.push((8, Line::default().say(Role::Wait, &format!("loading {part} %"))));
            }
            if !damage.is_empty() {
                let places = format::plural(damage.len() as u64, "damaged place");
                parts.push((9, Line::default().say(Role::Bad, &places)));
            }
            parts
        }
    }
}

/// How many of several servers are down, and the first of them. That is worth more than where we are.
fn some_down(upstreams: &[UpstreamRow], model: &Model) -> Option<Line> {
    let mut down = upstreams
        .iter()
        .filter(|upstream| upstream.is_healthy == Some(false));
    let first = down.next().filter(|_| upstreams.len() > 1)?;
    let (count, bad) = (1 + down.count(), model.theme.sign("✗", "DOWN"));
    let text = format!("{bad} {count} of {} down: {}", upstreams.len(), first.name);
    let line = Line::default().say(Role::Bad, &text);
    Some(if count > 1 {
        line.with(Role::Bad, model.theme.sign(" …", " ..."))
    } else {
        line
    })
}

/// One server by name, several in numbers.
fn health(upstreams: &[UpstreamRow], model: &Model) -> Line {
    let (good, bad) = (model.theme.sign("✓", "ok"), model.theme.sign("✗", "DOWN"));
    let mut line = Line::default();
    let failing = upstreams
        .iter()
        .find(|upstream| upstream.is_healthy == Some(false));
    match (upstreams, failing) {
        ([], _) => return Line::default(),
        (_, Some(upstream)) => {
            line = line.say(Role::Bad, &format!("{} {bad}", upstream.name));
            if upstream.breaker.state != BreakerState::Closed {
                line = line.with(Role::Bad, " breaker open");
            }
        }
        ([upstream], None) if upstream.is_healthy.is_none() => {
            line = line.say(Role::Dim, &format!("{} not yet used", upstream.name));
        }
        ([upstream], None) => line = line.say(Role::Good, &format!("{} {good}", upstream.name)),
        (several, None) => line = line.say(Role::Good, &format!("{} servers {good}", several.len())),
    }
    line
}

/// What waits for a decision, wherever the user is.
fn waiting(model: &Model) -> Line {
    let summary = &model.snapshot.intercept.summary;
    if summary.held + summary.queued == 0 {
        return Line::default();
    }
    let age = summary.oldest_at.map_or(summary.oldest_age, |at| {
        model.now.since(at).max(summary.oldest_age)
    });
    let role = match held::urgency(age, summary.oldest_budget) {
        Role::Good => Role::Accent,
        pressing => pressing,
    };
    let sign = model.theme.sign("⏸ ", "|| ");
    let mut line = Line::default().say(role, &format!("{sign}{} held", summary.held));
    if summary.queued > 0 {
        line = line.say(role, &format!(" · {} queued", summary.queued));
    }
    let time = format!(" · {}/{} s", age.as_secs(), summary.oldest_budget.as_secs());
    line.say(role, &time)
}

/// How many rules act, or that none does.
fn armed(model: &Model) -> Line {
    let view = &model.snapshot.intercept;
    let armed = view.rules.iter().filter(|rule| rule.is_on).count() as u64;
    match (armed, view.is_on) {
        (0, _) => Line::default(),
        (_, true) => Line::default().say(Role::Dim, &format::plural(armed, "rule")),
        (_, false) => Line::of(Role::Warn, "rules off"),
    }
}

fn recorder(model: &Model) -> Line {
    match &model.snapshot.recorder {
        RecorderState::Off => Line::default(),
        RecorderState::On {
            bytes,
            lost,
            is_redacted,
            removed,
            ..
        } => {
            let mut line = Line::default()
                .with(Role::Bad, model.theme.sign("● REC ", "* REC "))
                .say(Role::Text, &format::size(*bytes));
            if *lost > 0 {
                line = line.say(Role::Bad, &format!(" {} lost", format::count(*lost)));
            }
            if *removed > 0 {
                line = line.say(
                    Role::Warn,
                    &format!(" {} removed", format::plural(u64::from(*removed), "file")),
                );
            }
            if !is_redacted {
                line = line.with(Role::Warn, " with secrets");
            }
            line
        }
        RecorderState::Failed { .. } => Line::of(Role::Bad, "REC FAILED"),
    }
}

fn totals(model: &Model) -> Line {
    if model.is_engine_gone {
        return Line::of(Role::Bad, "engine has ended ");
    }
    let totals = &model.snapshot.totals;
    let mut line = Line::default();
    if totals.errors > 0 {
        line = line.say(
            Role::Bad,
            &format!("{}  ", format::plural(totals.errors, "error")),
        );
    }
    if model.is_live() {
        line = line.say(Role::Text, &format!("{:.0} msg/s ", totals.messages_per_second));
    } else {
        line = line.say(
            Role::Text,
            &format!("{} ", format::plural(model.snapshot.messages.total, "message")),
        );
    }
    line
}
