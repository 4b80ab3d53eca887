//! What a frontend looks at.

use serde::{Deserialize, Serialize};

use crate::ids::{MessageId, ProxySessionId, StreamId};

/// Most rows one [`Window`] may ask for; a larger wish is cut to this.
pub const MAX_WINDOW_ROWS: u16 = 1_000;

/// Which rows of a list a frontend shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window<Id> {
    /// Where it is fastened.
    pub anchor: Anchor<Id>,
    /// How many rows, at most [`MAX_WINDOW_ROWS`].
    pub rows: u16,
}

/// Where a window is fastened to its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor<Id> {
    /// The last rows, following new ones.
    Tail,
    /// Its first row is `shift` rows after (before, if negative) the row `id`, or after its place if the row is gone or hidden.
    Row {
        /// The row by which the window is held.
        id: Id,
        /// Rows from there to the window's first row.
        shift: i64,
    },
    /// Its first row is the one with this index.
    Index(u64),
}

impl<Id> Default for Window<Id> {
    fn default() -> Self {
        Self {
            anchor: Anchor::Tail,
            rows: 100,
        }
    }
}

/// What a frontend looks at. Sent over a `watch` channel: only the latest counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewQuery {
    /// Chosen by the frontend and given back in [`Snapshot::query_serial`](super::Snapshot::query_serial).
    pub serial: u64,
    /// Filter over messages; empty shows all.
    pub filter: String,
    /// Show only this session's messages and streams.
    pub session: Option<ProxySessionId>,
    /// Messages in view.
    pub messages: Window<MessageId>,
    /// Sessions in view; rows are held by their creation order, so only `Tail` and `Index` are useful.
    pub sessions: Window<ProxySessionId>,
    /// Streams in view.
    pub streams: Window<StreamId>,
    /// Log lines in view, by number.
    pub log: Window<u64>,
}
