//! A running program.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::time::{sleep, timeout};

use super::command::{CommandConfig, GuardCommand, StartChildError};
use super::end::ChildEnd;
use super::group::{ChildSignal, Group};
use super::guard::Guardian;

/// How often it is looked whether the rest of a group has gone. They are not our children, so nobody tells us.
const LOOK: Duration = Duration::from_millis(10);

/// The pipes of a program, each for whoever uses it.
#[derive(Debug)]
pub struct ChildPipes {
    /// What the program reads. Dropping it is the end of its input.
    pub input: ChildStdin,
    /// What it writes to stdout.
    pub output: ChildStdout,
    /// What it writes to stderr.
    pub errors: ChildStderr,
}

/// How long a program is waited for on each step of its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndGraces {
    /// After the end of its input, before SIGTERM.
    pub after_end_of_input: Duration,
    /// After SIGTERM, before SIGKILL; and for what is left of its group once it has ended.
    pub after_terminate: Duration,
}

/// A program that was started here, with the group that it leads.
///
/// Dropped while the group may live, it kills the group at once.
#[derive(Debug)]
pub struct ChildProcess {
    child: Child,
    group: Group,
    guardian: Option<Guardian>,
    /// Nothing of the group is left, or what is left was given to somebody else.
    is_over: bool,
}

impl ChildProcess {
    /// Starts a program in a group of its own, guarded if the configuration names a guardian.
    ///
    /// A guardian that cannot be started is no reason not to run the program: see [`ChildProcess::is_guarded`].
    ///
    /// # Errors
    /// [`StartChildError`] if the program cannot be started.
    ///
    /// # Panics
    /// Outside a runtime with I/O.
    pub fn start(config: &CommandConfig) -> Result<(Self, ChildPipes), StartChildError> {
        let guardian = config.guard.as_ref().and_then(start_guardian);
        let mut child = config
            .command()
            .spawn()
            .map_err(|source| config.refusal(source))?;
        let (pipes, leader) = parts(&mut child).map_err(|source| config.refusal(source))?;
        let group = Group::led_by(leader);
        let guardian = guardian.and_then(|guardian| set_to_guard(guardian, group));
        let process = Self {
            child,
            group,
            guardian,
            is_over: false,
        };
        Ok((process, pipes))
    }

    /// The number of the program's process, which is that of its group too.
    pub const fn id(&self) -> u32 {
        self.group.number()
    }

    /// Whether the group ends even if this process is killed.
    pub const fn is_guarded(&self) -> bool {
        self.guardian.is_some()
    }

    /// Waits until the program has ended; not until its pipes have, which those that it started may hold.
    /// After that it returns the same at once.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn ended(&mut self) -> ChildEnd {
        let status = self.child.wait().await;
        if !self.is_over && !self.group.is_alive() {
            // From here on the system may give the group's number to others.
            self.be_over();
        }
        status.map_or(ChildEnd::Unknown, |status: ExitStatus| status.into())
    }

    /// Tells every process of the program's group. False if there is none left.
    pub fn signal(&mut self, signal: ChildSignal) -> bool {
        let is_told = !self.is_over && self.group.signal(signal);
        if cfg!(not(unix)) && signal == ChildSignal::Kill {
            return self.child.start_kill().is_ok();
        }
        is_told
    }

    /// Waits for the program to end after the end of its input; then asks with SIGTERM; then kills. At last the same for
    /// what it left behind in its group.
    ///
    /// Its input has to be dropped by the caller before. Takes at most both graces, the second one twice, and until the
    /// system has ended what was killed.
    ///
    /// # Cancel safety
    /// Safe: called again it begins from the first step.
    pub async fn end(&mut self, graces: EndGraces) -> ChildEnd {
        let ended = self.end_program(graces).await;
        self.end_group(graces.after_terminate).await;
        ended
    }

    async fn end_program(&mut self, graces: EndGraces) -> ChildEnd {
        if let Ok(ended) = timeout(graces.after_end_of_input, self.ended()).await {
            return ended;
        }
        self.signal(ChildSignal::Terminate);
        if let Ok(ended) = timeout(graces.after_terminate, self.ended()).await {
            return ended;
        }
        self.signal(ChildSignal::Kill);
        self.ended().await
    }

    /// Ends what is left of the group of a program that has ended: SIGTERM, up to `grace`, SIGKILL.
    ///
    /// # Cancel safety
    /// Safe: called again it begins anew.
    pub async fn end_group(&mut self, grace: Duration) {
        if !self.is_over && self.group.signal(ChildSignal::Terminate) {
            let gone = async {
                while self.group.is_alive() {
                    sleep(LOOK).await;
                }
            };
            if timeout(grace, gone).await.is_err() {
                self.group.signal(ChildSignal::Kill);
            }
        }
        self.be_over();
    }

    /// Leaves what is left of the group to the guardian, which asks it to end and then makes it. Without a guardian it is
    /// killed at once. For a process that wants to end itself without waiting.
    pub fn leave_group(mut self) {
        if !self.group.is_alive() {
            self.be_over();
        } else if self.guardian.take().is_some() {
            // Its pipe has just ended, which it takes for our death.
            self.is_over = true;
        }
    }

    fn be_over(&mut self) {
        self.is_over = true;
        if let Some(guardian) = self.guardian.take() {
            guardian.done();
        }
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        if !self.is_over {
            self.signal(ChildSignal::Kill);
            self.be_over();
        }
    }
}

/// Takes the pipes and the number out of a process that has just been started.
fn parts(child: &mut Child) -> io::Result<(ChildPipes, u32)> {
    let pipes = ChildPipes {
        input: child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?,
        output: child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?,
        errors: child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?,
    };
    let leader = child.id().ok_or(io::ErrorKind::NotFound)?;
    Ok((pipes, leader))
}

fn start_guardian(command: &GuardCommand) -> Option<Guardian> {
    Guardian::start(command)
        .inspect_err(|error| {
            tracing::warn!(%error, program = %command.program.display(), "no guardian: a child may outlive a kill -9");
        })
        .ok()
}

fn set_to_guard(mut guardian: Guardian, group: Group) -> Option<Guardian> {
    guardian
        .guard(group)
        .inspect_err(|error| tracing::warn!(%error, "the guardian is gone: a child may outlive a kill -9"))
        .ok()
        .map(|()| guardian)
}
