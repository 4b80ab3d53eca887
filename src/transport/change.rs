//! What has to be different in a response for its client: URLs that would lead past the proxy.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::clock::Timestamp;

use super::asked::AskedFor;
use super::destination::Destination;
use super::exchange::Exchange;
use super::headers;
use super::hub::Hub;
use super::oauth::{Answered, Oauth};
use super::reader::BodyKind;
use super::relay::Relay;
use super::rewrite::Rewrite;
use super::rewrite::document::DocumentRewrite;
use super::rewrite::endpoint::EndpointRewrite;
use super::rewrite::mount::Mount;

/// What says something about the exact bytes of a body, and nothing else.
pub(super) const ABOUT_BYTES: [HeaderName; 5] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
    header::ETAG,
];

/// Puts in the way of a response's body what has to change it, and corrects the fields of its head.
///
/// # Cancel safety
/// Dropped with the exchange when the client goes away.
pub(super) async fn apply(
    relay: Relay,
    exchange: &Exchange,
    (destination, asked): (&Destination, AskedFor),
    status: u16,
    fields: &mut HeaderMap,
) -> Relay {
    let oauth = &exchange.hub.oauth;
    let kind = BodyKind::of_fields(fields);
    let is_refused_form = asked.is_form && matches!(status, 400 | 401) && kind.is_json();
    if is_refused_form && oauth.is_on() && destination.is_ours() && !is_encoded(fields) {
        return relay.rewritten_by(Oauth::target_watch(exchange.server.clone()));
    }
    if let Some(authorization) = &destination.authorization {
        return match authorization
            .response_edit(asked, status)
            .filter(|_| kind.is_json())
        {
            Some(edit) => document(relay, DocumentRewrite::new(edit), fields).await,
            None => relay,
        };
    }
    let Some(mount) = destination.mount() else {
        return relay;
    };
    if let (BodyKind::Events, Some(map)) = (kind, exchange.endpoint_map(&mount, &destination.target)) {
        if is_encoded(fields) {
            exchange.watch_endpoint(map);
            return relay;
        }
        return settled(relay, EndpointRewrite::new(map), fields).await;
    }
    let is_metadata =
        asked.is_get && status == 200 && oauth.is_metadata(mount.upstream.index, path_of(destination));
    if is_metadata && kind.is_json() {
        let answered = answered(exchange, &mount, asked, status);
        return document(relay, oauth.metadata_stage(&answered), fields).await;
    }
    relay
}

/// Puts in the way of a request's body what has to change it, and corrects the fields of its head: what goes to an
/// authorization server that we stand before.
pub(super) async fn apply_to_request(
    relay: Relay,
    destination: &Destination,
    (asked, now): (AskedFor, Timestamp),
    fields: &mut HeaderMap,
) -> Relay {
    let authorization = destination.authorization.as_ref();
    let edit = authorization.and_then(|authorization| authorization.request_edit(asked, now));
    match edit.filter(|_| !is_encoded(fields)) {
        Some(edit) => changed(settled(relay, DocumentRewrite::new(edit), fields).await, fields),
        None => relay,
    }
}

/// Changes a document, unless it comes in a content coding.
async fn document(mut relay: Relay, stage: impl Rewrite + 'static, fields: &mut HeaderMap) -> Relay {
    if is_encoded(fields) {
        relay.warn("URLs in it should lead through the proxy, but it came compressed although plain text was asked for: it is passed on as it is");
        return relay;
    }
    changed(settled(relay, stage, fields).await, fields)
}

/// Takes out of the head what is about other bytes than those that go on.
fn changed(relay: Relay, fields: &mut HeaderMap) -> Relay {
    if relay.is_changed() {
        *fields = headers::without(std::mem::take(fields), &ABOUT_BYTES);
    }
    relay
}

/// Waits until a document is as it will go on, and its head says how long that is, if it said so before.
async fn settled(relay: Relay, stage: impl Rewrite + 'static, fields: &mut HeaderMap) -> Relay {
    let mut relay = relay.rewritten_by(stage);
    let is_stream = BodyKind::of_fields(fields) == BodyKind::Events;
    let has_length = fields.contains_key(header::CONTENT_LENGTH);
    // The head of an event stream without a length never waits.
    if is_stream && !has_length {
        return relay;
    }
    let length = relay.settle().await;
    if !has_length {
        return relay.without_length();
    }
    if let Some(length) = length {
        fields.insert(header::CONTENT_LENGTH, length.into());
    }
    relay
}

/// What authorization has to know of a response.
pub(super) fn answered<'a>(
    exchange: &Exchange,
    mount: &'a Mount,
    asked: AskedFor,
    status: u16,
) -> Answered<'a> {
    Answered {
        mount,
        client: exchange.client(),
        status,
        credential: asked.credential,
        now: exchange.hub.clock.now(),
    }
}

/// The upstream's path that a request goes to.
pub(super) fn path_of(destination: &Destination) -> &str {
    destination
        .target
        .path_and_query()
        .map_or("/", |path| path.as_str())
}

/// Whether the response may have to be changed as a document, which a content coding would prevent.
pub(super) fn needs_plain_text(hub: &Hub, destination: &Destination, parts: &Parts) -> bool {
    let is_metadata = |mount: Mount| hub.oauth.is_metadata(mount.upstream.index, path_of(destination));
    match &destination.authorization {
        Some(authorization) => authorization.needs_plain_text(&parts.method),
        None => parts.method == Method::GET && destination.mount().is_some_and(is_metadata),
    }
}

/// Whether the body comes in a content coding, which only its receiver undoes.
pub(super) fn is_encoded(fields: &HeaderMap) -> bool {
    let codings = fields.get_all(header::CONTENT_ENCODING).iter();
    let mut codings = codings.map(HeaderValue::as_bytes);
    codings.any(|coding| !coding.trim_ascii().eq_ignore_ascii_case(b"identity"))
}
