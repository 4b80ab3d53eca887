//! Requests to an authorization server that we stand before, so that it hears the upstream's own name (`--oauth relay`).
//!
//! Source: RFC 6749 §4.1 and §5 (the requests), RFC 8707 §2 (`resource` in both of them).

use std::sync::Arc;

use http::uri::Authority;
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use hyper::body::Incoming;

use crate::session::observation::ObservedHead;
use crate::snapshot::{Direction, EndKind};

use super::answer::OwnAnswer;
use super::destination::Destination;
use super::exchange::ResponseHead;
use super::oauth::servers::{Asked, Server};
use super::observed::response_fields;
use super::own::{begin_own, refuse};
use super::pass::pass;
use super::place::StreamPlace;
use super::relay::ReplyBody;
use super::rewrite::Changes;
use super::serve::ClientConnection;

/// What an exchange with a relayed authorization server is about.
#[derive(Debug)]
pub(super) struct Authorization {
    pub(super) server: Arc<Server>,
    /// What the client calls us.
    pub(super) own: Authority,
    pub(super) is_metadata: bool,
}

/// Serves a request for one of our addresses of an authorization server.
///
/// # Cancel safety
/// As [`super::serve::serve`].
pub(super) async fn serve(
    connection: &ClientConnection,
    request: Request<Incoming>,
    head: ObservedHead,
    (asked, own): (Asked, Authority),
    place: Option<StreamPlace>,
) -> Response<ReplyBody> {
    let server = connection.hub.oauth.servers.find(&asked);
    let found = server.and_then(|server| Some((server.target(&asked)?, server)));
    let Some((target, server)) = found else {
        return refuse(connection, &request, head, OwnAnswer::unknown_authorization()).await;
    };
    let authorization = Authorization {
        server,
        own,
        is_metadata: asked.is_metadata(),
    };
    if asked.is_for_people() && request.method() == http::Method::GET {
        return send_on(connection, &request, head, &target, &authorization).await;
    }
    let destination = Destination::authorization(target, authorization);
    pass(connection, request, head, destination, place).await
}

/// Sends a browser to where people log in. It stays there: only the address it is sent to changes.
async fn send_on(
    connection: &ClientConnection,
    request: &Request<Incoming>,
    head: ObservedHead,
    target: &Uri,
    Authorization { server, own, .. }: &Authorization,
) -> Response<ReplyBody> {
    let mut changes = Changes::default();
    let target = target.to_string();
    let swapped = target.split_once('?').and_then(|(path, query)| {
        let query = server.swap_resource(query, own, &mut changes)?;
        Some([path, "?", &query].concat())
    });
    let location = swapped.unwrap_or(target);
    let (exchange, mut outbox) = begin_own(connection, request, head, server.label()).await;
    let mut response = Response::new(ReplyBody::Own(None));
    *response.status_mut() = StatusCode::FOUND;
    let fields = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&location) {
        fields.insert(header::LOCATION, location);
    }
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let told = ResponseHead {
        status: StatusCode::FOUND.as_u16(),
        head: response_fields(Version::HTTP_11, StatusCode::FOUND, response.headers()),
        headers: response.headers(),
        is_ours: true,
        is_stream: false,
        rewrites: changes.rewrites,
    };
    exchange.begin_response(told, &mut outbox);
    exchange.end_direction(Direction::ClientToServer, EndKind::Complete);
    exchange.end_direction(Direction::ServerToClient, EndKind::Complete);
    outbox.flush().await;
    response
}
