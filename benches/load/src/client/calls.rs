//! Sessions that call a tool over and over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;

use crate::clock::{after, now_ns, since};
use crate::faults::Faults;
use crate::stats::Histogram;

use super::{Session, Target};

/// What came of some calls.
#[derive(Clone, Default)]
pub(crate) struct Calls {
    pub(crate) latency: Histogram,
    pub(crate) faults: Faults,
    pub(crate) elapsed: Duration,
}

impl Calls {
    /// Calls a second.
    pub(crate) fn rate(&self) -> f64 {
        self.latency.count() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Sessions with one connection each.
pub(crate) struct Callers {
    sessions: Vec<Session>,
}

impl Callers {
    /// Opens `count` sessions.
    ///
    /// # Errors
    /// One could not be opened.
    pub(crate) async fn open(target: &Arc<Target>, count: usize) -> Result<Self> {
        let mut sessions = Vec::with_capacity(count);
        for _ in 0..count {
            sessions.push(Session::open(target).await?);
        }
        Ok(Self { sessions })
    }

    /// Lets every session call for `time`, one call after the other. A session whose call fails is out.
    pub(crate) async fn run(&mut self, answer_bytes: usize, time: Duration) -> Calls {
        let started = now_ns();
        let deadline = after(time);
        let shared = Arc::new(Mutex::new(Calls::default()));
        let mut running = JoinSet::new();
        for session in self.sessions.drain(..) {
            running.spawn(call_until(session, answer_bytes, deadline, Arc::clone(&shared)));
        }
        while let Some(ended) = running.join_next().await {
            self.sessions.extend(ended.ok().flatten());
        }
        let mut calls = locked(&shared).clone();
        calls.elapsed = since(started);
        calls
    }

    /// Ends all sessions.
    ///
    /// # Errors
    /// One could not be ended in order.
    pub(crate) async fn close(self) -> Result<()> {
        for session in self.sessions {
            session.close().await?;
        }
        Ok(())
    }
}

fn locked(calls: &Mutex<Calls>) -> MutexGuard<'_, Calls> {
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn call_until(
    mut session: Session,
    answer_bytes: usize,
    deadline: u64,
    shared: Arc<Mutex<Calls>>,
) -> Option<Session> {
    loop {
        let started = now_ns();
        if started >= deadline {
            return Some(session);
        }
        let outcome = session.call(answer_bytes).await;
        let took = now_ns() - started;
        let mut calls = locked(&shared);
        match outcome {
            Ok(()) => calls.latency.add(took),
            Err(error) => {
                calls.faults.failed(format_args!("{error:#}"));
                return None;
            }
        }
        session.check(answer_bytes, &mut calls.faults);
    }
}
