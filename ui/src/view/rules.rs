//! The rules in the order in which they are asked, and how often each did something.

use ratatui::layout::Rect;
use shadowcat::intercept::rules::RuleRow;
use shadowcat::snapshot::Direction;

use super::sessions::title_role;
use super::{prose, scroll_mark};
use crate::format::{self, cells};
use crate::model::{Model, Pane};
use crate::paint::{Canvas, Line};
use crate::text::Safe;
use crate::theme::{Role, Theme};

/// Widths of switch and counts.
const SWITCH: usize = 6;
const HITS: usize = 14;

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let view = &model.snapshot.intercept;
    let title = Line::of(Role::Text, " ").with(title_role(true), "Rules ");
    let mut title = title.say(Role::Dim, &format!("{} ", view.rules.len()));
    if !view.is_on {
        title = title.with(Role::Warn, "all of them are off: i ");
    }
    let inner = canvas.frame(area, &title, model.pane() == Pane::Rules);
    let inner = mistake(model, canvas, inner);
    if view.rules.is_empty() {
        let lines = [
            Line::of(Role::Strong, "there are no rules"),
            Line::of(
                Role::Dim,
                "b here makes a breakpoint; on a message of the Traffic screen it makes one for those like it",
            ),
        ];
        return prose(canvas, inner, &lines);
    }
    let width = usize::from(inner.width);
    canvas.line(inner, 0, &heading(width));
    let room = inner.height.saturating_sub(1);
    let body = Rect {
        y: inner.y + 1,
        height: room,
        ..inner
    };
    let shown = view.rules.iter().enumerate().skip(model.rules.top_position);
    for (y, (place, rule)) in shown.take(room.into()).enumerate() {
        let y = cells(y);
        canvas.line(body, y, &line(rule, width, model.theme));
        if model.rules.cursor == Some(place as u64) {
            canvas.cursor_row(body, y, true);
        }
    }
    let top = model.rules.top_position as u64;
    scroll_mark(canvas, area, top, room.into(), view.rules.len() as u64);
}

/// What is wrong with the file of rules, above the rules that are in force. Gives the area below.
fn mistake(model: &Model, canvas: &mut Canvas<'_>, inner: Rect) -> Rect {
    let Some(mistake) = &model.snapshot.intercept.mistake else {
        return inner;
    };
    let sign = model.theme.sign("✗ ", "x ");
    let line = Line::of(Role::Bad, sign).say(Role::Bad, &mistake.to_string());
    let lines = line.wrapped_at_words(inner.width.into());
    let most = usize::from(inner.height / 2);
    let shown = lines.len().min(most);
    for (y, line) in lines.iter().take(shown).enumerate() {
        canvas.line(inner, cells(y), line);
    }
    let used = cells(shown);
    Rect {
        y: inner.y + used,
        height: inner.height - used,
        ..inner
    }
}

/// Columns of the name and of what it does; the filter has the rest.
const fn widths(width: usize) -> (usize, usize) {
    if width < 90 {
        (width / 4, width / 6)
    } else {
        (28, 24)
    }
}

fn heading(width: usize) -> Line {
    let (name, does) = widths(width);
    Line::of(Role::Dim, "on")
        .pad_to(SWITCH)
        .with(Role::Dim, "rule")
        .pad_to(SWITCH + name)
        .with(Role::Dim, "does")
        .pad_to(SWITCH + name + does)
        .with(Role::Dim, "acted/matched")
        .pad_to(SWITCH + name + does + HITS)
        .with(Role::Dim, "when")
}

fn line(rule: &RuleRow, width: usize, theme: Theme) -> Line {
    let (name, does) = widths(width);
    let cut = |text: &str, room: usize| Safe::of(text).fit(room.saturating_sub(1), theme.ellipsis());
    let (look, word) = if rule.is_on {
        (Role::Good, theme.sign("● on", "on"))
    } else {
        (Role::Dim, theme.sign("○ off", "off"))
    };
    let mut end = SWITCH;
    let mut line = Line::of(look, word).pad_to(end);
    line = line.with(Role::Strong, cut(&rule.name, name));
    end += name;
    let deed = match rule.policy.as_str() {
        "" | "always" => rule.verdict.clone(),
        policy => format!("{} {policy}", rule.verdict),
    };
    line = line.pad_to(end).with(Role::Text, cut(&deed, does));
    end += does;
    let counts = format!("{}/{}", format::count(rule.hits), format::count(rule.matches));
    line = line.pad_to(end).say(Role::Accent, &counts);
    end += HITS;
    let direction = match rule.direction {
        Some(Direction::ClientToServer) => "dir:c2s ",
        Some(Direction::ServerToClient) => "dir:s2c ",
        None => "",
    };
    let when = if rule.when.is_empty() && direction.is_empty() {
        "every message".to_owned()
    } else {
        format!("{direction}{}", rule.when)
    };
    let line = line.pad_to(end).say(Role::Text, &when);
    let line = if rule.is_saved {
        line.with(Role::Dim, "  file")
    } else {
        line
    };
    line.fit(width, theme)
}
