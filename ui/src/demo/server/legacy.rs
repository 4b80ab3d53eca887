//! The legacy era: sessions, GET streams, resumption, DELETE.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use shadowcat::tasks::TaskKind;

use super::events::Reader;
use super::http::{Answer, Refusal, Source, empty, events, header_text, json, outcome, refuse};
use super::jobs::{self, Job, Outlet};
use super::methods::{self, Era};
use super::rounds::secret;
use super::route::accepts;
use super::session::Session;
use super::{Shared, asks};
use crate::demo::wire::{
    self, BUSY, Fault, INVALID_PARAMS, Kind, LAST_EVENT_HEADER, LEGACY, SESSION_HEADER, SESSION_NOT_FOUND,
    VERSION_HEADER, at, method_of, text_at,
};

/// Answers a POST.
pub(super) fn post(shared: &Arc<Shared>, headers: &HeaderMap, message: Value) -> Answer {
    let kind = wire::kind(&message);
    if kind == Kind::Request && method_of(&message) == "initialize" {
        return initialize(shared, &message);
    }
    let session = match session(shared, headers) {
        Ok(session) => session,
        Err(refusal) => return refusal.into(),
    };
    match kind {
        Kind::Request => request(shared, &session, &message),
        Kind::Notification => {
            if method_of(&message) == "notifications/cancelled" {
                session.cancel_call(at(&message, &["params", "requestId"]));
            }
            empty(StatusCode::ACCEPTED)
        }
        Kind::Response => {
            session.settle(message);
            empty(StatusCode::ACCEPTED)
        }
        Kind::Unknown => {
            let reason = "the body is not one JSON-RPC message";
            Refusal::new(StatusCode::BAD_REQUEST, reason).into()
        }
    }
}

/// Opens the session's general stream, or takes up a stream after `Last-Event-ID`.
pub(super) fn get(shared: &Arc<Shared>, headers: &HeaderMap) -> Answer {
    let opened = session(shared, headers).and_then(|session| {
        let reader = reader(&session, headers)?;
        greet(shared, &session);
        Ok(events(Source::Log(reader), shared.keep_alive))
    });
    opened.unwrap_or_else(Answer::from)
}

/// The stream that a GET asks for. A stream that is taken up again leaves its older reader.
fn reader(session: &Session, headers: &HeaderMap) -> Result<Reader, Refusal> {
    if !accepts(headers, "text/event-stream") {
        let reason = "Accept must list text/event-stream";
        return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, reason));
    }
    let Some(last) = header_text(headers, LAST_EVENT_HEADER) else {
        if session.general.is_read() {
            let reason = "the session's GET stream is open already";
            return Err(Refusal::new(StatusCode::CONFLICT, reason));
        }
        return Ok(session.general.reader(None));
    };
    let (log, number) = session.find_event(last).ok_or_else(|| {
        let reason = "the event is not known in this session";
        Refusal::new(StatusCode::BAD_REQUEST, reason)
    })?;
    Ok(log.reader(Some(number)))
}

/// Ends a session.
pub(super) fn delete(shared: &Arc<Shared>, headers: &HeaderMap) -> Answer {
    match session(shared, headers) {
        Err(refusal) => refusal.into(),
        Ok(session) => {
            shared.sessions.close(&session);
            empty(StatusCode::OK)
        }
    }
}

fn session(shared: &Shared, headers: &HeaderMap) -> Result<Arc<Session>, Refusal> {
    let bad = |reason: &str| Err(Refusal::new(StatusCode::BAD_REQUEST, reason));
    let Some(id) = header_text(headers, SESSION_HEADER) else {
        return bad("the header Mcp-Session-Id is missing; begin with initialize");
    };
    if headers.contains_key(VERSION_HEADER)
        && !header_text(headers, VERSION_HEADER).is_some_and(|version| LEGACY.contains(&version))
    {
        return bad("the header MCP-Protocol-Version names a revision that is not spoken here");
    }
    shared
        .sessions
        .find(id)
        .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "Session not found").with_code(SESSION_NOT_FOUND))
}

fn initialize(shared: &Arc<Shared>, message: &Value) -> Answer {
    let id = at(message, &["id"]);
    let Some(secret) = secret() else {
        let fault = Fault::new(wire::BUSY, "the system gave no random bytes for a session id");
        return refuse(StatusCode::SERVICE_UNAVAILABLE, Some(id), &fault);
    };
    let params = at(message, &["params"]);
    let version = agreed_version(text_at(params, &["protocolVersion"]));
    let closed = shared.tasks.stopping().child_token();
    let capabilities = at(params, &["capabilities"]).clone();
    let session = Session::new(secret.clone(), version, capabilities, closed);
    shared.sessions.enter(Arc::new(session));
    let result = json!({
        "protocolVersion": version,
        "capabilities": methods::capabilities(),
        "serverInfo": methods::server_info(),
        "instructions": "A demonstration: nothing here does any harm.",
    });
    let mut answer = json(StatusCode::OK, &wire::result(id, result));
    if let Ok(value) = HeaderValue::from_str(&secret) {
        answer.headers_mut().insert(SESSION_HEADER, value);
    }
    answer
}

/// The revision asked for if it is spoken here, else the newest one.
fn agreed_version(wanted: Option<&str>) -> &'static str {
    let [newest, ..] = LEGACY;
    let wanted = LEGACY.into_iter().find(|known| wanted == Some(known));
    wanted.unwrap_or(newest)
}

/// Once per session: asks over the general stream whether the client is there, and what its roots are.
fn greet(shared: &Arc<Shared>, session: &Arc<Session>) {
    if !session.greet() {
        return;
    }
    let has_roots = !at(&session.capabilities, &["roots"]).is_null();
    let session = Arc::clone(session);
    let closed = shared.tasks.stopping().clone();
    shared.tasks.spawn(TaskKind::Frontend, async move {
        let questions = async {
            session.ask(&session.general, "ping", Value::Null).await?;
            if has_roots {
                session.ask(&session.general, "roots/list", Value::Null).await?;
            }
            Ok::<_, String>(())
        };
        if let Some(Err(reason)) = closed.run_until_cancelled(questions).await {
            tracing::debug!(%reason, "a client left a question open");
        }
    });
}

fn request(shared: &Arc<Shared>, session: &Arc<Session>, message: &Value) -> Answer {
    let id = at(message, &["id"]);
    let params = at(message, &["params"]);
    let method = method_of(message);
    match method {
        "ping" => outcome(id, Ok(json!({}))),
        "logging/setLevel" => outcome(id, set_level(session, params)),
        "resources/subscribe" | "resources/unsubscribe" => outcome(id, subscribe(session, method, params)),
        "tools/call" if jobs::is_streamed(params) || asks::is_question(params) => {
            stream_call(shared, session, message)
        }
        _ => outcome(id, methods::answer(shared, Era::Legacy, method, params)),
    }
}

fn set_level(session: &Session, params: &Value) -> Result<Value, Fault> {
    let level = text_at(params, &["level"]).and_then(wire::level_rank);
    let level = level.ok_or_else(|| Fault::new(INVALID_PARAMS, "`level` is not a log level"))?;
    session.set_log_rank(level);
    Ok(json!({}))
}

fn subscribe(session: &Session, method: &str, params: &Value) -> Result<Value, Fault> {
    let uri = text_at(params, &["uri"]).ok_or_else(|| Fault::new(INVALID_PARAMS, "`uri` is missing"))?;
    if method == "resources/unsubscribe" {
        session.unsubscribe(uri);
    } else if !session.subscribe(uri) {
        return Err(Fault::new(BUSY, "too many subscriptions in this session"));
    }
    Ok(json!({}))
}

/// Answers a call by a stream: what belongs to the call, its answer, the end. A cancelled call gets no answer.
fn stream_call(shared: &Arc<Shared>, session: &Arc<Session>, message: &Value) -> Answer {
    let id = at(message, &["id"]).clone();
    let Some(cancel) = session.begin_call(&id) else {
        let fault = Fault::new(BUSY, "too many calls run in this session");
        return refuse(StatusCode::SERVICE_UNAVAILABLE, Some(&id), &fault);
    };
    let log = session.open_stream();
    let answer = events(Source::Log(log.reader(None)), shared.keep_alive);
    let job = Job::new(message, session.log_rank(), Outlet::Log(Arc::clone(&log)));
    let session = Arc::clone(session);
    shared.tasks.spawn(TaskKind::Frontend, async move {
        if session.is_polling() && job.is_long_report() {
            log.send_reader_away();
        }
        let outcome = async {
            match asks::legacy(&session, &log, &job.params).await {
                Some(outcome) => outcome,
                None => job.run().await,
            }
        };
        if let Some(outcome) = cancel.run_until_cancelled(outcome).await {
            let answer = match outcome {
                Ok(value) => wire::result(&id, value),
                Err(fault) => wire::error(Some(&id), &fault),
            };
            log.push(&answer);
        }
        log.end();
        session.end_call(&id);
    });
    answer
}
