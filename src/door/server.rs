//! The proxy's side of the door: opens it, lets in who is welcome.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{sleep, timeout};

use super::control;
use super::link::{FrameReader, FrameWriter, LinkError, link};
use super::message::{DOOR_VERSION, FromProxy, HELD, Hello, SHIM, ToProxy, Welcome, read_message};
use super::place::{PlaceError, check, prepare, socket_of, sockets};
use super::shim;
use crate::resource::meters::Level;
use crate::snapshot::Severity;
use crate::tasks::TaskKind;
use crate::transport::hub::Hub;

/// How long someone who has come may take to say hello.
const HELLO: Duration = Duration::from_secs(5);
/// How long to wait when the system has no descriptor for another link.
const BREATHER: Duration = Duration::from_millis(50);
/// What notices about the door are about.
const DOOR: &str = "control door";

/// The door could not be opened.
#[derive(Debug, thiserror::Error)]
enum OpenDoorError {
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error("no socket can be made at {}", .path.display())]
    Socket { path: PathBuf, source: io::Error },
}

/// An open door. Its socket's file goes with it.
struct Opened {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for Opened {
    fn drop(&mut self) {
        // Whoever removed it before has done what is to be done.
        let _ = fs::remove_file(&self.path);
    }
}

/// Opens the door in `directory` and lets in who comes, until the engine stops. If it cannot be opened, the user is told
/// and everything else goes on.
pub(crate) fn start(hub: &Arc<Hub>, directory: PathBuf) {
    let serving = Arc::clone(hub);
    hub.tasks.spawn(TaskKind::Door, async move {
        match open(&serving, &directory).await {
            Ok(door) => accept(serving, door).await,
            Err(error) => tell_closed(&serving, &error),
        }
    });
}

/// Serves a link over `socket`, whose other end is somebody's in this process.
pub(crate) fn adopt(hub: &Arc<Hub>, socket: UnixStream) {
    let serving = Arc::clone(hub);
    hub.tasks
        .spawn(TaskKind::Door, async move { serve(&serving, socket).await });
}

fn tell_closed(hub: &Hub, error: &OpenDoorError) {
    let cause = std::error::Error::source(error).map_or_else(String::new, |cause| format!(" ({cause})"));
    tracing::warn!(%error, "no control door");
    let text = format!("Wrapped commands are not shown here: {error}{cause}.");
    hub.door.say(DOOR, hub.clock.now(), Severity::Warning, text);
}

async fn open(hub: &Hub, directory: &Path) -> Result<Opened, OpenDoorError> {
    prepare(directory)?;
    remove_stale(directory).await;
    let path = socket_of(directory, hub.clock.started_at(), std::process::id());
    let opened = bind(&path).map_err(|source| OpenDoorError::Socket {
        path: path.clone(),
        source,
    })?;
    // Whoever could have moved it in between is found out here.
    check(directory)?;
    tracing::info!(door = %path.display(), "the control door is open");
    Ok(opened)
}

/// Under another name until it listens: nobody may take a socket that is being made for one that was left behind.
fn bind(path: &Path) -> io::Result<Opened> {
    let unfinished = path.with_extension("new");
    let listener = UnixListener::bind(&unfinished)?;
    let opened = Opened {
        listener,
        path: unfinished.clone(),
    };
    fs::rename(&unfinished, path)?;
    let mut opened = opened;
    path.clone_into(&mut opened.path);
    Ok(opened)
}

/// Removes the sockets of proxies that did not end in order.
async fn remove_stale(directory: &Path) {
    for path in sockets(directory) {
        let refused = UnixStream::connect(&path).await.err();
        if refused.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            let _ = fs::remove_file(&path);
        }
    }
}

async fn accept(hub: Arc<Hub>, door: Opened) {
    let stopping = hub.tasks.stopping().clone();
    let accepting = async {
        loop {
            match door.listener.accept().await {
                Ok((socket, _)) if is_ours(&socket) => adopt(&hub, socket),
                Ok(_) => tracing::warn!("another user came to the control door and was sent away"),
                Err(error) => {
                    tracing::debug!(%error, "nobody could be let in through the control door");
                    sleep(BREATHER).await;
                }
            }
        }
    };
    stopping.run_until_cancelled(accepting).await;
}

/// Nobody else can enter the directory; this is for file systems that do not keep to that.
fn is_ours(socket: &UnixStream) -> bool {
    let owner = socket.peer_cred().map(|peer| peer.uid());
    owner.is_ok_and(|owner| owner == geteuid().as_raw() || owner == 0)
}

async fn serve(hub: &Arc<Hub>, socket: UnixStream) {
    let (reader, writer) = link(socket);
    if let Err(error) = let_in(hub, reader, writer).await {
        tracing::debug!(%error, "a link through the control door ended");
    }
}

/// Scripts that are served at once: each may ask something as large as a message.
const MAX_SCRIPTS: u64 = 16;

/// A place among those that are linked at once.
struct Place<'a>(&'a Level);

impl<'a> Place<'a> {
    fn take(links: &'a Level, most: u64) -> Option<Self> {
        links.add(1);
        let place = Self(links);
        let (now, ..) = links.read();
        if now > most {
            links.reach();
            return None;
        }
        Some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.sub(1);
    }
}

async fn let_in(hub: &Arc<Hub>, mut reader: FrameReader, mut writer: FrameWriter) -> Result<(), LinkError> {
    let place = Place::take(&hub.door.links, hub.limits.max_shims as u64);
    // It is heard also if it is refused: an end with words unheard would reach it before the refusal.
    let Ok(came) = timeout(HELLO, reader.next()).await else {
        return Ok(());
    };
    // Someone who only looked whether we are here says nothing.
    let Some(frame) = came? else { return Ok(()) };
    let reason = match (read_message(&frame), &place) {
        (Ok(ToProxy::Hello(hello)), _) if !is_known(&hello) => unknown(&hello),
        (Ok(ToProxy::Hello(_)), None) => {
            let limit = hub.limits.max_shims;
            format!("it has {limit} links already; raise --max-shims")
        }
        (Ok(ToProxy::Hello(hello)), Some(_)) if hello.role == HELD => {
            let Some(_script) = Place::take(&hub.door.scripts, MAX_SCRIPTS) else {
                let reason = format!("{MAX_SCRIPTS} scripts decide about its held messages already");
                return refuse(writer, reason).await;
            };
            welcome(hub, &mut writer).await?;
            return control::serve(hub, reader, writer).await;
        }
        (Ok(ToProxy::Hello(_)), Some(_)) => {
            welcome(hub, &mut writer).await?;
            return shim::observe(hub, reader).await;
        }
        _ => "it was not told who comes".to_owned(),
    };
    refuse(writer, reason).await
}

async fn welcome(hub: &Hub, writer: &mut FrameWriter) -> Result<(), LinkError> {
    writer.put(&FromProxy::Welcome(introduction(hub)), b"")?;
    writer.flush().await
}

fn is_known(hello: &Hello) -> bool {
    hello.version == DOOR_VERSION && [SHIM, HELD].contains(&hello.role.as_str())
}

fn introduction(hub: &Hub) -> Welcome {
    Welcome {
        version: DOOR_VERSION,
        pid: std::process::id(),
        listen: hub.common.iter().map(ToString::to_string).collect(),
    }
}

fn unknown(hello: &Hello) -> String {
    let Hello { version, role } = hello;
    if *version == DOOR_VERSION {
        format!("it does not know the role `{role}`; use the same version of shadowcat-tui on both sides")
    } else {
        format!(
            "it speaks version {DOOR_VERSION} of the control door and not {version}; use the same version of shadowcat-tui on both sides"
        )
    }
}

async fn refuse(mut writer: FrameWriter, reason: String) -> Result<(), LinkError> {
    writer.put(&FromProxy::Refused { reason }, b"")?;
    // Who does not read it does not want to know.
    timeout(HELLO, writer.close()).await.unwrap_or(Ok(()))
}
