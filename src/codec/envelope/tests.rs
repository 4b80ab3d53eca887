use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn one(text: &str) -> Envelope {
    let scan = scan(text.as_bytes());
    assert_eq!(scan.shape, Shape::Single, "{text}");
    assert_eq!(scan.messages.len(), 1);
    scan.messages.into_iter().next().unwrap()
}

fn id(raw: &str) -> Option<RpcId> {
    RpcId::parse(raw)
}

fn kind_of(text: &str) -> (MessageKind, Option<EnvelopeProblem>) {
    let envelope = one(text);
    (envelope.kind, envelope.problem)
}

#[test]
fn a_tool_call_shows_its_id_method_and_fields() {
    let text = r#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"deploy","arguments":{"name":"not this"},
        "_meta":{"progressToken":"t","io.modelcontextprotocol/protocolVersion":"2026-07-28",
        "io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}}}}"#;
    let call = one(text);
    assert_eq!((call.kind, call.problem), (MessageKind::Request, None));
    assert_eq!(call.id, id("4"));
    assert_eq!(call.method.as_deref(), Some("tools/call"));
    assert!(call.is_version_2);
    assert_eq!(call.span, 0..text.len() as u64);
    assert_eq!(call.fields.get(Field::ParamsName), Some("deploy"));
    assert_eq!(call.fields.id(Field::MetaProgressToken), id("\"t\"").as_ref());
    assert_eq!(call.fields.get(Field::MetaProtocolVersion), Some("2026-07-28"));
    assert_eq!(call.fields.get(Field::MetaClientName), Some("c"));
    assert_eq!(call.fields.get(Field::MetaClientVersion), Some("1"));
    assert_eq!(call.fields.iter().count(), 5);
}

#[test]
fn results_and_errors_show_what_a_row_needs() {
    let result = one(
        r#"{"result":{"content":[{"type":"text","text":"{\"isError\":false}"}],"isError":true,"resultType":"input_required",
        "inputRequests":{},"requestState":"abc","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"}},
        "task":{"taskId":"t1"}},"id":"x","jsonrpc":"2.0"}"#,
    );
    assert_eq!((result.kind, result.id), (MessageKind::Result, id("\"x\"")));
    assert_eq!(result.fields.get(Field::ResultIsError), Some("true"));
    assert_eq!(result.fields.get(Field::ResultType), Some("input_required"));
    assert_eq!(result.fields.get(Field::ResultMetaServerName), Some("s"));
    assert_eq!(result.fields.get(Field::ResultTaskTaskId), Some("t1"));
    assert!(result.fields.has_input_requests() && !result.fields.has_input_responses());
    let retry =
        one(r#"{"id":2,"method":"tools/call","params":{"inputResponses":{},"requestState":"\u0061bc"}}"#);
    assert_eq!(
        retry.fields.fingerprint(Field::ParamsRequestState),
        result.fields.fingerprint(Field::ResultRequestState)
    );
    assert!(retry.fields.has_input_responses());
    let error =
        one(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no","data":{"code":1}}}"#);
    assert_eq!(
        (error.kind, error.problem, error.id),
        (MessageKind::Error, None, id("null"))
    );
    assert_eq!(error.fields.get(Field::ErrorCode), Some("-32700"));
    assert_eq!(error.fields.get(Field::ErrorMessage), Some("no"));
}

#[test]
fn kinds_and_problems() {
    use EnvelopeProblem as P;
    use MessageKind as K;
    for (text, kind, problem) in [
        (r#"{"method":"a"}"#, K::Notification, None),
        (r#"{"method":"a","id":0}"#, K::Request, None),
        (r#"{"method":"a","id":""}"#, K::Request, None),
        (r#"{"method":"a","id":1.5}"#, K::Request, None),
        (r#"{"method":"a","id":null}"#, K::Malformed, Some(P::NullId)),
        (r#"{"method":"a","id":{}}"#, K::Malformed, Some(P::InvalidId)),
        (r#"{"method":"a","id":true}"#, K::Malformed, Some(P::InvalidId)),
        (r#"{"method":5,"id":1}"#, K::Malformed, Some(P::InvalidMethod)),
        (
            r#"{"method":"a","id":1,"result":{}}"#,
            K::Request,
            Some(P::MethodAndAnswer),
        ),
        (r#"{"id":1,"result":null}"#, K::Result, None),
        (
            r#"{"id":1,"result":{},"error":{}}"#,
            K::Error,
            Some(P::ResultAndError),
        ),
        (
            r#"{"id":1,"result":{},"error":null}"#,
            K::Result,
            Some(P::ResultAndError),
        ),
        (r#"{"id":1,"error":null}"#, K::Error, None),
        (r#"{"error":"invalid_grant"}"#, K::Error, None),
        (r#"{"id":[],"error":{}}"#, K::Error, Some(P::InvalidId)),
        (r#"{"result":{}}"#, K::Malformed, Some(P::MissingId)),
        (r#"{"id":null,"result":{}}"#, K::Malformed, Some(P::MissingId)),
        (r#"{"id":1}"#, K::Malformed, Some(P::NoKind)),
        ("{}", K::Malformed, Some(P::NoKind)),
    ] {
        assert_eq!(kind_of(text), (kind, problem), "{text}");
    }
}

#[test]
fn the_last_of_two_equal_keys_wins_and_is_flagged() {
    let twice = one(
        r#"{"id":1,"method":"a","params":{"name":"x","uri":"u"},"id":2,"method":"b","params":{"name":"y"}}"#,
    );
    assert_eq!((twice.id, twice.method.as_deref()), (id("2"), Some("b")));
    assert_eq!(twice.fields.get(Field::ParamsName), Some("y"));
    assert_eq!(twice.fields.get(Field::ParamsUri), None);
    assert_eq!(twice.problem, Some(EnvelopeProblem::DuplicateKey));
    let inner = one(r#"{"method":"a","params":{"name":"x","name":{}},"other":1,"other":2}"#);
    assert_eq!(inner.fields.get(Field::ParamsName), None);
    assert_eq!(inner.problem, Some(EnvelopeProblem::DuplicateKey));
    assert_eq!(one(r#"{"method":"a","other":1,"other":2}"#).problem, None);
}

#[test]
fn escaped_keys_and_values_are_decoded() {
    let escaped = one(r#"{"m\u0065thod":"tools\/call","\u0069d":"\u0031"}"#);
    assert_eq!(escaped.method.as_deref(), Some("tools/call"));
    assert_eq!(escaped.id, id("\"1\""));
    assert_eq!(escaped.id.unwrap().to_string(), r#""\u0031""#);
}

#[test]
fn shapes() {
    for (text, shape, messages) in [
        ("", Shape::Empty, 0),
        (" \r\n\t", Shape::Empty, 0),
        ("\u{feff}", Shape::Empty, 0),
        ("\u{feff} {\"method\":\"a\"} \n", Shape::Single, 1),
        ("[]", Shape::Batch, 0),
        (" [ {\"method\":\"a\"} , 1, \"x\", [{}], null ] ", Shape::Batch, 5),
        ("hello", Shape::NotJson, 0),
        ("\"{\"", Shape::NotJson, 0),
        ("<html>", Shape::NotJson, 0),
        ("{\"method\":\"a\"", Shape::Cut, 1),
        ("{", Shape::Cut, 1),
        ("[", Shape::Cut, 0),
        ("[{\"method\":\"a\"},", Shape::Cut, 1),
        ("[[1", Shape::Cut, 1),
        ("{} {}", Shape::Broken, 1),
        ("{}x", Shape::Broken, 1),
        ("[]]", Shape::Broken, 0),
        ("[,]", Shape::Broken, 0),
        ("{\"a\" 1}", Shape::Broken, 1),
        ("{\"a\":1,}", Shape::Broken, 1),
        ("{\"a\":}", Shape::Broken, 1),
        ("{a:1}", Shape::Broken, 1),
        ("[{} {}]", Shape::Broken, 1),
    ] {
        let scan = scan(text.as_bytes());
        assert_eq!((scan.shape, scan.messages.len()), (shape, messages), "{text}");
    }
    assert_eq!(scan(b"\xEF\xBB{}").shape, Shape::NotJson);
    assert_eq!(scan(b"\xEF").shape, Shape::NotJson);
}

#[test]
fn what_came_before_the_cut_is_kept() {
    let cut =
        scan(br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x","arguments":{"a":"#);
    assert_eq!(cut.shape, Shape::Cut);
    let message = &cut.messages[0];
    assert_eq!(
        (message.kind, message.problem),
        (MessageKind::Request, Some(EnvelopeProblem::Cut))
    );
    assert_eq!(
        (message.id.clone(), message.fields.get(Field::ParamsName)),
        (id("7"), Some("x"))
    );
}

#[test]
fn spans_point_at_the_members_of_a_batch() {
    let text = "\u{feff}[ {\"id\":1,\"method\":\"a\"}, 17 ,{\"method\":\"b\"}]";
    let scan = scan(text.as_bytes());
    let spans: Vec<&str> = scan
        .messages
        .iter()
        .map(|message| {
            let (start, end) = (
                usize::try_from(message.span.start),
                usize::try_from(message.span.end),
            );
            text.get(start.unwrap()..end.unwrap()).unwrap()
        })
        .collect();
    assert_eq!(spans, ["{\"id\":1,\"method\":\"a\"}", "17", "{\"method\":\"b\"}"]);
    assert_eq!(scan.messages[1].problem, Some(EnvelopeProblem::NotAnObject));
}

#[test]
fn a_batch_above_the_limit_is_counted() {
    let text = format!("[{}]", vec!["{\"method\":\"a\"}"; MAX_BATCH + 30].join(","));
    let scan = scan(text.as_bytes());
    assert_eq!(
        (scan.shape, scan.messages.len(), scan.messages_cut),
        (Shape::Batch, MAX_BATCH, 30)
    );
}

#[test]
fn a_hundred_thousand_nested_arrays_are_fine() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let inside = one(&format!(
        r#"{{"params":{{"arguments":{deep},"name":"x"}},"method":"a","id":1}}"#
    ));
    assert_eq!(
        (inside.kind, inside.fields.get(Field::ParamsName)),
        (MessageKind::Request, Some("x"))
    );
    assert_eq!(scan(deep.as_bytes()).shape, Shape::Batch);
}

#[test]
fn long_and_broken_texts_are_cut_and_replaced() {
    let long = one(&format!(r#"{{"method":"{}","id":1}}"#, "é".repeat(2_000)));
    let method = long.method.unwrap();
    assert!(method.ends_with("é…") && method.len() <= MAX_FIELD_BYTES + '…'.len_utf8());
    let bad = scan(b"{\"method\":\"a\xFFb\"}");
    assert_eq!(bad.messages[0].method.as_deref(), Some("a\u{fffd}b"));
}

#[test]
fn an_id_of_any_length_is_the_same_as_when_parsed_alone() {
    for text in [
        r"\u00e9x".repeat(30),
        r"\u00e9x".repeat(80),
        "é".repeat(400),
        "x".repeat(100_000),
    ] {
        let token = format!("\"{text}\"");
        let alone = RpcId::parse(&token).unwrap();
        let found = one(&format!(r#"{{"method":"a","id":{token}}}"#)).id.unwrap();
        assert_eq!((&found, found.to_string()), (&alone, alone.to_string()));
    }
    let digits = "7".repeat(100_000);
    assert_eq!(one(&format!(r#"{{"method":"a","id":{digits}}}"#)).id, id(&digits));
}

#[test]
fn the_serialised_form_can_be_read_again() {
    let before =
        scan(br#"[{"id":1,"method":"a","params":{"name":"x","requestState":"s","progressToken":"t"}}]"#);
    let json = serde_json::to_string(&before).unwrap();
    assert_eq!(serde_json::from_str::<Scan>(&json).unwrap(), before);
}

/// JSON with the keys that matter in many places, some where they do not.
fn document() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e6..1e6f64).prop_map(Value::from),
        "[a-z\"\\\\/é😀\n{}\\[\\]:, ]{0,12}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        4 => prop::sample::select(vec![
            "jsonrpc", "id", "method", "params", "result", "error", "name", "uri", "_meta", "progressToken",
            "clientInfo", "version", "task", "taskId", "code", "message", "requestState", "isError", "ref",
            "io.modelcontextprotocol/clientInfo", "io.modelcontextprotocol/serverInfo", "inputRequests",
        ]).prop_map(str::to_owned),
        1 => "[a-z\"\\\\]{0,4}",
    ];
    let value = scalar.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    (
        value.clone(),
        value.clone(),
        value.clone(),
        value.clone(),
        value,
        any::<u8>(),
    )
        .prop_map(|(id, params, result, error, other, mask)| {
            let mut message = serde_json::Map::new();
            let members = [
                ("jsonrpc", json!("2.0")),
                ("params", params),
                ("id", id),
                ("method", json!("tools/call")),
                ("result", result),
                ("error", error),
                ("other", other),
            ];
            for (bit, (key, value)) in members.into_iter().enumerate() {
                if mask >> bit & 1 == 1 {
                    message.insert(key.to_owned(), value);
                }
            }
            Value::Object(message)
        })
}

/// Follows a field's path in a parsed tree.
fn lookup(message: &Value, field: Field) -> Option<&Value> {
    let path = field.path();
    let (first, rest) = path.split_once('.')?;
    let mut value = message.get(first)?;
    let rest = rest.replace("io.modelcontextprotocol", "io*modelcontextprotocol");
    for key in rest.split('.') {
        value = value.get(key.replace('*', "."))?;
    }
    Some(value)
}

fn matches_tree(envelope: &Envelope, message: &Value) -> Result<(), TestCaseError> {
    prop_assert_eq!(
        envelope.method.as_deref(),
        message.get("method").and_then(Value::as_str)
    );
    prop_assert_eq!(
        envelope.is_version_2,
        message.get("jsonrpc") == Some(&json!("2.0"))
    );
    let id = message.get("id").and_then(|id| RpcId::parse(&id.to_string()));
    prop_assert_eq!(&envelope.id, &id);
    for field in Field::ALL {
        let expected = lookup(message, *field).filter(|value| !value.is_null());
        match envelope.fields.value(*field) {
            Some(FieldValue::Text(text)) => match expected {
                Some(Value::String(value)) => prop_assert_eq!(&**text, value.as_str()),
                Some(value) => prop_assert_eq!(&**text, value.to_string()),
                None => prop_assert!(false, "{:?} is not there", field),
            },
            Some(FieldValue::Id(id)) => {
                prop_assert_eq!(Some(id.to_string()), expected.map(Value::to_string));
            }
            Some(FieldValue::Fingerprint(_)) => prop_assert!(expected.is_some()),
            None => {
                let is_token = matches!(field, Field::ParamsProgressToken | Field::MetaProgressToken);
                let is_empty = expected.is_none_or(|value| {
                    value.is_object() || value.is_array() || is_token && value.is_boolean()
                });
                prop_assert!(is_empty, "{:?} was missed", field);
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_scanner_agrees_with_a_full_parser(message in document(), is_pretty in any::<bool>()) {
        let text = if is_pretty { serde_json::to_string_pretty(&message) } else { serde_json::to_string(&message) }.unwrap();
        let scan = scan(text.as_bytes());
        prop_assert_eq!(scan.shape, Shape::Single);
        matches_tree(&scan.messages[0], &message)?;
    }

    #[test]
    fn the_parts_a_document_arrives_in_make_no_difference(
        messages in prop::collection::vec(document(), 1..3),
        cut in any::<prop::sample::Index>(),
        sizes in prop::collection::vec(1usize..9, 1..20),
    ) {
        let mut text = serde_json::to_vec(&messages).unwrap();
        text.truncate(1 + cut.index(text.len() * 2));
        let mut scanner = EnvelopeScanner::new();
        let mut rest = &text[..];
        for size in sizes.iter().cycle() {
            let (part, more) = rest.split_at((*size).min(rest.len()));
            scanner.push(part);
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(scanner.finish(), scan(&text));
    }

    #[test]
    fn any_bytes_in_any_parts_give_one_answer(
        text in prop::collection::vec(prop_oneof![prop::sample::select(b"{}[]\",:\\u0 1ab\xEF\xBB\xBF".to_vec()), any::<u8>()], 0..60),
        split in any::<prop::sample::Index>(),
    ) {
        let at = split.index(text.len() + 1);
        let mut scanner = EnvelopeScanner::new();
        scanner.push(&text[..at]);
        scanner.push(&text[at..]);
        prop_assert_eq!(scanner.finish(), scan(&text));
    }
}
