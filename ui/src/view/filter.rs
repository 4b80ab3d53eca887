//! The filter while it is typed or in force, with what it leaves over, and what is wrong with it.

use ratatui::layout::Rect;

use super::prompt;
use crate::complete;
use crate::format;
use crate::line_edit::LineEdit;
use crate::model::{Mode, Model};
use crate::paint::{Canvas, Line};
use crate::seen::Seen;
use crate::text::Safe;
use crate::theme::Role;

const SIGN: &str = " / ";

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, area: Rect) -> Option<(u16, u16)> {
    if area.height == 0 {
        return None;
    }
    let right = count(model);
    let room = Rect {
        width: area.width.saturating_sub(format::cells(right.width()) + 1),
        ..area
    };
    let mut cursor = None;
    let mut shift = 0;
    if let Mode::Filter(edit) = &model.mode {
        let place = prompt::draw(canvas, room, SIGN, &edit.line);
        shift = prompt::shift(room, SIGN, &edit.line);
        propose(canvas, room, &edit.line, &model.seen);
        cursor = Some(place);
    } else {
        canvas.line(
            room,
            0,
            &Line::of(Role::Key, SIGN).say(Role::Strong, &model.filter),
        );
    }
    canvas.line_right(area, 0, &right);
    if let Some(problem) = &model.snapshot.messages.filter_error {
        let column = (SIGN.len() + problem.column).saturating_sub(shift);
        let carets = "^".repeat(problem.length.clamp(1, 40));
        let line = Line::default()
            .pad_to(column)
            .say(Role::Bad, &carets)
            .say(Role::Bad, &format!(" {}", problem.message));
        let too_far = usize::from(area.width) < line.width();
        let line = if too_far {
            Line::of(Role::Bad, " ").say(
                Role::Bad,
                &format!("^ at {}: {}", problem.column + 1, problem.message),
            )
        } else {
            line
        };
        canvas.line(area, 1, &line);
    }
    cursor
}

/// Proposals shown at once.
const MOST_PROPOSALS: usize = 6;

/// What Tab would put in, dim behind the text.
fn propose(canvas: &mut Canvas<'_>, room: Rect, line: &LineEdit, seen: &Seen) {
    let at_end = line.halves().1.is_empty();
    let start = format::cells(SIGN.len() + Safe::of(&line.text()).width() + 2);
    if !at_end || start + 8 >= room.width {
        return;
    }
    let proposals = complete::complete(&line.text(), line.at(), seen);
    let told = match proposals.as_slice() {
        [] => return,
        [only] => format!("{}  {}", only.text, only.help),
        several => {
            let texts = several.iter().take(MOST_PROPOSALS);
            texts
                .map(|proposal| proposal.text.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        }
    };
    let rest = Rect {
        x: room.x + start,
        width: room.width - start,
        ..room
    };
    canvas.line(rest, 0, &Line::of(Role::Dim, "Tab: ").say(Role::Dim, &told));
}

/// `12 of 340, 328 hidden`; nothing while the filter is wrong.
fn count(model: &Model) -> Line {
    let page = &model.snapshot.messages;
    // What is shown is still that of the text before.
    if page.filter_error.is_some() {
        return Line::default();
    }
    let hidden = page.total.saturating_sub(page.matched);
    let text = format!("{} of {}, {} hidden ", page.matched, page.total, hidden);
    let mut line = Line::default().say(Role::Accent, &text);
    if page.scanned < page.total {
        let part = page.scanned * 100 / page.total.max(1);
        line = line.say(Role::Wait, &format!("searching {part} % "));
    }
    line
}
