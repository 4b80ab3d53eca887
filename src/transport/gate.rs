//! The breaker of one upstream among its requests: a lock, a clock, and the words for what it does.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::CaptureConnection;

use crate::clock::{Clock, Timestamp, millis};
use crate::limits::ResourceLimits;
use crate::resource::breaker::{Breaker, BreakerSettings, Turn, Verdict};
use crate::snapshot::{BreakerRow, BreakerState, Notice, Severity};

use super::causes::{chain, describe};
use super::upstream::ConnectError;

/// Turns kept until the notices are asked for; the newest stay.
const TURNS_KEPT: usize = 4;

/// Lets requests through to one upstream, or not.
#[derive(Debug)]
pub(crate) struct Gate {
    name: String,
    url: String,
    pause: Duration,
    max_pause: Duration,
    clock: Clock,
    /// There is nothing to do: all that a request asks while all is well.
    is_quiet: AtomicBool,
    opened: AtomicU64,
    refused: AtomicU64,
    most_failures: AtomicU64,
    longest_pause: AtomicU64,
    longest_reached: AtomicU64,
    state: Mutex<State>,
}

/// Use of a breaker, for its gauges: now, at most, and how often the limit was reached. Times are milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GateUse {
    /// Connects that failed in a row; reached when it opens.
    pub(crate) failures: (u64, u64, u64),
    /// Time until a request is let through; reached by each that is not.
    pub(crate) wait: (u64, u64, u64),
    /// Time between two attempts that may take theirs.
    pub(crate) long_pause: (u64, u64, u64),
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    cause: Option<String>,
    turns: VecDeque<Notice>,
}

/// A request that was let through. Dropped without an outcome, it says nothing about the upstream.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    gate: Option<&'a Gate>,
    ticket: Option<u64>,
    begun: Option<Timestamp>,
    patience: Option<Duration>,
}

/// A request that was not let through, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    upstream: String,
    failures: u64,
    cause: String,
    open_for: Duration,
    /// Until a request is let through.
    pub(crate) wait: Duration,
}

/// Why a request got no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Failed(#[from] legacy::Error),
    #[error("no connection within {0:?}")]
    NoConnection(Duration),
}

impl SendError {
    /// There was no connection that the request could have gone out on.
    pub(crate) fn is_connect(&self) -> bool {
        match self {
            Self::Failed(error) => error.is_connect(),
            Self::NoConnection(_) => true,
        }
    }

    /// The upstream kept us from connecting, rather than a want of descriptors, ports or memory here.
    fn is_upstreams(&self) -> bool {
        let own = |error: &(dyn std::error::Error + 'static)| match error.downcast_ref::<ConnectError>() {
            Some(ConnectError::Refused { source, .. }) => is_want_of_ours(source),
            _ => false,
        };
        self.is_connect() && !chain(self).any(own)
    }
}

fn is_want_of_ours(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let wants = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::ADDRNOTAVAIL,
        Errno::NOBUFS,
        Errno::NOMEM,
    ];
    Errno::from_io_error(error).is_some_and(|errno| wants.contains(&errno))
}

impl Gate {
    /// A closed breaker for the upstream of that name.
    pub(crate) fn new(name: &str, url: String, limits: &ResourceLimits, clock: Clock) -> Self {
        let settings = BreakerSettings {
            failures: limits.breaker_failures as u64,
            pause: limits.breaker_pause,
            max_pause: limits.breaker_max_pause,
        };
        Self {
            name: name.to_owned(),
            url,
            pause: settings.pause,
            max_pause: settings.max_pause,
            clock,
            is_quiet: AtomicBool::new(true),
            opened: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            most_failures: AtomicU64::new(0),
            longest_pause: AtomicU64::new(0),
            longest_reached: AtomicU64::new(0),
            state: Mutex::new(State {
                breaker: Breaker::new(settings),
                cause: None,
                turns: VecDeque::new(),
            }),
        }
    }

    /// Lets a request through, or says why not.
    pub(crate) fn admit(&self) -> Result<Attempt<'_>, Refusal> {
        if self.is_quiet.load(Ordering::Relaxed) {
            return Ok(Attempt {
                gate: Some(self),
                ..Attempt::free()
            });
        }
        let now = self.clock.now();
        let mut state = self.lock();
        let (ticket, patience) = match state.breaker.admit(now) {
            Verdict::Pass => (None, None),
            Verdict::Probe { ticket, patience } => (Some(ticket), patience),
            Verdict::Refuse { since, next } => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                return Err(Refusal {
                    upstream: format!("{} ({})", self.name, self.url),
                    failures: state.breaker.failures(),
                    cause: state.cause.clone().unwrap_or_default(),
                    open_for: now.since(since),
                    wait: next.since(now),
                });
            }
        };
        Ok(Attempt {
            gate: Some(self),
            ticket,
            begun: Some(now),
            patience,
        })
    }

    /// The upstream has accepted a connection, or answered on one.
    pub(crate) fn connected(&self) {
        if self.is_quiet.load(Ordering::Relaxed) {
            return;
        }
        self.close(|open_for| {
            format!(
                "{} accepts connections again, after {}.",
                self.name,
                seconds(open_for)
            )
        });
    }

    /// Forgets all failures: the next request goes through like any other. Whether it was open.
    pub(crate) fn reset(&self) -> bool {
        self.close(|_| {
            format!(
                "The breaker of {} was reset: the next request is tried.",
                self.name
            )
        })
    }

    fn close(&self, text: impl FnOnce(Duration) -> String) -> bool {
        let mut state = self.lock();
        let turn = state.breaker.close();
        self.note_quiet(&state);
        let Some(Turn::Closed { since }) = turn else {
            return false;
        };
        let now = self.clock.now();
        let text = text(now.since(since));
        tracing::info!(upstream = self.name, "{text}");
        state.tell(now, Severity::Info, text);
        true
    }

    fn failed(&self, ticket: Option<u64>, begun: Option<Timestamp>, cause: String) {
        let now = self.clock.now();
        let mut state = self.lock();
        let took = begun.map_or(Duration::ZERO, |begun| now.since(begun));
        let before = state.breaker.long_pause();
        let turn = state.breaker.failed(ticket, took, now);
        self.note_long_pause(before, state.breaker.long_pause());
        let failures = state.breaker.failures();
        self.most_failures.fetch_max(failures, Ordering::Relaxed);
        self.note_quiet(&state);
        if turn.is_some() {
            self.opened.fetch_add(1, Ordering::Relaxed);
            let text = format!(
                "{} could not be reached {failures} times in a row ({cause}): requests get 503 at once, and one every {} is let through to try again. Start the server; `r` on the Servers screen has the next request tried at once.",
                self.name,
                seconds(self.pause)
            );
            tracing::warn!(upstream = self.name, url = self.url, "{text}");
            state.tell(now, Severity::Warning, text);
        }
        state.cause = Some(cause);
    }

    fn note_long_pause(&self, before: Duration, now: Duration) {
        self.longest_pause.fetch_max(millis(now), Ordering::Relaxed);
        if now > before && now == self.max_pause {
            self.longest_reached.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn note_quiet(&self, state: &State) {
        self.is_quiet.store(state.breaker.is_quiet(), Ordering::Relaxed);
    }

    /// No connection has come about.
    fn is_open(&self) -> bool {
        self.lock().breaker.outage().is_some()
    }

    /// What the user should know since the last call, oldest first.
    pub(crate) fn take_turns(&self) -> VecDeque<Notice> {
        std::mem::take(&mut self.lock().turns)
    }

    /// What the screen shows.
    pub(crate) fn row(&self) -> BreakerRow {
        let state = self.lock();
        let outage = state.breaker.outage();
        BreakerRow {
            state: match outage {
                None => BreakerState::Closed,
                Some((since, next, false)) => BreakerState::Open { since, next },
                Some((since, _, true)) => BreakerState::HalfOpen { since },
            },
            failures: state.breaker.failures(),
            cause: outage.and(state.cause.clone()),
            opened: self.opened.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    /// For the gauges.
    pub(crate) fn usage(&self) -> GateUse {
        let now = self.clock.now();
        let state = self.lock();
        let (failures, long_pause) = (state.breaker.failures(), state.breaker.long_pause());
        let wait = state.breaker.outage().map(|(_, next, _)| millis(next.since(now)));
        drop(state);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let opened = count(&self.opened);
        let longest_wait = if opened > 0 { millis(self.pause) } else { 0 };
        GateUse {
            failures: (failures, count(&self.most_failures), opened),
            wait: (wait.unwrap_or(0), longest_wait, count(&self.refused)),
            long_pause: (
                millis(long_pause),
                count(&self.longest_pause),
                count(&self.longest_reached),
            ),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell(&mut self, at: Timestamp, severity: Severity, text: String) {
        if self.turns.len() == TURNS_KEPT {
            self.turns.pop_front();
        }
        self.turns.push_back(Notice { at, severity, text });
    }
}

impl Attempt<'_> {
    /// A request that no breaker stands before.
    pub(crate) const fn free() -> Self {
        Self {
            gate: None,
            ticket: None,
            begun: None,
            patience: None,
        }
    }

    /// Whether the attempt ends early if no connection comes about.
    pub(crate) fn is_impatient(&self) -> bool {
        self.patience.is_some()
    }

    /// Waits for `response`; an impatient probe no longer than its patience, unless a connection has come about by then,
    /// or `sent_on` is one that was there already.
    ///
    /// # Cancel safety
    /// Dropping the future drops `response`.
    pub(crate) async fn wait<T>(
        &self,
        response: impl Future<Output = Result<T, legacy::Error>>,
        sent_on: Option<CaptureConnection>,
    ) -> Result<T, SendError> {
        let (Some(gate), Some(patience)) = (self.gate, self.patience) else {
            return Ok(response.await?);
        };
        let mut response = std::pin::pin!(response);
        if let Ok(outcome) = tokio::time::timeout(patience, response.as_mut()).await {
            return Ok(outcome?);
        }
        let is_sent = sent_on.is_some_and(|sent_on| sent_on.connection_metadata().is_some());
        if gate.is_open() && !is_sent {
            return Err(SendError::NoConnection(patience));
        }
        Ok(response.await?)
    }

    /// The upstream has answered.
    pub(crate) fn answered(&self) {
        if let Some(gate) = self.gate {
            gate.connected();
        }
    }

    /// There was no response. Counts only if the upstream could not be connected to.
    pub(crate) fn failed(mut self, error: &SendError) {
        if let Some(gate) = self.gate.filter(|_| error.is_upstreams()) {
            gate.failed(self.ticket.take(), self.begun, root_cause(error));
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let (Some(gate), Some(ticket)) = (self.gate, self.ticket) {
            gate.lock().breaker.abandoned(ticket);
        }
    }
}

/// The cause without hyper's own words around it.
pub(crate) fn root_cause(error: &SendError) -> String {
    let connect = chain(error).find_map(|error| error.downcast_ref::<ConnectError>());
    match connect {
        Some(connect) => describe(connect),
        None => std::error::Error::source(error).map_or_else(|| error.to_string(), describe),
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Upstream {} is not asked: {} connects in a row failed (the last: {}), and its breaker has been open for {}. The next try is allowed in {}. Start the server; `r` on the Servers screen of shadowcat-tui has the next request tried at once.",
            self.upstream,
            self.failures,
            self.cause,
            seconds(self.open_for),
            seconds(self.wait)
        )
    }
}

/// Whole seconds, or milliseconds below one.
fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{} s", time.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_want_of_descriptors_or_ports_is_not_the_upstreams_failure() {
        for (errno, is_ours) in [
            (Errno::MFILE, true),
            (Errno::ADDRNOTAVAIL, true),
            (Errno::CONNREFUSED, false),
            (Errno::HOSTUNREACH, false),
        ] {
            assert_eq!(is_want_of_ours(&errno.into()), is_ours, "{errno:?}");
        }
    }

    #[test]
    fn short_waits_are_told_in_milliseconds() {
        assert_eq!(seconds(Duration::from_millis(999)), "999 ms");
        assert_eq!(seconds(Duration::from_millis(1_999)), "1 s");
    }
}
