//! Clients with sessions: each has a program of its own.
//!
//! Source: MCP 2025-03-26 to 2025-11-25, Transports, "Streamable HTTP" and "Session Management".

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{Response, StatusCode};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::time::timeout;

use crate::codec::envelope::{Envelope, Field, MessageKind};
use crate::codec::rpc_id::RpcId;
use crate::mcp::era;
use crate::transport::body::ReplyBody;

use super::accept::Accepted;
use super::body::{Events, event, parse_event_id, priming_event};
use super::child_link::{Launch, StartFailure, start};
use super::desk::{Desk, Seat};
use super::posted::{INVALID_REQUEST, Posted};
use super::reply::{Refusal, SESSION_ID, Visit};
use super::router::{LegacyRouter, NotTaken};
use super::routing::Routing as _;
use super::server::BridgeServer;
use super::spool::{Lane, Message, Next, SpoolBounds};

/// An answer that comes within this time, and before anything else, is one JSON document.
pub(super) const QUICK: Duration = Duration::from_millis(250);
/// The revision that has batches.
const WITH_BATCHES: &str = "2025-03-26";
/// The first revision whose clients expect an event without data.
const WITH_PRIMING: &str = "2025-11-25";

/// A session of a client, and the way to its program.
#[derive(Debug, Clone)]
pub(super) struct LegacySession {
    pub(super) id: Arc<str>,
    desk: Arc<Desk<LegacyRouter>>,
}

/// A session whose client has not heard of it: it ends if that does not come about.
struct Newborn<'a> {
    server: &'a BridgeServer,
    session: LegacySession,
    is_kept: bool,
}

impl Drop for Newborn<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.server.forget(&self.session.id);
            self.session.desk.stop();
        }
    }
}

/// What the head of a POST says about its answer.
struct Wanted<'a> {
    accepted: Accepted,
    /// How long to wait for an answer before a stream is opened.
    patience: Option<Duration>,
    /// The id of a session that begins with this answer.
    session: Option<&'a str>,
    has_priming: bool,
    /// The id of the request, as spelled.
    id: Option<String>,
}

/// Serves a POST.
pub(super) async fn post(visit: &Visit<'_>, posted: Posted) -> Result<Response<ReplyBody>, Refusal> {
    let accepted = Accepted::of(visit.headers);
    if accepted.is_nothing() {
        let text = "The client accepts neither application/json nor text/event-stream; name both in Accept.";
        return Err(
            Refusal::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", text).with_id(posted.request_id())
        );
    }
    let is_handshake = posted.messages().iter().any(era::is_legacy_handshake);
    if visit.headers.contains_key(SESSION_ID) || !is_handshake {
        let session = session_of(visit, posted.request_id())?;
        return in_session(visit, &session, posted, accepted).await;
    }
    if posted.is_batch() {
        let text = "`initialize` must not be in a batch.";
        let refusal = Refusal::new(StatusCode::BAD_REQUEST, "invalid_request", text);
        return Err(refusal.with_code(INVALID_REQUEST).with_id(posted.request_id()));
    }
    initialize(visit, posted, accepted).await
}

/// The session that a request names.
fn session_of(visit: &Visit<'_>, id: Option<String>) -> Result<LegacySession, Refusal> {
    let Some(name) = visit.field(SESSION_ID) else {
        let text = "The request names no session: send `initialize` first, then the Mcp-Session-Id of its answer with every request.";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "no_session", text).with_id(id));
    };
    let session = visit.server.session(name);
    session
        .filter(|session| !session.desk.router().is_over())
        .ok_or_else(|| unknown_session(id))
}

fn unknown_session(id: Option<String>) -> Refusal {
    let text = "There is no such session (any more): its program has ended, or it was deleted. Send `initialize` without a session id to begin a new one.";
    Refusal::new(StatusCode::NOT_FOUND, "unknown_session", text).with_id(id)
}

async fn initialize(
    visit: &Visit<'_>,
    posted: Posted,
    accepted: Accepted,
) -> Result<Response<ReplyBody>, Refusal> {
    let id = posted.request_id();
    let bounds = SpoolBounds {
        keeps_delivered: true,
        ..visit.bounds()
    };
    let session = LegacySession {
        id: mint().ok_or_else(|| no_random(id.clone()))?,
        desk: visit.desk(LegacyRouter::new(bounds, visit.hub.limits.max_open_calls)),
    };
    let when_over = {
        let (server, id) = (Arc::clone(visit.server), Arc::clone(&session.id));
        move || {
            server.forget(&id);
        }
    };
    let started = start(Launch::of(visit), &session.desk, when_over).await;
    started.map_err(|failure| not_started(visit, &failure).with_id(id))?;
    visit.server.keep(session.clone());
    let mut newborn = Newborn {
        server: visit.server,
        session: session.clone(),
        is_kept: false,
    };
    let seat = begin(&session, &posted, accepted)?;
    let id = posted.request_id();
    send(&session, &seat, posted).await?;
    let wanted = Wanted {
        accepted,
        patience: None,
        session: Some(&session.id),
        has_priming: false,
        id,
    };
    let response = answer(visit, seat, wanted).await;
    newborn.is_kept = response.headers().contains_key(SESSION_ID);
    Ok(response)
}

/// What says why there is no program.
pub(super) fn not_started(visit: &Visit<'_>, failure: &StartFailure) -> Refusal {
    let server = &visit.server.label;
    match failure {
        StartFailure::Full { .. } | StartFailure::Busy(_) => {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", failure.to_string())
        }
        StartFailure::Refused(cause) => {
            let command = &visit.server.command_line;
            let text = format!("Server {server} (`{command}`) was to be started for this client: {cause}.");
            Refusal::new(StatusCode::BAD_GATEWAY, "not_started", text)
        }
    }
}

/// An id that nobody can guess, in visible ASCII.
///
/// Source: MCP 2025-11-25, Transports, "Session Management".
pub(super) fn mint() -> Option<Arc<str>> {
    let mut bytes = [0; 24];
    SystemRandom::new().fill(&mut bytes).ok()?;
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(digits.concat().into())
}

pub(super) fn no_random(id: Option<String>) -> Refusal {
    let text = "The system has no random bytes to offer, so no session can begin.";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text).with_id(id)
}

async fn in_session(
    visit: &Visit<'_>,
    session: &LegacySession,
    posted: Posted,
    accepted: Accepted,
) -> Result<Response<ReplyBody>, Refusal> {
    let revision = session.desk.router().revision().map(str::to_owned);
    if posted.is_batch() && revision.as_deref() != Some(WITH_BATCHES) {
        let agreed = revision.as_deref().unwrap_or("none yet");
        let text = format!(
            "Only revision {WITH_BATCHES} has batches; this session speaks {agreed}. Send each message for itself."
        );
        let refusal = Refusal::new(StatusCode::BAD_REQUEST, "invalid_request", text);
        return Err(refusal.with_code(INVALID_REQUEST).with_id(posted.request_id()));
    }
    let cancelled = cancelled(posted.messages());
    if !posted.has_requests() {
        let link = session.desk.link().ok_or_else(|| unknown_session(None))?;
        let sent = link.send(posted.line, posted.lease).await;
        sent.map_err(|_| unknown_session(None))?;
        cancel(session, &cancelled);
        return Ok(visit.empty(StatusCode::ACCEPTED).await);
    }
    let seat = begin(session, &posted, accepted)?;
    let id = posted.request_id();
    send(session, &seat, posted).await?;
    cancel(session, &cancelled);
    let wanted = Wanted {
        accepted,
        patience: Some(QUICK),
        session: None,
        has_priming: revision.is_some_and(|revision| *revision >= *WITH_PRIMING),
        id,
    };
    Ok(answer(visit, seat, wanted).await)
}

/// The requests that a client cancels.
pub(super) fn cancelled(messages: &[Envelope]) -> Vec<RpcId> {
    let cancellations = messages
        .iter()
        .filter(|message| message.method.as_deref() == Some("notifications/cancelled"));
    cancellations
        .filter_map(|message| message.fields.id(Field::ParamsRequestId).cloned())
        .collect()
}

/// The program has been told: what is not answered soon will not be.
fn cancel(session: &LegacySession, ids: &[RpcId]) {
    let mut router = session.desk.router();
    for id in ids {
        router.cancel(id);
    }
}

fn begin(
    session: &LegacySession,
    posted: &Posted,
    accepted: Accepted,
) -> Result<Seat<LegacyRouter>, Refusal> {
    let begun = session.desk.router().begin(posted.messages(), accepted.events);
    match begun {
        Ok((lane, reader)) => Ok(session.desk.seat(lane, reader)),
        Err(NotTaken::Over) => Err(unknown_session(posted.request_id())),
        Err(NotTaken::SameId(id)) => Err(same_id(&id).with_id(posted.request_id())),
        Err(NotTaken::TooMany(limit)) => Err(too_many(limit).with_id(posted.request_id())),
    }
}

/// A request with this id is under way.
pub(super) fn same_id(id: &RpcId) -> Refusal {
    let text = format!("A request with the id {id} is under way in this session; use each id once.");
    Refusal::new(StatusCode::BAD_REQUEST, "invalid_request", text).with_code(INVALID_REQUEST)
}

/// So many requests are under way.
pub(super) fn too_many(limit: usize) -> Refusal {
    let text = format!(
        "max_open_calls ({limit}) was reached: so many requests of this session wait for their answer. Wait for one, or raise --max-open-calls."
    );
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text)
}

/// Sends requests to the program. What is not sent is not waited for either.
async fn send(session: &LegacySession, seat: &Seat<LegacyRouter>, posted: Posted) -> Result<(), Refusal> {
    let id = posted.request_id();
    let mut unsent = Unsent {
        session,
        lane: Some(seat.lane()),
    };
    let link = session.desk.link().ok_or_else(|| unknown_session(id.clone()))?;
    if link.send(posted.line, posted.lease).await.is_err() {
        let text = "The server does not read its input any more; it seems to be ending. Begin a new session.";
        return Err(Refusal::new(StatusCode::BAD_GATEWAY, "deaf", text).with_id(id));
    }
    unsent.lane = None;
    Ok(())
}

/// A POST whose line is not in the queue yet.
struct Unsent<'a> {
    session: &'a LegacySession,
    lane: Option<Lane>,
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        if let Some(lane) = self.lane {
            self.session.desk.router().take_back(lane);
        }
    }
}

/// The answer to a POST with requests: one document if it comes first and soon, otherwise a stream.
async fn answer(visit: &Visit<'_>, mut seat: Seat<LegacyRouter>, wanted: Wanted<'_>) -> Response<ReplyBody> {
    if !wanted.accepted.events {
        return collected(visit, seat, &wanted).await;
    }
    let patience = if wanted.accepted.json {
        wanted.patience
    } else {
        Some(Duration::ZERO)
    };
    let first = match patience {
        Some(patience) => timeout(patience, seat.next()).await.ok(),
        None => Some(seat.next().await),
    };
    match first {
        Some(Next::Message {
            message,
            is_last: true,
            ..
        }) if wanted.accepted.json => {
            seat.forget();
            document(visit, &wanted, &[message]).await
        }
        Some(Next::Message { number, message, .. }) => {
            let first = event(&message, Some((seat.lane(), number)));
            stream(visit, seat, &wanted, Some(first)).await
        }
        Some(Next::End | Next::Taken) => stream(visit, seat, &wanted, None).await,
        None => {
            let first = wanted.has_priming.then(|| priming_event(seat.lane()));
            stream(visit, seat, &wanted, first).await
        }
    }
}

async fn stream(
    visit: &Visit<'_>,
    seat: Seat<LegacyRouter>,
    wanted: &Wanted<'_>,
    first: Option<Bytes>,
) -> Response<ReplyBody> {
    let body = Box::new(Events::new(seat, first, true));
    visit.events(wanted.session, body).await
}

/// For a client that takes no streams: everything, once it is there.
async fn collected(
    visit: &Visit<'_>,
    mut seat: Seat<LegacyRouter>,
    wanted: &Wanted<'_>,
) -> Response<ReplyBody> {
    let mut messages = Vec::new();
    while let Next::Message { message, is_last, .. } = seat.next().await {
        messages.push(message);
        if is_last {
            break;
        }
    }
    seat.forget();
    if messages.is_empty() {
        let text = "The request was cancelled, and the server did not answer it.";
        let refusal = Refusal::new(StatusCode::OK, "cancelled", text).with_id(wanted.id.clone());
        return visit.refuse(&refusal).await;
    }
    document(visit, wanted, &messages).await
}

async fn document(visit: &Visit<'_>, wanted: &Wanted<'_>, messages: &[Message]) -> Response<ReplyBody> {
    let text = joined(messages);
    if messages.iter().all(|message| message.is_ours) {
        return visit.failed(text).await;
    }
    // A session begins with a result; an error is no beginning.
    let scan = crate::codec::envelope::scan(&text);
    let is_result = |message: &Envelope| message.kind == MessageKind::Result;
    let session = wanted.session.filter(|_| scan.messages.iter().any(is_result));
    visit.json(StatusCode::OK, session, text).await
}

fn joined(messages: &[Message]) -> Bytes {
    if let [message] = messages {
        return message.text.clone();
    }
    let mut all = BytesMut::new();
    all.put_u8(b'[');
    for (at, message) in messages.iter().enumerate() {
        if at > 0 {
            all.put_u8(b',');
        }
        all.put_slice(&message.text);
    }
    all.put_u8(b']');
    all.freeze()
}

/// Serves a GET: the session's stream of what belongs to no request, or the rest of a stream that was cut.
pub(super) async fn get(visit: &Visit<'_>) -> Result<Response<ReplyBody>, Refusal> {
    let session = session_of(visit, None)?;
    if !Accepted::of(visit.headers).events {
        let text = "A GET is answered with an event stream only; name text/event-stream in Accept.";
        return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", text));
    }
    let seat = match visit.field("last-event-id") {
        Some(id) => resumed(&session, id)?,
        None => standalone(&session)?,
    };
    let body = Box::new(Events::new(seat, None, true));
    Ok(visit.events(None, body).await)
}

fn resumed(session: &LegacySession, id: &str) -> Result<Seat<LegacyRouter>, Refusal> {
    let place = parse_event_id(id);
    let seat = place.and_then(|(lane, number)| session.desk.sit_down(lane, Some(number)));
    seat.ok_or_else(|| {
        let text = format!(
            "Nothing is kept behind the event `{}`: its stream was read to the end a while ago, or is too long ago (replay_buffer, replay_buffer_bytes). Send the request again.",
            id.escape_debug()
        );
        Refusal::new(StatusCode::BAD_REQUEST, "unknown_event", text)
    })
}

fn standalone(session: &LegacySession) -> Result<Seat<LegacyRouter>, Refusal> {
    if session.desk.router().spool().has_reader(Lane::STANDALONE) {
        let text = "This session has its GET stream already; a session has one.";
        return Err(Refusal::new(StatusCode::CONFLICT, "second_stream", text));
    }
    session
        .desk
        .sit_down(Lane::STANDALONE, None)
        .ok_or_else(|| unknown_session(None))
}

/// Serves a DELETE: the session is over and its program is ended step by step.
pub(super) async fn delete(visit: &Visit<'_>) -> Result<Response<ReplyBody>, Refusal> {
    let session = session_of(visit, None)?;
    visit.server.forget(&session.id);
    session.desk.stop();
    Ok(visit.empty(StatusCode::NO_CONTENT).await)
}

/// The fields that a client of this era may use on its own here.
pub(super) fn names_session(visit: &Visit<'_>) -> bool {
    let id = visit.field(SESSION_ID);
    id.is_some_and(|id| visit.server.session(id).is_some())
}

/// What a HEAD or another method gets.
pub(super) fn not_allowed() -> Refusal {
    let text = "Only POST, GET and DELETE are served here.";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", text).allowing("GET, POST, DELETE, OPTIONS")
}

/// The path leads to no endpoint.
pub(super) fn no_endpoint(endpoint: &str) -> Refusal {
    let text = format!("There is nothing here; the MCP endpoint is {endpoint}.");
    Refusal::new(StatusCode::NOT_FOUND, "no_endpoint", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_are_long_visible_and_never_the_same() {
        let (one, other) = (mint().unwrap(), mint().unwrap());
        assert_ne!(one, other);
        assert!(one.len() >= 32 && one.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(http::HeaderValue::from_str(&one).is_ok());
    }
}
