//! One HTTP exchange as it is observed: its session, its frames, its times, and its end, which is told whatever happens.

mod begin;
mod copies;
mod frames;
mod log;
mod sessions;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use tokio::sync::mpsc;

use crate::ids::{ExchangeId, Side, StreamId};
use crate::intercept::edit::STATUS_FIELD;
use crate::resource::meters::Meters;
use crate::resource::queue::Reserved;
use crate::session::observation::{
    Event, ExchangeEnded, ExchangeKind, Observation, ObservedHead, ResponseObserved, RewrittenObserved,
    head_text,
};
use crate::session::registry::{Session, SessionKey};
use crate::snapshot::{Carrier, Direction, EndKind, Head, SentHead, Timing};

use super::hub::Hub;
use super::observed::field_list;
use super::place::StreamPlace;
use super::rewrite::Changes;
use super::rewrite::endpoint::EndpointMap;
use super::rewrite::mount::Mount;
use super::stated::Stated;
use super::stead::Way;
use super::upstream::Reuse;
use super::watchers::Outbox;

pub(crate) use begin::{Beginning, Peer, RunBeginning};
pub(crate) use copies::AskedOf;

#[derive(Debug, Default)]
struct State {
    session: Option<Arc<Session>>,
    is_handshake: bool,
    is_modern: bool,
    request_id: Option<String>,
    timing: Timing,
    request_end: Option<EndKind>,
    response_end: Option<EndKind>,
    failure: Option<String>,
    our_status: Option<u16>,
    stream: Option<StreamId>,
    /// The HTTP+SSE address as the client reads it, if that is not what the server wrote.
    endpoint: Option<String>,
    /// What that address should be on a stream that is passed on as it is.
    endpoint_map: Option<Box<EndpointMap>>,
    status: Option<u16>,
    /// The head of a response of which something may have to be held.
    response_head: Option<Head>,
    upstream: Option<Arc<Reuse>>,
    place: Option<StreamPlace>,
    /// How its request came, where another one may have to come the same way.
    way: Option<Box<Way>>,
    /// Where the messages of its HTTP+SSE session go, as its client asks for it.
    post_target: Option<String>,
    /// What is to be said in its stream, until its relay takes that.
    inbox: Option<mpsc::Receiver<Bytes>>,
    /// Frames of its response that we told before the server's.
    early_frames: u32,
    /// Answers to entries of its batch that did not reach its server.
    owed: Vec<Bytes>,
    request_bytes: u64,
    response_bytes: u64,
}

/// An exchange while it lives. Its end is told when the last holder lets go of it.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) hub: Arc<Hub>,
    pub(crate) id: ExchangeId,
    pub(crate) side: Side,
    pub(crate) server: Arc<str>,
    address: Arc<str>,
    /// What it is: HTTP, or the run of a command.
    kind: ExchangeKind,
    stated: Stated,
    /// The head of its request, kept where something may have to be held.
    request_head: Option<Head>,
    /// Rules have no say.
    is_ours: bool,
    /// Its request is one that is sent again.
    is_repeat: bool,
    state: Mutex<State>,
    end_place: Mutex<Option<Reserved<Observation>>>,
}

impl Exchange {
    /// The session it belongs to, once that is known.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.lock().session.clone()
    }

    /// Tells that its session is over, the first time.
    pub(crate) fn end_session(&self, reason: &'static str, outbox: &mut Outbox) {
        let session = self.session().filter(|session| session.end());
        if let Some(session) = session {
            outbox.put(Observation {
                at: self.hub.clock.now(),
                event: Event::SessionEnded {
                    session: session.id,
                    reason,
                },
            });
        }
    }

    /// The request's JSON-RPC id as spelled, once it was read: what an answer of our own has to carry.
    pub(crate) fn request_id(&self) -> Option<String> {
        self.lock().request_id.clone()
    }

    /// Changes the times.
    pub(crate) fn time(&self, change: impl FnOnce(&mut Timing)) {
        change(&mut self.lock().timing);
    }

    /// Notes that the head of its request was sent to the server.
    pub(crate) fn note_sent(&self) {
        let now = self.hub.clock.now();
        self.time(|timing| timing.sent = Some(now));
        log::sent(self.id);
    }

    /// Notes which connection its response comes on.
    pub(crate) fn comes_on(&self, connection: Arc<Reuse>) {
        self.lock().upstream = Some(connection);
    }

    /// Keeps the place of its request until it ends.
    pub(crate) fn takes(&self, place: StreamPlace) {
        self.lock().place = Some(place);
    }

    /// Notes how its request came.
    pub(crate) fn came(&self, way: Way) {
        self.lock().way = Some(Box::new(way));
    }

    /// How its request came, and where messages are posted if that is somewhere else.
    pub(crate) fn way(&self) -> Option<(Way, Option<String>)> {
        let state = self.lock();
        let way = state.way.as_deref().cloned()?;
        Some((way, state.post_target.clone()))
    }

    /// Notes that we told a frame of its response before there was one.
    pub(crate) fn note_early_frame(&self) {
        self.lock().early_frames += 1;
    }

    /// How many frames of its response there were before the server's.
    pub(crate) fn early_frames(&self) -> u32 {
        self.lock().early_frames
    }

    /// Notes answers that have to go back with the server's.
    pub(crate) fn owe(&self, answers: Vec<Bytes>) {
        self.lock().owed = answers;
    }

    /// Whether answers have to go back with the server's.
    pub(crate) fn is_owing(&self) -> bool {
        !self.lock().owed.is_empty()
    }

    /// The answers that have to go back with the server's; once.
    pub(crate) fn take_owed(&self) -> Vec<Bytes> {
        std::mem::take(&mut self.lock().owed)
    }

    /// Whether the client broke off its request.
    pub(crate) fn has_client_left(&self) -> bool {
        self.lock().request_end == Some(EndKind::ClientAborted)
    }

    /// Notes why it failed.
    pub(crate) fn fail(&self, failure: String) {
        self.lock().failure.get_or_insert(failure);
    }

    /// Notes that we answered ourselves.
    pub(crate) fn answer_ourselves(&self, status: u16, end: EndKind) {
        let mut state = self.lock();
        state.our_status = Some(status);
        state.response_end.get_or_insert(end);
    }

    /// Notes the end of one direction; the first one counts.
    pub(crate) fn end_direction(&self, direction: Direction, end: EndKind) {
        let now = self.hub.clock.now();
        let mut state = self.lock();
        match direction {
            Direction::ClientToServer => {
                state.request_end.get_or_insert(end);
                state.timing.request_done.get_or_insert(now);
            }
            Direction::ServerToClient => {
                state.response_end.get_or_insert(end);
                state.timing.done.get_or_insert(now);
                if let Some(connection) = state.upstream.as_ref().filter(|_| end != EndKind::Complete) {
                    connection.spoil();
                }
            }
        }
    }

    /// Counts body bytes as they pass.
    pub(crate) fn count(&self, direction: Direction, bytes: usize) {
        let mut state = self.lock();
        match direction {
            Direction::ClientToServer => state.request_bytes += bytes as u64,
            Direction::ServerToClient => {
                state.response_bytes += bytes as u64;
                if state.timing.first_byte.is_none() {
                    state.timing.first_byte = Some(self.hub.clock.now());
                }
            }
        }
    }

    /// Tells of something at once, in its turn but beyond all bounds.
    pub(crate) fn tell_now(&self, event: Event) {
        let at = self.hub.clock.now();
        self.hub.watchers.tell_beyond(Observation { at, event });
    }

    /// Whether a rule may act on what comes next in it.
    pub(crate) fn asks_rules(&self) -> bool {
        !self.is_ours && self.hub.is_intercepting()
    }

    /// Whether its request is a copy that is sent again from here: whoever is asked in its response is not its client.
    pub(crate) const fn is_repeat(&self) -> bool {
        self.is_repeat
    }

    /// Whether a rule may have come since `seen` was what is armed; it is that afterwards.
    pub(crate) fn has_other_rules(&self, seen: &mut u64) -> bool {
        let interceptor = &self.hub.interceptor;
        let version = interceptor.armory.version();
        let before = std::mem::replace(seen, version);
        before != version || interceptor.holds.has_wishes()
    }

    /// The head of its request, if rules were armed when it came.
    pub(crate) fn request_head(&self) -> Head {
        self.request_head.clone().unwrap_or_default()
    }

    /// Keeps the head of its response, with the status among the fields.
    pub(crate) fn keep_response_head(&self, status: StatusCode, fields: &HeaderMap) {
        let mut head = Head {
            line: format!(
                "{} {}",
                status.as_u16(),
                status.canonical_reason().unwrap_or_default()
            ),
            fields: vec![(STATUS_FIELD.to_owned(), status.as_u16().to_string())],
        };
        head.fields.extend(field_list(fields));
        self.lock().response_head = Some(head);
    }

    /// That head.
    pub(crate) fn response_head(&self) -> Option<Head> {
        self.lock().response_head.clone()
    }

    /// The status of its response.
    pub(crate) fn status(&self) -> Option<u16> {
        self.lock().status
    }

    /// Its event stream.
    pub(crate) fn stream(&self) -> Option<StreamId> {
        self.lock().stream
    }

    /// Whether its first message is of the modern era.
    pub(crate) fn is_modern(&self) -> bool {
        self.lock().is_modern
    }

    /// The client's address without its port.
    pub(crate) fn client(&self) -> Arc<str> {
        Arc::clone(&self.address)
    }

    /// How an HTTP+SSE address has to read for the client, if an event stream that comes now may begin with one.
    pub(crate) fn endpoint_map(&self, mount: &Mount, target: &http::Uri) -> Option<EndpointMap> {
        let may_be = self.stated.is_get && self.stated.session_id.is_none();
        may_be.then(|| EndpointMap::new(mount.clone(), target, &self.stated.target))?
    }

    /// Watches for an HTTP+SSE address that nobody can change, to say so.
    pub(crate) fn watch_endpoint(&self, map: EndpointMap) {
        self.lock().endpoint_map = Some(Box::new(map));
    }

    /// Tells what was changed in a body on its way, and what was found.
    pub(crate) fn tell_changes(&self, mut changes: Changes, outbox: &mut Outbox) {
        if let Some(endpoint) = changes.endpoint.take() {
            self.lock().endpoint = Some(endpoint);
        }
        if let Some(notice) = changes.notice.take() {
            self.hub.oauth.tell(&self.server, self.hub.clock.now(), notice);
        }
        if changes.is_empty() {
            return;
        }
        let rewritten = RewrittenObserved {
            exchange: self.id,
            session: self.session().map(|session| session.id),
            direction: if changes.is_of_request {
                Direction::ClientToServer
            } else {
                Direction::ServerToClient
            },
            rewrites: changes.rewrites,
            sent: None,
            findings: changes.findings,
        };
        outbox.put(Observation {
            at: self.hub.clock.now(),
            event: Event::Rewritten(Box::new(rewritten)),
        });
    }

    /// Tells of the response's head. Returns the stream's id if it is an event stream.
    pub(crate) fn begin_response(&self, response: ResponseHead<'_>, outbox: &mut Outbox) {
        let now = self.hub.clock.now();
        if !response.is_ours {
            note_head(&self.hub.meters, &response.head, response.headers);
        }
        let stream = response
            .is_stream
            .then(|| StreamId::from(self.hub.ids.streams.next()));
        log::answered(self, response.status, response.is_ours, response.is_stream);
        if stream.is_none() && self.is_undecided() {
            self.join_as_peer(outbox);
        }
        let ended = self.note_response(&response, stream, now);
        let session = self.lock().session.as_ref().map(|session| session.id);
        let text = |name| {
            response
                .headers
                .get(name)
                .map(|value: &http::HeaderValue| head_text(value.as_bytes()))
        };
        let event = Event::Response(Box::new(ResponseObserved {
            exchange: self.id,
            session,
            status: response.status,
            media_type: text(header::CONTENT_TYPE),
            head: response.head,
            is_ours: response.is_ours,
            stream,
            rewrites: response.rewrites,
            sent: response.sent,
        }));
        outbox.put(Observation { at: now, event });
        if let (Some(reason), Some(session)) = (ended, session) {
            outbox.put(Observation {
                at: now,
                event: Event::SessionEnded { session, reason },
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_run(&self) -> bool {
        matches!(self.kind, ExchangeKind::Run | ExchangeKind::BridgedRun)
    }

    fn note_response(
        &self,
        response: &ResponseHead<'_>,
        stream: Option<StreamId>,
        now: crate::clock::Timestamp,
    ) -> Option<&'static str> {
        let mut state = self.lock();
        state.timing.response_head = Some(now);
        state.stream = stream;
        state.status = Some(response.status);
        let session = state.session.clone()?;
        let issued = response
            .headers
            .get("mcp-session-id")
            .and_then(|id| id.to_str().ok());
        if state.is_handshake && response.status < 300 {
            let key = match issued {
                Some(id) => SessionKey::Header {
                    server: Arc::clone(&self.server),
                    id: id.into(),
                },
                None => self.inferred_key(None),
            };
            self.hub.registry.bind(self.side, key, Arc::clone(&session));
        }
        let reason = match response.status {
            404 if self.stated.session_id.is_some() && !response.is_ours => {
                "the server no longer knows it (404)"
            }
            200..=299 if self.stated.is_delete && self.stated.session_id.is_some() => "the client deleted it",
            _ => return None,
        };
        session.end().then_some(reason)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.hub.meters.exchanges.sub(1);
        let now = self.hub.clock.now();
        let state = std::mem::take(self.state.get_mut().unwrap_or_else(PoisonError::into_inner));
        if let Some(session) = state.session.as_ref().filter(|_| state.is_modern) {
            session.talk().pairing.end_exchange(self.id);
        }
        let ended_with_stream = state.session.as_deref().filter(|_| state.post_target.is_some());
        if let Some(event) = ended_with_stream.and_then(Self::end_of_stream) {
            self.hub.watchers.tell_beyond(Observation { at: now, event });
        }
        let vanished = self.hub.end_of_dropped(EndKind::ClientAborted);
        let mut timing = state.timing;
        timing.done.get_or_insert(now);
        let end = ExchangeEnded {
            exchange: self.id,
            session: state.session.as_ref().map(|session| session.id),
            request_end: state.request_end.unwrap_or(vanished),
            response_end: state.response_end.unwrap_or(vanished),
            failure: state.failure,
            our_status: state.our_status,
            timing,
            request_bytes: state.request_bytes,
            response_bytes: state.response_bytes,
        };
        log::ended(&end, state.status.or(end.our_status));
        let event = Event::ExchangeEnd(Box::new(end));
        let place = self
            .end_place
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        self.hub.watchers.tell_end(Observation { at: now, event }, place);
    }
}

fn note_head(meters: &Meters, head: &ObservedHead, fields: &HeaderMap) {
    if let ObservedHead::Raw(bytes) = head {
        meters.head_bytes.note(bytes.len() as u64);
    }
    meters.head_fields.note(fields.len() as u64);
}

/// The head of a response, as it is told.
pub(crate) struct ResponseHead<'a> {
    pub(crate) status: u16,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) head: ObservedHead,
    pub(crate) is_ours: bool,
    pub(crate) is_stream: bool,
    pub(crate) rewrites: Vec<String>,
    pub(crate) sent: Option<Box<SentHead>>,
}

impl State {
    const fn carrier(&self, direction: Direction) -> Carrier {
        match direction {
            Direction::ServerToClient if self.stream.is_some() => Carrier::Sse,
            _ => Carrier::Http,
        }
    }
}
