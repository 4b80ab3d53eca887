//! Tool calls over carriers beside plain HTTP: the two endpoints of 2024-11-05, and TLS.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::future::try_join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Callers, Legacy, Mix, Secure, Target};
use crate::clock::{after, now_ns};
use crate::faults::Faults;
use crate::proc::Sample;
use crate::proxies::{Kind, Mock, Proxy, Setup};
use crate::report::{Cell, Table, progress};
use crate::stats::{Histogram, median};

use super::Context;

const CASES: [(usize, usize); 3] = [(1 << 10, 1), (1 << 10, 16), (64 << 10, 16)];
const COLUMNS: [&str; 8] = [
    "answer KiB",
    "connections",
    "way",
    "calls/s",
    "p50 µs",
    "p99 µs",
    "CPU µs/call",
    "RSS MiB",
];

/// A way to the server, and what was measured on it.
struct Way {
    name: &'static str,
    target: Arc<Target>,
    /// None if there is no proxy on it.
    proxy: Option<Proxy>,
    rate: Vec<f64>,
    latency: Histogram,
    cpu_micros: Vec<f64>,
    end: Option<Sample>,
}

impl Way {
    fn new(name: &'static str, target: Target, proxy: Option<Proxy>) -> Self {
        Self {
            name,
            target: Arc::new(target),
            proxy,
            rate: Vec::new(),
            latency: Histogram::default(),
            cpu_micros: Vec::new(),
            end: None,
        }
    }

    fn sample(&mut self) -> Result<Option<Sample>> {
        self.proxy.as_mut().map(Proxy::sample).transpose()
    }

    fn note(&mut self, before: Option<&Sample>, latency: &Histogram, rate: f64) -> Result<()> {
        self.end = self.sample()?;
        if let (Some(before), Some(end)) = (before, &self.end) {
            let count = latency.count().max(1);
            self.cpu_micros.push(end.cpu_micros_since(before) / count as f64);
        }
        self.latency.merge(latency);
        self.rate.push(rate);
        Ok(())
    }

    fn row(&self, table: &mut Table, (bytes, connections): (usize, usize)) {
        let own = |cell: fn(&Self) -> Cell| self.end.map_or_else(Cell::none, |_| cell(self));
        table.row([
            Cell::count(bytes / 1024),
            Cell::count(connections),
            Cell::text(self.name),
            Cell::rate(median(&self.rate)),
            Cell::micros(self.latency.quantile(0.5)),
            Cell::micros(self.latency.quantile(0.99)),
            own(|way| Cell::figure(median(&way.cpu_micros))),
            own(|way| Cell::mib(way.end.map_or(0, |end| end.rss))),
        ]);
    }
}

fn finish(context: &mut Context, mut table: Table, rounds: usize, time: Duration, more: impl Display) {
    table.note(format_args!(
        "Requests of 1 KiB; {rounds} rounds of {time:?}, alternating. CPU and RSS are the proxy's. {more}"
    ));
    context.report.table(table);
}

/// Measures calls whose answers come on the session's one stream.
///
/// # Errors
/// A process failed; faults in messages are in the report.
pub(crate) async fn legacy_sse(context: &mut Context, time: Duration, rounds: usize) -> Result<()> {
    let mut mock = Mock::start().await?;
    let mut table = Table::new("legacy SSE", &COLUMNS);
    for case in CASES {
        progress(format_args!(
            "legacy SSE: {} KiB, {} connections",
            case.0 / 1024,
            case.1
        ));
        let mut ways = vec![Way::new("direct", Target::direct(mock.address), None)];
        for kind in context.kinds(&[Kind::Bare, Kind::Nginx, Kind::Headless]) {
            let proxy = Proxy::start(kind, &context.programs, mock.address).await?;
            let name = match kind {
                Kind::Bare => "bare",
                Kind::Nginx => "nginx",
                _ => "headless",
            };
            ways.push(Way::new(name, (*proxy.target).clone(), Some(proxy)));
        }
        for _ in 0..rounds {
            for way in &mut ways {
                let faults = legacy_round(way, case, time).await?;
                context.report.faults(&faults);
            }
        }
        for way in &ways {
            way.row(&mut table, case);
        }
        mock.check()?;
    }
    finish(
        context,
        table,
        rounds,
        time,
        "Each call is a POST and an event on a stream that stays open.",
    );
    Ok(())
}

async fn legacy_round(way: &mut Way, (bytes, connections): (usize, usize), time: Duration) -> Result<Faults> {
    let opening = (0..connections).map(|_| Legacy::open(&way.target));
    let mut sessions = try_join_all(opening).await?;
    let before = way.sample()?;
    let (started, deadline) = (now_ns(), after(time));
    let calling = sessions.iter_mut().map(|session| async move {
        let (mut latency, mut faults) = (Histogram::default(), Faults::default());
        while now_ns() < deadline {
            let asked = now_ns();
            session.call(bytes, &mut faults).await?;
            latency.add(now_ns() - asked);
        }
        anyhow::Ok((latency, faults))
    });
    let (mut latency, mut faults) = (Histogram::default(), Faults::default());
    for (one, found) in try_join_all(calling).await? {
        latency.merge(&one);
        faults.merge(&found);
    }
    let elapsed = crate::clock::since(started).as_secs_f64().max(1e-9);
    way.note(before.as_ref(), &latency, latency.count() as f64 / elapsed)?;
    Ok(faults)
}

/// Measures calls to a server with TLS.
///
/// # Errors
/// A process failed; faults in messages are in the report.
pub(crate) async fn tls(context: &mut Context, time: Duration, rounds: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (mut mock, server, root) = Mock::start_secure(folder.path()).await?;
    let mut table = Table::new("TLS", &COLUMNS);
    for case in CASES {
        progress(format_args!("TLS: {} KiB, {} connections", case.0 / 1024, case.1));
        let direct = Target::secure(server, Secure::trusting(&root, None)?);
        let mut ways = vec![Way::new("direct", direct, None)];
        for (name, is_blind) in [("tunnel", true), ("intercepted", false)] {
            let proxy = secure_proxy(context, &mock, folder.path(), &root, is_blind).await?;
            let trusted = if is_blind {
                root.clone()
            } else {
                ask_for_authority(proxy.target.address()).await?;
                folder.path().join("shadowcat-ca.pem")
            };
            let secure = Secure::trusting(&trusted, Some(server))?;
            let target = Target::secure(proxy.target.address(), secure);
            ways.push(Way::new(name, target, Some(proxy)));
        }
        for _ in 0..rounds {
            for way in &mut ways {
                let faults = tls_round(way, case, time).await?;
                context.report.faults(&faults);
            }
        }
        for way in &ways {
            way.row(&mut table, case);
        }
        mock.check()?;
    }
    finish(
        context,
        table,
        rounds,
        time,
        "Kept connections; a blind tunnel only copies bytes.",
    );
    Ok(())
}

/// The authority is made when somebody first asks for its certificate.
async fn ask_for_authority(proxy: SocketAddr) -> Result<()> {
    let mut socket = TcpStream::connect(proxy).await?;
    let request = format!("GET /shadowcat-ca.pem HTTP/1.1\r\nHost: {proxy}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    if !answer.starts_with("HTTP/1.1 200 ") {
        bail!("the proxy gives no certificate: {answer}");
    }
    Ok(())
}

async fn secure_proxy(
    context: &Context,
    mock: &Mock,
    folder: &Path,
    root: &Path,
    is_blind: bool,
) -> Result<Proxy> {
    let mut limits = vec![
        "--ca-dir".to_owned(),
        folder.display().to_string(),
        "--upstream-ca".to_owned(),
        root.display().to_string(),
    ];
    if is_blind {
        limits.extend(["--no-intercept".to_owned(), "*".to_owned()]);
    }
    let setup = Setup {
        forward: true,
        limits,
        ..Setup::default()
    };
    Proxy::start_with(Kind::Headless, &context.programs, mock.address, &setup).await
}

async fn tls_round(way: &mut Way, (bytes, connections): (usize, usize), time: Duration) -> Result<Faults> {
    let mut callers = Callers::open(&way.target, connections).await?;
    let warm = callers.run(Mix::Answers(bytes), time / 5, Duration::ZERO).await;
    let before = way.sample()?;
    let calls = callers.run(Mix::Answers(bytes), time, Duration::ZERO).await;
    way.note(before.as_ref(), &calls.latency, calls.rate())?;
    callers.close().await?;
    let mut faults = warm.faults;
    faults.merge(&calls.faults);
    Ok(faults)
}
