//! Which session an exchange belongs to: what its head says, then its body, then what comes back.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::codec::envelope::{Envelope, Field};
use crate::mcp::era;
use crate::session::observation::{Event, ExchangeKind, Observation};
use crate::session::registry::{Found, Session, SessionKey};
use crate::snapshot::SessionBasis;

use super::super::stated::resolve;
use super::super::watchers::Outbox;
use super::Exchange;

/// Messages that wait to be said in an HTTP+SSE stream beside what its server says.
const WORDS: usize = 64;
/// Why an HTTP+SSE session is over.
const STREAM_GONE: &str = "its event stream ended";

impl Exchange {
    pub(super) fn join_by_head(&self, kind: ExchangeKind, outbox: &mut Outbox) {
        let now = self.lock().timing.started;
        let key = match (&self.stated.session_id, kind) {
            (Some(id), _) => SessionKey::Header {
                server: Arc::clone(&self.server),
                id: id.clone(),
            },
            (None, ExchangeKind::Tunnel) => self.peer_key(),
            // What it asks for may turn out to be an HTTP+SSE session, or a WebSocket.
            (None, ExchangeKind::Http) if self.stated.asks_for_events => return,
            (None, ExchangeKind::Http) if !self.stated.speaks_mcp => self.peer_key(),
            _ => return self.join_endpoint(),
        };
        let basis = if self.stated.session_id.is_some() {
            SessionBasis::SessionHeader
        } else {
            SessionBasis::Peer
        };
        let found = self
            .hub
            .registry
            .find_or_open(self.side, key, basis, &self.address, now);
        self.join(found, outbox);
    }

    /// A request for an event stream, and no event has said yet which kind of stream it is.
    pub(super) fn is_undecided(&self) -> bool {
        let is_plain = self.kind == ExchangeKind::Http && !self.stated.speaks_mcp;
        is_plain && self.lock().session.is_none()
    }

    pub(super) fn join_as_peer(&self, outbox: &mut Outbox) {
        let now = self.hub.clock.now();
        let (side, key) = (self.side, self.peer_key());
        let found = self
            .hub
            .registry
            .find_or_open(side, key, SessionBasis::Peer, &self.address, now);
        self.join(found, outbox);
    }

    /// A POST to the endpoint of an HTTP+SSE session belongs to it (MCP 2024-11-05, Transports).
    pub(super) fn join_endpoint(&self) {
        let key = SessionKey::Endpoint {
            server: Arc::clone(&self.server),
            target: self.stated.target.clone(),
        };
        if let Some(session) = self.hub.registry.find(self.side, &key) {
            self.lock().session = Some(session);
        }
    }

    pub(super) fn join(&self, found: Found, outbox: &mut Outbox) {
        if found.is_new {
            let event = Event::Session(Box::new(found.session.opened.clone()));
            outbox.put(Observation {
                at: self.hub.clock.now(),
                event,
            });
        }
        self.lock().session = Some(found.session);
    }

    /// One run of a command is one session (MCP, Transports, stdio: one connection).
    pub(super) fn join_as_run(&self, outbox: &mut Outbox) {
        let key = SessionKey::Run {
            exchange: self.id,
            server: Arc::clone(&self.server),
        };
        self.join_own(key, SessionBasis::Process, outbox);
    }

    /// The server has switched to WebSocket: the connection is the session, unless the request named another.
    pub(crate) fn join_as_socket(&self, outbox: &mut Outbox) {
        if self.lock().session.is_some() {
            return;
        }
        let key = SessionKey::Socket {
            exchange: self.id,
            server: Arc::clone(&self.server),
        };
        self.join_own(key, SessionBasis::Socket, outbox);
    }

    /// Joins the session that is this exchange.
    fn join_own(&self, key: SessionKey, basis: SessionBasis, outbox: &mut Outbox) {
        let now = self.lock().timing.started;
        let registry = &self.hub.registry;
        let found = registry.find_or_open(self.side, key, basis, &self.address, now);
        self.join(found, outbox);
    }

    /// A request's body decides about its session where the head did not (mcp-wire rules: handshake, endpoint, inferred).
    pub(super) fn join_by_body(&self, messages: &[Envelope], is_json_rpc: bool, outbox: &mut Outbox) {
        if self.lock().session.is_some() {
            return;
        }
        let Some(first) = messages.first().filter(|_| is_json_rpc) else {
            return;
        };
        let now = self.hub.clock.now();
        if era::is_legacy_handshake(first) {
            let session = self
                .hub
                .registry
                .open_unkeyed(self.side, &self.server, &self.address, now);
            self.lock().is_handshake = true;
            return self.join(
                Found {
                    session,
                    is_new: true,
                },
                outbox,
            );
        }
        let client = first.fields.get(Field::MetaClientName);
        let key = self.inferred_key(client);
        let found =
            self.hub
                .registry
                .find_or_open(self.side, key, SessionBasis::Inferred, &self.address, now);
        self.join(found, outbox);
    }

    /// Joins the HTTP+SSE session whose messages go to `endpoint`.
    pub(crate) fn join_as_endpoint(&self, endpoint: &str, outbox: &mut Outbox) {
        let target = resolve(&self.stated.target, endpoint);
        let is_counted = self.lock().post_target.replace(target.to_string()).is_some();
        let key = SessionKey::Endpoint {
            server: Arc::clone(&self.server),
            target,
        };
        let (now, registry) = (self.hub.clock.now(), &self.hub.registry);
        // A server may give everybody the same address: a stream that comes after the end begins a session.
        if registry
            .find(self.side, &key)
            .is_some_and(|session| session.is_ended())
        {
            registry.unbind(self.side, &key);
        }
        let found = registry.find_or_open(self.side, key, SessionBasis::SseEndpoint, &self.address, now);
        let (words, inbox) = mpsc::channel(WORDS);
        {
            let mut talk = found.session.talk();
            talk.words = Some(words);
            talk.streams += u32::from(!is_counted);
        }
        self.lock().inbox = Some(inbox);
        self.join(found, outbox);
    }

    /// An event stream is gone. Its session, if it is one of HTTP+SSE and has no other stream, is over with it: what the
    /// server says has no way to the client any more (MCP 2024-11-05, Transports, "HTTP with SSE").
    pub(super) fn end_of_stream(session: &Session) -> Option<Event> {
        let mut talk = session.talk();
        talk.streams = talk.streams.saturating_sub(1);
        let is_last = talk.streams == 0;
        drop(talk);
        (is_last && session.end()).then_some(Event::SessionEnded {
            session: session.id,
            reason: STREAM_GONE,
        })
    }

    /// What is to be said in its stream beside what its server says; once, and only in that of an HTTP+SSE session.
    pub(crate) fn take_inbox(&self) -> Option<mpsc::Receiver<Bytes>> {
        self.lock().inbox.take()
    }

    /// Says a message in the stream of its HTTP+SSE session, where clients of 2024-11-05 look for answers. False if that is
    /// another kind of session, its stream is not open, or too much waits there.
    pub(crate) fn says_in_stream(&self, message: &Bytes) -> bool {
        let words = self.session().and_then(|session| session.talk().words.clone());
        words.is_some_and(|words| words.try_send(message.clone()).is_ok())
    }

    /// Whether its client looks for answers in another stream (MCP 2024-11-05).
    pub(crate) fn is_answered_elsewhere(&self) -> bool {
        self.session()
            .is_some_and(|session| session.talk().words.is_some())
    }

    pub(super) fn peer_key(&self) -> SessionKey {
        SessionKey::Peer {
            server: Arc::clone(&self.server),
            address: Arc::clone(&self.address),
        }
    }

    pub(super) fn inferred_key(&self, client: Option<&str>) -> SessionKey {
        SessionKey::Inferred {
            server: Arc::clone(&self.server),
            credential: self.stated.credential,
            client: client.map(Box::from),
            address: Arc::clone(&self.address),
        }
    }
}
