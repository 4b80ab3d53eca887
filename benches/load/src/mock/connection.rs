//! One connection of the mock server.

use std::io;
use std::sync::Arc;

use anyhow::{Result, bail};
use memchr::memmem;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::buffered::Buffered;
use crate::message::{self, put};
use crate::wire::Head;

use super::state::State;

const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"logging":{}},"serverInfo":{"name":"load-mock","version":"1"}}}"#;

/// Serves one connection until its peer leaves. A peer that breaks the rules is cut off: its end sees that.
pub(super) async fn serve(stream: TcpStream, state: Arc<State>) {
    let mut connection = Connection {
        wire: Buffered::new(stream),
        body: Vec::new(),
        answer: Vec::new(),
        out: Vec::new(),
        state,
    };
    while let Ok(true) = connection.exchange().await {}
}

struct Connection {
    wire: Buffered,
    body: Vec<u8>,
    answer: Vec<u8>,
    out: Vec<u8>,
    state: Arc<State>,
}

impl Connection {
    /// Answers one request; false once the peer has left.
    async fn exchange(&mut self) -> Result<bool> {
        let Some(head) = self.wire.head().await? else {
            return Ok(false);
        };
        self.body.clear();
        self.wire.body(head.request_framing(), &mut self.body).await?;
        match head.line.split(' ').next().unwrap_or_default() {
            "POST" => self.post(&head).await?,
            "DELETE" => self.delete(&head).await?,
            _ => self.plain("405 Method Not Allowed").await?,
        }
        Ok(true)
    }

    async fn delete(&mut self, head: &Head) -> io::Result<()> {
        let known = head
            .session
            .as_ref()
            .is_some_and(|session| self.state.end(session));
        self.plain(if known { "200 OK" } else { "404 Not Found" }).await
    }

    async fn post(&mut self, head: &Head) -> Result<()> {
        let start = self.body.get(..self.body.len().min(128)).unwrap_or_default();
        if memmem::find(start, b"\"tools/call\"").is_some() {
            return self.call(head).await;
        }
        if memmem::find(start, b"\"initialize\"").is_some() {
            return Ok(self.initialize().await?);
        }
        let known = head
            .session
            .as_ref()
            .is_some_and(|session| self.state.knows(session));
        Ok(self
            .plain(if known { "202 Accepted" } else { "404 Not Found" })
            .await?)
    }

    async fn initialize(&mut self) -> io::Result<()> {
        let session = self.state.begin();
        self.answer.clear();
        self.answer.extend_from_slice(INITIALIZED);
        self.json(&format!("mcp-session-id: {session}\r\n")).await
    }

    async fn call(&mut self, head: &Head) -> Result<()> {
        let Some(id) = message::number(&self.body, "id") else {
            bail!("a call without an id")
        };
        let nth = self.state.count_call(head.session.as_deref().unwrap_or_default());
        match message::checked_call(id, &self.body) {
            _ if nth == 0 => return Ok(self.plain("404 Not Found").await?),
            Some(bytes) => message::answer(id, nth, bytes, &mut self.answer),
            None => message::damaged(id, &mut self.answer),
        }
        Ok(self.json("").await?)
    }

    /// Sends `answer` with further header fields.
    async fn json(&mut self, fields: &str) -> io::Result<()> {
        self.out.clear();
        let length = self.answer.len();
        put(
            &mut self.out,
            format_args!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{fields}\r\n"
            ),
        );
        self.out.extend_from_slice(&self.answer);
        self.wire.stream.write_all(&self.out).await
    }

    /// Sends an answer without a body.
    async fn plain(&mut self, status: &str) -> io::Result<()> {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        self.wire.stream.write_all(answer.as_bytes()).await
    }
}
