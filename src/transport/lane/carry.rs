//! Carrying out what was decided about a message.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::codec::event::rewrite_data;
use crate::codec::websocket::reframed;
use crate::intercept::edit::{self, Change};
use crate::intercept::hold::{Actor, Decided, Decision, Effect, Ending};
use crate::intercept::rule::{Fault, Refusal, Verdict};
use crate::intercept::rules::template;
use crate::session::observation::{Event, VerdictObserved};
use crate::snapshot::{Direction, RowKind};

use super::{Chosen, Entry, Fate, Form, Lane, Passed, is_slow, words};

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
    fn of(ending: Ending, actor: Actor, sent: Option<Bytes>) -> Self {
        Self {
            ending,
            actor,
            effect: None,
            sent,
        }
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
    /// Brings the head on its way, if it may go.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>, on: &mut Passed) -> Poll<()> {
        self.take_moves();
        let Some(entry) = self.queue.front_mut() else {
            return Poll::Ready(());
        };
        match &mut entry.fate {
            Fate::Pass | Fate::Part | Fate::Comment => self.pass(on),
            Fate::WaitForRoom { rule } => {
                let rule = rule.clone();
                return self.ask_for_room(cx, rule);
            }
            Fate::Wait { ticket, is_up } => {
                let comes_up = !std::mem::replace(is_up, true);
                if comes_up {
                    ticket.come_up();
                }
                match ticket.poll_decision(cx) {
                    Poll::Ready(decided) => self.decided(decided, on),
                    Poll::Pending => {
                        if comes_up {
                            // What came together with it was not behind it yet when that was counted.
                            self.note_queue();
                        }
                        return self.wait_for_person(cx);
                    }
                }
            }
            Fate::Do { rule, is_due } => {
                let (rule, is_due) = (rule.clone(), *is_due);
                return self.poll_rule(cx, &rule, is_due, on);
            }
            Fate::Delayed { due, .. } => {
                let due = *due;
                return self.poll_delay(cx, due, on);
            }
            Fate::Batch(_) => return self.poll_batch(cx, on),
            Fate::Trickle { .. } => return self.poll_trickle(cx, on),
        }
        Poll::Ready(())
    }

    /// The head goes on as it came.
    fn pass(&mut self, on: &mut Passed) {
        if let Some(entry) = self.pop() {
            on.pieces.push(entry.bytes);
        }
    }

    fn ask_for_room(&mut self, cx: &mut Context<'_>, rule: Chosen) -> Poll<()> {
        let noted = self.queue.front().and_then(|entry| entry.noted.as_ref());
        let fate = noted.map_or(Fate::Pass, |noted| self.hold(noted, rule, true));
        if matches!(fate, Fate::WaitForRoom { .. }) {
            return self.poll_until(cx, Instant::now() + super::ASK_AGAIN);
        }
        if let Some(entry) = self.queue.front_mut() {
            entry.fate = fate;
        }
        self.note_queue();
        Poll::Ready(())
    }

    fn wait_for_person(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(Entry {
            fate: Fate::Wait { ticket, .. },
            came,
            ..
        }) = self.queue.front()
        else {
            return Poll::Ready(());
        };
        let due = *came + ticket.facts().budget;
        if Instant::now() >= due {
            // Once only would do; later there is nothing to hear of it.
            ticket.expire();
            return match ticket.poll_decision(cx) {
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
            };
        }
        self.poll_until(cx, due)
    }

    fn decided(&mut self, decided: Decided, on: &mut Passed) {
        if let Decision::Delay(time) = decided.decision
            && let Some(entry) = self.queue.front_mut()
            && let Fate::Wait { ticket, .. } = std::mem::replace(&mut entry.fate, Fate::Pass)
        {
            entry.fate = Fate::Delayed {
                ticket,
                decided,
                due: Instant::now() + time,
            };
            return;
        }
        let Some(entry) = self.pop() else { return };
        let (Fate::Wait { ticket, .. } | Fate::Delayed { ticket, .. }) = &entry.fate else {
            return on.pieces.push(entry.bytes);
        };
        let (hold, rule) = (ticket.facts().id, Arc::<str>::from(ticket.facts().rule.as_str()));
        let effect = match (&entry.fate, &decided.decision) {
            (_, Decision::Duplicate(_)) => Some(Effect::Repeated),
            (Fate::Delayed { .. }, Decision::Forward) => Some(Effect::Delayed),
            _ => None,
        };
        self.head = decided.head;
        let deed = self.carry_out(&entry, &decided.decision, decided.edited, decided.actor, on);
        self.tell(&entry, Some(hold), rule, Deed { effect, ..deed }, on);
    }

    fn poll_delay(&mut self, cx: &mut Context<'_>, due: Instant, on: &mut Passed) -> Poll<()> {
        let Some(Entry {
            fate: Fate::Delayed { ticket, decided, .. },
            ..
        }) = self.queue.front()
        else {
            return Poll::Ready(());
        };
        if let Poll::Ready(anew) = ticket.poll_decision(cx)
            && anew.decision != decided.decision
        {
            self.decided_anew(anew, on);
            return Poll::Ready(());
        }
        if Instant::now() < due {
            return self.poll_until(cx, due);
        }
        if let Some(Entry {
            fate: Fate::Delayed { decided, .. },
            ..
        }) = self.queue.front()
        {
            let forward = Decided {
                decision: Decision::Forward,
                ..decided.clone()
            };
            self.decided(forward, on);
        }
        Poll::Ready(())
    }

    /// What was delayed is to go on at another time, or something else is to become of it.
    fn decided_anew(&mut self, anew: Decided, on: &mut Passed) {
        let Decision::Delay(time) = anew.decision else {
            return self.decided(anew, on);
        };
        if let Some(Entry {
            fate: Fate::Delayed { decided, due, .. },
            ..
        }) = self.queue.front_mut()
        {
            *decided = anew;
            *due = Instant::now() + time;
        }
    }

    fn poll_rule(
        &mut self,
        cx: &mut Context<'_>,
        rule: &Chosen,
        is_due: Option<Instant>,
        on: &mut Passed,
    ) -> Poll<()> {
        if matches!(rule.verdict, Verdict::Delay { .. }) {
            let due = is_due.unwrap_or_else(|| self.begin_delay(rule, on));
            if Instant::now() < due && self.is_acting() {
                return self.poll_until(cx, due.min(Instant::now() + super::ASK_AGAIN));
            }
        }
        if let Verdict::Fault(Fault::Reorder { by }) = rule.verdict {
            return self.poll_reorder(cx, by as usize, &rule.name, on);
        }
        let Some(mut entry) = self.pop() else {
            return Poll::Ready(());
        };
        if let Some(per_second) = is_slow(&rule.verdict) {
            let rest = entry.bytes.clone();
            entry.fate = Fate::Trickle {
                rest,
                per_second: per_second.max(1),
                due: Instant::now(),
            };
            let effect = Effect::of(&rule.verdict);
            let deed = Deed::of(Ending::Forwarded, Actor::Rule, None);
            self.tell(&entry, None, Arc::clone(&rule.name), Deed { effect, ..deed }, on);
            self.queued_bytes += entry.bytes.len();
            self.queue.push_front(entry);
            return Poll::Ready(());
        }
        let effect = Effect::of(&rule.verdict);
        let deed = self.obey(&entry, rule, on);
        self.tell(&entry, None, Arc::clone(&rule.name), Deed { effect, ..deed }, on);
        Poll::Ready(())
    }

    /// From now on the head is delayed, and who looks on is told. Gives when it may go on.
    fn begin_delay(&mut self, rule: &Chosen, on: &mut Passed) -> Instant {
        let due = Instant::now() + rule.delay;
        if let Some(Entry {
            fate: Fate::Do { is_due, .. },
            ..
        }) = self.queue.front_mut()
        {
            *is_due = Some(due);
        }
        let noted = self.queue.front().and_then(|entry| entry.noted.as_ref());
        on.events
            .extend(noted.map(|noted| self.begins_to_wait(noted, rule, None)));
        due
    }

    /// Moves the head behind the next messages, once they are there or no more come.
    fn poll_reorder(
        &mut self,
        cx: &mut Context<'_>,
        by: usize,
        rule: &Arc<str>,
        on: &mut Passed,
    ) -> Poll<()> {
        let may_come = !self.is_over && self.form != Form::Document && !self.is_full() && self.is_acting();
        let place = match self.place_behind(by) {
            None if may_come => return self.poll_until(cx, Instant::now() + super::ASK_AGAIN),
            None if self.is_in_part => 0,
            None => self.queue.len() - 1,
            Some(place) => place,
        };
        let Some(mut entry) = self.queue.pop_front() else {
            return Poll::Ready(());
        };
        let effect = Some(Effect::Reordered);
        let deed = Deed::of(Ending::Forwarded, Actor::Rule, None);
        self.tell(&entry, None, Arc::clone(rule), Deed { effect, ..deed }, on);
        entry.fate = Fate::Pass;
        self.queue.insert(place, entry);
        Poll::Ready(())
    }

    /// Where the head is behind so many others, and inside of none; `None` if they are not there.
    fn place_behind(&self, by: usize) -> Option<usize> {
        let is_part = |at: usize| match self.queue.get(at) {
            Some(entry) => matches!(entry.fate, Fate::Part),
            None => self.is_in_part,
        };
        let is_whole = |at: usize| !(is_part(at) && is_part(at + 1));
        let is_comment = |at: usize| matches!(self.queue[at].fate, Fate::Comment);
        let mut ends = (1..self.queue.len()).filter(|at| is_whole(*at) && !is_comment(*at));
        by.checked_sub(1).map_or(Some(0), |others| ends.nth(others))
    }

    fn poll_trickle(&mut self, cx: &mut Context<'_>, on: &mut Passed) -> Poll<()> {
        const STEPS_A_SECOND: u64 = 10;
        let is_acting = self.is_acting();
        let Some(Entry {
            fate:
                Fate::Trickle {
                    rest,
                    per_second,
                    due,
                },
            ..
        }) = self.queue.front_mut()
        else {
            return Poll::Ready(());
        };
        if !is_acting {
            on.pieces.push(std::mem::take(rest));
            self.pop();
            return Poll::Ready(());
        }
        if Instant::now() < *due {
            let due = *due;
            return self.poll_until(cx, due);
        }
        let step = usize::try_from((*per_second / STEPS_A_SECOND).max(1)).unwrap_or(usize::MAX);
        let piece = rest.split_to(step.min(rest.len()));
        let pause = piece.len() as u64 * 1_000_000 / *per_second;
        *due = Instant::now() + Duration::from_micros(pause);
        on.pieces.push(piece);
        if rest.is_empty() {
            self.pop();
        }
        Poll::Ready(())
    }

    /// Does what a rule says.
    pub(super) fn obey(&mut self, entry: &Entry, rule: &Chosen, on: &mut Passed) -> Deed {
        match &rule.verdict {
            Verdict::Replace(changes) => self.replace(entry, changes, &rule.name, on),
            Verdict::Answer { result } => match self.answer_from(entry, result) {
                Ok(message) => self.carry_out(entry, &Decision::Answer(message), None, Actor::Rule, on),
                Err(problem) => {
                    tracing::warn!(
                        "the answer of the rule `{}` cannot be made in session {}: {problem}; the message went on as it came",
                        rule.name,
                        self.session_word()
                    );
                    self.forward(entry, None, Actor::Rule, on)
                }
            },
            Verdict::Refuse(refusal) => {
                self.carry_out(entry, &Decision::Refuse(refusal.clone()), None, Actor::Rule, on)
            }
            Verdict::Drop { is_silent } => self.carry_out(
                entry,
                &Decision::Drop {
                    is_silent: *is_silent,
                },
                None,
                Actor::Rule,
                on,
            ),
            Verdict::Fault(fault) => self.break_it(entry, *fault, on),
            Verdict::Hold | Verdict::Forward | Verdict::Log | Verdict::Delay { .. } => {
                self.forward(entry, None, Actor::Rule, on)
            }
        }
    }

    fn answer_from(&self, entry: &Entry, result: &str) -> Result<Bytes, String> {
        if !self.is_answerable() {
            return Err("nothing can be said here in the place of its client".to_owned());
        }
        let payload = entry
            .noted
            .as_ref()
            .map(|noted| noted.payload.clone())
            .unwrap_or_default();
        if words::is_batch(&payload) {
            return Err("the batch is broken or too long to be taken apart".to_owned());
        }
        let result = template::fill(result, &payload).map_err(|error| error.to_string())?;
        Ok(template::answer(&payload, &result).into())
    }

    /// Its session as a log names it.
    fn session_word(&self) -> String {
        let session = self.exchange.session();
        session.map_or_else(|| "-".to_owned(), |session| session.id.to_string())
    }

    fn replace(&mut self, entry: &Entry, changes: &[Change], rule: &str, on: &mut Passed) -> Deed {
        let Some(noted) = entry.noted.as_ref().filter(|noted| !noted.is_cut) else {
            tracing::warn!(
                "the rule `{rule}` cannot change a message of session {} that could not be decoded; it went on as it came",
                self.session_word()
            );
            return self.forward(entry, None, Actor::Rule, on);
        };
        let mut payload = noted.payload.to_vec();
        for change in changes {
            match change {
                Change::SetHeader { name, value } => {
                    self.outcome.fields.push((name.clone(), Some(value.clone())));
                }
                Change::RemoveHeader { name } => self.outcome.fields.push((name.clone(), None)),
                change => match edit::apply(&payload, change) {
                    Ok(next) => payload = next,
                    Err(problem) => {
                        tracing::warn!(
                            "a change of the rule `{rule}` does not fit a message of session {}: {problem}; its other changes were made",
                            self.session_word()
                        );
                    }
                },
            }
        }
        let edited = (payload != noted.payload).then(|| payload.into());
        self.forward(entry, edited, Actor::Rule, on)
    }

    fn break_it(&mut self, entry: &Entry, fault: Fault, on: &mut Passed) -> Deed {
        let bytes = &entry.bytes;
        match fault {
            Fault::Close => {
                self.outcome.is_closed = true;
                self.close(on);
                Deed::of(Ending::Dropped, Actor::Rule, None)
            }
            Fault::Truncate { bytes: kept } => {
                let kept = usize::try_from(kept).unwrap_or(usize::MAX).min(bytes.len());
                on.pieces.push(bytes.slice(..kept));
                self.close(on);
                Deed::of(Ending::Edited, Actor::Rule, Some(bytes.slice(..kept)))
            }
            Fault::Duplicate { times } => {
                for _ in 0..times {
                    on.pieces.push(bytes.clone());
                }
                self.outcome.is_changed |= times != 1;
                Deed::of(Ending::Forwarded, Actor::Rule, None)
            }
            Fault::InvalidJson => {
                let payload = entry.noted.as_ref().map_or(&bytes[..], |noted| &noted.payload);
                let half: Bytes = Bytes::copy_from_slice(&payload[..payload.len() / 2]);
                self.forward(entry, Some(half), Actor::Rule, on)
            }
            Fault::WrongId => {
                let payload = entry.noted.as_ref().map_or(&bytes[..], |noted| &noted.payload);
                let change = Change::Set {
                    path: "$.id".to_owned(),
                    value: words::WRONG_ID.to_owned(),
                };
                let edited = edit::apply(payload, &change).ok().map(Bytes::from);
                self.forward(entry, edited, Actor::Rule, on)
            }
            Fault::Reorder { .. } | Fault::Slow { .. } => self.forward(entry, None, Actor::Rule, on),
        }
    }

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

    fn forward(&mut self, entry: &Entry, edited: Option<Bytes>, actor: Actor, on: &mut Passed) -> Deed {
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
        match (entry.form, refusal) {
            (Form::Document, Refusal::Status(status)) if from_client => {
                self.outcome.reply = Some(Reply {
                    status: *status,
                    body: message.clone(),
                });
            }
            (Form::Document, Refusal::Status(status)) => {
                self.outcome.status = Some(*status);
                self.answer(entry, message.clone(), on);
            }
            _ if is_request => self.answer(entry, message.clone(), on),
            // The answer of a client to its server: the error goes on in its place.
            _ => {
                self.outcome.is_changed = true;
                on.pieces.push(entry.carried(&message));
            }
        }
        Deed::of(ending, actor, Some(message))
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
        match (entry.form, self.direction, refusal) {
            (Form::Document, Direction::ClientToServer, Refusal::Status(status)) => {
                self.outcome.reply = Some(Reply {
                    status: *status,
                    body: Bytes::new(),
                });
            }
            (Form::Document, Direction::ServerToClient, Refusal::Status(status)) => {
                self.outcome.status = Some(*status);
                self.outcome.is_changed = true;
            }
            (Form::Document, Direction::ServerToClient, _) => {
                // Its client waits for a response: it hears that there is none.
                self.outcome.status = Some(502);
                self.outcome.is_changed = true;
            }
            (Form::Document, Direction::ClientToServer, _) => {
                // Accepted is what a server says to a notification; other requests failed.
                let status = if is_message { 202 } else { 502 };
                self.outcome.reply = Some(Reply {
                    status,
                    body: Bytes::new(),
                });
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
                    self.outcome.reply = Some(Reply {
                        status: 202,
                        body: Bytes::new(),
                    });
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

    fn close(&mut self, on: &mut Passed) {
        self.is_closed = true;
        on.is_closed = true;
    }

    pub(super) fn tell(
        &self,
        entry: &Entry,
        hold: Option<crate::ids::HoldId>,
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
