//! The shim: a client starts `wrap -- COMMAND` in place of the command and notices no difference.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "wrap/again.rs"]
mod again;
#[path = "support/binary.rs"]
mod binary;
#[path = "wrap/ends.rs"]
mod ends;
#[path = "wrap/holding.rs"]
mod holding;
#[path = "wrap/passing.rs"]
mod passing;
#[path = "wrap/proxies.rs"]
mod proxies;
#[path = "wrap/recorded.rs"]
mod recorded;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use binary::Home;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use shadowcat::clock::Clock;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// A command that runs behind the shim, with the client's ends of its pipes.
struct Wrapped {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Wrapped {
    fn start(home: &Home, options: &[&str], command: &[&str]) -> Self {
        Self::of(&mut wrap(home, options, command))
    }

    /// The same without a listener to what the command says on the side.
    fn of(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn say(&mut self, text: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.output.read_line(&mut line).unwrap() > 0, "the output ended");
        line.trim_end().to_owned()
    }

    /// A line there and back.
    fn echo(&mut self, text: &str) {
        self.say(&format!("{text}\n"));
        assert_eq!(self.line(), text);
    }

    fn pid(&self) -> Pid {
        pid(&self.child.id().to_string())
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// What it still says, and how it ends.
    fn rest(mut self) -> (Vec<u8>, ExitStatus) {
        let mut rest = Vec::new();
        self.output.read_to_end(&mut rest).unwrap();
        (rest, self.child.wait().unwrap())
    }

    /// The end of its input, and how it ends then.
    fn finish(mut self) -> ExitStatus {
        drop(self.input.take());
        self.rest().1
    }
}

fn wrap(home: &Home, options: &[&str], command: &[&str]) -> Command {
    home.command(&[&["wrap"], options, &["--"], command].concat())
}

fn pid(text: &str) -> Pid {
    Pid::from_raw(text.parse().unwrap()).unwrap()
}

/// Waits for what has no event to wait for.
fn until(what: &str, mut is_it: impl FnMut() -> bool) {
    let clock = Clock::start();
    while !is_it() {
        assert!(clock.now().since(clock.started_at()) < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}

/// Whether a process is there and has not ended. One that has ended is there until somebody waits for it.
fn is_running(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    match stat {
        Ok(stat) => !stat
            .rsplit_once(')')
            .is_some_and(|(_, rest)| rest.trim_start().starts_with('Z')),
        Err(_) => !cfg!(target_os = "linux") && test_kill_process(process).is_ok(),
    }
}

fn until_gone(process: Pid) {
    until(
        &format!("the end of process {}", process.as_raw_nonzero()),
        || !is_running(process),
    );
}
