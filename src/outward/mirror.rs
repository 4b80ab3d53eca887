//! The headers in which a request of the modern era repeats what its body says.
//!
//! Source: MCP 2026-07-28, Transports, "Standard request headers" and "Custom headers from tool parameters".

use std::collections::HashMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::codec::json::{PathStep, elements, find_path, members, string_value};

pub(super) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// Before and after a value that cannot travel as it is.
const SENTINEL: (&str, &str) = ("=?base64?", "?=");
/// Tools whose parameters are known at once. Those of further ones are not repeated.
const MAX_TOOLS: usize = 4096;
/// Parameters of a tool that are repeated.
const MAX_PARAMS: usize = 64;
/// How deep in a schema they are looked for.
const MAX_DEPTH: usize = 16;

/// A parameter that a header repeats.
#[derive(Debug, PartialEq, Eq)]
struct Param {
    header: HeaderName,
    path: Vec<String>,
}

/// Which parameters of which tools headers repeat, by the latest list of tools.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    tools: HashMap<String, Vec<Param>>,
}

impl Mirror {
    /// Takes in a page of the list of tools; the first one replaces what was known.
    pub(super) fn learn(&mut self, answer: &[u8], is_first_page: bool) {
        if is_first_page {
            self.tools.clear();
        }
        let tools = find_path(answer, &[PathStep::Key("result"), PathStep::Key("tools")]).unwrap_or_default();
        for tool in elements(tools) {
            let name = find_path(tool, &[PathStep::Key("name")]).map(string_value);
            let Some(name) = name.filter(|_| memchr::memmem::find(tool, b"x-mcp-header").is_some()) else {
                continue;
            };
            let mut params = Vec::new();
            if let Some(schema) = find_path(tool, &[PathStep::Key("inputSchema")]) {
                collect(schema, &mut Vec::new(), &mut params);
            }
            if self.tools.len() < MAX_TOOLS {
                self.tools.insert(name.into_owned(), params);
            }
        }
    }

    /// Sets the headers that repeat what `message` says.
    pub(super) fn apply(&self, method: &str, message: &[u8], headers: &mut HeaderMap) {
        set(headers, METHOD, method);
        let param = |key| find_path(message, &[PathStep::Key("params"), PathStep::Key(key)]);
        let name = name_key(method).and_then(param).map(string_value);
        if let Some(name) = &name {
            set(headers, NAME, name);
        }
        let params = name.and_then(|name| self.tools.get(&*name));
        let arguments = param("arguments");
        if let (Some(params), Some(arguments), "tools/call") = (params, arguments, method) {
            for param in params {
                let path: Vec<PathStep<'_>> = param.path.iter().map(|key| PathStep::Key(key)).collect();
                match find_path(arguments, &path) {
                    None | Some(b"null" | [b'{' | b'[', ..]) => {}
                    Some(value) => set(headers, param.header.clone(), &string_value(value)),
                }
            }
        }
    }
}

/// The parameter that `Mcp-Name` repeats.
fn name_key(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    }
}

fn collect(schema: &[u8], path: &mut Vec<String>, params: &mut Vec<Param>) {
    let properties = find_path(schema, &[PathStep::Key("properties")]).unwrap_or_default();
    for (key, property) in members(properties) {
        if params.len() >= MAX_PARAMS || path.len() >= MAX_DEPTH {
            return;
        }
        path.push(string_value(key).into_owned());
        let header = find_path(property, &[PathStep::Key("x-mcp-header")]).map(string_value);
        let header = header.filter(|name| !name.is_empty());
        if let Some(Ok(header)) = header.map(|name| format!("mcp-param-{name}").parse()) {
            params.push(Param {
                header,
                path: path.clone(),
            });
        }
        collect(property, path, params);
        path.pop();
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(&spelled(value)) {
        headers.insert(name, value);
    }
}

/// A value as it can travel in a header.
fn spelled(value: &str) -> String {
    let is_plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let has_edges = value.starts_with(' ') || value.ends_with(' ');
    let is_marked = value.starts_with(SENTINEL.0) && value.ends_with(SENTINEL.1);
    if is_plain && !has_edges && !is_marked {
        return value.to_owned();
    }
    [SENTINEL.0, &BASE64_STANDARD.encode(value), SENTINEL.1].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(mirror: &Mirror, method: &str, params: &str) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        let message = format!(r#"{{"method":"{method}","params":{params},"id":1}}"#);
        mirror.apply(method, message.as_bytes(), &mut headers);
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        headers.iter().map(text).collect()
    }

    fn named(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_name_is_repeated_where_the_method_has_one() {
        let mirror = Mirror::default();
        for (method, key) in [
            ("tools/call", "name"),
            ("prompts/get", "name"),
            ("resources/read", "uri"),
            ("tasks/update", "taskId"),
        ] {
            let headers = applied(&mirror, method, &format!(r#"{{"{key}":"a b"}}"#));
            assert_eq!(headers, [named("mcp-method", method), named("mcp-name", "a b")]);
        }
        assert_eq!(
            applied(&mirror, "tools/list", r#"{"name":"x"}"#),
            [named("mcp-method", "tools/list")]
        );
    }

    #[test]
    fn a_value_that_is_not_plain_travels_as_base64() {
        for (value, spelling) in [
            ("plain ~", "plain ~"),
            ("", ""),
            ("é", "=?base64?w6k=?="),
            (" x", "=?base64?IHg=?="),
            ("=?base64?eA==?=", "=?base64?PT9iYXNlNjQ/ZUE9PT89?="),
        ] {
            assert_eq!(spelled(value), spelling);
        }
    }

    #[test]
    fn annotated_arguments_are_repeated_as_the_latest_list_says() {
        let mut mirror = Mirror::default();
        let list =
            br#"{"id":1,"result":{"tools":[{"name":"deploy","inputSchema":{"type":"object","properties":{
            "region":{"type":"string","x-mcp-header":"Region"},
            "dry":{"type":"boolean","x-mcp-header":"Dry"},
            "to":{"type":"object","properties":{"port":{"type":"integer","x-mcp-header":"Port"}}},
            "gone":{"type":"string","x-mcp-header":"Gone"},
            "bad":{"type":"string","x-mcp-header":"a b"}}}}]}}"#;
        mirror.learn(list, true);
        let call = r#"{"name":"deploy","arguments":{"region":"eu-1","dry":true,"to":{"port":8443},"gone":null,"bad":"x"}}"#;
        assert_eq!(
            applied(&mirror, "tools/call", call),
            [
                named("mcp-method", "tools/call"),
                named("mcp-name", "deploy"),
                named("mcp-param-region", "eu-1"),
                named("mcp-param-dry", "true"),
                named("mcp-param-port", "8443")
            ]
        );
        mirror.learn(br#"{"result":{"tools":[]}}"#, false);
        assert_eq!(
            applied(&mirror, "tools/call", call).len(),
            5,
            "a further page adds"
        );
        mirror.learn(br#"{"result":{"tools":[]}}"#, true);
        assert_eq!(applied(&mirror, "tools/call", call).len(), 2);
    }
}
