//! One MCP session over one kept connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::buffered::Buffered;
use crate::faults::Faults;
use crate::message::{self, put};
use crate::wire::Head;

/// Call ids are unique in the whole run, so that an answer to another session's call is noticed.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

const INITIALIZE: &[u8] = br#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"load","version":"1"}}}"#;
const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Where requests go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// What is dialled.
    pub(crate) address: SocketAddr,
    /// The value of `Host`.
    host: String,
    /// The request target.
    path: String,
}

impl Target {
    /// A server, or a proxy in its place.
    pub(crate) fn direct(address: SocketAddr) -> Self {
        Self {
            address,
            host: address.to_string(),
            path: "/mcp".to_owned(),
        }
    }

    /// A server behind the forward proxy at `proxy`.
    pub(crate) fn through(proxy: SocketAddr, server: SocketAddr) -> Self {
        Self {
            address: proxy,
            host: server.to_string(),
            path: format!("http://{server}/mcp"),
        }
    }

    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub(crate) async fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(self.address)
            .await
            .with_context(|| format!("could not connect to {}", self.address))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Replaces `out` by a request head without its last empty line.
    pub(crate) fn head(&self, method: &str, out: &mut Vec<u8>) {
        out.clear();
        let Self { path, host, .. } = self;
        put(
            out,
            format_args!(
                "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json, text/event-stream\r\n"
            ),
        );
    }
}

/// A session that has been initialized.
#[derive(Debug)]
pub(crate) struct Session {
    wire: Buffered,
    target: Arc<Target>,
    /// Head fields that every request of the session carries.
    fields: String,
    /// Calls made, and the id of the last.
    calls: u64,
    call_id: u64,
    message: Vec<u8>,
    request: Vec<u8>,
    body: Vec<u8>,
}

impl Session {
    /// Connects and initializes.
    ///
    /// # Errors
    /// No connection, or not the answers that a server gives.
    pub(crate) async fn open(target: &Arc<Target>) -> Result<Self> {
        let wire = Buffered::new(target.connect().await?);
        let (message, request, body) = (Vec::new(), Vec::new(), Vec::new());
        let mut session = Self {
            wire,
            target: Arc::clone(target),
            fields: String::new(),
            calls: 0,
            call_id: 0,
            message,
            request,
            body,
        };
        session
            .initialize()
            .await
            .context("a session could not be opened")?;
        Ok(session)
    }

    async fn initialize(&mut self) -> Result<()> {
        self.message = INITIALIZE.to_vec();
        let head = self.post().await?;
        let Some(id) = head.session.filter(|_| head.line.contains(" 200 ")) else {
            bail!("initialize was answered with `{}` and no session id", head.line);
        };
        self.fields = format!("Mcp-Session-Id: {id}\r\nMCP-Protocol-Version: 2025-11-25\r\n");
        self.message = INITIALIZED.to_vec();
        let head = self.post().await?;
        if head.status() != 202 {
            bail!("the notification was answered with `{}`", head.line);
        }
        Ok(())
    }

    /// Posts `message`; the answer's body is in `body` afterwards.
    async fn post(&mut self) -> Result<Head> {
        self.target.head("POST", &mut self.request);
        let (fields, length) = (&self.fields, self.message.len());
        put(
            &mut self.request,
            format_args!("{fields}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"),
        );
        self.request.extend_from_slice(&self.message);
        self.exchange().await
    }

    /// Sends `request` and reads the answer.
    async fn exchange(&mut self) -> Result<Head> {
        self.wire
            .stream
            .write_all(&self.request)
            .await
            .context("the connection broke under a request")?;
        let Some(head) = self.wire.head().await? else {
            bail!("the connection was closed before the answer")
        };
        self.body.clear();
        self.wire.body(head.response_framing(), &mut self.body).await?;
        Ok(head)
    }

    /// Calls a tool that answers with `answer_bytes`; [`Self::check`] then looks at the answer.
    ///
    /// # Errors
    /// There was no answer with status 200.
    pub(crate) async fn call(&mut self, answer_bytes: usize) -> Result<()> {
        self.call_id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        self.calls += 1;
        message::call(
            self.call_id,
            answer_bytes,
            message::REQUEST_BYTES,
            &mut self.message,
        );
        let head = self
            .post()
            .await
            .with_context(|| format!("call {}", self.call_id))?;
        if head.status() != 200 {
            bail!("call {} was answered with `{}`", self.call_id, head.line);
        }
        Ok(())
    }

    /// Compares every byte of the last call's answer with what it has to be.
    pub(crate) fn check(&mut self, answer_bytes: usize, faults: &mut Faults) {
        message::answer(self.call_id, self.calls, answer_bytes, &mut self.message);
        faults.check_answer(self.call_id, self.calls, &self.message, &self.body);
    }

    /// Ends the session and closes the connection.
    ///
    /// # Errors
    /// The server did not know the session any more.
    pub(crate) async fn close(mut self) -> Result<()> {
        self.target.head("DELETE", &mut self.request);
        let fields = &self.fields;
        put(&mut self.request, format_args!("{fields}\r\n"));
        let head = self.exchange().await?;
        if head.status() != 200 {
            bail!("DELETE was answered with `{}`", head.line);
        }
        Ok(())
    }
}
