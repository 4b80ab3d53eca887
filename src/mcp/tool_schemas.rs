//! The schemas of the tools whose arguments a request repeats in `Mcp-Param-*` headers, by the latest lists of tools
//! that passed.
//!
//! Source: MCP 2026-07-28, Transports, "Custom headers from tool parameters".

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::codec::json::{PathStep, elements, find_path, string_value};

/// What a schema has that says so.
const MARK: &[u8] = b"x-mcp-header";
/// Bytes of all schemas and of the names of their tools and servers. Beyond, all are forgotten: the next list that
/// passes brings those of its server back.
const MAX_BYTES: usize = 4 << 20;

/// The schemas of the tools of all servers. A short lock, taken for lists of tools and for edited calls only.
#[derive(Debug, Default)]
pub(crate) struct ToolSchemas(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    servers: HashMap<Arc<str>, HashMap<String, Arc<str>>>,
    bytes: usize,
}

impl ToolSchemas {
    /// Takes in a page of the list of tools of a server. Tools that other pages had stay.
    pub(crate) fn learn(&self, server: &Arc<str>, answer: &[u8]) {
        let says_any = memchr::memmem::find(answer, MARK).is_some();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !says_any && !known.servers.contains_key(server) {
            return;
        }
        let tools = find_path(answer, &[PathStep::Key("result"), PathStep::Key("tools")]).unwrap_or_default();
        for tool in elements(tools) {
            let name = find_path(tool, &[PathStep::Key("name")]).map(string_value);
            let schema = find_path(tool, &[PathStep::Key("inputSchema")]);
            if let (Some(name), Some(Ok(schema))) = (name, schema.map(str::from_utf8)) {
                known.keep(server, name.into_owned(), schema);
            }
        }
    }

    /// The `inputSchema` of the tool that a request calls; `None` if no header repeats its arguments, or it is not known.
    pub(crate) fn of(&self, server: &str, request: &[u8]) -> Option<Arc<str>> {
        let path = [PathStep::Key("params"), PathStep::Key("name")];
        let tool = find_path(request, &path).map(string_value)?;
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.servers.get(server)?.get(&*tool).cloned()
    }
}

impl Known {
    fn keep(&mut self, server: &Arc<str>, tool: String, schema: &str) {
        let tools = self.servers.entry(Arc::clone(server)).or_default();
        if let Some(old) = tools.remove(&tool) {
            self.bytes -= old.len() + tool.len() + server.len();
        }
        let bytes = schema.len() + tool.len() + server.len();
        if memchr::memmem::find(schema.as_bytes(), MARK).is_none() || bytes > MAX_BYTES {
            return;
        }
        if self.bytes + bytes > MAX_BYTES {
            *self = Self::default();
        }
        self.bytes += bytes;
        let tools = self.servers.entry(Arc::clone(server)).or_default();
        tools.insert(tool, schema.into());
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

    #[test]
    fn a_tool_is_known_by_the_latest_list_of_its_own_server() {
        let known = ToolSchemas::default();
        let schema = r#"{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}"#;
        known.learn(&"one".into(), list("t", schema).as_bytes());
        assert_eq!(known.of("one", call("t").as_bytes()).as_deref(), Some(schema));
        assert_eq!(known.of("two", call("t").as_bytes()), None);
        assert_eq!(known.of("one", call("u").as_bytes()), None);
        known.learn(&"one".into(), list("t", "{}").as_bytes());
        assert_eq!(known.of("one", call("t").as_bytes()), None);
    }

    #[test]
    fn servers_that_list_without_end_are_forgotten_before_there_are_too_many() {
        let known = ToolSchemas::default();
        let schema = format!(r#"{{"x-mcp-header":"{}"}}"#, "s".repeat(MAX_BYTES / 3));
        for number in 0..20 {
            known.learn(&format!("server {number}").into(), list("t", &schema).as_bytes());
            let kept = known.0.lock().unwrap();
            assert!(kept.bytes <= MAX_BYTES && kept.servers.len() <= 3);
        }
        assert!(known.of("server 19", call("t").as_bytes()).is_some());
    }
}
