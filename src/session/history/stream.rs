//! What history knows of one SSE stream.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::ids::{ExchangeId, ProxySessionId, StreamId};
use crate::snapshot::{EndKind, StreamEvent, StreamRow};

/// A stream as it was when history was published.
#[derive(Debug, Clone)]
pub struct StreamInfo {
    pub(crate) id: StreamId,
    pub(crate) exchange: ExchangeId,
    pub(crate) session: Option<ProxySessionId>,
    pub(crate) server: Arc<str>,
    pub(crate) label: Arc<str>,
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
    pub(crate) recent: Vec<Arc<StreamEvent>>,
}

impl StreamInfo {
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
            recent: self.recent.iter().map(|event| (**event).clone()).collect(),
        }
    }
}
