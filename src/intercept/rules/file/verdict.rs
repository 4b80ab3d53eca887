//! The verdict of a rule's table.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde::de::IgnoredAny;

use crate::intercept::edit::{self, Change, EditError};
use crate::intercept::filter::nearest;
use crate::intercept::rule::{Fault, Refusal, Verdict};
use crate::intercept::rules::path::Path;
use crate::intercept::rules::template;

use super::error::Mistake;
use super::node::{Node, Table, list};
use super::read::word;

/// The keys that say a verdict.
pub(super) const KEYS: [&str; 6] = ["then", "replace", "answer", "refuse", "delay", "fault"];

pub(super) const CHANGES: [&str; 8] = [
    "set",
    "set-json",
    "remove",
    "patch",
    "merge",
    "set-header",
    "remove-header",
    "text",
];

/// Longest delay. Longer: refused.
pub(crate) const MAX_DELAY: Duration = Duration::from_hours(1);
/// Most copies of a message, and most messages that it can be put behind. More: refused.
pub(crate) const MAX_REPEATS: u32 = 1000;

/// Reads the one verdict of a rule that begins at `at`.
pub(super) fn read(table: &Table<'_>, at: usize) -> Result<Verdict, Mistake> {
    let mut verdicts = table.entries().iter().filter(|entry| KEYS.contains(&entry.key));
    let Some(node) = verdicts.next() else {
        let message = format!(
            "the rule does not say what to do; write then = \"hold\", or one of {}",
            list(&KEYS)
        );
        return Err(Mistake::new(at, message));
    };
    if let Some(second) = verdicts.next() {
        let message = format!("a rule has one verdict, and `{}` is there already", node.key);
        return Err(Mistake::new(second.key_at, message));
    }
    match node.key {
        "then" => then(node),
        "replace" => {
            let rule = table.get("name").and_then(|name| name.as_text());
            replace(node, rule.unwrap_or_default()).map(Verdict::Replace)
        }
        "answer" => answer(node),
        "refuse" => refuse(node).map(Verdict::Refuse),
        "delay" => delay(node),
        _ => fault(node).map(Verdict::Fault),
    }
}

fn then(node: &Node<'_>) -> Result<Verdict, Mistake> {
    match word(node, &["hold", "forward", "log", "drop", "drop silently"])? {
        "hold" => Ok(Verdict::Hold),
        "forward" => Ok(Verdict::Forward),
        "log" => Ok(Verdict::Log),
        chosen => Ok(Verdict::Drop {
            is_silent: chosen == "drop silently",
        }),
    }
}

fn replace(node: &Node<'_>, rule: &str) -> Result<Vec<Change>, Mistake> {
    let example = "{ set = { \"$.params.arguments.x\" = 1 } }";
    let tables = match node.as_list() {
        Some(nodes) => nodes
            .iter()
            .map(|node| node.table(example))
            .collect::<Result<_, _>>()?,
        None => vec![node.table(example)?],
    };
    let mut changes = Vec::new();
    for table in tables {
        table.only(&CHANGES)?;
        for entry in table.entries() {
            change(entry, rule, &mut changes)?;
        }
    }
    if changes.is_empty() {
        return Err(node.wrong(format!(
            "`replace` says no change; write one of {}",
            list(&CHANGES)
        )));
    }
    Ok(changes)
}

fn change(node: &Node<'_>, rule: &str, changes: &mut Vec<Change>) -> Result<(), Mistake> {
    match node.key {
        "set" | "set-json" => {
            for entry in node.table("{ \"$.params.arguments.x\" = 1 }")?.entries() {
                changes.push(set(entry, node.key == "set-json")?);
            }
        }
        "remove" => {
            for entry in node.list("[\"$.params.arguments.x\"]")? {
                let path = path(entry.string()?, entry.character_at(0))?;
                changes.push(Change::Remove { path });
            }
        }
        "patch" => changes.push(Change::Patch(patch(node, rule)?)),
        "merge" => changes.push(Change::Merge(json_or_text(node)?)),
        "set-header" => {
            for entry in node.table("{ \"x-name\" = \"value\" }")?.entries() {
                changes.push(set_header(entry)?);
            }
        }
        "remove-header" => {
            for entry in node.list("[\"x-name\"]")? {
                let name = header_name(entry.string()?, entry.at())?;
                changes.push(Change::RemoveHeader { name });
            }
        }
        _ => changes.push(Change::Text(node.string()?.to_owned())),
    }
    Ok(())
}

fn set(node: &Node<'_>, is_json: bool) -> Result<Change, Mistake> {
    let value = if is_json { json_text(node)? } else { node.json()? };
    Ok(Change::Set {
        path: path(node.key, node.key_at)?,
        value,
    })
}

fn path(text: &str, at: usize) -> Result<String, Mistake> {
    let checked = Path::read(text).map_err(|hint| Mistake::new(at, format!("`{text}` is no path: {hint}")));
    checked.map(|_| text.to_owned())
}

fn set_header(node: &Node<'_>) -> Result<Change, Mistake> {
    let name = header_name(node.key, node.key_at)?;
    let value = node.string()?.to_owned();
    HeaderValue::from_str(&value)
        .map_err(|_| node.wrong("a header's value is one line of visible characters"))?;
    Ok(Change::SetHeader { name, value })
}

fn header_name(name: &str, at: usize) -> Result<String, Mistake> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| Mistake::new(at, format!("`{name}` is no name of a header")))?;
    Ok(name.to_owned())
}

fn patch(node: &Node<'_>, rule: &str) -> Result<String, Mistake> {
    let text = json_or_text(node)?;
    if !text.trim_start().starts_with('[') {
        return Err(node.expected("a list, such as [{ op = \"remove\", path = \"/params/x\" }]"));
    }
    edit::check_patch(text.as_bytes()).map_err(|problem| {
        let operations = node.as_list().unwrap_or_default();
        let wrong = match problem {
            EditError::Operation { number, .. } => operations.get(number - 1),
            _ => None,
        };
        let at = wrong.map_or_else(|| node.at(), Node::at);
        Mistake::new(at, format!("`patch` of the rule `{rule}`: {problem}"))
    })?;
    Ok(text)
}

/// A value as JSON, or JSON text in quotes.
fn json_or_text(node: &Node<'_>) -> Result<String, Mistake> {
    if node.as_text().is_some() {
        json_text(node)
    } else {
        node.json()
    }
}

fn json_text(node: &Node<'_>) -> Result<String, Mistake> {
    let text = node.string()?;
    let checked = serde_json::from_str::<IgnoredAny>(text);
    checked.map_err(|error| node.wrong(format!("`{}` is no JSON: {error}", node.key)))?;
    Ok(text.to_owned())
}

fn answer(node: &Node<'_>) -> Result<Verdict, Mistake> {
    let result = match node.as_text() {
        Some(text) => text.to_owned(),
        None if node.as_table().is_some() || node.as_list().is_some() => node.json()?,
        None => return Err(node.expected("the result as a table, or as JSON text in quotes")),
    };
    template::check(&result).map_err(|error| node.wrong(error.to_string()))?;
    Ok(Verdict::Answer { result })
}

fn refuse(node: &Node<'_>) -> Result<Refusal, Mistake> {
    let Some(table) = node.as_table() else {
        return word(node, &["close"]).map(|_| Refusal::Close).map_err(|_| {
            node.expected(
                "{ code = -32602, message = \"…\" }, { tool-error = \"…\" }, { status = 429 } or \"close\"",
            )
        });
    };
    if let Some(code) = table.get("code") {
        table.only(&["code", "message"])?;
        return Ok(Refusal::Error {
            code: code.integer().ok_or_else(|| code.expected("a whole number"))?,
            message: table.need("message", "message = \"…\"")?.string()?.to_owned(),
        });
    }
    table.only(&["code", "message", "tool-error", "status"])?;
    if table.get("message").is_some() {
        table.need("code", "code = -32602")?;
    }
    let entry = table.single(&["tool-error", "status"])?;
    match entry.key {
        "tool-error" => Ok(Refusal::ToolError {
            text: entry.string()?.to_owned(),
        }),
        _ => Ok(Refusal::Status(small(entry.count(200..600)?))),
    }
}

fn delay(node: &Node<'_>) -> Result<Verdict, Mistake> {
    let Some(table) = node.as_table() else {
        return Ok(Verdict::Delay {
            fixed: node.time(MAX_DELAY)?,
            jitter: Duration::ZERO,
        });
    };
    table.only(&["fixed", "jitter"])?;
    let time = |key| {
        table
            .get(key)
            .map_or(Ok(Duration::ZERO), |node: Node<'_>| node.time(MAX_DELAY))
    };
    let (fixed, jitter) = (time("fixed")?, time("jitter")?);
    if table.entries().is_empty() {
        return Err(node.expected("a time, such as \"250ms\", or { fixed = \"1s\", jitter = \"500ms\" }"));
    }
    Ok(Verdict::Delay { fixed, jitter })
}

/// The faults that are a word, and those that say how much.
const FAULT_WORDS: [&str; 3] = ["close", "invalid-json", "wrong-id"];
const FAULT_TABLES: [&str; 4] = ["truncate", "duplicate", "reorder", "slow"];

fn fault(node: &Node<'_>) -> Result<Fault, Mistake> {
    let Some(table) = node.as_table() else {
        return fault_word(node);
    };
    let known = table
        .entries()
        .iter()
        .all(|entry| FAULT_TABLES.contains(&entry.key));
    let Some(entry) = table.entries().first().filter(|_| known) else {
        return Err(no_fault(
            node,
            table.entries().first().map_or("", |entry| entry.key),
        ));
    };
    table.single(&FAULT_TABLES)?;
    let repeats = u64::from(MAX_REPEATS) + 1;
    match entry.key {
        "truncate" => entry.size().map(|bytes| Fault::Truncate { bytes }),
        "duplicate" => entry
            .count(2..repeats)
            .map(|times| Fault::Duplicate { times: small(times) }),
        "reorder" => entry.count(1..repeats).map(|by| Fault::Reorder { by: small(by) }),
        _ => match entry.size()? {
            0 => Err(entry.expected("at least one byte a second")),
            bytes_per_second => Ok(Fault::Slow { bytes_per_second }),
        },
    }
}

fn fault_word(node: &Node<'_>) -> Result<Fault, Mistake> {
    match node.as_text().unwrap_or_default() {
        "close" => Ok(Fault::Close),
        "invalid-json" => Ok(Fault::InvalidJson),
        "wrong-id" => Ok(Fault::WrongId),
        other => Err(no_fault(node, other)),
    }
}

/// Names all faults.
fn no_fault(node: &Node<'_>, typed: &str) -> Mistake {
    let all = FAULT_WORDS.into_iter().chain(FAULT_TABLES);
    let meant = nearest(typed, all).filter(|_| !typed.is_empty());
    let hint = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
    node.wrong(format!(
        "`fault` cannot be `{typed}`; write \"close\", \"invalid-json\", \"wrong-id\", {{ truncate = 100 }}, {{ duplicate = 2 }}, {{ reorder = 1 }} or {{ slow = \"1KiB\" }}{hint}"
    ))
}

/// A number that was checked to be small.
fn small<T: TryFrom<u64> + Default>(number: u64) -> T {
    T::try_from(number).unwrap_or_default()
}
