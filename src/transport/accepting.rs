//! Accepting connections, no more at once than there are places for them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long to wait when the system has no descriptor or memory for another connection.
const BREATHER: Duration = Duration::from_millis(50);

/// Who comes to a socket, in words for the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guests {
    pub(crate) one: &'static str,
    pub(crate) all: &'static str,
}

/// Accepts connections and gives them to `begin`, each with its place, until `room` is closed. Where no place is free it says
/// so to `full`, and accepts nobody until one leaves. What the system cannot give is waited for.
///
/// # Cancel safety
/// Safe: who was not given to `begin` still waits at the socket.
pub(crate) async fn accept_each(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
    guests: Guests,
    full: impl Fn(),
    begin: impl Fn((TcpStream, SocketAddr), OwnedSemaphorePermit),
) {
    let Guests { one, all } = guests;
    let mut is_stuck = false;
    loop {
        if room.available_permits() == 0 {
            full();
        }
        let Ok(permit) = Arc::clone(room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok(guest) => {
                if std::mem::take(&mut is_stuck) {
                    tracing::info!("{all} are accepted again");
                }
                begin(guest, permit);
            }
            Err(error) => {
                // Once is enough: it may go on for as long as others keep what is missing.
                if !std::mem::replace(&mut is_stuck, true) {
                    tracing::warn!(%error, "{one} could not be accepted; trying again until it can be");
                }
                tokio::time::sleep(BREATHER).await;
            }
        }
    }
}
