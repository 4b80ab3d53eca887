//! Once through all levels.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

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

/// How calls are made at a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// At a moderate rate.
    Steady,
    /// As fast as they go on all connections.
    Burst,
}

/// One pass.
pub(super) struct Pass {
    number: usize,
    time: Duration,
    pub(super) faults: Faults,
    audience: Audience,
    callers: Callers,
    open: usize,
}

impl Pass {
    pub(super) fn new(number: usize, time: Duration) -> Self {
        let (audience, callers) = (Audience::default(), Callers::default());
        Self {
            number,
            time,
            faults: Faults::default(),
            audience,
            callers,
            open: 0,
        }
    }

    /// Goes through all levels and closes everything.
    pub(super) async fn run(
        &mut self,
        proxy: &mut Proxy,
        levels: &[(usize, Pace)],
        table: &mut Table,
    ) -> Result<()> {
        for (level, pace) in levels {
            let more = level.saturating_sub(self.open);
            add(proxy, &mut self.audience, &mut self.callers, more)
                .await
                .with_context(|| format!("{level} sessions could not be opened"))?;
            self.open += more;
            let row = self
                .level(proxy, *pace)
                .await
                .with_context(|| format!("at {level} sessions"))?;
            table.row(row);
        }
        // Their connections are closed with them.
        self.callers = Callers::default();
        let rest = std::mem::take(&mut self.audience).close(&proxy.target).await?;
        self.faults.merge(&rest.faults);
        ensure!(self.faults.is_empty(), "messages had faults");
        Ok(())
    }

    async fn level(&mut self, proxy: &mut Proxy, pace: Pace) -> Result<Vec<Cell>> {
        let links = self.callers.links();
        let (pause, note) = match pace {
            Pace::Steady => (Duration::from_secs_f64(links as f64 / CALL_RATE), ""),
            Pace::Burst => (Duration::ZERO, " burst"),
        };
        self.faults.merge(&self.audience.take_heard().faults);
        let calls = self.callers.run(Mix::Mixed, self.time, pause).await;
        let heard = self.audience.take_heard();
        self.faults.merge(&calls.faults);
        self.faults.merge(&heard.faults);
        let tasks = proxy.scrape().await?.map(|scrape| scrape.tasks);
        let sample = proxy.sample()?;
        ensure!(self.faults.is_empty(), "messages had faults");
        ensure!(heard.latency.count() > 0, "no event came for {:?}", self.time);
        let sessions = format!("{}{note}", self.open);
        Ok(row(self.number, sessions, &sample, tasks, Some((&calls, &heard))))
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
