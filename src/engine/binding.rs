//! Opens the listening sockets.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use crate::config::{CommandServer, Config, ListenAddress, UpstreamConfig};
use crate::transport::listener::Listener;
use crate::transport::route::ServerPlace;

use super::StartError;

/// Connections the system completes before we accept them.
const BACKLOG: u32 = 4096;
/// Free ports that are tried until one is free in both families.
const TRIES: usize = 8;

/// The sockets that clients connect to.
#[derive(Debug)]
pub(super) struct Sockets {
    /// Where all servers are.
    pub(super) common: Vec<TcpListener>,
    /// Where one server is alone.
    pub(super) own: Vec<(ServerPlace, TcpListener)>,
}

impl Sockets {
    /// Opens all sockets of `config`. Must be called within a runtime.
    ///
    /// # Errors
    /// [`StartError`] with the address that cannot be listened on.
    pub(super) fn open(config: &Config) -> Result<Self, StartError> {
        Ok(Self {
            common: bind_all(&config.listen)?,
            own: bind_ports(config)?,
        })
    }

    /// The addresses at which all servers are.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let addresses = self.common.iter().filter_map(|socket| socket.local_addr().ok());
        addresses.collect()
    }

    /// The addresses at which one server is alone.
    pub(super) fn ports(&self) -> Vec<(ServerPlace, SocketAddr)> {
        let ports = self.own.iter();
        let ports = ports.filter_map(|(place, socket)| Some((*place, socket.local_addr().ok()?)));
        ports.collect()
    }

    pub(super) fn into_listeners(self) -> impl Iterator<Item = Listener> {
        let common = self
            .common
            .into_iter()
            .map(|socket| Listener { socket, only: None });
        let own = self.own.into_iter();
        common.chain(own.map(|(place, socket)| Listener {
            socket,
            only: Some(place),
        }))
    }
}

/// A port for each server at the hosts of the first address that is listened on.
fn bind_ports(config: &Config) -> Result<Vec<(ServerPlace, TcpListener)>, StartError> {
    let Some(address) = config.listen.first().filter(|_| config.ports.is_some()) else {
        return Ok(Vec::new());
    };
    let mut own = Vec::new();
    for (number, place) in ServerPlace::all(config).enumerate() {
        let port = config.port_of(number).unwrap_or_default();
        let sockets = bind_port(address, port).map_err(|error| error.of_server(&label(config, place)))?;
        own.extend(sockets.into_iter().map(|socket| (place, socket)));
    }
    Ok(own)
}

fn label(config: &Config, place: ServerPlace) -> String {
    let label = match place {
        ServerPlace::Upstream(place) => config.upstreams.get(place).map(UpstreamConfig::label),
        ServerPlace::Command(place) => config.commands.get(place).map(CommandServer::label),
    };
    label.as_deref().unwrap_or_default().to_owned()
}

/// A free port of one family may be taken in the other one: then there are others.
fn bind_port(address: &ListenAddress, port: u16) -> Result<Vec<TcpListener>, StartError> {
    let address = address.at_port(port);
    let mut tries = if port == 0 { TRIES } else { 1 };
    loop {
        tries -= 1;
        match bind_all(std::slice::from_ref(&address)) {
            Err(_) if tries > 0 => {}
            outcome => return outcome,
        }
    }
}

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

/// What to do about an address that cannot be listened on; `otherwise` unless the system's answer says more.
pub(super) fn advice(source: &io::Error, otherwise: &'static str) -> &'static str {
    if source.kind() == io::ErrorKind::AddrNotAvailable {
        "this machine has no such address: write one of its own, such as 127.0.0.1, or 0.0.0.0 for all it has"
    } else {
        otherwise
    }
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
    async fn each_server_gets_a_port_of_its_own_in_both_families() {
        let config = Config {
            listen: vec![":0".parse().unwrap()],
            upstreams: vec!["a=http://x:1/".parse().unwrap(), "b=http://x:2/".parse().unwrap()],
            ports: Some(crate::config::ServerPorts::Free),
            ..Config::default()
        };
        let sockets = Sockets::open(&config).unwrap();
        let ports = sockets.ports();
        let of = |place: usize| {
            let own = ports.iter().filter(|(at, _)| *at == ServerPlace::Upstream(place));
            own.map(|(_, address)| address.port()).collect::<Vec<_>>()
        };
        let (first, second) = (of(0), of(1));
        assert!(
            first
                .iter()
                .all(|port| *port == first[0] && !second.contains(port)),
            "{ports:?}"
        );
        assert!(!sockets.addresses().iter().any(|common| common.port() == first[0]));
    }

    #[tokio::test]
    async fn a_port_in_use_names_the_server_that_wanted_it() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let config = Config {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            upstreams: vec!["db=http://x:1/".parse().unwrap()],
            ports: Some(crate::config::ServerPorts::From(port)),
            ..Config::default()
        };
        let error = Sockets::open(&config).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        let text = error.to_string();
        assert!(
            text.contains(&port.to_string()) && text.contains("`db`") && text.contains("--ports"),
            "{text}"
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
