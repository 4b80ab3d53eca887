//! Errands under way, and what came of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::task::Poll;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::mock::{self, Mock};
use super::{Agreed, Errand, Listing, Outcome, child, folder, names};

/// Where errands are run: one of each kind at a time, and the recordings that are served. Dropping it ends them.
#[derive(Default)]
pub(crate) struct Desk {
    listing: Option<BoxFuture<'static, Outcome>>,
    reading: Option<BoxFuture<'static, Outcome>>,
    comparing: Option<BoxFuture<'static, Outcome>>,
    naming: Option<BoxFuture<'static, Outcome>>,
    mocks: FuturesUnordered<BoxFuture<'static, (Outcome, Option<Mock>)>>,
    /// How those that are served are told to end.
    stops: BTreeMap<PathBuf, CancellationToken>,
}

impl Desk {
    /// Begins an errand. What another of its kind was doing is given up.
    pub(crate) fn take(&mut self, errand: Errand) {
        match errand {
            Errand::List { folders } => self.listing = Some(list(folders).boxed()),
            Errand::Check { path } => self.reading = Some(check(path).boxed()),
            Errand::StopReading => self.reading = None,
            Errand::Compare { before, after } => self.comparing = Some(compare(before, after).boxed()),
            Errand::ReplayTo { path, url, agreed } => {
                self.comparing = Some(replay_to(path, url, agreed).boxed());
            }
            Errand::Names { typed } => self.naming = Some(name(typed).boxed()),
            Errand::StopComparing => self.comparing = None,
            Errand::Serve { path } => self.serve(path),
            Errand::EndServing { path } => {
                if let Some(stop) = self.stops.get(&path) {
                    stop.cancel();
                }
            }
        }
    }

    fn serve(&mut self, path: PathBuf) {
        let stop = CancellationToken::new();
        self.stops.insert(path.clone(), stop.clone());
        self.mocks.push(mock::start(path, stop).boxed());
    }

    /// What came of the errand that ends next. Never ready while nothing is under way.
    ///
    /// # Cancel safety
    /// Safe: errands go on with the next call.
    pub(crate) async fn next(&mut self) -> Outcome {
        std::future::poll_fn(|context| {
            for slot in [
                &mut self.listing,
                &mut self.reading,
                &mut self.comparing,
                &mut self.naming,
            ] {
                if let Some(errand) = slot
                    && let Poll::Ready(outcome) = errand.poll_unpin(context)
                {
                    *slot = None;
                    return Poll::Ready(outcome);
                }
            }
            match self.mocks.poll_next_unpin(context) {
                Poll::Ready(Some((outcome, mock))) => {
                    self.go_on(&outcome, mock);
                    Poll::Ready(outcome)
                }
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// What serves is watched until its end.
    fn go_on(&mut self, outcome: &Outcome, mock: Option<Mock>) {
        let Outcome::Mock { path, .. } = outcome else {
            return;
        };
        match (mock, self.stops.get(path)) {
            (Some(mock), Some(stop)) => self.mocks.push(mock.served(stop.clone()).boxed()),
            _ => {
                self.stops.remove(path);
            }
        }
    }
}

async fn check(path: PathBuf) -> Outcome {
    let outcome = child::check(&path).await;
    Outcome::Checked { path, outcome }
}

async fn compare(before: PathBuf, after: PathBuf) -> Outcome {
    let outcome = child::compare(&before, &after).await;
    Outcome::Compared {
        before,
        after,
        outcome,
    }
}

async fn replay_to(path: PathBuf, url: String, agreed: Agreed) -> Outcome {
    let outcome = child::replay_to(&path, &url, agreed).await;
    Outcome::Compared {
        before: path,
        after: url.into(),
        outcome,
    }
}

/// Looks on a thread of its own, as for a list.
async fn name(typed: String) -> Outcome {
    let (done, names) = oneshot::channel();
    let wanted = typed.clone();
    let started = std::thread::Builder::new()
        .name("names".to_owned())
        .spawn(move || {
            // Nobody waits any more if more was typed.
            let _ = done.send(names::going_on(&wanted));
        });
    let names = match started {
        Ok(_) => names.await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    Outcome::Named { typed, names }
}

/// Looks on a thread of its own: a folder may be on a disk that does not answer.
async fn list(folders: Vec<PathBuf>) -> Outcome {
    let (done, listing) = oneshot::channel();
    let work = move || {
        let listing = folder::list(&folders, || !done.is_closed());
        // Nobody waits any more if another look was begun.
        let _ = done.send(listing);
    };
    let started = std::thread::Builder::new()
        .name("recordings".to_owned())
        .spawn(work);
    let trouble = |text: String| Listing {
        trouble: vec![text],
        ..Listing::default()
    };
    Outcome::Listed(match started {
        Err(error) => trouble(error.to_string()),
        Ok(_) => match listing.await {
            Ok(listing) => listing,
            Err(_) => trouble("looking into the folders panicked; the log has it".to_owned()),
        },
    })
}
