//! One row of history: what never changes of it, and the few things that do.

pub(in crate::session::history) mod pack;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::ids::{CallId, ExchangeId, MessageId, ProxySessionId, Side, StreamId};
use crate::resource::heap::{self, ARC_BYTES};
use crate::snapshot::{
    Carrier, Direction, Finding, MessageRow, Outcome, Progress, RowKind, RowState, RowVerdict, Severity,
};

use super::body::KeptBody;
use super::exchange::ExchangeRecord;
use super::owner::SessionFacts;

/// What a row says for good.
#[derive(Debug)]
pub(crate) struct RowFacts {
    pub(crate) id: MessageId,
    pub(crate) at: Timestamp,
    pub(crate) exchange: Arc<ExchangeRecord>,
    /// Its frame in its direction of the exchange, counted from 1.
    pub(crate) frame: Option<NonZeroU32>,
    pub(crate) stream: Option<StreamId>,
    pub(crate) call: Option<CallId>,
    /// The row of the same call before this one.
    pub(crate) previous_in_call: Option<MessageId>,
    pub(crate) direction: Direction,
    pub(crate) carrier: Carrier,
    pub(crate) kind: RowKind,
    pub(crate) course: Course,
    pub(crate) method: Option<Arc<str>>,
    /// Tool, prompt, uri or task that its call is about.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) rpc_id: Option<Box<str>>,
    pub(crate) summary: Box<str>,
    pub(crate) findings: Box<[Finding]>,
    /// Its position in a batch, counted from 1, and the batch's length.
    pub(crate) batch: Option<(NonZeroU32, u32)>,
    pub(crate) rare: Option<Box<RareFacts>>,
}

/// What few rows have.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RareFacts {
    /// Name of the SSE event, where it is not `message`.
    pub(crate) event: Option<Box<str>>,
    pub(crate) event_id: Option<Box<str>>,
    pub(crate) retry: Option<u64>,
    pub(crate) comments: u32,
    /// Text of a JSON-RPC error or of a failed exchange.
    pub(crate) error: Option<Box<str>>,
    /// Severity of a log message.
    pub(crate) level: Option<Box<str>>,
}

/// Whether a row waits for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// It waits for nothing.
    Passes,
    /// It is open until it gets an end.
    Opens,
    /// It is the end of something, and has its end from the start.
    Ends,
}

/// How a request or an answer ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RowEnd {
    pub(crate) took: Option<Duration>,
    pub(crate) outcome: Outcome,
    pub(crate) status: Option<u16>,
}

/// What comes and goes while others read it.
#[derive(Debug, Default)]
struct Changing {
    body: Option<Arc<KeptBody>>,
    later: Option<Box<Later>>,
}

/// What few rows hear of later.
#[derive(Debug, Default)]
struct Later {
    progress: Option<Arc<Progress>>,
    decided: Option<Arc<Decided>>,
}

impl Changing {
    fn progress(&self) -> Option<&Arc<Progress>> {
        self.later.as_ref()?.progress.as_ref()
    }

    fn decided(&self) -> Option<&Arc<Decided>> {
        self.later.as_ref()?.decided.as_ref()
    }
}

/// What was decided about a message, and what was sent in its place.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) verdict: RowVerdict,
    pub(crate) sent: Option<Arc<KeptBody>>,
}

impl Decided {
    /// Without what was sent.
    fn own_bytes(&self) -> usize {
        ARC_BYTES + size_of::<Self>() + self.verdict.rule.capacity()
    }
}

/// A row. Shared by the ledger and by every view of history; what changes of it changes in place.
#[derive(Debug)]
pub struct Row {
    pub(crate) facts: RowFacts,
    session: OnceLock<Arc<SessionFacts>>,
    size: AtomicU64,
    end: OnceLock<RowEnd>,
    /// Locked to copy a pointer, no longer.
    changing: Mutex<Changing>,
    /// The next row of the same call; 0 while there is none.
    next_in_call: AtomicU64,
}

/// The places of a row in its segment, on its shelf (which grows by doubling) and in the latest view's last segment.
const INDEX_BYTES: usize = 2 * size_of::<Arc<Row>>();

impl Row {
    pub(crate) fn new(
        facts: RowFacts,
        session: Option<Arc<SessionFacts>>,
        size: u64,
        body: Option<KeptBody>,
    ) -> Self {
        Self {
            facts,
            session: session.map_or_else(OnceLock::new, OnceLock::from),
            size: AtomicU64::new(size),
            end: OnceLock::new(),
            changing: Mutex::new(Changing {
                body: body.map(Arc::new),
                later: None,
            }),
            next_in_call: AtomicU64::new(0),
        }
    }

    fn changing(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its identity.
    pub fn id(&self) -> MessageId {
        self.facts.id
    }

    /// When its last byte arrived.
    pub fn at(&self) -> Timestamp {
        self.facts.at
    }

    /// Its session, once it is known.
    pub fn session(&self) -> Option<ProxySessionId> {
        self.session.get().map(|facts| facts.id)
    }

    /// Who chose the destination.
    pub fn side(&self) -> Side {
        self.session()
            .map_or(self.facts.exchange.side, ProxySessionId::side)
    }

    /// The exchange that carried it.
    pub fn exchange(&self) -> &Arc<ExchangeRecord> {
        &self.facts.exchange
    }

    /// The identity of that exchange.
    pub fn exchange_id(&self) -> ExchangeId {
        self.facts.exchange.id
    }

    /// What it is.
    pub fn kind(&self) -> RowKind {
        self.facts.kind
    }

    /// What became of it.
    pub fn state(&self) -> RowState {
        match (self.facts.course, self.end.get()) {
            (Course::Passes, _) | (Course::Ends, None) => RowState::Passed,
            (Course::Opens, None) => RowState::Open {
                progress: self.changing().progress().map(|progress| (**progress).clone()),
            },
            (Course::Opens, Some(end)) => RowState::Answered {
                took: end.took.unwrap_or_default(),
                outcome: end.outcome,
                status: end.status,
            },
            (Course::Ends, Some(end)) => RowState::Answer {
                took: end.took,
                outcome: end.outcome,
                status: end.status,
            },
        }
    }

    /// What is remarkable about it; about its exchange, if it is the row that stands for that.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut findings = self.facts.findings.to_vec();
        if self.stands_for_exchange() {
            findings.extend(self.facts.exchange.findings());
        }
        findings
    }

    /// Whether something of this severity, or worse, is remarkable about it.
    pub(crate) fn has_finding(&self, at_least: Severity) -> bool {
        let is_it = |finding: &Finding| finding.severity >= at_least;
        self.facts.findings.iter().any(is_it)
            || self.stands_for_exchange() && self.facts.exchange.findings().iter().any(is_it)
    }

    /// Whether people look here for what happened to the exchange: its own row, what a response says as a whole, or the
    /// event that names the address of an HTTP+SSE session.
    fn stands_for_exchange(&self) -> bool {
        let facts = &self.facts;
        let event = facts.rare.as_deref().and_then(|rare| rare.event.as_deref());
        matches!(facts.kind, RowKind::Http | RowKind::Run)
            || event == Some("endpoint")
            || facts.carrier == Carrier::Http && facts.direction == Direction::ServerToClient
    }

    /// History still has (at least the head of) its bytes.
    pub fn has_body(&self) -> bool {
        self.changing().body.is_some()
    }

    /// Size of the message in bytes, as carried.
    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// The row as a frontend shows it, as it is now.
    pub fn to_message_row(&self) -> MessageRow {
        let facts = &self.facts;
        MessageRow {
            id: facts.id,
            at: facts.at,
            session: self.session(),
            exchange: facts.exchange.id,
            frame: facts.frame.map(|frame| frame.get() - 1),
            stream: facts.stream,
            call: facts.call,
            direction: facts.direction,
            carrier: facts.carrier,
            kind: facts.kind,
            method: facts.method.as_deref().map(str::to_owned),
            rpc_id: facts.rpc_id.as_deref().map(str::to_owned),
            summary: facts.summary.to_string(),
            size: self.size(),
            server: facts.exchange.server.to_string(),
            state: self.state(),
            findings: self.findings(),
            batch: facts.batch.map(|(place, length)| (place.get(), length)),
            has_body: self.has_body(),
            verdict: self.decided().map(|decided| decided.verdict.clone()),
        }
    }

    pub(crate) fn session_facts(&self) -> Option<&Arc<SessionFacts>> {
        self.session.get()
    }

    /// It is the end of something that failed.
    pub(crate) fn is_failure(&self) -> bool {
        self.facts.course == Course::Ends && self.end.get().is_some_and(|end| end.outcome.is_error())
    }

    /// Gives it a session. The first one stays.
    pub(crate) fn assign(&self, session: Arc<SessionFacts>) {
        let _ = self.session.set(session);
    }

    /// Ends it. False if it had ended before; then the first end stays.
    pub(crate) fn finish(&self, end: RowEnd) -> bool {
        self.end.set(end).is_ok()
    }

    pub(crate) fn progress(&self) -> Option<Arc<Progress>> {
        self.changing().progress().cloned()
    }

    pub(crate) fn report(&self, progress: Progress) {
        let before = {
            let mut changing = self.changing();
            let later = changing.later.get_or_insert_default();
            later.progress.replace(Arc::new(progress))
        };
        // Freed without the lock.
        drop(before);
    }

    pub(crate) fn kept_body(&self) -> Option<Arc<KeptBody>> {
        self.changing().body.clone()
    }

    pub(crate) fn put_body(&self, body: KeptBody, size: u64) {
        self.size.store(size, Ordering::Relaxed);
        let before = self.changing().body.replace(Arc::new(body));
        drop(before);
    }

    /// Lets the body go, and what was sent in its place. Gives the bytes that this frees.
    pub(crate) fn drop_body(&self) -> usize {
        let freed = self.body_bytes();
        let mut changing = self.changing();
        let body = changing.body.take();
        let before = changing.later.as_mut().and_then(|later| {
            let without = Decided {
                verdict: later.decided.as_ref()?.verdict.clone(),
                sent: None,
            };
            later.decided.replace(Arc::new(without))
        });
        drop(changing);
        // Freed without the lock.
        drop((body, before));
        freed
    }

    /// What was decided about it.
    pub(crate) fn decided(&self) -> Option<Arc<Decided>> {
        self.changing().decided().cloned()
    }

    /// Notes what was decided about it, in place of what was before.
    pub(crate) fn decide(&self, decided: Decided) {
        let before = {
            let mut changing = self.changing();
            let later = changing.later.get_or_insert_default();
            later.decided.replace(Arc::new(decided))
        };
        drop(before);
    }

    pub(crate) fn next_in_call(&self) -> Option<MessageId> {
        MessageId::new(self.next_in_call.load(Ordering::Relaxed))
    }

    pub(crate) fn link_next(&self, next: MessageId) {
        self.next_in_call.store(next.get(), Ordering::Relaxed);
    }

    /// Bytes of its body, and of what was sent in its place.
    pub(crate) fn body_bytes(&self) -> usize {
        let (body, decided) = {
            let changing = self.changing();
            (changing.body.clone(), changing.decided().cloned())
        };
        let sent = decided.as_ref().and_then(|decided| decided.sent.as_deref());
        body.as_deref().map_or(0, KeptBody::heap_bytes) + sent.map_or(0, KeptBody::heap_bytes)
    }

    /// Bytes of heap memory without its body and its exchange. Of what rows of one call share, the method is nearly always
    /// one of few words; the name counts in full, since a peer may invent a new one for each message.
    pub(crate) fn own_bytes(&self) -> usize {
        let facts = &self.facts;
        let finding = |finding: &Finding| size_of::<Finding>() + finding.text.capacity();
        ARC_BYTES
            + size_of::<Self>()
            + INDEX_BYTES
            + self.later_bytes()
            + self.progress_bytes()
            + facts.rpc_id.as_deref().map_or(0, str::len)
            + facts.method.as_deref().map_or(0, str::len)
            + facts.name.as_ref().map_or(0, heap::shared_text)
            + facts.summary.len()
            + facts.findings.iter().map(finding).sum::<usize>()
            + facts.rare.as_deref().map_or(0, RareFacts::heap_bytes)
    }

    /// Bytes of what it heard of later, without the progress.
    fn later_bytes(&self) -> usize {
        let (has_any, decided) = {
            let changing = self.changing();
            (changing.later.is_some(), changing.decided().cloned())
        };
        usize::from(has_any) * size_of::<Later>() + decided.map_or(0, |decided| decided.own_bytes())
    }

    /// Bytes of the progress that was reported last.
    pub(crate) fn progress_bytes(&self) -> usize {
        self.changing().progress().map_or(0, |progress| {
            let total = progress.total.as_ref().map_or(0, String::capacity);
            ARC_BYTES + size_of::<Progress>() + progress.progress.capacity() + total
        })
    }

    /// It waits for its end, and somebody holds it for that.
    pub(crate) fn is_open(&self) -> bool {
        self.facts.course == Course::Opens && self.end.get().is_none()
    }
}

impl RareFacts {
    fn heap_bytes(&self) -> usize {
        let texts = [&self.event, &self.event_id, &self.error, &self.level];
        size_of::<Self>() + texts.into_iter().flatten().map(|text| text.len()).sum::<usize>()
    }

    /// Boxed if there is anything to keep.
    pub(crate) fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// History holds hundreds of thousands of rows: whoever makes them larger should do so on purpose.
    #[test]
    fn a_row_stays_small() {
        assert!(size_of::<Row>() <= 256, "{}", size_of::<Row>());
        assert!(
            size_of::<ExchangeRecord>() <= 512,
            "{}",
            size_of::<ExchangeRecord>()
        );
    }
}
