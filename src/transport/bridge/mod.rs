//! HTTP in front of commands that speak MCP on their standard input and output.
//!
//! A client with sessions (up to 2025-11-25) has a program of its own, from its `initialize` to its DELETE or the
//! program's end; so has one of the older transport HTTP+SSE, as long as its stream is open. Clients without sessions
//! (from 2026-07-28) share one. Only our configuration names what is started.

mod accept;
pub(crate) mod agreement;
mod body;
mod child_link;
mod compact;
mod desk;
pub(crate) mod ids;
mod legacy;
mod modern;
mod modern_router;
mod posted;
pub(crate) mod program;
mod reply;
mod router;
mod routing;
mod server;
mod spool;
mod sse;
mod sse_router;
mod tail;

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Method, Request, Response};
use hyper::body::Incoming;

use crate::ids::Side;
use crate::session::observation::ObservedHead;

use super::body::{ReplyBody, RequestBody, request_relay};
use super::exchange::{Beginning, Exchange};
use super::held;
use super::hub::Hub;
use super::observed::shown_target;
use super::place::StreamPlace;
use super::serve::ClientConnection;
use super::watchers::Outbox;

use posted::Posted;
use reply::{Refusal, Visit};

pub(crate) use server::BridgeServer;

/// How long the rest of a request that is not read may take to come in.
const REST: Duration = Duration::from_secs(1);

/// Where a request wants to go at a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Goal {
    /// The place of the server among the configured ones.
    pub(crate) index: usize,
    /// The path of its endpoint.
    pub(crate) endpoint: String,
    /// Whether the path is that endpoint.
    pub(crate) is_endpoint: bool,
}

/// Serves one request to a bridge.
///
/// # Cancel safety
/// Dropped when the client goes away: nothing is cancelled for a client with a session; see the module.
pub(crate) async fn serve(
    connection: &ClientConnection,
    request: Request<Incoming>,
    head: ObservedHead,
    (server, goal): (&Arc<BridgeServer>, &Goal),
    place: Option<StreamPlace>,
) -> Response<ReplyBody> {
    let hub = &connection.hub;
    let (parts, incoming) = request.into_parts();
    let mut outbox = Outbox::new(Arc::clone(&hub.watchers));
    let beginning = Beginning {
        side: Side::Reverse,
        server: Arc::clone(&server.label),
        method: &parts.method,
        target: shown_target(&parts.uri),
        headers: &parts.headers,
        head,
        rewrites: Vec::new(),
        sent: None,
    };
    let exchange = Exchange::begin(hub, &connection.peer, beginning, &mut outbox);
    if let Some(place) = place {
        exchange.takes(place);
    }
    outbox.flush().await;
    server.note_exchange();
    let body = request_relay(&exchange, &parts.headers, incoming, outbox);
    let asked = Asked {
        hub: Arc::clone(hub),
        server: Arc::clone(server),
        goal: goal.clone(),
        exchange: Arc::clone(&exchange),
        client: Arc::clone(&connection.peer.address),
    };
    let meet = |parts, fate| asked.meet(parts, fate);
    held::request(connection, &exchange, body, parts, meet).await
}

/// A request that rules were asked about.
struct Asked {
    hub: Arc<Hub>,
    server: Arc<BridgeServer>,
    goal: Goal,
    exchange: Arc<Exchange>,
    client: Arc<str>,
}

impl Asked {
    async fn meet(self, parts: Parts, fate: held::Fate) -> Response<ReplyBody> {
        let Self {
            hub,
            server,
            goal,
            exchange,
            client,
        } = &self;
        exchange.note_sent();
        let visit = Visit {
            hub,
            server,
            exchange,
            headers: &parts.headers,
            version: parts.version,
            client: Arc::clone(client),
        };
        let body = match fate {
            held::Fate::Onward(body) => RequestBody::new(*body),
            held::Fate::Answered(mut response) => {
                response.headers_mut().extend(visit.fields());
                return response;
            }
        };
        let sse_place = sse::Place::of(&goal.endpoint, parts.uri.path());
        let outcome = if goal.is_endpoint || parts.method == Method::OPTIONS {
            by_method(&visit, &parts.method, body).await
        } else if let Some(place) = sse_place {
            sse::serve(&visit, &place, (&parts.method, &parts.uri), body).await
        } else {
            body.drain(REST).await;
            Err(legacy::no_endpoint(&goal.endpoint))
        };
        match outcome {
            Ok(response) => response,
            Err(refusal) => visit.refuse(&refusal).await,
        }
    }
}

async fn by_method(
    visit: &Visit<'_>,
    method: &Method,
    body: RequestBody,
) -> Result<Response<ReplyBody>, Refusal> {
    if *method == Method::POST {
        let posted = match Posted::read(visit, body.clone()).await {
            Ok(posted) => posted,
            Err(refusal) => {
                body.drain(REST).await;
                return Err(refusal);
            }
        };
        drop(body);
        return if modern::is_modern(visit, &posted) {
            modern::post(visit, posted).await
        } else {
            legacy::post(visit, posted).await
        };
    }
    body.drain(REST).await;
    match method {
        &Method::GET | &Method::DELETE if modern::states_revision(visit) => Err(modern::only_post()),
        &Method::GET => legacy::get(visit).await,
        &Method::DELETE => legacy::delete(visit).await,
        &Method::OPTIONS => Ok(visit.preflight().await),
        _ => Err(legacy::not_allowed()),
    }
}
