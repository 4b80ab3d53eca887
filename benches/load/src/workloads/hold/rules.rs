//! What it costs a message that so many armed rules are asked about it.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;

use crate::client::{Callers, Mix};
use crate::faults::Faults;
use crate::proxies::{Kind, Mock, Proxy, Setup};
use crate::report::{Cell, Table, progress};
use crate::stats::median;

use super::super::{Context, ratio};

const RULES: [usize; 4] = [0, 1, 10, 100];
const CALLERS: usize = 16;
const ROUNDS: usize = 3;

/// Rules of two kinds, none of which means a call of the load.
const KINDS: [(&str, &str); 2] = [
    ("name", "method:tools/call tool:delete_*"),
    (
        "content",
        "method:tools/call $.params.arguments.path^=\\\"/etc\\\"",
    ),
];

/// Calls as fast as they go for `time`, under each number of rules, proxies taking turns.
///
/// # Errors
/// A process failed; faults in messages are in the report.
pub(super) async fn rules(context: &mut Context, time: Duration) -> Result<()> {
    let mut mock = Mock::start().await?;
    let columns = ["rules", "asked about", "calls/s", "CPU µs/call", "CPU ÷ none"];
    let mut table = Table::new("armed rules", &columns);
    let home = tempfile::tempdir()?;
    for (name, when) in KINDS {
        progress(format_args!("hold: rules that ask about the {name}"));
        let mut proxies = Vec::new();
        for count in RULES {
            let file = home.path().join(format!("{name}-{count}.toml"));
            std::fs::write(&file, file_of(count, when))?;
            let setup = Setup {
                limits: vec![
                    "--wait".to_owned(),
                    "--rules".to_owned(),
                    file.display().to_string(),
                ],
                ..Setup::default()
            };
            proxies.push(Proxy::start_with(Kind::Headless, &context.programs, mock.address, &setup).await?);
        }
        let (rates, costs) = rounds(context, &mut proxies, time).await?;
        for (number, count) in RULES.iter().enumerate() {
            let (Some(rate), Some(cost), Some(none)) = (rates.get(number), costs.get(number), costs.first())
            else {
                continue;
            };
            table.row([
                Cell::count(*count as u64),
                Cell::text(name),
                Cell::rate(median(rate)),
                Cell::figure(median(cost)),
                Cell::ratio(ratio(cost, none)),
            ]);
        }
    }
    mock.check()?;
    table.note("Calls of 1 KiB with answers of 1 KiB on 16 connections; each rule is asked about the call and about its answer. What one question costs: `cargo bench --bench rules`.");
    context.report.table(table);
    Ok(())
}

/// Calls a second and microseconds a call, of each proxy in each round.
async fn rounds(
    context: &mut Context,
    proxies: &mut [Proxy],
    time: Duration,
) -> Result<(Vec<Vec<f64>>, Vec<Vec<f64>>)> {
    let (mut rates, mut costs) = (vec![Vec::new(); proxies.len()], vec![Vec::new(); proxies.len()]);
    let mut faults = Faults::default();
    for _ in 0..ROUNDS {
        for ((proxy, rates), costs) in proxies.iter_mut().zip(&mut rates).zip(&mut costs) {
            let mut callers = Callers::open(&proxy.target, CALLERS).await?;
            let before = proxy.sample()?;
            let calls = callers.run(Mix::Answers(1 << 10), time, Duration::ZERO).await;
            let micros = proxy.sample()?.cpu_micros_since(&before);
            callers.close().await?;
            faults.merge(&calls.faults);
            rates.push(calls.rate());
            costs.push(micros / (calls.latency.count().max(1) as f64));
        }
    }
    context.report.faults(&faults);
    Ok((rates, costs))
}

fn file_of(count: usize, when: &str) -> String {
    let mut text = String::new();
    for number in 0..count {
        // Writing into memory cannot fail.
        let _ = writeln!(
            text,
            "[[rule]]\nname = \"rule {number}\"\nwhen = \"{when}\"\nthen = \"hold\""
        );
    }
    text
}
