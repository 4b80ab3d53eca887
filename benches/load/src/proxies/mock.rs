//! The mock server as a process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};

use crate::child::Process;
use crate::client::{Link, Target};
use crate::mock::CERTIFICATE;

/// A running mock server.
#[derive(Debug)]
pub(crate) struct Mock {
    pub(crate) address: SocketAddr,
    process: Process,
}

impl Mock {
    /// Starts one.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) async fn start() -> Result<Self> {
        Self::started(Command::new(std::env::current_exe()?).arg("mock")).await
    }

    /// Starts one that serves TLS too; where, and the file with the certificate to trust, come with it.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) async fn start_secure(folder: &Path) -> Result<(Self, SocketAddr, PathBuf)> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut mock = Self::started(command.arg("mock").arg("--tls").arg(folder)).await?;
        let address = mock.process.line("TLS on ").await?;
        let address = address.parse().context("the mock server's address for TLS")?;
        Ok((mock, address, folder.join(CERTIFICATE)))
    }

    async fn started(command: &mut Command) -> Result<Self> {
        let mut process = Process::start(command)?;
        let address = process
            .line("listening on ")
            .await?
            .parse()
            .context("the mock server's address")?;
        Ok(Self { address, process })
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.process.check().context("the mock server")
    }

    /// Closes all connections that wait for a request.
    ///
    /// # Errors
    /// The server does not answer.
    pub(crate) async fn hang_up(&self) -> Result<()> {
        self.ask("/hang-up").await.map(drop)
    }

    /// Streams, downloads and uploads that are under way or were left since the last time, with the moment when the
    /// server noticed that.
    ///
    /// # Errors
    /// The server does not answer.
    pub(crate) async fn take_begun(&self) -> Result<Vec<(u64, Option<u64>)>> {
        let text = self.ask("/begun").await?;
        let pair = |line: &str| {
            let (stream, at) = line.split_once(' ')?;
            let at: u64 = at.parse().ok()?;
            Some((stream.parse().ok()?, (at > 0).then_some(at)))
        };
        Ok(text.lines().filter_map(pair).collect())
    }

    async fn ask(&self, path: &str) -> Result<String> {
        let mut link = Link::open(&Arc::new(Target::at(self.address, path))).await?;
        let head = link.request("GET", "").await?;
        if head.status() != 200 {
            bail!("the mock server answered {path} with `{}`", head.line);
        }
        Ok(String::from_utf8_lossy(link.body()).into_owned())
    }
}
