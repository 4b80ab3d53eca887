//! A row in the making.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::ids::{CallId, ExchangeId, MessageId, StreamId};
use crate::session::history::body::KeptBody;
use crate::session::history::row::{Course, RareFacts, RowEnd, RowFacts};
use crate::session::history::{ExchangeRecord, Row};
use crate::snapshot::{Carrier, Direction, Finding, RowKind};

use super::Ledger;
use super::sessions::Step;

/// What a row is to say; the ledger adds its id, exchange, session and links.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) at: Timestamp,
    /// Counted from 1.
    pub(super) frame: Option<NonZeroU32>,
    pub(super) stream: Option<StreamId>,
    pub(super) call: Option<CallId>,
    pub(super) direction: Direction,
    pub(super) carrier: Carrier,
    pub(super) kind: RowKind,
    pub(super) course: Course,
    pub(super) end: Option<RowEnd>,
    pub(super) method: Option<Arc<str>>,
    pub(super) name: Option<Arc<str>>,
    pub(super) rpc_id: Option<Box<str>>,
    pub(super) summary: String,
    pub(super) findings: Vec<Finding>,
    pub(super) batch: Option<(u32, u32)>,
    pub(super) rare: RareFacts,
    pub(super) size: u64,
    pub(super) body: Option<KeptBody>,
}

impl Draft {
    pub(super) fn new(at: Timestamp, direction: Direction, carrier: Carrier, kind: RowKind) -> Self {
        Self {
            at,
            frame: None,
            stream: None,
            call: None,
            direction,
            carrier,
            kind,
            course: Course::Passes,
            end: None,
            method: None,
            name: None,
            rpc_id: None,
            summary: String::new(),
            findings: Vec::new(),
            batch: None,
            rare: RareFacts::default(),
            size: 0,
            body: None,
        }
    }

    fn into_facts(
        self,
        id: MessageId,
        exchange: Arc<ExchangeRecord>,
        previous_in_call: Option<MessageId>,
    ) -> RowFacts {
        RowFacts {
            id,
            at: self.at,
            exchange,
            frame: self.frame,
            stream: self.stream,
            call: self.call,
            previous_in_call,
            direction: self.direction,
            carrier: self.carrier,
            kind: self.kind,
            course: self.course,
            method: self.method,
            name: self.name,
            rpc_id: self.rpc_id,
            summary: self.summary.into(),
            findings: self.findings.into(),
            batch: self
                .batch
                .and_then(|(place, length)| Some((NonZeroU32::new(place)?, length))),
            rare: self.rare.boxed(),
        }
    }
}

impl Ledger {
    /// Gives the draft its id and puts it into history. `None` if its exchange is not known, or ids have run out.
    pub(super) fn append(&mut self, exchange: ExchangeId, mut draft: Draft) -> Option<Arc<Row>> {
        let open = self.exchanges.get_mut(&exchange)?;
        let id = MessageId::new(self.last_row + 1)?;
        self.last_row += 1;
        let is_error = draft.end.is_some_and(|end| end.outcome.is_error());
        open.first_row.get_or_insert(id);
        open.has_answer_row |= draft.direction == Direction::ServerToClient;
        open.has_error_row |= is_error;
        let (record, session, owner) = (Arc::clone(&open.record), open.session.clone(), open.owner());
        let (call, end, size, body, at) = (draft.call, draft.end, draft.size, draft.body.take(), draft.at);
        let previous = call
            .and_then(|call| self.calls.last_row(call))
            .map(|row| row.id());
        let row = Arc::new(Row::new(
            draft.into_facts(id, record, previous),
            session,
            size,
            body,
        ));
        if let Some(end) = end {
            row.finish(end);
        }
        if let Some(call) = call {
            self.calls.append(call, &row);
        }
        self.store.push(Arc::clone(&row));
        self.shelves.add(owner, Arc::clone(&row));
        self.count_row(&row, is_error, at);
        Some(row)
    }

    fn count_row(&mut self, row: &Row, is_error: bool, at: Timestamp) {
        self.totals.messages += u64::from(row.kind().is_message());
        self.tally.message(row.kind(), row.facts.direction);
        self.totals.errors += u64::from(is_error);
        if let Some(session) = row.session() {
            self.sessions.note(session, at, Step::Row { is_error });
        }
    }
}
