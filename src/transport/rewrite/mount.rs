//! How an upstream's URLs look from a client: its origin is ours, its paths are under its mount.

use std::sync::Arc;

use http::uri::{Authority, PathAndQuery};
use reqwest::Url;

use crate::transport::route::{Upstream, mounted_path};

/// An upstream as one client sees it.
#[derive(Debug, Clone)]
pub(crate) struct Mount {
    pub(crate) upstream: Arc<Upstream>,
    /// Empty or `/NAME`.
    pub(crate) prefix: String,
    /// What the client calls us.
    pub(crate) own: Authority,
}

impl Mount {
    /// Our origin, as the client writes it.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.own)
    }

    /// What follows the upstream's origin in `url`, if it is a URL of that origin.
    pub(crate) fn rest_of<'a>(&self, url: &'a str) -> Option<&'a str> {
        under_origin(url, &self.upstream.config.origin()).or_else(|| self.rest_with_port(url))
    }

    /// The same for a URL that names a port which the upstream's configuration leaves to the scheme, or the reverse.
    fn rest_with_port<'a>(&self, url: &'a str) -> Option<&'a str> {
        let theirs = Url::parse(&self.upstream.config.origin()).ok()?;
        if Url::parse(url).ok()?.origin() != theirs.origin() {
            return None;
        }
        let start = url.find("://")? + 3;
        let rest = url.get(start..)?;
        let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let authority = rest.get(..authority_end)?;
        (!authority.contains('@')).then_some(())?;
        rest.get(authority_end..)
    }

    /// The client's URL for a URL of the upstream; `None` for one of another origin.
    pub(crate) fn url(&self, theirs: &str) -> Option<String> {
        let rest = self.rest_of(theirs)?;
        Some([&self.origin(), self.prefix.as_str(), rest].concat())
    }

    /// The upstream's path to which a client's path leads; `None` if that is another upstream's.
    pub(crate) fn leads_to(&self, path: &str) -> Option<PathAndQuery> {
        mounted_path(&path.parse().ok()?, &self.prefix, &self.upstream)
    }
}

/// What follows `origin` in `url`, if the URL is spelled with exactly that origin.
pub(crate) fn under_origin<'a>(url: &'a str, origin: &str) -> Option<&'a str> {
    let (head, rest) = url.split_at_checked(origin.len())?;
    let is_whole = rest.is_empty() || rest.starts_with(['/', '?', '#']);
    (head.eq_ignore_ascii_case(origin) && is_whole).then_some(rest)
}

/// Path and query of a URL, as a client would ask for them.
pub(crate) fn path_and_query(url: &Url) -> String {
    match url.query() {
        Some(query) => [url.path(), "?", query].concat(),
        None => url.path().to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::config::UpstreamConfig;
    use crate::transport::headers::host_value;

    /// What a client of `127.0.0.1:8080` sees of `[NAME=]URL`.
    pub(crate) fn mount(upstream: &str) -> Mount {
        let config: UpstreamConfig = upstream.parse().unwrap();
        Mount {
            prefix: config
                .name
                .as_ref()
                .map_or_else(String::new, |name| format!("/{name}")),
            own: "127.0.0.1:8080".parse().unwrap(),
            upstream: Arc::new(Upstream {
                label: config.label(),
                host: host_value(&config.authority, false),
                config,
                index: 0,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::mount;

    #[test]
    fn only_urls_of_the_upstreams_own_origin_become_ours() {
        let named = mount("db=https://up.example/mcp");
        for (theirs, ours) in [
            (
                "https://up.example/mcp?x=1",
                Some("http://127.0.0.1:8080/db/mcp?x=1"),
            ),
            ("https://UP.example:443/mcp", Some("http://127.0.0.1:8080/db/mcp")),
            ("https://up.example", Some("http://127.0.0.1:8080/db")),
            ("http://up.example/mcp", None),
            ("https://up.example:8443/mcp", None),
            ("https://up.example.evil/mcp", None),
            ("https://me@up.example/mcp", None),
            ("/mcp", None),
        ] {
            assert_eq!(named.url(theirs).as_deref(), ours, "{theirs}");
        }
    }
}
