//! Clients that leave when they should not.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

use crate::buffered::Buffered;
use crate::clock::now_ns;
use crate::events::Spec;
use crate::message::put;

use super::Target;
use super::listener::new_stream;
use super::session::Handle;

/// How long a client stays before it leaves.
const STAY: Duration = Duration::from_millis(20);
/// What an upload says that it has, and what it sends.
const UPLOAD: usize = 1 << 20;
const UPLOADED: usize = 200 << 10;
/// More than fits into all buffers on the way.
const DOWNLOAD: u64 = 16 << 20;

/// A way to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Resets a connection on which a stream is open.
    Reset,
    /// Says that it sends no more, and closes a moment later.
    HalfOpen,
    /// Asks for a large body, reads none of it and closes.
    NeverReads,
    /// Sends a part of a request head and closes.
    HalfHead,
    /// Sends a part of a request body and closes.
    HalfBody,
    /// Resets the connection in the middle of an upload.
    AbortedUpload,
}

impl Leave {
    pub(crate) const ALL: [Self; 6] = [
        Self::Reset,
        Self::HalfOpen,
        Self::NeverReads,
        Self::HalfHead,
        Self::HalfBody,
        Self::AbortedUpload,
    ];

    /// Connects, asks for something and leaves; returns the stream's number and when it left.
    ///
    /// # Errors
    /// No connection, or no answer where there should be one.
    pub(crate) async fn run(self, target: &Arc<Target>, session: &Handle) -> Result<(u64, u64)> {
        let stream = new_stream();
        let spec = Spec {
            hold: true,
            ..Spec::new(stream, 1)
        };
        match self {
            Self::Reset => {
                let wire = ask(target.connect().await?, target, session, &spec).await?;
                wire.stream.set_zero_linger()?;
                Ok(leave(stream, wire))
            }
            Self::HalfOpen => {
                let mut wire = ask(target.connect().await?, target, session, &spec).await?;
                wire.stream.shutdown().await?;
                sleep(STAY).await;
                Ok(leave(stream, wire))
            }
            Self::NeverReads => never_reads(target, session, &spec).await,
            Self::HalfHead => half_head(stream, target).await,
            Self::HalfBody => {
                let wire = upload(target, session, &spec).await?;
                Ok(leave(stream, wire))
            }
            Self::AbortedUpload => {
                let wire = upload(target, session, &spec).await?;
                wire.set_zero_linger()?;
                Ok(leave(stream, wire))
            }
        }
    }
}

fn leave<T>(stream: u64, connection: T) -> (u64, u64) {
    let left = now_ns();
    drop(connection);
    (stream, left)
}

/// Asks for a stream and waits for the head of the answer and a moment longer.
async fn ask(connection: TcpStream, target: &Target, session: &Handle, spec: &Spec) -> Result<Buffered> {
    let mut wire = Buffered::new(connection);
    let mut request = Vec::new();
    target.head("GET", &fields(session, spec), &mut request);
    request.extend_from_slice(b"\r\n");
    wire.stream.write_all(&request).await?;
    anyhow::ensure!(
        wire.head().await?.is_some_and(|head| head.status() == 200),
        "no stream was opened"
    );
    sleep(STAY).await;
    Ok(wire)
}

fn fields(session: &Handle, spec: &Spec) -> String {
    format!("{}X-Load: {}\r\n", session.fields, spec.to_field())
}

async fn never_reads(target: &Target, session: &Handle, spec: &Spec) -> Result<(u64, u64)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    let connection = socket.connect(target.address()).await?;
    let spec = Spec {
        plain: DOWNLOAD,
        hold: false,
        ..spec.clone()
    };
    let wire = ask(connection, target, session, &spec).await?;
    Ok(leave(spec.stream, wire))
}

async fn half_head(stream: u64, target: &Target) -> Result<(u64, u64)> {
    let mut connection = target.connect().await?;
    let mut request = Vec::new();
    target.head("POST", "Mcp-Sess", &mut request);
    connection.write_all(&request).await?;
    sleep(STAY).await;
    Ok(leave(stream, connection))
}

/// Sends a part of an upload. What the other end does about it in the meantime is its affair.
async fn upload(target: &Target, session: &Handle, spec: &Spec) -> Result<TcpStream> {
    let mut connection = target.connect().await?;
    let mut request = Vec::new();
    target.head("POST", &fields(session, spec), &mut request);
    put(
        &mut request,
        format_args!("Content-Type: application/json\r\nContent-Length: {UPLOAD}\r\n\r\n"),
    );
    request.resize(request.len() + UPLOADED, b' ');
    connection.write_all(&request).await?;
    sleep(STAY).await;
    Ok(connection)
}
