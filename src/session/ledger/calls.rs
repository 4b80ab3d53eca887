//! Requests that wait for their answer, and the chain of rows of each call.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use crate::clock::Timestamp;
use crate::ids::{CallId, IdMap, ProxySessionId};
use crate::limits::ResourceLimits;
use crate::mcp::trace::TraceContext;
use crate::resource::heap;
use crate::session::ended_call::EndedCall;
use crate::session::history::Row;
use crate::session::history::owner::Owner;
use crate::session::history::row::{Course, RowEnd};
use crate::snapshot::{Direction, Outcome};

use super::Ledger;

/// Ended calls whose chain may still grow: late progress, a second answer.
const ENDED_KEPT: usize = 4096;
/// An ended call costs about a hundred bytes; all of them may take this part of history's memory.
const ENDED_SHARE: usize = 3200;

#[derive(Debug)]
struct Call {
    last: Weak<Row>,
    open: Option<OpenCall>,
}

/// A request without an answer.
#[derive(Debug, Clone)]
pub(super) struct OpenCall {
    pub(super) row: Arc<Row>,
    pub(super) owner: Owner,
    pub(super) is_modern: bool,
    /// The trace that it names; not read if nobody wants to know.
    pub(super) trace: Option<TraceContext>,
}

impl OpenCall {
    pub(super) fn is_from_client(&self) -> bool {
        self.row.facts.direction == Direction::ClientToServer
    }
}

/// The calls whose rows may still become more.
#[derive(Debug)]
pub(super) struct Calls {
    known: IdMap<CallId, Call>,
    ended: VecDeque<CallId>,
    max_ended: usize,
    open: u64,
    pub(super) given_up: u64,
}

impl Calls {
    pub(super) fn new(limits: &ResourceLimits) -> Self {
        Self {
            known: IdMap::default(),
            ended: VecDeque::new(),
            max_ended: (limits.max_history_memory / ENDED_SHARE).min(ENDED_KEPT),
            open: 0,
            given_up: 0,
        }
    }

    /// Bytes of the tables; the rows of open calls are paid for by their owners.
    pub(super) fn heap_bytes(&self) -> usize {
        heap::map(&self.known) + heap::queue(&self.ended)
    }

    /// A row left history. An ended call of which it was the last row cannot grow any more; its memory is not kept for
    /// that.
    pub(super) fn row_lost(&mut self, row: &Row) {
        let Some(call) = row.facts.call else { return };
        let is_over = |known: &Call| known.open.is_none() && std::ptr::eq(known.last.as_ptr(), row);
        if self.known.get(&call).is_some_and(is_over) {
            self.known.remove(&call);
        }
    }

    pub(super) fn open_count(&self) -> u64 {
        self.open
    }

    pub(super) fn get(&self, call: CallId) -> Option<&OpenCall> {
        self.known.get(&call)?.open.as_ref()
    }

    /// Whether the call of the row goes on, and the row is the last one of it so far.
    pub(super) fn goes_on_behind(&self, row: &Row) -> bool {
        let call = row.facts.call.and_then(|call| self.known.get(&call));
        call.is_some_and(|known| known.open.is_some() && std::ptr::eq(known.last.as_ptr(), row))
    }

    pub(super) fn last_row(&self, call: CallId) -> Option<Arc<Row>> {
        self.known.get(&call)?.last.upgrade()
    }

    /// Makes `row` the last one of its call and links it to the one before.
    pub(super) fn append(&mut self, call: CallId, row: &Arc<Row>) {
        let last = Arc::downgrade(row);
        if let Some(known) = self.known.get_mut(&call) {
            if let Some(before) = known.last.upgrade() {
                before.link_next(row.id());
            }
            known.last = last;
            return;
        }
        self.known.insert(call, Call { last, open: None });
        if row.facts.course != Course::Opens {
            self.retire(call);
        }
    }

    fn open(&mut self, call: CallId, open: OpenCall) {
        if let Some(known) = self.known.get_mut(&call) {
            self.open += u64::from(known.open.is_none());
            known.open = Some(open);
        }
    }

    fn close(&mut self, call: CallId) -> Option<OpenCall> {
        let open = self.known.get_mut(&call)?.open.take()?;
        self.open -= 1;
        self.retire(call);
        Some(open)
    }

    fn retire(&mut self, call: CallId) {
        self.ended.push_back(call);
        if self.ended.len() > self.max_ended
            && let Some(oldest) = self.ended.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    fn adopt(&mut self, call: CallId, owner: Owner) {
        if let Some(open) = self.known.get_mut(&call).and_then(|known| known.open.as_mut()) {
            open.owner = owner;
        }
    }
}

impl Ledger {
    pub(super) fn open_call(&mut self, call: CallId, open: OpenCall) {
        let owner = open.owner;
        let at = open.row.at();
        self.calls.open(call, open);
        if let Some(oldest) = self.shelves.open_call(owner, call, self.bounds.max_open_calls) {
            self.calls.given_up += 1;
            self.end_call(oldest, at, Outcome::Unanswered);
        }
    }

    /// Ends an open call. The error is counted unless `outcome` came with a row that counts it.
    pub(super) fn end_call(&mut self, call: CallId, at: Timestamp, outcome: Outcome) {
        if let Some(row) = self.finish_call(call, at, outcome)
            && outcome.is_error()
        {
            self.count_error(row.session(), at);
        }
    }

    /// Ends an open call whose end has a row of its own.
    pub(super) fn answer_call(&mut self, call: CallId, at: Timestamp, outcome: Outcome) {
        self.finish_call(call, at, outcome);
    }

    pub(super) fn end_calls_of(&mut self, session: ProxySessionId, at: Timestamp) {
        for call in self.shelves.calls_of(Owner::Session(session)) {
            self.end_call(call, at, Outcome::Unanswered);
        }
    }

    pub(super) fn adopt_call(&mut self, call: CallId, from: Owner, to: Owner) {
        if self.calls.get(call).is_some_and(|open| open.owner == from) {
            self.shelves.close_call(from, call);
            self.calls.adopt(call, to);
            if let Some(oldest) = self.shelves.open_call(to, call, self.bounds.max_open_calls)
                && let Some(at) = self.calls.get(call).map(|open| open.row.at())
            {
                self.calls.given_up += 1;
                self.end_call(oldest, at, Outcome::Unanswered);
            }
        }
    }

    fn finish_call(&mut self, call: CallId, at: Timestamp, outcome: Outcome) -> Option<Arc<Row>> {
        let open = self.calls.close(call)?;
        self.shelves.close_call(open.owner, call);
        self.tally.call_ended(outcome);
        if open.is_from_client() {
            let exchange = open.row.exchange();
            self.count_at(&exchange.server, exchange.side, |tally| tally.call_ended(outcome));
        }
        let status = open.row.exchange().status();
        open.row.finish(RowEnd {
            took: Some(at.since(open.row.at())),
            outcome,
            status,
        });
        self.shelves.settle(open.row.id());
        if let Some(observer) = &self.observer {
            observer.call_ended(&EndedCall {
                request: &open.row,
                ended: at,
                outcome,
                trace: open.trace,
            });
        }
        self.mark_changed(&open.row);
        Some(open.row)
    }
}
