//! The proxies that are measured, each a process of its own.

mod bare;
mod desk;
mod metrics;
mod mock;
mod nginx;
mod shadowcat;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};

use crate::client::Target;
use crate::proc::{Sample, children_of};

pub(crate) use desk::Desk;
use metrics::Scrape;
pub(crate) use mock::Mock;
pub(crate) use shadowcat::Recording;

/// What stands between the clients and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    Bare,
    Nginx,
    Headless,
    Tui,
    Recording,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Bare => "bare",
            Self::Nginx => "nginx",
            Self::Headless => "headless",
            Self::Tui => "TUI",
            Self::Recording => "recording",
        })
    }
}

/// Where programs are found.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) shadowcat: PathBuf,
    pub(crate) nginx: Option<PathBuf>,
    has_metrics: bool,
}

impl Programs {
    /// Finds nginx in `PATH`, and the proxy at `given` or beside this program.
    ///
    /// # Errors
    /// There is no proxy.
    pub(crate) fn find(given: Option<PathBuf>) -> Result<Self> {
        let beside = || Some(std::env::current_exe().ok()?.with_file_name("shadowcat-tui"));
        let shadowcat = given.or_else(beside).unwrap_or_default();
        if !shadowcat.is_file() {
            bail!(
                "there is no program {}; build it with `cargo build --release -p shadowcat-tui`, or say --bin PATH",
                shadowcat.display()
            );
        }
        // It is started in a directory of its own.
        let shadowcat = std::path::absolute(shadowcat)?;
        let has_metrics = shadowcat::has_metrics(&shadowcat);
        Ok(Self {
            shadowcat,
            has_metrics,
            nginx: nginx::find(),
        })
    }

    /// The kinds of `wanted` that this machine has.
    pub(crate) fn available(&self, wanted: &[Kind]) -> Vec<Kind> {
        let has = |kind: &Kind| *kind != Kind::Nginx || self.nginx.is_some();
        wanted.iter().copied().filter(has).collect()
    }
}

/// How a proxy is started, beyond its kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    /// As a forward proxy. Only shadowcat-tui is one.
    pub(crate) forward: bool,
    /// Let it tell its figures, if it can.
    pub(crate) metrics: bool,
    /// Arguments for other limits than the defaults of shadowcat-tui.
    pub(crate) limits: Vec<String>,
    /// A command to serve in place of the upstream. Only shadowcat-tui does.
    pub(crate) command: Vec<String>,
    /// Where shims find it; somewhere of its own if `None`.
    pub(crate) door: Option<PathBuf>,
}

/// A running proxy. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) kind: Kind,
    pub(crate) target: Arc<Target>,
    running: Running,
    pids: Vec<u32>,
}

#[derive(Debug)]
enum Running {
    Bare(bare::Bare),
    Nginx(nginx::Nginx),
    Shadowcat(shadowcat::Shadowcat),
}

impl Running {
    async fn start(kind: Kind, programs: &Programs, upstream: SocketAddr, setup: &Setup) -> Result<Self> {
        Ok(match kind {
            Kind::Bare => Self::Bare(bare::Bare::start(upstream).await?),
            Kind::Nginx => Self::Nginx(nginx::Nginx::start(programs, upstream).await?),
            Kind::Headless | Kind::Tui | Kind::Recording => {
                Self::Shadowcat(shadowcat::Shadowcat::start(kind, programs, upstream, setup).await?)
            }
        })
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Bare(bare) => bare.address,
            Self::Nginx(nginx) => nginx.address,
            Self::Shadowcat(shadowcat) => shadowcat.address,
        }
    }

    fn pid(&self) -> u32 {
        match self {
            Self::Bare(bare) => bare.process.pid(),
            Self::Nginx(nginx) => nginx.process.pid(),
            Self::Shadowcat(shadowcat) => shadowcat.pid(),
        }
    }

    fn check(&mut self) -> Result<()> {
        match self {
            Self::Bare(bare) => bare.process.check(),
            Self::Nginx(nginx) => nginx.process.check(),
            Self::Shadowcat(shadowcat) => shadowcat.check(),
        }
    }
}

impl Proxy {
    /// Starts a proxy in front of `upstream` and waits until it listens.
    ///
    /// # Errors
    /// It cannot be started, or ends at once.
    pub(crate) async fn start(kind: Kind, programs: &Programs, upstream: SocketAddr) -> Result<Self> {
        Self::start_with(kind, programs, upstream, &Setup::default()).await
    }

    /// The same with a setup.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub(crate) async fn start_with(
        kind: Kind,
        programs: &Programs,
        upstream: SocketAddr,
        setup: &Setup,
    ) -> Result<Self> {
        let setup = Setup {
            metrics: setup.metrics && programs.has_metrics,
            ..setup.clone()
        };
        let running = Running::start(kind, programs, upstream, &setup).await?;
        let address = running.address();
        let target = if setup.forward {
            Target::through(address, upstream)
        } else {
            Target::direct(address)
        };
        let pid = running.pid();
        let pids = std::iter::once(pid).chain(children_of(pid)).collect();
        Ok(Self {
            kind,
            target: Arc::new(target),
            running,
            pids,
        })
    }

    /// What the proxy has used and holds, with its workers.
    ///
    /// # Errors
    /// It has ended, or told of a panic; the error has its last lines.
    pub(crate) fn sample(&mut self) -> Result<Sample> {
        self.running.check()?;
        Sample::of(&self.pids)
    }

    /// What the proxy tells of itself, if it does.
    ///
    /// # Errors
    /// It does not answer, or tells of a panic.
    pub(crate) async fn scrape(&mut self) -> Result<Option<Scrape>> {
        let Running::Shadowcat(shadowcat) = &self.running else {
            return Ok(None);
        };
        let Some(address) = shadowcat.metrics else {
            return Ok(None);
        };
        let scrape = Scrape::of(address).await?;
        if scrape.panicked > 0 {
            bail!("{} tasks of the proxy panicked", scrape.panicked);
        }
        Ok(Some(scrape))
    }

    /// Who decides about what the proxy holds.
    ///
    /// # Errors
    /// It is no shadowcat-tui, or its control door does not open.
    pub(crate) async fn desk(&self, programs: &Programs) -> Result<Desk> {
        let Running::Shadowcat(shadowcat) = &self.running else {
            bail!("only shadowcat-tui holds messages");
        };
        let desk = Desk::new(&programs.shadowcat, &shadowcat.door, shadowcat.address);
        desk.open().await?;
        Ok(desk)
    }

    /// Presses keys, if it has a screen.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(crate) fn press(&mut self, keys: &[u8]) -> Result<()> {
        match &mut self.running {
            Running::Shadowcat(shadowcat) => shadowcat.press(keys),
            Running::Bare(_) | Running::Nginx(_) => Ok(()),
        }
    }

    /// Bytes of the recording so far.
    pub(crate) fn recorded_bytes(&self) -> u64 {
        match &self.running {
            Running::Shadowcat(shadowcat) => shadowcat.recorded_bytes(),
            Running::Bare(_) | Running::Nginx(_) => 0,
        }
    }

    /// Ends the proxy in order; its recording, if this is one that can record.
    ///
    /// # Errors
    /// It does not end, or not with success.
    pub(crate) async fn finish(self) -> Result<Option<Recording>> {
        match self.running {
            Running::Shadowcat(shadowcat) => shadowcat.finish().await.map(Some),
            Running::Bare(_) | Running::Nginx(_) => Ok(None),
        }
    }
}
