//! The guardian: a small process of our own that ends a program's group if we end without having done so, even by SIGKILL.
//!
//! Its stdin is a pipe whose other end only we hold. It is told the group, and later that everything is done; if the pipe
//! ends first, we have died, and the group is asked to end, then made to. The system closes the pipe however we die.

use std::io::{self, Read};
use std::thread;
use std::time::Duration;

use super::group::{ChildSignal, Group};

/// What the guardian is told last if there is nothing left to do.
const DONE: &str = "done";
/// How long a group has after SIGTERM.
const GRACE: Duration = Duration::from_secs(1);
/// How often it is looked whether the group has gone.
const LOOK: Duration = Duration::from_millis(20);
/// More is not a word of ours.
const MAX_WORDS: u64 = 256;

/// Does the guardian's work: reads `input` to its end and ends the group named there, unless it was told that this is
/// done. Returns when nothing is left to do; blocks until then.
pub fn keep(input: impl Read) {
    let mut words = String::new();
    // What came before an error still counts: the group may be known already.
    let _: io::Result<usize> = input.take(MAX_WORDS).read_to_string(&mut words);
    if let Some(group) = orphaned(&words) {
        end(group);
    }
}

/// The group that is left without us, from what was said until the end.
fn orphaned(words: &str) -> Option<Group> {
    let mut lines = words.lines();
    let group = lines.next()?.parse().ok()?;
    lines.all(|line| line != DONE).then_some(Group::led_by(group))
}

fn end(group: Group) {
    group.signal(ChildSignal::Terminate);
    let mut waited = Duration::ZERO;
    while group.is_alive() && waited < GRACE {
        thread::sleep(LOOK);
        waited += LOOK;
    }
    group.signal(ChildSignal::Kill);
}

/// Our end of a guardian.
#[derive(Debug)]
pub(super) struct Guardian {
    #[cfg(unix)]
    voice: std::fs::File,
}

#[cfg(unix)]
impl Guardian {
    /// Starts a guardian that guards nothing yet.
    ///
    /// # Errors
    /// What the system says if it cannot be started.
    pub(super) fn start(command: &super::GuardCommand) -> io::Result<Self> {
        use std::process::Stdio;
        // Its own group, so that it outlives whatever ends ours; no directory or pipe of ours is held by it.
        let mut guardian = tokio::process::Command::new(&command.program)
            .args(&command.args)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let input = guardian.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        // The handle is dropped: the runtime waits for the process when it has ended.
        Ok(Self {
            voice: std::fs::File::from(input.into_owned_fd()?),
        })
    }

    /// From here on the group is guarded.
    pub(super) fn guard(&mut self, group: Group) -> io::Result<()> {
        self.say(group.number())
    }

    /// There is nothing left to guard.
    pub(super) fn done(mut self) {
        // A guardian that is gone has nothing to end either.
        let _ = self.say(DONE);
    }

    /// A few bytes always fit into the pipe.
    fn say(&mut self, word: impl std::fmt::Display) -> io::Result<()> {
        io::Write::write_all(&mut self.voice, format!("{word}\n").as_bytes())
    }
}

#[cfg(not(unix))]
impl Guardian {
    pub(super) fn start(_command: &super::GuardCommand) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn guard(&mut self, _group: Group) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn done(self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_ended_only_if_nobody_said_that_it_is_done() {
        assert_eq!(orphaned("4711\n"), Some(Group::led_by(4711)));
        assert_eq!(orphaned("4711\ndone\n"), None);
        assert_eq!(orphaned(""), None);
        assert_eq!(orphaned("done\n"), None);
    }
}
