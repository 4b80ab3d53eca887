//! What clients are to be given so that they reach the configured servers through the proxy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use clap::ValueEnum;
use shadowcat::config::{Config, ListenAddress};

use crate::client_config::{self, Told};

/// For which client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PasteFormat {
    /// Claude Code, Cursor and others
    McpServers,
    /// The mcp.json of VS Code
    VsCode,
    /// A `claude mcp add` line for each server
    Claude,
}

/// Nothing can be pasted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasteError {
    #[error("there is no server to print; name some with --upstream NAME=URL or --config mcp.json")]
    NoServer,
    #[error("port 0 is another one at each start; give --listen the port that clients are to use")]
    NoPort,
}

/// The text for `format`.
pub(super) fn page(config: &Config, format: PasteFormat) -> Result<String, PasteError> {
    let origin = origin(&config.listen).ok_or(PasteError::NoPort)?;
    let servers = servers(config, &origin);
    if servers.is_empty() {
        return Err(PasteError::NoServer);
    }
    let told = servers.iter().map(|(name, url, speaks_sse)| Told {
        name,
        url,
        speaks_sse: *speaks_sse,
    });
    Ok(match format {
        PasteFormat::McpServers => client_config::mcp_servers(told),
        PasteFormat::VsCode => client_config::vs_code(told),
        PasteFormat::Claude => told.map(|told| client_config::claude(told) + "\n").collect(),
    })
}

fn origin(listen: &[ListenAddress]) -> Option<String> {
    let address = *listen.first()?.addresses().first()?;
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let address = SocketAddr::new(ip, address.port());
    (address.port() > 0).then(|| format!("http://{address}"))
}

/// Name and URL of each, and whether it speaks HTTP+SSE.
fn servers(config: &Config, origin: &str) -> Vec<(String, String, bool)> {
    let upstreams = config.upstreams.iter().map(|upstream| {
        let path = upstream.name.as_ref().map(|name| format!("/{name}"));
        let path = path.unwrap_or_else(|| upstream.path.to_string());
        let url = format!("{origin}{path}");
        (upstream.label().to_string(), url, upstream.speaks_sse)
    });
    let commands = config.commands.iter().map(|command| {
        let path = command.name.as_deref().unwrap_or("mcp");
        (command.label().to_string(), format!("{origin}/{path}"), false)
    });
    upstreams.chain(commands).collect()
}
