//! The bounded queue between the traffic and what watches it: many producers, one consumer that takes all at once.
//!
//! A push is one short lock and wakes nobody while the consumer is at work. A full queue makes producers wait.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Something with a size that counts against a queue's byte limit.
pub trait Weigh {
    /// Bytes that this keeps alive, roughly.
    fn weight(&self) -> usize;
}

/// An item with its place in the queue's one global sequence.
#[derive(Debug)]
pub struct Sequenced<T> {
    /// Counts up from 1 without a hole, in the order in which the consumer gets the items.
    pub seq: u64,
    /// The item.
    pub item: T,
}

#[derive(Debug)]
struct State<T> {
    items: Vec<Sequenced<T>>,
    bytes: usize,
    pushed: u64,
    is_closed: bool,
    /// How often the consumer has emptied the queue.
    taken: u64,
    producers: Vec<Waker>,
    consumer: Option<Waker>,
    /// Items from which on the consumer wants to be woken.
    wakes_at: usize,
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    max_items: usize,
    max_bytes: usize,
    peak_items: AtomicU64,
    peak_bytes: AtomicU64,
    waits: AtomicU64,
    byte_waits: AtomicU64,
}

/// Use of a queue, for its gauges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueUse {
    /// Items in it now.
    pub items: u64,
    /// Bytes in it now.
    pub bytes: u64,
    /// Most items that were in it at once.
    pub peak_items: u64,
    /// Most bytes that were in it at once.
    pub peak_bytes: u64,
    /// How often a producer had to wait, for whatever.
    pub waits: u64,
    /// How often it waited because of bytes.
    pub byte_waits: u64,
}

/// The producers' end. Cheap to clone.
#[derive(Debug)]
pub struct Producer<T>(Arc<Shared<T>>);

impl<T> Clone for Producer<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// The place in line of a producer that found the queue full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn(u64);

/// The consumer's end. When it is dropped, pushes succeed and go nowhere.
#[derive(Debug)]
pub struct Consumer<T>(Arc<Shared<T>>);

/// A place kept for one item, beyond the queue's bound: using it never waits. Bounded by whoever reserves
/// (one for each open exchange).
#[derive(Debug)]
pub struct Reserved<T>(Producer<T>);

/// A queue for at most `max_items` items of `max_bytes` in all. One item is always taken, however heavy.
pub fn batch_queue<T: Weigh>(max_items: usize, max_bytes: usize) -> (Producer<T>, Consumer<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            items: Vec::new(),
            bytes: 0,
            pushed: 0,
            is_closed: false,
            taken: 0,
            producers: Vec::new(),
            consumer: None,
            wakes_at: 1,
        }),
        max_items,
        max_bytes,
        peak_items: AtomicU64::new(0),
        peak_bytes: AtomicU64::new(0),
        waits: AtomicU64::new(0),
        byte_waits: AtomicU64::new(0),
    });
    (Producer(Arc::clone(&shared)), Consumer(shared))
}

/// The part of a bound from which on a consumer should not wait for more.
const fn crowded(bound: usize) -> usize {
    bound / 16
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an item of `weight` may go in; into an empty queue one always may.
    fn has_room(&self, state: &State<T>, weight: usize) -> bool {
        let is_within = state.items.len() < self.max_items && state.bytes + weight <= self.max_bytes;
        is_within || state.items.is_empty()
    }

    /// Counts that a producer waits while there are `items`.
    fn note_wait(&self, items: usize) {
        self.waits.fetch_add(1, Ordering::Relaxed);
        if items < self.max_items {
            self.byte_waits.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn put(&self, state: &mut State<T>, item: T, weight: usize) -> Option<Waker> {
        state.pushed += 1;
        state.bytes += weight;
        state.items.push(Sequenced {
            seq: state.pushed,
            item,
        });
        let is_due = state.items.len() >= state.wakes_at || state.bytes >= crowded(self.max_bytes);
        if is_due { state.consumer.take() } else { None }
    }
}

impl<T: Weigh> Producer<T> {
    /// Puts the item of `slot` into the queue, or leaves it there and registers the task to be woken.
    ///
    /// Ready also when the consumer is gone (the item then goes nowhere) and when `slot` is empty.
    pub fn poll_push(&self, cx: &mut Context<'_>, slot: &mut Option<T>) -> Poll<()> {
        let Some(item) = slot.take() else {
            return Poll::Ready(());
        };
        let weight = item.weight();
        let mut state = self.0.lock();
        if state.is_closed {
            return Poll::Ready(());
        }
        if !self.0.has_room(&state, weight) {
            *slot = Some(item);
            if !state.producers.iter().any(|waker| waker.will_wake(cx.waker())) {
                self.0.note_wait(state.items.len());
                state.producers.push(cx.waker().clone());
            }
            return Poll::Pending;
        }
        let consumer = self.0.put(&mut state, item, weight);
        drop(state);
        if let Some(consumer) = consumer {
            consumer.wake();
        }
        Poll::Ready(())
    }

    /// Puts `item` into the queue, waiting for room.
    ///
    /// # Cancel safety
    /// A dropped future has not put the item in.
    pub async fn push(&self, item: T) {
        let mut slot = Some(item);
        poll_fn(|cx| self.poll_push(cx, &mut slot)).await;
    }

    /// Puts `item` into the queue at once. If that was full, whoever puts it has to wait for its [`Turn`]: each producer
    /// can be one item beyond the bound, and none waits longer than others that came later.
    pub(crate) fn push_and_wait(&self, item: T) -> Option<Turn> {
        let weight = item.weight();
        let mut state = self.0.lock();
        if state.is_closed {
            return None;
        }
        let turn = (!self.0.has_room(&state, weight)).then(|| Turn(state.taken));
        let items = state.items.len();
        let consumer = self.0.put(&mut state, item, weight);
        drop(state);
        if turn.is_some() {
            self.0.note_wait(items);
        }
        if let Some(consumer) = consumer {
            consumer.wake();
        }
        turn
    }

    /// Ready once the queue has been emptied since the item of `turn` was put in, or there is no turn to wait for.
    pub(crate) fn poll_turn(&self, cx: &mut Context<'_>, turn: &mut Option<Turn>) -> Poll<()> {
        let Some(Turn(taken)) = *turn else {
            return Poll::Ready(());
        };
        let mut state = self.0.lock();
        if state.is_closed || state.taken > taken {
            *turn = None;
            return Poll::Ready(());
        }
        if !state.producers.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.producers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Puts `item` into the queue even if it is full. For what must not wait and is bounded elsewhere.
    pub(crate) fn push_beyond(&self, item: T) {
        let weight = item.weight();
        let mut state = self.0.lock();
        if state.is_closed {
            return;
        }
        let consumer = self.0.put(&mut state, item, weight);
        drop(state);
        if let Some(consumer) = consumer {
            consumer.wake();
        }
    }

    /// Keeps a place for one item that must not be lost, such as the end of an exchange.
    #[must_use]
    pub fn reserve(&self) -> Reserved<T> {
        Reserved(self.clone())
    }

    /// Use now and so far.
    pub fn usage(&self) -> QueueUse {
        let state = self.0.lock();
        QueueUse {
            items: state.items.len() as u64,
            bytes: state.bytes as u64,
            peak_items: self
                .0
                .peak_items
                .load(Ordering::Relaxed)
                .max(state.items.len() as u64),
            peak_bytes: self.0.peak_bytes.load(Ordering::Relaxed).max(state.bytes as u64),
            waits: self.0.waits.load(Ordering::Relaxed),
            byte_waits: self.0.byte_waits.load(Ordering::Relaxed),
        }
    }

    /// Says that nothing more comes: the consumer gets what is there, then the end.
    pub fn close(&self) {
        let mut state = self.0.lock();
        state.is_closed = true;
        let wakers = std::mem::take(&mut state.producers);
        let consumer = state.consumer.take();
        drop(state);
        wakers.into_iter().chain(consumer).for_each(Waker::wake);
    }
}

impl<T: Weigh> Reserved<T> {
    /// Puts `item` into the kept place. Never waits.
    pub fn push(self, item: T) {
        self.0.push_beyond(item);
    }
}

impl<T> Consumer<T> {
    /// Waits for items and takes all of them, in order, into `into` (which is cleared first).
    /// False at the end: the queue was closed and is empty.
    ///
    /// # Cancel safety
    /// Safe: a dropped future has taken nothing.
    pub async fn take_all(&mut self, into: &mut Vec<Sequenced<T>>) -> bool {
        into.clear();
        poll_fn(|cx| self.poll_take(cx, into)).await
    }

    /// Lets items gather, so that one wake-up serves many of them: waits until the queue is a sixteenth full or closed.
    /// To be called with a time limit.
    ///
    /// # Cancel safety
    /// Safe: nothing is taken.
    pub async fn crowded(&mut self) {
        poll_fn(|cx| self.poll_crowded(cx)).await;
    }

    fn poll_crowded(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let shared = &self.0;
        let mut state = shared.lock();
        let items = crowded(shared.max_items).max(1);
        if state.is_closed || state.items.len() >= items || state.bytes >= crowded(shared.max_bytes) {
            return Poll::Ready(());
        }
        state.wakes_at = items;
        state.consumer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_take(&mut self, cx: &mut Context<'_>, into: &mut Vec<Sequenced<T>>) -> Poll<bool> {
        let mut state = self.0.lock();
        if state.items.is_empty() {
            if state.is_closed {
                return Poll::Ready(false);
            }
            state.wakes_at = 1;
            state.consumer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.0
            .peak_items
            .fetch_max(state.items.len() as u64, Ordering::Relaxed);
        self.0.peak_bytes.fetch_max(state.bytes as u64, Ordering::Relaxed);
        std::mem::swap(&mut state.items, into);
        state.bytes = 0;
        state.taken += 1;
        let wakers = std::mem::take(&mut state.producers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        Poll::Ready(true)
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_closed = true;
        state.items = Vec::new();
        let wakers = std::mem::take(&mut state.producers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for u32 {
        fn weight(&self) -> usize {
            *self as usize
        }
    }

    fn items(batch: &[Sequenced<u32>]) -> Vec<(u64, u32)> {
        batch.iter().map(|entry| (entry.seq, entry.item)).collect()
    }

    #[tokio::test]
    async fn items_come_out_in_one_sequence_and_then_the_end() {
        let (producer, mut consumer) = batch_queue(10, 1000);
        producer.push(5).await;
        producer.clone().push(6).await;
        producer.close();
        let mut batch = Vec::new();
        assert!(consumer.take_all(&mut batch).await);
        assert_eq!(items(&batch), [(1, 5), (2, 6)]);
        assert!(!consumer.take_all(&mut batch).await);
    }

    #[tokio::test]
    async fn a_full_queue_makes_the_producer_wait_and_a_reserved_place_does_not() {
        let (producer, mut consumer) = batch_queue(2, 1000);
        let reserved = producer.reserve();
        producer.push(1).await;
        producer.push(2).await;
        let waiting = producer.clone();
        let third = async move { waiting.push(3).await };
        tokio::pin!(third);
        assert!(futures_util::poll!(&mut third).is_pending());
        reserved.push(9);
        let mut batch = Vec::new();
        assert!(consumer.take_all(&mut batch).await);
        assert_eq!(items(&batch), [(1, 1), (2, 2), (3, 9)]);
        third.await;
        assert_eq!(producer.usage().waits, 1);
        assert!(consumer.take_all(&mut batch).await);
        assert_eq!(items(&batch), [(4, 3)]);
    }

    #[tokio::test]
    async fn bytes_bound_the_queue_but_one_heavy_item_passes() {
        let (producer, mut consumer) = batch_queue(10, 100);
        producer.push(5000).await;
        let push = producer.push(1);
        tokio::pin!(push);
        assert!(futures_util::poll!(&mut push).is_pending());
        assert!(consumer.take_all(&mut Vec::new()).await);
        push.await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_consumer_that_lets_items_gather_wakes_when_the_queue_gets_crowded() {
        let (producer, mut consumer) = batch_queue(32, 1600);
        producer.push(1).await;
        let patience = std::time::Duration::from_millis(5);
        assert!(tokio::time::timeout(patience, consumer.crowded()).await.is_err());
        producer.push(1).await;
        consumer.crowded().await;
        assert!(consumer.take_all(&mut Vec::new()).await);
        producer.push(100).await;
        consumer.crowded().await;
    }

    #[tokio::test]
    async fn whoever_waits_for_a_turn_has_it_after_the_next_take_whoever_else_comes() {
        let (producer, mut consumer) = batch_queue(2, 1000);
        assert!(producer.push_and_wait(1).is_none() && producer.push_and_wait(2).is_none());
        let mut patient = producer.push_and_wait(3);
        let mut turn = std::pin::pin!(poll_fn(|cx| producer.poll_turn(cx, &mut patient)));
        assert!(futures_util::poll!(&mut turn).is_pending());
        let mut batch = Vec::new();
        assert!(consumer.take_all(&mut batch).await);
        assert_eq!(items(&batch), [(1, 1), (2, 2), (3, 3)]);
        for greedy in 4..10 {
            producer.push_beyond(greedy);
        }
        assert!(futures_util::poll!(&mut turn).is_ready());
        assert_eq!(producer.usage().waits, 1);
    }

    #[tokio::test]
    async fn producers_are_released_when_the_consumer_is_gone() {
        let (producer, consumer) = batch_queue(1, 100);
        producer.push(1).await;
        let push = producer.push(2);
        tokio::pin!(push);
        assert!(futures_util::poll!(&mut push).is_pending());
        drop(consumer);
        push.await;
    }
}
