//! Connections that were opened to learn which protocol a server speaks. The first request takes them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::uri::Authority;
use quick_cache::sync::Cache;
use tokio::time::Instant;

/// A server may close a connection on which nothing is asked, so one that waits longer is not used.
const FRESH: Duration = Duration::from_secs(5);

/// What is known of servers' protocols, and the connections that it was learned from.
#[derive(Debug)]
pub(crate) struct Ready<T> {
    speaks_h2: Cache<Box<str>, bool>,
    waiting: Mutex<Waiting<T>>,
}

#[derive(Debug)]
struct Waiting<T> {
    next: u64,
    items: Vec<Item<T>>,
}

#[derive(Debug)]
struct Item<T> {
    number: u64,
    authority: Authority,
    since: Instant,
    value: T,
}

/// Gives up what was kept, unless it was taken.
#[derive(Debug)]
pub(crate) struct KeptReady<T> {
    ready: Arc<Ready<T>>,
    number: u64,
}

impl<T> Ready<T> {
    /// Remembers the protocol of `most` servers.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            speaks_h2: Cache::new(most),
            waiting: Mutex::new(Waiting {
                next: 0,
                items: Vec::new(),
            }),
        }
    }

    /// Whether the server speaks HTTP/2, if that is known.
    pub(crate) fn speaks_h2(&self, authority: &Authority) -> Option<bool> {
        self.speaks_h2.get(authority.as_str())
    }

    /// What the server negotiated last.
    pub(crate) fn learn(&self, authority: &Authority, speaks_h2: bool) {
        self.speaks_h2.insert(authority.as_str().into(), speaks_h2);
    }

    /// Keeps `value` for the first request to `authority`, as long as the guard lives. Each tunnel keeps one at most.
    pub(crate) fn keep(self: &Arc<Self>, authority: Authority, value: T) -> KeptReady<T> {
        let mut waiting = self.lock();
        let number = waiting.next;
        waiting.next += 1;
        waiting.items.push(Item {
            number,
            authority,
            since: Instant::now(),
            value,
        });
        KeptReady {
            ready: Arc::clone(self),
            number,
        }
    }

    /// Takes one that was kept for `authority` and `suits`.
    pub(crate) fn take(&self, authority: &Authority, suits: impl Fn(&T) -> bool) -> Option<T> {
        let mut waiting = self.lock();
        let is_it = |item: &Item<T>| {
            item.authority == *authority && item.since.elapsed() < FRESH && suits(&item.value)
        };
        let at = waiting.items.iter().position(is_it)?;
        let item = waiting.items.swap_remove(at);
        drop(waiting);
        Some(item.value)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for KeptReady<T> {
    fn drop(&mut self) {
        let mut waiting = self.ready.lock();
        let at = waiting.items.iter().position(|item| item.number == self.number);
        let unused = at.map(|at| waiting.items.swap_remove(at));
        // Its own drop is not to run under the lock.
        drop(waiting);
        drop(unused);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_is_taken_once_by_who_asks_for_it_and_goes_with_its_guard() {
        let ready = Arc::new(Ready::new(8));
        let place = |text: &str| text.parse::<Authority>().unwrap();
        let first = ready.keep(place("x.dev"), 1);
        let _second = ready.keep(place("y.dev"), 2);
        assert_eq!(ready.take(&place("y.dev"), |_| false), None);
        assert_eq!(ready.take(&place("y.dev"), |_| true), Some(2));
        assert_eq!(ready.take(&place("y.dev"), |_| true), None);
        drop(first);
        assert_eq!(ready.take(&place("x.dev"), |_| true), None);
        let _third = ready.keep(place("x.dev"), 3);
        tokio::time::advance(FRESH).await;
        assert_eq!(
            ready.take(&place("x.dev"), |_| true),
            None,
            "it has waited too long"
        );
    }

    #[test]
    fn the_protocol_of_a_server_is_what_it_spoke_last() {
        let ready: Ready<()> = Ready::new(8);
        let place: Authority = "x.dev".parse().unwrap();
        assert_eq!(ready.speaks_h2(&place), None);
        ready.learn(&place, true);
        ready.learn(&place, false);
        assert_eq!(ready.speaks_h2(&place), Some(false));
    }
}
