//! The schemas of the tools of all servers, by the latest lists of tools that passed: for headers that repeat arguments,
//! for checks of what is edited by hand, and for answers that are made by hand.
//!
//! Source: MCP 2026-07-28, Transports, "Custom headers from tool parameters"; Tools, "Output Schema".

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::codec::json::{PathStep, elements, find_path, string_value};

/// Bytes of all schemas and of the names of their tools and servers. Beyond, all are forgotten: the next list that
/// passes brings those of its server back.
const MAX_BYTES: usize = 4 << 20;

/// The schemas of the tools of all servers. A short lock, taken for lists of tools, and for calls that are edited or
/// looked at.
#[derive(Debug, Default)]
pub(crate) struct ToolSchemas(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    servers: HashMap<Arc<str>, HashMap<String, Schemas>>,
    bytes: usize,
}

/// What a tool says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Schemas {
    /// What its arguments have to be.
    pub(crate) input: Option<Arc<str>>,
    /// What its structured results are.
    pub(crate) output: Option<Arc<str>>,
}

impl ToolSchemas {
    /// Takes in a page of the list of tools of a server. Tools that other pages had stay.
    pub(crate) fn learn(&self, server: &Arc<str>, answer: &[u8]) {
        let tools = find_path(answer, &[PathStep::Key("result"), PathStep::Key("tools")]).unwrap_or_default();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for tool in elements(tools) {
            let name = find_path(tool, &[PathStep::Key("name")]).map(string_value);
            if let Some(name) = name {
                let schema = |key| {
                    let schema = find_path(tool, &[PathStep::Key(key)])?;
                    std::str::from_utf8(schema).ok().map(Arc::from)
                };
                let schemas = Schemas {
                    input: schema("inputSchema"),
                    output: schema("outputSchema"),
                };
                known.keep(server, name.into_owned(), schemas);
            }
        }
    }

    /// The schemas of the tool that a request calls; empty if they are not known, or it calls none.
    pub(crate) fn of(&self, server: &str, request: &[u8]) -> Schemas {
        let path = [PathStep::Key("params"), PathStep::Key("name")];
        match find_path(request, &path).map(string_value) {
            Some(tool) => self.named(server, &tool),
            None => Schemas::default(),
        }
    }

    /// The schemas of the tool of that name.
    pub(crate) fn named(&self, server: &str, tool: &str) -> Schemas {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tools = known.servers.get(server);
        tools
            .and_then(|tools| tools.get(tool))
            .cloned()
            .unwrap_or_default()
    }
}

impl Known {
    fn keep(&mut self, server: &Arc<str>, tool: String, schemas: Schemas) {
        let names = tool.len() + server.len();
        if let Some(old) = self.servers.get_mut(server).and_then(|tools| tools.remove(&tool)) {
            self.bytes -= old.bytes() + names;
        }
        let bytes = schemas.bytes() + names;
        if schemas == Schemas::default() || bytes > MAX_BYTES {
            return;
        }
        if self.bytes + bytes > MAX_BYTES {
            *self = Self::default();
        }
        self.bytes += bytes;
        let tools = self.servers.entry(Arc::clone(server)).or_default();
        tools.insert(tool, schemas);
    }
}

impl Schemas {
    fn bytes(&self) -> usize {
        [&self.input, &self.output]
            .into_iter()
            .flatten()
            .map(|schema| schema.len())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(tool: &str, schema: &str) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{{"name":"{tool}","inputSchema":{schema}}}]}}}}"#
        )
    }

    fn call(tool: &str) -> String {
        format!(r#"{{"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
    }

    fn input(known: &ToolSchemas, server: &str, tool: &str) -> Option<Arc<str>> {
        known.of(server, call(tool).as_bytes()).input
    }

    #[test]
    fn a_tool_is_known_by_the_latest_list_of_its_own_server() {
        let known = ToolSchemas::default();
        let schema = r#"{"properties":{"a":{"type":"string"}}}"#;
        known.learn(&"one".into(), list("t", schema).as_bytes());
        assert_eq!(input(&known, "one", "t").as_deref(), Some(schema));
        assert_eq!(input(&known, "two", "t"), None);
        assert_eq!(input(&known, "one", "u"), None);
        known.learn(&"one".into(), list("t", "{}").as_bytes());
        assert_eq!(input(&known, "one", "t").as_deref(), Some("{}"));
    }

    #[test]
    fn what_a_tool_gives_back_is_known_too() {
        let known = ToolSchemas::default();
        let schema = r#"{},"outputSchema":{"type":"object"}"#;
        known.learn(&"one".into(), list("t", schema).as_bytes());
        assert_eq!(
            known.named("one", "t").output.as_deref(),
            Some(r#"{"type":"object"}"#)
        );
    }

    #[test]
    fn servers_that_list_without_end_are_forgotten_before_there_are_too_many() {
        let known = ToolSchemas::default();
        let schema = format!(r#"{{"title":"{}"}}"#, "s".repeat(MAX_BYTES / 3));
        for number in 0..20 {
            known.learn(&format!("server {number}").into(), list("t", &schema).as_bytes());
            let kept = known.0.lock().unwrap();
            assert!(kept.bytes <= MAX_BYTES && kept.servers.len() <= 3);
        }
        assert!(input(&known, "server 19", "t").is_some());
    }
}
