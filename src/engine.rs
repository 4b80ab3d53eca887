//! The engine as a whole: starts everything on a runtime of its own, hands out frontends, ends everything in order.

mod binding;
mod end;
mod gauges;
mod open;
mod parts;
mod recording;
mod servers;
mod start;
mod surroundings;
mod telemetry;
mod threads;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::config::Config;
use crate::frontend::Frontend;
use crate::limits::ResourceLimits;
use crate::recording::{Extent, Recorder, Segments};
use crate::resource::log_ring::LogRing;
use crate::tasks::{TaskKind, Tasks};
use crate::transport::hub::Hub;
use crate::views::{AttachError, Door};

pub use end::ShutdownReport;
pub use start::StartError;
use threads::outside_any_runtime;

/// Starts engines.
#[derive(Debug, Clone, Copy)]
pub struct Engine;

/// A running engine. Dropping it ends it like [`EngineHandle::shut_down`].
#[derive(Debug)]
pub struct EngineHandle {
    running: Option<Running>,
    addresses: Vec<SocketAddr>,
    metrics_addresses: Vec<SocketAddr>,
    door: Door,
    tasks: Tasks,
}

#[derive(Debug)]
struct Running {
    runtime: Runtime,
    views: JoinHandle<()>,
    /// `None` for an opened recording, which has no traffic.
    proxy: Option<Proxy>,
}

#[derive(Debug)]
struct Proxy {
    hub: Arc<Hub>,
    recorder: Recorder,
}

impl Engine {
    /// Starts a proxy: binds its addresses, then serves on a runtime of its own. Blocks until all is ready, also the
    /// thread of an async task that calls it.
    ///
    /// # Errors
    /// [`StartError`] if the configuration contradicts itself, an address cannot be bound, or the recording cannot be
    /// begun. Nothing is left running then.
    pub fn start(config: Config) -> Result<EngineHandle, StartError> {
        match outside_any_runtime("shadowcat-start", move || start::start(&config)) {
            Ok(Ok(started)) => started,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => Err(StartError::Threads(error)),
        }
    }

    /// Opens a recording, to be looked at with the same screens. It loads in the background, with all files of it.
    ///
    /// # Errors
    /// [`StartError::OpenRecording`] if the file is no recording that this build can read.
    pub fn open(path: &Path, limits: &ResourceLimits, log: LogRing) -> Result<EngineHandle, StartError> {
        Self::open_segments(path, &Segments::of(path, Extent::Whole)?, limits, log)
    }

    /// The same for these files of a recording, which have to be [rereadable](Segments::rereadable); the screens call them
    /// `path`.
    ///
    /// # Errors
    /// As of [`Engine::open`].
    pub fn open_segments(
        path: &Path,
        segments: &Segments,
        limits: &ResourceLimits,
        log: LogRing,
    ) -> Result<EngineHandle, StartError> {
        open::open(path, segments, limits, log)
    }
}

impl EngineHandle {
    /// The addresses on which clients are accepted; none for an opened recording.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The addresses on which metrics can be scraped, at `/metrics`.
    pub fn metrics_addresses(&self) -> &[SocketAddr] {
        &self.metrics_addresses
    }

    /// How long its end may wait for exchanges; nothing for an opened recording.
    pub fn drain_timeout(&self) -> Duration {
        let proxy = self.running.as_ref().and_then(|running| running.proxy.as_ref());
        proxy.map_or(Duration::ZERO, |proxy| proxy.hub.limits.drain_timeout)
    }

    /// A new view of the engine, with its own query and snapshots.
    ///
    /// # Errors
    /// [`AttachError`] if `max_frontends` views are open.
    pub fn frontend(&self) -> Result<Frontend, AttachError> {
        self.door.attach()
    }

    /// The registry through which every task is started.
    pub const fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Starts `task` on the engine's runtime. It ends with the engine at the latest.
    pub fn spawn(&self, kind: TaskKind, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(running) = &self.running {
            let _inside = running.runtime.enter();
            self.tasks.spawn(kind, task);
        }
    }

    /// Serves `socket` as if somebody had come with it through the control door.
    ///
    /// # Errors
    /// What the system says if the socket cannot be used.
    #[cfg(unix)]
    pub fn adopt(&self, socket: std::os::unix::net::UnixStream) -> io::Result<()> {
        let Some((running, proxy)) = self
            .running
            .as_ref()
            .and_then(|running| Some((running, running.proxy.as_ref()?)))
        else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let _inside = running.runtime.enter();
        socket.set_nonblocking(true)?;
        let socket = tokio::net::UnixStream::from_std(socket)?;
        crate::door::server::adopt(&proxy.hub, socket);
        Ok(())
    }

    /// The engine's runtime, for what has to be awaited on it.
    pub fn runtime(&self) -> Option<tokio::runtime::Handle> {
        self.running
            .as_ref()
            .map(|running| running.runtime.handle().clone())
    }

    /// Ends the engine: accepts nothing new, lets exchanges finish for `drain_timeout`, closes the recording, stops all
    /// tasks. Blocks until then, also the thread of an async task that calls it.
    pub fn shut_down(mut self) -> ShutdownReport {
        self.end()
    }

    fn end(&mut self) -> ShutdownReport {
        let Some(running) = self.running.take() else {
            return ShutdownReport::default();
        };
        let tasks = self.tasks.clone();
        match outside_any_runtime("shadowcat-end", move || running.end(&tasks)) {
            Ok(Ok(report)) => report,
            Ok(Err(_)) => {
                tracing::error!("the end of the engine panicked");
                ShutdownReport::default()
            }
            Err(error) => {
                tracing::error!(%error, "the system gave no thread to end the engine on");
                ShutdownReport::default()
            }
        }
    }
}

impl Drop for EngineHandle {
    fn drop(&mut self) {
        self.end();
    }
}
