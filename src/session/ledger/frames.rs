//! Frames become rows: one for each message, event or body that matters.

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::codec::envelope::{Envelope, Field, MessageKind};
use crate::ids::{CallId, ExchangeId, MessageId};
use crate::mcp::era;
use crate::mcp::trace::TraceContext;
use crate::session::describe;
use crate::session::history::body::{KeptBody, Place, slice};
use crate::session::history::owner::Known;
use crate::session::history::row::{Course, RareFacts, RowEnd};
use crate::session::history::{BodyLocator, Row};
use crate::session::observation::{
    CallRole, ExchangeKind, FrameObserved, FramePart, OWN_ERROR, PlacedMessage,
};
use crate::session::pairing::subject;
use crate::snapshot::{Carrier, Direction, Era, Outcome, RowKind};

use super::Ledger;
use super::calls::OpenCall;
use super::draft::Draft;
use super::exchanges::status_outcome;
use super::findings::{bare_findings, findings};
use super::sessions::Step;

/// Rows of a session that are looked at again when its client, era or revision becomes known.
const LEARNT_ROWS: usize = 1024;

impl Ledger {
    pub(super) fn part(&mut self, part: &FramePart) {
        self.count_bytes(part.exchange, part.direction, part.bytes.len() as u64);
    }

    pub(super) fn frame(&mut self, at: Timestamp, frame: &FrameObserved, locator: Option<BodyLocator>) {
        let id = frame.exchange;
        self.known_exchange(id, frame.session, at);
        self.belongs_to(id, frame.session, at);
        if frame.parts == 0 {
            self.count_bytes(id, frame.direction, frame.size);
        }
        let is_event = frame.sse.as_ref().is_some_and(|sse| sse.event.is_some());
        self.tally.events += u64::from(is_event);
        let is_plain = self.is_plain(frame);
        let first = if frame.messages.is_empty() || is_plain {
            self.bare_frame(at, frame, is_plain, locator)
        } else {
            self.messages(at, frame, locator)
        };
        if let Some(stream) = frame.stream {
            self.streams.block(stream, at, frame, first);
        }
        if let Some(session) = frame.session {
            self.sessions.note(session, at, Step::Touched);
        }
    }

    fn count_bytes(&mut self, id: ExchangeId, direction: Direction, bytes: u64) {
        let Some(open) = self.exchanges.get_mut(&id) else {
            return;
        };
        let (side, total) = match direction {
            Direction::ClientToServer => (0, &mut self.totals.bytes_from_clients),
            Direction::ServerToClient => (1, &mut self.totals.bytes_from_servers),
        };
        open.counted[side] += bytes;
        *total += bytes;
    }

    fn messages(
        &mut self,
        at: Timestamp,
        frame: &FrameObserved,
        locator: Option<BodyLocator>,
    ) -> Option<(MessageId, RowKind)> {
        let is_batch = frame.messages.len() > 1 || frame.payload.trim_ascii_start().first() == Some(&b'[');
        let count = u32::try_from(frame.messages.len()).unwrap_or(u32::MAX);
        if let Some(open) = self.exchanges.get_mut(&frame.exchange) {
            open.has_asked |= frame.direction == Direction::ClientToServer;
        }
        let mut first = None;
        for (number, placed) in (1..).zip(&frame.messages) {
            self.learn(frame, placed);
            let batch = is_batch.then_some((number, count));
            let row = self.message(at, frame, placed, batch, locator);
            first = first.or(row);
        }
        first
    }

    fn message(
        &mut self,
        at: Timestamp,
        frame: &FrameObserved,
        placed: &PlacedMessage,
        batch: Option<(u32, u32)>,
        locator: Option<BodyLocator>,
    ) -> Option<(MessageId, RowKind)> {
        let PlacedMessage { envelope, placement } = placed;
        let kind = row_kind(envelope);
        let opens = kind == RowKind::Request && placement.role == CallRole::Opens && placement.call.is_some();
        let is_answer = matches!(kind, RowKind::Result | RowKind::Error);
        let outcome = self.outcome(frame.exchange, envelope);
        let status = self
            .exchanges
            .get(&frame.exchange)
            .and_then(|open| open.record.status());
        let took = placement.request_at.map(|asked| at.since(asked));
        let span = batch.map(|_| envelope.span.clone());
        let method = envelope.method.as_deref().or(placement.request_method.as_deref());
        let method = method.map(|method| self.words.share(method));
        let draft = Draft {
            frame: NonZeroU32::new(frame.frame.saturating_add(1)),
            stream: frame.stream,
            call: placement.call,
            course: course(opens, is_answer),
            end: is_answer.then_some(RowEnd {
                took,
                outcome,
                status,
            }),
            method,
            name: placement
                .request_name
                .clone()
                .or_else(|| subject(envelope).map(Arc::from)),
            rpc_id: envelope.id.as_ref().map(|id| id.to_string().into()),
            summary: if frame.is_synthetic {
                format!("synthetic {}", describe::message(envelope, placement))
            } else {
                describe::message(envelope, placement)
            },
            findings: findings(frame, placed, self.bounds.max_body_kept as u64),
            batch,
            rare: rare(frame, envelope),
            size: span
                .as_ref()
                .map_or(frame.size, |span| span.end.saturating_sub(span.start)),
            body: self.body(frame, span, locator),
            ..Draft::new(at, frame.direction, frame.carrier, kind)
        };
        let row = self.append(frame.exchange, draft)?;
        let first = (row.id(), kind);
        if is_answer && frame.direction == Direction::ServerToClient {
            self.answered(frame.exchange, envelope, outcome);
        }
        if let Some(call) = placement.call {
            if opens {
                self.opened(call, row, envelope, frame.exchange);
            } else if !frame.is_synthetic {
                self.affect(call, at, placement.role, envelope, outcome);
            }
        }
        Some(first)
    }

    /// How an answer ends its call. The proxy's own answer says more by its status than by its error code.
    /// So does a server's that has none.
    fn outcome(&self, exchange: ExchangeId, envelope: &Envelope) -> Outcome {
        let record = self.exchanges.get(&exchange).map(|open| &open.record);
        let status = record.and_then(|record| record.status());
        let has_no_code = envelope.kind == MessageKind::Error && describe::error_code(envelope).is_none();
        match status.filter(|status| *status >= 400) {
            Some(status) if record.is_some_and(|record| record.is_our_answer()) => {
                Outcome::ProxyError(status)
            }
            Some(status) if has_no_code => Outcome::HttpError(status),
            _ => describe::outcome(envelope),
        }
    }

    fn answered(&mut self, exchange: ExchangeId, envelope: &Envelope, outcome: Outcome) {
        let is_ours = outcome == Outcome::RpcError(OWN_ERROR);
        let message = envelope.fields.get(Field::ErrorMessage).unwrap_or_default();
        if let Some(open) = self.exchanges.get_mut(&exchange) {
            open.answered(is_ours.then_some(message));
        }
    }

    fn opened(&mut self, call: CallId, row: Arc<Row>, envelope: &Envelope, exchange: ExchangeId) {
        let session_era = row.session_facts().and_then(|session| session.known().era);
        let states_era = era::stated_revision(envelope).is_some() || era::is_legacy_handshake(envelope);
        let is_modern = if states_era {
            era::is_modern(envelope)
        } else {
            session_era == Some(Era::Modern)
        };
        let Some(open) = self.exchanges.get_mut(&exchange) else {
            return;
        };
        if row.facts.direction == Direction::ClientToServer {
            open.add_call(call);
        }
        let owner = open.owner();
        let trace = self
            .observer
            .as_ref()
            .and_then(|_| TraceContext::parse(envelope.fields.get(Field::MetaTraceparent)?));
        self.open_call(
            call,
            OpenCall {
                row,
                owner,
                is_modern,
                trace,
            },
        );
    }

    /// What a message does to the call that it belongs to.
    fn affect(&mut self, call: CallId, at: Timestamp, role: CallRole, envelope: &Envelope, outcome: Outcome) {
        match role {
            CallRole::Answers => self.answer_call(call, at, outcome),
            CallRole::Cancels => self.end_call(call, at, Outcome::Cancelled),
            CallRole::Progress => {
                let Some(progress) = describe::progress(envelope) else {
                    return;
                };
                let Some((row, owner)) = self
                    .calls
                    .get(call)
                    .map(|open| (Arc::clone(&open.row), open.owner))
                else {
                    return;
                };
                self.shelves.change(owner, &row, |row| row.report(progress));
                self.mark_changed(&row);
            }
            CallRole::None | CallRole::Opens | CallRole::Accompanies => {}
        }
    }

    /// A frame that carries no message, or (`is_plain`) none that was meant to be one. Comments make no row: they are part
    /// of the stream's lane.
    fn bare_frame(
        &mut self,
        at: Timestamp,
        frame: &FrameObserved,
        is_plain: bool,
        locator: Option<BodyLocator>,
    ) -> Option<(MessageId, RowKind)> {
        if frame.carrier == Carrier::Stderr {
            let is_blank = frame.payload.trim_ascii().is_empty();
            return if is_blank {
                None
            } else {
                self.bare_row(at, frame, RowKind::Stderr, locator)
            };
        }
        if frame.unreadable.is_some() && !is_plain {
            return self.bare_row(at, frame, RowKind::Malformed, locator);
        }
        if frame.carrier == Carrier::Stdio {
            // Blank lines, and the lines of a bridged run, which are shown where clients hear them.
            return None;
        }
        if let Some(sse) = &frame.sse {
            let matters = sse.event.is_some() || sse.id.is_some() || sse.retry.is_some();
            return if matters {
                self.bare_row(at, frame, RowKind::Event, locator)
            } else {
                None
            };
        }
        if frame.carrier == Carrier::Sse {
            // The stream ended inside this block.
            return self.bare_row(at, frame, RowKind::Event, locator);
        }
        match frame.direction {
            Direction::ClientToServer => self.request_body(at, frame, locator),
            Direction::ServerToClient if frame.payload_size == 0 || self.is_acknowledgement(frame) => None,
            Direction::ServerToClient => self.bare_row(at, frame, RowKind::HttpResponse, locator),
        }
    }

    /// HTTP+SSE servers say `Accepted` to each POST; a row each would double the list.
    fn is_acknowledgement(&self, frame: &FrameObserved) -> bool {
        let Some(open) = self.exchanges.get(&frame.exchange) else {
            return false;
        };
        open.record.kind == ExchangeKind::Message
            && open.record.status() == Some(202)
            && frame.payload.trim_ascii().eq_ignore_ascii_case(b"accepted")
    }

    /// The body of a request that is no message belongs to the row of its exchange.
    fn request_body(
        &mut self,
        at: Timestamp,
        frame: &FrameObserved,
        locator: Option<BodyLocator>,
    ) -> Option<(MessageId, RowKind)> {
        if frame.payload_size == 0 {
            return None;
        }
        if self.exchanges.get(&frame.exchange)?.http_row.is_none() {
            self.http_row(frame.exchange, at, RowKind::Http, Carrier::Http);
        }
        let body = self.body(frame, None, locator)?;
        let open = self.exchanges.get(&frame.exchange)?;
        let (row, owner) = (open.http_row.clone()?, open.owner());
        if !row.has_body() && !self.shelves.is_pinned(row.id()) {
            self.shelves
                .change(owner, &row, |row| row.put_body(body, frame.size));
            self.mark_changed(&row);
        }
        Some((row.id(), row.kind()))
    }

    fn bare_row(
        &mut self,
        at: Timestamp,
        frame: &FrameObserved,
        kind: RowKind,
        locator: Option<BodyLocator>,
    ) -> Option<(MessageId, RowKind)> {
        let open = self.exchanges.get(&frame.exchange)?;
        let (status, started) = (open.record.status(), open.record.started);
        let is_response = kind == RowKind::HttpResponse;
        let outcome = match status {
            Some(status) if open.record.is_our_answer() && status >= 400 => Outcome::ProxyError(status),
            status => status_outcome(status),
        };
        let words = if is_response {
            response_words(frame, open.record.response_media_type())
        } else {
            bare_words(frame)
        };
        let error = (is_response && outcome.is_error()).then(|| words.clone().into());
        let method = is_response.then(|| self.words.share(&open.record.method));
        let draft = Draft {
            frame: NonZeroU32::new(frame.frame.saturating_add(1)),
            stream: frame.stream,
            call: open.only_call().filter(|_| is_response),
            method,
            course: if is_response { Course::Ends } else { Course::Passes },
            end: is_response.then_some(RowEnd {
                took: Some(at.since(started)),
                outcome,
                status,
            }),
            summary: with_status(status.filter(|_| is_response), &words),
            findings: bare_findings(frame, kind, self.bounds.max_body_kept as u64),
            rare: RareFacts {
                error,
                ..sse_facts(frame)
            },
            size: frame.size,
            body: self.body(frame, None, locator),
            ..Draft::new(at, frame.direction, frame.carrier, kind)
        };
        let row = self.append(frame.exchange, draft)?;
        Some((row.id(), kind))
    }

    fn body(
        &self,
        frame: &FrameObserved,
        span: Option<Range<u64>>,
        locator: Option<BodyLocator>,
    ) -> Option<KeptBody> {
        if frame.size == 0 && frame.payload_size == 0 {
            return None;
        }
        let coding = frame.coding.clone();
        let size = span
            .as_ref()
            .map_or(frame.payload_size, |span| span.end.saturating_sub(span.start));
        if let Some(locator) = locator {
            return Some(KeptBody {
                place: Place::File { locator, span },
                size,
                is_cut: frame.is_cut,
                coding,
            });
        }
        let max = self.bounds.max_body_kept;
        Some(match span {
            Some(span) => KeptBody::copied(slice(&frame.payload, &span), b"", size, coding, max),
            None if frame.sse.is_some() => KeptBody::of_frame(&frame.payload, &frame.wire, size, coding, max),
            None => KeptBody::of_frame(&frame.payload, &Bytes::new(), size, coding, max),
        })
    }

    /// What a message tells about its session.
    fn learn(&mut self, frame: &FrameObserved, placed: &PlacedMessage) {
        let Some(session) = frame
            .session
            .and_then(|id| self.sessions.get(id))
            .map(|known| Arc::clone(&known.facts))
        else {
            return;
        };
        let envelope = &placed.envelope;
        let before = session.known();
        if !tells_of_session(frame.direction, placed, &before) {
            return;
        }
        let mut known = (*before).clone();
        match frame.direction {
            Direction::ClientToServer => learn_from_client(&mut known, envelope),
            Direction::ServerToClient => learn_from_server(&mut known, placed),
        }
        if session.learn(known) {
            self.sessions.learnt(&before, &session.known());
            let rows: Vec<MessageId> = self.shelves.latest(session.id, LEARNT_ROWS).collect();
            for row in rows {
                self.mark_row(row.get());
            }
            self.sessions.touch_row(session.id);
        }
    }
}

/// Whether there can be anything to learn: most messages tell nothing of their session.
fn tells_of_session(direction: Direction, placed: &PlacedMessage, known: &Known) -> bool {
    const FROM_CLIENTS: [Field; 3] = [
        Field::MetaClientName,
        Field::ParamsClientName,
        Field::MetaProtocolVersion,
    ];
    const FROM_SERVERS: [Field; 3] = [
        Field::ResultServerName,
        Field::ResultMetaServerName,
        Field::ResultProtocolVersion,
    ];
    let envelope = &placed.envelope;
    match direction {
        Direction::ClientToServer => {
            let has = |field: Field| envelope.fields.get(field).is_some();
            FROM_CLIENTS.into_iter().any(has)
                || era::stated_revision(envelope).is_some()
                || era::is_legacy_handshake(envelope)
        }
        Direction::ServerToClient => {
            let has = |field: Field| envelope.fields.get(field).is_some();
            envelope.kind == MessageKind::Result && (known.era.is_none() || FROM_SERVERS.into_iter().any(has))
        }
    }
}

fn learn_from_client(known: &mut Known, envelope: &Envelope) {
    let stated = describe::name_and_version(envelope, Field::MetaClientName, Field::MetaClientVersion);
    let greeted =
        || describe::name_and_version(envelope, Field::ParamsClientName, Field::ParamsClientVersion);
    if let Some(client) = stated.or_else(greeted) {
        known.client = Some(client.into());
    }
    if let Some(revision) = era::stated_revision(envelope) {
        known.revision = Some(revision.into());
        known.era = Some(if era::is_modern(envelope) {
            Era::Modern
        } else {
            Era::Legacy
        });
    } else if era::is_legacy_handshake(envelope) {
        known.era = Some(Era::Legacy);
    }
}

fn learn_from_server(known: &mut Known, placed: &PlacedMessage) {
    let envelope = &placed.envelope;
    if envelope.kind != MessageKind::Result {
        return;
    }
    let server = describe::name_and_version(envelope, Field::ResultServerName, Field::ResultServerVersion);
    let stated = || {
        describe::name_and_version(
            envelope,
            Field::ResultMetaServerName,
            Field::ResultMetaServerVersion,
        )
    };
    if let Some(server) = server.or_else(stated) {
        known.server_info = Some(server.into());
    }
    let is_handshake = placed.placement.request_method.as_deref() == Some("initialize");
    if let Some(agreed) = envelope
        .fields
        .get(Field::ResultProtocolVersion)
        .filter(|_| is_handshake)
    {
        known.revision = Some(agreed.into());
        known.era = era::of_revision(agreed).or(known.era);
    } else if known.era.is_none() && era::is_modern(envelope) {
        known.era = Some(Era::Modern);
    }
}

fn row_kind(envelope: &Envelope) -> RowKind {
    match envelope.kind {
        MessageKind::Request => RowKind::Request,
        MessageKind::Notification => RowKind::Notification,
        MessageKind::Result => RowKind::Result,
        MessageKind::Error => RowKind::Error,
        MessageKind::Malformed => RowKind::Malformed,
    }
}

fn course(opens: bool, is_answer: bool) -> Course {
    match (opens, is_answer) {
        (true, _) => Course::Opens,
        (false, true) => Course::Ends,
        (false, false) => Course::Passes,
    }
}

fn rare(frame: &FrameObserved, envelope: &Envelope) -> RareFacts {
    RareFacts {
        error: envelope.fields.get(Field::ErrorMessage).map(Into::into),
        level: envelope.fields.get(Field::ParamsLevel).map(Into::into),
        ..sse_facts(frame)
    }
}

fn sse_facts(frame: &FrameObserved) -> RareFacts {
    let Some(sse) = &frame.sse else {
        return RareFacts::default();
    };
    RareFacts {
        // Most events are messages and called so; that need not be said.
        event: sse
            .event
            .as_deref()
            .filter(|name| frame.messages.is_empty() || *name != "message")
            .map(Into::into),
        event_id: sse.id.clone(),
        retry: sse.retry,
        comments: sse.comments,
        ..RareFacts::default()
    }
}

fn bare_words(frame: &FrameObserved) -> String {
    match &frame.sse {
        Some(sse) if frame.unreadable.is_none() => describe::block(sse, &frame.payload),
        _ => describe::text(&frame.payload),
    }
}

/// A response body in words: its text, or what it is if it has none.
fn response_words(frame: &FrameObserved, media_type: Option<&str>) -> String {
    let is_text = |media_type: &str| {
        let media_type = media_type.to_ascii_lowercase();
        ["text/", "json", "xml", "javascript", "form-urlencoded"]
            .iter()
            .any(|kind| media_type.contains(kind))
    };
    match media_type {
        Some(media_type) if !is_text(media_type) => media_type.to_owned(),
        _ => describe::text(&frame.payload),
    }
}

fn with_status(status: Option<u16>, words: &str) -> String {
    status.map_or_else(
        || words.to_owned(),
        |status| describe::shorten(format!("{status} {words}").trim_end()),
    )
}
