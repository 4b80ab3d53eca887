//! What is measured.

mod calls;

use anyhow::Result;

use crate::proxies::{Kind, Programs, Proxy};
use crate::report::Report;

pub(crate) use calls::{Plan as CallsPlan, calls};

/// What every workload needs.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) programs: Programs,
    /// The proxies to compare, as far as this machine has them.
    pub(crate) kinds: Vec<Kind>,
    /// A short form.
    pub(crate) quick: bool,
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
