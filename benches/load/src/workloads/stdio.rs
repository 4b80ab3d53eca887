//! Tool calls of a server that is a command: over its pipes as they are, through the shim, and over HTTP.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::client::{Callers, Mix, Pipe};
use crate::clock::{after, now_ns, since};
use crate::faults::Faults;
use crate::proc::Sample;
use crate::proxies::{Kind, Mock, Programs, Proxy, Setup};
use crate::report::{Bar, Cell, Table, progress};
use crate::stats::{Histogram, median};

use super::Context;

const ANSWERS: [usize; 2] = [1 << 10, 64 << 10];
const STARTS: usize = 10;

/// Folder of the proxy's door, which it makes itself: it opens none in a folder that others may enter.
const WATCHED: &str = "watched";

/// How the client reaches the command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Direct,
    Wrapped,
    Watched,
}

impl Way {
    const ALL: [Self; 3] = [Self::Direct, Self::Wrapped, Self::Watched];

    const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Wrapped => "shim, no proxy",
            Self::Watched => "shim and proxy",
        }
    }
}

/// A proxy that shims find, and a folder where they find none.
struct Stage {
    programs: Programs,
    proxy: Proxy,
    doors: tempfile::TempDir,
}

#[derive(Default)]
struct Measured {
    start_ms: Vec<f64>,
    latency: Histogram,
    cpu_micros: Vec<f64>,
    proxy_micros: Vec<f64>,
    end: Sample,
}

/// Measures what the shim adds to a start and to a call, and what a call through the bridge costs.
///
/// # Errors
/// A process failed; faults in messages are in the report.
pub(crate) async fn stdio(context: &mut Context, time: Duration, rounds: usize) -> Result<()> {
    shim(context, time, rounds).await?;
    bridge(context, time, rounds).await
}

async fn shim(context: &mut Context, time: Duration, rounds: usize) -> Result<()> {
    let mut stage = Stage::new(context).await?;
    let mut table = Table::new(
        "shim",
        &[
            "answer KiB",
            "way",
            "start ms",
            "more ms",
            "p50 µs",
            "p99 µs",
            "more p50 µs",
            "CPU µs/call",
            "proxy µs/call",
            "RSS MiB",
        ],
    );
    for bytes in ANSWERS {
        progress(format_args!("shim: {} KiB", bytes / 1024));
        let mut measured = Way::ALL.map(|_| Measured::default());
        for _ in 0..rounds {
            for (way, measured) in Way::ALL.into_iter().zip(&mut measured) {
                let faults = stage.round(way, bytes, time, measured).await?;
                context.report.faults(&faults);
            }
        }
        shim_rows(&mut table, bytes, &measured);
    }
    table.note(format_args!(
        "Requests of 1 KiB, one after the other; {rounds} rounds of {time:?}, alternating. Start is from the start of the process to the answer to initialize, {STARTS} times a round. CPU and RSS are the shim's with its guardian, without the server."
    ));
    context.report.table(table);
    Ok(())
}

impl Stage {
    async fn new(context: &Context) -> Result<Self> {
        let doors = tempfile::tempdir()?;
        let mock = Mock::start().await?;
        let setup = Setup {
            door: Some(doors.path().join(WATCHED)),
            ..Setup::default()
        };
        let proxy = Proxy::start_with(Kind::Headless, &context.programs, mock.address, &setup).await?;
        // A proxy whose door is shut would be measured doing nothing.
        let mut open = std::fs::read_dir(doors.path().join(WATCHED)).context("the proxy opened no door")?;
        ensure!(open.next().is_some(), "the proxy opened no door");
        Ok(Self {
            programs: context.programs.clone(),
            proxy,
            doors,
        })
    }

    fn command(&self, way: Way) -> Result<Command> {
        let server = std::env::current_exe()?;
        let wrapped = |door: &str| {
            let mut command = Command::new(&self.programs.shadowcat);
            command.arg("wrap").arg("--").arg(&server).arg("stdio-mock");
            command.env("SHADOWCAT_DOOR_DIR", self.doors.path().join(door));
            command
        };
        Ok(match way {
            Way::Direct => {
                let mut command = Command::new(&server);
                command.arg("stdio-mock");
                command
            }
            Way::Wrapped => wrapped("none"),
            Way::Watched => wrapped(WATCHED),
        })
    }

    async fn round(
        &mut self,
        way: Way,
        bytes: usize,
        time: Duration,
        measured: &mut Measured,
    ) -> Result<Faults> {
        for _ in 0..STARTS {
            let started = now_ns();
            let pipe = Pipe::open(self.command(way)?).await?;
            measured.start_ms.push(since(started).as_secs_f64() * 1e3);
            pipe.close().await?;
        }
        let mut pipe = Pipe::open(self.command(way)?).await?;
        let mut faults = Faults::default();
        for _ in 0..200 {
            pipe.call(bytes, &mut faults).await?;
        }
        let before = (Sample::of(pipe.pids())?, self.proxy.sample()?);
        let (deadline, mut calls) = (after(time), 0_u32);
        while now_ns() < deadline {
            let started = now_ns();
            pipe.call(bytes, &mut faults).await?;
            measured.latency.add(now_ns() - started);
            calls += 1;
        }
        let end = Sample::of(pipe.pids())?;
        let count = f64::from(calls.max(1));
        measured.cpu_micros.push(end.cpu_micros_since(&before.0) / count);
        measured
            .proxy_micros
            .push(self.proxy.sample()?.cpu_micros_since(&before.1) / count);
        measured.end = end;
        pipe.close().await?;
        Ok(faults)
    }
}

fn shim_rows(table: &mut Table, bytes: usize, measured: &[Measured; 3]) {
    let [direct, ..] = measured;
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    for (way, mine) in Way::ALL.into_iter().zip(measured) {
        let more_ms = median(&mine.start_ms) - median(&direct.start_ms);
        let more = micros(mine.latency.quantile(0.5)) - micros(direct.latency.quantile(0.5));
        let is_shim = way != Way::Direct;
        let own = |value: f64| {
            if is_shim {
                Cell::figure(value)
            } else {
                Cell::none()
            }
        };
        let barred = |value: f64, most: f64| {
            if is_shim {
                Cell::figure(value).barred(Bar::AtMost(most))
            } else {
                Cell::none()
            }
        };
        table.row([
            Cell::count(bytes / 1024),
            Cell::text(way.name()),
            Cell::figure(median(&mine.start_ms)),
            barred(more_ms, 50.0),
            Cell::micros(mine.latency.quantile(0.5)),
            Cell::micros(mine.latency.quantile(0.99)),
            barred(more, 1_000.0),
            own(median(&mine.cpu_micros)),
            if way == Way::Watched {
                Cell::figure(median(&mine.proxy_micros))
            } else {
                Cell::none()
            },
            if is_shim {
                Cell::mib(mine.end.rss)
            } else {
                Cell::none()
            },
        ]);
    }
}

async fn bridge(context: &mut Context, time: Duration, rounds: usize) -> Result<()> {
    let mut mock = Mock::start().await?;
    let mut table = Table::new(
        "bridge",
        &[
            "answer KiB",
            "connections",
            "way",
            "calls/s",
            "p50 µs",
            "p99 µs",
            "CPU µs/call",
            "RSS MiB",
        ],
    );
    let server = std::env::current_exe()?.display().to_string();
    for (bytes, connections) in [(1 << 10, 1), (1 << 10, 16), (64 << 10, 16)] {
        progress(format_args!(
            "bridge: {} KiB, {connections} connections",
            bytes / 1024
        ));
        let command = Setup {
            command: vec![server.clone(), "stdio-mock".to_owned()],
            ..Setup::default()
        };
        let mut ways = [("HTTP server", Setup::default()), ("command", command)].into_iter();
        let mut proxies = Vec::new();
        for (name, setup) in ways.by_ref() {
            let proxy = Proxy::start_with(Kind::Headless, &context.programs, mock.address, &setup).await?;
            proxies.push((name, proxy, BridgeMeasured::default()));
        }
        for _ in 0..rounds {
            for (_, proxy, measured) in &mut proxies {
                let faults = bridge_round(proxy, bytes, connections, time, measured).await?;
                context.report.faults(&faults);
            }
        }
        for (name, _, measured) in &proxies {
            table.row([
                Cell::count(bytes / 1024),
                Cell::count(connections),
                Cell::text(name),
                Cell::rate(median(&measured.rate)),
                Cell::micros(measured.latency.quantile(0.5)),
                Cell::micros(measured.latency.quantile(0.99)),
                Cell::figure(median(&measured.cpu_micros)),
                Cell::mib(measured.end.rss),
            ]);
        }
        mock.check()?;
    }
    table.note("A session and a command for each connection. CPU and RSS are the proxy's alone; beside it the same calls to the HTTP server.");
    context.report.table(table);
    Ok(())
}

#[derive(Default)]
struct BridgeMeasured {
    rate: Vec<f64>,
    latency: Histogram,
    cpu_micros: Vec<f64>,
    end: Sample,
}

async fn bridge_round(
    proxy: &mut Proxy,
    bytes: usize,
    connections: usize,
    time: Duration,
    measured: &mut BridgeMeasured,
) -> Result<Faults> {
    let mut callers = Callers::open(&proxy.target, connections).await?;
    let warm = callers.run(Mix::Answers(bytes), time / 5, Duration::ZERO).await;
    let before = proxy.sample()?;
    let calls = callers.run(Mix::Answers(bytes), time, Duration::ZERO).await;
    let end = proxy.sample()?;
    callers.close().await?;
    let count = calls.latency.count().max(1);
    measured.rate.push(calls.rate());
    measured.latency.merge(&calls.latency);
    measured
        .cpu_micros
        .push(end.cpu_micros_since(&before) / count as f64);
    measured.end = end;
    let mut faults = warm.faults;
    faults.merge(&calls.faults);
    Ok(faults)
}
