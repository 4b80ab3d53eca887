//! A proxy that looks at nothing: what hyper costs by itself.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use http::header::{CONNECTION, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::task::TaskTracker;

use crate::report::say_line;

const BACKLOG: u32 = 4096;

/// Fields that are about one connection only.
static HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

type Body = Either<Incoming, String>;

#[derive(Clone)]
struct Proxy {
    client: Client<HttpConnector, Incoming>,
    authority: Authority,
    host: HeaderValue,
}

/// Passes everything to `upstream` until it is killed.
///
/// # Errors
/// The port cannot be opened.
pub(crate) async fn run(upstream: SocketAddr) -> Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let listener = socket.listen(BACKLOG)?;
    say_line(format_args!("listening on {}", listener.local_addr()?));
    let proxy = Proxy::new(upstream)?;
    let connections = TaskTracker::new();
    loop {
        let (stream, _) = listener.accept().await?;
        connections.spawn(serve(stream, proxy.clone()));
    }
}

async fn serve(stream: TcpStream, proxy: Proxy) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |request| proxy.clone().pass(request));
    // A connection that breaks is nobody's business but its peers'.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Proxy {
    fn new(upstream: SocketAddr) -> Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        let authority = upstream.to_string();
        let host = HeaderValue::from_str(&authority)?;
        Ok(Self {
            client,
            authority: authority.parse().context("an address is an authority")?,
            host,
        })
    }

    async fn pass(self, mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        *request.uri_mut() = self.uri_for(request.uri());
        strip(request.headers_mut());
        request.headers_mut().insert(HOST, self.host);
        Ok(match self.client.request(request).await {
            Ok(mut response) => {
                strip(response.headers_mut());
                response.map(Either::Left)
            }
            Err(error) => {
                let mut response = Response::new(Either::Right(error.to_string()));
                *response.status_mut() = StatusCode::BAD_GATEWAY;
                response
            }
        })
    }

    fn uri_for(&self, asked: &Uri) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(
            asked
                .path_and_query()
                .cloned()
                .unwrap_or_else(|| PathAndQuery::from_static("/")),
        );
        Uri::from_parts(parts).unwrap_or_default()
    }
}

fn strip(headers: &mut HeaderMap) {
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}
