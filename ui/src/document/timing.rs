//! Where the time of an exchange went, as bars on one scale.

use std::time::Duration;

use shadowcat::clock::Timestamp;
use shadowcat::snapshot::{MessageDetail, Timing};

use super::Look;
use crate::format;
use crate::paint::Line;
use crate::text::Safe;
use crate::theme::Role;

/// A part of the exchange: its name, its start after the exchange's own, its length.
struct Phase {
    name: &'static str,
    start: Duration,
    length: Duration,
    role: Role,
}

pub(super) fn lines(message: &MessageDetail, look: &Look<'_>) -> Vec<Line> {
    let Some(exchange) = &message.exchange else {
        return vec![Line::of(Role::Dim, "history no longer has the HTTP exchange")];
    };
    let timing = &exchange.timing;
    // What is under way goes on while nothing comes.
    let end = match look.now {
        Some(now) if timing.done.is_none() => latest(timing).max(now),
        _ => latest(timing),
    };
    let whole = end.since(timing.started);
    let begun = format::time_of_day(timing.started, look.zone, false);
    let state = if timing.done.is_some() { "took" } else { "so far" };
    let mut lines = vec![
        Line::of(Role::Dim, "began ")
            .say(Role::Text, &begun)
            .say(Role::Dim, &format!("   {state} "))
            .say(Role::Strong, &format::duration(whole)),
        Line::default(),
    ];
    lines.extend(
        phases(timing, end)
            .iter()
            .map(|phase| bar_line(phase, whole, look)),
    );
    lines.push(Line::default());
    lines.extend(own_share(timing));
    lines
}

fn latest(timing: &Timing) -> Timestamp {
    let moments = [
        timing.request_done,
        timing.sent,
        timing.response_head,
        timing.first_byte,
        timing.done,
    ];
    moments
        .into_iter()
        .flatten()
        .max()
        .unwrap_or(timing.started)
        .max(timing.started)
}

fn phases(timing: &Timing, end: Timestamp) -> Vec<Phase> {
    let between = |name, from: Option<Timestamp>, to: Option<Timestamp>, role| {
        let (from, to) = (from?, to?);
        Some(Phase {
            name,
            start: from.since(timing.started),
            length: to.since(from),
            role,
        })
    };
    let connect = timing.connect.zip(timing.sent).map(|(length, sent)| Phase {
        name: "connect",
        start: sent.since(timing.started).saturating_sub(length),
        length,
        role: Role::Warn,
    });
    let parts = [
        between(
            "request body",
            Some(timing.started),
            timing.request_done,
            Role::Client,
        ),
        connect,
        between("server thinks", timing.sent, timing.response_head, Role::Wait),
        between(
            "first byte",
            timing.response_head,
            timing.first_byte,
            Role::Server,
        ),
        between(
            "response body",
            timing.first_byte,
            timing.done.or(Some(end)),
            Role::Good,
        ),
    ];
    parts.into_iter().flatten().collect()
}

fn bar_line(phase: &Phase, whole: Duration, look: &Look<'_>) -> Line {
    let room = look.columns.saturating_sub(30).clamp(8, 60);
    let scale = |span: Duration| {
        let part = span.as_micros() * room as u128 / whole.as_micros().max(1);
        usize::try_from(part).unwrap_or(room).min(room)
    };
    let start = scale(phase.start).min(room - 1);
    let length = scale(phase.length).clamp(1, room - start);
    let sign = look.theme.sign("█", "#");
    Line::default()
        .say(Role::Dim, &format!("{:<15}", phase.name))
        .say(Role::Text, &" ".repeat(start))
        .with(phase.role, Safe::of(&sign.repeat(length)))
        .say(Role::Text, &format!(" {}", format::duration(phase.length)))
}

/// What the proxy itself added: from the request's head until it was handed on, less the connecting.
fn own_share(timing: &Timing) -> Option<Line> {
    let until_sent = timing.sent?.since(timing.started);
    let ours = until_sent.saturating_sub(timing.connect.unwrap_or_default());
    let reused = if timing.connect.is_none() {
        ", connection reused"
    } else {
        ""
    };
    Some(
        Line::of(Role::Dim, "added by the proxy before sending: ")
            .say(Role::Strong, &format::duration(ours))
            .with(Role::Dim, reused),
    )
}
