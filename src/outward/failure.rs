//! Why a message was not answered by the server, and how the client is told.

use http::{HeaderMap, StatusCode, header};
use serde_json::json;

use crate::codec::json::{PathStep, find_path, string_value};
use crate::config::forward::ViaProxy;
use crate::session::observation::head_text;
use crate::transport::answer::RPC_CODE;
use crate::transport::causes::{describe, is_no_http};
use crate::transport::tls::trust::advice;

use super::line::one_line;

/// How much of a server's explanation is repeated, in characters.
const MAX_EXCERPT: usize = 400;

/// Why there is no answer of the server's.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// A word for programs.
    pub(super) reason: &'static str,
    /// What was tried, what came back, what to do.
    pub(super) text: String,
    pub(super) status: Option<StatusCode>,
    challenges: Vec<String>,
}

impl Failure {
    /// The same, with more to say.
    pub(super) fn and(mut self, more: &str) -> Self {
        self.text.push_str(more);
        self
    }

    pub(super) fn new(reason: &'static str, text: impl Into<String>) -> Self {
        Self {
            reason,
            text: text.into(),
            status: None,
            challenges: Vec::new(),
        }
    }

    /// No response came. `via` is the proxy on the way, if there is one.
    pub(super) fn unreachable(place: &str, via: Option<&ViaProxy>, error: reqwest::Error) -> Self {
        let is_connect = error.is_connect();
        let advice = advice(&error).map(|advice| advice.trim_end_matches('.'));
        let is_no_http = is_no_http(&error) && place.starts_with("http://");
        let cause = describe(&error.without_url());
        match via {
            // A certificate is the server's, so the proxy has done its part.
            Some(via) if is_connect && advice.is_none() => return Self::by_proxy(place, via, &cause),
            _ if is_connect => {
                let advice = advice.unwrap_or("Check that the server runs there");
                let text = format!("{place} could not be reached: {cause}. {advice}");
                return Self::new("unreachable", text);
            }
            _ => {}
        }
        let hint = if is_no_http {
            ". What answers there speaks no HTTP; if it speaks TLS, write https:// in the URL"
        } else {
            ""
        };
        let text = format!(
            "the connection to {place} broke before an answer: {cause}. It may have been carried out{hint}"
        );
        Self::new("connection_broke", text)
    }

    /// The proxy on the way cannot be reached, or opens no tunnel.
    fn by_proxy(place: &str, via: &ViaProxy, cause: &str) -> Self {
        // What the library says of an answer 407.
        let text = if cause.contains("proxy authorization required") {
            wants_credentials(place, via)
        } else {
            format!(
                "{place} could not be reached through the proxy {via}: {cause}. Check that this proxy runs, and that --via has its host and port"
            )
        };
        Self::new("unreachable", text)
    }

    /// The body of a response broke off.
    pub(super) fn broke_off(place: &str, error: reqwest::Error) -> Self {
        let cause = describe(&error.without_url());
        Self::new(
            "connection_broke",
            format!("the answer of {place} broke off: {cause}"),
        )
    }

    /// A response ended without the answer.
    pub(super) fn no_answer(place: &str) -> Self {
        Self::new(
            "no_answer",
            format!("{place} ended its response without an answer to this request"),
        )
    }

    pub(super) fn too_large(max_bytes: usize) -> Self {
        let text = format!("a message is longer than {max_bytes} bytes, or too many long ones come at once");
        Self::new("too_large", text)
    }

    pub(super) fn session_lost(text: impl Into<String>) -> Self {
        Self::new("session_lost", text)
    }

    /// A status that is no success. `body` is the beginning of what came with it.
    /// `via` is the proxy on the way, if there is one.
    pub(super) fn refused(
        place: &str,
        via: Option<&ViaProxy>,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Self {
        let challenges: Vec<String> = texts(headers, &header::WWW_AUTHENTICATE);
        let said = excerpt(body);
        let (reason, text) = match (status, via) {
            (StatusCode::PROXY_AUTHENTICATION_REQUIRED, Some(via)) => {
                ("http_status", wants_credentials(place, via))
            }
            (StatusCode::UNAUTHORIZED, _) => ("unauthorized", unauthorized(place, &challenges)),
            _ if status.is_redirection() => {
                let to = texts(headers, &header::LOCATION).join(", ");
                let text =
                    format!("{place} answered {status} and points to {to}; give that URL if you trust it");
                ("redirected", text)
            }
            _ if said.is_empty() => ("http_status", format!("{place} answered {status}")),
            _ => ("http_status", format!("{place} answered {status}: {said}")),
        };
        Self {
            reason,
            text,
            status: Some(status),
            challenges,
        }
    }

    /// The answer in place of the server's, for the request that spelled its id like this.
    pub(super) fn line(&self, raw_id: &[u8]) -> Vec<u8> {
        let mut data = json!({"origin": "shadowcat", "reason": self.reason});
        if let Some(status) = self.status {
            data["status"] = status.as_u16().into();
        }
        if !self.challenges.is_empty() {
            data["challenge"] = self.challenges.join(", ").into();
        }
        let error = json!({"code": RPC_CODE, "message": self.text, "data": data});
        with_id(raw_id, error.to_string().as_bytes())
    }
}

fn wants_credentials(place: &str, via: &ViaProxy) -> String {
    format!(
        "the proxy {via} on the way to {place} asks for credentials (407). Give them with --via http://USER:PASSWORD@{}",
        via.authority()
    )
}

/// An error message with an id and an error as they are spelled.
pub(super) fn with_id(raw_id: &[u8], error: &[u8]) -> Vec<u8> {
    let parts = [br#"{"jsonrpc":"2.0","id":"#, raw_id, br#","error":"#, error, b"}"];
    one_line(&parts.concat())
}

fn unauthorized(place: &str, challenges: &[String]) -> String {
    let wants = if challenges.is_empty() {
        "without saying how".to_owned()
    } else {
        format!("with `{}`", challenges.join(", "))
    };
    format!(
        "{place} asks for authorization {wants}. Give it a token with --header 'Authorization: Bearer …' or --header-env Authorization=VARIABLE"
    )
}

fn texts(headers: &HeaderMap, name: &header::HeaderName) -> Vec<String> {
    headers
        .get_all(name)
        .iter()
        .map(|value| head_text(value.as_bytes()))
        .collect()
}

/// What a body says about a failure: the message of a JSON-RPC error, or its beginning.
fn excerpt(body: &[u8]) -> String {
    let message = find_path(body, &[PathStep::Key("error"), PathStep::Key("message")]);
    let text = message.map_or_else(|| String::from_utf8_lossy(body), string_value);
    let mut text: String = text.trim().chars().take(MAX_EXCERPT + 1).collect();
    if let Some((end, _)) = text.char_indices().nth(MAX_EXCERPT) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_the_spelling_of_its_id_and_says_where_it_comes_from() {
        let line = Failure::new("no_answer", "it \"ended\"").line(br#""\u0061""#);
        let text = String::from_utf8(line).unwrap();
        assert!(
            text.starts_with(r#"{"jsonrpc":"2.0","id":"\u0061","error":{"code":-33001,"#),
            "{text}"
        );
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value["error"]["data"],
            json!({"origin": "shadowcat", "reason": "no_answer"})
        );
    }

    #[test]
    fn a_long_explanation_is_cut_and_a_json_rpc_one_is_read() {
        assert_eq!(
            excerpt(br#"{"error":{"code":-32000,"message":"Bad \u0041"}}"#),
            "Bad A"
        );
        assert_eq!(
            excerpt("é".repeat(900).as_bytes()).chars().count(),
            MAX_EXCERPT + 1
        );
    }
}
