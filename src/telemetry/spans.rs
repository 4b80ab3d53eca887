//! From ended calls to spans that wait to be exported: bounded, and never waited for.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::UpstreamConfig;
use crate::recording::redact::Tagger;
use crate::session::ended_call::{CallObserver, EndedCall};
use crate::snapshot::{QueueRow, SpanExport};

use super::span::{self, Span, Target};
use super::url::OtlpUrl;

/// Spans that travel together, at most.
pub(super) const BATCH: usize = 512;
/// How long a span waits for others to travel with.
pub(super) const GATHER: Duration = Duration::from_secs(1);

/// Spans that wait, and what became of those before. The oldest goes when there are too many.
#[derive(Debug)]
pub(crate) struct SpanQueue {
    url: OtlpUrl,
    max: usize,
    state: Mutex<State>,
    has_batch: Notify,
    closed: CancellationToken,
    sent: AtomicU64,
    dropped: AtomicU64,
    unsampled: AtomicU64,
    failure: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Span>,
    /// Spans that were taken and whose fate is not known yet. They count.
    under_way: usize,
    peak: usize,
    reached: u64,
}

impl SpanQueue {
    pub(crate) fn new(url: OtlpUrl, max: usize) -> Arc<Self> {
        Arc::new(Self {
            url,
            max: max.max(1),
            state: Mutex::default(),
            has_batch: Notify::new(),
            closed: CancellationToken::new(),
            sent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            unsampled: AtomicU64::new(0),
            failure: Mutex::default(),
        })
    }

    pub(super) fn url(&self) -> &OtlpUrl {
        &self.url
    }

    /// Cancelled when no more spans come.
    pub(super) fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    fn push(&self, span: Span) {
        let mut state = self.lock();
        if state.waiting.len() + state.under_way >= self.max {
            state.reached += 1;
            self.dropped.fetch_add(1, Ordering::Relaxed);
            if state.waiting.pop_front().is_none() {
                return;
            }
        }
        state.waiting.push_back(span);
        state.peak = state.peak.max(state.waiting.len() + state.under_way);
        let is_enough = state.waiting.len() >= BATCH;
        drop(state);
        if is_enough {
            self.has_batch.notify_one();
        }
    }

    /// Waits until enough spans are there to travel together, or for [`GATHER`], or until no more come.
    pub(super) async fn gathered(&self) {
        if self.lock().waiting.len() >= BATCH {
            return;
        }
        tokio::select! {
            () = self.has_batch.notified() => {}
            () = self.closed.cancelled() => {}
            () = tokio::time::sleep(GATHER) => {}
        }
    }

    /// Takes the oldest spans, at most [`BATCH`]. Each has to be accounted for with [`SpanQueue::settle`] or
    /// [`SpanQueue::put_back`].
    pub(super) fn take(&self) -> Vec<Span> {
        let mut state = self.lock();
        let count = state.waiting.len().min(BATCH);
        state.under_way += count;
        state.waiting.drain(..count).collect()
    }

    /// `sent` spans were taken in by the receiver, `refused` were not and will never be.
    pub(super) fn settle(&self, sent: usize, refused: usize) {
        let mut state = self.lock();
        state.under_way = state.under_way.saturating_sub(sent + refused);
        drop(state);
        self.sent.fetch_add(sent as u64, Ordering::Relaxed);
        self.dropped.fetch_add(refused as u64, Ordering::Relaxed);
    }

    /// The spans of a batch that could not be delivered wait again, in their old place.
    pub(super) fn put_back(&self, batch: Vec<Span>) {
        let mut state = self.lock();
        state.under_way = state.under_way.saturating_sub(batch.len());
        for span in batch.into_iter().rev() {
            state.waiting.push_front(span);
        }
    }

    /// Drops all that is left and says how many those were.
    pub(super) fn give_up(&self) -> usize {
        let mut state = self.lock();
        let left = state.waiting.len() + std::mem::take(&mut state.under_way);
        state.waiting.clear();
        drop(state);
        self.dropped.fetch_add(left as u64, Ordering::Relaxed);
        left
    }

    /// The receiver cannot be reached (or can again). True if that is news.
    pub(super) fn set_failure(&self, failure: Option<String>) -> bool {
        let mut known = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = known.is_some() != failure.is_some();
        *known = failure;
        is_news
    }

    /// Spans that were dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Use for the gauge of `otlp_queue`: now, peak, how often it was full.
    pub(crate) fn usage(&self) -> (u64, u64, u64) {
        let state = self.lock();
        let used = state.waiting.len() + state.under_way;
        (used as u64, state.peak as u64, state.reached)
    }

    pub(crate) fn row(&self) -> QueueRow {
        QueueRow {
            name: "spans".to_owned(),
            items: self.usage().0,
            bytes: None,
            waits: 0,
            dropped: self.dropped(),
            lag: None,
        }
    }

    pub(crate) fn export(&self) -> SpanExport {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        SpanExport {
            url: self.url.to_string(),
            sent: self.sent.load(Ordering::Relaxed),
            dropped: self.dropped(),
            unsampled: self.unsampled.load(Ordering::Relaxed),
            failure: failure.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a span of each call that ends. When it is dropped, no more spans come.
#[derive(Debug)]
pub(crate) struct SpanFeed {
    queue: Arc<SpanQueue>,
    /// Where each upstream really is, by the name it is shown under.
    targets: HashMap<Arc<str>, Target>,
    /// `None` where the system has no random bytes: then session ids are left out.
    tagger: Option<Tagger>,
}

impl SpanFeed {
    pub(crate) fn new(queue: Arc<SpanQueue>, upstreams: &[UpstreamConfig]) -> Self {
        let target = |upstream: &UpstreamConfig| (upstream.label(), Target::of_upstream(upstream));
        Self {
            queue,
            targets: upstreams.iter().map(target).collect(),
            tagger: Tagger::random().ok(),
        }
    }
}

impl CallObserver for SpanFeed {
    fn call_ended(&self, call: &EndedCall<'_>) {
        let target = self.targets.get(call.exchange().server());
        match span::of_call(call, target, self.tagger.as_ref()) {
            Some(span) => self.queue.push(span),
            None => {
                self.queue.unsampled.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for SpanFeed {
    fn drop(&mut self) {
        self.queue.closed.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(max: usize) -> Arc<SpanQueue> {
        SpanQueue::new("http://127.0.0.1:1".parse().unwrap(), max)
    }

    fn names(spans: &[Span]) -> Vec<&str> {
        spans.iter().map(Span::name).collect()
    }

    #[test]
    fn the_oldest_span_goes_when_there_are_too_many() {
        let queue = queue(2);
        for name in ["a", "b", "c"] {
            queue.push(Span::named(name));
        }
        assert_eq!(names(&queue.take()), ["b", "c"]);
        assert_eq!((queue.dropped(), queue.usage()), (1, (2, 2, 1)));
    }

    #[test]
    fn spans_under_way_count_and_come_back_in_their_old_place() {
        let queue = queue(3);
        for name in ["a", "b"] {
            queue.push(Span::named(name));
        }
        let batch = queue.take();
        for name in ["c", "d"] {
            queue.push(Span::named(name));
        }
        assert_eq!(queue.dropped(), 1);
        queue.put_back(batch);
        assert_eq!(names(&queue.take()), ["a", "b", "d"]);
        queue.settle(2, 1);
        assert_eq!((queue.usage().0, queue.export().sent, queue.dropped()), (0, 2, 2));
    }

    #[test]
    fn an_outage_is_news_once() {
        let queue = queue(1);
        assert!(queue.set_failure(Some("refused".to_owned())));
        assert!(!queue.set_failure(Some("refused again".to_owned())));
        assert_eq!(queue.export().failure.as_deref(), Some("refused again"));
        assert!(queue.set_failure(None));
        assert!(!queue.set_failure(None));
    }
}
