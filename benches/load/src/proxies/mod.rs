//! The proxies that are measured, each a process of its own.

mod bare;
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

pub(crate) use mock::Mock;

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
        Ok(Self {
            shadowcat,
            nginx: nginx::find(),
        })
    }

    /// The kinds of `wanted` that this machine has.
    pub(crate) fn available(&self, wanted: &[Kind]) -> Vec<Kind> {
        let has = |kind: &Kind| *kind != Kind::Nginx || self.nginx.is_some();
        wanted.iter().copied().filter(has).collect()
    }
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

impl Proxy {
    /// Starts a proxy in front of `upstream` and waits until it listens.
    ///
    /// # Errors
    /// It cannot be started, or ends at once.
    pub(crate) async fn start(kind: Kind, programs: &Programs, upstream: SocketAddr) -> Result<Self> {
        let (running, address, pid) = match kind {
            Kind::Bare => {
                let bare = bare::Bare::start(upstream).await?;
                let (address, pid) = (bare.address, bare.process.pid());
                (Running::Bare(bare), address, pid)
            }
            Kind::Nginx => {
                let nginx = nginx::Nginx::start(programs, upstream).await?;
                let (address, pid) = (nginx.address, nginx.process.pid());
                (Running::Nginx(nginx), address, pid)
            }
            Kind::Headless | Kind::Tui | Kind::Recording => {
                let shadowcat = shadowcat::Shadowcat::start(kind, programs, Some(upstream)).await?;
                let (address, pid) = (shadowcat.address, shadowcat.pid());
                (Running::Shadowcat(shadowcat), address, pid)
            }
        };
        let pids = std::iter::once(pid).chain(children_of(pid)).collect();
        Ok(Self {
            kind,
            target: Arc::new(Target::direct(address)),
            running,
            pids,
        })
    }

    /// What the proxy has used and holds, with its workers.
    ///
    /// # Errors
    /// It has ended; the error has its last lines.
    pub(crate) fn sample(&mut self) -> Result<Sample> {
        match &mut self.running {
            Running::Bare(bare) => bare.process.check()?,
            Running::Nginx(nginx) => nginx.process.check()?,
            Running::Shadowcat(shadowcat) => shadowcat.check()?,
        }
        Sample::of(&self.pids)
    }
}
