//! Clicks choose, the wheel scrolls what is under the pointer.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use super::actions::enter;
use super::moving::step;
use crate::model::{Mode, Model, Pane};

/// Rows that one notch of the wheel moves by.
const NOTCH: isize = 3;

pub(super) fn take(model: &mut Model, event: MouseEvent) {
    if !matches!(model.mode, Mode::Normal) {
        return;
    }
    let Some((pane, row)) = model.areas().at(event.column, event.row) else {
        return;
    };
    match event.kind {
        MouseEventKind::ScrollDown => scroll(model, pane, NOTCH),
        MouseEventKind::ScrollUp => scroll(model, pane, -NOTCH),
        MouseEventKind::Down(MouseButton::Left) => {
            enter(model, pane);
            if let Some(row) = row {
                choose(model, pane, row);
            }
        }
        _ => {}
    }
}

fn scroll(model: &mut Model, pane: Pane, by: isize) {
    if pane == Pane::Messages {
        super::playback::hold(model);
    }
    step(model, pane, by);
}

fn choose(model: &mut Model, pane: Pane, row: usize) {
    match pane {
        Pane::Sessions => {
            let rows = model.session_rows();
            model.sessions.choose(&rows, row);
        }
        // The first row is the heading of the columns.
        Pane::Messages => {
            let Some(row) = row.checked_sub(1) else {
                return;
            };
            let rows = model.message_rows();
            model.messages.choose(&rows, row);
            super::playback::hold(model);
            model.has_user_moved = true;
        }
        Pane::Detail => model.detail.cursor = model.detail.scroll + row,
        Pane::Streams => {
            let rows = model.stream_rows();
            model.streams.choose(&rows, row / 2);
            model.events.follow();
        }
        Pane::Events => {
            let rows = model.event_rows();
            model.events.choose(&rows, row);
        }
        Pane::Log => {
            let rows = model.log_rows();
            model.log.choose(&rows, row);
            model.log_line_scroll = 0;
        }
        // The first row is the heading of the columns.
        Pane::Servers => {
            if let Some(row) = row.checked_sub(1) {
                let rows = model.server_rows();
                model.servers.choose(&rows, row);
                model.server_scroll = 0;
            }
        }
        // The first row is the heading of the columns.
        Pane::Held => {
            if let Some(row) = row.checked_sub(1) {
                let rows = model.held_rows();
                model.held.list.choose(&rows, row);
                model.held.has_user_moved = true;
            }
        }
        Pane::Rules => {
            if let Some(row) = row.checked_sub(1) {
                let rows = model.rule_rows();
                model.rules.choose(&rows, row);
            }
        }
        Pane::Recordings => {
            if let Some(row) = row.checked_sub(1) {
                let rows = model.recordings.list_rows();
                model.recordings.list.choose(&rows, row);
                model.recordings.show_card();
            }
        }
        Pane::Resources | Pane::Recording | Pane::Server | Pane::LogLine | Pane::HeldText => {}
    }
}
