//! Observations as the transport makes them.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::codec::envelope::scan;
use crate::codec::event::SseEvent;
use crate::ids::{ConnectionId, ExchangeId, ProxySessionId, SessionId, Side, StreamId};
use crate::limits::ResourceLimits;
use crate::recording::encode::Encoder;
use crate::recording::redact::Tagger;
use crate::recording::{Loaded, Loader, RecordingReader};
use crate::session::observation::{
    Event, ExchangeEnded, ExchangeKind, FrameObserved, FramePart, Observation, ObservedHead, PlacedMessage,
    Placement, RequestObserved, ResponseObserved, SessionOpened, SseObserved,
};
use crate::snapshot::{Carrier, Direction, EndKind, Head, SessionBasis, Timing};

/// When the recordings of these tests were begun.
pub(super) const CREATED: Timestamp = Timestamp::from_micros(1_795_407_783_123_456);

pub(super) fn at(us: u64) -> Timestamp {
    Timestamp::from_micros(CREATED.as_micros() + us)
}

pub(super) fn exchange(number: u64) -> ExchangeId {
    ExchangeId::new(number).unwrap()
}

pub(super) fn session() -> ProxySessionId {
    ProxySessionId::Reverse(SessionId::new(1).unwrap())
}

pub(super) fn observe(us: u64, event: Event) -> Observation {
    Observation { at: at(us), event }
}

pub(super) fn opened() -> Event {
    Event::Session(Box::new(SessionOpened {
        id: session(),
        server: "everything".into(),
        basis: SessionBasis::SessionHeader,
        client: "127.0.0.1".into(),
    }))
}

pub(super) fn request(number: u64, head: &str) -> Event {
    let mut words = head.split(' ');
    Event::Request(Box::new(RequestObserved {
        exchange: exchange(number),
        connection: ConnectionId::new(1).unwrap(),
        client: "127.0.0.1:50000".to_owned(),
        side: Side::Reverse,
        server: "everything".into(),
        session: Some(session()),
        kind: ExchangeKind::Message,
        method: words.next().unwrap().to_owned(),
        target: words.next().unwrap().to_owned(),
        head: ObservedHead::Raw(Bytes::copy_from_slice(head.as_bytes())),
        rewrites: vec!["Host: a \u{2192} b".to_owned()],
        sent: None,
        resumes: None,
    }))
}

pub(super) fn response(number: u64, fields: &[(&str, &str)], stream: Option<u64>) -> Event {
    let field = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Event::Response(Box::new(ResponseObserved {
        exchange: exchange(number),
        session: Some(session()),
        status: 200,
        head: ObservedHead::Fields(Box::new(Head {
            line: "HTTP/2 200".to_owned(),
            fields: fields.iter().map(field).collect(),
        })),
        is_ours: false,
        stream: stream.and_then(StreamId::new),
        media_type: fields
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .map(|(_, value)| (*value).to_owned()),
        rewrites: Vec::new(),
        sent: None,
    }))
}

/// A body or event, whole.
pub(super) fn frame(
    number: u64,
    direction: Direction,
    carrier: Carrier,
    index: u32,
    wire: &[u8],
) -> FrameObserved {
    let wire = Bytes::copy_from_slice(wire);
    let (payload, sse) = match carrier {
        Carrier::Sse => {
            let block = SseEvent::parse(&wire, index == 0);
            let sse = SseObserved {
                event: block.event.as_ref().map(|event| event.name.clone()),
                id: block.id.map(Into::into),
                retry: block.retry,
                comments: block.comments,
            };
            let data = block.event.map(|event| event.data).unwrap_or_default();
            (Bytes::from(data), Some(sse))
        }
        _ => (wire.clone(), None),
    };
    let scanned = scan(&payload).messages.into_iter();
    FrameObserved {
        exchange: exchange(number),
        session: Some(session()),
        stream: (carrier == Carrier::Sse).then(|| StreamId::new(9).unwrap()),
        direction,
        carrier,
        frame: index,
        parts: 0,
        size: wire.len() as u64,
        payload_size: payload.len() as u64,
        wire,
        is_cut: false,
        is_fragment: false,
        coding: None,
        sse,
        messages: scanned
            .map(|envelope| PlacedMessage {
                envelope,
                placement: Placement::default(),
            })
            .collect(),
        unreadable: None,
        is_synthetic: false,
        is_injected: false,
        payload,
    }
}

pub(super) fn body(number: u64, direction: Direction, text: &str) -> Event {
    Event::Frame(Arc::new(frame(
        number,
        direction,
        Carrier::Http,
        0,
        text.as_bytes(),
    )))
}

pub(super) fn event(number: u64, index: u32, block: &str) -> Event {
    let direction = Direction::ServerToClient;
    Event::Frame(Arc::new(frame(
        number,
        direction,
        Carrier::Sse,
        index,
        block.as_bytes(),
    )))
}

pub(super) fn part(number: u64, direction: Direction, index: u32, bytes: &[u8]) -> Event {
    Event::Part(FramePart {
        exchange: exchange(number),
        session: Some(session()),
        direction,
        carrier: Carrier::Http,
        frame: 0,
        part: index,
        bytes: Bytes::copy_from_slice(bytes),
        coding: None,
    })
}

pub(super) fn ended(number: u64) -> Event {
    Event::ExchangeEnd(Box::new(ExchangeEnded {
        exchange: exchange(number),
        session: Some(session()),
        request_end: EndKind::Complete,
        response_end: EndKind::UpstreamAborted,
        failure: Some("everything broke off the body".to_owned()),
        our_status: None,
        timing: Timing {
            started: at(0),
            request_done: Some(at(5)),
            connect: Some(std::time::Duration::from_micros(77)),
            done: Some(at(9)),
            ..Timing::default()
        },
        request_bytes: 12,
        response_bytes: 34,
    }))
}

/// The file that a recorder would write.
pub(super) fn encode(observations: &[Observation], tagger: Option<Tagger>) -> Vec<u8> {
    encode_after(&[], observations, tagger)
}

/// The file that a recorder would write that was started in mid-traffic.
pub(super) fn encode_after(
    preamble: &[Observation],
    observations: &[Observation],
    tagger: Option<Tagger>,
) -> Vec<u8> {
    let mut encoder = Encoder::new(CREATED, tagger, 1000);
    let mut file = Vec::new();
    encoder.header(&mut file);
    encoder.set_preamble(true);
    for observation in preamble {
        encoder.observation(observation.clone(), &mut file);
    }
    encoder.set_preamble(false);
    for observation in observations {
        encoder.observation(observation.clone(), &mut file);
    }
    file
}

/// Loads a whole recording: its observations, and its damage.
pub(super) fn load_with(file: &[u8], limits: &ResourceLimits) -> (Vec<Loaded>, Vec<String>) {
    let reader = RecordingReader::new(file, Path::new("test.jsonl")).unwrap();
    let mut observations = Loader::new(reader, limits, |_| Placement::default());
    let loaded = observations.by_ref().collect();
    (loaded, observations.damage())
}

pub(super) fn load(file: &[u8]) -> (Vec<Loaded>, Vec<String>) {
    load_with(file, &ResourceLimits::default())
}

/// The frames among them.
pub(super) fn frames(loaded: &[Loaded]) -> Vec<&FrameObserved> {
    loaded
        .iter()
        .filter_map(|loaded| match &loaded.observation.item.event {
            Event::Frame(frame) => Some(&**frame),
            _ => None,
        })
        .collect()
}
