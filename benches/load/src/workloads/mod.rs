//! What is measured.

mod big_event;
mod calls;
mod carriers;
mod churn;
mod flood;
mod hold;
mod idle;
mod keys;
mod memory;
mod ramp;
mod soak;
mod sse;
mod stalled;
mod start;
mod stdio;

use anyhow::Result;

use crate::proxies::{Kind, Programs, Proxy};
use crate::report::{Bar, Cell, Report};
use crate::stats::median;

pub(crate) use big_event::{Case as BigEventCase, big_event};
pub(crate) use calls::{Plan as CallsPlan, calls};
pub(crate) use carriers::{legacy_sse, tls};
pub(crate) use churn::churn;
pub(crate) use flood::flood;
pub(crate) use hold::{hold, hold_soak};
pub(crate) use keys::keys;
pub(crate) use memory::{CASES as MEMORY_CASES, memory};
pub(crate) use ramp::{Plan as RampPlan, ramp};
pub(crate) use soak::soak;
pub(crate) use sse::{Case as SseCase, sse};
pub(crate) use stalled::stalled;
pub(crate) use start::start;
pub(crate) use stdio::stdio;

/// What every workload needs.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) programs: Programs,
    /// The proxies to compare, as far as this machine has them.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) report: Report,
}

impl Context {
    /// Those of `wanted` that are to be measured.
    fn kinds(&self, wanted: &[Kind]) -> Vec<Kind> {
        wanted
            .iter()
            .copied()
            .filter(|kind| self.kinds.contains(kind))
            .collect()
    }

    /// Starts proxies in front of `upstream`.
    async fn start(&self, wanted: &[Kind], upstream: std::net::SocketAddr) -> Result<Vec<Proxy>> {
        let mut proxies = Vec::new();
        for kind in self.kinds(wanted) {
            proxies.push(Proxy::start(kind, &self.programs, upstream).await?);
        }
        Ok(proxies)
    }
}

/// The median of the ratios of rounds that ran next to each other.
fn ratio(mine: &[f64], other: &[f64]) -> f64 {
    let ratios: Vec<f64> = mine
        .iter()
        .zip(other)
        .map(|(mine, other)| mine / other.max(1e-9))
        .collect();
    median(&ratios)
}

/// A ratio, if there is something to compare with, and its verdict, if it has a bar.
fn judged(value: Option<f64>, bar: Option<Bar>) -> Cell {
    let cell = value.map_or_else(Cell::none, Cell::ratio);
    match bar {
        Some(bar) => cell.barred(bar),
        None => cell,
    }
}

/// A figure that is not always known.
fn known(count: Option<u64>) -> Cell {
    count.map_or_else(Cell::none, Cell::count)
}
