//! The bare hyper proxy as a process.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::child::Process;

#[derive(Debug)]
pub(super) struct Bare {
    pub(super) address: SocketAddr,
    pub(super) process: Process,
}

impl Bare {
    pub(super) async fn start(upstream: SocketAddr) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = Process::start(command.arg("bare").arg("--upstream").arg(upstream.to_string()))?;
        let address = process
            .line("listening on ")
            .await?
            .parse()
            .context("the bare proxy's address")?;
        Ok(Self { address, process })
    }
}
