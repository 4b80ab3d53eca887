//! Starting a proxy, and why it cannot be.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::config::{Config, ConfigError};
use crate::intercept::interceptor::Interceptor;
use crate::intercept::rule::Rule;
use crate::intercept::rules::watch::{self as rules_watch, RulesFile, RulesFileError, Saver};
use crate::recording::{OpenRecordingError, StartRecordingError};
use crate::tasks::{TaskKind, Tasks};
use crate::telemetry::ExporterError;
use crate::transport::bridge::program;
use crate::transport::hub::Hub;
use crate::transport::listener::accept;
use crate::transport::tls::trust::Trust;
use crate::transport::upstream::Way;
use crate::views::Surroundings;

use super::binding::{self, Sockets};
use super::end::end_proxy;
use super::threads::{runtime, start_views};
use super::{EngineHandle, Proxy, Running, parts, telemetry};

/// An engine could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {address}; {}",
        binding::advice(.source, "is another program using the port? Choose another with --listen, or port 0 for any free one")
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The port of one server cannot be listened on.
    #[error(
        "cannot listen on {address} for the server `{server}`; {}",
        binding::advice(.source, "is another program using the port? Choose another first port with --ports BASE, or --ports alone for free ones")
    )]
    BindPort {
        /// The server.
        server: String,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The address for metrics cannot be listened on.
    #[error(
        "cannot serve metrics on {address}; {}",
        binding::advice(.source, "is another program using the port? Choose another with --metrics, or port 0 for any free one")
    )]
    BindMetrics {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A command cannot be started.
    #[error("cannot start the server {label}: {problem}")]
    Command {
        /// What it is called.
        label: Arc<str>,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The recording cannot be begun.
    #[error("cannot record")]
    Record(#[from] StartRecordingError),
    /// Spans cannot be exported.
    #[error(transparent)]
    Export(#[from] ExporterError),
    /// The recording cannot be opened.
    #[error(transparent)]
    OpenRecording(#[from] OpenRecordingError),
    /// The file of rules cannot be used.
    #[error(transparent)]
    Rules(#[from] RulesFileError),
    /// The system gives no threads.
    #[error("the system gave no threads to run on; close other programs and try again")]
    Threads(#[source] io::Error),
}

impl StartError {
    /// The same failure, where it is about the port of one server.
    pub(super) fn of_server(self, server: &str) -> Self {
        match self {
            Self::Bind { address, source } => Self::BindPort {
                server: server.to_owned(),
                address,
                source,
            },
            other => other,
        }
    }

    /// The same failure, where it is about the address for metrics.
    pub(super) fn of_metrics(self) -> Self {
        match self {
            Self::Bind { address, source } => Self::BindMetrics { address, source },
            other => other,
        }
    }

    /// The exit code of a program that ends because of it: 2 for bad configuration, 3 for what could not be opened.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Rules(_) => 2,
            _ => 3,
        }
    }
}

/// Starts what [`super::Engine::start`] says, on a thread that is within no runtime.
pub(super) fn start(config: &Config) -> Result<EngineHandle, StartError> {
    config.check()?;
    check_commands(config)?;
    let rules = config.rules_file.as_ref().map(RulesFile::open).transpose()?;
    let way = Way {
        trust: Trust::new(&config.forward).map_err(ConfigError::from)?,
        via: config.forward.via.clone(),
    };
    let exporter = telemetry::exporter(config)?;
    let runtime = runtime()?;
    let (sockets, metrics_listeners) = {
        let _inside = runtime.enter();
        let metrics = config.metrics.as_slice();
        (
            Sockets::open(config)?,
            binding::bind_all(metrics).map_err(StartError::of_metrics)?,
        )
    };
    let addresses = sockets.addresses();
    let metrics_addresses = telemetry::addresses(&metrics_listeners);
    let parts = {
        let _inside = runtime.enter();
        parts::start(config, &sockets, &metrics_addresses, exporter, way)
    };
    if let Some((file, rules)) = rules {
        let _inside = runtime.enter();
        arm_file(file, rules, &parts.proxy.hub.interceptor, &parts.tasks);
    }
    if let Some(record) = &config.record {
        record_from_start(&runtime, &parts.proxy, record.path.clone())?;
    }
    let views = start_views(
        parts.ports,
        parts.history,
        Arc::clone(&parts.surroundings) as Arc<dyn Surroundings>,
        parts.recorder_commands,
        config.limits.clone(),
        parts.clock,
    )?;
    {
        let _inside = runtime.enter();
        accept_clients(config, &parts.proxy.hub, sockets);
        telemetry::serve_metrics(&parts.surroundings, metrics_listeners);
    }
    Ok(EngineHandle {
        addresses,
        metrics_addresses,
        door: parts.door,
        tasks: parts.tasks,
        running: Some(Running {
            runtime,
            views,
            proxy: Some(parts.proxy),
        }),
    })
}

/// Clients come through the listeners, shims through the door.
fn accept_clients(config: &Config, hub: &Arc<Hub>, sockets: Sockets) {
    for listener in sockets.into_listeners() {
        let accepting = accept(Arc::clone(hub), listener, Arc::clone(&hub.room));
        hub.tasks.spawn(TaskKind::Listener, accepting);
    }
    #[cfg(unix)]
    if let Some(directory) = config.door.clone() {
        crate::door::server::start(hub, directory);
    }
}

/// A mistyped program is better told now than to the first client. One of several servers keeps no other from starting.
fn check_commands(config: &Config) -> Result<(), StartError> {
    let mut only = config.commands.iter().filter(|command| command.name.is_none());
    let problem = only.find_map(|command| Some((command.label(), program::problem(command)?)));
    problem.map_or(Ok(()), |(label, problem)| {
        Err(StartError::Command { label, problem })
    })
}

/// Arms the rules of a file, and from then on whenever it changes.
fn arm_file(file: RulesFile, rules: Vec<Rule>, interceptor: &Interceptor, tasks: &Tasks) {
    let armory = interceptor.armory.clone();
    parts::warn_of_idle(&rules, interceptor);
    if let Err(error) = armory.replace_saved(rules) {
        tracing::warn!("the rules of {} are not armed: {error}", file.path().display());
    }
    let (saver, wishes) = Saver::of(&file);
    interceptor.saver.get_or_init(|| saver);
    tasks.spawn(
        TaskKind::File,
        rules_watch::watch(file, wishes, armory, tasks.clone()),
    );
}

/// Begins the recording. Where that fails, what was started ends.
fn record_from_start(runtime: &Runtime, proxy: &Proxy, path: Option<PathBuf>) -> Result<(), StartError> {
    let began = runtime.block_on(proxy.recorder.start(path, std::future::ready(Vec::new())));
    began.map(drop).map_err(|error| {
        end_proxy(runtime, proxy, Duration::ZERO);
        error.into()
    })
}
