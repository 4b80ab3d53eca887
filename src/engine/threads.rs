//! The threads of an engine: a runtime for the traffic, one for the views, and those on which it starts and ends.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};

use crate::clock::Clock;
use crate::frontend::CommandEnvelope;
use crate::limits::ResourceLimits;
use crate::session::history::HistoryView;
use crate::views::{self, Surroundings};

use super::StartError;

/// Runs `work` on a thread of its own, since a runtime can neither be waited for nor dropped within another one.
pub(super) fn outside_any_runtime<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<std::thread::Result<T>> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(work).map(JoinHandle::join)
}

pub(super) fn runtime() -> Result<Runtime, StartError> {
    Builder::new_multi_thread()
        .thread_name("shadowcat")
        .enable_all()
        .build()
        .map_err(StartError::Threads)
}

/// Views compute for milliseconds at a time, so they have a thread of their own beside the traffic's.
pub(super) fn start_views(
    ports: views::Ports,
    history: watch::Receiver<Arc<HistoryView>>,
    surroundings: Arc<dyn Surroundings>,
    recorder: mpsc::Sender<CommandEnvelope>,
    limits: ResourceLimits,
    clock: Clock,
) -> Result<JoinHandle<()>, StartError> {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(StartError::Threads)?;
    let thread = std::thread::Builder::new().name("shadowcat-views".to_owned());
    let serving = move || {
        runtime.block_on(views::run(ports, history, surroundings, recorder, &limits, clock));
    };
    thread.spawn(serving).map_err(StartError::Threads)
}
