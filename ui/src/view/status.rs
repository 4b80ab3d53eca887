//! The line on top: where traffic comes from, how the servers are, whether it is recorded, how much there is.

use ratatui::layout::Rect;
use shadowcat::snapshot::{BreakerState, RecorderState, Source, UpstreamRow};

use crate::format;
use crate::model::{Model, Screen};
use crate::paint::{Canvas, Line};
use crate::theme::Role;

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let right = totals(model);
    let room = area.width.saturating_sub(format::cells(right.width()) + 1);
    let mut line = Line::of(Role::Text, " ");
    if area.width >= 60 {
        line = line.say(Role::Key, &model.title).with(Role::Text, " ");
    }
    if model.screen != Screen::Traffic {
        line = line.with(Role::TabOn, model.screen.title()).with(Role::Text, " ");
    }
    let (first, second) = (source(model), recorder(model));
    // Where there is little room, whether it is recorded is worth more than where it comes from.
    let fits = line.width() + first.width() + second.width() + 2 <= usize::from(room);
    let (first, second) = if fits { (first, second) } else { (second, first) };
    for part in [first, second].into_iter().filter(|part| !part.0.is_empty()) {
        line.extend(part);
        line = line.with(Role::Text, "  ");
    }
    canvas.line(Rect { width: room, ..area }, 0, &line);
    canvas.line_right(area, 0, &right);
}

fn source(model: &Model) -> Line {
    match &model.snapshot.source {
        Source::Live {
            listen,
            upstreams,
            is_draining,
            ..
        } => {
            let mut line = Line::of(Role::Text, model.theme.sign("⇄ ", "<> "));
            line = match listen.first() {
                Some(address) => line.say(Role::Text, address),
                None => line.with(Role::Dim, "not listening"),
            };
            if listen.len() > 1 {
                line = line.say(Role::Dim, &format!(" +{}", listen.len() - 1));
            }
            if *is_draining {
                line = line.with(Role::Warn, "  ending: no new clients");
            }
            match some_down(upstreams, model) {
                Some(down) => down.with(Role::Text, "  ").joined(line),
                None => line.joined(health(upstreams, model)),
            }
        }
        Source::File {
            path,
            created,
            read_bytes,
            total_bytes,
            damage,
            ..
        } => {
            let begun = format::date_and_time(*created, &model.zone);
            let mut line = Line::of(Role::Accent, "open ")
                .say(Role::Text, &path.display().to_string())
                .say(Role::Dim, &format!("  of {begun}"));
            if read_bytes < total_bytes {
                let part = u128::from(*read_bytes) * 100 / u128::from(*total_bytes).max(1);
                line = line.say(Role::Wait, &format!("  loading {part} %"));
            }
            if !damage.is_empty() {
                let places = format::plural(damage.len() as u64, "damaged place");
                line = line.say(Role::Bad, &format!("  {places}"));
            }
            line
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
    let mut line = Line::of(Role::Text, "  ");
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

fn recorder(model: &Model) -> Line {
    match &model.snapshot.recorder {
        RecorderState::Off => Line::default(),
        RecorderState::On {
            bytes,
            lost,
            is_redacted,
            ..
        } => {
            let mut line = Line::default()
                .with(Role::Bad, model.theme.sign("● REC ", "* REC "))
                .say(Role::Text, &format::size(*bytes));
            if *lost > 0 {
                line = line.say(Role::Bad, &format!(" {} lost", format::count(*lost)));
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
