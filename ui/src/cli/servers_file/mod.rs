//! Servers from the files that clients keep them in: `mcpServers` of Claude Desktop, Claude Code, Cursor and others,
//! `servers` of VS Code.
//!
//! What a client understands is understood here as well; what is unknown is left alone and said in the log.

mod expand;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use shadowcat::config::{CommandServer, UpstreamConfig};

use crate::client_file::{Transport, repeated, says_sse, servers_of, there_twice, transport_of};
use crate::jsonc::{self, Member, Mistake, Node, Value};

pub(super) use expand::{Surroundings, workspace_of};

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FoundServers {
    pub(super) upstreams: Vec<UpstreamConfig>,
    pub(super) commands: Vec<CommandServer>,
    /// What a user should know of it: sentences for the log.
    pub(super) remarks: Vec<String>,
}

impl FoundServers {
    /// These, then the others.
    pub(super) fn and(mut self, others: Self) -> Self {
        self.upstreams.extend(others.upstreams);
        self.commands.extend(others.commands);
        self.remarks.extend(others.remarks);
        self
    }
}

/// Keys of an entry that say nothing about how to reach the server.
const UNUSED_KEYS: [&str; 13] = [
    "alwaysAllow",
    "autoApprove",
    "cwd",
    "description",
    "disabled",
    "disabledTools",
    "env",
    "gallery",
    "icon",
    "name",
    "timeout",
    "type",
    "version",
];

/// Reads the servers in the text of the file `path`.
///
/// # Errors
/// [`Mistake`] with the place, what is wrong there and what to write.
pub(super) fn read(text: &str, path: &Path, around: &Surroundings<'_>) -> Result<FoundServers, Mistake> {
    let root = jsonc::parse(text)?;
    let servers = servers_of(&root)?;
    let mut reading = Reading {
        path,
        around,
        found: FoundServers::default(),
        names: HashSet::new(),
    };
    for member in servers.members() {
        reading.server(member)?;
    }
    if reading.found.upstreams.is_empty() && reading.found.commands.is_empty() {
        reading.remark("there is no server in it");
    }
    Ok(reading.found)
}

struct Reading<'a> {
    path: &'a Path,
    around: &'a Surroundings<'a>,
    found: FoundServers,
    names: HashSet<String>,
}

impl Reading<'_> {
    fn remark(&mut self, text: impl std::fmt::Display) {
        self.found
            .remarks
            .push(format!("{}: {text}", self.path.display()));
    }

    fn server(&mut self, member: &Member) -> Result<(), Mistake> {
        let (name, entry) = (member.key.as_str(), &member.value);
        if entry
            .get("disabled")
            .is_some_and(|value| value.value == Value::Bool(true))
        {
            self.remark(format_args!("the server `{name}` is disabled there and left out"));
            return Ok(());
        }
        let inside = [Some(entry), entry.get("env"), entry.get("headers")];
        let mut objects = inside.into_iter().flatten();
        if let Some(member) = objects.find_map(|object| repeated(object.members()).next()) {
            return Err(there_twice(member, "take out the one that is not meant"));
        }
        let mount = self.mount(member)?;
        match transport_of(name, entry)? {
            Transport::Command(command) => {
                let command = self.command(mount, command, entry)?;
                self.found.commands.push(command);
                self.tell_unknown(name, entry, &["command", "args"]);
            }
            Transport::Url(url) => {
                let upstream = self.upstream(&mount, url, entry)?;
                self.found.upstreams.push(upstream);
                self.tell_unknown(name, entry, &["url", "serverUrl", "headers", "transport"]);
            }
        }
        Ok(())
    }

    /// The name under which the server can live in a URL.
    fn mount(&mut self, member: &Member) -> Result<String, Mistake> {
        let mount = mount_name(&member.key);
        if mount.is_empty() {
            let message = format!(
                "the name `{}` has no letter or digit to make a path of; rename it",
                member.key
            );
            return Err(Mistake::new(member.key_span.start, message));
        }
        if !self.names.insert(mount.clone()) {
            let message = format!("two servers would live under /{mount}; rename one of them");
            return Err(Mistake::new(member.key_span.start, message));
        }
        if mount != member.key {
            self.remark(format_args!("the server `{}` lives under /{mount}", member.key));
        }
        Ok(mount)
    }

    fn upstream(&mut self, mount: &str, url: &Node, entry: &Node) -> Result<UpstreamConfig, Mistake> {
        let text = self.text(url, "url")?;
        let upstream = format!("{mount}={text}").parse();
        let mut upstream: UpstreamConfig = upstream.map_err(|error: shadowcat::config::ConfigError| {
            Mistake::new(url.span.start, error.to_string())
        })?;
        upstream.speaks_sse = says_sse(entry);
        for member in object_of(entry, "headers")? {
            let value = self.text(&member.value, &member.key)?;
            let added = upstream.headers.add(&member.key, &value);
            added.map_err(|error| Mistake::new(member.key_span.start, error.to_string()))?;
        }
        Ok(upstream)
    }

    fn command(&mut self, mount: String, command: &Node, entry: &Node) -> Result<CommandServer, Mistake> {
        let program = self.text(command, "command")?;
        if program.is_empty() {
            return Err(Mistake::new(
                command.span.start,
                "\"command\" is empty; write the program that starts the server",
            ));
        }
        let cwd = entry.get("cwd").filter(|cwd| cwd.value != Value::Null);
        let cwd = cwd.map(|cwd| self.text(cwd, "cwd")).transpose()?;
        Ok(CommandServer {
            name: Some(mount),
            program,
            args: self.arguments(entry)?,
            cwd: cwd.map(PathBuf::from),
            env: self.environment(entry)?,
        })
    }

    fn arguments(&mut self, entry: &Node) -> Result<Vec<String>, Mistake> {
        match entry.get("args").map(|args| (&args.value, args)) {
            None | Some((Value::Null, _)) => Ok(Vec::new()),
            Some((Value::List(items), _)) => items.iter().map(|item| self.text(item, "args")).collect(),
            Some((_, other)) => Err(Mistake::new(
                other.span.start,
                format!("\"args\" has to be a list of texts, not {}", other.kind()),
            )),
        }
    }

    fn environment(&mut self, entry: &Node) -> Result<Vec<(String, String)>, Mistake> {
        let mut variables = Vec::new();
        for member in object_of(entry, "env")? {
            let is_name = !member.key.is_empty() && !member.key.contains(['=', '\0']);
            if !is_name {
                let message = format!("`{}` cannot be the name of a variable", member.key.escape_debug());
                return Err(Mistake::new(member.key_span.start, message));
            }
            let value = match &member.value.value {
                Value::Null => continue,
                Value::Number(spelled) => spelled.clone(),
                Value::Bool(value) => value.to_string(),
                _ => self.text(&member.value, &member.key)?,
            };
            variables.push((member.key.clone(), value));
        }
        Ok(variables)
    }

    /// A text, its variables put in.
    fn text(&mut self, node: &Node, key: &str) -> Result<String, Mistake> {
        let Some(text) = node.text() else {
            let message = format!("\"{key}\" has to be a text in quotes, not {}", node.kind());
            return Err(Mistake::new(node.span.start, message));
        };
        if text.contains('\0') {
            return Err(Mistake::new(
                node.span.start,
                format!("\"{key}\" has a NUL character; take it out"),
            ));
        }
        let expanded = expand::expand(text, self.around);
        let expanded = expanded.map_err(|problem| Mistake::new(node.span.start, problem))?;
        for missing in expanded.unset {
            self.remark(format_args!(
                "the variable {missing} is not set; `{key}` has nothing in its place"
            ));
        }
        Ok(expanded.text)
    }

    fn tell_unknown(&mut self, name: &str, entry: &Node, used: &[&str]) {
        let keys = entry.members().iter().map(|member| member.key.as_str());
        let unknown: Vec<String> = keys
            .filter(|key| !used.contains(key) && !UNUSED_KEYS.contains(key))
            .map(|key| format!("\"{}\"", key.escape_debug()))
            .collect();
        if !unknown.is_empty() {
            self.remark(format_args!(
                "of the server `{name}` nothing is made of {}",
                unknown.join(", ")
            ));
        }
    }
}

/// `name` as a segment of a path: what cannot stand there becomes `-`.
fn mount_name(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mount: String = name
        .trim()
        .chars()
        .map(|c| if is_plain(c) { c } else { '-' })
        .collect();
    // `.` and `..` lead elsewhere.
    if mount.chars().any(|c| c.is_ascii_alphanumeric()) {
        mount
    } else {
        String::new()
    }
}

/// The members of an object that may be missing.
fn object_of<'a>(entry: &'a Node, key: &str) -> Result<&'a [Member], Mistake> {
    match entry.get(key) {
        None => Ok(&[]),
        Some(node) if node.is_object() || node.value == Value::Null => Ok(node.members()),
        Some(other) => Err(Mistake::new(
            other.span.start,
            format!("\"{key}\" has to be an object of texts, not {}", other.kind()),
        )),
    }
}
