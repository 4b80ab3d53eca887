//! Requests to end, from the keyboard or from another process.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

/// A signal so soon after another is its echo: some programs signal a process and then its whole group.
const ECHO: Duration = Duration::from_millis(100);
/// How shells tell of SIGINT, of Ctrl-C elsewhere.
const INTERRUPTED: u8 = 130;
/// How they tell of SIGTERM.
#[cfg(unix)]
const TERMINATED: u8 = 143;

/// Listens for SIGINT and SIGTERM (elsewhere than on Unix: Ctrl-C). From then on they no longer end the process.
#[derive(Debug)]
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    last: Option<Instant>,
}

/// From now on a file that may not grow any more (`ulimit -f`) costs what would have been written, and not the process.
///
/// # Errors
/// What the system says if signals cannot be listened to.
#[cfg(unix)]
pub(crate) fn survive_full_files() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    // The handler stays when the runtime has gone.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let _inside = runtime.enter();
    signal(SignalKind::from_raw(FILE_SIZE_SIGNAL)).map(drop)
}

/// SIGXFSZ, as Linux, macOS and the BSDs number it.
#[cfg(unix)]
pub(crate) const FILE_SIZE_SIGNAL: i32 = 25;

#[cfg(unix)]
impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// What the system says if signals cannot be listened to.
    pub(crate) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            last: None,
        })
    }

    /// Waits for the next signal. One that comes within [`ECHO`] of the last is taken for the same.
    ///
    /// # Cancel safety
    /// Safe: no signal is lost.
    pub(crate) async fn next(&mut self) {
        self.next_code().await;
    }

    /// The same, and gives the exit code with which a shell tells of it.
    ///
    /// # Cancel safety
    /// Safe: no signal is lost.
    pub(crate) async fn next_code(&mut self) -> u8 {
        loop {
            let code = tokio::select! {
                _ = self.interrupt.recv() => INTERRUPTED,
                _ = self.terminate.recv() => TERMINATED,
            };
            let now = Instant::now();
            let is_echo = self.last.is_some_and(|last| now - last < ECHO);
            self.last = Some(now);
            if !is_echo {
                return code;
            }
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// None; see the Unix version.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { last: None })
    }

    /// Waits for the next Ctrl-C.
    pub(crate) async fn next(&mut self) {
        self.next_code().await;
    }

    /// The same, and gives the exit code with which shells tell of it.
    pub(crate) async fn next_code(&mut self) -> u8 {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.last = Some(Instant::now());
        INTERRUPTED
    }
}
