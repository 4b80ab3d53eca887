//! The sessions that are known, and which of them to forget when there are too many.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::ids::{IdMap, ProxySessionId, Side};
use crate::limits::ResourceLimits;
use crate::resource::heap::{self, ARC_BYTES};
use crate::session::history::owner::{Known, SessionFacts};
use crate::session::observation::SessionOpened;
use crate::snapshot::{SessionBasis, SessionRow, SessionState};

/// Who is forgotten first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    Ended,
    Silent,
    Busy,
}

type Rank = (Worth, u64, ProxySessionId);

#[derive(Debug)]
pub(super) struct Session {
    pub(super) facts: Arc<SessionFacts>,
    number: u64,
    server: Arc<str>,
    pub(super) basis: SessionBasis,
    opened_at: Timestamp,
    active_at: Timestamp,
    is_ended: bool,
    is_idle: bool,
    messages: u64,
    errors: u64,
    open_exchanges: u64,
    open_streams: u64,
}

impl Session {
    fn rank(&self) -> Rank {
        let worth = match self {
            Self {
                open_exchanges: 1.., ..
            } => Worth::Busy,
            Self { is_ended: true, .. } => Worth::Ended,
            _ => Worth::Silent,
        };
        // Whole seconds, so that a message seldom changes the ranking.
        (worth, self.active_at.as_micros() / 1_000_000, self.facts.id)
    }

    fn state(&self) -> SessionState {
        match self {
            Self { is_ended: true, .. } => SessionState::Ended,
            Self { is_idle: true, .. } => SessionState::Idle,
            _ => SessionState::Active,
        }
    }

    fn to_row(&self, held: Held) -> SessionRow {
        let known = self.facts.known();
        SessionRow {
            id: self.facts.id,
            server: self.server.to_string(),
            client: known.client.as_deref().map(str::to_owned),
            server_info: known.server_info.as_deref().map(str::to_owned),
            era: known.era,
            revision: known.revision.as_deref().map(str::to_owned),
            basis: self.basis,
            opened_at: self.opened_at,
            active_at: self.active_at,
            state: self.state(),
            messages: self.messages,
            errors: self.errors,
            open_calls: held.open_calls,
            open_streams: self.open_streams,
            history_bytes: held.bytes,
        }
    }
}

/// What a session has on its shelf.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    pub(super) open_calls: u64,
    pub(super) bytes: u64,
}

/// Something that happened to a session.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Row { is_error: bool },
    Error,
    ExchangeOpened,
    ExchangeEnded,
    StreamOpened,
    StreamEnded,
    Touched,
}

/// All sessions, in order of creation.
#[derive(Debug)]
pub(super) struct Sessions {
    known: IdMap<ProxySessionId, Session>,
    ranks: [BTreeSet<Rank>; Side::ALL.len()],
    created: u64,
    /// `numbers` and `rows` go together: one entry a session, in order of creation.
    numbers: Vec<u64>,
    rows: Arc<Vec<Arc<SessionRow>>>,
    dirty: BTreeSet<ProxySessionId>,
    max: usize,
    idle_timeout: Duration,
    /// Bytes of what the sessions are called, in their facts and again in their rows.
    texts: usize,
    pub(super) forgotten: [u64; Side::ALL.len()],
    /// How often one became idle.
    pub(super) went_idle: u64,
}

/// What a session costs beside its place in tables and its texts: its facts, what is known of it, its row, and the row's
/// places here and in the latest view.
const SESSION_BYTES: usize = 3 * ARC_BYTES
    + size_of::<SessionFacts>()
    + size_of::<Known>()
    + size_of::<SessionRow>()
    + 3 * size_of::<usize>();

impl Sessions {
    pub(super) fn new(limits: &ResourceLimits) -> Self {
        Self {
            known: IdMap::default(),
            ranks: [const { BTreeSet::new() }; Side::ALL.len()],
            created: 0,
            numbers: Vec::new(),
            rows: Arc::default(),
            dirty: BTreeSet::new(),
            max: limits.max_sessions.max(1),
            idle_timeout: limits.session_idle_timeout,
            texts: 0,
            forgotten: [0; Side::ALL.len()],
            went_idle: 0,
        }
    }

    pub(super) fn get(&self, id: ProxySessionId) -> Option<&Session> {
        self.known.get(&id)
    }

    pub(super) fn counts(&self) -> [u64; Side::ALL.len()] {
        self.ranks.each_ref().map(|ranks| ranks.len() as u64)
    }

    /// Bytes of heap memory.
    pub(super) fn heap_bytes(&self) -> usize {
        heap::map(&self.known)
            + self.ranks.iter().map(heap::tree_set).sum::<usize>()
            + heap::tree_set(&self.dirty)
            + self.known.len() * SESSION_BYTES
            + self.texts
    }

    /// A session's texts changed.
    pub(super) fn learnt(&mut self, before: &Known, after: &Known) {
        self.texts += 2 * after.text_bytes();
        self.texts = self.texts.saturating_sub(2 * before.text_bytes());
    }

    /// The session that is missed least, unless all of `side` are busy.
    pub(super) fn to_spare(&self, side: Side) -> Option<ProxySessionId> {
        let rank = self.ranks[side as usize].first()?;
        (rank.0 != Worth::Busy).then_some(rank.2)
    }

    /// The session to forget before another one can be known on `side`.
    pub(super) fn to_forget(&self, side: Side) -> Option<ProxySessionId> {
        let ranks = &self.ranks[side as usize];
        (ranks.len() >= self.max)
            .then(|| ranks.first().map(|rank| rank.2))
            .flatten()
    }

    pub(super) fn open(&mut self, at: Timestamp, opened: &SessionOpened) {
        if self.known.contains_key(&opened.id) {
            return;
        }
        self.created += 1;
        let session = Session {
            facts: Arc::new(SessionFacts::new(opened.id)),
            number: self.created,
            server: Arc::clone(&opened.server),
            basis: opened.basis,
            opened_at: at,
            active_at: at,
            is_ended: false,
            is_idle: false,
            messages: 0,
            errors: 0,
            open_exchanges: 0,
            open_streams: 0,
        };
        self.texts += session.server.len();
        self.ranks[opened.id.side() as usize].insert(session.rank());
        self.numbers.push(session.number);
        Arc::make_mut(&mut self.rows).push(Arc::new(session.to_row(Held::default())));
        self.known.insert(opened.id, session);
    }

    pub(super) fn forget(&mut self, id: ProxySessionId) {
        let Some(session) = self.known.remove(&id) else {
            return;
        };
        let texts = session.server.len() + 2 * session.facts.known().text_bytes();
        self.texts = self.texts.saturating_sub(texts);
        self.ranks[id.side() as usize].remove(&session.rank());
        self.forgotten[id.side() as usize] += 1;
        self.dirty.remove(&id);
        if let Ok(place) = self.numbers.binary_search(&session.number) {
            self.numbers.remove(place);
            Arc::make_mut(&mut self.rows).remove(place);
        }
    }

    pub(super) fn note(&mut self, id: ProxySessionId, at: Timestamp, step: Step) {
        self.change(id, |session| {
            session.active_at = session.active_at.max(at);
            session.is_idle = false;
            match step {
                Step::Row { is_error } => {
                    session.messages += 1;
                    session.errors += u64::from(is_error);
                }
                Step::Error => session.errors += 1,
                Step::ExchangeOpened => session.open_exchanges += 1,
                Step::ExchangeEnded => session.open_exchanges = session.open_exchanges.saturating_sub(1),
                Step::StreamOpened => session.open_streams += 1,
                Step::StreamEnded => session.open_streams = session.open_streams.saturating_sub(1),
                Step::Touched => {}
            }
        });
    }

    pub(super) fn end(&mut self, id: ProxySessionId) {
        self.change(id, |session| session.is_ended = true);
    }

    /// What its shelf holds changed.
    pub(super) fn touch_row(&mut self, id: ProxySessionId) {
        if self.known.contains_key(&id) {
            self.dirty.insert(id);
        }
    }

    /// Sessions that have been silent for the idle timeout become idle. Gives those that did.
    pub(super) fn tick(&mut self, now: Timestamp) -> Vec<ProxySessionId> {
        let is_due = |session: &Session| {
            !session.is_idle
                && session.open_exchanges == 0
                && now.since(session.active_at) >= self.idle_timeout
        };
        let due: Vec<ProxySessionId> = self
            .known
            .iter()
            .filter(|(_, session)| is_due(session))
            .map(|(id, _)| *id)
            .collect();
        self.went_idle += due.len() as u64;
        for id in &due {
            self.change(*id, |session| session.is_idle = true);
        }
        due
    }

    /// The rows as they are now.
    pub(super) fn share(&mut self, held: impl Fn(ProxySessionId) -> Held) -> Arc<Vec<Arc<SessionRow>>> {
        if !self.dirty.is_empty() {
            let rows = Arc::make_mut(&mut self.rows);
            for id in std::mem::take(&mut self.dirty) {
                let Some(session) = self.known.get(&id) else {
                    continue;
                };
                if let Ok(place) = self.numbers.binary_search(&session.number) {
                    rows[place] = Arc::new(session.to_row(held(id)));
                }
            }
        }
        Arc::clone(&self.rows)
    }

    fn change(&mut self, id: ProxySessionId, change: impl FnOnce(&mut Session)) {
        let Some(session) = self.known.get_mut(&id) else {
            return;
        };
        let before = session.rank();
        change(session);
        let after = session.rank();
        if before != after {
            let ranks = &mut self.ranks[id.side() as usize];
            ranks.remove(&before);
            ranks.insert(after);
        }
        self.dirty.insert(id);
    }
}
