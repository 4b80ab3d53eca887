//! Connections to upstreams: name look-up, dialling, TLS, pooling.

mod stream;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::{Authority, Scheme};
use http::{Uri, Version, header, response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::clock::{Clock, Timestamp};
use crate::config::forward::{ViaProxy, plain_host};
use crate::limits::ResourceLimits;
use crate::resource::meters::Meters;
use crate::tasks::{TaskKind, Tasks, TasksExecutor};

use super::body::RequestBody;
use super::gate::Gate;
use super::tap::{ResponseHead, UpstreamTap};
use super::tls::ready::{KeptReady, Ready};
use super::tls::trust::{Alpn, Trust};
use super::via::{self, ViaError};
pub(crate) use stream::Stream;

/// How long an idle pooled connection is kept. Below the usual 100 s of servers and load balancers.
const POOL_IDLE: Duration = Duration::from_secs(90);
/// What one HTTP/2 stream may send ahead of its reader.
pub(crate) const STREAM_WINDOW: u32 = 256 * 1024;
/// So large that a stream nobody reads never stalls its neighbours: the streams' own windows bound the memory.
pub(crate) const CONNECTION_WINDOW: u32 = 1 << 30;

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("the name {host} could not be looked up")]
    Lookup { host: String, source: io::Error },
    #[error("the name {host} has no address")]
    NoAddress { host: String },
    #[error("{address} did not accept the connection")]
    Refused { address: SocketAddr, source: io::Error },
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    #[error("{address} is this proxy itself; the request would run in a circle")]
    Loop { address: SocketAddr },
    #[error("the TLS handshake with {host} failed")]
    Tls { host: String, source: io::Error },
    #[error("TLS cannot be used: {0}")]
    NoTls(String),
    #[error("the URL has no host")]
    NoHost,
    #[error("the proxy {via} on the way cannot be reached")]
    NoVia { via: String, source: Box<ConnectError> },
    #[error("the proxy {via} on the way opened no tunnel to {host}")]
    Via {
        via: String,
        host: String,
        source: ViaError,
    },
}

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// What TLS negotiates; without TLS HTTP/1.1.
    Negotiated,
    /// HTTP/2 from the first byte.
    PriorH2,
    /// HTTP/1.1, whatever else the server offers.
    Http1,
}

/// Dials upstreams.
#[derive(Debug, Clone)]
pub(crate) struct Dialler {
    settings: Arc<Settings>,
    speaks: Speaks,
}

/// How dialling went before anybody asked for it.
type Early = Result<UpstreamConnection, ConnectError>;

#[derive(Debug)]
struct Settings {
    timeout: Duration,
    max_head_bytes: usize,
    clock: Clock,
    meters: Arc<Meters>,
    listening: Arc<OnceLock<Vec<SocketAddr>>>,
    trust: Trust,
    via: Option<ViaProxy>,
    ready: Arc<Ready<Early>>,
    gates: Vec<KnownUpstream>,
}

/// Where a configured upstream is, and its breaker.
#[derive(Debug)]
pub(crate) struct KnownUpstream {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    pub(crate) gate: Arc<Gate>,
}

impl Dialler {
    fn new(
        limits: &ResourceLimits,
        clock: Clock,
        meters: &Arc<Meters>,
        listening: Arc<OnceLock<Vec<SocketAddr>>>,
        gates: Vec<KnownUpstream>,
        way: Way,
    ) -> Self {
        let settings = Settings {
            timeout: limits.upstream_connect_timeout,
            max_head_bytes: limits.max_head_bytes,
            clock,
            meters: Arc::clone(meters),
            listening,
            trust: way.trust,
            via: way.via,
            ready: Arc::new(Ready::new(limits.max_certificates)),
            gates,
        };
        Self {
            settings: Arc::new(settings),
            speaks: Speaks::Negotiated,
        }
    }

    fn speaking(&self, speaks: Speaks) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            speaks,
        }
    }

    /// A TCP connection to the first address of `authority` that accepts one, or a tunnel to it through the proxy on
    /// the way.
    ///
    /// # Errors
    /// [`ConnectError`]; of several addresses the last one's.
    pub(crate) async fn dial(
        &self,
        authority: &Authority,
        default_port: u16,
    ) -> Result<TcpStream, ConnectError> {
        let port = authority.port_u16().unwrap_or(default_port);
        let Some(via) = self.via_for(authority) else {
            return self.within_timeout(self.dial_each(authority, port)).await?;
        };
        let mut stream = self.dial_via(via).await?;
        let opening = via::open_tunnel(&mut stream, via, authority, port, self.settings.max_head_bytes);
        let opened = self.within_timeout(opening).await?;
        opened.map_err(|source| ConnectError::Via {
            via: via.to_string(),
            host: authority.to_string(),
            source,
        })?;
        Ok(stream)
    }

    async fn dial_via(&self, via: &ViaProxy) -> Result<TcpStream, ConnectError> {
        let port = via.authority().port_u16().unwrap_or(80);
        let dialled = self.within_timeout(self.dial_each(via.authority(), port)).await;
        dialled
            .and_then(|dialled| dialled)
            .map_err(|source| ConnectError::NoVia {
                via: via.to_string(),
                source: Box::new(source),
            })
    }

    /// The proxy on the way to `authority`, if there is one.
    fn via_for(&self, authority: &Authority) -> Option<&ViaProxy> {
        let via = self.settings.via.as_ref()?;
        via::is_on_the_way(via, authority.host()).then_some(via)
    }

    /// The proxy that gets requests for `uri` with their whole URL as the target.
    fn forwarder_of(&self, uri: &Uri) -> Option<&ViaProxy> {
        let is_plain = uri.scheme() != Some(&Scheme::HTTPS) && self.speaks != Speaks::PriorH2;
        uri.authority()
            .filter(|_| is_plain)
            .and_then(|authority| self.via_for(authority))
    }

    /// Waits for a step towards a connection, and notes how long it took.
    async fn within_timeout<T>(&self, step: impl Future<Output = T>) -> Result<T, ConnectError> {
        let Settings { timeout, meters, .. } = &*self.settings;
        let started = tokio::time::Instant::now();
        let outcome = tokio::time::timeout(*timeout, step).await;
        meters.connect_time.note_time(started.elapsed().min(*timeout));
        outcome.map_err(|_| {
            meters.connect_time.reach();
            ConnectError::Timeout(*timeout)
        })
    }

    async fn dial_each(&self, authority: &Authority, port: u16) -> Result<TcpStream, ConnectError> {
        let host = authority.host();
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let lookup = tokio::net::lookup_host((bare, port)).await;
        let addresses = lookup.map_err(|source| ConnectError::Lookup {
            host: host.to_owned(),
            source,
        })?;
        let mut failure = ConnectError::NoAddress {
            host: host.to_owned(),
        };
        for address in addresses {
            if self.is_ourselves(address) {
                failure = ConnectError::Loop { address };
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // Small messages must not wait for an acknowledgement; a socket that refuses this still works.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%address, %error, "TCP_NODELAY was refused");
                    }
                    return Ok(stream);
                }
                Err(source) => failure = ConnectError::Refused { address, source },
            }
        }
        Err(failure)
    }

    fn is_ourselves(&self, address: SocketAddr) -> bool {
        let listening = self
            .settings
            .listening
            .get()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let is_ours = |own: &SocketAddr| {
            own.port() == address.port()
                && (own.ip() == address.ip() || own.ip().is_unspecified() && address.ip().is_loopback())
        };
        listening.iter().any(is_ours)
    }

    async fn connect(self, uri: Uri) -> Result<UpstreamConnection, ConnectError> {
        let authority = uri.authority().ok_or(ConnectError::NoHost)?;
        let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
        let suits = |early: &Early| match early {
            Ok(connection) => !connection.is_h2 || self.speaks == Speaks::Negotiated,
            Err(_) => true,
        };
        if is_tls && let Some(early) = self.settings.ready.take(authority, suits) {
            return early;
        }
        self.connect_now(&uri, authority).await
    }

    /// Whether `authority` speaks HTTP/2 over TLS. If it is not known yet, it is dialled, and the connection, or the
    /// failure, is kept for the first request.
    pub(crate) async fn speaks_h2(&self, authority: &Authority) -> (bool, Option<impl Send + use<>>) {
        let ready = &self.settings.ready;
        if let Some(known) = ready.speaks_h2(authority) {
            return (known, None);
        }
        let uri = Uri::builder()
            .scheme(Scheme::HTTPS)
            .authority(authority.clone())
            .path_and_query("/")
            .build();
        let early = match uri {
            Ok(uri) => self.connect_now(&uri, authority).await,
            Err(_) => Err(ConnectError::NoHost),
        };
        let speaks_h2 = early.as_ref().is_ok_and(|connection| connection.is_h2);
        let kept: KeptReady<Early> = ready.keep(authority.clone(), early);
        (speaks_h2, Some(kept))
    }

    async fn connect_now(
        &self,
        uri: &Uri,
        authority: &Authority,
    ) -> Result<UpstreamConnection, ConnectError> {
        let started = tokio::time::Instant::now();
        let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
        let forwarder = self.forwarder_of(uri);
        let tcp = match forwarder {
            Some(via) => self.dial_via(via).await?,
            None => self.dial(authority, if is_tls { 443 } else { 80 }).await?,
        };
        let stream = if is_tls {
            self.wrap_in_tls(tcp, authority, self.alpn()).await?
        } else {
            Stream::Plain(tcp)
        };
        self.note_connected(uri);
        let is_h2 = stream.is_h2();
        if is_tls && self.speaks == Speaks::Negotiated {
            self.settings.ready.learn(authority, is_h2);
        }
        let (tap, head) = UpstreamTap::new(stream, self.settings.max_head_bytes);
        let facts = ConnectionFacts {
            head,
            connect: started.elapsed(),
            reuse: Arc::default(),
        };
        self.settings.meters.idle_upstreams.add(1);
        Ok(UpstreamConnection {
            io: TokioIo::new(tap),
            facts,
            is_h2,
            is_forwarded: forwarder.is_some(),
            dialler: self.clone(),
        })
    }

    /// Told here and not by the request's response, which may be long in coming.
    fn note_connected(&self, uri: &Uri) {
        let is_there = |known: &&KnownUpstream| {
            uri.scheme() == Some(&known.scheme) && uri.authority() == Some(&known.authority)
        };
        for known in self.settings.gates.iter().filter(is_there) {
            known.gate.connected();
        }
    }

    /// A connection on which bytes are passed on as they are, inside of TLS if `with_tls`.
    ///
    /// # Errors
    /// As [`Dialler::dial`], and if the server's certificate is not believed.
    pub(crate) async fn dial_raw(
        &self,
        authority: &Authority,
        with_tls: bool,
    ) -> Result<Stream, ConnectError> {
        let tcp = self.dial(authority, 443).await?;
        if with_tls {
            self.wrap_in_tls(tcp, authority, Alpn::Unsaid).await
        } else {
            Ok(Stream::Plain(tcp))
        }
    }

    const fn alpn(&self) -> Alpn {
        match self.speaks {
            Speaks::Http1 => Alpn::Http1,
            Speaks::Negotiated | Speaks::PriorH2 => Alpn::Both,
        }
    }

    async fn wrap_in_tls(
        &self,
        tcp: TcpStream,
        authority: &Authority,
        alpn: Alpn,
    ) -> Result<Stream, ConnectError> {
        let host = plain_host(authority.host());
        let config = self.settings.trust.config_for(&host, alpn);
        let config = config.map_err(ConnectError::NoTls)?;
        let name =
            ServerName::try_from(host.clone()).map_err(|error| ConnectError::NoTls(error.to_string()))?;
        let handshake = TlsConnector::from(config).connect(name, tcp);
        let done = self.within_timeout(handshake).await?;
        done.map(|stream| Stream::Tls(Box::new(stream)))
            .map_err(|source| ConnectError::Tls { host, source })
    }
}

/// How to get to upstreams, and whom to believe there.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) trust: Trust,
    pub(crate) via: Option<ViaProxy>,
}

/// What is known of the connection that carried an exchange. Found among the response's extensions.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionFacts {
    /// The response head as it was sent (HTTP/1 only).
    pub(crate) head: ResponseHead,
    connect: Duration,
    reuse: Arc<Reuse>,
}

/// Whether a connection can carry a further exchange.
#[derive(Debug, Default)]
pub(crate) struct Reuse {
    is_used: AtomicBool,
    is_spoilt: AtomicBool,
    answered_at: AtomicU64,
}

impl Reuse {
    /// It cannot: its response was broken off, or is the last one by its server's wish.
    pub(crate) fn spoil(&self) {
        self.is_spoilt.store(true, Ordering::Relaxed);
    }

    /// Whether there is no other reason to close it now than that there is no room for it among the idle ones.
    fn finds_no_room(&self, now: Timestamp) -> bool {
        let answered_at = Timestamp::from_micros(self.answered_at.load(Ordering::Relaxed));
        let is_expired = now.since(answered_at) >= POOL_IDLE;
        !is_expired && !self.is_spoilt.load(Ordering::Relaxed)
    }
}

impl ConnectionFacts {
    /// What opening the connection took, if it was opened for this exchange.
    pub(crate) fn connect_time(&self) -> Option<Duration> {
        (!self.reuse.is_used.swap(true, Ordering::Relaxed)).then_some(self.connect)
    }

    /// Notes that the head of a response came on it.
    pub(crate) fn answered(&self, head: &response::Parts, now: Timestamp) {
        self.reuse.answered_at.store(now.as_micros(), Ordering::Relaxed);
        let connection = head.headers.get(header::CONNECTION);
        let is_last = connection.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        if is_last || head.version < Version::HTTP_11 {
            self.reuse.spoil();
        }
    }

    /// What says whether it can be used again.
    pub(crate) fn reuse(&self) -> Arc<Reuse> {
        Arc::clone(&self.reuse)
    }
}

/// A connection as hyper uses it.
#[derive(Debug)]
pub(crate) struct UpstreamConnection {
    io: TokioIo<UpstreamTap<Stream>>,
    facts: ConnectionFacts,
    is_h2: bool,
    /// Another proxy takes requests on it for others.
    is_forwarded: bool,
    dialler: Dialler,
}

impl UpstreamConnection {
    /// Counts a connection that is closed only because there are enough idle ones.
    fn note_closing(&self) {
        let Settings { clock, meters, .. } = &*self.dialler.settings;
        let is_answered = self.io.inner().is_answered();
        if !self.is_h2 && is_answered && self.facts.reuse.finds_no_room(clock.now()) {
            meters.idle_upstreams.reach();
        }
        self.facts.reuse.spoil();
    }
}

impl Drop for UpstreamConnection {
    fn drop(&mut self) {
        self.dialler.settings.meters.idle_upstreams.sub(1);
    }
}

impl Connection for UpstreamConnection {
    fn connected(&self) -> Connected {
        let connected = Connected::new()
            .extra(self.facts.clone())
            .proxy(self.is_forwarded);
        if self.is_h2 {
            connected.negotiated_h2()
        } else {
            connected
        }
    }
}

impl hyper::rt::Read for UpstreamConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl hyper::rt::Write for UpstreamConnection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.note_closing();
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }
}

impl tower_service::Service<Uri> for Dialler {
    type Response = UpstreamConnection;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<UpstreamConnection, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// The pooled clients for all upstreams and destinations.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    pub(crate) dialler: Dialler,
    negotiating: Client<Dialler, RequestBody>,
    prior_h2: Client<Dialler, RequestBody>,
    http1: Client<Dialler, RequestBody>,
}

impl Clients {
    pub(crate) fn new(
        limits: &ResourceLimits,
        tasks: &Tasks,
        clock: Clock,
        meters: &Arc<Meters>,
        listening: Arc<OnceLock<Vec<SocketAddr>>>,
        gates: Vec<KnownUpstream>,
        way: Way,
    ) -> Self {
        let dialler = Dialler::new(limits, clock, meters, listening, gates, way);
        let client = |speaks: Speaks| {
            let mut builder =
                Client::builder(TasksExecutor::new(tasks.clone(), TaskKind::UpstreamConnection));
            builder
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(POOL_IDLE)
                .pool_max_idle_per_host(limits.max_idle_per_upstream)
                .set_host(false)
                .http1_preserve_header_case(true)
                .http1_max_headers(limits.max_headers)
                .http1_max_buf_size(limits.max_head_bytes.max(MIN_READ_BUFFER))
                .http2_only(speaks == Speaks::PriorH2)
                .http2_initial_stream_window_size(STREAM_WINDOW)
                .http2_initial_connection_window_size(CONNECTION_WINDOW)
                .http2_max_header_list_size(u32::try_from(limits.max_head_bytes).unwrap_or(u32::MAX));
            builder.build(dialler.speaking(speaks))
        };
        Self {
            negotiating: client(Speaks::Negotiated),
            prior_h2: client(Speaks::PriorH2),
            http1: client(Speaks::Http1),
            dialler,
        }
    }

    /// The client that speaks so.
    pub(crate) const fn speaking(&self, speaks: Speaks) -> &Client<Dialler, RequestBody> {
        match speaks {
            Speaks::Negotiated => &self.negotiating,
            Speaks::PriorH2 => &self.prior_h2,
            Speaks::Http1 => &self.http1,
        }
    }

    /// The proxy that forwards a request for `uri`, if one does.
    pub(crate) fn forwarder(&self, uri: &Uri, speaks: Speaks) -> Option<&ViaProxy> {
        let is_forwarded = speaks != Speaks::PriorH2;
        self.dialler.forwarder_of(uri).filter(|_| is_forwarded)
    }
}

/// Smallest read buffer that hyper takes.
pub(crate) const MIN_READ_BUFFER: usize = 8192;
