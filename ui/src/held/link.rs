//! Finding the proxy.

use std::path::PathBuf;

use shadowcat::door::message::HELD;
use shadowcat::door::{ConnectDoorError, DoorLink, HeldClient, connect, place};

use crate::wrap::Connect;

/// There is no proxy to ask.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FindError {
    #[error("no proxy of yours runs on this machine; start one, such as `shadowcat-tui --headless --wait`")]
    None,
    #[error("no proxy of yours accepts clients at {address}{}", those(.others))]
    NotThere { address: String, others: Vec<String> },
    #[error("no proxy can be asked at {}", .path.display())]
    Socket { path: PathBuf, source: ConnectDoorError },
    #[error("the proxy cannot be asked")]
    Refused(#[source] ConnectDoorError),
}

fn those(others: &[String]) -> String {
    if others.is_empty() {
        String::new()
    } else {
        format!("; those that run accept them at {}", others.join(", "))
    }
}

/// The proxy that is meant, and where it accepts clients.
pub(super) async fn find(wanted: Option<&Connect>) -> Result<(HeldClient, String), FindError> {
    let link = match wanted {
        Some(Connect::Socket(path)) => connect(path, HELD).await.map_err(|source| FindError::Socket {
            path: path.clone(),
            source,
        })?,
        Some(Connect::Address(address)) => among_all(Some(address)).await?,
        None => among_all(None).await?,
    };
    let listen = shown(&link);
    Ok((HeldClient::new(link), listen))
}

fn shown(link: &DoorLink) -> String {
    match link.welcome.listen.first() {
        Some(address) => format!("the proxy at {address}"),
        None => format!("the proxy (pid {})", link.welcome.pid),
    }
}

/// The newest one, or the one that accepts clients at an address.
async fn among_all(address: Option<&String>) -> Result<DoorLink, FindError> {
    let (mut refusal, mut others) = (None, Vec::new());
    for path in place::sockets(&place::directory()) {
        match connect(&path, HELD).await {
            Ok(link) if address.is_none_or(|address| link.welcome.listen.contains(address)) => {
                return Ok(link);
            }
            Ok(link) => others.extend(link.welcome.listen),
            Err(error @ ConnectDoorError::Refused { .. }) => refusal = Some(error),
            // Left behind, or about to end.
            Err(_) => {}
        }
    }
    Err(match (refusal, address) {
        (Some(refusal), _) => FindError::Refused(refusal),
        (None, Some(address)) => FindError::NotThere {
            address: address.clone(),
            others,
        },
        (None, None) => FindError::None,
    })
}
