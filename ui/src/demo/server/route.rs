//! From an HTTP request to the era that answers it.

use std::sync::Arc;

use http::header::{ACCEPT, ALLOW, CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use hyper::body::Incoming;
use serde_json::Value;

use super::http::{Answer, Refusal, empty, header_text, read_json};
use super::{Shared, legacy, modern};
use crate::demo::wire::{MODERN, VERSION_HEADER, VERSION_KEY, at};

/// Answers one request.
pub(super) async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    if let Err(refusal) = check_place(&head.uri, &head.headers) {
        return refusal.into();
    }
    let is_modern = says_modern(&head.headers);
    match head.method {
        Method::POST => match read_post(&head.headers, body).await {
            Ok(message) => post(shared, &head.headers, message),
            Err(refusal) => refusal.into(),
        },
        Method::GET if !is_modern => legacy::get(shared, &head.headers),
        Method::DELETE if !is_modern => legacy::delete(shared, &head.headers),
        _ if is_modern => not_allowed("POST"),
        _ => not_allowed("GET, POST, DELETE"),
    }
}

async fn read_post(headers: &HeaderMap, body: Incoming) -> Result<Value, Refusal> {
    check_media(headers)?;
    read_json(body).await
}

fn post(shared: &Arc<Shared>, headers: &HeaderMap, message: Value) -> Answer {
    if is_modern(headers, &message) {
        modern::post(shared, headers, &message)
    } else {
        legacy::post(shared, headers, message)
    }
}

/// The body decides; a header alone makes a request modern too, so that its missing `_meta` is named.
fn is_modern(headers: &HeaderMap, message: &Value) -> bool {
    !at(message, &["params", "_meta", VERSION_KEY]).is_null() || says_modern(headers)
}

/// Versions are dates, so text comparison orders them.
fn says_modern(headers: &HeaderMap) -> bool {
    header_text(headers, VERSION_HEADER).is_some_and(|version| version >= MODERN)
}

fn not_allowed(allowed: &'static str) -> Answer {
    let mut answer = empty(StatusCode::METHOD_NOT_ALLOWED);
    let allowed = HeaderValue::from_static(allowed);
    answer.headers_mut().insert(ALLOW, allowed);
    answer
}

fn check_place(uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let is_host_ours = host.is_some_and(|host| is_loopback(&format!("http://{host}")));
    let origin = headers.get(ORIGIN);
    let is_origin_ours = origin.is_none_or(|origin| origin.to_str().is_ok_and(is_loopback));
    if !is_host_ours || !is_origin_ours {
        let reason = "only this machine may call: Host and Origin must name it";
        return Err(Refusal::new(StatusCode::FORBIDDEN, reason));
    }
    if uri.path() != "/mcp" {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "the endpoint is /mcp"));
    }
    Ok(())
}

fn is_loopback(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else {
        return false;
    };
    matches!(uri.host(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

fn check_media(headers: &HeaderMap) -> Result<(), Refusal> {
    let content_type = header_text(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        let reason = "Content-Type must be application/json";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
    }
    if !accepts(headers, "application/json") || !accepts(headers, "text/event-stream") {
        let reason = "Accept must list application/json and text/event-stream";
        return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, reason));
    }
    Ok(())
}

/// Whether `Accept` lists a media type, alone or by a wildcard.
pub(super) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let family = media_type.split('/').next().unwrap_or_default();
    let values = headers.get_all(ACCEPT).iter();
    let ranges = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    ranges
        .map(|range| range.split(';').next().unwrap_or_default().trim())
        .any(|range| {
            range == "*/*"
                || range.eq_ignore_ascii_case(media_type)
                || range
                    .strip_suffix("/*")
                    .is_some_and(|wild| wild.eq_ignore_ascii_case(family))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_ours() {
        for url in [
            "http://localhost:8080",
            "http://127.0.0.1",
            "http://[::1]:1",
            "https://localhost",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in [
            "null",
            "http://evil.example",
            "http://127.0.0.1.evil.example",
            "http://",
            "",
        ] {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn accept_is_read_as_a_list_with_wildcards() {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, HeaderValue::from_static("application/json;q=0.5, TEXT/*"));
        assert!(accepts(&headers, "application/json"));
        assert!(accepts(&headers, "text/event-stream"));
        assert!(!accepts(&headers, "image/png"));
    }
}
