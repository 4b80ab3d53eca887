//! The binary run headless, as a script would run it.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use tempfile::TempDir;

/// A home of its own, so that neither the tester's configuration nor log is touched.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shadowcat-tui"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SHADOWCAT_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .current_dir(self.path())
            .env("HOME", self.path())
            .env("XDG_CONFIG_HOME", self.path().join("config"))
            .env("XDG_STATE_HOME", self.path().join("state"))
            .env("SHADOWCAT_DOOR_DIR", self.path().join("door"))
            .env("XDG_DATA_HOME", self.path().join("data"))
            .env_remove("NO_COLOR")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The same in a shell where `ulimit` was called with `bound` before.
    #[cfg(unix)]
    pub(crate) fn bounded(&self, bound: &str, arguments: &[&str]) -> Command {
        let inner = self.command(arguments);
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("ulimit {bound} && exec \"$@\""), "sh"])
            .arg(inner.get_program())
            .args(inner.get_args());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the same file by another path that leads to it.
    pub(crate) fn run_as(&self, program: &Path, arguments: &[&str]) -> Ran {
        let inner = self.command(arguments);
        let mut command = Command::new(program);
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let output = command.args(arguments).current_dir(self.path()).output();
        Ran::of(&output.unwrap())
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.command(arguments).output().unwrap())
    }
}

/// How a run ended and what it printed.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout.clone()).unwrap(),
            stderr: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not in {}", self.stderr);
        }
        assert_eq!(self.stdout, "", "an error belongs on stderr");
    }
}

/// A headless proxy on a free port.
pub(crate) struct Headless {
    pub(crate) child: Child,
    pub(crate) stderr: BufReader<ChildStderr>,
    pub(crate) address: String,
}

impl Headless {
    pub(crate) fn start(home: &Home, arguments: &[&str]) -> Self {
        Self::of(
            home.command(&["--headless", "--listen", "127.0.0.1:0"])
                .args(arguments),
        )
    }

    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(
                stderr.read_line(&mut line).unwrap() > 0,
                "it ended without listening"
            );
            if let Some((_, address)) = line.trim_end().split_once("listening on http://") {
                break address.to_owned();
            }
        };
        Self {
            child,
            stderr,
            address,
        }
    }

    pub(crate) fn line_with(&mut self, word: &str) -> String {
        let mut line = String::new();
        while !line.contains(word) {
            line.clear();
            assert!(
                self.stderr.read_line(&mut line).unwrap() > 0,
                "no line has {word}"
            );
        }
        line
    }

    #[cfg(unix)]
    fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        let process = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(process, signal).unwrap();
    }

    #[cfg(unix)]
    pub(crate) fn tell_to_end(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    #[cfg(unix)]
    pub(crate) fn interrupt(&self) {
        self.signal(rustix::process::Signal::INT);
    }

    #[cfg(unix)]
    pub(crate) fn terminate(self) -> Ran {
        self.tell_to_end();
        self.ended()
    }

    /// How it ended, once it has.
    pub(crate) fn ended(mut self) -> Ran {
        let mut stderr = String::new();
        self.stderr.read_to_string(&mut stderr).unwrap();
        let output = self.child.wait_with_output().unwrap();
        Ran {
            stderr,
            ..Ran::of(&output)
        }
    }

    /// Its exit code once it has ended by itself.
    pub(crate) fn wait(mut self) -> Option<i32> {
        let mut stderr = String::new();
        self.stderr.read_to_string(&mut stderr).unwrap();
        self.child.wait().unwrap().code()
    }
}
