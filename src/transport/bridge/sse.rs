//! Clients of the older transport HTTP+SSE: each has a program of its own, and one stream that carries all that it says.
//!
//! Source: MCP 2024-11-05, Transports, "HTTP with SSE".

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Response, StatusCode, Uri};

use crate::codec::envelope::{Envelope, MessageKind};
use crate::codec::rpc_id::RpcId;
use crate::transport::body::{ReplyBody, RequestBody};
use crate::transport::relay::source::{BodyError, MadeBody};
use crate::transport::watchers::Outbox;

use super::REST;
use super::accept::Accepted;
use super::body::Events;
use super::child_link::{Launch, start};
use super::desk::Desk;
use super::legacy::{cancelled, mint, no_random, not_started};
use super::posted::{INVALID_REQUEST, Posted};
use super::reply::{Refusal, Visit};
use super::router::NotTaken;
use super::routing::Routing as _;
use super::server::BridgeServer;
use super::spool::Lane;
use super::sse_router::SseRouter;

/// One of the two addresses of the transport, beside the endpoint of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A GET begins a session; its messages go to this path.
    Stream { messages: String },
    /// They are posted here.
    Messages,
}

impl Place {
    /// The place that `path` names at a server whose endpoint is `endpoint`: `/sse` and `/messages` below that, or
    /// beside it if it is `/mcp`.
    pub(super) fn of(endpoint: &str, path: &str) -> Option<Self> {
        let below = path.strip_prefix(endpoint);
        let beside = (endpoint == "/mcp").then_some(path);
        let find = |rest: &str| match rest {
            "/sse" => Some(Self::Stream {
                messages: format!("{}/messages", path.strip_suffix("/sse").unwrap_or_default()),
            }),
            "/messages" => Some(Self::Messages),
            _ => None,
        };
        below.and_then(find).or_else(|| beside.and_then(find))
    }
}

/// A session of a client, and the way to its program.
#[derive(Debug, Clone)]
pub(super) struct SseSession {
    pub(super) id: Arc<str>,
    desk: Arc<Desk<SseRouter>>,
}

/// A session lives as long as this: its stream has it.
#[derive(Debug)]
struct Life {
    server: Arc<BridgeServer>,
    session: SseSession,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.server.forget_sse(&self.session.id);
        self.session.desk.stop();
    }
}

/// The stream of a session.
#[derive(Debug)]
struct Stream {
    events: Events<SseRouter>,
    _life: Life,
}

impl MadeBody for Stream {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.events.poll_piece(cx)
    }
}

/// Serves a request to one of the two addresses.
pub(super) async fn serve(
    visit: &Visit<'_>,
    place: &Place,
    (method, target): (&Method, &Uri),
    body: RequestBody,
) -> Result<Response<ReplyBody>, Refusal> {
    match place {
        Place::Stream { messages } if *method == Method::GET => {
            body.drain(REST).await;
            open(visit, messages).await
        }
        Place::Messages if *method == Method::POST => {
            let posted = Posted::read(visit, body.clone()).await;
            match posted {
                Ok(posted) => {
                    drop(body);
                    message(visit, target.query(), posted).await
                }
                Err(refusal) => {
                    body.drain(REST).await;
                    Err(refusal)
                }
            }
        }
        _ => {
            body.drain(REST).await;
            Err(wrong_method(place))
        }
    }
}

fn wrong_method(place: &Place) -> Refusal {
    let method = match place {
        Place::Stream { .. } => "GET",
        Place::Messages => "POST",
    };
    let text = format!("Only {method} is served here; this is the transport HTTP+SSE of 2024-11-05.");
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", text).allowing(method)
}

/// Begins a session: its program is started, and its stream says where messages go.
async fn open(visit: &Visit<'_>, messages: &str) -> Result<Response<ReplyBody>, Refusal> {
    if !Accepted::of(visit.headers).events {
        let text = "A GET is answered with an event stream only; name text/event-stream in Accept.";
        return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", text));
    }
    let session = SseSession {
        id: mint().ok_or_else(|| no_random(None))?,
        desk: visit.desk(SseRouter::new(visit.bounds(), visit.hub.limits.max_open_calls)),
    };
    let endpoint = format!("{messages}?sessionId={}", session.id);
    // The program belongs to the session from its first line on, so that has to be known before it starts.
    let mut outbox = Outbox::new(Arc::clone(&visit.hub.watchers));
    visit.exchange.join_as_endpoint(&endpoint, &mut outbox);
    outbox.flush().await;
    let when_over = {
        let (server, id) = (Arc::clone(visit.server), Arc::clone(&session.id));
        move || server.forget_sse(&id)
    };
    let started = start(Launch::of(visit), &session.desk, when_over).await;
    started.map_err(|failure| not_started(visit, &failure))?;
    visit.server.keep_sse(session.clone());
    let life = Life {
        server: Arc::clone(visit.server),
        session,
    };
    let seat = life.session.desk.sit_down(Lane::STANDALONE, None);
    let seat = seat.ok_or_else(|| unknown_session(None))?;
    let first = Bytes::from(format!("event: endpoint\ndata: {endpoint}\n\n"));
    let body = Stream {
        events: Events::new(seat, Some(first), false),
        _life: life,
    };
    Ok(visit.events(None, Box::new(body)).await)
}

/// Passes a message on; what comes of it is for the session's stream.
async fn message(
    visit: &Visit<'_>,
    query: Option<&str>,
    posted: Posted,
) -> Result<Response<ReplyBody>, Refusal> {
    let id = posted.request_id();
    let session = session_of(visit, query).ok_or_else(|| unknown_session(id.clone()))?;
    if posted.is_batch() {
        let text = "This transport has no batches. Send each message for itself.";
        let refusal = Refusal::new(StatusCode::BAD_REQUEST, "invalid_request", text);
        return Err(refusal.with_code(INVALID_REQUEST).with_id(id));
    }
    let requests = request_ids(posted.messages());
    let cancelled = cancelled(posted.messages());
    let begun = session.desk.router().begin(&requests);
    begun.map_err(|problem| not_taken(problem, id.clone()))?;
    let mut unsent = Unsent {
        session: &session,
        ids: requests,
    };
    let link = session.desk.link().ok_or_else(|| unknown_session(id.clone()))?;
    if link.send(posted.line, posted.lease).await.is_err() {
        let text = "The server does not read its input any more; it seems to be ending. Begin a new session.";
        return Err(Refusal::new(StatusCode::BAD_GATEWAY, "deaf", text).with_id(id));
    }
    unsent.ids.clear();
    session.desk.router().settle(&cancelled);
    Ok(visit.empty(StatusCode::ACCEPTED).await)
}

fn request_ids(messages: &[Envelope]) -> Vec<RpcId> {
    let requests = messages
        .iter()
        .filter(|message| message.kind == MessageKind::Request);
    requests.filter_map(|message| message.id.clone()).collect()
}

/// The session that the query names.
fn session_of(visit: &Visit<'_>, query: Option<&str>) -> Option<SseSession> {
    let mut fields = query?.split('&');
    let id = fields.find_map(|field| field.strip_prefix("sessionId="))?;
    let session = visit.server.sse_session(id)?;
    let is_over = session.desk.router().is_over();
    (!is_over).then_some(session)
}

fn unknown_session(id: Option<String>) -> Refusal {
    let text =
        "There is no such session (any more): its stream or its program has ended. Open the stream anew.";
    Refusal::new(StatusCode::NOT_FOUND, "unknown_session", text).with_id(id)
}

fn not_taken(problem: NotTaken, id: Option<String>) -> Refusal {
    match problem {
        NotTaken::Over => unknown_session(id),
        NotTaken::SameId(same) => super::legacy::same_id(&same).with_id(id),
        NotTaken::TooMany(limit) => super::legacy::too_many(limit).with_id(id),
    }
}

/// Requests whose line is not in the queue yet.
struct Unsent<'a> {
    session: &'a SseSession,
    ids: Vec<RpcId>,
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        if !self.ids.is_empty() {
            self.session.desk.router().settle(&self.ids);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_addresses_are_below_the_endpoint_or_beside_it() {
        let stream = |messages: &str| {
            Some(Place::Stream {
                messages: messages.to_owned(),
            })
        };
        assert_eq!(Place::of("/mcp", "/sse"), stream("/messages"));
        assert_eq!(Place::of("/mcp", "/mcp/sse"), stream("/mcp/messages"));
        assert_eq!(Place::of("/mcp", "/messages"), Some(Place::Messages));
        assert_eq!(Place::of("/docs", "/docs/sse"), stream("/docs/messages"));
        assert_eq!(Place::of("/docs", "/docs/messages"), Some(Place::Messages));
        for other in ["/sse", "/docs", "/docs/sse/", "/docsse", "/docs/x/sse"] {
            assert_eq!(Place::of("/docs", other), None, "{other}");
        }
    }
}
