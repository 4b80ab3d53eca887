//! The switch to a WebSocket: the server's consent passes, then the bytes both ways as they are, while a copy is read.
//!
//! The connection is the session, each message a frame. What HTTP/2 calls extended CONNECT (RFC 8441) is not offered.
//!
//! Source: RFC 6455 §4, RFC 9110 §7.8.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::time::timeout;

use crate::codec::websocket::{Deflate, Heard, WebSocketReader};
use crate::session::observation::{ObservedHead, SOCKET_CLOSED, head_text};
use crate::session::registry::Session;
use crate::snapshot::{Carrier, Direction, EndKind, Finding, SessionBasis, Severity};
use crate::tasks::{NoRoomError, TaskKind, TaskPermit};

use super::exchange::{Exchange, ResponseHead};
use super::headers;
use super::observed::response_fields;
use super::place::ConnectionPlace;
use super::reader::{BodyKind, BodyReader, Draft};
use super::relay::{ReplyBody, describe};
use super::rewrite::Changes;
use super::serve::ClientConnection;
use super::tap::RequestHeads;
use super::upstream::{ConnectionFacts, Speaks};
use super::watchers::Outbox;

const PROTOCOL: HeaderName = header::SEC_WEBSOCKET_PROTOCOL;
const EXTENSIONS: HeaderName = header::SEC_WEBSOCKET_EXTENSIONS;
/// The subprotocol whose messages are JSON-RPC.
const MCP: &str = "mcp";
/// How much is read at once, in bytes. What it inflates to is kept until it is told.
const READ_BYTES: usize = 16 * 1024;
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
        let fields = headers::end_to_end_and_upgrade(std::mem::take(&mut parts.headers));
        tell_head(exchange, head, &fields).await;
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

async fn tell_head(exchange: &Exchange, head: ObservedHead, fields: &HeaderMap) {
    let mut outbox = Outbox::new(Arc::clone(&exchange.hub.watchers));
    exchange.join_as_socket(&mut outbox);
    let head = ResponseHead {
        status: http::StatusCode::SWITCHING_PROTOCOLS.as_u16(),
        headers: fields,
        head,
        is_ours: false,
        is_stream: false,
        rewrites: Vec::new(),
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
    let tap = |direction| Tap::new(exchange, direction, kind);
    let up = pass(from_client, to_server, tap(Direction::ClientToServer));
    let down = pass(from_server, to_client, tap(Direction::ServerToClient));
    let (mut up, mut down) = (std::pin::pin!(up), std::pin::pin!(down));
    let end = tokio::select! {
        end = &mut up => match end {
            // The server knows that it has no more to say, or takes no more; its own last words still count.
            End::Read | End::Refused => timeout(CLOSING, down).await.map_or(EndKind::CutByProxy, End::of_server),
            End::BrokeOff => EndKind::ClientAborted,
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

/// How one direction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// There is nothing more to read.
    Read,
    /// Reading failed.
    BrokeOff,
    /// Nobody takes it any more.
    Refused,
}

impl End {
    /// Of what the server says.
    const fn of_server(self) -> EndKind {
        match self {
            Self::Read => EndKind::Complete,
            Self::BrokeOff => EndKind::UpstreamAborted,
            Self::Refused => EndKind::ClientAborted,
        }
    }
}

/// Passes on one direction; what was read is told before it goes on.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut tap: Tap) -> End {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let length = match from.read(&mut buffer).await {
            Ok(0) => break,
            Ok(length) => length,
            Err(_) => return End::BrokeOff,
        };
        let bytes = &buffer[..length];
        tap.look(bytes).await;
        if to.write_all(bytes).await.is_err() || to.flush().await.is_err() {
            return End::Refused;
        }
    }
    match to.shutdown().await {
        Ok(()) => End::Read,
        Err(_) => End::Refused,
    }
}

/// Reads one direction and tells of it.
struct Tap {
    direction: Direction,
    reader: WebSocketReader,
    messages: BodyReader,
    drafts: Vec<Draft>,
    is_unreadable: bool,
    outbox: Outbox,
    // Dropped last: its drop may tell the end of the exchange.
    exchange: Arc<Exchange>,
}

impl Tap {
    fn new(exchange: &Arc<Exchange>, direction: Direction, kind: Kind) -> Self {
        let hub = &exchange.hub;
        let lease = hub.buffers.lease(exchange.side);
        let document = BodyKind::Document { is_json: kind.is_mcp };
        Self {
            direction,
            reader: WebSocketReader::new(kind.keeps_context(direction)),
            messages: BodyReader::new(document, None, &hub.limits, lease),
            drafts: Vec::new(),
            is_unreadable: false,
            outbox: Outbox::new(Arc::clone(&hub.watchers)),
            exchange: Arc::clone(exchange),
        }
    }

    /// Tells of the next bytes. Waits while ledger or recorder have no room.
    async fn look(&mut self, bytes: &[u8]) {
        self.exchange.count(self.direction, bytes.len());
        if !self.is_unreadable {
            self.read(bytes);
        }
        self.outbox.flush().await;
    }

    fn read(&mut self, bytes: &[u8]) {
        let wants_parts = self.outbox.is_recording();
        let (messages, drafts) = (&mut self.messages, &mut self.drafts);
        let mut close = None;
        let outcome = self.reader.push(bytes, &mut |heard| match heard {
            Heard::Data { bytes, is_last, .. } => {
                messages.push(&Bytes::copy_from_slice(bytes), is_last, wants_parts, drafts);
                if is_last {
                    messages.finish(true, drafts);
                }
            }
            Heard::Close { code, reason } => close = Some((code, head_text(reason))),
            Heard::Ping | Heard::Pong => {}
        });
        if let Err(error) = outcome {
            self.is_unreadable = true;
            self.messages.finish(false, &mut self.drafts);
            self.find(format!(
                "what passes on this WebSocket from here on is not shown: {error}"
            ));
        }
        self.tell();
        if let Some((Some(code), reason)) = close {
            self.closes(code, &reason);
        }
    }

    /// A close that is not the usual one says why.
    fn closes(&self, code: u16, reason: &str) {
        /// Done, and going away.
        const USUAL: [u16; 2] = [1000, 1001];
        if !USUAL.contains(&code) {
            let who = match self.direction {
                Direction::ClientToServer => "client",
                Direction::ServerToClient => "server",
            };
            let reason = if reason.is_empty() {
                String::new()
            } else {
                format!(": {reason}")
            };
            self.exchange
                .fail(format!("the {who} closed the WebSocket with code {code}{reason}"));
        }
    }

    fn find(&mut self, text: String) {
        let finding = Finding {
            severity: Severity::Warning,
            text,
        };
        let changes = Changes {
            findings: vec![finding],
            ..Changes::default()
        };
        self.exchange.tell_changes(changes, &mut self.outbox);
    }

    fn tell(&mut self) {
        if !self.drafts.is_empty() {
            self.exchange.tell_as(
                self.direction,
                Carrier::WebSocket,
                &mut self.drafts,
                None,
                &mut self.outbox,
            );
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.messages.finish(false, &mut self.drafts);
        self.tell();
    }
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
