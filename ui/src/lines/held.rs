//! Held messages as lines: for people, and as JSON objects for programs.

use jiff::tz::TimeZone;
use serde::Serialize;
use shadowcat::intercept::hold::{HeldRow, HeldState, HoldChange, HoldEvent};
use shadowcat::intercept::rule::OnExpire;
use shadowcat::snapshot::{Direction, RowKind};

use crate::format;
use crate::text::Safe;
use crate::theme::Theme;

/// A held message for programs. Fields are added, never renamed; what there is not is `null`.
#[derive(Serialize)]
pub(crate) struct HeldJson<'a> {
    id: u64,
    state: HeldState,
    at: String,
    session: Option<String>,
    direction: Direction,
    kind: RowKind,
    method: Option<&'a str>,
    tool: Option<&'a str>,
    rpc_id: Option<&'a str>,
    server: &'a str,
    client: Option<&'a str>,
    rule: &'a str,
    size: u64,
    age_ms: u64,
    budget_ms: u64,
    on_expire: OnExpire,
    queued_behind: usize,
    is_edited: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<(u32, u32)>,
    exchange: u64,
    call: Option<u64>,
}

impl<'a> From<&'a HeldRow> for HeldJson<'a> {
    fn from(row: &'a HeldRow) -> Self {
        let millis = |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Self {
            id: row.id.get(),
            state: row.state,
            at: super::json::moment(row.at),
            session: row.session.map(|session| session.to_string()),
            direction: row.direction,
            kind: row.kind,
            method: row.method.as_deref(),
            tool: row.name.as_deref(),
            rpc_id: row.rpc_id.as_deref(),
            server: &row.server,
            client: row.client.as_deref(),
            rule: &row.rule,
            size: row.size,
            age_ms: millis(row.age),
            budget_ms: millis(row.budget),
            on_expire: row.on_expire,
            queued_behind: row.queued_behind,
            is_edited: row.is_edited,
            batch: row.batch,
            exchange: row.exchange.get(),
            call: row.call.map(shadowcat::ids::CallId::get),
        }
    }
}

/// What happened to a held message, for programs.
#[derive(Serialize)]
struct EventJson<'a> {
    #[serde(flatten)]
    change: HoldChange,
    #[serde(flatten)]
    row: HeldJson<'a>,
}

pub(super) fn json_event(out: &mut Vec<u8>, event: &HoldEvent) {
    let mut row = HeldJson::from(&event.row);
    row.at = super::json::moment(event.at);
    let change = event.change;
    super::json::line(out, &EventJson { change, row });
}

/// `12:03:11.204 R1 → h3 held: tools/call search (rule searches)`.
pub(super) fn text_event(out: &mut Vec<u8>, event: &HoldEvent, theme: Theme, zone: &TimeZone) {
    let row = &event.row;
    let parts = [
        format::time_of_day(event.at, zone, false),
        row.session
            .map_or_else(|| "-".to_owned(), |session| session.to_string()),
        arrow(row.direction, theme).as_str().to_owned(),
        format!("{} {}:", row.id, what_happened(event)),
        what(row).as_str().to_owned(),
        format!("(rule {})", Safe::of(&row.rule).as_str()),
    ];
    out.extend_from_slice(parts.join(" ").as_bytes());
    out.push(b'\n');
}

fn what_happened(event: &HoldEvent) -> String {
    match event.change {
        HoldChange::Held => "held".to_owned(),
        HoldChange::Queued => "queued".to_owned(),
        HoldChange::Decided { ending, actor } => format!(
            "{} {} after {}",
            ending.name(),
            actor.words(),
            format::duration(event.row.age)
        ),
    }
}

/// Which way it goes.
pub(crate) fn arrow(direction: Direction, theme: Theme) -> Safe {
    Safe::fixed(match direction {
        Direction::ClientToServer => theme.sign("→", ">"),
        Direction::ServerToClient => theme.sign("◄", "<"),
    })
}

/// What it is: its method and what that is about, or its kind.
pub(crate) fn what(row: &HeldRow) -> Safe {
    let mut words = Vec::new();
    if row.kind != RowKind::Request || row.method.is_none() {
        words.push(row.kind.name());
    }
    words.extend(row.method.as_deref());
    words.extend(row.name.as_deref());
    let entry = row
        .batch
        .map(|(number, count)| format!("(entry {number} of {count})"));
    words.extend(entry.as_deref());
    Safe::of(&words.join(" "))
}
