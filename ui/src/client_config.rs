//! What to paste into a client so that it reaches a server through the proxy.

use serde_json::{Map, Value, json};

/// A server as clients are told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told<'a> {
    pub(crate) name: &'a str,
    /// Where the proxy has it.
    pub(crate) url: &'a str,
    /// It speaks the older HTTP+SSE, which clients do not find out by themselves.
    pub(crate) speaks_sse: bool,
}

impl Told<'_> {
    /// What clients call the transport.
    const fn transport(self) -> &'static str {
        if self.speaks_sse { "sse" } else { "http" }
    }
}

/// The file of Claude Code, Cursor and others.
pub(crate) fn mcp_servers<'a>(servers: impl IntoIterator<Item = Told<'a>>) -> String {
    file("mcpServers", servers)
}

/// The `mcp.json` of VS Code.
pub(crate) fn vs_code<'a>(servers: impl IntoIterator<Item = Told<'a>>) -> String {
    file("servers", servers)
}

fn file<'a>(key: &str, servers: impl IntoIterator<Item = Told<'a>>) -> String {
    let entry = |told: Told<'a>| {
        (
            told.name.to_owned(),
            json!({"type": told.transport(), "url": told.url}),
        )
    };
    let entries: Map<String, Value> = servers.into_iter().map(entry).collect();
    let file = json!({ key: entries });
    // What was made of texts alone can be written.
    let text = serde_json::to_string_pretty(&file).unwrap_or_default();
    format!("{text}\n")
}

/// The command that tells Claude Code.
pub(crate) fn claude(told: Told<'_>) -> String {
    // Claude Code takes letters, digits, `-` and `_` in a name.
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' {
            c
        } else {
            '-'
        }
    };
    let name: String = told.name.chars().map(plain).collect();
    let name = name.trim_start_matches('-');
    let name = if name.is_empty() { "server" } else { name };
    format!(
        "claude mcp add --transport {} {name} {}",
        told.transport(),
        quoted(told.url)
    )
}

/// `word` as a shell takes it for one.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DB: Told<'_> = Told {
        name: "db",
        url: "http://127.0.0.1:8080/db",
        speaks_sse: false,
    };

    #[test]
    fn what_is_pasted_is_what_the_clients_read() {
        let file: Value = serde_json::from_str(&mcp_servers([DB])).unwrap();
        assert_eq!(
            file,
            json!({"mcpServers": {"db": {"type": "http", "url": DB.url}}})
        );
        let file: Value = serde_json::from_str(&vs_code([DB])).unwrap();
        assert_eq!(file["servers"]["db"]["url"], DB.url);
        assert_eq!(
            claude(DB),
            "claude mcp add --transport http db http://127.0.0.1:8080/db"
        );
    }

    #[test]
    fn clients_are_told_of_a_server_of_the_older_transport_what_it_speaks() {
        let told = Told {
            speaks_sse: true,
            ..DB
        };
        for (file, key) in [(mcp_servers([told]), "mcpServers"), (vs_code([told]), "servers")] {
            let file: Value = serde_json::from_str(&file).unwrap();
            assert_eq!(file[key]["db"], json!({"type": "sse", "url": DB.url}));
        }
        assert_eq!(
            claude(told),
            "claude mcp add --transport sse db http://127.0.0.1:8080/db"
        );
    }

    #[test]
    fn no_name_or_url_can_become_a_command_of_its_own() {
        let evil = Told {
            name: "-x; rm $(y)",
            url: "http://127.0.0.1:1/a?b='$(c)'&d",
            speaks_sse: false,
        };
        assert_eq!(
            claude(evil),
            r"claude mcp add --transport http x--rm---y- 'http://127.0.0.1:1/a?b='\''$(c)'\''&d'"
        );
    }
}
