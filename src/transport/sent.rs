//! How a head that goes on differs from the one that came, for the recording.

use http::request::Parts;
use http::uri::{Scheme, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use hyper::ext::ReasonPhrase;

use crate::session::observation::{Event, ObservedHead, RewrittenObserved, head_text};
use crate::snapshot::{Direction, SentHead};

use super::exchange::Exchange;
use super::headers::{self, HeadChange};

/// What is known of a request's way on when its head comes.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says something else about its way; their combinations all occur"
)]
pub(super) struct WayOn<'a> {
    pub(super) target: &'a Uri,
    pub(super) edit: &'a HeadChange,
    /// Another proxy takes it, with the whole URL as its target.
    pub(super) is_forwarded: bool,
    /// It asks for another protocol.
    pub(super) is_switch: bool,
    /// `Proxy-Authorization` is for us.
    pub(super) proves_to_us: bool,
    /// Its body has a length that nobody knows yet.
    pub(super) is_open: bool,
}

/// The difference in a request's head, as HTTP/1.1 says it.
pub(super) fn of_request(parts: &Parts, head: &ObservedHead, way: &WayOn<'_>) -> SentHead {
    let fields = &parts.headers;
    let path = way.target.path_and_query().map_or("/", |path| path.as_str());
    let line = if way.is_forwarded && way.target.scheme() == Some(&Scheme::HTTP) {
        format!("{} {} HTTP/1.1", parts.method, way.target)
    } else {
        format!("{} {path} HTTP/1.1", parts.method)
    };
    let mut sent = SentHead {
        line: (line.as_bytes() != first_line(head)).then_some(line),
        removed: headers::taken_out(fields, way.is_switch),
        ..SentHead::default()
    };
    if way.proves_to_us && fields.contains_key(header::PROXY_AUTHORIZATION) {
        sent.removed.push(header::PROXY_AUTHORIZATION.to_string());
    }
    way.edit.tell(fields, &mut sent);
    if way.is_switch && fields.get(header::CONNECTION).map(HeaderValue::as_bytes) != Some(b"Upgrade") {
        sent.set
            .push((header::CONNECTION.to_string(), "Upgrade".to_owned()));
    }
    if parts.version == Version::HTTP_2
        && let Some(joined) = headers::joined_cookies(fields)
    {
        sent.set
            .push((header::COOKIE.to_string(), head_text(joined.as_bytes())));
    }
    let is_chunked = way.is_open && !fields.contains_key(header::CONTENT_LENGTH);
    tell_framing(&mut sent, is_coded(fields), is_chunked);
    sent
}

/// What a response's head was, before anything was taken out of it.
pub(super) struct Came {
    version: Version,
    status: StatusCode,
    removed: Vec<String>,
    was_chunked: bool,
    /// Fields that may become other ones on the way, as they came.
    location: Option<HeaderValue>,
    challenges: Vec<HeaderValue>,
}

impl Came {
    /// Notes what is needed of it.
    pub(super) fn of(parts: &http::response::Parts) -> Self {
        let fields = &parts.headers;
        Self {
            version: parts.version,
            status: parts.status,
            removed: headers::taken_out(fields, false),
            was_chunked: is_coded(fields),
            location: fields.get(header::LOCATION).cloned(),
            challenges: fields.get_all(header::WWW_AUTHENTICATE).iter().cloned().collect(),
        }
    }

    /// The difference to what goes on in `version` with `fields`, and with a body of `length` if it has one (`has_body`); `None`
    /// if nobody knows how long that is.
    pub(super) fn into_sent(
        self,
        (version, status): (Version, StatusCode),
        fields: &HeaderMap,
        reason: Option<&ReasonPhrase>,
        (has_body, length): (bool, Option<u64>),
    ) -> SentHead {
        let is_other = version != self.version || status != self.status;
        let mut sent = SentHead {
            line: is_other.then(|| status_line(version, status, reason)),
            removed: self.removed,
            ..SentHead::default()
        };
        if fields.get(header::LOCATION) != self.location.as_ref() {
            push_all(&mut sent, &header::LOCATION, fields);
        }
        if !fields
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .eq(&self.challenges)
        {
            push_all(&mut sent, &header::WWW_AUTHENTICATE, fields);
        }
        let is_unsaid = has_body && !fields.contains_key(header::CONTENT_LENGTH);
        tell_framing(
            &mut sent,
            self.was_chunked,
            is_unsaid && length.is_none() && version == Version::HTTP_11,
        );
        if let Some(length) = length.filter(|_| is_unsaid && version < Version::HTTP_2) {
            sent.set
                .push((header::CONTENT_LENGTH.to_string(), length.to_string()));
        }
        sent
    }
}

/// The first line of a response.
pub(super) fn status_line(version: Version, status: StatusCode, reason: Option<&ReasonPhrase>) -> String {
    let reason = reason.map_or_else(
        || status.canonical_reason().unwrap_or_default().to_owned(),
        |reason| head_text(reason.as_bytes()),
    );
    let line = format!("{version:?} {} {reason}", status.as_u16());
    line.trim_end().to_owned()
}

/// The difference between two lists of fields.
pub(super) fn between(before: &HeaderMap, after: &HeaderMap) -> SentHead {
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let mut sent = SentHead {
        removed: gone.map(ToString::to_string).collect(),
        ..SentHead::default()
    };
    let is_same = |name: &HeaderName| before.get_all(name).iter().eq(after.get_all(name).iter());
    for name in after.keys().filter(|name| !is_same(name)) {
        push_all(&mut sent, name, after);
    }
    sent
}

/// Tells how a head went on of which something else was told when it came.
pub(super) fn tell_anew(exchange: &Exchange, direction: Direction, sent: SentHead) {
    exchange.tell_now(Event::Rewritten(Box::new(RewrittenObserved {
        exchange: exchange.id,
        session: exchange.session().map(|session| session.id),
        direction,
        rewrites: Vec::new(),
        sent: Some(Box::new(sent)),
        findings: Vec::new(),
    })));
}

fn push_all(sent: &mut SentHead, name: &HeaderName, fields: &HeaderMap) {
    let values = fields.get_all(name).iter();
    let values = values.map(|value| (name.to_string(), head_text(value.as_bytes())));
    sent.set.extend(values);
}

/// A transfer coding goes as far as its connection; the next one may have one of its own.
fn tell_framing(sent: &mut SentHead, was_chunked: bool, is_chunked: bool) {
    let name = header::TRANSFER_ENCODING.as_str();
    if is_chunked {
        sent.removed.retain(|gone| gone != name);
    }
    if is_chunked && !was_chunked {
        sent.set.push((name.to_owned(), "chunked".to_owned()));
    }
}

fn is_coded(fields: &HeaderMap) -> bool {
    let mut codings = fields.get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = codings
        .next()
        .is_some_and(|coding| coding.as_bytes() == b"chunked");
    is_chunked && codings.next().is_none()
}

fn first_line(head: &ObservedHead) -> &[u8] {
    match head {
        ObservedHead::Raw(bytes) => {
            let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            line.strip_suffix(b"\r").unwrap_or(line)
        }
        ObservedHead::Fields(head) => head.line.as_bytes(),
    }
}
