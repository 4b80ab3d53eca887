//! Traffic as the transport tells it, without a transport: what reaches the registry and the ledger, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use shadowcat::clock::Timestamp;
use shadowcat::codec::envelope::scan;
use shadowcat::ids::{ConnectionId, ExchangeId, IdSource, Side, StreamId};
use shadowcat::limits::ResourceLimits;
use shadowcat::resource::queue::Sequenced;
use shadowcat::session::ledger::Ledger;
use shadowcat::session::observation::{
    Event, ExchangeEnded, ExchangeKind, FrameObserved, Observation, ObservedHead, PlacedMessage,
    RequestObserved, ResponseObserved, SseObserved,
};
use shadowcat::session::pairing::Carriage;
use shadowcat::session::registry::{Registry, Session, SessionKey};
use shadowcat::snapshot::{Carrier, Direction, EndKind, SessionBasis, Timing};

/// Who is told what happens.
pub(crate) trait Watcher {
    fn take(&mut self, observation: Sequenced<Observation>);
}

impl Watcher for Ledger {
    fn take(&mut self, observation: Sequenced<Observation>) {
        self.apply(observation);
    }
}

impl Watcher for Vec<Observation> {
    fn take(&mut self, observation: Sequenced<Observation>) {
        self.push(observation.item);
    }
}

/// A registry, a watcher, and the traffic that they see. Every step takes a millisecond.
pub(crate) struct Feed<W> {
    pub(crate) watcher: W,
    pub(crate) registry: Registry,
    ids: Ids,
    now: Timestamp,
    seq: u64,
    server: Arc<str>,
    address: Arc<str>,
}

#[derive(Default)]
struct Ids {
    exchanges: IdSource,
    streams: IdSource,
    calls: IdSource,
}

/// One exchange of a session.
pub(crate) struct Carried {
    session: Arc<Session>,
    exchange: ExchangeId,
    stream: Option<StreamId>,
}

impl<W: Watcher> Feed<W> {
    pub(crate) fn new(limits: &ResourceLimits, watcher: W) -> Self {
        Self {
            watcher,
            registry: Registry::new(limits),
            ids: Ids::default(),
            now: Timestamp::from_micros(1_000_000),
            seq: 0,
            server: "everything".into(),
            address: "127.0.0.1".into(),
        }
    }

    fn tell(&mut self, event: Event) {
        self.now = self.now.plus(Duration::from_millis(1));
        self.seq += 1;
        let item = Observation { at: self.now, event };
        self.watcher.take(Sequenced { seq: self.seq, item });
    }

    fn session(&mut self, number: usize) -> Arc<Session> {
        let key = SessionKey::Header {
            server: Arc::clone(&self.server),
            id: format!("1868a90c-7d2c-4e4d-b3f1-{number:012x}").into(),
        };
        let basis = SessionBasis::SessionHeader;
        let found = self
            .registry
            .find_or_open(Side::Reverse, key, basis, &self.address, self.now);
        if found.is_new {
            self.tell(Event::Session(Box::new(found.session.opened.clone())));
        }
        found.session
    }

    /// A session begins: the handshake.
    pub(crate) fn open(&mut self, number: usize) {
        let session = self.session(number);
        let carried = self.post(&session);
        self.asks(&carried, r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{"roots":{}},"clientInfo":{"name":"inspector","version":"0.17.2"}}}"#);
        self.respond(&carried, "application/json");
        self.answers(&carried, r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"everything","version":"1.0.0"}}}"#);
        self.end(&carried);
    }

    /// A call and its answer, each of about 100 bytes and `text` more.
    pub(crate) fn call(&mut self, session: usize, id: usize, text: usize) {
        let session = self.session(session);
        let carried = self.post(&session);
        let text = "x".repeat(text);
        let id = id + 1;
        self.asks(&carried, &format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"{text}"}},"_meta":{{"progressToken":{id}}}}}}}"#));
        self.respond(&carried, "application/json");
        self.answers(
            &carried,
            &format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#
            ),
        );
        self.end(&carried);
    }

    /// A call whose exchange goes on and that reports progress.
    pub(crate) fn unanswered_call(&mut self, session: usize, id: usize) {
        let session = self.session(session);
        let mut carried = self.post(&session);
        let id = id + 1;
        self.asks(&carried, &format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"slow","_meta":{{"progressToken":"token-{id}"}}}}}}"#));
        carried.stream = Some(StreamId::from(self.ids.streams.next()));
        self.respond(&carried, "text/event-stream");
        self.answers(&carried, &format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":"token-{id}","progress":1,"total":10}}}}"#));
    }

    /// An SSE stream with `events` events, left open.
    pub(crate) fn stream(&mut self, session: usize, events: usize) -> Carried {
        let session = self.session(session);
        let mut carried = self.request(&session, ExchangeKind::Http, "GET");
        carried.stream = Some(StreamId::from(self.ids.streams.next()));
        self.respond(&carried, "text/event-stream");
        for number in 0..events {
            self.event(&carried, number);
        }
        carried
    }

    fn event(&mut self, carried: &Carried, number: usize) {
        let data = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":"line {number} of the log"}}}}"#
        );
        let mut frame = self.frame(carried, Direction::ServerToClient, &data);
        frame.sse = Some(SseObserved {
            event: Some("message".into()),
            id: Some(format!("stream-1_{number}").into()),
            ..SseObserved::default()
        });
        let wire = exact(format!("event: message\nid: stream-1_{number}\ndata: {data}\n\n"));
        frame.payload = wire.slice(wire.len() - 2 - data.len()..wire.len() - 2);
        frame.size = wire.len() as u64;
        frame.wire = wire;
        frame.carrier = Carrier::Sse;
        frame.stream = carried.stream;
        let id = frame.sse.as_ref().unwrap().id.clone().unwrap();
        carried
            .session
            .talk()
            .events
            .remember(&id, carried.exchange, self.now);
        self.tell(Event::Frame(Arc::new(frame)));
    }

    fn post(&mut self, session: &Arc<Session>) -> Carried {
        self.request(session, ExchangeKind::Message, "POST")
    }

    fn request(&mut self, session: &Arc<Session>, kind: ExchangeKind, method: &str) -> Carried {
        let exchange = ExchangeId::from(self.ids.exchanges.next());
        self.tell(Event::Request(Box::new(
            self.request_observed(session, exchange, kind, method),
        )));
        Carried {
            session: Arc::clone(session),
            exchange,
            stream: None,
        }
    }

    fn request_observed(
        &self,
        session: &Session,
        exchange: ExchangeId,
        kind: ExchangeKind,
        method: &str,
    ) -> RequestObserved {
        let head = format!(
            "{method} /mcp HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: node\r\nAccept: application/json, text/event-stream\r\nAccept-Language: *\r\nSec-Fetch-Mode: cors\r\nAccept-Encoding: gzip, deflate\r\nMcp-Protocol-Version: 2025-06-18\r\nMcp-Session-Id: 1868a90c-7d2c-4e4d-b3f1-000000000000\r\nContent-Type: application/json\r\nContent-Length: 104\r\n\r\n"
        );
        RequestObserved {
            exchange,
            connection: ConnectionId::new(1).unwrap(),
            client: "127.0.0.1:50000".to_owned(),
            side: Side::Reverse,
            server: Arc::clone(&self.server),
            session: Some(session.id),
            kind,
            method: method.to_owned(),
            target: "/mcp".to_owned(),
            head: ObservedHead::Raw(exact(head)),
            rewrites: vec!["Host: 127.0.0.1:8080 → 127.0.0.1:3001".to_owned()],
            sent: None,
            resumes: None,
        }
    }

    fn respond(&mut self, carried: &Carried, media_type: &str) {
        let head = format!(
            "HTTP/1.1 200 OK\r\nX-Powered-By: Express\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: {media_type}\r\nMcp-Session-Id: 1868a90c-7d2c-4e4d-b3f1-000000000000\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        self.tell(Event::Response(Box::new(ResponseObserved {
            exchange: carried.exchange,
            session: Some(carried.session.id),
            status: 200,
            head: ObservedHead::Raw(exact(head)),
            is_ours: false,
            stream: carried.stream,
            media_type: Some(media_type.to_owned()),
            rewrites: Vec::new(),
            sent: None,
        })));
    }

    fn asks(&mut self, carried: &Carried, body: &str) {
        let frame = self.frame(carried, Direction::ClientToServer, body);
        self.tell(Event::Frame(Arc::new(frame)));
    }

    fn answers(&mut self, carried: &Carried, body: &str) {
        let frame = self.frame(carried, Direction::ServerToClient, body);
        self.tell(Event::Frame(Arc::new(frame)));
    }

    fn frame(&mut self, carried: &Carried, direction: Direction, body: &str) -> FrameObserved {
        let placed = |envelope| {
            let carriage = Carriage {
                at: self.now,
                direction,
                exchange: carried.exchange,
                is_modern: false,
            };
            let placement = carried
                .session
                .talk()
                .pairing
                .place(carriage, &envelope, &self.ids.calls);
            PlacedMessage { envelope, placement }
        };
        let messages = scan(body.as_bytes()).messages.into_iter().map(placed).collect();
        let payload = Bytes::copy_from_slice(body.as_bytes());
        FrameObserved {
            exchange: carried.exchange,
            session: Some(carried.session.id),
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

    fn end(&mut self, carried: &Carried) {
        carried.session.talk().pairing.end_exchange(carried.exchange);
        self.tell(Event::ExchangeEnd(Box::new(ExchangeEnded {
            exchange: carried.exchange,
            session: Some(carried.session.id),
            request_end: EndKind::Complete,
            response_end: EndKind::Complete,
            failure: None,
            our_status: None,
            timing: Timing {
                started: self.now,
                ..Timing::default()
            },
            request_bytes: 0,
            response_bytes: 0,
        })));
    }
}

/// Bytes without room to spare.
fn exact(text: String) -> Bytes {
    Bytes::from(text.into_bytes().into_boxed_slice())
}
