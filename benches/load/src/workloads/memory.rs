//! What open sessions cost in memory, and what is left once they are closed.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::client::{Audience, new_stream, open_sessions};
use crate::events::Spec;
use crate::proxies::{Kind, Mock, Proxy};
use crate::report::{Bar, Cell, Table, mib, progress};

use super::Context;

const KINDS: [Kind; 3] = [Kind::Bare, Kind::Nginx, Kind::Headless];

const COLUMNS: [&str; 9] = [
    "sessions",
    "proxy",
    "start MiB",
    "open MiB",
    "KiB a session",
    "peak MiB",
    "just closed MiB",
    "5 s later MiB",
    "later ÷ start",
];

/// Sessions, and the MiB that the proxy may hold while they are open.
pub(crate) const CASES: [(usize, f64); 4] = [(10, 25.0), (100, 30.0), (1_000, 60.0), (5_000, 170.0)];

/// Opens sessions with a stream each through fresh proxies, and closes them again.
///
/// # Errors
/// A process failed; faults in messages are in the report.
pub(crate) async fn memory(context: &mut Context, cases: &[(usize, f64)]) -> Result<()> {
    let mut mock = Mock::start().await?;
    let mut table = Table::new("memory", &COLUMNS);
    for (sessions, bound) in cases {
        for kind in context.kinds(&KINDS) {
            progress(format_args!("memory: {sessions} sessions through {kind}"));
            let row = case(context, kind, &mut mock, (*sessions, *bound)).await;
            table.row(row.with_context(|| format!("{sessions} sessions through {kind}"))?);
        }
    }
    table.note("A fresh process for each row; each session is initialized and has one open stream.");
    context.report.table(table);
    Ok(())
}

async fn case(context: &mut Context, kind: Kind, mock: &mut Mock, case: (usize, f64)) -> Result<[Cell; 9]> {
    const SETTLE: Duration = Duration::from_millis(500);
    const LATER: Duration = Duration::from_secs(5);
    let (sessions, bound) = case;
    let mut proxy = Proxy::start(kind, &context.programs, mock.address).await?;
    tokio::time::sleep(SETTLE).await;
    let start = proxy.sample()?;
    let mut audience = Audience::default();
    let opened = open_sessions(&proxy.target, sessions).await?;
    audience
        .add(opened, |_| Spec {
            hold: true,
            ..Spec::new(new_stream(), 1)
        })
        .await?;
    audience.wait_for(sessions as u64).await?;
    tokio::time::sleep(SETTLE).await;
    let open = proxy.sample()?;
    let heard = audience.close(&proxy.target).await?;
    context.report.faults(&heard.faults);
    tokio::time::sleep(SETTLE).await;
    let closed = proxy.sample()?;
    tokio::time::sleep(LATER).await;
    let later = proxy.sample()?;
    mock.check()?;
    let barred = |cell: Cell, bar| {
        if kind == Kind::Headless {
            cell.barred(bar)
        } else {
            cell
        }
    };
    Ok([
        Cell::count(sessions as u64),
        Cell::text(kind),
        Cell::mib(start.rss),
        barred(Cell::mib(open.rss), Bar::AtMost(bound)),
        Cell::figure(mib(open.rss.saturating_sub(start.rss)) * 1024.0 / sessions as f64),
        Cell::mib(open.peak),
        Cell::mib(closed.rss),
        Cell::mib(later.rss),
        barred(Cell::ratio(mib(later.rss) / mib(start.rss)), Bar::AtMost(1.1)),
    ])
}
