//! All that is known of the server under the cursor.

use ratatui::layout::Rect;
use shadowcat::recording::hide_url_secrets;
use shadowcat::snapshot::{BreakerRow, BreakerState, ServerKind, UpstreamRow};

use super::super::scroll_mark;
use super::super::sessions::title_role;
use super::{kind, state};
use crate::format::{self, cells};
use crate::model::{Model, Pane};
use crate::paint::{Canvas, Line};
use crate::theme::Role;

pub(in crate::view) fn draw(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let has_focus = model.pane() == Pane::Server;
    let title = Line::of(Role::Text, " ").with(title_role(has_focus), "Server ");
    let Some(server) = model.selected_server() else {
        canvas.frame(area, &title, has_focus);
        return;
    };
    let title = title.say(Role::Strong, &format!("{} ", server.name));
    let inner = canvas.frame(area, &title, has_focus);
    let inner = Rect {
        x: inner.x + 1,
        width: inner.width.saturating_sub(2),
        ..inner
    };
    let lines = lines(model, server);
    let lines: Vec<Line> = lines
        .iter()
        .flat_map(|line| line.wrapped_at_words(inner.width.into()))
        .collect();
    let height = usize::from(inner.height);
    let scroll = model.server_scroll.min(lines.len().saturating_sub(height));
    for (y, line) in lines.iter().skip(scroll).take(height).enumerate() {
        canvas.line(inner, cells(y), line);
    }
    scroll_mark(canvas, area, scroll as u64, height, lines.len() as u64);
}

fn lines(model: &Model, server: &UpstreamRow) -> Vec<Line> {
    let fact =
        |name: &'static str, role: Role, value: &str| Line::of(Role::Dim, name).pad_to(14).say(role, value);
    let (role, state) = state(model, server);
    let place = match server.kind {
        ServerKind::Http => "server",
        ServerKind::Command => "command",
    };
    let mut lines = vec![fact("state", role, &format!("{state}  ({})", kind(server)))];
    if let Some(error) = &server.last_error {
        lines.push(fact("last failure", Role::Bad, error));
    }
    lines.extend(breaker_line(&server.breaker, model));
    if model.is_live() {
        // What is dialled may have a secret in its query; what is copied has it.
        let shown = |url: &str| hide_url_secrets(url);
        lines.push(fact("clients use", Role::Accent, &shown(&server.client_url)));
        if let Some(url) = &server.port_url {
            lines.push(fact("or alone at", Role::Accent, &shown(url)));
        }
        lines.push(fact(place, Role::Text, &server.url));
    } else {
        lines.push(fact(
            place,
            Role::Dim,
            "a recording does not say where it was; its sessions name it",
        ));
    }
    if server.speaks_sse {
        lines.push(fact(
            "speaks",
            Role::Text,
            "HTTP+SSE, the transport of 2024-11-05",
        ));
    }
    if !server.added_headers.is_empty() {
        let names = server.added_headers.join(", ");
        lines.push(
            fact("gets headers", Role::Text, &names).with(Role::Dim, "  their values are shown nowhere"),
        );
    }
    if let Some(exit) = server.last_exit.as_ref().filter(|_| server.last_error.is_none()) {
        lines.push(fact("last end", Role::Text, exit));
    }
    if server.findings > 0 {
        let count = format::plural(server.findings, "finding");
        lines.push(fact("odd", Role::Warn, &count).with(Role::Dim, "  the log (4) has them"));
    }
    let unanswered = if model.is_live() {
        format!(", {} without answer", format::count(server.failures))
    } else {
        String::new()
    };
    let counts = format!(
        "{}, {} failed; {}{unanswered}",
        format::plural(server.calls, "call"),
        format::count(server.failed_calls),
        format::plural(server.exchanges, "exchange"),
    );
    lines.push(fact("so far", Role::Text, &counts));
    lines
}

/// Nothing while there is nothing to tell.
fn breaker_line(breaker: &BreakerRow, model: &Model) -> Option<Line> {
    let open_for = |since| format::duration(model.now.since(since));
    let failed = format!("{} failed", format::plural(breaker.failures, "connect"));
    let (role, text) = match breaker.state {
        BreakerState::Closed if breaker.failures == 0 => return None,
        BreakerState::Closed => (Role::Warn, format!("{failed} in a row")),
        BreakerState::Open { since, next } => {
            let wait = next.since(model.now);
            let next = if wait.is_zero() {
                "now; the next request is let through".to_owned()
            } else {
                format!("in {}", format::duration(wait))
            };
            let since = open_for(since);
            (
                Role::Bad,
                format!("open for {since} so far, next try allowed {next}"),
            )
        }
        BreakerState::HalfOpen { since } => (
            Role::Wait,
            format!("open for {} so far, a request is being tried", open_for(since)),
        ),
    };
    let mut line = Line::of(Role::Dim, "breaker").pad_to(14).say(role, &text);
    if breaker.state != BreakerState::Closed {
        line = line.say(Role::Dim, &format!("  {failed}, {} got 503", breaker.refused));
    }
    Some(line)
}
