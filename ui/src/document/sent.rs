//! What went on in the place of a message: who decided that, what differs, and the whole of it.

use shadowcat::intercept::edit::{Difference, DifferenceKind, diff};
use shadowcat::intercept::hold::Ending;
use shadowcat::snapshot::{Body, Direction, MessageDetail, RowKind, is_copy};

use super::{Look, MOST_LINES, body_note, pretty};
use crate::paint::Line;
use crate::theme::{Role, Theme};
use crate::verdict_text;

pub(super) fn lines(message: &MessageDetail, look: &Look<'_>) -> Vec<Line> {
    let Some(verdict) = &message.row.verdict else {
        if is_sent_again(message) {
            return of_copy(message, look);
        }
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

/// Whether it is a copy of a client's request that was sent again.
fn is_sent_again(message: &MessageDetail) -> bool {
    let row = &message.row;
    let is_request = row.kind == RowKind::Request && row.direction == Direction::ClientToServer;
    is_request && row.rpc_id.as_deref().is_some_and(is_copy)
}

/// What a copy is, and how it differs from what it was made of.
fn of_copy(message: &MessageDetail, look: &Look<'_>) -> Vec<Line> {
    let id = message.row.rpc_id.as_deref().unwrap_or_default();
    let Some(original) = look.copies.original(id) else {
        let text =
            "sent again by hand, under an id of its own; this screen does not know what it was made of";
        return vec![Line::of(Role::Dim, text)];
    };
    let number = original.id.as_deref().unwrap_or_default();
    let mut lines = vec![
        Line::of(Role::Accent, "sent again by hand").say(Role::Text, &format!(" from #{number}")),
        Line::default(),
    ];
    let body = message.body.as_ref().filter(|body| !body.is_cut);
    let (Some(text), Some(body)) = (&original.text, body) else {
        lines.push(Line::of(Role::Dim, "too large to be compared here"));
        return lines;
    };
    let found = changes_of_copy(text, &body.bytes);
    if found.is_empty() {
        lines.push(Line::of(
            Role::Dim,
            "nothing in it was changed but its id and progress token",
        ));
    } else {
        lines.extend(difference_lines(&found, look.theme));
    }
    lines
}

/// What differs between a message and its copy, but for what every copy has of its own.
fn changes_of_copy(original: &str, copy: &[u8]) -> Vec<Difference> {
    let mut found = diff(original.as_bytes(), copy);
    found.retain(|change| !matches!(&*change.path, "$.id" | "$.params._meta.progressToken"));
    found
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
