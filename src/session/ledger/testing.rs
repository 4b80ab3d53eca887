//! Traffic for tests: observations as a transport makes them, paired by the real pairing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Ledger;
use crate::clock::Timestamp;
use crate::codec::envelope::scan;
use crate::ids::{ConnectionId, ExchangeId, IdSource, MessageId, ProxySessionId, Side, StreamId};
use crate::limits::ResourceLimits;
use crate::resource::queue::Sequenced;
use crate::session::history::{BodyLocator, History as _, HistoryView};
use crate::session::observation::{
    Event, ExchangeEnded, ExchangeKind, FrameObserved, Observation, ObservedHead, PlacedMessage,
    RequestObserved, ResponseObserved, SessionOpened, SseObserved,
};
use crate::session::pairing::{Carriage, Pairing};
use crate::snapshot::{Carrier, Direction, EndKind, Head, MessageRow, RowState, SessionBasis, Timing};

/// A client, a server and the ledger that watches them. Every step takes a millisecond.
pub(crate) struct Talk {
    pub(crate) ledger: Ledger,
    pub(crate) now: Timestamp,
    pub(crate) session: Option<ProxySessionId>,
    pub(crate) is_modern: bool,
    pub(crate) locator: Option<BodyLocator>,
    pairing: Pairing,
    ids: IdSource,
    seq: u64,
}

pub(crate) fn exchange(number: u64) -> ExchangeId {
    ExchangeId::new(number).unwrap()
}

pub(crate) fn message_id(number: u64) -> MessageId {
    MessageId::new(number).unwrap()
}

pub(crate) fn session_id(text: &str) -> ProxySessionId {
    text.parse().unwrap()
}

/// An SSE block with this event name, id and retry.
pub(crate) fn block(event: Option<&str>, id: Option<&str>, retry: Option<u64>) -> SseObserved {
    SseObserved {
        event: event.map(|name| name.to_owned().into()),
        id: id.map(Into::into),
        retry,
        comments: 0,
    }
}

pub(crate) fn call(id: u64, tool: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","_meta":{{"progressToken":{id}}}}}}}"#
    )
}

pub(crate) fn result(id: u64) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[]}}}}"#)
}

impl Default for Talk {
    fn default() -> Self {
        Self::within(&ResourceLimits::default())
    }
}

impl Talk {
    /// A talk of the modern era.
    pub(crate) fn modern() -> Self {
        Self {
            is_modern: true,
            ..Self::default()
        }
    }

    /// A talk in the session R1.
    pub(crate) fn within(limits: &ResourceLimits) -> Self {
        let mut talk = Self {
            ledger: Ledger::new(limits),
            now: Timestamp::from_micros(1_000_000),
            session: None,
            is_modern: false,
            locator: None,
            pairing: Pairing::new(limits.max_open_calls * 4),
            ids: IdSource::default(),
            seq: 0,
        };
        talk.enter("R1");
        talk
    }

    pub(crate) fn enter(&mut self, session: &str) {
        self.open(session, SessionBasis::SessionHeader);
    }

    pub(crate) fn open(&mut self, session: &str, basis: SessionBasis) {
        let id = session_id(session);
        self.session = Some(id);
        self.tell(Event::Session(Box::new(SessionOpened {
            id,
            server: "everything".into(),
            basis,
            client: "127.0.0.1".into(),
        })));
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.now = self.now.plus(Duration::from_millis(1));
        self.seq += 1;
        let item = Observation { at: self.now, event };
        self.ledger
            .apply_located(Sequenced { seq: self.seq, item }, self.locator);
    }

    pub(crate) fn request(&mut self, number: u64, kind: ExchangeKind, method: &str, target: &str) {
        self.request_with(number, kind, method, target, ("Content-Type", "application/json"));
    }

    /// A request whose head has this one field.
    pub(crate) fn request_with(
        &mut self,
        number: u64,
        kind: ExchangeKind,
        method: &str,
        target: &str,
        (name, value): (&str, &str),
    ) {
        let head = Head {
            line: format!("{method} {target} HTTP/1.1"),
            fields: vec![(name.to_owned(), value.to_owned())],
        };
        self.tell(Event::Request(Box::new(RequestObserved {
            exchange: exchange(number),
            connection: ConnectionId::new(1).unwrap(),
            client: "127.0.0.1:50000".to_owned(),
            side: self.session.map_or(Side::Reverse, ProxySessionId::side),
            server: "everything".into(),
            session: self.session,
            kind,
            method: method.to_owned(),
            target: target.to_owned(),
            head: ObservedHead::Fields(Box::new(head)),
            rewrites: Vec::new(),
            sent: None,
            resumes: None,
        })));
    }

    pub(crate) fn post(&mut self, number: u64) {
        self.request(number, ExchangeKind::Message, "POST", "/mcp");
    }

    pub(crate) fn respond(&mut self, number: u64, status: u16, stream: Option<u64>) {
        let media_type = if stream.is_some() {
            "text/event-stream"
        } else {
            "application/json"
        };
        self.respond_with(number, status, stream, media_type, false);
    }

    pub(crate) fn respond_with(
        &mut self,
        number: u64,
        status: u16,
        stream: Option<u64>,
        media_type: &str,
        is_ours: bool,
    ) {
        let head = Head {
            line: format!("HTTP/1.1 {status}"),
            fields: Vec::new(),
        };
        self.tell(Event::Response(Box::new(ResponseObserved {
            exchange: exchange(number),
            session: self.session,
            status,
            head: ObservedHead::Fields(Box::new(head)),
            is_ours,
            stream: stream.and_then(StreamId::new),
            media_type: Some(media_type.to_owned()),
            rewrites: Vec::new(),
            sent: None,
        })));
    }

    /// A whole body from the client.
    pub(crate) fn asks(&mut self, number: u64, body: &str) {
        let frame = self.frame(number, Direction::ClientToServer, body);
        self.tell(Event::Frame(Arc::new(frame)));
    }

    /// A whole body from the server.
    pub(crate) fn answers(&mut self, number: u64, body: &str) {
        let frame = self.frame(number, Direction::ServerToClient, body);
        self.tell(Event::Frame(Arc::new(frame)));
    }

    /// A `message` event.
    pub(crate) fn sends(&mut self, number: u64, stream: u64, data: &str) {
        self.sends_block(number, stream, block(Some("message"), None, None), data);
    }

    pub(crate) fn sends_block(&mut self, number: u64, stream: u64, sse: SseObserved, data: &str) {
        let mut frame = self.frame(number, Direction::ServerToClient, data);
        let wire = if sse.event.is_some() {
            format!("data: {data}\n\n")
        } else {
            format!(": {data}\n\n")
        };
        frame.wire = Bytes::from(wire.into_bytes());
        frame.size = frame.wire.len() as u64;
        frame.carrier = Carrier::Sse;
        frame.stream = StreamId::new(stream);
        frame.sse = Some(sse);
        self.tell(Event::Frame(Arc::new(frame)));
    }

    pub(crate) fn frame(&mut self, number: u64, direction: Direction, body: &str) -> FrameObserved {
        let messages = scan(body.as_bytes()).messages.into_iter();
        let messages = messages.map(|envelope| {
            let carriage = Carriage {
                at: self.now,
                direction,
                exchange: exchange(number),
                is_modern: self.is_modern,
            };
            let placement = self.pairing.place(carriage, &envelope, &self.ids);
            PlacedMessage { envelope, placement }
        });
        let messages = messages.collect();
        let payload = Bytes::copy_from_slice(body.as_bytes());
        FrameObserved {
            exchange: exchange(number),
            session: self.session,
            stream: None,
            direction,
            carrier: Carrier::Http,
            frame: 0,
            parts: 0,
            wire: payload.clone(),
            size: payload.len() as u64,
            payload_size: payload.len() as u64,
            payload,
            is_cut: false,
            is_fragment: false,
            coding: None,
            sse: None,
            messages,
            unreadable: None,
            is_synthetic: false,
            is_injected: false,
        }
    }

    pub(crate) fn end(&mut self, number: u64) {
        self.end_with(number, EndKind::Complete, None);
    }

    /// The end of an exchange whose body bytes came in no frame.
    pub(crate) fn end_after(&mut self, number: u64, request_bytes: u64, response_bytes: u64) {
        let mut end = self.ended(number, EndKind::Complete, None);
        end.request_bytes = request_bytes;
        end.response_bytes = response_bytes;
        self.tell(Event::ExchangeEnd(Box::new(end)));
    }

    pub(crate) fn end_with(&mut self, number: u64, response_end: EndKind, our_status: Option<u16>) {
        let end = self.ended(number, response_end, our_status);
        self.tell(Event::ExchangeEnd(Box::new(end)));
    }

    fn ended(&self, number: u64, response_end: EndKind, our_status: Option<u16>) -> ExchangeEnded {
        let failure = our_status.map(|_| "everything refused the connection".to_owned());
        ExchangeEnded {
            exchange: exchange(number),
            session: self.session,
            request_end: EndKind::Complete,
            response_end,
            failure,
            our_status,
            timing: Timing {
                started: self.now,
                ..Timing::default()
            },
            request_bytes: 0,
            response_bytes: 0,
        }
    }

    /// A whole exchange: a call and its answer.
    pub(crate) fn round_trip(&mut self, number: u64, tool: &str) {
        self.post(number);
        self.asks(number, &call(number, tool));
        self.respond(number, 200, None);
        self.answers(number, &result(number));
        self.end(number);
    }

    pub(crate) fn view(&mut self) -> Arc<HistoryView> {
        self.ledger.publish()
    }

    pub(crate) fn rows(&mut self) -> Vec<MessageRow> {
        self.view().rows_from(0).map(|row| row.to_message_row()).collect()
    }

    pub(crate) fn row(&mut self, number: u64) -> MessageRow {
        self.view()
            .find(message_id(number))
            .map(|row| row.to_message_row())
            .unwrap()
    }

    pub(crate) fn state(&mut self, number: u64) -> RowState {
        self.row(number).state
    }
}
