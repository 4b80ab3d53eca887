//! Once through all levels.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::client::{Audience, Callers, Calls, Heard, Mix, new_stream, open_sessions};
use crate::clock::now_ns;
use crate::events::Spec;
use crate::faults::Faults;
use crate::proc::Sample;
use crate::proxies::Proxy;
use crate::report::{Cell, Table};

use crate::workloads::known;

/// Connections for calls: sessions beyond share them, as they do behind a gateway.
const MAX_LINKS: usize = 1_000;
/// Calls a second over all sessions.
const CALL_RATE: f64 = 500.0;
/// Events a second that the streams which a level adds may bring.
const EVENT_RATE: f64 = 1_000.0;
/// The shortest time between two events of a stream.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

pub(super) const COLUMNS: [&str; 12] = [
    "pass",
    "sessions",
    "RSS MiB",
    "peak MiB",
    "fds",
    "tasks",
    "threads",
    "calls/s",
    "call p50 µs",
    "call p99 µs",
    "event p50 µs",
    "event p99 µs",
];

/// One pass.
pub(super) struct Pass {
    number: usize,
    time: Duration,
    pub(super) faults: Faults,
}

impl Pass {
    pub(super) fn new(number: usize, time: Duration) -> Self {
        Self {
            number,
            time,
            faults: Faults::default(),
        }
    }

    /// Between two calls of a connection. The first pass has none: as many calls at once as there ever can be.
    fn pause(&self, links: usize) -> Duration {
        if self.number == 0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(links as f64 / CALL_RATE)
        }
    }

    /// Goes through all levels and closes everything.
    pub(super) async fn run(&mut self, proxy: &mut Proxy, levels: &[usize], table: &mut Table) -> Result<()> {
        let (mut audience, mut callers) = (Audience::default(), Callers::default());
        let mut open = 0;
        for level in levels {
            let more = level.saturating_sub(open);
            add(proxy, &mut audience, &mut callers, more)
                .await
                .with_context(|| format!("{level} sessions could not be opened"))?;
            open += more;
            let pause = self.pause(callers.links());
            self.faults.merge(&audience.take_heard().faults);
            let calls = callers.run(Mix::Mixed, self.time, pause).await;
            let heard = audience.take_heard();
            self.faults.merge(&calls.faults);
            self.faults.merge(&heard.faults);
            let tasks = proxy.scrape().await?.map(|scrape| scrape.tasks);
            let sample = proxy.sample()?;
            table.row(row(self.number, open, &sample, tasks, Some((&calls, &heard))));
            if !self.faults.is_empty() {
                bail!("at {open} sessions messages had faults");
            }
            if heard.latency.count() == 0 {
                bail!("at {open} sessions no event came for {:?}", self.time);
            }
        }
        let rest = audience.close(&proxy.target).await?;
        self.faults.merge(&rest.faults);
        Ok(())
    }
}

async fn add(proxy: &Proxy, audience: &mut Audience, callers: &mut Callers, count: usize) -> Result<()> {
    let opened = open_sessions(&proxy.target, count).await?;
    let interval = MIN_INTERVAL.max(Duration::from_secs_f64(count as f64 / EVENT_RATE));
    let gap = crate::clock::nanoseconds(interval) / (count.max(1) as u64);
    let start_ns = now_ns();
    let spec = |number: u64| Spec {
        interval,
        start_ns: start_ns + gap * number,
        hold: true,
        ..Spec::new(new_stream(), u64::MAX)
    };
    let sessions = audience.add(opened, spec).await?;
    callers.add(&proxy.target, sessions, MAX_LINKS).await
}

/// A row of the table: what the proxy holds, and how fast it is if there is traffic.
pub(super) fn row(
    pass: usize,
    sessions: impl std::fmt::Display,
    sample: &Sample,
    tasks: Option<u64>,
    traffic: Option<(&Calls, &Heard)>,
) -> Vec<Cell> {
    let mut fields = vec![
        Cell::count(pass as u64),
        Cell::text(sessions),
        Cell::mib(sample.rss),
        Cell::mib(sample.peak),
        Cell::count(sample.fds),
        known(tasks),
        Cell::count(sample.threads),
    ];
    let Some((calls, heard)) = traffic else {
        fields.extend(std::iter::repeat_n(Cell::none(), 5));
        return fields;
    };
    fields.extend([
        Cell::rate(calls.rate()),
        Cell::micros(calls.latency.quantile(0.5)),
        Cell::micros(calls.latency.quantile(0.99)),
        Cell::micros(heard.latency.quantile(0.5)),
        Cell::micros(heard.latency.quantile(0.99)),
    ]);
    fields
}
