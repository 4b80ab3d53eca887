//! Processes that end with the tool.

use std::collections::VecDeque;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::proc::children_of;
use crate::shared::locked;

/// How long a process may take to say where it listens.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a process is given to end by itself before it is killed.
const GRACE: Duration = Duration::from_millis(500);
/// Last lines of output that are kept to explain an early end.
const KEPT_LINES: usize = 20;
/// Lines that may wait to be looked at.
const LINES: usize = 64;

/// What a process has printed.
#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<String>,
    /// The first line that tells of a panic.
    panic: Option<String>,
}

impl Tail {
    fn push(&mut self, line: String) {
        if self.panic.is_none() && line.contains("panicked") {
            self.panic = Some(line.clone());
        }
        if self.lines.len() == KEPT_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

/// A child process. It and its own children are ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
    /// Lines that were passed over while another was looked for.
    passed: Vec<String>,
    tail: Arc<Mutex<Tail>>,
    /// Readers of its output; they end with this.
    _readers: JoinSet<()>,
}

impl Process {
    /// Starts a process and reads all it prints.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("could not start {}", command.get_program().display()))?;
        let (sender, lines) = mpsc::channel(LINES);
        let (tail, mut readers) = (Arc::<Mutex<Tail>>::default(), JoinSet::new());
        if let Some(stdout) = child.stdout.take() {
            readers.spawn(read(
                ChildStdout::from_std(stdout)?,
                sender.clone(),
                Arc::clone(&tail),
            ));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.spawn(read(ChildStderr::from_std(stderr)?, sender, Arc::clone(&tail)));
        }
        Ok(Self {
            child,
            lines,
            passed: Vec::new(),
            tail,
            _readers: readers,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line with `prefix`, without it.
    ///
    /// # Errors
    /// The process ended or took too long.
    pub(crate) async fn line(&mut self, prefix: &str) -> Result<String> {
        if let Some(rest) = self.passed.iter().find_map(|line| line.strip_prefix(prefix)) {
            return Ok(rest.to_owned());
        }
        let (lines, passed) = (&mut self.lines, &mut self.passed);
        let found = async {
            while let Some(line) = lines.recv().await {
                if let Some(rest) = line.strip_prefix(prefix) {
                    return Some(rest.to_owned());
                }
                passed.push(line);
            }
            None
        };
        if let Ok(Some(rest)) = tokio::time::timeout(PATIENCE, found).await {
            return Ok(rest);
        }
        bail!("no line `{prefix}…` came; the last ones were:\n{}", self.output());
    }

    /// Whether the process is still there and sound.
    ///
    /// # Errors
    /// It has ended, or told of a panic; the error has its last lines.
    pub(crate) fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!(
                "the process ended with {status}; its last lines were:\n{}",
                self.output()
            );
        }
        if let Some(line) = &locked(&self.tail).panic {
            bail!("the process told of a panic: {line}");
        }
        Ok(())
    }

    /// Asks the process to end in order and waits until it has.
    ///
    /// # Errors
    /// It did not end, or not with success.
    pub(crate) async fn finish(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let ended = async {
            loop {
                if let Some(status) = self.child.try_wait()? {
                    return anyhow::Ok(status);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, ended).await {
            Ok(status) if status.as_ref().is_ok_and(ExitStatus::success) => Ok(()),
            Ok(status) => bail!(
                "the process ended with {}; its last lines were:\n{}",
                status?,
                self.output()
            ),
            Err(_) => bail!(
                "the process does not end; its last lines were:\n{}",
                self.output()
            ),
        }
    }

    /// The last lines that it printed.
    pub(crate) fn output(&self) -> String {
        locked(&self.tail)
            .lines
            .iter()
            .fold(String::new(), |text, line| text + "  " + line + "\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let children = children_of(self.pid());
        end(Pid::from_child(&self.child), || {
            matches!(self.child.try_wait(), Ok(None))
        });
        // Workers outlive a parent that was killed.
        for child in children
            .into_iter()
            .filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
        {
            let _ = kill_process(child, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Asks a process to end, and kills it if it is still there after a moment.
fn end(pid: Pid, mut is_running: impl FnMut() -> bool) {
    const STEP: Duration = Duration::from_millis(2);
    if !is_running() {
        return;
    }
    let _ = kill_process(pid, Signal::TERM);
    let mut waited = Duration::ZERO;
    while is_running() && waited < GRACE {
        std::thread::sleep(STEP);
        waited += STEP;
    }
    if is_running() {
        let _ = kill_process(pid, Signal::KILL);
    }
}

async fn read(output: impl AsyncRead + Unpin, lines: mpsc::Sender<String>, tail: Arc<Mutex<Tail>>) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while let Ok(1..) = output.read_until(b'\n', &mut line).await {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        // Only the first lines are waited for; those that nobody takes are in the tail.
        let _ = lines.try_send(text.clone());
        locked(&tail).push(text);
    }
}
