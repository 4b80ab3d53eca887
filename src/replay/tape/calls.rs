//! Exchanges of a session into messages and calls.

use std::collections::HashMap;
use std::sync::Arc;

use super::model::{TapeCall, TapeCarrier, TapeExchange, TapeFrame, TapeMessage, TapeSession};
use crate::clock::Timestamp;
use crate::codec::envelope::{Envelope, Field, MessageKind, scan};
use crate::ids::{CallId, IdSource, ProxySessionId};
use crate::mcp::era;
use crate::recording::format::{RequestKind, SessionLine};
use crate::session::observation::CallRole;
use crate::session::pairing::{Carriage, Pairing};
use crate::snapshot::{Carrier, Direction, Era, SessionBasis};

/// Calls that may be open at once; further ones push the oldest out, whose answers are then strangers.
const MAX_OPEN: usize = 1 << 16;

/// A session whose messages were not found yet.
pub(super) struct Unpaired {
    pub(super) id: Option<ProxySessionId>,
    server: Arc<str>,
    basis: Option<SessionBasis>,
    pub(super) exchanges: Vec<TapeExchange>,
    /// Order in the file, exchange, frame.
    places: Vec<(u64, usize, usize)>,
    expected: HashMap<(usize, usize), u32>,
}

impl Unpaired {
    pub(super) fn of_line(line: &SessionLine) -> Self {
        Self {
            basis: Some(line.basis),
            ..Self::unknown(Some(line.session), line.server.as_str().into())
        }
    }

    pub(super) fn unknown(id: Option<ProxySessionId>, server: Arc<str>) -> Self {
        Self {
            id,
            server,
            basis: None,
            exchanges: Vec::new(),
            places: Vec::new(),
            expected: HashMap::new(),
        }
    }

    pub(super) fn add(&mut self, exchange: TapeExchange, orders: Vec<u64>, expected: Vec<Option<u32>>) {
        let place = self.exchanges.len();
        for (frame, (order, expected)) in orders.into_iter().zip(expected).enumerate() {
            self.places.push((order, place, frame));
            if let Some(expected) = expected {
                self.expected.insert((place, frame), expected);
            }
        }
        self.exchanges.push(exchange);
    }

    fn carrier(&self) -> TapeCarrier {
        let has = |carrier: Carrier| {
            let mut frames = self.exchanges.iter().flat_map(|exchange| &exchange.frames);
            frames.any(|frame| frame.carrier == carrier)
        };
        let is_run = |exchange: &TapeExchange| exchange.kind == RequestKind::Run;
        let endpoint =
            |frame: &TapeFrame| frame.sse.as_ref().and_then(|sse| sse.event.as_deref()) == Some("endpoint");
        if self.exchanges.iter().any(is_run) {
            TapeCarrier::Stdio
        } else if has(Carrier::WebSocket) {
            TapeCarrier::WebSocket
        } else if self.basis == Some(SessionBasis::SseEndpoint)
            || self
                .exchanges
                .iter()
                .flat_map(|exchange| &exchange.frames)
                .any(endpoint)
        {
            TapeCarrier::HttpSse
        } else if self
            .exchanges
            .iter()
            .any(|exchange| exchange.kind == RequestKind::Message)
        {
            TapeCarrier::StreamableHttp
        } else {
            TapeCarrier::PlainHttp
        }
    }
}

/// Finds messages and calls.
pub(super) fn session_of(mut unpaired: Unpaired) -> TapeSession {
    let carrier = unpaired.carrier();
    unpaired.places.sort_unstable();
    let mut pairs = Pairs::new(carrier, unpaired.exchanges.len());
    for (_, exchange, frame) in &unpaired.places {
        let expected = unpaired.expected.get(&(*exchange, *frame)).copied();
        pairs.frame((*exchange, *frame), &unpaired.exchanges[*exchange], expected);
    }
    let (era, revision) = facts(&pairs.messages, &unpaired.exchanges);
    TapeSession {
        id: unpaired.id,
        server: unpaired.server,
        basis: unpaired.basis,
        carrier,
        era,
        revision,
        exchanges: unpaired.exchanges,
        messages: pairs.messages,
        calls: pairs.calls,
    }
}

fn facts(messages: &[TapeMessage], exchanges: &[TapeExchange]) -> (Era, Option<String>) {
    let agreed = messages
        .iter()
        .find_map(|message| message.envelope.fields.get(Field::ResultProtocolVersion));
    let stated = messages
        .iter()
        .find_map(|message| era::stated_revision(&message.envelope));
    let headed = exchanges
        .iter()
        .find_map(|exchange| exchange.request_field("mcp-protocol-version"));
    let has_handshake = messages
        .iter()
        .any(|message| era::is_legacy_handshake(&message.envelope));
    let has_modern = messages.iter().any(|message| message.is_modern);
    let era = if has_modern && !has_handshake {
        Era::Modern
    } else {
        Era::Legacy
    };
    let revision = match era {
        Era::Modern => stated.or(headed),
        Era::Legacy => agreed.or(headed),
    };
    (era, revision.map(str::to_owned))
}

struct Pairs {
    pairing: Pairing,
    ids: IdSource,
    carrier: TapeCarrier,
    /// By exchange: whether a modern request was seen on it.
    is_modern: Vec<bool>,
    places: HashMap<CallId, usize>,
    /// Calls of the client that wait for their answers, oldest first.
    open: Vec<usize>,
    messages: Vec<TapeMessage>,
    calls: Vec<TapeCall>,
}

impl Pairs {
    fn new(carrier: TapeCarrier, exchanges: usize) -> Self {
        Self {
            pairing: Pairing::new(MAX_OPEN),
            ids: IdSource::default(),
            carrier,
            is_modern: vec![false; exchanges],
            places: HashMap::new(),
            open: Vec::new(),
            messages: Vec::new(),
            calls: Vec::new(),
        }
    }

    fn frame(&mut self, place: (usize, usize), exchange: &TapeExchange, expected: Option<u32>) {
        let frame = &exchange.frames[place.1];
        if expected == Some(0) || frame.is_fragment {
            return;
        }
        let scanned = scan(&frame.payload);
        if expected.is_none() && !scanned.is_json_rpc() {
            return;
        }
        for envelope in scanned.messages {
            self.message(place, exchange, frame, envelope);
        }
    }

    fn message(
        &mut self,
        place: (usize, usize),
        exchange: &TapeExchange,
        frame: &TapeFrame,
        envelope: Envelope,
    ) {
        let span = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(frame.payload.len());
        let text = frame
            .payload
            .slice(span(envelope.span.start)..span(envelope.span.end).max(span(envelope.span.start)));
        let is_modern = era::is_modern(&envelope) || self.is_of_modern_exchange(place.0, &envelope);
        let is_http = !matches!(self.carrier, TapeCarrier::Stdio | TapeCarrier::WebSocket);
        self.is_modern[place.0] |= is_modern && is_http;
        let carriage = Carriage {
            at: Timestamp::from_micros(u64::try_from(frame.done_us).unwrap_or(0)),
            direction: frame.direction,
            exchange: exchange.id,
            is_modern: is_modern && is_http,
        };
        let placement = self.pairing.place(carriage, &envelope, &self.ids);
        let mut role = placement.role;
        let mut call = placement.call.and_then(|call| self.places.get(&call).copied());
        if role == CallRole::Accompanies && self.is_shared() && is_matter_of_the_session(&envelope) {
            (call, role) = (None, CallRole::None);
        }
        if call.is_none() && self.accompanies(&envelope, frame.direction) {
            call = self.newest_open();
            role = call.map_or(CallRole::None, |_| CallRole::Accompanies);
        }
        if role == CallRole::Opens {
            call = Some(self.opens(placement.call, place.0, frame.direction, &envelope, is_modern));
        }
        let is_modern = call.map_or(is_modern, |call| self.calls[call].is_modern);
        self.messages.push(TapeMessage {
            exchange: place.0,
            frame: place.1,
            direction: frame.direction,
            us: frame.done_us,
            text,
            envelope,
            is_modern,
            call,
            role,
        });
        if let Some(call) = call {
            self.belongs(call, role, self.messages.len() - 1);
        }
    }

    fn is_of_modern_exchange(&self, exchange: usize, envelope: &Envelope) -> bool {
        self.is_modern[exchange] && !era::is_legacy_handshake(envelope)
    }

    /// Whether all calls of the session share one channel.
    fn is_shared(&self) -> bool {
        matches!(
            self.carrier,
            TapeCarrier::Stdio | TapeCarrier::WebSocket | TapeCarrier::HttpSse
        )
    }

    /// On a shared channel nothing tells to which call a log line belongs; that it came during it is the best guess.
    fn accompanies(&self, envelope: &Envelope, direction: Direction) -> bool {
        self.is_shared()
            && direction == Direction::ServerToClient
            && envelope.kind == MessageKind::Notification
            && !is_matter_of_the_session(envelope)
            && !matches!(
                envelope.method.as_deref(),
                Some("notifications/progress" | "notifications/cancelled")
            )
    }

    fn newest_open(&self) -> Option<usize> {
        self.open.last().copied()
    }

    fn opens(
        &mut self,
        id: Option<CallId>,
        exchange: usize,
        direction: Direction,
        envelope: &Envelope,
        is_modern: bool,
    ) -> usize {
        let place = self.calls.len();
        let request = self.messages.len();
        if let Some(id) = id {
            self.places.insert(id, place);
        }
        let method: Box<str> = envelope.method.as_deref().unwrap_or_default().into();
        let mut during = None;
        if direction == Direction::ServerToClient {
            during = self.during(exchange, envelope);
        } else if !matches!(&*method, "initialize" | "ping") {
            self.open.push(place);
        }
        self.calls.push(TapeCall {
            direction,
            method,
            is_modern,
            request,
            answer: None,
            between: Vec::new(),
            during,
            is_cancelled: false,
        });
        if let Some(during) = during {
            self.calls[during].between.push(request);
        }
        place
    }

    /// The call of the client that a request of the server is for: that of the same exchange, otherwise the newest.
    fn during(&self, exchange: usize, envelope: &Envelope) -> Option<usize> {
        let is_here = |call: &&usize| self.messages[self.calls[**call].request].exchange == exchange;
        let here = (!self.is_shared()).then(|| self.open.iter().rev().find(is_here).copied());
        let newest = self.newest_open().filter(|_| !is_matter_of_the_session(envelope));
        here.flatten().or(newest)
    }

    fn belongs(&mut self, place: usize, role: CallRole, message: usize) {
        match role {
            CallRole::Answers => {
                self.calls[place].answer = Some(message);
                self.open.retain(|open| *open != place);
                if let Some(during) = self.calls[place].during {
                    self.calls[during].between.push(message);
                }
            }
            CallRole::Cancels => {
                self.calls[place].between.push(message);
                self.calls[place].is_cancelled = true;
                self.open.retain(|open| *open != place);
            }
            CallRole::Progress | CallRole::Accompanies => self.calls[place].between.push(message),
            CallRole::Opens | CallRole::None => {}
        }
    }
}

/// What a server says or asks for the session as a whole, whatever else is under way.
fn is_matter_of_the_session(envelope: &Envelope) -> bool {
    matches!(
        envelope.method.as_deref(),
        Some(
            "notifications/tools/list_changed"
                | "notifications/prompts/list_changed"
                | "notifications/resources/list_changed"
                | "notifications/resources/updated"
                | "notifications/roots/list_changed"
                | "notifications/initialized"
                | "roots/list"
                | "ping"
        )
    )
}
