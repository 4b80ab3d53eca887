use proptest::prelude::*;

use super::{BodyFacts, BodyKind, BodyRedactor, Output, Tagger};
use crate::snapshot::Carrier;

const KNOWN: BodyFacts = BodyFacts {
    is_known: true,
    kind: BodyKind::Text,
    is_encoded: false,
};

const FORM: BodyFacts = BodyFacts {
    is_known: true,
    kind: BodyKind::Form,
    is_encoded: false,
};

fn redact(carrier: Carrier, facts: BodyFacts, parts: &[&[u8]]) -> Vec<u8> {
    let tagger = Tagger::fixed();
    let mut out = Output::new(&tagger);
    let mut body = BodyRedactor::new(carrier, facts, false);
    for part in parts {
        body.push(part, &mut out);
    }
    body.finish(&mut out);
    out.bytes
}

fn json(document: &str) -> String {
    String::from_utf8(redact(Carrier::Http, KNOWN, &[document.as_bytes()])).unwrap()
}

fn tag(secret: &str) -> String {
    Tagger::fixed().tag(secret.as_bytes())
}

#[test]
fn members_with_secret_names_are_replaced_and_every_other_byte_stays() {
    let t = tag;
    let document = "\u{feff} {\"access_token\" : \"a\\/b\",\r\n\"expires_in\":1.50,\"x\":[\"k\",{\"pass\\u0077ord\":12}],\"token\":[\"p\",[1]]}";
    let expected = format!(
        "\u{feff} {{\"access_token\" : \"{}\",\r\n\"expires_in\":1.50,\"x\":[\"k\",{{\"pass\\u0077ord\":\"{}\"}}],\"token\":[\"{}\",[1]]}}",
        t("a/b"),
        t("12"),
        t("p")
    );
    assert_eq!(json(document), expected);
}

#[test]
fn a_schema_that_describes_a_password_is_not_touched() {
    let document = r#"{"result":{"tools":[{"inputSchema":{"properties":{"password":{"type":"string"},"code":{"type":"string"}},"required":["password"]}}]}}"#;
    assert_eq!(json(document), document);
}

#[test]
fn a_code_is_a_secret_in_an_oauth_body_only() {
    assert_eq!(
        json(r#"{"code":"abc"}"#),
        format!(r#"{{"code":"{}"}}"#, tag("abc"))
    );
    let rpc = r#"{"error":{"code":-32000,"message":"m"},"params":{"code":"print(1)","_meta":{"progressToken":"t"}}}"#;
    assert_eq!(json(rpc), rpc);
}

#[test]
fn the_answers_to_elicitations_are_secret_and_those_to_sampling_are_not() {
    assert_eq!(
        json(r#"{"id":1,"result":{"action":"accept","content":{"pin":1234,"who":{"n":["x"]},"yes":true}}}"#),
        format!(
            r#"{{"id":1,"result":{{"action":"accept","content":{{"pin":"{}","who":{{"n":["{}"]}},"yes":true}}}}}}"#,
            tag("1234"),
            tag("x")
        )
    );
    assert_eq!(
        json(r#"{"params":{"inputResponses":{"a":{"content":{"v":"s"}}},"requestState":"q"}}"#),
        format!(
            r#"{{"params":{{"inputResponses":{{"a":{{"content":{{"v":"{}"}}}}}},"requestState":"{}"}}}}"#,
            tag("s"),
            tag("q")
        )
    );
    for untouched in [
        r#"{"result":{"role":"assistant","content":{"type":"text","text":"hi"},"model":"m"}}"#,
        r#"{"result":{"content":[{"type":"text","text":"hi"}]}}"#,
    ] {
        assert_eq!(json(untouched), untouched);
    }
}

#[test]
fn the_url_of_an_elicitation_is_secret_wherever_it_is_asked() {
    for document in [
        r#"{"method":"elicitation/create","params":{"mode":"url","url":"U"}}"#,
        r#"[{"method":"elicitation/create","params":{"url":"U"}}]"#,
        r#"{"error":{"code":-32042,"data":{"elicitations":[{"url":"U"}]}}}"#,
        r#"{"result":{"inputRequests":{"a":{"method":"elicitation/create","params":{"url":"U"}}}}}"#,
    ] {
        assert_eq!(
            json(document),
            document.replace("\"U\"", &format!("\"{}\"", tag("U")))
        );
    }
    let other = r#"{"params":{"arguments":{"url":"http://a/"}}}"#;
    assert_eq!(json(other), other);
}

#[test]
fn a_hundred_thousand_levels_harm_nobody_and_hide_nothing() {
    let deep = 100_000;
    let document = format!("{}{{\"token\":\"s3cr3t\"}}{}", "[".repeat(deep), "]".repeat(deep));
    let redacted = json(&document);
    assert!(!redacted.contains("s3cr3t"));
    assert_eq!(redacted.len(), document.len() - 6 + tag("s3cr3t").len());
}

#[test]
fn event_data_is_redacted_over_its_lines_and_the_rest_of_the_block_stays() {
    let redact = |block: &str| String::from_utf8(redact(Carrier::Sse, KNOWN, &[block.as_bytes()])).unwrap();
    assert_eq!(
        redact("event: endpoint\r\ndata: /messages?sessionId=ab12\r\n\r\n"),
        format!(
            "event: endpoint\r\ndata: /messages?sessionId={}\r\n\r\n",
            tag("ab12")
        )
    );
    assert_eq!(
        redact(": token=x\nid: 7\ndata:{\"result\":\ndata: {\"token\":\ndata: \"abc\"}}\n\n"),
        format!(
            ": token={}\nid: 7\ndata:{{\"result\":\ndata: {{\"token\":\ndata: \"{}\"}}}}\n\n",
            tag("x"),
            tag("abc")
        )
    );
}

#[test]
fn a_secret_that_goes_on_in_the_next_line_of_data_has_a_tag_in_each() {
    let block = "data: {\"token\":\"ab\ndata: cd\"}\n\n";
    let expected = format!("data: {{\"token\":\"{}\ndata: {}\"}}\n\n", tag("ab"), tag("cd"));
    assert_eq!(
        redact(Carrier::Sse, KNOWN, &[block.as_bytes()]),
        expected.as_bytes()
    );
}

#[test]
fn what_cannot_be_looked_into_is_left_out() {
    let encoded = BodyFacts {
        is_encoded: true,
        ..KNOWN
    };
    for (carrier, facts) in [
        (Carrier::Tunnel, KNOWN),
        (Carrier::Http, encoded),
        (Carrier::Http, BodyFacts::default()),
    ] {
        assert!(
            redact(carrier, facts, &[b"secret=x"]).is_empty(),
            "{carrier:?} {facts:?}"
        );
    }
}

#[test]
fn text_is_read_for_secrets_and_what_is_no_text_passes() {
    let page = "<p>token=abc</p> \u{e9}: db postgres://u:pw@h/x\nAuthorization: Bearer abc";
    let expected = format!(
        "<p>token={}</p> \u{e9}: db postgres://{}@h/x\nAuthorization: Bearer {}",
        tag("abc"),
        tag("u:pw"),
        tag("abc")
    );
    let text = redact(Carrier::Http, KNOWN, &[page.as_bytes()]);
    assert_eq!(String::from_utf8(text).unwrap(), expected);
    let picture = BodyFacts {
        kind: BodyKind::of(b"Image/PNG; x=y"),
        ..KNOWN
    };
    assert_eq!(redact(Carrier::Http, picture, &[b"token=abc"]), b"token=abc");
    assert_eq!(BodyKind::of(b"image/svg+xml"), BodyKind::Text);
    assert_eq!(
        redact(Carrier::Http, KNOWN, &[b"secret=\0token=abc"]),
        b"secret=\0token=abc"
    );
}

#[test]
fn secrets_inside_of_strings_are_replaced_and_every_other_byte_stays() {
    assert_eq!(
        json(
            r#"{"error":{"message":"401 for Bearer abc123","data":"token=abc"},"text":"{\"access_token\":\"abc\"}"}"#
        ),
        format!(
            r#"{{"error":{{"message":"401 for Bearer {}","data":"token={}"}},"text":"{{\"access_token\":\"{}\"}}"}}"#,
            tag("abc123"),
            tag("abc"),
            tag("abc")
        )
    );
}

#[test]
fn what_is_called_credentials_is_secret_but_for_its_schema() {
    assert_eq!(
        json(
            r#"{"tokens":["a"],"n":{"credentials":{"user":"u","n":[1]},"session_id":"s","sig":"g"},"session":"x"}"#
        ),
        format!(
            r#"{{"tokens":["{}"],"n":{{"credentials":{{"user":"{}","n":["{}"]}},"session_id":"{}","sig":"{}"}},"session":"x"}}"#,
            tag("a"),
            tag("u"),
            tag("1"),
            tag("s"),
            tag("g")
        )
    );
    let schema =
        r#"{"properties":{"credentials":{"type":"object","properties":{"user":{"type":"string"}}}}}"#;
    assert_eq!(json(schema), schema);
}

fn any_document() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("\"token\""),
        Just("\"content\""),
        Just("\"result\""),
        Just("\"params\""),
        Just("\"url\""),
        Just("\"inputResponses\""),
        Just("\"role\""),
        Just("\"a\\u0062\\\"\u{e9}\""),
        Just("12.5e3"),
        Just("true"),
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(":"),
        Just(","),
        Just(" "),
        Just("\n"),
        Just("data: "),
        Just("&code=x%20y"),
        Just("https://u:p@h/?token=z"),
        Just("\"Bearer a1\""),
        Just("\"{\\\"token\\\":\\\"x\\n\\\"}\""),
        Just("\""),
        Just("\\"),
    ];
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

fn any_body() -> impl Strategy<Value = (Carrier, BodyFacts, String)> {
    let kind = prop_oneof![
        Just((Carrier::Http, KNOWN, "{")),
        Just((Carrier::Http, BodyFacts::default(), "\u{feff} [")),
        Just((Carrier::Http, FORM, "code=")),
        Just((Carrier::Sse, KNOWN, "data: {")),
        Just((Carrier::Sse, KNOWN, "\u{feff}data:/x?")),
    ];
    (kind, any_document())
        .prop_map(|((carrier, facts, start), rest)| (carrier, facts, format!("{start}{rest}")))
}

proptest! {
    #[test]
    fn parts_are_redacted_like_the_whole((carrier, facts, body) in any_body(), cuts in prop::collection::vec(0_usize..300, 0..5)) {
        let body = body.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
        cuts.sort_unstable();
        let mut parts = Vec::new();
        let mut start = 0;
        for cut in cuts {
            parts.push(&body[start..cut]);
            start = cut;
        }
        parts.push(&body[start..]);
        prop_assert_eq!(redact(carrier, facts, &parts), redact(carrier, facts, &[body]));
    }

    #[test]
    fn a_document_without_secret_names_stays_as_it_is(body in "[ -~\r\n]{0,200}") {
        let harmless = body.replace(['t', 'k', 'a', 'u', 'c', 's', 'j', 'd', 'T', 'K', 'A', 'U', 'C', 'S', 'J', 'D', '@', '%'], "x");
        let harmless = format!("{{{harmless}");
        prop_assert_eq!(redact(Carrier::Http, KNOWN, &[harmless.as_bytes()]), harmless.as_bytes());
    }
}
