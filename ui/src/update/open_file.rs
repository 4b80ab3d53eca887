//! `:open FILE`: a recording by its name, wherever it is.

use std::path::PathBuf;

use crate::effect::Effect;
use crate::line_edit::LineEdit;
use crate::model::{Mode, Model};
use crate::recordings::Errand;
use crate::theme::Role;

const COMMAND: &str = "open ";

/// Names that are told when they do not all go on alike.
const MOST_TOLD: usize = 8;

/// Whether the name of a file is being typed.
pub(crate) fn is_file_to_open(text: &str) -> bool {
    file_in(text).is_some_and(|file| !file.is_empty())
}

/// Opens it, if that was typed: `open FILE`.
pub(super) fn typed(text: &str, effects: &mut Vec<Effect>) -> bool {
    match file_in(text) {
        Some(file) if !file.is_empty() => {
            effects.push(Effect::OpenRecording(PathBuf::from(file)));
            true
        }
        _ => false,
    }
}

/// Asks which files go on like what was typed, if it is the name of one.
pub(super) fn complete(text: &str, effects: &mut Vec<Effect>) -> bool {
    let Some(typed) = file_in(text) else {
        return false;
    };
    let typed = typed.to_owned();
    effects.push(Effect::Recordings(Errand::Names { typed }));
    true
}

/// What is typed behind `open`, with or without a colon.
fn file_in(text: &str) -> Option<&str> {
    let file = text.trim_start().trim_start_matches(':').strip_prefix(COMMAND)?;
    Some(file.trim_start())
}

/// These are the names that go on like what was typed. If the line is still the same, it goes on as far as all of them do.
pub(super) fn named(model: &mut Model, typed: &str, names: &[String]) {
    let Mode::Palette(state) = &mut model.mode else {
        return;
    };
    if file_in(&state.line.text()) != Some(typed) {
        return;
    }
    let Some(common) = common_start(names) else {
        return model.say(Role::Dim, "no recording of that name");
    };
    state.line = LineEdit::with(&format!("{COMMAND}{common}"));
    if names.len() > 1 && common == typed {
        let more = if names.len() > MOST_TOLD { ", …" } else { "" };
        let told: Vec<&str> = names.iter().take(MOST_TOLD).map(String::as_str).collect();
        model.say(Role::Dim, format!("{}{more}", told.join(", ")));
    }
}

/// How all of them begin; `None` if there is none.
fn common_start(names: &[String]) -> Option<String> {
    let (first, others) = names.split_first()?;
    let is_common = |(place, c): &(usize, char)| {
        others
            .iter()
            .all(|other| other.get(*place..).is_some_and(|rest| rest.starts_with(*c)))
    };
    Some(
        first
            .char_indices()
            .take_while(is_common)
            .map(|(_, c)| c)
            .collect(),
    )
}
