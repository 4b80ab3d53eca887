//! The proxy under test, with or without its screen.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::child::Process;

use super::nginx::free_address;
use super::{Kind, Programs, Setup};

const RECORDING: &str = "recording.jsonl";
/// Where metrics are told.
const ANY_PORT: &str = "127.0.0.1:0";

const SIZE: PtySize = PtySize {
    rows: 50,
    cols: 200,
    pixel_width: 0,
    pixel_height: 0,
};

/// A running shadowcat-tui.
#[derive(Debug)]
pub(super) struct Shadowcat {
    pub(super) address: SocketAddr,
    /// Where it tells its figures, if it does.
    pub(super) metrics: Option<SocketAddr>,
    /// Where shims and scripts find it.
    pub(super) door: PathBuf,
    running: Running,
    home: TempDir,
}

/// A finished recording. The file is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) path: PathBuf,
    _home: TempDir,
}

#[derive(Debug)]
enum Running {
    Headless(Process),
    Screen(Screen),
}

impl Shadowcat {
    /// Starts it in front of `upstream`.
    pub(super) async fn start(
        kind: Kind,
        programs: &Programs,
        upstream: SocketAddr,
        setup: &Setup,
    ) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let arguments = arguments(kind, home.path(), upstream, setup);
        let door = setup.door.clone().unwrap_or_else(|| home.path().join("door"));
        if kind == Kind::Tui {
            let place = Place {
                home: home.path(),
                door: &door,
            };
            let (screen, address, metrics) = Screen::start(programs, &place, arguments).await?;
            return Ok(Self {
                address,
                metrics,
                door,
                running: Running::Screen(screen),
                home,
            });
        }
        let (mut process, address) = headless(programs, home.path(), &door, &arguments).await?;
        let metrics = if setup.metrics {
            Some(metrics_address(&mut process).await?)
        } else {
            None
        };
        Ok(Self {
            address,
            metrics,
            door,
            running: Running::Headless(process),
            home,
        })
    }

    /// Presses keys, if it has a screen.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn press(&mut self, keys: &[u8]) -> Result<()> {
        if let Running::Screen(screen) = &mut self.running {
            screen.keys.write_all(keys)?;
            screen.keys.flush()?;
        }
        Ok(())
    }

    /// Bytes of the recording so far.
    pub(super) fn recorded_bytes(&self) -> u64 {
        fs::metadata(self.home.path().join(RECORDING)).map_or(0, |file| file.len())
    }

    /// Asks it to end in order and waits until it has; what it recorded is there as long as the result is.
    pub(super) async fn finish(self) -> Result<Recording> {
        if let Running::Headless(process) = self.running {
            process.finish().await?;
        }
        let path = self.home.path().join(RECORDING);
        Ok(Recording {
            path,
            _home: self.home,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        match &self.running {
            Running::Headless(process) => process.pid(),
            Running::Screen(screen) => screen.pid,
        }
    }

    /// Whether it still runs.
    pub(super) fn check(&mut self) -> Result<()> {
        match &mut self.running {
            Running::Headless(process) => process.check(),
            Running::Screen(screen) => screen.check(),
        }
    }
}

fn arguments(kind: Kind, home: &Path, upstream: SocketAddr, setup: &Setup) -> Vec<String> {
    let mut arguments = vec!["--log-file".to_owned(), path_in(home, "log")];
    if !setup.forward && setup.command.is_empty() {
        arguments.extend(["--upstream".to_owned(), format!("http://{upstream}/mcp")]);
    }
    if kind == Kind::Recording {
        arguments.push(format!("--record={}", path_in(home, RECORDING)));
    }
    if setup.metrics {
        arguments.extend(["--metrics".to_owned(), ANY_PORT.to_owned()]);
    }
    arguments.extend(setup.limits.iter().cloned());
    if !setup.command.is_empty() {
        arguments.push("--".to_owned());
        arguments.extend(setup.command.iter().cloned());
    }
    arguments
}

async fn metrics_address(process: &mut Process) -> Result<SocketAddr> {
    let url = process.line("metrics on http://").await?;
    url.trim_end_matches("/metrics")
        .parse()
        .context("the address of the metrics")
}

/// Whether this build can tell its figures.
pub(super) fn has_metrics(program: &Path) -> bool {
    let help = Command::new(program).arg("--help").output();
    help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("--metrics"))
}

fn path_in(home: &Path, name: &str) -> String {
    home.join(name).display().to_string()
}

async fn headless(
    programs: &Programs,
    home: &Path,
    door: &Path,
    arguments: &[String],
) -> Result<(Process, SocketAddr)> {
    let mut command = Command::new(&programs.shadowcat);
    command
        .args(["--headless", "--format", "none", "--listen", "127.0.0.1:0"])
        .args(arguments);
    // No configuration of the user's has a say.
    command
        .current_dir(home)
        .env("XDG_CONFIG_HOME", home)
        .env("SHADOWCAT_DOOR_DIR", door);
    let mut process = Process::start(&mut command)?;
    let address = process
        .line("listening on http://")
        .await?
        .parse()
        .context("the proxy's address")?;
    Ok((process, address))
}

/// The proxy in a pseudo-terminal whose picture nobody looks at.
struct Screen {
    child: Box<dyn Child + Send + Sync>,
    pid: u32,
    keys: Box<dyn io::Write + Send>,
    _terminal: Box<dyn MasterPty + Send>,
}

/// Where a proxy keeps what it needs.
struct Place<'a> {
    home: &'a Path,
    door: &'a Path,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Screen")
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

impl Screen {
    async fn start(
        programs: &Programs,
        Place { home, door }: &Place<'_>,
        mut arguments: Vec<String>,
    ) -> Result<(Self, SocketAddr, Option<SocketAddr>)> {
        let address = free_address()?;
        // What it would say of a port that it chose is on the screen.
        let any = arguments.iter_mut().find(|argument| *argument == ANY_PORT);
        let metrics = match any {
            Some(argument) => {
                let metrics = free_address()?;
                *argument = metrics.to_string();
                Some(metrics)
            }
            None => None,
        };
        let pair = native_pty_system().openpty(SIZE)?;
        let mut command = CommandBuilder::new(&programs.shadowcat);
        command.args(["--listen", &address.to_string()]);
        command.args(arguments);
        command.cwd(*home);
        command.env("XDG_CONFIG_HOME", *home);
        command.env("TERM", "xterm-256color");
        command.env("SHADOWCAT_DOOR_DIR", door);
        // It leaves every text as it is.
        command.env("EDITOR", "true");
        command.env_remove("VISUAL");
        let child = pair.slave.spawn_command(command)?;
        drop(pair.slave);
        let pid = child
            .process_id()
            .context("the proxy in the terminal has no pid")?;
        discard(pair.master.try_clone_reader()?)?;
        let mut screen = Self {
            child,
            pid,
            keys: pair.master.take_writer()?,
            _terminal: pair.master,
        };
        screen.wait_for(address).await?;
        Ok((screen, address, metrics))
    }

    async fn wait_for(&mut self, address: SocketAddr) -> Result<()> {
        const TRIES: u32 = 5_000;
        for _ in 0..TRIES {
            if TcpStream::connect(address).await.is_ok() {
                return Ok(());
            }
            self.check()?;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        bail!("the proxy in the terminal does not listen on {address}")
    }

    fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the proxy in the terminal ended: {status}");
        }
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads what is drawn until the terminal is gone.
fn discard(mut drawn: Box<dyn std::io::Read + Send>) -> Result<()> {
    let read = move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(1..) = drawn.read(&mut buffer) {}
    };
    thread::Builder::new().name("terminal".to_owned()).spawn(read)?;
    Ok(())
}
