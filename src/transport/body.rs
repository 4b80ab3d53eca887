//! The bodies that hyper is given: of requests that go on, and of what clients get.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::snapshot::Direction;

use super::early::EarlyStream;
use super::exchange::Exchange;
use super::reader::{BodyKind, BodyReader};
use super::relay::Relay;
use super::relay::source::BodyError;
use super::watchers::Outbox;

/// A request's body on its way, while it is read.
pub(super) fn request_relay(
    exchange: &Arc<Exchange>,
    fields: &HeaderMap,
    incoming: Incoming,
    outbox: Outbox,
) -> Relay {
    let reader = reader_for(exchange, fields);
    let exchange = Arc::clone(exchange);
    Relay::new(exchange, Direction::ClientToServer, incoming, reader, outbox)
}

pub(super) fn reader_for(exchange: &Exchange, fields: &HeaderMap) -> BodyReader {
    let text = |name| {
        fields
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let lease = exchange.hub.buffers.lease(exchange.side);
    let kind = BodyKind::of_fields(fields);
    let coding = text(header::CONTENT_ENCODING);
    let mut reader = BodyReader::new(kind, coding, &exchange.hub.limits, lease);
    if coding.is_none()
        && let Some(length) = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok())
    {
        reader.expect(length);
    }
    reader.begin_at(exchange.early_frames());
    reader
}

/// A request's body. Shared with the exchange, which reads the rest itself when the upstream cannot be reached.
#[derive(Debug, Clone)]
pub(crate) struct RequestBody(Arc<Mutex<Relay>>);

impl RequestBody {
    pub(crate) fn new(relay: Relay) -> Self {
        Self(Arc::new(Mutex::new(relay)))
    }

    /// Reads what is left of the body for as long as `patience`, so that a request is seen although its upstream could
    /// not be reached.
    pub(crate) async fn drain(self, patience: Duration) {
        let reading =
            async { while let Some(Ok(_)) = std::future::poll_fn(|cx| self.lock().poll_next(cx)).await {} };
        // What did not come in time is told as broken off when the relay is dropped.
        if tokio::time::timeout(patience, reading).await.is_err() {
            tracing::debug!("the rest of a request whose upstream failed did not come in time");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Relay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.lock().poll_next(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().size_hint()
    }
}

/// The body of what a client gets.
#[derive(Debug)]
pub(crate) enum ReplyBody {
    /// An upstream's.
    Relay(Box<Relay>),
    /// Our own.
    Own(Option<Bytes>),
    /// One that began before the server was asked.
    Early(Box<EarlyStream>),
    /// One that breaks off at once.
    Broken,
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Relay(relay) => relay.poll_next(cx),
            Self::Early(stream) => stream.poll_next(cx),
            Self::Broken => Poll::Ready(Some(Err(BodyError::GivenUp("closed by a rule")))),
            Self::Own(text) => Poll::Ready(
                text.take()
                    .filter(|text| !text.is_empty())
                    .map(|text| Ok(Frame::data(text))),
            ),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Relay(relay) => relay.is_end_stream(),
            Self::Early(_) | Self::Broken => false,
            Self::Own(text) => text.as_ref().is_none_or(Bytes::is_empty),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Relay(relay) => relay.size_hint(),
            Self::Early(_) | Self::Broken => SizeHint::default(),
            Self::Own(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}
