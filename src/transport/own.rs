//! Requests that end here, and the answers that we give ourselves.

use std::sync::Arc;

use http::{Request, Response, Version};
use hyper::body::Incoming;

use crate::ca::PROBE_FIELD;
use crate::ids::Side;
use crate::session::observation::ObservedHead;
use crate::snapshot::{Direction, EndKind};

use super::answer::OwnAnswer;
use super::body::{ReplyBody, RequestBody, reader_for, request_relay};
use super::causes::describe;
use super::exchange::{Beginning, Exchange, ResponseHead};
use super::observed::{response_fields, shown_target};
use super::pass::LATE_REQUEST;
use super::reader::BodyKind;
use super::serve::ClientConnection;
use super::watchers::Outbox;

/// Answers a request that goes nowhere, and tells of it like of any other. Its body is not read.
pub(super) async fn refuse(
    connection: &ClientConnection,
    request: &Request<Incoming>,
    head: ObservedHead,
    answer: OwnAnswer,
) -> Response<ReplyBody> {
    let (exchange, _) = begin_own(connection, request, head, REFUSED).await;
    exchange.fail(answer.text.clone());
    exchange.end_direction(Direction::ClientToServer, EndKind::CutByProxy);
    let is_rpc = BodyKind::of_fields(request.headers()).is_json();
    answer_ourselves(&exchange, is_rpc, &answer, EndKind::CutByProxy).await
}

/// Gives the certificate of the local authority to who asks for it.
pub(super) async fn give_certificate(
    connection: &ClientConnection,
    request: &Request<Incoming>,
    head: ObservedHead,
) -> Response<ReplyBody> {
    let hub = &connection.hub;
    let answer = match hub.interception.certificate(&hub.tasks).await {
        Ok(Some(pem)) => OwnAnswer::certificate(&pem),
        Ok(None) => OwnAnswer::no_certificate("This proxy does not intercept TLS.".to_owned()),
        Err(error) => OwnAnswer::no_certificate(describe(&error)),
    };
    if request.headers().contains_key(PROBE_FIELD) {
        return answer.response(false, None);
    }
    if !answer.status.is_success() {
        return refuse(connection, request, head, answer).await;
    }
    let (exchange, _) = begin_own(connection, request, head, "(shadowcat)").await;
    exchange.end_direction(Direction::ClientToServer, EndKind::Complete);
    answer_ourselves(&exchange, false, &answer, EndKind::Complete).await
}

/// Answers an honest request for which there is no room. Its body is read for the id that the answer has to carry.
pub(super) async fn turn_away(
    connection: &ClientConnection,
    request: Request<Incoming>,
    head: ObservedHead,
    text: String,
) -> Response<ReplyBody> {
    let (exchange, outbox) = begin_own(connection, &request, head, REFUSED).await;
    exchange.fail(text.clone());
    let (parts, incoming) = request.into_parts();
    let body = RequestBody::new(request_relay(&exchange, &parts.headers, incoming, outbox));
    body.drain(LATE_REQUEST).await;
    answer_ourselves(
        &exchange,
        BodyKind::of_fields(&parts.headers).is_json(),
        &OwnAnswer::busy(text),
        EndKind::CutByProxy,
    )
    .await
}

/// What stands in place of a server that a request was not sent to.
pub(super) const REFUSED: &str = "(refused)";

/// Begins an exchange that ends here.
pub(super) async fn begin_own(
    connection: &ClientConnection,
    request: &Request<Incoming>,
    head: ObservedHead,
    server: impl Into<Arc<str>>,
) -> (Arc<Exchange>, Outbox) {
    let side = if request.uri().authority().is_some() || connection.within.is_some() {
        Side::Forward
    } else {
        Side::Reverse
    };
    let mut outbox = Outbox::new(Arc::clone(&connection.hub.watchers));
    let beginning = Beginning {
        side,
        server: server.into(),
        method: request.method(),
        target: shown_target(request.uri()),
        headers: request.headers(),
        head,
        rewrites: Vec::new(),
        sent: None,
    };
    let exchange = Exchange::begin(&connection.hub, &connection.peer, beginning, &mut outbox);
    outbox.flush().await;
    (exchange, outbox)
}

/// Makes and tells an answer of our own.
pub(super) async fn answer_ourselves(
    exchange: &Arc<Exchange>,
    is_rpc: bool,
    answer: &OwnAnswer,
    end: EndKind,
) -> Response<ReplyBody> {
    let response = answer.response(is_rpc, exchange.request_id().as_deref());
    let mut outbox = Outbox::new(Arc::clone(&exchange.hub.watchers));
    tell_own(exchange, &response, Vec::new(), &mut outbox);
    exchange.answer_ourselves(answer.status.as_u16(), end);
    outbox.flush().await;
    response
}

/// What we answer ourselves is shown and recorded like what an upstream answers; `rewrites` are what was changed in its head.
pub(super) fn tell_own(
    exchange: &Exchange,
    response: &Response<ReplyBody>,
    rewrites: Vec<String>,
    outbox: &mut Outbox,
) {
    let head = ResponseHead {
        status: response.status().as_u16(),
        head: response_fields(Version::HTTP_11, response.status(), response.headers()),
        headers: response.headers(),
        is_ours: true,
        is_stream: false,
        rewrites,
        sent: None,
    };
    exchange.begin_response(head, outbox);
    tell_own_body(exchange, response, outbox);
}

fn tell_own_body(exchange: &Exchange, response: &Response<ReplyBody>, outbox: &mut Outbox) {
    let ReplyBody::Own(Some(text)) = response.body() else {
        return;
    };
    let mut drafts = Vec::new();
    reader_for(exchange, response.headers()).push(text, true, false, &mut drafts);
    exchange.count(Direction::ServerToClient, text.len());
    exchange.tell(Direction::ServerToClient, &mut drafts, None, outbox);
}
