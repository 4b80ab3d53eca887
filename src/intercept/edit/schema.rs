//! Checking a value by a JSON Schema that a stranger wrote.
//!
//! A schema can be made so that checking it never ends, or ends the program: by references in circles, or by references
//! that double at each step. So what it would cost is counted first, and a schema that costs too much is not used.

use std::ops::Range;

use jsonschema::{PatternOptions, ValidationError};
use memchr::memmem;
use serde_json::Value;

use super::check::Problems;
use super::path::{push_index, push_key};
use super::reader::{Event, Reader, children};
use crate::codec::json::string_value;
use crate::snapshot::Severity;

/// Longest schema that is used, in bytes.
const MAX_SCHEMA_BYTES: usize = 256 << 10;
/// Longest value that is checked, in bytes.
const MAX_VALUE_BYTES: usize = 1 << 20;
/// Most subschemas that one value may meet, references followed.
const MAX_STEPS: usize = 20_000;
/// Most subschemas inside each other, references followed: as many calls of the validator are inside each other.
const MAX_LEVELS: usize = 64;
/// Most subschemas times values.
const MAX_WORK: usize = 5_000_000;
/// Most mentions of patterns, and of keywords that look at everything again.
const MAX_COSTLY_WORDS: usize = 256;
/// Largest compiled pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 128 << 10;
/// Most violations that are told.
const MAX_VIOLATIONS: usize = 50;
/// Longest text of a violation, in characters.
const MAX_TEXT: usize = 240;

/// A value and the schema it has to follow.
pub(super) struct Contract<'a> {
    pub(super) payload: &'a [u8],
    /// The path of the value.
    pub(super) path: &'a str,
    /// Where the value is; if it is not there, it counts as `{}`.
    pub(super) place: Option<Range<usize>>,
    pub(super) schema: &'a str,
}

/// Adds what is wrong with the value, or a note why nobody knows.
pub(super) fn check(contract: &Contract<'_>, problems: &mut Problems<'_>) {
    let at = contract.at();
    let note = |problems: &mut Problems<'_>, reason: &str| {
        let text = format!("not checked by its schema: {reason}");
        problems.push(Severity::Info, at, contract.path, text);
    };
    let (value, schema) = match contract.read() {
        Ok(both) => both,
        Err(reason) => return note(problems, reason),
    };
    let options = jsonschema::options()
        .offline()
        .should_validate_formats(false)
        .with_pattern_options(
            PatternOptions::regex()
                .size_limit(MAX_PATTERN_BYTES)
                .dfa_size_limit(MAX_PATTERN_BYTES),
        );
    match options.build(&schema) {
        Ok(validator) => {
            for violation in validator.iter_errors(&value).take(MAX_VIOLATIONS) {
                contract.tell(&violation, problems);
            }
        }
        Err(error) => {
            let place = error.instance_path().as_str();
            let reason = format!("the schema cannot be used at `{place}`: {}", error.masked());
            note(problems, &cut(reason));
        }
    }
}

impl Contract<'_> {
    /// Where the value is, or would be.
    fn at(&self) -> usize {
        let parent = || super::fields::span_at(self.payload, self.path.rsplit_once('.')?.0);
        self.place.clone().or_else(parent).map_or(0, |place| place.start)
    }

    /// Value and schema, if they are not too much.
    fn read(&self) -> Result<(Value, Value), &'static str> {
        let raw = self
            .place
            .clone()
            .map_or(&b"{}"[..], |place| &self.payload[place]);
        if self.schema.len() > MAX_SCHEMA_BYTES {
            return Err("the schema is too long");
        }
        if raw.len() > MAX_VALUE_BYTES {
            return Err("the value is too long");
        }
        let costly =
            ["pattern", "unevaluated"].map(|word| memmem::find_iter(self.schema.as_bytes(), word).count());
        if costly.iter().sum::<usize>() > MAX_COSTLY_WORDS {
            return Err(TOO_COMPLEX);
        }
        let value = serde_json::from_slice(raw).map_err(|_| "the value cannot be read")?;
        let schema = serde_json::from_str(self.schema).map_err(|_| "the schema is no JSON")?;
        let (values, depth) = size_of(raw);
        steps(&schema, None)?;
        if steps(&schema, Some(depth))?.saturating_mul(values) > MAX_WORK {
            return Err(TOO_COMPLEX);
        }
        Ok((value, schema))
    }

    fn tell(&self, violation: &ValidationError<'_>, problems: &mut Problems<'_>) {
        let mut path = self.path.to_owned();
        let mut at = self.at();
        let pointer = violation.instance_path().as_str();
        if let Some(place) = &self.place {
            let mut place = place.clone();
            for token in pointer.split('/').skip(1) {
                let Some(child) = self.step(&place, token, &mut path) else {
                    break;
                };
                place = child;
            }
            at = place.start;
        }
        let text = cut(violation.masked().to_string());
        problems.push(Severity::Error, at, &path, text);
    }

    /// The child that a token of a pointer names.
    fn step(&self, place: &Range<usize>, token: &str, path: &mut String) -> Option<Range<usize>> {
        let bytes = self.payload;
        if bytes[place.start] == b'[' {
            let index = token.parse().ok()?;
            push_index(path, index);
            return Some(children(bytes, place).nth(index)?.value);
        }
        let key = token.replace("~1", "/").replace("~0", "~");
        push_key(path, &key);
        let is_named = |name: Range<usize>| string_value(&bytes[name]) == key;
        let found = children(bytes, place).filter(|child| child.key.clone().is_some_and(is_named));
        Some(found.last()?.value)
    }
}

const TOO_COMPLEX: &str = "the schema is too complex";
const BY_NAME: &str = "the schema refers to something by a name or address";

fn cut(text: String) -> String {
    if text.chars().count() <= MAX_TEXT {
        return text;
    }
    text.chars().take(MAX_TEXT).chain(['…']).collect()
}

/// How many values there are, and how deep they are inside each other.
fn size_of(raw: &[u8]) -> (usize, usize) {
    let (mut values, mut depth, mut deepest) = (0, 0_usize, 0);
    for event in Reader::new(raw).map_while(Result::ok) {
        match event {
            Event::Open(_) => {
                values += 1;
                depth += 1;
                deepest = deepest.max(depth);
            }
            Event::Close(_) => depth -= 1,
            Event::Scalar(_) => values += 1,
            Event::Key(_) => {}
        }
    }
    (values, deepest)
}

/// Where subschemas are, and whether they are about a value further inside.
const SUBSCHEMAS: &[(&str, bool)] = &[
    ("allOf", false),
    ("anyOf", false),
    ("oneOf", false),
    ("not", false),
    ("if", false),
    ("then", false),
    ("else", false),
    ("dependentSchemas", false),
    ("dependencies", false),
    ("properties", true),
    ("patternProperties", true),
    ("additionalProperties", true),
    ("propertyNames", true),
    ("items", true),
    ("prefixItems", true),
    ("additionalItems", true),
    ("contains", true),
    ("unevaluatedItems", true),
    ("unevaluatedProperties", true),
];

/// Keywords whose subschemas have names of their own.
const NAMED: &[&str] = &[
    "dependentSchemas",
    "dependencies",
    "properties",
    "patternProperties",
];

/// A subschema to count.
struct Visit<'a> {
    schema: &'a Value,
    /// How many objects and arrays deeper the value can still be; without bound if `None`.
    depth: Option<usize>,
    level: usize,
}

/// How many subschemas a value of this depth can meet, references followed.
///
/// Without a depth: how many are looked at to prepare the schema, where circles are gone round once.
fn steps(root: &Value, depth: Option<usize>) -> Result<usize, &'static str> {
    let mut steps = 0;
    let mut path: Vec<&Value> = Vec::new();
    let mut rest = vec![Visit {
        schema: root,
        depth,
        level: 0,
    }];
    while let Some(visit) = rest.pop() {
        path.truncate(visit.level);
        if depth.is_none() && path.iter().any(|around| std::ptr::eq(*around, visit.schema)) {
            continue;
        }
        path.push(visit.schema);
        steps += 1 + listed_words(visit.schema);
        if steps > MAX_STEPS || visit.level > MAX_LEVELS {
            return Err(TOO_COMPLEX);
        }
        for (schema, is_inside) in subschemas(root, visit.schema)? {
            let depth = match visit.depth {
                Some(0) if is_inside => continue,
                Some(depth) if is_inside => Some(depth - 1),
                depth => depth,
            };
            let level = visit.level + 1;
            rest.push(Visit { schema, depth, level });
        }
    }
    Ok(steps)
}

fn listed_words(schema: &Value) -> usize {
    schema.get("enum").and_then(Value::as_array).map_or(0, Vec::len)
}

/// The subschemas of a schema, its reference among them, and whether they are about a value further inside.
fn subschemas<'a>(root: &'a Value, schema: &'a Value) -> Result<Vec<(&'a Value, bool)>, &'static str> {
    let Value::Object(members) = schema else {
        return Ok(Vec::new());
    };
    let has = |name| members.contains_key(name);
    let is_renamed = !std::ptr::eq(schema, root) && (has("$id") || has("id"));
    if is_renamed || has("$dynamicRef") || has("$recursiveRef") {
        return Err(BY_NAME);
    }
    let mut found = Vec::new();
    if let Some(Value::String(reference)) = members.get("$ref") {
        found.push((referred(root, reference)?, false));
    }
    for (keyword, is_inside) in SUBSCHEMAS {
        match members.get(*keyword) {
            None => {}
            Some(Value::Array(schemas)) => found.extend(schemas.iter().map(|schema| (schema, *is_inside))),
            Some(Value::Object(schemas)) if NAMED.contains(keyword) => {
                found.extend(schemas.values().map(|schema| (schema, *is_inside)));
            }
            Some(schema) => found.push((schema, *is_inside)),
        }
    }
    Ok(found)
}

/// What a reference inside of the same schema leads to.
fn referred<'a>(root: &'a Value, reference: &str) -> Result<&'a Value, &'static str> {
    let pointer = reference.strip_prefix('#').ok_or(BY_NAME)?;
    if !pointer.is_empty() && !pointer.starts_with('/') || pointer.contains('%') {
        return Err(BY_NAME);
    }
    root.pointer(pointer)
        .ok_or("the schema refers to something it does not have")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intercept::edit::{Expectation, Problem, check};

    /// What is said about the arguments of a call.
    fn checked(arguments: &str, schema: &str) -> Vec<Problem> {
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"a","arguments":{arguments}}}}}"#
        );
        let expectation = Expectation {
            original: call.as_bytes(),
            schema: Some(schema),
        };
        check(call.as_bytes(), &expectation)
    }

    fn note(arguments: &str, schema: &str) -> String {
        let problems = checked(arguments, schema);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].severity, Severity::Info, "{problems:?}");
        problems[0].text.clone()
    }

    #[test]
    fn a_schema_that_cannot_be_used_is_a_note() {
        for (schema, reason) in [
            ("{", "no JSON"),
            (r#"{"type":"strange"}"#, "at `/type`"),
            (
                r#"{"properties":{"x":{"pattern":"(?=a)"}}}"#,
                "at `/properties/x/pattern`",
            ),
            (
                r#"{"properties":{"x":{"pattern":"(a{1000}){1000}"}}}"#,
                "at `/properties/x/pattern`",
            ),
            (r#"{"$ref":"https://example.com/a.json"}"#, "name or address"),
            (r##"{"$ref":"#/$defs/a"}"##, "does not have"),
            (
                r##"{"$ref":"#a","$defs":{"a":{"$anchor":"a"}}}"##,
                "name or address",
            ),
            (r#"{"$schema":"https://example.com/own"}"#, "example.com"),
        ] {
            let text = note(r#"{"x":"a"}"#, schema);
            assert!(
                text.contains("not checked") && text.contains(reason),
                "{schema}: {text}"
            );
        }
        assert!(note("{}", &" ".repeat(MAX_SCHEMA_BYTES + 1)).contains("too long"));
        let long = format!("{{\"x\":\"{}\"}}", "x".repeat(MAX_VALUE_BYTES));
        assert!(note(&long, "{}").contains("too long"));
    }

    #[test]
    fn a_schema_that_would_never_end_is_a_note() {
        let doubling: Vec<String> = (0..40)
            .map(|number| {
                let next = number + 1;
                format!(
                    r##""{number}":{{"allOf":[{{"$ref":"#/$defs/{next}"}},{{"$ref":"#/$defs/{next}"}}]}}"##
                )
            })
            .collect();
        let doubling = format!(
            r##"{{"$ref":"#/$defs/0","$defs":{{{},"40":{{}}}}}}"##,
            doubling.join(",")
        );
        let chain: Vec<String> = (0..3000)
            .map(|number| format!(r##""{number}":{{"$ref":"#/$defs/{}"}}"##, number + 1))
            .collect();
        let chain = format!(
            r##"{{"$ref":"#/$defs/0","$defs":{{{},"3000":{{}}}}}}"##,
            chain.join(",")
        );
        let deep = "{\"a\":".repeat(60) + "1" + &"}".repeat(60);
        let inner = chain.replace(r##"{"$ref":"#/$defs/1"}"##, r##"{"items":{"$ref":"#/$defs/1"}}"##);
        for (arguments, schema) in [
            ("{}", r##"{"$ref":"#"}"##),
            ("{}", &inner),
            ("{}", r##"{"allOf":[{"$ref":"#"}]}"##),
            ("{}", &doubling),
            ("{}", &chain),
            (
                &deep,
                r##"{"allOf":[{"properties":{"a":{"$ref":"#"}}},{"properties":{"a":{"$ref":"#"}}}]}"##,
            ),
        ] {
            assert!(note(arguments, schema).contains("too complex"), "{schema}");
        }
    }

    #[test]
    fn what_is_within_the_bounds_does_not_exhaust_the_stack() {
        let chain: Vec<String> = (0..MAX_LEVELS - 2)
            .map(|number| format!(r##""{number}":{{"$ref":"#/$defs/{}"}}"##, number + 1))
            .collect();
        let last = MAX_LEVELS - 2;
        let chain = format!(
            r##"{{"$ref":"#/$defs/0","$defs":{{{},"{last}":{{"required":["x"]}}}}}}"##,
            chain.join(",")
        );
        let nested = r#"{"properties":{"a":"#.repeat(61) + r#"{"type":"string"}"# + &"}}".repeat(61);
        let unused = format!(
            r#"{{"required":["x"],"$defs":{{"a":{}{{}}{}}}}}"#,
            r#"{"not":"#.repeat(120),
            "}".repeat(120)
        );
        let value = "{\"a\":".repeat(61) + "1" + &"}".repeat(61);
        for (arguments, schema) in [("{}", &chain), (&value, &nested), ("{}", &unused)] {
            let problems = checked(arguments, schema);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert_eq!(problems[0].severity, Severity::Error, "{problems:?}");
        }
    }

    #[test]
    fn a_recursive_schema_of_the_usual_kind_is_used() {
        let tree = r##"{"properties":{"left":{"$ref":"#"},"right":{"$ref":"#"},"name":{"type":"string"}}}"##;
        assert!(checked(r#"{"left":{"right":{"name":"x"}}}"#, tree).is_empty());
        let problems = checked(r#"{"left":{"right":{"name":1}}}"#, tree);
        assert_eq!(problems[0].path, "$.params.arguments.left.right.name");
        assert_eq!(problems[0].severity, Severity::Error);
    }

    #[test]
    fn a_violation_is_not_told_at_length() {
        let words: Vec<String> = (0..500).map(|number| format!("\"word {number}\"")).collect();
        let schema = format!("{{\"properties\":{{\"x\":{{\"enum\":[{}]}}}}}}", words.join(","));
        let problems = checked("{\"x\":1}", &schema);
        assert!(problems[0].text.chars().count() <= MAX_TEXT + 1);
        let many = format!("[{}1]", "1,".repeat(500));
        let problems = checked(&many, r#"{"items":{"type":"string"}}"#);
        assert_eq!(problems.len(), MAX_VIOLATIONS);
    }
}
