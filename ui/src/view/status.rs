//! The line on top: where traffic comes from, how the servers are, whether it is recorded, how much there is. Where there
//! is little room, parts of it are left out rather than cut.

use ratatui::layout::Rect;
use shadowcat::recording::{NO_END, TORN};
use shadowcat::snapshot::{BreakerState, RecorderState, Source, UpstreamRow};

use crate::format::{self, plural};
use crate::held_screen as held;
use crate::model::{Model, Screen};
use crate::paint::{Canvas, Line};
use crate::theme::Role;

/// A part of the line: how much it matters, and the ways to say it, the longest first. What does not fit goes as a whole.
struct Part {
    weight: u8,
    ways: Vec<Line>,
}

/// From this weight on a part is there at every width, if only in its shortest way.
const ESSENTIAL: u8 = 10;

impl Part {
    fn new(weight: u8, ways: impl IntoIterator<Item = Line>) -> Self {
        let ways = ways.into_iter().filter(|line| !line.0.is_empty()).collect();
        Self { weight, ways }
    }

    fn one(weight: u8, line: Line) -> Self {
        Self::new(weight, [line])
    }

    /// Columns that are kept for it while others are placed, the gap before it included.
    fn reserved(&self) -> usize {
        let shortest = self.ways.last().filter(|_| self.weight >= ESSENTIAL);
        shortest.map_or(0, |line| line.width() + GAP)
    }
}

/// Columns between two parts.
const GAP: usize = 2;

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let mut parts = vec![Part::one(1, Line::default().say(Role::Key, &model.title))];
    if model.screen != Screen::Traffic {
        parts.push(Part::one(6, Line::of(Role::TabOn, model.screen.title())));
    }
    let names = parts.len();
    parts.push(waiting(model));
    parts.push(Part::one(5, armed(model)));
    parts.extend(source(model));
    parts.push(recorder(model));
    let needed: usize = parts.iter().map(Part::reserved).sum();
    let right = totals(model, usize::from(area.width).saturating_sub(needed));
    let room = area.width.saturating_sub(format::cells(right.width()) + 1);
    canvas.line(
        Rect { width: room, ..area },
        0,
        &fitting(&parts, names, room.into()),
    );
    canvas.line_right(area, 0, &right);
}

/// As many parts as fit, those that matter most; the first of these in any case. Behind the first `names` is less of a gap.
fn fitting(parts: &[Part], names: usize, room: usize) -> Line {
    let mut ranked: Vec<(usize, &Part)> = parts.iter().enumerate().collect();
    ranked.sort_by_key(|(_, part)| std::cmp::Reverse(part.weight));
    let mut reserved: usize = parts.iter().map(Part::reserved).sum();
    let (mut used, mut kept) = (1, vec![None; parts.len()]);
    for (place, part) in ranked {
        reserved -= part.reserved();
        let gap = if used > 1 { GAP } else { 0 };
        let fits = |line: &&Line| used + gap + line.width() + reserved <= room;
        let only = part.ways.last().filter(|_| used == 1);
        if let Some(line) = part.ways.iter().find(fits).or(only) {
            used += gap + line.width();
            if let Some(kept) = kept.get_mut(place) {
                *kept = Some(line.clone());
            }
        }
    }
    let (mut line, mut gap) = (Line::default(), " ");
    for (place, part) in kept.into_iter().enumerate() {
        if let Some(part) = part {
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
            let mut parts = vec![Part::one(4, place)];
            if *is_draining {
                parts.push(Part::one(8, Line::of(Role::Warn, "ending: no new clients")));
            }
            if let Some(down) = some_down(upstreams, model) {
                parts.insert(0, Part::one(7, down));
            } else {
                let is_down = upstreams
                    .iter()
                    .any(|upstream| upstream.is_healthy == Some(false));
                let weight = if is_down { 7 } else { 3 };
                parts.push(Part::one(weight, health(upstreams, model)));
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
                Part::one(7, name),
                Part::one(2, Line::default().say(Role::Dim, &format!("of {begun}"))),
            ];
            if read_bytes < total_bytes {
                let part = u128::from(*read_bytes) * 100 / u128::from(*total_bytes).max(1);
                let loading = Line::default().say(Role::Wait, &format!("loading {part} %"));
                parts.push(Part::one(8, loading));
            }
            parts.push(Part::one(9, harm(model, damage)));
            parts
        }
    }
}

/// What an opened recording lacks. How many places that are is counted by `verify`, whose count is the one.
fn harm(model: &Model, damage: &[String]) -> Line {
    let is_of_end = |text: &String| text == NO_END || text.ends_with(TORN);
    match damage.iter().filter(|text| !is_of_end(text)).count() {
        _ if damage.is_empty() => Line::default(),
        0 if model.is_still_written => Line::of(Role::Wait, "still being written"),
        0 if damage.iter().any(|text| text.ends_with(TORN)) => Line::of(Role::Bad, "torn last line"),
        0 => Line::of(Role::Warn, "has no end"),
        _ => Line::of(Role::Bad, "damaged, 3 says where"),
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
fn waiting(model: &Model) -> Part {
    let summary = &model.snapshot.intercept.summary;
    if summary.held + summary.queued == 0 {
        return Part::new(10, []);
    }
    let age = summary.oldest_at.map_or(summary.oldest_age, |at| {
        model.now.since(at).max(summary.oldest_age)
    });
    let role = match held::urgency(age, summary.oldest_budget) {
        Role::Good => Role::Accent,
        pressing => pressing,
    };
    let sign = model.theme.sign("⏸ ", "|| ");
    let queued = match summary.queued {
        0 => String::new(),
        queued => format!(" · {queued} queued"),
    };
    let time = format!(" · {}/{} s", age.as_secs(), summary.oldest_budget.as_secs());
    let said = |text: &str| Line::default().say(role, text);
    let ways = [
        said(&format!("{sign}{} held{queued}{time}", summary.held)),
        said(&format!("{sign}{} held{time}", summary.held)),
        said(&format!("{sign}{}{time}", summary.held)),
    ];
    Part::new(10, ways)
}

/// How many rules act, or that none does.
fn armed(model: &Model) -> Line {
    let view = &model.snapshot.intercept;
    let armed = view.rules.iter().filter(|rule| rule.is_on).count() as u64;
    match (armed, view.is_on) {
        (0, _) => Line::default(),
        (_, true) => Line::default().say(Role::Dim, &plural(armed, "rule")),
        (_, false) => Line::of(Role::Warn, "rules off"),
    }
}

/// Whether it is recorded. That secrets go into the file is said at every width.
fn recorder(model: &Model) -> Part {
    match &model.snapshot.recorder {
        RecorderState::Off => Part::new(9, []),
        RecorderState::On {
            bytes,
            lost,
            is_redacted,
            removed,
            ..
        } => {
            let sign = Line::of(Role::Bad, model.theme.sign("● REC", "* REC"));
            let size = Line::of(Role::Bad, " ").say(Role::Text, &format::size(*bytes));
            let mut news = Line::default();
            if *lost > 0 {
                news = news.say(Role::Bad, &format!(" {} lost", format::count(*lost)));
            }
            if *removed > 0 {
                let files = plural(u64::from(*removed), "file");
                news = news.say(Role::Warn, &format!(" {files} removed"));
            }
            let (long, short) = if *is_redacted {
                (Line::default(), Line::default())
            } else {
                let said = |text| Line::of(Role::Warn, text);
                (said(" with secrets"), said(" secrets"))
            };
            let whole = sign.clone().joined(size).joined(news.clone()).joined(long);
            let ways = [
                whole,
                sign.clone().joined(news).joined(short.clone()),
                sign.joined(short),
            ];
            Part::new(11, ways)
        }
        RecorderState::Failed { .. } => Part::one(11, Line::of(Role::Bad, "REC FAILED")),
    }
}

/// What has passed, within `room`: first errors go, then all of it.
fn totals(model: &Model, room: usize) -> Line {
    if model.is_engine_gone {
        return Line::of(Role::Bad, "engine has ended ");
    }
    let totals = &model.snapshot.totals;
    let rate = if model.is_live() {
        format!("{:.0} msg/s ", totals.messages_per_second)
    } else {
        format!("{} ", plural(model.snapshot.messages.total, "message"))
    };
    let rate = Line::default().say(Role::Text, &rate);
    let errors = match totals.errors {
        0 => Line::default(),
        errors => Line::default().say(Role::Bad, &format!("{}  ", plural(errors, "error"))),
    };
    let mut ways = [errors.joined(rate.clone()), rate].into_iter();
    ways.find(|line| line.width() + 2 <= room).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::fake::Fake;
    use crate::stage::Stage;
    use shadowcat::snapshot::RecorderState;

    fn recording_with_secrets(columns: u16) -> Stage {
        let mut fake = Fake::holding();
        if let RecorderState::On {
            is_redacted, lost, ..
        } = &mut fake.recorder
        {
            (*is_redacted, *lost) = (false, 12);
        }
        Stage::new(fake, columns, 10)
    }

    #[test]
    fn that_secrets_are_recorded_and_that_something_is_held_is_said_at_every_width_and_on_every_screen() {
        for columns in 40..160 {
            let mut stage = recording_with_secrets(columns);
            for screen in ["1", "3", "7", "9"] {
                stage.keys(screen);
                let text = stage.text();
                let first = text.lines().next().unwrap();
                for words in ["● REC", "secrets", "⏸ 3", "/60 s"] {
                    assert!(first.contains(words), "{columns}: {words}: {first}");
                }
            }
        }
    }

    #[test]
    fn a_recording_that_failed_is_told_where_there_is_little_room() {
        let mut stage = recording_with_secrets(40);
        stage.fake.recorder = RecorderState::Failed {
            path: "a.jsonl".into(),
            cause: "the disk is full".to_owned(),
        };
        stage.publish();
        let text = stage.text();
        let first = text.lines().next().unwrap();
        assert!(first.contains("REC FAILED") && first.contains("⏸"), "{first}");
    }
}
