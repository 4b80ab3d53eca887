//! How a frontend comes in: a bounded number of places, each with its own channels.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::frontend::{CommandEnvelope, Commands, Frontend};
use crate::limits::ResourceLimits;
use crate::resource::meters::Level;
use crate::snapshot::{Snapshot, ViewQuery};

/// Commands of one frontend that wait for the one under way; beyond, the frontend waits.
const COMMANDS: usize = 16;

/// No frontend can be attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// All places are taken.
    #[error("max_frontends ({limit}) views are open; close one of them or raise --max-frontends")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The engine has ended.
    #[error("the engine has ended")]
    Ended,
}

/// Where frontends come in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Door {
    places: Arc<Semaphore>,
    limit: usize,
    counts: Arc<Level>,
    ports: mpsc::Sender<Port>,
}

/// The inner side of the door, for [`run`](super::run).
#[derive(Debug)]
pub struct Ports(mpsc::Receiver<Port>);

/// The engine's end of one frontend.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) queries: watch::Receiver<ViewQuery>,
    pub(super) snapshots: watch::Sender<Arc<Snapshot>>,
    pub(super) commands: mpsc::Receiver<CommandEnvelope>,
    _place: OwnedSemaphorePermit,
}

impl Port {
    /// Its commands alone: snapshots are closed and queries no longer read.
    pub(super) fn into_commands(self) -> mpsc::Receiver<CommandEnvelope> {
        self.commands
    }
}

/// A door for `max_frontends` frontends at once.
pub fn door(limits: &ResourceLimits) -> (Door, Ports) {
    let limit = limits.max_frontends.clamp(1, Semaphore::MAX_PERMITS);
    // Each waiting port holds a place, so the channel always has room for one that got a place.
    let (ports, inner) = mpsc::channel(limit);
    (
        Door {
            places: Arc::new(Semaphore::new(limit)),
            limit,
            counts: Arc::default(),
            ports,
        },
        Ports(inner),
    )
}

impl Door {
    /// A new view with the default query. Its first snapshot comes at once.
    ///
    /// # Errors
    /// [`AttachError`] if `max_frontends` views are open, or the engine has ended.
    pub fn attach(&self) -> Result<Frontend, AttachError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            self.counts.reach();
            AttachError::TooMany { limit: self.limit }
        })?;
        self.counts.raise_to(self.open() as u64);
        let (queries, asked) = watch::channel(ViewQuery::default());
        let (shown, snapshots) = watch::channel(Arc::default());
        let (sender, commands) = mpsc::channel(COMMANDS);
        let port = Port {
            queries: asked,
            snapshots: shown,
            commands,
            _place: place,
        };
        self.ports.try_send(port).map_err(|_| AttachError::Ended)?;
        Ok(Frontend {
            snapshots,
            queries,
            commands: Commands::new(sender),
        })
    }

    /// Views that are open.
    pub fn open(&self) -> usize {
        self.limit.saturating_sub(self.places.available_permits())
    }

    /// Views open now and at most, and how often one was refused.
    pub fn usage(&self) -> (u64, u64, u64) {
        let (_, peak, refused) = self.counts.read();
        (self.open() as u64, peak, refused)
    }
}

impl Ports {
    /// The next frontend that comes in; `None` once every [`Door`] is gone.
    pub(super) async fn next(&mut self) -> Option<Port> {
        self.0.recv().await
    }
}
