//! What has to be known of a request when its response comes.

use http::request::Parts;
use http::{HeaderValue, Method, Version, header};

use super::reader::BodyKind;
use super::stated::fingerprint;

/// What has to be known of a request when its response comes.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that have nothing to do with each other"
)]
pub(super) struct AskedFor {
    pub(super) is_get: bool,
    pub(super) is_head: bool,
    pub(super) version: Version,
    /// The client speaks JSON-RPC here.
    pub(super) is_rpc: bool,
    /// It is a form, such as those that ask for tokens.
    pub(super) is_form: bool,
    /// A fingerprint of its token; 0 without one.
    pub(super) credential: u64,
}

impl AskedFor {
    pub(super) fn of(parts: &Parts) -> Self {
        let field = |name| {
            parts
                .headers
                .get(name)
                .map(HeaderValue::as_bytes)
                .unwrap_or_default()
        };
        let credential = field(header::AUTHORIZATION);
        let is_token = starts_with(credential, b"bearer ") || starts_with(credential, b"dpop ");
        Self {
            is_get: parts.method == Method::GET,
            is_head: parts.method == Method::HEAD,
            version: parts.version,
            is_rpc: BodyKind::of_fields(&parts.headers).is_json(),
            is_form: starts_with(field(header::CONTENT_TYPE), b"application/x-www-form-urlencoded"),
            credential: if is_token { fingerprint(credential) } else { 0 },
        }
    }
}

fn starts_with(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(word))
}
