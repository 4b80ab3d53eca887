//! Held messages of the made-up engine.

use std::time::Duration;

use shadowcat::clock::Timestamp;
use shadowcat::ids::{ExchangeId, HoldId, Side};
use shadowcat::intercept::edit::Fixup;
use shadowcat::intercept::hold::{Actor, Effect, Ending, HeadEdit, HeldRow, HeldState, HeldSummary};
use shadowcat::intercept::interceptor::{HeldText, InterceptReply};
use shadowcat::intercept::rule::OnExpire;
use shadowcat::intercept::rules::RuleRow;
use shadowcat::snapshot::{Body, Carrier, Direction, Head, MessageRow, Reply, RowKind, RowVerdict};

use super::Fake;
use super::parts::session_id;

const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search","arguments":{"query":"rust sse","limit":1.10}}}"#;

/// What the tool takes.
const SCHEMA: &str =
    r#"{"type":"object","properties":{"query":{"enum":["rust sse","rust mcp"]},"limit":{"type":"number"}}}"#;

/// What it gives.
const ANSWER_SCHEMA: &str =
    r#"{"type":"object","required":["hits"],"properties":{"hits":{"type":"integer"}}}"#;

/// What was sent in the place of an edited or answered message.
pub(super) fn sent(row: &MessageRow, came: Option<&Body>) -> Option<Body> {
    let ending = row.verdict.as_ref()?.ending?;
    let came = came.filter(|_| matches!(ending, Ending::Edited | Ending::Answered))?;
    let text = String::from_utf8_lossy(&came.bytes).replace("hello", "changed");
    Some(Body {
        bytes: text.replace("\"total\":10", "\"total\":11").into(),
        wire: bytes::Bytes::new(),
        ..came.clone()
    })
}

impl Fake {
    /// Holds of each kind: a call, an answer past its time with two messages behind it, an edited one.
    pub(crate) fn holding() -> Self {
        let mut fake = Self::typical();
        let call = held(1, RowKind::Request, fake.now(), 19);
        let mut late = held(2, RowKind::Result, fake.now(), 70);
        late.direction = Direction::ServerToClient;
        (late.queued_behind, late.queued_bytes) = (1, 2_250);
        let mut behind = held(3, RowKind::Notification, fake.now(), 3);
        behind.state = HeldState::Queued;
        (behind.lane, behind.exchange, behind.direction) = (late.lane, late.exchange, late.direction);
        let mut edited = held(4, RowKind::Request, fake.now(), 45);
        edited.is_edited = true;
        fake.intercept.is_on = true;
        fake.intercept.rules = vec![rule("searches", true), rule("a slow line", false)];
        fake.hold(vec![call, late, behind, edited]);
        fake
    }

    /// Traffic about which something was decided: the latest rows, one of each kind.
    pub(crate) fn decided() -> Self {
        let mut fake = Self::typical();
        let deeds = [
            (Ending::Edited, None, Actor::Rule),
            (Ending::Edited, None, Actor::Key),
            (Ending::Forwarded, Some(Effect::Delayed), Actor::Rule),
            (Ending::Dropped, None, Actor::Script),
            (Ending::Refused, None, Actor::Timer),
            (Ending::Answered, None, Actor::Rule),
            (Ending::Edited, Some(Effect::WrongId), Actor::Rule),
            (Ending::Orphaned, None, Actor::Peer),
            (Ending::Forwarded, None, Actor::Key),
        ];
        for (row, (ending, effect, actor)) in fake.rows.iter_mut().rev().zip(deeds) {
            row.verdict = Some(RowVerdict {
                batch: None,
                rule: "deep search".to_owned(),
                hold: HoldId::new(3).filter(|_| actor != Actor::Rule),
                ending: Some(ending),
                effect,
                actor,
                held_for: Duration::from_millis(1_200),
            });
        }
        fake
    }

    /// Nothing is held but `rows`.
    pub(crate) fn hold(&mut self, rows: Vec<HeldRow>) {
        let queued = rows.iter().filter(|row| row.state == HeldState::Queued).count();
        let oldest = rows.first();
        self.intercept.summary = HeldSummary {
            held: rows.len() - queued,
            queued,
            oldest_at: oldest.map(|row| row.at),
            oldest_age: oldest.map_or(Duration::ZERO, |row| row.age),
            oldest_budget: oldest.map_or(Duration::ZERO, |row| row.budget),
        };
        self.intercept.rows = rows;
    }

    pub(super) fn held_text(&self, id: HoldId) -> Reply {
        let row = self.intercept.rows.iter().find(|row| row.id == id);
        match row {
            Some(row) => Reply::Intercept(InterceptReply::Message(Box::new(HeldText {
                row: row.clone(),
                original: CALL.to_owned(),
                edited: row.is_edited.then(|| CALL.replace("rust sse", "rust mcp")),
                head: Some(Head {
                    line: "POST /mcp".to_owned(),
                    fields: vec![("mcp-name".to_owned(), "search".to_owned())],
                }),
                head_edit: self.head_edit.clone(),
                side: Side::Reverse,
                address: "127.0.0.1".to_owned(),
                fixups: fixups(row.is_edited),
                schema: Some(SCHEMA.to_owned()),
                answer_schema: Some(ANSWER_SCHEMA.to_owned()),
            }))),
            None => Reply::Refused {
                message: format!("{id} is not held (any more)"),
            },
        }
    }
}

/// What follows the made-up edit.
fn fixups(is_edited: bool) -> Vec<Fixup> {
    let fixup = Fixup {
        name: "mcp-name".to_owned(),
        before: Some("search".to_owned()),
        after: Some("find".to_owned()),
    };
    if is_edited { vec![fixup] } else { Vec::new() }
}

/// A held call as it came.
pub(crate) fn held_message(text: &str) -> HeldText {
    HeldText {
        row: held(1, RowKind::Request, Timestamp::from_micros(1_000_000_000), 1),
        original: text.to_owned(),
        edited: None,
        head: None,
        head_edit: HeadEdit::default(),
        side: Side::Reverse,
        address: "127.0.0.1".to_owned(),
        fixups: Vec::new(),
        schema: None,
        answer_schema: None,
    }
}

/// A message that has been held for so many seconds.
pub(crate) fn held(number: u64, kind: RowKind, now: Timestamp, seconds: u64) -> HeldRow {
    let age = Duration::from_secs(seconds);
    HeldRow {
        id: HoldId::new(number).unwrap(),
        state: HeldState::Held,
        at: Timestamp::from_micros(now.as_micros() - seconds * 1_000_000),
        age,
        budget: Duration::from_mins(1),
        budget_source: "usual".to_owned(),
        session: Some(session_id("R1")),
        exchange: ExchangeId::new(900 + number).unwrap(),
        frame: 0,
        call: None,
        direction: Direction::ClientToServer,
        carrier: Carrier::Http,
        lane: number,
        kind,
        method: Some("tools/call".to_owned()),
        name: Some("search".to_owned()),
        rpc_id: Some("7".to_owned()),
        server: "everything".to_owned(),
        client: Some("inspector".to_owned()),
        batch: None,
        size: CALL.len() as u64,
        rule: "searches".to_owned(),
        on_expire: OnExpire::Wait,
        is_edited: false,
        is_kept: false,
        queued_behind: 0,
        queued_bytes: 0,
    }
}

fn rule(name: &str, is_on: bool) -> RuleRow {
    RuleRow {
        name: name.to_owned(),
        is_on,
        is_saved: !is_on,
        is_breakpoint: is_on,
        when: "method:tools/call".to_owned(),
        direction: None,
        policy: "always".to_owned(),
        verdict: if is_on { "hold" } else { "delay 250 ms" }.to_owned(),
        on_expire: None,
        matches: 12,
        hits: 4,
        last_hit: None,
    }
}
