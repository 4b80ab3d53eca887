//! Answers of our own: only where there is nobody else to answer, and never with a status that means something to the
//! protocol, except for the checks of Host and Origin and for what cannot be framed.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::body::ReplyBody;
use super::route::Nowhere;
use crate::recording::hide_url_secrets;

/// Marks a response as ours.
pub(crate) const MARKER: &str = "shadowcat-error";
/// The same for what is no error.
const ANSWER_MARKER: &str = "shadowcat-answer";
/// JSON-RPC code of errors made here: outside of everything JSON-RPC and MCP reserve.
pub(crate) const RPC_CODE: i64 = crate::session::observation::OWN_ERROR;

/// What we say instead of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnAnswer {
    pub(crate) status: StatusCode,
    /// A word for programs: `upstream_unreachable`, `busy`, `foreign_host` …
    pub(crate) reason: &'static str,
    /// What was tried, what happened, what to do.
    pub(crate) text: String,
    /// Seconds after which to come back.
    pub(crate) retry_after: Option<u64>,
    /// The connection must not be used again.
    pub(crate) is_last: bool,
}

impl OwnAnswer {
    fn new(status: StatusCode, reason: &'static str, text: String) -> Self {
        Self {
            status,
            reason,
            text,
            retry_after: None,
            is_last: false,
        }
    }

    pub(crate) fn upstream_failed(text: String) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "upstream_failed", text)
    }

    pub(crate) fn busy(text: String) -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text)
        }
    }

    /// The answer while a breaker is open. `wait` is until a request is let through.
    pub(crate) fn breaker_open(text: String, wait: Duration) -> Self {
        let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self {
            retry_after: Some(whole.max(1)),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "breaker_open", text)
        }
    }

    pub(crate) fn unclear_request(text: String) -> Self {
        Self {
            is_last: true,
            ..Self::new(StatusCode::BAD_REQUEST, "unclear_request", text)
        }
    }

    /// The certificate of the local authority, for clients that are to trust it.
    pub(crate) fn certificate(pem: &str) -> Self {
        Self::new(StatusCode::OK, "ca_certificate", pem.trim_end().to_owned())
    }

    /// There is no certificate, and why.
    pub(crate) fn no_certificate(text: String) -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_ca_certificate", text)
    }

    /// The answer for an authorization server that is not known here.
    pub(crate) fn unknown_authorization() -> Self {
        let text = "No authorization server is known at this address, or it has no such endpoint: it is learned from the metadata of an upstream. \
             Let the client begin its authorization anew.";
        Self::new(StatusCode::BAD_GATEWAY, "unknown_authorization", text.to_owned())
    }

    /// The answer for a browser that comes back from a login of which nothing is known.
    pub(crate) fn unknown_login() -> Self {
        let text = "This login is not known here: it was begun more than ten minutes ago or before the proxy was started, or it has been taken already. \
             Let the client begin it anew.";
        Self::new(StatusCode::BAD_REQUEST, "unknown_login", text.to_owned())
    }

    /// The answer to a request that goes nowhere. `own` is the address the client used.
    pub(crate) fn nowhere(nowhere: &Nowhere, own: &str) -> Self {
        let (status, reason, text) = match nowhere {
            Nowhere::NoUpstream => (StatusCode::BAD_GATEWAY, "no_upstream", no_upstream(own)),
            Nowhere::UnknownMount { name, known } => {
                (StatusCode::BAD_GATEWAY, "unknown_upstream", unknown_mount(name, known, own))
            }
            Nowhere::ForeignHost { host } if host.is_empty() => (
                StatusCode::FORBIDDEN,
                "foreign_host",
                format!("The request names no usable Host, so it cannot be told whether it is meant for {own}."),
            ),
            Nowhere::ForeignHost { host } => (
                StatusCode::FORBIDDEN,
                "foreign_host",
                format!("The Host `{host}` is not this proxy ({own}). If it should be, start with --allow-host {host}."),
            ),
            Nowhere::ForeignOrigin { origin } => (
                StatusCode::FORBIDDEN,
                "foreign_origin",
                format!("The Origin `{origin}` may not use this proxy. If it should, start with --allow-origin {origin}."),
            ),
            Nowhere::OpenProxy => (
                StatusCode::FORBIDDEN,
                "open_proxy",
                "Forward proxying is for clients on this machine only: connect to a loopback address of the proxy, or start it with --proxy-auth USER:PASSWORD.".to_owned(),
            ),
            Nowhere::ProxyAuth => (
                StatusCode::PROXY_AUTHENTICATION_REQUIRED,
                "proxy_auth",
                format!("This proxy was started with --proxy-auth: use it as http://USER:PASSWORD@{own}."),
            ),
            Nowhere::NotAllowed { authority } => (
                StatusCode::FORBIDDEN,
                "connect_not_allowed",
                format!("No tunnel may be opened to {authority}. If one should, start with --allow-connect {authority}."),
            ),
            Nowhere::Misdirected { asked, tunnel } => (
                StatusCode::MISDIRECTED_REQUEST,
                "misdirected",
                format!("The request names {asked}, but it came through a tunnel to {tunnel}; open one to {asked} for it."),
            ),
            Nowhere::Loop => (
                StatusCode::FORBIDDEN,
                "loop",
                "The destination is this proxy itself; the connection would run in a circle.".to_owned(),
            ),
            Nowhere::Trace => {
                (StatusCode::NOT_IMPLEMENTED, "trace", "TRACE is not forwarded: it would show headers to scripts.".to_owned())
            }
            Nowhere::BadTarget { target } => (
                StatusCode::BAD_REQUEST,
                "bad_target",
                format!("The target `{}` cannot be requested from anyone.", hide_url_secrets(target)),
            ),
        };
        Self::new(status, reason, text)
    }

    /// The response. `rpc_id` is the raw JSON-RPC id if it is known; `is_rpc`: the client speaks JSON-RPC here.
    pub(crate) fn response(&self, is_rpc: bool, rpc_id: Option<&str>) -> Response<ReplyBody> {
        let is_error = !self.status.is_success();
        let body = if is_rpc && is_error {
            self.rpc_body(rpc_id)
        } else {
            format!("{}\n", self.text)
        };
        let media_type = if !is_error {
            "application/x-pem-file"
        } else if is_rpc {
            "application/json"
        } else {
            "text/plain; charset=utf-8"
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        let marker = if is_error { MARKER } else { ANSWER_MARKER };
        headers.insert(marker, HeaderValue::from_static(self.reason));
        if self.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            let challenge = HeaderValue::from_static(r#"Basic realm="shadowcat-tui""#);
            headers.insert(header::PROXY_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.is_last {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let mut response = Response::new(ReplyBody::Own(Some(Bytes::from(body))));
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }

    fn rpc_body(&self, rpc_id: Option<&str>) -> String {
        let text = serde_json::Value::from(self.text.as_str());
        let id = rpc_id.map(|id| format!(r#""id":{id},"#)).unwrap_or_default();
        format!(
            r#"{{"jsonrpc":"2.0",{id}"error":{{"code":{RPC_CODE},"message":{text},"data":{{"origin":"shadowcat","reason":"{}"}}}}}}"#,
            self.reason
        )
    }
}

fn unknown_mount(name: &str, known: &[String], own: &str) -> String {
    let places: Vec<String> = known
        .iter()
        .map(|known| format!("http://{own}/{known}"))
        .collect();
    let asked = if name.is_empty() {
        "The path names no upstream".to_owned()
    } else {
        format!("No upstream is called `{name}`")
    };
    format!(
        "{asked}; here are {}. A server that hands out further paths of its own (links, OAuth endpoints) has to be the only upstream, without a NAME.",
        places.join(", ")
    )
}

fn no_upstream(own: &str) -> String {
    format!(
        "shadowcat-tui is running here, as a forward proxy: there is no server to which this request could go.\n\n\
         Reverse proxy: start it with   shadowcat-tui --listen {own} --upstream http://127.0.0.1:3001/mcp\n\
                        or for a server on standard input and output   shadowcat-tui --listen {own} -- COMMAND ARGS\n\
                        and let the client use   http://{own}/mcp\n\
         Forward proxy: set   HTTP_PROXY=http://{own} and HTTPS_PROXY=http://{own}   for the client and let it use the server's own URL.\n\
         HTTPS: the client has to trust the certificate at   http://{own}/shadowcat-ca.pem   (shadowcat-tui ca says how;\n\
                shadowcat-tui exec -- CLIENT   starts a client with all of this set)."
    )
}

/// Says in the head of a response of ours that it is an event stream, which nobody may keep for others.
pub(crate) fn make_stream(fields: &mut HeaderMap) {
    fields.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_rpc_client_gets_its_own_id_back_typed() {
        let answer = OwnAnswer::upstream_failed("could not reach \"x\"".to_owned());
        for id in [Some("7"), Some("\"7\""), None] {
            let body: serde_json::Value = serde_json::from_str(&answer.rpc_body(id)).unwrap();
            assert_eq!(body.get("id").map(ToString::to_string).as_deref(), id);
            assert_eq!(body["error"]["code"], RPC_CODE);
            assert_eq!(body["error"]["message"], "could not reach \"x\"");
        }
    }

    #[test]
    fn a_target_is_quoted_without_its_secrets() {
        let target = "http://joe:s3cr3t@h:80/mcp?sig=s3cr3t&page=2".to_owned();
        let answer = OwnAnswer::nowhere(&Nowhere::BadTarget { target }, "x");
        assert_eq!(
            answer.text,
            "The target `http://***@h:80/mcp?sig=***&page=2` cannot be requested from anyone."
        );
    }

    #[test]
    fn only_checks_of_our_own_use_statuses_with_a_meaning() {
        for (nowhere, status) in [
            (Nowhere::NoUpstream, 502),
            (Nowhere::Trace, 501),
            (Nowhere::Loop, 403),
        ] {
            assert_eq!(OwnAnswer::nowhere(&nowhere, "x").status, status);
        }
    }
}
