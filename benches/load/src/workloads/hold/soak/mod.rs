//! Random traffic over every carrier, all of it held, and random decisions about it: through the control door and with keys.

mod clients;
mod deciding;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::BufReader;
use tokio::task::JoinSet;

use crate::clock::after;
use crate::proxies::{Desk, Kind, Mock, Proxy, Setup};
use crate::report::{Bar, Cell, Table, mib, progress};

use super::super::Context;
use super::super::idle::Idle;

use clients::Client;
use deciding::{Keys, decide};

/// Clients of each carrier.
const CLIENTS: u64 = 4;
/// What is held: calls, their answers, and some of the events before these.
const BREAKPOINT: &str = "method:tools/call | method:notifications/message";

/// Random numbers of a run that can be had again.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        // A linear congruential generator (Knuth) is random enough to mix traffic.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below.max(1)
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let place = self.roll(all.len() as u64);
        all.get(usize::try_from(place).unwrap_or_default())
    }
}

/// How the calls ended.
#[derive(Debug, Default)]
struct Ends {
    answered: AtomicU64,
    refused: AtomicU64,
    cut: AtomicU64,
    left: AtomicU64,
}

impl Ends {
    fn count(&self) -> [u64; 4] {
        [&self.answered, &self.refused, &self.cut, &self.left].map(|end| end.load(Ordering::Relaxed))
    }
}

/// Runs for `time`, through a proxy with a screen. In the end nothing is held, no client hangs, no message has overtaken
/// another one of its lane, and the proxy has what it had before.
///
/// # Errors
/// A process failed.
pub(crate) async fn soak(context: &mut Context, time: Duration) -> Result<()> {
    let mut mock = Mock::start().await?;
    let setup = Setup {
        metrics: true,
        limits: ["--intercept", BREAKPOINT, "--max-history-memory", "16MiB"]
            .map(str::to_owned)
            .to_vec(),
        ..Setup::default()
    };
    let mut proxy = Proxy::start_with(Kind::Tui, &context.programs, mock.address, &setup).await?;
    let desk = proxy.desk(&context.programs).await?;
    // Memory that is needed once counts as there from the start.
    let warm = run(context, &mut proxy, &desk, time / 4).await?;
    let before = settled(&mut proxy).await?;
    progress(format_args!("hold-soak: {} s", time.as_secs()));
    let done = run(context, &mut proxy, &desk, time).await?;
    mock.check()?;
    mock.hang_up().await?;
    let after = before.cooled_down(&mut proxy).await?;
    let held = proxy.scrape().await?.map_or(0, |scrape| scrape.held);
    if held > 0 {
        context
            .report
            .failure(format!("hold-soak: {held} messages are still held"));
    }
    let mut table = Table::new(
        "hold-soak",
        &[
            "seconds",
            "answered",
            "refused",
            "cut off",
            "left",
            "decided",
            "keys",
            "RSS before MiB",
            "after MiB",
            "after ÷ before",
            "fds",
            "tasks",
        ],
    );
    let [answered, refused, cut, left] = done.ends;
    table.row([
        Cell::count(time.as_secs()),
        Cell::count(answered),
        Cell::count(refused),
        Cell::count(cut),
        Cell::count(left),
        Cell::count(done.decided),
        Cell::count(done.keys),
        Cell::mib(before.sample.rss),
        Cell::mib(after.sample.rss),
        Cell::ratio(mib(after.sample.rss) / mib(before.sample.rss)).barred(Bar::AtMost(1.1)),
        Cell::count(after.sample.fds),
        super::super::known(after.tasks),
    ]);
    table.note(format_args!(
        "After a warm-up with {} decisions. {CLIENTS} clients each of documents, event streams, HTTP+SSE, WebSocket and a command \
         behind the shim; decisions by a script, and keys pressed at random on the Held screen. No client hung, no message overtook another \
         one of its lane, and {held} were held in the end.",
        warm.decided
    ));
    context.report.table(table);
    Ok(())
}

async fn settled(proxy: &mut Proxy) -> Result<Idle> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    Idle::of(proxy).await
}

/// What came of a run.
struct Done {
    ends: [u64; 4],
    decided: u64,
    keys: u64,
}

async fn run(context: &mut Context, proxy: &mut Proxy, desk: &Desk, time: Duration) -> Result<Done> {
    let ends = Arc::<Ends>::default();
    let deadline = after(time);
    let mut watch = desk.watch()?;
    let output = watch.stdout.take().context("`held watch` has no output")?;
    let mut deciding = JoinSet::new();
    deciding.spawn(decide(desk.clone(), BufReader::new(output)));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let client = |kind: u64| Client {
            target: Arc::clone(&proxy.target),
            seed: kind * 100 + number,
            deadline,
            ends: Arc::clone(&ends),
        };
        clients.spawn(client(0).over_documents());
        clients.spawn(client(1).over_streams());
        clients.spawn(client(2).over_pipes(shim(context, desk)?));
        clients.spawn(client(3).over_sse());
        clients.spawn(client(4).over_socket());
    }
    let mut keys = Keys::default();
    loop {
        tokio::select! {
            ended = clients.join_next() => match ended {
                None => break,
                Some(ended) => if let Err(error) = ended? {
                    context.report.failure(format!("hold-soak: {error:#}"));
                },
            },
            () = keys.pause() => keys.press(proxy)?,
        }
    }
    keys.leave(proxy).await?;
    watch.kill().await?;
    let decided = deciding.join_next().await.context("nobody decided")???;
    // What those left behind that have gone.
    desk.held(&["forward", "--all"]).await?;
    Ok(Done {
        ends: ends.count(),
        decided,
        keys: keys.pressed(),
    })
}

fn shim(context: &Context, desk: &Desk) -> Result<Command> {
    let mut command = Command::new(&context.programs.shadowcat);
    command
        .args(["wrap", "--"])
        .arg(std::env::current_exe()?)
        .arg("stdio-mock")
        .env("SHADOWCAT_DOOR_DIR", desk.door());
    Ok(command)
}
