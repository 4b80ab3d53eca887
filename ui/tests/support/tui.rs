//! The binary in a pseudo-terminal: keys in, screens out. Shared by the tests and the benchmark of key latency.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, SlavePty, native_pty_system};
use shadowcat::clock::{Clock, Timestamp};

/// Reads that may wait to be taken; then the program waits for the terminal, as it would anywhere.
const CHUNKS: usize = 64;

/// How long to wait for more before looking whether the program has ended.
const A_MOMENT: Duration = Duration::from_millis(100);

/// A run of the program on a terminal.
pub(crate) struct Tui {
    pub(crate) terminal: vt100::Parser,
    /// Every byte that the program has written.
    pub(crate) written: Vec<u8>,
    pub(crate) master: Box<dyn MasterPty + Send>,
    pub(crate) child: Box<dyn Child + Send + Sync>,
    /// Kept open so that the terminal outlives the program, as a shell's would.
    slave: Option<Box<dyn SlavePty + Send>>,
    keys: Box<dyn Write + Send>,
    chunks: Receiver<Vec<u8>>,
    clock: Clock,
}

pub(crate) const fn size(columns: u16, rows: u16) -> PtySize {
    PtySize {
        rows,
        cols: columns,
        pixel_width: 0,
        pixel_height: 0,
    }
}

/// The program with a home of its own, so that neither configuration nor log of the tester is touched.
pub(crate) fn command(home: &Path, arguments: &[&str]) -> CommandBuilder {
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_shadowcat-tui"));
    command.args(arguments);
    command.cwd(home);
    command.env_clear();
    for (name, value) in [
        ("HOME", home.to_path_buf()),
        ("XDG_CONFIG_HOME", home.join("config")),
    ] {
        command.env(name, value);
    }
    command.env("XDG_STATE_HOME", home.join("state"));
    command.env("SHADOWCAT_DOOR_DIR", home.join("door"));
    command.env("TERM", "xterm-256color");
    command
}

impl Tui {
    /// Starts `command` on a terminal of so many columns and rows.
    pub(crate) fn start(command: CommandBuilder, columns: u16, rows: u16) -> Self {
        let pair = native_pty_system().openpty(size(columns, rows)).unwrap();
        let chunks = read_from(pair.master.try_clone_reader().unwrap());
        Self {
            child: pair.slave.spawn_command(command).unwrap(),
            terminal: vt100::Parser::new(cells(rows), cells(columns), 0),
            written: Vec::new(),
            keys: pair.master.take_writer().unwrap(),
            master: pair.master,
            slave: Some(pair.slave),
            chunks,
            clock: Clock::start(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Types `keys`, escape sequences as they are.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    pub(crate) fn text(&self) -> String {
        self.terminal.screen().contents()
    }

    /// Takes what the program writes next; `false` if nothing came within `patience`, or nothing will.
    pub(crate) fn read(&mut self, patience: Duration) -> bool {
        match self.chunks.recv_timeout(patience) {
            Ok(chunk) => {
                self.terminal.process(&chunk);
                self.written.extend_from_slice(&chunk);
                true
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => false,
        }
    }

    /// Reads until the screen is as wanted.
    ///
    /// # Panics
    /// If it is not within `patience`; says `what` was waited for and what was on the screen.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, patience: Duration, is_wanted: impl Fn(&str) -> bool) {
        let started = self.now();
        while !is_wanted(&self.text()) {
            let waited = self.now().since(started);
            let has_more = self.read(A_MOMENT.min(patience));
            let is_over = !has_more && !matches!(self.child.try_wait(), Ok(None));
            assert!(
                waited < patience && !is_over,
                "{what}: not on the screen after {waited:?}:\n{}",
                self.text()
            );
        }
    }

    /// Waits for the program's end and takes all it has still written.
    ///
    /// # Panics
    /// If it does not end within `patience`; says what was on the screen.
    #[track_caller]
    pub(crate) fn finish(&mut self, patience: Duration) -> ExitStatus {
        let started = self.now();
        // What the program writes last has to be read, or it could not end.
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            self.read(Duration::from_millis(20));
            let waited = self.now().since(started);
            assert!(
                waited < patience,
                "still running after {waited:?}:\n{}",
                self.text()
            );
        };
        self.slave = None;
        while self.read(Duration::from_secs(5)) {}
        status
    }
}

impl Drop for Tui {
    /// A failed test leaves nothing running.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn read_from(mut reader: Box<dyn Read + Send>) -> Receiver<Vec<u8>> {
    let (sender, chunks) = sync_channel(CHUNKS);
    let pump = move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = reader.read(&mut buffer) {
            if sender.send(buffer[..length].to_vec()).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().spawn(pump).unwrap();
    chunks
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}
