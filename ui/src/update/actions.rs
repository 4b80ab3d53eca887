//! What actions do while no menu, prompt or palette is open.

use shadowcat::snapshot::{Command, MessageRow, RecorderState, RowKind, Source};

use super::moving::moved;
use super::{held, hold_row, like, meant_row, playback, pointed, proposed_recording, recordings, show};
use crate::detail::Tab;
use crate::effect::{Effect, Purpose};
use crate::keymap::Action;
use crate::line_edit::LineEdit;
use crate::model::{FilterEdit, HelpState, Mode, Model, PaletteState, Pane, Screen, Then};
use crate::theme::Role;

/// What counts as a failure when jumping from one to the next.
const FAILURES: &str = "status:error | kind:error";

/// Why `action` cannot be done now; `None` if it can.
pub(crate) fn disabled(model: &Model, action: Action) -> Option<&'static str> {
    match action {
        Action::Record if model.is_read_only => {
            Some("this view is read-only; it cannot start or stop recording")
        }
        Action::Record if matches!(model.snapshot.source, Source::File { .. }) => {
            Some("a recording is open; there is no traffic to record")
        }
        Action::Record | Action::ResetBreakers | Action::NextError | Action::PreviousError
            if model.is_engine_gone =>
        {
            Some("the engine has ended")
        }
        Action::ResetBreakers if model.is_read_only => Some("this view is read-only; it resets nothing"),
        Action::ResetBreakers if !has_failed_connects(model) => {
            Some("no connect to a server has failed; every request is tried")
        }
        Action::FilterFromRow | Action::Copy if model.selected().is_none() => {
            Some("there is no message under the cursor")
        }
        Action::CopyServer if !model.is_live() => Some("a recording is open; no client can be pointed at it"),
        Action::CopyServer if model.selected_server().is_none() => {
            Some("there is no server here; --upstream URL or --config mcp.json gives one")
        }
        Action::CopyPortUrl
            if model
                .selected_server()
                .is_none_or(|server| server.port_url.is_none()) =>
        {
            Some("it has no port of its own; --ports gives it one")
        }
        Action::RepeatRow | Action::RepeatEdited => super::repeat::disabled(model),
        Action::GoRequest | Action::GoAnswer if !has_call(model) => Some("this message belongs to no call"),
        Action::GoStream if model.selected().is_none_or(|row| row.stream.is_none()) => {
            Some("this message was not carried by a stream")
        }
        Action::Theme if !model.has_colours => Some("NO_COLOR is set; there are no colours to change"),
        _ => playback::disabled(model, action)
            .or_else(|| recordings::disabled(model, action))
            .or_else(|| held::disabled(model, action)),
    }
}

fn has_failed_connects(model: &Model) -> bool {
    model.servers().iter().any(|server| server.breaker.failures > 0)
}

fn has_call(model: &Model) -> bool {
    let is_shown = model.detail.shown() == model.messages.cursor;
    is_shown
        && model
            .detail
            .message
            .as_ref()
            .is_some_and(|message| !message.call.is_empty())
}

pub(super) fn perform(model: &mut Model, action: Action, effects: &mut Vec<Effect>) {
    if moved(model, action) {
        if model.pane() == Pane::Messages {
            playback::hold(model);
        }
        return;
    }
    held::end_range(model, action);
    if looked(model, action)
        || playback::perform(model, action, effects)
        || recordings::perform(model, action, effects)
        || held::perform(model, action, effects)
    {
        return;
    }
    match action {
        Action::Open => open(model),
        Action::Follow => follow_target(model),
        Action::Back => back(model),
        Action::LimitSession => limit_session(model),
        Action::FilterFromRow => like::filter_from_row(model),
        Action::RepeatRow | Action::RepeatEdited => {
            super::repeat::row(model, action == Action::RepeatEdited, effects);
        }
        Action::NextError => find_failure(model, false, effects),
        Action::PreviousError => find_failure(model, true, effects),
        Action::Record => record(model, effects),
        Action::ResetBreakers => {
            let command = Command::ResetBreaker { upstream: None };
            effects.push(Effect::Ask(Purpose::ResetBreakers, command));
        }
        Action::GoRequest => go_in_call(model, true),
        Action::GoAnswer => go_in_call(model, false),
        Action::GoStream => go_stream(model),
        Action::Copy => match meant_row(model) {
            Ok(_) => model.mode = Mode::Copy,
            Err(reason) => model.say(Role::Warn, reason),
        },
        Action::CopyServer => model.mode = Mode::CopyServer,
        Action::Mouse => {
            model.has_mouse = !model.has_mouse;
            let text = if model.has_mouse {
                "mouse on"
            } else {
                "mouse off: the terminal selects text"
            };
            model.say(Role::Accent, text);
            effects.push(Effect::Mouse(model.has_mouse));
        }
        Action::Redraw => effects.push(Effect::Redraw),
        Action::Suspend => effects.push(Effect::Suspend),
        Action::Quit if model.screen != Screen::Traffic => show(model, Screen::Traffic),
        Action::Quit | Action::QuitNow => quit(model, effects),
        _ => {}
    }
}

/// Changes of what is looked at and how; `false` if the action is none of them.
fn looked(model: &mut Model, action: Action) -> bool {
    match action {
        Action::ShowTraffic => show(model, Screen::Traffic),
        Action::ShowStreams => show(model, Screen::Streams),
        Action::ShowResources => show(model, Screen::Resources),
        Action::ShowLog => show(model, Screen::Log),
        Action::ShowServers => show(model, Screen::Servers),
        Action::ShowHeld => show(model, Screen::Held),
        Action::ShowRules => show(model, Screen::Rules),
        Action::ShowRecordings => show(model, Screen::Recordings),
        Action::NextPane => cycle(model, true),
        Action::PreviousPane => cycle(model, false),
        Action::FocusSessions => model.focus(Pane::Sessions),
        Action::Zoom => model.is_zoomed = true,
        Action::Unzoom => model.is_zoomed = false,
        Action::NextTab => model.detail.show_tab(model.detail.tab.next()),
        Action::PreviousTab => model.detail.show_tab(model.detail.tab.previous()),
        Action::Theme => {
            model.theme.palette = model.theme.palette.next();
            model.say(Role::Accent, format!("colours: {}", model.theme.palette.name()));
        }
        Action::LogLevel => {
            model.log_level = model.log_level.next();
            model.say(Role::Accent, format!("log: {}", model.log_level.name()));
        }
        Action::Help | Action::HelpAll => {
            let is_all = action == Action::HelpAll;
            model.mode = Mode::Help(HelpState {
                is_all,
                ..HelpState::default()
            });
        }
        Action::Palette => {
            let mut palette = PaletteState::default();
            super::palette::search(&mut palette);
            model.mode = Mode::Palette(palette);
        }
        Action::Filter => start_filter(model, &model.filter.clone()),
        Action::Search => model.mode = Mode::Search(LineEdit::default()),
        _ => return looked_at_detail(model, action),
    }
    true
}

fn looked_at_detail(model: &mut Model, action: Action) -> bool {
    let height = model.areas().rows_of(Pane::Detail);
    let detail = &mut model.detail;
    match action {
        Action::NextHit => detail.next_hit(false, height),
        Action::PreviousHit => detail.next_hit(true, height),
        Action::Wrap => {
            detail.switches.wraps = !detail.switches.wraps;
            detail.scroll_right = 0;
        }
        Action::Hex => {
            detail.switches.is_hex = !detail.switches.is_hex;
            detail.show_tab(Tab::Raw);
        }
        Action::Unmask => {
            detail.switches.is_unmasked = !detail.switches.is_unmasked;
            detail.show_tab(Tab::Headers);
        }
        Action::Right => go_right(model),
        Action::Left => go_left(model),
        _ => return false,
    }
    true
}

/// Columns that one key scrolls sideways by.
const SIDEWAYS: usize = 8;

fn go_right(model: &mut Model) {
    match model.pane() {
        Pane::Detail if !model.detail.switches.wraps => model.detail.scroll_right += SIDEWAYS,
        Pane::Log => model.log_scroll_right += SIDEWAYS,
        _ => {}
    }
}

fn go_left(model: &mut Model) {
    match model.pane() {
        Pane::Log => model.log_scroll_right = model.log_scroll_right.saturating_sub(SIDEWAYS),
        Pane::Detail if model.detail.scroll_right > 0 => {
            model.detail.scroll_right = model.detail.scroll_right.saturating_sub(SIDEWAYS);
        }
        Pane::Detail => leave_to(model, Pane::Messages),
        Pane::Events => leave_to(model, Pane::Streams),
        Pane::Server => leave_to(model, Pane::Servers),
        Pane::LogLine => leave_to(model, Pane::Log),
        Pane::HeldText => leave_to(model, Pane::Held),
        Pane::Recording => {
            model.is_zoomed = false;
            recordings::back(model);
        }
        _ => {}
    }
}

fn leave_to(model: &mut Model, pane: Pane) {
    model.focus(pane);
    model.is_zoomed = false;
}

fn cycle(model: &mut Model, is_forwards: bool) {
    let panes = Pane::of(model.screen);
    let here = panes.iter().position(|pane| *pane == model.pane()).unwrap_or(0);
    let step = if is_forwards { 1 } else { panes.len() - 1 };
    if let Some(pane) = panes.get((here + step) % panes.len()) {
        enter(model, *pane);
    }
}

/// Gives the focus to `pane`. The detail holds the row that was on screen.
pub(super) fn enter(model: &mut Model, pane: Pane) {
    if pane == Pane::Detail
        && let Some(meant) = pointed(model)
        && model.messages.is_following
    {
        hold_row(model, meant.row);
    }
    if pane == Pane::Events {
        let rows = model.stream_rows();
        model.streams.leave(&rows);
    }
    if pane == Pane::LogLine {
        let rows = model.log_rows();
        model.log.leave(&rows);
        model.log_line_scroll = 0;
    }
    model.focus(pane);
}

fn open(model: &mut Model) {
    match model.pane() {
        Pane::Messages => enter(model, Pane::Detail),
        Pane::Streams => enter(model, Pane::Events),
        Pane::Servers => enter(model, Pane::Server),
        Pane::Log => enter(model, Pane::LogLine),
        Pane::Held => enter(model, Pane::HeldText),
        Pane::Recordings => enter(model, Pane::Recording),
        _ => {}
    }
}

/// Goes to the message behind the line under the cursor.
fn follow_target(model: &mut Model) {
    match model.pane() {
        Pane::Detail => match model.detail.target() {
            Some(target) => go_to_message(model, target),
            None if model.detail.tab != Tab::Call => model.detail.show_tab(Tab::Call),
            None => {}
        },
        Pane::Events => match model.selected_event().and_then(|event| event.message) {
            Some(target) => {
                show(model, Screen::Traffic);
                model.focus(Pane::Messages);
                go_to_message(model, target);
            }
            None => model.say(Role::Dim, "comments are no messages"),
        },
        _ => {}
    }
}

/// A message that filter or session would hide is shown without them.
fn go_to_message(model: &mut Model, target: shadowcat::ids::MessageId) {
    if model.row(target).is_none() && (!model.filter.is_empty() || model.session.is_some()) {
        model.filter.clear();
        model.session = None;
        model.say(Role::Accent, "filter and session limit lifted to show it");
    }
    hold_row(model, target);
    model.has_user_moved = true;
}

fn go_in_call(model: &mut Model, wants_request: bool) {
    let wanted = model.detail.message.as_ref().and_then(|message| {
        let mut rows = message.call.iter();
        let is_wanted = |kind| match kind {
            RowKind::Request => wants_request,
            RowKind::Result | RowKind::Error => !wants_request,
            _ => false,
        };
        rows.find(|row| is_wanted(row.kind)).map(|row| row.id)
    });
    match wanted {
        Some(target) => go_to_message(model, target),
        None => model.say(
            Role::Dim,
            if wants_request {
                "its request is not in history"
            } else {
                "no answer yet"
            },
        ),
    }
}

fn go_stream(model: &mut Model) {
    let Some(stream) = pointed_row(model).and_then(|row| row.stream) else {
        return;
    };
    show(model, Screen::Streams);
    let rows = model.stream_rows();
    model.streams.go_to(stream, &rows);
    model.events.follow();
}

/// One level out.
fn back(model: &mut Model) {
    let pane = model.pane();
    if pane == Pane::Detail && !model.detail.search.is_empty() {
        model.detail.search.clear();
        model.detail.find();
    } else if model.is_zoomed {
        model.is_zoomed = false;
    } else if matches!(pane, Pane::Detail | Pane::Sessions) {
        model.focus(Pane::Messages);
    } else if pane == Pane::Messages && model.playback.is_some() {
        playback::stop(model);
    } else if pane == Pane::Events {
        model.focus(Pane::Streams);
    } else if pane == Pane::Server {
        model.focus(Pane::Servers);
    } else if pane == Pane::LogLine {
        model.focus(Pane::Log);
    } else if pane == Pane::HeldText {
        model.focus(Pane::Held);
    } else if model.screen == Screen::Recordings && recordings::back(model) {
        // One level was left there.
    } else if pane == Pane::Held && super::marks::clear(model) {
        model.say(Role::Dim, "no marks");
    } else if model.screen != Screen::Traffic {
        show(model, Screen::Traffic);
    } else if !model.filter.is_empty() {
        model.filter.clear();
        model.say(Role::Dim, "filter cleared");
    } else if model.session.take().is_some() {
        model.say(Role::Dim, "all sessions");
    } else {
        model.say(Role::Dim, "nothing to go back from; q quits");
    }
}

fn pointed_row(model: &Model) -> Option<&MessageRow> {
    model.row(pointed(model)?.row)
}

fn limit_session(model: &mut Model) {
    let wanted = match model.pane() {
        Pane::Sessions => model.sessions.cursor.flatten(),
        _ => pointed_row(model).and_then(|row| row.session),
    };
    if model.pane() == Pane::Sessions {
        model.focus(Pane::Messages);
    } else if wanted.is_none() {
        model.say(Role::Dim, "this message belongs to no session");
        return;
    } else if model.session == wanted {
        model.session = None;
        model.say(Role::Dim, "all sessions");
        return;
    }
    model.session = wanted;
    let rows = model.session_rows();
    model.sessions.go_to(wanted, &rows);
}

fn start_filter(model: &mut Model, text: &str) {
    // Its line is there.
    if model.screen != Screen::Traffic {
        show(model, Screen::Traffic);
    }
    model.mode = Mode::Filter(FilterEdit {
        line: LineEdit::with(text),
        before: model.filter.clone(),
        ..FilterEdit::default()
    });
    text.clone_into(&mut model.filter);
}

/// Quits, and asks before if somebody waits for a decision.
fn quit(model: &mut Model, effects: &mut Vec<Effect>) {
    let summary = &model.snapshot.intercept.summary;
    let count = summary.held + summary.queued;
    if count == 0 || model.is_read_only {
        return effects.push(Effect::Quit);
    }
    let messages = crate::format::plural(count as u64, "held message");
    held::ask(
        model,
        format!("quit? {messages} would go on unchanged."),
        Then::Quit,
    );
}

fn find_failure(model: &Model, is_backwards: bool, effects: &mut Vec<Effect>) {
    let command = Command::Find {
        from: pointed(model).map(|drawn| drawn.row),
        is_backwards,
        filter: FAILURES.to_owned(),
        scope: model.filter.clone(),
        session: model.session,
    };
    effects.push(Effect::Ask(Purpose::Find { is_backwards }, command));
}

fn record(model: &mut Model, effects: &mut Vec<Effect>) {
    if matches!(model.snapshot.recorder, RecorderState::On { .. }) {
        effects.push(Effect::Ask(Purpose::Record, Command::StopRecording));
    } else {
        model.mode = Mode::Record(LineEdit::with(&proposed_recording(model)));
    }
}
