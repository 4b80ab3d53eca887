//! One MCP session, over whatever connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail};

use crate::faults::Faults;
use crate::message;

use super::Link;

/// Call ids are unique in the whole run, so that an answer to another session's call is noticed.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

pub(super) const INITIALIZE: &[u8] = br#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"load","version":"1"}}}"#;
pub(super) const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// The name of a session, for all that is no call.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    /// Head fields that every request of the session carries.
    pub(super) fields: Arc<str>,
}

impl Handle {
    /// Ends the session.
    ///
    /// # Errors
    /// The server did not know it any more.
    pub(crate) async fn close(&self, link: &mut Link) -> Result<()> {
        let head = link.request("DELETE", &self.fields).await?;
        if !matches!(head.status(), 200 | 204) {
            bail!(
                "DELETE was answered with `{}`: {}",
                head.line,
                String::from_utf8_lossy(link.body())
            );
        }
        Ok(())
    }
}

/// A session that has been initialized. Its calls must be made one after the other.
#[derive(Debug)]
pub(crate) struct Session {
    pub(super) handle: Handle,
    /// Calls made.
    calls: u64,
    /// Id of the last call and the size of its answer.
    last: (u64, usize),
    message: Vec<u8>,
}

impl Session {
    /// Initializes a session.
    ///
    /// # Errors
    /// Not the answers that a server gives.
    pub(crate) async fn open(link: &mut Link) -> Result<Self> {
        let head = link
            .post("", INITIALIZE)
            .await
            .context("a session could not be opened")?;
        let Some(id) = head.session.as_ref().filter(|_| head.status() == 200) else {
            bail!(
                "initialize was answered with `{}`: {}",
                head.line,
                String::from_utf8_lossy(link.body())
            );
        };
        let fields = format!("Mcp-Session-Id: {id}\r\nMCP-Protocol-Version: 2025-11-25\r\n");
        let head = link
            .post(&fields, INITIALIZED)
            .await
            .context("a session could not be opened")?;
        if head.status() != 202 {
            bail!("the notification was answered with `{}`", head.line);
        }
        let handle = Handle {
            fields: fields.into(),
        };
        Ok(Self {
            handle,
            calls: 0,
            last: (0, 0),
            message: Vec::new(),
        })
    }

    /// A session that nothing but its pipe identifies.
    pub(super) fn unnamed() -> Self {
        let fields = Arc::from("");
        Self {
            handle: Handle { fields },
            calls: 0,
            last: (0, 0),
            message: Vec::new(),
        }
    }

    /// Makes the next call's message, to be answered with `answer_bytes`.
    pub(super) fn next_call(&mut self, answer_bytes: usize) -> &[u8] {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        self.calls += 1;
        self.last = (id, answer_bytes);
        message::call(id, answer_bytes, message::REQUEST_BYTES, &mut self.message);
        &self.message
    }

    /// What the answer to the last call has to be.
    pub(super) fn expected(&mut self) -> &[u8] {
        let (id, bytes) = self.last;
        message::answer(id, self.calls, bytes, &mut self.message);
        &self.message
    }

    /// Calls a tool that answers with `answer_bytes`; [`Self::check`] then looks at the answer.
    ///
    /// # Errors
    /// There was no answer with status 200.
    pub(crate) async fn call(&mut self, link: &mut Link, answer_bytes: usize) -> Result<()> {
        self.next_call(answer_bytes);
        let (id, _) = self.last;
        let head = link
            .post(&self.handle.fields, &self.message)
            .await
            .with_context(|| format!("call {id}"))?;
        if head.status() != 200 {
            bail!(
                "call {id} was answered with `{}`: {}",
                head.line,
                String::from_utf8_lossy(link.body())
            );
        }
        Ok(())
    }

    /// Compares every byte of the last call's answer with what it has to be.
    pub(crate) fn check(&mut self, link: &Link, faults: &mut Faults) {
        self.check_answer(link.body(), faults);
    }

    pub(super) fn check_answer(&mut self, found: &[u8], faults: &mut Faults) {
        let (id, nth) = (self.last.0, self.calls);
        faults.check_answer(id, nth, self.expected(), found);
    }

    /// Head fields that every request of the session carries.
    pub(crate) fn fields(&self) -> &str {
        &self.handle.fields
    }

    /// The session's name.
    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }
}
