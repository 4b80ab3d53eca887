//! The sessions that traffic can be assigned to, by what identifies them. Sharded, so that no lock is hot.
//!
//! Source of the identities: MCP 2025-03-26 to 2025-11-25, Transports, "Session Management"; 2024-11-05, "HTTP with SSE".
//! The modern era has no sessions: what is grouped here is inferred and labelled so.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::clock::Timestamp;
use crate::ids::{ExchangeId, IdSource, ProxySessionId, SessionId, Side};
use crate::limits::ResourceLimits;
use crate::resource::heap;
use crate::session::observation::SessionOpened;
use crate::session::pairing::Pairing;
use crate::session::tracker::EventTracker;
use crate::snapshot::SessionBasis;

const SHARDS: usize = 16;
/// Sessions of a side that are still known after their end, for what comes late. Twice as many may be there before they
/// are cleared away.
const ENDED_KEPT: usize = 64;

/// What makes exchanges one session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SessionKey {
    /// The server issued this `Mcp-Session-Id`.
    Header {
        /// Upstream or destination.
        server: Arc<str>,
        /// The id.
        id: Box<str>,
    },
    /// The path and query of an HTTP+SSE endpoint.
    Endpoint {
        /// Upstream or destination.
        server: Arc<str>,
        /// Where the client posts to.
        target: Box<str>,
    },
    /// Nothing but who talks to whom.
    Inferred {
        /// Upstream or destination.
        server: Arc<str>,
        /// Fingerprint of the credential, 0 for none.
        credential: u64,
        /// `clientInfo.name`, as far as the requests say.
        client: Option<Box<str>>,
        /// The client's address without port.
        address: Arc<str>,
    },
    /// A run of a command.
    Run {
        /// The exchange that stands for it.
        exchange: ExchangeId,
        /// What it is called.
        server: Arc<str>,
    },
    /// A WebSocket.
    Socket {
        /// The exchange that became one.
        exchange: ExchangeId,
        /// Upstream or destination.
        server: Arc<str>,
    },
    /// Plain HTTP or a tunnel from a client to a server.
    Peer {
        /// Upstream or destination.
        server: Arc<str>,
        /// The client's address without port.
        address: Arc<str>,
    },
}

impl SessionKey {
    /// Bytes of heap memory beside the value itself and what is shared with others.
    fn heap_bytes(&self) -> usize {
        match self {
            Self::Header { id, .. } => id.len(),
            Self::Endpoint { target, .. } => target.len(),
            Self::Inferred { client, .. } => client.as_deref().map_or(0, str::len),
            Self::Peer { .. } | Self::Run { .. } | Self::Socket { .. } => 0,
        }
    }
}

/// A live session: its identity and what the traffic needs of it.
#[derive(Debug)]
pub struct Session {
    /// Its identity.
    pub id: ProxySessionId,
    /// What introduces it to the watchers.
    pub opened: SessionOpened,
    active_at: AtomicU64,
    is_ended: AtomicBool,
    /// Sessions of its side that ended since they were last counted, and those that were still known then.
    ended: Arc<AtomicU64>,
    talk: Mutex<Talk>,
}

/// Who is forgotten first: what ended, then what no exchange uses, then what was silent longest.
type Rank = (bool, bool, u64);

/// What is open in a session.
#[derive(Debug)]
pub struct Talk {
    /// Its calls.
    pub pairing: Pairing,
    /// The SSE event ids it may be resumed from.
    pub events: EventTracker,
    /// What the client calls itself, once it said so.
    pub client: Option<Arc<str>>,
    /// The protocol revision that its client named last, or its server agreed to.
    pub revision: Option<Arc<str>>,
    /// What is to be said in the event stream of an HTTP+SSE session beside what its server says, while that is open.
    pub words: Option<mpsc::Sender<Bytes>>,
    /// Event streams that are open in an HTTP+SSE session: with the last of them it is over.
    pub streams: u32,
}

impl Session {
    /// What is open in it. Held for moments only, never across an await.
    pub fn talk(&self) -> MutexGuard<'_, Talk> {
        self.talk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that something was said.
    pub fn touch(&self, now: Timestamp) {
        self.active_at.store(now.as_micros(), Ordering::Relaxed);
    }

    /// Marks it as over. True the first time.
    pub fn end(&self) -> bool {
        let is_first = !self.is_ended.swap(true, Ordering::Relaxed);
        if is_first {
            self.ended.fetch_add(1, Ordering::Relaxed);
        }
        is_first
    }

    /// Bytes of heap memory, this value included.
    fn heap_bytes(&self) -> usize {
        let talk = self.talk();
        heap::ARC_BYTES + size_of::<Self>() + talk.pairing.heap_bytes() + talk.events.heap_bytes()
    }

    /// Whether it is over.
    pub fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Relaxed)
    }
}

/// The registry holds a session once; whoever else holds it is an exchange of it.
fn rank(session: &Arc<Session>) -> Rank {
    (
        !session.is_ended(),
        Arc::strong_count(session) > 1,
        session.active_at.load(Ordering::Relaxed),
    )
}

#[derive(Debug, Default)]
struct SideState {
    ids: IdSource,
    live: AtomicU64,
    evicted: AtomicU64,
    ended: Arc<AtomicU64>,
}

type Shard = HashMap<(Side, SessionKey), Arc<Session>>;

/// All sessions, of both sides.
#[derive(Debug)]
pub struct Registry {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    sides: [SideState; 2],
    max_sessions: u64,
    max_open_calls: usize,
    max_events: usize,
    event_age: std::time::Duration,
}

/// A session, and whether it was met for the first time.
#[derive(Debug, Clone)]
pub struct Found {
    /// The session.
    pub session: Arc<Session>,
    /// It has to be introduced to the watchers first.
    pub is_new: bool,
}

impl Registry {
    /// An empty registry.
    pub fn new(limits: &ResourceLimits) -> Self {
        Self {
            shards: Default::default(),
            hasher: RandomState::new(),
            sides: Default::default(),
            max_sessions: limits.max_sessions as u64,
            max_open_calls: limits.max_open_calls,
            max_events: limits.max_event_tracker_events,
            event_age: limits.event_tracker_age,
        }
    }

    /// The session of `key`, if it is known.
    pub fn find(&self, side: Side, key: &SessionKey) -> Option<Arc<Session>> {
        let key = (side, key.clone());
        self.shard(&key).get(&key).cloned()
    }

    /// The session of `key`, made now if it is not known.
    pub fn find_or_open(
        &self,
        side: Side,
        key: SessionKey,
        basis: SessionBasis,
        address: &Arc<str>,
        now: Timestamp,
    ) -> Found {
        if let Some(session) = self.find(side, &key) {
            session.touch(now);
            return Found {
                session,
                is_new: false,
            };
        }
        self.make_room(side);
        let session = self.make(side, key_server(&key), basis, address, now);
        let key = (side, key);
        // Another exchange may have made it meanwhile: then that one counts.
        let mut shard = self.shard(&key);
        let kept = shard.entry(key).or_insert_with(|| Arc::clone(&session));
        let is_new = Arc::ptr_eq(kept, &session);
        if is_new {
            self.sides[side as usize].live.fetch_add(1, Ordering::Relaxed);
        }
        Found {
            session: Arc::clone(kept),
            is_new,
        }
    }

    /// A session that nothing identifies yet: an `initialize` whose answer is to come.
    pub fn open_unkeyed(
        &self,
        side: Side,
        server: &Arc<str>,
        address: &Arc<str>,
        now: Timestamp,
    ) -> Arc<Session> {
        self.make(side, server, SessionBasis::Initialize, address, now)
    }

    /// From now on `key` means `session`.
    pub fn bind(&self, side: Side, key: SessionKey, session: Arc<Session>) {
        self.make_room(side);
        let key = (side, key);
        if self.shard(&key).insert(key.clone(), session).is_none() {
            self.sides[side as usize].live.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Forgets `key`; a later use of it makes a new session.
    pub fn unbind(&self, side: Side, key: &SessionKey) {
        let key = (side, key.clone());
        if self.shard(&key).remove(&key).is_some() {
            self.sides[side as usize].live.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// What introduces each live session, in order of creation.
    pub fn all(&self) -> Vec<SessionOpened> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(shard.values().map(|session| session.opened.clone()));
        }
        all.sort_unstable_by_key(|opened| opened.id);
        all.dedup_by_key(|opened| opened.id);
        all
    }

    /// Sessions known on `side`, and how many had to be forgotten for new ones.
    pub fn counts(&self, side: Side) -> (u64, u64) {
        let state = &self.sides[side as usize];
        (
            state.live.load(Ordering::Relaxed),
            state.evicted.load(Ordering::Relaxed),
        )
    }

    /// Bytes that the known sessions hold, of both sides: what finds them, their open calls, the ends and event ids that
    /// are remembered. Looks at each of them, so it is for a gauge and not for every message.
    pub fn heap_bytes(&self) -> usize {
        self.shards.iter().map(shard_bytes).sum()
    }

    fn make(
        &self,
        side: Side,
        server: &Arc<str>,
        basis: SessionBasis,
        address: &Arc<str>,
        now: Timestamp,
    ) -> Arc<Session> {
        let id = ProxySessionId::on(side, SessionId::from(self.sides[side as usize].ids.next()));
        let opened = SessionOpened {
            id,
            server: Arc::clone(server),
            basis,
            client: Arc::clone(address),
        };
        let talk = Talk {
            pairing: Pairing::new(self.max_open_calls),
            events: EventTracker::new(self.max_events, self.event_age),
            client: None,
            revision: None,
            words: None,
            streams: 0,
        };
        Arc::new(Session {
            id,
            opened,
            active_at: AtomicU64::new(now.as_micros()),
            is_ended: AtomicBool::new(false),
            ended: Arc::clone(&self.sides[side as usize].ended),
            talk: Mutex::new(talk),
        })
    }

    fn shard(&self, key: &(Side, SessionKey)) -> MutexGuard<'_, Shard> {
        let place = usize::try_from(self.hasher.hash_one(key)).unwrap_or(0) % SHARDS;
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets sessions of `side` when there is no room for one more: ended ones first, then the longest idle. A sixteenth
    /// at a time, so that a flood of new sessions does not search all of them for each. Sessions that ended a while ago
    /// are forgotten even while there is room.
    fn make_room(&self, side: Side) {
        let state = &self.sides[side as usize];
        let max = usize::try_from(self.max_sessions).unwrap_or(usize::MAX);
        let is_full = state.live.load(Ordering::Relaxed) >= self.max_sessions;
        let is_littered = state.ended.load(Ordering::Relaxed) > 2 * ENDED_KEPT as u64;
        if !is_full && !is_littered {
            return;
        }
        let ranked = self.ranked(side);
        let ended = ranked.partition_point(|((is_live, ..), _)| !is_live);
        let surplus = if is_full {
            let share = max / 16;
            (ranked.len().saturating_sub(max) + 1).max(share)
        } else {
            0
        };
        let forgettable = ended.saturating_sub(ENDED_KEPT);
        let evicted = surplus.saturating_sub(forgettable);
        for (_, key) in ranked.into_iter().take(surplus.max(forgettable)) {
            self.unbind(side, &key);
        }
        state.evicted.fetch_add(evicted as u64, Ordering::Relaxed);
        let left = ended.saturating_sub(surplus.max(forgettable));
        state.ended.store(left as u64, Ordering::Relaxed);
    }

    /// The sessions of `side`, the one to be forgotten first at the beginning.
    fn ranked(&self, side: Side) -> Vec<(Rank, SessionKey)> {
        let mut ranked = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            ranked.extend(
                shard
                    .iter()
                    .filter(|((of, _), _)| *of == side)
                    .map(|((_, key), session)| (rank(session), key.clone())),
            );
        }
        ranked.sort_unstable_by_key(|(rank, _)| *rank);
        ranked
    }
}

fn shard_bytes(shard: &Mutex<Shard>) -> usize {
    let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
    let entry = |((side, key), session): (&(Side, SessionKey), &Arc<Session>)| {
        // The name of a destination is the session's own; that of an upstream is there anyway.
        let server = match side {
            Side::Forward => heap::shared_text(key_server(key)),
            Side::Reverse => 0,
        };
        key.heap_bytes() + server + session.heap_bytes()
    };
    heap::map(&shard) + shard.iter().map(entry).sum::<usize>()
}

fn key_server(key: &SessionKey) -> &Arc<str> {
    match key {
        SessionKey::Header { server, .. }
        | SessionKey::Endpoint { server, .. }
        | SessionKey::Inferred { server, .. }
        | SessionKey::Run { server, .. }
        | SessionKey::Socket { server, .. }
        | SessionKey::Peer { server, .. } => server,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> SessionKey {
        SessionKey::Header {
            server: "s".into(),
            id: name.into(),
        }
    }

    fn registry(max_sessions: usize) -> Registry {
        Registry::new(&ResourceLimits {
            max_sessions,
            ..ResourceLimits::default()
        })
    }

    fn open(registry: &Registry, side: Side, name: &str, at: u64) -> Found {
        let now = Timestamp::from_micros(at);
        registry.find_or_open(
            side,
            key(name),
            SessionBasis::SessionHeader,
            &"127.0.0.1".into(),
            now,
        )
    }

    #[test]
    fn the_same_key_is_the_same_session_and_sides_count_for_themselves() {
        let registry = registry(10);
        let first = open(&registry, Side::Reverse, "a", 1);
        assert!(first.is_new);
        assert_eq!(first.session.id.to_string(), "R1");
        assert!(!open(&registry, Side::Reverse, "a", 2).is_new);
        assert_eq!(
            open(&registry, Side::Forward, "a", 3).session.id.to_string(),
            "F1"
        );
    }

    #[test]
    fn a_full_side_forgets_ended_then_idle_sessions_and_leaves_the_other_side_alone() {
        let registry = registry(2);
        open(&registry, Side::Forward, "other", 0);
        open(&registry, Side::Reverse, "old", 1);
        let ended = open(&registry, Side::Reverse, "ended", 2).session;
        assert!(ended.end());
        open(&registry, Side::Reverse, "new", 3);
        assert!(registry.find(Side::Reverse, &key("ended")).is_none());
        assert!(registry.find(Side::Reverse, &key("old")).is_some());
        open(&registry, Side::Reverse, "newer", 4);
        assert!(registry.find(Side::Reverse, &key("old")).is_none());
        assert_eq!(registry.counts(Side::Reverse), (2, 2));
        assert!(registry.find(Side::Forward, &key("other")).is_some());
    }

    #[test]
    fn a_session_that_an_exchange_uses_is_kept_before_one_that_spoke_later() {
        let registry = registry(2);
        let listening = open(&registry, Side::Reverse, "listening", 1).session;
        open(&registry, Side::Reverse, "idle", 2);
        open(&registry, Side::Reverse, "new", 3);
        assert!(registry.find(Side::Reverse, &key("idle")).is_none());
        assert!(Arc::ptr_eq(
            &listening,
            &registry.find(Side::Reverse, &key("listening")).unwrap()
        ));
    }

    #[test]
    fn of_sessions_that_ended_only_the_latest_are_still_known() {
        let registry = registry(10_000);
        for number in 0..1000 {
            assert!(
                open(&registry, Side::Reverse, &number.to_string(), number)
                    .session
                    .end()
            );
        }
        let (known, evicted) = registry.counts(Side::Reverse);
        assert!(
            known >= ENDED_KEPT as u64 && known <= 2 * ENDED_KEPT as u64 + 1,
            "{known}"
        );
        assert_eq!(evicted, 0, "nothing was forgotten for want of room");
        assert!(registry.find(Side::Reverse, &key("999")).is_some());
        assert!(registry.find(Side::Reverse, &key("0")).is_none());
    }
}
