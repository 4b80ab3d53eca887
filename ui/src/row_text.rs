//! A row of history in words and signs.

use shadowcat::clock::Timestamp;
use shadowcat::snapshot::{Direction, MessageRow, Outcome, Progress, RowKind, RowState, Severity, is_copy};

use crate::format;
use crate::paint::Line;
use crate::text::Safe;
use crate::theme::{Role, Theme};

/// `→` from the client, `◄` from the server.
pub(crate) fn direction(row: &MessageRow, theme: Theme) -> Line {
    match row.direction {
        Direction::ClientToServer => Line::of(Role::Client, theme.sign("→", ">")),
        Direction::ServerToClient => Line::of(Role::Server, theme.sign("◄", "<")),
    }
}

/// What the message is: its method, or its kind where it has none.
pub(crate) fn kind(row: &MessageRow) -> (Role, Safe) {
    let method = row.method.as_deref().unwrap_or_default();
    let short = method.strip_prefix("notifications/").unwrap_or(method);
    let (role, word) = match row.kind {
        RowKind::Request => (Role::Strong, short),
        RowKind::Result if method.is_empty() => (Role::Text, "result"),
        RowKind::Error if method.is_empty() => (Role::Bad, "error"),
        RowKind::Error => (Role::Bad, short),
        RowKind::Notification => (Role::Accent, short),
        RowKind::Event => (Role::Dim, "event"),
        RowKind::Malformed => (Role::Bad, "malformed"),
        RowKind::Http if method.is_empty() => (Role::Text, "http"),
        RowKind::Result | RowKind::Http => (Role::Text, short),
        RowKind::HttpResponse => (Role::Text, "response"),
        RowKind::Tunnel => (Role::Dim, "tunnel"),
        RowKind::Run => (Role::Text, "run"),
        RowKind::Stderr => (Role::Dim, "stderr"),
    };
    (role, Safe::of(word))
}

/// Kind and summary in one.
pub(crate) fn what(row: &MessageRow) -> Line {
    let (role, kind) = kind(row);
    Line::of(role, kind)
        .with(Role::Text, " ")
        .say(Role::Text, &row.summary)
}

/// The tool that a request calls, or that an answer is of.
pub(crate) fn tool(row: &MessageRow) -> Option<&str> {
    let has_tool = matches!(row.kind, RowKind::Request | RowKind::Result | RowKind::Error);
    let is_call = has_tool && row.method.as_deref() == Some("tools/call");
    // The name comes first; a call that brings input and an answer say more behind it.
    row.summary.split_whitespace().next().filter(|_| is_call)
}

/// `#41`, and which member of a batch it was.
pub(crate) fn number(row: &MessageRow) -> Safe {
    let id = row
        .rpc_id
        .as_deref()
        .map(|id| format!("#{id}"))
        .unwrap_or_default();
    match row.batch {
        Some((position, length)) => Safe::of(&format!("{id} {position}/{length}")),
        None => Safe::of(&id),
    }
}

/// The same in so many columns. Of the id of a copy the end is shown, by which copies are told apart: `#…-16`.
pub(crate) fn short_number(row: &MessageRow, columns: usize, theme: Theme) -> Safe {
    let whole = number(row);
    let copy = row.rpc_id.as_deref().filter(|id| is_copy(id));
    let Some(id) = copy.filter(|_| whole.width() > columns) else {
        return whole;
    };
    let digits: String = id.chars().filter(char::is_ascii_digit).collect();
    let with = |between| Safe::of(&format!("#{}{between}{digits}", theme.ellipsis()));
    let with_dash = with("-");
    if with_dash.width() <= columns {
        with_dash
    } else {
        with("")
    }
}

/// What became of it, with a sign and a word; `now` is for how long it has been waiting.
pub(crate) fn state(row: &MessageRow, now: Option<Timestamp>, theme: Theme) -> Line {
    let mut line = match &row.state {
        RowState::Passed => Line::default(),
        RowState::Open { progress } => waiting(progress.as_ref(), row, now, theme),
        RowState::Answered { took, outcome, .. } => ended(*outcome, Some(*took), theme),
        RowState::Answer { took, outcome, .. } => ended(*outcome, *took, theme),
    };
    line.extend(flag(row, theme));
    line
}

/// The mark of a row about which there is something to say; empty if there is nothing.
pub(crate) fn flag(row: &MessageRow, theme: Theme) -> Line {
    let worst = row.findings.iter().map(|finding| finding.severity).max();
    let Some(worst) = worst else {
        return Line::default();
    };
    let role = if worst == Severity::Info {
        Role::Accent
    } else {
        Role::Warn
    };
    Line::of(role, theme.sign(" ⚑", " !"))
}

fn waiting(progress: Option<&Progress>, row: &MessageRow, now: Option<Timestamp>, theme: Theme) -> Line {
    let so_far = match progress {
        Some(Progress {
            progress,
            total: Some(total),
        }) => format!("{progress}/{total}"),
        Some(Progress {
            progress,
            total: None,
        }) => progress.clone(),
        None => now.map_or_else(|| "open".to_owned(), |now| format::duration(now.since(row.at))),
    };
    Line::default().say(Role::Wait, &format!("{}{so_far}", theme.sign("… ", ". ")))
}

fn ended(outcome: Outcome, took: Option<std::time::Duration>, theme: Theme) -> Line {
    let (role, sign) = match outcome {
        Outcome::Ok => (Role::Good, theme.sign("✓", "ok")),
        Outcome::InputRequired => (Role::Wait, theme.sign("↩", "<-")),
        Outcome::Task => (Role::Wait, theme.sign("▷", "..")),
        Outcome::Cancelled => (Role::Warn, theme.sign("⊘", "--")),
        _ => (Role::Bad, theme.sign("✗", "x")),
    };
    let word = outcome_word(outcome);
    let gap = if word.is_empty() { "" } else { " " };
    let mut line = Line::default().say(role, &format!("{sign}{gap}{word}"));
    if let Some(took) = took {
        line = line.say(Role::Text, &format!(" {}", format::duration(took)));
    }
    line
}

fn outcome_word(outcome: Outcome) -> String {
    match outcome {
        Outcome::Ok => String::new(),
        Outcome::RpcError(code) => code.to_string(),
        Outcome::ToolError => "tool".to_owned(),
        Outcome::InputRequired => "input".to_owned(),
        Outcome::Task => "task".to_owned(),
        Outcome::HttpError(status) => status.to_string(),
        Outcome::Cancelled => "cancelled".to_owned(),
        Outcome::ClientGone => "client gone".to_owned(),
        Outcome::UpstreamGone => "server gone".to_owned(),
        Outcome::ProxyError(status) => format!("proxy {status}"),
        Outcome::Unanswered => "unanswered".to_owned(),
        Outcome::Unwatched => "shim gone".to_owned(),
    }
}

/// The row is, or ended in, a failure.
pub(crate) fn is_failure(row: &MessageRow) -> bool {
    match &row.state {
        RowState::Answered { outcome, .. } | RowState::Answer { outcome, .. } => outcome.is_error(),
        _ => matches!(row.kind, RowKind::Error | RowKind::Malformed),
    }
}
