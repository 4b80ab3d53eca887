//! The command palette: any action by its name, and commands that are typed with what they are about.

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use super::open_file::{self, common_start};
use super::typed::{self, Meaning, TYPED, TypedCommand, bare, meaning};
use super::{act, modes};
use crate::complete;
use crate::effect::Effect;
use crate::keymap::{Action, TABLE};
use crate::line_edit::LineEdit;
use crate::model::{Choice, Mode, Model, PaletteState};
use crate::theme::Role;

pub(super) fn perform(model: &mut Model, mut state: PaletteState, action: Action, effects: &mut Vec<Effect>) {
    let last = state.found.len().saturating_sub(1);
    match action {
        Action::Accept => return accept(model, state, effects),
        Action::Back => return,
        Action::Complete => complete(model, &mut state, effects),
        Action::Up => (state.chosen, state.is_chosen) = (state.chosen.saturating_sub(1), true),
        Action::Down => (state.chosen, state.is_chosen) = ((state.chosen + 1).min(last), true),
        _ => {}
    }
    model.mode = Mode::Palette(state);
}

/// Runs what the line says, or else what is chosen. What has words behind it is never guessed.
fn accept(model: &mut Model, mut state: PaletteState, effects: &mut Vec<Effect>) {
    let line = state.line.text();
    if typed::run(model, &line, effects) {
        return;
    }
    let is_clear = state.is_chosen || state.found.len() == 1 || !bare(&line).trim_end().contains(' ');
    match state.chosen() {
        None => model.say(Role::Warn, "there is no such command"),
        Some(_) if !is_clear => {
            model.say(
                Role::Warn,
                "several commands are like that; choose one with the arrow keys",
            );
            model.mode = Mode::Palette(state);
        }
        Some(Choice::Action(position)) => {
            if let Some(binding) = TABLE.get(position) {
                act(model, binding.action, effects);
            }
        }
        // What it is about is still to be typed.
        Some(Choice::Typed(command)) => {
            put(&mut state, &format!("{} ", command.name()));
            model.mode = Mode::Palette(state);
        }
    }
}

fn complete(model: &mut Model, state: &mut PaletteState, effects: &mut Vec<Effect>) {
    let line = state.line.text();
    match (meaning(&line), state.chosen()) {
        (Meaning::With(_), _) if open_file::complete(&line, effects) => {}
        (Meaning::With(command), _) => complete_words(model, state, command),
        (_, Some(Choice::Action(position))) => {
            if let Some(binding) = TABLE.get(position) {
                put(state, binding.name());
            }
        }
        (_, Some(Choice::Typed(command))) => put(state, &format!("{} ", command.name())),
        _ => {}
    }
}

/// Completes the last word of what is typed behind the name of `command`.
fn complete_words(model: &mut Model, state: &mut PaletteState, command: &TypedCommand) {
    if matches!(command.name(), "filter" | "break") {
        return complete_filter(model, state);
    }
    let line = state.line.text();
    let start = line.rfind(' ').map_or(0, |at| at + 1);
    let (before, word) = line.split_at(start);
    let names = typed::words_for(model, command, word);
    let Some(common) = common_start(&names) else {
        return;
    };
    put(state, &format!("{before}{common}"));
    if names.len() > 1 {
        state.names = names;
    }
}

/// The first proposal for the place of the cursor.
fn complete_filter(model: &Model, state: &mut PaletteState) {
    let line = state.line.text();
    let words = line.find(' ').map_or(0, |at| at + 1);
    let (before, filter) = line.split_at(words);
    let skipped = before.chars().count();
    let Some(at) = state.line.at().checked_sub(skipped) else {
        return;
    };
    if let Some(proposal) = complete::complete(filter, at, &model.seen).first() {
        let range = proposal.replace.start + skipped..proposal.replace.end + skipped;
        state.line.replace(range, &proposal.text);
    }
}

/// Puts `text` into the line and looks for it.
pub(super) fn put(state: &mut PaletteState, text: &str) {
    state.line = LineEdit::with(text);
    search(state);
}

/// Finds the commands that match what was typed, best first; exact names before all.
pub(super) fn search(state: &mut PaletteState) {
    let line = state.line.text();
    (state.chosen, state.is_chosen) = (0, false);
    state.names.clear();
    state.found = match meaning(&line) {
        Meaning::Name => found(bare(&line).trim_end()),
        Meaning::With(_) | Meaning::TakesNone(_) => Vec::new(),
    };
}

fn found(typed: &str) -> Vec<Choice> {
    let actions = TABLE
        .iter()
        .enumerate()
        .filter(|(_, binding)| modes::is_command(binding.context));
    let listed = TYPED.iter().filter(|command| command.is_listed);
    let all = actions
        .map(|(position, _)| Choice::Action(position))
        .chain(listed.map(Choice::Typed));
    if typed.is_empty() {
        return all.collect();
    }
    let mut matcher = Matcher::new(Config::DEFAULT);
    let pattern = Pattern::parse(typed, CaseMatching::Ignore, Normalization::Smart);
    let mut scored: Vec<(u32, Choice)> = all
        .filter_map(|choice| Some((score(choice, typed, &pattern, &mut matcher)?, choice)))
        .collect();
    scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    scored.into_iter().map(|(_, choice)| choice).collect()
}

fn score(choice: Choice, typed: &str, pattern: &Pattern, matcher: &mut Matcher) -> Option<u32> {
    let (names, help) = match choice {
        Choice::Action(position) => {
            let binding = TABLE.get(position)?;
            (binding.names, binding.help)
        }
        Choice::Typed(command) => (command.names, command.help),
    };
    if names.contains(&typed) {
        return Some(u32::MAX);
    }
    let mut buffer = Vec::new();
    let by_name = names
        .iter()
        .filter_map(|name| pattern.score(Utf32Str::new(name, &mut buffer), matcher))
        .max();
    let is_told = help.to_lowercase().contains(&typed.to_lowercase());
    by_name
        .map(|score| score + 1_000)
        .or_else(|| is_told.then_some(1))
}
