//! A steady mix of calls and streams for a long time.

mod recording;

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::client::{Audience, Callers, Calls, Heard, Mix, new_stream, open_sessions};
use crate::clock::now_ns;
use crate::events::Spec;
use crate::faults::Faults;
use crate::proxies::{Kind, Mock, Proxy, Setup};
use crate::report::{Bar, Cell, Table, progress};

use super::idle::Idle;
use super::{Context, known};
use recording::Recorded;

const SESSIONS: usize = 50;
/// Between two calls of a session: 100 a second in all.
const PAUSE: Duration = Duration::from_millis(500);
/// Between two events of a stream.
const INTERVAL: Duration = Duration::from_secs(1);
/// Minutes until history is full and memory has to stay as it is.
const WARM_MINUTES: u32 = 3;

const COLUMNS: [&str; 12] = [
    "minute",
    "calls",
    "events",
    "call p50 µs",
    "call p99 µs",
    "event p99 µs",
    "RSS MiB",
    "÷ warm",
    "fds",
    "tasks",
    "CPU ms/s",
    "recorded MiB",
];

/// Runs for some minutes; the report has a failure if the proxy did not come through.
///
/// # Errors
/// The mock server failed.
pub(crate) async fn soak(context: &mut Context, minutes: u32, record: bool) -> Result<()> {
    let mut table = Table::new("soak", &COLUMNS);
    let outcome = run(context, minutes, record, &mut table).await;
    table.note("History is kept to 32 MiB here, so that it is full after the first minutes.");
    match outcome {
        Ok(Some(words)) => table.note(words),
        Ok(None) => {}
        Err(error) => context.report.failure(format!("soak: {error:#}")),
    }
    context.report.table(table);
    Ok(())
}

/// What the clients have sent and heard.
#[derive(Default)]
struct Sent {
    calls: u64,
    /// Calls that were answered with a stream.
    streams: u64,
    events: u64,
    faults: Faults,
}

impl Sent {
    fn add(&mut self, calls: &Calls, heard: &Heard) {
        self.calls += calls.latency.count();
        self.streams += calls.streams;
        self.events += calls.events + heard.latency.count();
        self.faults.merge(&calls.faults);
        self.faults.merge(&heard.faults);
    }

    /// What a recording of all of it has to hold.
    fn recorded(&self) -> Recorded {
        let sessions = SESSIONS as u64;
        // Beside its calls, a session initializes, says that it has, opens a stream, and is deleted.
        let exchanges = self.calls + 4 * sessions;
        Recorded {
            requests: exchanges,
            responses: exchanges,
            // The last event of a stream tells how many there were, or is the answer to its call.
            events: self.events + self.streams + sessions,
            // Calls and initializations with their answers, a notification from each client and one at the end of its
            // stream, and the events.
            messages: 2 * self.calls + 4 * sessions + self.events,
        }
    }
}

async fn run(context: &mut Context, minutes: u32, record: bool, table: &mut Table) -> Result<Option<String>> {
    let mut mock = Mock::start().await?;
    let kind = if record { Kind::Recording } else { Kind::Headless };
    let limits = ["--max-history-memory", "32MiB"].map(str::to_owned).to_vec();
    let setup = Setup {
        metrics: true,
        limits,
        ..Setup::default()
    };
    let mut proxy = Proxy::start_with(kind, &context.programs, mock.address, &setup).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let idle = Idle::of(&mut proxy).await?;
    let mut sent = Sent::default();
    let outcome = all_minutes(&mut proxy, minutes, &mut sent, table).await;
    context.report.faults(&sent.faults);
    outcome?;
    mock.check()?;
    mock.hang_up().await?;
    idle.cooled_down(&mut proxy).await?;
    let Some(recording) = proxy.finish().await?.filter(|_| record) else {
        return Ok(None);
    };
    let (found, wanted) = (Recorded::read(&recording.path)?, sent.recorded());
    anyhow::ensure!(
        found == wanted,
        "the recording holds {found:?} where there were {wanted:?}"
    );
    Ok(Some(format!("The recording is complete: {found}.")))
}

async fn all_minutes(proxy: &mut Proxy, minutes: u32, sent: &mut Sent, table: &mut Table) -> Result<()> {
    let start_ns = now_ns();
    let gap = crate::clock::nanoseconds(INTERVAL) / SESSIONS as u64;
    let spec = |number: u64| Spec {
        interval: INTERVAL,
        start_ns: start_ns + gap * number,
        hold: true,
        ..Spec::new(new_stream(), u64::MAX)
    };
    let (mut audience, mut callers) = (Audience::default(), Callers::default());
    let sessions = audience
        .add(open_sessions(&proxy.target, SESSIONS).await?, spec)
        .await?;
    callers.add(&proxy.target, sessions, SESSIONS).await?;
    let mut warm = None;
    for minute in 1..=minutes {
        progress(format_args!("soak: minute {minute} of {minutes}"));
        let before = proxy.sample()?;
        let calls = callers.run(Mix::Mixed, Duration::from_mins(1), PAUSE).await;
        let heard = audience.take_heard();
        sent.add(&calls, &heard);
        row(proxy, table, minute, (&calls, &heard), &before, &mut warm).await?;
        anyhow::ensure!(sent.faults.is_empty(), "messages had faults in minute {minute}");
        anyhow::ensure!(heard.latency.count() > 0, "no event came in minute {minute}");
    }
    let rest = audience.close(&proxy.target).await.context("at the end")?;
    sent.add(&Calls::default(), &rest);
    Ok(())
}

async fn row(
    proxy: &mut Proxy,
    table: &mut Table,
    minute: u32,
    (calls, heard): (&Calls, &Heard),
    before: &crate::proc::Sample,
    warm: &mut Option<u64>,
) -> Result<()> {
    let tasks = proxy.scrape().await?.map(|scrape| scrape.tasks);
    let sample = proxy.sample()?;
    let grown = warm.map(|warm| Cell::ratio(sample.rss as f64 / warm as f64).barred(Bar::AtMost(1.1)));
    if minute >= WARM_MINUTES {
        warm.get_or_insert(sample.rss);
    }
    table.row([
        Cell::count(minute),
        Cell::count(calls.latency.count()),
        Cell::count(calls.events + heard.latency.count()),
        Cell::micros(calls.latency.quantile(0.5)),
        Cell::micros(calls.latency.quantile(0.99)),
        Cell::micros(heard.latency.quantile(0.99)),
        Cell::mib(sample.rss),
        grown.unwrap_or_else(Cell::none),
        Cell::count(sample.fds),
        known(tasks),
        Cell::figure(sample.cpu_micros_since(before) / 1e3 / calls.elapsed.as_secs_f64()),
        Cell::mib(proxy.recorded_bytes()),
    ]);
    Ok(())
}
