//! Frames over a socket.

use std::io;

use bytes::BytesMut;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::frame::{Frame, FrameCutter, FrameTooLongError};
use super::message::{MessageError, put_message};

/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;
/// A link is of no use any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The socket failed.
    #[error("the link through the control door broke")]
    Io(#[from] io::Error),
    /// The other side says what is no frame.
    #[error(transparent)]
    Frame(#[from] FrameTooLongError),
    /// The other side says what is not understood.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The other side has gone in the middle of a frame.
    #[error("the other side of the control door has gone in the middle of a word")]
    Torn,
    /// The other side says more than is taken.
    #[error("what is said through the control door is longer than {most} bytes")]
    TooMuch {
        /// So much would be taken.
        most: usize,
    },
}

/// The reading end.
#[derive(Debug)]
pub struct FrameReader {
    socket: OwnedReadHalf,
    cutter: FrameCutter,
}

impl FrameReader {
    /// Waits for the next frame. `None` when the other side has ended.
    ///
    /// # Errors
    /// [`LinkError`] if there will be no more of them.
    ///
    /// # Cancel safety
    /// Safe: the bytes of a half-read frame stay here.
    pub async fn next(&mut self) -> Result<Option<Frame>, LinkError> {
        loop {
            if let Some(frame) = self.cutter.next_frame()? {
                return Ok(Some(frame));
            }
            let space = self.cutter.space();
            space.reserve(READ_BYTES);
            if self.socket.read_buf(space).await? == 0 {
                let is_whole = self.cutter.is_between_frames();
                return if is_whole { Ok(None) } else { Err(LinkError::Torn) };
            }
        }
    }
}

/// The writing end. Messages are put first and written together.
#[derive(Debug)]
pub struct FrameWriter {
    socket: OwnedWriteHalf,
    buffer: BytesMut,
}

impl FrameWriter {
    /// Puts a message and its payload behind those that were put before.
    ///
    /// # Errors
    /// [`LinkError::Message`] if it is larger than a frame.
    pub fn put(&mut self, message: &impl Serialize, payload: &[u8]) -> Result<(), LinkError> {
        Ok(put_message(message, payload, &mut self.buffer)?)
    }

    /// Writes all that was put. Waits while the other side does not read.
    ///
    /// # Errors
    /// [`LinkError::Io`] if the other side has gone.
    ///
    /// # Cancel safety
    /// Safe: what was not written is written with the next call.
    pub async fn flush(&mut self) -> Result<(), LinkError> {
        while !self.buffer.is_empty() {
            if self.socket.write_buf(&mut self.buffer).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
        }
        Ok(())
    }

    /// Writes what was put and says that nothing more comes.
    ///
    /// # Errors
    /// [`LinkError::Io`] if the other side has gone.
    pub async fn close(&mut self) -> Result<(), LinkError> {
        self.flush().await?;
        Ok(self.socket.shutdown().await?)
    }
}

/// Both ends of a link over `socket`.
pub(super) fn link(socket: UnixStream) -> (FrameReader, FrameWriter) {
    let (read, write) = socket.into_split();
    let reader = FrameReader {
        socket: read,
        cutter: FrameCutter::default(),
    };
    let writer = FrameWriter {
        socket: write,
        buffer: BytesMut::new(),
    };
    (reader, writer)
}
