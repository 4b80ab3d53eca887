//! What a frontend asks for, and what it is answered.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::MAX_WINDOW_ROWS;
use super::{Head, MessageDetail, MessageRow, RecorderState};
use crate::ids::{ExchangeId, MessageId, ProxySessionId, Side};
use crate::intercept::hold::{Actor, HeadEdit};
use crate::intercept::interceptor::{InterceptCommand, InterceptReply};

/// What a frontend asks of the engine. Each has one [`Reply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command")]
pub enum Command {
    /// All about one row, with its bytes. Answered with [`Reply::Detail`] or [`Reply::Gone`].
    Inspect {
        /// The row.
        id: MessageId,
    },
    /// The rows after `after` (from the oldest if `None`), oldest first. Answered with [`Reply::Rows`].
    Rows {
        /// The last row the caller already has.
        after: Option<MessageId>,
        /// Most rows wanted, at most [`MAX_WINDOW_ROWS`].
        limit: u16,
        /// Filter text; empty for all.
        filter: String,
    },
    /// The next row after (or before) `from` that matches. Answered with [`Reply::Found`] or [`Reply::Refused`].
    Find {
        /// Where to start; `None` starts at the end the search comes from.
        from: Option<MessageId>,
        /// Towards older rows.
        is_backwards: bool,
        /// The filter it has to match, beside that of `scope`.
        filter: String,
        /// The filter and session of the list in which is searched.
        scope: String,
        /// Only this session.
        session: Option<ProxySessionId>,
    },
    /// Begin to record to `path`, or to a new file in `./recordings`. Answered with [`Reply::Recording`] or [`Reply::Refused`].
    StartRecording {
        /// The file; it must not exist yet.
        path: Option<PathBuf>,
    },
    /// Finish the recording. Answered with [`Reply::Recording`] or [`Reply::Refused`].
    StopRecording,
    /// Forget the connect failures of an upstream, so that its next request is tried. Answered with
    /// [`Reply::BreakersReset`] or [`Reply::Refused`].
    ResetBreaker {
        /// Name of the upstream; `None` for all of them.
        upstream: Option<String>,
    },
    /// Send a request of a client again, under an id of its own; nobody but the frontends sees the answer. Answered with
    /// [`Reply::Resent`] or [`Reply::Refused`].
    Resend(Box<Repeat>),
    /// About rules and held messages. Answered with [`Reply::Intercept`] or [`Reply::Refused`].
    Intercept {
        /// What.
        what: InterceptCommand,
        /// Who asks.
        actor: Actor,
    },
}

/// A request that is sent again: what came, and what is to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeat {
    /// The exchange that it came in.
    pub exchange: ExchangeId,
    /// Its first line (`POST /mcp HTTP/1.1`) and fields, as they came; empty for a line of a command.
    pub head: Head,
    /// Where it went: path and query, or a URL if its client said so or it came through a tunnel.
    pub target: String,
    /// Who chose the destination.
    pub side: Side,
    /// Name of the upstream, or authority of the destination.
    pub server: String,
    /// The address of its client, without the port.
    pub client: String,
    /// What was done to its fields.
    pub edit: HeadEdit,
    /// The message as it came.
    pub original: String,
    /// The message as it is to go; its id does not matter.
    pub body: String,
}

/// The JSON-RPC id, as spelled, of the copy of a request with this number.
pub(crate) fn copy_id(number: u64) -> String {
    format!("\"shadowcat-{number}\"")
}

/// Whether a JSON-RPC id, as spelled, is one that copies have: those of requests that were sent again.
pub fn is_copy(rpc_id: &str) -> bool {
    let number = rpc_id
        .strip_prefix("\"shadowcat-")
        .and_then(|rest| rest.strip_suffix('"'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The engine's answer to a [`Command`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reply")]
pub enum Reply {
    /// All about one row.
    Detail(Box<MessageDetail>),
    /// History no longer has that row.
    Gone,
    /// Rows in order of arrival.
    Rows {
        /// The rows.
        rows: Vec<MessageRow>,
        /// Rows that had been evicted between `after` and the first of these.
        missed: u64,
    },
    /// The row that was searched; `None` if there is none.
    Found(Option<MessageId>),
    /// The recorder's state after the command.
    Recording(RecorderState),
    /// The failures were forgotten.
    BreakersReset {
        /// Names of the upstreams whose breaker had been open.
        upstreams: Vec<String>,
    },
    /// A request was sent again.
    Resent {
        /// The JSON-RPC id of the copy, as it is spelled.
        id: String,
    },
    /// About rules and held messages.
    Intercept(InterceptReply),
    /// It could not be done.
    Refused {
        /// What was tried, what happened and what to do next.
        message: String,
    },
}
