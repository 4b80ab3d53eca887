//! What all connections of an engine share.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::clock::{Clock, Timestamp};
use crate::door::DoorNotes;
use crate::ids::IdSource;
use crate::intercept::interceptor::Interceptor;
use crate::limits::ResourceLimits;
use crate::resource::meters::{BufferPool, Meters};
use crate::session::registry::Registry;
use crate::snapshot::EndKind;
use crate::tasks::Tasks;

use super::bridge::BridgeServer;
use super::gate::Gate;
use super::oauth::Oauth;
use super::route::{Routes, ServerPlace};
use super::runs::Runs;
use super::tls::Interception;
use super::upstream::Clients;
use super::watchers::Watchers;

/// The id spaces of an engine.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    pub(crate) connections: IdSource,
    pub(crate) exchanges: IdSource,
    pub(crate) streams: IdSource,
    pub(crate) calls: IdSource,
}

/// How an upstream has fared.
#[derive(Debug)]
pub(crate) struct UpstreamState {
    pub(crate) gate: Arc<Gate>,
    pub(crate) exchanges: AtomicU64,
    pub(crate) failures: AtomicU64,
    last: Mutex<Option<Contact>>,
}

/// What the last contact with an upstream came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Contact {
    /// It answered.
    Answered,
    /// It did not, and has not since then.
    Failed { cause: String, since: Timestamp },
}

impl Contact {
    /// Takes in what a further contact came to.
    pub(crate) fn note(last: &mut Option<Self>, outcome: Result<(), String>, now: Timestamp) {
        match (outcome, &mut *last) {
            (Ok(()), Some(Self::Answered)) => {}
            (Ok(()), last) => *last = Some(Self::Answered),
            (Err(new), Some(Self::Failed { cause, .. })) => *cause = new,
            (Err(cause), last) => *last = Some(Self::Failed { cause, since: now }),
        }
    }

    /// As a row has it: whether all is well, why not, since when not.
    pub(crate) fn shown(last: Option<&Self>) -> (Option<bool>, Option<String>, Option<Timestamp>) {
        match last {
            None => (None, None, None),
            Some(Self::Answered) => (Some(true), None, None),
            Some(Self::Failed { cause, since }) => (Some(false), Some(cause.clone()), Some(*since)),
        }
    }
}

impl UpstreamState {
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        Self {
            gate,
            exchanges: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            last: Mutex::default(),
        }
    }

    /// Notes the outcome of a contact that came about at `now`.
    pub(crate) fn note(&self, outcome: Result<(), String>, now: Timestamp) {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        if outcome.is_err() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        Contact::note(&mut last, outcome, now);
    }

    /// The last contact: `None` before the first.
    pub(crate) fn last(&self) -> Option<Contact> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) limits: ResourceLimits,
    pub(crate) registry: Registry,
    pub(crate) tasks: Tasks,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) buffers: Arc<BufferPool>,
    pub(crate) routes: Routes,
    pub(crate) oauth: Arc<Oauth>,
    pub(crate) upstreams: Vec<UpstreamState>,
    /// Commands that are served over HTTP, in the order of the configuration.
    pub(crate) bridges: Vec<Arc<BridgeServer>>,
    pub(crate) clients: Clients,
    pub(crate) interception: Interception,
    pub(crate) door: DoorNotes,
    pub(crate) interceptor: Interceptor,
    /// Commands behind shims that can be spoken to.
    pub(crate) runs: Arc<Runs>,
    /// The `max_connections` places of clients.
    pub(crate) room: Arc<Semaphore>,
    /// The addresses at which all servers are.
    pub(crate) common: Vec<SocketAddr>,
    /// Those at which one server is alone; of two families the first.
    pub(crate) ports: Vec<(ServerPlace, SocketAddr)>,
}

impl Hub {
    /// Whether a rule may act on what comes next.
    pub(crate) fn is_intercepting(&self) -> bool {
        !self.interceptor.armory.load().is_empty() || self.interceptor.holds.has_wishes()
    }

    /// How a direction ends whose exchange is dropped although `peer` was expected to take more of it.
    pub(crate) fn end_of_dropped(&self, peer: EndKind) -> EndKind {
        if self.tasks.is_cutting_traffic() {
            EndKind::CutByProxy
        } else {
            peer
        }
    }
}
