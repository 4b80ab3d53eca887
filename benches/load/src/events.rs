//! Event streams of the load: what a client asks for, and every byte of what it gets.

use std::time::Duration;

use memchr::memmem;

use crate::clock::nanoseconds;
use crate::message::{digits, put};
use crate::pattern;

/// Payloads of neighbouring streams do not overlap while they are shorter than this many events.
const STREAM_STEP: u64 = 1_000_003;

const EVENT_END: &[u8] = b"\"}}}\n\n";

/// How much of an event is searched for its numbers.
const SEARCHED: usize = 256;

/// What a client asks the mock server for, in the header field `X-Load`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    /// Number of the stream, unique in the run.
    pub(crate) stream: u64,
    /// Events in all.
    pub(crate) events: u64,
    /// Time between two events; zero for as fast as they go.
    pub(crate) interval: Duration,
    /// When the first event is due, on the machine's monotonic clock; zero for at once.
    pub(crate) start_ns: u64,
    /// Bytes of an event.
    pub(crate) bytes: usize,
    /// Events written at once, each still a chunk of its own.
    pub(crate) gather: u64,
    /// Bytes of each write, a chunk of its own, if an event is to be written in pieces; otherwise zero.
    pub(crate) piece: usize,
    /// The stream stays open after the last event until its session ends.
    pub(crate) hold: bool,
    /// The answer is no event stream but a body of this many bytes.
    pub(crate) plain: u64,
}

impl Spec {
    /// A stream of events of 200 bytes, one after the other, that ends after the last.
    pub(crate) fn new(stream: u64, events: u64) -> Self {
        let (interval, start_ns) = (Duration::ZERO, 0);
        Self {
            stream,
            events,
            interval,
            start_ns,
            bytes: 200,
            gather: 1,
            piece: 0,
            hold: false,
            plain: 0,
        }
    }

    /// The value of the header field.
    pub(crate) fn to_field(&self) -> String {
        let Self {
            stream,
            events,
            start_ns,
            bytes,
            gather,
            piece,
            plain,
            ..
        } = self;
        let (interval, hold) = (nanoseconds(self.interval), u8::from(self.hold));
        format!(
            "stream={stream};events={events};interval={interval};start={start_ns};bytes={bytes};gather={gather};\
             piece={piece};hold={hold};plain={plain}"
        )
    }

    /// Reads what [`Self::to_field`] wrote.
    pub(crate) fn from_field(field: &str) -> Option<Self> {
        let mut spec = Self::new(0, 0);
        for member in field.split(';') {
            let (name, value) = member.split_once('=')?;
            let value: u64 = value.parse().ok()?;
            match name {
                "stream" => spec.stream = value,
                "events" => spec.events = value,
                "interval" => spec.interval = Duration::from_nanos(value),
                "start" => spec.start_ns = value,
                "bytes" => spec.bytes = usize::try_from(value).ok()?,
                "gather" => spec.gather = value,
                "piece" => spec.piece = usize::try_from(value).ok()?,
                "hold" => spec.hold = value != 0,
                "plain" => spec.plain = value,
                _ => return None,
            }
        }
        Some(spec)
    }
}

/// Appends event `seq` of a stream, `bytes` long, sent at `at_ns`.
pub(crate) fn append_event(stream: u64, seq: u64, at_ns: u64, bytes: usize, out: &mut Vec<u8>) {
    let start = out.len();
    put(
        out,
        format_args!("id: {stream}-{seq}\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\","),
    );
    put(
        out,
        format_args!("\"params\":{{\"level\":\"info\",\"data\":{{\"seq\":{seq},\"at\":{at_ns},\"pad\":\""),
    );
    let pad = bytes.saturating_sub(out.len() - start + EVENT_END.len());
    pattern::append(stream * STREAM_STEP + seq, 0, pad, out);
    out.extend_from_slice(EVENT_END);
}

/// Appends the event that ends a stream of the session itself: it tells how many came before it.
pub(crate) fn append_farewell(stream: u64, events: u64, out: &mut Vec<u8>) {
    put(
        out,
        format_args!("event: end\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/end\","),
    );
    put(
        out,
        format_args!("\"params\":{{\"stream\":{stream},\"events\":{events}}}}}\n\n"),
    );
}

/// Appends the event that carries the answer to the call that the stream belongs to.
pub(crate) fn append_answer(answer: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(answer);
    out.extend_from_slice(b"\n\n");
}

/// An event as it came, as far as it can be told what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Numbered { seq: u64, at_ns: u64 },
    Farewell { events: u64 },
    Other,
}

impl Event {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let start = bytes.get(..bytes.len().min(SEARCHED)).unwrap_or_default();
        let number = |name: &str| digits(start.get(memmem::find(start, name.as_bytes())? + name.len()..)?);
        let numbered = || {
            Some(Self::Numbered {
                seq: number("\"seq\":")?,
                at_ns: number("\"at\":")?,
            })
        };
        let farewell = || {
            Some(Self::Farewell {
                events: number("\"events\":")?,
            })
        };
        if start.starts_with(b"id: ") {
            numbered().unwrap_or(Self::Other)
        } else if start.starts_with(b"event: end\n") {
            farewell().unwrap_or(Self::Other)
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_arrives() {
        let spec = Spec {
            interval: Duration::from_millis(4),
            hold: true,
            plain: 7,
            ..Spec::new(3, 80)
        };
        assert_eq!(Spec::from_field(&spec.to_field()), Some(spec));
        assert_eq!(Spec::from_field("nonsense"), None);
    }

    #[test]
    fn an_event_has_the_size_asked_for_and_json_inside() {
        let mut event = Vec::new();
        append_event(3, 17, 123_456_789, 400, &mut event);
        assert_eq!(event.len(), 400);
        assert_eq!(
            Event::read(&event),
            Event::Numbered {
                seq: 17,
                at_ns: 123_456_789
            }
        );
        let text = String::from_utf8(event).unwrap();
        let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(data).is_ok());
    }

    #[test]
    fn a_farewell_tells_how_many_came() {
        let mut event = Vec::new();
        append_farewell(3, 80, &mut event);
        assert_eq!(Event::read(&event), Event::Farewell { events: 80 });
        assert_eq!(Event::read(b"data: {}\n\n"), Event::Other);
    }
}
