//! One kept connection.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::buffered::Buffered;
use crate::message::put;
use crate::socket::Socket;
use crate::wire::Head;

use super::Secure;

/// Where requests go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// What is dialled.
    address: SocketAddr,
    /// The value of `Host`.
    host: String,
    /// The request target.
    path: String,
    /// With TLS, and how.
    secure: Option<Secure>,
}

impl Target {
    /// A server, or a proxy in its place.
    pub(crate) fn direct(address: SocketAddr) -> Self {
        Self {
            address,
            host: address.to_string(),
            path: "/mcp".to_owned(),
            secure: None,
        }
    }

    /// A server behind the forward proxy at `proxy`.
    pub(crate) fn through(proxy: SocketAddr, server: SocketAddr) -> Self {
        Self {
            address: proxy,
            host: server.to_string(),
            path: format!("http://{server}/mcp"),
            secure: None,
        }
    }

    /// A server with TLS: the one at `address`, or the one behind the proxy at `address`.
    pub(crate) fn secure(address: SocketAddr, secure: Secure) -> Self {
        let port = secure.through.unwrap_or(address).port();
        Self {
            host: format!("localhost:{port}"),
            secure: Some(secure),
            ..Self::direct(address)
        }
    }

    /// Another path of the same server.
    pub(crate) fn at_path(&self, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..self.clone()
        }
    }

    /// What is dialled.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Another path of a server.
    pub(crate) fn at(address: SocketAddr, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..Self::direct(address)
        }
    }

    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub(crate) async fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(self.address).await;
        let stream = stream.with_context(|| format!("could not connect to {}", self.address))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Connects, with TLS if the server wants that.
    ///
    /// # Errors
    /// Nobody listens there, or is not who it should be.
    pub(crate) async fn open(&self) -> Result<Socket> {
        let stream = self.connect().await?;
        match &self.secure {
            Some(secure) => Ok(secure.wrap(stream).await?.into()),
            None => Ok(stream.into()),
        }
    }

    /// Replaces `out` by a request head with these further fields and without its last empty line.
    pub(crate) fn head(&self, method: &str, fields: &str, out: &mut Vec<u8>) {
        out.clear();
        let Self { path, host, .. } = self;
        put(out, format_args!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n"));
        put(
            out,
            format_args!("Accept: application/json, text/event-stream\r\n{fields}"),
        );
    }
}

/// A connection that is kept for one request after the other.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) wire: Buffered,
    target: Arc<Target>,
    request: Vec<u8>,
    /// Body of the last answer.
    body: Vec<u8>,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub(crate) async fn open(target: &Arc<Target>) -> Result<Self> {
        let wire = Buffered::new(target.open().await?);
        Ok(Self {
            wire,
            target: Arc::clone(target),
            request: Vec::new(),
            body: Vec::new(),
        })
    }

    /// Lets the next requests go elsewhere on the same server.
    pub(super) fn aim(&mut self, target: Arc<Target>) {
        self.target = target;
    }

    /// Body of the last answer.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Posts a message and reads the whole answer.
    ///
    /// # Errors
    /// The connection broke, or what came is no HTTP.
    pub(crate) async fn post(&mut self, fields: &str, message: &[u8]) -> Result<Head> {
        self.send_post(fields, message).await?;
        self.answer().await
    }

    /// Sends a request without a body and reads the whole answer.
    ///
    /// # Errors
    /// As for [`Self::post`].
    pub(crate) async fn request(&mut self, method: &str, fields: &str) -> Result<Head> {
        self.send(method, fields).await?;
        self.answer().await
    }

    pub(super) async fn send_post(&mut self, fields: &str, message: &[u8]) -> Result<()> {
        self.target.head("POST", fields, &mut self.request);
        let length = message.len();
        put(
            &mut self.request,
            format_args!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"),
        );
        self.request.extend_from_slice(message);
        self.write().await
    }

    pub(super) async fn send(&mut self, method: &str, fields: &str) -> Result<()> {
        self.target.head(method, fields, &mut self.request);
        self.request.extend_from_slice(b"\r\n");
        self.write().await
    }

    async fn write(&mut self) -> Result<()> {
        self.wire
            .stream
            .write_all(&self.request)
            .await
            .context("the connection broke under a request")?;
        Ok(self.wire.stream.flush().await?)
    }

    async fn answer(&mut self) -> Result<Head> {
        let head = self.answer_head().await?;
        self.body.clear();
        self.wire.body(head.response_framing(), &mut self.body).await?;
        Ok(head)
    }

    /// Makes a WebSocket of it.
    ///
    /// # Errors
    /// The server does not want that.
    pub(crate) async fn into_socket(mut self) -> Result<Buffered> {
        let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: mcp\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bG9hZC1sb2FkLWxvYWQtbA==\r\n";
        self.send("GET", fields).await?;
        let head = self.answer_head().await?;
        if head.status() != 101 {
            bail!("no WebSocket: `{}`", head.line);
        }
        Ok(self.wire)
    }

    pub(super) async fn answer_head(&mut self) -> Result<Head> {
        let Some(head) = self.wire.head().await? else {
            bail!("the connection was closed before the answer")
        };
        Ok(head)
    }
}
