//! One running program: its pipes are moved by one task, which also sees its end.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::join3;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::child::{ChildEnd, ChildPipes, ChildProcess, EndGraces, StartChildError};
use crate::codec::envelope::{EnvelopeScanner, scan};
use crate::codec::lines::{LineCutter, LinePiece, line_content};
use crate::ids::Side;
use crate::resource::meters::{Lease, Share};
use crate::session::registry::Session;
use crate::tasks::{TaskKind, TaskPermit};
use crate::transport::hub::Hub;
use crate::transport::run::{Run, RunEnd, RunFacts, RunStream, RunTap};

use super::desk::Desk;
use super::reply::Visit;
use super::routing::Routing;
use super::server::BridgeServer;
use super::tail::Tail;

/// Lines of clients that wait until the program reads them; who has more to say waits.
const LINES_WAITING: usize = 64;
/// Lines of our own that may wait beside them.
const OWN_LINES_WAITING: usize = 1024;
/// How much of a pipe is read at once.
const READ_BYTES: usize = 64 * 1024;
/// A line below this is copied out of what was read with it, so that it does not keep all of that.
const COPIED: usize = READ_BYTES / 4;
/// How long the pipes of a program that has ended may stay open, since those that it started may hold them.
const AFTER_EXIT: Duration = Duration::from_secs(1);
/// How long a program has on each step of its end.
const GRACE: Duration = Duration::from_secs(2);

/// A line on its way to the program. What it holds is given back when it was written.
#[derive(Debug)]
struct InputLine {
    bytes: Bytes,
    held: Option<(OwnedSemaphorePermit, Lease)>,
}

/// The way to a running program.
#[derive(Debug)]
pub(super) struct ChildLink {
    input: mpsc::Sender<InputLine>,
    room: Arc<Semaphore>,
    stop: CancellationToken,
}

/// The program does not read any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DeafError;

impl ChildLink {
    /// Puts a client's line, its end included, into the queue for the program, and waits for room there.
    ///
    /// # Cancel safety
    /// Safe: a dropped future has sent nothing.
    pub(super) async fn send(&self, bytes: Bytes, lease: Lease) -> Result<(), DeafError> {
        let room = Arc::clone(&self.room).acquire_owned().await;
        let held = Some((room.map_err(|_| DeafError)?, lease));
        let line = InputLine { bytes, held };
        self.input.try_send(line).map_err(|_| DeafError)
    }

    /// Puts a line of our own into the queue, if there is room. False if not.
    pub(super) fn say(&self, bytes: Bytes) -> bool {
        let line = InputLine { bytes, held: None };
        self.input.try_send(line).is_ok()
    }

    /// Asks the program to end, step by step.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }
}

/// Why a program was not started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartFailure {
    /// As many run as may.
    #[error(
        "max_children ({limit}) was reached: so many programs run for clients here; end sessions that are not needed (DELETE), or raise --max-children"
    )]
    Full { limit: usize },
    /// There is no room for its task.
    #[error("{0}")]
    Busy(String),
    /// The system refused.
    #[error("{0}")]
    Refused(String),
}

/// What is started for whom.
pub(super) struct Launch<'a> {
    pub(super) hub: &'a Arc<Hub>,
    pub(super) server: &'a Arc<BridgeServer>,
    /// Who asked for it, in words.
    pub(super) client: String,
    /// The session that it belongs to; one of its own without.
    pub(super) session: Option<Arc<Session>>,
}

impl<'a> Launch<'a> {
    /// Of a program for one client.
    pub(super) fn of(visit: &Visit<'a>) -> Self {
        Self {
            hub: visit.hub,
            server: visit.server,
            client: visit.client.to_string(),
            session: visit.exchange.session(),
        }
    }
}

/// Starts a program whose output goes to `desk`. `when_over` is called when it is gone and its clients were told.
///
/// # Cancel safety
/// Safe: a program whose start was given up is killed.
pub(super) async fn start<R: Routing>(
    launch: Launch<'_>,
    desk: &Arc<Desk<R>>,
    when_over: impl FnOnce() + Send + 'static,
) -> Result<(), StartFailure> {
    let (hub, server) = (launch.hub, launch.server);
    let place = ChildPlace::find(hub).await?;
    let started = ChildProcess::start(&server.command());
    let (process, pipes) = started.map_err(|error| refusal(hub, server, &error))?;
    let run = Run::begin(hub, facts(&launch, process.id()), launch.session.clone()).await;
    let (input, lines) = mpsc::channel(LINES_WAITING + OWN_LINES_WAITING);
    let stop = CancellationToken::new();
    desk.connect(ChildLink {
        input,
        room: Arc::new(Semaphore::new(LINES_WAITING)),
        stop: stop.clone(),
    });
    server.note_start(Ok(()), hub.clock.now());
    let pump = Pump {
        hub: Arc::clone(hub),
        server: Arc::clone(server),
        desk: Arc::clone(desk),
        run,
        process,
        stop,
        _place: place,
    };
    hub.tasks.spawn(TaskKind::Child, async move {
        pump.run(pipes, lines).await;
        when_over();
    });
    Ok(())
}

fn refusal(hub: &Hub, server: &BridgeServer, error: &StartChildError) -> StartFailure {
    let text = crate::transport::causes::describe(error);
    server.note_start(Err(text.clone()), hub.clock.now());
    StartFailure::Refused(text)
}

fn facts(launch: &Launch<'_>, pid: u32) -> RunFacts {
    let config = launch.server.config();
    let mut env_names: Vec<String> = std::env::vars_os()
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .chain(config.env.iter().map(|(name, _)| name.clone()))
        .collect();
    env_names.sort_unstable();
    env_names.dedup();
    let words = std::iter::once(&config.program).chain(&config.args);
    RunFacts {
        side: Side::Reverse,
        server: Arc::clone(&launch.server.label),
        client: launch.client.clone(),
        argv: words.cloned().collect(),
        cwd: working_directory(config.cwd.as_deref()),
        env_names,
        pid: Some(pid),
        is_bridged: true,
    }
}

/// Where a program runs: in the directory of the configuration, or else in ours.
fn working_directory(configured: Option<&Path>) -> Option<String> {
    let directory = match configured {
        Some(configured) => std::path::absolute(configured),
        None => std::env::current_dir(),
    };
    // One that was removed has no name any more.
    directory.ok().map(|directory| directory.display().to_string())
}

/// One of the `max_children` places.
#[derive(Debug)]
struct ChildRoom(Arc<Hub>);

impl ChildRoom {
    fn find(hub: &Arc<Hub>) -> Result<Self, StartFailure> {
        let limit = hub.limits.max_children;
        if hub.meters.children.try_add(limit as u64) {
            Ok(Self(Arc::clone(hub)))
        } else {
            Err(StartFailure::Full { limit })
        }
    }
}

impl Drop for ChildRoom {
    fn drop(&mut self) {
        self.0.meters.children.sub(1);
    }
}

/// The place of a program, and that of its task.
#[derive(Debug)]
#[expect(dead_code, reason = "held for its drop")]
struct ChildPlace {
    room: ChildRoom,
    permit: TaskPermit,
}

impl ChildPlace {
    async fn find(hub: &Arc<Hub>) -> Result<Self, StartFailure> {
        let room = ChildRoom::find(hub)?;
        let permit = hub.tasks.permit(TaskKind::Child, hub.limits.queue_timeout).await;
        let permit = permit.map_err(|error| StartFailure::Busy(error.to_string()))?;
        Ok(Self { room, permit })
    }
}

/// Why a program's time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// It ended by itself.
    Ended,
    /// It closed its output, so nothing more can come.
    Mute,
    /// Its client said so.
    Asked,
    /// The proxy ends.
    ProxyEnds,
}

struct Pump<R: Routing> {
    hub: Arc<Hub>,
    server: Arc<BridgeServer>,
    desk: Arc<Desk<R>>,
    run: Run,
    process: ChildProcess,
    stop: CancellationToken,
    _place: ChildPlace,
}

impl<R: Routing> Pump<R> {
    async fn run(mut self, pipes: ChildPipes, lines: mpsc::Receiver<InputLine>) {
        let tail = Arc::new(Tail::default());
        let mute = Arc::new(Notify::new());
        let close_input = CancellationToken::new();
        let feeding = feed(pipes.input, self.run.tap(RunStream::Input), lines);
        let feeding = close_input.clone().run_until_cancelled_owned(feeding);
        let output = read_output(
            pipes.output,
            self.run.tap(RunStream::Output),
            Arc::clone(&self.hub),
            Arc::clone(&self.desk),
        );
        let output = {
            let mute = Arc::clone(&mute);
            async move {
                output.await;
                mute.notify_one();
            }
        };
        let errors = read_errors(pipes.errors, self.run.tap(RunStream::Errors), Arc::clone(&tail));
        let mut moving = Moving::new(join3(feeding, output, errors));

        let cause = moving.beside(self.cause(&mute)).await;
        close_input.cancel();
        let graces = self.graces(cause);
        let end = if cause == Cause::Ended {
            self.process.ended().await
        } else {
            moving.beside(self.process.end(graces)).await
        };
        moving.finish(AFTER_EXIT).await;
        self.process.end_group(graces.after_terminate).await;
        drop(moving);
        self.tell_end(cause, end, &tail).await;
    }

    async fn cause(&mut self, mute: &Notify) -> Cause {
        let proxy_ends = async {
            self.hub.tasks.stopping().cancelled().await;
            let patience = self.hub.limits.drain_timeout / 4;
            // Whoever still waits then gets an error.
            let _ = timeout(patience, self.desk.run_dry()).await;
        };
        tokio::select! {
            _ = self.process.ended() => Cause::Ended,
            () = mute.notified() => Cause::Mute,
            () = self.stop.cancelled() => Cause::Asked,
            () = proxy_ends => Cause::ProxyEnds,
        }
    }

    /// All steps together take less than `drain_timeout`, so that a stopping proxy leaves nobody behind.
    fn graces(&self, cause: Cause) -> EndGraces {
        let drain = self.hub.limits.drain_timeout;
        let (first, second) = match cause {
            Cause::ProxyEnds => (drain / 4, drain / 8),
            _ => (GRACE.min(drain / 2), GRACE.min(drain / 4)),
        };
        EndGraces {
            after_end_of_input: first,
            after_terminate: second,
        }
    }

    async fn tell_end(self, cause: Cause, end: ChildEnd, tail: &Tail) {
        let run_end = match (cause, end) {
            (_, ChildEnd::Code(code)) => RunEnd::Exited(code),
            (Cause::Ended | Cause::Mute, ChildEnd::Signal(signal)) => RunEnd::Killed(signal),
            (Cause::Ended | Cause::Mute, ChildEnd::Unknown) => RunEnd::Unknown,
            _ => RunEnd::Stopped,
        };
        let by_itself = matches!(cause, Cause::Ended | Cause::Mute);
        let text = self.words(cause, run_end, tail);
        self.desk.over(&text);
        let failure = by_itself.then_some(text);
        self.server
            .note_end(run_end.to_string(), failure, self.hub.clock.now());
        self.run.ended(run_end, true).await;
    }

    fn words(&self, cause: Cause, end: RunEnd, tail: &Tail) -> String {
        let command = &self.server.command_line;
        let what = match cause {
            Cause::Ended => format!("{end} before it answered"),
            Cause::Mute => format!("it closed its output before it answered ({end})"),
            Cause::Asked => "the session was ended".to_owned(),
            Cause::ProxyEnds => "the proxy is ending".to_owned(),
        };
        let last = tail.in_words();
        let advice = match cause {
            Cause::Ended | Cause::Mute => {
                " Run the command in a terminal to see why; it is started anew for the next session."
            }
            Cause::Asked | Cause::ProxyEnds => "",
        };
        format!(
            "Server {} (`{command}`): {what}.{advice}{last}",
            self.server.label
        )
    }
}

/// The three pipes while they are moved, beside whatever else has to be waited for.
struct Moving {
    work: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_done: bool,
}

impl Moving {
    fn new<T>(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self {
            work: Box::pin(async move {
                work.await;
            }),
            is_done: false,
        }
    }

    async fn beside<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = std::pin::pin!(other);
        loop {
            tokio::select! {
                outcome = &mut other => return outcome,
                () = &mut self.work, if !self.is_done => self.is_done = true,
            }
        }
    }

    async fn finish(&mut self, patience: Duration) {
        if !self.is_done {
            self.is_done = timeout(patience, &mut self.work).await.is_ok();
        }
    }
}

/// Writes lines until there are no more, or the program does not read: who sends one then is told.
async fn feed(mut input: ChildStdin, mut tap: RunTap, mut lines: mpsc::Receiver<InputLine>) {
    while let Some(line) = lines.recv().await {
        tap.push(&line.bytes).await;
        let is_written = input.write_all(&line.bytes).await.is_ok() && input.flush().await.is_ok();
        if !is_written {
            break;
        }
        drop(line.held);
    }
    tap.finish().await;
}

async fn read_output<R: Routing>(
    mut output: ChildStdout,
    mut tap: RunTap,
    hub: Arc<Hub>,
    desk: Arc<Desk<R>>,
) {
    let mut lines = OutputLines::new(&hub);
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(READ_BYTES);
        // A pipe that fails is one that has ended.
        if !matches!(output.read_buf(&mut buffer).await, Ok(read) if read > 0) {
            break;
        }
        let chunk = buffer.split().freeze();
        tap.push(&chunk).await;
        for piece in lines.cut(&chunk) {
            lines.take(piece, &desk);
            desk.make_room().await;
        }
        tap.found(desk.take_findings()).await;
    }
    for piece in lines.rest() {
        lines.take(piece, &desk);
    }
    tap.found(desk.take_findings()).await;
    tap.finish().await;
}

/// Cuts a program's output into lines and scans them.
struct OutputLines {
    cutter: LineCutter,
    lease: Lease,
    too_long: Option<EnvelopeScanner>,
    max_bytes: usize,
}

impl OutputLines {
    fn new(hub: &Hub) -> Self {
        let max_bytes = hub.limits.max_message_bytes;
        Self {
            cutter: LineCutter::new(max_bytes),
            lease: hub.buffers.lease(Share::Stdio),
            too_long: None,
            max_bytes,
        }
    }

    fn cut(&mut self, chunk: &Bytes) -> Vec<LinePiece> {
        let mut pieces = Vec::new();
        self.cutter.push(chunk, &mut pieces);
        if !self.lease.resize(self.cutter.reserved()) {
            self.cutter.give_up(&mut pieces);
        }
        pieces
    }

    fn rest(&mut self) -> Vec<LinePiece> {
        let mut pieces = Vec::new();
        self.cutter.finish(&mut pieces);
        pieces
    }

    fn take<R: Routing>(&mut self, piece: LinePiece, desk: &Desk<R>) {
        match piece {
            LinePiece::Frame(line) | LinePiece::Tail(line) => {
                let content = line_content(&line);
                let line = if content.len() < COPIED {
                    Bytes::copy_from_slice(content)
                } else {
                    line.slice_ref(content)
                };
                if !line.trim_ascii().is_empty() {
                    desk.take(&line, &scan(&line));
                }
            }
            LinePiece::Part(bytes) => self
                .too_long
                .get_or_insert_with(EnvelopeScanner::new)
                .push(&bytes),
            LinePiece::Oversize { bytes, .. } => {
                let scan = self.too_long.take().unwrap_or_default().finish();
                let max = self.max_bytes;
                let text = format!(
                    "A message of the server has {bytes} bytes, more than can be held (max_message_bytes is {max}, and max_buffer_pool has to have room); it was not passed on."
                );
                desk.take_too_long(&scan, &text);
            }
        }
    }
}

async fn read_errors(mut errors: ChildStderr, mut tap: RunTap, tail: Arc<Tail>) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(READ_BYTES / 8);
        if !matches!(errors.read_buf(&mut buffer).await, Ok(read) if read > 0) {
            break;
        }
        let chunk = buffer.split().freeze();
        tail.push(&chunk);
        tap.push(&chunk).await;
    }
    tap.finish().await;
}
