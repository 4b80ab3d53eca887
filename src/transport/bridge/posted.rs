//! What a client posts: read whole, made one line, scanned.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body::Body as _;

use crate::codec::envelope::{Envelope, MessageKind, Scan, Shape, scan};
use crate::resource::meters::{Lease, Share};
use crate::transport::body::RequestBody;
use crate::transport::reader::BodyKind;

use super::compact::input_line;
use super::reply::{Refusal, Visit};

const PARSE_ERROR: i64 = -32_700;
pub(super) const INVALID_REQUEST: i64 = -32_600;

/// What a client has posted.
#[derive(Debug)]
pub(super) struct Posted {
    /// One line for the program, its end included.
    pub(super) line: Bytes,
    pub(super) scan: Scan,
    /// The memory of the line.
    pub(super) lease: Lease,
}

impl Posted {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Refusal`] for what is no JSON-RPC, and for what is too large.
    pub(super) async fn read(visit: &Visit<'_>, body: RequestBody) -> Result<Self, Refusal> {
        check_head(visit.headers)?;
        let max = visit.hub.limits.max_message_bytes;
        let length = visit
            .field(header::CONTENT_LENGTH)
            .and_then(|length| length.parse().ok());
        if length.is_some_and(|length: usize| length > max) {
            return Err(too_large(max));
        }
        let mut lease = visit.hub.buffers.lease(Share::Stdio);
        let bytes = read_whole(body, max, &mut lease).await?;
        let line = input_line(&bytes);
        let scan = scan(&line);
        let posted = Self { line, scan, lease };
        posted.check()?;
        Ok(posted)
    }

    pub(super) fn messages(&self) -> &[Envelope] {
        &self.scan.messages
    }

    pub(super) fn is_batch(&self) -> bool {
        self.scan.shape == Shape::Batch
    }

    pub(super) fn has_requests(&self) -> bool {
        self.messages()
            .iter()
            .any(|message| message.kind == MessageKind::Request)
    }

    /// The id of the first request, as spelled.
    pub(super) fn request_id(&self) -> Option<String> {
        let mut requests = self
            .messages()
            .iter()
            .filter(|message| message.kind == MessageKind::Request);
        Some(requests.next()?.id.as_ref()?.token()?.to_owned())
    }

    fn check(&self) -> Result<(), Refusal> {
        let bad = |code: i64, text: &str| {
            let refusal = Refusal::new(StatusCode::BAD_REQUEST, "invalid_request", text);
            Err(refusal.with_code(code).with_id(self.request_id()))
        };
        if !matches!(self.scan.shape, Shape::Single | Shape::Batch) {
            return bad(PARSE_ERROR, "The body is not a JSON document.");
        }
        if self.scan.messages_cut > 0 {
            return bad(
                INVALID_REQUEST,
                "The batch has too many messages; send at most 1024 at once.",
            );
        }
        let is_message = |message: &Envelope| message.is_version_2 && message.kind != MessageKind::Malformed;
        if self.messages().is_empty() || !self.messages().iter().all(is_message) {
            return bad(
                INVALID_REQUEST,
                "The body is not a JSON-RPC 2.0 message: it needs \"jsonrpc\":\"2.0\" and a method, a result or an error.",
            );
        }
        Ok(())
    }
}

fn check_head(headers: &HeaderMap) -> Result<(), Refusal> {
    let unsupported = |text: &str| {
        Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "media_type",
            text,
        ))
    };
    if !BodyKind::of_fields(headers).is_json() {
        return unsupported("The Content-Type must be application/json.");
    }
    let coding = headers.get(header::CONTENT_ENCODING);
    if coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return unsupported("The body is compressed; send it without a Content-Encoding.");
    }
    Ok(())
}

async fn read_whole(mut body: RequestBody, max: usize, lease: &mut Lease) -> Result<Bytes, Refusal> {
    let mut whole = BytesMut::new();
    loop {
        let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await;
        let chunk = match frame {
            None => return Ok(whole.freeze()),
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(_)) => {
                let text = "The request ended before its body was whole.";
                return Err(Refusal::new(StatusCode::BAD_REQUEST, "cut_request", text));
            }
        };
        if whole.len() + chunk.len() > max {
            return Err(too_large(max));
        }
        // Once as it came and once as a line.
        if !lease.resize((whole.len() + chunk.len()) * 2) {
            let text = "There is no room to read this message (max_buffer_pool); try again, or raise --max-buffer-pool.";
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text));
        }
        whole.extend_from_slice(&chunk);
    }
}

fn too_large(max: usize) -> Refusal {
    let text = format!(
        "The message has more than {max} bytes, which is max_message_bytes: a command's input takes one message a line, so it has to be held as a whole. Send less, or raise --max-message-bytes."
    );
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text)
}
