//! Playing an opened recording: the cursor goes with the play head.

use shadowcat::clock::Timestamp;

use crate::effect::Effect;
use crate::keymap::Action;
use crate::model::{Model, Pane};
use crate::playback::{BEAT, Playback};
use crate::theme::Role;

const fn is_of_playback(action: Action) -> bool {
    matches!(
        action,
        Action::Play | Action::PausePlay | Action::PlayFaster | Action::PlaySlower
    )
}

/// Why `action` cannot be done now.
pub(super) fn disabled(model: &Model, action: Action) -> Option<&'static str> {
    if !is_of_playback(action) {
        return None;
    }
    if model.is_live() {
        return Some("only an opened recording can be played; 9 opens one");
    }
    if model.playback.is_none() && action != Action::Play {
        return Some("t plays the recording from the row under the cursor on");
    }
    (model.selected().is_none()).then_some("there is no message under the cursor")
}

/// `false` if the action has nothing to do with playing.
pub(super) fn perform(model: &mut Model, action: Action, effects: &mut Vec<Effect>) -> bool {
    match action {
        Action::Play if model.playback.is_some() => stop(model),
        Action::Play => begin(model, effects),
        Action::PausePlay => pause(model, effects),
        Action::PlayFaster => change_speed(model, Playback::faster),
        Action::PlaySlower => change_speed(model, Playback::slower),
        _ => return false,
    }
    true
}

/// The moment of the row under the cursor.
fn place(model: &Model) -> Option<Timestamp> {
    model.selected().map(|row| row.at)
}

fn begin(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some(head) = place(model) else {
        return;
    };
    let rows = model.message_rows();
    model.messages.leave(&rows);
    model.playback = Some(Playback::begin(head, model.now));
    effects.push(Effect::Beat(BEAT));
}

fn pause(model: &mut Model, effects: &mut Vec<Effect>) {
    let (place, now) = (place(model), model.now);
    let rows = model.message_rows();
    let Some(playback) = &mut model.playback else {
        return;
    };
    if playback.is_paused {
        // The cursor may have been put elsewhere meanwhile.
        model.messages.leave(&rows);
        playback.go_on(place.unwrap_or(playback.head), now);
        effects.push(Effect::Beat(BEAT));
    } else {
        playback.advance(now);
        playback.is_paused = true;
    }
}

fn change_speed(model: &mut Model, change: impl FnOnce(&mut Playback)) {
    if let Some(playback) = &mut model.playback {
        playback.advance(model.now);
        change(playback);
    }
}

/// Whoever moves the cursor wants to look: playing waits.
pub(super) fn hold(model: &mut Model) {
    if let Some(playback) = &mut model.playback {
        (playback.is_paused, playback.is_at_cursor) = (true, true);
    }
}

/// The recorded moment that is shown, if something is played.
pub(crate) fn shown(model: &Model) -> Option<Timestamp> {
    let playback = model.playback.as_ref()?;
    let of_row = place(model).filter(|_| playback.is_at_cursor);
    Some(of_row.unwrap_or(playback.head))
}

/// Ends playing, if there is any.
pub(super) fn stop(model: &mut Model) {
    if model.playback.take().is_some() {
        model.say(Role::Dim, "playing ended");
    }
}

/// Moves the head, and the cursor to the last row that it has passed.
pub(super) fn beat(model: &mut Model, effects: &mut Vec<Effect>) {
    let now = model.now;
    let Some(playback) = model.playback.as_mut().filter(|playback| !playback.is_paused) else {
        return;
    };
    playback.advance(now);
    let head = playback.head;
    let Some(cursor) = model.messages.cursor else {
        return stop(model);
    };
    let page = &model.snapshot.messages;
    let later = page.rows.iter().skip_while(|row| row.id <= cursor);
    let passed = later.take_while(|row| row.at <= head).count();
    if let Ok(by @ 1..) = isize::try_from(passed) {
        super::moving::step(model, Pane::Messages, by);
    }
    if is_at_end(model) {
        model.playback = None;
        return model.say(Role::Dim, "played to the end");
    }
    effects.push(Effect::Beat(BEAT));
}

fn is_at_end(model: &Model) -> bool {
    let page = &model.snapshot.messages;
    let is_last = page
        .rows
        .last()
        .is_some_and(|row| Some(row.id) == model.messages.cursor);
    is_last && page.first + page.rows.len() as u64 >= page.matched
}
