//! One direction of a WebSocket: it is read, told of, and passed on.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::sync::mpsc;

use crate::codec::websocket::{Heard, Step, WebSocketError, WebSocketReader, put_frame};
use crate::session::observation::{Observation, head_text};
use crate::snapshot::{Carrier, Direction, EndKind, Finding, Severity};
use crate::transport::exchange::Exchange;
use crate::transport::lane::{Noted, Passed, Progress};
use crate::transport::reader::{BodyKind, BodyReader, Draft};
use crate::transport::rewrite::Changes;
use crate::transport::watchers::Outbox;

use super::Kind;
use super::gate::Gate;

/// How much is read at once, in bytes. What it inflates to is kept until it is told.
const READ_BYTES: usize = 16 * 1024;
const TEXT: u8 = 1;

/// How one direction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// There is nothing more to read.
    Read,
    /// Reading failed.
    BrokeOff,
    /// Nobody takes it any more.
    Refused,
    /// A rule, or a person, closed it.
    Cut,
}

impl End {
    /// Of what the server says.
    pub(super) const fn of_server(self) -> EndKind {
        match self {
            Self::Read => EndKind::Complete,
            Self::BrokeOff => EndKind::UpstreamAborted,
            Self::Refused => EndKind::ClientAborted,
            Self::Cut => EndKind::CutByProxy,
        }
    }
}

/// The way of answers in the place of the server's.
pub(super) enum Back {
    /// From what the client says.
    To(mpsc::Sender<Bytes>),
    /// To what it hears.
    From(mpsc::Receiver<Bytes>),
}

/// What is to be done next.
enum Next {
    /// So many bytes were read.
    Read(usize),
    /// This goes on.
    On(Passed),
    /// An answer in the place of the server's.
    Answer(Bytes),
    BrokeOff,
    /// All has gone on.
    Over,
}

/// What a gate has to say.
enum Gated {
    /// This goes on.
    Goes(Passed),
    /// Nothing goes on now.
    Waits(Progress),
}

/// Passes on one direction; what was read is told before it goes on.
pub(super) async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut tap: Tap,
) -> End {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let next = std::future::poll_fn(|cx| tap.poll_next(cx, &mut from, &mut buffer)).await;
        let (pieces, is_closed) = match next {
            Next::Read(0) => {
                tap.has_ended = true;
                continue;
            }
            Next::Read(length) => {
                let bytes = &buffer[..length];
                let passes = tap.look(bytes).await;
                if write(&mut to, &bytes[..passes]).await.is_err() {
                    return End::Refused;
                }
                continue;
            }
            Next::On(on) => tap.carry_out(on).await,
            Next::Answer(message) => (vec![tap.answer(&message).await], false),
            Next::BrokeOff => return End::BrokeOff,
            Next::Over => break,
        };
        for piece in pieces {
            if write(&mut to, &piece).await.is_err() {
                return End::Refused;
            }
        }
        if is_closed {
            return End::Cut;
        }
    }
    match to.shutdown().await {
        Ok(()) => End::Read,
        Err(_) => End::Refused,
    }
}

async fn write(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    if !bytes.is_empty() {
        to.write_all(bytes).await?;
        to.flush().await?;
    }
    Ok(())
}

/// Reads one direction and tells of it.
pub(super) struct Tap {
    direction: Direction,
    reader: WebSocketReader,
    messages: BodyReader,
    drafts: Vec<Draft>,
    is_unreadable: bool,
    has_ended: bool,
    keeps_context: bool,
    /// The rules that the gate is, or is not, there for.
    rules_seen: u64,
    gate: Option<Gate>,
    notes: Vec<Noted>,
    back: Back,
    outbox: Outbox,
    // Dropped last: its drop may tell the end of the exchange.
    exchange: Arc<Exchange>,
}

impl Tap {
    pub(super) fn new(exchange: &Arc<Exchange>, direction: Direction, kind: Kind, back: Back) -> Self {
        let hub = &exchange.hub;
        let lease = hub.buffers.lease(exchange.side);
        let document = BodyKind::Document { is_json: kind.is_mcp };
        let keeps_context = kind.keeps_context(direction);
        Self {
            direction,
            reader: WebSocketReader::new(keeps_context),
            messages: BodyReader::new(document, None, &hub.limits, lease),
            drafts: Vec::new(),
            is_unreadable: false,
            has_ended: false,
            keeps_context: keeps_context == Some(true),
            rules_seen: 0,
            gate: None,
            notes: Vec::new(),
            back,
            outbox: Outbox::new(Arc::clone(&hub.watchers)),
            exchange: Arc::clone(exchange),
        }
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        buffer: &mut [u8],
    ) -> Poll<Next> {
        let progress = match self.poll_gate(cx) {
            Gated::Goes(on) => return Poll::Ready(Next::On(on)),
            Gated::Waits(progress) => progress,
        };
        if let Some(answer) = self.poll_answer(cx) {
            return Poll::Ready(Next::Answer(answer));
        }
        if self.has_ended {
            let is_over = self.gate.as_ref().is_none_or(Gate::is_empty);
            return if is_over {
                Poll::Ready(Next::Over)
            } else {
                Poll::Pending
            };
        }
        if progress == Progress::Full {
            return Poll::Pending;
        }
        let mut read = ReadBuf::new(buffer);
        Poll::Ready(match ready!(Pin::new(from).poll_read(cx, &mut read)) {
            Ok(()) => Next::Read(read.filled().len()),
            Err(_) => Next::BrokeOff,
        })
    }

    /// What may go on, or how far the lane is.
    fn poll_gate(&mut self, cx: &mut Context<'_>) -> Gated {
        let Some(gate) = &mut self.gate else {
            return Gated::Waits(Progress::Empty);
        };
        let mut on = Passed::default();
        let progress = gate.lane.poll(cx, &mut on);
        if !gate.lane.is_within_frame() {
            on.pieces.append(&mut gate.at_once);
        }
        on.is_closed |= gate.is_broken && gate.lane.is_empty();
        let is_something =
            on.is_closed || !on.pieces.is_empty() || !on.events.is_empty() || !on.back.is_empty();
        if is_something {
            Gated::Goes(on)
        } else {
            Gated::Waits(progress)
        }
    }

    /// An answer for the client, if one is there and the server is not in the middle of a message.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        let is_between = self.gate.as_ref().is_none_or(Gate::is_between_messages);
        let Back::From(answers) = &mut self.back else {
            return None;
        };
        if self.is_unreadable {
            // Nobody knows where a message could go.
            answers.close();
        }
        if !is_between || !self.reader.is_between_messages() || self.is_unreadable {
            return None;
        }
        match answers.poll_recv(cx) {
            Poll::Ready(answer) => answer,
            Poll::Pending => None,
        }
    }

    /// Tells what was done and gives what is to be written, and whether that is the end.
    async fn carry_out(&mut self, on: Passed) -> (Vec<Bytes>, bool) {
        let at = self.exchange.hub.clock.now();
        for event in on.events {
            self.outbox.put(Observation { at, event });
        }
        self.outbox.flush().await;
        if let Back::To(answers) = &self.back {
            for message in on.back {
                if answers.send(message).await.is_err() {
                    tracing::warn!("an answer has no way back to the client of a WebSocket");
                }
            }
        }
        (on.pieces, on.is_closed)
    }

    /// Tells of an answer in the place of the server's, and gives its frame.
    async fn answer(&mut self, message: &Bytes) -> Bytes {
        let is_recording = self.outbox.is_recording();
        self.messages.push(message, true, is_recording, &mut self.drafts);
        self.messages.finish(true, &mut self.drafts);
        self.tell();
        self.notes.clear();
        self.outbox.flush().await;
        let mut frame = Vec::with_capacity(message.len() + 14);
        put_frame(TEXT, true, None, message, &mut frame);
        frame.into()
    }

    /// Tells of the next bytes. The first so many of them pass at once, the others through the gate. Waits while ledger
    /// or recorder have no room.
    async fn look(&mut self, bytes: &[u8]) -> usize {
        self.exchange.count(self.direction, bytes.len());
        let mut passes = 0;
        while passes < bytes.len() && self.gate.is_none() {
            if !self.is_unreadable && self.reader.is_between_messages() {
                self.look_for_rules();
                if self.gate.is_some() {
                    break;
                }
            }
            passes += self.read_frame(&bytes[passes..]);
        }
        let mut rest = &bytes[passes..];
        while !rest.is_empty() {
            let taken = self.read_frame(rest);
            rest = &rest[taken..];
        }
        self.outbox.flush().await;
        passes
    }

    /// Rules that were armed since are asked from the next message on.
    fn look_for_rules(&mut self) {
        if !self.exchange.has_other_rules(&mut self.rules_seen) {
            return;
        }
        if !self.exchange.asks_rules() {
            return;
        }
        self.gate = Some(Gate::new(&self.exchange, self.direction, self.keeps_context));
        if self.keeps_context {
            self.find(
                "rules are armed: compressed messages of this WebSocket go on uncompressed, so that they can be held and edited"
                    .to_owned(),
            );
        }
    }

    /// Reads up to the end of a frame, and hands it to the gate. Says how many bytes that were.
    fn read_frame(&mut self, bytes: &[u8]) -> usize {
        if self.is_unreadable {
            if let Some(gate) = &mut self.gate {
                gate.pass(bytes);
            }
            return bytes.len();
        }
        match self.hear(bytes) {
            Ok((step, close)) => {
                self.tell();
                let noted = self.notes.pop();
                if let Some(gate) = &mut self.gate {
                    gate.take(&bytes[..step.taken], step, noted);
                }
                if let Some((Some(code), reason)) = close {
                    self.closes(code, &reason);
                }
                step.taken
            }
            Err(error) => {
                self.is_unreadable = true;
                self.messages.finish(false, &mut self.drafts);
                self.find(format!(
                    "what passes on this WebSocket from here on is not shown: {error}"
                ));
                self.tell();
                self.read_frame(bytes)
            }
        }
    }

    #[expect(
        clippy::type_complexity,
        reason = "the code and reason of a close, if one was heard"
    )]
    fn hear(&mut self, bytes: &[u8]) -> Result<(Step, Option<(Option<u16>, String)>), WebSocketError> {
        let wants_parts = self.outbox.is_recording();
        let (messages, drafts, gate) = (&mut self.messages, &mut self.drafts, &mut self.gate);
        let mut close = None;
        let step = self.reader.push_frame(bytes, &mut |heard| match heard {
            Heard::Data { bytes, is_last, .. } => {
                if let Some(gate) = gate {
                    gate.hear(bytes);
                }
                messages.push(&Bytes::copy_from_slice(bytes), is_last, wants_parts, drafts);
                if is_last {
                    messages.finish(true, drafts);
                }
            }
            Heard::Close { code, reason } => close = Some((code, head_text(reason))),
            Heard::Ping | Heard::Pong => {}
        })?;
        Ok((step, close))
    }

    /// A close that is not the usual one says why.
    fn closes(&self, code: u16, reason: &str) {
        /// Done, and going away.
        const USUAL: [u16; 2] = [1000, 1001];
        if !USUAL.contains(&code) {
            let who = match self.direction {
                Direction::ClientToServer => "client",
                Direction::ServerToClient => "server",
            };
            let reason = if reason.is_empty() {
                String::new()
            } else {
                format!(": {reason}")
            };
            self.exchange
                .fail(format!("the {who} closed the WebSocket with code {code}{reason}"));
        }
    }

    fn find(&mut self, text: String) {
        let finding = Finding {
            severity: Severity::Warning,
            text,
        };
        let changes = Changes {
            findings: vec![finding],
            ..Changes::default()
        };
        self.exchange.tell_changes(changes, &mut self.outbox);
    }

    fn tell(&mut self) {
        if !self.drafts.is_empty() {
            let notes = self.gate.is_some().then_some(&mut self.notes);
            self.exchange.tell_noted(
                (self.direction, Carrier::WebSocket),
                &mut self.drafts,
                None,
                &mut self.outbox,
                notes,
            );
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        // What is held has nobody to go to.
        self.gate = None;
        self.messages.finish(false, &mut self.drafts);
        self.tell();
    }
}
