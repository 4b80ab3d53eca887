//! Sessions that call a tool over and over.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::clock::{after, nanoseconds, now_ns, since};
use crate::events::Spec;
use crate::faults::Faults;
use crate::shared::locked;
use crate::stats::Histogram;

use super::listener::{Heard, new_stream};
use super::{Link, Progress, Session, Target, open_sessions};

/// What came of some calls.
#[derive(Clone, Default)]
pub(crate) struct Calls {
    pub(crate) latency: Histogram,
    pub(crate) faults: Faults,
    pub(crate) elapsed: Duration,
    /// Events that came before the answers of calls.
    pub(crate) events: u64,
    /// Calls that were answered with a stream.
    pub(crate) streams: u64,
}

impl Calls {
    /// Calls a second.
    pub(crate) fn rate(&self) -> f64 {
        self.latency.count() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Which calls are made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mix {
    /// All with answers of so many bytes.
    Answers(usize),
    /// Small answers mostly, some large, some as a stream with events before the answer.
    Mixed,
}

/// How calls are made.
#[derive(Clone, Copy, Debug)]
struct Load {
    mix: Mix,
    deadline: u64,
    pause: Duration,
}

/// Connections that serve one session or more each, one call after the other.
#[derive(Default)]
pub(crate) struct Callers {
    workers: Vec<Worker>,
}

impl Callers {
    /// Opens `count` sessions with a connection each.
    ///
    /// # Errors
    /// One could not be opened.
    pub(crate) async fn open(target: &Arc<Target>, count: usize) -> Result<Self> {
        let sessions = open_sessions(target, count).await?;
        let worker = |(link, session)| Worker {
            link,
            sessions: vec![session],
            calls: 0,
        };
        Ok(Self {
            workers: sessions.into_iter().map(worker).collect(),
        })
    }

    /// Takes more sessions, over new connections as long as there are fewer than `max_links`.
    ///
    /// # Errors
    /// No connection.
    pub(crate) async fn add(
        &mut self,
        target: &Arc<Target>,
        sessions: Vec<Session>,
        max_links: usize,
    ) -> Result<()> {
        for session in sessions {
            if self.workers.len() < max_links {
                let link = Link::open(target).await?;
                self.workers.push(Worker {
                    link,
                    sessions: vec![session],
                    calls: 0,
                });
            } else if let Some(worker) = self.workers.iter_mut().min_by_key(|worker| worker.sessions.len()) {
                worker.sessions.push(session);
            }
        }
        Ok(())
    }

    /// Connections.
    pub(crate) fn links(&self) -> usize {
        self.workers.len()
    }

    /// Calls for `time`, one call after the other on each connection with `pause` between the starts of two, or none.
    /// A connection whose call fails is out.
    pub(crate) async fn run(&mut self, mix: Mix, time: Duration, pause: Duration) -> Calls {
        let started = now_ns();
        let load = Load {
            mix,
            deadline: after(time),
            pause,
        };
        let shared = Arc::new(Mutex::new(Calls::default()));
        let mut running = JoinSet::new();
        // One after the other, not all at the same moment.
        let gap = nanoseconds(pause) / (self.workers.len().max(1) as u64);
        let mut first = started;
        for worker in self.workers.drain(..) {
            first += gap;
            running.spawn(worker.run(load, first, Arc::clone(&shared)));
        }
        self.workers = join(running, &shared).await;
        let mut calls = std::mem::take(&mut *locked(&shared));
        calls.elapsed = since(started);
        calls
    }

    /// Ends all sessions.
    ///
    /// # Errors
    /// One could not be ended in order.
    pub(crate) async fn close(self) -> Result<()> {
        for mut worker in self.workers {
            for session in worker.sessions {
                session.handle().close(&mut worker.link).await?;
            }
        }
        Ok(())
    }
}

/// Waits for all workers, or until nothing has moved for ten seconds.
async fn join(mut running: JoinSet<Option<Worker>>, shared: &Mutex<Calls>) -> Vec<Worker> {
    let (mut workers, mut progress) = (Vec::new(), Progress::default());
    loop {
        match timeout(Duration::from_secs(1), running.join_next()).await {
            Ok(None) => return workers,
            Ok(Some(ended)) => workers.extend(ended.ok().flatten()),
            Err(_) => {
                let mut calls = locked(shared);
                if let Err(error) = progress.check(calls.latency.count() + workers.len() as u64) {
                    let stuck = running.len();
                    calls
                        .faults
                        .failed(format_args!("{stuck} calls have no answer: {error}"));
                    running.abort_all();
                }
            }
        }
    }
}

struct Worker {
    link: Link,
    sessions: Vec<Session>,
    calls: usize,
}

impl Worker {
    async fn run(mut self, load: Load, first: u64, shared: Arc<Mutex<Calls>>) -> Option<Self> {
        let mut due = first;
        loop {
            if due.max(now_ns()) >= load.deadline {
                return Some(self);
            }
            let early = Duration::from_nanos(due.saturating_sub(now_ns()));
            if !early.is_zero() {
                sleep(early).await;
            }
            if let Err(error) = self.call(load.mix, now_ns(), &shared).await {
                locked(&shared).faults.failed(format_args!("{error:#}"));
                return None;
            }
            due += nanoseconds(load.pause);
        }
    }

    /// Makes the next call and counts it.
    async fn call(&mut self, mix: Mix, started: u64, shared: &Mutex<Calls>) -> Result<()> {
        let number = self.calls;
        self.calls += 1;
        let turn = number % self.sessions.len();
        let Some(session) = self.sessions.get_mut(turn) else {
            return Ok(());
        };
        let (bytes, events) = size_of(mix, number);
        if events > 0 {
            let heard = Mutex::new(Heard::default());
            let spec = Spec::new(new_stream(), events);
            session.stream_call(&mut self.link, spec, bytes, &heard).await?;
            let mut calls = locked(shared);
            calls.latency.add(now_ns() - started);
            let heard = locked(&heard);
            calls.faults.merge(&heard.faults);
            calls.events += heard.latency.count();
            calls.streams += 1;
            return Ok(());
        }
        session.call(&mut self.link, bytes).await?;
        let mut calls = locked(shared);
        calls.latency.add(now_ns() - started);
        session.check(&self.link, &mut calls.faults);
        Ok(())
    }
}

/// Bytes of a call's answer, and events before it.
fn size_of(mix: Mix, number: usize) -> (usize, u64) {
    match mix {
        Mix::Answers(bytes) => (bytes, 0),
        Mix::Mixed if number % 16 == 5 => (64 << 10, 0),
        Mix::Mixed if number % 8 == 3 => (1 << 10, 5),
        Mix::Mixed => (1 << 10, 0),
    }
}
