//! What is to become of a frame, by the rules.

use std::sync::Arc;
use std::time::Duration;

use crate::codec::envelope::{Field, MessageKind};
use crate::ids::{CallId, HoldId};
use crate::intercept::hold::{Actor, Effect, HeldFacts};
use crate::intercept::rule::{OnExpire, Verdict, WhileHeld};
use crate::recording::hide_url_secrets;
use crate::session::observation::{CallRole, Event, PlacedMessage, VerdictObserved};
use crate::snapshot::{Direction, Head, RowKind};

use super::subject::OnItsWay;
use super::{Chosen, Entry, Fate, Form, Lane, Noted};

impl Lane {
    /// What becomes of a frame that came just now.
    pub(super) fn fate_of(&mut self, noted: &Noted) -> Fate {
        if !self.joins.is_empty()
            && let Some(fate) = self.fate_of_joined(noted)
        {
            return fate;
        }
        if let Some(fate) = self.fate_of_batch(noted) {
            return fate;
        }
        let is_up = self.queue.is_empty();
        let chosen = self.choice_of(noted);
        chosen.map_or(Fate::Pass, |rule| self.fate_by(noted, rule, is_up))
    }

    /// What is to be done with it.
    pub(super) fn choice_of(&self, noted: &Noted) -> Option<Chosen> {
        if self.exchange.is_repeat() {
            // No rule acts on a copy.
            return self.answer_to_question(noted);
        }
        let holds = &self.exchange.hub.interceptor.holds;
        if let Some(call) = noted.cancels()
            && holds.cancel(call)
        {
            // The request goes nowhere, so its cancel has nobody to reach.
            return Some(left_out("cancelled while held"));
        }
        if self.is_for_us(noted) {
            return Some(left_out("sent again"));
        }
        if self.is_asked_of_copy(noted) {
            return self.answer_to_question(noted);
        }
        self.step(noted).or_else(|| self.choose(noted))
    }

    /// What becomes of it by a rule.
    pub(super) fn fate_by(&self, noted: &Noted, rule: Chosen, is_up: bool) -> Fate {
        match rule.verdict {
            Verdict::Forward | Verdict::Log => Fate::Pass,
            Verdict::Hold => self.hold(noted, rule, is_up),
            _ => Fate::Do { rule, is_due: None },
        }
    }

    /// Whether a request that came alone is held, and its client is to get an event stream at once. Never for the
    /// handshake, whose answer has fields that the client needs.
    pub(crate) fn wants_early_stream(&self) -> bool {
        let Some(Entry {
            fate: Fate::Wait { ticket, .. },
            ..
        }) = self.queue.front()
        else {
            return false;
        };
        let facts = ticket.facts();
        let is_request = facts.kind == RowKind::Request && facts.direction == Direction::ClientToServer;
        let is_handshake = facts.method.as_deref() == Some("initialize");
        facts.while_held.early_stream && is_request && !is_handshake
    }

    /// Whether it belongs to a request of our own in this session, of which its client knows nothing.
    fn is_for_us(&self, noted: &Noted) -> bool {
        let holds = &self.exchange.hub.interceptor.holds;
        if self.direction == Direction::ClientToServer || !holds.has_wishes() {
            return false;
        }
        let [message] = &noted.messages[..] else {
            return false;
        };
        let envelope = &message.envelope;
        let is_answer = matches!(envelope.kind, MessageKind::Result | MessageKind::Error);
        let id = if is_answer {
            envelope.id.as_ref().and_then(|id| id.token())
        } else {
            let token = envelope.fields.id(Field::ParamsProgressToken);
            token.and_then(|token| token.token())
        };
        let (Some(session), Some(id)) = (self.exchange.session(), id) else {
            return false;
        };
        let is_ours = holds.awaits(session.id, id);
        if is_ours && is_answer {
            holds.end_wait(session.id, id);
        }
        is_ours
    }

    /// Puts a frame into the table of held messages and tells of it, if anything is held at all.
    pub(super) fn hold(&self, noted: &Noted, rule: Chosen, is_up: bool) -> Fate {
        if !self.may_hold() {
            return Fate::Pass;
        }
        let holds = &self.exchange.hub.interceptor.holds;
        let Some(ticket) = holds.put(self.held_facts(noted, &rule), is_up) else {
            return Fate::WaitForRoom { rule };
        };
        // Asked again: who lets go of everything says so first, and then looks into the table.
        if !self.may_hold() {
            return Fate::Pass;
        }
        self.tell_held(noted, &rule, ticket.facts().id);
        Fate::Wait { ticket, is_up }
    }

    /// Whether there is somebody to decide, and rules act.
    pub(super) fn may_hold(&self) -> bool {
        self.exchange.hub.interceptor.holds.can_hold() && self.is_acting()
    }

    /// Whether rules act: neither switched off nor let go of at the end.
    pub(super) fn is_acting(&self) -> bool {
        self.exchange.hub.interceptor.armory.is_intercepting()
    }

    fn step(&self, noted: &Noted) -> Option<Chosen> {
        let holds = &self.exchange.hub.interceptor.holds;
        let call = noted.messages.iter().find_map(|placed| placed.placement.call)?;
        // Known without the lock, which is somebody's who looks at the table.
        (holds.has_wishes() && holds.takes_step(call)).then(|| Chosen {
            name: "step".into(),
            verdict: Verdict::Hold,
            on_expire: None,
            while_held: WhileHeld::default(),
            delay: Duration::ZERO,
        })
    }

    fn choose(&self, noted: &Noted) -> Option<Chosen> {
        let armed = self.exchange.hub.interceptor.armory.load();
        if armed.is_empty() {
            return None;
        }
        let subjects: Vec<Option<&PlacedMessage>> = if noted.messages.is_empty() {
            vec![None]
        } else {
            noted.messages.iter().map(Some).collect()
        };
        let now = self.exchange.hub.clock.now();
        subjects.into_iter().find_map(|placed| {
            let chosen = armed.choose(&self.subject(noted, placed), self.direction, now)?;
            let rule = chosen.rule.rule();
            Some(Chosen {
                name: rule.name.as_str().into(),
                verdict: rule.verdict.clone(),
                on_expire: rule.on_expire,
                while_held: rule.while_held,
                delay: chosen.rule.delay(),
            })
        })
    }

    fn subject<'a>(&'a self, noted: &'a Noted, placed: Option<&'a PlacedMessage>) -> OnItsWay<'a> {
        OnItsWay {
            exchange: &self.exchange,
            direction: self.direction,
            noted,
            placed,
            session: self.exchange.session(),
            status: self.exchange.status(),
            now: self.exchange.hub.clock.now(),
        }
    }

    /// What the message of a frame is; a batch is what it asks for, if it asks for anything.
    pub(super) fn kind_of(&self, noted: &Noted) -> RowKind {
        self.subject(noted, noted.main()).kind()
    }

    fn held_facts(&self, noted: &Noted, rule: &Chosen) -> HeldFacts {
        let hub = &self.exchange.hub;
        let placed = noted.main();
        let subject = self.subject(noted, placed);
        let client = subject.client();
        let budget = hub.interceptor.patience.of(client.as_deref());
        let kind = subject.kind();
        HeldFacts {
            id: HoldId::from(std::num::NonZeroU64::MIN),
            at: hub.clock.now(),
            session: subject.session.as_ref().map(|session| session.id),
            exchange: self.exchange.id,
            frame: noted.frame,
            call: placed.and_then(|placed| placed.placement.call),
            opens_call: placed.is_some_and(|placed| placed.placement.role == CallRole::Opens),
            direction: self.direction,
            carrier: noted.carrier,
            lane: self.number(),
            kind,
            method: subject.method().map(str::to_owned),
            name: subject.name().map(str::to_owned).or_else(|| self.http_name(kind)),
            rpc_id: subject.rpc_id().map(str::to_owned),
            server: self.exchange.server.to_string(),
            client: client.map(|client| client.to_string()),
            side: self.exchange.side,
            address: self.exchange.client().to_string(),
            batch: noted.batch,
            is_answerable: self.is_answerable(),
            payload: noted.payload.clone(),
            head: self.head(kind).filter(|_| noted.batch.is_none()),
            rule: rule.name.to_string(),
            on_expire: rule.on_expire.unwrap_or(OnExpire::Wait),
            while_held: rule.while_held,
            budget: budget.time,
            budget_source: budget.source,
        }
    }

    /// Whether who sends here can be answered: clients always, a server where its client's answers come another way.
    pub(super) fn is_answerable(&self) -> bool {
        match (self.direction, self.form) {
            (Direction::ClientToServer, _) | (_, Form::Lines) => true,
            (Direction::ServerToClient, Form::Events) => self.exchange.has_way(),
            (Direction::ServerToClient, Form::Document | Form::Messages | Form::Entry) => false,
        }
    }

    /// The HTTP head that the frame came with, where it is the only one. The head of an answer that is MCP follows from it.
    fn head(&self, kind: RowKind) -> Option<Head> {
        match (self.form, self.direction) {
            (Form::Document, Direction::ClientToServer) => Some(self.exchange.request_head()),
            (Form::Document, _) if kind == RowKind::HttpResponse => self.exchange.response_head(),
            _ => None,
        }
    }

    /// What an exchange that is no MCP is about: `GET /.well-known/oauth-protected-resource`.
    fn http_name(&self, kind: RowKind) -> Option<String> {
        let is_http = matches!(kind, RowKind::Http | RowKind::HttpResponse);
        let line = is_http.then(|| self.exchange.request_head().line)?;
        let words: Vec<&str> = line.split(' ').take(2).collect();
        (words.len() == 2).then(|| hide_url_secrets(&words.join(" ")))
    }

    /// Both directions of an exchange are lanes of their own.
    pub(super) fn number(&self) -> u64 {
        let direction = u64::from(self.direction == Direction::ServerToClient);
        self.exchange.id.get() * 2 + direction
    }

    fn tell_held(&self, noted: &Noted, rule: &Chosen, hold: HoldId) {
        self.exchange
            .tell_now(self.begins_to_wait(noted, rule, Some(hold)));
    }

    /// A frame is held, or delayed, from now on.
    pub(super) fn begins_to_wait(&self, noted: &Noted, rule: &Chosen, hold: Option<HoldId>) -> Event {
        Event::Verdict(Box::new(VerdictObserved {
            effect: Effect::of(&rule.verdict),
            ..self.verdict(noted, hold, Arc::clone(&rule.name))
        }))
    }

    /// What is told of a frame about which nothing is decided yet.
    pub(super) fn verdict(&self, noted: &Noted, hold: Option<HoldId>, rule: Arc<str>) -> VerdictObserved {
        VerdictObserved {
            exchange: self.exchange.id,
            session: self.exchange.session().map(|session| session.id),
            direction: self.direction,
            frame: noted.frame,
            batch: noted.batch,
            hold,
            rule,
            ending: None,
            effect: None,
            actor: Actor::Rule,
            held_for: Duration::ZERO,
            sent: None,
        }
    }
}

/// Nobody hears of it.
fn left_out(why: &'static str) -> Chosen {
    Chosen {
        name: why.into(),
        verdict: Verdict::Drop { is_silent: true },
        on_expire: None,
        while_held: WhileHeld::default(),
        delay: Duration::ZERO,
    }
}

impl Noted {
    /// The message that says what the frame is: of a batch its first request.
    fn main(&self) -> Option<&PlacedMessage> {
        let is_request = |placed: &&PlacedMessage| placed.envelope.kind == MessageKind::Request;
        self.messages.iter().find(is_request).or(self.messages.first())
    }

    /// The ids of its requests, or of its answers where it has no requests, as spelled.
    pub(super) fn rpc_ids(&self) -> Vec<String> {
        let Some(kind) = self.main().map(|main| main.envelope.kind) else {
            return Vec::new();
        };
        let has_kind = |placed: &&PlacedMessage| {
            (placed.envelope.kind == MessageKind::Request) == (kind == MessageKind::Request)
        };
        let ids = self.messages.iter().filter(has_kind);
        ids.filter_map(|placed| placed.envelope.id.as_ref()?.token().map(str::to_owned))
            .collect()
    }

    /// The call that it cancels.
    fn cancels(&self) -> Option<CallId> {
        let placement = &self.messages.first()?.placement;
        placement.call.filter(|_| placement.role == CallRole::Cancels)
    }
}
