//! The mock server as a process.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::child::Process;

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
        let mut process = Process::start(Command::new(std::env::current_exe()?).arg("mock"))?;
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
}
