//! One JSON object for each message, for `jq` and the like.

use std::io::{self, Write};

use serde_json::json;
use serde_json::value::RawValue;

use super::words::{session_name, time};
use crate::codec::envelope::MessageKind;
use crate::codec::hidden::without_hidden;
use crate::codec::json::compact;
use crate::replay::tape::{Tape, TapeMessage, TapeSession};

pub(super) fn write(tape: &Tape, out: &mut dyn Write) -> io::Result<()> {
    let mut messages: Vec<(&TapeSession, &TapeMessage)> = tape
        .sessions
        .iter()
        .flat_map(|session| session.messages.iter().map(move |message| (session, message)))
        .collect();
    messages.sort_by_key(|(_, message)| message.us);
    for (session, message) in messages {
        line(tape, session, message, out)?;
    }
    Ok(())
}

fn line(tape: &Tape, session: &TapeSession, message: &TapeMessage, out: &mut dyn Write) -> io::Result<()> {
    let envelope = &message.envelope;
    let call = message.call.map(|call| &session.calls[call]);
    let kind = match envelope.kind {
        MessageKind::Request => "request",
        MessageKind::Notification => "notification",
        MessageKind::Result => "result",
        MessageKind::Error => "error",
        MessageKind::Malformed => "malformed",
    };
    let method = envelope.method.as_deref().or(call.map(|call| &*call.method));
    let frame = session.frame_of(message);
    let mut facts = json!({
        "time": time(tape, message.us),
        "us": message.us,
        "session": session_name(session),
        "server": &*session.server,
        "exchange": session.exchange_of(message).id.get(),
        "direction": message.direction,
        "carrier": frame.carrier.name(),
        "kind": kind,
        "method": method,
    });
    if frame.is_injected {
        facts["injected"] = true.into();
    }
    let mut text = facts.to_string();
    text.pop();
    // As it is spelled, on one line; what is no JSON as text.
    let spelled = String::from_utf8(compact(&message.text)).ok();
    match spelled.and_then(|text| RawValue::from_string(text).ok()) {
        Some(raw) => text.extend([",\"message\":", raw.get()]),
        None => text.extend([
            ",\"text\":",
            &json!(String::from_utf8_lossy(&message.text)).to_string(),
        ]),
    }
    writeln!(out, "{}}}", without_hidden(&text, ""))
}
