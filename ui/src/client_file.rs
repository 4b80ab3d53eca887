//! The shape of the files in which clients keep their servers, for those who read them and those who change them.

use std::collections::HashSet;

use crate::jsonc::{Member, Mistake, Node};

/// Keys that lead to the servers.
const SERVERS_KEYS: [&str; 3] = ["mcpServers", "servers", "mcp"];

/// Names under which clients write the transports.
const HTTP_TYPES: [&str; 5] = [
    "http",
    "streamable-http",
    "streamableHttp",
    "streamable_http",
    "sse",
];

/// The object whose members are the servers.
///
/// # Errors
/// [`Mistake`] if there is none, or if it or one of them is there twice: readers differ in which one they take.
pub(crate) fn servers_of(root: &Node) -> Result<&Node, Mistake> {
    for object in [Some(root), root.get("mcp")].into_iter().flatten() {
        let is_about_servers = |member: &&Member| SERVERS_KEYS.contains(&member.key.as_str());
        if let Some(member) = repeated(object.members()).find(is_about_servers) {
            return Err(there_twice(member, "put all servers into one of them"));
        }
    }
    let in_settings = root.get("mcp").and_then(|mcp| mcp.get("servers"));
    let found = root
        .get("mcpServers")
        .or_else(|| root.get("servers"))
        .or(in_settings);
    let Some(servers) = found else {
        return Err(Mistake::new(
            root.span.start,
            "there are no servers here; write {\"mcpServers\": {\"NAME\": {\"command\": …} or {\"url\": …}}}",
        ));
    };
    if !servers.is_object() {
        let message = format!(
            "servers have to be an object with a member for each, not {}",
            servers.kind()
        );
        return Err(Mistake::new(servers.span.start, message));
    }
    match repeated(servers.members()).next() {
        Some(member) => Err(there_twice(member, "rename or remove one of the two servers")),
        None => Ok(servers),
    }
}

/// Members whose key was there before.
pub(crate) fn repeated(members: &[Member]) -> impl Iterator<Item = &Member> {
    let mut known = HashSet::new();
    members
        .iter()
        .filter(move |member| !known.insert(member.key.as_str()))
}

/// What is wrong with a [`repeated`] member.
pub(crate) fn there_twice(member: &Member, advice: &str) -> Mistake {
    let message = format!("\"{}\" is there twice; {advice}", member.key.escape_debug());
    Mistake::new(member.key_span.start, message)
}

/// How a server is reached.
pub(crate) enum Transport<'a> {
    Command(&'a Node),
    Url(&'a Node),
}

/// Whether the entry says that the server speaks the older HTTP+SSE.
pub(crate) fn says_sse(entry: &Node) -> bool {
    let stated = entry.get("type").or_else(|| entry.get("transport"));
    stated.and_then(Node::text) == Some("sse")
}

/// How the server of that entry is reached.
///
/// # Errors
/// [`Mistake`] if the entry does not say it, or says two things.
pub(crate) fn transport_of<'a>(name: &str, entry: &'a Node) -> Result<Transport<'a>, Mistake> {
    let at = |node: &Node, message: String| Err(Mistake::new(node.span.start, message));
    if !entry.is_object() {
        return at(
            entry,
            format!("the server `{name}` has to be an object, not {}", entry.kind()),
        );
    }
    let command = entry.get("command");
    let url = entry.get("url").or_else(|| entry.get("serverUrl"));
    let stated = entry.get("type").or_else(|| entry.get("transport"));
    match (stated.and_then(Node::text), command, url) {
        (Some("stdio"), Some(command), _) | (None, Some(command), None) => Ok(Transport::Command(command)),
        (Some(stated), _, Some(url)) if HTTP_TYPES.contains(&stated) => Ok(Transport::Url(url)),
        (None, None, Some(url)) => Ok(Transport::Url(url)),
        (Some("stdio"), None, _) => at(
            entry,
            format!(
                "the server `{name}` is of type stdio and has no \"command\"; write the program that starts it"
            ),
        ),
        (Some(stated), _, None) if HTTP_TYPES.contains(&stated) => at(
            entry,
            format!("the server `{name}` is of type {stated} and has no \"url\"; write where it is"),
        ),
        (Some(stated), ..) => {
            let node = entry
                .get("type")
                .or_else(|| entry.get("transport"))
                .unwrap_or(entry);
            at(
                node,
                format!(
                    "the server `{name}` is of type `{stated}`, which is not known; write stdio, http or sse"
                ),
            )
        }
        (None, Some(_), Some(_)) => at(
            entry,
            format!(
                "the server `{name}` has a \"command\" and a \"url\"; write \"type\": \"stdio\" or \"http\""
            ),
        ),
        (None, None, None) => at(
            entry,
            format!("the server `{name}` has neither \"command\" nor \"url\"; write one of them"),
        ),
    }
}
