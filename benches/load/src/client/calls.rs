//! Sessions that call a tool over and over.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;

use crate::clock::{after, now_ns, since};
use crate::faults::Faults;
use crate::shared::locked;
use crate::stats::Histogram;

use super::{Link, Session, Target};

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
    sessions: Vec<(Link, Session)>,
}

impl Callers {
    /// Opens `count` sessions.
    ///
    /// # Errors
    /// One could not be opened.
    pub(crate) async fn open(target: &Arc<Target>, count: usize) -> Result<Self> {
        let mut sessions = Vec::with_capacity(count);
        for _ in 0..count {
            let mut link = Link::open(target).await?;
            let session = Session::open(&mut link).await?;
            sessions.push((link, session));
        }
        Ok(Self { sessions })
    }

    /// Lets every session call for `time`, one call after the other with `pause` between the starts of two, or none.
    /// A session whose call fails is out.
    pub(crate) async fn run(&mut self, answer_bytes: usize, time: Duration, pause: Duration) -> Calls {
        let started = now_ns();
        let load = Load {
            answer_bytes,
            deadline: after(time),
            pause,
        };
        let shared = Arc::new(Mutex::new(Calls::default()));
        let mut running = JoinSet::new();
        for (link, session) in self.sessions.drain(..) {
            running.spawn(call_until(link, session, load, Arc::clone(&shared)));
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
        for (mut link, session) in self.sessions {
            session.close(&mut link).await?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Load {
    answer_bytes: usize,
    deadline: u64,
    pause: Duration,
}

async fn call_until(
    mut link: Link,
    mut session: Session,
    load: Load,
    shared: Arc<Mutex<Calls>>,
) -> Option<(Link, Session)> {
    let mut next = tokio::time::Instant::now();
    loop {
        let started = now_ns();
        if started >= load.deadline {
            return Some((link, session));
        }
        let outcome = session.call(&mut link, load.answer_bytes).await;
        let took = now_ns() - started;
        if !count(&mut locked(&shared), outcome, took) {
            return None;
        }
        session.check(&link, &mut locked(&shared).faults);
        if !load.pause.is_zero() {
            next += load.pause;
            tokio::time::sleep_until(next).await;
        }
    }
}

/// Counts a call; false if it failed.
fn count(calls: &mut Calls, outcome: Result<()>, took: u64) -> bool {
    match outcome {
        Ok(()) => calls.latency.add(took),
        Err(error) => {
            calls.faults.failed(format_args!("{error:#}"));
            return false;
        }
    }
    true
}
