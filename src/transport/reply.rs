//! The response of an upstream on its way to the client.

use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;

use crate::session::observation::ObservedHead;
use crate::snapshot::{Direction, SentHead};

use super::asked::AskedFor;
use super::body::ReplyBody;
use super::body::reader_for;
use super::change;
use super::destination::Destination;
use super::exchange::{Exchange, ResponseHead};
use super::headers;
use super::held;
use super::observed::response_fields;
use super::relay::Relay;
use super::sent::{self, Came, status_line};
use super::upstream::ConnectionFacts;
use super::watchers::Outbox;

pub(super) async fn relay_response(
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
    let came = Came::of(&parts);
    if exchange.is_owing() && parts.status == StatusCode::NO_CONTENT {
        parts.status = StatusCode::ACCEPTED;
    }
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
    let going = (asked.version, parts.status);
    let reason = parts.extensions.get::<ReasonPhrase>();
    let length = incoming.size_hint().exact();
    let sent = came.into_sent(going, &fields, reason, (has_body, length));
    let head = ResponseHead {
        status,
        head: fields_as_sent.unwrap_or_else(|| ObservedHead::Raw(raw.unwrap_or_default())),
        headers: &fields,
        is_ours: false,
        is_stream: reader.is_of_events() && has_body,
        rewrites,
        sent: sent.clone().boxed(),
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
    // What is not known to change is not kept a second time.
    let may_change = has_body && (!destination.is_chosen() || exchange.asks_rules() || exchange.is_owing());
    let before = may_change.then(|| fields.clone());
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
    let relay = if has_body {
        held::response(exchange, relay, &mut parts.status, &mut fields).await
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
