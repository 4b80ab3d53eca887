//! Held messages as frontends see them.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{CallId, ExchangeId, HoldId, ProxySessionId, Side};
use crate::intercept::edit::FieldChanges;
use crate::intercept::rule::{OnExpire, Refusal, WhileHeld};
use crate::snapshot::{Carrier, Direction, Head, RowKind};

use super::{Decision, HoldError};

/// What is known of a message when it is held, and does not change any more.
#[derive(Debug, Clone)]
pub struct HeldFacts {
    /// Its identity in the table.
    pub id: HoldId,
    /// When it came.
    pub at: Timestamp,
    /// Its session.
    pub session: Option<ProxySessionId>,
    /// The exchange that carries it.
    pub exchange: ExchangeId,
    /// Number of its frame in its direction of the exchange, from 0.
    pub frame: u32,
    /// Its call.
    pub call: Option<CallId>,
    /// It is the request of that call.
    pub opens_call: bool,
    /// Which way it goes.
    pub direction: Direction,
    /// What carries it.
    pub carrier: Carrier,
    /// The unit of order that it is in.
    pub lane: u64,
    /// What it is.
    pub kind: RowKind,
    /// Its method, or that of the request it answers.
    pub method: Option<String>,
    /// The tool, prompt or resource it is about.
    pub name: Option<String>,
    /// JSON-RPC id as spelled.
    pub rpc_id: Option<String>,
    /// Name of the upstream.
    pub server: String,
    /// Name of the client.
    pub client: Option<String>,
    /// Who chose the server.
    pub side: Side,
    /// The client's address without its port.
    pub address: String,
    /// Which message of a batch it is, from 1, and of how many.
    pub batch: Option<(u32, u32)>,
    /// Whether its sender can be answered in the place of its receiver.
    pub is_answerable: bool,
    /// What came.
    pub payload: Bytes,
    /// The HTTP head that came with it.
    pub head: Option<Head>,
    /// The rule that held it.
    pub rule: String,
    /// What happens when its time is over.
    pub on_expire: OnExpire,
    /// What its client gets meanwhile.
    pub while_held: WhileHeld,
    /// How long its client will bear it, counted from its arrival.
    pub budget: Duration,
    /// How that is known.
    pub budget_source: String,
}

/// What was done by hand to the head that a message came with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadEdit {
    /// Fields that are set, or taken out where there is no value.
    pub fields: FieldChanges,
    /// Names of fields that do not follow an edit of the body, though they say the same as it.
    pub refused: Vec<String>,
}

/// Where a message in the table stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldState {
    /// At the head of its lane: it can be decided about.
    Held,
    /// Behind the head.
    Queued,
    /// Somebody edits it.
    Editing,
    /// It is decided about, and goes on once the other held messages of its batch are.
    Decided,
}

/// One line of the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldRow {
    /// Its identity in the table.
    pub id: HoldId,
    /// Where it stands.
    pub state: HeldState,
    /// When it came.
    pub at: Timestamp,
    /// How long it has been held.
    pub age: Duration,
    /// How long its client will bear it in all.
    pub budget: Duration,
    /// How that is known.
    pub budget_source: String,
    /// Its session.
    pub session: Option<ProxySessionId>,
    /// The exchange that carries it.
    pub exchange: ExchangeId,
    /// Number of its frame in its direction of the exchange.
    pub frame: u32,
    /// Its call.
    pub call: Option<CallId>,
    /// Which way it goes.
    pub direction: Direction,
    /// What carries it.
    pub carrier: Carrier,
    /// The unit of order that it is in.
    pub lane: u64,
    /// What it is.
    pub kind: RowKind,
    /// Its method, or that of the request it answers.
    pub method: Option<String>,
    /// The tool, prompt or resource it is about.
    pub name: Option<String>,
    /// JSON-RPC id as spelled.
    pub rpc_id: Option<String>,
    /// Name of the upstream.
    pub server: String,
    /// Name of the client.
    pub client: Option<String>,
    /// Which message of a batch it is, from 1, and of how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<(u32, u32)>,
    /// Bytes of what came.
    pub size: u64,
    /// The rule that held it.
    pub rule: String,
    /// What happens when its time is over.
    pub on_expire: OnExpire,
    /// It goes on edited.
    pub is_edited: bool,
    /// Nothing happens by itself when its time is over.
    pub is_kept: bool,
    /// Messages that wait behind it.
    pub queued_behind: usize,
    /// Their bytes.
    pub queued_bytes: u64,
}

/// A held message with its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldDetail {
    /// What the queue says of it.
    pub row: HeldRow,
    /// What came.
    pub original: Bytes,
    /// What goes on instead.
    pub edited: Option<Bytes>,
    /// The HTTP head that came with it.
    pub head: Option<Head>,
    /// What was done to that.
    pub head_edit: HeadEdit,
    /// Who chose the server.
    pub side: Side,
    /// The client's address without its port.
    pub address: String,
    /// The rule that held it.
    pub rule: String,
}

/// What the status line says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HeldSummary {
    /// Messages at the head of their lane.
    pub held: usize,
    /// Messages behind them.
    pub queued: usize,
    /// When the oldest came.
    pub oldest_at: Option<Timestamp>,
    /// How long the oldest has been held.
    pub oldest_age: Duration,
    /// How long its client will bear it in all.
    pub oldest_budget: Duration,
}

/// Why a request of a server cannot be answered: over WebSocket, and in a stream that was asked for with POST before any rule
/// was armed.
const NO_WAY_BACK: &str =
    "nothing can be said here in the place of its client; edit it, forward it or drop it";

impl HeldFacts {
    pub(super) fn row(&self) -> HeldRow {
        HeldRow {
            id: self.id,
            state: HeldState::Held,
            at: self.at,
            age: Duration::ZERO,
            budget: self.budget,
            budget_source: self.budget_source.clone(),
            session: self.session,
            exchange: self.exchange,
            frame: self.frame,
            call: self.call,
            direction: self.direction,
            carrier: self.carrier,
            lane: self.lane,
            kind: self.kind,
            method: self.method.clone(),
            name: self.name.clone(),
            rpc_id: self.rpc_id.clone(),
            server: self.server.clone(),
            client: self.client.clone(),
            batch: self.batch,
            size: self.payload.len() as u64,
            rule: self.rule.clone(),
            on_expire: self.on_expire,
            is_edited: false,
            is_kept: false,
            queued_behind: 0,
            queued_bytes: 0,
        }
    }

    /// Whether a decision makes sense for what the message is.
    pub(super) fn fits(&self, decision: &Decision) -> Result<(), HoldError> {
        let unfit = |what, why| {
            Err(HoldError::Unfit {
                id: self.id,
                what,
                why,
            })
        };
        let is_http = self.kind == RowKind::Http;
        let is_batch = !is_http && self.payload.trim_ascii_start().starts_with(b"[");
        match (decision, self.kind) {
            (Decision::Answer(_), _) if is_batch => unfit(
                "a batch",
                "it could not be taken apart; edit it, forward it or refuse it as a whole",
            ),
            (Decision::Answer(_), RowKind::Http) => Ok(()),
            (Decision::Answer(_), RowKind::Request) if self.is_answerable => Ok(()),
            (Decision::Answer(_), RowKind::Request) => unfit("a request of the server", NO_WAY_BACK),
            (Decision::Answer(_), _) => unfit("no request", "only requests can be answered"),
            (Decision::Refuse(_), RowKind::Notification) => {
                unfit("a notification", "nobody waits for an answer; drop it instead")
            }
            (Decision::Refuse(refusal), RowKind::Request)
                if !self.is_answerable && *refusal != Refusal::Close =>
            {
                unfit("a request of the server", NO_WAY_BACK)
            }
            _ => Ok(()),
        }
    }
}
