//! Requests that wait for their answers.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use crate::codec::rpc_id::RpcId;

/// One request of an exchange: its id, and which of several with that id it is.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    pub(super) id: RpcId,
    number: u64,
}

/// What is known of a request until it is answered.
#[derive(Debug)]
pub(super) struct Request {
    /// The id as the client spelled it.
    pub(super) raw_id: Box<[u8]>,
    pub(super) method: Box<str>,
    pub(super) is_modern: bool,
    /// It asks for the first page of a list.
    pub(super) is_first_page: bool,
    /// Ends the exchange.
    pub(super) cancel: CancellationToken,
}

#[derive(Debug)]
struct Open {
    request: Request,
    number: u64,
    /// Dropped with the entry, which is how one waits for it.
    _until: oneshot::Sender<()>,
}

/// The requests that wait. Bounded by those who add to it.
#[derive(Debug, Default)]
pub(super) struct Pending {
    open: Mutex<HashMap<RpcId, Open>>,
    numbers: std::sync::atomic::AtomicU64,
    settled: Notify,
}

impl Pending {
    fn open(&self) -> MutexGuard<'_, HashMap<RpcId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.open().len()
    }

    /// Adds a request. The receiver ends when it no longer waits. One with the same id is forgotten.
    pub(super) fn add(&self, id: RpcId, request: Request) -> (Ticket, oneshot::Receiver<()>) {
        let number = self.numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (until, settled) = oneshot::channel();
        let open = Open {
            request,
            number,
            _until: until,
        };
        self.open().insert(id.clone(), open);
        (Ticket { id, number }, settled)
    }

    /// What `look` makes of the request with this id.
    pub(super) fn with<T>(&self, id: &RpcId, look: impl FnOnce(&Request) -> T) -> Option<T> {
        self.open().get(id).map(|open| look(&open.request))
    }

    /// The request with this id does not wait any more.
    pub(super) fn settle(&self, id: &RpcId) -> Option<Request> {
        let open = self.open().remove(id);
        self.settled.notify_waiters();
        open.map(|open| open.request)
    }

    /// Whether this very request waits.
    pub(super) fn has(&self, ticket: &Ticket) -> bool {
        self.open()
            .get(&ticket.id)
            .is_some_and(|open| open.number == ticket.number)
    }

    /// This very request does not wait any more.
    pub(super) fn take(&self, ticket: &Ticket) -> Option<Request> {
        let is_there = self.has(ticket);
        is_there.then(|| self.settle(&ticket.id)).flatten()
    }

    /// None of them waits any more.
    pub(super) fn take_all(&self) -> Vec<Request> {
        let all = std::mem::take(&mut *self.open());
        self.settled.notify_waiters();
        all.into_values().map(|open| open.request).collect()
    }

    /// Waits until none waits.
    pub(super) async fn idle(&self) {
        loop {
            let settled = self.settled.notified();
            if self.len() == 0 {
                return;
            }
            settled.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            raw_id: b"1".as_slice().into(),
            method: "ping".into(),
            is_modern: false,
            is_first_page: true,
            cancel: CancellationToken::new(),
        }
    }

    #[tokio::test]
    async fn a_request_with_an_id_that_is_still_in_use_replaces_the_older_one() {
        let pending = Pending::default();
        let id = RpcId::parse("1").unwrap();
        let (first, until_first) = pending.add(id.clone(), request());
        let (second, _until) = pending.add(id.clone(), request());
        assert!(until_first.await.is_err(), "it is told");
        assert!(!pending.has(&first) && pending.take(&first).is_none());
        assert!(pending.take(&second).is_some());
        pending.idle().await;
    }
}
