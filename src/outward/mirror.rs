//! The headers in which a request of the modern era repeats what its body says.
//!
//! Source: MCP 2026-07-28, Transports, "Standard request headers" and "Custom headers from tool parameters".

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::codec::json::{PathStep, find_path, string_value};
use crate::mcp::tool_headers::{ToolHeaders, name_key, spelled};

pub(super) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// Which parameters of which tools headers repeat, by the latest list of tools.
#[derive(Debug, Default)]
pub(super) struct Mirror(ToolHeaders);

impl Mirror {
    /// Takes in a page of the list of tools; the first one replaces what was known.
    pub(super) fn learn(&mut self, answer: &[u8], is_first_page: bool) {
        self.0.learn(answer, is_first_page);
    }

    /// Sets the headers that repeat what `message` says.
    pub(super) fn apply(&self, method: &str, message: &[u8], headers: &mut HeaderMap) {
        set(headers, METHOD, method);
        let param = |key| find_path(message, &[PathStep::Key("params"), PathStep::Key(key)]);
        let name = name_key(method).and_then(param).map(string_value);
        if let Some(name) = &name {
            set(headers, NAME, name);
        }
        let repeated = name.and_then(|name| self.0.of(&name));
        let arguments = param("arguments");
        if let (Some(repeated), Some(arguments), "tools/call") = (repeated, arguments, method) {
            for repeated in &*repeated {
                if let Some(value) = repeated.value_in(arguments) {
                    set(headers, repeated.header.clone(), &string_value(value));
                }
            }
        }
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(&spelled(value)) {
        headers.insert(name, value);
    }
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
