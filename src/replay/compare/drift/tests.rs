//! What is told of tools that change.

use serde_json::json;

use super::*;

fn whole(tools: &[Value]) -> ToolList<'_> {
    ToolList {
        tools,
        is_page: false,
    }
}

#[test]
fn what_is_not_on_a_page_is_neither_gone_nor_new() {
    let tools = |names: &[&str]| -> Vec<Value> { names.iter().map(|name| json!({"name": name})).collect() };
    let (one, other) = (tools(&["a", "b"]), tools(&["b", "c"]));
    let page = |tools| ToolList {
        is_page: true,
        ..whole(tools)
    };
    let told = |before, after| -> Vec<(String, DriftKind, bool)> {
        let told = super::drift(before, after, &[]).into_iter();
        told.map(|drift| (drift.tool, drift.kind, drift.is_breaking))
            .collect()
    };
    let row = |tool: &str, kind, is_breaking| (tool.to_owned(), kind, is_breaking);
    assert_eq!(
        told(whole(&one), page(&other)),
        [
            row("a", DriftKind::Unknown, false),
            row("c", DriftKind::Added, false)
        ]
    );
    assert_eq!(
        told(page(&one), whole(&other)),
        [
            row("a", DriftKind::Removed, true),
            row("c", DriftKind::Unknown, false)
        ]
    );
}

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
    super::drift(whole(&before), whole(&after), &[])
        .into_iter()
        .map(line)
        .collect()
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
            "!t.deep[].x: minimum is new: 1",
            "!t.new: is new and required",
        ]
    );
}

#[test]
fn a_mark_tells_what_takes_less_and_what_returns_more() {
    let tools = |input: Value, output: Value| json!([{"name": "t", "inputSchema": {"properties": {"x": input}}, "outputSchema": {"properties": {"y": output}}}]);
    let change = |old: Value, new: Value| told(&tools(old.clone(), old), &tools(new.clone(), new));
    assert_eq!(
        change(
            json!({"type": "integer", "maximum": 100}),
            json!({"type": "number", "maximum": 50})
        ),
        [
            "t.x: type integer → number",
            "!t.x: maximum 100 → 50",
            "!t.y: type integer → number",
            "t.y: maximum 100 → 50",
        ]
    );
    assert_eq!(
        change(json!({"minLength": 3}), json!({"pattern": "a"})),
        [
            "t.x: minLength is gone",
            "!t.x: pattern is new: \"a\"",
            "!t.y: minLength is gone",
            "t.y: pattern is new: \"a\"",
        ]
    );
    assert_eq!(change(json!({"default": 1}), json!({"default": 2})).len(), 2);
}

#[test]
fn ignored_places_of_the_list_are_left_out() {
    let tool = |name: &str, words: &str, input: Value| json!({"name": name, "description": words, "inputSchema": {"properties": input}});
    let before = [tool("a", "A", json!({})), tool("b", "B", json!({}))];
    let after = [tool("a", "A2", json!({"x": {}})), tool("c", "C", json!({}))];
    let left = |ignore: &[&str]| {
        let ignore: Vec<IgnorePath> = ignore.iter().map(|path| path.parse().unwrap()).collect();
        super::drift(whole(&before), whole(&after), &ignore).len()
    };
    assert_eq!(left(&[]), 4);
    assert_eq!(left(&["$.result.tools.a"]), 2);
    assert_eq!(
        left(&["$..description", "$.result.tools.b", "$.result.tools.c"]),
        1
    );
    assert_eq!(left(&["$.result.tools.a.inputSchema.properties.x"]), 3);
    assert_eq!(left(&["$.result.tools.*"]), 0);
    assert_eq!(left(&["$.result"]), 0);
}

#[test]
fn only_lists_of_tools_are_taken_for_such() {
    for text in ["{}", "[1]", "no", "{\"tools\":{}}", "{\"result\":{}}"] {
        assert_eq!(tools_of(text.as_bytes()), None, "{text}");
    }
    assert_eq!(tools_of(b"{\"tools\":[]}"), Some(Vec::new()));
}
