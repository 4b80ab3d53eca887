//! What history knows of one HTTP exchange, shared by all rows that it carried.

mod pack;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::clock::Timestamp;
use crate::ids::{ConnectionId, ExchangeId, ProxySessionId, Side, StreamId};
use crate::resource::heap::{self, ARC_BYTES};
use crate::session::observation::{
    Event, ExchangeEnded, ExchangeKind, Observation, ObservedHead, RequestObserved, ResponseObserved,
    RewrittenObserved,
};
use crate::snapshot::{Direction, EndKind, ExchangeDetail, Finding, Head, SentHead, Timing};

use super::owner::Owner;

/// An exchange. It lives as long as it is open or one of its rows is in history.
#[derive(Debug)]
pub struct ExchangeRecord {
    pub(crate) id: ExchangeId,
    pub(crate) started: Timestamp,
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) client: Box<str>,
    pub(crate) side: Side,
    pub(crate) server: Arc<str>,
    pub(crate) kind: ExchangeKind,
    pub(crate) method: Box<str>,
    pub(crate) target: Box<str>,
    request: Option<ObservedHead>,
    rewrites: Box<[Box<str>]>,
    sent: Option<Box<SentHead>>,
    response: OnceLock<Box<Response>>,
    end: OnceLock<Box<End>>,
    added: Mutex<Option<Box<Added>>>,
    pub(crate) charge: Charge,
}

#[derive(Debug)]
struct Response {
    status: u16,
    head: ObservedHead,
    is_ours: bool,
    media_type: Option<Box<str>>,
    stream: Option<StreamId>,
    rewrites: Box<[Box<str>]>,
    sent: Option<Box<SentHead>>,
}

#[derive(Debug)]
struct End {
    request: EndKind,
    response: EndKind,
    failure: Option<Box<str>>,
    timing: Timing,
    request_bytes: u64,
    response_bytes: u64,
}

/// What was told of the exchange after its heads.
#[derive(Debug, Default)]
struct Added {
    /// Changes of the request's body, and of the response's.
    rewrites: [Vec<Box<str>>; Direction::ALL.len()],
    findings: Vec<Finding>,
    /// How the heads went on, where that was told anew.
    sent: [Option<Box<SentHead>>; Direction::ALL.len()],
}

/// Changes of a body, and findings, that are kept of one exchange; further ones are only recorded.
const MAX_ADDED: usize = 32;

/// Whose budget pays for the record. Touched by the ledger only, so the lock is never waited for.
#[derive(Debug, Default)]
pub(crate) struct Charge(Mutex<ChargeState>);

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct ChargeState {
    /// What holds the record: rows in history, and the exchange itself until it ends.
    pub(crate) holders: u32,
    pub(crate) owner: Option<Owner>,
    /// Bytes that the owner pays for it.
    pub(crate) bytes: usize,
}

impl Charge {
    pub(crate) fn get(&self) -> ChargeState {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, state: ChargeState) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

impl ExchangeRecord {
    pub(crate) fn new(at: Timestamp, request: RequestObserved) -> Self {
        Self {
            id: request.exchange,
            started: at,
            connection: Some(request.connection),
            client: request.client.into(),
            side: request.side,
            server: request.server,
            kind: request.kind,
            method: request.method.into(),
            target: request.target.into(),
            request: Some(exact(request.head)),
            rewrites: exact_texts(request.rewrites),
            sent: request.sent,
            response: OnceLock::new(),
            end: OnceLock::new(),
            added: Mutex::default(),
            charge: Charge::default(),
        }
    }

    /// An exchange whose beginning is not known: the recording lost it.
    pub(crate) fn unknown(at: Timestamp, id: ExchangeId, side: Side, server: Arc<str>) -> Self {
        Self {
            id,
            started: at,
            connection: None,
            client: Box::default(),
            side,
            server,
            kind: ExchangeKind::Message,
            method: Box::default(),
            target: Box::default(),
            request: None,
            rewrites: Box::default(),
            sent: None,
            response: OnceLock::new(),
            end: OnceLock::new(),
            added: Mutex::default(),
            charge: Charge::default(),
        }
    }

    pub(crate) fn respond(&self, response: ResponseObserved) {
        // A second response head does not exist; should one come, the first stays.
        let _ = self.response.set(Box::new(Response {
            status: response.status,
            head: exact(response.head),
            is_ours: response.is_ours,
            media_type: response.media_type.map(Into::into),
            stream: response.stream,
            rewrites: exact_texts(response.rewrites),
            sent: response.sent,
        }));
    }

    pub(crate) fn finish(&self, end: ExchangeEnded) {
        let _ = self.end.set(Box::new(End {
            request: end.request_end,
            response: end.response_end,
            failure: end.failure.map(Into::into),
            timing: end.timing,
            request_bytes: end.request_bytes,
            response_bytes: end.response_bytes,
        }));
    }

    /// Adds changes of a body, and what was found about the exchange.
    pub(crate) fn add(&self, rewritten: RewrittenObserved) {
        let RewrittenObserved {
            direction,
            rewrites,
            findings,
            sent,
            ..
        } = rewritten;
        let mut added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        let added = added.get_or_insert_default();
        if sent.is_some() {
            added.sent[direction as usize] = sent;
        }
        let kept = &mut added.rewrites[direction as usize];
        let room = MAX_ADDED.saturating_sub(kept.len());
        kept.extend(rewrites.into_iter().take(room).map(String::into_boxed_str));
        let room = MAX_ADDED.saturating_sub(added.findings.len());
        added.findings.extend(findings.into_iter().take(room));
    }

    fn added<T: Default>(&self, read: impl FnOnce(&Added) -> T) -> T {
        let added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        added.as_deref().map(read).unwrap_or_default()
    }

    fn body_rewrites(&self, direction: Direction) -> Vec<String> {
        self.added(|added| owned_texts(&added.rewrites[direction as usize]))
    }

    fn sent_later(&self, direction: Direction) -> Option<Box<SentHead>> {
        self.added(|added| added.sent[direction as usize].clone())
    }

    /// What was found about the exchange as a whole.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        self.added(|added| added.findings.clone())
    }

    /// HTTP status, once the response's head came.
    pub fn status(&self) -> Option<u16> {
        self.response.get().map(|response| response.status)
    }

    pub(crate) fn is_our_answer(&self) -> bool {
        self.response.get().is_some_and(|response| response.is_ours)
    }

    /// `Content-Type` of the response.
    pub fn response_media_type(&self) -> Option<&str> {
        self.response.get()?.media_type.as_deref()
    }

    /// `Content-Type` of the request.
    pub fn request_media_type(&self) -> Option<String> {
        let head = self.request.as_ref()?.to_head();
        let is_type = |(name, _): &(String, String)| name.eq_ignore_ascii_case("content-type");
        head.fields.into_iter().find(is_type).map(|(_, value)| value)
    }

    /// First line and fields of the request, as far as they are known.
    pub fn request_head(&self) -> Option<Head> {
        self.request.as_ref().map(ObservedHead::to_head)
    }

    /// Name of the upstream, or authority of the destination.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Whether one of its directions is still going on.
    pub fn is_open(&self) -> bool {
        self.end.get().is_none()
    }

    /// Both heads as they were observed, as far as they came: what a recording that begins now has to know. Nothing for
    /// an exchange whose beginning is not known.
    pub(crate) fn beginning(&self, session: Option<ProxySessionId>) -> Vec<Observation> {
        let (Some(connection), Some(head)) = (self.connection, self.request.clone()) else {
            return Vec::new();
        };
        let request = Event::Request(Box::new(RequestObserved {
            exchange: self.id,
            connection,
            client: self.client.to_string(),
            side: self.side,
            server: Arc::clone(&self.server),
            session,
            kind: self.kind,
            method: self.method.to_string(),
            target: self.target.to_string(),
            head,
            rewrites: owned_texts(&self.rewrites),
            sent: self.sent.clone(),
            resumes: None,
        }));
        let response = self.response.get().map(|response| {
            Event::Response(Box::new(ResponseObserved {
                exchange: self.id,
                session,
                status: response.status,
                head: response.head.clone(),
                is_ours: response.is_ours,
                stream: response.stream,
                media_type: response.media_type.as_deref().map(str::to_owned),
                rewrites: owned_texts(&response.rewrites),
                sent: response.sent.clone(),
            }))
        });
        let rewritten = Direction::ALL.map(|direction| self.rewritten(session, direction));
        let at = self.started;
        [Some(request), response]
            .into_iter()
            .chain(rewritten)
            .flatten()
            .map(|event| Observation { at, event })
            .collect()
    }

    /// The changes of one body; those of the response come with what was found.
    fn rewritten(&self, session: Option<ProxySessionId>, direction: Direction) -> Option<Event> {
        let rewrites = self.body_rewrites(direction);
        let findings = match direction {
            Direction::ClientToServer => Vec::new(),
            Direction::ServerToClient => self.findings(),
        };
        let sent = self.sent_later(direction);
        let has_any = !(rewrites.is_empty() && findings.is_empty() && sent.is_none());
        has_any.then(|| {
            Event::Rewritten(Box::new(RewrittenObserved {
                exchange: self.id,
                session,
                direction,
                rewrites,
                sent,
                findings,
            }))
        })
    }

    /// Everything for the detail pane; `None` for an exchange whose beginning is not known.
    pub fn detail(&self) -> Option<ExchangeDetail> {
        let response = self.response.get();
        let end = self.end.get();
        Some(ExchangeDetail {
            id: self.id,
            connection: self.connection?,
            client: self.client.to_string(),
            side: self.side,
            server: self.server.to_string(),
            is_run: matches!(self.kind, ExchangeKind::Run | ExchangeKind::BridgedRun),
            target: self.target.to_string(),
            request: self
                .request
                .as_ref()
                .map_or_else(Head::default, ObservedHead::to_head),
            rewrites: owned_texts(&self.rewrites),
            sent: self
                .sent_later(Direction::ClientToServer)
                .or_else(|| self.sent.clone()),
            body_rewrites: self.body_rewrites(Direction::ClientToServer),
            response_rewrites: response.map_or_else(Vec::new, |response| owned_texts(&response.rewrites)),
            response_sent: self
                .sent_later(Direction::ServerToClient)
                .or_else(|| response?.sent.clone()),
            response_body_rewrites: self.body_rewrites(Direction::ServerToClient),
            response: response.map(|response| response.head.to_head()),
            is_our_answer: self.is_our_answer(),
            timing: end.map_or(
                Timing {
                    started: self.started,
                    ..Timing::default()
                },
                |end| end.timing,
            ),
            request_end: end.map(|end| end.request),
            response_end: end.map(|end| end.response),
            failure: end.and_then(|end| end.failure.as_deref().map(str::to_owned)),
            request_bytes: end.map_or(0, |end| end.request_bytes),
            response_bytes: end.map_or(0, |end| end.response_bytes),
        })
    }

    /// Bytes of heap memory, this value included.
    pub(crate) fn heap_bytes(&self) -> usize {
        let texts = self.client.len() + self.method.len() + self.target.len();
        let response = self.response.get().map_or(0, |response| {
            size_of::<Response>()
                + head_bytes(&response.head)
                + text_bytes(&response.rewrites)
                + SentHead::boxed_bytes(response.sent.as_deref())
                + response.media_type.as_deref().map_or(0, str::len)
        });
        let end = self.end.get().map_or(0, |end| {
            size_of::<End>() + end.failure.as_deref().map_or(0, str::len)
        });
        ARC_BYTES
            + size_of::<Self>()
            + texts
            + self.request.as_ref().map_or(0, head_bytes)
            + text_bytes(&self.rewrites)
            + SentHead::boxed_bytes(self.sent.as_deref())
            + response
            + end
            + self.added(Added::heap_bytes)
    }
}

impl Added {
    fn heap_bytes(&self) -> usize {
        let finding = |finding: &Finding| finding.text.capacity();
        size_of::<Self>()
            + self.rewrites.iter().map(heap::vector).sum::<usize>()
            + self
                .rewrites
                .iter()
                .flatten()
                .map(|text| text.len())
                .sum::<usize>()
            + self
                .sent
                .iter()
                .map(|sent| SentHead::boxed_bytes(sent.as_deref()))
                .sum::<usize>()
            + heap::vector(&self.findings)
            + self.findings.iter().map(finding).sum::<usize>()
    }
}

/// The head without the read buffer it may be a slice of.
fn exact(head: ObservedHead) -> ObservedHead {
    match head {
        ObservedHead::Raw(bytes) => ObservedHead::Raw(bytes::Bytes::copy_from_slice(&bytes)),
        ObservedHead::Fields(mut head) => {
            head.line.shrink_to_fit();
            head.fields.shrink_to_fit();
            ObservedHead::Fields(head)
        }
    }
}

fn exact_texts(texts: Vec<String>) -> Box<[Box<str>]> {
    texts.into_iter().map(String::into_boxed_str).collect()
}

fn owned_texts(texts: &[Box<str>]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn head_bytes(head: &ObservedHead) -> usize {
    match head {
        ObservedHead::Raw(bytes) => bytes.len(),
        ObservedHead::Fields(head) => {
            let field = |(name, value): &(String, String)| name.capacity() + value.capacity();
            size_of::<Head>()
                + head.line.capacity()
                + heap::vector(&head.fields)
                + head.fields.iter().map(field).sum::<usize>()
        }
    }
}

fn text_bytes(texts: &[Box<str>]) -> usize {
    texts.iter().map(|text| size_of::<Box<str>>() + text.len()).sum()
}
