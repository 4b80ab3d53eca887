//! The shim: started by a client in place of a server's command, passes everything on, and tells a proxy of it.
//!
//! Bytes are moved by one thread for each pipe, which never waits for a disk or this program's runtime. What
//! passes is noted in queues ([`queue`]); their links ([`links`]) run on a runtime of one thread beside it. While rules
//! are armed in the proxy, lines wait behind gates ([`gate`]) for what it says about them; without it, they pass.
//!
//! Nothing is ever written to stdout or stderr but what the command writes, unless the command cannot be started at all.

mod facts;
mod gate;
mod links;
mod outward;
mod pump;
mod queue;
mod ruled;
mod signals;

use std::ffi::OsString;
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use shadowcat::child::{ChildEnd, ChildProcess, CommandConfig, StartChildError};
use shadowcat::config::{Config, RecordConfig};
use shadowcat::door::message::RunBegin;
use shadowcat::engine::{Engine, EngineHandle, StartError};
use shadowcat::outward::OutwardError;
use shadowcat::recording::{RecordingSettings, StartRecordingError};
use tokio::time::timeout;

use crate::exec::ProxyPlace;
use crate::guard;
use gate::Gates;
use links::Goal;
pub(crate) use outward::run_outward;
use pump::Pumps;
use queue::Observers;
pub(crate) use ruled::by_rules;
use signals::PassedOn;

/// How long the end waits for a proxy to take the last words. It may have been stopped.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// How long the end waits for a recording of our own, which is ours to finish.
const LAST_RECORDS: Duration = Duration::from_secs(5);

/// What to wrap and where to tell of it.
#[derive(Debug)]
pub(crate) struct WrapOptions {
    /// The command and its arguments.
    pub(crate) command: Vec<OsString>,
    /// What the server is called on screen.
    pub(crate) name: Option<String>,
    /// The proxy; the newest one that runs if `None`.
    pub(crate) connect: Option<Connect>,
    /// Write a recording of our own.
    pub(crate) record: Option<RecordConfig>,
    /// With secrets in it.
    pub(crate) records_secrets: bool,
    /// How the recording is written.
    pub(crate) recording: RecordingSettings,
}

/// Which proxy to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Connect {
    /// The one whose door has this socket.
    Socket(PathBuf),
    /// The one that accepts clients at this address.
    Address(String),
}

impl std::str::FromStr for Connect {
    type Err = String;

    /// `HOST:PORT`, with or without `http://`, is an address, as for `exec`; `:PORT` stands for the loopback address. What
    /// else has a `/` is a path.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('/') && !text.contains("://") {
            return Ok(Self::Socket(PathBuf::from(text)));
        }
        let place: ProxyPlace = text.parse().map_err(|_| {
            "write HOST:PORT such as 127.0.0.1:8080, or the path of a socket, which has a `/`".to_owned()
        })?;
        Ok(Self::Address(place.address().replacen(
            "localhost:",
            "127.0.0.1:",
            1,
        )))
    }
}

/// The command could not be wrapped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WrapError {
    /// It could not be started.
    #[error(transparent)]
    Child(#[from] StartChildError),
    /// The recording cannot be written.
    #[error(transparent)]
    Record(#[from] StartError),
    /// The server cannot be spoken to at all, or not any more.
    #[error(transparent)]
    Outward(#[from] OutwardError),
    /// The system refuses what we need ourselves.
    #[error("the command was not started: the system refuses what wrapping it needs")]
    System(#[from] io::Error),
}

impl WrapError {
    /// 127 and 126 as a shell says it, otherwise our own codes.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Child(error) => error.shell_code(),
            Self::Record(error) => error.exit_code(),
            Self::Outward(OutwardError::Way(_)) => 2,
            Self::Outward(_) => 3,
            Self::System(_) => 126,
        }
    }
}

/// Runs the command to its end. The result is the exit code to pass on.
///
/// # Errors
/// [`WrapError`] if the command was not started.
pub(crate) fn run(options: &WrapOptions) -> Result<u8, WrapError> {
    let ended = recorded(options, async |recording| wrap(options, recording).await)?;
    Ok(ended.shell_code())
}

/// Runs `work` to its end, with the recording that was asked for.
fn recorded<T>(
    options: &WrapOptions,
    work: impl AsyncFnOnce(Option<&EngineHandle>) -> Result<T, WrapError>,
) -> Result<T, WrapError> {
    let recording = options
        .record
        .as_ref()
        .map(|record| recorder(record, options))
        .transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(work(recording.as_ref()));
    if let Some(engine) = recording {
        let report = engine.shut_down().to_string();
        tracing::info!(%report, "the recording has ended");
    }
    ended
}

/// An engine without listeners, which writes the recording. A client starts its server again and again in the same words,
/// so a file that is there stays as it is, and the new one has a number.
fn recorder(record: &RecordConfig, options: &WrapOptions) -> Result<EngineHandle, StartError> {
    let mut number = 1;
    loop {
        let path = record.path.as_deref().map(|path| free_name(path, &mut number));
        match record_to(path, options) {
            // Somebody else was faster.
            Err(StartError::Record(StartRecordingError::Exists { .. })) => number += 1,
            outcome => return outcome,
        }
    }
}

/// The first of `run.jsonl`, `run-2.jsonl` and so on from `number` that is not there, which is `number` then.
fn free_name(path: &Path, number: &mut u32) -> PathBuf {
    loop {
        let name = numbered(path, *number);
        // A link that leads nowhere is there too.
        if std::fs::symlink_metadata(&name).is_err() {
            return name;
        }
        *number += 1;
    }
}

/// `a/run-2.jsonl` for `a/run.jsonl` and 2.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let Some(name) = path.file_name().filter(|_| number > 1) else {
        return path.to_owned();
    };
    let name = name.to_string_lossy();
    let endings = [".jsonl.zst", ".jsonl", ".zst"];
    let split = endings
        .into_iter()
        .find_map(|ending| Some((name.strip_suffix(ending)?, ending)));
    let (stem, ending) = split.unwrap_or((&name, ""));
    path.with_file_name(format!("{stem}-{number}{ending}"))
}

fn record_to(path: Option<PathBuf>, options: &WrapOptions) -> Result<EngineHandle, StartError> {
    Engine::start(Config {
        record: Some(RecordConfig { path }),
        records_secrets: options.records_secrets,
        recording: options.recording.clone(),
        ..Config::default()
    })
}

async fn wrap(options: &WrapOptions, recording: Option<&EngineHandle>) -> Result<ChildEnd, WrapError> {
    // First of all, so that no signal meets us without ears.
    let mut signals = PassedOn::listen()?;
    let (mut child, pipes) = ChildProcess::start(&command(options))?;
    let begin = facts::gather(options, &child);
    let observers = Observers::new(1 + usize::from(recording.is_some()));
    let gates = Gates::new()?;
    let pumps = Pumps::start(pipes, &observers, &gates)?;
    let mut links = Links::new(options, recording, (&observers, &gates), &begin)?;
    let watched = async {
        let ended = watch(&mut child, &mut signals, &pumps).await;
        observers.exit(ended);
        ended
    };
    let ended = links.beside(watched).await;
    pumps.close_output();
    child.leave_group();
    links.finish().await;
    Ok(ended)
}

/// Whether whoever started us chose to ignore signal `number`, which goes for the command too.
pub(crate) fn is_ignored(number: i32) -> bool {
    signals::is_ignored(number)
}

fn command(options: &WrapOptions) -> CommandConfig {
    let mut words = options.command.iter().cloned();
    let program = words.next().unwrap_or_default();
    CommandConfig {
        guard: guard::command(),
        ..CommandConfig::new(program, words)
    }
}

/// Passes signals on until the command has ended and its pipes are empty.
async fn watch(child: &mut ChildProcess, signals: &mut PassedOn, pumps: &Pumps) -> ChildEnd {
    let ended = loop {
        tokio::select! {
            ended = child.ended() => break ended,
            signal = signals.next() => {
                child.signal(signal);
            }
        }
    };
    let drained = pumps.drained();
    tokio::pin!(drained);
    loop {
        tokio::select! {
            () = &mut drained => return ended,
            signal = signals.next() => {
                child.signal(signal);
                // It is meant for us now: a client that does not read the rest would wait for us in vain.
                if signal.asks_for_end() {
                    pumps.hurry();
                }
            }
        }
    }
}

type LinkFuture<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A link on its way, and how long its last words may take.
struct Linking<'a> {
    link: Option<LinkFuture<'a>>,
    patience: Duration,
}

impl Linking<'_> {
    /// Ready once the link has ended, then always.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(link) = &mut self.link {
            ready!(link.as_mut().poll(cx));
            self.link = None;
        }
        Poll::Ready(())
    }
}

/// What tells the proxy and the recording, each on its own.
struct Links<'a>(Vec<Linking<'a>>);

impl<'a> Links<'a> {
    fn new(
        options: &WrapOptions,
        recording: Option<&EngineHandle>,
        (observers, gates): (&'a Observers, &'a Gates),
        begin: &'a RunBegin,
    ) -> io::Result<Self> {
        let mut goals = vec![(Goal::of(options.connect.as_ref()), LAST_WORDS)];
        if let Some(engine) = recording {
            goals.push((Goal::own(engine)?, LAST_RECORDS));
        }
        Ok(Self::to(goals, (observers, gates), begin))
    }

    /// To these, each with its patience.
    fn to(
        goals: Vec<(Goal, Duration)>,
        (observers, gates): (&'a Observers, &'a Gates),
        begin: &'a RunBegin,
    ) -> Self {
        let links = goals.into_iter().zip(observers.queues()).enumerate();
        let linking = links.map(|(at, ((goal, patience), queue))| Linking {
            // Only the first, which is the proxy, holds anything.
            link: Some(Box::pin(links::keep(
                goal,
                begin,
                queue,
                (at == 0).then_some(gates),
            ))),
            patience,
        });
        Self(linking.collect())
    }

    /// Keeps the links going while `work` is under way.
    async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            for linking in &mut self.0 {
                let _ = linking.poll_end(cx);
            }
            work.as_mut().poll(cx)
        })
        .await
    }

    /// Lets them say what is left, in the time that each has.
    async fn finish(self) {
        for mut linking in self.0 {
            let patience = linking.patience;
            let ended = poll_fn(|cx| linking.poll_end(cx));
            if timeout(patience, ended).await.is_err() {
                tracing::warn!("not all of what passed could be told before the end");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_runs_have_their_numbers_before_the_ending() {
        let numbered = |path: &str, number| numbered(Path::new(path), number).display().to_string();
        assert_eq!(numbered("x/a.jsonl", 1), "x/a.jsonl");
        assert_eq!(numbered("x/a.jsonl", 2), "x/a-2.jsonl");
        assert_eq!(numbered("a.b.jsonl.zst", 12), "a.b-12.jsonl.zst");
        assert_eq!(numbered("a", 3), "a-3");
    }

    #[test]
    fn a_proxy_is_named_by_its_address_its_url_or_its_socket_and_nothing_else_is_taken_for_one() {
        let read = |text: &str| text.parse::<Connect>();
        let address = |address: &str| Ok(Connect::Address(address.to_owned()));
        for text in [
            "127.0.0.1:24000",
            ":24000",
            "localhost:24000",
            "http://127.0.0.1:24000",
            "http://localhost:24000/",
            "me:s3cret@127.0.0.1:24000",
        ] {
            assert_eq!(read(text), address("127.0.0.1:24000"), "{text}");
        }
        assert_eq!(read("http://[::1]:80"), address("[::1]:80"));
        for text in ["/tmp/d/1.sock", "./1.sock", "d/1.sock"] {
            assert_eq!(read(text), Ok(Connect::Socket(text.into())));
        }
        for text in [
            "nonsense",
            "24000",
            "http://127.0.0.1",
            "https://127.0.0.1:1",
            "http://x:1/mcp",
            "",
        ] {
            let refused = read(text).unwrap_err();
            assert!(
                refused.contains("HOST:PORT") && refused.contains("socket"),
                "{text}"
            );
        }
    }
}
