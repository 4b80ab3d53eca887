//! One large event: it takes time in proportion to its size, however small the pieces in which it comes.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::client::{Heard, Link, Listener, Session, new_stream};
use crate::clock::{now_ns, since};
use crate::events::Spec;
use crate::proxies::{Kind, Mock, Proxy};
use crate::report::{Bar, Cell, Table, mib, progress};
use crate::shared::locked;
use crate::stats::median;

use super::Context;

const KINDS: [Kind; 3] = [Kind::Bare, Kind::Nginx, Kind::Headless];
/// Below this size a process that warms up is more than the event.
const JUDGED_BYTES: usize = 4 << 20;

const COLUMNS: [&str; 8] = [
    "event MiB",
    "written in bytes",
    "proxy",
    "time ms",
    "CPU ms",
    "CPU ms/MiB",
    "÷ that of the smaller",
    "peak grown ÷ event",
];

/// Two events that differ in size only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) sizes: [usize; 2],
    pub(crate) piece: usize,
    pub(crate) rounds: usize,
    /// Only through shadowcat-tui: the others are slow at this.
    pub(crate) alone: bool,
}

struct Measured {
    time: Duration,
    cpu_millis: f64,
    grown: f64,
}

/// Sends one event of each size through fresh proxies.
///
/// # Errors
/// A process failed; faults in messages are in the report.
pub(crate) async fn big_event(context: &mut Context, cases: &[Case]) -> Result<()> {
    let mut mock = Mock::start().await?;
    let mut table = Table::new("big-event", &COLUMNS);
    for case in cases {
        let kinds = if case.alone { &KINDS[2..] } else { &KINDS[..] };
        for kind in context.kinds(kinds) {
            let mut smaller = None;
            for bytes in case.sizes {
                progress(format_args!(
                    "big-event: {:.2} MiB in pieces of {} through {kind}",
                    mib(bytes as u64),
                    case.piece
                ));
                let mut rounds = Vec::new();
                for _ in 0..case.rounds {
                    let round = round(context, kind, &mut mock, bytes, case.piece).await;
                    rounds.push(round.with_context(|| format!("{bytes} bytes through {kind}"))?);
                }
                let per_mib = row(&mut table, kind, &rounds, (bytes, case.piece), smaller);
                smaller = Some(per_mib);
            }
        }
    }
    table.note(format_args!(
        "A fresh process for each round; medians of three rounds, of one where it takes long."
    ));
    context.report.table(table);
    Ok(())
}

async fn round(
    context: &mut Context,
    kind: Kind,
    mock: &mut Mock,
    bytes: usize,
    piece: usize,
) -> Result<Measured> {
    let mut proxy = Proxy::start(kind, &context.programs, mock.address).await?;
    let mut link = Link::open(&proxy.target).await?;
    let session = Session::open(&mut link).await?;
    let before = proxy.sample()?;
    let started = now_ns();
    let spec = Spec {
        bytes,
        piece,
        ..Spec::new(new_stream(), 1)
    };
    let heard = Mutex::new(Heard::default());
    let listener = Listener::open(link, &session, spec).await?;
    let mut link = listener.finish(&heard).await?;
    let time = since(started);
    let after = proxy.sample()?;
    session.handle().close(&mut link).await?;
    mock.check()?;
    context.report.faults(&locked(&heard).faults);
    let grown = after.peak.saturating_sub(before.rss) as f64 / bytes as f64;
    Ok(Measured {
        time,
        cpu_millis: after.cpu_micros_since(&before) / 1e3,
        grown,
    })
}

/// Adds a row; returns the processor time for each MiB.
fn row(
    table: &mut Table,
    kind: Kind,
    rounds: &[Measured],
    (bytes, piece): (usize, usize),
    smaller: Option<f64>,
) -> f64 {
    let middle = |of: fn(&Measured) -> f64| median(&rounds.iter().map(of).collect::<Vec<_>>());
    let barred = |cell: Cell, bar| {
        if kind == Kind::Headless {
            cell.barred(bar)
        } else {
            cell
        }
    };
    let cpu = middle(|round| round.cpu_millis);
    let per_mib = cpu / mib(bytes as u64);
    let linear = smaller.map(|smaller| barred(Cell::ratio(per_mib / smaller.max(1e-9)), Bar::AtMost(1.25)));
    let grown = Cell::ratio(middle(|round| round.grown));
    let grown = if bytes < JUDGED_BYTES {
        grown
    } else {
        barred(grown, Bar::AtMost(2.0))
    };
    table.row([
        Cell::ratio(mib(bytes as u64)),
        Cell::count(piece as u64),
        Cell::text(kind),
        Cell::figure(middle(|round| round.time.as_secs_f64() * 1e3)),
        Cell::figure(cpu),
        Cell::figure(per_mib),
        linear.unwrap_or_else(Cell::none),
        grown,
    ]);
    per_mib
}
