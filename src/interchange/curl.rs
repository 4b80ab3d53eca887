//! A `curl` command for each request.

use std::io::{self, Write};

use super::words::{one_line, session_name, time, title, url};
use crate::recording::format::RequestKind;
use crate::replay::tape::{Tape, TapeExchange, TapeSession};
use crate::snapshot::Direction;

/// Head fields that `curl` makes itself.
const OWN: [&str; 6] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "accept-encoding",
    "proxy-connection",
];

pub(super) fn write(tape: &Tape, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "#!/bin/sh")?;
    writeln!(
        out,
        "# Requests of {}, one command each.",
        one_line(&tape.path.display().to_string())
    )?;
    if tape.is_redacted {
        writeln!(
            out,
            "# Secrets are tags such as ‹secret:…›: put the real ones in their place first."
        )?;
    }
    for session in &tape.sessions {
        for (place, exchange) in session.exchanges.iter().enumerate() {
            if matches!(exchange.kind, RequestKind::Message | RequestKind::Http) {
                command(tape, session, (place, exchange), out)?;
            }
        }
    }
    Ok(())
}

fn command(
    tape: &Tape,
    session: &TapeSession,
    (place, exchange): (usize, &TapeExchange),
    out: &mut dyn Write,
) -> io::Result<()> {
    let first = session
        .messages
        .iter()
        .find(|message| message.exchange == place && message.direction == Direction::ClientToServer);
    let what = first.map_or_else(String::new, |message| {
        format!(", {}", one_line(&title(session, message)))
    });
    writeln!(
        out,
        "\n# {} {}{what}",
        session_name(session),
        time(tape, exchange.us)
    )?;
    write!(
        out,
        "curl -sS -N -X {} {}",
        quoted(&exchange.method),
        quoted(&url(session, exchange))
    )?;
    for (name, value) in &exchange.request_head.fields {
        if name.is_empty() || OWN.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            continue;
        }
        write!(out, " \\\n  -H {}", quoted(&format!("{name}: {value}")))?;
    }
    let body: Vec<u8> = exchange
        .frames_of(Direction::ClientToServer)
        .flat_map(|frame| frame.bytes.iter().copied())
        .collect();
    if !body.is_empty() {
        write!(
            out,
            " \\\n  --data-binary {}",
            quoted(&String::from_utf8_lossy(&body))
        )?;
    }
    writeln!(out)
}

/// The text as one word of a POSIX shell. `curl` takes a leading `@` of data for a file name, which JSON never has.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\'', "'\\''"))
}
