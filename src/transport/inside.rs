//! Requests of our own that come in as if a client had sent them, on a connection within this process, so that they go the way
//! of every other request, and are shown and recorded like it. Rules have no say in them.

use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{DuplexStream, duplex};

use super::exchange::Peer;
use super::hub::Hub;
use super::listener::{Accepted, drive_boxed};

/// Bytes on their way within this process, each way; beyond, the sender waits.
pub(super) const PIPE_BYTES: usize = 64 * 1024;

/// Fields of a client's request, in lower case, that belong to its connection, to its body as it was, or to what it resumes.
/// A request that is made of it has its own.
const OF_ITS_OWN: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a field of a client's request goes into one that is made of it.
pub(super) fn is_repeated(name: &str) -> bool {
    !OF_ITS_OWN.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Our end of a connection, and what serves the other until both have ended; `false` if nothing was said on it.
pub(super) fn connect(
    hub: &Arc<Hub>,
    accepted: Accepted,
) -> (DuplexStream, Pin<Box<dyn Future<Output = bool> + Send>>) {
    let (near, far) = duplex(PIPE_BYTES);
    let accepted = Accepted {
        peer: Peer {
            is_ours: true,
            ..accepted.peer
        },
        ..accepted
    };
    (near, drive_boxed(Arc::clone(hub), far, accepted))
}
