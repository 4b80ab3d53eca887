//! Carrying out what was decided about a message.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::event::rewrite_data;
use crate::codec::websocket::reframed;
use crate::ids::HoldId;
use crate::intercept::edit;
use crate::intercept::hold::{Actor, Decision, Effect, Ending};
use crate::intercept::rule::Refusal;
use crate::session::observation::{Event, VerdictObserved};
use crate::snapshot::{Direction, RowKind};

use super::{Entry, Form, Lane, Passed, words};

/// What has become of the document of a lane, beside its bytes.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The request is answered with this and goes nowhere.
    pub(crate) reply: Option<Reply>,
    /// Nobody is to hear anything.
    pub(crate) is_silent: bool,
    /// The connection is to be closed.
    pub(crate) is_closed: bool,
    /// The response has this status instead.
    pub(crate) status: Option<u16>,
    /// Changes of the head: a field and its new value, or none.
    pub(crate) fields: Vec<(String, Option<String>)>,
    /// The document is another one now, in no content coding.
    pub(crate) is_changed: bool,
    /// Answers to entries of a batch that goes on without them: they go back with the answer to the rest.
    pub(crate) joins: Vec<Bytes>,
}

/// An answer in the place of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Empty for none.
    pub(crate) body: Bytes,
}

impl Reply {
    /// Nothing but a status.
    pub(crate) fn of_status(status: u16) -> Self {
        Self {
            status,
            body: Bytes::new(),
        }
    }
}

/// What is done with a frame, whoever decided it.
pub(super) struct Deed {
    ending: Ending,
    actor: Actor,
    /// What was done beside that.
    effect: Option<Effect>,
    /// What went on in the place of the payload.
    sent: Option<Bytes>,
}

impl Deed {
    pub(super) fn of(ending: Ending, actor: Actor, sent: Option<Bytes>) -> Self {
        Self {
            ending,
            actor,
            effect: None,
            sent,
        }
    }

    pub(super) fn with(self, effect: Option<Effect>) -> Self {
        Self { effect, ..self }
    }
}

impl Entry {
    /// A payload as it was carried.
    pub(super) fn carried(&self, payload: &Bytes) -> Bytes {
        match self.form {
            Form::Document | Form::Entry => payload.clone(),
            Form::Messages => reframed(&self.bytes, payload),
            Form::Events => rewrite_data(&self.bytes, &String::from_utf8_lossy(payload)).into(),
            Form::Lines => words::one_line(payload, self.bytes.ends_with(b"\r\n")),
        }
    }
}

impl Lane {
    /// Does what was decided.
    pub(super) fn carry_out(
        &mut self,
        entry: &Entry,
        decision: &Decision,
        edited: Option<Bytes>,
        actor: Actor,
        on: &mut Passed,
    ) -> Deed {
        match decision {
            Decision::Forward | Decision::Delay(_) => self.forward(entry, edited, actor, on),
            Decision::Duplicate(times) => {
                for _ in 1..*times {
                    self.forward(entry, edited.clone(), actor, on);
                }
                self.outcome.is_changed |= *times > 1;
                self.forward(entry, edited, actor, on)
            }
            Decision::Answer(message) => {
                self.answer(entry, message.clone(), on);
                Deed::of(Ending::Answered, actor, Some(message.clone()))
            }
            Decision::Refuse(refusal) => self.refuse(entry, refusal, Ending::Refused, actor, on),
            Decision::Drop { is_silent: true } => {
                self.drop_silently(entry, on);
                Deed::of(Ending::Dropped, actor, None)
            }
            Decision::Drop { is_silent: false } => {
                let refusal = words::dropped();
                self.refuse(entry, &refusal, Ending::Dropped, actor, on)
            }
            Decision::Cancel => self.refuse(entry, &words::cancelled(), Ending::Cancelled, actor, on),
        }
    }

    pub(super) fn forward(
        &mut self,
        entry: &Entry,
        edited: Option<Bytes>,
        actor: Actor,
        on: &mut Passed,
    ) -> Deed {
        let fields = self.head.fields.clone();
        match edited {
            None => {
                on.pieces.push(entry.bytes.clone());
                let is_same = fields.is_empty();
                self.outcome.fields.extend(fields);
                let ending = if is_same {
                    Ending::Forwarded
                } else {
                    Ending::Edited
                };
                Deed::of(ending, actor, None)
            }
            Some(payload) => {
                self.follow_up(entry, &payload);
                // What somebody says of the head goes before what follows from the body.
                self.outcome.fields.extend(fields);
                on.pieces.push(entry.carried(&payload));
                self.outcome.is_changed = true;
                Deed::of(Ending::Edited, actor, Some(payload))
            }
        }
    }

    /// Fields of the head that say the same as the body have to follow it (MCP 2026-07-28, Transports).
    fn follow_up(&mut self, entry: &Entry, payload: &[u8]) {
        if entry.form != Form::Document || self.direction != Direction::ClientToServer {
            return;
        }
        let Some(noted) = &entry.noted else { return };
        let head = self.exchange.request_head().fields;
        let schemas = &self.exchange.hub.interceptor.schemas;
        let schema = schemas.of(&self.exchange.server, payload).input;
        for fixup in edit::fixups(&head, &noted.payload, payload, schema.as_deref()) {
            let is_refused = |name: &String| name.eq_ignore_ascii_case(&fixup.name);
            if !self.head.refused.iter().any(is_refused) {
                self.outcome.fields.push((fixup.name, fixup.after));
            }
        }
    }

    pub(super) fn is_request(&self, entry: &Entry) -> bool {
        let noted = entry.noted.as_ref();
        noted.is_some_and(|noted| self.kind_of(noted) == RowKind::Request)
    }

    /// Gives the sender of a request this message, or puts it in the place of an answer.
    fn answer(&mut self, entry: &Entry, message: Bytes, on: &mut Passed) {
        if self.direction == Direction::ServerToClient && self.is_request(entry) {
            return self.answer_server(entry, message, on);
        }
        match (entry.form, self.direction) {
            (Form::Document, Direction::ClientToServer) => {
                self.outcome.reply = Some(Reply {
                    status: 200,
                    body: message,
                });
            }
            (_, Direction::ClientToServer) => on.back.push(message),
            (_, Direction::ServerToClient) => {
                self.outcome.is_changed = true;
                on.pieces.push(entry.carried(&message));
            }
        }
    }

    /// A server's request does not reach its client; where there is a way, the server gets this message in its place.
    fn answer_server(&mut self, entry: &Entry, message: Bytes, on: &mut Passed) {
        self.drop_silently(entry, on);
        match self.form {
            Form::Lines => on.back.push(message),
            Form::Events => self.exchange.post_as_client(message),
            Form::Document | Form::Messages | Form::Entry => {}
        }
    }

    fn refuse(
        &mut self,
        entry: &Entry,
        refusal: &Refusal,
        ending: Ending,
        actor: Actor,
        on: &mut Passed,
    ) -> Deed {
        let kind = entry
            .noted
            .as_ref()
            .map_or(RowKind::Malformed, |noted| self.kind_of(noted));
        // Behind a shim the connection is the server's process: there an error says so.
        if *refusal == Refusal::Close && self.form != Form::Lines {
            self.outcome.is_closed = true;
            self.close(on);
            return Deed::of(ending, actor, None);
        }
        let is_request = kind == RowKind::Request;
        let from_client = self.direction == Direction::ClientToServer;
        let is_answer = matches!(kind, RowKind::Result | RowKind::Error);
        if !is_request && !is_answer {
            return self.leave_out(entry, refusal, ending, actor, on);
        }
        let message = words::refusals(entry.noted.as_ref(), refusal);
        if is_request && !from_client {
            self.answer_server(entry, message.clone(), on);
            return Deed::of(ending, actor, self.is_answerable().then_some(message));
        }
        self.put_error(entry, refusal, message.clone(), on);
        Deed::of(ending, actor, Some(message))
    }

    /// Puts an error where somebody waits for an answer.
    fn put_error(&mut self, entry: &Entry, refusal: &Refusal, message: Bytes, on: &mut Passed) {
        let from_client = self.direction == Direction::ClientToServer;
        match (entry.form, refusal) {
            (Form::Document, Refusal::Status(status)) if from_client => {
                self.outcome.reply = Some(Reply {
                    status: *status,
                    body: message,
                });
            }
            (Form::Document, Refusal::Status(status)) => {
                self.outcome.status = Some(*status);
                self.answer(entry, message, on);
            }
            _ if self.is_request(entry) => self.answer(entry, message, on),
            // The answer of a client to its server: the error goes on in its place.
            _ => {
                self.outcome.is_changed = true;
                on.pieces.push(entry.carried(&message));
            }
        }
    }

    /// A message that nobody waits for, or what is no message: it does not go on.
    fn leave_out(
        &mut self,
        entry: &Entry,
        refusal: &Refusal,
        ending: Ending,
        actor: Actor,
        on: &mut Passed,
    ) -> Deed {
        let is_message = entry
            .noted
            .as_ref()
            .is_some_and(|noted| !noted.messages.is_empty());
        let status = match refusal {
            Refusal::Status(status) => Some(*status),
            _ => None,
        };
        match (entry.form, self.direction) {
            (Form::Document, Direction::ServerToClient) => {
                // Its client waits for a response: it hears that there is none.
                self.outcome.status = Some(status.unwrap_or(502));
                self.outcome.is_changed = true;
            }
            (Form::Document, Direction::ClientToServer) => {
                // Accepted is what a server says to a notification; other requests failed.
                let unless_said = if is_message { 202 } else { 502 };
                self.outcome.reply = Some(Reply::of_status(status.unwrap_or(unless_said)));
            }
            _ => self.drop_silently(entry, on),
        }
        Deed::of(ending, actor, None)
    }

    pub(super) fn drop_silently(&mut self, entry: &Entry, on: &mut Passed) {
        match (entry.form, self.direction) {
            (Form::Document, Direction::ClientToServer) => {
                if self.is_request(entry) {
                    self.outcome.is_silent = true;
                } else {
                    self.outcome.reply = Some(Reply::of_status(202));
                }
            }
            (Form::Document, Direction::ServerToClient) => self.outcome.is_silent = true,
            // The place from which a client resumes stays true.
            (Form::Events, _) => {
                if let Some(id) = entry
                    .noted
                    .as_ref()
                    .and_then(|noted| noted.sse.as_ref()?.id.clone())
                {
                    on.pieces
                        .push(words::resume_point(&id, self.knows_empty_events()));
                }
            }
            (Form::Lines | Form::Messages | Form::Entry, _) => {}
        }
    }

    /// Whether the client bears events with empty data (MCP 2025-11-25, Transports).
    fn knows_empty_events(&self) -> bool {
        let session = self.exchange.session();
        let revision = session.and_then(|session| session.talk().revision.clone());
        revision.is_some_and(|revision| &*revision >= "2025-11-25")
    }

    pub(super) fn close(&mut self, on: &mut Passed) {
        self.is_closed = true;
        on.is_closed = true;
    }

    pub(super) fn tell(
        &self,
        entry: &Entry,
        hold: Option<HoldId>,
        rule: Arc<str>,
        deed: Deed,
        on: &mut Passed,
    ) {
        let Some(noted) = &entry.noted else { return };
        on.events.push(Event::Verdict(Box::new(VerdictObserved {
            ending: Some(deed.ending),
            effect: deed.effect,
            actor: deed.actor,
            held_for: entry.came.elapsed(),
            sent: deed.sent,
            ..self.verdict(noted, hold, rule)
        })));
    }
}
