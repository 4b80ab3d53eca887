//! Where everything is on the screen, for drawing and for the mouse.

use ratatui::layout::{Position, Rect};

use crate::format;
use crate::model::{Mode, Model, Pane, Screen};

/// Smaller than this and only a message is shown.
pub(crate) const SMALLEST: (u16, u16) = (40, 10);

/// The areas of the parts of the screen; a part that is not shown has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Areas {
    pub(crate) is_too_small: bool,
    pub(crate) status: Rect,
    /// Filter line, and a second row below it for what is wrong with it.
    pub(crate) filter: Rect,
    pub(crate) panes: Vec<(Pane, Rect)>,
    pub(crate) gauges: Rect,
    pub(crate) footer: Rect,
    /// All between status and gauges.
    pub(crate) body: Rect,
}

impl Areas {
    pub(crate) fn of(&self, pane: Pane) -> Option<Rect> {
        self.panes
            .iter()
            .find(|(other, _)| *other == pane)
            .map(|(_, area)| *area)
    }

    /// Rows inside a pane's frame.
    pub(crate) fn rows_of(&self, pane: Pane) -> usize {
        self.of(pane)
            .map_or(1, |area| usize::from(area.height.saturating_sub(2)).max(1))
    }

    /// Columns inside a pane's frame.
    pub(crate) fn columns_of(&self, pane: Pane) -> usize {
        self.of(pane)
            .map_or(1, |area| usize::from(area.width.saturating_sub(2)).max(1))
    }

    /// The pane at a place, and the row inside its frame.
    pub(crate) fn at(&self, column: u16, row: u16) -> Option<(Pane, Option<usize>)> {
        let place = Position { x: column, y: row };
        let (pane, area) = self.panes.iter().find(|(_, area)| area.contains(place))?;
        let inner = row
            .checked_sub(area.y + 1)
            .filter(|inner| *inner + 2 < area.height);
        Some((*pane, inner.map(usize::from)))
    }
}

pub(crate) fn areas(model: &Model) -> Areas {
    let (width, height) = model.size;
    if width < SMALLEST.0 || height < SMALLEST.1 {
        return Areas {
            is_too_small: true,
            ..Areas::default()
        };
    }
    let line = |y| Rect {
        x: 0,
        y,
        width,
        height: 1,
    };
    let filter_rows = filter_rows(model);
    let body = Rect {
        x: 0,
        y: 1 + filter_rows,
        width,
        height: height - 3 - filter_rows,
    };
    Areas {
        is_too_small: false,
        status: line(0),
        filter: Rect {
            height: filter_rows,
            ..line(1)
        },
        panes: panes(model, body),
        gauges: line(height - 2),
        footer: line(height - 1),
        body,
    }
}

fn filter_rows(model: &Model) -> u16 {
    let is_typing = matches!(model.mode, Mode::Filter(_));
    if model.screen != Screen::Traffic || (!is_typing && model.filter.is_empty()) {
        return 0;
    }
    if model.snapshot.messages.filter_error.is_some() {
        2
    } else {
        1
    }
}

fn panes(model: &Model, body: Rect) -> Vec<(Pane, Rect)> {
    if model.is_zoomed {
        return vec![(model.pane(), body)];
    }
    match model.screen {
        Screen::Traffic => traffic(model.traffic_pane, body),
        Screen::Streams => streams(model.streams_pane, body),
        Screen::Resources => vec![(Pane::Resources, body)],
        Screen::Log => log(model.log_pane, body),
        Screen::Servers => servers(model, body),
        Screen::Held => held(model, body),
        Screen::Rules => vec![(Pane::Rules, body)],
        Screen::Recordings => recordings(model, body),
    }
}

fn traffic(focus: Pane, body: Rect) -> Vec<(Pane, Rect)> {
    if body.width < 72 {
        return match focus {
            Pane::Sessions => vec![(Pane::Sessions, body)],
            _ => over_each_other(focus, body),
        };
    }
    let sessions = match body.width {
        0..100 => 20,
        100..180 => 26,
        _ => 32,
    };
    let (left, right) = split_columns(body, sessions);
    let mut panes = vec![(Pane::Sessions, left)];
    if body.width >= 150 {
        let (messages, detail) = split_columns(right, right.width * 3 / 5);
        panes.extend([(Pane::Messages, messages), (Pane::Detail, detail)]);
    } else {
        panes.extend(over_each_other(focus, right));
    }
    panes
}

/// Messages over detail; where that is too low, only the one that has the focus.
fn over_each_other(focus: Pane, area: Rect) -> Vec<(Pane, Rect)> {
    if area.height < 13 {
        let pane = if focus == Pane::Detail {
            Pane::Detail
        } else {
            Pane::Messages
        };
        return vec![(pane, area)];
    }
    let (upper, lower) = split_rows(area, area.height / 2);
    vec![(Pane::Messages, upper), (Pane::Detail, lower)]
}

fn streams(focus: Pane, body: Rect) -> Vec<(Pane, Rect)> {
    if body.width >= 130 {
        let (left, right) = split_columns(body, body.width / 2);
        return vec![(Pane::Streams, left), (Pane::Events, right)];
    }
    if body.height < 13 {
        return vec![(focus, body)];
    }
    let (upper, lower) = split_rows(body, body.height / 2);
    vec![(Pane::Streams, upper), (Pane::Events, lower)]
}

/// The list alone, until a line of it is opened.
fn log(focus: Pane, body: Rect) -> Vec<(Pane, Rect)> {
    if focus == Pane::Log || body.height < 13 {
        return vec![(focus, body)];
    }
    let (upper, lower) = split_rows(body, body.height / 2);
    vec![(Pane::Log, upper), (Pane::LogLine, lower)]
}

/// The list as high as it needs, at most half, over the chosen message.
fn held(model: &Model, body: Rect) -> Vec<(Pane, Rect)> {
    if body.height < 13 {
        return vec![(model.held_pane, body)];
    }
    // Heading, line of the lane and frame.
    let needed = format::cells(model.snapshot.intercept.rows.len().max(1) + 4);
    let (upper, lower) = split_rows(body, needed.clamp(body.height / 3, body.height / 2));
    vec![(Pane::Held, upper), (Pane::HeldText, lower)]
}

/// The list as high as it needs, at most half; below it the chosen one.
fn servers(model: &Model, body: Rect) -> Vec<(Pane, Rect)> {
    if body.height < 13 {
        return vec![(model.servers_pane, body)];
    }
    // Heading and frame.
    let needed = format::cells(model.servers().len().max(1) + 3);
    let (upper, lower) = split_rows(body, needed.clamp(body.height / 3, body.height / 2));
    vec![(Pane::Servers, upper), (Pane::Server, lower)]
}

/// The list as high as it needs, at most half; below it the chosen one.
fn recordings(model: &Model, body: Rect) -> Vec<(Pane, Rect)> {
    if body.height < 13 {
        return vec![(model.recordings_pane, body)];
    }
    // Heading and frame.
    let needed = format::cells(model.recordings.rows.len().max(1) + 3);
    let (upper, lower) = split_rows(body, needed.clamp(body.height / 3, body.height / 2));
    vec![(Pane::Recordings, upper), (Pane::Recording, lower)]
}

fn split_columns(area: Rect, left: u16) -> (Rect, Rect) {
    let left = left.min(area.width);
    (
        Rect { width: left, ..area },
        Rect {
            x: area.x + left,
            width: area.width - left,
            ..area
        },
    )
}

fn split_rows(area: Rect, upper: u16) -> (Rect, Rect) {
    let upper = upper.min(area.height);
    (
        Rect {
            height: upper,
            ..area
        },
        Rect {
            y: area.y + upper,
            height: area.height - upper,
            ..area
        },
    )
}
