//! HTTP bodies and answers of the demonstration server.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::Value;
use tokio::sync::mpsc;

use super::events::Reader;
use crate::demo::wire::{self, Fault, INVALID_REQUEST, PARSE_ERROR};

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;
pub(super) type Answer = Response<Body>;

/// Longest request body, in bytes.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// A JSON document.
pub(super) fn json(status: StatusCode, message: &Value) -> Answer {
    let body = Full::new(Bytes::from(message.to_string())).boxed_unsync();
    with_type(status, body, "application/json")
}

/// A JSON-RPC error.
pub(super) fn refuse(status: StatusCode, id: Option<&Value>, fault: &Fault) -> Answer {
    json(status, &wire::error(id, fault))
}

/// Why a request is refused before its message is looked at.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    fault: Fault,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self {
            status,
            fault: Fault::new(INVALID_REQUEST, reason),
        }
    }

    /// As `self`, with another code than "invalid request".
    pub(super) fn with_code(mut self, code: i64) -> Self {
        self.fault.code = code;
        self
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        refuse(refusal.status, None, &refusal.fault)
    }
}

/// A result or an error for `id`, on 200.
pub(super) fn outcome(id: &Value, outcome: Result<Value, Fault>) -> Answer {
    match outcome {
        Ok(value) => json(StatusCode::OK, &wire::result(id, value)),
        Err(fault) => refuse(StatusCode::OK, Some(id), &fault),
    }
}

/// Nothing but a status.
pub(super) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Empty::new().boxed_unsync());
    *answer.status_mut() = status;
    answer
}

fn with_type(status: StatusCode, body: Body, media_type: &'static str) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}

/// Where the events of a stream come from.
#[derive(Debug)]
pub(super) enum Source {
    /// A modern stream: what is sent is gone.
    Channel(mpsc::Receiver<Bytes>),
    /// A legacy stream: what is sent can be read again.
    Log(Reader),
}

impl Source {
    /// The next event's bytes; `None` at the end. Cancel safe.
    async fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Channel(receiver) => receiver.recv().await,
            Self::Log(reader) => reader.next().await,
        }
    }

    async fn next_or_comment(&mut self, keep_alive: Duration) -> Option<Bytes> {
        let next = tokio::time::timeout(keep_alive, self.next()).await;
        next.unwrap_or_else(|_| Some(Bytes::from_static(b": keep-alive\n\n")))
    }
}

/// An event stream, with a comment whenever `keep_alive` passes without an event.
pub(super) fn events(source: Source, keep_alive: Duration) -> Answer {
    let frames = stream::unfold(source, move |mut source| async move {
        let bytes = source.next_or_comment(keep_alive).await?;
        Some((Ok(Frame::data(bytes)), source))
    });
    let mut answer = with_type(
        StatusCode::OK,
        StreamBody::new(frames).boxed_unsync(),
        "text/event-stream",
    );
    let no_cache = HeaderValue::from_static("no-cache, no-transform");
    answer.headers_mut().insert(CACHE_CONTROL, no_cache);
    answer
}

/// The request's JSON document.
pub(super) async fn read_json(body: Incoming) -> Result<Value, Refusal> {
    let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
    let body = body.map_err(|_| {
        let reason = "the body is longer than 1 MiB or broke off";
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, reason)
    })?;
    serde_json::from_slice(&body.to_bytes()).map_err(|error| {
        let reason = format!("the body is not JSON: {error}");
        Refusal::new(StatusCode::BAD_REQUEST, reason).with_code(PARSE_ERROR)
    })
}

/// The one value of a header. Trimmed, because space around a value is no part of it.
///
/// # Errors
/// The reason, when the header appears twice or holds no visible ASCII.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, String> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(format!("the header {name} appears twice"));
    }
    let text = value.to_str();
    text.map(|text| Some(text.trim()))
        .map_err(|_| format!("the header {name} is not visible ASCII"))
}

/// As [`header`], with `None` for what cannot be read.
pub(super) fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    header(headers, name).ok().flatten()
}
