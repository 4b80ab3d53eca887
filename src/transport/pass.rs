//! One request on its way to where it is sent.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderMap, Request, Response, StatusCode, Uri, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::capture_connection;

use crate::ids::Side;
use crate::session::observation::ObservedHead;
use crate::snapshot::{Direction, EndKind, SentHead};

use super::answer::OwnAnswer;
use super::asked::AskedFor;
use super::body::{ReplyBody, RequestBody, request_relay};
use super::causes::{chain, is_no_http};
use super::change;
use super::destination::Destination;
use super::exchange::{Beginning, Exchange};
use super::gate::{Attempt, Refusal, SendError, root_cause};
use super::headers::{self, HeadChange};
use super::held;
use super::hub::Hub;
use super::observed::shown_target;
use super::own::answer_ourselves;
use super::place::StreamPlace;
use super::reply::relay_response;
use super::sent;
use super::serve::ClientConnection;
use super::tls::trust;
use super::tunnel;
use super::upstream::{ConnectError, Speaks};
use super::via;
use super::watchers::Outbox;
use super::websocket;

/// How long the rest of a request may take to come in when its upstream has failed already.
pub(super) const LATE_REQUEST: Duration = Duration::from_secs(1);

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
    if change::needs_plain_text(hub, &destination, &parts) || hub.is_intercepting() {
        edit.ask_for_plain_text(&parts.headers);
    }
    let mut outbox = Outbox::new(Arc::clone(&hub.watchers));
    let sent = sent_head(
        connection,
        (&parts, &head),
        (&destination, &edit),
        (socket.is_some(), &incoming),
    );
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
        sent: sent.clone().boxed(),
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
    // What is not known to change is not kept a second time.
    let may_change = exchange.asks_rules() || destination.authorization.is_some();
    let before = may_change.then(|| parts.headers.clone());
    let body = request_relay(&exchange, &parts.headers, incoming, outbox);
    let body =
        change::apply_to_request(body, &destination, (asked, hub.clock.now()), &mut parts.headers).await;
    let passing = Passing {
        exchange: Arc::clone(&exchange),
        asked,
        destination,
        edit,
        sent,
        before,
        socket,
        is_within: connection.within.is_some(),
    };
    let meet = |parts, fate| passing.meet(parts, fate);
    held::request(connection, &exchange, body, parts, meet).await
}

/// A request that rules were asked about.
struct Passing {
    exchange: Arc<Exchange>,
    asked: AskedFor,
    destination: Destination,
    edit: HeadChange,
    /// What was told of its head.
    sent: SentHead,
    /// Its fields, where others may go on.
    before: Option<HeaderMap>,
    socket: Option<websocket::Switch>,
    is_within: bool,
}

impl Passing {
    async fn meet(self, parts: Parts, fate: held::Fate) -> Response<ReplyBody> {
        match fate {
            held::Fate::Onward(relay) => self.send(parts, RequestBody::new(*relay)).await,
            held::Fate::Answered(response) => response,
        }
    }

    async fn send(self, mut parts: Parts, body: RequestBody) -> Response<ReplyBody> {
        let Self {
            exchange,
            asked,
            destination,
            edit,
            sent,
            before,
            socket,
            is_within,
        } = self;
        let hub = &exchange.hub;
        let attempt = match admit(hub, &destination) {
            Ok(attempt) => attempt,
            Err(refusal) => {
                let answer = OwnAnswer::breaker_open(refusal.to_string(), refusal.wait);
                return not_reached(&exchange, asked.is_rpc, body, &answer).await;
            }
        };
        let fields = std::mem::take(&mut parts.headers);
        tell_edited(&exchange, before.as_ref(), &fields, sent);
        let is_for_us = destination.side == Side::Forward && !is_within;
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
        exchange.note_sent();
        let response = hub.clients.speaking(destination.speaks).request(onward);
        match attempt.wait(response, sent_on).await {
            Ok(response) => {
                attempt.answered();
                note_contact(hub, &destination, None);
                drop(body);
                note_other_proxy(&exchange, response.status(), &destination);
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
                let answer = OwnAnswer::upstream_failed(failure_text(&destination, &error));
                not_reached(&exchange, asked.is_rpc, body, &answer).await
            }
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

/// Answers a request in the place of an upstream that is not there. Its body is read for the id that the answer has to carry.
async fn not_reached(
    exchange: &Arc<Exchange>,
    is_rpc: bool,
    body: RequestBody,
    answer: &OwnAnswer,
) -> Response<ReplyBody> {
    exchange.fail(answer.text.clone());
    body.drain(LATE_REQUEST).await;
    answer_ourselves(exchange, is_rpc, answer, EndKind::UpstreamUnreachable).await
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

/// How the head goes on, as far as that is known when it comes.
fn sent_head(
    connection: &ClientConnection,
    (parts, head): (&Parts, &ObservedHead),
    (destination, edit): (&Destination, &HeadChange),
    (is_switch, incoming): (bool, &Incoming),
) -> SentHead {
    let hub = &connection.hub;
    let is_for_us = destination.side == Side::Forward && connection.within.is_none();
    let forwarder = hub.clients.forwarder(&destination.target, destination.speaks);
    let way = sent::WayOn {
        target: &destination.target,
        edit,
        is_forwarded: forwarder.is_some(),
        is_switch,
        proves_to_us: is_for_us && hub.routes.takes_proxy_authorization(),
        is_open: destination.speaks != Speaks::PriorH2 && !incoming.is_end_stream(),
    };
    let mut sent = sent::of_request(parts, head, &way);
    if forwarder.is_some_and(|forwarder| forwarder.credentials().is_some()) {
        sent.configured.push(header::PROXY_AUTHORIZATION.to_string());
    }
    sent
}

/// Tells how the head goes on if that is otherwise than was told when it came.
fn tell_edited(exchange: &Exchange, before: Option<&HeaderMap>, fields: &HeaderMap, sent: SentHead) {
    let Some(before) = before else {
        return;
    };
    let mut edited = sent::between(before, fields);
    edited.set.retain(|(name, _)| !headers::is_hop_by_hop_name(name));
    if !edited.is_empty() {
        sent::tell_anew(exchange, Direction::ClientToServer, edited.then(sent));
    }
}

/// hyper keeps the spelling of header names among the extensions, so they go along.
fn onward_request(
    mut parts: Parts,
    target: &Uri,
    mut fields: HeaderMap,
    body: RequestBody,
) -> Request<RequestBody> {
    if parts.version == Version::HTTP_2
        && let Some(joined) = headers::joined_cookies(&fields)
    {
        fields.insert(header::COOKIE, joined);
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
        let outcome = error.map_or(Ok(()), |error| Err(root_cause(error)));
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
        |(upstream, ..)| upstream.config.shown_url(),
    );
    let (server, cause) = (&destination.server, root_cause(error));
    let connect = chain(error).find_map(|error| error.downcast_ref::<ConnectError>());
    if let Some(advice) = connect.and_then(via::advice) {
        return format!("Upstream {server} ({target}) was not reached: {cause}. {advice}");
    }
    let is_tls = destination.target.scheme() == Some(&Scheme::HTTPS);
    let advice = trust::advice(error).unwrap_or_else(|| advice_for(error, is_tls));
    format!("Upstream {server} ({target}) failed: {cause}. {advice}")
}

/// An answer 407 is the other proxy's, which our client did not choose; it passes as it is.
fn note_other_proxy(exchange: &Exchange, status: StatusCode, destination: &Destination) {
    let way = (&destination.target, destination.speaks);
    if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
        && destination.side == Side::Reverse
        && let Some(text) = via::wants_credentials(&exchange.hub, way)
    {
        exchange.fail(text);
    }
}

fn advice_for(error: &SendError, is_tls: bool) -> &'static str {
    if error.is_connect() {
        "Check that the server runs and that the URL is right."
    } else if is_tls {
        "The server accepted the connection and then failed; its own log may say why."
    } else if is_no_http(error) {
        "What answers there speaks no HTTP; if it speaks TLS, write https:// in the URL."
    } else {
        "The server accepted the connection and then failed; its own log may say why. If it speaks TLS there, write https:// in the URL."
    }
}
