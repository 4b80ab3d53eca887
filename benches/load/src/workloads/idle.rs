//! Whether a proxy lets go of everything.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::proc::Sample;
use crate::proxies::Proxy;

/// Descriptors that may be open more than before the first session.
const SPARE_FDS: u64 = 8;
/// Tasks that may be alive more than before the first session.
const SPARE_TASKS: u64 = 4;
/// What the proxy holds while nobody uses it.
pub(super) struct Idle {
    pub(super) sample: Sample,
    pub(super) tasks: Option<u64>,
}

impl Idle {
    /// Looks now.
    ///
    /// # Errors
    /// The proxy has ended or panicked.
    pub(super) async fn of(proxy: &mut Proxy) -> Result<Self> {
        let tasks = proxy.scrape().await?.map(|scrape| scrape.tasks);
        Ok(Self {
            sample: proxy.sample()?,
            tasks,
        })
    }

    /// Waits until the proxy holds no more than this again, and a moment longer.
    ///
    /// # Errors
    /// It still does after ten seconds.
    pub(super) async fn cooled_down(&self, proxy: &mut Proxy) -> Result<Self> {
        const TRIES: usize = 100;
        for _ in 0..TRIES {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if self.leak(&Self::of(proxy).await?).is_none() {
                // What is freed late is not held against it.
                tokio::time::sleep(Duration::from_millis(500)).await;
                return Self::of(proxy).await;
            }
        }
        let leak = self.leak(&Self::of(proxy).await?).unwrap_or_default();
        bail!("ten seconds after all sessions were closed there are still {leak}");
    }

    fn leak(&self, now: &Self) -> Option<String> {
        let (fds, before) = (now.sample.fds, self.sample.fds);
        if fds > before + SPARE_FDS {
            return Some(format!("{fds} descriptors, {before} before"));
        }
        let (tasks, before) = (now.tasks?, self.tasks?);
        (tasks > before + SPARE_TASKS).then(|| format!("{tasks} tasks, {before} before"))
    }
}
