//! Rules as the text that a person would write.

use std::fmt::Write as _;
use std::time::Duration;

use crate::intercept::edit::Change;
use crate::intercept::filter::direction_word;
use crate::intercept::rule::{Fault, Hits, Refusal, Rule, Verdict, WhileHeld};
use crate::intercept::rules::units::{size_text, time_text};

use super::json::to_toml;

/// A key and its value as text.
pub(super) type Entry = (&'static str, String);

/// The lines of a rule, `[[rule]]` first, with a line end behind each.
pub(super) fn block(rule: &Rule) -> String {
    let mut text = "[[rule]]\n".to_owned();
    for (key, value) in entries(rule) {
        let _ = writeln!(text, "{key} = {value}");
    }
    text
}

/// The entries of a rule's table; what has its default value is left out.
pub(super) fn entries(rule: &Rule) -> Vec<Entry> {
    let mut entries = vec![("name", string_text(&rule.name))];
    if !rule.is_on {
        entries.push(("on", "false".to_owned()));
    }
    if !rule.when.source().is_empty() {
        entries.push(("when", string_text(rule.when.source())));
    }
    if let Some(direction) = rule.direction {
        entries.push(("direction", string_text(direction_word(direction))));
    }
    if rule.hits != Hits::Always {
        entries.push(("hits", hits(rule.hits)));
    }
    entries.push(verdict(&rule.verdict));
    if let Some(on_expire) = rule.on_expire {
        entries.push(("on-expire", string_text(on_expire.name())));
    }
    let WhileHeld {
        early_stream,
        synthetic_progress,
    } = rule.while_held;
    for (key, is_set) in [
        ("early-stream", early_stream),
        ("synthetic-progress", synthetic_progress),
    ] {
        if is_set {
            entries.push((key, "true".to_owned()));
        }
    }
    entries
}

fn hits(hits: Hits) -> String {
    match hits {
        Hits::Always => string_text("always"),
        Hits::Once => string_text("once"),
        Hits::Nth(n) => format!("{{ nth = {n} }}"),
        Hits::Every(n) => format!("{{ every = {n} }}"),
        Hits::After(n) => format!("{{ after = {n} }}"),
        Hits::Percent(percent) => format!("{{ percent = {percent} }}"),
    }
}

fn verdict(verdict: &Verdict) -> Entry {
    match verdict {
        Verdict::Hold => ("then", string_text("hold")),
        Verdict::Forward => ("then", string_text("forward")),
        Verdict::Log => ("then", string_text("log")),
        Verdict::Drop { is_silent: false } => ("then", string_text("drop")),
        Verdict::Drop { is_silent: true } => ("then", string_text("drop silently")),
        Verdict::Replace(changes) => ("replace", replace(changes)),
        Verdict::Answer { result } => ("answer", table_or_text(result)),
        Verdict::Refuse(refusal) => ("refuse", refuse(refusal)),
        Verdict::Delay { fixed, jitter } => ("delay", delay(*fixed, *jitter)),
        Verdict::Fault(kind) => ("fault", fault(*kind)),
    }
}

fn refuse(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Error { code, message } => {
            format!("{{ code = {code}, message = {} }}", string_text(message))
        }
        Refusal::ToolError { text } => format!("{{ tool-error = {} }}", string_text(text)),
        Refusal::Status(status) => format!("{{ status = {status} }}"),
        Refusal::Close => string_text("close"),
    }
}

fn delay(fixed: Duration, jitter: Duration) -> String {
    let fixed = string_text(&time_text(fixed));
    if jitter.is_zero() {
        return fixed;
    }
    let jitter = string_text(&time_text(jitter));
    format!("{{ fixed = {fixed}, jitter = {jitter} }}")
}

fn fault(fault: Fault) -> String {
    match fault {
        Fault::Close => string_text("close"),
        Fault::InvalidJson => string_text("invalid-json"),
        Fault::WrongId => string_text("wrong-id"),
        Fault::Truncate { bytes } => format!("{{ truncate = {} }}", size(bytes)),
        Fault::Duplicate { times } => format!("{{ duplicate = {times} }}"),
        Fault::Reorder { by } => format!("{{ reorder = {by} }}"),
        Fault::Slow { bytes_per_second } => format!("{{ slow = {} }}", size(bytes_per_second)),
    }
}

/// A plain number of bytes, or one with a unit; larger ones than a number of the file can be need it.
fn size(bytes: u64) -> String {
    let text = size_text(bytes, "");
    match text.strip_suffix("B") {
        Some(number) if number.len() <= 18 && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            number.to_owned()
        }
        _ => string_text(&text),
    }
}

/// A table of groups of changes; several tables where one could not say their order.
fn replace(changes: &[Change]) -> String {
    let mut tables: Vec<Vec<Group>> = vec![Vec::new()];
    for change in changes {
        let (key, item) = item(change);
        let last = tables.len() - 1;
        if let Some(group) = tables[last].last_mut()
            && group.takes(key, &item)
        {
            group.items.push(item);
            continue;
        }
        if tables[last].iter().any(|group| group.key == key) {
            tables.push(Vec::new());
        }
        let last = tables.len() - 1;
        tables[last].push(Group {
            key,
            items: vec![item],
        });
    }
    let tables: Vec<_> = tables.iter().map(|groups| table_of(groups)).collect();
    match tables.as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

/// Changes of one kind that follow each other.
struct Group {
    key: &'static str,
    items: Vec<Item>,
}

enum Item {
    /// A key and its value, in a table.
    Pair(String, String),
    /// An element of a list.
    Element(String),
    /// The only one.
    Single(String),
}

impl Group {
    fn takes(&self, key: &str, item: &Item) -> bool {
        let is_new = match item {
            Item::Pair(name, _) => !self
                .items
                .iter()
                .any(|other| matches!(other, Item::Pair(taken, _) if taken == name)),
            Item::Element(_) => true,
            Item::Single(_) => false,
        };
        self.key == key && is_new
    }
}

fn item(change: &Change) -> (&'static str, Item) {
    match change {
        Change::Set { path, value } => match to_toml(value) {
            Some(written) => ("set", Item::Pair(string_text(path), written)),
            None => ("set-json", Item::Pair(string_text(path), string_text(value))),
        },
        Change::Remove { path } => ("remove", Item::Element(string_text(path))),
        Change::Patch(patch) => ("patch", Item::Single(table_or_text(patch))),
        Change::Merge(merge) => ("merge", Item::Single(table_or_text(merge))),
        Change::SetHeader { name, value } => {
            ("set-header", Item::Pair(string_text(name), string_text(value)))
        }
        Change::RemoveHeader { name } => ("remove-header", Item::Element(string_text(name))),
        Change::Text(text) => ("text", Item::Single(string_text(text))),
    }
}

fn table_of(groups: &[Group]) -> String {
    let groups: Vec<_> = groups.iter().map(group_text).collect();
    format!("{{ {} }}", groups.join(", "))
}

fn group_text(group: &Group) -> String {
    let mut items = Vec::new();
    for item in &group.items {
        items.push(match item {
            Item::Pair(name, value) => format!("{name} = {value}"),
            Item::Element(text) | Item::Single(text) => text.clone(),
        });
    }
    let text = items.join(", ");
    match group.items.first() {
        Some(Item::Pair(..)) => format!("{} = {{ {text} }}", group.key),
        Some(Item::Element(_)) => format!("{} = [{text}]", group.key),
        _ => format!("{} = {text}", group.key),
    }
}

/// JSON as a table or list of the file where that says the same, else as its text. Never as a string of the file: that
/// would be read as JSON text.
fn table_or_text(json: &str) -> String {
    let written = to_toml(json).filter(|written| written.starts_with(['{', '[']));
    written.unwrap_or_else(|| string_text(json))
}

/// A string in the quotes that suit it.
///
/// Source: TOML 1.0, "String".
pub(super) fn string_text(text: &str) -> String {
    let is_plain = !text.chars().any(char::is_control);
    if is_plain && !text.contains(['"', '\\']) {
        return format!("\"{text}\"");
    }
    if is_plain && !text.contains('\'') {
        return format!("'{text}'");
    }
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A key, in quotes where it needs them.
pub(super) fn key_text(key: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !key.is_empty() && key.bytes().all(is_bare) {
        return key.to_owned();
    }
    string_text(key)
}
