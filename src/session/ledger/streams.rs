//! The SSE streams that are open, and the latest ended ones.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::ids::{MessageId, ProxySessionId, StreamId};
use crate::session::describe;
use crate::session::history::StreamInfo;
use crate::session::observation::FrameObserved;
use crate::snapshot::{EndKind, MAX_STREAM_EVENTS, RowKind, StreamEvent};

#[derive(Debug)]
struct Stream {
    info: StreamInfo,
    recent: VecDeque<Arc<StreamEvent>>,
    last_event_at: Timestamp,
    shared: Option<Arc<StreamInfo>>,
}

impl Stream {
    fn push(&mut self, event: StreamEvent) {
        if self.recent.len() == MAX_STREAM_EVENTS {
            self.recent.pop_front();
        }
        self.recent.push_back(Arc::new(event));
    }

    /// Comments after comments become one entry: a keepalive every few seconds must not push the events out.
    fn push_comments(&mut self, at: Timestamp, comments: u32, bytes: u64) {
        let is_run = self.recent.back().is_some_and(|last| last.comments > 0);
        let last = if is_run { self.recent.pop_back() } else { None };
        let (comments, bytes) = last.map_or((comments, bytes), |last| {
            (last.comments.saturating_add(comments), last.bytes + bytes)
        });
        let label = if comments == 1 {
            "1 comment".to_owned()
        } else {
            format!("{comments} comments")
        };
        self.push(StreamEvent {
            at,
            message: None,
            event_id: None,
            label,
            kind: None,
            bytes,
            comments,
        });
    }

    fn share(&mut self) -> Arc<StreamInfo> {
        let make = || {
            Arc::new(StreamInfo {
                recent: self.recent.iter().cloned().collect(),
                ..self.info.clone()
            })
        };
        Arc::clone(self.shared.get_or_insert_with(make))
    }
}

/// All listed streams, in order of opening.
#[derive(Debug)]
pub(super) struct Streams {
    known: BTreeMap<StreamId, Stream>,
    ended: VecDeque<StreamId>,
    shared: Arc<Vec<Arc<StreamInfo>>>,
    is_dirty: bool,
    max_ended: usize,
    /// Ended ones that went because of later ones.
    pub(super) unlisted: u64,
}

impl Streams {
    pub(super) fn new(max_ended: usize) -> Self {
        Self {
            known: BTreeMap::new(),
            ended: VecDeque::new(),
            shared: Arc::default(),
            is_dirty: false,
            max_ended,
            unlisted: 0,
        }
    }

    pub(super) fn ended(&self) -> u64 {
        self.ended.len() as u64
    }

    pub(super) fn open(&mut self, info: StreamInfo) {
        self.is_dirty = true;
        let last_event_at = info.opened_at;
        self.known.insert(
            info.id,
            Stream {
                info,
                recent: VecDeque::new(),
                last_event_at,
                shared: None,
            },
        );
    }

    pub(super) fn assign(&mut self, id: StreamId, session: ProxySessionId) {
        self.change(id, |stream| stream.info.session = Some(session));
    }

    /// Whether the stream can be resumed: it set an event id.
    pub(super) fn is_resumable(&self, id: StreamId) -> bool {
        self.known
            .get(&id)
            .is_some_and(|stream| stream.info.last_event_id.is_some())
    }

    /// Notes a whole block. `row` is the first row that was made of it.
    pub(super) fn block(
        &mut self,
        id: StreamId,
        at: Timestamp,
        frame: &FrameObserved,
        row: Option<(MessageId, RowKind)>,
    ) {
        self.change(id, |stream| {
            let info = &mut stream.info;
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
                info.longest_gap = info.longest_gap.max(at.since(stream.last_event_at));
                stream.last_event_at = at;
            }
            match row {
                Some((message, kind)) => stream.push(StreamEvent {
                    at,
                    message: Some(message),
                    event_id: sse.id.as_deref().map(str::to_owned),
                    label: label(frame),
                    kind: Some(kind),
                    bytes: frame.size,
                    comments: 0,
                }),
                None if sse.comments > 0 => stream.push_comments(at, sse.comments, frame.size),
                None => {}
            }
        });
    }

    pub(super) fn end(&mut self, id: StreamId, at: Timestamp, how: EndKind) {
        if !self.change(id, |stream| stream.info.ended = Some((at, how))) {
            return;
        }
        self.ended.push_back(id);
        while self.ended.len() > self.max_ended {
            if let Some(oldest) = self.ended.pop_front() {
                self.known.remove(&oldest);
                self.unlisted += 1;
            }
        }
    }

    pub(super) fn share(&mut self) -> Arc<Vec<Arc<StreamInfo>>> {
        if std::mem::take(&mut self.is_dirty) {
            self.shared = Arc::new(self.known.values_mut().map(Stream::share).collect());
        }
        Arc::clone(&self.shared)
    }

    fn change(&mut self, id: StreamId, change: impl FnOnce(&mut Stream)) -> bool {
        let Some(stream) = self.known.get_mut(&id) else {
            return false;
        };
        change(stream);
        stream.shared = None;
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
