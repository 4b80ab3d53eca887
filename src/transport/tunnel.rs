//! CONNECT: a look at the first bytes decides whether what is in the tunnel is served here or passed on as it is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::forward::plain_host;
use crate::ids::Side;
use crate::session::observation::ObservedHead;
use crate::snapshot::{Direction, EndKind, Head};
use crate::tasks::TaskKind;

use super::answer::OwnAnswer;
use super::exchange::{Beginning, Exchange, ResponseHead};
use super::hub::Hub;
use super::listener::{Accepted, drive_boxed};
use super::relay::{ReplyBody, describe};
use super::route::Within;
use super::serve::{ClientConnection, answer_ourselves, tunnel_opened};
use super::tls::first::{First, FirstBytes, Hello};
use super::tls::prefixed::Prefixed;
use super::tls::refusal;
use super::upstream::{ConnectError, Speaks};
use super::watchers::Outbox;

/// How long a client is waited for before its destination is asked to speak first.
const SILENCE: Duration = Duration::from_secs(1);
/// How much is read at once while looking.
const LOOK_BYTES: usize = 4096;

type Client = TokioIo<Upgraded>;

/// A tunnel on its way.
struct Tunnel {
    exchange: Arc<Exchange>,
    connection: Arc<ClientConnection>,
    authority: Authority,
}

/// Opens a tunnel: at once, if it may be looked into; else after its destination was dialled.
pub(crate) async fn open(
    connection: &Arc<ClientConnection>,
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
    let destination = if hub.interception.forward.is_blind_to(authority.host()) {
        match hub.clients.dialler.dial(&authority, 443).await {
            Ok(destination) => Some(destination),
            Err(error) => return not_reached(&exchange, &authority, &error).await,
        }
    } else {
        None
    };
    let tunnel = Tunnel {
        exchange,
        connection: Arc::clone(connection),
        authority,
    };
    if destination.is_some() {
        tunnel.tell_opened("its bytes are not looked at").await;
    }
    hub.tasks.spawn(TaskKind::Tunnel, async move {
        match destination {
            Some(destination) => tunnel.relay(request, destination).await,
            None => tunnel.look(request).await,
        }
        drop(permit);
    });
    tunnel_opened()
}

/// Tunnels live long, so one that waited would only keep a connection from somebody else.
pub(super) async fn turn_away(exchange: &Arc<Exchange>, text: String) -> Response<ReplyBody> {
    exchange.fail(text.clone());
    exchange.end_direction(Direction::ClientToServer, EndKind::Complete);
    let answer = OwnAnswer {
        is_last: true,
        ..OwnAnswer::busy(text)
    };
    answer_ourselves(exchange, false, &answer, EndKind::CutByProxy).await
}

async fn not_reached(
    exchange: &Arc<Exchange>,
    authority: &Authority,
    error: &ConnectError,
) -> Response<ReplyBody> {
    let text = not_reached_text(authority, error);
    exchange.fail(text.clone());
    exchange.end_direction(Direction::ClientToServer, EndKind::Complete);
    let answer = OwnAnswer::upstream_failed(text);
    answer_ourselves(exchange, false, &answer, EndKind::UpstreamUnreachable).await
}

fn not_reached_text(authority: &Authority, error: &ConnectError) -> String {
    let cause = describe(error);
    format!("The tunnel to {authority} could not be opened: {cause}. Check host and port.")
}

/// In a tunnel the server hears what the client speaks: HTTP/1.1, or HTTP/2 if it still does.
pub(super) fn spoken_within(within: Option<&Within>, version: Version) -> Speaks {
    match within {
        Some(within) if version == Version::HTTP_2 && within.scheme == Scheme::HTTP => Speaks::PriorH2,
        Some(_) if version < Version::HTTP_2 => Speaks::Http1,
        _ => Speaks::Negotiated,
    }
}

/// What was seen of a client before its tunnel was understood.
struct Seen {
    bytes: Bytes,
    first: First,
    /// Dialled already, since the client was silent.
    destination: Option<TcpStream>,
}

impl Tunnel {
    fn hub(&self) -> &Arc<Hub> {
        &self.connection.hub
    }

    fn host(&self) -> String {
        plain_host(self.authority.host())
    }

    /// Looks at the first bytes and serves what is in the tunnel, or passes it on.
    async fn look(&self, request: Request<Incoming>) {
        let Some(mut client) = self.upgraded(request).await else {
            return;
        };
        // As long as nothing was said, nobody loses anything when the program ends.
        let stopping = self.hub().tasks.stopping().clone();
        let seen = match stopping.run_until_cancelled(self.first_bytes(&mut client)).await {
            Some(Ok(Some(seen))) => seen,
            Some(Ok(None)) => {
                self.tell_opened("it was closed before anything was said in it")
                    .await;
                return self.end(EndKind::Complete, EndKind::Complete);
            }
            Some(Err(error)) => {
                self.tell_opened("its destination could not be reached").await;
                self.exchange.fail(not_reached_text(&self.authority, &error));
                return self.end(EndKind::Complete, EndKind::UpstreamUnreachable);
            }
            None => {
                self.tell_opened("the proxy ended before anything was said in it")
                    .await;
                return self.end(EndKind::CutByProxy, EndKind::CutByProxy);
            }
        };
        self.go_on(client, seen).await;
    }

    async fn go_on(&self, client: Client, seen: Seen) {
        let client = Prefixed::new(seen.bytes, client);
        match (&seen.first, self.reason_for_blindness(&seen.first)) {
            (First::Tls(hello), None) => {
                drop(seen.destination);
                self.intercept(client, hello).await;
            }
            (First::Http, None) => {
                drop(seen.destination);
                self.tell_opened("what is asked in it has rows of its own").await;
                self.serve(client, Scheme::HTTP).await;
                self.end(EndKind::Complete, EndKind::Complete);
            }
            (_, reason) => {
                let reason = reason.unwrap_or("it is neither TLS nor HTTP");
                self.pass_on(client, seen.destination, reason).await;
            }
        }
    }

    /// Why TLS that could be intercepted is not.
    fn reason_for_blindness(&self, first: &First) -> Option<&'static str> {
        let First::Tls(hello) = first else {
            return None;
        };
        if hello.speaks_others {
            return Some("its TLS is for another protocol than HTTP");
        }
        let name = hello.server_name.as_deref()?;
        if self.hub().interception.forward.is_blind_to(name) {
            return Some("its bytes are not looked at");
        }
        // Nobody could tell which of the two the requests are for.
        (plain_host(name) != self.host())
            .then_some("its TLS is for another host than the tunnel, so its bytes are not looked at")
    }

    /// Reads until it is clear what the client speaks. A client that is silent may wait for its destination to speak, so
    /// that is dialled after a while. `None` if the client leaves first.
    async fn first_bytes(&self, client: &mut Client) -> Result<Option<Seen>, ConnectError> {
        let mut bytes = FirstBytes::default();
        let mut buffer = [0; LOOK_BYTES];
        let mut destination = None;
        let first = loop {
            match hear(client, destination.as_ref(), &mut buffer).await {
                Heard::Bytes(0) if bytes.is_empty() => return Ok(None),
                Heard::Silence if bytes.is_empty() => destination = Some(self.dial().await?),
                Heard::Bytes(0) | Heard::Silence | Heard::Destination => break First::Other,
                Heard::Bytes(length) => match bytes.push(&buffer[..length]) {
                    First::Unclear => {}
                    first => break first,
                },
            }
        };
        Ok(Some(Seen {
            bytes: bytes.into_bytes().into(),
            first,
            destination,
        }))
    }

    /// Is the destination towards the client, with a certificate of the local authority.
    async fn intercept(&self, client: Prefixed<Client>, hello: &Hello) {
        let (hub, host) = (self.hub(), self.host());
        let place = without_port(&self.authority, 443);
        // HTTP/2 is offered as the destination does. Kept until the end: the first request takes what was learned with it.
        let (with_h2, _kept) = if hello.offers_h2 {
            hub.clients.dialler.speaks_h2(&place).await
        } else {
            (false, None)
        };
        let config = match hub.interception.config_for(&host, &hub.tasks, with_h2).await {
            Ok(config) => config,
            Err(error) => {
                hub.interception.tell_failure(&host, &error);
                return self.pass_on(client, None, "its TLS cannot be intercepted").await;
            }
        };
        let accepting = TlsAcceptor::from(config).accept(client);
        match tokio::time::timeout(hub.limits.head_timeout, accepting).await {
            Ok(Ok(stream)) => self.serve_tls(stream, &host).await,
            Ok(Err(error)) => {
                let how = refusal(&error).map(|how| hub.interception.tell_refused(&host, how));
                self.not_intercepted(
                    how.unwrap_or_else(|| format!("The TLS handshake with the client failed: {error}.")),
                )
                .await;
            }
            Err(_) => {
                let text = "The client did not finish its TLS handshake in time (--head-timeout).";
                self.not_intercepted(text.to_owned()).await;
            }
        }
    }

    async fn serve_tls(&self, stream: TlsStream<Prefixed<Client>>, host: &str) {
        let tls = stream.get_ref().1;
        let version = tls.protocol_version().and_then(|version| version.as_str());
        let protocol = if tls.alpn_protocol() == Some(b"h2") {
            "h2"
        } else {
            "http/1.1"
        };
        let version = version.unwrap_or("TLS").replace("v1_", " 1.");
        self.tell_opened(&format!(
            "{version} with {protocol}, what is asked in it has rows of its own"
        ))
        .await;
        if self.serve(stream, Scheme::HTTPS).await {
            return self.end(EndKind::Complete, EndKind::Complete);
        }
        // Some clients look at the certificate only once the handshake is done.
        let how = "closed the connection after the TLS handshake without asking anything, so it may not trust the certificate";
        let text = self.hub().interception.tell_refused(host, how);
        self.exchange.fail(text);
        self.end(EndKind::ClientAborted, EndKind::ClientAborted);
    }

    async fn not_intercepted(&self, text: String) {
        self.tell_opened("TLS that did not come about").await;
        self.exchange.fail(text);
        self.end(EndKind::ClientAborted, EndKind::ClientAborted);
    }

    /// Serves what is asked on `stream` like what is asked on any connection. False if the client left without a word.
    async fn serve<S>(&self, stream: S, scheme: Scheme) -> bool
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let default = if scheme == Scheme::HTTPS { 443 } else { 80 };
        let accepted = Accepted {
            peer: self.connection.peer.clone(),
            local: self.connection.local,
            place: Arc::clone(&self.connection.place),
            only: None,
            refusal: None,
            within: Some(Within {
                authority: without_port(&self.authority, default),
                scheme,
            }),
        };
        drive_boxed(Arc::clone(self.hub()), stream, accepted).await
    }

    /// Passes on what is not looked into.
    async fn pass_on(&self, client: Prefixed<Client>, destination: Option<TcpStream>, why: &str) {
        let destination = match destination {
            Some(destination) => Ok(destination),
            None => self.dial().await,
        };
        self.tell_opened(why).await;
        match destination {
            Ok(destination) => self.copy(client, destination).await,
            Err(error) => {
                self.exchange.fail(not_reached_text(&self.authority, &error));
                self.end(EndKind::Complete, EndKind::UpstreamUnreachable);
            }
        }
    }

    async fn dial(&self) -> Result<TcpStream, ConnectError> {
        self.hub().clients.dialler.dial(&self.authority, 443).await
    }

    async fn relay(&self, request: Request<Incoming>, destination: TcpStream) {
        if let Some(client) = self.upgraded(request).await {
            self.copy(client, destination).await;
        }
    }

    async fn upgraded(&self, request: Request<Incoming>) -> Option<Client> {
        match hyper::upgrade::on(request).await {
            Ok(upgraded) => Some(TokioIo::new(upgraded)),
            Err(error) => {
                self.exchange.fail(describe(&error));
                None
            }
        }
    }

    async fn copy(&self, mut client: impl AsyncRead + AsyncWrite + Unpin, mut destination: TcpStream) {
        match tokio::io::copy_bidirectional(&mut client, &mut destination).await {
            Ok((sent, received)) => {
                self.count(Direction::ClientToServer, sent);
                self.count(Direction::ServerToClient, received);
                self.end(EndKind::Complete, EndKind::Complete);
            }
            Err(error) => {
                self.exchange.fail(format!("the tunnel broke: {error}"));
                self.exchange
                    .end_direction(Direction::ServerToClient, EndKind::UpstreamAborted);
            }
        }
    }

    fn count(&self, direction: Direction, bytes: u64) {
        self.exchange
            .count(direction, usize::try_from(bytes).unwrap_or(usize::MAX));
    }

    fn end(&self, request: EndKind, response: EndKind) {
        self.exchange.end_direction(Direction::ClientToServer, request);
        self.exchange.end_direction(Direction::ServerToClient, response);
    }

    /// Tells of our 200, and in words what the tunnel is.
    async fn tell_opened(&self, what: &str) {
        let mut outbox = Outbox::new(Arc::clone(&self.hub().watchers));
        let (version, status) = (Version::HTTP_11, StatusCode::OK.as_u16());
        let head = ResponseHead {
            status,
            headers: &HeaderMap::new(),
            head: ObservedHead::Fields(Box::new(Head {
                line: format!("{version:?} {status} tunnel open, {what}"),
                fields: Vec::new(),
            })),
            is_ours: true,
            is_stream: false,
            rewrites: Vec::new(),
        };
        self.exchange.begin_response(head, &mut outbox);
        outbox.flush().await;
    }
}

/// What is heard first.
enum Heard {
    /// So many bytes of the client; none if it has gone.
    Bytes(usize),
    /// Nothing, for [`SILENCE`].
    Silence,
    /// The destination speaks, or has gone.
    Destination,
}

/// Listens to the client, and to the destination if that was dialled.
async fn hear(client: &mut Client, destination: Option<&TcpStream>, buffer: &mut [u8]) -> Heard {
    let reading = client.read(buffer);
    let Some(destination) = destination else {
        return match tokio::time::timeout(SILENCE, reading).await {
            Ok(read) => Heard::Bytes(read.unwrap_or(0)),
            Err(_) => Heard::Silence,
        };
    };
    tokio::select! {
        read = reading => Heard::Bytes(read.unwrap_or(0)),
        _ = destination.readable() => Heard::Destination,
    }
}

/// `authority` without a port that goes without saying.
fn without_port(authority: &Authority, default: u16) -> Authority {
    if authority.port_u16().unwrap_or(default) != default {
        return authority.clone();
    }
    authority.host().parse().unwrap_or_else(|_| authority.clone())
}
