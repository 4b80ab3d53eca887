//! A reader that stops in the middle of a large stream: what it costs the proxy, and the others.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::client::{Callers, Calls, Download, Heard, Link, Listener, Mix, Session, new_stream};
use crate::events::Spec;
use crate::faults::Faults;
use crate::proxies::{Kind, Mock, Proxy};
use crate::report::{Bar, Cell, Table, mib, progress};
use crate::shared::locked;

use super::Context;

const KINDS: [Kind; 3] = [Kind::Bare, Kind::Nginx, Kind::Headless];
/// Bytes of the whole stream.
const BYTES: u64 = 256 << 20;
/// Bytes of each event.
const EVENT: usize = 64 << 10;
/// Calls beside it: connections and the time between two calls of each.
const CALLERS: usize = 16;
const PAUSE: Duration = Duration::from_millis(16);
/// Runs before and during, of which the one with the lowest p99 counts.
const RUNS: u32 = 4;

const COLUMNS: [&str; 9] = [
    "stream",
    "proxy",
    "RSS before MiB",
    "grown MiB",
    "call p50 before µs",
    "p50 during",
    "p99 before µs",
    "p99 during",
    "p99 during ÷ before",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Events,
    Body,
}

/// Stalls one reader of each shape, calls beside it for `time` before and during that.
///
/// # Errors
/// A process failed; faults in messages are in the report.
pub(crate) async fn stalled(context: &mut Context, time: Duration) -> Result<()> {
    let mut mock = Mock::start().await?;
    let mut table = Table::new("stalled", &COLUMNS);
    for shape in [Shape::Events, Shape::Body] {
        for kind in context.kinds(&KINDS) {
            progress(format_args!("stalled: {shape:?} through {kind}"));
            let mut proxy = Proxy::start(kind, &context.programs, mock.address).await?;
            let row = case(context, &mut proxy, shape, time).await;
            table.row(row.with_context(|| format!("{shape:?} through {kind}"))?);
            mock.check()?;
        }
    }
    table.note("256 MiB, of which a reader takes the head only; afterwards it reads all of it, and every byte is checked. Latencies \
         are those of the quietest of four runs.");
    context.report.table(table);
    Ok(())
}

async fn case(context: &mut Context, proxy: &mut Proxy, shape: Shape, time: Duration) -> Result<[Cell; 9]> {
    const SETTLE: Duration = Duration::from_secs(2);
    let mut callers = Callers::open(&proxy.target, CALLERS).await?;
    let mut faults = callers.run(Mix::Answers(1 << 10), time / 2, PAUSE).await.faults;
    let before = quietest(&mut callers, time, &mut faults).await;
    let mut link = Link::open(&proxy.target).await?;
    let session = Session::open(&mut link).await?;
    let start = proxy.sample()?;
    let reader = Reader::open(link, &session, shape).await?;
    tokio::time::sleep(SETTLE).await;
    let grown = proxy.sample()?.rss.saturating_sub(start.rss);
    let during = quietest(&mut callers, time, &mut faults).await;
    reader.finish(&mut faults).await?;
    callers.close().await?;
    context.report.faults(&faults);
    let micros = |calls: &Calls, share| calls.latency.quantile(share);
    let ratio = micros(&during, 0.99).as_secs_f64() / micros(&before, 0.99).as_secs_f64().max(1e-9);
    let barred = |cell: Cell, bar| {
        if proxy.kind == Kind::Headless {
            cell.barred(bar)
        } else {
            cell
        }
    };
    Ok([
        Cell::text(if shape == Shape::Events { "events" } else { "body" }),
        Cell::text(proxy.kind),
        Cell::mib(start.rss),
        barred(Cell::figure(mib(grown)), Bar::AtMost(8.0)),
        Cell::micros(micros(&before, 0.5)),
        Cell::micros(micros(&during, 0.5)),
        Cell::micros(micros(&before, 0.99)),
        Cell::micros(micros(&during, 0.99)),
        barred(Cell::ratio(ratio), Bar::AtMost(1.5)),
    ])
}

/// Calls for some times and returns the run with the lowest p99: what others do on this machine is not measured.
async fn quietest(callers: &mut Callers, time: Duration, faults: &mut Faults) -> Calls {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let calls = callers.run(Mix::Answers(1 << 10), time / RUNS, PAUSE).await;
        faults.merge(&calls.faults);
        runs.push(calls);
    }
    runs.into_iter()
        .min_by_key(|calls| calls.latency.quantile(0.99))
        .unwrap_or_default()
}

/// The reader that stops.
enum Reader {
    Events(Box<Listener>),
    Body(Box<Download>),
}

impl Reader {
    async fn open(link: Link, session: &Session, shape: Shape) -> Result<Self> {
        let stream = new_stream();
        Ok(match shape {
            Shape::Events => {
                let spec = Spec {
                    bytes: EVENT,
                    ..Spec::new(stream, BYTES / EVENT as u64)
                };
                Self::Events(Box::new(Listener::open(link, session, spec).await?))
            }
            Shape::Body => {
                let spec = Spec {
                    plain: BYTES,
                    ..Spec::new(stream, 0)
                };
                Self::Body(Box::new(Download::open(link, session, &spec).await?))
            }
        })
    }

    async fn finish(self, faults: &mut Faults) -> Result<()> {
        match self {
            Self::Body(download) => download.finish(faults).await,
            Self::Events(listener) => {
                let heard = Mutex::new(Heard::default());
                listener.finish(&heard).await?;
                faults.merge(&locked(&heard).faults);
                Ok(())
            }
        }
    }
}
