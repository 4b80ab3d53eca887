//! What the proxy tells of itself.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Result, bail};

use crate::client::{Link, Target};

/// Some of the figures at `/metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scrape {
    /// Tasks alive.
    pub(crate) tasks: u64,
    /// Tasks that ended by a panic.
    pub(crate) panicked: u64,
    /// Messages held.
    pub(crate) held: u64,
}

impl Scrape {
    /// Reads the figures at an address.
    ///
    /// # Errors
    /// They cannot be had.
    pub(super) async fn of(address: SocketAddr) -> Result<Self> {
        let mut link = Link::open(&Arc::new(Target::at(address, "/metrics"))).await?;
        let head = link.request("GET", "").await?;
        if head.status() != 200 {
            bail!("metrics were answered with `{}`", head.line);
        }
        Ok(Self::parse(&String::from_utf8_lossy(link.body())))
    }

    fn parse(text: &str) -> Self {
        let sum = |name: &str| text.lines().filter_map(|line| sample(line, name)).sum::<f64>() as u64;
        Self {
            tasks: sum("shadowcat_tasks_live"),
            panicked: sum("shadowcat_tasks_panicked_total"),
            held: labelled(text, "shadowcat_limit_used", "limit=\"max_held_messages\"") as u64,
        }
    }
}

/// The sum of the samples of a metric that have this label.
fn labelled(text: &str, name: &str, label: &str) -> f64 {
    let has_it = |line: &&str| line.contains(label);
    text.lines()
        .filter(has_it)
        .filter_map(|line| sample(line, name))
        .sum()
}

/// The value of a line if it is a sample of this metric.
fn sample(line: &str, name: &str) -> Option<f64> {
    let rest = line.strip_prefix(name)?;
    let value = match rest.strip_prefix('{') {
        Some(labelled) => labelled.rsplit_once('}')?.1,
        None => rest,
    };
    value.starts_with(' ').then(|| value.trim().parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_all_labels_are_added() {
        let text = "# TYPE shadowcat_tasks_live gauge\nshadowcat_tasks_live{kind=\"connection\"} 12\n\
            shadowcat_tasks_live{kind=\"ledger\"} 1\nshadowcat_tasks_live_other 7\n\
            shadowcat_tasks_panicked_total{kind=\"a} b\"} 2\nshadowcat_limit_used{limit=\"max_held_bytes\"} 9\n\
            shadowcat_limit_used{limit=\"max_held_messages\",unit=\"things\"} 3\n";
        assert_eq!(
            Scrape::parse(text),
            Scrape {
                tasks: 13,
                panicked: 2,
                held: 3
            }
        );
    }
}
