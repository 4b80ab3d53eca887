//! Finding who wants to know, telling them, and finding them again.

use std::error::Error;
use std::fmt::Write as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use shadowcat::door::message::{FromProxy, RunBegin, SHIM, ToProxy, read_message};
use shadowcat::door::place::{self, PlaceError};
use shadowcat::door::{ConnectDoorError, DoorLink, FrameReader, FrameWriter, LinkError, connect, greet};
use shadowcat::engine::EngineHandle;
use tokio::time::timeout;

use super::Connect;
use super::gate::Gates;
use super::queue::{Item, Queue};

/// How long after a failure it is looked for a proxy again, doubling up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(125);
/// A proxy that comes up is found within this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A proxy that something waits for says something within this time, or is asked no more after the next.
const SILENCE: Duration = Duration::from_millis(500);

/// Who is to be told.
#[derive(Debug)]
pub(super) enum Goal {
    /// The newest proxy that runs.
    Newest,
    /// The proxy with this door.
    Socket(PathBuf),
    /// The proxy that accepts clients here.
    Address(String),
    /// An engine in this process, which is there once.
    Own(Option<UnixStream>),
}

impl Goal {
    pub(super) fn of(connect: Option<&Connect>) -> Self {
        match connect {
            None => Self::Newest,
            Some(Connect::Socket(path)) => Self::Socket(path.clone()),
            Some(Connect::Address(address)) => Self::Address(address.clone()),
        }
    }

    /// An engine of ours.
    ///
    /// # Errors
    /// What the system says if it gives no sockets.
    pub(super) fn own(engine: &EngineHandle) -> std::io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        engine.adopt(theirs)?;
        Ok(Self::Own(Some(ours)))
    }

    /// The proxy, or why there is none, in words.
    async fn find(&mut self) -> Result<DoorLink, String> {
        match self {
            Self::Newest => among_all("no proxy of this user runs", |_| true).await,
            Self::Address(address) => {
                let nobody = format!("no proxy of this user accepts clients at {address}");
                among_all(&nobody, |link| link.welcome.listen.contains(address)).await
            }
            Self::Socket(path) => connect(path, SHIM).await.map_err(|error| in_full(&error)),
            Self::Own(socket) => {
                let gone = || "our own engine has ended".to_owned();
                let socket = socket.take().ok_or_else(gone)?;
                let socket = socket
                    .set_nonblocking(true)
                    .and_then(|()| tokio::net::UnixStream::from_std(socket));
                let socket = socket.map_err(|error| in_full(&error))?;
                greet(socket, SHIM).await.map_err(|error| in_full(&error))
            }
        }
    }

    /// Whether there is somebody to be found another time.
    const fn can_come_back(&self) -> bool {
        !matches!(self, Self::Own(_))
    }
}

/// The first proxy that `fits`, those that started last first. `nobody` says that there is none, unless there is more to say.
async fn among_all(nobody: &str, fits: impl Fn(&DoorLink) -> bool) -> Result<DoorLink, String> {
    let directory = place::directory();
    if let Err(error @ PlaceError::NotOurs { .. }) = place::check(&directory) {
        return Err(format!("{nobody}, since {}", in_full(&error)));
    }
    let mut why = nobody.to_owned();
    for path in place::sockets(&directory) {
        match connect(&path, SHIM).await {
            Ok(link) if fits(&link) => return Ok(link),
            Ok(_) => {}
            // Left behind, or about to end.
            Err(error @ ConnectDoorError::Connect { .. }) => tracing::debug!(%error, "no proxy here"),
            Err(error) => why = format!("{nobody}, and of one that runs: {}", in_full(&error)),
        }
    }
    Err(why)
}

/// An error with its causes.
fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

/// Says why there is no proxy, once as long as that is the reason.
#[derive(Debug, Default)]
struct Absence(Option<String>);

impl Absence {
    fn note(&mut self, why: String) {
        if self.0.as_ref() != Some(&why) {
            tracing::warn!("{why}; looking again each second");
            self.0 = Some(why);
        }
    }

    fn is_over(&mut self) {
        self.0 = None;
    }
}

/// Tells what is in `queue` to whoever `goal` is, as long as the command runs. Ends when its end was told, or when the
/// command has ended and nobody is there. What waits for it in `gates` passes when it has gone.
pub(super) async fn keep(mut goal: Goal, begin: &RunBegin, queue: &Queue, gates: Option<&Gates>) {
    let mut pause = FIRST_PAUSE;
    let mut absence = Absence::default();
    loop {
        match goal.find().await {
            Ok(link) => {
                // Of our own nobody needs to hear.
                if goal.can_come_back() {
                    tracing::info!(proxy = link.welcome.pid, "a proxy listens");
                }
                absence.is_over();
                pause = FIRST_PAUSE;
                let told = tell_all(link, begin, queue, gates).await;
                queue.idle();
                if let Some(gates) = gates {
                    gates.release();
                }
                match told {
                    Ok(()) => return,
                    Err(error) => tracing::info!(%error, "the proxy has gone"),
                }
            }
            Err(why) => absence.note(why),
        }
        queue.idle();
        if !goal.can_come_back() || rest(pause, queue).await {
            return;
        }
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Waits for `pause`. True, at once, if the command has ended.
async fn rest(pause: Duration, queue: &Queue) -> bool {
    let exit = async {
        while !queue.has_exit() {
            queue.changed().await;
        }
    };
    timeout(pause, exit).await.is_ok()
}

async fn tell_all(
    link: DoorLink,
    begin: &RunBegin,
    queue: &Queue,
    gates: Option<&Gates>,
) -> Result<(), LinkError> {
    let DoorLink {
        mut reader,
        mut writer,
        ..
    } = link;
    queue.wake();
    let said = async {
        say_all(&mut writer, begin, queue).await?;
        writer.close().await
    };
    tokio::select! {
        said = said => said?,
        gone = hear(&mut reader, gates) => return gone.and(Err(LinkError::Torn)),
    }
    // It has heard everything once it closes too.
    hear(&mut reader, None).await
}

/// Tells all up to the end of the command.
async fn say_all(writer: &mut FrameWriter, begin: &RunBegin, queue: &Queue) -> Result<(), LinkError> {
    writer.put(&ToProxy::Begin(Box::new(begin.clone())), b"")?;
    loop {
        writer.flush().await?;
        let batch = queue.take();
        if batch.is_empty() {
            queue.changed().await;
        }
        for item in batch {
            say(writer, &item)?;
            if matches!(item, Item::Exit(_)) {
                return Ok(());
            }
        }
    }
}

fn say(writer: &mut FrameWriter, item: &Item) -> Result<(), LinkError> {
    match item {
        Item::Bytes(stream, bytes) => writer.put(&ToProxy::Bytes { stream: *stream }, bytes),
        Item::Asked(stream, bytes) => writer.put(&ToProxy::Asked { stream: *stream }, bytes),
        Item::Gap(stream, missed) => {
            let gap = ToProxy::Gap {
                stream: *stream,
                reason: missed.reason,
                chunks: missed.chunks,
                bytes: missed.bytes,
            };
            writer.put(&gap, b"")
        }
        Item::End(stream) => writer.put(&ToProxy::End { stream: *stream }, b""),
        Item::Exit(exit) => writer.put(&ToProxy::Exit(*exit), b""),
    }
}

/// Does what the proxy says until it has closed the link, or is silent for too long while something waits for it.
async fn hear(reader: &mut FrameReader, gates: Option<&Gates>) -> Result<(), LinkError> {
    let mut was_silent = false;
    loop {
        let Ok(frame) = timeout(SILENCE, reader.next()).await else {
            let is_waited_for = gates.is_some_and(Gates::has_kept);
            if was_silent && is_waited_for {
                tracing::warn!("the proxy is silent; what it held passes");
                return Err(LinkError::Torn);
            }
            was_silent = is_waited_for;
            continue;
        };
        was_silent = false;
        let Some(frame) = frame? else { return Ok(()) };
        if let Some(gates) = gates {
            obey(gates, &read_message(&frame)?, &frame.payload)?;
        }
    }
}

fn obey(gates: &Gates, message: &FromProxy, payload: &[u8]) -> Result<(), LinkError> {
    let said = match *message {
        FromProxy::Gate { is_on, lines, bytes } => {
            gates.set_closed(is_on, lines, bytes);
            Ok(())
        }
        FromProxy::Onward { stream } => gates.say(stream, payload, false),
        FromProxy::Back { stream } => gates.say(stream, payload, true),
        FromProxy::Settled { stream, bytes } => {
            gates.settle(stream, bytes);
            Ok(())
        }
        FromProxy::Close => {
            gates.close();
            Ok(())
        }
        // Nothing that concerns a run under way, or newer than this build.
        _ => Ok(()),
    };
    said.map_err(|_| LinkError::Torn)
}
