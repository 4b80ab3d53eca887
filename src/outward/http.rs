//! Requests to the server.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use reqwest::{Client, Response, Url};
use tokio::sync::oneshot;

use crate::config::{UpstreamConfig, UpstreamProtocol};
use crate::transport::own_client;
use crate::transport::relay::describe;

use super::failure::Failure;
use super::room::Held;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept: less than the five seconds of common servers, so that a request does not meet
/// the end of its connection.
const IDLE: Duration = Duration::from_secs(4);
/// How much of a body is handed over at once, in bytes.
const PART_BYTES: usize = 64 * 1024;

/// A client and the URL it was made for.
pub(super) fn client(server: &UpstreamConfig) -> Result<(Client, Url), String> {
    let url = match server.protocol {
        UpstreamProtocol::H2c => format!("http://{}{}", server.authority, server.path),
        UpstreamProtocol::Http | UpstreamProtocol::Https => server.url(),
    };
    let parsed = Url::parse(&url).map_err(|error| error.to_string())?;
    let mut builder = own_client::builder(&url)?
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE);
    if server.protocol == UpstreamProtocol::H2c {
        builder = builder.http2_prior_knowledge();
    }
    let client = builder.build().map_err(|error| describe(&error))?;
    Ok((client, parsed))
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
/// [`Failure`] if it broke off, is longer, or there is no room for it.
pub(super) async fn whole_body(
    mut response: Response,
    max_bytes: usize,
    held: &mut Held,
) -> Result<Vec<u8>, Failure> {
    let place = place(response.url());
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| Failure::broke_off(&place, error))?
    {
        let bytes = body.len() + chunk.len();
        if bytes > max_bytes || !held.set(bytes) {
            return Err(Failure::too_large(max_bytes));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The beginning of a body, for what it says about a failure.
pub(super) async fn some_of_body(mut response: Response, max_bytes: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = max_bytes - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    body
}
