//! Streamable HTTP of both eras.
//!
//! Source: MCP 2025-03-26 to 2026-07-28, Transports, "Streamable HTTP".

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::super::body::{MockBody, Reading};
use super::super::core::{Core, mint};
use super::super::lane::{Lane, parse_event_id};
use super::super::library::{Deed, Ending, Shape};
use super::super::plan::{Plan, Request};
use super::super::play::{Stage, answer};
use super::super::session::LiveSession;
use super::{
    Outcome, Posted, Refused, SESSION_ID, accepts, add_fields, cancelled, document, empty, events, joined,
    not_allowed, plain, refused, shaped, text_of, words,
};
use crate::codec::envelope::{Envelope, MessageKind};
use crate::mcp::era;
use crate::snapshot::Era;

/// A request and what is answered to it.
type Planned = (Request, Plan);

/// Serves a POST.
pub(super) async fn post(core: &Arc<Core>, headers: &HeaderMap, posted: Posted) -> Outcome {
    let is_modern = is_modern(headers, &posted.scan.messages);
    let is_handshake = posted.scan.messages.iter().any(era::is_legacy_handshake);
    let (session, fresh) = if is_modern {
        (Arc::clone(&core.everybody), false)
    } else {
        match text_of(headers.get(SESSION_ID)) {
            Some(id) => (session(core, id, &posted)?, false),
            None if is_handshake && !core.library.is_stateless() => (core.open(mint(), true), true),
            None => (stateless(core, &posted, is_handshake)?, false),
        }
    };
    let mut planned = Vec::new();
    for (text, envelope) in posted.messages() {
        if envelope.kind == MessageKind::Request {
            let request = Request::new(text, envelope.clone(), is_modern).with_head(headers, &core.library);
            let plan = core.plan(&session, &request);
            planned.push((request, plan));
        } else {
            core.hear(&session, &text, envelope);
        }
    }
    let is_batch = posted.is_batch();
    drop(posted);
    if planned.is_empty() {
        return Ok(empty(StatusCode::ACCEPTED));
    }
    let mut response = respond(core, &session, headers, planned, is_batch).await;
    if fresh && let Some(id) = &session.id {
        name_session(core, &mut response, id);
    }
    Ok(response)
}

/// A session begins with a result; after an error there is none.
fn name_session(core: &Core, response: &mut Response<MockBody>, id: &Arc<str>) {
    let is_begun = response.status().is_success();
    match HeaderValue::from_str(id) {
        Ok(value) if is_begun => {
            response.headers_mut().insert(SESSION_ID, value);
        }
        _ => core.close(id),
    }
}

fn is_modern(headers: &HeaderMap, messages: &[Envelope]) -> bool {
    let stated = text_of(headers.get("mcp-protocol-version")).and_then(era::of_revision);
    messages.iter().any(era::is_modern)
        || stated == Some(Era::Modern) && !messages.iter().any(era::is_legacy_handshake)
}

fn session(core: &Core, id: &str, posted: &Posted) -> Result<Arc<LiveSession>, Refused> {
    let session = core.session(id).filter(|session| !session.over.is_cancelled());
    session.ok_or_else(|| {
        let text =
            "There is no such session (any more). Send `initialize` without a session id to begin a new one.";
        refused(
            StatusCode::NOT_FOUND,
            first_id(posted).as_deref(),
            "unknown_session",
            text,
        )
    })
}

/// The one session of all clients that have none.
fn stateless(core: &Core, posted: &Posted, is_handshake: bool) -> Result<Arc<LiveSession>, Refused> {
    if is_handshake || core.library.is_stateless() || !core.library.has_legacy {
        return Ok(Arc::clone(&core.everybody));
    }
    let text = "The request names no session: send `initialize` first, then the Mcp-Session-Id of its answer with every request.";
    let id = first_id(posted);
    Err(refused(
        StatusCode::BAD_REQUEST,
        id.as_deref(),
        "no_session",
        text,
    ))
}

fn first_id(posted: &Posted) -> Option<String> {
    let first = posted.scan.messages.first()?;
    Some(first.id.as_ref()?.token()?.to_owned())
}

async fn respond(
    core: &Arc<Core>,
    session: &Arc<LiveSession>,
    headers: &HeaderMap,
    mut planned: Vec<Planned>,
    is_batch: bool,
) -> Response<MockBody> {
    let (takes_events, takes_documents) = accepts(headers);
    let shape = match &planned[..] {
        [(_, Plan::Play(script))] => core.library.scripts[*script].shape.clone(),
        _ => None,
    };
    if let Some(shape) = &shape
        && let Some(body) = &shape.body
        && !has_answer(core, &planned)
    {
        tokio::time::sleep(core.options.pace.before()).await;
        return shaped(shape, body.clone());
    }
    if takes_events && (is_told_in_events(core, &planned, shape.as_ref()) || !takes_documents) {
        let mut response = stream(core, session, planned);
        if let Some(shape) = shape.filter(|shape| shape.is_stream) {
            add_fields(response.headers_mut(), &shape);
        }
        return response;
    }
    let mut answers = Vec::new();
    let mut status = shape.as_ref().map_or(StatusCode::OK, |shape| {
        StatusCode::from_u16(shape.status).unwrap_or(StatusCode::OK)
    });
    for (request, plan) in planned.drain(..) {
        if let Plan::Error { status: of_error, .. } = plan {
            status = StatusCode::from_u16(of_error).unwrap_or(status);
        }
        answers.push(collected(core, session, &request, &plan).await);
    }
    let body = if is_batch {
        joined(&answers)
    } else {
        answers.pop().unwrap_or_default()
    };
    let mut response = document(status, body);
    if let Some(shape) = &shape {
        add_fields(response.headers_mut(), shape);
    }
    response
}

fn has_answer(core: &Core, planned: &[Planned]) -> bool {
    planned.iter().any(|(_, plan)| match plan {
        Plan::Play(script) => core.library.scripts[*script].ending == Ending::Answered,
        _ => true,
    })
}

/// A recorded stream is a stream again, and so is what came over another carrier and has more than an answer.
fn is_told_in_events(core: &Core, planned: &[Planned], shape: Option<&Shape>) -> bool {
    if let Some(shape) = shape
        && !shape.is_stream
    {
        let is_asked = |(_, plan): &Planned| match plan {
            Plan::Play(script) => {
                let mut steps = core.library.scripts[*script].steps.iter();
                steps.any(|step| matches!(step.deed, Deed::Ask { .. }))
            }
            _ => false,
        };
        return planned.iter().any(is_asked);
    }
    let has_more = |(_, plan): &Planned| match plan {
        Plan::Play(script) => {
            let script = &core.library.scripts[*script];
            script.steps.len() > 1 || script.ending != Ending::Answered
        }
        Plan::Pass(_) => true,
        Plan::Result(_) | Plan::Error { .. } => false,
    };
    shape.is_some_and(|shape| shape.is_stream) || planned.iter().any(has_more)
}

/// The answers on a stream. That of a client without a session ends with the client.
fn stream(core: &Arc<Core>, session: &Arc<LiveSession>, planned: Vec<Planned>) -> Response<MockBody> {
    let is_modern = planned.iter().any(|(request, _)| request.is_modern);
    let limits = &core.options.limits;
    let lane = if is_modern {
        Arc::new(Lane::new(None, limits))
    } else {
        session.lane(|name| Lane::new(Some(name), limits))
    };
    let mut reading = Reading::new(Arc::clone(&lane), session.over.clone());
    let mut planned = planned;
    if planned.len() == 1
        && let Some((request, plan)) = planned.pop()
    {
        let cancel = core.perform(session, request, plan, lane);
        if is_modern {
            reading = reading.ending(cancel);
        }
    } else {
        core.perform_all(session, planned, lane);
    }
    events(reading.body())
}

async fn collected(core: &Arc<Core>, session: &Arc<LiveSession>, request: &Request, plan: &Plan) -> Bytes {
    let running = session.run(request.envelope.id.clone());
    let mut said = None;
    let answering = core.answer_into(session, request, plan, Stage::Answer(&mut said));
    running.cancelled.run_until_cancelled(answering).await;
    said.unwrap_or_else(|| answer(&request.id, "error", &cancelled()))
}

/// Serves a GET or a DELETE.
pub(super) fn get_or_delete(core: &Arc<Core>, method: &Method, headers: &HeaderMap, target: &str) -> Outcome {
    let Some(id) = text_of(headers.get(SESSION_ID)) else {
        if let Some(recorded) = plain(core, method.as_str(), target) {
            return Ok(recorded);
        }
        if core.library.has_legacy && !core.library.is_stateless() {
            let text = "The request names no session: send `initialize` first, then the Mcp-Session-Id of its answer with every request.";
            return Err(refused(StatusCode::BAD_REQUEST, None, "no_session", text));
        }
        return Err(not_allowed());
    };
    let Some(session) = core.session(id) else {
        return Err(refused(
            StatusCode::NOT_FOUND,
            None,
            "unknown_session",
            "There is no such session (any more).",
        ));
    };
    if *method == Method::DELETE {
        core.close(id);
        return Ok(empty(StatusCode::OK));
    }
    if !accepts(headers).0 {
        return Err(words(
            StatusCode::NOT_ACCEPTABLE,
            "A GET is answered with an event stream only.",
        ));
    }
    let over = session.over.clone();
    let reading = match text_of(headers.get("last-event-id")) {
        Some(id) => {
            let place = parse_event_id(id);
            let lane = place.and_then(|(name, number)| Some((session.lane_called(name)?, number)));
            lane.and_then(|(lane, number)| Reading::behind(lane, number, over))
        }
        None if session.own_lane.has_reader() => {
            let text = "This session has its GET stream already; a session has one.";
            return Err(refused(StatusCode::CONFLICT, None, "second_stream", text));
        }
        None => Some(Reading::new(Arc::clone(&session.own_lane), over)),
    };
    let Some(reading) = reading else {
        let text = "Nothing is kept behind this event. Send the request again.";
        return Err(refused(StatusCode::BAD_REQUEST, None, "unknown_event", text));
    };
    Ok(events(reading.body()))
}
