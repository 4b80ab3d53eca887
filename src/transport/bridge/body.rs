//! Bodies that the bridge makes: one document, or an event stream.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::time::{Instant, Sleep, sleep};

use crate::transport::relay::source::{BodyError, MadeBody};

use super::desk::Seat;
use super::routing::Routing;
use super::spool::{Lane, Message, Next};

/// How long an event stream is silent before a comment says that it is still there: clients give up after five minutes
/// without a byte, and some networks much earlier.
const SILENCE: Duration = Duration::from_secs(25);

/// One document, all at once.
#[derive(Debug)]
pub(super) struct Whole(pub(super) Option<Bytes>);

impl MadeBody for Whole {
    fn poll_piece(&mut self, _cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        Poll::Ready(self.0.take().map(Ok))
    }

    fn is_at_end(&self) -> bool {
        self.0.is_none()
    }
}

/// An event stream: what comes for a seat.
#[derive(Debug)]
pub(super) struct Events<R: Routing> {
    seat: Seat<R>,
    /// What is sent before anything else.
    first: Option<Bytes>,
    has_ids: bool,
    silence: Pin<Box<Sleep>>,
    is_done: bool,
}

impl<R: Routing> Events<R> {
    /// `has_ids`: each event carries an id from which the stream can be resumed.
    pub(super) fn new(seat: Seat<R>, first: Option<Bytes>, has_ids: bool) -> Self {
        Self {
            seat,
            first,
            has_ids,
            silence: Box::pin(sleep(SILENCE)),
            is_done: false,
        }
    }

    fn piece(&mut self, next: Next) -> Option<Result<Bytes, BodyError>> {
        match next {
            Next::Message { number, message, .. } => {
                let id = self.has_ids.then_some((self.seat.lane(), number));
                Some(Ok(event(&message, id)))
            }
            Next::End => {
                self.is_done = true;
                None
            }
            Next::Taken => {
                self.is_done = true;
                let why = "the stream was closed: its client took another one in its place, or did not read";
                Some(Err(BodyError::GivenUp(why)))
            }
        }
    }
}

impl<R: Routing> MadeBody for Events<R> {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        if self.is_done {
            return Poll::Ready(None);
        }
        if let Poll::Ready(next) = self.seat.poll_next(cx) {
            self.silence.as_mut().reset(Instant::now() + SILENCE);
            return Poll::Ready(self.piece(next));
        }
        if self.silence.as_mut().poll(cx).is_ready() {
            self.silence.as_mut().reset(Instant::now() + SILENCE);
            cx.waker().wake_by_ref();
            return Poll::Ready(Some(Ok(Bytes::from_static(b": still here\n\n"))));
        }
        Poll::Pending
    }
}

/// A message as an SSE event.
pub(super) fn event(message: &Message, id: Option<(Lane, u64)>) -> Bytes {
    let mut event = BytesMut::with_capacity(message.text.len() + 64);
    event.put_slice(b"event: message\n");
    if let Some((lane, number)) = id {
        event.put_slice(format!("id: {}\n", event_id(lane, number)).as_bytes());
    }
    event.put_slice(b"data: ");
    event.put_slice(&message.text);
    event.put_slice(b"\n\n");
    event.freeze()
}

/// An event without a message, from which a stream can be resumed before anything came.
///
/// Source: MCP 2025-11-25, Transports, "Sending Messages to the Server".
pub(super) fn priming_event(lane: Lane) -> Bytes {
    format!("id: {}\ndata: \n\n", event_id(lane, 0)).into()
}

fn event_id(lane: Lane, number: u64) -> String {
    format!("{}-{number}", lane.0)
}

/// The lane and the number in an event id of ours.
pub(super) fn parse_event_id(id: &str) -> Option<(Lane, u64)> {
    let (lane, number) = id.trim().split_once('-')?;
    Some((Lane(lane.parse().ok()?), number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_is_read_back() {
        assert_eq!(parse_event_id(&event_id(Lane(7), 19)), Some((Lane(7), 19)));
        for foreign in ["", "7", "a-b", "7-", "_GET_stream"] {
            assert_eq!(parse_event_id(foreign), None);
        }
    }

    #[test]
    fn a_message_is_one_event_with_its_id() {
        let message = Message {
            text: Bytes::from_static(b"{}"),
            is_request: false,
            is_ours: false,
        };
        assert_eq!(
            event(&message, Some((Lane(1), 2))),
            "event: message\nid: 1-2\ndata: {}\n\n"
        );
        assert_eq!(event(&message, None), "event: message\ndata: {}\n\n");
        assert_eq!(priming_event(Lane(1)), "id: 1-0\ndata: \n\n");
    }
}
