//! The demonstration around the proxy: its server before the engine starts, its clients once it accepts them.

use std::io;
use std::time::Duration;

use shadowcat::config::{Config, ConfigError};
use shadowcat::engine::EngineHandle;
use shadowcat::tasks::{TaskKind, Tasks};
use tokio::runtime::Runtime;

use crate::address::dialled;
use crate::demo::{DemoServer, Pace, run_clients};

/// The name of the built-in server on screen, and its place behind the proxy.
const NAME: &str = "demo";

/// Tasks of the demonstration: a few connections, clients and streams.
const MAX_TASKS: usize = 1_024;

/// How long the demonstration's own tasks may take to end.
const DRAIN: Duration = Duration::from_millis(500);

/// The demonstration could not be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoRunError {
    #[error("could not start the demonstration; check the limits on processes and open files")]
    Start(#[source] io::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// The built-in server and clients, on a runtime of their own: what the Resources screen shows is the proxy alone.
#[derive(Debug)]
pub(crate) struct Demo {
    runtime: Runtime,
    tasks: Tasks,
    server: DemoServer,
}

impl Demo {
    /// Starts the server.
    ///
    /// # Errors
    /// [`DemoRunError`] if the system gives no thread or port.
    pub(crate) fn start() -> Result<Self, DemoRunError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("demo")
            .enable_all()
            .build()
            .map_err(DemoRunError::Start)?;
        let tasks = Tasks::new(MAX_TASKS);
        let server = runtime
            .block_on(DemoServer::start(&tasks))
            .map_err(DemoRunError::Start)?;
        Ok(Self {
            runtime,
            tasks,
            server,
        })
    }

    /// `config` with the built-in server as the one upstream.
    ///
    /// # Errors
    /// [`DemoRunError`] if its URL cannot be an upstream.
    pub(crate) fn upstream_of(&self, config: Config) -> Result<Config, DemoRunError> {
        let upstream = format!("{NAME}=http://{}/mcp", self.server.address()).parse()?;
        Ok(Config {
            upstreams: vec![upstream],
            ..config
        })
    }

    /// Lets the clients talk to the proxy, over and over.
    pub(crate) fn play(&self, engine: &EngineHandle) {
        let Some(address) = engine.addresses().first().copied().map(dialled) else {
            return;
        };
        let url = format!("http://{address}/{NAME}");
        let (tasks, stop) = (self.tasks.clone(), self.tasks.stopping().clone());
        let _guard = self.runtime.enter();
        self.tasks.spawn(TaskKind::Frontend, async move {
            run_clients(url, Pace::Human, stop, &tasks).await;
        });
    }

    /// Ends clients and server, so that the engine has nothing to wait for.
    pub(crate) fn end(self) {
        self.runtime.block_on(async {
            for (kind, count) in self.tasks.end_traffic(DRAIN).await {
                tracing::debug!(kind = kind.name(), count, "tasks of the demonstration were cut");
            }
            self.tasks.end_services(DRAIN).await;
        });
        self.runtime.shutdown_background();
    }

    /// Tells clients and server to end, without waiting for it.
    pub(crate) fn stop(&self) {
        self.tasks.stop();
    }
}
