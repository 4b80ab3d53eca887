//! A sequence diagram in Markdown, as GitHub and others draw it.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::markdown::plain as in_markdown;
use super::words::{one_line, session_name, title};
use crate::codec::envelope::MessageKind;
use crate::replay::tape::{Tape, TapeMessage, TapeSession};
use crate::snapshot::Direction;

/// Most arrows of a diagram: renderers refuse long ones.
const MAX_ARROWS: usize = 400;
/// Longest text of an arrow, in characters.
const MAX_TEXT: usize = 80;

pub(super) fn write(tape: &Tape, out: &mut dyn Write) -> io::Result<()> {
    for session in tape
        .sessions
        .iter()
        .filter(|session| !session.messages.is_empty())
    {
        let name = session_name(session);
        writeln!(
            out,
            "## {name} {}\n\n```mermaid\nsequenceDiagram",
            in_markdown(&session.server)
        )?;
        writeln!(out, "    participant C as client")?;
        writeln!(out, "    participant S as {}", plain(&session.server))?;
        for message in session.messages.iter().take(MAX_ARROWS) {
            arrow(session, message, out)?;
        }
        if session.messages.len() > MAX_ARROWS {
            let left = session.messages.len() - MAX_ARROWS;
            writeln!(out, "    Note over C,S: {left} more messages")?;
        }
        writeln!(out, "```\n")?;
    }
    Ok(())
}

fn arrow(session: &TapeSession, message: &TapeMessage, out: &mut dyn Write) -> io::Result<()> {
    let (from, to) = match message.direction {
        Direction::ClientToServer => ("C", "S"),
        Direction::ServerToClient => ("S", "C"),
    };
    let line = match message.envelope.kind {
        MessageKind::Request => "->>",
        MessageKind::Notification => "-)",
        MessageKind::Result => "-->>",
        MessageKind::Error | MessageKind::Malformed => "--x",
    };
    writeln!(out, "    {from}{line}{to}: {}", plain(&title(session, message)))
}

/// Text without what the grammar of the diagram takes for its own: everything but letters, digits and harmless signs
/// becomes an entity code, and so does the first letter of words that mean something to it.
fn plain(text: &str) -> String {
    let is_cut = text.chars().nth(MAX_TEXT).is_some();
    let text: String = text.chars().take(MAX_TEXT).collect();
    let mut out = String::new();
    let mut is_word_start = true;
    let text = one_line(&text);
    for (at, c) in text.char_indices() {
        let is_own = is_word_start && text.get(at..).is_some_and(begins_with_own_word);
        is_word_start = !c.is_alphanumeric();
        if !is_own && (c.is_alphanumeric() || " /_-.,()=+*".contains(c)) {
            out.push(c);
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "#{};", u32::from(c));
        }
    }
    if is_cut {
        out.push('…');
    }
    if out.trim().is_empty() {
        // Nothing at all is a mistake to it.
        out.push_str("#32;");
    }
    out
}

/// `end` ends a block wherever it stands, and lines with the other two are rewritten before they are read.
fn begins_with_own_word(text: &str) -> bool {
    ["end", "style", "classdef"].iter().any(|word| {
        let begun = text.get(..word.len());
        begun.is_some_and(|begun| begun.eq_ignore_ascii_case(word))
    })
}
