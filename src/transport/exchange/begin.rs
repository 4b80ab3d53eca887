//! The beginning of an exchange, and what is told of it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::clock::Timestamp;
use crate::ids::{ConnectionId, ExchangeId, Side};
use crate::session::observation::{
    Event, ExchangeKind, Observation, ObservedHead, RequestObserved, head_text,
};
use crate::session::registry::Session;
use crate::snapshot::{Head, SentHead, Timing};
use crate::transport::hub::Hub;
use crate::transport::observed::field_list;
use crate::transport::stated::{Stated, exchange_kind};
use crate::transport::watchers::Outbox;

use super::{Exchange, State, log, note_head};

/// Who asks for an exchange.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) connection: ConnectionId,
    /// The address with port.
    pub(crate) address: Arc<str>,
    /// The address without port.
    pub(crate) host: Arc<str>,
    /// We ask ourselves, in its session: rules have no say.
    pub(crate) is_ours: bool,
    /// We ask again what a client has asked before.
    pub(crate) is_repeat: bool,
}

/// The request of an exchange, as it is told.
pub(crate) struct Beginning<'a> {
    pub(crate) side: Side,
    pub(crate) server: Arc<str>,
    pub(crate) method: &'a Method,
    pub(crate) target: String,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) head: ObservedHead,
    pub(crate) rewrites: Vec<String>,
    pub(crate) sent: Option<Box<SentHead>>,
}

/// A run of a command, as it is told.
pub(crate) struct RunBeginning {
    pub(crate) side: Side,
    pub(crate) server: Arc<str>,
    /// The command line in one text.
    pub(crate) target: String,
    pub(crate) head: Head,
    /// Its lines are shown where the HTTP clients of the bridge before it hear them.
    pub(crate) is_bridged: bool,
    /// The session it belongs to; one of its own if `None`.
    pub(crate) session: Option<Arc<Session>>,
}

impl Exchange {
    /// Begins an exchange and tells of it through `outbox`.
    pub(crate) fn begin(
        hub: &Arc<Hub>,
        peer: &Peer,
        beginning: Beginning<'_>,
        outbox: &mut Outbox,
    ) -> Arc<Self> {
        let now = hub.clock.now();
        let stated = Stated::read(&beginning);
        let kind = exchange_kind(&beginning, &stated);
        let mut exchange = Self::new(hub, peer, kind, (beginning.side, beginning.server), stated, now);
        if exchange.asks_rules() {
            // HTTP/2 has no first line, so that of one is as it is shown.
            let version = match beginning.head {
                ObservedHead::Raw(_) => "HTTP/1.1",
                ObservedHead::Fields(_) => "HTTP/2.0",
            };
            exchange.request_head = Some(Head {
                line: format!("{} {} {version}", beginning.method, beginning.target),
                fields: field_list(beginning.headers),
            });
        }
        note_head(&hub.meters, &beginning.head, beginning.headers);
        let method = beginning.method.as_str();
        log::began(&exchange, &peer.address, method, Some(&beginning.target));
        exchange.join_by_head(kind, outbox);
        let resumes = exchange.resumes(beginning.headers);
        let request = RequestObserved {
            method: beginning.method.to_string(),
            target: beginning.target,
            head: beginning.head,
            rewrites: beginning.rewrites,
            sent: beginning.sent,
            resumes,
            ..exchange.request_observed(peer)
        };
        outbox.put(Observation {
            at: now,
            event: Event::Request(Box::new(request)),
        });
        Arc::new(exchange)
    }

    /// Begins the run of a command, which is an exchange of its own, and tells of it through `outbox`.
    pub(crate) fn begin_run(
        hub: &Arc<Hub>,
        peer: &Peer,
        run: RunBeginning,
        outbox: &mut Outbox,
    ) -> Arc<Self> {
        let now = hub.clock.now();
        let kind = if run.is_bridged {
            ExchangeKind::BridgedRun
        } else {
            ExchangeKind::Run
        };
        let exchange = Self::new(hub, peer, kind, (run.side, run.server), Stated::default(), now);
        log::began(&exchange, &peer.address, "run", None);
        match run.session {
            Some(session) => exchange.lock().session = Some(session),
            None => exchange.join_as_run(outbox),
        }
        let request = RequestObserved {
            method: "run".to_owned(),
            target: run.target,
            head: ObservedHead::Fields(Box::new(run.head)),
            ..exchange.request_observed(peer)
        };
        outbox.put(Observation {
            at: now,
            event: Event::Request(Box::new(request)),
        });
        Arc::new(exchange)
    }

    fn new(
        hub: &Arc<Hub>,
        peer: &Peer,
        kind: ExchangeKind,
        (side, server): (Side, Arc<str>),
        stated: Stated,
        now: Timestamp,
    ) -> Self {
        hub.meters.exchanges.add(1);
        hub.meters.exchanges_total.fetch_add(1, Ordering::Relaxed);
        Self {
            hub: Arc::clone(hub),
            id: ExchangeId::from(hub.ids.exchanges.next()),
            side,
            server,
            address: Arc::clone(&peer.host),
            kind,
            stated,
            state: Mutex::new(State {
                timing: Timing {
                    started: now,
                    ..Timing::default()
                },
                ..State::default()
            }),
            request_head: None,
            is_ours: peer.is_ours,
            is_repeat: peer.is_repeat,
            end_place: Mutex::new(Some(hub.watchers.ledger.reserve())),
        }
    }

    /// What is told of its beginning, without what its head says.
    fn request_observed(&self, peer: &Peer) -> RequestObserved {
        RequestObserved {
            exchange: self.id,
            connection: peer.connection,
            client: String::from(&*peer.address),
            side: self.side,
            server: Arc::clone(&self.server),
            session: self.lock().session.as_ref().map(|session| session.id),
            kind: self.kind,
            method: String::new(),
            target: String::new(),
            head: ObservedHead::Raw(Bytes::new()),
            rewrites: Vec::new(),
            sent: None,
            resumes: None,
        }
    }

    fn resumes(&self, headers: &HeaderMap) -> Option<String> {
        let id = head_text(headers.get("last-event-id")?.as_bytes());
        let session = self.lock().session.clone();
        let now = self.hub.clock.now();
        let origin = session.and_then(|session| session.talk().events.origin(&id, now));
        Some(origin.map_or_else(|| id.clone(), |origin| format!("{id} of {origin}")))
    }
}
