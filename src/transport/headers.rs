//! Which header fields go on, and the few that are changed on the way.
//!
//! Source: RFC 9110 §7.6.1 (hop-by-hop fields).

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::Authority;

use crate::snapshot::SentHead;

use super::rewrite::mount::under_origin;
use super::route::Upstream;

/// A list of changes in words, for the screen and the recording.
pub(crate) type Rewrites = Vec<String>;

const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Fields that stay even if `Connection` names them: without them the message would mean something else.
const ESSENTIAL: [HeaderName; 6] = [
    HeaderName::from_static("mcp-session-id"),
    HeaderName::from_static("mcp-protocol-version"),
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::HOST,
];

/// The end-to-end fields of `headers`, in their order, repeats kept.
///
/// Built anew if something has to go, since removing from a `HeaderMap` would reorder it. `TE: trailers` stays, as does
/// `Trailer`, which says nothing about the connection once trailers are relayed.
pub(crate) fn end_to_end(headers: HeaderMap) -> HeaderMap {
    if !headers
        .keys()
        .any(|name| *name == header::TE || is_hop_by_hop(name))
    {
        return headers;
    }
    kept(headers, false)
}

/// The same with the wish to switch to another protocol, or the consent to it.
pub(crate) fn end_to_end_and_upgrade(headers: HeaderMap) -> HeaderMap {
    kept(headers, true)
}

fn kept(headers: HeaderMap, keeps_upgrade: bool) -> HeaderMap {
    let named = named_by_connection(&headers);
    let mut kept = HeaderMap::with_capacity(headers.len() + 1);
    let mut name = header::HOST;
    // A repeated field is named the first time only.
    for (next, value) in headers {
        name = next.unwrap_or(name);
        if keeps_upgrade && name == header::CONNECTION {
            // Whatever else it names concerns the client's connection only.
            kept.entry(header::CONNECTION)
                .or_insert(HeaderValue::from_static("Upgrade"));
            continue;
        }
        if keeps_upgrade && name == header::UPGRADE {
            kept.append(header::UPGRADE, value);
            continue;
        }
        let is_te = name == header::TE && !value.as_bytes().eq_ignore_ascii_case(b"trailers");
        if !is_te && !is_hop_by_hop(&name) && !named.contains(&name) {
            kept.append(name.clone(), value);
        }
    }
    kept
}

/// What of `headers` [`end_to_end`] takes out, or [`end_to_end_and_upgrade`] if it `keeps_upgrade`.
pub(crate) fn taken_out(headers: &HeaderMap, keeps_upgrade: bool) -> Vec<String> {
    let is_te = |name: &HeaderName| *name == header::TE;
    if !headers.keys().any(|name| is_te(name) || is_hop_by_hop(name)) {
        return Vec::new();
    }
    let named = named_by_connection(headers);
    let keeps_te = headers
        .get_all(header::TE)
        .iter()
        .any(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"));
    let goes = |name: &HeaderName| match *name {
        header::CONNECTION | header::UPGRADE => !keeps_upgrade,
        header::TE => !keeps_te,
        _ => is_hop_by_hop(name) || named.contains(name),
    };
    let gone = headers.keys().filter(|name| goes(name));
    gone.map(ToString::to_string).collect()
}

/// The parts of a `Cookie` that HTTP/2 may split and HTTP/1 must not (RFC 9113 §8.2.3), as one. `None` if there are not several.
pub(super) fn joined_cookies(fields: &HeaderMap) -> Option<HeaderValue> {
    let cookies: Vec<&[u8]> = fields
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let joined = (cookies.len() > 1).then(|| HeaderValue::from_bytes(&cookies.join(&b"; "[..])));
    joined?.ok()
}

/// Whether a field says something about a connection only, whatever `Connection` names.
pub(super) fn is_hop_by_hop_name(name: &str) -> bool {
    HOP_BY_HOP
        .iter()
        .any(|hop| name.eq_ignore_ascii_case(hop.as_str()))
}

/// `headers` without `Proxy-Authorization`, in their order. None if there is none.
pub(crate) fn without_proxy_authorization(headers: &HeaderMap) -> Option<HeaderMap> {
    if !headers.contains_key(header::PROXY_AUTHORIZATION) {
        return None;
    }
    let kept = headers
        .iter()
        .filter(|(name, _)| **name != header::PROXY_AUTHORIZATION);
    Some(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// The other fields, in their order: removing from a `HeaderMap` would reorder it.
pub(crate) fn without(headers: HeaderMap, unwanted: &[HeaderName]) -> HeaderMap {
    if !headers.keys().any(|name| unwanted.contains(name)) {
        return headers;
    }
    let mut kept = HeaderMap::with_capacity(headers.len());
    let mut name = header::HOST;
    for (next, value) in headers {
        name = next.unwrap_or(name);
        if !unwanted.contains(&name) {
            kept.append(name.clone(), value);
        }
    }
    kept
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name)
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let names = values
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok());
    names
        .filter(|name: &HeaderName| !ESSENTIAL.contains(name) && *name != header::TE)
        .collect()
}

/// What a request's head has to become on the way, and the change in words.
#[derive(Debug, Default)]
pub(crate) struct HeadChange {
    host: Option<HeaderValue>,
    added: HeaderMap,
    /// No content coding is asked for.
    is_plain: bool,
    /// The change; empty if nothing is one. Values that are added are secrets, so they are not in it.
    pub(crate) rewrites: Rewrites,
}

impl HeadChange {
    /// Asks for the body without a content coding, if the client asked for one.
    pub(crate) fn ask_for_plain_text(&mut self, headers: &HeaderMap) {
        let asked: Vec<&[u8]> = headers
            .get_all(header::ACCEPT_ENCODING)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        let asked = asked.join(&b", "[..]);
        if !asked.is_empty() && asked != b"identity" {
            let asked = crate::session::observation::head_text(&asked);
            self.rewrites
                .push(["Accept-Encoding: ", &asked, " → identity"].concat());
            self.is_plain = true;
        }
    }

    /// Says what [`HeadChange::apply`] makes different in `headers`. Values that are added are secrets, so that only the names
    /// of those are in it.
    pub(super) fn tell(&self, headers: &HeaderMap, sent: &mut SentHead) {
        let is_only = |name, value: &HeaderValue| headers.get_all(name).iter().eq([value]);
        if self.is_plain {
            let name = header::ACCEPT_ENCODING.to_string();
            sent.set.push((name, "identity".to_owned()));
        }
        if let Some(host) = self.host.as_ref().filter(|host| !is_only(header::HOST, host)) {
            let host = crate::session::observation::head_text(host.as_bytes());
            sent.set.push((header::HOST.to_string(), host));
        }
        sent.configured.extend(self.added.keys().map(ToString::to_string));
    }

    /// Sets it in its place among `fields`.
    pub(crate) fn apply(self, fields: &mut HeaderMap) {
        if self.is_plain {
            fields.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if let Some(host) = self.host {
            fields.insert(header::HOST, host);
        }
        for (name, value) in &self.added {
            fields.insert(name, value.clone());
        }
    }
}

/// A request to a reverse upstream: `Host` becomes the upstream's, and the configured fields are set.
pub(crate) fn for_upstream(headers: &HeaderMap, upstream: &Upstream) -> HeadChange {
    let mut change = host_for_upstream(headers, upstream);
    let added = upstream.config.headers.fields();
    let in_words = |name: &HeaderName| {
        if headers.contains_key(name) {
            format!("{name}: the client's value → the configured one")
        } else {
            format!("{name}: added, as configured")
        }
    };
    change.rewrites.extend(added.keys().map(in_words));
    change.added.clone_from(added);
    change
}

fn host_for_upstream(headers: &HeaderMap, upstream: &Upstream) -> HeadChange {
    let old = headers.get(header::HOST);
    if old == Some(&upstream.host) {
        // Set all the same: there may be more than one.
        return HeadChange {
            host: Some(upstream.host.clone()),
            ..HeadChange::default()
        };
    }
    let text = |host: &HeaderValue| crate::session::observation::head_text(host.as_bytes());
    let new = text(&upstream.host);
    let old = old.map_or_else(|| "(none)".to_owned(), text);
    HeadChange {
        host: Some(upstream.host.clone()),
        rewrites: vec![["Host: ", &old, " → ", &new].concat()],
        ..HeadChange::default()
    }
}

/// A forward request: the target decides about `Host` (RFC 9112 §3.2.2), the rest stays.
pub(crate) fn host_for_destination(headers: &HeaderMap, authority: &Authority) -> HeadChange {
    let old = headers.get(header::HOST);
    let is_only = headers.get_all(header::HOST).iter().nth(1).is_none();
    if is_only && old.map(HeaderValue::as_bytes) == Some(authority.as_str().as_bytes()) {
        return HeadChange::default();
    }
    let Ok(host) = HeaderValue::from_str(authority.as_str()) else {
        return HeadChange::default();
    };
    let rewrite = |old: &HeaderValue| {
        let old = crate::session::observation::head_text(old.as_bytes());
        format!("Host: {old} → {authority}")
    };
    HeadChange {
        host: Some(host),
        rewrites: old.map(rewrite).into_iter().collect(),
        ..HeadChange::default()
    }
}

/// `Host` without the scheme's default port.
pub(crate) fn host_value(authority: &Authority, is_https: bool) -> HeaderValue {
    let default = if is_https { 443 } else { 80 };
    let text = if authority.port_u16() == Some(default) {
        authority.host()
    } else {
        authority.as_str()
    };
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("localhost"))
}

/// The fields of an upstream's response: a `Location` at the upstream's own origin points to us instead.
pub(crate) fn for_client(
    headers: HeaderMap,
    upstream: Option<(&Upstream, &str, Option<&Authority>)>,
) -> (HeaderMap, Rewrites) {
    let mut kept = end_to_end(headers);
    let mut rewrites = Vec::new();
    if let Some((upstream, mount, Some(own))) = upstream
        && let Some(location) = kept.get(header::LOCATION).and_then(|value| value.to_str().ok())
        && let Some(rest) = under_origin(location, &upstream.config.origin())
    {
        let ours = format!("http://{own}{mount}{rest}");
        if let Ok(value) = HeaderValue::from_str(&ours) {
            rewrites.push(format!("Location: {location} → {ours}"));
            kept.insert(header::LOCATION, value);
        }
    }
    (kept, rewrites)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::UpstreamConfig;
    use std::sync::Arc;

    fn map(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn shown(headers: &HeaderMap) -> Vec<String> {
        headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect()
    }

    fn upstream(url: &str) -> Upstream {
        let config: UpstreamConfig = url.parse().unwrap();
        Upstream {
            label: Arc::from("up"),
            host: host_value(&config.authority, false),
            config,
            index: 0,
        }
    }

    #[test]
    fn hop_by_hop_fields_and_what_connection_names_stay_here() {
        let headers = map(&[
            ("x-a", "1"),
            ("connection", "close, X-Secret, mcp-session-id"),
            ("x-secret", "s"),
            ("mcp-session-id", "9"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("te", "gzip"),
            ("proxy-connection", "keep-alive"),
            ("upgrade", "websocket"),
            ("x-a", "2"),
        ]);
        assert_eq!(
            shown(&end_to_end(headers)),
            ["x-a: 1", "x-a: 2", "mcp-session-id: 9"]
        );
        assert_eq!(shown(&end_to_end(map(&[("te", "trailers")]))), ["te: trailers"]);
    }

    #[test]
    fn a_switch_of_protocols_is_asked_for_with_nothing_else_of_the_connection() {
        let headers = map(&[
            ("connection", "keep-alive, Upgrade, X-Secret"),
            ("x-secret", "s"),
            ("upgrade", "WebSocket"),
            ("keep-alive", "timeout=5"),
            ("sec-websocket-protocol", "mcp"),
        ]);
        assert_eq!(
            shown(&end_to_end_and_upgrade(headers)),
            [
                "connection: Upgrade",
                "upgrade: WebSocket",
                "sec-websocket-protocol: mcp"
            ]
        );
    }

    #[test]
    fn the_upstream_sees_its_own_host_without_a_default_port() {
        let headers = map(&[("host", "127.0.0.1:8080"), ("origin", "http://localhost")]);
        let change = host_for_upstream(&headers, &upstream("http://up:80/mcp"));
        assert_eq!(change.rewrites, ["Host: 127.0.0.1:8080 → up"]);
        let mut kept = end_to_end(headers);
        change.apply(&mut kept);
        assert_eq!(shown(&kept), ["host: up", "origin: http://localhost"]);
    }

    #[test]
    fn configured_fields_take_the_place_of_the_clients_and_no_text_has_their_values() {
        let mut up = upstream("http://up:81/");
        up.config.headers.add("Authorization", "Bearer ours").unwrap();
        up.config.headers.add("X-Team", "t-1").unwrap();
        let headers = map(&[("host", "up:81"), ("authorization", "Bearer theirs")]);
        let change = for_upstream(&headers, &up);
        assert_eq!(
            change.rewrites,
            [
                "authorization: the client's value → the configured one",
                "x-team: added, as configured"
            ]
        );
        let mut kept = end_to_end(headers);
        change.apply(&mut kept);
        assert_eq!(
            shown(&kept),
            ["host: up:81", "authorization: Bearer ours", "x-team: t-1"]
        );
    }

    #[test]
    fn only_a_location_at_the_upstreams_origin_is_rewritten() {
        let up = upstream("http://up:3001/mcp");
        let own: Authority = "127.0.0.1:8080".parse().unwrap();
        let location = |url: &str| {
            let (kept, _) = for_client(map(&[("location", url)]), Some((&up, "/db", Some(&own))));
            kept["location"].to_str().unwrap().to_owned()
        };
        assert_eq!(location("http://up:3001/a?b"), "http://127.0.0.1:8080/db/a?b");
        for kept in [
            "/a",
            "http://up:30012/a",
            "https://up:3001/",
            "http://evil/",
            "http://up:3001.evil/",
        ] {
            assert_eq!(location(kept), kept);
        }
    }

    #[test]
    fn of_several_hosts_none_but_the_targets_goes_on() {
        let mut fields = map(&[("host", "b.dev:81"), ("host", "evil.dev")]);
        host_for_destination(&fields, &"b.dev:81".parse().unwrap()).apply(&mut fields);
        assert_eq!(shown(&fields), ["host: b.dev:81"]);
    }

    #[test]
    fn a_forward_target_wins_over_a_different_host() {
        let mut fields = map(&[("host", "a.dev")]);
        let change = host_for_destination(&fields, &"b.dev:81".parse().unwrap());
        assert_eq!(change.rewrites, ["Host: a.dev → b.dev:81"]);
        change.apply(&mut fields);
        assert_eq!(shown(&fields), ["host: b.dev:81"]);
    }
}
