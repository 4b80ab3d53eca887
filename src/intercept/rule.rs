//! Rules: which messages, and what becomes of them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::intercept::edit::Change;
use crate::snapshot::Direction;

use super::filter::Filter;

/// A filter with a verdict. A rule whose verdict is [`Verdict::Hold`] is a breakpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// What it is called; unique among the rules.
    pub name: String,
    /// Whether it acts.
    pub is_on: bool,
    /// Which messages.
    pub when: Filter,
    /// Only messages that go this way; both if `None`.
    pub direction: Option<Direction>,
    /// Which of the messages that match.
    pub hits: Hits,
    /// What becomes of them.
    pub verdict: Verdict,
    /// What becomes of a message that is held longer than its client will bear.
    pub on_expire: Option<OnExpire>,
    /// What its client gets while a message is held.
    pub while_held: WhileHeld,
}

/// What the client of a held message gets meanwhile, which it would not get without this proxy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WhileHeld {
    /// A held HTTP request is answered with 200 and an event stream at once; the answer comes as its event.
    pub early_stream: bool,
    /// Notifications of progress are made up for a call that asks for some, where there is a stream to its client.
    pub synthetic_progress: bool,
}

/// Which of the messages that match a rule it acts on.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Hits {
    /// All of them.
    #[default]
    Always,
    /// The first; then the rule is off.
    Once,
    /// The n-th, counted from 1, and no other.
    Nth(u64),
    /// Every n-th.
    Every(u64),
    /// All after the first n.
    After(u64),
    /// Each with this chance, in percent from 0 to 100.
    Percent(f64),
}

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It waits for a person.
    Hold,
    /// It goes on as it came, and no later rule is asked.
    Forward,
    /// It goes on changed.
    Replace(Vec<Change>),
    /// It is answered in the place of its receiver: the result, in which `{{id}}` and `{{$.path}}` stand for what the
    /// request says. Requests only.
    Answer {
        /// The JSON text of the result.
        result: String,
    },
    /// It is refused. Requests are answered so; answers are replaced so.
    Refuse(Refusal),
    /// It does not go on.
    Drop {
        /// Without a word: the sender of a request waits for ever.
        is_silent: bool,
    },
    /// It goes on later.
    Delay {
        /// At least so much later.
        fixed: Duration,
        /// And at random up to so much more.
        jitter: Duration,
    },
    /// It goes on broken.
    Fault(Fault),
    /// It goes on, and a line in the log says so.
    Log,
}

/// How a message is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// With a JSON-RPC error.
    Error {
        /// Its code.
        code: i64,
        /// Its message.
        message: String,
    },
    /// With a tool result that says `isError`.
    ToolError {
        /// Its text.
        text: String,
    },
    /// With an HTTP status. On carriers without one: an error that names it.
    Status(u16),
    /// The connection is closed.
    Close,
}

/// How a message goes on broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The stream is closed in its place.
    Close,
    /// Only its first bytes go on, then the stream is closed.
    Truncate {
        /// So many of them.
        bytes: u64,
    },
    /// It goes on more than once.
    Duplicate {
        /// So often in all.
        times: u32,
    },
    /// It goes on behind the next messages of its lane.
    Reorder {
        /// Behind so many.
        by: u32,
    },
    /// It goes on as what is no JSON.
    InvalidJson,
    /// It goes on under an id that nobody gave.
    WrongId,
    /// It goes on slowly.
    Slow {
        /// Bytes a second.
        bytes_per_second: u64,
    },
}

/// What becomes of a held message when its client will not wait longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExpire {
    /// It stays held.
    Wait,
    /// It goes on.
    Forward,
    /// Its sender or receiver gets an error.
    Error,
    /// It is dropped.
    Drop,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error { code, message } => write!(f, "error {code}: {message}"),
            Self::ToolError { text } => write!(f, "tool error: {text}"),
            Self::Status(status) => write!(f, "HTTP {status}"),
            Self::Close => f.write_str("connection closed"),
        }
    }
}
