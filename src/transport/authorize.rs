//! Requests to an authorization server that we stand before, so that it hears the upstream's own name (`--oauth relay`).
//!
//! Source: RFC 6749 §4.1 and §5 (the requests), RFC 8707 §2 (`resource` in both of them), RFC 7591 §3 (registration).

use std::sync::Arc;

use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;

use crate::clock::Timestamp;
use crate::session::observation::ObservedHead;
use crate::snapshot::{Direction, EndKind};

use super::answer::OwnAnswer;
use super::asked::AskedFor;
use super::body::ReplyBody;
use super::destination::Destination;
use super::exchange::ResponseHead;
use super::oauth::registration::Registration;
use super::oauth::servers::{Asked, Server};
use super::observed::response_fields;
use super::own::{begin_own, refuse};
use super::pass::pass;
use super::place::StreamPlace;
use super::rewrite::Changes;
use super::serve::ClientConnection;

/// What an exchange with a relayed authorization server is about.
#[derive(Debug)]
pub(super) struct Authorization {
    server: Arc<Server>,
    asked: Asked,
    /// What the client calls us.
    own: Authority,
    registration: Registration,
}

/// Gives a document to send in place of the one it sees; `None` leaves it as it is.
pub(super) type Edit = Box<dyn FnMut(&[u8], &mut Changes) -> Option<Vec<u8>> + Send>;

impl Authorization {
    /// Who is asked, for the screen.
    pub(super) fn label(&self) -> Arc<str> {
        self.server.label()
    }

    /// Whether the response may have to be changed.
    pub(super) fn needs_plain_text(&self, method: &Method) -> bool {
        (self.asked.is_metadata() && method == Method::GET)
            || (self.asked.is_registration() && method == Method::POST)
    }

    /// What has to change in a request's body: in forms, and in what a client registers with.
    pub(super) fn request_edit(&self, of: AskedFor, now: Timestamp) -> Option<Edit> {
        let (server, own) = (Arc::clone(&self.server), self.own.clone());
        if self.asked.is_registration() && of.is_rpc {
            let registration = self.registration.clone();
            return Some(Box::new(move |text, changes| {
                server.register(&registration, text, &own, changes)
            }));
        }
        let asked = self.asked.clone();
        of.is_form.then(|| {
            let edit = move |form: &[u8], changes: &mut Changes| {
                let form = std::str::from_utf8(form).ok()?;
                Some(server.swap(&asked, form, &own, now, changes)?.into_bytes())
            };
            Box::new(edit) as Edit
        })
    }

    /// What has to change in a JSON document that comes back with `status`.
    pub(super) fn response_edit(&self, of: AskedFor, status: u16) -> Option<Edit> {
        let (server, own) = (Arc::clone(&self.server), self.own.clone());
        if self.asked.is_metadata() && of.is_get && status == 200 {
            return Some(Box::new(move |text, changes| {
                server.metadata(text, &own, changes)
            }));
        }
        let is_answered = matches!(status, 200 | 201 | 400);
        (self.asked.is_registration() && of.is_rpc && is_answered).then(|| {
            let registration = self.registration.clone();
            let edit = move |text: &[u8], changes: &mut Changes| {
                server.registered(&registration, (status, text), changes)
            };
            Box::new(edit) as Edit
        })
    }
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
    let oauth = &connection.hub.oauth;
    let is_get = request.method() == Method::GET;
    let Some(server) = oauth.servers.find(&asked) else {
        return refuse(connection, &request, head, OwnAnswer::unknown_authorization()).await;
    };
    let now = connection.hub.clock.now();
    let mut changes = Changes::default();
    if asked.is_back() && is_get {
        return match server.sent_back(&asked, now, &mut changes) {
            Some(location) => send_on(connection, &request, head, (&server, &location), changes).await,
            None => refuse(connection, &request, head, OwnAnswer::unknown_login()).await,
        };
    }
    let Some(target) = server.target(&asked) else {
        return refuse(connection, &request, head, OwnAnswer::unknown_authorization()).await;
    };
    if asked.is_for_people() && is_get {
        let target = target.to_string();
        let swapped = target.split_once('?').and_then(|(path, query)| {
            let query = server.swap(&asked, query, &own, now, &mut changes)?;
            Some([path, "?", &query].concat())
        });
        let location = swapped.unwrap_or(target);
        return send_on(connection, &request, head, (&server, &location), changes).await;
    }
    let authorization = Authorization {
        server,
        asked,
        own,
        registration: Registration::default(),
    };
    let destination = Destination::authorization(target, authorization);
    pass(connection, request, head, destination, place).await
}

/// Sends a browser to `location`: to where people log in, or from there to the client.
async fn send_on(
    connection: &ClientConnection,
    request: &Request<Incoming>,
    head: ObservedHead,
    (server, location): (&Server, &str),
    mut changes: Changes,
) -> Response<ReplyBody> {
    let (exchange, mut outbox) = begin_own(connection, request, head, server.label()).await;
    let mut response = Response::new(ReplyBody::Own(None));
    *response.status_mut() = StatusCode::FOUND;
    let fields = response.headers_mut();
    if let Ok(location) = HeaderValue::from_bytes(location.as_bytes()) {
        fields.insert(header::LOCATION, location);
    }
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let told = ResponseHead {
        status: StatusCode::FOUND.as_u16(),
        head: response_fields(Version::HTTP_11, StatusCode::FOUND, response.headers()),
        headers: response.headers(),
        is_ours: true,
        is_stream: false,
        rewrites: std::mem::take(&mut changes.rewrites),
        sent: None,
    };
    exchange.begin_response(told, &mut outbox);
    exchange.tell_changes(changes, &mut outbox);
    exchange.end_direction(Direction::ClientToServer, EndKind::Complete);
    exchange.end_direction(Direction::ServerToClient, EndKind::Complete);
    outbox.flush().await;
    response
}
