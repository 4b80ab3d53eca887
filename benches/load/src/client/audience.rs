//! Many sessions that each listen to a stream.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::task::JoinSet;

use crate::clock::{now_ns, since};
use crate::events::Spec;
use crate::shared::locked;

use super::listener::{Heard, Listener};
use super::session::Handle;
use super::{Link, Session, Target};

/// Sessions that are opened or closed at the same time.
const AT_ONCE: usize = 32;
/// How long nothing may come before the run is given up.
const STALLED: Duration = Duration::from_secs(10);
/// How often it is looked whether all has come.
const LOOK: Duration = Duration::from_millis(2);

/// Opens sessions, each on a connection of its own.
///
/// # Errors
/// One could not be opened.
pub(crate) async fn open_sessions(target: &Arc<Target>, count: usize) -> Result<Vec<(Link, Session)>> {
    let open = |_| async {
        let mut link = Link::open(target).await?;
        let session = Session::open(&mut link).await?;
        anyhow::Ok((link, session))
    };
    stream::iter(0..count)
        .map(open)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Ends sessions over a few connections of their own.
async fn close_sessions(target: &Arc<Target>, sessions: &[Handle]) -> Result<()> {
    let share = sessions.len().div_ceil(AT_ONCE).max(1);
    let parts = sessions.chunks(share).map(|part| async move {
        let mut link = Link::open(target).await?;
        for session in part {
            session.close(&mut link).await?;
        }
        anyhow::Ok(())
    });
    stream::iter(parts).buffer_unordered(AT_ONCE).try_collect().await
}

/// Sessions with one open stream each, all being listened to.
#[derive(Default)]
pub(crate) struct Audience {
    handles: Vec<Handle>,
    listening: JoinSet<()>,
    heard: Arc<Mutex<Heard>>,
}

impl Audience {
    /// Opens a stream for each session and begins to listen; returns the sessions.
    ///
    /// # Errors
    /// A stream could not be opened.
    pub(crate) async fn add(
        &mut self,
        sessions: Vec<(Link, Session)>,
        spec: impl Fn(u64) -> Spec,
    ) -> Result<Vec<Session>> {
        let numbered = (0_u64..).zip(sessions);
        let open = |(number, (link, session)): (u64, (Link, Session))| {
            let spec = spec(number);
            async move {
                let listener = Listener::open(link, &session, spec).await?;
                anyhow::Ok((session, listener))
            }
        };
        let mut opened = stream::iter(numbered).map(open).buffer_unordered(AT_ONCE);
        let mut sessions = Vec::new();
        while let Some((session, listener)) = opened.try_next().await? {
            self.handles.push(session.handle());
            sessions.push(session);
            self.listening.spawn(listen(listener, Arc::clone(&self.heard)));
        }
        Ok(sessions)
    }

    /// Events heard so far, or since [`Self::take_heard`].
    pub(crate) fn events(&self) -> u64 {
        locked(&self.heard).latency.count()
    }

    /// What was heard since the last time.
    pub(crate) fn take_heard(&self) -> Heard {
        std::mem::take(&mut *locked(&self.heard))
    }

    /// Waits until this many events were heard.
    ///
    /// # Errors
    /// Nothing came for ten seconds.
    pub(crate) async fn wait_for(&self, events: u64) -> Result<()> {
        let mut progress = Progress::default();
        while self.events() < events {
            progress
                .check(self.events())
                .with_context(|| format!("of {events} events"))?;
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until all streams have ended.
    ///
    /// # Errors
    /// Nothing came for ten seconds.
    pub(crate) async fn ended(&mut self) -> Result<()> {
        let mut progress = Progress::default();
        loop {
            match tokio::time::timeout(Duration::from_secs(1), self.listening.join_next()).await {
                Ok(None) => return Ok(()),
                Ok(Some(outcome)) => outcome?,
                Err(_) => {
                    let open = self.listening.len() as u64;
                    progress
                        .check(self.events() + open)
                        .with_context(|| format!("{open} streams do not end"))?;
                }
            }
        }
    }

    /// Ends all sessions, waits for the ends of their streams, and returns what was heard since the last time.
    ///
    /// # Errors
    /// A session could not be ended, or a stream did not end.
    pub(crate) async fn close(mut self, target: &Arc<Target>) -> Result<Heard> {
        close_sessions(target, &self.handles).await?;
        self.ended().await?;
        Ok(self.take_heard())
    }
}

async fn listen(listener: Listener, heard: Arc<Mutex<Heard>>) {
    if let Err(error) = listener.finish(&heard).await {
        locked(&heard).faults.failed(format_args!("{error:#}"));
    }
}

/// Notices that nothing goes on any more.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    count: u64,
    changed_ns: u64,
}

impl Progress {
    /// Tells how far things are.
    ///
    /// # Errors
    /// That has not changed for ten seconds.
    pub(crate) fn check(&mut self, count: u64) -> Result<()> {
        if self.changed_ns == 0 || count != self.count {
            *self = Self {
                count,
                changed_ns: now_ns(),
            };
        } else if since(self.changed_ns) > STALLED {
            bail!("nothing has moved for {STALLED:?}, after {count}");
        }
        Ok(())
    }
}
