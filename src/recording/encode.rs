//! From observations to lines: numbering, times, and the cutting of large frames.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;

use super::format::{
    EndLine, ExchangeEndLine, FrameLine, GapLine, HeaderLine, Line, RECORDING_FORMAT, RECORDING_VERSION,
    RequestKind, RequestLine, ResponseLine, RewriteLine, SessionEndLine, SessionLine, SseFieldsLine,
    TimingLine, VerdictLine,
};
use super::gap::Gap;
use super::head_line::HeadLine;
use super::mask::LineMask;
use super::open_heads::OpenHeads;
use super::redact::Tagger;
use crate::clock::Timestamp;
use crate::ids::{ExchangeId, ProxySessionId};
use crate::session::observation::{
    Event, ExchangeEnded, ExchangeKind, FrameObserved, FramePart, Observation, RequestObserved,
    ResponseObserved, RewrittenObserved, SessionOpened, SseObserved, VerdictObserved,
};
use crate::snapshot::{Carrier, Direction, Timing};

/// The most bytes of a frame in one line, so that no line gets longer than a reader accepts.
const MAX_LINE_PAYLOAD: usize = 1 << 20;

/// Turns the observations of one recording into its lines.
#[derive(Debug)]
pub(super) struct Encoder {
    created: Timestamp,
    /// `None`: secrets are recorded.
    mask: Option<LineMask>,
    seq: u64,
    /// For the next file.
    heads: OpenHeads,
    sessions: HashSet<ProxySessionId>,
    /// By age, so that the oldest can go.
    exchanges: BTreeMap<ExchangeId, ExchangeState>,
    max_exchanges: usize,
    /// What comes now was before the recording.
    is_preamble: bool,
}

#[derive(Debug, Default)]
struct ExchangeState {
    has_request: bool,
    has_response: bool,
    /// The recording was on when it began, so its first part is the start of its body.
    has_start: bool,
    request: DirectionState,
    response: DirectionState,
    errors: DirectionState,
}

/// What the last line of a file tells of it.
#[derive(Debug)]
pub(super) struct Ending {
    /// Lines before it.
    pub(super) lines: u64,
    /// Bytes before it.
    pub(super) bytes: u64,
    /// Records that the file lacks.
    pub(super) lost: u64,
    /// Name of the file in which the recording goes on.
    pub(super) continued_by: Option<String>,
}

/// One direction of an exchange.
#[derive(Debug, Default)]
struct DirectionState {
    frame: Option<FrameState>,
    /// A frame has ended, so the next one begins at its start.
    has_ended_frame: bool,
}

/// A frame that is under way.
#[derive(Debug)]
struct FrameState {
    number: u32,
    /// The part that the traffic has to tell of next.
    next_part: u32,
    /// The part that the next line is.
    next_line: u32,
}

/// The last line of a piece of a frame, to be written yet.
#[derive(Debug)]
struct LastLine<'a> {
    line: FrameLine,
    bytes: &'a [u8],
    /// Parts are missing before it.
    is_torn: bool,
}

/// What all lines of a frame have in common.
#[derive(Debug, Clone)]
struct FrameKey {
    exchange: ExchangeId,
    session: Option<ProxySessionId>,
    direction: Direction,
    carrier: Carrier,
    number: u32,
    coding: Option<String>,
}

impl Encoder {
    /// An encoder for a recording that begins at `created` and remembers at most `max_exchanges` open exchanges.
    pub(super) fn new(created: Timestamp, tagger: Option<Tagger>, max_exchanges: usize) -> Self {
        Self {
            created,
            mask: tagger.map(|tagger| LineMask::new(tagger, max_exchanges)),
            seq: 0,
            heads: OpenHeads::default(),
            sessions: HashSet::new(),
            exchanges: BTreeMap::new(),
            max_exchanges,
            is_preamble: false,
        }
    }

    /// The first line.
    pub(super) fn header(&self, out: &mut Vec<u8>) {
        self.header_of(None, None, out);
    }

    /// Begins file number `segment`, which is created now and continues the one called `continues`: its header, the sessions
    /// and the heads of what is open.
    pub(super) fn next_file(&mut self, now: Timestamp, segment: u32, continues: String, out: &mut Vec<u8>) {
        let later = self.us(now);
        self.created = now;
        self.seq = 0;
        self.header_of(Some(segment), Some(continues), out);
        for line in self.heads.lines(later) {
            write_numbered(line, &mut self.seq, out);
        }
    }

    fn header_of(&self, segment: Option<u32>, continues: Option<String>, out: &mut Vec<u8>) {
        let created = i64::try_from(self.created.as_micros()).unwrap_or(i64::MAX);
        Line::Header(HeaderLine {
            format: RECORDING_FORMAT.to_owned(),
            version: RECORDING_VERSION,
            created: jiff::Timestamp::from_microsecond(created).unwrap_or(jiff::Timestamp::MAX),
            proxy: concat!("shadowcat-tui ", env!("CARGO_PKG_VERSION")).to_owned(),
            redacted: self.mask.is_some(),
            segment,
            continues,
        })
        .write_to(out);
    }

    /// Says whether the observations that follow tell of what was before the recording.
    pub(super) fn set_preamble(&mut self, is_preamble: bool) {
        self.is_preamble = is_preamble;
    }

    /// Appends the lines of one observation; nothing for a head that the file has already.
    pub(super) fn observation(&mut self, observation: Observation, out: &mut Vec<u8>) {
        let at = observation.at;
        match observation.event {
            Event::Session(session) => self.session(at, &session, out),
            Event::SessionEnded { session, reason } => self.session_end(at, session, reason, out),
            Event::Request(request) => self.request(at, *request, out),
            Event::Response(response) => self.response(at, *response, out),
            Event::Rewritten(rewritten) => self.rewritten(at, *rewritten, out),
            Event::Verdict(verdict) => self.verdict(at, &verdict, out),
            Event::Part(part) => self.part(at, &part, out),
            Event::Frame(frame) => self.frame(at, &frame, out),
            Event::ExchangeEnd(end) => self.exchange_end(at, &end, out),
        }
    }

    /// Tells of what is missing.
    pub(super) fn gap(&mut self, at: Timestamp, gap: &Gap, out: &mut Vec<u8>) {
        let line = GapLine {
            seq: 0,
            us: self.us(at),
            lost: gap.lost,
            bytes: gap.bytes,
            from: self.us(gap.from),
            to: self.us(gap.to),
            reason: gap.reason.clone(),
        };
        self.emit(Line::Gap(line), out);
    }

    /// The last line of a file.
    pub(super) fn end(&mut self, at: Timestamp, ending: Ending, out: &mut Vec<u8>) {
        let line = EndLine {
            seq: 0,
            us: self.us(at),
            lines: ending.lines + 1,
            bytes: ending.bytes,
            lost: ending.lost,
            continued_by: ending.continued_by,
        };
        self.emit(Line::End(line), out);
    }

    /// Writes a line without its secrets, under its number.
    fn emit(&mut self, line: Line, out: &mut Vec<u8>) {
        let Self { mask, seq, heads, .. } = self;
        let mut write = |line| heads.note(write_numbered(line, seq, out));
        match mask {
            Some(mask) => mask.mask(line, &mut write),
            None => write(line),
        }
    }

    /// Writes a line of a frame, with `bytes`; `is_torn` if parts are missing before it.
    fn emit_frame(&mut self, mut line: FrameLine, bytes: &[u8], is_torn: bool, out: &mut Vec<u8>) {
        let Self { mask, seq, .. } = self;
        let mut write = |line| drop(write_numbered(line, seq, out));
        if let Some(mask) = mask {
            mask.mask_frame(line, bytes, is_torn, &mut write);
        } else {
            line.set_bytes(bytes.to_vec());
            write(Line::Frame(line));
        }
    }

    fn us(&self, at: Timestamp) -> i64 {
        let micros = |at: Timestamp| i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
        micros(at).saturating_sub(micros(self.created))
    }

    fn session(&mut self, at: Timestamp, session: &SessionOpened, out: &mut Vec<u8>) {
        if !self.sessions.insert(session.id) {
            return;
        }
        let line = SessionLine {
            seq: 0,
            us: self.us(at),
            session: session.id,
            server: session.server.as_ref().to_owned(),
            basis: session.basis,
            client: session.client.as_ref().to_owned(),
        };
        self.emit(Line::Session(line), out);
    }

    fn session_end(&mut self, at: Timestamp, session: ProxySessionId, reason: &str, out: &mut Vec<u8>) {
        self.sessions.remove(&session);
        let line = SessionEndLine {
            seq: 0,
            us: self.us(at),
            session,
            reason: reason.to_owned(),
        };
        self.emit(Line::SessionEnd(line), out);
    }

    fn request(&mut self, at: Timestamp, request: RequestObserved, out: &mut Vec<u8>) {
        let is_live = !self.is_preamble;
        let state = self.exchange_state(request.exchange);
        state.has_start |= is_live;
        if std::mem::replace(&mut state.has_request, true) {
            return;
        }
        let line = RequestLine {
            seq: 0,
            us: self.us(at),
            session: request.session,
            exchange: request.exchange,
            connection: request.connection,
            client: request.client,
            side: request.side,
            server: request.server.as_ref().to_owned(),
            kind: match request.kind {
                ExchangeKind::Message => RequestKind::Message,
                ExchangeKind::Http => RequestKind::Http,
                ExchangeKind::Tunnel => RequestKind::Tunnel,
                ExchangeKind::Run => RequestKind::Run,
                ExchangeKind::BridgedRun => RequestKind::BridgedRun,
            },
            method: request.method,
            target: request.target,
            head: HeadLine::new(&request.head),
            rewrites: request.rewrites,
            sent: request.sent,
            resumes: request.resumes,
            redactions: 0,
        };
        self.emit(Line::Request(line), out);
    }

    fn response(&mut self, at: Timestamp, response: ResponseObserved, out: &mut Vec<u8>) {
        let state = self.exchange_state(response.exchange);
        if std::mem::replace(&mut state.has_response, true) {
            return;
        }
        let line = ResponseLine {
            seq: 0,
            us: self.us(at),
            session: response.session,
            exchange: response.exchange,
            status: response.status,
            head: HeadLine::new(&response.head),
            ours: response.is_ours,
            stream: response.stream,
            media_type: response.media_type,
            rewrites: response.rewrites,
            sent: response.sent,
            redactions: 0,
        };
        self.emit(Line::Response(line), out);
    }

    fn rewritten(&mut self, at: Timestamp, rewritten: RewrittenObserved, out: &mut Vec<u8>) {
        let line = RewriteLine {
            seq: 0,
            us: self.us(at),
            session: rewritten.session,
            exchange: rewritten.exchange,
            of_request: rewritten.direction == Direction::ClientToServer,
            rewrites: rewritten.rewrites,
            sent: rewritten.sent,
            findings: rewritten.findings,
            redactions: 0,
        };
        self.emit(Line::Rewrite(line), out);
    }

    fn verdict(&mut self, at: Timestamp, verdict: &VerdictObserved, out: &mut Vec<u8>) {
        let sent = verdict.sent.as_deref().map(String::from_utf8_lossy);
        let line = VerdictLine {
            seq: 0,
            us: self.us(at),
            session: verdict.session,
            exchange: verdict.exchange,
            direction: verdict.direction,
            frame: verdict.frame,
            batch: verdict.batch,
            hold: verdict.hold,
            rule: verdict.rule.to_string(),
            ending: verdict.ending,
            effect: verdict.effect,
            actor: verdict.actor,
            held_us: u64::try_from(verdict.held_for.as_micros()).unwrap_or(u64::MAX),
            sent: sent.map(std::borrow::Cow::into_owned),
            redactions: 0,
        };
        self.emit(Line::Verdict(line), out);
    }

    fn part(&mut self, at: Timestamp, part: &FramePart, out: &mut Vec<u8>) {
        let key = FrameKey {
            exchange: part.exchange,
            session: part.session,
            direction: part.direction,
            carrier: part.carrier,
            number: part.frame,
            coding: part.coding.as_deref().map(str::to_owned),
        };
        if !self.has_start(&key) {
            // It may start anywhere, also in a secret. The frame brings what is kept of the whole.
            return;
        }
        let mut frame = self.take_frame(&key);
        // The parts between are lost, perhaps with the start of a secret whose end would follow here.
        let is_torn = frame.next_part != part.part;
        frame.next_part = part.part.saturating_add(1);
        let last = self.payload(at, &key, &mut frame, &part.bytes, is_torn, out);
        self.emit_frame(last.line, last.bytes, last.is_torn, out);
        self.keep_frame(&key, frame);
    }

    fn frame(&mut self, at: Timestamp, frame: &FrameObserved, out: &mut Vec<u8>) {
        let key = FrameKey {
            exchange: frame.exchange,
            session: frame.session,
            direction: frame.direction,
            carrier: frame.carrier,
            number: frame.frame,
            coding: frame.coding.as_deref().map(str::to_owned),
        };
        let mut state = self.take_frame(&key);
        // A recording that began in the middle of the frame makes up for the parts that it missed.
        let is_first_line = state.next_line == 0;
        let wire = if is_first_line {
            frame.wire.clone()
        } else {
            Bytes::new()
        };
        let LastLine {
            line: mut last,
            bytes,
            is_torn,
        } = self.payload(at, &key, &mut state, &wire, false, out);
        last.last = true;
        last.stream = frame.stream;
        last.sse = frame.sse.as_ref().map(sse_fields);
        last.messages = Some(u32::try_from(frame.messages.len()).unwrap_or(u32::MAX));
        last.size = (last.part > 0 || frame.is_cut).then_some(frame.size);
        if is_first_line {
            last.missing = frame.size.saturating_sub(wire.len() as u64);
        }
        last.fragment = frame.is_fragment;
        last.synthetic = frame.is_synthetic;
        last.injected = frame.is_injected;
        last.unreadable.clone_from(&frame.unreadable);
        self.emit_frame(last, bytes, is_torn, out);
        self.end_frame(&key);
    }

    /// Writes the lines of a piece of a frame but the last one, which is returned.
    fn payload<'a>(
        &mut self,
        at: Timestamp,
        key: &FrameKey,
        state: &mut FrameState,
        bytes: &'a [u8],
        mut is_torn: bool,
        out: &mut Vec<u8>,
    ) -> LastLine<'a> {
        let mut chunks = bytes.chunks(MAX_LINE_PAYLOAD).peekable();
        loop {
            let bytes = chunks.next().unwrap_or_default();
            let line = self.frame_line(at, key, state.next_line);
            state.next_line = state.next_line.saturating_add(1);
            if chunks.peek().is_none() {
                return LastLine { line, bytes, is_torn };
            }
            self.emit_frame(line, bytes, std::mem::take(&mut is_torn), out);
        }
    }

    fn frame_line(&self, at: Timestamp, key: &FrameKey, part: u32) -> FrameLine {
        FrameLine {
            seq: 0,
            us: self.us(at),
            session: key.session,
            exchange: key.exchange,
            stream: None,
            direction: key.direction,
            transport: key.carrier,
            frame: key.number,
            part,
            last: false,
            coding: key.coding.clone(),
            text: None,
            base64: None,
            sse: None,
            messages: None,
            size: None,
            fragment: false,
            synthetic: false,
            injected: false,
            unreadable: None,
            redactions: 0,
            withheld: 0,
            missing: 0,
        }
    }

    fn exchange_end(&mut self, at: Timestamp, end: &ExchangeEnded, out: &mut Vec<u8>) {
        self.exchanges.remove(&end.exchange);
        let line = ExchangeEndLine {
            seq: 0,
            us: self.us(at),
            session: end.session,
            exchange: end.exchange,
            request_end: end.request_end,
            response_end: end.response_end,
            failure: end.failure.clone(),
            our_status: end.our_status,
            timing: self.timing(&end.timing),
            request_bytes: end.request_bytes,
            response_bytes: end.response_bytes,
        };
        self.emit(Line::ExchangeEnd(line), out);
    }

    fn timing(&self, timing: &Timing) -> TimingLine {
        let us = |at: Option<Timestamp>| at.map(|at| self.us(at));
        TimingLine {
            started: self.us(timing.started),
            request_done: us(timing.request_done),
            sent: us(timing.sent),
            connect_us: timing
                .connect
                .map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
            response_head: us(timing.response_head),
            handed_on: us(timing.handed_on),
            first_byte: us(timing.first_byte),
            done: us(timing.done),
        }
    }

    fn exchange_state(&mut self, exchange: ExchangeId) -> &mut ExchangeState {
        if self.exchanges.len() >= self.max_exchanges && !self.exchanges.contains_key(&exchange) {
            // Its end was lost in a gap, since no more than this can be open.
            self.exchanges.pop_first();
        }
        self.exchanges.entry(exchange).or_default()
    }

    fn direction_state(&mut self, key: &FrameKey) -> &mut DirectionState {
        let exchange = self.exchange_state(key.exchange);
        match key.direction {
            Direction::ClientToServer => &mut exchange.request,
            Direction::ServerToClient if key.carrier == Carrier::Stderr => &mut exchange.errors,
            Direction::ServerToClient => &mut exchange.response,
        }
    }

    /// Whether the first part that comes of the frame is its start.
    fn has_start(&mut self, key: &FrameKey) -> bool {
        let has_start = self.exchange_state(key.exchange).has_start;
        has_start || self.direction_state(key).has_ended_frame
    }

    /// The state of the frame, or that of a new one.
    fn take_frame(&mut self, key: &FrameKey) -> FrameState {
        let direction = self.direction_state(key);
        let open = direction.frame.take().filter(|frame| frame.number == key.number);
        open.unwrap_or(FrameState {
            number: key.number,
            next_part: 0,
            next_line: 0,
        })
    }

    fn keep_frame(&mut self, key: &FrameKey, frame: FrameState) {
        self.direction_state(key).frame = Some(frame);
    }

    /// Forgets the frame, and an exchange of which nothing else was known.
    fn end_frame(&mut self, key: &FrameKey) {
        self.direction_state(key).has_ended_frame = true;
        let is_known = self
            .exchanges
            .get(&key.exchange)
            .is_some_and(|exchange| exchange.has_request || exchange.has_response);
        if !is_known {
            self.exchanges.remove(&key.exchange);
        }
    }
}

fn sse_fields(sse: &SseObserved) -> SseFieldsLine {
    SseFieldsLine {
        event: sse.event.as_deref().map(str::to_owned),
        id: sse.id.as_deref().map(str::to_owned),
        retry: sse.retry,
        comments: sse.comments,
    }
}

/// Writes a line under its number, and gives it back.
fn write_numbered(mut line: Line, seq: &mut u64, out: &mut Vec<u8>) -> Line {
    *seq += 1;
    line.set_seq(*seq);
    line.write_fast(out);
    line
}
