//! Keys on rules, and breakpoints made at the keyboard.

use shadowcat::intercept::interceptor::InterceptCommand;
use shadowcat::snapshot::{Direction, RowKind};

use super::held::{prompt, send};
use crate::effect::Effect;
use crate::keymap::Action;
use crate::model::{HoldPurpose, Model, Pane};
use crate::theme::Role;

/// Why `action` cannot be done with the rule under the cursor.
pub(super) fn disabled(model: &Model, action: Action) -> Option<&'static str> {
    let Some(rule) = model.selected_rule() else {
        return Some("there is no rule");
    };
    match action {
        Action::RemoveRule if rule.is_saved => {
            Some("it is in the file of rules; switch it off, or take it out there")
        }
        _ => None,
    }
}

pub(super) fn perform(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    match action {
        Action::Break => like_row(model),
        Action::BreakAnswer => on_answer(model),
        Action::NewRule => prompt(model, HoldPurpose::Break { is_once: false }, ""),
        _ => act(model, action, effects),
    }
}

fn act(model: &Model, action: Action, effects: &mut Vec<Effect>) {
    let Some(rule) = model.selected_rule() else {
        return;
    };
    let name = rule.name.clone();
    let what = match action {
        Action::ToggleRule => InterceptCommand::Switch {
            rule: name,
            is_on: !rule.is_on,
        },
        Action::NextOnly => InterceptCommand::Break {
            filter: with_direction(&rule.when, rule.direction),
            is_once: true,
        },
        _ => InterceptCommand::Remove { rule: name },
    };
    send(what, effects);
}

fn with_direction(filter: &str, direction: Option<Direction>) -> String {
    let word = direction.map(word_of);
    [(!filter.is_empty()).then_some(filter), word]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
}

const fn word_of(direction: Direction) -> &'static str {
    match direction {
        Direction::ClientToServer => "dir:c2s",
        Direction::ServerToClient => "dir:s2c",
    }
}

/// A prompt for a breakpoint on messages like the row under the cursor.
fn like_row(model: &mut Model) {
    let direction = model.selected().map(|row| word_of(row.direction).to_owned());
    let words = super::like::words_of_selected(model).into_iter().chain(direction);
    let text = words.collect::<Vec<_>>().join(" ");
    prompt(model, HoldPurpose::Break { is_once: false }, &text);
}

/// A prompt for a breakpoint on the answer to the request under the cursor.
fn on_answer(model: &mut Model) {
    let text = model.selected().and_then(|row| {
        let id = row.rpc_id.as_ref().filter(|_| row.kind == RowKind::Request)?;
        let back = match row.direction {
            Direction::ClientToServer => Direction::ServerToClient,
            Direction::ServerToClient => Direction::ClientToServer,
        };
        let session = row.session.map(|session| format!(" session:{session}"));
        let session = session.unwrap_or_default();
        Some(format!("id:{id} {}{session}", word_of(back)))
    });
    match text {
        Some(text) => prompt(model, HoldPurpose::Break { is_once: true }, &text),
        None => model.say(Role::Warn, "this is no request that is answered"),
    }
}

/// `break FILTER` or `break next [FILTER]`, as typed into the palette. `false` if it is something else.
pub(super) fn typed(model: &mut Model, text: &str, effects: &mut Vec<Effect>) -> bool {
    let Some(rest) = text.strip_prefix("break ") else {
        return false;
    };
    if let Some(reason) = super::held::disabled(model, Action::NewRule) {
        model.say(Role::Warn, reason);
        return true;
    }
    let rest = rest.trim();
    let (is_once, filter) = match rest.strip_prefix("next") {
        // The next of what is shown.
        Some("") => (true, model.filter.clone()),
        Some(filter) if filter.starts_with(' ') => (true, filter.trim().to_owned()),
        _ => (false, rest.to_owned()),
    };
    send(InterceptCommand::Break { filter, is_once }, effects);
    true
}

/// Keeps the cursor on a rule.
pub(super) fn settle(model: &mut Model) {
    let rows = model.rule_rows();
    if rows.ids.is_empty() {
        model.rules.cursor = None;
        return;
    }
    if model.rules.cursor.is_none() {
        model.rules.go_first(&rows);
    }
    let height = model.areas().rows_of(Pane::Rules).saturating_sub(1).max(1);
    model.rules.settle(&rows, height, true);
}
