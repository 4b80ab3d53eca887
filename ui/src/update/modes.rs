//! Filter line, prompts, palette and help while they are open.

use std::path::PathBuf;

use crossterm::event::KeyCode;
use shadowcat::snapshot::Command;

use crate::complete;
use crate::effect::{Effect, Purpose};
use crate::keymap::{Action, Chord, Context};
use crate::line_edit::{Edit, LineEdit};
use crate::model::{FILTERS_KEPT, FieldsState, FilterEdit, HelpState, Mode, Model, Pane};
use crate::seen::Seen;
use crate::theme::Role;

/// Rows that a page of help moves by.
const HELP_PAGE: usize = 10;

pub(super) fn perform(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    // Only some lines have something to complete or to recall.
    match (&model.mode, action) {
        (Mode::Search(_) | Mode::Record(_) | Mode::Hold(_), Action::Complete)
        | (Mode::Record(_) | Mode::Hold(_), Action::Up) => return,
        _ => {}
    }
    match std::mem::take(&mut model.mode) {
        Mode::Filter(edit) => filter(model, edit, action),
        Mode::Search(line) => search(model, line, action),
        Mode::Record(line) => record(&line, action, effects),
        Mode::Palette(state) => super::palette::perform(model, state, action, effects),
        Mode::Help(state) => help(model, state, action),
        Mode::Ask(question) => super::held::decided(model, question, action, effects),
        Mode::Refuse(number) => super::held::refuse(model, number, action, effects),
        Mode::Faulting(number) => super::held::fault(model, number, action, effects),
        Mode::Hold(prompt) => {
            if action == Action::Accept {
                super::held::typed(model, &prompt, effects);
            }
        }
        Mode::Problems(state) => super::edits::judged(model, state, action, effects),
        Mode::Fields(state) => super::fields::perform(model, state, action, effects),
        Mode::Head(state) => super::head::perform(model, state, action, effects),
        mode @ (Mode::Normal | Mode::Prefix(_) | Mode::Copy | Mode::CopyServer) => model.mode = mode,
    }
}

/// A key that is no command: it edits the line.
pub(super) fn type_key(model: &mut Model, chord: Chord) {
    let Some(edit) = edit_of(chord) else {
        return;
    };
    if let Some(line) = line_of(&mut model.mode) {
        line.apply(edit);
    }
    typed(model);
}

pub(super) fn paste(model: &mut Model, text: &str) {
    match line_of(&mut model.mode) {
        Some(line) => {
            line.paste(text);
            typed(model);
        }
        None => model.say(Role::Dim, "pasted text goes into a filter (/) or a prompt"),
    }
}

const fn edit_of(chord: Chord) -> Option<Edit> {
    Some(match (chord.code, chord.has_ctrl) {
        (KeyCode::Char('w'), true) => Edit::CutWord,
        (KeyCode::Char('u'), true) => Edit::CutAll,
        (KeyCode::Char('a'), true) | (KeyCode::Home, _) => Edit::Home,
        (KeyCode::Char('e'), true) | (KeyCode::End, _) => Edit::End,
        (KeyCode::Char('h'), true) | (KeyCode::Backspace, _) => Edit::Backspace,
        (KeyCode::Delete, _) => Edit::Delete,
        (KeyCode::Left, _) => Edit::Left,
        (KeyCode::Right, _) => Edit::Right,
        (KeyCode::Char(character), false) => Edit::Insert(character),
        _ => return None,
    })
}

const fn line_of(mode: &mut Mode) -> Option<&mut LineEdit> {
    match mode {
        Mode::Filter(edit) => Some(&mut edit.line),
        Mode::Search(line) | Mode::Record(line) => Some(line),
        Mode::Palette(state) => Some(&mut state.line),
        Mode::Help(state) => Some(&mut state.search),
        Mode::Hold(prompt) => Some(&mut prompt.line),
        Mode::Fields(FieldsState { edit: Some(edit), .. }) => Some(&mut edit.line),
        Mode::Normal
        | Mode::Prefix(_)
        | Mode::Copy
        | Mode::CopyServer
        | Mode::Ask(_)
        | Mode::Refuse(_)
        | Mode::Faulting(_)
        | Mode::Problems(_)
        | Mode::Head(_)
        | Mode::Fields(_) => None,
    }
}

/// The typed text has changed: what depends on it follows at once.
fn typed(model: &mut Model) {
    match &mut model.mode {
        Mode::Filter(edit) => {
            edit.completion = None;
            model.filter = edit.line.text();
        }
        Mode::Search(line) => {
            model.detail.search = line.text();
            let height = model.areas().rows_of(Pane::Detail);
            model.detail.hit = 0;
            model.detail.find();
            model.detail.show_hit(height);
        }
        Mode::Palette(state) => super::palette::search(state),
        Mode::Help(state) => state.scroll = 0,
        _ => {}
    }
}

fn filter(model: &mut Model, mut edit: FilterEdit, action: Action) {
    match action {
        Action::Accept => {
            remember(model, edit.line.text().trim());
            return;
        }
        Action::Back => {
            model.filter = edit.before;
            return;
        }
        Action::Complete => complete_filter(&mut edit, &model.seen),
        Action::Up => recall(model, &mut edit, true),
        Action::Down => recall(model, &mut edit, false),
        _ => {}
    }
    model.filter = edit.line.text();
    model.mode = Mode::Filter(edit);
}

pub(super) fn remember(model: &mut Model, text: &str) {
    text.clone_into(&mut model.filter);
    if !text.is_empty() {
        model.filter_history.retain(|known| known != text);
        model.filter_history.push_front(text.to_owned());
        model.filter_history.truncate(FILTERS_KEPT);
    }
}

fn recall(model: &Model, edit: &mut FilterEdit, is_older: bool) {
    let next = match (edit.history_at, is_older) {
        (None, true) => Some(0),
        (Some(at), true) => Some((at + 1).min(model.filter_history.len().saturating_sub(1))),
        (Some(at), false) => at.checked_sub(1),
        (None, false) => None,
    };
    edit.history_at = next;
    let text = next.map_or(Some(&edit.before), |at| model.filter_history.get(at));
    if let Some(text) = text {
        edit.line = LineEdit::with(text);
    }
}

/// Puts in the next proposal; the text of before is kept so that the one after replaces it.
fn complete_filter(edit: &mut FilterEdit, seen: &Seen) {
    let (number, typed) = match edit.completion.take() {
        Some((number, typed)) => (number + 1, typed),
        None => (0, edit.line.clone()),
    };
    let proposals = complete::complete(&typed.text(), typed.at(), seen);
    if proposals.is_empty() {
        return;
    }
    let number = number % proposals.len();
    if let Some(proposal) = proposals.get(number) {
        edit.line = typed.clone();
        edit.line.replace(proposal.replace.clone(), &proposal.text);
    }
    edit.completion = Some((number, typed));
}

fn search(model: &mut Model, line: LineEdit, action: Action) {
    match action {
        Action::Back => model.detail.search.clear(),
        Action::Up => {
            let is_none = model.detail.last_search.is_empty();
            let recalled = LineEdit::with(&model.detail.last_search);
            model.mode = Mode::Search(if is_none { line } else { recalled });
            return typed(model);
        }
        _ if !line.is_empty() => model.detail.last_search = line.text(),
        _ => {}
    }
    match action {
        Action::Accept if model.detail.hits.is_empty() && !line.is_empty() => {
            model.say(Role::Warn, "not found in this tab");
        }
        _ => {}
    }
    model.detail.find();
}

fn record(line: &LineEdit, action: Action, effects: &mut Vec<Effect>) {
    if action == Action::Accept {
        let path = Some(line.text().trim().to_owned()).filter(|path| !path.is_empty());
        let path = path.map(PathBuf::from);
        effects.push(Effect::Ask(Purpose::Record, Command::StartRecording { path }));
    }
}

/// Keys of menus and prompts mean nothing outside of them.
pub(super) const fn is_command(context: Context) -> bool {
    let is_menu = matches!(
        context,
        Context::Copying
            | Context::CopyingServer
            | Context::Asking
            | Context::Refusing
            | Context::Doubting
            | Context::Fields
            | Context::Faulting
            | Context::Heads
    );
    !is_menu && !context.is_typing()
}

fn help(model: &mut Model, mut state: HelpState, action: Action) {
    match action {
        Action::Back if state.search.is_empty() => return,
        Action::Back => state.search = LineEdit::default(),
        Action::Up => state.scroll = state.scroll.saturating_sub(1),
        Action::Down => state.scroll += 1,
        Action::PageUp => state.scroll = state.scroll.saturating_sub(HELP_PAGE),
        Action::PageDown => state.scroll += HELP_PAGE,
        _ => {}
    }
    let columns = crate::view::help::text_width(model.areas().body);
    let last = crate::view::help::lines(model, &state, columns)
        .len()
        .saturating_sub(1);
    state.scroll = state.scroll.min(last);
    model.mode = Mode::Help(state);
}
