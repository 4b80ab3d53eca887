//! Event streams and large bodies that the mock server sends.

use std::time::Duration;

use anyhow::Result;
use tokio::io::AsyncWriteExt as _;
use tokio_util::sync::CancellationToken;

use crate::buffered::Buffered;
use crate::clock::now_ns;
use crate::events::{self, Spec};
use crate::message::put;
use crate::pattern;

/// Bytes of each write of a large body.
const WRITE_BYTES: usize = 64 * 1024;

/// Starts the head of every answer that is sent in chunks.
pub(super) const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
    cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";

/// What comes after the events.
pub(super) enum Ending<'a> {
    Farewell,
    Answer(&'a [u8]),
}

/// Sends one stream.
pub(super) struct Sender<'a> {
    wire: &'a mut Buffered,
    spec: &'a Spec,
    ended: &'a CancellationToken,
    event: Vec<u8>,
    out: Vec<u8>,
}

impl<'a> Sender<'a> {
    pub(super) fn new(wire: &'a mut Buffered, spec: &'a Spec, ended: &'a CancellationToken) -> Self {
        Self {
            wire,
            spec,
            ended,
            event: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Sends head, events and what ends them.
    ///
    /// # Errors
    /// The reader left.
    pub(super) async fn run(mut self, ending: Ending<'_>) -> Result<()> {
        self.out.extend_from_slice(HEAD);
        self.flush().await?;
        let sent = self.events().await?;
        if self.spec.hold {
            self.session_end().await?;
        }
        self.event.clear();
        match ending {
            Ending::Farewell => events::append_farewell(self.spec.stream, sent, &mut self.event),
            Ending::Answer(answer) => events::append_answer(answer, &mut self.event),
        }
        append_chunk(&self.event, &mut self.out);
        self.out.extend_from_slice(b"0\r\n\r\n");
        self.flush().await
    }

    /// Sends the events; fewer than were asked for if the session ends before.
    async fn events(&mut self) -> Result<u64> {
        for seq in 0..self.spec.events {
            if !self.wait_for(seq).await? {
                return Ok(seq);
            }
            self.event.clear();
            events::append_event(self.spec.stream, seq, now_ns(), self.spec.bytes, &mut self.event);
            if self.spec.piece > 0 {
                self.in_pieces().await?;
                continue;
            }
            append_chunk(&self.event, &mut self.out);
            if (seq + 1) % self.spec.gather == 0 {
                self.flush().await?;
            }
        }
        self.flush().await?;
        Ok(self.spec.events)
    }

    /// Waits until event `seq` is due; false if the session ended before.
    async fn wait_for(&mut self, seq: u64) -> Result<bool> {
        let due = self.spec.start_ns + crate::clock::nanoseconds(self.spec.interval) * seq;
        let wait = Duration::from_nanos(due.saturating_sub(now_ns()));
        if wait.is_zero() {
            return Ok(!self.ended.is_cancelled());
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(true),
            () = self.ended.cancelled() => Ok(false),
            left = self.wire.closed() => Err(left),
        }
    }

    async fn session_end(&mut self) -> Result<()> {
        tokio::select! {
            () = self.ended.cancelled() => Ok(()),
            left = self.wire.closed() => Err(left),
        }
    }

    /// Writes one event in small pieces, each a chunk.
    async fn in_pieces(&mut self) -> Result<()> {
        let event = std::mem::take(&mut self.event);
        for piece in event.chunks(self.spec.piece) {
            append_chunk(piece, &mut self.out);
            self.flush().await?;
        }
        self.event = event;
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        self.wire.stream.write_all(&self.out).await?;
        // TLS keeps what is not flushed.
        self.wire.stream.flush().await?;
        self.out.clear();
        Ok(())
    }
}

pub(super) fn append_chunk(bytes: &[u8], out: &mut Vec<u8>) {
    put(out, format_args!("{:x}\r\n", bytes.len()));
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Sends a body of known length.
///
/// # Errors
/// The reader left.
pub(super) async fn send_plain(wire: &mut Buffered, spec: &Spec) -> Result<()> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: ";
    wire.stream
        .write_all(format!("{head}{}\r\n\r\n", spec.plain).as_bytes())
        .await?;
    let length = usize::try_from(spec.plain)?;
    let mut out = Vec::new();
    for from in (0..length).step_by(WRITE_BYTES) {
        out.clear();
        pattern::append(spec.stream, from, WRITE_BYTES.min(length - from), &mut out);
        wire.stream.write_all(&out).await?;
    }
    Ok(())
}
