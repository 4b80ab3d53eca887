//! What changes do to a message, and what they leave alone.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const CALL: &str = "{\"jsonrpc\": \"2.0\",\t\"id\":1.0, \"params\": {\"name\": \"echo\", \"arguments\": {\"x\": 1e3, \"x\": 2}},\"method\":\"tools\\/call\" }\n";

fn set(document: &str, path: &str, value: &str) -> Result<String, EditError> {
    let change = Change::Set {
        path: path.to_owned(),
        value: value.to_owned(),
    };
    applied(document, &change)
}

fn remove(document: &str, path: &str) -> Result<String, EditError> {
    let path = path.to_owned();
    applied(document, &Change::Remove { path })
}

fn applied(document: &str, change: &Change) -> Result<String, EditError> {
    apply(document.as_bytes(), change).map(|changed| String::from_utf8(changed).unwrap())
}

fn patched(document: &str, patch: &Value) -> Result<String, EditError> {
    applied(document, &Change::Patch(patch.to_string()))
}

#[test]
fn a_value_takes_the_place_of_the_old_one_and_nothing_else_moves() {
    let changed = set(CALL, "$.params.arguments.x", " [ 1.10 ] ").unwrap();
    assert_eq!(changed, CALL.replace("\"x\": 2", "\"x\": [ 1.10 ]"));
    assert_eq!(
        set(CALL, "$.method", "\"a\"").unwrap(),
        CALL.replace("\"tools\\/call\"", "\"a\"")
    );
    assert_eq!(set(" [1, 2]\n", "$[1]", "null").unwrap(), " [1, null]\n");
    assert_eq!(set("\u{feff} 1 ", "$", "{}").unwrap(), "\u{feff} {} ");
}

#[test]
fn a_new_member_stands_behind_the_last_and_missing_objects_are_made() {
    assert_eq!(
        set(CALL, "$.params._meta[\"a b\"].c", "1").unwrap(),
        CALL.replace("2}}", "2}, \"_meta\": {\"a b\": {\"c\": 1}}}")
    );
    assert_eq!(set("{}", "$.a.b[0]", "1").unwrap(), r#"{"a":{"b":[1]}}"#);
    assert_eq!(set("[1,2]", "$[2]", "3").unwrap(), "[1,2,3]");
    assert_eq!(
        set("{\n  \"a\": {},\n  \"b\": 1\n}", "$.a.c", "2").unwrap(),
        "{\n  \"a\": {\"c\": 2},\n  \"b\": 1\n}"
    );
}

#[test]
fn what_is_removed_takes_its_comma_and_all_of_its_name() {
    assert_eq!(
        remove(CALL, "$.params.arguments.x").unwrap(),
        CALL.replace("{\"x\": 1e3, \"x\": 2}", "{}")
    );
    assert_eq!(
        remove(CALL, "$.method").unwrap(),
        CALL.replace(",\"method\":\"tools\\/call\"", "")
    );
    assert_eq!(remove("[1, 2, 3]", "$[1]").unwrap(), "[1, 3]");
}

#[test]
fn errors_say_the_path_and_what_is_there_instead() {
    for (result, expected) in [
        (
            set(CALL, "$.method.name", "1"),
            "$.method.name is not there: $.method is a text",
        ),
        (
            set(CALL, "$.params[0]", "1"),
            "$.params[0] is not there: $.params is an object",
        ),
        (
            set("{\"a\":[1]}", "$.a[3]", "1"),
            "$.a[3] is not there: $.a is an array of 1",
        ),
        (
            set("{\"a\":[1]}", "$.a.b", "1"),
            "$.a.b is not there: $.a is an array of 1",
        ),
        (
            remove(CALL, "$.params.nope"),
            "$.params.nope is not there: $.params is an object without `nope`",
        ),
        (
            remove(CALL, "$.nope.x"),
            "$.nope.x is not there: $ is an object without `nope`",
        ),
        (
            set("{\"a\":1,}", "$.a", "1"),
            "the message is no JSON: line 1, column 8: there is a comma before this }",
        ),
        (
            set("{}", "$.a", "x"),
            "the value is no JSON: line 1, column 1: this is no value; a text needs quotes",
        ),
        (
            set("{}", "$.a..b", "1"),
            "the path $.a..b is wrong at column 5: a name follows the dot; [\"…\"] takes any name",
        ),
        (
            remove("{}", "$"),
            "the whole message cannot be taken out by a change; drop it instead",
        ),
    ] {
        assert_eq!(result.unwrap_err().to_string(), expected);
    }
}

#[test]
fn header_changes_leave_the_document_and_a_text_is_the_document() {
    let header = Change::SetHeader {
        name: "a".to_owned(),
        value: "b".to_owned(),
    };
    assert_eq!(applied("no JSON", &header).unwrap(), "no JSON");
    assert_eq!(
        applied("no JSON", &Change::Text("other".to_owned())).unwrap(),
        "other"
    );
}

#[test]
fn each_operation_of_a_patch_does_what_it_says() {
    let document = r#"{ "a": [1,  2], "b": {"c": 1.50} }"#;
    for (patch, expected) in [
        (
            json!([{"op":"add","path":"/a/1","value":9}]),
            r#"{ "a": [1,  9,  2], "b": {"c": 1.50} }"#,
        ),
        (
            json!([{"op":"add","path":"/a/-","value":9}]),
            r#"{ "a": [1,  2,  9], "b": {"c": 1.50} }"#,
        ),
        (
            json!([{"op":"add","path":"/b/d","value":9}]),
            r#"{ "a": [1,  2], "b": {"c": 1.50, "d": 9} }"#,
        ),
        (
            json!([{"op":"add","path":"/b/c","value":9}]),
            r#"{ "a": [1,  2], "b": {"c": 9} }"#,
        ),
        (
            json!([{"op":"remove","path":"/a/0"}]),
            r#"{ "a": [2], "b": {"c": 1.50} }"#,
        ),
        (
            json!([{"op":"replace","path":"/b","value":null}]),
            r#"{ "a": [1,  2], "b": null }"#,
        ),
        (
            json!([{"op":"move","from":"/b/c","path":"/a/0"}]),
            r#"{ "a": [1.50,  1,  2], "b": {} }"#,
        ),
        (
            json!([{"op":"copy","from":"/b/c","path":"/x"}]),
            r#"{ "a": [1,  2], "b": {"c": 1.50}, "x": 1.50 }"#,
        ),
        (json!([{"op":"test","path":"/b/c","value":1.5}]), document),
        (json!([{"op":"add","path":"","value":{}}]), "{}"),
    ] {
        assert_eq!(patched(document, &patch).unwrap(), expected, "{patch}");
    }
}

#[test]
fn a_patch_that_fails_says_which_operation_and_changes_nothing() {
    let document = r#"{"a":[1],"b":"x"}"#;
    for (operation, expected) in [
        (
            json!({"op":"replace","path":"/c","value":1}),
            "$.c is not there: $ is an object without `c`",
        ),
        (
            json!({"op":"add","path":"/c/d","value":1}),
            "$.c is not there: $ is an object without `c`",
        ),
        (
            json!({"op":"add","path":"/a/2","value":1}),
            "$.a[2] is not there: $.a is an array of 1",
        ),
        (
            json!({"op":"add","path":"/a/01","value":1}),
            "$.a.01 is not there: $.a is an array of 1",
        ),
        (
            json!({"op":"test","path":"/b","value":"y"}),
            "the test fails: $.b is \"x\"",
        ),
        (
            json!({"op":"move","from":"/a","path":"/a/0"}),
            "a value cannot be moved into itself",
        ),
        (
            json!({"op":"tset","path":"/a"}),
            "its `op` cannot be `tset`; known are add, remove, replace, move, copy and test; did you mean `test`?",
        ),
        (json!({"op":"add","path":"/a"}), "it has no `value`"),
        (json!({"op":"move","path":"/a"}), "it has no `from`"),
        (json!({"op":"remove"}), "it has no `path`"),
    ] {
        let patch = json!([{"op":"remove","path":"/a/0"}, operation]);
        let patch = Value::Array(vec![
            json!({"op":"test","path":"/a/0","value":1.0}),
            patch[1].clone(),
        ]);
        let error = patched(document, &patch).unwrap_err();
        assert_eq!(error.to_string(), format!("operation 2 of the patch: {expected}"));
    }
    assert!(matches!(patched(document, &json!({})), Err(EditError::Patch(_))));
}

#[test]
fn a_patch_cannot_grow_a_message_without_bound() {
    let long = format!("[\"{}\"]", "x".repeat(MAX_RESULT_BYTES / 2));
    let copy = json!([{"op":"copy","from":"/0","path":"/-"}]);
    let error = patched(&long, &copy).unwrap_err();
    assert_eq!(
        error.to_string(),
        "operation 1 of the patch: the changed message would be longer than 67108864 bytes"
    );
    let nesting = vec![json!({"op":"copy","from":"","path":"/a"}); 2 * MAX_NESTING];
    let Err(EditError::Operation { number, problem }) = patched("{\"b\":1}", &Value::from(nesting)) else {
        panic!("nested without bound")
    };
    assert_eq!((number, *problem), (MAX_NESTING, EditError::TooDeep));
    let long: Vec<Value> = vec![json!({"op":"test","path":"","value":1}); MAX_OPERATIONS + 1];
    assert!(matches!(
        patched("1", &Value::from(long)),
        Err(EditError::Patch(_))
    ));
}

#[test]
fn a_merge_keeps_what_it_does_not_name() {
    let merged = |document: &str, patch: &str| applied(document, &Change::Merge(patch.to_owned())).unwrap();
    assert_eq!(
        merged(
            CALL,
            r#"{"method":null,"params":{"name":"add","arguments":{"y":[null, 1.0]}},"id":"7"}"#
        ),
        "{\"jsonrpc\": \"2.0\",\t\"id\":\"7\", \"params\": {\"name\": \"add\", \"arguments\": {\"x\": 1e3, \"x\": 2, \"y\": [null, 1.0]}} }\n"
    );
    assert_eq!(merged("[1]", r#"{"a":{"b":null,"c":1}}"#), r#"{"a":{"c":1}}"#);
    assert_eq!(merged("{\"a\":1}", "[null]"), "[null]");
    assert_eq!(merged("{\"a\":1,\"a\":2}", r#"{"a":null}"#), "{}");
}

#[test]
fn hostile_depth_is_refused() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(set(&deep, "$[0]", "1").is_err());
    assert!(set("{}", "$.a", &deep).is_err());
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(set("{}", "$.a", &nested(MAX_NESTING)), Err(EditError::TooDeep));
    assert!(set("{}", "$.a", &nested(MAX_NESTING - 1)).is_ok());
    assert!(fields(deep.as_bytes()).is_empty());
}

#[test]
fn fields_are_listed_in_order_with_their_paths() {
    let document = r#" {"a":{"b c":[1.0,"x"],"d":{}},"e":null}"#;
    let listed: Vec<String> = fields(document.as_bytes())
        .iter()
        .map(|line| {
            format!(
                "{} {} {} {:?} {} {}",
                line.depth, line.path, line.key, line.kind, line.value, line.children
            )
        })
        .collect();
    let expected = [
        "0 $ $ Object  2",
        "1 $.a a Object  2",
        "2 $.a[\"b c\"] b c Array  2",
        "3 $.a[\"b c\"][0] [0] Number 1.0 0",
        "3 $.a[\"b c\"][1] [1] Text \"x\" 0",
        "2 $.a.d d Object  0",
        "1 $.e e Null null 0",
    ];
    assert_eq!(listed, expected);
    for line in fields(document.as_bytes()) {
        assert_eq!(value_at(document.as_bytes(), &line.path), document.get(line.span));
    }
}

#[test]
fn a_list_of_fields_is_cut_at_its_bounds() {
    let long = format!("[{}{{}}]", "[1],".repeat(MAX_FIELDS));
    let listed = fields(long.as_bytes());
    assert_eq!(listed.len(), MAX_FIELDS);
    assert_eq!(
        (listed[0].children, listed[0].span.len()),
        (MAX_FIELDS + 1, long.len())
    );
    let names = format!("{{\"{}\":[{}1]}}", "k".repeat(100_000), "1,".repeat(1000));
    let listed = fields(names.as_bytes());
    assert!(listed.iter().map(|line| line.path.len()).sum::<usize>() <= MAX_PATH_BYTES);
    assert_eq!(listed[1].children, 1001);
    assert_eq!(Some(listed[1].span.end), names.rfind('}'));
}

#[test]
fn a_value_that_is_not_there_is_none() {
    assert_eq!(value_at(b"{\"a\":1}", "$.b"), None);
    assert_eq!(value_at(b"{\"a\":1}", "$.a.b"), None);
    assert_eq!(value_at(b"{\"a\":1}", "a"), None);
    assert_eq!(value_at(b"{\"a\":1", "$.a"), None);
    assert_eq!(value_at(b"{\"a\":\"\xff\"}", "$.a"), None);
}

/// Any small value.
pub(super) fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-c\"\\\\\n\té {}\\[\\]:,]{0,5}".prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-c\".~/]{0,2}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The text of a value in one of the usual styles.
pub(super) fn spelled(value: &Value, is_pretty: bool) -> String {
    if is_pretty {
        format!("\n{value:#} ")
    } else {
        value.to_string()
    }
}

fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// RFC 7396, section 2, word for word.
fn merged(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch.clone();
    };
    let mut target = match target {
        Value::Object(target) => target,
        _ => serde_json::Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() {
            target.shift_remove(name);
        } else {
            let old = target.get(name).cloned().unwrap_or_default();
            target.insert(name.clone(), merged(old, value));
        }
    }
    Value::Object(target)
}

/// All pointers into a value.
fn pointers(value: &Value) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut rest = vec![(String::new(), value)];
    while let Some((pointer, value)) = rest.pop() {
        let inside: Vec<(String, &Value)> = match value {
            Value::Array(elements) => elements
                .iter()
                .enumerate()
                .map(|(index, element)| (format!("{pointer}/{index}"), element))
                .collect(),
            Value::Object(members) => members
                .iter()
                .map(|(name, member)| {
                    (
                        format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1")),
                        member,
                    )
                })
                .collect(),
            _ => Vec::new(),
        };
        found.extend(inside.iter().map(|(pointer, _)| pointer.clone()));
        rest.extend(inside);
    }
    found
}

/// The child at the last token of a pointer, taken out of the value.
fn taken(value: &mut Value, pointer: &str) {
    let (parent, token) = pointer.rsplit_once('/').unwrap();
    match value.pointer_mut(parent).unwrap() {
        Value::Array(elements) => {
            elements.remove(token.parse().unwrap());
        }
        Value::Object(members) => {
            members.shift_remove(&token.replace("~1", "/").replace("~0", "~"));
        }
        _ => {}
    }
}

/// Whether one text is the other with one stretch put in.
fn is_one_stretch(shorter: &[u8], longer: &[u8]) -> bool {
    let same = |(one, other): &(&u8, &u8)| one == other;
    let head = shorter.iter().zip(longer).take_while(same).count();
    let tail = shorter
        .iter()
        .rev()
        .zip(longer.iter().rev())
        .take_while(same)
        .count();
    head + tail >= shorter.len()
}

proptest! {
    #[test]
    fn setting_what_is_there_changes_nothing(value in value(), is_pretty: bool) {
        let text = spelled(&value, is_pretty);
        for line in fields(text.as_bytes()) {
            let raw = value_at(text.as_bytes(), &line.path).unwrap();
            prop_assert_eq!(set(&text, &line.path, raw).unwrap(), text.as_str());
        }
    }

    #[test]
    fn all_bytes_outside_of_the_value_stay(value in value(), new in value(), is_pretty: bool, pick: prop::sample::Index) {
        let text = spelled(&value, is_pretty);
        let listed = fields(text.as_bytes());
        let line = &listed[pick.index(listed.len())];
        let new = new.to_string();
        let changed = set(&text, &line.path, &new).unwrap();
        let expected = [&text.as_bytes()[..line.span.start], new.as_bytes(), &text.as_bytes()[line.span.end..]];
        prop_assert_eq!(changed.as_bytes(), expected.concat());
    }

    #[test]
    fn what_is_taken_out_or_put_in_is_one_stretch(value in value(), is_pretty: bool, pick: prop::sample::Index) {
        let text = spelled(&value, is_pretty);
        let listed = fields(text.as_bytes());
        let line = &listed[pick.index(listed.len())];
        if line.path != "$" {
            let change = Change::Remove { path: line.path.clone() };
            let removed = apply(text.as_bytes(), &change).unwrap();
            prop_assert!(is_one_stretch(&removed, text.as_bytes()));
        }
        if line.kind == FieldKind::Object {
            let added = set(&text, &(line.path.clone() + ".new[\"a b\"]"), "[1.0]").unwrap();
            prop_assert!(is_one_stretch(text.as_bytes(), added.as_bytes()));
            prop_assert_eq!(value_at(added.as_bytes(), &(line.path.clone() + ".new[\"a b\"]")), Some("[1.0]"));
        }
    }

    #[test]
    fn any_bytes_are_changed_or_refused(document: Vec<u8>, text in r#"[\[\]{},:"ab1 ]{0,12}"#) {
        for document in [&document[..], text.as_bytes()] {
            let _ = apply(document, &Change::Set { path: "$.a[0].b".to_owned(), value: "1".to_owned() });
            let _ = apply(document, &Change::Remove { path: "$.a".to_owned() });
            let _ = apply(document, &Change::Merge("{\"a\":null,\"b\":{\"c\":1}}".to_owned()));
            fields(document);
            diff(document, b"{\"a\":[]}");
            check(document, &Expectation { original: b"{}", schema: Some("{}") });
            let (masked, placeholders) = mask(document);
            prop_assert_eq!(unmask(&masked, &placeholders), document);
            with_payload(document, document);
            fixups(&[], document, document, Some(&text));
        }
    }

    #[test]
    fn a_merge_does_what_the_standard_does(target in value(), patch in value(), is_pretty: bool) {
        let change = Change::Merge(spelled(&patch, !is_pretty));
        let changed = applied(&spelled(&target, is_pretty), &change).unwrap();
        prop_assert_eq!(value_of(&changed), merged(target, &patch));
    }

    #[test]
    fn a_patch_does_what_the_standard_does(target in value(), new in value(), is_pretty: bool, pick: prop::sample::Index) {
        let text = spelled(&target, is_pretty);
        let pointers = pointers(&target);
        let pointer = &pointers[pick.index(pointers.len())];
        let replaced = patched(&text, &json!([{"op":"replace","path":pointer,"value":new}])).unwrap();
        let mut expected = target.clone();
        *expected.pointer_mut(pointer).unwrap() = new.clone();
        prop_assert_eq!(value_of(&replaced), expected);
        if !pointer.is_empty() {
            let removed = patched(&text, &json!([{"op":"remove","path":pointer}])).unwrap();
            let mut expected = target.clone();
            taken(&mut expected, pointer);
            prop_assert_eq!(value_of(&removed), expected);
            // What was taken out and put back is where it was, or behind the last.
            let value = target.pointer(pointer).unwrap();
            let again = json!([{"op":"add","path":pointer,"value":value},{"op":"test","path":"","value":target}]);
            prop_assert!(patched(&removed, &again).is_ok());
        }
    }

    #[test]
    fn what_is_added_is_there_and_what_was_there_stays(target in value(), new in value(), is_pretty: bool) {
        let text = spelled(&target, is_pretty);
        let wrapped = format!("{{\"t\":{text}}}");
        let added = patched(&wrapped, &json!([{"op":"add","path":"/new","value":new}])).unwrap();
        prop_assert_eq!(value_of(&added), json!({"t": target, "new": new}));
    }
}
