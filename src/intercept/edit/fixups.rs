//! The headers that repeat what a request of the modern era says, after an edit of it.
//!
//! Source: MCP 2026-07-28, Transports, "Standard request headers" and "Custom headers from tool parameters".

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use super::reader::read;
use crate::codec::json::{PathStep, find_path, string_value};
use crate::mcp::era;
use crate::mcp::tool_headers::{SENTINEL, marked, name_key, spelled};
use crate::snapshot::Era;

const VERSION: &str = "MCP-Protocol-Version";
const METHOD: &str = "Mcp-Method";
const NAME: &str = "Mcp-Name";
const PARAM: &str = "Mcp-Param-";

/// A header field that has to follow an edit, or the server must refuse the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fixup {
    /// Its name, as the head has it if it is there.
    pub name: String,
    /// Its value before, as it travels; `None` if it is not there.
    pub before: Option<String>,
    /// Its value afterwards, as it travels; `None` if it goes.
    pub after: Option<String>,
}

impl fmt::Display for Fixup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, "{}: {before} → {after}", self.name),
            (None, Some(after)) => write!(f, "{}: {after} (new)", self.name),
            (Some(before), None) => write!(f, "{}: {before} (removed)", self.name),
            (None, None) => write!(f, "{}: none", self.name),
        }
    }
}

/// What becomes of `MCP-Protocol-Version`, `Mcp-Method`, `Mcp-Name` and `Mcp-Param-*` when the body of a request
/// changes from `before` to `after`; `schema` is the `inputSchema` of the tool that is called now.
///
/// Empty for what is not of the modern era. A header whose value the edit leaves alone is left alone too, also where it
/// said something else before; so are parameters whose schema is not known. Headers of a notification are changed,
/// but none is added.
pub fn fixups(head: &[(String, String)], before: &[u8], after: &[u8], schema: Option<&str>) -> Vec<Fixup> {
    let params = schema.map(params_of).unwrap_or_default();
    let Some(now) = Mirror::of(after, &params) else {
        return Vec::new();
    };
    let then = Mirror::of(before, &params);
    let is_same_tool = then
        .as_ref()
        .is_some_and(|then| then.value(NAME) == now.value(NAME));
    let mut fixups = Vec::new();
    for (name, value) in &now.values {
        let is_param = name.starts_with(PARAM);
        let was_same = then
            .as_ref()
            .is_some_and(|then| then.value(name) == value.as_deref());
        if !was_same || is_param && !is_same_tool {
            fixups.extend(fixup(head, name, value.as_deref(), now.is_request));
        }
    }
    if schema.is_some() && !is_same_tool {
        fixups.extend(foreign_params(head, &now));
    }
    fixups
}

fn fixup(head: &[(String, String)], name: &str, value: Option<&str>, may_be_added: bool) -> Option<Fixup> {
    let there = head.iter().find(|(there, _)| there.eq_ignore_ascii_case(name));
    let is_right = match there {
        None => value.is_none() || !may_be_added,
        Some((_, said)) => value.is_some_and(|value| decoded(said).as_deref() == Some(value.as_bytes())),
    };
    (!is_right).then(|| Fixup {
        name: there.map_or(name, |(name, _)| name).to_owned(),
        before: there.map(|(_, said)| said.clone()),
        after: value.map(|value| spelled(value).into_owned()),
    })
}

/// The parameters of another tool that the head still has.
fn foreign_params<'a>(head: &'a [(String, String)], now: &'a Mirror) -> impl Iterator<Item = Fixup> + 'a {
    let is_param = |name: &str| {
        let start = name.as_bytes().get(..PARAM.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(PARAM.as_bytes()))
    };
    let is_known = |name: &str| {
        now.values
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    head.iter()
        .filter(move |(name, _)| is_param(name) && !is_known(name))
        .map(|(name, said)| Fixup {
            name: name.clone(),
            before: Some(said.clone()),
            after: None,
        })
}

/// What the headers of a message repeat.
struct Mirror {
    is_request: bool,
    /// The headers that the message may have, and what they say.
    values: Vec<(String, Option<String>)>,
}

impl Mirror {
    /// `None` for what is no request or notification of the modern era.
    fn of(body: &[u8], params: &[Param]) -> Option<Self> {
        read(body).ok()?;
        let text = |path: &[&str]| {
            let steps: Vec<PathStep<'_>> = path.iter().map(|key| PathStep::Key(key)).collect();
            let raw = find_path(body, &steps)?;
            let is_repeated = !matches!(raw[0], b'{' | b'[' | b'n');
            is_repeated.then(|| string_value(raw).into_owned())
        };
        let method = text(&["method"])?;
        let version = text(&["params", "_meta", "io.modelcontextprotocol/protocolVersion"])?;
        if era::of_revision(&version) == Some(Era::Legacy) {
            return None;
        }
        let name = name_key(&method).and_then(|key| text(&["params", key]));
        let mut values = vec![(VERSION.to_owned(), Some(version)), (NAME.to_owned(), name)];
        if method == "tools/call" {
            values.extend(params.iter().map(|param| {
                let keys = param.path.iter().map(String::as_str);
                let path: Vec<&str> = ["params", "arguments"].into_iter().chain(keys).collect();
                (param.header.clone(), text(&path))
            }));
        }
        values.insert(1, (METHOD.to_owned(), Some(method)));
        Some(Self {
            is_request: find_path(body, &[PathStep::Key("id")]).is_some(),
            values,
        })
    }

    fn value(&self, name: &str) -> Option<&str> {
        let found = self.values.iter().find(|(known, _)| known == name)?;
        found.1.as_deref()
    }
}

/// An argument that a header repeats.
struct Param {
    header: String,
    path: Vec<String>,
}

/// The arguments that a schema marks; none if it is broken.
fn params_of(schema: &str) -> Vec<Param> {
    if read(schema.as_bytes()).is_err() {
        return Vec::new();
    }
    let params = marked(schema.as_bytes()).into_iter().map(|marked| Param {
        header: format!("{PARAM}{}", marked.name),
        path: marked.path,
    });
    params.collect()
}

/// A value as it was meant; `None` if its encoding is broken.
fn decoded(said: &str) -> Option<Vec<u8>> {
    let said = said.trim_matches([' ', '\t']);
    match said.strip_prefix(SENTINEL.0) {
        None => Some(said.as_bytes().to_vec()),
        Some(rest) => BASE64_STANDARD.decode(rest.strip_suffix(SENTINEL.1)?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type":"object","properties":{
        "region":{"type":"string","x-mcp-header":"Region"},
        "to":{"type":"object","properties":{"port":{"type":"integer","x-mcp-header":"Port"}}},
        "bad":{"type":"string","x-mcp-header":"a b"}}}"#;

    fn call(method: &str, params: &str) -> String {
        format!(
            r#"{{"id":1,"method":"{method}","params":{{{params},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}}}}"#
        )
    }

    fn shown(head: &[(&str, &str)], before: &str, after: &str, schema: Option<&str>) -> Vec<String> {
        let head: Vec<(String, String)> = head
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        fixups(&head, before.as_bytes(), after.as_bytes(), schema)
            .iter()
            .map(Fixup::to_string)
            .collect()
    }

    const HEAD: [(&str, &str); 3] = [
        ("mcp-protocol-version", "2026-07-28"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "echo"),
    ];

    #[test]
    fn headers_follow_the_body() {
        let before = call("tools/call", r#""name":"echo""#);
        let after = call("tools/call", r#""name":"add""#);
        assert_eq!(shown(&HEAD, &before, &after, None), ["Mcp-Name: echo → add"]);
        assert_eq!(shown(&HEAD, &before, &before, None), [""; 0]);
        assert_eq!(
            shown(&HEAD, &before, &call("resources/read", r#""uri":"é""#), None),
            [
                "Mcp-Method: tools/call → resources/read",
                "Mcp-Name: echo → =?base64?w6k=?="
            ]
        );
        assert_eq!(
            shown(&HEAD, &before, &call("tools/list", r#""name":"x""#), None),
            ["Mcp-Method: tools/call → tools/list", "Mcp-Name: echo (removed)"]
        );
        let other = before.replace("2026-07-28", "2027-01-01");
        assert_eq!(
            shown(&HEAD, &before, &other, None),
            ["mcp-protocol-version: 2026-07-28 → 2027-01-01"]
        );
    }

    #[test]
    fn what_the_edit_leaves_alone_is_left_alone() {
        let before = call("tools/call", r#""name":"echo","arguments":{"x":1}"#);
        let after = call("tools/call", r#""name":"echo","arguments":{"x":2}"#);
        let wrong = [("Mcp-Method", "Tools/Call"), ("Mcp-Name", "other")];
        assert_eq!(shown(&wrong, &before, &after, Some(SCHEMA)), [""; 0]);
    }

    #[test]
    fn arguments_are_repeated_as_their_schema_says() {
        let head = [
            &HEAD[..],
            &[("Mcp-Param-Region", "eu-1"), ("mcp-param-port", "80")],
        ]
        .concat();
        let before = call(
            "tools/call",
            r#""name":"echo","arguments":{"region":"eu-1","to":{"port":80}}"#,
        );
        let edited =
            |arguments: &str| call("tools/call", &format!(r#""name":"echo","arguments":{arguments}"#));
        assert_eq!(
            shown(
                &head,
                &before,
                &edited(r#"{"region":" us","to":{"port":8443}}"#),
                Some(SCHEMA)
            ),
            [
                "Mcp-Param-Region: eu-1 → =?base64?IHVz?=",
                "mcp-param-port: 80 → 8443"
            ]
        );
        assert_eq!(
            shown(
                &head,
                &before,
                &edited(r#"{"region":null,"to":{"port":80}}"#),
                Some(SCHEMA)
            ),
            ["Mcp-Param-Region: eu-1 (removed)"]
        );
        assert_eq!(shown(&head, &before, &edited("{}"), None), [""; 0]);
        assert_eq!(
            shown(&HEAD, &edited("{}"), &edited(r#"{"region":"x"}"#), Some(SCHEMA)),
            ["Mcp-Param-Region: x (new)"]
        );
    }

    #[test]
    fn another_tool_has_other_parameters() {
        let head = [&HEAD[..], &[("Mcp-Param-Old", "1")]].concat();
        let before = call("tools/call", r#""name":"echo","arguments":{"region":"x"}"#);
        let after = call("tools/call", r#""name":"deploy","arguments":{"region":"x"}"#);
        assert_eq!(
            shown(&head, &before, &after, Some(SCHEMA)),
            [
                "Mcp-Name: echo → deploy",
                "Mcp-Param-Region: x (new)",
                "Mcp-Param-Old: 1 (removed)"
            ]
        );
    }

    #[test]
    fn older_requests_and_notifications_get_no_new_headers() {
        let legacy = r#"{"id":1,"method":"tools/call","params":{"name":"a"}}"#;
        assert_eq!(
            shown(&[], legacy, &legacy.replace("\"a\"", "\"b\""), None),
            [""; 0]
        );
        let notification = call("notifications/a", r#""x":1"#).replace("\"id\":1,", "");
        let other = notification.replace("notifications/a", "notifications/b");
        assert_eq!(shown(&[], &notification, &other, None), [""; 0]);
        assert_eq!(
            shown(&[("Mcp-Method", "notifications/a")], &notification, &other, None),
            ["Mcp-Method: notifications/a → notifications/b"]
        );
        assert_eq!(
            shown(&[], legacy, &call("tools/call", r#""name":"a""#), None),
            [
                "MCP-Protocol-Version: 2026-07-28 (new)",
                "Mcp-Method: tools/call (new)",
                "Mcp-Name: a (new)"
            ]
        );
    }

    #[test]
    fn a_head_that_says_the_same_in_another_spelling_is_right() {
        let before = call("tools/call", r#""name":"echo""#);
        let after = call("tools/call", r#""name":"add""#);
        let head = [("Mcp-Name", "=?base64?YWRk?= ")];
        assert_eq!(shown(&head, &before, &after, None), [""; 0]);
    }
}
