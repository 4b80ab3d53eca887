//! What a recorded answer says of its request. Pure.

use serde_json::Value;

use super::MISSED;
use crate::transport::bridge::agreement::{HEADER_MISMATCH, INVALID_PARAMS};

/// JSON-RPC: there is no such method.
const METHOD_NOT_FOUND: i64 = -32_601;
/// MCP up to 2025-11-25: there is no such resource.
const RESOURCE_NOT_FOUND: i64 = -32_002;

/// How servers say that they have no tool, prompt or resource of a name.
const UNKNOWN: [&str; 5] = ["unknown", "not found", "no such", "does not exist", "not_found"];

/// What matters of a recorded answer later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// The headers of the request contradicted its body.
    pub(super) is_mismatch: bool,
    /// The server has no such tool, prompt or resource.
    pub(super) is_unknown: bool,
}

impl Said {
    /// What an answer to a request about `subject` says.
    pub(super) fn of(answer: &[u8], subject: Option<&str>) -> Self {
        let Ok(answer) = serde_json::from_slice::<Value>(answer) else {
            return Self::default();
        };
        let error = &answer["error"];
        let code = error["code"].as_i64();
        let says_unknown = |text: &Value| {
            let text = text.as_str().unwrap_or_default();
            let lower = text.to_lowercase();
            let names_it = subject.is_none_or(|subject| text.contains(subject));
            names_it && UNKNOWN.iter().any(|word| lower.contains(word))
        };
        let result = &answer["result"];
        let is_unknown = match code {
            Some(METHOD_NOT_FOUND | RESOURCE_NOT_FOUND | MISSED) => true,
            Some(INVALID_PARAMS) => says_unknown(&error["message"]),
            Some(_) => false,
            None => result["isError"] == true && says_unknown(&result["content"][0]["text"]),
        };
        Self {
            is_mismatch: code == Some(HEADER_MISMATCH),
            is_unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_unknown(answer: &str) -> bool {
        Said::of(answer.as_bytes(), Some("nope")).is_unknown
    }

    #[test]
    fn a_server_says_in_many_ways_that_it_has_no_such_tool() {
        for answer in [
            r#"{"error":{"code":-32602,"message":"Unknown tool: nope"}}"#,
            r#"{"error":{"code":-32601,"message":"x"}}"#,
            r#"{"error":{"code":-33001,"message":"Not in the recording: tools/call `nope`"}}"#,
            r#"{"result":{"isError":true,"content":[{"type":"text","text":"MCP error -32602: Tool nope not found"}]}}"#,
        ] {
            assert!(is_unknown(answer), "{answer}");
        }
        for answer in [
            r#"{"error":{"code":-32602,"message":"Invalid arguments for tool nope: a is required"}}"#,
            r#"{"error":{"code":-32603,"message":"nope: file not found"}}"#,
            r#"{"result":{"isError":true,"content":[{"type":"text","text":"city not found"}]}}"#,
            r#"{"result":{"content":[{"type":"text","text":"nope not found"}]}}"#,
        ] {
            assert!(!is_unknown(answer), "{answer}");
        }
    }
}
