//! A sequence diagram in Markdown, as GitHub and others draw it.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::words::{session_name, title};
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
        let name = plain(&session_name(session));
        writeln!(
            out,
            "## {name} {}\n\n```mermaid\nsequenceDiagram",
            plain(&session.server)
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
/// becomes an entity code.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().take(MAX_TEXT) {
        if c.is_alphanumeric() || " /_-.,()=+*".contains(c) {
            out.push(c);
        } else if c.is_control() || super::words::is_bidi(c) {
            out.push('\u{fffd}');
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "#{};", u32::from(c));
        }
    }
    if text.chars().count() > MAX_TEXT {
        out.push('…');
    }
    out
}
