//! Bodies on their way, with what reads them.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use hyper::body::Incoming;

use crate::snapshot::Direction;

use super::exchange::Exchange;
use super::reader::{BodyKind, BodyReader};
use super::relay::Relay;
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
