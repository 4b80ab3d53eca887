//! What holding messages costs those that are not held, and what armed rules cost all.

mod rules;
mod soak;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::client::{Audience, Callers, Calls, Mix, new_stream, open_sessions};
use crate::events::Spec;
use crate::faults::Faults;
use crate::proxies::{Desk, Kind, Mock, Proxy, Setup};
use crate::report::{Bar, Cell, Table, mib, progress};

use super::Context;

pub(crate) use soak::soak as hold_soak;

/// Streams of which one event each is held.
const HELD: [usize; 3] = [0, 1, 1_000];
/// Calls beside it: connections and the time between two calls of each.
const CALLERS: usize = 16;
const PAUSE: Duration = Duration::from_millis(16);
/// Runs of each case, of which the one with the lowest p99 counts.
const RUNS: u32 = 4;
/// What holds the events of the streams and nothing of the calls.
const BREAKPOINT: &str = "method:notifications/message dir:s2c";

const COLUMNS: [&str; 9] = [
    "held",
    "streams",
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

/// What is needed to hold on purpose and to let go.
struct Stage {
    proxy: Proxy,
    desk: Desk,
    audience: Audience,
    callers: Callers,
    faults: Faults,
}

async fn beside(context: &mut Context, time: Duration) -> Result<()> {
    let mut mock = Mock::start().await?;
    let mut stage = Stage::start(context, &mock).await?;
    let mut table = Table::new("hold", &COLUMNS);
    // Streams alone, with nothing held of them, so that the memory of both can be told apart.
    let most = HELD.iter().max().copied().unwrap_or_default();
    let warm = stage.callers.run(Mix::Answers(1 << 10), time / 2, PAUSE).await;
    stage.faults.merge(&warm.faults);
    let start = stage.rss()?;
    stage.listen(most, 0).await?;
    let mut before = stage.rss()?;
    let idle_kib = mib(before.saturating_sub(start)) * 1024.0 / most as f64;
    let (mut held, mut streams, mut none) = (0, most, None);
    for count in HELD {
        progress(format_args!("hold: calls beside {count} held streams"));
        let more = count - held;
        stage.listen(more, 1).await?;
        stage.wait_for_held(count as u64).await?;
        (held, streams) = (count, streams + more);
        let now = stage.rss()?;
        let each = mib(now.saturating_sub(before)) * 1024.0 / more.max(1) as f64;
        before = now;
        let calls = stage.quietest(time).await;
        let none = none.get_or_insert_with(|| calls.clone());
        let kib = if more > 1 { Some(each) } else { None };
        table.row(row((held, streams), &calls, none, (now, kib)));
    }
    stage.finish(context, held as u64).await?;
    mock.check()?;
    table.note(format_args!(
        "Calls of 1 KiB, an answer each, one every 16 ms on 16 connections; latencies are those of the quietest of {RUNS} runs. A \
         stream of which nothing is held takes {idle_kib:.1} KiB."
    ));
    context.report.table(table);
    Ok(())
}

fn row(
    (held, streams): (usize, usize),
    calls: &Calls,
    none: &Calls,
    (rss, kib): (u64, Option<f64>),
) -> [Cell; 9] {
    let at = |calls: &Calls, share| calls.latency.quantile(share);
    let ratio = |share| at(calls, share).as_secs_f64() / at(none, share).as_secs_f64().max(1e-9);
    let more = (at(calls, 0.5).as_secs_f64() - at(none, 0.5).as_secs_f64()) * 1e3;
    let is_first = held == 0;
    let barred = |cell: Cell, most| {
        if is_first {
            cell
        } else {
            cell.barred(Bar::AtMost(most))
        }
    };
    [
        Cell::count(held as u64),
        Cell::count(streams as u64),
        Cell::micros(at(calls, 0.5)),
        Cell::micros(at(calls, 0.99)),
        Cell::ratio(ratio(0.5)),
        barred(Cell::ratio(ratio(0.99)), 1.5),
        barred(Cell::ratio(more), 1.0),
        Cell::mib(rss),
        kib.map_or_else(Cell::none, Cell::figure),
    ]
}

impl Stage {
    async fn start(context: &Context, mock: &Mock) -> Result<Self> {
        let setup = Setup {
            metrics: true,
            limits: ["--wait", "--intercept", BREAKPOINT].map(str::to_owned).to_vec(),
            ..Setup::default()
        };
        let proxy = Proxy::start_with(Kind::Headless, &context.programs, mock.address, &setup).await?;
        let desk = proxy.desk(&context.programs).await?;
        let callers = Callers::open(&proxy.target, CALLERS).await?;
        Ok(Self {
            proxy,
            desk,
            audience: Audience::default(),
            callers,
            faults: Faults::default(),
        })
    }

    /// Opens so many streams with so many events each.
    async fn listen(&mut self, streams: usize, events: u64) -> Result<()> {
        let sessions = open_sessions(&self.proxy.target, streams).await?;
        let spec = |_| Spec {
            hold: true,
            ..Spec::new(new_stream(), events)
        };
        self.audience.add(sessions, spec).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(())
    }

    fn rss(&mut self) -> Result<u64> {
        Ok(self.proxy.sample()?.rss)
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

    /// Calls for some times and returns the run with the lowest p99: what others do on this machine is not measured.
    async fn quietest(&mut self, time: Duration) -> Calls {
        let mut best: Option<Calls> = None;
        for _ in 0..RUNS {
            let calls = self.callers.run(Mix::Answers(1 << 10), time / RUNS, PAUSE).await;
            self.faults.merge(&calls.faults);
            let is_better = |best: &Calls| calls.latency.quantile(0.99) < best.latency.quantile(0.99);
            if best.as_ref().is_none_or(is_better) {
                best = Some(calls);
            }
        }
        best.unwrap_or_default()
    }

    /// Lets go of everything; every client has to get what was held for it.
    async fn finish(mut self, context: &mut Context, held: u64) -> Result<()> {
        self.desk.held(&["forward", "--all"]).await?;
        self.audience
            .wait_for(held)
            .await
            .context("what was held has not come")?;
        self.wait_for_held(0).await?;
        let heard = self.audience.close(&self.proxy.target).await?;
        self.faults.merge(&heard.faults);
        self.callers.close().await?;
        context.report.faults(&self.faults);
        Ok(())
    }
}
