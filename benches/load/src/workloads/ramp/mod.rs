//! Rising numbers of sessions that call and listen at the same time, more than once, in reverse and forward mode.

mod pass;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::proxies::{Kind, Mock, Proxy, Setup};
use crate::report::{Table, mib, progress};

use super::Context;
use super::idle::Idle;
use pass::{COLUMNS, Pace, Pass, row};

/// How much more memory a later pass may leave than the first.
const GROWTH: f64 = 1.1;

/// What to ramp.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) levels: Vec<usize>,
    /// The first pass, with which none is compared, goes straight to the highest level.
    pub(crate) straight: bool,
    /// Time at each level.
    pub(crate) time: Duration,
    /// How often all levels are gone through; the first time is what the others are compared with.
    pub(crate) passes: usize,
}

/// Ramps up in both modes; the report has a failure if the proxy did not come through.
///
/// # Errors
/// The mock server failed.
pub(crate) async fn ramp(context: &mut Context, plan: &Plan) -> Result<()> {
    for forward in [false, true] {
        let mode = if forward { "forward" } else { "reverse" };
        let mut table = Table::new(format!("ramp, {mode} mode"), &COLUMNS);
        let outcome = mode_passes(context, plan, forward, &mut table).await;
        table.note(
            "Pass 0 ends with a burst, all connections calling as fast as they can; the passes after it are compared with \
             each other. History is kept to 4 MiB, so that it is full before. Calls: three of four are answered with \
             1 KiB, the rest with 64 KiB or with a stream of five events.",
        );
        context.report.table(table);
        if let Err(error) = outcome {
            context.report.failure(format!("ramp, {mode} mode: {error:#}"));
            break;
        }
    }
    Ok(())
}

/// Limits that are reached within the first pass, so that the second has to leave as much memory as the first.
fn setup(plan: &Plan, forward: bool) -> Setup {
    let sessions = plan.levels.iter().copied().max().unwrap_or(0) + 16;
    let limits = [
        "--max-history-memory",
        "4MiB",
        "--max-sessions",
        &sessions.to_string(),
    ];
    Setup {
        forward,
        metrics: true,
        limits: limits.map(str::to_owned).to_vec(),
        ..Setup::default()
    }
}

/// The first pass ends with as many calls at once as there can be: what an allocator keeps of that is there before
/// anything is compared.
fn levels(plan: &Plan, pass: usize) -> Vec<(usize, Pace)> {
    let steady = plan.levels.iter().map(|level| (*level, Pace::Steady));
    let burst = plan.levels.last().map(|top| (*top, Pace::Burst));
    match pass {
        0 if plan.straight => burst.into_iter().collect(),
        0 => steady.chain(burst).collect(),
        _ => steady.collect(),
    }
}

async fn mode_passes(context: &mut Context, plan: &Plan, forward: bool, table: &mut Table) -> Result<()> {
    let mut mock = Mock::start().await?;
    let setup = setup(plan, forward);
    let mut proxy = Proxy::start_with(Kind::Headless, &context.programs, mock.address, &setup).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let idle = Idle::of(&mut proxy).await?;
    let mut first = None;
    for number in 0..=plan.passes {
        progress(format_args!(
            "ramp: {}, pass {number}",
            if forward { "forward" } else { "reverse" }
        ));
        let mut pass = Pass::new(number, plan.time);
        let outcome = pass.run(&mut proxy, &levels(plan, number), table).await;
        context.report.faults(&pass.faults);
        outcome.with_context(|| format!("pass {number}"))?;
        mock.check()?;
        mock.hang_up().await?;
        let after = idle
            .cooled_down(&mut proxy)
            .await
            .with_context(|| format!("after pass {number}"))?;
        table.row(row(number, "closed", &after.sample, after.tasks, None));
        check_growth(first.as_ref(), &after).with_context(|| format!("after pass {number}"))?;
        if number > 0 {
            first = first.or(Some(after));
        }
    }
    Ok(())
}

fn check_growth(first: Option<&Idle>, now: &Idle) -> Result<()> {
    let Some(first) = first else { return Ok(()) };
    let (before, after) = (first.sample.rss, now.sample.rss);
    if after as f64 > before as f64 * GROWTH {
        bail!(
            "memory grows: {:.1} MiB after the first pass, {:.1} now",
            mib(before),
            mib(after)
        );
    }
    Ok(())
}
