//! Requests to the server.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http_body::{Body, Frame, SizeHint};
use reqwest::{Client, Proxy, Response, Url};
use tokio::sync::oneshot;

use crate::config::UpstreamProtocol;
use crate::config::forward::ViaProxy;
use crate::transport::causes::describe;
use crate::transport::own_client;
use crate::transport::tls::trust::Trust;
use crate::transport::via::is_on_the_way;

use super::failure::Failure;
use super::incoming::Incoming;
use super::room::Held;
use super::{OutwardConfig, OutwardError};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept: less than the five seconds of common servers, so that a request does not meet
/// the end of its connection.
const IDLE: Duration = Duration::from_secs(4);
/// How much of a body is handed over at once, in bytes.
const PART_BYTES: usize = 64 * 1024;

/// A client and the URL it was made for. Reads the files of further roots; blocks.
pub(super) fn client(config: &OutwardConfig) -> Result<(Client, Url), OutwardError> {
    let way = config.way();
    way.check()?;
    let trust = Trust::new(&way)?;
    made(config, &trust).map_err(|cause| OutwardError::Client {
        url: config.server.origin(),
        cause,
    })
}

fn made(config: &OutwardConfig, trust: &Trust) -> Result<(Client, Url), String> {
    let server = &config.server;
    let host = server.authority.host();
    let url = match server.protocol {
        UpstreamProtocol::H2c => format!("http://{}{}", server.authority, server.path),
        UpstreamProtocol::Http | UpstreamProtocol::Https => server.url(),
    };
    let parsed = Url::parse(&url).map_err(|error| error.to_string())?;
    let mut builder = own_client::trusting_builder(&url, host, trust)?
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE);
    let via = on_the_way(config);
    if server.protocol == UpstreamProtocol::H2c {
        if via.is_some() {
            return Err("h2c:// does not go through another proxy here; leave out --via".to_owned());
        }
        builder = builder.http2_prior_knowledge();
    }
    if let Some(via) = via {
        builder = builder.proxy(proxy(via)?);
    }
    let client = builder.build().map_err(|error| describe(&error))?;
    Ok((client, parsed))
}

/// The proxy through which the server is reached.
pub(super) fn on_the_way(config: &OutwardConfig) -> Option<&ViaProxy> {
    let host = config.server.authority.host();
    config.via.as_ref().filter(|via| is_on_the_way(via, host))
}

/// Gets requests for `http:` with their whole URL, and opens tunnels for `https:`.
fn proxy(via: &ViaProxy) -> Result<Proxy, String> {
    let proxy = Proxy::all(format!("http://{}", via.authority())).map_err(|error| describe(&error))?;
    let Some(credentials) = via.credentials() else {
        return Ok(proxy);
    };
    let mut proof = HeaderValue::from_str(credentials.field()).map_err(|error| error.to_string())?;
    proof.set_sensitive(true);
    Ok(proxy.custom_http_auth(proof))
}

/// A URL as it can be shown: its query may be a secret.
pub(super) fn place(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// A body that tells when the last of it was handed over.
pub(super) struct ToldBody {
    rest: Bytes,
    sent: Option<oneshot::Sender<()>>,
}

impl ToldBody {
    /// The body; the receiver ends when it was handed over, or when it never will be.
    pub(super) fn of(bytes: Bytes) -> (reqwest::Body, oneshot::Receiver<()>) {
        let (sent, handed_over) = oneshot::channel();
        let body = Self {
            rest: bytes,
            sent: Some(sent),
        };
        (reqwest::Body::wrap(body), handed_over)
    }
}

impl Body for ToldBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let bytes = self.rest.len().min(PART_BYTES);
        let part = self.rest.split_to(bytes);
        if self.rest.is_empty() {
            self.sent = None;
        }
        Poll::Ready((!part.is_empty()).then(|| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// The whole body of a response, at most `max_bytes` of it.
///
/// # Errors
/// [`Failure`] if it broke off, cannot be decoded, is longer, or there is no room for it.
pub(super) async fn whole_body(
    response: Response,
    max_bytes: usize,
    held: &mut Held,
) -> Result<Vec<u8>, Failure> {
    let mut incoming = Incoming::of(response);
    let mut body = Vec::new();
    while let Some(chunk) = incoming.chunk().await? {
        let bytes = body.len() + chunk.len();
        if bytes > max_bytes || !held.set(bytes) {
            return Err(Failure::too_large(max_bytes));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The beginning of a body, for what it says about a failure.
pub(super) async fn some_of_body(response: Response, max_bytes: usize) -> Vec<u8> {
    let mut incoming = Incoming::of(response);
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = incoming.chunk().await {
        let room = max_bytes - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    body
}
