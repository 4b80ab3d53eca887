//! Moving cursors and scrolls, pane by pane.

use crate::keymap::Action;
use crate::model::{Model, Pane};

/// Moving in the pane that has the focus; `false` if the action is no movement.
pub(super) fn moved(model: &mut Model, action: Action) -> bool {
    let pane = model.pane();
    let rows = model.areas().rows_of(pane);
    let whole = match pane {
        // A lane takes two rows; the first row of the messages is their heading.
        Pane::Streams => rows / 2,
        Pane::Messages | Pane::Servers | Pane::Rules | Pane::Recordings => rows - 1,
        Pane::Held => rows.saturating_sub(2),
        _ => rows,
    };
    let whole = isize::try_from(whole).unwrap_or(1).max(1);
    let by = match action {
        Action::Down => 1,
        Action::Up => -1,
        Action::HalfDown => (whole / 2).max(1),
        Action::HalfUp => -(whole / 2).max(1),
        Action::PageDown => whole,
        Action::PageUp => -whole,
        Action::First => return first(model, pane),
        Action::Last => return last(model, pane),
        _ => return false,
    };
    step(model, pane, by);
    true
}

/// Moves cursor or scroll of `pane`.
pub(super) fn step(model: &mut Model, pane: Pane, by: isize) {
    match pane {
        Pane::Sessions => {
            let rows = model.session_rows();
            model.sessions.step(&rows, by);
        }
        Pane::Messages => {
            let rows = model.message_rows();
            model.messages.step(&rows, by);
            model.has_user_moved = true;
        }
        Pane::Detail => model.detail.step(by),
        Pane::Streams => {
            let rows = model.stream_rows();
            model.streams.step(&rows, by);
            model.events.follow();
        }
        Pane::Events => {
            let rows = model.event_rows();
            model.events.step(&rows, by);
        }
        Pane::Resources => model.resources_scroll = model.resources_scroll.saturating_add_signed(by),
        Pane::Servers => {
            let rows = model.server_rows();
            model.servers.step(&rows, by);
            model.server_scroll = 0;
        }
        Pane::Server => model.server_scroll = model.server_scroll.saturating_add_signed(by),
        Pane::Log => {
            let rows = model.log_rows();
            model.log.step(&rows, by);
        }
        Pane::LogLine => model.log_line_scroll = model.log_line_scroll.saturating_add_signed(by),
        Pane::Held => {
            let rows = model.held_rows();
            model.held.list.step(&rows, by);
            model.held.has_user_moved = true;
        }
        Pane::HeldText => model.held.scroll = model.held.scroll.saturating_add_signed(by),
        Pane::Rules => {
            let rows = model.rule_rows();
            model.rules.step(&rows, by);
        }
        Pane::Recordings => {
            let rows = model.recordings.list_rows();
            model.recordings.list.step(&rows, by);
            model.recordings.show_card();
        }
        Pane::Recording => {
            model.recordings.scroll = model.recordings.scroll.saturating_add_signed(by);
        }
    }
}

fn first(model: &mut Model, pane: Pane) -> bool {
    match pane {
        Pane::Sessions => {
            let rows = model.session_rows();
            model.sessions.go_first(&rows);
        }
        Pane::Messages => {
            let rows = model.message_rows();
            model.messages.go_first(&rows);
            model.has_user_moved = true;
        }
        Pane::Detail => (model.detail.scroll, model.detail.cursor) = (0, 0),
        Pane::Streams => {
            let rows = model.stream_rows();
            model.streams.go_first(&rows);
        }
        Pane::Events => {
            let rows = model.event_rows();
            model.events.go_first(&rows);
        }
        Pane::Resources => model.resources_scroll = 0,
        Pane::Servers => {
            let rows = model.server_rows();
            model.servers.go_first(&rows);
            model.server_scroll = 0;
        }
        Pane::Server => model.server_scroll = 0,
        Pane::Log => {
            let rows = model.log_rows();
            model.log.go_first(&rows);
        }
        Pane::LogLine => model.log_line_scroll = 0,
        Pane::Held => {
            let rows = model.held_rows();
            model.held.list.go_first(&rows);
            model.held.has_user_moved = true;
        }
        Pane::HeldText => model.held.scroll = 0,
        Pane::Rules => {
            let rows = model.rule_rows();
            model.rules.go_first(&rows);
        }
        Pane::Recordings => {
            let rows = model.recordings.list_rows();
            model.recordings.list.go_first(&rows);
            model.recordings.show_card();
        }
        Pane::Recording => model.recordings.scroll = 0,
    }
    true
}

fn last(model: &mut Model, pane: Pane) -> bool {
    match pane {
        Pane::Sessions => {
            let rows = model.session_rows();
            model.sessions.go_last(&rows);
        }
        Pane::Messages => {
            model.messages.follow();
            model.has_user_moved = true;
        }
        Pane::Detail => (model.detail.scroll, model.detail.cursor) = (usize::MAX, usize::MAX),
        Pane::Streams => model.streams.follow(),
        Pane::Events => model.events.follow(),
        Pane::Resources => model.resources_scroll = usize::MAX / 2,
        Pane::Servers => {
            let rows = model.server_rows();
            model.servers.go_last(&rows);
            model.server_scroll = 0;
        }
        Pane::Server => model.server_scroll = usize::MAX / 2,
        Pane::Log => model.log.follow(),
        Pane::LogLine => model.log_line_scroll = usize::MAX / 2,
        Pane::Held => {
            let rows = model.held_rows();
            model.held.list.go_last(&rows);
            model.held.has_user_moved = true;
        }
        Pane::HeldText => model.held.scroll = usize::MAX / 2,
        Pane::Rules => {
            let rows = model.rule_rows();
            model.rules.go_last(&rows);
        }
        Pane::Recordings => {
            let rows = model.recordings.list_rows();
            model.recordings.list.go_last(&rows);
            model.recordings.show_card();
        }
        Pane::Recording => model.recordings.scroll = usize::MAX / 2,
    }
    true
}
