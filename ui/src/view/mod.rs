//! Drawing: one file for each pane. Nothing here changes the model.

mod copy_menu;
mod detail;
mod events;
mod fields;
mod filter;
mod footer;
mod heads;
mod held;
pub(crate) mod help;
mod log;
mod messages;
mod palette;
mod prompt;
mod recordings;
mod resources;
mod rules;
mod servers;
mod session_card;
mod sessions;
mod status;
mod streams;
mod telemetry;
#[cfg(test)]
mod tests;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use shadowcat::intercept::interceptor::Remedy;

use crate::format::cells;
use crate::keymap::{Action, Binding, Context};
use crate::layout::SMALLEST;
use crate::model::{HoldPrompt, HoldPurpose, Mode, Model, Pane, Screen};
use crate::paint::{Canvas, Line};
use crate::theme::{Role, Theme};

/// Draws everything; gives the place of the text cursor, if text is being typed.
pub(crate) fn draw(model: &Model, buffer: &mut Buffer) -> Option<(u16, u16)> {
    let screen = buffer.area;
    let mut canvas = Canvas::new(buffer, model.theme);
    let areas = model.areas();
    if areas.is_too_small {
        too_small(&mut canvas, screen);
        return None;
    }
    status::draw(model, &mut canvas, areas.status);
    let mut cursor = filter::draw(model, &mut canvas, areas.filter);
    for (pane, area) in &areas.panes {
        draw_pane(model, &mut canvas, *pane, *area);
    }
    footer::gauges(model, &mut canvas, areas.gauges);
    match &model.toast {
        // Its own line has the prompt.
        Some(_) if matches!(model.mode, Mode::Hold(_)) => footer::gauges(model, &mut canvas, areas.footer),
        _ => footer::keys(model, &mut canvas, areas.footer),
    }
    cursor = cursor.or(overlay(model, &mut canvas, areas.body, areas.gauges));
    cursor
}

fn draw_pane(model: &Model, canvas: &mut Canvas<'_>, pane: Pane, area: Rect) {
    match pane {
        Pane::Sessions => sessions::draw(model, canvas, area),
        Pane::Messages => messages::draw(model, canvas, area),
        Pane::Detail => match session_card::chosen(model) {
            Some(session) => session_card::draw(model, session, canvas, area),
            None => detail::draw(model, canvas, area),
        },
        Pane::Streams => streams::draw(model, canvas, area),
        Pane::Events => events::draw(model, canvas, area),
        Pane::Resources => resources::draw(model, canvas, area),
        Pane::Log => log::draw(model, canvas, area),
        Pane::LogLine => log::draw_line(model, canvas, area),
        Pane::Servers => servers::draw(model, canvas, area),
        Pane::Server => servers::card::draw(model, canvas, area),
        Pane::Held => held::draw(model, canvas, area),
        Pane::HeldText => held::draw_text(model, canvas, area),
        Pane::Rules => rules::draw(model, canvas, area),
        Pane::Recordings => recordings::draw(model, canvas, area),
        Pane::Recording => recordings::draw_card(model, canvas, area),
    }
}

fn overlay(model: &Model, canvas: &mut Canvas<'_>, body: Rect, line: Rect) -> Option<(u16, u16)> {
    match &model.mode {
        Mode::Normal | Mode::Filter(_) => None,
        Mode::Prefix(chord) => {
            copy_menu::draw_prefix(model, canvas, body, *chord);
            None
        }
        Mode::Copy => {
            copy_menu::draw(model, canvas, body, Context::Copying);
            None
        }
        Mode::CopyServer => {
            copy_menu::draw(model, canvas, body, Context::CopyingServer);
            None
        }
        Mode::Refuse(_) => {
            copy_menu::draw(model, canvas, body, Context::Refusing);
            None
        }
        Mode::Faulting(_) => {
            copy_menu::draw(model, canvas, body, Context::Faulting);
            None
        }
        Mode::Problems(state) => {
            held::problems(model, canvas, body, state);
            None
        }
        Mode::Fields(state) => fields::draw(canvas, body, state),
        Mode::Head(state) => {
            heads::draw(model, canvas, body, state);
            None
        }
        Mode::Ask(question) => {
            prompt::ask(canvas, line, &question.text);
            None
        }
        Mode::Hold(prompt) => Some(prompt::draw(canvas, line, label_of(prompt), &prompt.line)),
        Mode::Search(edit) => Some(prompt::draw(canvas, line, "search in detail: ", edit)),
        Mode::Record(edit) => Some(prompt::draw(canvas, line, "record to: ", edit)),
        Mode::Palette(state) => Some(palette::draw(model, canvas, body, state)),
        Mode::Help(state) => Some(help::draw(model, canvas, body, state)),
    }
}

/// What is asked for in a prompt about held messages and rules.
fn label_of(prompt: &HoldPrompt) -> &'static str {
    match &prompt.purpose {
        HoldPurpose::Answer(_) => "result: ",
        HoldPurpose::Delay(_) => "seconds: ",
        HoldPurpose::Break { is_once: false } => "hold all that match: ",
        HoldPurpose::Break { is_once: true } => "hold the next that matches: ",
        HoldPurpose::Always(done) => match done.remedy {
            Remedy::Edited { .. } => "always edit so what matches: ",
            Remedy::Answered { .. } => "always answer so what matches: ",
            Remedy::Refused { .. } => "always refuse so what matches: ",
            Remedy::Dropped { .. } => "always drop what matches: ",
        },
    }
}

fn too_small(canvas: &mut Canvas<'_>, screen: Rect) {
    let (columns, rows) = SMALLEST;
    let text = format!("too small: {columns}x{rows} at least");
    let this = format!("this is {}x{}", screen.width, screen.height);
    let lines = [
        Line::default().say(Role::Warn, &text),
        Line::default().say(Role::Dim, &this),
    ];
    prose(canvas, screen, &lines);
}

/// What the footer and menus call `binding` as things are.
fn label(model: &Model, binding: &Binding) -> &'static str {
    match binding.action {
        Action::Quit if model.screen != Screen::Traffic => "to Traffic",
        Action::Play if model.playback.is_some() => "end",
        Action::PausePlay if model.playback.as_ref().is_some_and(|playback| playback.is_paused) => "go on",
        Action::CopyHeaders if model.detail.switches.is_unmasked => "headers with secrets",
        // In a recording nothing comes that could be followed, and servers are as many as were configured.
        Action::Last if !model.is_live() || is_of_a_fixed_list(model.pane()) => "last",
        _ => binding.label,
    }
}

/// Nothing comes here that could be followed.
const fn is_of_a_fixed_list(pane: Pane) -> bool {
    matches!(
        pane,
        Pane::Servers | Pane::Server | Pane::Recordings | Pane::Recording
    )
}

/// Draws `lines` from the top, each as prose, as far as there is room.
fn prose(canvas: &mut Canvas<'_>, area: Rect, lines: &[Line]) {
    let wrapped = lines
        .iter()
        .flat_map(|line| line.wrapped_at_words(area.width.into()));
    for (y, line) in wrapped.take(area.height.into()).enumerate() {
        canvas.line(area, cells(y), &line);
    }
}

/// A box in the middle of `body`.
fn centred(body: Rect, columns: usize, rows: usize) -> Rect {
    let width = cells(columns).min(body.width);
    let height = cells(rows).min(body.height);
    Rect {
        x: body.x + (body.width - width) / 2,
        y: body.y + (body.height - height) / 2,
        width,
        height,
    }
}

/// Whether a list goes with what is new.
fn follow_sign(is_following: bool, theme: Theme) -> Line {
    if is_following {
        Line::of(Role::Good, theme.sign(" ● follow ", " * follow "))
    } else {
        Line::of(Role::Dim, " G follows ")
    }
}

/// A mark in the right edge of a frame that shows where in the whole list the view is.
fn scroll_mark(canvas: &mut Canvas<'_>, area: Rect, first: u64, shown: usize, total: u64) {
    let track = u64::from(area.height.saturating_sub(2));
    if track == 0 || total <= shown as u64 {
        return;
    }
    let room = total - shown as u64;
    let place = first.min(room) * (track - 1) / room;
    let edge = Rect {
        x: area.x + area.width - 1,
        width: 1,
        ..area
    };
    let sign = canvas.theme.sign("█", "#");
    canvas.line(
        edge,
        1 + cells(usize::try_from(place).unwrap_or(0)),
        &Line::of(Role::BorderFocus, sign),
    );
}
