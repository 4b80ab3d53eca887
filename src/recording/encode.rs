//! From observations to lines: numbering, times, redaction, and the cutting of large frames.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;

use super::format::{
    EndLine, ExchangeEndLine, FrameLine, GapLine, HeaderLine, Line, RECORDING_FORMAT, RECORDING_VERSION,
    RequestKind, RequestLine, ResponseLine, RewriteLine, SessionEndLine, SessionLine, SseFieldsLine,
    TimingLine, VerdictLine,
};
use super::gap::Gap;
use super::head_line::HeadLine;
use super::redact::{BodyFacts, BodyRedactor, Output, Tagger, redact_urls};
use crate::clock::Timestamp;
use crate::ids::{ExchangeId, ProxySessionId, Side};
use crate::session::observation::{
    Event, ExchangeEnded, ExchangeKind, FrameObserved, FramePart, Observation, RequestObserved,
    ResponseObserved, RewrittenObserved, SessionOpened, SseObserved, VerdictObserved,
};
use crate::snapshot::{Carrier, Direction, Finding, Timing};

/// The most bytes of a frame in one line, so that no line gets longer than a reader accepts.
const MAX_LINE_PAYLOAD: usize = 1 << 20;

/// Turns the observations of one recording into its lines.
#[derive(Debug)]
pub(super) struct Encoder {
    created: Timestamp,
    /// `None`: secrets are recorded.
    tagger: Option<Tagger>,
    seq: u64,
    sessions: HashSet<ProxySessionId>,
    /// By age, so that the oldest can go.
    exchanges: BTreeMap<ExchangeId, ExchangeState>,
    max_exchanges: usize,
    /// What comes now was before the recording.
    is_preamble: bool,
}

#[derive(Debug, Default)]
struct ExchangeState {
    side: Option<Side>,
    has_response: bool,
    /// The recording was on when it began, so its first part is the start of its body.
    has_start: bool,
    request: DirectionState,
    response: DirectionState,
    errors: DirectionState,
}

/// One direction of an exchange.
#[derive(Debug, Default)]
struct DirectionState {
    facts: BodyFacts,
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
    redactor: Option<BodyRedactor>,
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
            tagger,
            seq: 0,
            sessions: HashSet::new(),
            exchanges: BTreeMap::new(),
            max_exchanges,
            is_preamble: false,
        }
    }

    /// The first line.
    pub(super) fn header(&self, out: &mut Vec<u8>) {
        let created = i64::try_from(self.created.as_micros()).unwrap_or(i64::MAX);
        Line::Header(HeaderLine {
            format: RECORDING_FORMAT.to_owned(),
            version: RECORDING_VERSION,
            created: jiff::Timestamp::from_microsecond(created).unwrap_or(jiff::Timestamp::MAX),
            proxy: concat!("shadowcat-tui ", env!("CARGO_PKG_VERSION")).to_owned(),
            redacted: self.tagger.is_some(),
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
            Event::Verdict(verdict) => self.verdict(at, *verdict, out),
            Event::Part(part) => self.part(at, &part, out),
            Event::Frame(frame) => self.frame(at, *frame, out),
            Event::ExchangeEnd(end) => self.exchange_end(at, &end, out),
        }
    }

    /// Tells of what is missing.
    pub(super) fn gap(&mut self, at: Timestamp, gap: &Gap, out: &mut Vec<u8>) {
        let line = GapLine {
            seq: self.next_seq(),
            us: self.us(at),
            lost: gap.lost,
            bytes: gap.bytes,
            from: self.us(gap.from),
            to: self.us(gap.to),
            reason: gap.reason.clone(),
        };
        Line::Gap(line).write_to(out);
    }

    /// The last line, of a file that has `lines` and `bytes` before it.
    pub(super) fn end(&mut self, at: Timestamp, lines: u64, bytes: u64, lost: u64, out: &mut Vec<u8>) {
        let line = EndLine {
            seq: self.next_seq(),
            us: self.us(at),
            lines: lines + 1,
            bytes,
            lost,
        };
        Line::End(line).write_to(out);
    }

    fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
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
            seq: self.next_seq(),
            us: self.us(at),
            session: session.id,
            server: self.text(&session.server),
            basis: session.basis,
            client: session.client.as_ref().to_owned(),
        };
        Line::Session(line).write_to(out);
    }

    fn session_end(&mut self, at: Timestamp, session: ProxySessionId, reason: &str, out: &mut Vec<u8>) {
        self.sessions.remove(&session);
        let line = SessionEndLine {
            seq: self.next_seq(),
            us: self.us(at),
            session,
            reason: reason.to_owned(),
        };
        Line::SessionEnd(line).write_to(out);
    }

    fn request(&mut self, at: Timestamp, request: RequestObserved, out: &mut Vec<u8>) {
        let mut head = HeadLine::new(&request.head);
        let facts = body_facts(&head);
        let is_live = !self.is_preamble;
        let state = self.exchange_state(request.exchange);
        state.has_start |= is_live;
        if state.side.replace(request.side).is_some() {
            return;
        }
        state.request.facts = facts;
        let mut redactions = 0;
        let mut line = RequestLine {
            seq: self.next_seq(),
            us: self.us(at),
            session: request.session,
            exchange: request.exchange,
            connection: request.connection,
            client: request.client,
            side: request.side,
            server: self.text(&request.server),
            kind: match request.kind {
                ExchangeKind::Message => RequestKind::Message,
                ExchangeKind::Http => RequestKind::Http,
                ExchangeKind::Tunnel => RequestKind::Tunnel,
                ExchangeKind::Run => RequestKind::Run,
                ExchangeKind::BridgedRun => RequestKind::BridgedRun,
            },
            method: request.method,
            target: self.redacted_text(&request.target, &mut redactions),
            rewrites: self.redacted_texts(&request.rewrites, &mut redactions),
            resumes: request.resumes,
            redactions: redactions + self.redacted_head(&mut head),
            head,
        };
        if matches!(line.kind, RequestKind::Run | RequestKind::BridgedRun)
            && let Some(tagger) = &self.tagger
        {
            line.redactions += line.head.redact_arguments(tagger);
            line.target = line.head.command_line();
        }
        Line::Request(line).write_to(out);
    }

    fn response(&mut self, at: Timestamp, response: ResponseObserved, out: &mut Vec<u8>) {
        let mut head = HeadLine::new(&response.head);
        let facts = body_facts(&head);
        let state = self.exchange_state(response.exchange);
        if std::mem::replace(&mut state.has_response, true) {
            return;
        }
        state.response.facts = facts;
        let mut redactions = 0;
        let line = ResponseLine {
            seq: self.next_seq(),
            us: self.us(at),
            session: response.session,
            exchange: response.exchange,
            status: response.status,
            ours: response.is_ours,
            stream: response.stream,
            media_type: response.media_type,
            rewrites: self.redacted_texts(&response.rewrites, &mut redactions),
            redactions: redactions + self.redacted_head(&mut head),
            head,
        };
        Line::Response(line).write_to(out);
    }

    fn rewritten(&mut self, at: Timestamp, rewritten: RewrittenObserved, out: &mut Vec<u8>) {
        let mut redactions = 0;
        let rewrites = self.redacted_texts(&rewritten.rewrites, &mut redactions);
        let mut findings = Vec::with_capacity(rewritten.findings.len());
        for Finding { severity, text } in rewritten.findings {
            let text = self.redacted_text(&text, &mut redactions);
            findings.push(Finding { severity, text });
        }
        let line = RewriteLine {
            seq: self.next_seq(),
            us: self.us(at),
            session: rewritten.session,
            exchange: rewritten.exchange,
            of_request: rewritten.direction == Direction::ClientToServer,
            rewrites,
            findings,
            redactions,
        };
        Line::Rewrite(line).write_to(out);
    }

    fn verdict(&mut self, at: Timestamp, verdict: VerdictObserved, out: &mut Vec<u8>) {
        let mut redactions = 0;
        let sent = verdict.sent.map(|sent| {
            let text = String::from_utf8_lossy(&sent);
            self.redacted_document(text.as_bytes(), &mut redactions)
        });
        let line = VerdictLine {
            seq: self.next_seq(),
            us: self.us(at),
            session: verdict.session,
            exchange: verdict.exchange,
            direction: verdict.direction,
            frame: verdict.frame,
            hold: verdict.hold,
            rule: verdict.rule.to_string(),
            ending: verdict.ending,
            actor: verdict.actor,
            held_us: u64::try_from(verdict.held_for.as_micros()).unwrap_or(u64::MAX),
            sent,
            redactions,
        };
        Line::Verdict(line).write_to(out);
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
        if frame.next_part != part.part {
            // The parts between are lost, perhaps with the start of a secret whose end would follow here.
            frame.redactor = frame.redactor.map(|_| BodyRedactor::Withheld);
        }
        frame.next_part = part.part.saturating_add(1);
        self.payload(at, &key, &mut frame, &part.bytes, false, out);
        self.keep_frame(&key, frame);
    }

    fn frame(&mut self, at: Timestamp, frame: FrameObserved, out: &mut Vec<u8>) {
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
        let last = self.payload(at, &key, &mut state, &wire, true, out);
        let Some(mut last) = last else { return };
        last.stream = frame.stream;
        last.sse = frame.sse.as_ref().map(sse_fields);
        last.messages = Some(u32::try_from(frame.messages.len()).unwrap_or(u32::MAX));
        let is_changed = last.redactions > 0 || last.withheld > 0;
        last.size = (last.part > 0 || frame.is_cut || is_changed).then_some(frame.size);
        if is_first_line {
            last.missing = frame.size.saturating_sub(wire.len() as u64);
        }
        last.fragment = frame.is_fragment;
        last.unreadable = frame
            .unreadable
            .map(|text| self.redacted_text(&text, &mut last.redactions));
        Line::Frame(last).write_to(out);
        self.end_frame(&key);
    }

    /// Writes the lines of a piece of a frame. The line that ends the frame is returned, to be completed.
    fn payload(
        &mut self,
        at: Timestamp,
        key: &FrameKey,
        state: &mut FrameState,
        bytes: &[u8],
        is_last: bool,
        out: &mut Vec<u8>,
    ) -> Option<FrameLine> {
        let mut chunks = bytes.chunks(MAX_LINE_PAYLOAD).peekable();
        loop {
            let chunk = chunks.next().unwrap_or_default();
            let is_end = chunks.peek().is_none();
            let mut line = self.frame_line(at, key, state.next_line);
            state.next_line = state.next_line.saturating_add(1);
            self.fill(&mut line, state, chunk, is_last && is_end);
            if is_last && is_end {
                return Some(line);
            }
            Line::Frame(line).write_to(out);
            if is_end {
                return None;
            }
        }
    }

    fn fill(&self, line: &mut FrameLine, state: &mut FrameState, chunk: &[u8], is_last: bool) {
        line.last = is_last;
        let (Some(tagger), Some(redactor)) = (&self.tagger, &mut state.redactor) else {
            line.set_bytes(chunk.to_vec());
            return;
        };
        let mut redacted = Output::new(tagger);
        redactor.push(chunk, &mut redacted);
        if is_last {
            redactor.finish(&mut redacted);
        }
        line.redactions = redacted.redactions;
        line.withheld = redacted.withheld;
        line.set_bytes(redacted.bytes);
    }

    fn frame_line(&mut self, at: Timestamp, key: &FrameKey, part: u32) -> FrameLine {
        FrameLine {
            seq: self.next_seq(),
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
            unreadable: None,
            redactions: 0,
            withheld: 0,
            missing: 0,
        }
    }

    fn exchange_end(&mut self, at: Timestamp, end: &ExchangeEnded, out: &mut Vec<u8>) {
        self.exchanges.remove(&end.exchange);
        let line = ExchangeEndLine {
            seq: self.next_seq(),
            us: self.us(at),
            session: end.session,
            exchange: end.exchange,
            request_end: end.request_end,
            response_end: end.response_end,
            failure: end.failure.as_deref().map(|failure| self.text(failure)),
            our_status: end.our_status,
            timing: self.timing(&end.timing),
            request_bytes: end.request_bytes,
            response_bytes: end.response_bytes,
        };
        Line::ExchangeEnd(line).write_to(out);
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
        let facts = direction.facts;
        let open = direction.frame.take().filter(|frame| frame.number == key.number);
        let is_redacted = self.tagger.is_some();
        open.unwrap_or_else(|| FrameState {
            number: key.number,
            next_part: 0,
            next_line: 0,
            redactor: is_redacted.then(|| BodyRedactor::new(key.carrier, facts, key.coding.is_some())),
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
            .is_some_and(|exchange| exchange.side.is_some() || exchange.has_response);
        if !is_known {
            self.exchanges.remove(&key.exchange);
        }
    }

    fn text(&self, text: &str) -> String {
        self.redacted_text(text, &mut 0)
    }

    fn redacted_text(&self, text: &str, redactions: &mut u32) -> String {
        let Some(tagger) = &self.tagger else {
            return text.to_owned();
        };
        let mut out = Output::new(tagger);
        redact_urls(text.as_bytes(), &mut out);
        *redactions += out.redactions;
        String::from_utf8_lossy(&out.bytes).into_owned()
    }

    /// A message that went on in the place of what came.
    fn redacted_document(&self, text: &[u8], redactions: &mut u32) -> String {
        let Some(tagger) = &self.tagger else {
            return String::from_utf8_lossy(text).into_owned();
        };
        let mut out = Output::new(tagger);
        let facts = BodyFacts {
            is_known: true,
            ..BodyFacts::default()
        };
        let mut redactor = BodyRedactor::new(Carrier::Http, facts, false);
        redactor.push(text, &mut out);
        redactor.finish(&mut out);
        *redactions += out.redactions;
        String::from_utf8_lossy(&out.bytes).into_owned()
    }

    fn redacted_texts(&self, texts: &[String], redactions: &mut u32) -> Vec<String> {
        texts
            .iter()
            .map(|text| self.redacted_text(text, redactions))
            .collect()
    }

    fn redacted_head(&self, head: &mut HeadLine) -> u32 {
        self.tagger.as_ref().map_or(0, |tagger| head.redact(tagger))
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

fn body_facts(head: &HeadLine) -> BodyFacts {
    let media_type = head.field("content-type").unwrap_or_default();
    let essence = media_type.split(|byte| *byte == b';').next().unwrap_or_default();
    let coding = head.field("content-encoding").unwrap_or_default().trim_ascii();
    BodyFacts {
        is_known: true,
        is_form: essence
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/x-www-form-urlencoded"),
        is_encoded: !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"),
    }
}
