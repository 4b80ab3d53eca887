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
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::forward::plain_host;
use crate::ids::Side;
use crate::session::observation::ObservedHead;
use crate::snapshot::{Direction, EndKind, Head};
use crate::tasks::TaskKind;

use super::answer::OwnAnswer;
use super::body::ReplyBody;
use super::causes::describe;
use super::exchange::{Beginning, Exchange, ResponseHead};
use super::hub::Hub;
use super::listener::{Accepted, drive_boxed};
use super::own::answer_ourselves;
use super::route::Within;
use super::serve::ClientConnection;
use super::tls::first::{First, FirstBytes, Hello};
use super::tls::prefixed::Prefixed;
use super::tls::{refusal, trust};
use super::upstream::{ConnectError, Speaks, Stream};
use super::via;
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
        sent: None,
    };
    let exchange = Exchange::begin(hub, &connection.peer, beginning, &mut outbox);
    outbox.flush().await;
    let permit = match hub.tasks.permit(TaskKind::Tunnel, Duration::ZERO).await {
        Ok(permit) => permit,
        Err(error) => return turn_away(&exchange, error.to_string()).await,
    };
    let destination = if hub.interception.forward.is_blind_to(authority.host()) {
        match hub.clients.dialler.dial_raw(&authority, false).await {
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
    opened()
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

/// The response that opens a tunnel: no body and no length (RFC 9110 §9.3.6).
fn opened() -> Response<ReplyBody> {
    Response::new(ReplyBody::Own(Some(Bytes::new())))
}

fn not_reached_text(authority: &Authority, error: &ConnectError) -> String {
    let cause = describe(error);
    let advice = via::advice(error).or_else(|| trust::advice(error));
    let advice = advice.unwrap_or("Check host and port.");
    format!("The tunnel to {authority} could not be opened: {cause}. {advice}")
}

/// In a tunnel the server hears what the client speaks: HTTP/1.1, or HTTP/2 if it still does.
pub(super) fn spoken_within(within: Option<&Within>, version: Version) -> Speaks {
    let version = within.and_then(|within| within.spoken).unwrap_or(version);
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
    destination: Option<Destination>,
}

/// What a look at a tunnel comes to.
enum Look {
    Seen(Seen),
    /// The client left without a word.
    Left,
    /// Nothing more is to be done; the row says why.
    Over,
}

/// A destination that may have spoken already.
type Destination = Prefixed<Stream>;

/// What the bytes are in that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Tcp,
    Tls,
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
        match self.look_at(&mut client, Layer::Tcp).await {
            Look::Seen(seen) => self.go_on(client, seen).await,
            Look::Left => {
                self.tell_opened("it was closed before anything was said in it")
                    .await;
                self.end(EndKind::Complete, EndKind::Complete);
            }
            Look::Over => {}
        }
    }

    async fn look_at<S: AsyncRead + Unpin>(&self, client: &mut S, layer: Layer) -> Look {
        // As long as nothing was said, nobody loses anything when the program ends.
        let stopping = self.hub().tasks.stopping().clone();
        match stopping
            .run_until_cancelled(self.first_bytes(client, layer))
            .await
        {
            Some(Ok(Some(seen))) => Look::Seen(seen),
            Some(Ok(None)) => Look::Left,
            Some(Err(error)) => {
                self.tell_opened("its destination could not be reached").await;
                self.exchange.fail(not_reached_text(&self.authority, &error));
                self.end(EndKind::Complete, EndKind::UpstreamUnreachable);
                Look::Over
            }
            None => {
                self.tell_opened("the proxy ended before anything was said in it")
                    .await;
                self.end(EndKind::CutByProxy, EndKind::CutByProxy);
                Look::Over
            }
        }
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
                self.pass_on(client, seen.destination, Layer::Tcp, reason).await;
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
            return Some("its host is excepted (--no-intercept)");
        }
        // Nobody could tell which of the two the requests are for.
        (plain_host(name) != self.host()).then_some("its TLS is for another host than the tunnel")
    }

    /// Reads until it is clear what the client speaks. A client that is silent may wait for its destination to speak, so
    /// that is dialled after a while. `None` if the client leaves first.
    async fn first_bytes<S: AsyncRead + Unpin>(
        &self,
        client: &mut S,
        layer: Layer,
    ) -> Result<Option<Seen>, ConnectError> {
        let mut bytes = FirstBytes::default();
        let mut ears = Ears::default();
        let mut destination = None;
        let first = loop {
            match ears.hear(client, destination.as_mut()).await {
                Heard::Client(0) if bytes.is_empty() => return Ok(None),
                Heard::Silence if bytes.is_empty() => destination = Some(self.dial(layer).await?),
                Heard::Client(0) | Heard::Silence | Heard::Destination => break First::Other,
                Heard::Client(length) => match bytes.push(&ears.client[..length]) {
                    First::Unclear => {}
                    first => break first,
                },
            }
        };
        Ok(Some(Seen {
            bytes: bytes.into_bytes().into(),
            first,
            destination: destination.map(|stream| Prefixed::new(ears.said.into(), stream)),
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
                return self
                    .pass_on(client, None, Layer::Tcp, "its TLS cannot be intercepted")
                    .await;
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

    /// Serves what is in TLS, or passes it on to the destination in TLS of its own.
    async fn serve_tls(&self, mut stream: TlsStream<Prefixed<Client>>, host: &str) {
        let tls = stream.get_ref().1;
        let version = tls.protocol_version().and_then(|version| version.as_str());
        let version = version.unwrap_or("TLS").replace("v1_", " 1.");
        let protocol = match tls.alpn_protocol() {
            Some(b"h2") => Some("h2"),
            Some(_) => Some("http/1.1"),
            None => None,
        };
        if let Some(protocol) = protocol {
            return self
                .serve_in_tls(stream, host, &format!("{version} with {protocol}"))
                .await;
        }
        match self.look_at(&mut stream, Layer::Tls).await {
            Look::Seen(seen) if seen.first == First::Http => {
                drop(seen.destination);
                let stream = Prefixed::new(seen.bytes, stream);
                self.serve_in_tls(stream, host, &version).await;
            }
            Look::Seen(seen) => {
                let stream = Prefixed::new(seen.bytes, stream);
                let why = "what is in its TLS is no HTTP";
                self.pass_on(stream, seen.destination, Layer::Tls, why).await;
            }
            Look::Left => self.left_without_a_word(host, &version).await,
            Look::Over => {}
        }
    }

    async fn serve_in_tls<S>(&self, stream: S, host: &str, tls: &str)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.tell_opened(&format!("{tls}, what is asked in it has rows of its own"))
            .await;
        if self.serve(stream, Scheme::HTTPS).await {
            self.end(EndKind::Complete, EndKind::Complete);
        } else {
            self.refused(host);
        }
    }

    async fn left_without_a_word(&self, host: &str, tls: &str) {
        self.tell_opened(&format!("{tls}, nothing was asked in it")).await;
        self.refused(host);
    }

    /// Some clients look at the certificate only once the handshake is done.
    fn refused(&self, host: &str) {
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
                spoken: None,
            }),
        };
        drive_boxed(Arc::clone(self.hub()), stream, accepted).await
    }

    /// Passes on what is not served.
    async fn pass_on<S>(&self, client: S, destination: Option<Destination>, layer: Layer, why: &str)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let destination = if let Some(destination) = destination {
            Ok(destination)
        } else {
            let dialled = self.dial(layer).await;
            dialled.map(|stream| Prefixed::new(Bytes::new(), stream))
        };
        self.tell_opened(&format!("{why}, so it is passed on as it is"))
            .await;
        match destination {
            Ok(destination) => self.copy(client, destination).await,
            Err(error) => {
                self.exchange.fail(not_reached_text(&self.authority, &error));
                self.end(EndKind::Complete, EndKind::UpstreamUnreachable);
            }
        }
    }

    async fn dial(&self, layer: Layer) -> Result<Stream, ConnectError> {
        let dialler = &self.hub().clients.dialler;
        dialler.dial_raw(&self.authority, layer == Layer::Tls).await
    }

    async fn relay(&self, request: Request<Incoming>, destination: Stream) {
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

    async fn copy(
        &self,
        mut client: impl AsyncRead + AsyncWrite + Unpin,
        mut destination: impl AsyncRead + AsyncWrite + Unpin,
    ) {
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
            sent: None,
        };
        self.exchange.begin_response(head, &mut outbox);
        outbox.flush().await;
    }
}

/// What is heard first.
enum Heard {
    /// So many bytes of the client; none if it has gone.
    Client(usize),
    /// Nothing, for [`SILENCE`].
    Silence,
    /// The destination speaks, or has gone.
    Destination,
}

/// What is heard while looking.
struct Ears {
    client: Vec<u8>,
    destination: Vec<u8>,
    /// What the destination said.
    said: Vec<u8>,
}

impl Default for Ears {
    fn default() -> Self {
        Self {
            client: vec![0; LOOK_BYTES],
            destination: vec![0; LOOK_BYTES],
            said: Vec::new(),
        }
    }
}

impl Ears {
    /// Listens to the client, and to the destination if that was dialled. What cannot be read is over.
    async fn hear<S: AsyncRead + Unpin>(
        &mut self,
        client: &mut S,
        destination: Option<&mut Stream>,
    ) -> Heard {
        let reading = client.read(&mut self.client);
        let Some(destination) = destination else {
            return match tokio::time::timeout(SILENCE, reading).await {
                Ok(read) => Heard::Client(read.unwrap_or(0)),
                Err(_) => Heard::Silence,
            };
        };
        tokio::select! {
            read = reading => Heard::Client(read.unwrap_or(0)),
            read = destination.read(&mut self.destination) => {
                let length = read.unwrap_or(0);
                self.said.extend_from_slice(&self.destination[..length]);
                Heard::Destination
            }
        }
    }
}

/// `authority` without a port that goes without saying.
fn without_port(authority: &Authority, default: u16) -> Authority {
    if authority.port_u16().unwrap_or(default) != default {
        return authority.clone();
    }
    authority.host().parse().unwrap_or_else(|_| authority.clone())
}
