//! Messages that a lane makes in the place of others.

use bytes::Bytes;

use crate::intercept::rule::Refusal;
use crate::intercept::rules::template::{error_answer, tool_error_answer};
use crate::transport::answer::RPC_CODE;

use super::Noted;

/// An id that no request had.
pub(super) const WRONG_ID: &str = "\"shadowcat-wrong-id\"";

/// What the sender of a dropped request hears.
pub(super) fn dropped() -> Refusal {
    Refusal::Error {
        code: RPC_CODE,
        message: "The proxy dropped this message.".to_owned(),
    }
}

/// What the sender of a cancelled request would hear if it still listened.
pub(super) fn cancelled() -> Refusal {
    Refusal::Error {
        code: RPC_CODE,
        message: "The request was cancelled while the proxy held it.".to_owned(),
    }
}

/// The message that refuses the requests of a frame, or stands for its answers: a batch for a batch.
pub(super) fn refusals(noted: Option<&Noted>, with: &Refusal) -> Bytes {
    let ids = noted.map(Noted::rpc_ids).unwrap_or_default();
    let payload = noted.map(|noted| &noted.payload[..]).unwrap_or_default();
    if !is_batch(payload) {
        return refusal(ids.first().map_or("null", String::as_str), with, payload).into();
    }
    let refusals: Vec<String> = ids.iter().map(|id| refusal(id, with, payload)).collect();
    format!("[{}]", refusals.join(",")).into()
}

/// The message that refuses the request with this id, as spelled, or stands for its answer.
fn refusal(id: &str, refusal: &Refusal, message: &[u8]) -> String {
    match refusal {
        Refusal::Error { code, message } => error_answer(id, *code, message),
        Refusal::ToolError { text } => tool_error_answer(id, text, message),
        Refusal::Status(status) => {
            let text = format!("The proxy refused this request with HTTP {status}.");
            error_answer(id, RPC_CODE, &text)
        }
        Refusal::Close => error_answer(id, RPC_CODE, "The proxy closed the connection."),
    }
}

/// Whether a payload is a batch of messages (MCP 2025-03-26).
pub(super) fn is_batch(payload: &[u8]) -> bool {
    payload.trim_ascii_start().starts_with(b"[")
}

/// What is left of a dropped event: the place from which a client resumes.
pub(super) fn resume_point(id: &str, with_data: bool) -> Bytes {
    let data = if with_data { "data:\n" } else { "" };
    Bytes::from(format!("id: {id}\n{data}\n"))
}

/// A message as an event of an HTTP+SSE stream (MCP 2024-11-05, Transports).
pub(crate) fn as_event(message: &[u8]) -> Bytes {
    [b"event: message\ndata: ", &*one_line(message, false), b"\n"]
        .concat()
        .into()
}

/// A payload on one line, with its end.
pub(super) fn one_line(payload: &[u8], is_windows: bool) -> Bytes {
    let mut line: Vec<u8> = payload.to_vec();
    // JSON has line ends only between its tokens: in texts they are escaped.
    line.retain(|byte| !matches!(byte, b'\n' | b'\r'));
    line.extend_from_slice(if is_windows { b"\r\n" } else { b"\n" });
    line.into()
}
