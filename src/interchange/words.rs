//! What the formats have in common.

use std::borrow::Cow;

use crate::clock::Timestamp;
use crate::codec::envelope::MessageKind;
use crate::codec::hidden::without_hidden;
use crate::replay::tape::{Tape, TapeExchange, TapeMessage, TapeSession};
use crate::session::describe::outcome;
use crate::session::pairing::subject;
use crate::snapshot::{Carrier, Direction, Outcome};

/// Longest text of a message in a page for people, in characters.
pub(super) const MAX_SHOWN: usize = 20_000;

/// A moment of the recording as RFC 3339, UTC.
pub(super) fn time(tape: &Tape, us: i64) -> String {
    let micros = tape.created.as_micros().saturating_add_signed(us);
    moment(Timestamp::from_micros(micros)).to_string()
}

fn moment(at: Timestamp) -> jiff::Timestamp {
    let micros = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX)
}

/// Microseconds as the milliseconds of a HAR.
#[expect(
    clippy::cast_precision_loss,
    reason = "times of a recording are far below 2^53 µs"
)]
pub(super) fn millis(us: i64) -> f64 {
    us.max(0) as f64 / 1000.0
}

/// What a session is called.
pub(super) fn session_name(session: &TapeSession) -> String {
    session
        .id
        .map_or_else(|| "no session".to_owned(), |id| id.to_string())
}

/// Where an exchange went, as far as the recording tells.
pub(super) fn url(session: &TapeSession, exchange: &TapeExchange) -> String {
    use crate::recording::format::RequestKind;

    let target = &exchange.target;
    if matches!(exchange.kind, RequestKind::Run | RequestKind::BridgedRun) {
        let name: String = session
            .server
            .chars()
            .map(|c| {
                if c.is_alphanumeric() || "-._".contains(c) {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        return format!("stdio://{name}/");
    }
    if target.contains("://") {
        return target.clone();
    }
    let is_authority = session
        .server
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let authority = if is_authority {
        &*session.server
    } else {
        exchange.request_field("host").unwrap_or("localhost")
    };
    let scheme = if authority.ends_with(":443") {
        "https"
    } else {
        "http"
    };
    format!("{scheme}://{authority}{target}")
}

/// What a message is, in a few words.
pub(super) fn title(session: &TapeSession, message: &TapeMessage) -> String {
    let envelope = &message.envelope;
    let about = subject(envelope).map_or_else(String::new, |about| format!(" {about}"));
    match envelope.kind {
        MessageKind::Request | MessageKind::Notification => {
            format!("{}{about}", envelope.method.as_deref().unwrap_or_default())
        }
        MessageKind::Result | MessageKind::Error => {
            let word = answer_word(message);
            let method = message.call.map_or("", |call| &session.calls[call].method);
            let blank = if method.is_empty() { "" } else { " " };
            format!("{word}{blank}{method}")
        }
        MessageKind::Malformed => "malformed".to_owned(),
    }
}

/// How an answer ends its call.
pub(super) fn answer_word(message: &TapeMessage) -> Cow<'static, str> {
    match outcome(&message.envelope) {
        Outcome::RpcError(code) => format!("error {code}").into(),
        Outcome::ToolError => "tool error".into(),
        Outcome::InputRequired => "input required".into(),
        Outcome::Task => "task".into(),
        _ => "result".into(),
    }
}

/// A message for people: indented if it is JSON, cut if it is long.
pub(super) fn pretty(text: &[u8]) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_slice(text).ok();
    let text = parsed
        .and_then(|value| serde_json::to_string_pretty(&value).ok())
        .unwrap_or_else(|| String::from_utf8_lossy(text).into_owned());
    let cut: String = text.chars().take(MAX_SHOWN).collect();
    if cut.len() < text.len() {
        format!("{cut}\n… (cut)")
    } else {
        cut
    }
}

/// The arrow of a direction.
pub(super) const fn arrow(direction: Direction) -> &'static str {
    match direction {
        Direction::ClientToServer => "→",
        Direction::ServerToClient => "←",
    }
}

/// Text on one line in which nothing is hidden.
pub(super) fn one_line(text: &str) -> String {
    without_hidden(text, "").into_owned()
}

/// What the recording is called: the name of its file.
pub(super) fn name_of(tape: &Tape) -> String {
    let name = tape.path.file_name().unwrap_or(tape.path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Whether it became a WebSocket.
pub(super) fn is_socket(exchange: &TapeExchange) -> bool {
    let mut frames = exchange.frames.iter();
    frames.any(|frame| frame.carrier == Carrier::WebSocket)
}
