//! Until when a recorded server could have asked its client something.

use std::time::Duration;

use super::tape::{TapeCall, TapeCarrier, TapeExchange, TapeSession};

/// How much later than the recorded server the live one may ask of its own accord, and the other way round.
pub(super) const SLACK: Duration = Duration::from_millis(250);

/// How long the recorded server could have asked its client something, counted from the end of the handshake.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::replay) struct Hearing {
    /// Until the session was over.
    lasted: Duration,
    /// Until there was no stream any more for what belongs to no call.
    listened: Duration,
}

impl Hearing {
    pub(in crate::replay) fn of(session: &TapeSession) -> Self {
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
    pub(in crate::replay) fn covers(self, elapsed: Duration, is_during_call: bool) -> bool {
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
pub(in crate::replay) fn own_time(session: &TapeSession, call: &TapeCall) -> Option<Duration> {
    let is_its_own = call.during.is_none() || &*call.method == "roots/list";
    let asked = session.messages[call.request].us;
    is_its_own.then(|| Some(between(greeted(session)?, asked)))?
}

fn between(one: i64, other: i64) -> Duration {
    Duration::from_micros(u64::try_from(other.saturating_sub(one)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tape::{Tape, TapeOptions};
    use super::*;

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
