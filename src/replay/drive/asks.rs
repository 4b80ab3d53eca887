//! Requests of the server: which recorded one is which live one.

use std::time::Duration;

use super::call::End;
use super::plan::Ask;
use crate::replay::compare::{Comparison, Outcome, Row, call_key};
use crate::replay::hearing::SLACK;

/// The recorded requests of the server, and which have come.
pub(super) struct Asks<'a> {
    planned: &'a [Ask],
    keys: Vec<String>,
    met: Vec<Option<Comparison>>,
}

impl<'a> Asks<'a> {
    pub(super) fn new(planned: &'a [Ask]) -> Self {
        Self {
            planned,
            keys: planned.iter().map(|ask| call_key(&ask.request)).collect(),
            met: planned.iter().map(|_| None).collect(),
        }
    }

    /// The recorded request that this one is: one that asks for the same, otherwise the first of its method. Each is
    /// taken once.
    pub(super) fn take(&mut self, method: &str, request: &[u8]) -> Option<usize> {
        let key = call_key(request);
        let is_free = |ask: &usize| self.met[*ask].is_none() && self.planned[*ask].method == method;
        let free: Vec<usize> = (0..self.planned.len()).filter(is_free).collect();
        let same = free.iter().find(|ask| self.keys[**ask] == key);
        let found = same.or(free.first()).copied()?;
        self.met[found] = Some(Comparison::default());
        Some(found)
    }

    /// How a request that was taken compares.
    pub(super) fn note(&mut self, ask: usize, found: Comparison) {
        self.met[ask] = Some(found);
    }

    pub(super) fn are_all_met(&self) -> bool {
        self.met.iter().all(Option::is_some)
    }

    /// How long after the handshake those may still come that were recorded as the server's own.
    pub(super) fn own_time(&self) -> Duration {
        let planned = self.planned.iter().zip(&self.met);
        let missed = planned.filter(|(_, met)| met.is_none());
        let latest = missed.filter_map(|(ask, _)| ask.own_time).max();
        latest.map_or(Duration::ZERO, |latest| latest + SLACK)
    }

    /// How they compare. `end` is that of the conversation.
    pub(super) fn rows(self, session: &str, end: &End) -> impl Iterator<Item = Row> {
        self.planned.iter().zip(self.met).map(move |(ask, met)| {
            let row = Row {
                is_from_server: true,
                ..Row::new(session, &ask.method, &ask.about, Outcome::Missing)
            };
            match met {
                Some(found) => row.compared(found),
                None => row.noting(end.why_unasked()),
            }
        })
    }
}
