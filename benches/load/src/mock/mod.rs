//! The MCP server at the far end: light, and exact about what it sends.

mod connection;
mod legacy;
mod state;
pub(crate) mod stdio;
mod stream;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::report::say_line;
use state::State;
pub(crate) use tls::CERTIFICATE;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

/// Serves until it is killed; with TLS too, and the certificate to trust in the folder `tls`, if there is one.
///
/// # Errors
/// A port cannot be opened, or nobody reads the lines that name them.
pub(crate) async fn run(tls: Option<&Path>) -> Result<()> {
    let listener = listen()?;
    let state = Arc::new(State::default());
    let secure = match tls {
        Some(folder) => Some((listen()?, tls::acceptor(folder)?)),
        None => None,
    };
    say_line(format_args!("listening on {}", listener.local_addr()?));
    let Some((secure, acceptor)) = secure else {
        return serve_with(listener, None, state).await;
    };
    say_line(format_args!("TLS on {}", secure.local_addr()?));
    let plain = serve_with(listener, None, Arc::clone(&state));
    tokio::try_join!(plain, serve_with(secure, Some(acceptor), state)).map(|((), ())| ())
}

fn listen() -> Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    Ok(socket.listen(BACKLOG)?)
}

/// Serves all who connect to `listener`.
///
/// # Errors
/// The listener broke.
#[cfg(test)]
pub(crate) async fn serve(listener: TcpListener) -> Result<()> {
    serve_with(listener, None, Arc::default()).await
}

async fn serve_with(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) -> Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        connections.spawn(async move {
            match tls {
                None => connection::serve(stream, state).await,
                // Whoever fails the handshake hears of it at the other end.
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        connection::serve(tokio_rustls::TlsStream::from(stream), state).await;
                    }
                }
            }
        });
        while connections.try_join_next().is_some() {}
    }
}
