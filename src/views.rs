//! Views: what each frontend sees of the engine, and the answers to what it asks.
//!
//! One task serves all frontends, on a thread of its own, so that a filter over a long history can never make traffic
//! wait. Work that may be long is done in slices, so that a key is answered while it goes on.

mod criteria;
mod detail;
mod door;
mod matches;
mod search;
mod serve;
mod slice;
#[cfg(test)]
mod tests;
mod view;
mod window;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};

pub use door::{AttachError, Door, Ports, door};

use crate::clock::Clock;
use crate::frontend::CommandEnvelope;
use crate::intercept::interceptor::Interceptor;
use crate::limits::ResourceLimits;
use crate::session::history::HistoryView;
use crate::snapshot::{LogRow, Notice, Page, RecorderState, Resources, Source, Window};

/// Shortest time between two snapshots of one frontend: 20 a second. An answer to a new query does not wait for it.
pub const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(50);
/// How often [`Surroundings::resources`] is asked.
pub const RESOURCES_INTERVAL: Duration = Duration::from_secs(1);

/// What a snapshot shows beside history. Asked often (20 times a second and frontend), so it has to be quick.
pub trait Surroundings: Send + Sync {
    /// Where the traffic comes from.
    fn source(&self) -> Source;

    /// What is being recorded.
    fn recorder(&self) -> RecorderState;

    /// Limits and tasks; asked once every [`RESOURCES_INTERVAL`]. The views add the rates of history to it.
    fn resources(&self) -> Resources;

    /// The lines of the log in `window`, by number.
    fn log(&self, window: Window<u64>) -> Page<LogRow>;

    /// What the user should know; at most 16.
    fn notices(&self) -> Vec<Notice>;

    /// Rules and what they hold; `None` where there is no traffic to act on.
    fn interceptor(&self) -> Option<&Interceptor> {
        None
    }
}

/// What all frontends share.
#[derive(Clone)]
struct Shared {
    surroundings: Arc<dyn Surroundings>,
    recorder: mpsc::Sender<CommandEnvelope>,
    max_parse_bytes: u64,
    clock: Clock,
}

/// Serves every frontend that comes through `ports`, until the sender of `history` is dropped; then each gets one last
/// snapshot. `StartRecording`, `StopRecording` and `ResetBreaker` go to `recorder` as they are and are answered there.
///
/// Run it on a thread of its own: it computes for up to a few milliseconds at a time, and reads bodies of an opened
/// recording from their file.
///
/// # Cancel safety
/// Dropping the future ends all views; commands under way get no reply.
pub async fn run(
    mut ports: Ports,
    mut history: watch::Receiver<Arc<HistoryView>>,
    surroundings: Arc<dyn Surroundings>,
    recorder: mpsc::Sender<CommandEnvelope>,
    limits: &ResourceLimits,
    clock: Clock,
) {
    let shared = Shared {
        surroundings,
        recorder,
        max_parse_bytes: limits.max_parse_bytes as u64,
        clock,
    };
    let mut serving = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(port) = ports.next() => serving.push(serve::serve(port, history.clone(), shared.clone())),
            Some(()) = serving.next() => {}
            changed = history.changed() => if changed.is_err() { break },
        }
    }
    drop(ports);
    while serving.next().await.is_some() {}
}
