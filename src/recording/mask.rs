//! Takes the secrets out of the lines of a recording, one after the other: while it is written, and when one is scrubbed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::format::{
    ExchangeEndLine, FrameLine, GapLine, Line, RequestKind, RequestLine, ResponseLine, RewriteLine,
    SessionEndLine, SessionLine, VerdictLine,
};
use super::head_line::HeadLine;
use super::redact::{
    BodyFacts, BodyKind, BodyRedactor, Output, PatternWindow, Tagger, redact_field, redact_text, redact_urls,
};
use crate::ids::ExchangeId;
use crate::snapshot::{Carrier, Direction, SentHead};

/// Masks the lines of one recording, in their order.
#[derive(Debug)]
pub(super) struct LineMask {
    tagger: Arc<Tagger>,
    /// By age, so that the oldest can go.
    exchanges: BTreeMap<ExchangeId, Bodies>,
    max_exchanges: usize,
}

/// What is known of the bodies of an exchange.
#[derive(Debug, Default)]
struct Bodies {
    has_head: bool,
    request: Stream,
    response: Stream,
    errors: Stream,
}

/// One of the streams of bytes of an exchange.
#[derive(Debug, Default)]
struct Stream {
    facts: BodyFacts,
    frame: Option<OpenFrame>,
}

/// A frame that is under way.
#[derive(Debug)]
struct OpenFrame {
    mask: FrameMask,
    /// The latest line, without bytes.
    line: FrameLine,
}

/// Masks the bytes of one frame.
#[derive(Debug)]
struct FrameMask {
    redactor: BodyRedactor,
    window: Option<PatternWindow>,
}

impl LineMask {
    /// A mask that remembers at most `max_exchanges` open exchanges.
    pub(super) fn new(tagger: Tagger, max_exchanges: usize) -> Self {
        Self {
            tagger: Arc::new(tagger),
            exchanges: BTreeMap::new(),
            max_exchanges,
        }
    }

    /// Hands on what may be written of `line`: that line, with one before it where a frame was broken off and something
    /// of it was still held back.
    pub(super) fn mask(&mut self, line: Line, out: &mut impl FnMut(Line)) {
        let masked = match line {
            Line::Header(_) | Line::End(_) | Line::Unknown => line,
            Line::Session(line) => Line::Session(self.session(line)),
            Line::SessionEnd(line) => Line::SessionEnd(self.session_end(line)),
            Line::Request(line) => Line::Request(self.request(line)),
            Line::Response(line) => Line::Response(self.response(line)),
            Line::Rewrite(line) => Line::Rewrite(self.rewrite(line)),
            Line::Verdict(line) => Line::Verdict(self.verdict(line)),
            Line::Frame(mut line) => {
                let bytes = line.take_bytes();
                return self.mask_frame(line, &bytes, false, out);
            }
            Line::ExchangeEnd(line) => Line::ExchangeEnd(self.exchange_end(line, out)),
            Line::Gap(line) => Line::Gap(self.gap(line)),
        };
        out(masked);
    }

    /// The same for a line of a frame without its `bytes`; `is_torn` if parts before it are missing, in which a secret may
    /// have begun.
    pub(super) fn mask_frame(
        &mut self,
        line: FrameLine,
        bytes: &[u8],
        is_torn: bool,
        out: &mut impl FnMut(Line),
    ) {
        let line = self.frame(line, bytes, is_torn, out);
        out(Line::Frame(line));
    }

    /// Lines are missing here, perhaps with the start of secrets that go on behind.
    pub(super) fn lose(&mut self) {
        for bodies in self.exchanges.values_mut() {
            for stream in [&mut bodies.request, &mut bodies.response, &mut bodies.errors] {
                if let Some(frame) = &mut stream.frame {
                    frame.mask.redactor = BodyRedactor::Withheld;
                }
            }
        }
    }

    fn session(&self, line: SessionLine) -> SessionLine {
        SessionLine {
            server: self.url(line.server, &mut 0),
            client: self.plain(line.client, &mut 0),
            ..line
        }
    }

    fn session_end(&self, line: SessionEndLine) -> SessionEndLine {
        SessionEndLine {
            reason: self.text(line.reason, &mut 0),
            ..line
        }
    }

    fn request(&mut self, mut line: RequestLine) -> RequestLine {
        let facts = body_facts(&line.head);
        let bodies = self.bodies(line.exchange);
        bodies.has_head = true;
        bodies.request.facts = facts;
        let mut redactions = line.redactions;
        line.server = self.url(line.server, &mut 0);
        line.target = self.url(line.target, &mut redactions);
        line.rewrites = self.texts(line.rewrites, &mut redactions);
        self.sent(line.sent.as_deref_mut(), &mut redactions);
        line.resumes = line.resumes.map(|text| self.plain(text, &mut redactions));
        redactions += line.head.redact(&self.tagger);
        if matches!(line.kind, RequestKind::Run | RequestKind::BridgedRun) {
            redactions += line.head.redact_arguments(&self.tagger);
            line.target = line.head.command_line();
        }
        line.redactions = redactions;
        line
    }

    fn response(&mut self, mut line: ResponseLine) -> ResponseLine {
        let facts = body_facts(&line.head);
        let bodies = self.bodies(line.exchange);
        bodies.has_head = true;
        bodies.response.facts = facts;
        let mut redactions = line.redactions;
        line.media_type = line.media_type.map(|text| self.plain(text, &mut redactions));
        line.rewrites = self.texts(line.rewrites, &mut redactions);
        self.sent(line.sent.as_deref_mut(), &mut redactions);
        line.redactions = redactions + line.head.redact(&self.tagger);
        line
    }

    fn rewrite(&self, mut line: RewriteLine) -> RewriteLine {
        line.rewrites = self.texts(line.rewrites, &mut line.redactions);
        self.sent(line.sent.as_deref_mut(), &mut line.redactions);
        for finding in &mut line.findings {
            finding.text = self.text(std::mem::take(&mut finding.text), &mut line.redactions);
        }
        line
    }

    fn verdict(&self, mut line: VerdictLine) -> VerdictLine {
        let redactions = &mut line.redactions;
        line.sent = line.sent.map(|sent| self.document(&sent, redactions));
        line.rule = self.plain(line.rule, redactions);
        line
    }

    fn gap(&self, line: GapLine) -> GapLine {
        GapLine {
            reason: self.plain(line.reason, &mut 0),
            ..line
        }
    }

    fn exchange_end(&mut self, line: ExchangeEndLine, out: &mut impl FnMut(Line)) -> ExchangeEndLine {
        if let Some(bodies) = self.exchanges.remove(&line.exchange) {
            for stream in [bodies.request, bodies.response, bodies.errors] {
                let rest = stream
                    .frame
                    .and_then(|frame| frame.break_off(line.us, &self.tagger));
                rest.into_iter().map(Line::Frame).for_each(&mut *out);
            }
        }
        ExchangeEndLine {
            failure: line.failure.map(|failure| self.text(failure, &mut 0)),
            ..line
        }
    }

    fn frame(
        &mut self,
        mut line: FrameLine,
        bytes: &[u8],
        is_torn: bool,
        out: &mut impl FnMut(Line),
    ) -> FrameLine {
        let (number, is_last, exchange) = (line.frame, line.last, line.exchange);
        let tagger = Arc::clone(&self.tagger);
        let stream = self.stream(&line);
        let (open, other) = match stream.frame.take() {
            Some(open) if open.line.frame == number => (Some(open), None),
            other => (None, other),
        };
        let rest = other.and_then(|other| other.break_off(line.us, &tagger));
        rest.into_iter().map(Line::Frame).for_each(&mut *out);
        let facts = stream.facts;
        let next_part = open.as_ref().map_or(0, |open| open.line.part.saturating_add(1));
        let mut mask = open.map_or_else(|| FrameMask::new(&line, facts, &tagger), |open| open.mask);
        if is_torn || line.part != next_part {
            mask.redactor = BodyRedactor::Withheld;
        }
        let whole = bytes.len() as u64;
        let without = (!is_last).then(|| line.clone());
        mask.push(&mut line, bytes, &tagger);
        stream.frame = without.map(|line| OpenFrame { mask, line });
        if is_last {
            let is_changed = line.redactions > 0 || line.withheld > 0;
            line.size = line.size.or_else(|| is_changed.then_some(whole));
            line.unreadable = line.unreadable.map(|text| self.text(text, &mut line.redactions));
            self.sse(&mut line);
            self.forget_headless(exchange);
        }
        line
    }

    fn sse(&self, line: &mut FrameLine) {
        let redactions = &mut line.redactions;
        if let Some(sse) = &mut line.sse {
            sse.event = sse.event.take().map(|text| self.plain(text, redactions));
            sse.id = sse.id.take().map(|text| self.plain(text, redactions));
        }
    }

    fn bodies(&mut self, exchange: ExchangeId) -> &mut Bodies {
        if self.exchanges.len() >= self.max_exchanges && !self.exchanges.contains_key(&exchange) {
            // Its end was lost in a gap, since no more than this can be open.
            self.exchanges.pop_first();
        }
        self.exchanges.entry(exchange).or_default()
    }

    fn stream(&mut self, line: &FrameLine) -> &mut Stream {
        let bodies = self.bodies(line.exchange);
        match (line.direction, line.transport) {
            (Direction::ClientToServer, _) => &mut bodies.request,
            (Direction::ServerToClient, Carrier::Stderr) => &mut bodies.errors,
            (Direction::ServerToClient, _) => &mut bodies.response,
        }
    }

    /// Forgets an exchange of which nothing is known but a frame that is over.
    fn forget_headless(&mut self, exchange: ExchangeId) {
        if self
            .exchanges
            .get(&exchange)
            .is_some_and(|bodies| !bodies.has_head)
        {
            self.exchanges.remove(&exchange);
        }
    }

    /// A text of ours, which may quote what a peer sent.
    fn text(&self, text: String, redactions: &mut u32) -> String {
        self.with(redact_text, text, redactions)
    }

    /// A text that is or contains a URL.
    fn url(&self, text: String, redactions: &mut u32) -> String {
        self.with(redact_urls, text, redactions)
    }

    fn with(&self, redact: fn(&[u8], &mut Output<'_>), text: String, redactions: &mut u32) -> String {
        let mut out = Output::new(&self.tagger);
        out.expect(text.len());
        redact(text.as_bytes(), &mut out);
        let mut text = text.into_bytes();
        out.take_into(&mut text);
        *redactions += out.redactions;
        lossy(text)
    }

    fn texts(&self, texts: Vec<String>, redactions: &mut u32) -> Vec<String> {
        let texts = texts.into_iter();
        texts.map(|text| self.text(text, redactions)).collect()
    }

    /// What is said of the head that went on; its secrets are those of heads.
    fn sent(&self, sent: Option<&mut SentHead>, redactions: &mut u32) {
        let Some(sent) = sent else {
            return;
        };
        sent.line = sent.line.take().map(|line| self.url(line, redactions));
        let mut out = Output::new(&self.tagger);
        for (name, value) in &mut sent.set {
            redact_field(name.as_bytes(), value.as_bytes(), &mut out);
            *value = lossy(out.take());
        }
        *redactions += out.redactions;
    }

    /// A text in which nothing is secret but what the user describes.
    fn plain(&self, text: String, redactions: &mut u32) -> String {
        if self.tagger.patterns().is_empty() {
            return text;
        }
        let mut out = Output::new(&self.tagger);
        out.bytes = text.into_bytes();
        taken(out, redactions)
    }

    /// A message that went on in the place of what came.
    fn document(&self, text: &str, redactions: &mut u32) -> String {
        let facts = BodyFacts {
            is_known: true,
            ..BodyFacts::default()
        };
        let mut out = Output::new(&self.tagger);
        let mut redactor = BodyRedactor::new(Carrier::Http, facts, false);
        redactor.push(text.as_bytes(), &mut out);
        redactor.finish(&mut out);
        taken(out, redactions)
    }
}

fn taken(mut out: Output<'_>, redactions: &mut u32) -> String {
    let text = out.take();
    *redactions += out.redactions;
    lossy(text)
}

fn lossy(text: Vec<u8>) -> String {
    String::from_utf8(text).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

impl FrameMask {
    fn new(line: &FrameLine, facts: BodyFacts, tagger: &Tagger) -> Self {
        Self {
            redactor: BodyRedactor::new(line.transport, facts, line.coding.is_some()),
            window: (!tagger.patterns().is_empty()).then(PatternWindow::default),
        }
    }

    /// Puts what may be written of `bytes`, and of what was held back before, into the line.
    fn push(&mut self, line: &mut FrameLine, bytes: &[u8], tagger: &Tagger) {
        let mut out = Output::new(tagger);
        out.expect(bytes.len());
        self.redactor.push(bytes, &mut out);
        if line.last {
            self.redactor.finish(&mut out);
        }
        self.fill(line, out, line.last, tagger);
    }

    fn fill(&mut self, line: &mut FrameLine, out: Output<'_>, is_last: bool, tagger: &Tagger) {
        line.redactions += out.redactions;
        line.withheld += out.withheld;
        let bytes = match &mut self.window {
            None => out.bytes,
            Some(window) => {
                let (bytes, replaced) = window.push(&out.bytes, is_last, tagger);
                line.redactions += replaced;
                bytes
            }
        };
        line.set_bytes(bytes);
    }
}

impl OpenFrame {
    /// The rest of the frame is missing: one more part, if something of it was held back.
    fn break_off(mut self, us: i64, tagger: &Tagger) -> Option<FrameLine> {
        let mut line = FrameLine {
            us,
            part: self.line.part.saturating_add(1),
            last: false,
            ..self.line.clone()
        };
        let mut out = Output::new(tagger);
        self.mask.redactor.finish(&mut out);
        self.mask.fill(&mut line, out, true, tagger);
        (line.text.is_some() || line.base64.is_some()).then_some(line)
    }
}

fn body_facts(head: &HeadLine) -> BodyFacts {
    let media_type = head.field("content-type").unwrap_or_default();
    let coding = head.field("content-encoding").unwrap_or_default().trim_ascii();
    BodyFacts {
        is_known: true,
        kind: BodyKind::of(media_type),
        is_encoded: !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"),
    }
}
