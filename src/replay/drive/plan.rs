//! What of a recording is sent, in which order, and what has to be there before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::message::failure_of_ours;
use super::only::Asked;
use crate::clock::Timestamp;
use crate::codec::envelope::{Field, MessageKind};
use crate::intercept::filter::Filter;
use crate::recording::format::RequestKind;
use crate::replay::compare::drift::tools_of;
use crate::replay::compare::{CallEnd, Lack, is_result, text_at};
use crate::replay::hearing::{Hearing, own_time};
use crate::replay::tape::{Tape, TapeCall, TapeExchange, TapeSession};
use crate::session::describe::error_code;
use crate::session::observation::CallRole;
use crate::session::pairing::subject;
use crate::snapshot::{Direction, EndKind, Era};
use crate::transport::bridge::agreement::HEADER_MISMATCH;

/// The revision of a handshake that a recording lacks and does not name either.
const USUAL_REVISION: &str = "2025-06-18";
/// The same where there are no handshakes.
const FIRST_WITHOUT_HANDSHAKE: &str = "2026-07-28";

/// How clients of 2026-07-28 get to know a server, which has to answer it.
///
/// Source: MCP 2026-07-28, Discovery.
const DISCOVER: &str = "server/discover";
/// What to do about a server that does not know that.
const OLDER_SERVER: &str = "The recording is of 2026-07-28 or later, where clients begin with server/discover, and the server seems to speak an older revision only: send it a recording of a client that begins with initialize, or look for a newer server at another URL";

/// What to do if a handshake is refused by a server that knows it.
const NEWER_SERVER: &str =
    "If it has left this revision behind or wants more of a client, it needs a new recording";
/// What the protocol has for a revision that a server does not speak.
///
/// Source: MCP 2026-07-28, "Error codes".
const UNSUPPORTED_VERSION: i64 = -32_022;

/// The client side of a recording, ready to be sent.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub(super) sessions: Vec<SessionPlan>,
    /// Tools that are called and that are not known to only read, and how often.
    side_effects: BTreeMap<String, usize>,
    /// What is left out, and why.
    remarks: Vec<String>,
}

/// One session.
#[derive(Debug, Clone)]
pub(super) struct SessionPlan {
    pub(super) name: String,
    pub(super) steps: Vec<Step>,
    pub(super) calls: Vec<PlannedCall>,
    pub(super) asks: Vec<Ask>,
    pub(super) hearing: Hearing,
    /// Calls in the order in which they were answered.
    pub(super) answer_order: Vec<usize>,
    /// Header fields of its requests, once each, secrets as tags.
    pub(super) fields: Vec<(String, String)>,
}

/// Something that the client says of its own accord.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// When it was said, in microseconds since the recording began.
    pub(super) us: i64,
    pub(super) act: Act,
    /// How many of the answers in [`SessionPlan::answer_order`] had come before.
    pub(super) after_answers: usize,
    /// Steps that follow each other with the same batch were said in one document: exchange and frame.
    pub(super) batch: Option<(usize, usize)>,
    /// Which message of the session it was.
    pub(super) place: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Act {
    Request(usize),
    Notify(Bytes),
    /// The client gave a call up after it had heard this much of it.
    Cancel {
        call: usize,
        text: Option<Bytes>,
        after_heard: usize,
    },
}

/// A request of the client.
#[derive(Debug, Clone)]
pub(super) struct PlannedCall {
    pub(super) method: String,
    pub(super) about: String,
    pub(super) request: Bytes,
    pub(super) answer: Option<Bytes>,
    /// Which message of the session it was, and which one its answer.
    pub(super) places: (usize, Option<usize>),
    /// When that came.
    pub(super) answered_at: Option<Timestamp>,
    pub(super) is_cancelled: bool,
    /// Its headers said something else than its body, which cannot be sent again: they are made from the body.
    pub(super) had_wrong_headers: bool,
    /// How it ended, beside its answer.
    pub(super) end: CallEnd,
    pub(super) part: Part,
}

/// What a request is for the others of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// One of them.
    Plain,
    /// Everything else was said after it was answered, and because of that.
    Handshake,
    /// The same, and nobody asked for its result to be compared.
    Means,
}

impl PlannedCall {
    /// Whether it is a handshake that was agreed on, or is one of ours: without it nothing that follows makes sense.
    pub(super) fn must_succeed(&self) -> bool {
        let is_agreed = |answer: &Bytes| is_result(answer);
        self.part != Part::Plain && self.answer.as_ref().map_or(self.is_means(), is_agreed)
    }

    /// Whether it is only needed for the others.
    pub(super) fn is_means(&self) -> bool {
        self.part == Part::Means
    }

    /// What to do if it is a handshake and the server answers with an error of this code.
    pub(super) fn advice_if_refused(&self, code: Option<i64>) -> &'static str {
        if self.method == DISCOVER && code != Some(UNSUPPORTED_VERSION) {
            OLDER_SERVER
        } else {
            NEWER_SERVER
        }
    }

    /// What to do if it fails as a handshake; `otherwise` where nothing better is known.
    pub(super) fn advice(&self, end: CallEnd, otherwise: &'static str) -> &'static str {
        // What a mock server says in words is among the others.
        let may_be_older =
            matches!(end.lack, Lack::Silence | Lack::Other) || matches!(end.status, Some(400..=499));
        if self.method == DISCOVER && may_be_older {
            OLDER_SERVER
        } else {
            otherwise
        }
    }
}

/// A request of the server, and what the client answered.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: String,
    pub(super) about: String,
    pub(super) request: Bytes,
    /// When it came.
    pub(super) at: Timestamp,
    /// How long after the handshake, if no call is known to be its reason.
    pub(super) own_time: Option<Duration>,
    pub(super) answer: Option<Bytes>,
    /// Which message of the session it was, and which one its answer.
    pub(super) places: (usize, Option<usize>),
}

impl Plan {
    /// What of `tape` matches `only`; handshakes are always in it, where anything of their session is.
    pub fn new(tape: &Tape, only: &Filter) -> Self {
        let mut plan = Self {
            remarks: tape.damage.clone(),
            ..Self::default()
        };
        let read_only = read_only_tools(tape);
        for session in &tape.sessions {
            if let Some(session) = SessionPlan::new(tape, session, only, &mut plan.remarks) {
                for call in session.calls.iter().filter(|call| call.method == "tools/call") {
                    if !read_only.contains(&call.about) {
                        *plan.side_effects.entry(call.about.clone()).or_default() += 1;
                    }
                }
                plan.sessions.push(session);
            }
        }
        plan
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// How many requests are sent.
    pub fn requests(&self) -> usize {
        self.sessions.iter().map(|session| session.calls.len()).sum()
    }

    /// Tools that are called although the recording does not say that they only read (`readOnlyHint`), and how often.
    pub const fn side_effects(&self) -> &BTreeMap<String, usize> {
        &self.side_effects
    }

    /// What the recording lacks, and what of it cannot be sent.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }
}

/// Tools that every list in the recording calls read-only.
fn read_only_tools(tape: &Tape) -> BTreeSet<String> {
    let mut known: BTreeMap<String, bool> = BTreeMap::new();
    for session in &tape.sessions {
        for call in session
            .client_calls()
            .filter(|call| &*call.method == "tools/list")
        {
            let answer = call.answer.map(|answer| &session.messages[answer].text);
            for tool in answer.and_then(|answer| tools_of(answer)).unwrap_or_default() {
                let hint = tool.pointer("/annotations/readOnlyHint").and_then(Value::as_bool);
                let name = tool.get("name").and_then(Value::as_str).unwrap_or_default();
                *known.entry(name.to_owned()).or_insert(true) &= hint.unwrap_or(false);
            }
        }
    }
    let read_only = known.into_iter().filter(|(_, is_read_only)| *is_read_only);
    read_only.map(|(name, _)| name).collect()
}

impl SessionPlan {
    /// `None` if nothing of it is to be sent.
    fn new(tape: &Tape, session: &TapeSession, only: &Filter, remarks: &mut Vec<String>) -> Option<Self> {
        let mut draft = Draft::new(tape, session);
        draft.choose(only);
        if draft.places.is_empty() {
            return None;
        }
        if session.era == Era::Legacy && !session.client_calls().any(|call| &*call.method == "initialize") {
            draft.handshake();
            remarks.push(format!(
                "{}: its handshake is not in the recording, so one of ours is sent",
                draft.plan.name
            ));
        }
        if draft.lacks_discovery() {
            draft.discovery();
        }
        draft.steps();
        draft.given_up();
        draft.asks();
        let mut plan = draft.plan;
        plan.fields = fields(session);
        let compared = plan.calls.iter().any(|call| !call.is_means());
        compared.then_some(plan)
    }
}

/// Header fields of all requests, once each. What the run of a command has in their place are its arguments.
fn fields(session: &TapeSession) -> Vec<(String, String)> {
    let is_run =
        |exchange: &&TapeExchange| matches!(exchange.kind, RequestKind::Run | RequestKind::BridgedRun);
    let mut found: Vec<(String, String)> = Vec::new();
    for (name, value) in session
        .exchanges
        .iter()
        .filter(|exchange| !is_run(exchange))
        .flat_map(|exchange| &exchange.request_head.fields)
    {
        let field = (name.to_ascii_lowercase(), value.clone());
        if !found.contains(&field) {
            found.push(field);
        }
    }
    found
}

struct Draft<'a> {
    tape: &'a Tape,
    session: &'a TapeSession,
    plan: SessionPlan,
    /// From calls of the session to those of the plan.
    places: BTreeMap<usize, usize>,
    /// And back; a call of ours comes after them.
    calls: Vec<usize>,
}

impl<'a> Draft<'a> {
    fn new(tape: &'a Tape, session: &'a TapeSession) -> Self {
        let name = session
            .id
            .map_or_else(|| session.server.to_string(), |id| id.to_string());
        Self {
            tape,
            session,
            plan: SessionPlan {
                name,
                steps: Vec::new(),
                calls: Vec::new(),
                asks: Vec::new(),
                hearing: Hearing::of(session),
                answer_order: Vec::new(),
                fields: Vec::new(),
            },
            places: BTreeMap::new(),
            calls: Vec::new(),
        }
    }

    /// Takes the calls that are wanted.
    fn choose(&mut self, only: &Filter) {
        for (place, call) in self.session.calls.iter().enumerate() {
            if call.direction != Direction::ClientToServer {
                continue;
            }
            let is_wanted = only.matches(&Asked {
                session: self.session,
                call,
            });
            let is_needed = &*call.method == "initialize" || self.is_discovery(place);
            if !is_wanted && !is_needed {
                continue;
            }
            let message = &self.session.messages[call.request];
            let answer = call.answer.map(|answer| &self.session.messages[answer]);
            // What the proxy said in the server's place is no answer of the server's.
            let answer = answer.filter(|answer| failure_of_ours(&answer.text).is_none());
            self.places.insert(place, self.plan.calls.len());
            self.calls.push(place);
            self.plan.calls.push(PlannedCall {
                method: call.method.to_string(),
                about: subject(&message.envelope).unwrap_or_default().to_owned(),
                request: message.text.clone(),
                answer: answer.map(|answer| answer.text.clone()),
                places: (call.request, call.answer),
                answered_at: answer.map(|answer| self.tape.moment(answer.us)),
                is_cancelled: call.is_cancelled,
                end: CallEnd::of(self.session, call),
                had_wrong_headers: answer.and_then(|answer| error_code(&answer.envelope))
                    == Some(HEADER_MISMATCH),
                part: match (is_needed, is_wanted) {
                    (false, _) => Part::Plain,
                    (true, true) => Part::Handshake,
                    (true, false) => Part::Means,
                },
            });
        }
    }

    /// Whether a call is the one with which a client of 2026-07-28 got to know the server before it asked for anything.
    fn is_discovery(&self, place: usize) -> bool {
        let mut calls = self.session.client_calls();
        let (first, second) = (calls.next(), calls.next());
        let (Some(first), true) = (first, self.session.era == Era::Modern) else {
            return false;
        };
        let answer = first.answer.map(|answer| &self.session.messages[answer]);
        let is_answered_first = answer.is_some_and(|answer| {
            let is_later = |call: &TapeCall| self.session.messages[call.request].us >= answer.us;
            is_result(&answer.text) && second.is_none_or(is_later)
        });
        &*first.method == DISCOVER && is_answered_first && first.request == self.session.calls[place].request
    }

    /// Whether a server that did speak 2026-07-28 is to be asked first whether it still does.
    fn lacks_discovery(&self) -> bool {
        let is_answered = |call: &TapeCall| {
            let answer = call.answer.map(|answer| &self.session.messages[answer].text);
            call.is_modern && answer.is_some_and(|answer| is_result(answer))
        };
        self.session.era == Era::Modern
            && self.session.client_calls().any(is_answered)
            && !self.plan.calls.iter().any(|call| call.part != Part::Plain)
    }

    /// The requests of 2026-07-28 need no handshake, so an older server might do something of what it is asked without one.
    fn discovery(&mut self) {
        let revision = self
            .session
            .revision
            .as_deref()
            .unwrap_or(FIRST_WITHOUT_HANDSHAKE);
        let params = json!({"_meta": {
            "io.modelcontextprotocol/protocolVersion": revision,
            "io.modelcontextprotocol/clientInfo": {"name": "shadowcat-tui", "version": env!("CARGO_PKG_VERSION")},
            "io.modelcontextprotocol/clientCapabilities": {},
        }});
        let call = self.own_call(DISCOVER, &params);
        let us = self.session.messages.first().map_or(0, |message| message.us);
        self.plan.steps.push(Step {
            us,
            act: Act::Request(call),
            after_answers: 0,
            batch: None,
            place: 0,
        });
    }

    /// A request of ours, on which everything else waits.
    fn own_call(&mut self, method: &str, params: &Value) -> usize {
        let request = json!({"jsonrpc": "2.0", "id": 0, "method": method, "params": params});
        let call = self.plan.calls.len();
        self.plan.calls.push(PlannedCall {
            method: method.to_owned(),
            about: String::new(),
            request: request.to_string().into(),
            answer: None,
            places: (0, None),
            answered_at: None,
            is_cancelled: false,
            end: CallEnd::default(),
            had_wrong_headers: false,
            part: Part::Means,
        });
        self.plan.answer_order.push(call);
        call
    }

    fn handshake(&mut self) {
        let revision = self.session.revision.as_deref().unwrap_or(USUAL_REVISION);
        let params = json!({
            "protocolVersion": revision,
            "capabilities": {"sampling": {}, "elicitation": {}, "roots": {}},
            "clientInfo": {"name": "shadowcat-tui", "version": env!("CARGO_PKG_VERSION")},
        });
        let call = self.own_call("initialize", &params);
        let us = self.session.messages.first().map_or(0, |message| message.us);
        let text = Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        for (act, after_answers) in [(Act::Request(call), 0), (Act::Notify(text), 1)] {
            self.plan.steps.push(Step {
                us,
                act,
                after_answers,
                batch: None,
                place: 0,
            });
        }
    }

    fn steps(&mut self) {
        for (place, message) in self.session.messages.iter().enumerate() {
            let call = message.call.and_then(|call| self.places.get(&call).copied());
            if message.direction == Direction::ServerToClient {
                if let (CallRole::Answers, Some(call)) = (message.role, call) {
                    self.plan.answer_order.push(call);
                }
                continue;
            }
            let act = match message.envelope.kind {
                MessageKind::Request => call.map(Act::Request),
                MessageKind::Notification => self.notification(message, call),
                _ => None,
            };
            if let Some(act) = act {
                let frame = self.session.frame_of(message);
                let is_batch = frame.payload.trim_ascii_start().starts_with(b"[");
                self.plan.steps.push(Step {
                    us: message.us,
                    act,
                    after_answers: self.plan.answer_order.len(),
                    batch: is_batch.then_some((message.exchange, message.frame)),
                    place,
                });
            }
        }
    }

    fn notification(&self, message: &crate::replay::tape::TapeMessage, call: Option<usize>) -> Option<Act> {
        match message.envelope.method.as_deref() {
            Some("notifications/cancelled") => Some(Act::Cancel {
                call: call?,
                text: Some(message.text.clone()),
                after_heard: self.heard(message.call?, message.us),
            }),
            // It belongs to a request of the server, which has another token now.
            Some("notifications/progress") => None,
            _ => Some(Act::Notify(message.text.clone())),
        }
    }

    /// How much the client had heard of a call before `us`: progress, and what came by its subscription.
    fn heard(&self, call: usize, us: i64) -> usize {
        let request = &self.session.messages[self.session.calls[call].request].envelope;
        let (id, token) = (request.id.as_ref(), request.fields.id(Field::MetaProgressToken));
        let is_of_it = |message: &&crate::replay::tape::TapeMessage| {
            let fields = &message.envelope.fields;
            let by_token = token.is_some() && fields.id(Field::ParamsProgressToken) == token;
            let by_id = id.is_some() && fields.id(Field::MetaSubscriptionId) == id;
            message.direction == Direction::ServerToClient && message.us <= us && (by_token || by_id)
        };
        self.session.messages.iter().filter(is_of_it).count()
    }

    /// In the modern era a request is given up by closing its stream.
    ///
    /// Source: MCP 2026-07-28, Transports, "Cancellation".
    fn given_up(&mut self) {
        for (place, call) in self.session.calls.iter().enumerate() {
            let Some(&planned) = self.places.get(&place) else {
                continue;
            };
            let us = self.closed_at(call);
            let (Some(us), true, None) = (us, call.is_modern, call.answer) else {
                continue;
            };
            self.plan.calls[planned].is_cancelled = true;
            let after_answers = self.answers_before(us);
            let at = self.plan.steps.iter().take_while(|step| step.us <= us).count();
            let act = Act::Cancel {
                call: planned,
                text: None,
                after_heard: self.heard(place, us),
            };
            self.plan.steps.insert(
                at,
                Step {
                    us,
                    act,
                    after_answers,
                    batch: None,
                    place: call.request,
                },
            );
        }
    }

    fn closed_at(&self, call: &TapeCall) -> Option<i64> {
        let exchange = self.session.exchange_of(&self.session.messages[call.request]);
        let end = exchange.end.as_ref()?;
        let is_http = exchange.kind == RequestKind::Message;
        (is_http && end.response == EndKind::ClientAborted).then_some(end.us)
    }

    fn answers_before(&self, us: i64) -> usize {
        let own = self.plan.answer_order.len();
        let is_later = |call: &&usize| {
            let place = self.calls.get(**call);
            let answer = place.and_then(|place| self.session.calls[*place].answer);
            answer.is_some_and(|answer| self.session.messages[answer].us > us)
        };
        own - self.plan.answer_order.iter().filter(is_later).count()
    }

    fn asks(&mut self) {
        for call in self.session.server_calls().filter(|call| &*call.method != "ping") {
            let is_left_out = call
                .during
                .is_some_and(|during| !self.places.contains_key(&during));
            if is_left_out {
                continue;
            }
            let message = &self.session.messages[call.request];
            self.plan.asks.push(Ask {
                method: call.method.to_string(),
                about: text_at(&message.text, &["params", "message"]).unwrap_or_default(),
                request: message.text.clone(),
                at: self.tape.moment(message.us),
                own_time: own_time(self.session, call),
                answer: call
                    .answer
                    .map(|answer| self.session.messages[answer].text.clone()),
                places: (call.request, call.answer),
            });
        }
    }
}
