//! One request from its head to the head of its response.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::capture_connection;

use crate::ca::PROBE_FIELD;
use crate::ids::Side;
use crate::session::observation::ObservedHead;
use crate::snapshot::{Direction, EndKind, Head};

use super::answer::OwnAnswer;
use super::asked::AskedFor;
use super::authorize::{self, Authorization};
use super::bridge;
use super::change;
use super::exchange::{Beginning, Exchange, Peer, ResponseHead};
use super::gate::{Attempt, Refusal, SendError, root_cause};
use super::headers::{self, HeadChange};
use super::hub::Hub;
use super::place::{ConnectionPlace, StreamPlace};
use super::reader::{BodyKind, BodyReader};
use super::relay::{Relay, ReplyBody, RequestBody, chain, describe};
use super::rewrite::mount::Mount;
use super::route::{Asked, Nowhere, Route, ServerPlace, Upstream, Within};
use super::tap::RequestHeads;
use super::tls::trust;
use super::tunnel;
use super::upstream::{ConnectionFacts, Speaks};
use super::via;
use super::watchers::Outbox;
use super::websocket;

/// How long the rest of a request may take to come in when its upstream has failed already.
const LATE_REQUEST: Duration = Duration::from_secs(1);

/// A client's connection, as its requests see it.
#[derive(Debug)]
pub(crate) struct ClientConnection {
    pub(crate) hub: Arc<Hub>,
    pub(crate) peer: Peer,
    pub(crate) local: SocketAddr,
    /// The one server that our end is for.
    pub(crate) only: Option<ServerPlace>,
    pub(crate) heads: RequestHeads,
    pub(crate) place: Arc<ConnectionPlace>,
    /// Requests on it that are not done; counted on HTTP/2 only.
    pub(crate) in_flight: AtomicU64,
    /// Why no request can be served on it.
    pub(crate) refusal: Option<String>,
    /// The tunnel that it is in.
    pub(crate) within: Option<Within>,
}

/// Where a request is sent, and what has to be changed in its response.
pub(super) struct Destination {
    side: Side,
    server: Arc<str>,
    pub(super) target: Uri,
    upstream: Option<(Arc<Upstream>, String, Option<Authority>)>,
    pub(super) speaks: Speaks,
    /// It is an authorization server that we stand before.
    pub(super) authorization: Option<Authorization>,
}

impl Destination {
    /// An authorization server that one of the upstreams named.
    pub(super) fn authorization(target: Uri, authorization: Authorization) -> Self {
        Self {
            side: Side::Reverse,
            server: authorization.server.label(),
            target,
            upstream: None,
            speaks: Speaks::Negotiated,
            authorization: Some(authorization),
        }
    }

    /// Whether our configuration chose it, and not the client.
    pub(super) fn is_ours(&self) -> bool {
        self.side == Side::Reverse
    }

    /// How the client sees the upstream; `None` for a destination of its own choice, and if it does not say what it
    /// calls us.
    pub(super) fn mount(&self) -> Option<Mount> {
        let (upstream, prefix, own) = self.upstream.as_ref()?;
        Some(Mount {
            upstream: Arc::clone(upstream),
            prefix: prefix.clone(),
            own: own.clone()?,
        })
    }
}

/// Serves one request. Never fails: what goes wrong is an answer.
///
/// # Cancel safety
/// Dropped when the client goes away; that ends the upstream exchange, and the end is told.
pub(crate) async fn serve(
    connection: Arc<ClientConnection>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Infallible> {
    let wire = if request.version() < Version::HTTP_2 {
        connection.heads.next()
    } else {
        None
    };
    let refusal = wire.as_ref().and_then(|head| head.refusal);
    let head = wire.map_or_else(|| fields_of(&request), |head| ObservedHead::Raw(head.bytes));
    if let Some(refusal) = refusal {
        let text = format!("The request cannot be forwarded safely: {refusal}.");
        return Ok(refuse(&connection, &request, head, OwnAnswer::unclear_request(text)).await);
    }
    if let Some(refusal) = &connection.refusal {
        let refusal = refusal.clone();
        return Ok(turn_away(&connection, request, head, refusal).await);
    }
    let place = match stream_place(&connection, request.version()).await {
        Ok(place) => place,
        Err(text) => return Ok(turn_away(&connection, request, head, text).await),
    };
    let asked = Asked {
        method: request.method(),
        uri: request.uri(),
        headers: request.headers(),
        local: connection.local,
        only: connection.only,
        within: connection.within.as_ref(),
    };
    let response = match connection.hub.routes.route(asked) {
        Route::Nowhere(nowhere) => {
            let answer = OwnAnswer::nowhere(&nowhere, &connection.local.to_string());
            refuse(&connection, &request, head, answer).await
        }
        Route::Certificate => give_certificate(&connection, &request, head).await,
        Route::Connect { authority } => tunnel::open(&connection, request, head, authority).await,
        Route::Forward { target, authority } => {
            let server: Arc<str> = authority.as_str().into();
            let destination = Destination {
                side: Side::Forward,
                server,
                target,
                upstream: None,
                speaks: tunnel::spoken_within(connection.within.as_ref(), request.version()),
                authorization: None,
            };
            pass(&connection, request, head, destination, place).await
        }
        Route::Bridge(goal) => match connection.hub.bridges.get(goal.index) {
            Some(server) => bridge::serve(&connection, request, head, (server, &goal), place).await,
            None => {
                refuse(
                    &connection,
                    &request,
                    head,
                    OwnAnswer::nowhere(&Nowhere::NoUpstream, ""),
                )
                .await
            }
        },
        Route::Authorization { asked, own } => {
            authorize::serve(&connection, request, head, (asked, own), place).await
        }
        Route::Reverse {
            upstream,
            target,
            mount,
            own_authority,
        } => {
            let server = Arc::clone(&upstream.label);
            let speaks = if upstream.is_h2c() {
                Speaks::PriorH2
            } else {
                Speaks::Negotiated
            };
            let upstream = Some((upstream, mount, own_authority));
            pass(
                &connection,
                request,
                head,
                Destination {
                    side: Side::Reverse,
                    server,
                    target,
                    upstream,
                    speaks,
                    authorization: None,
                },
                place,
            )
            .await
        }
    };
    Ok(response)
}

/// An HTTP/2 stream is a task of its own and needs room; an HTTP/1 exchange runs in its connection's task.
async fn stream_place(
    connection: &Arc<ClientConnection>,
    version: Version,
) -> Result<Option<StreamPlace>, String> {
    if version < Version::HTTP_2 {
        return Ok(None);
    }
    StreamPlace::find(connection).await.map(Some)
}

/// Sends a request on and relays the response.
pub(super) async fn pass(
    connection: &ClientConnection,
    request: Request<Incoming>,
    head: ObservedHead,
    destination: Destination,
    place: Option<StreamPlace>,
) -> Response<ReplyBody> {
    let hub = &connection.hub;
    let (mut request, mut destination) = (request, destination);
    let socket = websocket::asked(&mut request, &mut destination.speaks);
    let (mut parts, incoming) = request.into_parts();
    let mut edit = head_change(connection, &parts, &destination);
    if change::needs_plain_text(hub, &destination, &parts) {
        edit.ask_for_plain_text(&parts.headers);
    }
    let mut outbox = Outbox::new(Arc::clone(&hub.watchers));
    let beginning = Beginning {
        side: destination.side,
        server: Arc::clone(&destination.server),
        method: &parts.method,
        target: if connection.within.is_some() {
            destination.target.to_string()
        } else {
            shown_target(&parts.uri)
        },
        headers: &parts.headers,
        head,
        rewrites: std::mem::take(&mut edit.rewrites),
    };
    let exchange = Exchange::begin(hub, &connection.peer, beginning, &mut outbox);
    if let Some(place) = place {
        exchange.takes(place);
    }
    outbox.flush().await;
    let asked = AskedFor::of(&parts);
    let socket = match websocket::Switch::prepare(socket, connection).await {
        Ok(switch) => switch,
        Err(error) => return tunnel::turn_away(&exchange, error.to_string()).await,
    };
    let body = request_relay(&exchange, &parts.headers, incoming, outbox);
    let body = change::apply_to_request(body, &destination, asked, &mut parts.headers).await;
    let body = RequestBody::new(body);
    let attempt = match admit(hub, &destination) {
        Ok(attempt) => attempt,
        Err(refusal) => return turn_back(&exchange, asked.is_rpc, body, &refusal).await,
    };
    let fields = std::mem::take(&mut parts.headers);
    let is_for_us = destination.side == Side::Forward && connection.within.is_none();
    let way = (&destination.target, destination.speaks);
    let fields = via::prove(hub, is_for_us, way, fields);
    let mut fields = if socket.is_some() {
        headers::end_to_end_and_upgrade(fields)
    } else {
        headers::end_to_end(fields)
    };
    edit.apply(&mut fields);
    let mut onward = onward_request(parts, &destination.target, fields, body.clone());
    let sent_on = attempt.is_impatient().then(|| capture_connection(&mut onward));
    exchange.time(|timing| timing.sent = Some(hub.clock.now()));
    let response = hub.clients.speaking(destination.speaks).request(onward);
    match attempt.wait(response, sent_on).await {
        Ok(response) => {
            attempt.answered();
            note_contact(hub, &destination, None);
            drop(body);
            match socket.filter(|_| response.status() == StatusCode::SWITCHING_PROTOCOLS) {
                Some(switch) => switch.carry_out(&exchange, response).await,
                None => relay_response(&exchange, asked, response, &destination).await,
            }
        }
        Err(_) if exchange.has_client_left() => {
            // A broken upload fails at the upstream too, which is not the upstream's failure. Nobody reads this answer.
            let answer = OwnAnswer::upstream_failed("The client broke off its request.".to_owned());
            answer_ourselves(&exchange, asked.is_rpc, &answer, EndKind::ClientAborted).await
        }
        Err(error) => {
            note_contact(hub, &destination, Some(&error));
            note_large_head(hub, &error);
            attempt.failed(&error);
            let text = failure_text(&destination, &error);
            exchange.fail(text.clone());
            body.drain(LATE_REQUEST).await;
            answer_ourselves(
                &exchange,
                asked.is_rpc,
                &OwnAnswer::upstream_failed(text),
                EndKind::UpstreamUnreachable,
            )
            .await
        }
    }
}

/// Only upstreams have breakers. A forward destination is whatever a client names: there is no bound to how many there
/// are, and nobody here who could reset or make sense of them.
fn admit<'a>(hub: &'a Hub, destination: &Destination) -> Result<Attempt<'a>, Refusal> {
    let index = destination.upstream.as_ref().map(|(upstream, ..)| upstream.index);
    match index.and_then(|index| hub.upstreams.get(index)) {
        Some(state) => state.gate.admit(),
        None => Ok(Attempt::free()),
    }
}

/// Answers a request whose upstream's breaker is open. Its body is read for the id that the answer has to carry.
async fn turn_back(
    exchange: &Arc<Exchange>,
    is_rpc: bool,
    body: RequestBody,
    refusal: &Refusal,
) -> Response<ReplyBody> {
    let answer = OwnAnswer::breaker_open(refusal.to_string(), refusal.wait);
    exchange.fail(answer.text.clone());
    body.drain(LATE_REQUEST).await;
    answer_ourselves(exchange, is_rpc, &answer, EndKind::UpstreamUnreachable).await
}

fn head_change(connection: &ClientConnection, parts: &Parts, destination: &Destination) -> HeadChange {
    let hosts = parts.headers.get_all(header::HOST).iter().count();
    match (&destination.upstream, destination.target.authority()) {
        // The tunnel decides where it goes; what the client calls the server there is between the two.
        _ if connection.within.is_some() && hosts == 1 => HeadChange::default(),
        (Some((upstream, ..)), _) => headers::for_upstream(&parts.headers, upstream),
        (None, Some(authority)) => headers::host_for_destination(&parts.headers, authority),
        (None, None) => HeadChange::default(),
    }
}

/// HTTP/2 may split `Cookie`; HTTP/1 must not (RFC 9113 §8.2.3).
fn join_cookies(fields: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = fields
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        fields.insert(header::COOKIE, joined);
    }
}

/// A request's body on its way, while it is read.
pub(super) fn request_body(
    exchange: &Arc<Exchange>,
    fields: &HeaderMap,
    incoming: Incoming,
    outbox: Outbox,
) -> RequestBody {
    RequestBody::new(request_relay(exchange, fields, incoming, outbox))
}

fn request_relay(exchange: &Arc<Exchange>, fields: &HeaderMap, incoming: Incoming, outbox: Outbox) -> Relay {
    let reader = reader_for(exchange, fields);
    let exchange = Arc::clone(exchange);
    Relay::new(exchange, Direction::ClientToServer, incoming, reader, outbox)
}

fn reader_for(exchange: &Exchange, fields: &HeaderMap) -> BodyReader {
    let text = |name| {
        fields
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let lease = exchange.hub.buffers.lease(exchange.side);
    let kind = BodyKind::of_fields(fields);
    let coding = text(header::CONTENT_ENCODING);
    let mut reader = BodyReader::new(kind, coding, &exchange.hub.limits, lease);
    if coding.is_none()
        && let Some(length) = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok())
    {
        reader.expect(length);
    }
    reader
}

/// hyper keeps the spelling of header names among the extensions, so they go along.
fn onward_request(
    mut parts: Parts,
    target: &Uri,
    mut fields: HeaderMap,
    body: RequestBody,
) -> Request<RequestBody> {
    if parts.version == Version::HTTP_2 {
        join_cookies(&mut fields);
    }
    parts.uri = target.clone();
    // What TLS negotiates may raise this; a client's HTTP/2 must not be asked of an HTTP/1 server.
    parts.version = Version::HTTP_11;
    parts.headers = fields;
    Request::from_parts(parts, body)
}

fn note_contact(hub: &Hub, destination: &Destination, error: Option<&SendError>) {
    if let Some(state) = destination
        .upstream
        .as_ref()
        .and_then(|(upstream, ..)| hub.upstreams.get(upstream.index))
    {
        let outcome = error.map_or(Ok(()), |error| Err(describe(error)));
        state.note(outcome, hub.clock.now());
    }
}

/// The limits on heads bind within hyper, which only says afterwards that one of them did.
fn note_large_head(hub: &Hub, error: &SendError) {
    let is_too_large = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<hyper::Error>()
            .is_some_and(hyper::Error::is_parse_too_large)
    };
    if chain(error).any(is_too_large) {
        hub.meters.head_bytes.reach();
    }
}

fn failure_text(destination: &Destination, error: &SendError) -> String {
    let target = destination.upstream.as_ref().map_or_else(
        || destination.target.to_string(),
        |(upstream, ..)| upstream.config.url(),
    );
    let advice = trust::advice(error).unwrap_or(if error.is_connect() {
        "Check that the server runs and that the URL is right."
    } else {
        "The server accepted the connection and then failed; its own log may say why."
    });
    let cause = root_cause(error);
    format!(
        "Upstream {} ({target}) failed: {cause}. {advice}",
        destination.server
    )
}

async fn relay_response(
    exchange: &Arc<Exchange>,
    asked: AskedFor,
    response: Response<Incoming>,
    destination: &Destination,
) -> Response<ReplyBody> {
    let (mut parts, incoming) = response.into_parts();
    let facts = parts.extensions.remove::<ConnectionFacts>();
    exchange.time(|timing| timing.connect = facts.as_ref().and_then(ConnectionFacts::connect_time));
    if let Some(facts) = &facts {
        facts.answered(&parts, exchange.hub.clock.now());
        exchange.comes_on(facts.reuse());
    }
    let raw = facts
        .and_then(|facts| facts.head.take())
        .filter(|_| parts.version < Version::HTTP_2);
    let upstream = destination.upstream.as_ref();
    let upstream = upstream.map(|(upstream, mount, own)| (&**upstream, mount.as_str(), own.as_ref()));
    let reader = reader_for(exchange, &parts.headers);
    let has_body = has_body(asked.is_head, parts.status);
    let fields_as_sent = raw
        .is_none()
        .then(|| response_fields(parts.version, parts.status, &parts.headers));
    let status = parts.status.as_u16();
    let (mut fields, mut rewrites) = headers::for_client(parts.headers, upstream);
    let mut outbox = Outbox::new(Arc::clone(&exchange.hub.watchers));
    let oauth = &exchange.hub.oauth;
    let mount = destination.mount().filter(|_| oauth.is_on());
    if let Some(mount) = mount.as_ref().filter(|_| matches!(status, 401 | 403)) {
        oauth.challenge(mount, &mut fields, &mut rewrites);
    }
    let head = ResponseHead {
        status,
        head: fields_as_sent.unwrap_or_else(|| ObservedHead::Raw(raw.unwrap_or_default())),
        headers: &fields,
        is_ours: false,
        is_stream: reader.is_of_events() && has_body,
        rewrites,
    };
    exchange.begin_response(head, &mut outbox);
    if let Some(mount) = &mount {
        let found = oauth.watch(&change::answered(exchange, mount, asked, status));
        exchange.tell_changes(found, &mut outbox);
    }
    outbox.flush().await;
    exchange.time(|timing| timing.handed_on = Some(exchange.hub.clock.now()));
    let relay = Relay::new(
        Arc::clone(exchange),
        Direction::ServerToClient,
        incoming,
        reader,
        outbox,
    );
    let has_length = has_body && fields.contains_key(header::CONTENT_LENGTH);
    let relay = if has_length {
        relay.keep_length_in_place()
    } else {
        relay
    };
    let relay = if has_body {
        change::apply(relay, exchange, (destination, asked), status, &mut fields).await
    } else {
        relay
    };
    parts.headers = fields;
    parts.version = asked.version;
    Response::from_parts(parts, ReplyBody::Relay(Box::new(relay)))
}

fn has_body(is_head: bool, status: StatusCode) -> bool {
    !is_head && !matches!(status.as_u16(), 100..=199 | 204 | 304)
}

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
async fn give_certificate(
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
async fn turn_away(
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
const REFUSED: &str = "(refused)";

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
    let head = ResponseHead {
        status: answer.status.as_u16(),
        head: response_fields(Version::HTTP_11, answer.status, response.headers()),
        headers: response.headers(),
        is_ours: true,
        is_stream: false,
        rewrites: Vec::new(),
    };
    exchange.begin_response(head, &mut outbox);
    tell_own_body(exchange, &response, &mut outbox);
    exchange.answer_ourselves(answer.status.as_u16(), end);
    outbox.flush().await;
    response
}

/// What we say ourselves is shown and recorded like what an upstream says.
fn tell_own_body(exchange: &Exchange, response: &Response<ReplyBody>, outbox: &mut Outbox) {
    let ReplyBody::Own(Some(text)) = response.body() else {
        return;
    };
    let mut drafts = Vec::new();
    reader_for(exchange, response.headers()).push(text, true, false, &mut drafts);
    exchange.count(Direction::ServerToClient, text.len());
    exchange.tell(Direction::ServerToClient, &mut drafts, None, outbox);
}

/// The target as the client wrote it; on HTTP/2 with the scheme and authority that come beside it.
pub(super) fn shown_target(uri: &Uri) -> String {
    match (uri.authority(), uri.path_and_query()) {
        (None, Some(path)) => path.as_str().to_owned(),
        _ => uri.to_string(),
    }
}

fn fields_of(request: &Request<Incoming>) -> ObservedHead {
    let line = format!("{} {} {:?}", request.method(), request.uri(), request.version());
    ObservedHead::Fields(Box::new(Head {
        line,
        fields: field_list(request.headers()),
    }))
}

pub(super) fn response_fields(version: Version, status: StatusCode, fields: &HeaderMap) -> ObservedHead {
    let reason = status.canonical_reason().unwrap_or_default();
    let line = format!("{version:?} {} {reason}", status.as_u16())
        .trim_end()
        .to_owned();
    ObservedHead::Fields(Box::new(Head {
        line,
        fields: field_list(fields),
    }))
}

fn field_list(fields: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| crate::session::observation::head_text(value.as_bytes());
    fields
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}

/// The response that opens a tunnel: no body and no length (RFC 9110 §9.3.6).
pub(super) fn tunnel_opened() -> Response<ReplyBody> {
    Response::new(ReplyBody::Own(Some(Bytes::new())))
}
