//! Where metadata is, at the upstream and for the client.
//!
//! Source: RFC 9728 §3 (the well-known part stands between origin and path of the resource); MCP 2025-06-18,
//! Authorization.

use http::uri::PathAndQuery;

use crate::transport::rewrite::mount::Mount;
use crate::transport::route::{Upstream, mounted_path};

/// Where a server says which authorization servers protect it.
pub(crate) const PROTECTED_RESOURCE: &str = "/.well-known/oauth-protected-resource";

/// Whether metadata of a protected resource is asked for at this path of an upstream. Some clients put the well-known
/// part behind the path.
pub(crate) fn is_metadata(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    path.ends_with(PROTECTED_RESOURCE) || path.starts_with(&[PROTECTED_RESOURCE, "/"].concat())
}

/// What follows the well-known part, if the path begins with it.
pub(crate) fn suffix(path: &str) -> Option<&str> {
    let suffix = path.strip_prefix(PROTECTED_RESOURCE)?;
    (suffix.is_empty() || suffix.starts_with(['/', '?'])).then_some(suffix)
}

/// The upstream's path for a client's metadata path with this suffix: `/NAME` in it is the URL's path.
pub(crate) fn mounted_suffix(suffix: &str, mount: &str, upstream: &Upstream) -> Option<PathAndQuery> {
    let path = mounted_path(&suffix.parse().ok()?, mount, upstream)?;
    let path = path.as_str();
    // A resource at the root has its metadata at the well-known path itself.
    let suffix = match path.strip_prefix('/') {
        Some(rest) if rest.is_empty() || rest.starts_with('?') => rest,
        _ => path,
    };
    [PROTECTED_RESOURCE, suffix].concat().parse().ok()
}

/// The client's URL for the upstream's URL of metadata; `None` for one of another origin.
pub(crate) fn metadata_url(mount: &Mount, theirs: &str) -> Option<String> {
    let rest = mount.rest_of(theirs)?;
    match suffix(rest) {
        Some(suffix) if !mount.prefix.is_empty() => {
            let suffix = suffix_for_client(suffix, &mount.upstream);
            Some([&mount.origin(), PROTECTED_RESOURCE, &mount.prefix, &suffix].concat())
        }
        _ => mount.url(theirs),
    }
}

/// The reverse of [`mounted_suffix`].
fn suffix_for_client(suffix: &str, upstream: &Upstream) -> String {
    let path = &upstream.config.path;
    if suffix == path.as_str() || (path == "/" && suffix.is_empty()) {
        return String::new();
    }
    if !suffix.starts_with('/') {
        return ["/", suffix].concat();
    }
    match suffix.split_once('?') {
        Some((before, query)) if path.query().is_none() && before == path.path() => ["?", query].concat(),
        _ => suffix.to_owned(),
    }
}

/// The client's name for a resource of the upstream; `None` for one of another origin. Under a NAME a resource that
/// covers the URL's path is `/NAME`, since that is what clients dial. The trailing slash stays as it is.
pub(crate) fn resource_url(mount: &Mount, theirs: &str) -> Option<String> {
    let rest = mount.rest_of(theirs)?;
    if mount.prefix.is_empty() {
        return mount.url(theirs);
    }
    let path_end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (path, query) = rest.split_at_checked(path_end)?;
    if !covers(path, mount.upstream.config.path.path()) {
        return mount.url(theirs);
    }
    let slash = if path.ends_with('/') { "/" } else { "" };
    Some([&mount.origin(), mount.prefix.as_str(), slash, query].concat())
}

fn covers(path: &str, endpoint: &str) -> bool {
    let path = path.trim_end_matches('/');
    endpoint
        .strip_prefix(path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::rewrite::mount::testing::mount;

    #[test]
    fn metadata_urls_lead_back_to_where_they_came_from() {
        for (upstream, theirs, ours) in [
            (
                "http://up:1/mcp",
                "http://up:1/.well-known/oauth-protected-resource/mcp",
                "/.well-known/oauth-protected-resource/mcp",
            ),
            ("http://up:1/mcp", "http://up:1/meta?x", "/meta?x"),
            (
                "db=http://up:1/mcp",
                "http://up:1/.well-known/oauth-protected-resource/mcp",
                "/.well-known/oauth-protected-resource/db",
            ),
            (
                "db=http://up:1/mcp",
                "http://up:1/.well-known/oauth-protected-resource/mcp?a=b",
                "/.well-known/oauth-protected-resource/db?a=b",
            ),
            (
                "db=http://up:1/mcp",
                "http://up:1/.well-known/oauth-protected-resource",
                "/.well-known/oauth-protected-resource/db/",
            ),
            (
                "db=http://up:1/mcp",
                "http://up:1/.well-known/oauth-protected-resource/x",
                "/.well-known/oauth-protected-resource/db/x",
            ),
            (
                "db=http://up:1/",
                "http://up:1/.well-known/oauth-protected-resource",
                "/.well-known/oauth-protected-resource/db",
            ),
            (
                "db=http://up:1/m?k=v",
                "http://up:1/.well-known/oauth-protected-resource/m",
                "/.well-known/oauth-protected-resource/db/m",
            ),
            (
                "db=http://up:1/m?k=v",
                "http://up:1/.well-known/oauth-protected-resource/m?k=v",
                "/.well-known/oauth-protected-resource/db",
            ),
            ("db=http://up:1/mcp", "http://up:1/meta", "/db/meta"),
        ] {
            let mount = mount(upstream);
            let url = metadata_url(&mount, theirs).unwrap();
            assert_eq!(url, format!("http://127.0.0.1:8080{ours}"));
            let back = match suffix(ours) {
                Some(suffix) if !mount.prefix.is_empty() => {
                    mounted_suffix(suffix, &mount.prefix, &mount.upstream)
                }
                _ => mount.leads_to(ours),
            };
            assert_eq!(
                back.unwrap().as_str(),
                theirs.strip_prefix("http://up:1").unwrap()
            );
        }
    }

    #[test]
    fn a_resource_has_the_name_that_its_client_dials() {
        for (upstream, theirs, ours) in [
            ("http://up:1/mcp", "http://up:1/mcp", Some("")),
            ("https://up/mcp", "https://up", Some("http://127.0.0.1:8080")),
            ("https://up/mcp", "https://up/", Some("http://127.0.0.1:8080/")),
            (
                "https://up/mcp",
                "https://up/mcp/?a",
                Some("http://127.0.0.1:8080/mcp/?a"),
            ),
            ("https://up/mcp", "https://other/mcp", None),
            ("https://up/mcp", "urn:mcp", None),
            (
                "db=https://up/a/mcp",
                "https://up/a/mcp",
                Some("http://127.0.0.1:8080/db"),
            ),
            (
                "db=https://up/a/mcp",
                "https://up/a/mcp/",
                Some("http://127.0.0.1:8080/db/"),
            ),
            (
                "db=https://up/a/mcp",
                "https://up/a",
                Some("http://127.0.0.1:8080/db"),
            ),
            (
                "db=https://up/a/mcp",
                "https://up",
                Some("http://127.0.0.1:8080/db"),
            ),
            (
                "db=https://up/a/mcp",
                "https://up/",
                Some("http://127.0.0.1:8080/db/"),
            ),
            (
                "db=https://up/a/mcp",
                "https://up/ab",
                Some("http://127.0.0.1:8080/db/ab"),
            ),
        ] {
            let expected = ours.map(|ours| {
                if ours.is_empty() {
                    "http://127.0.0.1:8080/mcp"
                } else {
                    ours
                }
            });
            assert_eq!(
                resource_url(&mount(upstream), theirs).as_deref(),
                expected,
                "{theirs}"
            );
        }
    }

    #[test]
    fn metadata_is_told_by_its_path() {
        for path in ["", "/mcp", "/mcp?x=/y", "?x"] {
            assert!(is_metadata(&[PROTECTED_RESOURCE, path].concat()));
        }
        assert!(is_metadata("/mcp/.well-known/oauth-protected-resource"));
        assert!(!is_metadata("/.well-known/oauth-protected-resources"));
        assert!(!is_metadata("/mcp?u=/.well-known/oauth-protected-resource"));
    }
}
