//! What an exchange tells of the frames of its bodies.

use std::sync::Arc;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::codec::envelope::{Envelope, Field, MessageKind};
use crate::ids::Side;
use crate::mcp::era;
use crate::session::observation::{
    CallRole, Event, ExchangeKind, FrameObserved, FramePart, Observation, PlacedMessage, Placement,
};
use crate::session::pairing::Carriage;
use crate::session::registry::Session;
use crate::snapshot::{Carrier, Direction};

use super::super::lane::Noted;
use super::super::reader::{Draft, FrameDraft};
use super::super::rewrite::endpoint;
use super::super::watchers::Outbox;
use super::Exchange;

impl Exchange {
    /// Tells of what was found in a body.
    pub(crate) fn tell(
        &self,
        direction: Direction,
        drafts: &mut Vec<Draft>,
        coding: Option<&Arc<str>>,
        outbox: &mut Outbox,
    ) {
        let carrier = self.lock().carrier(direction);
        self.tell_as(direction, carrier, drafts, coding, outbox);
    }

    /// Tells of what was found in a stream that `carrier` carries.
    pub(crate) fn tell_as(
        &self,
        direction: Direction,
        carrier: Carrier,
        drafts: &mut Vec<Draft>,
        coding: Option<&Arc<str>>,
        outbox: &mut Outbox,
    ) {
        self.tell_noted((direction, carrier), drafts, coding, outbox, None);
    }

    /// The same, and notes down for a lane what was told of each frame.
    pub(crate) fn tell_noted(
        &self,
        (direction, carrier): (Direction, Carrier),
        drafts: &mut Vec<Draft>,
        coding: Option<&Arc<str>>,
        outbox: &mut Outbox,
        mut notes: Option<&mut Vec<Noted>>,
    ) {
        let now = self.hub.clock.now();
        for draft in drafts.drain(..) {
            let event = match draft {
                Draft::Part { frame, part, bytes } => {
                    self.part((direction, carrier), (frame, part, bytes), coding)
                }
                Draft::Frame(frame) => self.place((direction, carrier), *frame, coding, now, outbox),
            };
            if let (Some(notes), Event::Frame(frame)) = (&mut notes, &event) {
                notes.push(self.noted(frame));
            }
            outbox.put(Observation { at: now, event });
        }
    }

    fn part(
        &self,
        (direction, carrier): (Direction, Carrier),
        (frame, part, bytes): (u32, u32, Bytes),
        coding: Option<&Arc<str>>,
    ) -> Event {
        let state = self.lock();
        Event::Part(FramePart {
            exchange: self.id,
            session: state.session.as_ref().map(|session| session.id),
            direction,
            carrier,
            frame,
            part,
            bytes,
            coding: coding.cloned(),
        })
    }

    /// Tells of messages of a client that are sent again.
    pub(crate) fn tell_repeated(
        &self,
        what: (Direction, Carrier),
        drafts: &mut Vec<Draft>,
        outbox: &mut Outbox,
    ) {
        self.tell_marked(what, drafts, outbox, |frame| frame.is_injected = true);
    }

    /// Tells of messages that we made up.
    pub(crate) fn tell_synthetic(
        &self,
        what: (Direction, Carrier),
        drafts: &mut Vec<Draft>,
        outbox: &mut Outbox,
    ) {
        self.tell_marked(what, drafts, outbox, |frame| frame.is_synthetic = true);
    }

    /// Tells of messages that the peer did not say just now; `mark` notes why.
    fn tell_marked(
        &self,
        what: (Direction, Carrier),
        drafts: &mut Vec<Draft>,
        outbox: &mut Outbox,
        mark: impl Fn(&mut FrameObserved),
    ) {
        let now = self.hub.clock.now();
        for draft in drafts.drain(..) {
            let event = match draft {
                Draft::Part { frame, part, bytes } => self.part(what, (frame, part, bytes), None),
                Draft::Frame(draft) => {
                    let mut event = self.place(what, *draft, None, now, outbox);
                    if let Event::Frame(frame) = &mut event {
                        mark(Arc::make_mut(frame));
                    }
                    event
                }
            };
            outbox.put(Observation { at: now, event });
        }
    }

    /// What a lane hears of a frame. JSON that is no JSON-RPC is the body of what is no MCP.
    fn noted(&self, frame: &FrameObserved) -> Noted {
        let mut of_frame = Noted::of(frame);
        if self.kind == ExchangeKind::Http && frame.carrier == Carrier::Http {
            let is_rpc = |placed: &PlacedMessage| placed.envelope.kind != MessageKind::Malformed;
            of_frame.messages.retain(is_rpc);
        }
        of_frame
    }

    /// What carries the messages of a direction.
    pub(crate) fn carrier(&self, direction: Direction) -> Carrier {
        self.lock().carrier(direction)
    }

    /// What rules ask about and waiting depends on: who the client is, and when it gives up.
    fn learn(&self, direction: Direction, placed: &PlacedMessage, session: Option<&Session>, now: Timestamp) {
        let Some(session) = session else { return };
        let fields = &placed.envelope.fields;
        let is_from_client = direction == Direction::ClientToServer;
        let name = || {
            fields
                .get(Field::MetaClientName)
                .or_else(|| fields.get(Field::ParamsClientName))
        };
        if is_from_client && let Some(name) = name() {
            let mut talk = session.talk();
            if talk.client.as_deref() != Some(name) {
                talk.client = Some(name.into());
            }
        }
        let stated = || era::stated_revision(&placed.envelope).map(Arc::<str>::from);
        let agreed = || fields.get(Field::ResultProtocolVersion).map(Arc::<str>::from);
        if let Some(revision) = if is_from_client { stated() } else { agreed() } {
            session.talk().revision = Some(revision);
        }
        if is_from_client
            && placed.placement.role == CallRole::Cancels
            && let Some(asked) = placed.placement.request_at
            && let Some(client) = session.talk().client.clone()
        {
            self.hub.interceptor.patience.gave_up(&client, now.since(asked));
        }
    }

    /// What a tool takes and gives, should somebody edit or answer a call of it.
    fn learn_tools(&self, direction: Direction, placed: &[PlacedMessage], payload: &[u8], is_cut: bool) {
        let [only] = placed else { return };
        let is_list = only.placement.request_method.as_deref() == Some("tools/list");
        if direction == Direction::ServerToClient && is_list && !is_cut {
            self.hub.interceptor.schemas.learn(&self.server, payload);
        }
    }

    pub(super) fn place(
        &self,
        (direction, carrier): (Direction, Carrier),
        draft: FrameDraft,
        coding: Option<&Arc<str>>,
        now: crate::clock::Timestamp,
        outbox: &mut Outbox,
    ) -> Event {
        if direction == Direction::ClientToServer {
            self.join_by_body(&draft.scan.messages, draft.scan.is_json_rpc(), outbox);
        } else {
            self.note_events(&draft, coding, outbox);
        }
        self.note_size(&draft);
        let mut state = self.lock();
        if direction == Direction::ClientToServer {
            let first = draft.scan.messages.first();
            // On a pipe ids count for all of it, whatever the era.
            let is_pipe = self.is_run() || carrier == Carrier::WebSocket;
            state.is_modern = !is_pipe && first.is_some_and(era::is_modern);
            state.request_id = first.and_then(|message| message.id.as_ref()?.token().map(str::to_owned));
        }
        let carriage = Carriage {
            at: now,
            direction,
            exchange: self.id,
            is_modern: state.is_modern,
        };
        let (session, stream) = (state.session.clone(), state.stream);
        drop(state);
        let is_mcp = self.side == Side::Reverse
            || self.is_run()
            || carrier == Carrier::WebSocket
            || self.stated.speaks_mcp
            || draft.scan.is_json_rpc();
        let is_shown = is_mcp && self.kind != ExchangeKind::BridgedRun;
        let messages = if is_shown { draft.scan.messages } else { Vec::new() };
        let placed = messages
            .into_iter()
            .map(|envelope| self.placed(carriage, envelope, session.as_deref()));
        let placed: Vec<PlacedMessage> = placed.collect();
        self.learn_tools(direction, &placed, &draft.payload, draft.is_cut);
        for placed in &placed {
            self.learn(direction, placed, session.as_deref(), now);
        }
        if let Some(session) = &session {
            session.touch(now);
        }
        let stream = stream.filter(|_| carrier == Carrier::Sse);
        Event::Frame(Arc::new(FrameObserved {
            exchange: self.id,
            session: session.map(|session| session.id),
            stream,
            direction,
            carrier,
            frame: draft.frame,
            parts: draft.parts,
            wire: draft.wire,
            payload: draft.payload,
            size: draft.size,
            payload_size: draft.payload_size,
            is_cut: draft.is_cut,
            is_fragment: draft.is_fragment,
            coding: coding.cloned(),
            sse: draft.sse,
            messages: placed,
            unreadable: draft.problem.filter(|_| is_mcp),
            is_synthetic: false,
            is_injected: self.is_repeat && direction == Direction::ClientToServer,
        }))
    }

    pub(super) fn placed(
        &self,
        carriage: Carriage,
        envelope: Envelope,
        session: Option<&Session>,
    ) -> PlacedMessage {
        let mut placement = match session {
            Some(session) => session
                .talk()
                .pairing
                .place(carriage, &envelope, &self.hub.ids.calls),
            None => Placement::default(),
        };
        if carriage.direction == Direction::ClientToServer {
            placement.findings.extend(self.stated.disagreements(&envelope));
        }
        placement
            .findings
            .extend(self.doubt(carriage.direction, &envelope));
        PlacedMessage { envelope, placement }
    }

    /// Event ids are remembered for resumption; an `endpoint` event makes an HTTP+SSE session.
    pub(super) fn note_events(&self, draft: &FrameDraft, coding: Option<&Arc<str>>, outbox: &mut Outbox) {
        let Some(sse) = &draft.sse else { return };
        let is_endpoint = sse.event.as_deref() == Some("endpoint");
        if is_endpoint && self.stated.is_get && self.lock().session.is_none() {
            let written = String::from_utf8_lossy(&draft.payload);
            let map = self.lock().endpoint_map.take();
            if let Some(map) = map {
                let coding = coding.map(|coding| &**coding);
                self.tell_changes(endpoint::unchanged(&map, &written, coding), outbox);
            }
            let read = self.lock().endpoint.take();
            self.join_as_endpoint(read.as_deref().unwrap_or(&written), outbox);
        } else if sse.event.is_some() && self.is_undecided() {
            self.join_as_peer(outbox);
        }
        let session = self.lock().session.clone();
        if let (Some(session), Some(id)) = (session, &sse.id) {
            let held = session.talk().events.remember(id, self.id, self.hub.clock.now());
            let meters = &self.hub.meters;
            meters.event_ids.note(held.ids as u64);
            meters.event_ids.reach_times(held.crowded_out);
            meters.event_id_age.note_time(held.oldest);
            meters.event_id_age.reach_times(held.aged_out);
        }
    }

    /// Compares a frame with the limits on sizes, for their gauges.
    pub(super) fn note_size(&self, draft: &FrameDraft) {
        let (meters, limits) = (&self.hub.meters, &self.hub.limits);
        meters.bodies.note(draft.payload_size);
        if draft.payload_size > limits.max_body_kept as u64 {
            meters.bodies.reach();
        }
        if draft.payload_size > limits.max_parse_bytes as u64 {
            meters.unparsed.reach();
        }
        if draft.sse.is_some() {
            meters.events.note(draft.size);
            if draft.size > limits.max_message_bytes as u64 {
                meters.events.reach();
            }
        }
    }
}
