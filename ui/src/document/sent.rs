//! What went on in the place of a message: who decided that, what differs, and the whole of it.

use shadowcat::intercept::edit::{Difference, DifferenceKind, diff};
use shadowcat::intercept::hold::Ending;
use shadowcat::snapshot::{Body, MessageDetail};

use super::{Look, MOST_LINES, body_note, pretty};
use crate::paint::Line;
use crate::theme::{Role, Theme};
use crate::verdict_text;

pub(super) fn lines(message: &MessageDetail, look: &Look<'_>) -> Vec<Line> {
    let Some(verdict) = &message.row.verdict else {
        return vec![Line::of(
            Role::Dim,
            "it went on as it came: no rule and no person changed it",
        )];
    };
    let mut lines: Vec<Line> = verdict_text::line(&message.row, look.theme).into_iter().collect();
    lines.push(Line::default());
    let Some(sent) = &message.sent else {
        lines.push(Line::of(Role::Dim, without_bytes(verdict.ending)));
        return lines;
    };
    let is_other_message = matches!(verdict.ending, Some(Ending::Answered | Ending::Refused));
    if let Some(came) = message.body.as_ref().filter(|_| !is_other_message) {
        lines.extend(differences(came, sent, look.theme));
        lines.push(Line::default());
    }
    lines.push(Line::of(
        Role::Dim,
        match verdict.ending {
            Some(Ending::Edited | Ending::Forwarded) | None => "sent on:",
            _ => "sent in its place:",
        },
    ));
    lines.extend(body_note(sent));
    lines.extend(pretty::lines(&sent.bytes, MOST_LINES));
    lines
}

/// Why there is nothing to show of what was sent.
const fn without_bytes(ending: Option<Ending>) -> &'static str {
    match ending {
        None => "it still waits: nothing has gone on",
        Some(Ending::Forwarded) => "its bytes went on as they came",
        Some(Ending::Edited) => "its body went on as it came, or history no longer has what was sent",
        Some(Ending::Dropped | Ending::Cancelled | Ending::Orphaned) => "nothing went on",
        Some(Ending::Answered | Ending::Refused) => {
            "no message went in its place, or history no longer has it"
        }
    }
}

/// What differs between what came and what was sent.
fn differences(came: &Body, sent: &Body, theme: Theme) -> Vec<Line> {
    if came.is_cut || sent.is_cut {
        return vec![Line::of(Role::Dim, "too large to be compared here")];
    }
    difference_lines(&diff(&came.bytes, &sent.bytes), theme)
}

/// Each difference with its path, what was there and what is there now.
pub(crate) fn difference_lines(found: &[Difference], theme: Theme) -> Vec<Line> {
    if found.is_empty() {
        return vec![Line::of(
            Role::Dim,
            "only white space or the order of members differs",
        )];
    }
    let mut lines = Vec::new();
    for change in found {
        let (role, sign) = match change.kind {
            DifferenceKind::Added => (Role::Good, "+"),
            DifferenceKind::Removed => (Role::Bad, "-"),
            DifferenceKind::Changed => (Role::Warn, theme.sign("≠", "~")),
        };
        lines.push(Line::of(role, sign).say(Role::JsonKey, &format!(" {}", change.path)));
        if let Some(before) = &change.before {
            lines.push(Line::of(Role::Bad, "  - ").say(Role::Text, before));
        }
        if let Some(after) = &change.after {
            lines.push(Line::of(Role::Good, "  + ").say(Role::Text, after));
        }
    }
    lines
}
