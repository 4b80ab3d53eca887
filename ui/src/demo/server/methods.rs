//! The methods that both eras answer at once, and what the server says about itself.

use serde_json::{Value, json};

use super::Shared;
use super::jobs::text_result;
use crate::demo::catalogue::{self, EXTRA, NOTE, PICTURE};
use crate::demo::wire::{Fault, INVALID_PARAMS, METHOD_NOT_FOUND, RESOURCE_NOT_FOUND, at, text_at};

/// The most lines that `big_text` writes.
const MAX_LINES: u64 = 500;

/// Whose words an answer uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Era {
    Legacy,
    Modern,
}

/// Who the server is.
pub(super) fn server_info() -> Value {
    json!({
        "name": "shadowcat-demo",
        "title": "The demonstration server \u{1f431}",
        "version": env!("CARGO_PKG_VERSION"),
    })
}

/// What the server can do.
pub(super) fn capabilities() -> Value {
    json!({
        "tools": { "listChanged": true },
        "resources": { "subscribe": true },
        "prompts": {},
        "completions": {},
        "logging": {},
    })
}

/// Answers a method that needs neither a stream nor a session.
pub(super) fn answer(shared: &Shared, era: Era, method: &str, params: &Value) -> Result<Value, Fault> {
    let cursor = text_at(params, &["cursor"]);
    match method {
        "tools/list" => catalogue::page("tools", catalogue::tools(shared.has_extra()), cursor),
        "resources/list" => catalogue::page("resources", catalogue::resources(), cursor),
        "resources/templates/list" => catalogue::page("resourceTemplates", catalogue::templates(), cursor),
        "prompts/list" => catalogue::page("prompts", catalogue::prompts(), cursor),
        "tools/call" => call(shared, params),
        "resources/read" => read(shared, era, params),
        "prompts/get" => {
            let name = needed(params, "name")?;
            catalogue::prompt(name, at(params, &["arguments"]))
        }
        "completion/complete" => complete(params),
        _ => Err(Fault::new(
            METHOD_NOT_FOUND,
            format!("there is no method `{method}`"),
        )),
    }
}

fn needed<'a>(params: &'a Value, key: &str) -> Result<&'a str, Fault> {
    let value = params.get(key).and_then(Value::as_str);
    value.ok_or_else(|| Fault::new(INVALID_PARAMS, format!("the text `{key}` is missing")))
}

fn read(shared: &Shared, era: Era, params: &Value) -> Result<Value, Fault> {
    let uri = needed(params, "uri")?;
    catalogue::contents(uri, shared.touched()).ok_or_else(|| {
        let code = match era {
            Era::Legacy => RESOURCE_NOT_FOUND,
            Era::Modern => INVALID_PARAMS,
        };
        Fault::new(code, "Resource not found").with_data(json!({ "uri": uri }))
    })
}

fn complete(params: &Value) -> Result<Value, Fault> {
    let argument = at(params, &["argument"]);
    let name = needed(argument, "name")?;
    let typed = needed(argument, "value")?;
    Ok(catalogue::complete(name, typed))
}

/// Calls a tool that answers at once.
fn call(shared: &Shared, params: &Value) -> Result<Value, Fault> {
    let arguments = at(params, &["arguments"]);
    match needed(params, "name")? {
        "echo" => Ok(text_result(needed(arguments, "text")?)),
        "add" => add(arguments),
        "picture" => Ok(picture()),
        "big_text" => big_text(arguments),
        "toggle_extra" => Ok(text_result(if shared.toggle_extra() {
            "`extra` is there now"
        } else {
            "`extra` is gone"
        })),
        "touch_note" => Ok(text_result(&format!(
            "{NOTE} was touched {} times",
            shared.touch_note()
        ))),
        EXTRA if shared.has_extra() => Ok(text_result("You were lucky to find me.")),
        name => Err(Fault::new(INVALID_PARAMS, format!("Unknown tool: {name}"))),
    }
}

fn add(arguments: &Value) -> Result<Value, Fault> {
    let number = |key: &str| {
        let number = arguments.get(key).and_then(Value::as_f64);
        number.ok_or_else(|| Fault::new(INVALID_PARAMS, format!("the number `{key}` is missing")))
    };
    let sum = number("a")? + number("b")?;
    let structured = json!({ "sum": sum });
    let content = json!([{ "type": "text", "text": structured.to_string() }]);
    Ok(json!({ "content": content, "structuredContent": structured, "isError": false }))
}

fn picture() -> Value {
    let image = json!({ "type": "image", "data": PICTURE, "mimeType": "image/png" });
    let caption = json!({ "type": "text", "text": "A cat, seen from the front." });
    json!({ "content": [image, caption], "isError": false })
}

fn big_text(arguments: &Value) -> Result<Value, Fault> {
    let lines = arguments.get("lines").and_then(Value::as_u64);
    let lines = lines.filter(|lines| (1..=MAX_LINES).contains(lines));
    let lines = lines.ok_or_else(|| Fault::new(INVALID_PARAMS, "`lines` must be a number from 1 to 500"))?;
    let verse = match arguments.get("language").and_then(Value::as_str) {
        Some("日本語") => "吾輩は猫である。名前はまだ無い。",
        Some("українська") => "Кіт ходить сам собою.",
        _ => "The cat walked by himself, and all places were alike to him.",
    };
    let text: Vec<_> = (1..=lines).map(|line| format!("{line:>3}  {verse}")).collect();
    Ok(text_result(&text.join("\n")))
}
