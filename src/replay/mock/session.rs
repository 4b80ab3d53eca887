//! The sessions of live clients: what they agreed on, what they were told, what they are asked.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::lane::Lane;
use super::needs::Need;
use super::pass::Link;
use crate::codec::json::{PathStep, find_path};
use crate::codec::rpc_id::RpcId;

/// Streams of a session that can be resumed; the oldest goes first.
const KEPT_LANES: usize = 64;

/// A session of a live client. Clients without sessions share one.
#[derive(Debug)]
pub(super) struct LiveSession {
    /// What it is called in the journal: `S1`, or nothing.
    pub(super) label: String,
    /// What the client calls it.
    pub(super) id: Option<Arc<str>>,
    /// Its end.
    pub(super) over: CancellationToken,
    /// What belongs to no request, and for one channel: everything.
    pub(super) own_lane: Arc<Lane>,
    /// Its way to a live server, once there was need for it.
    pub(super) passed: tokio::sync::Mutex<Option<Arc<Link>>>,
    state: Mutex<State>,
    next_id: AtomicU64,
    next_lane: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// The recorded session whose answers it gets first.
    recorded: Option<usize>,
    /// The params of its `initialize`.
    handshake: Value,
    /// How often a request of each kind was made; the kind is the place of the first equal script.
    turns: HashMap<usize, usize>,
    asked: HashMap<RpcId, oneshot::Sender<Bytes>>,
    running: HashMap<RpcId, CancellationToken>,
    lanes: BTreeMap<u64, Arc<Lane>>,
    is_told: bool,
}

impl LiveSession {
    pub(super) fn new(
        label: String,
        id: Option<Arc<str>>,
        own_lane: Lane,
        stopping: &CancellationToken,
    ) -> Self {
        Self {
            label,
            id,
            over: stopping.child_token(),
            own_lane: Arc::new(own_lane),
            passed: tokio::sync::Mutex::default(),
            state: Mutex::default(),
            next_id: AtomicU64::new(1),
            next_lane: AtomicU64::new(1),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handshake: which recorded session it follows, and what the client said.
    pub(super) fn begin(&self, recorded: Option<usize>, handshake: Value) {
        let mut state = self.state();
        state.recorded = recorded;
        state.handshake = handshake;
    }

    /// The params of its `initialize`.
    pub(super) fn handshake(&self) -> Value {
        self.state().handshake.clone()
    }

    /// An id for a request to the client.
    pub(super) fn fresh_id(&self) -> String {
        self.next_id.fetch_add(1, Ordering::Relaxed).to_string()
    }

    pub(super) fn recorded(&self) -> Option<usize> {
        self.state().recorded
    }

    /// True once: what a server says on its own is said once in a session.
    pub(super) fn is_to_be_told(&self) -> bool {
        !std::mem::replace(&mut self.state().is_told, true)
    }

    /// How often a request of this kind was made before.
    pub(super) fn turn(&self, kind: usize) -> usize {
        let mut state = self.state();
        let turn = state.turns.entry(kind).or_default();
        *turn += 1;
        *turn - 1
    }

    /// Whether the client said that it can be asked this.
    pub(super) fn can_be_asked(&self, method: &str, request: &[u8]) -> bool {
        let params = find_path(request, &[PathStep::Key("params")]);
        let params = params.and_then(|params| serde_json::from_slice(params).ok());
        let need = Need::of(method, &params.unwrap_or_default());
        need.is_none_or(|need| need.is_met(&self.state().handshake["capabilities"]))
    }

    /// An id for a request of ours, and where its answer will come.
    pub(super) fn ask(&self) -> (String, Asked<'_>) {
        let id = self.fresh_id();
        let (sender, answer) = oneshot::channel();
        let key = RpcId::parse(&id);
        if let Some(key) = &key {
            self.state().asked.insert(key.clone(), sender);
        }
        let asked = Asked {
            session: self,
            key,
            answer,
        };
        (id, asked)
    }

    /// Takes an answer of the client; false if nothing was asked under this id.
    pub(super) fn answered(&self, id: &RpcId, text: Bytes) -> bool {
        let waiting = self.state().asked.remove(id);
        waiting.is_some_and(|waiting| waiting.send(text).is_ok())
    }

    /// A request is being answered, until the guard goes.
    pub(super) fn run(self: &Arc<Self>, id: Option<RpcId>) -> RunningRequest {
        let cancelled = self.over.child_token();
        if let Some(id) = &id {
            self.state().running.insert(id.clone(), cancelled.clone());
        }
        RunningRequest {
            session: Arc::clone(self),
            id,
            cancelled,
        }
    }

    /// The client cancels a request.
    pub(super) fn cancel(&self, id: &RpcId) {
        if let Some(running) = self.state().running.get(id) {
            running.cancel();
        }
    }

    /// Whether nothing is being answered.
    pub(super) fn is_idle(&self) -> bool {
        self.state().running.is_empty()
    }

    /// A lane for the answer to one request; `name` is what its event ids begin with.
    pub(super) fn lane(&self, lane: impl FnOnce(u64) -> Lane) -> Arc<Lane> {
        let name = self.next_lane.fetch_add(1, Ordering::Relaxed);
        let lane = Arc::new(lane(name));
        let mut state = self.state();
        if state.lanes.len() == KEPT_LANES {
            state.lanes.pop_first();
        }
        state.lanes.insert(name, Arc::clone(&lane));
        lane
    }

    /// The lane with this name.
    pub(super) fn lane_called(&self, name: u64) -> Option<Arc<Lane>> {
        if name == 0 {
            return Some(Arc::clone(&self.own_lane));
        }
        self.state().lanes.get(&name).cloned()
    }
}

/// A question to the client.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    session: &'a LiveSession,
    key: Option<RpcId>,
    answer: oneshot::Receiver<Bytes>,
}

impl Asked<'_> {
    /// The client's answer; `None` if the session ends first.
    pub(super) async fn answer(&mut self) -> Option<Bytes> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.session.state().asked.remove(key);
        }
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct RunningRequest {
    session: Arc<LiveSession>,
    id: Option<RpcId>,
    pub(super) cancelled: CancellationToken,
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        if let Some(id) = &self.id {
            self.session.state().running.remove(id);
        }
    }
}
