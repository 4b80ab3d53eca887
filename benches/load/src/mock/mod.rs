//! The MCP server at the far end: light, and exact about what it sends.

mod connection;
mod state;
pub(crate) mod stdio;
mod stream;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;

use crate::report::say_line;
use state::State;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

/// Serves until it is killed.
///
/// # Errors
/// The port cannot be opened, or nobody reads the line that names it.
pub(crate) async fn run() -> Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let listener = socket.listen(BACKLOG)?;
    say_line(format_args!("listening on {}", listener.local_addr()?));
    serve(listener).await
}

/// Serves all who connect to `listener`.
///
/// # Errors
/// The listener broke.
pub(crate) async fn serve(listener: TcpListener) -> Result<()> {
    let state = Arc::new(State::default());
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        connections.spawn(connection::serve(stream, Arc::clone(&state)));
        while connections.try_join_next().is_some() {}
    }
}
