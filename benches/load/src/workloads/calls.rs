//! Tool calls, one after the other on each connection.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::client::{Callers, Calls, Mix};
use crate::proc::Sample;
use crate::proxies::{Kind, Mock, Proxy};
use crate::report::{Bar, Cell, Table, progress};
use crate::stats::{Histogram, median, smallest};

use super::{Context, judged, ratio};

const KINDS: [Kind; 5] = [
    Kind::Bare,
    Kind::Nginx,
    Kind::Headless,
    Kind::Tui,
    Kind::Recording,
];

const COLUMNS: [&str; 14] = [
    "answer KiB",
    "connections",
    "proxy",
    "calls/s",
    "CPU µs/call",
    "least",
    "p50 µs",
    "p99 µs",
    "RSS MiB",
    "peak MiB",
    "calls/s ÷ nginx",
    "CPU ÷ bare",
    "CPU ÷ nginx",
    "CPU ÷ headless",
];

/// What to vary and for how long.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) answers: Vec<usize>,
    pub(crate) connections: Vec<usize>,
    pub(crate) rounds: usize,
    pub(crate) time: Duration,
}

/// One proxy under one load, over all rounds.
#[derive(Default)]
struct Measured {
    rate: Vec<f64>,
    cpu_micros: Vec<f64>,
    latency: Histogram,
    end: Sample,
}

/// Measures all proxies side by side.
///
/// # Errors
/// A process failed; faults in messages are in the report.
pub(crate) async fn calls(context: &mut Context, plan: &Plan) -> Result<()> {
    let mut mock = Mock::start().await?;
    let mut table = Table::new("calls", &COLUMNS);
    for answer_bytes in &plan.answers {
        for connections in &plan.connections {
            progress(format_args!(
                "calls: {} KiB, {connections} connections",
                answer_bytes / 1024
            ));
            // Fresh ones, so that the history that others left is no part of it.
            let mut proxies = context.start(&KINDS, mock.address).await?;
            let measured = case(context, plan, &mut proxies, (*answer_bytes, *connections)).await?;
            rows(&mut table, &proxies, &measured, (*answer_bytes, *connections));
            mock.check()?;
        }
    }
    table.note(format_args!(
        "Requests of 1 KiB; {} rounds of {:?}, alternating; rates, times and ratios are medians, `least` is the cheapest round. RSS is after the rounds, with the history that grew in them.",
        plan.rounds, plan.time
    ));
    context.report.table(table);
    Ok(())
}

async fn case(
    context: &mut Context,
    plan: &Plan,
    proxies: &mut [Proxy],
    load: (usize, usize),
) -> Result<Vec<Measured>> {
    let mut measured: Vec<Measured> = proxies.iter().map(|_| Measured::default()).collect();
    for _ in 0..plan.rounds {
        for (proxy, measured) in proxies.iter_mut().zip(&mut measured) {
            let kind = proxy.kind;
            let calls = round(proxy, load, plan.time, measured)
                .await
                .with_context(|| format!("calls through {kind}"))?;
            context.report.faults(&calls.faults);
        }
    }
    Ok(measured)
}

/// One proxy for one round.
async fn round(
    proxy: &mut Proxy,
    load: (usize, usize),
    time: Duration,
    measured: &mut Measured,
) -> Result<Calls> {
    let (answer_bytes, connections) = load;
    let mut callers = Callers::open(&proxy.target, connections).await?;
    let mut all = callers
        .run(Mix::Answers(answer_bytes), time / 5, Duration::ZERO)
        .await;
    let before = proxy.sample()?;
    let calls = callers
        .run(Mix::Answers(answer_bytes), time, Duration::ZERO)
        .await;
    let after = proxy.sample()?;
    callers.close().await?;
    let count = calls.latency.count().max(1);
    measured.rate.push(calls.rate());
    measured
        .cpu_micros
        .push(after.cpu_micros_since(&before) / count as f64);
    measured.latency.merge(&calls.latency);
    measured.end = after;
    all.faults.merge(&calls.faults);
    Ok(all)
}

fn rows(table: &mut Table, proxies: &[Proxy], measured: &[Measured], load: (usize, usize)) {
    let of = |kind| {
        proxies
            .iter()
            .zip(measured)
            .find(|(proxy, _)| proxy.kind == kind)
            .map(|(_, measured)| measured)
    };
    for (proxy, mine) in proxies.iter().zip(measured) {
        let bars = bars(proxy.kind);
        let rate = of(Kind::Nginx).map(|nginx| ratio(&mine.rate, &nginx.rate));
        let cpu = |kind| of(kind).map(|other| ratio(&mine.cpu_micros, &other.cpu_micros));
        table.row([
            Cell::count(load.0 / 1024),
            Cell::count(load.1),
            Cell::text(proxy.kind),
            Cell::rate(median(&mine.rate)),
            Cell::figure(median(&mine.cpu_micros)),
            Cell::figure(smallest(&mine.cpu_micros)),
            Cell::micros(mine.latency.quantile(0.5)),
            Cell::micros(mine.latency.quantile(0.99)),
            Cell::mib(mine.end.rss),
            Cell::mib(mine.end.peak),
            judged(rate, bars.rate),
            judged(cpu(Kind::Bare), bars.cpu_bare),
            judged(cpu(Kind::Nginx), None),
            judged(
                cpu(Kind::Headless).filter(|_| proxy.kind != Kind::Headless),
                bars.cpu_headless,
            ),
        ]);
    }
}

#[derive(Default)]
struct Bars {
    rate: Option<Bar>,
    cpu_bare: Option<Bar>,
    cpu_headless: Option<Bar>,
}

fn bars(kind: Kind) -> Bars {
    match kind {
        Kind::Headless => Bars {
            rate: Some(Bar::AtLeast(0.75)),
            cpu_bare: Some(Bar::AtMost(1.3)),
            cpu_headless: None,
        },
        Kind::Tui => Bars {
            cpu_headless: Some(Bar::AtMost(1.15)),
            ..Bars::default()
        },
        Kind::Recording => Bars {
            cpu_headless: Some(Bar::AtMost(1.35)),
            ..Bars::default()
        },
        Kind::Bare | Kind::Nginx => Bars::default(),
    }
}
