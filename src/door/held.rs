//! A script's side of the held queue.

use super::client::DoorLink;
use super::link::LinkError;
use super::message::{Answered, FromProxy, MessageError, ToProxy, read_message};
use super::parts::{Parts, write_parts};
use crate::intercept::hold::HoldEvents;
use crate::intercept::interceptor::InterceptCommand;

/// Most bytes of an answer. A proxy of ours says less: a held message is at most 64 MiB, or `max_message_bytes`.
const MAX_ANSWER_BYTES: usize = 512 * 1024 * 1024;

/// A link in the role [`HELD`](super::message::HELD).
#[derive(Debug)]
pub struct HeldClient {
    link: DoorLink,
    parts: Parts,
}

impl HeldClient {
    /// One that speaks over `link`.
    pub const fn new(link: DoorLink) -> Self {
        Self {
            link,
            parts: Parts::new(MAX_ANSWER_BYTES),
        }
    }

    /// Asks for something and waits for the answer.
    ///
    /// # Errors
    /// [`LinkError`] if the proxy cannot be understood, or has gone.
    ///
    /// # Cancel safety
    /// A dropped future leaves the link in the middle of a word; drop it too.
    pub async fn ask(&mut self, command: &InterceptCommand) -> Result<Answered, LinkError> {
        let text = serde_json::to_vec(command).map_err(MessageError::from)?;
        let ask = |is_last| ToProxy::Ask { is_last };
        write_parts(&mut self.link.writer, &text, ask).await?;
        loop {
            let frame = self.link.reader.next().await?.ok_or(LinkError::Torn)?;
            if let FromProxy::Answer { is_last } = read_message(&frame)?
                && let Some(text) = self.parts.take(&frame.payload, is_last)?
            {
                return Ok(serde_json::from_slice(&text).map_err(MessageError::from)?);
            }
        }
    }

    /// Asks to be told what happens from now on.
    ///
    /// # Errors
    /// [`LinkError`] if the proxy has gone.
    pub async fn watch(&mut self) -> Result<(), LinkError> {
        self.link.writer.put(&ToProxy::Watch, b"")?;
        self.link.writer.flush().await
    }

    /// Waits for what happens next. `None` once the proxy has ended.
    ///
    /// # Errors
    /// [`LinkError`] if the proxy cannot be understood.
    ///
    /// # Cancel safety
    /// Safe: half-read words stay here.
    pub async fn next_events(&mut self) -> Result<Option<HoldEvents>, LinkError> {
        while let Some(frame) = self.link.reader.next().await? {
            if let FromProxy::Events { is_last } = read_message(&frame)?
                && let Some(text) = self.parts.take(&frame.payload, is_last)?
            {
                return Ok(Some(serde_json::from_slice(&text).map_err(MessageError::from)?));
            }
        }
        Ok(None)
    }
}
