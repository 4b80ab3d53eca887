//! CONNECT: bytes both ways, not looked at, shown as what they are.

use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::ids::Side;
use crate::session::observation::ObservedHead;
use crate::snapshot::{Direction, EndKind, Head};
use crate::tasks::TaskKind;

use super::answer::OwnAnswer;
use super::exchange::{Beginning, Exchange, ResponseHead};
use super::relay::{ReplyBody, describe};
use super::serve::{ClientConnection, answer_ourselves, tunnel_opened};
use super::watchers::Outbox;

/// Dials the destination and, if it answers, hands the client's connection to a task that relays bytes.
pub(crate) async fn open(
    connection: &ClientConnection,
    request: Request<Incoming>,
    head: ObservedHead,
    authority: Authority,
) -> Response<ReplyBody> {
    let hub = &connection.hub;
    let mut outbox = Outbox::new(Arc::clone(&hub.watchers));
    let beginning = Beginning {
        side: Side::Forward,
        server: authority.as_str().into(),
        method: request.method(),
        target: authority.to_string(),
        headers: request.headers(),
        head,
        rewrites: Vec::new(),
    };
    let exchange = Exchange::begin(hub, &connection.peer, beginning, &mut outbox);
    outbox.flush().await;
    let permit = match hub.tasks.permit(TaskKind::Tunnel, Duration::ZERO).await {
        Ok(permit) => permit,
        Err(error) => return turn_away(&exchange, error.to_string()).await,
    };
    match hub.clients.dialler.dial(&authority, 443).await {
        Ok(destination) => {
            tell_opened(&exchange, &mut outbox);
            outbox.flush().await;
            let place = Arc::clone(&connection.place);
            hub.tasks.spawn(TaskKind::Tunnel, async move {
                relay(exchange, request, destination).await;
                drop((permit, place));
            });
            tunnel_opened()
        }
        Err(error) => {
            let text = format!(
                "The tunnel to {authority} could not be opened: {}. Check host and port.",
                describe(&error)
            );
            exchange.fail(text.clone());
            exchange.end_direction(Direction::ClientToServer, EndKind::Complete);
            let answer = OwnAnswer::upstream_failed(text);
            answer_ourselves(&exchange, false, &answer, EndKind::UpstreamUnreachable).await
        }
    }
}

/// Tunnels live long, so one that waited would only keep a connection from somebody else.
async fn turn_away(exchange: &Arc<Exchange>, text: String) -> Response<ReplyBody> {
    exchange.fail(text.clone());
    exchange.end_direction(Direction::ClientToServer, EndKind::Complete);
    let answer = OwnAnswer {
        is_last: true,
        ..OwnAnswer::busy(text)
    };
    answer_ourselves(exchange, false, &answer, EndKind::CutByProxy).await
}

fn tell_opened(exchange: &Exchange, outbox: &mut Outbox) {
    let line = format!(
        "{:?} {} tunnel open, its bytes are not looked at",
        Version::HTTP_11,
        StatusCode::OK.as_u16()
    );
    let head = ResponseHead {
        status: StatusCode::OK.as_u16(),
        headers: &HeaderMap::new(),
        head: ObservedHead::Fields(Box::new(Head {
            line,
            fields: Vec::new(),
        })),
        is_ours: true,
        is_stream: false,
        rewrites: Vec::new(),
    };
    exchange.begin_response(head, outbox);
}

async fn relay(exchange: Arc<Exchange>, request: Request<Incoming>, mut destination: TcpStream) {
    let upgraded = match hyper::upgrade::on(request).await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            exchange.fail(describe(&error));
            return;
        }
    };
    let mut client = TokioIo::new(upgraded);
    match tokio::io::copy_bidirectional(&mut client, &mut destination).await {
        Ok((sent, received)) => {
            exchange.count(
                Direction::ClientToServer,
                usize::try_from(sent).unwrap_or(usize::MAX),
            );
            exchange.count(
                Direction::ServerToClient,
                usize::try_from(received).unwrap_or(usize::MAX),
            );
            exchange.end_direction(Direction::ClientToServer, EndKind::Complete);
            exchange.end_direction(Direction::ServerToClient, EndKind::Complete);
        }
        Err(error) => {
            exchange.fail(format!("the tunnel broke: {error}"));
            exchange.end_direction(Direction::ServerToClient, EndKind::UpstreamAborted);
        }
    }
}
