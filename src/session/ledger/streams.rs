//! The SSE streams that are open, and the latest ended ones.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::ids::{MessageId, ProxySessionId, StreamId};
use crate::limits::ResourceLimits;
use crate::resource::heap;
use crate::session::describe;
use crate::session::history::StreamInfo;
use crate::session::history::stream::LaneEvent;
use crate::session::observation::FrameObserved;
use crate::snapshot::{EndKind, RowKind};

/// Comments after comments become one entry: a keepalive every few seconds must not push the events out.
fn push_comments(info: &mut StreamInfo, at: Timestamp, comments: u32, bytes: u64) {
    let (comments, bytes) = info.take_comments().map_or((comments, bytes), |last| {
        (last.comments.saturating_add(comments), last.bytes + bytes)
    });
    let label = if comments == 1 {
        "1 comment".to_owned()
    } else {
        format!("{comments} comments")
    };
    info.push(LaneEvent {
        at,
        message: None,
        event_id: None,
        label: label.into(),
        kind: None,
        bytes,
        comments,
    });
}

/// All listed streams, in order of opening.
#[derive(Debug)]
pub(super) struct Streams {
    /// Shared with the views; one that changes is copied if a view still has it.
    known: BTreeMap<StreamId, Arc<StreamInfo>>,
    ended: VecDeque<StreamId>,
    shared: Arc<Vec<Arc<StreamInfo>>>,
    is_dirty: bool,
    bytes: usize,
    max_ended: usize,
    /// Ended streams go when all take more than this.
    max_bytes: usize,
    /// Ended ones that went because of later ones.
    pub(super) unlisted: u64,
}

/// Streams may take this part of history's memory before ended ones go.
const STREAMS_SHARE: usize = 8;

impl Streams {
    pub(super) fn new(limits: &ResourceLimits) -> Self {
        Self {
            known: BTreeMap::new(),
            ended: VecDeque::new(),
            shared: Arc::default(),
            is_dirty: false,
            bytes: 0,
            max_ended: limits.max_ended_streams,
            max_bytes: limits.max_history_memory / STREAMS_SHARE,
            unlisted: 0,
        }
    }

    /// Bytes of heap memory.
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes + heap::tree(&self.known) + heap::queue(&self.ended) + heap::vector(&self.shared)
    }

    pub(super) fn ended(&self) -> u64 {
        self.ended.len() as u64
    }

    pub(super) fn open(&mut self, info: StreamInfo) {
        self.is_dirty = true;
        self.bytes += info.heap_bytes();
        if let Some(before) = self.known.insert(info.id, Arc::new(info)) {
            self.bytes -= before.heap_bytes();
        }
    }

    pub(super) fn assign(&mut self, id: StreamId, session: ProxySessionId) {
        self.change(id, |info| info.session = Some(session));
    }

    /// Whether the stream can be resumed: it set an event id.
    pub(super) fn is_resumable(&self, id: StreamId) -> bool {
        self.known
            .get(&id)
            .is_some_and(|info| info.last_event_id.is_some())
    }

    /// Notes a whole block. `row` is the first row that was made of it.
    pub(super) fn block(
        &mut self,
        id: StreamId,
        at: Timestamp,
        frame: &FrameObserved,
        row: Option<(MessageId, RowKind)>,
    ) {
        self.change(id, |info| {
            info.active_at = at;
            info.bytes += frame.size;
            let Some(sse) = &frame.sse else { return };
            info.comments += u64::from(sse.comments);
            if let Some(id) = &sse.id {
                // An empty id resets it (HTML, Server-sent events, "id").
                info.last_event_id = (!id.is_empty()).then(|| Arc::from(&**id));
            }
            info.retry = sse.retry.or(info.retry);
            if sse.event.is_some() {
                info.events += 1;
                info.longest_gap = info.longest_gap.max(at.since(info.last_event_at));
                info.last_event_at = at;
            }
            match row {
                Some((message, kind)) => info.push(LaneEvent {
                    at,
                    message: Some(message),
                    event_id: sse.id.clone(),
                    label: label(frame).into(),
                    kind: Some(kind),
                    bytes: frame.size,
                    comments: 0,
                }),
                None if sse.comments > 0 => push_comments(info, at, sse.comments, frame.size),
                None => {}
            }
        });
    }

    pub(super) fn end(&mut self, id: StreamId, at: Timestamp, how: EndKind) {
        if !self.change(id, |info| info.ended = Some((at, how))) {
            return;
        }
        self.ended.push_back(id);
        while self.ended.len() > self.max_ended || self.bytes > self.max_bytes {
            let Some(oldest) = self.ended.pop_front() else {
                break;
            };
            if let Some(gone) = self.known.remove(&oldest) {
                self.bytes -= gone.heap_bytes();
                self.unlisted += 1;
            }
        }
    }

    pub(super) fn share(&mut self) -> Arc<Vec<Arc<StreamInfo>>> {
        if std::mem::take(&mut self.is_dirty) {
            self.shared = Arc::new(self.known.values().cloned().collect());
        }
        Arc::clone(&self.shared)
    }

    fn change(&mut self, id: StreamId, change: impl FnOnce(&mut StreamInfo)) -> bool {
        let Some(shared) = self.known.get_mut(&id) else {
            return false;
        };
        // Before the copy that a view may make necessary: a copy has no room to spare, and would count for less.
        self.bytes -= shared.heap_bytes();
        let info = Arc::make_mut(shared);
        change(info);
        self.bytes += info.heap_bytes();
        self.is_dirty = true;
        true
    }
}

fn label(frame: &FrameObserved) -> String {
    match (frame.messages.as_slice(), &frame.sse) {
        ([], Some(sse)) => describe::block(sse, &frame.payload),
        ([], None) => String::new(),
        ([only], _) => describe::lane(&only.envelope),
        ([first, rest @ ..], _) => format!("{} and {} more", describe::lane(&first.envelope), rest.len()),
    }
}
