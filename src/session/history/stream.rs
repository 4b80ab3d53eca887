//! What history knows of one SSE stream.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::ids::{ExchangeId, MessageId, ProxySessionId, StreamId};
use crate::resource::heap::{self, ARC_BYTES};
use crate::snapshot::{EndKind, MAX_STREAM_EVENTS, RowKind, StreamEvent, StreamRow};

/// A stream as it was when history was published.
#[derive(Debug, Clone)]
pub struct StreamInfo {
    pub(crate) id: StreamId,
    pub(crate) exchange: ExchangeId,
    pub(crate) session: Option<ProxySessionId>,
    pub(crate) server: Arc<str>,
    pub(crate) label: Box<str>,
    pub(crate) opened_at: Timestamp,
    pub(crate) active_at: Timestamp,
    pub(crate) ended: Option<(Timestamp, EndKind)>,
    pub(crate) events: u64,
    pub(crate) comments: u64,
    pub(crate) bytes: u64,
    pub(crate) last_event_id: Option<Arc<str>>,
    pub(crate) retry: Option<u64>,
    pub(crate) resumed_from: Option<Arc<str>>,
    pub(crate) longest_gap: Duration,
    pub(crate) last_event_at: Timestamp,
    pub(crate) recent: VecDeque<Arc<LaneEvent>>,
    /// Bytes of what is in `recent`.
    pub(crate) recent_bytes: usize,
}

/// An event or a run of comments, as it is kept.
#[derive(Debug)]
pub(crate) struct LaneEvent {
    pub(crate) at: Timestamp,
    pub(crate) message: Option<MessageId>,
    pub(crate) event_id: Option<Box<str>>,
    pub(crate) label: Box<str>,
    pub(crate) kind: Option<RowKind>,
    pub(crate) bytes: u64,
    pub(crate) comments: u32,
}

impl LaneEvent {
    fn heap_bytes(&self) -> usize {
        ARC_BYTES + size_of::<Self>() + self.label.len() + self.event_id.as_deref().map_or(0, str::len)
    }

    fn to_event(&self) -> StreamEvent {
        StreamEvent {
            at: self.at,
            message: self.message,
            event_id: self.event_id.as_deref().map(str::to_owned),
            label: self.label.to_string(),
            kind: self.kind,
            bytes: self.bytes,
            comments: self.comments,
        }
    }
}

impl StreamInfo {
    pub(crate) fn new(id: StreamId, exchange: ExchangeId, server: Arc<str>, at: Timestamp) -> Self {
        Self {
            id,
            exchange,
            session: None,
            server,
            label: Box::default(),
            opened_at: at,
            active_at: at,
            ended: None,
            events: 0,
            comments: 0,
            bytes: 0,
            last_event_id: None,
            retry: None,
            resumed_from: None,
            longest_gap: Duration::ZERO,
            last_event_at: at,
            recent: VecDeque::new(),
            recent_bytes: 0,
        }
    }

    /// Bytes of heap memory, this value included.
    pub(crate) fn heap_bytes(&self) -> usize {
        ARC_BYTES
            + size_of::<Self>()
            + self.label.len()
            + self.last_event_id.as_ref().map_or(0, heap::shared_text)
            + self.resumed_from.as_ref().map_or(0, heap::shared_text)
            + heap::queue(&self.recent)
            + self.recent_bytes
    }

    /// The latest entry, if it is a run of comments.
    pub(crate) fn take_comments(&mut self) -> Option<Arc<LaneEvent>> {
        let is_run = self.recent.back().is_some_and(|last| last.comments > 0);
        let last = if is_run { self.recent.pop_back() } else { None };
        self.recent_bytes -= last.as_ref().map_or(0, |last| last.heap_bytes());
        last
    }

    /// Adds an entry; the oldest one makes room.
    pub(crate) fn push(&mut self, event: LaneEvent) {
        if self.recent.len() == MAX_STREAM_EVENTS
            && let Some(oldest) = self.recent.pop_front()
        {
            self.recent_bytes -= oldest.heap_bytes();
        }
        self.recent_bytes += event.heap_bytes();
        self.recent.push_back(Arc::new(event));
    }

    /// Its identity.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Its session.
    pub fn session(&self) -> Option<ProxySessionId> {
        self.session
    }

    /// The stream as a frontend shows it.
    pub fn to_row(&self) -> StreamRow {
        StreamRow {
            id: self.id,
            exchange: self.exchange,
            session: self.session,
            server: self.server.to_string(),
            label: self.label.to_string(),
            opened_at: self.opened_at,
            active_at: self.active_at,
            ended: self.ended,
            events: self.events,
            comments: self.comments,
            bytes: self.bytes,
            last_event_id: self.last_event_id.as_deref().map(str::to_owned),
            retry: self.retry,
            resumed_from: self.resumed_from.as_deref().map(str::to_owned),
            longest_gap: self.longest_gap,
            recent: self.recent.iter().map(|event| event.to_event()).collect(),
        }
    }
}
