//! What the demonstration server offers: tools, resources, prompts, completions.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::wire::{Fault, INVALID_PARAMS};

/// A cat of 16 by 12 pixels, as PNG in base64.
pub(super) const PICTURE: &str = concat!(
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAMCAMAAABcOc2zAAAACVBMVEUUFB76yDweoIw2fwEbAAAAMklEQVR42mNgYGRA",
    "AiAOI5III0SAEcGHCiAB7AJMTBAOiMYugM0MBiwMOB9ZE5IL4VwAL3sAf9q+ufIAAAAASUVORK5CYII="
);

/// The resource that `touch_note` changes.
pub(super) const NOTE: &str = "demo://note";
/// A resource of text.
pub(super) const README: &str = "demo://readme";
/// A resource of bytes.
pub(super) const CAT: &str = "demo://cat.png";
/// The tool that `toggle_extra` adds and removes.
pub(super) const EXTRA: &str = "extra";

const TONES: [&str; 5] = ["calm", "cheerful", "curt", "formal", "poetic"];
const NAMES: [&str; 6] = ["Ada", "Åsa", "Grace", "Linus", "Мария", "美咲"];

/// Every tool, `extra` only while it is there.
pub(super) fn tools(with_extra: bool) -> Vec<Value> {
    let mut tools = vec![
        echo(),
        add(),
        slow_count(),
        long_report(),
        flaky(),
        ask_model(),
        ask_user(),
        picture(),
        big_text(),
        toggle_extra(),
        touch_note(),
    ];
    if with_extra {
        tools.push(tool(EXTRA, "Is there only now and then", &json!({}), &[]));
    }
    tools
}

fn tool(name: &str, description: &str, properties: &Value, required: &[&str]) -> Value {
    json!({
        "name": name,
        "description": description,
        "inputSchema": { "type": "object", "properties": properties, "required": required },
    })
}

fn echo() -> Value {
    let properties = json!({ "text": { "type": "string" } });
    tool("echo", "Says what it was told", &properties, &["text"])
}

fn add() -> Value {
    let properties = json!({ "a": { "type": "number" }, "b": { "type": "number" } });
    let mut add = tool("add", "Adds two numbers", &properties, &["a", "b"]);
    let output = json!({
        "type": "object",
        "properties": { "sum": { "type": "number" } },
        "required": ["sum"],
    });
    if let Value::Object(add) = &mut add {
        add.insert("outputSchema".to_owned(), output);
    }
    add
}

fn slow_count() -> Value {
    let properties = json!({
        "to": { "type": "integer", "minimum": 1, "maximum": 100 },
        "delay_ms": { "type": "integer", "minimum": 0, "maximum": 5000 },
    });
    tool(
        "slow_count",
        "Counts slowly and reports progress",
        &properties,
        &["to"],
    )
}

fn long_report() -> Value {
    let properties = json!({ "delay_ms": { "type": "integer", "minimum": 0, "maximum": 5000 } });
    let description = "Takes so long that clients of 2025-11-25 are sent away and come back for the answer";
    tool("long_report", description, &properties, &[])
}

fn flaky() -> Value {
    tool("flaky", "Fails, as tools do", &json!({}), &[])
}

fn ask_model() -> Value {
    let properties = json!({ "question": { "type": "string" } });
    tool("ask_model", "Asks the client's model", &properties, &["question"])
}

fn ask_user() -> Value {
    tool("ask_user", "Asks the client's user for a name", &json!({}), &[])
}

fn picture() -> Value {
    tool("picture", "Shows a cat", &json!({}), &[])
}

fn big_text() -> Value {
    let properties = json!({
        "language": { "type": "string", "x-mcp-header": "Language" },
        "lines": { "type": "integer", "minimum": 1, "maximum": 500 },
    });
    tool("big_text", "Writes many lines", &properties, &["lines"])
}

fn toggle_extra() -> Value {
    let description = "Adds the tool `extra` or removes it; whoever listens is told";
    tool("toggle_extra", description, &json!({}), &[])
}

fn touch_note() -> Value {
    let description = "Changes the resource demo://note; whoever is subscribed is told";
    tool("touch_note", description, &json!({}), &[])
}

/// Every resource.
pub(super) fn resources() -> Vec<Value> {
    vec![
        json!({ "uri": README, "name": "readme", "title": "Read me", "mimeType": "text/markdown" }),
        json!({ "uri": NOTE, "name": "note", "mimeType": "text/plain" }),
        json!({ "uri": CAT, "name": "cat", "mimeType": "image/png" }),
    ]
}

/// Every resource template.
pub(super) fn templates() -> Vec<Value> {
    vec![json!({ "uriTemplate": "demo://greeting/{name}", "name": "greeting", "mimeType": "text/plain" })]
}

/// The contents of a resource, `None` when there is no such resource.
pub(super) fn contents(uri: &str, touched: u64) -> Option<Value> {
    let text = |mime: &str, text: String| json!({ "uri": uri, "mimeType": mime, "text": text });
    let content = match uri {
        README => text("text/markdown", README_TEXT.to_owned()),
        NOTE => text("text/plain", format!("touched {touched} times\n")),
        CAT => json!({ "uri": uri, "mimeType": "image/png", "blob": PICTURE }),
        _ => text(
            "text/plain",
            format!("Hello, {}!", uri.strip_prefix("demo://greeting/")?),
        ),
    };
    Some(json!({ "contents": [content] }))
}

const README_TEXT: &str = "# The demonstration server\n\n\
    Everything here is real traffic: \u{2713} tools, \u{2713} resources, \u{2713} prompts.\n\
    Gr\u{fc}\u{df}e, \u{3053}\u{3093}\u{306b}\u{3061}\u{306f}, \u{1f431}\n";

/// Every prompt.
pub(super) fn prompts() -> Vec<Value> {
    let tone = json!({ "name": "tone", "description": "how it should sound", "required": false });
    let name = json!({ "name": "name", "description": "who is introduced", "required": true });
    vec![
        json!({ "name": "introduce", "description": "Introduces somebody", "arguments": [name, tone] }),
        json!({ "name": "review", "description": "Reviews the readme" }),
    ]
}

/// A prompt's messages.
pub(super) fn prompt(name: &str, arguments: &Value) -> Result<Value, Fault> {
    let user = |content: Value| json!({ "role": "user", "content": content });
    match name {
        "introduce" => {
            let who = arguments.get("name").and_then(Value::as_str);
            let who = who.ok_or_else(|| Fault::new(INVALID_PARAMS, "introduce needs the argument `name`"))?;
            let tone = arguments.get("tone").and_then(Value::as_str).unwrap_or("calm");
            let text = format!("Introduce {who} in a {tone} tone.");
            Ok(json!({ "messages": [user(json!({ "type": "text", "text": text }))] }))
        }
        "review" => {
            let readme = json!({ "uri": README, "mimeType": "text/markdown", "text": README_TEXT });
            let content = json!({ "type": "resource", "resource": readme });
            Ok(json!({ "messages": [user(content)] }))
        }
        _ => Err(Fault::new(INVALID_PARAMS, format!("there is no prompt `{name}`"))),
    }
}

/// The values that complete an argument.
pub(super) fn complete(argument: &str, typed: &str) -> Value {
    let known: &[&str] = match argument {
        "tone" => &TONES,
        "name" => &NAMES,
        _ => &[],
    };
    let matching: Vec<_> = known.iter().filter(|value| value.starts_with(typed)).collect();
    json!({ "completion": { "values": matching, "total": matching.len(), "hasMore": false } })
}

/// Entries on one page of a list.
const PAGE: usize = 4;

/// The page of `entries` that `cursor` names, under `key`, with the cursor of the next one.
pub(super) fn page(key: &str, entries: Vec<Value>, cursor: Option<&str>) -> Result<Value, Fault> {
    let start = match cursor {
        None => 0,
        Some(cursor) => read_cursor(cursor)
            .filter(|start| *start < entries.len())
            .ok_or_else(|| Fault::new(INVALID_PARAMS, "the cursor is not one of this list"))?,
    };
    let next = start.saturating_add(PAGE);
    let has_more = next < entries.len();
    let shown: Vec<Value> = entries.into_iter().skip(start).take(PAGE).collect();
    let mut page = json!({ key: shown });
    if let (Value::Object(page), true) = (&mut page, has_more) {
        page.insert("nextCursor".to_owned(), json!(write_cursor(next)));
    }
    Ok(page)
}

fn write_cursor(start: usize) -> String {
    BASE64_STANDARD.encode(format!("from:{start}"))
}

fn read_cursor(cursor: &str) -> Option<usize> {
    let text = String::from_utf8(BASE64_STANDARD.decode(cursor).ok()?).ok()?;
    text.strip_prefix("from:")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let mut names = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = page("tools", tools(true), cursor.as_deref()).unwrap();
            let entries = page["tools"].as_array().unwrap();
            names.extend(entries.iter().map(|tool| tool["name"].clone()));
            cursor = page["nextCursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        let all: Vec<_> = tools(true).iter().map(|tool| tool["name"].clone()).collect();
        assert_eq!(names, all);
    }

    #[test]
    fn a_cursor_of_somebody_else_is_refused() {
        for cursor in ["", "nonsense", "ZnJvbTo5OTk="] {
            let fault = page("tools", tools(false), Some(cursor)).unwrap_err();
            assert_eq!(fault.code, INVALID_PARAMS);
        }
    }

    #[test]
    fn the_picture_is_a_png() {
        let bytes = BASE64_STANDARD.decode(PICTURE).unwrap();
        assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes.ends_with(b"IEND\xaeB`\x82"));
    }
}
