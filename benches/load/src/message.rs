//! The JSON-RPC messages of the load, and how they are read without a parser: both ends are ours.

use std::io::Write as _;

use memchr::memmem;

use crate::pattern;

/// Bytes of a tool call's body unless a workload says otherwise.
pub(crate) const REQUEST_BYTES: usize = 1024;

/// How much of a message is searched for the members before its payload.
const SEARCHED: usize = 256;

const CALL_END: &[u8] = b"\"}}}";
const ANSWER_END: &[u8] = b"\"}]}}";

/// Appends formatted text; writing into memory cannot fail.
pub(crate) fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

/// Replaces `out` by a call of the tool `answer`, `bytes` long, to be answered with `answer_bytes`.
pub(crate) fn call(id: u64, answer_bytes: usize, bytes: usize, out: &mut Vec<u8>) {
    out.clear();
    put(
        out,
        format_args!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"answer","#),
    );
    put(
        out,
        format_args!(r#""arguments":{{"size":{answer_bytes},"pad":""#),
    );
    pattern::append(id, 0, bytes.saturating_sub(out.len() + CALL_END.len()), out);
    out.extend_from_slice(CALL_END);
}

/// Replaces `out` by the answer to the session's `nth` call, `bytes` long.
pub(crate) fn answer(id: u64, nth: u64, bytes: usize, out: &mut Vec<u8>) {
    out.clear();
    put(
        out,
        format_args!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"nth":{nth},"content":[{{"type":"text","text":""#
        ),
    );
    pattern::append(id, 0, bytes.saturating_sub(out.len() + ANSWER_END.len()), out);
    out.extend_from_slice(ANSWER_END);
}

/// Replaces `out` by the answer to a call that did not arrive as it was sent.
pub(crate) fn damaged(id: u64, out: &mut Vec<u8>) {
    out.clear();
    put(
        out,
        format_args!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32602,"message":"the call is damaged"}}}}"#
        ),
    );
}

/// The number behind `"name":` near the start of a message.
pub(crate) fn number(message: &[u8], name: &str) -> Option<u64> {
    let start = message.get(..SEARCHED.min(message.len()))?;
    let at = memmem::find(start, format!("\"{name}\":").as_bytes())?;
    digits(message.get(at + name.len() + 3..)?)
}

/// The number at the start of some bytes.
pub(crate) fn digits(bytes: &[u8]) -> Option<u64> {
    let length = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(bytes.get(..length)?).ok()?.parse().ok()
}

/// The size that a call of the tool `answer` asks for, if all of the call is as [`call`] made it.
pub(crate) fn checked_call(id: u64, message: &[u8]) -> Option<usize> {
    let size = usize::try_from(number(message, "size")?).ok()?;
    let start = memmem::find(message.get(..SEARCHED.min(message.len()))?, b"\"pad\":\"")? + 7;
    let pad = message.get(start..)?.strip_suffix(CALL_END)?;
    pattern::matches(id, 0, pad).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_the_size_asked_for_and_is_json() {
        let mut message = Vec::new();
        call(17, 65_536, 1_024, &mut message);
        assert_eq!(message.len(), 1_024);
        assert!(serde_json::from_slice::<serde_json::Value>(&message).is_ok());
        assert_eq!(number(&message, "id"), Some(17));
        assert_eq!(checked_call(17, &message), Some(65_536));
    }

    #[test]
    fn a_damaged_call_is_noticed() {
        let mut message = Vec::new();
        call(17, 65_536, 1_024, &mut message);
        assert_eq!(checked_call(18, &message), None);
        message[900] ^= 1;
        assert_eq!(checked_call(17, &message), None);
    }

    #[test]
    fn an_answer_has_the_size_asked_for_and_is_json() {
        let mut message = Vec::new();
        answer(17, 3, 65_536, &mut message);
        assert_eq!(message.len(), 65_536);
        assert!(serde_json::from_slice::<serde_json::Value>(&message).is_ok());
        assert_eq!(
            (number(&message, "id"), number(&message, "nth")),
            (Some(17), Some(3))
        );
    }
}
