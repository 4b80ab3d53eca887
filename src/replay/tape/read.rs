//! Lines of a recording into exchanges.

use std::collections::{BTreeMap, HashSet};
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::calls::{Unpaired, session_of};
use super::injected::{ids_of, is_about, keep};
use super::model::{Tape, TapeEnd, TapeExchange, TapeFrame, TapePart, TapeResponse};
use super::{Taken, TapeError, TapeOptions};
use crate::codec::envelope::{MessageKind, scan};
use crate::codec::event::SseEvent;
use crate::codec::lines::line_content;
use crate::ids::{ExchangeId, ProxySessionId, Side};
use crate::intercept::edit::with_payload;
use crate::intercept::hold::Ending;
use crate::recording::format::{
    ExchangeEndLine, FrameLine, Line, RequestKind, RequestLine, ResponseLine, RewriteLine, SessionLine,
    VerdictLine,
};
use crate::recording::head_line::HeadLine;
use crate::recording::{ReadRecordingError, RecordingReader};
use crate::session::observation::head_text;
use crate::snapshot::{Carrier, Direction, Head};

/// Reads everything that `reader` still has.
pub(super) fn read<R: BufRead>(
    mut reader: RecordingReader<R>,
    path: &Path,
    options: &TapeOptions,
) -> Result<Tape, TapeError> {
    let mut drafts = Drafts::new(options);
    while let Some(record) = reader.next() {
        match record {
            Ok(record) => drafts.line(&|| reader.place(record.number), record.line),
            Err(error) => drafts.broken(&error),
        }
        if drafts.bytes > options.max_bytes {
            return Err(TapeError::TooLarge {
                path: path.to_owned(),
                max_bytes: options.max_bytes,
            });
        }
    }
    if let Some(torn) = reader.torn() {
        drafts.damaged(format!(
            "{}: the last line is incomplete",
            reader.place(torn.line)
        ));
    }
    drafts.damage.splice(..0, reader.damage().iter().cloned());
    let created = reader.created();
    let is_redacted = reader.header().redacted;
    let (unpaired, damage) = drafts.finish();
    Ok(Tape {
        path: path.to_owned(),
        created,
        is_redacted,
        sessions: unpaired.into_iter().map(session_of).collect(),
        damage,
    })
}

/// An exchange that is being read.
struct Draft {
    exchange: TapeExchange,
    session: Option<ProxySessionId>,
    server: Arc<str>,
    /// In which place of the whole file each frame was whole.
    orders: Vec<u64>,
    /// What `messages` of each frame said.
    expected: Vec<Option<u32>>,
    client: Option<OpenFrame>,
    from_server: Option<OpenFrame>,
    verdicts: Vec<(u64, VerdictLine)>,
}

/// A frame of which parts are missing still.
struct OpenFrame {
    number: u32,
    us: i64,
    bytes: Vec<u8>,
    parts: Vec<TapePart>,
    is_cut: bool,
}

struct Drafts<'a> {
    options: &'a TapeOptions,
    /// In the order of their numbers, which is that of their beginnings.
    exchanges: BTreeMap<ExchangeId, Draft>,
    sessions: Vec<SessionLine>,
    order: u64,
    bytes: usize,
    damage: Vec<String>,
    more_damage: u64,
}

impl<'a> Drafts<'a> {
    fn new(options: &'a TapeOptions) -> Self {
        Self {
            options,
            exchanges: BTreeMap::new(),
            sessions: Vec::new(),
            order: 0,
            bytes: 0,
            damage: Vec::new(),
            more_damage: 0,
        }
    }

    fn damaged(&mut self, sentence: String) {
        if self.damage.len() < Tape::MAX_DAMAGE {
            self.damage.push(sentence);
        } else {
            self.more_damage += 1;
        }
    }

    fn broken(&mut self, error: &ReadRecordingError) {
        let cause = std::error::Error::source(error).map_or_else(String::new, |cause| format!(": {cause}"));
        self.damaged(format!("{error}{cause}"));
    }

    /// Takes a line; `place` names it.
    fn line(&mut self, place: &dyn Fn() -> String, line: Line) {
        self.order += 1;
        match line {
            Line::Session(line) => self.sessions.push(line),
            Line::Request(line) => self.request(line),
            Line::Response(line) => self.response(line),
            Line::Frame(line) => self.frame(place, line),
            Line::Verdict(line) => {
                let order = self.order;
                let draft = self.draft(line.exchange, line.session);
                draft.verdicts.push((order, line));
            }
            Line::ExchangeEnd(line) => self.end(line),
            Line::Gap(gap) => self.damaged(format!(
                "{}: {} records are missing, as {}",
                place(),
                gap.lost,
                gap.reason
            )),
            Line::Rewrite(line) => self.rewritten(line),
            Line::Header(_) | Line::SessionEnd(_) | Line::End(_) | Line::Unknown => {}
        }
    }

    /// The draft of an exchange; one that nothing is known of if its head was lost.
    fn draft(&mut self, exchange: ExchangeId, session: Option<ProxySessionId>) -> &mut Draft {
        let draft = self
            .exchanges
            .entry(exchange)
            .or_insert_with(|| Draft::unknown(exchange));
        // The first lines of an exchange may not know it yet; a later one may know better.
        draft.session = session.or(draft.session);
        draft
    }

    fn request(&mut self, line: RequestLine) {
        let draft = self.draft(line.exchange, line.session);
        draft.server = line.server.into();
        // In a damaged file frames may have come before their head, or the head comes twice: all else stays.
        let exchange = &mut draft.exchange;
        exchange.side = line.side;
        exchange.kind = line.kind;
        exchange.method = line.method;
        exchange.target = line.target;
        exchange.request_head = head(&line.head);
        exchange.sent = line.sent;
        exchange.resumes = line.resumes;
        exchange.us = line.us;
    }

    fn response(&mut self, line: ResponseLine) {
        let draft = self.draft(line.exchange, line.session);
        draft.exchange.response = Some(TapeResponse {
            us: line.us,
            status: line.status,
            head: head(&line.head),
            sent: line.sent,
            media_type: line.media_type,
            is_ours: line.ours,
        });
    }

    /// Takes how a head went on after all.
    fn rewritten(&mut self, line: RewriteLine) {
        let Some(sent) = line.sent else {
            return;
        };
        let exchange = &mut self.draft(line.exchange, line.session).exchange;
        if line.of_request {
            exchange.sent = Some(sent);
        } else if let Some(response) = &mut exchange.response {
            response.sent = Some(sent);
        }
    }

    fn end(&mut self, line: ExchangeEndLine) {
        let order = self.order;
        let draft = self.draft(line.exchange, line.session);
        draft.give_up(order);
        draft.exchange.end = Some(TapeEnd {
            us: line.us,
            request: line.request_end,
            response: line.response_end,
            failure: line.failure,
            request_bytes: line.request_bytes,
            response_bytes: line.response_bytes,
        });
    }

    fn frame(&mut self, place: &dyn Fn() -> String, line: FrameLine) {
        if matches!(line.transport, Carrier::Tunnel | Carrier::Stderr) {
            return;
        }
        let size = line.text.as_ref().map_or(0, String::len) + line.base64.as_ref().map_or(0, Vec::len);
        self.bytes += size;
        let order = self.order;
        let draft = self.draft(line.exchange, line.session);
        if draft.frame(order, line) {
            self.damaged(format!("{}: parts of its frame are missing before it", place()));
        }
    }

    /// Takes out what was sent again from the proxy, and what came back for it.
    fn leave_out_injected(&mut self) {
        let ids = ids_of(self.exchanges.values().flat_map(|draft| &draft.exchange.frames));
        if ids.is_empty() {
            return;
        }
        self.exchanges.retain(|_, draft| !draft.is_injected());
        for draft in self.exchanges.values_mut() {
            draft.leave_out(&ids);
        }
    }

    /// Exchanges by session, sessions in the order in which they were met.
    fn finish(mut self) -> (Vec<Unpaired>, Vec<String>) {
        if self.more_damage > 0 {
            self.damage
                .push(format!("{} more places are damaged", self.more_damage));
        }
        if !self.options.keeps_injected {
            self.leave_out_injected();
        }
        let mut found: Vec<Unpaired> = self.sessions.iter().map(Unpaired::of_line).collect();
        for (_, mut draft) in self.exchanges {
            draft.give_up(self.order);
            if draft.exchange.kind == RequestKind::Tunnel {
                continue;
            }
            draft.take_verdicts(self.options);
            let place = found.iter().position(|known| known.id == draft.session);
            let place = place.unwrap_or_else(|| {
                found.push(Unpaired::unknown(draft.session, Arc::clone(&draft.server)));
                found.len() - 1
            });
            found[place].add(draft.exchange, draft.orders, draft.expected);
        }
        found.retain(|session| !session.exchanges.is_empty());
        (found, self.damage)
    }
}

/// Number of a message in its batch, how it left, and what went on.
type BatchEntry = (u32, Ending, Option<String>);

impl Draft {
    fn unknown(id: ExchangeId) -> Self {
        Self {
            exchange: TapeExchange {
                id,
                side: Side::Reverse,
                kind: RequestKind::Message,
                method: String::new(),
                target: String::new(),
                request_head: Head::default(),
                sent: None,
                resumes: None,
                us: 0,
                response: None,
                frames: Vec::new(),
                end: None,
            },
            session: None,
            server: "".into(),
            orders: Vec::new(),
            expected: Vec::new(),
            client: None,
            from_server: None,
            verdicts: Vec::new(),
        }
    }

    /// Whether it is an HTTP exchange with a request that was sent again.
    fn is_injected(&self) -> bool {
        let is_run = matches!(self.exchange.kind, RequestKind::Run | RequestKind::BridgedRun);
        !is_run && self.exchange.frames.iter().any(|frame| frame.is_injected)
    }

    /// Takes out the frames of requests with these ids that were sent again, and what was said about those.
    fn leave_out(&mut self, ids: &HashSet<String>) {
        let stays: Vec<bool> = self
            .exchange
            .frames
            .iter()
            .map(|frame| !frame.is_injected && !is_about(frame, ids))
            .collect();
        keep(&mut self.exchange.frames, &stays);
        keep(&mut self.orders, &stays);
        keep(&mut self.expected, &stays);
    }

    fn slot(&mut self, direction: Direction) -> &mut Option<OpenFrame> {
        match direction {
            Direction::ClientToServer => &mut self.client,
            Direction::ServerToClient => &mut self.from_server,
        }
    }

    /// Takes a part; true if parts before it are missing.
    fn frame(&mut self, order: u64, mut line: FrameLine) -> bool {
        let before = self.slot(line.direction).take();
        let (mut open, is_torn) = match before {
            Some(open) if open.number == line.frame => {
                let is_torn = open.parts.len() != line.part as usize;
                (open, is_torn)
            }
            _ => (OpenFrame::new(&line), line.part != 0),
        };
        let us = line.us;
        open.is_cut |= line.withheld > 0 || line.missing > 0 || is_torn;
        let text = line.text.take().map(String::into_bytes);
        open.bytes
            .extend(text.or_else(|| line.base64.take()).unwrap_or_default());
        open.parts.push(TapePart {
            us,
            end: open.bytes.len(),
        });
        if line.last {
            self.done(order, open, line);
        } else {
            *self.slot(line.direction) = Some(open);
        }
        is_torn
    }

    fn done(&mut self, order: u64, open: OpenFrame, line: FrameLine) {
        if line.synthetic {
            // No server said it.
            return;
        }
        let bytes: Bytes = open.bytes.into();
        let mut parts = open.parts;
        // The last line of a frame may have no bytes of its own.
        parts.dedup_by(|later, earlier| later.end == earlier.end);
        let is_cut = open.is_cut || line.size.is_some_and(|size| size > 0 && bytes.is_empty());
        self.orders.push(order);
        self.expected.push(line.messages);
        self.exchange.frames.push(TapeFrame {
            direction: line.direction,
            carrier: line.transport,
            number: line.frame,
            us: open.us,
            done_us: line.us,
            payload: payload(line.transport, &bytes, line.frame == 0),
            bytes,
            parts,
            sse: line.sse,
            is_fragment: line.fragment,
            is_cut,
            verdict: None,
            is_injected: line.injected,
        });
    }

    /// Frames that will not be whole any more are not kept: nothing could be done with their messages.
    fn give_up(&mut self, order: u64) {
        for direction in Direction::ALL {
            let Some(open) = self.slot(direction).take() else {
                continue;
            };
            let us = open.parts.last().map_or(open.us, |part| part.us);
            let carrier = if self.exchange.is_stream() && direction == Direction::ServerToClient {
                Carrier::Sse
            } else {
                Carrier::Http
            };
            let bytes: Bytes = open.bytes.into();
            self.orders.push(order);
            self.expected.push(Some(0));
            self.exchange.frames.push(TapeFrame {
                direction,
                carrier,
                number: open.number,
                us: open.us,
                done_us: us,
                payload: bytes.clone(),
                bytes,
                parts: open.parts,
                sse: None,
                is_fragment: true,
                is_cut: open.is_cut,
                verdict: None,
                is_injected: false,
            });
        }
    }

    /// Puts in what became of frames.
    fn take_verdicts(&mut self, options: &TapeOptions) {
        let mut entries = BTreeMap::<usize, Vec<BatchEntry>>::new();
        for (order, verdict) in std::mem::take(&mut self.verdicts) {
            let Some(ending) = verdict.ending else { continue };
            let is_it =
                |frame: &TapeFrame| frame.direction == verdict.direction && frame.number == verdict.frame;
            let Some(place) = self.exchange.frames.iter().position(is_it) else {
                continue;
            };
            self.exchange.frames[place].verdict = Some(ending);
            let taken = match verdict.direction {
                Direction::ClientToServer => options.from_client,
                Direction::ServerToClient => options.from_server,
            };
            match verdict.batch.filter(|_| taken == Taken::Sent) {
                Some((number, _)) => {
                    let entry = (number, ending, verdict.sent.clone());
                    entries.entry(place).or_default().push(entry);
                }
                None if taken == Taken::Sent => self.replace(place, ending, verdict.sent.as_deref()),
                None => {}
            }
            let is_answer = matches!(ending, Ending::Answered | Ending::Refused);
            if verdict.direction == Direction::ClientToServer
                && is_answer
                && options.from_server == Taken::Sent
                && let Some(answer) = verdict.sent
                && !self.has_answer(answer.as_bytes())
            {
                self.answered(order, verdict.us, answer);
            }
        }
        for (place, decided) in entries {
            self.replace_entries(place, &decided);
        }
    }

    /// What went on of a batch of which some messages were decided about.
    fn replace_entries(&mut self, place: usize, decided: &[BatchEntry]) {
        let payload = self.exchange.frames[place].payload.clone();
        let is_from_client = self.exchange.frames[place].direction == Direction::ClientToServer;
        let mut went: Vec<&[u8]> = Vec::new();
        for (number, message) in (1..).zip(&scan(&payload).messages) {
            let span = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(payload.len());
            let came = &payload[span(message.span.start)..span(message.span.end)];
            let decision = decided.iter().find(|(entry, ..)| *entry == number);
            match decision {
                None | Some((_, Ending::Forwarded, _) | (_, Ending::Edited, None)) => went.push(came),
                Some((_, Ending::Edited, Some(sent))) => went.push(sent.as_bytes()),
                // An answer to the server's own request went back to it.
                Some((.., Some(sent))) if !is_from_client && message.kind != MessageKind::Request => {
                    went.push(sent.as_bytes());
                }
                Some(_) => {}
            }
        }
        let count = u32::try_from(went.len()).unwrap_or(u32::MAX);
        let text = [b"[", went.join(&b","[..]).as_slice(), b"]"].concat();
        self.replace(place, Ending::Edited, Some(&String::from_utf8_lossy(&text)));
        self.expected[place] = Some(count);
    }

    fn replace(&mut self, place: usize, ending: Ending, sent: Option<&str>) {
        let frame = &mut self.exchange.frames[place];
        match (ending, sent) {
            (Ending::Edited, Some(sent)) => {
                let payload = Bytes::copy_from_slice(sent.as_bytes());
                frame.bytes = match frame.carrier {
                    Carrier::Sse => with_payload(&frame.bytes, &payload).into(),
                    Carrier::Stdio => [payload.as_ref(), b"\n"].concat().into(),
                    _ => payload.clone(),
                };
                frame.payload = payload;
                frame.parts = vec![TapePart {
                    us: frame.done_us,
                    end: frame.bytes.len(),
                }];
                frame.is_cut = false;
            }
            (Ending::Forwarded | Ending::Edited, _) => {}
            _ => self.expected[place] = Some(0),
        }
    }

    /// What the client got in the place of an answer of the server.
    /// Whether the file has the answer as a frame too, as it has over HTTP.
    fn has_answer(&self, answer: &[u8]) -> bool {
        let mut frames = self.exchange.frames_of(Direction::ServerToClient);
        frames.any(|frame| frame.payload == answer)
    }

    fn answered(&mut self, order: u64, us: i64, answer: String) {
        let bytes = Bytes::from(answer);
        let carrier = match self.exchange.frames.first().map(|frame| frame.carrier) {
            Some(Carrier::Stdio) => Carrier::Stdio,
            Some(Carrier::WebSocket) => Carrier::WebSocket,
            _ => Carrier::Http,
        };
        self.orders.push(order);
        self.expected.push(Some(1));
        self.exchange.frames.push(TapeFrame {
            direction: Direction::ServerToClient,
            carrier,
            number: u32::MAX,
            us,
            done_us: us,
            payload: bytes.clone(),
            parts: vec![TapePart { us, end: bytes.len() }],
            bytes,
            sse: None,
            is_fragment: false,
            is_cut: false,
            verdict: None,
            is_injected: false,
        });
    }
}

impl OpenFrame {
    fn new(line: &FrameLine) -> Self {
        Self {
            number: line.frame,
            us: line.us,
            bytes: Vec::new(),
            parts: Vec::new(),
            is_cut: false,
        }
    }
}

fn payload(carrier: Carrier, bytes: &Bytes, is_first: bool) -> Bytes {
    match carrier {
        Carrier::Stdio | Carrier::Stderr => bytes.slice(..line_content(bytes).len()),
        Carrier::Sse => {
            let parsed = SseEvent::parse(bytes, is_first);
            match (parsed.data_line, parsed.event) {
                (Some(range), _) => bytes.slice(range),
                (None, Some(event)) => event.data.into(),
                (None, None) => Bytes::new(),
            }
        }
        Carrier::Http | Carrier::Tunnel | Carrier::WebSocket => bytes.clone(),
    }
}

fn head(line: &HeadLine) -> Head {
    let field = |field: &crate::recording::head_line::HeadField| {
        (head_text(&field.name.0), head_text(&field.value.0))
    };
    Head {
        line: head_text(&line.line.0),
        fields: line.fields.iter().map(field).collect(),
    }
}
