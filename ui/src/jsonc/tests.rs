use proptest::prelude::*;

use super::*;

fn mistake(text: &str) -> (usize, usize, String) {
    let mistake = parse(text).unwrap_err();
    let (line, column) = position(text, mistake.at);
    (line, column, mistake.message)
}

/// The same as plain JSON.
fn plain(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(spelled) => serde_json::from_str(spelled).unwrap(),
        Value::Text(text) => text.as_str().into(),
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Object(members) => members
            .iter()
            .map(|member| (member.key.clone(), plain(&member.value)))
            .collect(),
    }
}

#[test]
fn comments_trailing_commas_and_a_byte_order_mark_are_read_over() {
    let text =
        "\u{feff}// servers\n{ \"a\": [1, /* two */ 2,], // end\n \"b\\u0041\": {\"c\": null,}, }\n// bye";
    let node = parse(text).unwrap();
    assert_eq!(plain(&node), serde_json::json!({"a": [1, 2], "bA": {"c": null}}));
}

#[test]
fn every_value_knows_where_it_stands() {
    let text = r#"{ "url" : "http://x/", "n": [ true ] }"#;
    let node = parse(text).unwrap();
    let url = &node.members()[0];
    assert_eq!(text.get(url.key_span.clone()), Some("\"url\""));
    assert_eq!(text.get(url.value.span.clone()), Some("\"http://x/\""));
    let list = node.get("n").unwrap();
    assert_eq!(text.get(list.span.clone()), Some("[ true ]"));
}

#[test]
fn of_a_key_that_is_there_twice_the_last_one_counts() {
    let node = parse(r#"{"a": 1, "a": 2}"#).unwrap();
    assert_eq!(node.get("a").unwrap().value, Value::Number("2".to_owned()));
}

#[test]
fn a_mistake_is_named_with_its_place_and_what_was_expected() {
    for (text, line, column, what) in [
        ("{\n  \"a\" 1}", 2, 7, "`:` was expected here, not `1`"),
        ("{\"a\": 1 \"b\": 2}", 1, 9, "`,` or `}`"),
        ("{a: 1}", 1, 2, "a key in quotes"),
        ("{\"a\": tru}", 1, 7, "a value"),
        ("{\"a\": \"x}", 1, 7, "no end"),
        ("{\"a\": 01}", 1, 7, "not a number"),
        ("{} x", 1, 4, "nothing more"),
        ("{ /* x", 1, 3, "no end"),
        ("", 1, 1, "the end of the file"),
        ("{\"a\": \"\\q\"}", 1, 7, "escape"),
    ] {
        let (at_line, at_column, message) = mistake(text);
        assert_eq!((at_line, at_column), (line, column), "{text}: {message}");
        assert!(message.contains(what), "{text}: {message}");
    }
    let deep = "[".repeat(100_000);
    assert!(mistake(&deep).2.contains("deeper"));
}

#[test]
fn a_file_is_told_by_how_it_begins() {
    for text in ["{}", "\u{feff} \n{", "// c\n{}", "/* c */ {}"] {
        assert!(is_json(text), "{text}");
    }
    for text in ["listen = \":1\"", "# c\n[limits]", "", "[limits]"] {
        assert!(!is_json(text), "{text}");
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            proptest::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_json_is_read_as_the_same(value in json(), is_pretty in any::<bool>()) {
        let text = if is_pretty {
            serde_json::to_string_pretty(&value).unwrap()
        } else {
            value.to_string()
        };
        prop_assert_eq!(plain(&parse(&text).unwrap()), value);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[\\[\\]{}\",:/* \\\\atrue0-9\\n]{0,60}|.{0,40}") {
        let _ = parse(&text);
    }
}
