//! Many sessions with a quiet stream each.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::client::{Audience, new_stream, open_sessions};
use crate::clock::{after, now_ns, since};
use crate::events::Spec;
use crate::proc::Sample;
use crate::proxies::{Kind, Mock, Proxy};
use crate::report::{Bar, Cell, Table, progress};
use crate::stats::{Histogram, median, smallest};

use super::{Context, judged, ratio};

const KINDS: [Kind; 3] = [Kind::Bare, Kind::Nginx, Kind::Headless];

const COLUMNS: [&str; 12] = [
    "sessions",
    "an event each",
    "proxy",
    "events",
    "p50 µs",
    "p99 µs",
    "CPU µs/event",
    "least",
    "RSS MiB",
    "p50 ÷ nginx",
    "CPU ÷ nginx",
    "CPU ÷ bare",
];

/// Sessions and how often each gets an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) sessions: usize,
    pub(crate) interval: Duration,
}

#[derive(Default)]
struct Measured {
    events: u64,
    latency: Histogram,
    p50: Vec<f64>,
    cpu_micros: Vec<f64>,
    end: Sample,
}

/// Measures all proxies side by side, each case for `time` in every round.
///
/// # Errors
/// A process failed; faults in messages are in the report.
pub(crate) async fn sse(context: &mut Context, cases: &[Case], time: Duration, rounds: usize) -> Result<()> {
    let mut mock = Mock::start().await?;
    let mut table = Table::new("sse", &COLUMNS);
    for case in cases {
        progress(format_args!(
            "sse: {} sessions, an event each {:?}",
            case.sessions, case.interval
        ));
        let mut proxies = context.start(&KINDS, mock.address).await?;
        let mut measured: Vec<Measured> = proxies.iter().map(|_| Measured::default()).collect();
        for _ in 0..rounds {
            for (proxy, measured) in proxies.iter_mut().zip(&mut measured) {
                let kind = proxy.kind;
                let round = round(context, proxy, case, time, measured).await;
                round.with_context(|| format!("sse through {kind}"))?;
                mock.check()?;
            }
        }
        rows(&mut table, &proxies, &measured, case);
    }
    table.note(format_args!(
        "Events of 200 bytes, spread evenly over the interval; {rounds} rounds of {time:?}, alternating. The time of an \
         event is from the moment that it carries until the client has read it."
    ));
    context.report.table(table);
    Ok(())
}

async fn round(
    context: &mut Context,
    proxy: &mut Proxy,
    case: &Case,
    time: Duration,
    measured: &mut Measured,
) -> Result<()> {
    let opening = now_ns();
    let sessions = open_sessions(&proxy.target, case.sessions).await?;
    // Time for all streams to be open before the first event: a session takes longer than a stream.
    let start_ns = after(since(opening) + Duration::from_millis(300));
    let events = (time.as_secs_f64() / case.interval.as_secs_f64()).ceil() as u64;
    let total = events * case.sessions as u64;
    let gap = crate::clock::nanoseconds(case.interval) / case.sessions as u64;
    let mut audience = Audience::default();
    let spec = |number: u64| Spec {
        interval: case.interval,
        start_ns: start_ns + gap * number,
        hold: true,
        ..Spec::new(new_stream(), events)
    };
    audience.add(sessions, spec).await?;
    tokio::time::sleep(Duration::from_nanos(start_ns.saturating_sub(now_ns()))).await;
    let (before, early) = (proxy.sample()?, audience.events());
    let waited = audience.wait_for(total).await;
    let after = proxy.sample()?;
    let heard = audience.take_heard();
    let rest = audience.close(&proxy.target).await?;
    context.report.faults(&heard.faults);
    context.report.faults(&rest.faults);
    waited?;
    let counted = (heard.latency.count() - early).max(1) as f64;
    measured.events += heard.latency.count();
    measured.p50.push(heard.latency.quantile(0.5).as_secs_f64() * 1e6);
    measured
        .cpu_micros
        .push(after.cpu_micros_since(&before) / counted);
    measured.latency.merge(&heard.latency);
    measured.end = after;
    Ok(())
}

fn rows(table: &mut Table, proxies: &[Proxy], measured: &[Measured], case: &Case) {
    let of = |kind| {
        proxies
            .iter()
            .zip(measured)
            .find(|(proxy, _)| proxy.kind == kind)
            .map(|(_, found)| found)
    };
    for (proxy, mine) in proxies.iter().zip(measured) {
        let bar = (proxy.kind == Kind::Headless).then_some(Bar::AtMost(1.5));
        let cpu = |kind| of(kind).map(|other| ratio(&mine.cpu_micros, &other.cpu_micros));
        table.row([
            Cell::count(case.sessions as u64),
            Cell::text(format_args!("{:?}", case.interval)),
            Cell::text(proxy.kind),
            Cell::count(mine.events),
            Cell::figure(median(&mine.p50)),
            Cell::micros(mine.latency.quantile(0.99)),
            Cell::figure(median(&mine.cpu_micros)),
            Cell::figure(smallest(&mine.cpu_micros)),
            Cell::mib(mine.end.rss),
            judged(of(Kind::Nginx).map(|nginx| ratio(&mine.p50, &nginx.p50)), bar),
            judged(cpu(Kind::Nginx), bar),
            judged(cpu(Kind::Bare), None),
        ]);
    }
}
