//! A few streams whose events come as fast as they go.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::client::{Audience, new_stream, open_sessions};
use crate::clock::{after, now_ns};
use crate::events::Spec;
use crate::proc::Sample;
use crate::proxies::{Kind, Mock, Proxy};
use crate::report::{Bar, Cell, Table, progress};
use crate::stats::{median, smallest};

use super::{Context, judged, ratio};

const KINDS: [Kind; 4] = [Kind::Bare, Kind::Nginx, Kind::Headless, Kind::Tui];
const STREAMS: usize = 20;
/// Events that the server writes at once.
const GATHERED: [u64; 2] = [1, 16];

const COLUMNS: [&str; 10] = [
    "events a write",
    "streams",
    "proxy",
    "events/s",
    "CPU µs/event",
    "least",
    "RSS MiB",
    "events/s ÷ nginx",
    "CPU ÷ nginx",
    "CPU ÷ bare",
];

#[derive(Default)]
struct Measured {
    rate: Vec<f64>,
    cpu_micros: Vec<f64>,
    end: Sample,
}

/// Measures all proxies side by side.
///
/// # Errors
/// A process failed; faults in messages are in the report.
pub(crate) async fn flood(context: &mut Context, events: u64, rounds: usize) -> Result<()> {
    let mut mock = Mock::start().await?;
    let mut table = Table::new("flood", &COLUMNS);
    for gather in GATHERED {
        progress(format_args!(
            "flood: {STREAMS} streams of {events} events, {gather} a write"
        ));
        let mut proxies = context.start(&KINDS, mock.address).await?;
        let mut measured: Vec<Measured> = proxies.iter().map(|_| Measured::default()).collect();
        for _ in 0..rounds {
            for (proxy, measured) in proxies.iter_mut().zip(&mut measured) {
                let kind = proxy.kind;
                round(context, proxy, (events, gather), measured)
                    .await
                    .with_context(|| format!("flood through {kind}"))?;
                mock.check()?;
            }
        }
        rows(&mut table, &proxies, &measured, gather);
    }
    table.note(format_args!(
        "{STREAMS} streams of {events} events of 200 bytes, each a chunk of its own; {rounds} rounds, alternating."
    ));
    context.report.table(table);
    Ok(())
}

async fn round(
    context: &mut Context,
    proxy: &mut Proxy,
    (events, gather): (u64, u64),
    measured: &mut Measured,
) -> Result<()> {
    let sessions = open_sessions(&proxy.target, STREAMS).await?;
    let start_ns = after(Duration::from_millis(100));
    let mut audience = Audience::default();
    audience
        .add(sessions, |_| Spec {
            start_ns,
            gather,
            ..Spec::new(new_stream(), events)
        })
        .await?;
    let before = proxy.sample()?;
    audience.ended().await?;
    let elapsed = Duration::from_nanos(now_ns().saturating_sub(start_ns)).as_secs_f64();
    let after = proxy.sample()?;
    let heard = audience.close(&proxy.target).await?;
    let count = heard.latency.count().max(1) as f64;
    measured.rate.push(count / elapsed);
    measured.cpu_micros.push(after.cpu_micros_since(&before) / count);
    measured.end = after;
    context.report.faults(&heard.faults);
    Ok(())
}

fn rows(table: &mut Table, proxies: &[Proxy], measured: &[Measured], gather: u64) {
    let of = |kind| {
        proxies
            .iter()
            .zip(measured)
            .find(|(proxy, _)| proxy.kind == kind)
            .map(|(_, found)| found)
    };
    for (proxy, mine) in proxies.iter().zip(measured) {
        // A server sends an event when it has one; many at once only show how little is done with each.
        let barred = proxy.kind == Kind::Headless && gather == 1;
        let rate = of(Kind::Nginx).map(|nginx| ratio(&mine.rate, &nginx.rate));
        let cpu = |kind| of(kind).map(|other| ratio(&mine.cpu_micros, &other.cpu_micros));
        table.row([
            Cell::count(gather),
            Cell::count(STREAMS as u64),
            Cell::text(proxy.kind),
            Cell::rate(median(&mine.rate)),
            Cell::figure(median(&mine.cpu_micros)),
            Cell::figure(smallest(&mine.cpu_micros)),
            Cell::mib(mine.end.rss),
            judged(rate, barred.then_some(Bar::AtLeast(0.8))),
            judged(cpu(Kind::Nginx), barred.then_some(Bar::AtMost(2.0))),
            judged(cpu(Kind::Bare), None),
        ]);
    }
}
