//! The switch to a WebSocket: the server's consent passes, then the bytes both ways as they are, while a copy is read.
//!
//! The connection is the session, each message a frame. With rules armed each direction is a lane ([`gate`]): from the
//! next message on, messages go on whole, once it is decided about them.
//!
//! What HTTP/2 calls extended CONNECT (RFC 8441) is not offered.
//!
//! Source: RFC 6455 §4, RFC 9110 §7.8.

mod gate;
mod tap;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::split;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::codec::websocket::Deflate;
use crate::session::observation::{ObservedHead, SOCKET_CLOSED, head_text};
use crate::session::registry::Session;
use crate::snapshot::{Direction, EndKind, SentHead, SessionBasis};
use crate::tasks::{NoRoomError, TaskKind, TaskPermit};

use super::body::ReplyBody;
use super::causes::describe;
use super::exchange::{Exchange, ResponseHead};
use super::headers;
use super::observed::response_fields;
use super::place::ConnectionPlace;
use super::sent;
use super::serve::ClientConnection;
use super::tap::RequestHeads;
use super::upstream::{ConnectionFacts, Speaks};
use super::watchers::Outbox;
use tap::{Back, End, Tap, pass};

const PROTOCOL: HeaderName = header::SEC_WEBSOCKET_PROTOCOL;
const EXTENSIONS: HeaderName = header::SEC_WEBSOCKET_EXTENSIONS;
/// The subprotocol whose messages are JSON-RPC.
const MCP: &str = "mcp";
/// Answers in the place of the server's that wait until it has finished its message.
const ANSWERS: usize = 16;
/// How long one side may go on once the other has closed.
const CLOSING: Duration = Duration::from_secs(5);

/// Whether a request asks for a WebSocket.
pub(super) fn asks_for_socket(fields: &HeaderMap) -> bool {
    let has = |name, word: &str| {
        let values = fields.get_all(name).iter();
        let mut words = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        words.any(|found| found.trim().eq_ignore_ascii_case(word))
    };
    has(header::CONNECTION, "upgrade") && has(header::UPGRADE, "websocket")
}

/// The client's side of a WebSocket that `request` asks for, which the server then is asked for in HTTP/1.1. None if the
/// server is spoken to in HTTP/2 from the first byte.
pub(super) fn asked(request: &mut Request<Incoming>, speaks: &mut Speaks) -> Option<OnUpgrade> {
    let is_asked = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && *speaks != Speaks::PriorH2
        && asks_for_socket(request.headers());
    is_asked.then(|| {
        *speaks = Speaks::Http1;
        hyper::upgrade::on(request)
    })
}

/// A switch of protocols that the server may consent to.
pub(super) struct Switch {
    client: OnUpgrade,
    heads: RequestHeads,
    permit: TaskPermit,
    place: Arc<ConnectionPlace>,
}

impl Switch {
    /// Finds room for it, among tunnels; none is needed if it is not asked for.
    ///
    /// # Errors
    /// [`NoRoomError`] if there are too many; it is not waited, since they live long.
    pub(super) async fn prepare(
        client: Option<OnUpgrade>,
        connection: &ClientConnection,
    ) -> Result<Option<Self>, NoRoomError> {
        let Some(client) = client else {
            return Ok(None);
        };
        let tasks = &connection.hub.tasks;
        Ok(Some(Self {
            client,
            heads: connection.heads.clone(),
            permit: tasks.permit(TaskKind::Tunnel, Duration::ZERO).await?,
            place: Arc::clone(&connection.place),
        }))
    }

    /// Passes the server's consent on and relays from then on.
    pub(super) async fn carry_out(
        self,
        exchange: &Arc<Exchange>,
        mut response: Response<Incoming>,
    ) -> Response<ReplyBody> {
        let server = hyper::upgrade::on(&mut response);
        let (mut parts, _) = response.into_parts();
        let facts = parts.extensions.remove::<ConnectionFacts>();
        exchange.time(|timing| timing.connect = facts.as_ref().and_then(ConnectionFacts::connect_time));
        let head = facts.and_then(|facts| {
            // No further exchange can be on it.
            facts.reuse().spoil();
            facts.head.take()
        });
        let head = head.map_or_else(
            || response_fields(parts.version, parts.status, &parts.headers),
            ObservedHead::Raw,
        );
        let kind = Kind::agreed(&parts.headers);
        let ending = Ending(Arc::clone(exchange));
        let came = std::mem::take(&mut parts.headers);
        let fields = headers::end_to_end_and_upgrade(came.clone());
        tell_head(exchange, head, &fields, sent::between(&came, &fields)).await;
        let exchange = Arc::clone(exchange);
        // Before the client can know that it may speak.
        self.heads.switch();
        let tasks = exchange.hub.tasks.clone();
        tasks.spawn(TaskKind::Tunnel, async move {
            relay(&exchange, self.client, server, kind).await;
            drop((ending, self.permit, self.place));
        });
        parts.headers = fields;
        parts.version = Version::HTTP_11;
        Response::from_parts(parts, ReplyBody::Own(Some(Bytes::new())))
    }
}

/// Ends the session that the socket is, whatever ends the socket. One that the request named goes on without it.
struct Ending(Arc<Exchange>);

impl Drop for Ending {
    fn drop(&mut self) {
        let is_socket = |session: Arc<Session>| session.opened.basis == SessionBasis::Socket;
        if self.0.session().is_some_and(is_socket) {
            // What it has not told is told when it goes, beyond all bounds, as are all ends.
            let mut outbox = Outbox::new(Arc::clone(&self.0.hub.watchers));
            self.0.end_session(SOCKET_CLOSED, &mut outbox);
        }
    }
}

async fn tell_head(exchange: &Exchange, head: ObservedHead, fields: &HeaderMap, sent: SentHead) {
    let mut outbox = Outbox::new(Arc::clone(&exchange.hub.watchers));
    exchange.join_as_socket(&mut outbox);
    let head = ResponseHead {
        status: http::StatusCode::SWITCHING_PROTOCOLS.as_u16(),
        headers: fields,
        head,
        is_ours: false,
        is_stream: false,
        rewrites: Vec::new(),
        sent: sent.boxed(),
    };
    exchange.begin_response(head, &mut outbox);
    outbox.flush().await;
    exchange.time(|timing| timing.handed_on = Some(exchange.hub.clock.now()));
}

/// What was agreed on about the messages.
#[derive(Debug, Clone, Copy)]
struct Kind {
    is_mcp: bool,
    deflate: Option<Deflate>,
}

impl Kind {
    fn agreed(fields: &HeaderMap) -> Self {
        let text = |name| {
            let values = fields.get_all(name).iter();
            let texts: Vec<String> = values.map(|value| head_text(value.as_bytes())).collect();
            texts.join(",")
        };
        Self {
            is_mcp: text(PROTOCOL).trim().eq_ignore_ascii_case(MCP),
            deflate: Deflate::agreed(&text(EXTENSIONS)),
        }
    }

    fn keeps_context(self, direction: Direction) -> Option<bool> {
        self.deflate.map(|deflate| match direction {
            Direction::ClientToServer => deflate.client_keeps_context,
            Direction::ServerToClient => deflate.server_keeps_context,
        })
    }
}

type Stream = TokioIo<Upgraded>;

/// Relays until both sides have closed, or one has and the other takes too long.
async fn relay(exchange: &Arc<Exchange>, client: OnUpgrade, server: OnUpgrade, kind: Kind) {
    let (client, server): (Stream, Stream) = match tokio::try_join!(client, server) {
        Ok((client, server)) => (TokioIo::new(client), TokioIo::new(server)),
        Err(error) => return exchange.fail(describe(&error)),
    };
    let (from_client, to_client) = split(client);
    let (from_server, to_server) = split(server);
    let (answers, back) = mpsc::channel(ANSWERS);
    let tap = |direction, back| Tap::new(exchange, direction, kind, back);
    let up = tap(Direction::ClientToServer, Back::To(answers));
    let down = tap(Direction::ServerToClient, Back::From(back));
    let (up, down) = (
        pass(from_client, to_server, up),
        pass(from_server, to_client, down),
    );
    let (mut up, mut down) = (std::pin::pin!(up), std::pin::pin!(down));
    let end = tokio::select! {
        end = &mut up => match end {
            // The server knows that it has no more to say, or takes no more; its own last words still count.
            End::Read | End::Refused => timeout(CLOSING, down).await.map_or(EndKind::CutByProxy, End::of_server),
            End::BrokeOff => EndKind::ClientAborted,
            End::Cut => EndKind::CutByProxy,
        },
        end = &mut down => match end {
            End::Read => match timeout(CLOSING, up).await {
                Ok(_) => EndKind::Complete,
                Err(_) => EndKind::CutByProxy,
            },
            end => end.of_server(),
        },
    };
    exchange.end_direction(Direction::ServerToClient, end);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(fields: &[(&'static str, &str)]) -> bool {
        let fields = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        asks_for_socket(&fields.collect())
    }

    #[test]
    fn only_a_websocket_is_asked_for_by_name() {
        assert!(asks(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket")
        ]));
        assert!(!asks(&[("connection", "Upgrade"), ("upgrade", "h2c")]));
        assert!(!asks(&[("connection", "close"), ("upgrade", "websocket")]));
        assert!(!asks(&[("upgrade", "websocket")]));
    }
}
