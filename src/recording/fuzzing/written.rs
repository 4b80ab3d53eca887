//! Recordings of traffic that is made up: what is written is read as it was.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::{PATH, open, reader};
use crate::clock::Timestamp;
use crate::codec::envelope::scan;
use crate::codec::event::SseEvent;
use crate::codec::lines::line_content;
use crate::fuzzing::Draw;
use crate::ids::{ConnectionId, ExchangeId, ProxySessionId, SessionId, Side, StreamId};
use crate::intercept::hold::{Actor, Effect, Ending as HoldEnding};
use crate::limits::ResourceLimits;
use crate::recording::encode::{Encoder, Ending};
use crate::recording::load::Loader;
use crate::recording::reader::RecordingReader;
use crate::recording::redact::Tagger;
use crate::recording::verify::verify;
use crate::session::observation::{
    Event, ExchangeEnded, ExchangeKind, FrameObserved, FramePart, Observation, ObservedHead, PlacedMessage,
    Placement, RequestObserved, ResponseObserved, RewrittenObserved, SessionOpened, SseObserved,
    VerdictObserved,
};
use crate::snapshot::{Carrier, Direction, EndKind, Finding, Head, SentHead, SessionBasis, Severity, Timing};

/// When the recordings were begun.
const CREATED: Timestamp = Timestamp::from_micros(1_795_407_783_123_456);

/// Exchanges that may be open at once.
const MAX_EXCHANGES: usize = 1000;

const DIRECTIONS: [Direction; 2] = [Direction::ClientToServer, Direction::ServerToClient];

/// The recording that becomes of `observations`, whole.
pub(crate) fn encoded(created: Timestamp, observations: &[Observation], tagger: Option<Tagger>) -> Vec<u8> {
    let mut encoder = Encoder::new(created, tagger, MAX_EXCHANGES);
    let mut file = Vec::new();
    encoder.header(&mut file);
    for observation in observations {
        encoder.observation(observation.clone(), &mut file);
    }
    let ending = Ending {
        lines: memchr::memchr_iter(b'\n', &file).count() as u64,
        bytes: file.len() as u64,
        lost: 0,
        continued_by: None,
    };
    encoder.end(created, ending, &mut file);
    file
}

/// Traffic that is recorded is whole, and read as it was; without its secrets it is whole too.
pub(crate) fn write_read(bytes: &[u8]) {
    let traffic = Traffic::drawn(&mut Draw::new(bytes));
    let file = encoded(CREATED, &traffic.told, None);
    is_whole(&file);
    let reader = match reader(&file) {
        Ok(reader) => reader,
        Err(error) => panic!("it was just written: {error}"),
    };
    let mut loader = Loader::new(reader, &ResourceLimits::default(), |_| Placement::default());
    let found: Vec<Observation> = loader.by_ref().map(|loaded| loaded.observation.item).collect();
    assert_eq!(loader.damage(), [""; 0]);
    for (found, expected) in found.iter().zip(&traffic.expected) {
        assert_eq!(format!("{found:#?}"), format!("{expected:#?}"));
    }
    assert_eq!(found.len(), traffic.expected.len());
    let redacted = encoded(CREATED, &traffic.told, Some(Tagger::fixed()));
    is_whole(&redacted);
    let lines = |file: &[u8]| memchr::memchr_iter(b'\n', file).count();
    assert_eq!(lines(&redacted), lines(&file));
}

fn is_whole(file: &[u8]) {
    let path = Path::new(PATH);
    match verify(open(file), path) {
        Ok(verified) => assert_eq!(verified.problems, []),
        Err(error) => panic!("{error}"),
    }
    assert!(
        RecordingReader::new(BufReader::new(open(file)), path)
            .is_ok_and(|mut reader| reader.all(|line| line.is_ok()))
    );
}

/// An exchange that is under way.
#[derive(Default)]
struct Open {
    has_response: bool,
    /// Numbers of the next frames: of the request, of the response, of error output.
    frames: [u32; 3],
}

#[derive(Default)]
struct Traffic {
    us: u64,
    sessions: Vec<ProxySessionId>,
    exchanges: u64,
    open: BTreeMap<ExchangeId, Open>,
    /// What the recorder hears.
    told: Vec<Observation>,
    /// What a loader makes of its file.
    expected: Vec<Observation>,
}

impl Traffic {
    fn drawn(draw: &mut Draw<'_>) -> Self {
        let mut traffic = Self::default();
        while !draw.is_over() {
            traffic.us += u64::from(draw.byte());
            let exchange = traffic.some_open(draw);
            match (draw.byte() % 9, exchange) {
                (0, _) => traffic.session(draw),
                (1 | 2, _) | (_, None) => traffic.request(draw),
                (3, Some(exchange)) => traffic.response(exchange, draw),
                (4, Some(exchange)) => traffic.remark(exchange, draw),
                (5, Some(exchange)) => traffic.verdict(exchange, draw),
                (6, Some(exchange)) => traffic.end(exchange, draw),
                (_, Some(exchange)) => traffic.frame(exchange, draw),
            }
        }
        let left: Vec<ExchangeId> = traffic.open.keys().copied().collect();
        for exchange in left {
            traffic.end(exchange, draw);
        }
        for session in std::mem::take(&mut traffic.sessions) {
            let reason = "the client deleted it";
            traffic.tell(Event::SessionEnded { session, reason });
        }
        traffic
    }

    fn tell(&mut self, event: Event) {
        self.hear(event.clone());
        let at = self.at(0);
        self.expected.push(Observation { at, event });
    }

    fn hear(&mut self, event: Event) {
        let at = self.at(0);
        self.told.push(Observation { at, event });
    }

    fn at(&self, later: u64) -> Timestamp {
        Timestamp::from_micros(CREATED.as_micros() + self.us + later)
    }

    fn some_open(&self, draw: &mut Draw<'_>) -> Option<ExchangeId> {
        let place = usize::from(draw.byte()) % self.open.len().max(1);
        self.open.keys().nth(place).copied()
    }

    fn some_session(&self, draw: &mut Draw<'_>) -> Option<ProxySessionId> {
        let place = usize::from(draw.byte()) % (self.sessions.len() + 1);
        self.sessions.get(place).copied()
    }

    fn session(&mut self, draw: &mut Draw<'_>) {
        let number = SessionId::from(NonZeroU64::MIN.saturating_add(u64::from(draw.byte() % 4)));
        let id = ProxySessionId::on(draw.pick(&[Side::Reverse, Side::Forward]), number);
        if self.sessions.contains(&id) {
            return;
        }
        self.sessions.push(id);
        self.tell(Event::Session(Box::new(SessionOpened {
            id,
            server: draw.text(20).into(),
            basis: draw.pick(&[
                SessionBasis::SessionHeader,
                SessionBasis::Inferred,
                SessionBasis::Process,
            ]),
            client: draw.text(20).into(),
        })));
    }

    fn request(&mut self, draw: &mut Draw<'_>) {
        let exchange = ExchangeId::from(NonZeroU64::MIN.saturating_add(self.exchanges));
        self.exchanges += 1;
        self.open.insert(exchange, Open::default());
        let session = self.some_session(draw);
        self.tell(Event::Request(Box::new(RequestObserved {
            exchange,
            connection: ConnectionId::from(NonZeroU64::MIN.saturating_add(u64::from(draw.byte()))),
            client: draw.text(20),
            side: draw.pick(&[Side::Reverse, Side::Forward]),
            server: draw.text(20).into(),
            session,
            kind: draw.pick(&[ExchangeKind::Message, ExchangeKind::Http]),
            method: draw.text(8),
            target: draw.text(60),
            head: head(draw),
            rewrites: texts(draw),
            sent: sent(draw),
            resumes: draw.is().then(|| draw.text(9)),
        })));
    }

    fn response(&mut self, exchange: ExchangeId, draw: &mut Draw<'_>) {
        let open = self.open.entry(exchange).or_default();
        if std::mem::replace(&mut open.has_response, true) {
            return;
        }
        let session = self.some_session(draw);
        self.tell(Event::Response(Box::new(ResponseObserved {
            exchange,
            session,
            status: u16::from_be_bytes([draw.byte(), draw.byte()]),
            head: head(draw),
            is_ours: draw.is(),
            stream: draw.is().then(|| stream(draw)),
            media_type: draw.is().then(|| draw.text(30)),
            rewrites: texts(draw),
            sent: sent(draw),
        })));
    }

    fn remark(&mut self, exchange: ExchangeId, draw: &mut Draw<'_>) {
        let session = self.some_session(draw);
        self.tell(Event::Rewritten(Box::new(RewrittenObserved {
            exchange,
            session,
            direction: draw.pick(&DIRECTIONS),
            rewrites: texts(draw),
            sent: sent(draw),
            findings: texts(draw)
                .into_iter()
                .map(|text| Finding {
                    severity: Severity::Warning,
                    text,
                })
                .collect(),
        })));
    }

    fn verdict(&mut self, exchange: ExchangeId, draw: &mut Draw<'_>) {
        let session = self.some_session(draw);
        self.tell(Event::Verdict(Box::new(VerdictObserved {
            exchange,
            session,
            direction: draw.pick(&DIRECTIONS),
            frame: u32::from(draw.byte()),
            batch: draw.is().then_some((1, 2)),
            hold: None,
            rule: draw.text(20).into(),
            ending: draw.pick(&[None, Some(HoldEnding::Edited), Some(HoldEnding::Dropped)]),
            effect: draw.pick(&[None, Some(Effect::Delayed)]),
            actor: draw.pick(&[Actor::Key, Actor::Rule, Actor::Peer]),
            held_for: Duration::from_micros(u64::from(draw.byte())),
            sent: draw.is().then(|| Bytes::from(draw.text(60))),
        })));
    }

    fn end(&mut self, exchange: ExchangeId, draw: &mut Draw<'_>) {
        self.open.remove(&exchange);
        let kinds = [EndKind::Complete, EndKind::ClientAborted, EndKind::Unwatched];
        let session = self.some_session(draw);
        let timing = Timing {
            started: self.at(0),
            request_done: draw.is().then(|| self.at(1)),
            connect: draw.is().then_some(Duration::from_micros(77)),
            done: Some(self.at(9)),
            ..Timing::default()
        };
        self.tell(Event::ExchangeEnd(Box::new(ExchangeEnded {
            exchange,
            session,
            request_end: draw.pick(&kinds),
            response_end: draw.pick(&kinds),
            failure: draw.is().then(|| draw.text(20)),
            our_status: draw.is().then_some(502),
            timing,
            request_bytes: u64::from(draw.byte()),
            response_bytes: u64::from(draw.byte()),
        })));
    }

    /// A frame, perhaps in parts, which a loader puts together.
    fn frame(&mut self, exchange: ExchangeId, draw: &mut Draw<'_>) {
        let carriers = [
            Carrier::Http,
            Carrier::Sse,
            Carrier::Stdio,
            Carrier::WebSocket,
            Carrier::Stderr,
            Carrier::Tunnel,
        ];
        let (mut direction, carrier) = (draw.pick(&DIRECTIONS), draw.pick(&carriers));
        let place = match (direction, carrier) {
            (_, Carrier::Stderr) => 2,
            (Direction::ClientToServer, _) => 0,
            (Direction::ServerToClient, _) => 1,
        };
        if carrier == Carrier::Stderr {
            direction = Direction::ServerToClient;
        }
        let open = self.open.entry(exchange).or_default();
        let number = open.frames[place];
        open.frames[place] += 1;
        let coding = draw.is().then_some("gzip");
        let parts: Vec<&[u8]> = (0..draw.byte() % 4).map(|_| draw.bytes(90)).collect();
        let session = self.some_session(draw);
        for (part, bytes) in (0..).zip(&parts) {
            self.hear(Event::Part(FramePart {
                exchange,
                session,
                direction,
                carrier,
                frame: number,
                part,
                bytes: Bytes::copy_from_slice(bytes),
                coding: coding.map(Into::into),
            }));
        }
        let count = u32::try_from(parts.len()).unwrap_or(0);
        let wire = if parts.is_empty() {
            draw.bytes(255).to_vec()
        } else {
            parts.concat()
        };
        let mut frame = observed(&Bytes::from(wire), carrier, number);
        frame.exchange = exchange;
        frame.session = session;
        frame.direction = direction;
        frame.parts = count;
        frame.coding = coding.map(Into::into);
        frame.is_fragment = draw.is();
        frame.is_synthetic = draw.is();
        frame.is_injected = draw.is();
        frame.stream = (carrier == Carrier::Sse).then(|| stream(draw));
        frame.unreadable = draw.is().then(|| draw.text(9));
        self.tell(Event::Frame(std::sync::Arc::new(frame)));
    }
}

/// A head of HTTP/1 byte for byte, or fields.
fn head(draw: &mut Draw<'_>) -> ObservedHead {
    if draw.is() {
        return ObservedHead::Raw(Bytes::copy_from_slice(draw.bytes(120)));
    }
    let line = draw.text(30);
    let fields = (0..draw.byte() % 4).map(|_| (draw.text(20), draw.text(30)));
    ObservedHead::Fields(Box::new(Head {
        fields: fields.collect(),
        line,
    }))
}

fn texts(draw: &mut Draw<'_>) -> Vec<String> {
    (0..draw.byte() % 3).map(|_| draw.text(20)).collect()
}

fn sent(draw: &mut Draw<'_>) -> Option<Box<SentHead>> {
    draw.is().then(|| {
        Box::new(SentHead {
            line: draw.is().then(|| draw.text(20)),
            removed: texts(draw),
            set: texts(draw)
                .into_iter()
                .map(|name| (name, draw.text(20)))
                .collect(),
            configured: texts(draw),
        })
    })
}

fn stream(draw: &mut Draw<'_>) -> StreamId {
    StreamId::from(NonZeroU64::MIN.saturating_add(u64::from(draw.byte())))
}

/// What the transport tells of a frame.
fn observed(wire: &Bytes, carrier: Carrier, number: u32) -> FrameObserved {
    let (payload, sse) = match carrier {
        Carrier::Sse => {
            let block = SseEvent::parse(wire, number == 0);
            let sse = SseObserved {
                event: block.event.as_ref().map(|event| event.name.clone()),
                id: block.id.map(Into::into),
                retry: block.retry,
                comments: block.comments,
            };
            let payload = match (block.data_line, block.event) {
                (Some(range), _) => wire.slice(range),
                (None, Some(event)) => event.data.into(),
                (None, None) => Bytes::new(),
            };
            (payload, Some(sse))
        }
        Carrier::Stdio | Carrier::Stderr => (wire.slice(..line_content(wire).len()), None),
        _ => (wire.clone(), None),
    };
    let messages = match carrier {
        Carrier::Stderr | Carrier::Tunnel => Vec::new(),
        _ => scan(&payload).messages,
    };
    let placed = |envelope| PlacedMessage {
        envelope,
        placement: Placement::default(),
    };
    FrameObserved {
        exchange: ExchangeId::from(NonZeroU64::MIN),
        session: None,
        stream: None,
        direction: Direction::ClientToServer,
        carrier,
        frame: number,
        parts: 0,
        size: wire.len() as u64,
        payload_size: payload.len() as u64,
        wire: wire.clone(),
        is_cut: false,
        is_fragment: false,
        coding: None,
        sse,
        messages: messages.into_iter().map(placed).collect(),
        unreadable: None,
        is_synthetic: false,
        is_injected: false,
        payload,
    }
}
