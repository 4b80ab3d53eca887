//! What a schema lets a person choose from, and a first value that follows it.

use serde_json::{Map, Value};

use super::path::{Step, parse};

/// Most values to choose from.
const MAX_CHOICES: usize = 64;
/// Most references that are followed one after another.
const MAX_REFERENCES: usize = 16;
/// Deepest that a first value goes.
const MAX_DEPTH: usize = 8;
/// Most members of a first value, in all.
const MAX_MEMBERS: usize = 100;
/// What the schema is about, in a call and in the answer to one.
const PARTS: [&str; 2] = ["$.params.arguments", "$.result.structuredContent"];

/// The values that a tool's schema allows at a path of a call or an answer, as JSON texts: those of an `enum`, a `const`, or
/// `true` and `false`. Empty where it leaves the choice open, or cannot be read.
pub fn choices(schema: &str, path: &str) -> Vec<String> {
    let found = || {
        let below = PARTS.iter().find_map(|part| path.strip_prefix(part))?;
        let steps = parse(&format!("${below}")).ok()?;
        let root: Value = serde_json::from_str(schema).ok()?;
        let schema = steps
            .iter()
            .try_fold(&root, |schema, step| inside(&root, schema, step))?;
        Some(allowed(resolved(&root, schema)?))
    };
    found().unwrap_or_default()
}

/// A value that has what a schema requires, with its defaults and first choices, as JSON text. `None` if the schema is no
/// JSON.
pub fn example(schema: &str) -> Option<String> {
    let root: Value = serde_json::from_str(schema).ok()?;
    let mut members_left = MAX_MEMBERS;
    Some(first_value(&root, &root, MAX_DEPTH, &mut members_left).to_string())
}

/// The schema that is meant, behind references into the same document.
fn resolved<'s>(root: &'s Value, mut schema: &'s Value) -> Option<&'s Value> {
    for _ in 0..MAX_REFERENCES {
        match schema.get("$ref").and_then(Value::as_str) {
            None => return Some(schema),
            Some(reference) => schema = root.pointer(reference.strip_prefix('#')?)?,
        }
    }
    None
}

/// The schema of a member or element.
fn inside<'s>(root: &'s Value, schema: &'s Value, step: &Step) -> Option<&'s Value> {
    let schema = resolved(root, schema)?;
    if let Some(key) = step.key() {
        let named = schema
            .get("properties")
            .and_then(|properties| properties.get(key));
        return named.or_else(|| schema.get("additionalProperties"));
    }
    let index = step.index(usize::MAX)?;
    let placed = schema.get("prefixItems").and_then(|items| items.get(index));
    placed.or_else(|| schema.get("items"))
}

fn allowed(schema: &Value) -> Vec<String> {
    if let Some(only) = schema.get("const") {
        return vec![only.to_string()];
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.iter().take(MAX_CHOICES).map(Value::to_string).collect();
    }
    match kind(schema) {
        Some("boolean") => vec!["true".to_owned(), "false".to_owned()],
        _ => Vec::new(),
    }
}

/// Its type; the first of several.
fn kind(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => kinds.first()?.as_str(),
        _ => None,
    }
}

fn first_value(root: &Value, schema: &Value, depth: usize, members_left: &mut usize) -> Value {
    let Some(schema) = resolved(root, schema) else {
        return Value::Null;
    };
    let given = ["const", "default"].iter().find_map(|key| schema.get(key));
    let listed = ["enum", "examples"]
        .iter()
        .find_map(|key| schema.get(key)?.get(0));
    if let Some(value) = given.or(listed) {
        return value.clone();
    }
    match kind(schema) {
        Some("string") => Value::String(String::new()),
        Some("number" | "integer") => schema.get("minimum").cloned().unwrap_or(Value::from(0)),
        Some("boolean") => Value::Bool(false),
        Some("array") => Value::Array(Vec::new()),
        Some("null") => Value::Null,
        Some("object") => first_object(root, schema, depth, members_left),
        _ if schema.get("properties").is_some() => first_object(root, schema, depth, members_left),
        _ => Value::Null,
    }
}

fn first_object(root: &Value, schema: &Value, depth: usize, members_left: &mut usize) -> Value {
    let required = schema.get("required").and_then(Value::as_array);
    let mut members = Map::new();
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if depth == 0 || *members_left == 0 {
            break;
        }
        *members_left -= 1;
        let described = schema
            .get("properties")
            .and_then(|properties| properties.get(name));
        let value = described.map_or(Value::Null, |schema| {
            first_value(root, schema, depth - 1, members_left)
        });
        members.insert(name.to_owned(), value);
    }
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r##"{"type":"object","required":["unit","place","ok"],"properties":{
        "unit":{"enum":["celsius","kelvin"]},
        "ok":{"type":"boolean"},
        "place":{"$ref":"#/$defs/place"},
        "tags":{"type":"array","items":{"const":"x"}}},
        "$defs":{"place":{"type":"object","required":["name","height"],
            "properties":{"name":{"type":"string"},"height":{"type":"integer","minimum":3},"more":{"$ref":"#/$defs/place"}}}}}"##;

    #[test]
    fn a_schema_says_what_can_be_chosen() {
        let at = |path: &str| choices(SCHEMA, path).join(" ");
        assert_eq!(at("$.params.arguments.unit"), "\"celsius\" \"kelvin\"");
        assert_eq!(at("$.result.structuredContent.ok"), "true false");
        assert_eq!(at("$.params.arguments.tags[4]"), "\"x\"");
        assert_eq!(at("$.params.arguments.place.more.name"), "");
        assert_eq!(at("$.params.name"), "");
        assert_eq!(at("$.params.arguments.nothing"), "");
    }

    #[test]
    fn a_first_value_has_what_is_required() {
        let value: Value = serde_json::from_str(&example(SCHEMA).unwrap()).unwrap();
        let wanted = serde_json::json!({"unit": "celsius", "place": {"name": "", "height": 3}, "ok": false});
        assert_eq!(value, wanted);
        assert_eq!(example("{"), None);
        assert_eq!(example("{}").as_deref(), Some("null"));
    }

    #[test]
    fn schemas_in_circles_and_without_end_are_no_trouble() {
        let circle = r##"{"$ref":"#/a","a":{"$ref":"#"}}"##;
        assert_eq!(example(circle).as_deref(), Some("null"));
        assert_eq!(choices(circle, "$.params.arguments.a"), [""; 0]);
        let names: Vec<String> = (0..50).map(|number| format!("n{number}")).collect();
        let endless = serde_json::json!({
            "type": "object", "required": names,
            "properties": names.iter().map(|name| (name.clone(), serde_json::json!({"$ref": "#"}))).collect::<Map<_, _>>(),
        });
        assert!(example(&endless.to_string()).unwrap().len() < 4_000);
    }
}
