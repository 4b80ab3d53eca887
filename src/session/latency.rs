//! Where the time of exchanges goes: one histogram for each part.

use std::time::Duration;

use crate::resource::histogram::{Histogram, HistogramReading};
use crate::snapshot::{Direction, LatencyRow, Timing};

/// A part of an exchange whose length is measured.
#[derive(Debug, Clone, Copy)]
pub struct Phase {
    /// One word for it.
    pub name: &'static str,
    /// From which moment to which.
    pub what: &'static str,
    measure: fn(&Timing) -> Option<Duration>,
    /// Messages that are held in it, if any are.
    holds: Option<Direction>,
}

impl Phase {
    /// How long it took, without the time in which a message was held for somebody to decide: `held` from the client, from
    /// the server.
    fn took(&self, timing: &Timing, held: [Duration; 2]) -> Option<Duration> {
        let took = (self.measure)(timing)?;
        let [from_client, from_server] = held;
        let held = match self.holds {
            Some(Direction::ClientToServer) => from_client,
            Some(Direction::ServerToClient) => from_server,
            None => Duration::ZERO,
        };
        // An event that was held in its stream was held after this.
        Some(took.checked_sub(held).unwrap_or(took))
    }
}

/// Every part that is measured. The only list of them: screen, snapshot and metrics follow.
pub const PHASES: [Phase; 3] = [
    Phase {
        name: "request",
        what: "from the request's head being here to its being handed to the upstream's client: what the proxy adds on the way there",
        measure: |timing| Some(timing.sent?.since(timing.started)),
        holds: Some(Direction::ClientToServer),
    },
    Phase {
        name: "upstream",
        what: "from there to the response's head being here, the opening of a connection and the upload included",
        measure: |timing| Some(timing.response_head?.since(timing.sent?)),
        holds: None,
    },
    Phase {
        name: "response",
        what: "from the response's head being here to its being handed to the client's connection: what the proxy adds on the way back",
        measure: |timing| Some(timing.handed_on?.since(timing.response_head?)),
        holds: Some(Direction::ServerToClient),
    },
];

/// How long each part of the exchanges took so far. Counted by the ledger, read by anyone at any time.
#[derive(Debug, Default)]
pub struct Latencies([Histogram; PHASES.len()]);

impl Latencies {
    /// Counts an exchange that has ended. Only what an upstream answered counts: there, all parts exist.
    /// `held` is the longest that a message was held, from the client and from the server.
    pub(crate) fn observe(&self, timing: &Timing, held: [Duration; 2]) {
        if timing.handed_on.is_none() {
            return;
        }
        for (phase, histogram) in PHASES.iter().zip(&self.0) {
            if let Some(took) = phase.took(timing, held) {
                histogram.observe(took);
            }
        }
    }

    /// Every part and what was counted of it.
    pub fn read(&self) -> impl Iterator<Item = (&'static Phase, HistogramReading)> {
        PHASES.iter().zip(self.0.each_ref().map(Histogram::read))
    }

    /// The same as a frontend shows it.
    pub fn rows(&self) -> Vec<LatencyRow> {
        let row = |(phase, reading): (&Phase, HistogramReading)| LatencyRow {
            name: phase.name.to_owned(),
            count: reading.count(),
            p50: reading.quantile(500).unwrap_or_default(),
            p95: reading.quantile(950).unwrap_or_default(),
            p99: reading.quantile(990).unwrap_or_default(),
        };
        self.read().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn each_part_is_measured_apart_and_an_exchange_without_upstream_not_at_all() {
        let at = |micros| Some(Timestamp::from_micros(micros));
        let latencies = Latencies::default();
        latencies.observe(
            &Timing {
                started: Timestamp::from_micros(1_000),
                sent: at(1_040),
                response_head: at(9_000),
                handed_on: at(9_070),
                ..Timing::default()
            },
            [Duration::ZERO; 2],
        );
        latencies.observe(
            &Timing {
                sent: at(1_040),
                response_head: at(9_000),
                ..Timing::default()
            },
            [Duration::ZERO; 2],
        );
        let sums: Vec<_> = latencies
            .read()
            .map(|(phase, reading)| (phase.name, reading.count(), reading.sum.as_micros()))
            .collect();
        assert_eq!(
            sums,
            [("request", 1, 40), ("upstream", 1, 7_960), ("response", 1, 70)]
        );
    }

    #[test]
    fn the_time_in_which_a_message_was_held_is_not_ours() {
        let at = |micros| Some(Timestamp::from_micros(micros));
        let timing = Timing {
            started: Timestamp::from_micros(1_000),
            sent: at(61_000_040),
            response_head: at(61_009_000),
            handed_on: at(61_009_070),
            ..Timing::default()
        };
        let latencies = Latencies::default();
        let (a_minute, later) = (Duration::from_millis(60_999), Duration::from_secs(3));
        latencies.observe(&timing, [a_minute, later]);
        let sums: Vec<_> = latencies
            .read()
            .map(|(_, reading)| reading.sum.as_micros())
            .collect();
        assert_eq!(
            sums,
            [40, 8_960, 70],
            "an event that was held later took nothing from the head"
        );
    }
}
