//! The two lines below: use of the most telling limits (or what has just happened), and the keys of the moment.

use std::fmt::Write as _;

use ratatui::layout::Rect;
use shadowcat::limits::{LimitField, Unit};
use shadowcat::snapshot::{Gauge, Severity};

use crate::detail::Tab;
use crate::format;
use crate::keymap::{self, Action, Binding};
use crate::model::{Model, Pane, Screen};
use crate::paint::{Canvas, Line};
use crate::theme::Role;
use crate::update;

/// Most keys shown in the footer.
const MOST_KEYS: usize = 14;

/// Gauges that are always shown, and what they are called here.
const ALWAYS: [(&str, &str); 4] = [
    ("max_concurrent_tasks", "tasks"),
    ("max_connections", "conns"),
    ("max_buffer_pool", "buffers"),
    ("max_history_memory", "history"),
];

pub(super) fn gauges(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let notice = update::fresh_notice(model);
    let line = match (&model.toast, notice) {
        (Some(toast), _) => Line::of(Role::Text, " ").say(toast.role, &toast.text),
        (None, Some(notice)) => {
            let role = if notice.severity == Severity::Error {
                Role::Bad
            } else {
                Role::Warn
            };
            Line::of(role, model.theme.sign(" ⚑ ", " ! ")).say(role, &notice.text)
        }
        (None, None) => use_of_limits(&model.snapshot.resources.gauges),
    };
    let is_notice = model.toast.is_none() && notice.is_some();
    let is_cut = is_notice && line.width() > usize::from(area.width);
    if !is_cut {
        return canvas.line(area, 0, &line);
    }
    let rest = where_all_of_it_is(model);
    let width = area.width.saturating_sub(format::cells(rest.width()));
    canvas.line(Rect { width, ..area }, 0, &line);
    canvas.line_right(area, 0, &rest);
}

/// A notice that does not fit is among those below the limits, as a whole.
fn where_all_of_it_is(model: &Model) -> Line {
    let entries = model.keymap.entries();
    let entry = entries
        .iter()
        .find(|entry| entry.binding.action == Action::ShowResources);
    let key = entry.and_then(|entry| entry.keys.first());
    match key {
        Some(key) if model.screen != Screen::Resources => Line::of(Role::Text, " ")
            .say(Role::Key, &keymap::spelled(key))
            .with(Role::Text, " all of it"),
        _ => Line::default(),
    }
}

fn use_of_limits(gauges: &[Gauge]) -> Line {
    let mut line = Line::of(Role::Text, " ");
    let tight = gauges
        .iter()
        .filter(|gauge| is_tight(gauge) && !is_always(&gauge.name));
    for gauge in tight {
        let name = gauge.name.strip_prefix("max_").unwrap_or(&gauge.name);
        let part = if gauge.part.is_empty() {
            String::new()
        } else {
            format!(" {}", gauge.part)
        };
        line = line.say(Role::Bad, &format!("{name}{part} {}  ", used_of(gauge)));
    }
    for (name, label) in ALWAYS {
        let parts: Vec<&Gauge> = gauges.iter().filter(|gauge| gauge.name == name).collect();
        if let Some(gauge) = together(&parts) {
            let role = if is_tight(&gauge) { Role::Bad } else { Role::Text };
            line = line
                .say(Role::Dim, &format!("{label} "))
                .say(role, &used_of(&gauge))
                .with(Role::Text, "  ");
        }
    }
    line
}

fn is_always(name: &str) -> bool {
    ALWAYS.iter().any(|(known, _)| *known == name)
}

/// Nine tenths are in use of what somebody will soon have to wait for.
pub(super) fn is_tight(gauge: &Gauge) -> bool {
    is_pressing(gauge) && gauge.limit > 0 && u128::from(gauge.used) * 10 >= u128::from(gauge.limit) * 9
}

pub(super) fn is_pressing(gauge: &Gauge) -> bool {
    LimitField::named(&gauge.name).is_some_and(LimitField::is_pressing)
}

/// The parts of one limit as one gauge.
fn together(parts: &[&Gauge]) -> Option<Gauge> {
    let mut whole = (*parts.first()?).clone();
    for part in parts.iter().skip(1) {
        whole.used += part.used;
        whole.limit += part.limit;
    }
    Some(whole)
}

/// `37/16384`, `1.1/256 MiB`.
pub(super) fn used_of(gauge: &Gauge) -> String {
    let (used, limit) = (
        format::in_unit(gauge.used, gauge.unit),
        format::in_unit(gauge.limit, gauge.unit),
    );
    if gauge.unit == Unit::Bytes
        && let (Some((number, unit)), Some((_, limit_unit))) = (used.split_once(' '), limit.split_once(' '))
        && unit == limit_unit
    {
        return format!("{number}/{limit}");
    }
    format!("{used}/{limit}")
}

/// Keys that mean nothing in this tab, or in this view of it, only take room.
fn applies(model: &Model, action: Action) -> bool {
    match action {
        Action::Hex => model.detail.tab == Tab::Raw,
        Action::Unmask => model.detail.tab == Tab::Headers,
        Action::Follow if model.pane() == Pane::Detail => model.detail.tab == Tab::Call,
        Action::Record | Action::RepeatRow | Action::RepeatEdited => model.is_live() && !model.is_read_only,
        Action::PausePlay | Action::PlayFaster | Action::PlaySlower => model.playback.is_some(),
        Action::Play => !model.is_live(),
        Action::Open => model.pane() != Pane::LogLine,
        Action::ResetBreakers => update::disabled(model, action).is_none(),
        _ => true,
    }
}

pub(super) fn keys(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let mut shown: Vec<(&Binding, String)> = Vec::new();
    let mut taken = Vec::new();
    for entry in model.keymap.entries_of(model.contexts()) {
        let binding = entry.binding;
        // What a nearer context has taken the key of cannot be done here.
        let key = entry.keys.iter().find(|key| !taken.contains(key));
        let is_new = shown.iter().all(|(other, _)| other.label != binding.label);
        if let Some(key) = key.filter(|_| binding.priority > 0 && is_new && applies(model, binding.action)) {
            shown.push((binding, keymap::spelled(key)));
        }
        taken.extend(&entry.keys);
    }
    shown.sort_by_key(|(binding, _)| std::cmp::Reverse(binding.priority));
    let mut line = Line::of(Role::Text, " ");
    for (binding, key) in shown.iter().take(MOST_KEYS) {
        let is_disabled = update::disabled(model, binding.action).is_some();
        let mut item = String::new();
        // Writing to a string cannot fail.
        let _ = write!(item, " {}", super::label(model, binding));
        let gap = if line.width() > 1 { "  " } else { "" };
        let width = gap.len() + key.chars().count() + item.chars().count();
        if line.width() + width > usize::from(area.width) {
            continue;
        }
        let role = if is_disabled { Role::Dim } else { Role::Key };
        line = line
            .with(Role::Text, gap)
            .say(role, key)
            .say(if is_disabled { Role::Dim } else { Role::Text }, &item);
    }
    canvas.line(area, 0, &line);
}
