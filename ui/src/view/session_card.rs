//! What is known of the session under the cursor, in place of the detail.

use ratatui::layout::Rect;
use shadowcat::snapshot::{Era, SessionBasis, SessionRow, SessionState};

use crate::format::{self, cells};
use crate::model::{Model, Pane};
use crate::paint::{Canvas, Line};
use crate::theme::Role;

/// The session that the card is about, while the list of sessions has the focus.
pub(super) fn chosen(model: &Model) -> Option<&SessionRow> {
    let cursor = model
        .sessions
        .cursor
        .flatten()
        .filter(|_| model.pane() == Pane::Sessions)?;
    model.snapshot.sessions.rows.iter().find(|row| row.id == cursor)
}

pub(super) fn draw(model: &Model, session: &SessionRow, canvas: &mut Canvas<'_>, area: Rect) {
    let title = Line::default().say(Role::Strong, &format!(" Session {} ", session.id));
    let inner = canvas.frame(area, &title, false);
    for (y, (name, value)) in facts(model, session).iter().enumerate() {
        let line = Line::of(Role::Dim, *name).pad_to(14).say(Role::Text, value);
        canvas.line(inner, cells(y), &line);
    }
}

fn facts(model: &Model, session: &SessionRow) -> Vec<(&'static str, String)> {
    let unknown = || "not known".to_owned();
    let moment = |at| format::date_and_time(at, &model.zone);
    let calls = format!(
        "{}, {} failed, {} open, {}",
        format::plural(session.messages, "message"),
        session.errors,
        format::plural(session.open_calls, "call"),
        format::plural(session.open_streams, "stream")
    );
    vec![
        ("state", state(session.state).to_owned()),
        ("client", session.client.clone().unwrap_or_else(unknown)),
        ("server", session.server.clone()),
        (
            "calls itself",
            session.server_info.clone().unwrap_or_else(unknown),
        ),
        ("protocol", protocol(session)),
        ("known by", basis(session.basis).to_owned()),
        ("traffic", calls),
        ("opened", moment(session.opened_at)),
        ("last active", moment(session.active_at)),
        ("history", format::size(session.history_bytes)),
    ]
}

const fn state(state: SessionState) -> &'static str {
    match state {
        SessionState::Active => "active",
        SessionState::Idle => "idle",
        SessionState::Ended => "ended",
    }
}

fn protocol(session: &SessionRow) -> String {
    let revision = session.revision.as_deref().unwrap_or("not known");
    match session.era {
        Some(Era::Legacy) => format!("{revision} (handshake and sessions)"),
        Some(Era::Modern) => format!("{revision} (each request for itself)"),
        None => revision.to_owned(),
    }
}

const fn basis(basis: SessionBasis) -> &'static str {
    match basis {
        SessionBasis::SessionHeader => "the server's Mcp-Session-Id",
        SessionBasis::Initialize => "one initialize",
        SessionBasis::SseEndpoint => "one HTTP+SSE endpoint",
        SessionBasis::Inferred => "a guess: same server, credential, client and address",
        SessionBasis::Peer => "one tunnel, or one client and one server",
        SessionBasis::Process => "one run of a command",
        SessionBasis::Socket => "one WebSocket",
    }
}
