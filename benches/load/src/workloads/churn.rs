//! Clients that leave when they should not: what stays behind, and when the server learns of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::stream::{self, StreamExt as _};

use crate::client::{Callers, Leave, Mix, Session, Target, open_sessions};
use crate::faults::Faults;
use crate::proxies::{Kind, Mock, Proxy, Setup};
use crate::report::{Bar, Cell, Table, progress};
use crate::stats::Histogram;

use super::idle::Idle;
use super::{Context, known};

/// Clients at the same time.
const AT_ONCE: usize = 64;
/// Sessions that they share.
const SESSIONS: usize = 16;
/// How soon the server has to know that a client has left.
const SOON: Duration = Duration::from_secs(1);
/// How long is waited for what the server has not noticed yet.
const PATIENCE: usize = 50;

const COLUMNS: [&str; 8] = [
    "",
    "clients",
    "cancels",
    "noticed p50 ms",
    "noticed last ms",
    "RSS MiB",
    "fds",
    "tasks",
];

/// Lets clients leave and looks at what is left behind.
///
/// # Errors
/// A process failed.
pub(crate) async fn churn(context: &mut Context, clients: usize) -> Result<()> {
    let mut mock = Mock::start().await?;
    let limits = ["--max-history-memory", "1MiB"].map(str::to_owned).to_vec();
    let setup = Setup {
        metrics: true,
        limits,
        ..Setup::default()
    };
    let mut proxy = Proxy::start_with(Kind::Headless, &context.programs, mock.address, &setup).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let idle = Idle::of(&mut proxy).await?;
    let mut table = Table::new("churn", &COLUMNS);
    table.row(row("start", 0, None, &idle, None));
    let warm = (clients / 5).max(1_000).min(clients / 2);
    let mut first = None;
    for (name, count) in [("warm-up", warm), ("churn", clients - warm)] {
        progress(format_args!("churn: {count} clients"));
        let outcome = phase(context, &mock, &proxy, count).await?;
        mock.check()?;
        mock.hang_up().await?;
        let after = idle
            .cooled_down(&mut proxy)
            .await
            .with_context(|| format!("after {count} clients"))?;
        let ratio = first.map(|rss: f64| after.sample.rss as f64 / rss);
        first = Some(after.sample.rss as f64);
        table.row(row(name, count, Some(&outcome), &after, ratio));
    }
    table.note(
        "Resets, half-open connections, readers that never read, half requests and aborted uploads in turn. `noticed` is \
         from the moment that a client left until the server's connection was closed.",
    );
    context.report.table(table);
    Ok(())
}

fn row(
    name: &str,
    clients: usize,
    noticed: Option<&Histogram>,
    idle: &Idle,
    ratio: Option<f64>,
) -> Vec<Cell> {
    let time = |share| noticed.map_or_else(Cell::none, |noticed| Cell::millis(noticed.quantile(share)));
    let rss = Cell::mib(idle.sample.rss);
    let last = if noticed.is_some() {
        time(1.0).barred(Bar::AtMost(SOON.as_secs_f64() * 1e3))
    } else {
        Cell::none()
    };
    vec![
        Cell::text(name),
        Cell::count(clients as u64),
        noticed.map_or_else(Cell::none, |noticed| Cell::count(noticed.count())),
        time(0.5),
        last,
        ratio.map_or(rss.clone(), |ratio| rss.judged_by(ratio, Bar::AtMost(1.1))),
        Cell::count(idle.sample.fds),
        known(idle.tasks),
    ]
}

/// Lets some clients leave, waits until the server has noticed, and calls through the proxy as before.
async fn phase(context: &mut Context, mock: &Mock, proxy: &Proxy, clients: usize) -> Result<Histogram> {
    let opened = open_sessions(&proxy.target, SESSIONS).await?;
    let sessions: Vec<Session> = opened.into_iter().map(|(_, session)| session).collect();
    let mut faults = Faults::default();
    let left = leave_all(&proxy.target, &sessions, clients, &mut faults).await;
    let noticed = wait_until_noticed(mock, left, &mut faults).await?;
    let mut callers = Callers::default();
    callers.add(&proxy.target, sessions, SESSIONS).await?;
    let calls = callers
        .run(Mix::Mixed, Duration::from_millis(300), Duration::ZERO)
        .await;
    faults.merge(&calls.faults);
    callers.close().await?;
    context.report.faults(&faults);
    Ok(noticed)
}

/// When each stream's client left.
async fn leave_all(
    target: &Arc<Target>,
    sessions: &[Session],
    clients: usize,
    faults: &mut Faults,
) -> HashMap<u64, u64> {
    let one = |number: usize| async move {
        let how = Leave::ALL
            .get(number % Leave::ALL.len())
            .copied()
            .unwrap_or(Leave::Reset);
        let session = sessions
            .get(number % sessions.len())
            .context("there are sessions")?;
        how.run(target, &session.handle())
            .await
            .with_context(|| format!("{how:?}"))
    };
    let mut ended = stream::iter(0..clients).map(one).buffer_unordered(AT_ONCE);
    let mut left = HashMap::new();
    while let Some(outcome) = ended.next().await {
        match outcome {
            Ok((stream, at)) => drop(left.insert(stream, at)),
            Err(error) => faults.failed(format_args!("{error:#}")),
        }
    }
    left
}

/// How long the server took to notice each, of those whose request had reached it.
async fn wait_until_noticed(mock: &Mock, left: HashMap<u64, u64>, faults: &mut Faults) -> Result<Histogram> {
    let mut noticed = Histogram::default();
    for _ in 0..PATIENCE {
        let mut open = 0;
        for (stream, at) in mock.take_begun().await? {
            match (left.get(&stream), at) {
                (Some(left), Some(at)) => noticed.add(at.saturating_sub(*left)),
                (Some(_), None) => open += 1,
                (None, _) => {}
            }
        }
        if open == 0 {
            return Ok(noticed);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    faults.failed("clients left and the server never learnt of it");
    Ok(noticed)
}
