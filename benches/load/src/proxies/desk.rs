//! Somebody who decides about the messages that a proxy holds, with its own command.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use tokio::process::{Child, Command};

/// Runs `held` for a proxy.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    program: PathBuf,
    door: PathBuf,
    address: SocketAddr,
}

impl Desk {
    pub(super) fn new(program: &Path, door: &Path, address: SocketAddr) -> Self {
        Self {
            program: program.to_owned(),
            door: door.to_owned(),
            address,
        }
    }

    /// Where shims find the proxy.
    pub(crate) fn door(&self) -> &Path {
        &self.door
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["held", "--connect", &self.address.to_string()])
            .args(arguments)
            .env("SHADOWCAT_DOOR_DIR", &self.door)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs `held` with these arguments and gives what it printed; `None` if what it was about is not held any more.
    ///
    /// # Errors
    /// It failed otherwise.
    pub(crate) async fn held(&self, arguments: &[&str]) -> Result<Option<String>> {
        let output = self.command(arguments).output().await?;
        match output.status.code() {
            Some(0) => Ok(Some(String::from_utf8(output.stdout)?)),
            Some(1) => Ok(None),
            _ => bail!(
                "held {} ended with {}: {}",
                arguments.join(" "),
                output.status,
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    }

    /// Starts `held watch`, whose lines tell of all that is held and decided from then on.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn watch(&self) -> Result<Child> {
        let mut command = self.command(&["watch", "--format", "json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().context("`held watch` cannot be started")
    }

    /// Waits until the proxy can be asked: its door opens a moment after its port.
    ///
    /// # Errors
    /// It does not open.
    pub(crate) async fn open(&self) -> Result<()> {
        const TRIES: usize = 200;
        for _ in 0..TRIES {
            if matches!(self.held(&["list"]).await, Ok(Some(_))) {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        bail!("the proxy's control door does not open")
    }
}
