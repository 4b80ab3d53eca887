//! A mock server on standard input and output.
//!
//! Source: MCP, Transports, "stdio".

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::core::Core;
use super::event::one_line;
use super::http::{INVALID_REQUEST, PARSE_ERROR};
use super::plan::Request;
use super::play::{Stage, answer};
use super::session::LiveSession;
use crate::codec::cut::{Cutter, Piece};
use crate::codec::envelope::{Envelope, MessageKind, Scan, Shape, scan};
use crate::codec::lines::{LineBoundary, line_content};
use crate::mcp::era;

/// How often it is looked whether everything was answered once the input has ended.
const LOOK: Duration = Duration::from_millis(5);

/// Serves one client until its input ends and everything was answered, for `drain_timeout` at most.
pub(super) async fn serve(
    core: Arc<Core>,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let session = core.open(None, false);
    let reading = async {
        read(&core, &session, input).await?;
        drain(&core, &session).await;
        session.own_lane.end();
        Ok(())
    };
    let both = async { tokio::try_join!(reading, write(&session, output)).map(drop) };
    let stopping = core.tasks.stopping().clone();
    let ended = stopping.run_until_cancelled(both).await;
    session.over.cancel();
    match ended {
        // A client that does not read any more has ended the session.
        Some(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

async fn read(
    core: &Arc<Core>,
    session: &Arc<LiveSession>,
    mut input: impl AsyncRead + Unpin,
) -> io::Result<()> {
    let mut cutter = Cutter::<LineBoundary>::new(core.options.limits.max_message_bytes);
    let mut pieces = Vec::new();
    loop {
        let mut chunk = bytes::BytesMut::with_capacity(64 * 1024);
        let count = input.read_buf(&mut chunk).await?;
        if count == 0 {
            cutter.finish(&mut pieces);
        } else {
            cutter.push(&chunk.freeze(), &mut pieces);
        }
        for piece in pieces.drain(..) {
            match piece {
                Piece::Frame(line) | Piece::Tail(line) => take(core, session, &line).await,
                Piece::Part(_) => {}
                Piece::Oversize { bytes, .. } => {
                    tracing::warn!(bytes, "a line longer than max_message_bytes was left out");
                }
            }
        }
        if count == 0 {
            return Ok(());
        }
    }
}

async fn take(core: &Arc<Core>, session: &Arc<LiveSession>, line: &Bytes) {
    let line = line.slice(..line_content(line).len());
    let scanned = scan(&line);
    if let Some((code, text)) = refusal(&scanned) {
        tracing::warn!(bytes = line.len(), "a line of the client was refused: {text}");
        let error = json!({"code": code, "message": text});
        return core
            .say(&session.own_lane, answer("null", "error", &error), None)
            .await;
    }
    for envelope in scanned.messages {
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(line.len());
        let start = place(envelope.span.start);
        let text = line.slice(start..place(envelope.span.end).max(start));
        if envelope.kind == MessageKind::Request {
            let is_modern = era::is_modern(&envelope);
            let request = Request::new(text, envelope, is_modern);
            let plan = core.plan(session, &request);
            if request.method == "initialize" {
                // A client may say everything at once, and nothing may come before this answer.
                let stage = Stage::Lane(&session.own_lane);
                core.answer_into(session, &request, &plan, stage).await;
            } else {
                core.perform(session, request, plan, Arc::clone(&session.own_lane));
            }
        } else {
            core.hear(session, &text, &envelope);
        }
    }
}

/// What is answered to a line that has no message; `None` if it has one, or nothing at all.
///
/// Source: JSON-RPC 2.0, "Error object".
fn refusal(scanned: &Scan) -> Option<(i64, &'static str)> {
    let is_message = |envelope: &Envelope| envelope.kind != MessageKind::Malformed;
    match scanned.shape {
        Shape::Empty => None,
        Shape::Single | Shape::Batch => {
            let refused = (INVALID_REQUEST, "The line is not a JSON-RPC message.");
            (!scanned.messages.iter().any(is_message)).then_some(refused)
        }
        _ => Some((PARSE_ERROR, "The line is not a JSON document.")),
    }
}

/// Waits until everything was answered; what stays open as it was recorded is not waited for beyond the time.
async fn drain(core: &Core, session: &LiveSession) {
    let answered = async {
        while !session.is_idle() {
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(core.options.limits.drain_timeout, answered)
        .await
        .is_err()
    {
        tracing::info!("some requests have no answer in the recording and stayed open");
    }
}

async fn write(session: &LiveSession, mut output: impl AsyncWrite + Unpin) -> io::Result<()> {
    let (reader, mut after) = session.own_lane.read_new();
    while let Some(said) = session.own_lane.next(reader, after).await {
        after = said.number;
        if said.text.is_empty() {
            continue;
        }
        let line = [&one_line(&said.text)[..], b"\n"].concat();
        output.write_all(&line).await?;
        output.flush().await?;
    }
    Ok(())
}
