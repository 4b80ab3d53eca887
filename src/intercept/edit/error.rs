//! Why a change cannot be made.

use std::fmt;

use super::reader::{MAX_NESTING, SyntaxError};

/// Most operations of one JSON Patch. More: refused.
pub const MAX_OPERATIONS: usize = 1000;
/// Longest message a change may make, in bytes, unless it was longer before. Longer: refused.
pub const MAX_RESULT_BYTES: usize = 64 << 20;

/// Why a change cannot be made. The message stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// A text that has to be JSON is none.
    #[error("{text} is no JSON: {problem}")]
    Syntax {
        /// Which text.
        text: EditedText,
        /// What is wrong with it and where.
        problem: SyntaxError,
    },
    /// A path cannot be read.
    #[error("the path {path} is wrong at column {column}: {reason}")]
    Path {
        /// The path as it was written.
        path: String,
        /// Where in it, in characters from 1.
        column: usize,
        /// What to write instead.
        reason: &'static str,
    },
    /// There is nothing at a path.
    #[error("{path} is not there: {place} is {found}")]
    NotThere {
        /// The path.
        path: String,
        /// How far it leads.
        place: String,
        /// What is there.
        found: String,
    },
    /// The whole message cannot be taken out.
    #[error("the whole message cannot be taken out by a change; drop it instead")]
    Root,
    /// A JSON Patch is not what RFC 6902 says.
    #[error("{0}")]
    Patch(&'static str),
    /// The `op` of a JSON Patch is none that there is.
    #[error("its `op` cannot be `{op}`; known are add, remove, replace, move, copy and test{meant}")]
    Unknown {
        /// What it is, cut if it is long; empty if there is none.
        op: String,
        /// What may have been meant, in words.
        meant: String,
    },
    /// A `test` of a JSON Patch finds something else.
    #[error("the test fails: {path} is {found}")]
    Test {
        /// The path that was tested.
        path: String,
        /// What is there, cut if it is long.
        found: String,
    },
    /// An operation of a JSON Patch cannot be carried out.
    #[error("operation {number} of the patch: {problem}")]
    Operation {
        /// Which one, from 1.
        number: usize,
        /// Why.
        problem: Box<EditError>,
    },
    /// The changed message would be too large.
    #[error("the changed message would be longer than {MAX_RESULT_BYTES} bytes")]
    TooLarge,
    /// The changed message would be too deep.
    #[error("the changed message would be nested more than {MAX_NESTING} levels deep")]
    TooDeep,
    /// An assignment has no `=`.
    #[error("write PATH=VALUE, such as $.params.arguments.x=1")]
    Assignment,
}

/// A text that has to be JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditedText {
    /// The message to change.
    Message,
    /// The value to put in.
    Value,
    /// The JSON Patch or JSON Merge Patch.
    Patch,
}

impl fmt::Display for EditedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Message => "the message",
            Self::Value => "the value",
            Self::Patch => "the patch",
        })
    }
}

/// A short form of a raw value for an error, at most 60 characters.
pub(super) fn shortened(raw: &[u8]) -> String {
    const SHOWN: usize = 60;
    let head = &raw[..raw.len().min(4 * SHOWN)];
    let text = String::from_utf8_lossy(head);
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < raw.len() {
        short.push('…');
    }
    short
}
