//! One request from its head to where it is answered.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::{Request, Response, Version};
use hyper::body::Incoming;

use crate::session::observation::ObservedHead;

use super::answer::OwnAnswer;
use super::authorize::{self};
use super::body::ReplyBody;
use super::bridge;
use super::destination::Destination;
use super::exchange::Peer;
use super::hub::Hub;
use super::observed::fields_of;
use super::own::{give_certificate, refuse, turn_away};
use super::pass::pass;
use super::place::{ConnectionPlace, StreamPlace};
use super::route::{Asked, Listeners, Nowhere, Route, ServerPlace, Within};
use super::tap::RequestHeads;
use super::tunnel;

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
        listeners: Listeners {
            common: &connection.hub.common,
            ports: &connection.hub.ports,
        },
    };
    let response = match connection.hub.routes.route(asked) {
        Route::Nowhere(nowhere) => {
            let answer = OwnAnswer::nowhere(&nowhere, &connection.local.to_string());
            refuse(&connection, &request, head, answer).await
        }
        Route::Certificate => give_certificate(&connection, &request, head).await,
        Route::Connect { authority } => tunnel::open(&connection, request, head, authority).await,
        Route::Forward { target, authority } => {
            let speaks = tunnel::spoken_within(connection.within.as_ref(), request.version());
            let destination = Destination::chosen(target, &authority, speaks);
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
            let destination = Destination::configured(upstream, target, mount, own_authority);
            pass(&connection, request, head, destination, place).await
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
