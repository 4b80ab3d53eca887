//! A client that starts its server and speaks to it over pipes.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::faults::Faults;
use crate::proc::children_of;

use super::session::{INITIALIZE, INITIALIZED, Session};

/// A session with a command. The command ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Pipe {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    session: Session,
    line: Vec<u8>,
    pids: Vec<u32>,
}

impl Pipe {
    /// Starts a command and waits for its answer to `initialize`.
    ///
    /// # Errors
    /// It cannot be started, or does not answer.
    pub(crate) async fn open(command: Command) -> Result<Self> {
        let mut command = tokio::process::Command::from(command);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut child = command.spawn().context("the command cannot be started")?;
        let input = child.stdin.take().context("no pipe to the command")?;
        let output = child.stdout.take().context("no pipe from the command")?;
        let mut pipe = Self {
            child,
            input,
            output: BufReader::with_capacity(128 * 1024, output),
            session: Session::unnamed(),
            line: Vec::new(),
            pids: Vec::new(),
        };
        pipe.say(INITIALIZE).await?;
        pipe.hear().await?;
        pipe.say(INITIALIZED).await?;
        let pid = pipe.child.id().context("the command has ended")?;
        pipe.pids = std::iter::once(pid).chain(helpers_of(pid)).collect();
        Ok(pipe)
    }

    /// The processes of the command but the server itself, if that is a child of it.
    pub(crate) fn pids(&self) -> &[u32] {
        &self.pids
    }

    /// Calls a tool that answers with `answer_bytes` and compares every byte of the answer.
    ///
    /// # Errors
    /// No answer came.
    pub(crate) async fn call(&mut self, answer_bytes: usize, faults: &mut Faults) -> Result<()> {
        let message = self.session.next_call(answer_bytes);
        self.input.write_all(message).await?;
        self.input.write_all(b"\n").await?;
        self.hear().await?;
        let found = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        self.session.check_answer(found, faults);
        Ok(())
    }

    /// Closes the pipe to the command and waits for its end.
    ///
    /// # Errors
    /// It failed.
    pub(crate) async fn close(self) -> Result<()> {
        let Self { mut child, input, .. } = self;
        drop(input);
        let status = child.wait().await?;
        if !status.success() {
            bail!("the command ended with {status}");
        }
        Ok(())
    }

    async fn say(&mut self, message: &[u8]) -> Result<()> {
        self.input.write_all(message).await?;
        self.input.write_all(b"\n").await?;
        Ok(())
    }

    async fn hear(&mut self) -> Result<()> {
        self.line.clear();
        if self.output.read_until(b'\n', &mut self.line).await? == 0 {
            bail!("the command ended without an answer");
        }
        Ok(())
    }
}

/// Children that are of the same program, such as one that watches over another.
fn helpers_of(pid: u32) -> Vec<u32> {
    let program = |pid: u32| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    let own = program(pid);
    children_of(pid)
        .into_iter()
        .filter(|child| own.is_some() && program(*child) == own)
        .collect()
}
