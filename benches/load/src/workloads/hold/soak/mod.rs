//! Random traffic over several carriers, all of it held, and random decisions about it through the control door.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::{Link, Session, Target};
use crate::clock::{after, now_ns};
use crate::events::Spec;
use crate::message;
use crate::proxies::{Desk, Kind, Mock, Proxy, Setup};
use crate::report::{Bar, Cell, Table, mib, progress};

use super::super::Context;
use super::super::idle::Idle;

/// Clients of each carrier.
const CLIENTS: usize = 6;
/// What is held: calls, their answers, and some of the events before these.
const BREAKPOINT: &str = "method:tools/call | method:notifications/message";
/// Longest wait for the end of one call. Whoever waits longer hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pauses between two calls of a client are random, up to this.
const PAUSE: u64 = 200;

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

/// Runs for `time`. In the end nothing is held, no client hangs, and the proxy has what it had before.
///
/// # Errors
/// A process failed.
pub(crate) async fn soak(context: &mut Context, time: Duration) -> Result<()> {
    let mut mock = Mock::start().await?;
    let setup = Setup {
        metrics: true,
        limits: [
            "--wait",
            "--intercept",
            BREAKPOINT,
            "--max-history-memory",
            "16MiB",
        ]
        .map(str::to_owned)
        .to_vec(),
        ..Setup::default()
    };
    let mut proxy = Proxy::start_with(Kind::Headless, &context.programs, mock.address, &setup).await?;
    let desk = proxy.desk(&context.programs).await?;
    // Memory that is needed once counts as there from the start.
    let warm = run(context, &proxy, &desk, time / 4).await?;
    let before = settled(&mut proxy).await?;
    progress(format_args!("hold-soak: {} s", time.as_secs()));
    let done = run(context, &proxy, &desk, time).await?;
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
        Cell::mib(before.sample.rss),
        Cell::mib(after.sample.rss),
        Cell::ratio(mib(after.sample.rss) / mib(before.sample.rss)).barred(Bar::AtMost(1.1)),
        Cell::count(after.sample.fds),
        super::super::known(after.tasks),
    ]);
    table.note(format_args!(
        "After a warm-up with {} decisions. {CLIENTS} clients each of documents, event streams and a command behind the shim.",
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
}

async fn run(context: &mut Context, proxy: &Proxy, desk: &Desk, time: Duration) -> Result<Done> {
    let ends = Arc::<Ends>::default();
    let deadline = after(time);
    let mut watch = desk.watch()?;
    let output = watch.stdout.take().context("`held watch` has no output")?;
    let mut deciding = JoinSet::new();
    deciding.spawn(decide(desk.clone(), BufReader::new(output)));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS as u64 {
        clients.spawn(over_http(
            Arc::clone(&proxy.target),
            number,
            deadline,
            false,
            Arc::clone(&ends),
        ));
        clients.spawn(over_http(
            Arc::clone(&proxy.target),
            100 + number,
            deadline,
            true,
            Arc::clone(&ends),
        ));
        let command = shim(context, desk)?;
        clients.spawn(over_pipes(command, 200 + number, deadline, Arc::clone(&ends)));
    }
    while let Some(ended) = clients.join_next().await {
        if let Err(error) = ended? {
            context.report.failure(format!("hold-soak: {error:#}"));
        }
    }
    watch.kill().await?;
    let decided = deciding.join_next().await.context("nobody decided")???;
    // What those left behind that have gone.
    desk.held(&["forward", "--all"]).await?;
    Ok(Done {
        ends: ends.count(),
        decided,
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

/// Decides about each message that comes up, until the watching ends; how many there were.
async fn decide(desk: Desk, mut news: BufReader<tokio::process::ChildStdout>) -> Result<u64> {
    let (mut dice, mut decided, mut line) = (Dice(7), 0, String::new());
    while news.read_line(&mut line).await? > 0 {
        let event: Value = serde_json::from_str(&line)?;
        line.clear();
        if event["gap"].is_number() {
            // What came up meanwhile would wait for ever.
            desk.held(&["forward", "--all"]).await?;
        }
        if event["event"] != "held" {
            continue;
        }
        let id = event["id"].to_string();
        let is_call = event["kind"] == "request";
        decide_one(&desk, &id, is_call, dice.roll(100)).await?;
        decided += 1;
    }
    Ok(decided)
}

/// Most messages go on; the others are spread over all that can be done. What has gone meanwhile is nothing to decide about.
async fn decide_one(desk: &Desk, id: &str, is_call: bool, dice: u64) -> Result<()> {
    let arguments: &[&str] = match (dice, is_call) {
        (0..10, true) => &["answer", id, "--result", "{\"content\":[]}"],
        (10..15, true) => &["refuse", id, "--code", "-32050", "--message", "no"],
        (15..20, true) => &["refuse", id, "--tool-error", "no"],
        (20..25, _) => &["drop", id],
        (25..35, _) => {
            desk.held(&["edit", id, "--set", "$.by=\"hand\""]).await?;
            &["forward", id]
        }
        _ => &["forward", id],
    };
    if desk.held(arguments).await?.is_none() {
        // What cannot be done with this message can be left undone.
        desk.held(&["forward", id]).await?;
    }
    Ok(())
}

/// Calls over HTTP; some are answered with event streams, and some are left by their client.
async fn over_http(
    target: Arc<Target>,
    seed: u64,
    deadline: u64,
    streams: bool,
    ends: Arc<Ends>,
) -> Result<()> {
    let mut dice = Dice(seed + 1);
    let mut opening = Link::open(&target).await?;
    let session = Session::open(&mut opening).await?;
    let mut link = Link::open(&target).await?;
    for call in 1.. {
        if now_ns() > deadline {
            break;
        }
        tokio::time::sleep(Duration::from_millis(dice.roll(PAUSE))).await;
        let id = seed * 1_000_000 + call;
        let fields = if streams {
            format!(
                "{}X-Load: {}\r\n",
                session.fields(),
                Spec::new(id, dice.roll(4)).to_field()
            )
        } else {
            session.fields().to_owned()
        };
        let mut body = Vec::new();
        message::call(id, 300, 300, &mut body);
        let patience = if dice.roll(20) == 0 {
            Duration::from_millis(dice.roll(100))
        } else {
            PATIENCE
        };
        let answer = timeout(patience, link.post(&fields, &body)).await;
        let is_open = match &answer {
            Err(_) if patience < PATIENCE => {
                ends.left.fetch_add(1, Ordering::Relaxed);
                false
            }
            Err(_) => bail!("call {id} has no end after {patience:?}"),
            Ok(Err(_)) => {
                ends.cut.fetch_add(1, Ordering::Relaxed);
                false
            }
            Ok(Ok(head)) => {
                let is_own = has_id(link.body(), id);
                if head.status() == 200 && !is_own && !streams {
                    bail!("call {id} got {:?}", String::from_utf8_lossy(link.body()));
                }
                count_answer(link.body(), &ends);
                true
            }
        };
        if !is_open {
            link = Link::open(&target).await?;
        }
    }
    session.handle().close(&mut opening).await
}

fn has_id(body: &[u8], id: u64) -> bool {
    String::from_utf8_lossy(body).contains(&format!("\"id\":{id},"))
}

fn count_answer(body: &[u8], ends: &Ends) {
    let is_error = String::from_utf8_lossy(body).contains("\"error\":");
    let end = if is_error { &ends.refused } else { &ends.answered };
    end.fetch_add(1, Ordering::Relaxed);
}

/// Calls over the pipes of a command; each has to be answered under its id.
async fn over_pipes(command: Command, seed: u64, deadline: u64, ends: Arc<Ends>) -> Result<()> {
    let mut dice = Dice(seed + 1);
    let mut command = tokio::process::Command::from(command);
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true);
    let mut child = command.spawn().context("the shim cannot be started")?;
    let mut input = child.stdin.take().context("no pipe to the shim")?;
    let mut output = BufReader::new(child.stdout.take().context("no pipe from the shim")?);
    let mut line = Vec::new();
    for call in 1.. {
        if now_ns() > deadline {
            break;
        }
        tokio::time::sleep(Duration::from_millis(dice.roll(PAUSE))).await;
        let id = seed * 1_000_000 + call;
        let mut body = Vec::new();
        message::call(id, 300, 300, &mut body);
        body.push(b'\n');
        input.write_all(&body).await?;
        line.clear();
        let read = timeout(PATIENCE, output.read_until(b'\n', &mut line)).await;
        let read = read.with_context(|| format!("call {id} over pipes has no end after {PATIENCE:?}"))??;
        if read == 0 {
            bail!("the shim ended in the middle of call {id}");
        }
        if !has_id(&line, id) {
            bail!("call {id} got {:?}", String::from_utf8_lossy(&line));
        }
        count_answer(&line, &ends);
    }
    drop(input);
    let status = timeout(PATIENCE, child.wait())
        .await
        .context("the shim does not end")??;
    if !status.success() {
        bail!("the shim ended with {status}");
    }
    Ok(())
}
