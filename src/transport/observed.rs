//! Heads as they are shown and recorded, where the bytes of the wire are not at hand.

use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, Version};
use hyper::body::Incoming;

use crate::session::observation::ObservedHead;
use crate::snapshot::Head;

/// The target as the client wrote it; on HTTP/2 with the scheme and authority that come beside it.
pub(super) fn shown_target(uri: &Uri) -> String {
    match (uri.authority(), uri.path_and_query()) {
        (None, Some(path)) => path.as_str().to_owned(),
        _ => uri.to_string(),
    }
}

pub(super) fn fields_of(request: &Request<Incoming>) -> ObservedHead {
    let line = format!("{} {} {:?}", request.method(), request.uri(), request.version());
    ObservedHead::Fields(Box::new(Head {
        line,
        fields: field_list(request.headers()),
    }))
}

pub(super) fn response_fields(version: Version, status: StatusCode, fields: &HeaderMap) -> ObservedHead {
    let reason = status.canonical_reason().unwrap_or_default();
    let line = format!("{version:?} {} {reason}", status.as_u16())
        .trim_end()
        .to_owned();
    ObservedHead::Fields(Box::new(Head {
        line,
        fields: field_list(fields),
    }))
}

pub(super) fn field_list(fields: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| crate::session::observation::head_text(value.as_bytes());
    fields
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}
