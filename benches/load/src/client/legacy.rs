//! A session of 2024-11-05: answers come on the one stream that the client opened first.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use memchr::memmem;

use crate::buffered::{Body, Buffered};
use crate::faults::Faults;

use super::session::{INITIALIZE, INITIALIZED, Session};
use super::{Link, Target};

/// A session with its stream and the connection that it posts on.
#[derive(Debug)]
pub(crate) struct Legacy {
    stream: Buffered,
    body: Body,
    /// What has come of the stream and was not taken.
    events: Vec<u8>,
    post: Link,
    session: Session,
}

impl Legacy {
    /// Opens the stream, learns where to post, and initializes.
    ///
    /// # Errors
    /// Not the answers that a server gives.
    pub(crate) async fn open(target: &Arc<Target>) -> Result<Self> {
        let stream_target = Arc::new(target.at_path("/sse"));
        let mut link = Link::open(&stream_target).await?;
        link.send("GET", "").await?;
        let head = link.answer_head().await?;
        if head.status() != 200 {
            bail!("no stream: `{}`", head.line);
        }
        let body = Body::new(head.response_framing());
        let mut legacy = Self {
            stream: link.wire,
            body,
            events: Vec::new(),
            post: Link::open(target).await?,
            session: Session::unnamed(),
        };
        let endpoint = legacy.event().await?;
        let endpoint = String::from_utf8(endpoint)?;
        let path = endpoint
            .find("/messages")
            .and_then(|at| endpoint.get(at..))
            .context("the first event names no endpoint")?;
        legacy.post.aim(Arc::new(target.at_path(path)));
        legacy.say(INITIALIZE).await?;
        legacy.event().await?;
        legacy.say(INITIALIZED).await?;
        Ok(legacy)
    }

    /// Calls a tool that answers with `answer_bytes` and compares every byte of the answer.
    ///
    /// # Errors
    /// No answer came.
    pub(crate) async fn call(&mut self, answer_bytes: usize, faults: &mut Faults) -> Result<()> {
        let message = self.session.next_call(answer_bytes).to_vec();
        self.say(&message).await?;
        let found = self.event().await?;
        self.session.check_answer(&found, faults);
        Ok(())
    }

    /// Says a message and gives the next event; the message need not reach the server.
    ///
    /// # Errors
    /// The session is over.
    pub(crate) async fn ask(&mut self, message: &[u8]) -> Result<Vec<u8>> {
        self.say(message).await?;
        self.event().await
    }

    async fn say(&mut self, message: &[u8]) -> Result<()> {
        let head = self.post.post("", message).await?;
        if head.status() != 202 {
            bail!("a message was answered with `{}`", head.line);
        }
        Ok(())
    }

    /// The data of the next event.
    async fn event(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some(end) = memmem::find(&self.events, b"\n\n") {
                let event: Vec<u8> = self.events.drain(..end + 2).collect();
                let Some(data) = memmem::find(&event, b"data: ") else {
                    // A comment that keeps the connection.
                    continue;
                };
                return Ok(event.get(data + 6..end).unwrap_or_default().to_vec());
            }
            if !self.stream.part(&mut self.body, &mut self.events).await? {
                bail!("the stream ended");
            }
        }
    }
}
