//! What became of the tools of a server: added, removed, other schemas, other words.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};

use super::ignore::{At, IgnorePath};
use crate::codec::BYTE_ORDER_MARK;

/// How deep schemas are looked into; what is deeper is compared as a whole.
const MAX_DEPTH: usize = 32;

/// What a tool has that is told in words of its own.
const TOOL_KEYS: [&str; 6] = [
    "name",
    "title",
    "description",
    "annotations",
    "inputSchema",
    "outputSchema",
];

/// The same for a schema.
const SCHEMA_KEYS: [&str; 6] = [
    "type",
    "enum",
    "properties",
    "required",
    "items",
    "additionalProperties",
];

/// What happened to a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its title or description says something else.
    Words,
    /// Its annotations are others.
    Annotations,
    /// What it takes is described otherwise.
    Input,
    /// What it returns is described otherwise.
    Output,
    /// Something else about it.
    Other,
    /// It is only in one list, and the other one is not whole, so that nobody knows.
    Unknown,
}

/// A list of tools.
#[derive(Debug, Clone, Copy)]
pub struct ToolList<'a> {
    /// What is in it.
    pub tools: &'a [Value],
    /// It goes on elsewhere: what is not in it may be there.
    pub is_page: bool,
}

/// One change of one tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The tool.
    pub tool: String,
    /// What kind of change.
    pub kind: DriftKind,
    /// Where in the schema, such as `city` or `items[].id`; empty for the tool as a whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// In words.
    pub words: String,
    /// A client that worked may not work any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_breaking: bool,
}

/// The tools in a text: a result of `tools/list`, an answer with such a result, or the array itself. `None` if there
/// are none in it.
pub fn tools_of(text: &[u8]) -> Option<Vec<Value>> {
    let value = parsed(text)?;
    let list = match &value {
        Value::Array(_) => Some(&value),
        Value::Object(_) => ["/result/tools", "/tools"]
            .iter()
            .find_map(|at| value.pointer(at)),
        _ => None,
    };
    let tools = list?.as_array()?;
    let is_tool = |tool: &Value| tool.get("name").is_some_and(Value::is_string);
    tools.iter().all(is_tool).then(|| tools.clone())
}

/// Whether the list in such a text goes on elsewhere: it has a `nextCursor`.
///
/// Source: MCP, Pagination.
pub fn is_page(text: &[u8]) -> bool {
    let cursors = ["/result/nextCursor", "/nextCursor"].into_iter();
    parsed(text).is_some_and(|value| cursors.filter_map(|at| value.pointer(at)).any(Value::is_string))
}

fn parsed(text: &[u8]) -> Option<Value> {
    serde_json::from_slice(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)).ok()
}

/// What became of `before`, in its order; what is new last. Of tools with one name the last counts. Places of `ignore`,
/// which are those of an answer to `tools/list` (`$.result.tools.NAME.description`), are left out of both. What is not on
/// a page is neither gone nor new but unknown.
pub fn drift(before: ToolList<'_>, after: ToolList<'_>, ignore: &[IgnorePath]) -> Vec<Drift> {
    let (old_is_page, new_is_page) = (before.is_page, after.is_page);
    let (before, after) = (&kept(before.tools, ignore), &kept(after.tools, ignore));
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for tool in before {
        let name = name_of(tool);
        if !seen.insert(name) {
            continue;
        }
        let old = named(before, name).unwrap_or(tool);
        match named(after, name) {
            None if new_is_page => found.push(Drift::unknown(name, "second")),
            None => found.push(Drift::of(name, DriftKind::Removed, "is gone", true)),
            Some(new) => Differ {
                tool: name,
                found: &mut found,
            }
            .tool(old, new),
        }
    }
    for tool in after {
        if seen.insert(name_of(tool)) {
            found.push(if old_is_page {
                Drift::unknown(name_of(tool), "first")
            } else {
                Drift::of(name_of(tool), DriftKind::Added, "is new", false)
            });
        }
    }
    found
}

/// The tools without the places of `ignore`.
fn kept(tools: &[Value], ignore: &[IgnorePath]) -> Vec<Value> {
    let is_ignored = |place: &[At]| ignore.iter().any(|path| path.has(place));
    let mut place = vec![At::Key("result".to_owned()), At::Key("tools".to_owned())];
    if (1..=place.len()).any(|steps| is_ignored(&place[..steps])) {
        return Vec::new();
    }
    let mut kept = Vec::new();
    for tool in tools {
        place.push(At::Key(name_of(tool).to_owned()));
        if !is_ignored(&place) {
            kept.push(without(tool, &mut place, &is_ignored));
        }
        place.pop();
    }
    kept
}

/// `value` without what is ignored inside of it. As deep as JSON is read, so the stack bears it.
fn without(value: &Value, place: &mut Vec<At>, is_ignored: &impl Fn(&[At]) -> bool) -> Value {
    let mut child = |at: At, value: &Value| {
        place.push(at);
        let kept = (!is_ignored(place)).then(|| without(value, place, is_ignored));
        place.pop();
        kept
    };
    match value {
        Value::Object(members) => members
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), child(At::Key(name.clone()), value)?)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(elements) => elements
            .iter()
            .enumerate()
            .filter_map(|(index, value)| child(At::Index(index, elements.len()), value))
            .collect(),
        _ => value.clone(),
    }
}

fn name_of(tool: &Value) -> &str {
    tool.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn named<'a>(tools: &'a [Value], name: &str) -> Option<&'a Value> {
    tools.iter().rev().find(|tool| name_of(tool) == name)
}

impl Drift {
    fn unknown(tool: &str, list: &str) -> Self {
        let words = format!("unknown: it is not on the page in the {list}");
        Self::of(tool, DriftKind::Unknown, words, false)
    }

    fn of(tool: &str, kind: DriftKind, words: impl Into<String>, is_breaking: bool) -> Self {
        Self {
            tool: tool.to_owned(),
            kind,
            place: String::new(),
            words: words.into(),
            is_breaking,
        }
    }
}

struct Differ<'a> {
    tool: &'a str,
    found: &'a mut Vec<Drift>,
}

/// Where in which schema.
#[derive(Clone)]
struct Place {
    kind: DriftKind,
    path: String,
    depth: usize,
}

impl Place {
    fn inside(&self, name: &str) -> Self {
        let dot = if self.path.is_empty() || name.starts_with('[') {
            ""
        } else {
            "."
        };
        Self {
            kind: self.kind,
            path: format!("{}{dot}{name}", self.path),
            depth: self.depth + 1,
        }
    }
}

impl Differ<'_> {
    fn tool(&mut self, old: &Value, new: &Value) {
        for key in ["title", "description"] {
            if old.get(key) != new.get(key) {
                let words = words_of(key, old.get(key), new.get(key));
                self.found
                    .push(Drift::of(self.tool, DriftKind::Words, words, false));
            }
        }
        self.annotations(old.get("annotations"), new.get("annotations"));
        for (key, kind) in [
            ("inputSchema", DriftKind::Input),
            ("outputSchema", DriftKind::Output),
        ] {
            let place = Place {
                kind,
                path: String::new(),
                depth: 0,
            };
            match (old.get(key), new.get(key)) {
                (Some(old), Some(new)) => self.schema(&place, old, new),
                (None, Some(_)) => self.note(&place, format!("{key} is new"), false),
                (Some(_), None) => self.note(&place, format!("{key} is gone"), kind == DriftKind::Output),
                (None, None) => {}
            }
        }
        for key in keys(old, new).into_iter().filter(|key| !TOOL_KEYS.contains(key)) {
            if old.get(key) != new.get(key) {
                let words = words_of(key, old.get(key), new.get(key));
                self.found
                    .push(Drift::of(self.tool, DriftKind::Other, words, false));
            }
        }
    }

    fn annotations(&mut self, old: Option<&Value>, new: Option<&Value>) {
        let (old, new) = (old.unwrap_or(&Value::Null), new.unwrap_or(&Value::Null));
        for key in keys(old, new) {
            if old.get(key) != new.get(key) {
                let words = words_of(&format!("annotation {key}"), old.get(key), new.get(key));
                self.found
                    .push(Drift::of(self.tool, DriftKind::Annotations, words, false));
            }
        }
    }

    fn note(&mut self, place: &Place, words: impl Into<String>, is_breaking: bool) {
        self.found.push(Drift {
            place: place.path.clone(),
            ..Drift::of(self.tool, place.kind, words, is_breaking)
        });
    }

    fn schema(&mut self, place: &Place, old: &Value, new: &Value) {
        if old == new {
            return;
        }
        let (Value::Object(was), Value::Object(is)) = (old, new) else {
            return self.note(place, words_of("schema", Some(old), Some(new)), true);
        };
        if place.depth > MAX_DEPTH {
            return self.note(place, "its schema is another one", true);
        }
        self.types(place, was, is);
        self.values(place, was, is);
        self.properties(place, was, is);
        for (key, step) in [("items", "[]"), ("additionalProperties", "*")] {
            match (was.get(key), is.get(key)) {
                (Some(old @ Value::Object(_)), Some(new @ Value::Object(_))) => {
                    self.schema(&place.inside(step), old, new);
                }
                (old, new) if old != new => {
                    self.note(place, words_of(key, old, new), new == Some(&Value::Bool(false)));
                }
                _ => {}
            }
        }
        self.keywords(place, was, is);
    }

    fn types(&mut self, place: &Place, was: &Map<String, Value>, is: &Map<String, Value>) {
        let types = |schema: &Map<String, Value>| -> BTreeSet<String> {
            match schema.get("type") {
                Some(Value::String(one)) => BTreeSet::from([one.clone()]),
                Some(Value::Array(many)) => many
                    .iter()
                    .filter_map(|one| one.as_str().map(str::to_owned))
                    .collect(),
                _ => BTreeSet::new(),
            }
        };
        let (old, new) = (types(was), types(is));
        if old != new {
            let is_breaking = if place.kind == DriftKind::Input {
                !has_all(&new, &old)
            } else {
                !has_all(&old, &new)
            };
            let listed = |types: &BTreeSet<String>| match types.len() {
                0 => "any".to_owned(),
                _ => types.iter().cloned().collect::<Vec<_>>().join("|"),
            };
            self.note(
                place,
                format!("type {} → {}", listed(&old), listed(&new)),
                is_breaking,
            );
        }
    }

    /// `enum`: values that are gone can break who sends them, new ones who gets them.
    fn values(&mut self, place: &Place, was: &Map<String, Value>, is: &Map<String, Value>) {
        let none = Vec::new();
        let listed = |schema: &Map<String, Value>| schema.get("enum").and_then(Value::as_array).cloned();
        let (old, new) = (listed(was), listed(is));
        if old.is_none() && new.is_none() {
            return;
        }
        let is_input = place.kind == DriftKind::Input;
        let texts = |values: Vec<&Value>| {
            values
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (before, after) = (old.as_ref().unwrap_or(&none), new.as_ref().unwrap_or(&none));
        let gone: Vec<&Value> = before.iter().filter(|value| !after.contains(value)).collect();
        let added: Vec<&Value> = after.iter().filter(|value| !before.contains(value)).collect();
        match (&old, &new) {
            (None, _) => self.note(place, format!("only {} now", texts(added)), is_input),
            (_, None) => self.note(place, "any value now, no list of them", !is_input),
            _ => {
                if !gone.is_empty() {
                    self.note(place, format!("no longer {}", texts(gone)), is_input);
                }
                if !added.is_empty() {
                    self.note(place, format!("also {}", texts(added)), !is_input);
                }
            }
        }
    }

    fn properties(&mut self, place: &Place, was: &Map<String, Value>, is: &Map<String, Value>) {
        let empty = Value::Object(Map::new());
        let (old, new) = (
            was.get("properties").unwrap_or(&empty),
            is.get("properties").unwrap_or(&empty),
        );
        let (must, must_now) = (required(was), required(is));
        let is_input = place.kind == DriftKind::Input;
        for name in keys(old, new) {
            let inside = place.inside(name);
            let (had, has) = (must.contains(name), must_now.contains(name));
            match (old.get(name), new.get(name)) {
                (None, _) if has => self.note(&inside, "is new and required", is_input),
                (None, _) => self.note(&inside, "is new", false),
                (_, None) => self.note(&inside, "is gone", true),
                (Some(old), Some(new)) => {
                    if had != has {
                        let words = if has {
                            "is required now"
                        } else {
                            "is no longer required"
                        };
                        self.note(&inside, words, has == is_input);
                    }
                    self.schema(&inside, old, new);
                }
            }
        }
    }

    /// Everything that has no words of its own.
    fn keywords(&mut self, place: &Place, was: &Map<String, Value>, is: &Map<String, Value>) {
        let mut names: Vec<&String> = was.keys().collect();
        names.extend(is.keys().filter(|name| !was.contains_key(*name)));
        for name in names {
            if SCHEMA_KEYS.contains(&name.as_str()) || was.get(name) == is.get(name) {
                continue;
            }
            let (old, new) = (was.get(name), is.get(name));
            let can_break = if place.kind == DriftKind::Input {
                is_narrower(name, old, new)
            } else {
                is_narrower(name, new, old)
            };
            self.note(place, words_of(name, old, new), can_break);
        }
    }
}

/// Whether a value of one of the types in `some` has one of those in `all`, too. No type at all stands for any.
fn has_all(all: &BTreeSet<String>, some: &BTreeSet<String>) -> bool {
    let has = |name: &String| all.contains(name) || name == "integer" && all.contains("number");
    all.is_empty() || !some.is_empty() && some.iter().all(has)
}

/// Whether less may fit a schema if what it says of `keyword` was `old` and is `new`.
fn is_narrower(keyword: &str, old: Option<&Value>, new: Option<&Value>) -> bool {
    let numbers = || Some((old.map(Value::as_f64)?, new.map(Value::as_f64)?));
    match keyword {
        "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties" => {
            numbers().map_or(new.is_some(), |(old, new)| new < old)
        }
        "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" => {
            numbers().map_or(new.is_some(), |(old, new)| new > old)
        }
        "uniqueItems" => new == Some(&Value::Bool(true)),
        "pattern" | "format" | "const" | "multipleOf" => new.is_some(),
        // Nobody can tell in short whether more or less fits.
        "anyOf" | "oneOf" | "allOf" | "not" | "if" | "then" | "else" | "$ref" | "prefixItems"
        | "contains" | "patternProperties" | "propertyNames" | "dependentRequired" | "dependentSchemas" => {
            true
        }
        _ => false,
    }
}

fn required(schema: &Map<String, Value>) -> BTreeSet<&str> {
    let names = schema.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The keys of both, those of the first in order first.
fn keys<'a>(one: &'a Value, other: &'a Value) -> Vec<&'a str> {
    let of = |value: &'a Value| {
        value
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .map(String::as_str)
    };
    let mut keys: Vec<&str> = of(one).collect();
    keys.extend(of(other).filter(|key| one.get(key).is_none()));
    keys
}

fn words_of(what: &str, old: Option<&Value>, new: Option<&Value>) -> String {
    let short = |value: &Value| {
        const SHOWN: usize = 60;
        let text = value.to_string();
        let cut: String = text.chars().take(SHOWN).collect();
        if cut.len() < text.len() {
            format!("{cut}…")
        } else {
            text
        }
    };
    match (old, new) {
        (Some(old), Some(new)) => format!("{what} {} → {}", short(old), short(new)),
        (None, Some(new)) => format!("{what} is new: {}", short(new)),
        (Some(_), None) => format!("{what} is gone"),
        (None, None) => what.to_owned(),
    }
}

#[cfg(test)]
mod tests;
