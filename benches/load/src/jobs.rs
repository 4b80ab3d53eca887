//! Which workload runs with which figures.

use std::time::Duration;

use anyhow::Result;

use crate::cli::{CallsArgs, Job, RampArgs};
use crate::workloads::{self, BigEventCase, CallsPlan, Context, RampPlan, SseCase};

/// Runs a job; the figures are in the report afterwards.
///
/// # Errors
/// A process failed.
pub(crate) async fn run(context: &mut Context, job: Job, quick: bool) -> Result<()> {
    match job {
        Job::All => all(context, quick).await,
        Job::Start => workloads::start(context).await,
        Job::Calls(arguments) => workloads::calls(context, &calls_plan(&arguments, quick)).await,
        Job::Sse => sse(context, quick).await,
        Job::Flood => workloads::flood(context, if quick { 2_000 } else { 5_000 }, 3).await,
        Job::Memory => memory(context, quick).await,
        Job::Stalled => workloads::stalled(context, Duration::from_secs(if quick { 2 } else { 8 })).await,
        Job::Churn => workloads::churn(context, if quick { 2_000 } else { 10_000 }).await,
        Job::BigEvent => big_event(context, quick).await,
        Job::Keys => workloads::keys(context, Duration::from_secs(if quick { 2 } else { 5 }), 3).await,
        Job::Ramp(arguments) => workloads::ramp(context, &ramp_plan(&arguments, quick)).await,
        Job::Soak(arguments) => workloads::soak(context, arguments.minutes, arguments.record).await,
        Job::Stdio => workloads::stdio(context, Duration::from_secs(if quick { 1 } else { 3 }), 3).await,
        Job::LegacySse => {
            workloads::legacy_sse(context, Duration::from_secs(if quick { 1 } else { 3 }), 3).await
        }
        Job::Tls => workloads::tls(context, Duration::from_secs(if quick { 1 } else { 3 }), 3).await,
        Job::Hold => workloads::hold(context, Duration::from_secs(if quick { 2 } else { 8 })).await,
        Job::HoldSoak { seconds } => workloads::hold_soak(context, Duration::from_secs(seconds)).await,
        Job::Recording { .. } | Job::Mock { .. } | Job::StdioMock | Job::Bare { .. } => Ok(()),
    }
}

/// Goes on with the next after one that failed.
async fn all(context: &mut Context, quick: bool) -> Result<()> {
    let ramp = RampArgs {
        short: quick,
        ..RampArgs::default()
    };
    let jobs = [
        Job::Start,
        Job::Calls(CallsArgs::default()),
        Job::Flood,
        Job::Sse,
        Job::Memory,
        Job::Stalled,
        Job::BigEvent,
        Job::Churn,
        Job::Keys,
        Job::Stdio,
        Job::LegacySse,
        Job::Tls,
        Job::Hold,
        Job::Ramp(ramp),
    ];
    for job in jobs {
        let name = format!("{job:?}");
        if let Err(error) = Box::pin(run(context, job, quick)).await {
            context.report.failure(format!("{name}: {error:#}"));
        }
    }
    Ok(())
}

async fn big_event(context: &mut Context, quick: bool) -> Result<()> {
    let case = |piece, sizes| BigEventCase {
        sizes,
        piece,
        rounds: 3,
        alone: false,
    };
    let large = case(64 << 10, [4 << 20, 16 << 20]);
    if quick {
        let small = BigEventCase {
            rounds: 1,
            ..case(1, [256 << 10, 512 << 10])
        };
        return workloads::big_event(context, &[large, small]).await;
    }
    let slow = BigEventCase {
        rounds: 1,
        alone: true,
        ..case(1, [4 << 20, 16 << 20])
    };
    workloads::big_event(context, &[large, case(1, [1 << 20, 2 << 20]), slow]).await
}

fn calls_plan(arguments: &CallsArgs, quick: bool) -> CallsPlan {
    let connections = if quick {
        vec![1, 16, 64]
    } else {
        vec![1, 16, 64, 256]
    };
    CallsPlan {
        answers: arguments
            .answers
            .clone()
            .unwrap_or_else(|| vec![1 << 10, 64 << 10]),
        connections: arguments.connections.clone().unwrap_or(connections),
        rounds: arguments.rounds.unwrap_or(3),
        time: Duration::from_secs_f64(arguments.seconds.unwrap_or(if quick { 0.7 } else { 2.0 })),
    }
}

async fn sse(context: &mut Context, quick: bool) -> Result<()> {
    let case = |sessions, milliseconds| SseCase {
        sessions,
        interval: Duration::from_millis(milliseconds),
    };
    let cases = [case(100, 100), case(1_000, 1_000), case(5_000, 2_000)];
    if quick {
        return workloads::sse(
            context,
            cases.get(..2).unwrap_or_default(),
            Duration::from_secs(3),
            3,
        )
        .await;
    }
    workloads::sse(context, &cases, Duration::from_secs(8), 3).await
}

async fn memory(context: &mut Context, quick: bool) -> Result<()> {
    let cases = workloads::MEMORY_CASES;
    let some = if quick { cases.get(..3) } else { cases.get(..) };
    workloads::memory(context, some.unwrap_or_default()).await
}

fn ramp_plan(arguments: &RampArgs, quick: bool) -> RampPlan {
    let (levels, seconds): (&[usize], f64) = match (arguments.short, quick) {
        (true, _) => (&[10, 50, 100, 500], 1.0),
        (false, true) => (&[10, 50, 100, 500, 1_000], 2.0),
        (false, false) => (&[10, 50, 100, 500, 1_000, 2_000, 5_000], 4.0),
    };
    RampPlan {
        levels: arguments.levels.clone().unwrap_or_else(|| levels.to_vec()),
        time: Duration::from_secs_f64(arguments.seconds.unwrap_or(seconds)),
        straight: arguments.short,
        passes: arguments.passes.unwrap_or(2),
    }
}
