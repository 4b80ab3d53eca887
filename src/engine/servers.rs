//! The configured servers as frontends see them: where they are, where people dial them, how they fare.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::session::tally::ServerTally;
use crate::snapshot::{ServerKind, UpstreamRow};
use crate::transport::bridge::BridgeServer;
use crate::transport::hub::{Contact, Hub, UpstreamState};
use crate::transport::route::{ServerPlace, Upstream};

use super::surroundings::LiveSurroundings;

impl LiveSurroundings {
    /// A row for each server: upstreams, then commands.
    pub(super) fn upstreams(&self) -> Vec<UpstreamRow> {
        let history = Arc::clone(&self.history.borrow());
        let upstreams = self.hub.routes.upstreams.iter().zip(&self.hub.upstreams);
        let rows = upstreams.map(|(upstream, state)| upstream_row(&self.hub, upstream, state));
        let commands = self.hub.bridges.iter().enumerate();
        let rows = rows.chain(commands.map(|(index, bridge)| command_row(&self.hub, index, bridge)));
        let counted = |row: UpstreamRow| counted(row, history.servers());
        rows.map(counted).collect()
    }
}

fn upstream_row(hub: &Hub, upstream: &Upstream, state: &UpstreamState) -> UpstreamRow {
    let (is_healthy, last_error, down_since) = Contact::shown(state.last().as_ref());
    let config = &upstream.config;
    let mount = config.name.as_ref().map(|name| format!("/{name}"));
    UpstreamRow {
        name: upstream.label.to_string(),
        kind: ServerKind::Http,
        url: config.shown_url(),
        speaks_sse: config.speaks_sse,
        client_url: common_url(hub, &mount.unwrap_or_else(|| config.path.to_string())),
        port_url: port_url(hub, ServerPlace::Upstream(upstream.index), config.path.as_str()),
        added_headers: config.headers.names().map(str::to_owned).collect(),
        is_healthy,
        last_error,
        down_since,
        exchanges: state.exchanges.load(Ordering::Relaxed),
        failures: state.failures.load(Ordering::Relaxed),
        breaker: state.gate.row(),
        ..UpstreamRow::default()
    }
}

fn command_row(hub: &Hub, index: usize, bridge: &BridgeServer) -> UpstreamRow {
    UpstreamRow {
        client_url: common_url(hub, &bridge.mount()),
        port_url: port_url(hub, ServerPlace::Command(index), "/mcp"),
        ..bridge.row()
    }
}

/// A server that a recording names.
pub(super) fn recorded_row(tally: &ServerTally) -> UpstreamRow {
    UpstreamRow {
        name: tally.server.to_string(),
        kind: if tally.is_command {
            ServerKind::Command
        } else {
            ServerKind::Http
        },
        speaks_sse: tally.speaks_sse,
        exchanges: tally.exchanges,
        calls: tally.calls,
        failed_calls: tally.failed,
        ..UpstreamRow::default()
    }
}

/// `row` with what history has counted for it.
fn counted(row: UpstreamRow, tallies: &[ServerTally]) -> UpstreamRow {
    let tally = tallies.iter().find(|tally| *tally.server == *row.name);
    let is_seen = tally.is_some_and(|tally| tally.speaks_sse) && row.kind == ServerKind::Http;
    UpstreamRow {
        speaks_sse: row.speaks_sse || is_seen,
        calls: tally.map_or(0, |tally| tally.calls),
        failed_calls: tally.map_or(0, |tally| tally.failed),
        ..row
    }
}

/// The URL of `path` where all servers are.
fn common_url(hub: &Hub, path: &str) -> String {
    let own = hub.common.first().copied().map(dialled);
    format!(
        "http://{}{path}",
        own.map(|own| own.to_string()).unwrap_or_default()
    )
}

/// The URL of `path` at the port that is this server's alone.
fn port_url(hub: &Hub, place: ServerPlace, path: &str) -> Option<String> {
    let (_, address) = hub.ports.iter().find(|(server, _)| *server == place)?;
    Some(format!("http://{}{path}", dialled(*address)))
}

/// An address to dial for one that is bound: nobody can dial `0.0.0.0` everywhere.
fn dialled(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
