//! What is in the envelope of a JSON-RPC document, found in one pass without building a tree.
//!
//! [`EnvelopeScanner`] takes a document in parts of any size and keeps only what routing, pairing and a list row need:
//! kind, id, method and the few values named by [`Field`]. Its memory does not grow with the document, it does not
//! recurse, and it is fast enough to see every byte that is proxied.
//!
//! It is tolerant, because it never decides whether something is forwarded: the syntax of what it skips is not
//! checked, and what it had found before a document turned out to be broken is kept.
//!
//! Source: JSON-RPC 2.0; MCP 2024-11-05 to 2026-07-28, "Messages" and "Transports".

mod fields;
mod scanner;
mod slots;

use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use fields::{EnvelopeFields, Field, FieldValue};
pub use scanner::EnvelopeScanner;

use super::rpc_id::RpcId;

/// How many members of a batch are kept; the rest is counted in [`Scan::messages_cut`].
pub const MAX_BATCH: usize = 1024;

/// The longest captured text in bytes; a longer one is cut between characters and ends in `…`.
pub const MAX_FIELD_BYTES: usize = super::text::MAX_TEXT_BYTES;

/// Scans a whole document at once.
pub fn scan(bytes: &[u8]) -> Scan {
    let mut scanner = EnvelopeScanner::new();
    scanner.push(bytes);
    scanner.finish()
}

/// What a document is and which messages are in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// What the document as a whole is.
    pub shape: Shape,
    /// The messages in order: one, or the members of a batch, at most [`MAX_BATCH`]. For a document that is cut or
    /// broken, those found until there; the last one may be incomplete and says so in its `problem`.
    pub messages: Vec<Envelope>,
    /// Members of a batch above [`MAX_BATCH`]: counted, not kept.
    pub messages_cut: u64,
}

impl Scan {
    /// Whether this is JSON-RPC 2.0 by its own word: a message says `"jsonrpc":"2.0"`. Other JSON objects, such as
    /// OAuth answers, are scanned as messages too.
    pub fn is_json_rpc(&self) -> bool {
        self.messages.iter().any(|message| message.is_version_2)
    }

    /// The only message of a document that is complete and no batch.
    pub fn single(&self) -> Option<&Envelope> {
        if self.shape == Shape::Single {
            self.messages.first()
        } else {
            None
        }
    }
}

/// What a document as a whole is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Nothing but white space and perhaps a byte order mark.
    Empty,
    /// One complete object.
    Single,
    /// One complete array, possibly without members.
    Batch,
    /// The first byte is neither `{` nor `[`: text, HTML, a form, a bare JSON scalar.
    NotJson,
    /// The document ended inside its object or array.
    Cut,
    /// The document is no JSON at the level of the envelope, or something follows its end.
    Broken,
}

/// One JSON-RPC message, or one JSON object in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// What the message is.
    pub kind: MessageKind,
    /// The member `id`, typed; `Some(null)` when it is spelled as `null`, `None` when it is absent or no id at all.
    pub id: Option<RpcId>,
    /// The member `method`, decoded and capped at [`MAX_FIELD_BYTES`].
    pub method: Option<Box<str>>,
    /// Whether the member `jsonrpc` is the string `2.0`.
    pub is_version_2: bool,
    /// The captured values.
    pub fields: EnvelopeFields,
    /// Where the message stands in the document, in bytes, a byte order mark counted.
    pub span: Range<u64>,
    /// What is wrong with it, the worst first. The message is forwarded all the same.
    pub problem: Option<EnvelopeProblem>,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// A `method` and an `id`.
    Request,
    /// A `method` and no `id`.
    Notification,
    /// An `id` and a `result`.
    Result,
    /// An `error`; its `id` may be missing or `null`.
    Error,
    /// None of these.
    Malformed,
}

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum EnvelopeProblem {
    /// The document ended, or turned out to be broken, inside this message; the rest describes what came before.
    #[error("the message is cut off or broken JSON")]
    Cut,
    /// A member of a batch is no object.
    #[error("a batch member is not an object")]
    NotAnObject,
    /// A request with `"id": null`.
    #[error("a request must not have the id null")]
    NullId,
    /// The `id` is neither a string, a number nor `null`.
    #[error("the id is neither a string nor a number")]
    InvalidId,
    /// The `method` is not a string.
    #[error("the method is not a string")]
    InvalidMethod,
    /// A `result` without an id that it could belong to.
    #[error("a result without an id")]
    MissingId,
    /// There is neither `method`, `result` nor `error`.
    #[error("there is neither a method, a result nor an error")]
    NoKind,
    /// A `method` beside a `result` or an `error`; the method decided.
    #[error("a method beside a result or an error")]
    MethodAndAnswer,
    /// Both `result` and `error`. The error decided, unless it is `null`.
    #[error("both a result and an error")]
    ResultAndError,
    /// A member that matters here occurs twice; the last one counts.
    #[error("a member occurs twice; the last one counts")]
    DuplicateKey,
}

#[cfg(test)]
mod tests;
