//! Messages that a lane makes in the place of others.

use bytes::Bytes;
use serde_json::json;

use crate::intercept::rule::Refusal;
use crate::transport::answer::RPC_CODE;

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

/// The message that refuses the request with this id, as spelled.
pub(super) fn refusal(id: Option<&str>, refusal: &Refusal) -> Bytes {
    let outcome = match refusal {
        Refusal::Error { code, message } => {
            format!("\"error\":{}", json!({"code": code, "message": message}))
        }
        Refusal::ToolError { text } => format!(
            "\"result\":{}",
            json!({"content": [{"type": "text", "text": text}], "isError": true})
        ),
        Refusal::Status(status) => format!(
            "\"error\":{}",
            json!({"code": RPC_CODE, "message": format!("The proxy refused this request with HTTP {status}.")})
        ),
        Refusal::Close => format!(
            "\"error\":{}",
            json!({"code": RPC_CODE, "message": "The proxy closed the connection."})
        ),
    };
    let id = id.unwrap_or("null");
    Bytes::from(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},{outcome}}}"))
}

/// What is left of a dropped event: the place from which a client resumes.
pub(super) fn resume_point(id: &str, with_data: bool) -> Bytes {
    let data = if with_data { "data:\n" } else { "" };
    Bytes::from(format!("id: {id}\n{data}\n"))
}

/// A payload on one line, with its end.
pub(super) fn one_line(payload: &[u8], is_windows: bool) -> Bytes {
    let mut line: Vec<u8> = payload.to_vec();
    // JSON has line ends only between its tokens: in texts they are escaped.
    line.retain(|byte| !matches!(byte, b'\n' | b'\r'));
    line.extend_from_slice(if is_windows { b"\r\n" } else { b"\n" });
    line.into()
}
