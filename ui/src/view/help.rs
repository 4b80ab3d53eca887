//! The keys of this view, or of all; what is typed searches in all of them.

use ratatui::layout::Rect;

use super::{centred, prompt};
use crate::format::cells;
use crate::keymap::{self, Context, Entry};
use crate::model::{HelpState, Model};
use crate::paint::{Canvas, Line};
use crate::theme::Role;

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, body: Rect, state: &HelpState) -> (u16, u16) {
    let lines = lines(model, state, text_width(body));
    let area = centred(body, WIDTH, lines.len() + 4);
    canvas.clear(area);
    let what = if state.is_all || !state.search.is_empty() {
        "Keys of all views "
    } else {
        "Keys of this view "
    };
    let inner = canvas.frame(area, &Line::of(Role::Text, " ").with(Role::Key, what), true);
    let cursor = prompt::draw(canvas, inner, "search: ", &state.search);
    let list = Rect {
        y: inner.y + 2,
        height: inner.height.saturating_sub(2),
        ..inner
    };
    let scroll = state.scroll.min(lines.len().saturating_sub(list.height.into()));
    for (y, line) in lines.iter().skip(scroll).take(list.height.into()).enumerate() {
        canvas.line(list, cells(y), line);
    }
    super::scroll_mark(
        canvas,
        area,
        scroll as u64,
        list.height.into(),
        lines.len() as u64,
    );
    cursor
}

/// Where the help of a key begins.
const HELP_AT: usize = 16;
/// Columns of the window.
const WIDTH: usize = 84;

/// Columns for the lines of a window over `body`.
pub(crate) fn text_width(body: Rect) -> usize {
    // The frame and the scroll mark.
    usize::from(body.width).min(WIDTH).saturating_sub(3)
}

/// What the help window lists, in lines of at most `columns`.
pub(crate) fn lines(model: &Model, state: &HelpState, columns: usize) -> Vec<Line> {
    let wanted = state.search.text().to_lowercase();
    let mut lines = Vec::new();
    let mut context = None;
    for entry in chosen(model, state, &wanted) {
        let binding = entry.binding;
        if context.replace(binding.context) != Some(binding.context) {
            if !lines.is_empty() {
                lines.push(Line::default());
            }
            lines.push(Line::of(Role::Title, binding.context.title()));
        }
        let keys = keymap::keys_of(entry);
        let keys = Line::of(Role::Text, "  ").say(Role::Key, &keys).pad_to(HELP_AT);
        let name = format!(":{}", binding.name());
        let help = Line::of(Role::Text, binding.help)
            .with(Role::Text, "  ")
            .say(Role::Dim, &name);
        let mut before = Some(keys);
        for part in help.wrapped_at_words(columns.saturating_sub(HELP_AT).max(1)) {
            let begin = before.take().unwrap_or_default().pad_to(HELP_AT);
            lines.push(begin.joined(part));
        }
    }
    if lines.is_empty() {
        lines.push(Line::of(Role::Dim, "no key does that"));
    }
    lines
}

fn chosen<'a>(model: &'a Model, state: &HelpState, wanted: &str) -> Vec<&'a Entry> {
    if wanted.is_empty() && !state.is_all {
        let contexts: &'static [Context] = model.pane_contexts();
        return model.keymap.entries_of(contexts).collect();
    }
    let matches = |entry: &&Entry| {
        let text = format!(
            "{} {} {}",
            keymap::keys_of(entry),
            entry.binding.help,
            entry.binding.names.join(" ")
        );
        text.to_lowercase().contains(wanted)
    };
    model.keymap.entries().iter().filter(matches).collect()
}
