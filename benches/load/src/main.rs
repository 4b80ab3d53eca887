//! Drives the proxy with load and says what it costs.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures are for people, who read three digits"
)]

mod bare;
mod buffered;
mod child;
mod cli;
mod client;
mod clock;
mod events;
mod faults;
mod jobs;
mod limits;
mod message;
mod mock;
mod pattern;
mod proc;
mod proxies;
mod recording;
mod report;
mod shared;
mod socket;
mod stats;
mod websocket;
mod wire;
mod workloads;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use cli::{Cli, Common, Job};
use proxies::{Kind, Programs};
use report::{Report, progress, say_line};
use workloads::Context;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say_line(format_args!("FAILED: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs a job; true if all was right.
fn run(Cli { job, common }: Cli) -> Result<bool> {
    limits::raise_open_files()?;
    match job {
        Job::Mock { tls } => one_thread()?.block_on(mock::run(tls.as_deref())).map(|()| true),
        Job::Recording { file, size, answer } => {
            let calls = recording::write(&file, size << 20, answer)?;
            progress(format_args!("{}: {calls} calls", file.display()));
            Ok(true)
        }
        Job::StdioMock => mock::stdio::run().map(|()| true),
        Job::Bare { upstream } => Builder::new_multi_thread()
            .enable_all()
            .build()?
            .block_on(bare::run(upstream))
            .map(|()| true),
        job => one_thread()?.block_on(until_told(measure(job, common))),
    }
}

/// One thread leaves the most of the machine to what is measured.
fn one_thread() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// Ends early on a signal, so that no child is left behind.
async fn until_told(job: impl Future<Output = Result<bool>>) -> Result<bool> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        outcome = job => outcome,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("terminated"),
    }
}

async fn measure(job: Job, common: Common) -> Result<bool> {
    let mut context = context(&common)?;
    jobs::run(&mut context, job, common.quick).await?;
    context.report.print_summary();
    if let Some(path) = &common.json {
        context.report.write_json(path)?;
    }
    Ok(context.report.is_sound())
}

fn context(common: &Common) -> Result<Context> {
    let programs = Programs::find(common.bin.clone())?;
    if programs.nginx.is_none() {
        progress("nginx is not in PATH and is left out; `apt-get install nginx-light` has it");
    }
    let all = [
        Kind::Bare,
        Kind::Nginx,
        Kind::Headless,
        Kind::Tui,
        Kind::Recording,
    ];
    let wanted = if common.only.is_empty() {
        all.to_vec()
    } else {
        common.only.clone()
    };
    let kinds = programs.available(&wanted);
    Ok(Context {
        programs,
        kinds,
        report: Report::default(),
    })
}
