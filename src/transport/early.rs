//! Responses that begin before it is known what they are: a rule with `early-stream` holds the request, and its client gets
//! an event stream meanwhile.
//!
//! Whatever the server answers then becomes events of that stream; its status and its fields have nowhere to go.
//! Source: MCP 2025-03-26 and later, Transports: a request may be answered with an event stream.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode, header};
use http_body::{Body as _, Frame};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::codec::envelope::{MessageKind, scan};
use crate::intercept::rules::template::error_answer;
use crate::session::observation::{Event, RewrittenObserved};
use crate::snapshot::{Carrier, Direction};

use super::answer::{RPC_CODE, make_stream};
use super::body::ReplyBody;
use super::change;
use super::exchange::Exchange;
use super::lane::{COMMENT, Reported, as_event};
use super::reader::{BodyKind, BodyReader};
use super::relay::source::BodyError;
use super::watchers::Outbox;

/// Most characters of what a server said with an error status that its client hears.
const MAX_SAID: usize = 2_000;

/// How the response comes about.
type Coming = Pin<Box<dyn Future<Output = Response<ReplyBody>> + Send>>;

/// An event stream that began before the server was asked.
pub(crate) struct EarlyStream {
    exchange: Arc<Exchange>,
    state: State,
    is_held: Arc<AtomicBool>,
    timer: Pin<Box<Sleep>>,
    /// What its client is told of the progress of its call.
    report: Option<Report>,
}

struct Report {
    reported: Reported,
    reader: BodyReader,
}

enum State {
    /// The response has not come.
    Coming(Coming),
    /// It is an event stream, and goes on as one.
    Flowing(Box<ReplyBody>),
    /// It is a document, which becomes one event.
    Collecting {
        status: StatusCode,
        is_json: bool,
        body: Box<ReplyBody>,
        text: BytesMut,
    },
    Over,
}

impl std::fmt::Debug for EarlyStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EarlyStream")
            .field("exchange", &self.exchange.id)
            .finish_non_exhaustive()
    }
}

/// Whether a client takes an event stream for an answer.
pub(super) fn is_accepted(fields: &HeaderMap) -> bool {
    let values = fields.get_all(header::ACCEPT).iter();
    let mut types = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    types.any(|kind| BodyKind::of(Some(kind)) == BodyKind::Events)
}

/// Says that a request is not held any more.
#[derive(Debug, Clone)]
pub(super) struct Holding(Arc<AtomicBool>);

impl Holding {
    pub(super) fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Begins an event stream that goes on with the response that `coming` gives.
pub(super) fn begin<F>(
    exchange: &Arc<Exchange>,
    reported: Option<Reported>,
    coming: impl FnOnce(Holding) -> F,
) -> Response<ReplyBody>
where
    F: Future<Output = Response<ReplyBody>> + Send + 'static,
{
    let is_held = Arc::new(AtomicBool::new(true));
    let coming = coming(Holding(Arc::clone(&is_held)));
    exchange.tell_now(Event::Rewritten(Box::new(RewrittenObserved {
        exchange: exchange.id,
        session: exchange.session().map(|session| session.id),
        direction: Direction::ServerToClient,
        rewrites: vec!["its client got 200 and an event stream while the request was held".to_owned()],
        sent: None,
        findings: Vec::new(),
    })));
    let stream = EarlyStream {
        exchange: Arc::clone(exchange),
        state: State::Coming(Box::pin(coming)),
        is_held,
        report: reported.map(|reported| Report {
            reported,
            reader: BodyReader::new(
                BodyKind::Events,
                None,
                &exchange.hub.limits,
                exchange.hub.buffers.lease(exchange.side),
            ),
        }),
        timer: Box::pin(sleep_until(
            Instant::now() + exchange.hub.interceptor.holds.comment_every(),
        )),
    };
    let mut response = Response::new(ReplyBody::Early(Box::new(stream)));
    make_stream(response.headers_mut());
    response
}

impl EarlyStream {
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            match &mut self.state {
                State::Coming(coming) => match coming.as_mut().poll(cx) {
                    Poll::Ready(response) => self.state = State::of(response),
                    Poll::Pending => {
                        ready!(self.poll_comment(cx));
                        return Poll::Ready(Some(Ok(Frame::data(self.sign_of_life()))));
                    }
                },
                State::Flowing(body) => return Pin::new(&mut **body).poll_frame(cx),
                State::Collecting { body, text, .. } => {
                    match ready!(Pin::new(&mut **body).poll_frame(cx)) {
                        Some(Ok(frame)) => {
                            text.extend_from_slice(frame.data_ref().map_or(&b""[..], |data| data));
                        }
                        Some(Err(error)) => {
                            self.state = State::Over;
                            return Poll::Ready(Some(Err(error)));
                        }
                        None => return Poll::Ready(self.last_event().map(|event| Ok(Frame::data(event)))),
                    }
                    if text.len() > self.exchange.hub.limits.max_message_bytes {
                        let event = self.error("The server's answer is larger than max_message_bytes.");
                        self.state = State::Over;
                        return Poll::Ready(Some(Ok(Frame::data(event))));
                    }
                }
                State::Over => return Poll::Ready(None),
            }
        }
    }

    /// Ready when it is time for a comment.
    fn poll_comment(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let every = self.exchange.hub.interceptor.holds.comment_every();
            self.timer.as_mut().reset(Instant::now() + every);
            if self.is_held.load(Ordering::Relaxed) {
                return Poll::Ready(());
            }
        }
    }

    /// A comment, and progress if the rule wants that.
    fn sign_of_life(&mut self) -> Bytes {
        let comment = Bytes::from_static(COMMENT);
        let Some(report) = &mut self.report else {
            return comment;
        };
        let Some(message) = report.reported.next() else {
            return comment;
        };
        let event = as_event(&message);
        let mut drafts = Vec::new();
        // What is not told at once is told when this is dropped, beyond all bounds: it is one event in ten seconds.
        let mut outbox = Outbox::new(Arc::clone(&self.exchange.hub.watchers));
        report
            .reader
            .push(&event, false, outbox.is_recording(), &mut drafts);
        let what = (Direction::ServerToClient, Carrier::Sse);
        self.exchange.tell_synthetic(what, &mut drafts, &mut outbox);
        self.exchange.note_early_frame();
        [comment, event].concat().into()
    }

    /// The document as an event; none for an empty one.
    fn last_event(&mut self) -> Option<Bytes> {
        let State::Collecting {
            status,
            is_json,
            text,
            ..
        } = std::mem::replace(&mut self.state, State::Over)
        else {
            return None;
        };
        let is_empty = text.trim_ascii().is_empty();
        match status.is_success() {
            true if is_empty => None,
            true if is_json => Some(as_event(&text)),
            _ if self.is_our_error(&text) => Some(as_event(&text)),
            _ => {
                let said: String = String::from_utf8_lossy(&text).chars().take(MAX_SAID).collect();
                let colon = if is_empty { "" } else { ": " };
                Some(self.error(&format!("The server answered with HTTP {status}{colon}{said}")))
            }
        }
    }

    /// Whether it is a JSON-RPC error that answers the request.
    fn is_our_error(&self, text: &[u8]) -> bool {
        let found = scan(text);
        let id = self.exchange.request_id();
        found.single().is_some_and(|message| {
            let same = message.id.as_ref().and_then(|answered| answered.token()) == id.as_deref();
            message.kind == MessageKind::Error && message.is_version_2 && same
        })
    }

    fn error(&self, text: &str) -> Bytes {
        let id = self.exchange.request_id();
        as_event(error_answer(id.as_deref().unwrap_or("null"), RPC_CODE, text).as_bytes())
    }
}

impl State {
    fn of(response: Response<ReplyBody>) -> Self {
        let (parts, body) = response.into_parts();
        let kind = BodyKind::of_fields(&parts.headers);
        let is_plain = !change::is_encoded(&parts.headers);
        if matches!(body, ReplyBody::Broken)
            || parts.status.is_success() && kind == BodyKind::Events && is_plain
        {
            return Self::Flowing(Box::new(body));
        }
        Self::Collecting {
            status: parts.status,
            is_json: kind.is_json() && is_plain,
            body: Box::new(body),
            text: BytesMut::new(),
        }
    }
}
