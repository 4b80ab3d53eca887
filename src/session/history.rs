//! History as it can be read: rows in order, their bytes, sessions and streams, all at one moment.
//!
//! The ledger is its only writer and publishes a [`HistoryView`] from time to time. A view is immutable except for what
//! changes in its rows (an answer comes, a body goes), shares its segments with the views before and after it, and
//! costs the same whatever it holds.

pub(crate) mod body;
pub(crate) mod changes;
pub(crate) mod exchange;
pub(crate) mod owner;
pub(crate) mod packed;
mod packing;
pub(crate) mod row;
pub(crate) mod store;
pub(crate) mod stream;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use body::{BodyLocator, BodySource, FrameBytes, RowBytes};
pub use exchange::ExchangeRecord;
pub use row::Row;
pub use store::{SEGMENT_ROWS, Segment};
pub use stream::StreamInfo;

use crate::ids::MessageId;
use crate::session::latency::Latencies;
use crate::session::tally::{ServerTally, Tally};
use crate::snapshot::{SessionRow, Totals};
use changes::Changes;
use packed::Rows;

/// Rows in order of arrival, found by place and by id.
pub trait History {
    /// Rows in history.
    fn count(&self) -> u64;

    /// The row at a place, counted from 0.
    fn row(&self, position: u64) -> Option<Arc<Row>>;

    /// The place of a row: `Ok` if it is there, else `Err` with the place of the first row after it.
    ///
    /// # Errors
    /// The place at which the row would be, if it is gone or never was.
    fn position(&self, id: MessageId) -> Result<u64, u64>;

    /// The segments in order; together they hold every row once.
    fn segments(&self) -> &[Arc<Segment>];

    /// The bytes of a row, as far as history has them. May block for a file read if they are in a file.
    fn body(&self, row: &Row) -> Option<RowBytes>;

    /// What was sent in the place of a row's bytes, if history has it.
    fn sent(&self, row: &Row) -> Option<RowBytes> {
        row.decided()?.sent.as_ref()?.read(None).ok()
    }

    /// The row with this id.
    fn find(&self, id: MessageId) -> Option<Arc<Row>> {
        self.position(id).ok().and_then(|position| self.row(position))
    }

    /// The newest row.
    fn newest(&self) -> Option<Arc<Row>> {
        self.segments().last().and_then(|segment| segment.last())
    }
}

/// All of history at one moment. Cheap to share.
#[derive(Debug, Clone, Default)]
pub struct HistoryView {
    pub(crate) version: u64,
    segments: Vec<Arc<Segment>>,
    /// Place of the first row of each segment.
    starts: Vec<u64>,
    count: u64,
    pub(crate) changes: Changes,
    pub(crate) sessions: Arc<Vec<Arc<SessionRow>>>,
    pub(crate) streams: Arc<Vec<Arc<StreamInfo>>>,
    pub(crate) totals: Totals,
    pub(crate) tally: Tally,
    pub(crate) servers: Arc<Vec<ServerTally>>,
    pub(crate) latencies: Arc<Latencies>,
    pub(crate) rates: Arc<BTreeMap<String, Vec<u64>>>,
    pub(crate) usage: HistoryUsage,
    pub(crate) source: Option<Arc<dyn BodySource>>,
}

/// What history costs, for the gauges of its limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HistoryUsage {
    /// Bytes of all that history holds: rows, bodies, exchanges, sessions, streams, tables (`max_history_memory`).
    pub bytes: u64,
    /// Most bytes so far.
    pub peak_bytes: u64,
    /// Bytes of the session that has most (`max_memory_per_session`).
    pub largest_session_bytes: u64,
    /// How often a session's own budget made something go.
    pub session_reached: u64,
    /// How often the common budget made something go.
    pub history_reached: u64,
    /// Sessions known: forward, reverse (`max_sessions`).
    pub sessions: [u64; 2],
    /// Sessions that had to be forgotten: forward, reverse.
    pub sessions_forgotten: [u64; 2],
    /// Open calls of the session that has most (`max_open_calls`), as of the last tick.
    pub most_open_calls: u64,
    /// Calls that were no longer waited for because too many were open.
    pub calls_given_up: u64,
    /// Ended streams that are still listed (`max_ended_streams`).
    pub ended_streams: u64,
    /// Ended streams that are no longer listed because of later ones.
    pub streams_unlisted: u64,
    /// How often a session became idle (`session_idle_timeout`).
    pub went_idle: u64,
}

impl HistoryView {
    pub(crate) fn over(segments: Vec<Arc<Segment>>) -> Self {
        let mut count = 0;
        let starts = segments.iter().map(|segment| {
            let start = count;
            count += segment.len() as u64;
            start
        });
        let starts = starts.collect();
        Self {
            segments,
            starts,
            count,
            ..Self::default()
        }
    }

    /// Counts up with every published view.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Counters since the start.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The same, told apart by kind and outcome.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What each configured server has been asked, in the order of the configuration.
    pub fn servers(&self) -> &[ServerTally] {
        &self.servers
    }

    /// How long the parts of the exchanges took. They go on counting while the view is looked at.
    pub fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    /// What history costs.
    pub fn usage(&self) -> &HistoryUsage {
        &self.usage
    }

    /// A value a second for up to the last 120 seconds, oldest first, by name.
    pub fn rates(&self) -> &BTreeMap<String, Vec<u64>> {
        &self.rates
    }

    /// Sessions in order of creation.
    pub fn sessions(&self) -> &[Arc<SessionRow>] {
        &self.sessions
    }

    /// The rows from a place on, oldest first.
    pub fn rows_from(&self, position: u64) -> impl Iterator<Item = Arc<Row>> {
        let (index, within) = self.locate(position);
        let segments = self.segments.get(index..).unwrap_or_default().iter();
        segments
            .enumerate()
            .flat_map(move |(later, segment)| in_order(segment.rows(), if later == 0 { within } else { 0 }))
    }

    /// The rows before a place, newest first.
    pub fn rows_before(&self, position: u64) -> impl Iterator<Item = Arc<Row>> {
        let (index, within) = self.locate(position.min(self.count));
        let here = self.segments.get(index).filter(|_| within > 0);
        let here = here
            .into_iter()
            .flat_map(move |segment| backwards(segment.rows(), within));
        let before = self.segments.get(..index).unwrap_or_default().iter().rev();
        let earlier = before.flat_map(|segment| backwards(segment.rows(), segment.len()));
        here.chain(earlier)
    }

    /// The segment of a place, and the place within it.
    fn locate(&self, position: u64) -> (usize, usize) {
        if position >= self.count {
            return (self.segments.len(), 0);
        }
        let index = self
            .starts
            .partition_point(|start| *start <= position)
            .saturating_sub(1);
        let within = position - self.starts.get(index).copied().unwrap_or_default();
        (index, usize::try_from(within).unwrap_or(usize::MAX))
    }

    /// Open streams and the latest ended ones, in order of opening.
    pub fn streams(&self) -> &[Arc<StreamInfo>] {
        &self.streams
    }
}

/// The rows from a place on, oldest first.
fn in_order(rows: Rows, from: usize) -> impl Iterator<Item = Arc<Row>> {
    (from..rows.len()).filter_map(move |place| rows.get(place).cloned())
}

/// The rows before a place, newest first.
fn backwards(rows: Rows, before: usize) -> impl Iterator<Item = Arc<Row>> {
    (0..before)
        .rev()
        .filter_map(move |place| rows.get(place).cloned())
}

impl History for HistoryView {
    fn count(&self) -> u64 {
        self.count
    }

    fn row(&self, position: u64) -> Option<Arc<Row>> {
        let (index, within) = self.locate(position);
        self.segments.get(index)?.rows().get(within).cloned()
    }

    fn position(&self, id: MessageId) -> Result<u64, u64> {
        let after = self
            .segments
            .partition_point(|segment| segment.first().is_some_and(|first| first <= id));
        let Some(index) = after.checked_sub(1) else {
            return Err(0);
        };
        let (Some(segment), Some(start)) = (self.segments.get(index), self.starts.get(index)) else {
            return Err(self.count);
        };
        match segment.place(id) {
            Ok(within) => Ok(start + within as u64),
            Err(within) => Err(start + within as u64),
        }
    }

    fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    fn body(&self, row: &Row) -> Option<RowBytes> {
        let body = row.kept_body()?;
        body.read(self.source.as_deref())
            .inspect_err(|error| tracing::warn!(row = %row.id(), %error, "could not read a body back"))
            .ok()
    }
}
