//! `:open FILE`: a recording by its name, wherever it is.

use std::path::PathBuf;

use crate::effect::Effect;
use crate::model::{Mode, Model};
use crate::recordings::Errand;
use crate::theme::Role;

const COMMAND: &str = "open ";

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

/// These are the names that go on like what was typed. If the line is still the same, it goes on as far as all of them do, and they are listed.
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
    super::palette::put(state, &format!("{COMMAND}{common}"));
    if names.len() > 1 {
        state.names = names.to_vec();
    }
}

/// How all of them begin; `None` if there is none.
pub(super) fn common_start(names: &[String]) -> Option<String> {
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
