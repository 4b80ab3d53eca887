//! The response of an upstream on its way to the client.

use std::sync::Arc;

use http::response::Parts;
use http::{HeaderMap, Response, StatusCode, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;

use crate::session::observation::ObservedHead;
use crate::snapshot::{Direction, SentHead};

use super::asked::AskedFor;
use super::body::{ReplyBody, reader_for};
use super::change;
use super::destination::Destination;
use super::exchange::{Exchange, ResponseHead};
use super::headers;
use super::held;
use super::observed::response_fields;
use super::relay::Relay;
use super::rewrite::mount::Mount;
use super::sent::{self, Came, status_line};
use super::upstream::ConnectionFacts;
use super::watchers::Outbox;

/// Hands a response on, with what is told of it.
pub(super) async fn relay_response(
    exchange: &Arc<Exchange>,
    asked: AskedFor,
    response: Response<Incoming>,
    destination: &Destination,
) -> Response<ReplyBody> {
    let (mut parts, incoming) = response.into_parts();
    let head = head_as_it_came(exchange, &mut parts);
    let reader = reader_for(exchange, &parts.headers);
    let came = Came::of(&parts);
    if exchange.is_owing() && parts.status == StatusCode::NO_CONTENT {
        parts.status = StatusCode::ACCEPTED;
    }
    let going = (asked.version, parts.status);
    let has_body = has_body(asked.is_head, parts.status);
    let mount = destination.mount().filter(|_| exchange.hub.oauth.is_on());
    let (mut fields, rewrites) = fields_for_client(exchange, &mut parts, destination, mount.as_ref());
    let reason = parts.extensions.get::<ReasonPhrase>();
    let sent = came.into_sent(going, &fields, reason, (has_body, incoming.size_hint().exact()));
    let mut outbox = Outbox::new(Arc::clone(&exchange.hub.watchers));
    let told = ResponseHead {
        status: parts.status.as_u16(),
        head,
        headers: &fields,
        is_ours: false,
        is_stream: reader.is_of_events() && has_body,
        rewrites,
        sent: sent.clone().boxed(),
    };
    exchange.begin_response(told, &mut outbox);
    if let Some(mount) = &mount {
        let answered = change::answered(exchange, mount, asked, parts.status.as_u16());
        exchange.tell_changes(exchange.hub.oauth.watch(&answered), &mut outbox);
    }
    outbox.flush().await;
    exchange.time(|timing| timing.handed_on = Some(exchange.hub.clock.now()));
    // What is not known to change is not kept a second time.
    let may_change = has_body && (!destination.is_chosen() || exchange.asks_rules() || exchange.is_owing());
    let before = may_change.then(|| fields.clone());
    let relay = Relay::new(
        Arc::clone(exchange),
        Direction::ServerToClient,
        incoming,
        reader,
        outbox,
    );
    let relay = if has_body {
        changed(
            exchange,
            relay,
            (destination, asked),
            (&mut parts.status, &mut fields),
        )
        .await
    } else {
        relay
    };
    if let Some(before) = before {
        let line = (parts.status != going.1).then(|| status_line(asked.version, parts.status, reason));
        tell_changed(exchange, (&before, &fields), line, sent);
    }
    parts.headers = fields;
    parts.version = asked.version;
    Response::from_parts(parts, ReplyBody::Relay(Box::new(relay)))
}

/// The head as the server sent it, as text where the connection has kept one. Notes what is known of the connection.
fn head_as_it_came(exchange: &Exchange, parts: &mut Parts) -> ObservedHead {
    let facts = parts.extensions.remove::<ConnectionFacts>();
    exchange.time(|timing| timing.connect = facts.as_ref().and_then(ConnectionFacts::connect_time));
    if let Some(facts) = &facts {
        facts.answered(parts, exchange.hub.clock.now());
        exchange.comes_on(facts.reuse());
    }
    let raw = facts.and_then(|facts| facts.head.take());
    match raw.filter(|_| parts.version < Version::HTTP_2) {
        Some(raw) => ObservedHead::Raw(raw),
        None => response_fields(parts.version, parts.status, &parts.headers),
    }
}

/// The fields that the client gets, and what was changed in them.
fn fields_for_client(
    exchange: &Exchange,
    parts: &mut Parts,
    destination: &Destination,
    mount: Option<&Mount>,
) -> (HeaderMap, Vec<String>) {
    let upstream = destination.upstream.as_ref();
    let upstream = upstream.map(|(upstream, mount, own)| (&**upstream, mount.as_str(), own.as_ref()));
    let (mut fields, mut rewrites) = headers::for_client(std::mem::take(&mut parts.headers), upstream);
    if let Some(mount) = mount.filter(|_| matches!(parts.status.as_u16(), 401 | 403)) {
        exchange.hub.oauth.challenge(mount, &mut fields, &mut rewrites);
    }
    (fields, rewrites)
}

/// The body as it goes on, once it is known with which status and which fields.
async fn changed(
    exchange: &Arc<Exchange>,
    relay: Relay,
    what: (&Destination, AskedFor),
    (status, fields): (&mut StatusCode, &mut HeaderMap),
) -> Relay {
    let relay = if fields.contains_key(header::CONTENT_LENGTH) {
        relay.keep_length_in_place()
    } else {
        relay
    };
    let relay = change::apply(relay, exchange, what, status.as_u16(), fields).await;
    held::response(exchange, relay, status, fields).await
}

/// Tells how the head goes on if that is otherwise than was told when it came.
fn tell_changed(
    exchange: &Exchange,
    (before, fields): (&HeaderMap, &HeaderMap),
    line: Option<String>,
    sent: SentHead,
) {
    let changed = SentHead {
        line,
        ..sent::between(before, fields)
    };
    if !changed.is_empty() {
        sent::tell_anew(exchange, Direction::ServerToClient, sent.then(changed));
    }
}

pub(super) fn has_body(is_head: bool, status: StatusCode) -> bool {
    !is_head && !matches!(status.as_u16(), 100..=199 | 204 | 304)
}
