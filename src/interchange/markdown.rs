//! The calls of a recording, with their parameters and answers, in Markdown.

use std::io::{self, Write};

use super::words::{answer_word, arrow, millis, name_of, one_line, pretty, session_name, time, title};
use crate::codec::hidden::without_hidden;
use crate::replay::tape::{Tape, TapeCall, TapeSession};

pub(super) fn write(tape: &Tape, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# {}\n", plain(&name_of(tape)))?;
    writeln!(
        out,
        "Recorded {}.{}\n",
        time(tape, 0),
        if tape.is_redacted {
            " Secrets are tags."
        } else {
            ""
        }
    )?;
    for damage in &tape.damage {
        writeln!(out, "> {}\n", plain(damage))?;
    }
    for session in tape
        .sessions
        .iter()
        .filter(|session| !session.messages.is_empty())
    {
        let revision = session.revision.as_deref().unwrap_or("unknown revision");
        writeln!(out, "## {}: {}\n", session_name(session), plain(&session.server))?;
        writeln!(out, "{}, {}\n", session.carrier.name(), plain(revision))?;
        table(session, out)?;
        for (number, call) in session.calls.iter().enumerate() {
            details(tape, session, (number + 1, call), out)?;
        }
    }
    Ok(())
}

fn table(session: &TapeSession, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "| | call | answer | took |\n|---|---|---|---|")?;
    for (number, call) in session.calls.iter().enumerate() {
        let request = &session.messages[call.request];
        let (word, took) = ending(session, call);
        writeln!(
            out,
            "| {} | {} {} | {word} | {took} |",
            number + 1,
            arrow(call.direction),
            plain(&title(session, request))
        )?;
    }
    writeln!(out)
}

/// How a call ended, and how long it took.
fn ending(session: &TapeSession, call: &TapeCall) -> (String, String) {
    let Some(answer) = call.answer.map(|answer| &session.messages[answer]) else {
        let word = if call.is_cancelled {
            "cancelled"
        } else {
            "no answer"
        };
        return (word.to_owned(), String::new());
    };
    let took = millis(answer.us.saturating_sub(session.messages[call.request].us));
    (answer_word(answer).into_owned(), format!("{took:.1} ms"))
}

fn details(
    tape: &Tape,
    session: &TapeSession,
    (number, call): (usize, &TapeCall),
    out: &mut dyn Write,
) -> io::Result<()> {
    let request = &session.messages[call.request];
    writeln!(
        out,
        "### {number}. {} {}\n",
        arrow(call.direction),
        plain(&title(session, request))
    )?;
    writeln!(out, "{}\n", time(tape, request.us))?;
    block(&request.text, out)?;
    for message in call.between.iter().map(|place| &session.messages[*place]) {
        writeln!(
            out,
            "- {} {}",
            arrow(message.direction),
            plain(&title(session, message))
        )?;
    }
    if !call.between.is_empty() {
        writeln!(out)?;
    }
    if let Some(answer) = call.answer {
        block(&session.messages[answer].text, out)?;
    }
    Ok(())
}

/// A block of code whose fence is longer than any in the text.
fn block(text: &[u8], out: &mut dyn Write) -> io::Result<()> {
    let text = pretty(text);
    let text = without_hidden(&text, "\n\t");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    writeln!(out, "{fence}json\n{text}\n{fence}\n")
}

/// Text that stays text: what Markdown or HTML would take for its own is escaped.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in one_line(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            c if "\\`*_{}[]()#+!|>~$".contains(c) => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    // Renderers make links of addresses without being told to.
    out.replace("://", "&#58;//")
        .replace("www.", "www&#46;")
        .replace('@', "&#64;")
}
