//! A `curl` command for each request.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::words::{is_socket, name_of, one_line, session_name, time, title, url};
use crate::codec::hidden::without_hidden;
use crate::recording::format::RequestKind;
use crate::replay::tape::{Tape, TapeExchange, TapeMessage, TapeSession};
use crate::snapshot::{Direction, EndKind, Head};

/// Head fields that `curl` makes itself.
const OWN: [&str; 6] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "accept-encoding",
    "proxy-connection",
];

/// How long a command waits for the events of a stream, so that a script comes to its end.
const STREAM_SECONDS: u32 = 10;

pub(super) fn write(tape: &Tape, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "#!/bin/sh")?;
    writeln!(
        out,
        "# Requests of {}, one command each.",
        one_line(&name_of(tape))
    )?;
    if tape.is_redacted {
        writeln!(
            out,
            "# Secrets are tags such as ‹secret:…›: put the real ones in their place first."
        )?;
    }
    if has_session_id(tape) {
        writeln!(
            out,
            "# Each `initialize` begins a new session: the Mcp-Session-Id of its answer (curl -i shows it) goes into the requests after it."
        )?;
    }
    let mut requests = 0;
    for session in &tape.sessions {
        for (place, exchange) in session.exchanges.iter().enumerate() {
            if matches!(exchange.kind, RequestKind::Message | RequestKind::Http) {
                command(tape, session, (place, exchange), out)?;
                requests += 1;
            }
        }
    }
    if requests == 0 {
        writeln!(
            out,
            "\n# There is no request in this recording that went over HTTP, so there is nothing for curl to send."
        )?;
    }
    Ok(())
}

fn has_session_id(tape: &Tape) -> bool {
    let mut exchanges = tape.sessions.iter().flat_map(|session| &session.exchanges);
    exchanges.any(|exchange| exchange.request_field("mcp-session-id").is_some())
}

fn command(
    tape: &Tape,
    session: &TapeSession,
    (place, exchange): (usize, &TapeExchange),
    out: &mut dyn Write,
) -> io::Result<()> {
    let asked =
        |message: &&TapeMessage| message.exchange == place && message.direction == Direction::ClientToServer;
    let first = session.messages.iter().find(asked);
    let what = first.map_or_else(String::new, |message| {
        format!(", {}", one_line(&title(session, message)))
    });
    let (name, time) = (session_name(session), time(tape, exchange.us));
    writeln!(out, "\n# {name} {time}{what}")?;
    if is_socket(exchange) {
        return writeln!(out, "# A WebSocket, which curl cannot send again.");
    }
    request(session, exchange, out)
}

fn request(session: &TapeSession, exchange: &TapeExchange, out: &mut dyn Write) -> io::Result<()> {
    let limit = if may_be_endless(exchange) {
        writeln!(
            out,
            "# A stream that need not end: curl leaves it after {STREAM_SECONDS} seconds, with exit code 28."
        )?;
        format!(" --max-time {STREAM_SECONDS}")
    } else {
        String::new()
    };
    let body: Vec<u8> = exchange
        .frames_of(Direction::ClientToServer)
        .flat_map(|frame| frame.bytes.iter().copied())
        .collect();
    let text = std::str::from_utf8(&body).ok().filter(|text| is_plain(text));
    if text.is_none() {
        write!(out, "printf {} | ", quoted(&octal(&body)))?;
    }
    let url = url(session, exchange);
    // Otherwise curl makes several requests of a URL with brackets.
    let globs = if url.contains(['[', ']', '{', '}']) {
        " -g"
    } else {
        ""
    };
    let way = way(&exchange.method);
    write!(out, "curl -sS -N{limit}{globs} {way} {}", quoted(&url))?;
    for field in fields(&exchange.request_head, !body.is_empty()) {
        write!(out, " \\\n  -H {}", quoted(&field))?;
    }
    match text {
        Some("") => {}
        // `--data-binary` takes what begins with `@` for the name of a file to send.
        Some(text) => write!(out, " \\\n  --data-raw {}", quoted(text))?,
        None => write!(out, " \\\n  --data-binary @-")?,
    }
    writeln!(out)
}

/// Whether its answer is a stream that goes on for as long as the server has events.
fn may_be_endless(exchange: &TapeExchange) -> bool {
    let is_whole = exchange
        .end
        .as_ref()
        .is_some_and(|end| end.response == EndKind::Complete);
    exchange.is_stream() && (exchange.method == "GET" || !is_whole)
}

/// The method, without waiting for the body that an answer to HEAD does not have.
fn way(method: &str) -> String {
    if method == "HEAD" {
        "--head".to_owned()
    } else {
        format!("-X {}", quoted(method))
    }
}

/// The head fields as `curl` wants them said: one without a value ends in a semicolon, and those that it would add are
/// taken away by their bare names.
fn fields(head: &Head, has_body: bool) -> Vec<String> {
    let is_own = |name: &str| OWN.iter().any(|own| name.eq_ignore_ascii_case(own));
    // What begins with `@` would be the name of a file.
    let said = head
        .fields
        .iter()
        .filter(|(name, _)| !name.is_empty() && !name.starts_with('@') && !is_own(name));
    let mut fields: Vec<String> = said
        .map(|(name, value)| match value.as_str() {
            "" => format!("{name};"),
            value => format!("{name}: {value}"),
        })
        .collect();
    let added = ["Accept", "User-Agent", "Content-Type"];
    let added = &added[..if has_body { 3 } else { 2 }];
    let has = |name: &str| {
        head.fields
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    fields.extend(
        added
            .iter()
            .filter(|name| !has(name))
            .map(|name| format!("{name}:")),
    );
    fields
}

/// The bytes as the shell's `printf` takes them.
fn octal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 4);
    for byte in bytes {
        let _ = write!(text, "\\{byte:03o}");
    }
    text
}

/// The text as one word of a POSIX shell, in which nothing is hidden from whoever reads the script.
fn quoted(text: &str) -> String {
    let text = text.replace('\0', "");
    if !is_plain(&text) {
        return format!("\"$(printf '{}')\"", octal(text.as_bytes()));
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Whether nothing in it is obeyed or hidden by a terminal.
fn is_plain(text: &str) -> bool {
    without_hidden(text, "\n\t") == text
}
