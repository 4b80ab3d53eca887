//! Runs a ledger: takes what the traffic says in batches and publishes from time to time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};

use crate::clock::Clock;
use crate::resource::queue::{Consumer, Sequenced};
use crate::session::history::HistoryView;
use crate::session::observation::Observation;

use super::Ledger;

/// Shortest time between two views of history: 20 a second.
pub const PUBLISH_INTERVAL: Duration = Duration::from_millis(50);
/// How long observations may gather before they are applied together. Waking the ledger for each would cost more than
/// applying it; a screen that is drawn 20 times a second does not show the difference.
const GATHER: Duration = Duration::from_millis(20);
/// Observations that are applied before other tasks get a turn.
const SLICE: usize = 256;

/// Applies observations until their queue is closed and empty, and publishes views to `out`: at once after a quiet time,
/// at most every [`PUBLISH_INTERVAL`] while things change, and once more at the end.
///
/// # Cancel safety
/// Dropping the future loses what it had taken from the queue.
pub async fn run(
    mut ledger: Ledger,
    mut observations: Consumer<Observation>,
    out: watch::Sender<Arc<HistoryView>>,
    clock: Clock,
) {
    let mut batch = Vec::new();
    let mut publisher = Publisher {
        out,
        next: Instant::now(),
    };
    let mut next_take = Instant::now();
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = seconds.tick() => ledger.tick(clock.now()),
            () = sleep_until(publisher.next), if ledger.has_news() => publisher.publish(&mut ledger),
            is_more = take(&mut observations, &mut batch, next_take) => {
                if !is_more {
                    break;
                }
                apply_all(&mut ledger, &mut batch, &mut publisher, clock).await;
                next_take = Instant::now() + GATHER;
            }
        }
    }
    ledger.tick(clock.now());
    publisher.publish(&mut ledger);
}

/// Takes what has come, but not before `earliest` unless the queue gets crowded. Cancel safe.
async fn take(
    observations: &mut Consumer<Observation>,
    batch: &mut Vec<Sequenced<Observation>>,
    earliest: Instant,
) -> bool {
    if Instant::now() < earliest {
        // Time over is as good as a crowd here.
        let _ = timeout_at(earliest, observations.crowded()).await;
    }
    observations.take_all(batch).await
}

async fn apply_all(
    ledger: &mut Ledger,
    batch: &mut Vec<Sequenced<Observation>>,
    publisher: &mut Publisher,
    clock: Clock,
) {
    for (count, observation) in (0..).zip(batch.drain(..)) {
        if count % SLICE == 0 {
            ledger.lag().at_work(observation.item.at, clock.now());
        }
        ledger.apply(observation);
        if count % SLICE == SLICE - 1 {
            publisher.publish_if_due(ledger);
            tokio::task::yield_now().await;
        }
    }
    ledger.lag().idle();
}

struct Publisher {
    out: watch::Sender<Arc<HistoryView>>,
    next: Instant,
}

impl Publisher {
    fn publish_if_due(&mut self, ledger: &mut Ledger) {
        if Instant::now() >= self.next {
            self.publish(ledger);
        }
    }

    fn publish(&mut self, ledger: &mut Ledger) {
        self.out.send_replace(ledger.publish());
        self.next = Instant::now() + PUBLISH_INTERVAL;
    }
}
