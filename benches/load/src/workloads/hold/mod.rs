//! What holding messages costs those that are not held, and what armed rules cost all.

mod rules;
mod soak;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::client::{Audience, Callers, Mix, new_stream, open_sessions};
use crate::events::Spec;
use crate::faults::Faults;
use crate::proxies::{Desk, Kind, Mock, Proxy, Setup};
use crate::report::{Bar, Cell, Table, mib, progress};
use crate::stats::median;

use super::{Context, ratio};

pub(crate) use soak::soak as hold_soak;

/// Streams of each proxy.
const STREAMS: usize = 1_000;
/// Of how many of them one event is held.
const HELD: [usize; 3] = [0, 1, STREAMS];
/// Calls beside it: connections and the time between two calls of each.
const CALLERS: usize = 16;
const PAUSE: Duration = Duration::from_millis(16);
/// Until memory is what it is.
const SETTLE: Duration = Duration::from_millis(500);
/// How often the proxies take turns.
const ROUNDS: u32 = 5;
/// What holds the events of the streams and nothing of the calls.
const BREAKPOINT: &str = "method:notifications/message dir:s2c";

const COLUMNS: [&str; 8] = [
    "held",
    "call p50 µs",
    "call p99 µs",
    "p50 ÷ none held",
    "p99 ÷ none held",
    "more p50 ms",
    "RSS MiB",
    "KiB a stream",
];

/// Measures calls beside held streams for `time` each, and calls under armed rules.
///
/// # Errors
/// A process failed; faults in messages are in the report.
pub(crate) async fn hold(context: &mut Context, time: Duration) -> Result<()> {
    if context.kinds(&[Kind::Headless]).is_empty() {
        return Ok(());
    }
    beside(context, time).await?;
    rules::rules(context, time / 2).await
}

/// A proxy that holds on purpose, and what is on it.
struct Stage {
    proxy: Proxy,
    desk: Desk,
    audience: Audience,
    callers: Callers,
    held: u64,
    start_rss: u64,
    /// In microseconds, of each round.
    p50: Vec<f64>,
    p99: Vec<f64>,
}

async fn beside(context: &mut Context, time: Duration) -> Result<()> {
    let mut mock = Mock::start().await?;
    let mut faults = Faults::default();
    let mut stages = Vec::new();
    for held in HELD {
        progress(format_args!("hold: {held} of {STREAMS} streams are held"));
        stages.push(Stage::start(context, &mock, held).await?);
    }
    for _ in 0..ROUNDS {
        for stage in &mut stages {
            let calls = stage
                .callers
                .run(Mix::Answers(1 << 10), time / ROUNDS, PAUSE)
                .await;
            faults.merge(&calls.faults);
            let micros = |share| calls.latency.quantile(share).as_secs_f64() * 1e6;
            stage.p50.push(micros(0.5));
            stage.p99.push(micros(0.99));
        }
    }
    let mut table = Table::new("hold", &COLUMNS);
    let none = stages.first().map(|stage| (stage.p50.clone(), stage.p99.clone()));
    for stage in &mut stages {
        let none = none.clone().unwrap_or_default();
        table.row(stage.row(&none)?);
    }
    for stage in stages {
        stage.finish(&mut faults).await?;
    }
    mock.check()?;
    context.report.faults(&faults);
    table.note(format_args!(
        "Calls of 1 KiB, an answer each, one every 16 ms on 16 connections, beside {STREAMS} streams; proxies take turns, and ratios \
         are medians over {ROUNDS} rounds."
    ));
    context.report.table(table);
    Ok(())
}

impl Stage {
    async fn start(context: &Context, mock: &Mock, held: usize) -> Result<Self> {
        let setup = Setup {
            metrics: true,
            limits: ["--wait", "--intercept", BREAKPOINT].map(str::to_owned).to_vec(),
            ..Setup::default()
        };
        let mut proxy = Proxy::start_with(Kind::Headless, &context.programs, mock.address, &setup).await?;
        let desk = proxy.desk(&context.programs).await?;
        let mut callers = Callers::open(&proxy.target, CALLERS).await?;
        // What calls need is there from then on.
        callers.run(Mix::Answers(1 << 10), SETTLE, PAUSE).await;
        let start_rss = proxy.sample()?.rss;
        let mut stage = Self {
            proxy,
            desk,
            audience: Audience::default(),
            callers,
            held: held as u64,
            start_rss,
            p50: Vec::new(),
            p99: Vec::new(),
        };
        stage.listen(held, 1).await?;
        stage.listen(STREAMS - held, 0).await?;
        stage.wait_for_held(held as u64).await?;
        tokio::time::sleep(SETTLE).await;
        Ok(stage)
    }

    /// Opens so many streams with so many events each.
    async fn listen(&mut self, streams: usize, events: u64) -> Result<()> {
        let sessions = open_sessions(&self.proxy.target, streams).await?;
        let spec = |_| Spec {
            hold: true,
            ..Spec::new(new_stream(), events)
        };
        self.audience.add(sessions, spec).await?;
        Ok(())
    }

    fn row(&mut self, (none_p50, none_p99): &(Vec<f64>, Vec<f64>)) -> Result<[Cell; 8]> {
        let rss = self.proxy.sample()?.rss;
        let more: Vec<f64> = self
            .p50
            .iter()
            .zip(none_p50)
            .map(|(mine, none)| (mine - none) / 1e3)
            .collect();
        let is_first = self.held == 0;
        let barred = |cell: Cell, most| {
            if is_first {
                cell
            } else {
                cell.barred(Bar::AtMost(most))
            }
        };
        Ok([
            Cell::count(self.held),
            Cell::figure(median(&self.p50)),
            Cell::figure(median(&self.p99)),
            Cell::ratio(ratio(&self.p50, none_p50)),
            barred(Cell::ratio(ratio(&self.p99, none_p99)), 1.5),
            barred(Cell::ratio(median(&more)), 1.0),
            Cell::mib(rss),
            Cell::figure(mib(rss.saturating_sub(self.start_rss)) * 1024.0 / STREAMS as f64),
        ])
    }

    async fn wait_for_held(&mut self, count: u64) -> Result<()> {
        const TRIES: usize = 200;
        let mut held = None;
        for _ in 0..TRIES {
            held = self.proxy.scrape().await?.map(|scrape| scrape.held);
            if held.is_none_or(|held| held == count) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("{held:?} messages are held where it should be {count}")
    }

    /// Lets go of everything; every client has to get what was held for it.
    async fn finish(mut self, faults: &mut Faults) -> Result<()> {
        self.desk.held(&["forward", "--all"]).await?;
        self.audience
            .wait_for(self.held)
            .await
            .context("what was held has not come")?;
        self.wait_for_held(0).await?;
        faults.merge(&self.audience.close(&self.proxy.target).await?.faults);
        self.callers.close().await
    }
}
