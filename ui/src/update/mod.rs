//! (model, event) → model and effects. Pure: no clock, no terminal, no engine.

mod actions;
#[cfg(test)]
mod any_keys;
mod by_hand;
mod copy;
#[cfg(test)]
mod edit_tests;
mod edits;
mod fields;
mod head;
mod held;
#[cfg(test)]
mod held_tests;
mod like;
mod marks;
mod mock;
#[cfg(test)]
mod mode_tests;
mod modes;
mod mouse;
mod moving;
mod open_file;
mod palette;
#[cfg(test)]
mod palette_tests;
pub(crate) mod playback;
#[cfg(test)]
mod playback_tests;
#[cfg(test)]
mod prompt_tests;
#[cfg(test)]
mod quit_tests;
pub(crate) mod recordings;
#[cfg(test)]
mod recordings_tests;
mod repeat;
mod replay_to;
mod rules;
#[cfg(test)]
mod tests;
pub(crate) mod typed;

use std::sync::Arc;

use crossterm::event::{KeyEvent, MouseEvent};
use shadowcat::clock::Timestamp;
use shadowcat::frontend::EngineGoneError;
use shadowcat::ids::{HoldId, ProxySessionId};
use shadowcat::snapshot::{
    Anchor, Command, MAX_WINDOW_ROWS, Notice, RecorderState, Reply, Severity, Snapshot, ViewQuery, Window,
};

pub(crate) use actions::disabled;

use crate::effect::{Effect, Purpose};
use crate::format;
use crate::keymap::{Action, Chord, Context, Lookup};
use crate::list::Rows;
use crate::model::{Drawn, LogLevel, Mode, Model, Pane, ROW_GUARD, Screen, Then};
use crate::recordings::Outcome;
use crate::theme::Role;

/// Something that happened.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Key(KeyEvent),
    Mouse(MouseEvent),
    Paste(String),
    Resize(u16, u16),
    Snapshot(Arc<Snapshot>),
    Reply(Purpose, Result<Reply, EngineGoneError>),
    /// The editor has ended: what it saved, `None` if nothing was to be saved, or what went wrong.
    Edited(Option<HoldId>, Result<Option<Vec<u8>>, String>),
    /// What came of an errand among recordings.
    Recordings(Outcome),
    EngineGone,
    /// The time is over that the last effect of that name gave.
    Beat,
    /// Time has passed.
    Tick,
}

/// Takes in what happened at `now` and says what is to be done.
pub(crate) fn update(model: &mut Model, event: Event, now: Timestamp) -> Vec<Effect> {
    model.now = now;
    let mut effects = Vec::new();
    let has_time_passed = matches!(event, Event::Tick);
    match event {
        Event::Key(key) if waits_for_rows(model) && model.later.len() < MOST_LATER => {
            model.later.push_back(key);
        }
        Event::Key(key) => press(model, key, &mut effects),
        Event::Mouse(event) => mouse::take(model, event),
        Event::Paste(text) => modes::paste(model, &text),
        Event::Resize(columns, rows) => model.size = (columns, rows),
        Event::Snapshot(snapshot) => take_snapshot(model, snapshot),
        Event::Reply(purpose, reply) => answer(model, purpose, reply, &mut effects),
        Event::Edited(id, outcome) => edits::came_back(model, id, outcome, &mut effects),
        Event::Recordings(outcome) => recordings::came(model, outcome),
        Event::EngineGone => model.is_engine_gone = true,
        Event::Beat => playback::beat(model, &mut effects),
        Event::Tick => {}
    }
    if model.toast.as_ref().is_some_and(|toast| toast.until <= now) {
        model.toast = None;
    }
    settle(model, &mut effects);
    // What does not come within a tick is waited for no longer.
    while (has_time_passed || !waits_for_rows(model))
        && let Some(key) = model.later.pop_front()
    {
        press(model, key, &mut effects);
        settle(model, &mut effects);
    }
    recordings::settle(model, has_time_passed, &mut effects);
    effects
}

/// Keys kept for a row that is still to come.
const MOST_LATER: usize = 64;

/// The last key has led to a message that the engine has not sent yet: what is pressed now is meant for that one.
fn waits_for_rows(model: &Model) -> bool {
    let is_among_messages = model.screen == Screen::Traffic && model.pane() == Pane::Messages;
    let takes_keys = matches!(model.mode, Mode::Normal | Mode::Prefix(_)) && !model.is_engine_gone;
    is_among_messages && takes_keys && model.messages.is_on_its_way(&model.message_rows())
}

fn take_snapshot(model: &mut Model, snapshot: Arc<Snapshot>) {
    let was_live = model.is_live();
    model.seen.learn(&snapshot);
    if let RecorderState::On { path, bytes, .. } = &snapshot.recorder {
        model.recorded = Some((path.clone(), *bytes));
    }
    let mistake = snapshot.intercept.mistake.as_ref();
    if let Some(mistake) =
        mistake.filter(|mistake| model.snapshot.intercept.mistake.as_ref() != Some(mistake))
    {
        model.say(Role::Bad, format!("the file of rules has a mistake: {mistake}"));
    }
    model.snapshot = snapshot;
    if was_live && !model.is_live() {
        // A recording is read from its beginning.
        let rows = model.message_rows();
        model.messages.go_first(&rows);
    }
}

fn press(model: &mut Model, key: KeyEvent, effects: &mut Vec<Effect>) {
    let Some(chord) = Chord::pressed(key) else {
        return;
    };
    // Whoever presses a key has read it.
    model.toast = None;
    let contexts = model.contexts();
    if let Mode::Prefix(first) = model.mode {
        model.mode = Mode::Normal;
        return finish_sequence(model, contexts, &[first, chord], effects);
    }
    if insists_on_quitting(model, chord) {
        return act(model, Action::Yes, effects);
    }
    match model.keymap.look_up(contexts, &[chord]) {
        Lookup::Action(action) => act(model, action, effects),
        Lookup::Prefix => model.mode = Mode::Prefix(chord),
        Lookup::Nothing if contexts.first().is_some_and(|context| context.is_typing()) => {
            modes::type_key(model, chord);
        }
        Lookup::Nothing if matches!(model.mode, Mode::Copy | Mode::CopyServer) => {
            model.mode = Mode::Normal;
            model.say(Role::Dim, "nothing copied");
        }
        // Whatever else is pressed means no.
        Lookup::Nothing if matches!(model.mode, Mode::Ask(_) | Mode::Refuse(_) | Mode::Faulting(_)) => {
            model.mode = Mode::Normal;
            model.say(Role::Dim, "nothing was done");
        }
        Lookup::Nothing => {}
    }
}

/// Whether `chord` quits from anywhere, and quitting is what is asked about: pressed once more, it is a yes.
fn insists_on_quitting(model: &Model, chord: Chord) -> bool {
    let Mode::Ask(question) = &model.mode else {
        return false;
    };
    let quits = || model.keymap.look_up(&[Context::Global], &[chord]) == Lookup::Action(Action::QuitNow);
    question.then == Then::Quit && quits()
}

fn finish_sequence(model: &mut Model, contexts: &[Context], keys: &[Chord], effects: &mut Vec<Effect>) {
    match model.keymap.look_up(contexts, keys) {
        Lookup::Action(action) => act(model, action, effects),
        Lookup::Prefix | Lookup::Nothing => {
            let spelled = crate::keymap::spelled(keys);
            if keys
                .get(1)
                .is_none_or(|chord| chord.code != crossterm::event::KeyCode::Esc)
            {
                model.say(Role::Dim, format!("{spelled} does nothing here"));
            }
        }
    }
}

/// Does `action`, or says why it cannot be done.
pub(crate) fn act(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    if let Some(reason) = disabled(model, action) {
        model.say(Role::Warn, reason);
        return;
    }
    match model.mode {
        Mode::Normal | Mode::Prefix(_) => actions::perform(model, action, effects),
        Mode::Copy => copy::perform(model, action, effects),
        Mode::CopyServer => copy::perform_server(model, action, effects),
        _ => modes::perform(model, action, effects),
    }
}

/// The row that a key is meant for: the one that was on screen under the cursor, or where keys have led it since.
fn pointed(model: &Model) -> Option<Drawn> {
    let drawn = model.drawn.filter(|_| !model.has_user_moved);
    let cursor = model.messages.cursor.map(|row| Drawn { row, moved_at: None });
    drawn.or(cursor)
}

/// The row that a key is meant for. The list is held there.
///
/// # Errors
/// What to tell the user if the list itself has put that row under the cursor only just now.
fn meant_row(model: &mut Model) -> Result<shadowcat::ids::MessageId, String> {
    let Some(Drawn { row, moved_at }) = pointed(model) else {
        return Err("there is no message under the cursor".to_owned());
    };
    let is_fresh = moved_at.is_some_and(|moved| model.now.since(moved) < ROW_GUARD);
    let is_fresh = is_fresh && model.messages.is_following;
    hold_row(model, row);
    if is_fresh {
        return Err("the list has just moved; it is held now, press again".to_owned());
    }
    Ok(row)
}

/// Puts the cursor on `row` and stops following.
fn hold_row(model: &mut Model, row: shadowcat::ids::MessageId) {
    let rows = model.message_rows();
    model.messages.go_to(row, &rows);
}

fn answer(
    model: &mut Model,
    purpose: Purpose,
    reply: Result<Reply, EngineGoneError>,
    effects: &mut Vec<Effect>,
) {
    if let Purpose::Detail(row) = purpose {
        model.detail.asked = model.detail.asked.filter(|asked| *asked != row);
    }
    if let Purpose::HeldText(_) = purpose {
        model.held.asked = None;
    }
    match (purpose, reply) {
        (_, Err(EngineGoneError)) => model.is_engine_gone = true,
        (Purpose::Resend(number), Ok(Reply::Resent { id })) => repeat::resent(model, number, &id),
        (Purpose::LastGood(id), Ok(reply)) => mock::found(model, id, reply, effects),
        // It has left meanwhile; the next snapshot says so.
        (Purpose::HeldText(_), Ok(Reply::Refused { .. })) => model.held.clear(),
        (Purpose::Intercept, Ok(Reply::Refused { message })) => {
            model.held.tried = None;
            model.say(Role::Bad, message);
        }
        (Purpose::HeldEdit(id), Ok(Reply::Intercept(_))) => by_hand::put(model, id),
        (Purpose::HeldText(_) | Purpose::Intercept, Ok(Reply::Intercept(reply))) => {
            held::answered(model, reply);
        }
        (purpose, Ok(Reply::Refused { message })) => {
            // What was refused once is not asked for again until the cursor has been elsewhere.
            if let Purpose::Detail(row) = purpose {
                model.detail.clear();
                model.detail.gone = Some(row);
            }
            model.say(Role::Bad, message);
        }
        (Purpose::Detail(_), Ok(Reply::Detail(detail))) => {
            model.seen.learn_detail(&detail);
            model.detail.put(*detail);
        }
        (Purpose::Detail(row), Ok(Reply::Gone)) => {
            model.detail.clear();
            model.detail.gone = Some(row);
        }
        (Purpose::Find { is_backwards }, Ok(Reply::Found(found))) => found_error(model, found, is_backwards),
        (Purpose::Record, Ok(Reply::Recording(state))) => recording_changed(model, &state),
        (Purpose::ResetBreakers, Ok(Reply::BreakersReset { upstreams })) => breakers_reset(model, &upstreams),
        _ => {}
    }
}

fn found_error(model: &mut Model, found: Option<shadowcat::ids::MessageId>, is_backwards: bool) {
    match found {
        Some(id) => {
            hold_row(model, id);
            model.has_user_moved = true;
        }
        None if is_backwards => model.say(Role::Dim, "no failure above"),
        None => model.say(Role::Dim, "no failure below"),
    }
}

fn breakers_reset(model: &mut Model, upstreams: &[String]) {
    let text = if upstreams.is_empty() {
        "failed connects forgotten".to_owned()
    } else {
        format!("the next request to {} is tried", upstreams.join(", "))
    };
    model.say(Role::Good, text);
}

fn recording_changed(model: &mut Model, state: &RecorderState) {
    model.recordings.make_stale();
    match state {
        RecorderState::Off => {
            let text = match model.recorded.take() {
                Some((path, bytes)) => format!("recorded to {}, {}", path.display(), format::size(bytes)),
                None => "recording finished".to_owned(),
            };
            model.say(Role::Good, text);
        }
        RecorderState::On { path, .. } => model.say(Role::Good, format!("recording to {}", path.display())),
        RecorderState::Failed { path, cause } => {
            model.say(
                Role::Bad,
                format!("recording to {} failed: {cause}", path.display()),
            );
        }
    }
}

/// Brings lists, query and detail in line with what is known now.
fn settle(model: &mut Model, effects: &mut Vec<Effect>) {
    let areas = model.areas();
    let asks_for_others = model.filter != model.query.filter || model.session != model.query.session;
    let is_current = model.is_current() && !asks_for_others;
    // While a filter is at work, a row that is not here yet may still come.
    let is_searched = model.snapshot.messages.scanned >= model.snapshot.messages.total;
    let height = |pane| areas.rows_of(pane);
    let messages = model.message_rows();
    let sessions = model.session_rows();
    let streams = model.stream_rows();
    let log = model.log_rows();
    model.messages.settle(
        &messages,
        height(Pane::Messages).saturating_sub(1).max(1),
        is_current && is_searched,
    );
    model
        .sessions
        .settle(&sessions, height(Pane::Sessions), is_current);
    model
        .streams
        .settle(&streams, (height(Pane::Streams) / 2).max(1), is_current);
    model.log.settle(&log, height(Pane::Log), is_current);
    let servers = model.server_rows();
    model
        .servers
        .settle(&servers, height(Pane::Servers).saturating_sub(1).max(1), true);
    let events = model.event_rows();
    model.events.settle(&events, height(Pane::Events), true);

    let wanted = ViewQuery {
        serial: model.query.serial,
        filter: model.filter.clone(),
        session: model.session,
        messages: model
            .messages
            .window(&messages, height(Pane::Messages), model.query.messages),
        sessions: sessions_window(model, height(Pane::Sessions)),
        streams: model
            .streams
            .window(&streams, height(Pane::Streams), model.query.streams),
        log: log_window(model, &log, height(Pane::Log)),
    };
    if wanted != model.query {
        model.query = ViewQuery {
            serial: model.query.serial + 1,
            ..wanted
        };
        effects.push(Effect::Query(model.query.clone()));
    }
    settle_detail(model, &areas, effects);
    held::settle(model, effects);
}

/// Levels are sorted out here, so that a level needs more lines to fill the screen.
fn log_window(model: &mut Model, rows: &Rows<u64>, height: usize) -> Window<u64> {
    if model.log_level == LogLevel::All {
        return model.log.window(rows, height, model.query.log);
    }
    Window {
        anchor: Anchor::Tail,
        rows: MAX_WINDOW_ROWS,
    }
}

fn sessions_window(model: &mut Model, height: usize) -> Window<ProxySessionId> {
    let rows = model.session_rows();
    let window = model.sessions.index_window(&rows, height, model.query.sessions);
    match window.anchor {
        // The row for all sessions is ours; the engine does not count it.
        Anchor::Index(index) if model.query.sessions.anchor != window.anchor => Window {
            anchor: Anchor::Index(index.saturating_sub(1)),
            rows: window.rows,
        },
        _ => window,
    }
}

fn settle_detail(model: &mut Model, areas: &crate::layout::Areas, effects: &mut Vec<Effect>) {
    let cursor = model
        .messages
        .cursor
        .filter(|_| model.snapshot.messages.matched > 0);
    if cursor.is_none() && model.detail.message.is_some() {
        model.detail.clear();
    }
    if let Some(row) = cursor
        && model.detail.asked.is_none()
        && model.detail.gone != Some(row)
        && !model.is_engine_gone
        && is_stale(model, row)
    {
        model.detail.asked = Some(row);
        model.detail.seen = model.row(row).cloned();
        effects.push(Effect::Ask(Purpose::Detail(row), Command::Inspect { id: row }));
    }
    let (columns, height) = (areas.columns_of(Pane::Detail), areas.rows_of(Pane::Detail));
    let now = model.is_live().then_some(model.now);
    model.detail.refresh(columns, model.theme, &model.zone, now);
    model.detail.settle(height);
}

/// The detail shows another row, or an older state of this one.
fn is_stale(model: &Model, row: shadowcat::ids::MessageId) -> bool {
    let listed = model.row(row);
    model.detail.shown() != Some(row) || (listed.is_some() && listed != model.detail.seen.as_ref())
}

/// The latest warning that is fresh enough to be shown over the gauges.
pub(crate) fn fresh_notice(model: &Model) -> Option<&Notice> {
    let latest = model.snapshot.notices.iter().rev();
    let mut serious = latest.filter(|notice| notice.severity >= Severity::Warning);
    serious.find(|notice| model.now.since(notice.at).as_secs() < 10)
}

/// The file that a new recording is proposed to go to.
pub(crate) fn proposed_recording(model: &Model) -> String {
    format!("recordings/session-{}.jsonl", format::for_file_name(model.now))
}

/// Shows `screen`, all of its panes.
pub(crate) fn show(model: &mut Model, screen: Screen) {
    model.screen = screen;
    model.is_zoomed = false;
}
