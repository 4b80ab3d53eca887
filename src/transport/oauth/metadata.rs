//! What a protected resource says of itself.
//!
//! Source: RFC 9728 §2 (`resource`, `authorization_servers`, `signed_metadata`).

use reqwest::Url;

use super::paths::resource_url;
use super::splice::{Member, Splice};
use crate::codec::json::{elements, string_value};
use crate::transport::rewrite::Changes;
use crate::transport::rewrite::mount::Mount;

/// Changes `resource` to what the client dials, and gives `server` the chance to change each authorization server. What
/// was signed about the old values goes. `None` if all stays.
///
/// `server` is told the resource's own name and the issuer.
pub(super) fn rewrite(
    text: &[u8],
    mount: &Mount,
    mut server: impl FnMut(&str, &str) -> Option<String>,
    changes: &mut Changes,
) -> Option<Vec<u8>> {
    let mut splice = Splice::new(text);
    let members = splice.members();
    if members.is_empty() {
        return None;
    }
    let mut theirs = None;
    let mut is_changed = false;
    for member in members.iter().filter(|member| member.name == "resource") {
        let name = string_value(member.value).into_owned();
        if let Some(ours) = client_resource(member, &name, mount, changes) {
            changes.rewrote("resource", &name, &ours);
            splice.replace(member.value, &ours);
            is_changed = true;
        }
        theirs = Some(name);
    }
    let Some(theirs) = theirs else {
        changes.warn("the metadata names no `resource`: clients refuse it");
        return None;
    };
    for member in members
        .iter()
        .filter(|member| member.name == "authorization_servers")
    {
        for issuer in elements(member.value) {
            let name = string_value(issuer);
            if let Some(ours) = server(&theirs, &name) {
                changes.rewrote("authorization_servers", &name, &ours);
                splice.replace(issuer, &ours);
                is_changed = true;
            }
        }
    }
    for at in (0..members.len()).filter(|at| is_changed && members[*at].name == "signed_metadata") {
        changes.rewrote(
            "signed_metadata",
            "signature of what is no longer said",
            "(removed)",
        );
        splice.remove(&members, at);
    }
    splice.finish()
}

fn client_resource(member: &Member<'_>, name: &str, mount: &Mount, changes: &mut Changes) -> Option<String> {
    let url = Url::parse(name).ok().filter(|_| member.value.starts_with(b"\""));
    let Some(url) = url.filter(Url::has_host) else {
        changes.warn(format!(
            "the `resource` {name} is no URL and left as it is: clients refuse it"
        ));
        return None;
    };
    let ours = resource_url(mount, name);
    let is_ours = Url::parse(&mount.origin()).is_ok_and(|own| own.origin() == url.origin());
    if ours.is_none() && !is_ours {
        changes.warn(format!(
            "the `resource` {name} is of another origin than this upstream ({}) and left as it is: clients refuse it, as they do without the proxy",
            mount.upstream.config.origin()
        ));
    }
    ours
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::rewrite::mount::testing::mount;

    fn run(text: &str) -> (Option<String>, Changes) {
        let mut changes = Changes::default();
        let document = rewrite(
            text.as_bytes(),
            &mount("https://up/mcp"),
            |_, _| None,
            &mut changes,
        );
        (document.map(|text| String::from_utf8(text).unwrap()), changes)
    }

    #[test]
    fn only_the_resource_changes_and_what_was_signed_goes() {
        let (document, changes) = run(
            r#"{ "resource":"https:\/\/up/mcp", "authorization_servers" : ["https://up/as", "https://as"],
  "signed_metadata": "ey.J", "scopes_supported":["a"],"n":1.0 }"#,
        );
        assert_eq!(
            document.unwrap(),
            r#"{ "resource":"http://127.0.0.1:8080/mcp", "authorization_servers" : ["https://up/as", "https://as"], "scopes_supported":["a"],"n":1.0 }"#
        );
        assert_eq!(
            changes.rewrites[0],
            "resource: https://up/mcp → http://127.0.0.1:8080/mcp"
        );
        assert!(changes.findings.is_empty());
    }

    #[test]
    fn what_no_client_would_accept_is_left_and_said() {
        for (text, said) in [
            (r#"{"resource":"urn:x","signed_metadata":"s"}"#, "is no URL"),
            (r#"{"resource":7}"#, "is no URL"),
            (r#"{"resource":"https://public.example/mcp"}"#, "another origin"),
            (r#"{"scopes_supported":[]}"#, "names no `resource`"),
        ] {
            let (document, changes) = run(text);
            assert_eq!(document, None, "{text}");
            assert!(changes.findings[0].text.contains(said), "{changes:?}");
        }
        assert!(run("<html>").1.is_empty());
        assert!(run(r#"{"resource":"http://127.0.0.1:8080/mcp"}"#).1.is_empty());
    }
}
