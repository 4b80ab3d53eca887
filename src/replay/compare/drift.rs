//! What became of the tools of a server: added, removed, other schemas, other words.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value};

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
    let value: Value = serde_json::from_slice(text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text)).ok()?;
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

/// What became of `before`, in its order; what is new last. Of tools with one name the last counts.
pub fn drift(before: &[Value], after: &[Value]) -> Vec<Drift> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for tool in before {
        let name = name_of(tool);
        if !seen.insert(name) {
            continue;
        }
        let old = named(before, name).unwrap_or(tool);
        match named(after, name) {
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
            found.push(Drift::of(name_of(tool), DriftKind::Added, "is new", false));
        }
    }
    found
}

fn name_of(tool: &Value) -> &str {
    tool.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn named<'a>(tools: &'a [Value], name: &str) -> Option<&'a Value> {
    tools.iter().rev().find(|tool| name_of(tool) == name)
}

impl Drift {
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
            let is_narrower = if place.kind == DriftKind::Input {
                !new.is_empty() && !old.is_subset(&new)
            } else {
                !new.is_subset(&old)
            };
            let listed = |types: &BTreeSet<String>| match types.len() {
                0 => "any".to_owned(),
                _ => types.iter().cloned().collect::<Vec<_>>().join("|"),
            };
            self.note(
                place,
                format!("type {} → {}", listed(&old), listed(&new)),
                is_narrower,
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
            self.note(place, words_of(name, was.get(name), is.get(name)), false);
        }
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
mod tests {
    use serde_json::json;

    use super::*;

    fn told(before: &Value, after: &Value) -> Vec<String> {
        let (before, after) = (before.to_string(), after.to_string());
        let (before, after) = (
            tools_of(before.as_bytes()).unwrap(),
            tools_of(after.as_bytes()).unwrap(),
        );
        let line = |drift: Drift| {
            let mark = if drift.is_breaking { "!" } else { "" };
            let dot = if drift.place.is_empty() { "" } else { "." };
            format!("{mark}{}{dot}{}: {}", drift.tool, drift.place, drift.words)
        };
        super::drift(&before, &after).into_iter().map(line).collect()
    }

    #[test]
    fn tools_come_and_go_and_change_their_words() {
        let before = json!({"tools": [
            {"name": "a", "description": "A", "annotations": {"readOnlyHint": true}},
            {"name": "b"},
        ]});
        let after = json!([
            {"name": "c"},
            {"name": "a", "description": "B", "annotations": {"readOnlyHint": false, "title": "x"}},
        ]);
        assert_eq!(
            told(&before, &after),
            [
                "a: description \"A\" → \"B\"",
                "a: annotation readOnlyHint true → false",
                "a: annotation title is new: \"x\"",
                "!b: is gone",
                "c: is new",
            ]
        );
    }

    #[test]
    fn schemas_are_looked_into_and_what_breaks_clients_is_marked() {
        let schema = |properties: Value, required: Value| {
            json!({"result": {"tools": [{"name": "t", "inputSchema":
                {"type": "object", "properties": properties, "required": required}}]}})
        };
        let before = schema(
            json!({"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}, "old": {}, "deep": {"type": "array", "items": {"properties": {"x": {"type": "integer"}}}}}),
            json!(["city"]),
        );
        let after = schema(
            json!({"city": {"type": "number"}, "unit": {"enum": ["c", "k"]}, "new": {}, "deep": {"type": "array", "items": {"properties": {"x": {"type": ["integer", "string"], "minimum": 1}}}}}),
            json!(["unit", "new"]),
        );
        assert_eq!(
            told(&before, &after),
            [
                "t.city: is no longer required",
                "!t.city: type string → number",
                "!t.unit: is required now",
                "!t.unit: no longer \"f\"",
                "t.unit: also \"k\"",
                "!t.old: is gone",
                "t.deep[].x: type integer → integer|string",
                "t.deep[].x: minimum is new: 1",
                "!t.new: is new and required",
            ]
        );
    }

    #[test]
    fn only_lists_of_tools_are_taken_for_such() {
        for text in ["{}", "[1]", "no", "{\"tools\":{}}", "{\"result\":{}}"] {
            assert_eq!(tools_of(text.as_bytes()), None, "{text}");
        }
        assert_eq!(tools_of(b"{\"tools\":[]}"), Some(Vec::new()));
    }
}
