//! Moves bytes between the client and the command: a thread for each pipe, which reads, notes and writes.
//!
//! Threads and not tasks: nothing that this program does beside it can make a message wait, and a read that blocks needs
//! no further thread to do so. What could not be written goes nowhere, as it would without us: the side that does not
//! read any more is closed to the other side as well.
//!
//! A thread waits for a proxy only behind a closed [gate](super::gate): when rules are armed there.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stderr, stdin, stdout};
use shadowcat::child::ChildPipes;
use shadowcat::door::message::RunPipe;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::gate::{Event, Gate, Gates};
use super::queue::Observers;

/// Bytes that are moved at once; what a pipe of the system holds.
const CHUNK_BYTES: usize = 64 << 10;
/// Once the command has ended, its pipes are waited for as long as something comes out of them at least this often.
/// A process that it left behind may hold them.
const QUIET: Duration = Duration::from_millis(500);
/// But no longer than so many times [`QUIET`]: what the command itself said is in its pipes and comes out at once, so
/// somebody else is talking.
const MOST_TALK: u32 = 4;

/// The three threads.
#[derive(Debug)]
pub(super) struct Pumps {
    output: Arc<Progress>,
    errors: Arc<Progress>,
    is_hurried: AtomicBool,
}

/// How far a thread is.
#[derive(Debug, Default)]
struct Progress {
    reads: AtomicU64,
    is_writing: AtomicBool,
    is_done: AtomicBool,
    done: Notify,
}

impl Progress {
    async fn ended(&self) {
        while !self.is_done.load(Ordering::Acquire) {
            self.done.notified().await;
        }
    }
}

impl Pumps {
    /// Starts to move.
    ///
    /// # Errors
    /// What the system says if it gives no threads.
    pub(super) fn start(pipes: ChildPipes, observers: &Observers, gates: &Gates) -> io::Result<Self> {
        let input = pipes.input.into_owned_fd()?;
        let output = pipes.output.into_owned_fd()?;
        let errors = pipes.errors.into_owned_fd()?;
        Self::between((input, output, Some(errors)), observers, gates)
    }

    /// Starts to move from our stdin to `input`, and from `output` and `errors` to our stdout and stderr. Without `errors`
    /// our stderr is left alone.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub(super) fn between(
        (input, output, errors): (OwnedFd, OwnedFd, Option<OwnedFd>),
        observers: &Observers,
        gates: &Gates,
    ) -> io::Result<Self> {
        let pumps = Self {
            output: Arc::default(),
            errors: Arc::default(),
            is_hurried: AtomicBool::new(false),
        };
        let (telling, progress, gating) = (observers.clone(), Arc::default(), gates.clone());
        thread("input", move || {
            pump_gated((RunPipe::In, &gating), &stdin(), &input, &telling, &progress);
            drop(input);
            // The client is to notice that nobody reads.
            close(dup2_stdin);
        })?;
        let (telling, progress, gating) = (observers.clone(), Arc::clone(&pumps.output), gates.clone());
        thread("output", move || {
            pump_gated((RunPipe::Out, &gating), &output, &stdout(), &telling, &progress);
            drop(output);
            close(dup2_stdout);
            progress.finish();
        })?;
        let Some(errors) = errors else {
            observers.ended(RunPipe::Err);
            pumps.errors.finish();
            return Ok(pumps);
        };
        let (telling, progress) = (observers.clone(), Arc::clone(&pumps.errors));
        thread("errors", move || {
            pump(RunPipe::Err, &errors, &stderr(), &telling, &progress);
            drop(errors);
            close(dup2_stderr);
            progress.finish();
        })?;
        Ok(pumps)
    }

    /// Waits until the command's output and error output have been passed on to their end, or nothing has come out of them
    /// for a while although they are open, or what comes does not end. Not while the client takes its time to read, unless it is in a
    /// [hurry](Self::hurry).
    pub(super) async fn drained(&self) {
        let mut seen = self.reads();
        let mut talk = 0;
        loop {
            let both = async {
                self.output.ended().await;
                self.errors.ended().await;
            };
            if timeout(QUIET, both).await.is_ok() {
                return;
            }
            let now = self.reads();
            if now != seen {
                talk += 1;
            } else if !self.is_writing() || self.is_hurried.load(Ordering::Acquire) {
                return;
            }
            if talk == MOST_TALK {
                return;
            }
            seen = now;
        }
    }

    /// The client wants the end: what it does not read now it never will.
    pub(super) fn hurry(&self) {
        self.is_hurried.store(true, Ordering::Release);
    }

    /// Closes our stdout to the client, if that has not happened yet: from here on nothing more is passed on.
    pub(super) fn close_output(&self) {
        if !self.output.is_done.load(Ordering::Acquire) {
            close(dup2_stdout);
        }
    }

    fn reads(&self) -> u64 {
        self.output.reads.load(Ordering::Acquire) + self.errors.reads.load(Ordering::Acquire)
    }

    fn is_writing(&self) -> bool {
        self.output.is_writing.load(Ordering::Acquire) || self.errors.is_writing.load(Ordering::Acquire)
    }
}

impl Progress {
    fn finish(&self) {
        self.is_done.store(true, Ordering::Release);
        self.done.notify_one();
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = std::thread::Builder::new().name(format!("shadowcat-{name}"));
    thread.spawn(work).map(drop)
}

/// Puts the null device in place of one of our three streams, which closes that to whoever is at its other end.
fn close(replace: impl FnOnce(OwnedFd) -> rustix::io::Result<()>) {
    let null = File::options().read(true).write(true).open("/dev/null");
    if let Ok(null) = null {
        // What cannot be closed now is closed when we end.
        let _ = replace(null.into());
    }
}

/// Moves bytes until there are no more, or nobody takes them.
fn pump(pipe: RunPipe, from: &impl AsFd, to: &impl AsFd, observers: &Observers, progress: &Progress) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = match read(from, &mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        progress.is_writing.store(true, Ordering::Release);
        progress.reads.fetch_add(1, Ordering::Release);
        let bytes = chunk.get(..read).unwrap_or_default();
        observers.passed(pipe, bytes);
        let written = write_all(to, bytes);
        progress.is_writing.store(false, Ordering::Release);
        if written.is_err() {
            break;
        }
    }
    observers.ended(pipe);
}

/// The same through the gate of a pipe.
fn pump_gated(
    (pipe, gates): (RunPipe, &Gates),
    from: &impl AsFd,
    to: &impl AsFd,
    observers: &Observers,
    progress: &Progress,
) {
    let Some(gate) = gates.of(pipe) else {
        return pump(pipe, from, to, observers, progress);
    };
    let mut moving = Gated {
        gate,
        read_within_line: false,
        wrote_within_line: false,
        has_ended: false,
    };
    let mut chunk = vec![0; CHUNK_BYTES];
    // Nobody takes it any more, or all has been passed on.
    while moving
        .step(pipe, (from, to), &mut chunk, (observers, progress))
        .is_ok_and(|goes_on| goes_on)
    {}
    progress.is_writing.store(false, Ordering::Release);
    if !moving.has_ended {
        observers.ended(pipe);
    }
}

/// How far a pump is that has a gate.
struct Gated<'a> {
    gate: &'a Gate,
    read_within_line: bool,
    wrote_within_line: bool,
    has_ended: bool,
}

impl Gated<'_> {
    /// Does the next thing. False if there is none any more.
    fn step(
        &mut self,
        pipe: RunPipe,
        (from, to): (&impl AsFd, &impl AsFd),
        chunk: &mut [u8],
        (observers, progress): (&Observers, &Progress),
    ) -> Result<bool, Errno> {
        if self.write_ready(to, progress)? {
            return Ok(true);
        }
        if self.gate.is_over() {
            return Ok(false);
        }
        let waits = self.gate.has_kept();
        if self.has_ended && !waits {
            return Ok(false);
        }
        // What waits is still to be written.
        progress.is_writing.store(waits, Ordering::Release);
        let open = (!self.has_ended).then_some(from);
        if self.gate.wait(open)? == Event::Woken {
            return Ok(true);
        }
        let read = read(from, chunk).unwrap_or(0);
        if read == 0 {
            self.has_ended = true;
            observers.ended(pipe);
            return Ok(true);
        }
        progress.reads.fetch_add(1, Ordering::Release);
        let bytes = chunk.get(..read).unwrap_or_default();
        let passes = self.gate.take(pipe, bytes, self.read_within_line, observers);
        self.read_within_line = is_within_line(bytes);
        // What was released before these bytes came goes on before them.
        self.write_ready(to, progress)?;
        self.write(to, bytes.get(..passes).unwrap_or_default(), progress)?;
        Ok(true)
    }

    fn write_ready(&mut self, to: &impl AsFd, progress: &Progress) -> Result<bool, Errno> {
        let ready = self.gate.take_ready(self.wrote_within_line);
        self.write(to, &ready, progress)?;
        Ok(!ready.is_empty())
    }

    fn write(&mut self, to: &impl AsFd, bytes: &[u8], progress: &Progress) -> Result<(), Errno> {
        if bytes.is_empty() {
            return Ok(());
        }
        progress.is_writing.store(true, Ordering::Release);
        self.wrote_within_line = is_within_line(bytes);
        write_all(to, bytes)?;
        progress.is_writing.store(self.gate.has_kept(), Ordering::Release);
        Ok(())
    }
}

/// Whether what ends here does not end a line.
fn is_within_line(bytes: &[u8]) -> bool {
    bytes.last().is_some_and(|byte| *byte != b'\n')
}

fn read(from: &impl AsFd, chunk: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match rustix::io::read(from, &mut *chunk) {
            Err(Errno::INTR) => {}
            // Whoever started us may have left a pipe of theirs so.
            Err(Errno::AGAIN) => wait(from, PollFlags::IN)?,
            other => return other,
        }
    }
}

fn write_all(to: &impl AsFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(0) => return Err(Errno::PIPE),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait(to, PollFlags::OUT)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn wait(on: &impl AsFd, what: PollFlags) -> Result<(), Errno> {
    match poll(&mut [PollFd::new(on, what)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error),
    }
}
