//! Whether a screen that follows a lot of traffic makes calls slower. How fast its keys are is measured by the
//! benchmark `key_latency` of the program itself.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::client::{Audience, Callers, Mix, new_stream, open_sessions};
use crate::clock::now_ns;
use crate::events::Spec;
use crate::proxies::{Kind, Mock, Proxy};
use crate::report::{Bar, Cell, Table, progress};
use crate::stats::{Histogram, median};

use super::{Context, judged, ratio};

const KINDS: [Kind; 2] = [Kind::Headless, Kind::Tui];
const STREAMS: u64 = 20;
/// Events of each stream before the measurement: 100,000 rows in all.
const ROWS: u64 = 5_000;
/// Between two events of a stream: 5,000 a second in all.
const INTERVAL: Duration = Duration::from_millis(4);
/// Calls beside the events: connections and the time between two calls of each.
const CALLERS: usize = 8;
const PAUSE: Duration = Duration::from_millis(20);

const COLUMNS: [&str; 7] = [
    "proxy",
    "events/s",
    "call p50 µs",
    "call p99 µs",
    "p50 ÷ headless",
    "p99 ÷ headless",
    "RSS MiB",
];

#[derive(Default)]
struct Measured {
    latency: Histogram,
    p50: Vec<f64>,
    p99: Vec<f64>,
    events: Vec<f64>,
    rss: u64,
}

/// Calls beside 5,000 events a second, without and with a screen.
///
/// # Errors
/// A process failed; faults in messages are in the report.
pub(crate) async fn keys(context: &mut Context, time: Duration, rounds: usize) -> Result<()> {
    let mut mock = Mock::start().await?;
    let mut proxies = context.start(&KINDS, mock.address).await?;
    for proxy in &proxies {
        progress(format_args!(
            "keys: {} rows through {}",
            STREAMS * ROWS,
            proxy.kind
        ));
        let sessions = open_sessions(&proxy.target, STREAMS as usize).await?;
        let mut audience = Audience::default();
        audience.add(sessions, |_| Spec::new(new_stream(), ROWS)).await?;
        audience.ended().await?;
        let heard = audience.close(&proxy.target).await?;
        context.report.faults(&heard.faults);
    }
    let mut measured: Vec<Measured> = proxies.iter().map(|_| Measured::default()).collect();
    for round in 1..=rounds {
        progress(format_args!("keys: round {round}"));
        for (proxy, measured) in proxies.iter_mut().zip(&mut measured) {
            let kind = proxy.kind;
            beside_events(context, proxy, time, measured)
                .await
                .with_context(|| format!("keys: {kind}"))?;
            mock.check()?;
        }
    }
    context.report.table(table(&proxies, &measured, time, rounds));
    Ok(())
}

async fn beside_events(
    context: &mut Context,
    proxy: &mut Proxy,
    time: Duration,
    measured: &mut Measured,
) -> Result<()> {
    let sessions = open_sessions(&proxy.target, STREAMS as usize).await?;
    let mut callers = Callers::open(&proxy.target, CALLERS).await?;
    let start_ns = now_ns();
    let gap = crate::clock::nanoseconds(INTERVAL) / STREAMS;
    let mut audience = Audience::default();
    let spec = |number: u64| Spec {
        interval: INTERVAL,
        start_ns: start_ns + gap * number,
        hold: true,
        ..Spec::new(new_stream(), u64::MAX)
    };
    audience.add(sessions, spec).await?;
    let mut faults = callers.run(Mix::Answers(1 << 10), time / 5, PAUSE).await.faults;
    let before = audience.events();
    let calls = callers.run(Mix::Answers(1 << 10), time, PAUSE).await;
    measured
        .events
        .push((audience.events() - before) as f64 / calls.elapsed.as_secs_f64());
    measured.rss = proxy.sample()?.rss;
    callers.close().await?;
    let heard = audience.close(&proxy.target).await?;
    faults.merge(&calls.faults);
    faults.merge(&heard.faults);
    context.report.faults(&faults);
    measured.p50.push(calls.latency.quantile(0.5).as_secs_f64() * 1e6);
    measured
        .p99
        .push(calls.latency.quantile(0.99).as_secs_f64() * 1e6);
    measured.latency.merge(&calls.latency);
    Ok(())
}

fn table(proxies: &[Proxy], measured: &[Measured], time: Duration, rounds: usize) -> Table {
    let mut table = Table::new("keys", &COLUMNS);
    let headless = proxies
        .iter()
        .zip(measured)
        .find(|(proxy, _)| proxy.kind == Kind::Headless)
        .map(|(_, found)| found);
    for (proxy, mine) in proxies.iter().zip(measured) {
        let other = headless.filter(|_| proxy.kind == Kind::Tui);
        table.row([
            Cell::text(proxy.kind),
            Cell::rate(median(&mine.events)),
            Cell::figure(median(&mine.p50)),
            Cell::figure(median(&mine.p99)),
            judged(
                other.map(|other| ratio(&mine.p50, &other.p50)),
                Some(Bar::AtMost(1.25)),
            ),
            judged(
                other.map(|other| ratio(&mine.p99, &other.p99)),
                Some(Bar::AtMost(1.5)),
            ),
            Cell::mib(mine.rss),
        ]);
    }
    table.note(format_args!(
        "{CALLERS} connections that call beside 5,000 events a second, after {} events; {rounds} rounds of {time:?}, alternating.",
        STREAMS * ROWS
    ));
    table
}
