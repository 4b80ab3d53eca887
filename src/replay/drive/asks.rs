//! Requests of the server: which recorded one is which live one, and until when one may come.

use std::time::Duration;

use super::call::End;
use super::plan::Ask;
use crate::replay::compare::{Comparison, Outcome, Row, call_key};
use crate::replay::tape::{TapeCall, TapeCarrier, TapeExchange, TapeSession};

/// How much later than the recorded server the live one may ask of its own accord, and the other way round.
const SLACK: Duration = Duration::from_millis(250);

/// How long the recorded server could have asked its client something, counted from the end of the handshake.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hearing {
    /// Until the session was over.
    lasted: Duration,
    /// Until there was no stream any more for what belongs to no call.
    listened: Duration,
}

impl Hearing {
    pub(super) fn of(session: &TapeSession) -> Self {
        let Some(greeted) = greeted(session) else {
            return Self::default();
        };
        let last = session.exchanges.iter().map(last_us).max().unwrap_or(greeted);
        let is_listening = |exchange: &&TapeExchange| {
            session.carrier != TapeCarrier::StreamableHttp
                || (exchange.method == "GET" && exchange.is_stream())
        };
        // A stream without an end was open for as long as anything is known.
        let until = |exchange: &TapeExchange| exchange.end.as_ref().map_or(last, |end| end.us);
        let listened = session.exchanges.iter().filter(is_listening).map(until).max();
        Self {
            lasted: between(greeted, last),
            listened: listened.map_or(Duration::ZERO, |until| between(greeted, until)),
        }
    }

    /// Whether a request that comes this long after the handshake would be in the recording if the server had been the
    /// same. During a call it may be a part of that.
    pub(super) fn covers(self, elapsed: Duration, is_during_call: bool) -> bool {
        if is_during_call {
            self.lasted >= elapsed
        } else {
            self.listened >= elapsed + SLACK
        }
    }
}

/// When the client said that it is ready.
fn greeted(session: &TapeSession) -> Option<i64> {
    let is_greeting = |method: Option<&str>| method == Some("notifications/initialized");
    let mut messages = session.messages.iter();
    let greeting = messages.find(|message| is_greeting(message.envelope.method.as_deref()));
    greeting.map(|message| message.us)
}

/// The last moment that is known of an exchange.
fn last_us(exchange: &TapeExchange) -> i64 {
    let frames = exchange.frames.iter().map(|frame| frame.done_us);
    let end = exchange.end.iter().map(|end| end.us);
    frames.chain(end).max().unwrap_or(exchange.us)
}

/// How long after the handshake the server asked of its own accord; `None` if it is not known to have done so.
pub(super) fn own_time(session: &TapeSession, call: &TapeCall) -> Option<Duration> {
    let is_its_own = call.during.is_none() || &*call.method == "roots/list";
    let asked = session.messages[call.request].us;
    is_its_own.then(|| Some(between(greeted(session)?, asked)))?
}

fn between(one: i64, other: i64) -> Duration {
    Duration::from_micros(u64::try_from(other.saturating_sub(one)).unwrap_or(0))
}

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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::replay::tape::{Tape, TapeOptions};

    #[test]
    fn over_http_a_client_without_a_stream_of_its_own_is_asked_nothing_but_during_calls() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings/legacy-http.jsonl");
        let mut tape = Tape::load(&path, &TapeOptions::as_it_arrived()).unwrap();
        let session = &mut tape.sessions[0];
        let with_stream = Hearing::of(session);
        let soon = Duration::from_millis(1);
        assert!(with_stream.covers(soon, false) && with_stream.covers(soon, true));
        assert!(!with_stream.covers(with_stream.lasted, false));
        for exchange in &mut session.exchanges {
            exchange.method = exchange.method.replace("GET", "HEAD");
        }
        let without = Hearing::of(session);
        assert!(!without.covers(soon, false) && without.covers(soon, true));
    }
}
