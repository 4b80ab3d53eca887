//! Ends the engine without losing the second Ctrl-C.

use std::future::poll_fn;
use std::io::{self, Write as _};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crossterm::event::{Event, EventStream, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use futures_util::StreamExt as _;
use shadowcat::engine::{EngineHandle, ShutdownReport};
use tokio::sync::oneshot;

use crate::console::say;
use crate::format;
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
pub(crate) struct Ending {
    report: oneshot::Receiver<ShutdownReport>,
    /// How long the traffic may take, before what is left is cut.
    most: Duration,
}

impl Ending {
    /// Tells `engine` to end.
    ///
    /// # Errors
    /// What the system says if no thread can be started.
    pub(crate) fn begin(engine: EngineHandle) -> io::Result<Self> {
        let most = engine.drain_timeout();
        let (sender, report) = oneshot::channel();
        let end = move || {
            // Nobody waits any more if the process was told to leave at once.
            let _ = sender.send(engine.shut_down());
        };
        std::thread::Builder::new()
            .name("shutdown".to_owned())
            .spawn(end)?;
        Ok(Self { report, most })
    }

    /// Waits for the end. Says on stderr what is waited for and how long, if it takes its time.
    ///
    /// # Errors
    /// [`LeftAtOnceError`] if the engine's end panicked.
    pub(crate) async fn finish(mut self) -> Result<ShutdownReport, LeftAtOnceError> {
        match self.finish_silently().await {
            Some(report) => report,
            None => self.finish_aloud("Ctrl-C leaves at once").await,
        }
    }

    /// The same where a screen was up: the key that ended it, pressed once more, leaves at once too.
    ///
    /// # Errors
    /// [`LeftAtOnceError`] on that key, or if the engine's end panicked.
    pub(crate) async fn finish_or_key(mut self) -> Result<ShutdownReport, LeftAtOnceError> {
        if let Some(report) = self.finish_silently().await {
            return report;
        }
        // Keys are listened for before anybody is told of them: one that comes earlier would wait for the end of a line.
        let mut keys = QuitKeys::listen();
        let line_start = keys.line_start();
        let mut told = pin!(keys.next());
        // The screen that was up before has left a wake-up behind, which the first look takes: a key that was there
        // together with it would not be noticed before the next one.
        let is_told = poll_fn(|context| Poll::Ready(told.as_mut().poll(context).is_ready()));
        if is_told.await {
            return Err(LeftAtOnceError);
        }
        self.say("q or Ctrl-C leaves at once", line_start);
        tokio::select! {
            report = &mut self.report => report.map_err(|_| LeftAtOnceError),
            () = told => Err(LeftAtOnceError),
        }
    }

    /// The end, unless it takes its time.
    async fn finish_silently(&mut self) -> Option<Result<ShutdownReport, LeftAtOnceError>> {
        tokio::select! {
            report = &mut self.report => Some(report.map_err(|_| LeftAtOnceError)),
            () = tokio::time::sleep(SILENCE) => None,
        }
    }

    async fn finish_aloud(self, way_out: &'static str) -> Result<ShutdownReport, LeftAtOnceError> {
        self.say(way_out, "");
        self.report.await.map_err(|_| LeftAtOnceError)
    }

    /// Says what is waited for; `line_start` brings the cursor back where the end of a line does not.
    fn say(&self, way_out: &str, line_start: &str) {
        let most = format::duration(self.most);
        say(format_args!(
            "waiting {most} at most for running exchanges and streams; {way_out}"
        ));
        let mut terminal = io::stderr().lock();
        let _ = terminal.write_all(line_start.as_bytes());
        let _ = terminal.flush();
    }
}

/// The keys that end the waiting, on a terminal that passes them on one by one as long.
struct QuitKeys(Option<(EventStream, RawMode)>);

impl QuitKeys {
    /// Begins to listen; without a terminal there are signals still.
    fn listen() -> Self {
        let raw = RawMode::enter().ok();
        Self(raw.map(|raw| (EventStream::new(), raw)))
    }

    /// What brings the cursor to the start of its line while the terminal does not do so itself.
    const fn line_start(&self) -> &'static str {
        if self.0.is_some() { "\r" } else { "" }
    }

    /// Waits for `q` or Ctrl-C.
    ///
    /// # Cancel safety
    /// Safe: no key is lost. The terminal is as before once this value is dropped.
    async fn next(&mut self) {
        if let Some((inputs, _raw)) = &mut self.0 {
            while let Some(Ok(input)) = inputs.next().await {
                if is_quit(&input) {
                    return;
                }
            }
        }
        std::future::pending::<()>().await;
    }
}

fn is_quit(input: &Event) -> bool {
    let Event::Key(key) = input else {
        return false;
    };
    let has_ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c') => has_ctrl,
        KeyCode::Char('q' | 'Q') => !has_ctrl && key.kind != KeyEventKind::Release,
        _ => false,
    }
}

/// The terminal in raw mode until this is dropped.
struct RawMode;

impl RawMode {
    fn enter() -> io::Result<Self> {
        enable_raw_mode()?;
        Ok(Self)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Nothing is left to be done if the terminal has gone.
        let _ = disable_raw_mode();
    }
}
