//! The channels between one frontend and the engine.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::snapshot::{Command, Reply, Snapshot, ViewQuery};

/// A command on its way, and where its answer goes.
pub type CommandEnvelope = (Command, oneshot::Sender<Reply>);

/// The engine has ended and answers no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the engine has ended")]
pub struct EngineGoneError;

/// Asks the engine for things. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Commands(mpsc::Sender<CommandEnvelope>);

impl Commands {
    /// Commands that go into `sender`.
    pub const fn new(sender: mpsc::Sender<CommandEnvelope>) -> Self {
        Self(sender)
    }

    /// Sends `command` and waits for its reply.
    ///
    /// # Errors
    /// [`EngineGoneError`] once the engine has ended.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the reply; the command may still be carried out.
    pub async fn ask(&self, command: Command) -> Result<Reply, EngineGoneError> {
        let (sender, reply) = oneshot::channel();
        self.0
            .send((command, sender))
            .await
            .map_err(|_| EngineGoneError)?;
        reply.await.map_err(|_| EngineGoneError)
    }
}

/// One view of the engine: its own query, its own snapshots. The view ends when this is dropped.
#[derive(Debug)]
pub struct Frontend {
    /// The latest snapshot; changes at most 20 times a second, and at once after a new query.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// What this frontend looks at.
    pub queries: watch::Sender<ViewQuery>,
    /// What it asks for.
    pub commands: Commands,
}
