//! Small menus at the bottom: what can follow a key that begins a sequence, and what can be copied.

use ratatui::layout::Rect;

use crate::format::cells;
use crate::keymap::{self, Chord, Context, Entry};
use crate::model::Model;
use crate::paint::{Canvas, Line};
use crate::theme::Role;
use crate::update;

/// What can be copied, by the keys of `context`.
pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, body: Rect, context: Context) {
    let contexts = [context];
    let entries = model.keymap.entries_of(&contexts);
    let items: Vec<(String, &Entry)> = entries
        .map(|entry| {
            (
                entry
                    .keys
                    .first()
                    .map(|key| keymap::spelled(key))
                    .unwrap_or_default(),
                entry,
            )
        })
        .collect();
    let title = match context {
        Context::Refusing => "Refuse",
        Context::Faulting => "Go on",
        _ => "Copy",
    };
    menu(model, canvas, body, title, &items);
}

/// What can follow `prefix`.
pub(super) fn draw_prefix(model: &Model, canvas: &mut Canvas<'_>, body: Rect, prefix: Chord) {
    let prefix = [prefix];
    let items: Vec<(String, &Entry)> = model.keymap.after(model.pane_contexts(), &prefix).collect();
    menu(model, canvas, body, "Go", &items);
}

fn menu(model: &Model, canvas: &mut Canvas<'_>, body: Rect, title: &'static str, items: &[(String, &Entry)]) {
    let height = cells(items.len() + 2).min(body.height);
    let lines: Vec<Line> = items.iter().map(|(key, entry)| item(model, key, entry)).collect();
    let longest = lines.iter().map(Line::width).max().unwrap_or(0);
    let width = cells(longest + 3).max(62).min(body.width);
    let area = Rect {
        x: body.x + body.width - width,
        y: body.y + body.height - height,
        width,
        height,
    };
    canvas.clear(area);
    let title = Line::of(Role::Text, " ")
        .with(Role::Key, title)
        .with(Role::Text, " ");
    let inner = canvas.frame(area, &title, true);
    let room = usize::from(inner.height);
    let shown = if lines.len() > room {
        room.saturating_sub(1)
    } else {
        room
    };
    for (y, line) in lines.iter().take(shown).enumerate() {
        canvas.line(inner, cells(y), line);
    }
    if lines.len() > shown {
        let more = format!(" … and {} more", lines.len() - shown);
        canvas.line(inner, cells(shown), &Line::default().say(Role::Dim, &more));
    }
}

fn item(model: &Model, key: &str, entry: &Entry) -> Line {
    let binding = entry.binding;
    let label = super::label(model, binding);
    let line = Line::of(Role::Text, " ").say(Role::Key, key).pad_to(6);
    match update::disabled(model, binding.action) {
        Some(reason) => line
            .with(Role::Dim, label)
            .with(Role::Dim, ": ")
            .with(Role::Warn, reason),
        None => line
            .with(Role::Strong, label)
            .pad_to(26)
            .with(Role::Dim, binding.help),
    }
}
