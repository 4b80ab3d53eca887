//! Errands under way, and what came of them.

use std::collections::BTreeMap;
use std::io;
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

/// No names if they cannot be looked for: what was typed may still be the name of a file.
async fn name(typed: String) -> Outcome {
    let wanted = typed.clone();
    let names = on_a_thread("names", move |_| names::going_on(&wanted)).await;
    Outcome::Named {
        typed,
        names: names.unwrap_or_default(),
    }
}

async fn list(folders: Vec<PathBuf>) -> Outcome {
    let listing = on_a_thread("recordings", move |goes_on| folder::list(&folders, goes_on)).await;
    Outcome::Listed(listing.unwrap_or_else(|error| Listing {
        trouble: vec![error.to_string()],
        ..Listing::default()
    }))
}

/// Does `work` on a thread of its own: a folder may be on a disk that does not answer. `work` can ask whether somebody still
/// waits.
///
/// # Errors
/// If there is no thread to be had, or the work panics.
async fn on_a_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce(&dyn Fn() -> bool) -> T + Send + 'static,
) -> io::Result<T> {
    let (done, result) = oneshot::channel();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let result = work(&|| !done.is_closed());
        let _ = done.send(result);
    })?;
    let panicked = |_| io::Error::other("looking into the folders panicked; the log has it");
    result.await.map_err(panicked)
}
