//! Makes the observations of a recording again, so that an opened file shows what the live proxy showed.

use std::collections::{BTreeMap, VecDeque};
use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::assembly::{Assembled, Assemblies};
use super::body::BodyRange;
use super::format::{
    ExchangeEndLine, FrameLine, Line, RequestKind, RequestLine, ResponseLine, RewriteLine, TimingLine,
    VerdictLine,
};
use super::reader::{Record, RecordingReader};
use crate::clock::Timestamp;
use crate::codec::envelope::{Envelope, Scan, scan};
use crate::codec::event::SseEvent;
use crate::codec::lines::line_content;
use crate::ids::{ExchangeId, ProxySessionId};
use crate::limits::ResourceLimits;
use crate::resource::queue::Sequenced;
use crate::session::observation::{
    Event, ExchangeEnded, ExchangeKind, FrameObserved, Observation, PlacedMessage, Placement,
    RequestObserved, ResponseObserved, RewrittenObserved, SessionOpened, SseObserved, VerdictObserved,
};
use crate::snapshot::{Carrier, Direction, Timing};

/// Sentences about damage that are kept; further damage is counted.
const MAX_DAMAGE: usize = 100;

/// A message whose place among the others is to be found.
#[derive(Debug, Clone, Copy)]
pub struct Unplaced<'a> {
    /// Its session.
    pub session: Option<ProxySessionId>,
    /// When it was whole.
    pub at: Timestamp,
    /// Its direction.
    pub direction: Direction,
    /// The exchange that carried it.
    pub exchange: ExchangeId,
    /// What carried it.
    pub carrier: Carrier,
    /// `MCP-Protocol-Version` of the exchange's request.
    pub protocol_version: Option<&'a str>,
    /// The message.
    pub envelope: &'a Envelope,
}

/// One observation of a recording.
#[derive(Debug)]
pub struct Loaded {
    /// The observation; its number counts those of this file.
    pub observation: Sequenced<Observation>,
    /// Where its body stands, for [`read_body`](super::read_body); `None` if it has none.
    pub body: Option<BodyRange>,
}

/// Reads a recording into observations, in the order of its lines.
///
/// Frames that were recorded in parts come whole, when their last part is read; those above `max_message_bytes`, and
/// those that find no room in `max_buffer_pool`, come as their head with `is_cut`. What is damaged is left out and told by
/// [`Loader::damage`]. `place` is asked for each JSON-RPC message, in order.
#[derive(Debug)]
pub struct Loader<R, P> {
    reader: RecordingReader<R>,
    place: P,
    created: Timestamp,
    assemblies: Assemblies,
    /// `MCP-Protocol-Version` by open exchange, bounded by the exchanges that can be open.
    versions: BTreeMap<ExchangeId, Option<String>>,
    max_exchanges: usize,
    seq: u64,
    ready: VecDeque<Loaded>,
    damage: Damage,
    has_end: bool,
    is_over: bool,
}

/// What [`Loader::damage`] says of a recording without an end.
pub const NO_END: &str = "the recording has no end: it is still being written, or its writer was killed";

/// How the sentence of [`Loader::damage`] ends that tells of a last line without its end.
pub const TORN: &str = "the last line is incomplete";

#[derive(Debug, Default)]
struct Damage {
    sentences: Vec<String>,
    more: u64,
}

impl Damage {
    fn add(&mut self, sentence: String) {
        if self.sentences.len() < MAX_DAMAGE {
            self.sentences.push(sentence);
        } else {
            self.more += 1;
        }
    }
}

impl<R: BufRead, P: FnMut(Unplaced<'_>) -> Placement> Loader<R, P> {
    /// A loader of what `reader` still has to read.
    pub fn new(reader: RecordingReader<R>, limits: &ResourceLimits, place: P) -> Self {
        Self {
            created: reader.created(),
            reader,
            place,
            assemblies: Assemblies::new(limits),
            versions: BTreeMap::new(),
            max_exchanges: limits.max_concurrent_tasks,
            seq: 0,
            ready: VecDeque::new(),
            damage: Damage::default(),
            has_end: false,
            is_over: false,
        }
    }

    /// When the recording was begun.
    pub const fn created(&self) -> Timestamp {
        self.created
    }

    /// Bytes of text read so far.
    pub fn read_bytes(&self) -> u64 {
        self.reader.offset()
    }

    /// What the recording lacks, one sentence each with its line, so far; all of it once the iteration is over.
    pub fn damage(&self) -> Vec<String> {
        let mut damage = self.reader.damage();
        damage.extend_from_slice(&self.damage.sentences);
        if self.damage.more > 0 {
            damage.push(format!("{} more places are damaged", self.damage.more));
        }
        damage
    }

    fn read_next(&mut self) {
        match self.reader.next() {
            Some(Ok(record)) => self.record(record),
            Some(Err(error)) => {
                let source = std::error::Error::source(&error)
                    .map_or_else(String::new, |source| format!(": {source}"));
                self.damage.add(format!("{error}{source}"));
            }
            None => self.end(),
        }
    }

    fn end(&mut self) {
        self.is_over = true;
        for (at, assembled) in self.assemblies.drain() {
            self.frame(self.at(at), assembled);
        }
        if let Some(torn) = self.reader.torn() {
            let place = self.reader.place(torn.line);
            self.damage.add(format!("{place}: {TORN}"));
        }
        if !self.has_end {
            self.damage.add(NO_END.to_owned());
        }
    }

    fn record(&mut self, record: Record) {
        let place = (record.number, record.offset, record.length);
        match record.line {
            Line::Header(_) | Line::Unknown => {}
            Line::Session(line) => {
                let opened = SessionOpened {
                    id: line.session,
                    server: line.server.into(),
                    basis: line.basis,
                    client: line.client.into(),
                };
                self.emit(line.us, Event::Session(Box::new(opened)), None);
            }
            Line::SessionEnd(line) => {
                let event = Event::SessionEnded {
                    session: line.session,
                    reason: known_reason(&line.reason),
                };
                self.emit(line.us, event, None);
            }
            Line::Request(line) => self.request(line),
            Line::Response(line) => self.emit(line.us, Event::Response(Box::new(response(line))), None),
            Line::Verdict(line) => self.emit(line.us, Event::Verdict(Box::new(verdict(line))), None),
            Line::Rewrite(line) => self.emit(line.us, Event::Rewritten(Box::new(rewritten(line))), None),
            Line::Frame(line) => self.frame_line(line, place),
            Line::ExchangeEnd(line) => self.exchange_end(&line),
            Line::Gap(gap) => self.damage.add(format!(
                "{}: {} records are missing, as {}",
                self.reader.place(place.0),
                gap.lost,
                gap.reason
            )),
            Line::End(_) => self.has_end = true,
        }
    }

    fn at(&self, us: i64) -> Timestamp {
        at(self.created, us)
    }

    fn emit(&mut self, us: i64, event: Event, body: Option<BodyRange>) {
        let at = self.at(us);
        self.emit_at(at, event, body);
    }

    fn emit_at(&mut self, at: Timestamp, event: Event, body: Option<BodyRange>) {
        self.seq += 1;
        let observation = Sequenced {
            seq: self.seq,
            item: Observation { at, event },
        };
        self.ready.push_back(Loaded { observation, body });
    }

    fn request(&mut self, line: RequestLine) {
        let version = line.head.field("mcp-protocol-version");
        let version = version.map(|version| String::from_utf8_lossy(version).into_owned());
        if self.versions.len() >= self.max_exchanges {
            self.versions.pop_first();
        }
        self.versions.insert(line.exchange, version);
        let us = line.us;
        self.emit(us, Event::Request(Box::new(request(line))), None);
    }

    fn exchange_end(&mut self, line: &ExchangeEndLine) {
        self.versions.remove(&line.exchange);
        for (at, assembled) in self.assemblies.take_exchange(line.exchange) {
            self.frame(self.at(at), assembled);
        }
        let ended = exchange_ended(line, self.created);
        self.emit(line.us, Event::ExchangeEnd(Box::new(ended)), None);
    }

    fn frame_line(&mut self, line: FrameLine, (number, offset, length): (u64, u64, u64)) {
        let us = line.us;
        let part = self.assemblies.push(line, number, offset, length);
        // What a file begins with may go on from the one before it.
        let is_continued = part.is_headless && self.reader.header().continues.is_some();
        if part.is_torn && !is_continued {
            let place = self.reader.place(number);
            self.damage
                .add(format!("{place}: parts of its frame are missing before it"));
        }
        for assembled in part.done {
            self.frame(self.at(us), assembled);
        }
    }

    fn frame(&mut self, at: Timestamp, assembled: Assembled) {
        let body = assembled.range;
        let mut frame = frame_observed(
            assembled.line,
            assembled.wire,
            assembled.total,
            assembled.is_cut,
            assembled.lines,
        );
        let scanned = match (frame.carrier, assembled.expected) {
            (_, Some(0)) | (Carrier::Tunnel | Carrier::Stderr, _) => None,
            (Carrier::Sse | Carrier::Stdio | Carrier::WebSocket, _) => Some(scan(&frame.payload)),
            (Carrier::Http, _) => assembled.scan,
        };
        if let Some(scanned) = scanned.filter(|scanned| assembled.expected.is_some() || scanned.is_json_rpc())
        {
            frame.messages = self.place_all(at, &frame, scanned);
        }
        self.emit_at(at, Event::Frame(Arc::new(frame)), body);
    }

    fn place_all(&mut self, at: Timestamp, frame: &FrameObserved, scanned: Scan) -> Vec<PlacedMessage> {
        let version = self.versions.get(&frame.exchange).and_then(Option::as_deref);
        let place = &mut self.place;
        let placed = |envelope: Envelope| {
            let placement = place(Unplaced {
                session: frame.session,
                at,
                direction: frame.direction,
                exchange: frame.exchange,
                carrier: frame.carrier,
                protocol_version: version,
                envelope: &envelope,
            });
            PlacedMessage { envelope, placement }
        };
        scanned.messages.into_iter().map(placed).collect()
    }
}

impl<R: BufRead, P: FnMut(Unplaced<'_>) -> Placement> Iterator for Loader<R, P> {
    type Item = Loaded;

    fn next(&mut self) -> Option<Loaded> {
        while self.ready.is_empty() && !self.is_over {
            self.read_next();
        }
        self.ready.pop_front()
    }
}

fn at(created: Timestamp, us: i64) -> Timestamp {
    Timestamp::from_micros(created.as_micros().saturating_add_signed(us))
}

/// The observation holds static text; these are the reasons that this build gives.
fn known_reason(reason: &str) -> &'static str {
    const KNOWN: &[&str] = &[
        "the client deleted it",
        "the server no longer knows it (404)",
        crate::session::observation::COMMAND_ENDED,
        crate::session::observation::SHIM_GONE,
        crate::session::observation::NOT_WATCHED,
        crate::session::observation::SOCKET_CLOSED,
    ];
    KNOWN.iter().find(|known| **known == reason).unwrap_or(&"ended")
}

fn request(line: RequestLine) -> RequestObserved {
    RequestObserved {
        exchange: line.exchange,
        connection: line.connection,
        client: line.client,
        side: line.side,
        server: line.server.into(),
        session: line.session,
        kind: match line.kind {
            RequestKind::Message => ExchangeKind::Message,
            RequestKind::Http => ExchangeKind::Http,
            RequestKind::Tunnel => ExchangeKind::Tunnel,
            RequestKind::Run => ExchangeKind::Run,
            RequestKind::BridgedRun => ExchangeKind::BridgedRun,
        },
        method: line.method,
        target: line.target,
        head: line.head.to_observed(),
        rewrites: line.rewrites,
        sent: line.sent,
        resumes: line.resumes,
    }
}

fn response(line: ResponseLine) -> ResponseObserved {
    ResponseObserved {
        exchange: line.exchange,
        session: line.session,
        status: line.status,
        head: line.head.to_observed(),
        is_ours: line.ours,
        stream: line.stream,
        media_type: line.media_type,
        rewrites: line.rewrites,
        sent: line.sent,
    }
}

fn verdict(line: VerdictLine) -> VerdictObserved {
    VerdictObserved {
        exchange: line.exchange,
        session: line.session,
        direction: line.direction,
        frame: line.frame,
        batch: line.batch,
        hold: line.hold,
        rule: line.rule.into(),
        ending: line.ending,
        effect: line.effect,
        actor: line.actor,
        held_for: Duration::from_micros(line.held_us),
        sent: line.sent.map(bytes::Bytes::from),
    }
}

fn rewritten(line: RewriteLine) -> RewrittenObserved {
    RewrittenObserved {
        exchange: line.exchange,
        session: line.session,
        direction: if line.of_request {
            Direction::ClientToServer
        } else {
            Direction::ServerToClient
        },
        rewrites: line.rewrites,
        sent: line.sent,
        findings: line.findings,
    }
}

fn exchange_ended(line: &ExchangeEndLine, created: Timestamp) -> ExchangeEnded {
    ExchangeEnded {
        exchange: line.exchange,
        session: line.session,
        request_end: line.request_end,
        response_end: line.response_end,
        failure: line.failure.clone(),
        our_status: line.our_status,
        timing: timing(&line.timing, created),
        request_bytes: line.request_bytes,
        response_bytes: line.response_bytes,
    }
}

fn timing(line: &TimingLine, created: Timestamp) -> Timing {
    let moment = |us: Option<i64>| us.map(|us| at(created, us));
    Timing {
        started: at(created, line.started),
        request_done: moment(line.request_done),
        sent: moment(line.sent),
        connect: line.connect_us.map(std::time::Duration::from_micros),
        response_head: moment(line.response_head),
        handed_on: moment(line.handed_on),
        first_byte: moment(line.first_byte),
        done: moment(line.done),
    }
}

/// Everything but the messages.
fn frame_observed(line: FrameLine, wire: Bytes, total: u64, is_cut: bool, lines: u32) -> FrameObserved {
    let (payload, parsed) = match line.transport {
        Carrier::Sse => event_payload(&wire, line.frame == 0),
        Carrier::Stdio | Carrier::Stderr => (wire.slice(..line_content(&wire).len()), None),
        Carrier::Http | Carrier::Tunnel | Carrier::WebSocket => (wire.clone(), None),
    };
    let size = line.size.unwrap_or(total);
    let fields = line.sse.map(|sse| SseObserved {
        event: sse.event.map(Into::into),
        id: sse.id.map(Into::into),
        retry: sse.retry,
        comments: sse.comments,
    });
    FrameObserved {
        exchange: line.exchange,
        session: line.session,
        stream: line.stream,
        direction: line.direction,
        carrier: line.transport,
        frame: line.frame,
        parts: lines.saturating_sub(1),
        payload_size: if payload.len() < wire.len() && !is_cut {
            payload.len() as u64
        } else {
            size
        },
        wire,
        payload,
        size,
        is_cut,
        is_fragment: line.fragment,
        coding: line.coding.map(Into::into),
        sse: fields.or(parsed),
        messages: Vec::new(),
        unreadable: line.unreadable,
        is_synthetic: line.synthetic,
        is_injected: line.injected,
    }
}

/// The data of an event, and its fields.
fn event_payload(block: &Bytes, is_first: bool) -> (Bytes, Option<SseObserved>) {
    let parsed = SseEvent::parse(block, is_first);
    let observed = SseObserved {
        event: parsed.event.as_ref().map(|event| event.name.clone()),
        id: parsed.id.map(Into::into),
        retry: parsed.retry,
        comments: parsed.comments,
    };
    let payload = match (parsed.data_line, parsed.event) {
        (Some(range), _) => block.slice(range),
        (None, Some(event)) => event.data.into(),
        (None, None) => Bytes::new(),
    };
    (payload, Some(observed))
}
