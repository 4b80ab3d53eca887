//! One connection of the mock server.

use std::sync::Arc;

use crate::buffered::Buffered;
use crate::events::Spec;
use crate::message::{self, put};
use crate::socket::Socket;
use crate::websocket;
use crate::wire::Head;
use anyhow::{Result, bail};
use memchr::memmem;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use super::state::State;
use super::stream::{Ending, HEAD, Sender, append_chunk, send_plain};

const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"logging":{}},"serverInfo":{"name":"load-mock","version":"1"}}}"#;

const SWITCHED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

/// Serves one connection until its peer leaves. A peer that breaks the rules is cut off: its end sees that.
pub(super) async fn serve(stream: impl Into<Socket>, state: Arc<State>) {
    let (body, answer, out) = (Vec::new(), Vec::new(), Vec::new());
    let mut connection = Connection {
        wire: Buffered::new(stream),
        body,
        answer,
        out,
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
        let head = tokio::select! {
            head = self.wire.head() => head?,
            () = self.state.hung_up() => None,
        };
        let Some(head) = head else { return Ok(false) };
        let spec = head.load.as_deref().and_then(Spec::from_field);
        let stream = spec.as_ref().map(|spec| spec.stream);
        stream.inspect(|stream| self.state.note_begun(*stream));
        let outcome = self.respond(&head, spec.as_ref()).await;
        match (stream, &outcome) {
            (Some(stream), Ok(())) => self.state.note_ended(stream),
            (Some(stream), Err(_)) => self.state.note_left(stream),
            (None, _) => {}
        }
        outcome.map(|()| true)
    }

    async fn respond(&mut self, head: &Head, spec: Option<&Spec>) -> Result<()> {
        self.body.clear();
        self.wire.body(head.request_framing(), &mut self.body).await?;
        match (head.line.split(' ').next().unwrap_or_default(), spec) {
            ("GET", Some(spec)) => self.stream(head, spec).await,
            ("GET", None) if head.line.contains(" /sse ") => self.legacy_stream().await,
            ("POST", None) if head.line.contains(" /messages?") => self.legacy_post(head).await,
            ("GET", None) if head.line.contains(" /ws ") => self.socket().await,
            ("GET", None) if head.line.contains(" /begun ") => {
                self.answer = self.state.take_begun().into_bytes();
                self.json("").await
            }
            ("GET", None) if head.line.contains(" /hang-up ") => {
                self.state.hang_up();
                self.plain("200 OK").await
            }
            ("POST", spec) => self.post(head, spec).await,
            ("DELETE", _) => {
                let known = head
                    .session
                    .as_ref()
                    .is_some_and(|session| self.state.end(session));
                self.plain(if known { "200 OK" } else { "404 Not Found" }).await
            }
            _ => self.plain("405 Method Not Allowed").await,
        }
    }

    async fn stream(&mut self, head: &Head, spec: &Spec) -> Result<()> {
        let Some(ended) = self.state.ended(head.session.as_deref().unwrap_or_default()) else {
            return self.plain("404 Not Found").await;
        };
        if spec.plain > 0 {
            return send_plain(&mut self.wire, spec).await;
        }
        Sender::new(&mut self.wire, spec, &ended)
            .run(Ending::Farewell)
            .await
    }

    async fn post(&mut self, head: &Head, spec: Option<&Spec>) -> Result<()> {
        let start = self.body.get(..self.body.len().min(128)).unwrap_or_default();
        if memmem::find(start, b"\"tools/call\"").is_some() {
            return self.call(head, spec).await;
        }
        if memmem::find(start, b"\"initialize\"").is_some() {
            let session = self.state.begin();
            self.answer.clear();
            self.answer.extend_from_slice(INITIALIZED);
            return self.json(&format!("mcp-session-id: {session}\r\n")).await;
        }
        let known = self
            .state
            .ended(head.session.as_deref().unwrap_or_default())
            .is_some();
        self.plain(if known { "202 Accepted" } else { "404 Not Found" })
            .await
    }

    async fn call(&mut self, head: &Head, spec: Option<&Spec>) -> Result<()> {
        let Some(id) = message::number(&self.body, "id") else {
            bail!("a call without an id")
        };
        let session = head.session.as_deref().unwrap_or_default();
        let nth = self.state.count_call(session);
        let Some(ended) = self.state.ended(session) else {
            return self.plain("404 Not Found").await;
        };
        match message::checked_call(id, &self.body) {
            Some(bytes) => message::answer(id, nth, bytes, &mut self.answer),
            None => message::damaged(id, &mut self.answer),
        }
        match spec {
            Some(spec) => {
                Sender::new(&mut self.wire, spec, &ended)
                    .run(Ending::Answer(&self.answer))
                    .await
            }
            None => self.json("").await,
        }
    }

    /// A WebSocket: each call is answered in a message of its own.
    async fn socket(&mut self) -> Result<()> {
        self.wire.stream.write_all(SWITCHED).await?;
        let mut nth = 0;
        loop {
            let message = tokio::select! {
                message = websocket::hear(&mut self.wire) => message?,
                () = self.state.hung_up() => None,
            };
            let Some(message) = message else {
                websocket::close(&mut self.wire, false).await?;
                bail!("the connection is a WebSocket's, and that has ended");
            };
            let Some(id) = message::number(&message, "id") else {
                continue;
            };
            nth += 1;
            match message::checked_call(id, &message) {
                Some(bytes) => message::answer(id, nth, bytes, &mut self.answer),
                None => message::damaged(id, &mut self.answer),
            }
            websocket::say(&mut self.wire, &self.answer, false).await?;
        }
    }

    /// The stream of a session of 2024-11-05: where to post, then all answers.
    async fn legacy_stream(&mut self) -> Result<()> {
        let (number, mut answers) = self.state.endpoints.open();
        let outcome = self.answers_of(number, &mut answers).await;
        self.state.endpoints.close(number);
        outcome
    }

    async fn answers_of(&mut self, number: u64, answers: &mut mpsc::Receiver<Vec<u8>>) -> Result<()> {
        self.wire.stream.write_all(HEAD).await?;
        let endpoint = format!("event: endpoint\ndata: /messages?s={number}\n\n");
        self.chunk(endpoint.as_bytes()).await?;
        loop {
            tokio::select! {
                answer = answers.recv() => {
                    let Some(answer) = answer else { bail!("the session is gone") };
                    let event = [b"event: message\ndata: ", &answer[..], b"\n\n"].concat();
                    self.chunk(&event).await?;
                }
                left = self.wire.closed() => return Err(left),
            }
        }
    }

    async fn chunk(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.clear();
        append_chunk(bytes, &mut self.out);
        self.wire.stream.write_all(&self.out).await?;
        Ok(self.wire.stream.flush().await?)
    }

    async fn legacy_post(&mut self, head: &Head) -> Result<()> {
        let start = self.body.get(..self.body.len().min(128)).unwrap_or_default();
        let is_call = memmem::find(start, b"\"tools/call\"").is_some();
        let Some((answers, nth)) = self.state.endpoints.of(&head.line, is_call) else {
            return self.plain("404 Not Found").await;
        };
        self.plain("202 Accepted").await?;
        let Some(id) = message::number(&self.body, "id") else {
            return Ok(());
        };
        let mut answer = INITIALIZED.to_vec();
        if is_call {
            match message::checked_call(id, &self.body) {
                Some(bytes) => message::answer(id, nth, bytes, &mut answer),
                None => message::damaged(id, &mut answer),
            }
        }
        Ok(answers.send(answer).await?)
    }

    /// Sends `answer` with further header fields.
    async fn json(&mut self, fields: &str) -> Result<()> {
        self.out.clear();
        let length = self.answer.len();
        put(
            &mut self.out,
            format_args!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"),
        );
        put(
            &mut self.out,
            format_args!("content-length: {length}\r\n{fields}\r\n"),
        );
        self.out.extend_from_slice(&self.answer);
        self.wire.stream.write_all(&self.out).await?;
        Ok(self.wire.stream.flush().await?)
    }

    /// Sends an answer without a body.
    async fn plain(&mut self, status: &str) -> Result<()> {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        self.wire.stream.write_all(answer.as_bytes()).await?;
        Ok(self.wire.stream.flush().await?)
    }
}
