//! Errands under way, and what came of them.

use std::path::PathBuf;
use std::task::Poll;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::{Errand, Listing, Outcome, child, folder};

/// Where errands are run: one of each kind at a time. Dropping it ends them.
#[derive(Default)]
pub(crate) struct Desk {
    listing: Option<BoxFuture<'static, Outcome>>,
    reading: Option<BoxFuture<'static, Outcome>>,
}

impl Desk {
    /// Begins an errand. What another of its kind was doing is given up.
    pub(crate) fn take(&mut self, errand: Errand) {
        match errand {
            Errand::List { folders } => self.listing = Some(list(folders).boxed()),
            Errand::Check { path } => self.reading = Some(check(path).boxed()),
            Errand::Stop => self.reading = None,
        }
    }

    /// What came of the errand that ends next. Never ready while nothing is under way.
    ///
    /// # Cancel safety
    /// Safe: errands go on with the next call.
    pub(crate) async fn next(&mut self) -> Outcome {
        std::future::poll_fn(|context| {
            for slot in [&mut self.listing, &mut self.reading] {
                if let Some(errand) = slot
                    && let Poll::Ready(outcome) = errand.poll_unpin(context)
                {
                    *slot = None;
                    return Poll::Ready(outcome);
                }
            }
            Poll::Pending
        })
        .await
    }
}

async fn check(path: PathBuf) -> Outcome {
    let outcome = child::check(&path).await;
    Outcome::Checked { path, outcome }
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
