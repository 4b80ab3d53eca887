//! Opens the listening sockets.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use crate::config::ListenAddress;

use super::StartError;

/// Connections the system completes before we accept them.
const BACKLOG: u32 = 4096;

/// Listens on every address. Where one text stands for both loopback families, the second one may be missing from the
/// machine, and follows the port that the first one got. Must be called within a runtime.
pub(super) fn bind_all(addresses: &[ListenAddress]) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners = Vec::new();
    for text in addresses {
        let mut port = None;
        for (index, address) in text.addresses().iter().enumerate() {
            let address = SocketAddr::new(address.ip(), port.unwrap_or_else(|| address.port()));
            match bind(address) {
                Ok(listener) => {
                    port = listener.local_addr().ok().map(|bound| bound.port());
                    listeners.push(listener);
                }
                Err(error) if index > 0 && error.kind() != io::ErrorKind::AddrInUse => {
                    tracing::info!(%address, %error, "this family of loopback addresses is left out");
                }
                Err(source) => return Err(StartError::Bind { address, source }),
            }
        }
    }
    Ok(listeners)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    // A restart must not wait for the last run's connections to time out.
    socket.set_reuseaddr(cfg!(unix))?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_loopback_families_get_the_same_free_port() {
        let listeners = bind_all(&[":0".parse().unwrap()]).unwrap();
        let ports: Vec<u16> = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap().port())
            .collect();
        assert!(
            ports.iter().all(|port| *port == ports[0] && *port != 0),
            "{ports:?}"
        );
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = bind_all(&[address.to_string().parse().unwrap()]).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
