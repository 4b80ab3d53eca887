//! Coming through the door.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;

use super::link::{FrameReader, FrameWriter, LinkError, link};
use super::message::{DOOR_VERSION, FromProxy, Hello, ToProxy, Welcome, read_message};

/// How long a proxy may take to answer. One that was stopped (SIGSTOP) never does, although it can be connected to.
const ANSWER: Duration = Duration::from_secs(2);

/// An open link to a proxy.
#[derive(Debug)]
pub struct DoorLink {
    /// What the proxy says.
    pub reader: FrameReader,
    /// What it is told.
    pub writer: FrameWriter,
    /// Who it is.
    pub welcome: Welcome,
}

/// A proxy could not be reached through its door.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectDoorError {
    /// Nobody listens there.
    #[error("no proxy listens at {}", .path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody listens and says nothing.
    #[error("the proxy does not answer through its control door")]
    Silent,
    /// The proxy does not want us.
    #[error("the proxy refuses: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// What was said is not understood.
    #[error("the proxy cannot be understood through its control door")]
    Link(#[from] LinkError),
}

/// Connects to the proxy whose socket is at `path`, in `role`. Takes two seconds at most.
///
/// # Errors
/// [`ConnectDoorError`] if nobody is there, or nobody who takes the role.
///
/// # Cancel safety
/// Safe: a dropped future closes the link.
pub async fn connect(path: &Path, role: &str) -> Result<DoorLink, ConnectDoorError> {
    let connected = timeout(ANSWER, UnixStream::connect(path)).await;
    let socket = connected.map_err(|_| ConnectDoorError::Silent)?;
    let socket = socket.map_err(|source| ConnectDoorError::Connect {
        path: path.to_owned(),
        source,
    })?;
    greet(socket, role).await
}

/// Introduces us in `role` over a socket whose other end a proxy serves. Takes two seconds at most.
///
/// # Errors
/// [`ConnectDoorError`] if the proxy does not take the role.
///
/// # Cancel safety
/// Safe: a dropped future closes the link.
pub async fn greet(socket: UnixStream, role: &str) -> Result<DoorLink, ConnectDoorError> {
    let (mut reader, mut writer) = link(socket);
    let hello = Hello {
        version: DOOR_VERSION,
        role: role.to_owned(),
    };
    writer.put(&ToProxy::Hello(hello), b"")?;
    let welcomed = async {
        writer.flush().await?;
        welcome(&mut reader).await
    };
    let welcome = timeout(ANSWER, welcomed)
        .await
        .map_err(|_| ConnectDoorError::Silent)??;
    Ok(DoorLink {
        reader,
        writer,
        welcome,
    })
}

async fn welcome(reader: &mut FrameReader) -> Result<Welcome, ConnectDoorError> {
    while let Some(frame) = reader.next().await? {
        match read_message(&frame).map_err(LinkError::from)? {
            FromProxy::Welcome(welcome) => return Ok(welcome),
            FromProxy::Refused { reason } => return Err(ConnectDoorError::Refused { reason }),
            FromProxy::Answer { .. } | FromProxy::Events { .. } | FromProxy::Unknown => {}
        }
    }
    Err(ConnectDoorError::Silent)
}
