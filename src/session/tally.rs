//! What the ledger has counted, told apart by closed lists: for metrics, which nobody looks at row by row.

use std::sync::Arc;

use crate::snapshot::{Direction, Outcome, RowKind, SessionBasis};

/// Outcomes that the HTTP exchange around a call cannot have.
const OF_CALLS_ONLY: [&str; 4] = ["rpc_error", "tool_error", "input_required", "task"];

/// What a server has been asked. Counters only rise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTally {
    /// What it is called on screen.
    pub server: Arc<str>,
    /// Calls that have ended.
    pub calls: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// It has named an HTTP+SSE endpoint.
    pub speaks_sse: bool,
    /// Exchanges that have begun; counted for the servers of a recording only.
    pub exchanges: u64,
    /// It is a command; known for the servers of a recording only.
    pub is_command: bool,
}

impl ServerTally {
    pub(crate) fn of(server: Arc<str>) -> Self {
        Self {
            server,
            calls: 0,
            failed: 0,
            speaks_sse: false,
            exchanges: 0,
            is_command: false,
        }
    }

    /// Notes what a session of it tells.
    pub(crate) fn session_opened(&mut self, basis: SessionBasis) {
        self.speaks_sse |= basis == SessionBasis::SseEndpoint;
        self.is_command |= basis == SessionBasis::Process;
    }

    pub(crate) fn call_ended(&mut self, outcome: Outcome) {
        self.calls += 1;
        self.failed += u64::from(outcome.is_error());
    }
}

/// Counters since the start. They only rise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Exchanges that have begun.
    pub exchanges_begun: u64,
    /// SSE events that dispatched something.
    pub events: u64,
    exchanges: [u64; Outcome::NAMES.len()],
    calls: [u64; Outcome::NAMES.len()],
    messages: [[u64; Direction::ALL.len()]; RowKind::ALL.len()],
}

impl Tally {
    pub(crate) fn exchange_ended(&mut self, outcome: Outcome) {
        self.exchanges[outcome.index()] += 1;
    }

    pub(crate) fn call_ended(&mut self, outcome: Outcome) {
        self.calls[outcome.index()] += 1;
    }

    pub(crate) fn message(&mut self, kind: RowKind, direction: Direction) {
        self.messages[kind as usize][direction as usize] += 1;
    }

    /// Ended exchanges by the name of their outcome. What only a call can come to is not among the names.
    pub fn exchanges(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let of_exchanges = |(name, _): &(&str, u64)| !OF_CALLS_ONLY.contains(name);
        Outcome::NAMES
            .into_iter()
            .zip(self.exchanges)
            .filter(of_exchanges)
    }

    /// Ended calls by the name of their outcome.
    pub fn calls(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Outcome::NAMES.into_iter().zip(self.calls)
    }

    /// Messages by kind and direction.
    pub fn messages(&self) -> impl Iterator<Item = (RowKind, Direction, u64)> {
        let of_kind = |kind: RowKind| {
            Direction::ALL
                .map(|direction| (kind, direction, self.messages[kind as usize][direction as usize]))
        };
        RowKind::ALL
            .into_iter()
            .filter(|kind| kind.is_message())
            .flat_map(of_kind)
    }
}
