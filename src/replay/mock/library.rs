//! What a mock server has to say: each recorded request of a client as a script.

use bytes::Bytes;
use serde_json::Value;

use super::heads::Heads;
use super::likeness::salient_params;
use super::needs::Need;
use super::said::Said;
use crate::codec::envelope::{Field, MessageKind};
use crate::codec::event::SseEvent;
use crate::codec::rpc_id::RpcId;
use crate::ids::ExchangeId;
use crate::recording::format::RequestKind;
use crate::replay::alike::TAG_START;
use crate::replay::tape::{
    Tape, TapeCall, TapeCarrier, TapeExchange, TapeFrame, TapeMessage, TapePart, TapeSession,
};
use crate::session::pairing::subject;
use crate::snapshot::{Carrier, Direction, EndKind};

/// Everything that was recorded, ready to be said again.
#[derive(Debug)]
pub(super) struct Library {
    /// The requests, in the order in which they came.
    pub(super) scripts: Vec<Script>,
    /// By recorded session: what the server said on its own.
    pub(super) monologues: Vec<Monologue>,
    /// Exchanges without messages, such as metadata of an authorization server.
    pub(super) plain: Vec<Plain>,
    /// Requests of both eras.
    pub(super) has_legacy: bool,
    pub(super) has_modern: bool,
    /// Revisions of modern sessions, newest last.
    pub(super) modern_revisions: Vec<String>,
    /// Revision of a legacy session.
    pub(super) legacy_revision: Option<String>,
    /// What heads of modern requests have to say.
    pub(super) heads: Heads,
}

/// What a server said on its own in a session, counted from the end of the handshake.
#[derive(Debug, Default)]
pub(super) struct Monologue {
    pub(super) steps: Vec<Step>,
}

/// One recorded request with all that followed.
#[derive(Debug)]
pub(super) struct Script {
    /// Place of its session on the tape.
    pub(super) session: usize,
    pub(super) exchange: ExchangeId,
    /// Others are in that exchange too: a run of a command, or a WebSocket.
    pub(super) is_one_of_many: bool,
    /// When it was asked, in microseconds since the recording was begun.
    pub(super) us: i64,
    pub(super) method: Box<str>,
    pub(super) subject: Option<String>,
    pub(super) is_modern: bool,
    /// What it is recognized by.
    pub(super) params: Value,
    /// What ids and tokens were called then.
    pub(super) id: Option<RpcId>,
    pub(super) token: Option<RpcId>,
    pub(super) steps: Vec<Step>,
    pub(super) ending: Ending,
    pub(super) said: Said,
    /// What a client has to have declared for the questions in the answer.
    pub(super) needs: Vec<Need>,
    /// How it was answered over HTTP, if it was.
    pub(super) shape: Option<Shape>,
}

/// How a script ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// With an answer, which is its last step.
    Answered,
    /// Nothing came while the client waited.
    Open,
    /// The exchange ended without an answer.
    Closed,
}

/// The HTTP around an answer.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) status: u16,
    pub(super) is_stream: bool,
    /// Fields of the head that can be said again.
    pub(super) fields: Vec<(String, String)>,
    /// The body, if there is no message in it.
    pub(super) body: Option<Bytes>,
    /// The server issued a session id with it.
    pub(super) has_session: bool,
}

/// Something that a server did.
#[derive(Debug)]
pub(super) struct Step {
    /// Microseconds since what was before it.
    pub(super) delay_us: u64,
    pub(super) deed: Deed,
    /// The event that carried it, with the times of its parts.
    pub(super) block: Option<Block>,
}

#[derive(Debug)]
pub(super) enum Deed {
    /// A notification, or the answer.
    Say(Bytes),
    /// A request of its own; what the client answered then.
    Ask {
        text: Bytes,
        id: Option<RpcId>,
        method: Box<str>,
        answer: Option<Bytes>,
    },
    /// An event without a message.
    Blank,
}

/// An event as it was sent.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) bytes: Bytes,
    /// When which bytes came, in microseconds since the first ones.
    pub(super) parts: Vec<TapePart>,
}

/// An exchange without messages.
#[derive(Debug)]
pub(super) struct Plain {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) shape: Shape,
}

impl Library {
    pub(super) fn new(tape: &Tape) -> Self {
        let mut library = Self {
            scripts: Vec::new(),
            monologues: Vec::new(),
            plain: Vec::new(),
            has_legacy: false,
            has_modern: false,
            modern_revisions: Vec::new(),
            legacy_revision: None,
            heads: Heads::default(),
        };
        for (place, session) in tape.sessions.iter().enumerate() {
            library.add(place, session);
        }
        library.scripts.sort_by_key(|script| script.us);
        library.modern_revisions.sort();
        library.modern_revisions.dedup();
        library
    }

    /// Whether the server that was recorded had legacy clients and issued them no session ids.
    pub(super) fn is_stateless(&self) -> bool {
        let mut shapes = self
            .scripts
            .iter()
            .filter(|script| &*script.method == "initialize" && script.ending == Ending::Answered)
            .map(|script| script.shape.as_ref())
            .peekable();
        shapes.peek().is_some() && shapes.all(|shape| shape.is_some_and(|shape| !shape.has_session))
    }

    fn add(&mut self, place: usize, session: &TapeSession) {
        for call in session.client_calls() {
            self.scripts.push(Script::new(place, session, call));
            if call.is_modern {
                self.has_modern = true;
                self.heads.learn(session, call);
                let request = &session.messages[call.request];
                let stated = request.envelope.fields.get(Field::MetaProtocolVersion);
                self.modern_revisions.extend(stated.map(str::to_owned));
            } else {
                self.has_legacy = true;
                if self.legacy_revision.is_none() {
                    self.legacy_revision.clone_from(&session.revision);
                }
            }
        }
        self.monologues.push(Monologue::new(session));
        let plain = session.exchanges.iter().filter_map(Plain::new);
        self.plain.extend(plain);
    }
}

impl Script {
    fn new(place: usize, session: &TapeSession, call: &TapeCall) -> Self {
        let request = &session.messages[call.request];
        let exchange = session.exchange_of(request);
        let is_http = exchange.method == "POST";
        let steps = Steps::of_call(session, call).steps;
        let answer = call.answer.map(|answer| &session.messages[answer].text);
        let subject = subject(&request.envelope);
        let answer_is_here = call
            .answer
            .is_some_and(|answer| session.messages[answer].exchange == request.exchange);
        let shape = is_http
            .then(|| Shape::of(exchange, call.answer.is_some()))
            .flatten()
            .filter(|_| session.carrier != TapeCarrier::HttpSse)
            .filter(|_| answer_is_here || call.answer.is_none());
        Self {
            session: place,
            exchange: exchange.id,
            is_one_of_many: !is_http,
            us: request.us,
            method: call.method.clone(),
            subject: subject.map(str::to_owned),
            is_modern: call.is_modern,
            params: salient_params(&call.method, &request.text),
            id: request.envelope.id.clone(),
            token: request.envelope.fields.id(Field::MetaProgressToken).cloned(),
            steps,
            ending: ending(call, exchange, is_http),
            said: answer.map_or_else(Said::default, |answer| Said::of(answer, subject)),
            needs: answer.map_or_else(Vec::new, |answer| Need::in_answer(answer)),
            shape,
        }
    }

    /// Its id, where the number of its exchange does not say which one it is.
    pub(super) fn told_id(&self) -> Option<Value> {
        let id = self.id.as_ref().filter(|_| self.is_one_of_many)?;
        serde_json::from_str(id.token()?).ok()
    }

    /// Where it is in the recording: `#6`, or `#1, id 4`.
    pub(super) fn place(&self) -> String {
        let exchange = self.exchange.get();
        self.told_id()
            .map_or_else(|| format!("#{exchange}"), |id| format!("#{exchange}, id {id}"))
    }

    /// Whether HTTP itself answered, with a body that has no message.
    pub(super) const fn has_body(&self) -> bool {
        matches!(&self.shape, Some(Shape { body: Some(_), .. }))
    }

    /// Whether it is a refusal of HTTP alone, such as one that asks for a login.
    pub(super) fn is_bare_refusal(&self) -> bool {
        self.ending != Ending::Answered && self.shape.as_ref().is_some_and(|shape| shape.status >= 400)
    }
}

fn ending(call: &TapeCall, exchange: &TapeExchange, is_http: bool) -> Ending {
    if call.answer.is_some() {
        return Ending::Answered;
    }
    let has_ended_by_itself = exchange
        .end
        .as_ref()
        .is_some_and(|end| !matches!(end.response, EndKind::ClientAborted | EndKind::Unwatched));
    if is_http && has_ended_by_itself {
        Ending::Closed
    } else {
        Ending::Open
    }
}

/// Fields that belong to one connection or one moment.
const OF_THE_MOMENT: [&str; 14] = [
    "alt-svc",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "keep-alive",
    "mcp-session-id",
    "proxy-authenticate",
    "server",
    "set-cookie",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Shape {
    fn of(exchange: &TapeExchange, has_answer: bool) -> Option<Self> {
        let response = exchange.response.as_ref()?;
        let can_be_said = |(name, value): &&(String, String)| {
            !OF_THE_MOMENT.contains(&name.to_ascii_lowercase().as_str()) && !value.contains(TAG_START)
        };
        let body = || {
            let frames = exchange.frames_of(Direction::ServerToClient);
            let bytes: Vec<u8> = frames.flat_map(|frame| frame.bytes.to_vec()).collect();
            Bytes::from(bytes)
        };
        let mut fields: Vec<(String, String)> =
            response.head.fields.iter().filter(can_be_said).cloned().collect();
        let body = (!has_answer && !exchange.is_stream()).then(body);
        if body.is_some()
            && let Some(media_type) = &response.media_type
        {
            fields.push(("content-type".to_owned(), media_type.clone()));
        }
        Some(Self {
            status: response.status,
            is_stream: exchange.is_stream(),
            fields,
            body,
            has_session: response.field("mcp-session-id").is_some(),
        })
    }
}

impl Plain {
    /// Only what is no part of a conversation.
    fn new(exchange: &TapeExchange) -> Option<Self> {
        let is_plain = exchange.kind == RequestKind::Http
            && matches!(exchange.method.as_str(), "GET" | "POST")
            && !exchange.is_stream();
        let shape = is_plain.then(|| Shape::of(exchange, false)).flatten()?;
        (shape.status != 101).then(|| Self {
            method: exchange.method.clone(),
            target: path_of(&exchange.target).to_owned(),
            shape,
        })
    }
}

/// A target without scheme and authority.
fn path_of(target: &str) -> &str {
    let after = target.split_once("://").map(|(_, rest)| rest);
    after.map_or(target, |rest| {
        rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
    })
}

impl Monologue {
    fn new(session: &TapeSession) -> Self {
        let is_start =
            |message: &&TapeMessage| message.envelope.method.as_deref() == Some("notifications/initialized");
        let Some(start) = session.messages.iter().find(is_start) else {
            return Self::default();
        };
        let mut steps = Steps::from(start.us);
        let told = session.messages.iter().filter(|message| {
            message.direction == Direction::ServerToClient
                && message.us >= start.us
                && is_monologue(session, message)
        });
        for message in told {
            steps.message(session, message);
        }
        Self { steps: steps.steps }
    }
}

/// Whether a message of the server belongs to no request of the client.
fn is_monologue(session: &TapeSession, message: &TapeMessage) -> bool {
    match message.envelope.kind {
        // Without a request they are the rest of one that was cancelled.
        MessageKind::Notification => {
            message.call.is_none()
                && !matches!(
                    message.envelope.method.as_deref(),
                    Some("notifications/progress" | "notifications/cancelled")
                )
        }
        MessageKind::Request => message
            .call
            .is_some_and(|call| session.calls[call].during.is_none()),
        _ => false,
    }
}

/// Steps in the making.
struct Steps {
    steps: Vec<Step>,
    last_us: i64,
}

impl Steps {
    const fn from(us: i64) -> Self {
        Self {
            steps: Vec::new(),
            last_us: us,
        }
    }

    fn of_call(session: &TapeSession, call: &TapeCall) -> Self {
        let request = &session.messages[call.request];
        let mut steps = Self::from(request.us);
        let mut entries: Vec<(i64, usize, Option<&TapeMessage>)> = Vec::new();
        for place in call.between.iter().chain(&call.answer) {
            let message = &session.messages[*place];
            entries.push((message.us, message.frame, Some(message)));
        }
        let exchange = session.exchange_of(request);
        if exchange.is_stream() && exchange.method == "POST" {
            let has_message = |place: usize| {
                let of_frame =
                    |message: &TapeMessage| message.exchange == request.exchange && message.frame == place;
                session.messages.iter().any(of_frame)
            };
            let blank = exchange.frames.iter().enumerate().filter(|(place, frame)| {
                frame.direction == Direction::ServerToClient && !frame.is_fragment && !has_message(*place)
            });
            entries.extend(blank.map(|(place, frame)| (frame.done_us, place, None)));
        }
        entries.sort_by_key(|(us, frame, _)| (*us, *frame));
        for (us, frame, message) in entries {
            match message {
                Some(message) if message.direction == Direction::ServerToClient => {
                    steps.message(session, message);
                }
                // What comes next was said because of the client's answer.
                Some(_) => steps.last_us = us,
                None => steps.push(us, Deed::Blank, Some(&exchange.frames[frame])),
            }
            if message.is_some_and(|message| {
                call.answer
                    .is_some_and(|answer| std::ptr::eq(message, &raw const session.messages[answer]))
            }) {
                break;
            }
        }
        steps
    }

    fn message(&mut self, session: &TapeSession, message: &TapeMessage) {
        let frame = session.frame_of(message);
        let deed = if message.envelope.kind == MessageKind::Request {
            let call = message.call.map(|call| &session.calls[call]);
            let answer = call.and_then(|call| call.answer);
            Deed::Ask {
                text: message.text.clone(),
                id: message.envelope.id.clone(),
                method: message.envelope.method.clone().unwrap_or_default(),
                answer: answer.map(|answer| session.messages[answer].text.clone()),
            }
        } else {
            Deed::Say(message.text.clone())
        };
        // A batch in one event is told as single messages.
        let is_alone = frame.payload.len() <= message.text.len() + 2;
        self.push(message.us, deed, Some(frame).filter(|_| is_alone));
    }

    fn push(&mut self, us: i64, deed: Deed, frame: Option<&TapeFrame>) {
        let event = frame.filter(|frame| frame.carrier == Carrier::Sse);
        let took = event.map_or(0, |frame| frame.done_us.saturating_sub(frame.us));
        let delay = us.saturating_sub(took).saturating_sub(self.last_us);
        self.steps.push(Step {
            delay_us: u64::try_from(delay).unwrap_or(0),
            deed,
            block: event.map(Block::of),
        });
        self.last_us = us;
    }
}

impl Block {
    /// Whether the event had an id.
    pub(super) fn has_id(&self) -> bool {
        SseEvent::parse(&self.bytes, false).id.is_some()
    }

    fn of(frame: &TapeFrame) -> Self {
        let part = |part: &TapePart| TapePart {
            us: part.us.saturating_sub(frame.us),
            end: part.end,
        };
        Self {
            bytes: frame.bytes.clone(),
            parts: frame.parts.iter().map(part).collect(),
        }
    }
}
