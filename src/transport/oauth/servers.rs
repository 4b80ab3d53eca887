//! The authorization servers that we stand before, and the addresses that they have here.
//!
//! Source: RFC 8414 §3 and `OpenID` Connect Discovery §4 for where a server's metadata is, RFC 8707 for `resource`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::Uri;
use http::uri::Authority;
use reqwest::Url;

use super::registration::Registration;
use super::splice::Splice;
use super::way_back::WayBack;
use super::{form, lock};
use crate::clock::Timestamp;
use crate::codec::json::string_value;
use crate::transport::rewrite::Changes;

/// What all addresses of relayed authorization servers begin with.
const PREFIX: &str = "/.shadowcat/as/";
/// Authorization servers that are known; a further one is left alone.
const MAX_SERVERS: usize = 16;
/// Endpoints of one that are known; further ones are left alone.
const MAX_ENDPOINTS: usize = 32;
/// Where metadata may be: that of OAuth, or of `OpenID` Connect.
const WELL_KNOWN: [&str; 2] = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
];
/// Where browsers come back to. No endpoint is called so: their names end in `_endpoint`.
const BACK: &str = "back";

/// An authorization server that one of the upstreams named.
#[derive(Debug)]
pub(crate) struct Server {
    number: usize,
    upstream: usize,
    issuer: Url,
    /// The issuer as the upstream spelled it.
    spelled: String,
    /// What the upstream calls itself.
    resource: Mutex<String>,
    /// The issuer as its metadata spells it, once that passed.
    stated: Mutex<Option<String>>,
    way_back: WayBack,
    /// Where its endpoints really are, by their names in its metadata.
    endpoints: Mutex<BTreeMap<String, Url>>,
}

/// All that are known, in the order in which they were met.
#[derive(Debug, Default)]
pub(crate) struct Servers(Mutex<Vec<Arc<Server>>>);

/// What is asked of a relayed authorization server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    number: usize,
    part: Part,
    query: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Its metadata, by the place among [`WELL_KNOWN`], before or behind the issuer's path.
    Metadata { kind: usize, is_before: bool },
    /// One of its endpoints.
    Endpoint(String),
}

impl Asked {
    /// Reads a client's path; `None` if it is for nobody here.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (path, None),
        };
        let before =
            (0..WELL_KNOWN.len()).find_map(|kind| Some((kind, path.strip_prefix(WELL_KNOWN[kind])?)));
        let (number, part) = if let Some((kind, rest)) = before {
            let number = rest.strip_prefix(PREFIX)?.trim_end_matches('/');
            (
                number,
                Part::Metadata {
                    kind,
                    is_before: true,
                },
            )
        } else {
            let (number, rest) = path.strip_prefix(PREFIX)?.split_once('/')?;
            let behind = WELL_KNOWN
                .iter()
                .position(|known| known.strip_prefix('/') == Some(rest));
            let part = match behind {
                Some(kind) => Part::Metadata {
                    kind,
                    is_before: false,
                },
                None => Part::Endpoint(rest.to_owned()),
            };
            (number, part)
        };
        Some(Self {
            number: number.parse().ok()?,
            part,
            query,
        })
    }

    /// Whether a browser asks for the page where people log in.
    pub(crate) fn is_for_people(&self) -> bool {
        matches!(&self.part, Part::Endpoint(name) if name == "authorization_endpoint" || name == "end_session_endpoint")
    }

    /// Whether a browser comes back from there.
    pub(crate) fn is_back(&self) -> bool {
        self.endpoint() == Some(BACK)
    }

    /// Whether a client registers.
    pub(crate) fn is_registration(&self) -> bool {
        self.endpoint() == Some("registration_endpoint")
    }

    /// The name of the endpoint that is asked, if it is one.
    fn endpoint(&self) -> Option<&str> {
        match &self.part {
            Part::Endpoint(name) => Some(name),
            Part::Metadata { .. } => None,
        }
    }

    pub(crate) fn is_metadata(&self) -> bool {
        matches!(self.part, Part::Metadata { .. })
    }
}

impl Servers {
    /// The server of `issuer`, which an upstream named that calls itself `resource`. `None` if there is no room, or the
    /// issuer is no address on the web.
    pub(crate) fn learn(&self, upstream: usize, issuer: &str, resource: &str) -> Option<Arc<Server>> {
        let url = Url::parse(issuer).ok()?;
        let is_web =
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
        is_web.then_some(())?;
        let mut servers = lock(&self.0);
        let known = servers
            .iter()
            .find(|server| server.upstream == upstream && server.spelled == issuer);
        if let Some(known) = known {
            resource.clone_into(&mut lock(&known.resource));
            return Some(Arc::clone(known));
        }
        if servers.len() == MAX_SERVERS {
            return None;
        }
        let server = Arc::new(Server {
            number: servers.len() + 1,
            upstream,
            issuer: url,
            spelled: issuer.to_owned(),
            resource: Mutex::new(resource.to_owned()),
            stated: Mutex::default(),
            way_back: WayBack::default(),
            endpoints: Mutex::default(),
        });
        servers.push(Arc::clone(&server));
        Some(server)
    }

    /// The one that is asked, if it is known.
    pub(crate) fn find(&self, asked: &Asked) -> Option<Arc<Server>> {
        let place = asked.number.checked_sub(1)?;
        lock(&self.0).get(place).cloned()
    }
}

impl Server {
    /// Its issuer, for a client that calls us `own`.
    pub(crate) fn issuer_for(&self, own: &Authority) -> String {
        format!("http://{own}{PREFIX}{}", self.number)
    }

    /// Who it is, for the screen.
    pub(crate) fn label(&self) -> Arc<str> {
        self.issuer.authority().into()
    }

    /// Where it really has what is asked for; `None` for an endpoint that its metadata has not named.
    pub(crate) fn target(&self, asked: &Asked) -> Option<Uri> {
        let mut url = match &asked.part {
            Part::Endpoint(name) => lock(&self.endpoints).get(name).cloned()?,
            Part::Metadata { kind, is_before } => {
                let mut url = self.issuer.clone();
                let path = url.path().trim_end_matches('/').to_owned();
                let path = if *is_before {
                    [WELL_KNOWN[*kind], &path].concat()
                } else {
                    [&path, WELL_KNOWN[*kind]].concat()
                };
                url.set_path(&path);
                url
            }
        };
        url.set_fragment(None);
        if let Some(query) = &asked.query {
            let query = match url.query() {
                Some(own) => [own, "&", query].concat(),
                None => query.clone(),
            };
            url.set_query(Some(&query));
        }
        url.as_str().parse().ok()
    }

    /// Changes its metadata so that everything leads here, and learns where it really is. `None` if all stays.
    pub(crate) fn metadata(&self, text: &[u8], own: &Authority, changes: &mut Changes) -> Option<Vec<u8>> {
        let ours = self.issuer_for(own);
        let mut splice = Splice::new(text);
        let members = splice.members();
        let spelled = self.spelled.trim_end_matches('/');
        let is_issuer = |value: &[u8]| string_value(value).trim_end_matches('/') == spelled;
        if !members
            .iter()
            .any(|member| member.name == "issuer" && is_issuer(member.value))
        {
            changes.warn(format!(
                "the metadata is not of {}, which the upstream named: it is left as it is",
                self.spelled
            ));
            return None;
        }
        for (at, member) in members.iter().enumerate() {
            let value = string_value(member.value);
            match member.name.as_str() {
                // Else it is not the server that the upstream named, and clients have to notice (RFC 8414 §3.3).
                "issuer" if is_issuer(member.value) => {
                    changes.rewrote("issuer", &value, &ours);
                    *lock(&self.stated) = Some(value.to_string());
                    splice.replace(member.value, &ours);
                }
                "signed_metadata" => splice.remove(&members, at),
                "authorization_response_iss_parameter_supported" if member.value == b"true" => changes.warn(
                    "this authorization server names itself in its redirects (iss): with --oauth relay, clients that did not register through it and compare that with the issuer refuse it",
                ),
                name if (name.ends_with("_endpoint") || name == "jwks_uri") && self.learn(name, &value) => {
                    let endpoint = [&ours, "/", name].concat();
                    changes.rewrote(name, &value, &endpoint);
                    splice.replace(member.value, &endpoint);
                }
                _ => {}
            }
        }
        splice.finish()
    }

    fn learn(&self, name: &str, url: &str) -> bool {
        let Ok(url) = Url::parse(url) else { return false };
        let is_web =
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
        let mut endpoints = lock(&self.endpoints);
        let has_room = endpoints.len() < MAX_ENDPOINTS || endpoints.contains_key(name);
        if is_web && has_room {
            endpoints.insert(name.to_owned(), url);
        }
        is_web && has_room
    }

    /// A form or a query for the endpoint that is asked, as the server has to hear it. `None` if it stays as it is.
    pub(crate) fn swap(
        &self,
        asked: &Asked,
        form: &str,
        own: &Authority,
        now: Timestamp,
        changes: &mut Changes,
    ) -> Option<String> {
        let named = self.swap_resource(form, own, changes);
        let form = named.as_deref().unwrap_or(form);
        let returned = match asked.endpoint() {
            Some("authorization_endpoint" | "pushed_authorization_request_endpoint") => {
                self.way_back.depart(form, self.issuer_for(own), now, changes)
            }
            Some("token_endpoint") => self.way_back.redeem(form, now, changes),
            _ => None,
        };
        returned.or(named)
    }

    /// Where a browser goes on to that comes back to us; `None` if no login is known for it.
    pub(crate) fn sent_back(&self, asked: &Asked, now: Timestamp, changes: &mut Changes) -> Option<String> {
        let stated = lock(&self.stated).clone();
        let named = stated.unwrap_or_else(|| self.spelled.clone());
        self.way_back
            .arrive(asked.query.as_deref()?, &named, now, changes)
    }

    /// A client's registration as the server has to hear it. `None` if it stays as it is.
    pub(crate) fn register(
        &self,
        registration: &Registration,
        text: &[u8],
        own: &Authority,
        changes: &mut Changes,
    ) -> Option<Vec<u8>> {
        let back = [&self.issuer_for(own), "/", BACK].concat();
        registration.request(text, &back, changes)
    }

    /// The answer to that with `status`, as the client has to hear it. `None` if it stays as it is.
    pub(crate) fn registered(
        &self,
        registration: &Registration,
        (status, text): (u16, &[u8]),
        changes: &mut Changes,
    ) -> Option<Vec<u8>> {
        if !matches!(status, 200 | 201) {
            registration.refused(text, changes);
            return None;
        }
        let (document, client) = registration.response(text, changes);
        if let Some(client) = client {
            self.way_back.register(client);
        }
        document
    }

    /// A form or a query with the upstream's own name in place of ours. `None` if there is no such `resource` in it.
    fn swap_resource(&self, form: &str, own: &Authority, changes: &mut Changes) -> Option<String> {
        let ours = Url::parse(&format!("http://{own}")).ok()?;
        let theirs = lock(&self.resource).clone();
        let mut is_changed = false;
        let parts: Vec<String> = form
            .split('&')
            .map(|part| {
                let value = form::raw_value(part, "resource").map(form::decoded);
                match value.filter(|value| Url::parse(value).is_ok_and(|url| url.origin() == ours.origin())) {
                    Some(value) => {
                        is_changed = true;
                        changes.rewrote("resource", &value, &theirs);
                        ["resource=", &form::encoded(&theirs)].concat()
                    }
                    None => part.to_owned(),
                }
            })
            .collect();
        is_changed.then(|| parts.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Authority {
        "127.0.0.1:8080".parse().unwrap()
    }

    fn target(servers: &Servers, path: &str) -> Option<String> {
        let asked = Asked::parse(path)?;
        Some(servers.find(&asked)?.target(&asked)?.to_string())
    }

    #[test]
    fn metadata_is_fetched_from_where_the_issuer_has_it() {
        let servers = Servers::default();
        servers.learn(0, "https://as/t", "https://up/mcp").unwrap();
        servers.learn(0, "https://other", "https://up/mcp").unwrap();
        for (path, expected) in [
            (
                "/.well-known/oauth-authorization-server/.shadowcat/as/1",
                Some("https://as/.well-known/oauth-authorization-server/t"),
            ),
            (
                "/.well-known/openid-configuration/.shadowcat/as/1",
                Some("https://as/.well-known/openid-configuration/t"),
            ),
            (
                "/.shadowcat/as/1/.well-known/openid-configuration",
                Some("https://as/t/.well-known/openid-configuration"),
            ),
            (
                "/.well-known/oauth-authorization-server/.shadowcat/as/2",
                Some("https://other/.well-known/oauth-authorization-server"),
            ),
            ("/.well-known/oauth-authorization-server/.shadowcat/as/3", None),
            ("/.well-known/oauth-authorization-server", None),
            ("/.shadowcat/as/1/token_endpoint", None),
            ("/.shadowcat/as/x/y", None),
        ] {
            assert_eq!(target(&servers, path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn endpoints_lead_here_and_from_here_to_where_they_are() {
        let servers = Servers::default();
        let server = servers.learn(0, "https://as", "https://up/mcp").unwrap();
        let text = r#"{"issuer":"https://as", "token_endpoint":"https://as/t?x=1","jwks_uri":"https://keys/k",
            "registration_endpoint":"ftp://as/r","scopes_supported":["a"]}"#;
        let mut changes = Changes::default();
        let document = server.metadata(text.as_bytes(), &own(), &mut changes).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(document["issuer"], "http://127.0.0.1:8080/.shadowcat/as/1");
        assert_eq!(
            document["token_endpoint"],
            "http://127.0.0.1:8080/.shadowcat/as/1/token_endpoint"
        );
        assert_eq!(document["registration_endpoint"], "ftp://as/r");
        assert_eq!(changes.rewrites.len(), 3);
        assert_eq!(
            target(&servers, "/.shadowcat/as/1/token_endpoint?y").as_deref(),
            Some("https://as/t?x=1&y")
        );
        assert_eq!(
            target(&servers, "/.shadowcat/as/1/jwks_uri").as_deref(),
            Some("https://keys/k")
        );
    }

    #[test]
    fn the_resource_is_swapped_and_every_other_byte_stays() {
        let servers = Servers::default();
        let server = servers.learn(0, "https://as", "https://up/mcp?a=b").unwrap();
        let swap = |form: &str| server.swap_resource(form, &own(), &mut Changes::default());
        assert_eq!(
            swap("code=a%2Fb&resource=http%3A%2F%2F127.0.0.1%3A8080%2Fmcp&x=%41").as_deref(),
            Some("code=a%2Fb&resource=https%3A%2F%2Fup%2Fmcp%3Fa%3Db&x=%41")
        );
        assert_eq!(swap("resource=https://other/"), None);
        assert_eq!(swap("my_resource=http://127.0.0.1:8080/"), None);
    }

    #[test]
    fn no_more_than_a_few_servers_are_known() {
        let servers = Servers::default();
        for number in 0..MAX_SERVERS {
            assert!(
                servers
                    .learn(0, &format!("https://as{number}"), "https://up")
                    .is_some()
            );
        }
        assert!(servers.learn(0, "https://one-more", "https://up").is_none());
        assert!(servers.learn(0, "https://as3", "https://up").is_some());
        assert!(servers.learn(0, "urn:as", "https://up").is_none());
    }
}
