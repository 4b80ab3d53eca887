//! Ends the engine without losing the second Ctrl-C.

use std::io;
use std::time::Duration;

use shadowcat::engine::{EngineHandle, ShutdownReport};
use tokio::sync::oneshot;

use crate::console::say;
use crate::signals::Signals;

/// How long the end may take before somebody wonders why nothing happens.
const SILENCE: Duration = Duration::from_millis(500);

/// The process was told a second time to end, or the end failed: whatever was running is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("left at once: what was still running, being recorded or being printed was cut")]
pub(crate) struct LeftAtOnceError;

/// Does `work` unless the next of `signals` comes first.
///
/// # Errors
/// [`LeftAtOnceError`] on a signal; `work` is dropped then and the process should end without delay.
pub(crate) async fn unless_told<T>(
    signals: &mut Signals,
    work: impl Future<Output = T>,
) -> Result<T, LeftAtOnceError> {
    tokio::select! {
        outcome = work => Ok(outcome),
        () = signals.next() => Err(LeftAtOnceError),
    }
}

/// An engine that is ending on a thread of its own, where it may block until its traffic has drained.
#[derive(Debug)]
pub(crate) struct Ending(oneshot::Receiver<ShutdownReport>);

impl Ending {
    /// Tells `engine` to end.
    ///
    /// # Errors
    /// What the system says if no thread can be started.
    pub(crate) fn begin(engine: EngineHandle) -> io::Result<Self> {
        let (sender, report) = oneshot::channel();
        let end = move || {
            // Nobody waits any more if the process was told to leave at once.
            let _ = sender.send(engine.shut_down());
        };
        std::thread::Builder::new()
            .name("shutdown".to_owned())
            .spawn(end)?;
        Ok(Self(report))
    }

    /// Waits for the end. Says on stderr what is waited for, if it takes its time.
    ///
    /// # Errors
    /// [`LeftAtOnceError`] if the engine's end panicked.
    pub(crate) async fn finish(mut self) -> Result<ShutdownReport, LeftAtOnceError> {
        tokio::select! {
            report = &mut self.0 => return report.map_err(|_| LeftAtOnceError),
            () = tokio::time::sleep(SILENCE) => {}
        }
        say("waiting for running exchanges to finish; Ctrl-C leaves at once");
        self.0.await.map_err(|_| LeftAtOnceError)
    }
}
