use proptest::prelude::*;

use super::super::leap::may_have_secret;
use super::*;
use crate::recording::redact::tag::Tagger;

/// No name is that long.
const LONG: &str = concat!(
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbtoken",
);

fn redacted_in(parts: &[&[u8]]) -> String {
    let tagger = Tagger::fixed();
    let mut out = Output::new(&tagger);
    let mut redactor = ProseRedactor::default();
    for part in parts {
        redactor.push(part, &mut out);
    }
    redactor.finish(&mut out);
    String::from_utf8_lossy(&out.bytes).into_owned()
}

fn redacted(text: &str) -> String {
    redacted_in(&[text.as_bytes()])
}

fn tag(secret: &str) -> String {
    Tagger::fixed().tag(secret.as_bytes())
}

#[test]
fn named_values_are_replaced_and_the_rest_stays() {
    let (short, long) = (tag("hunter2"), tag("abcdef0123456789"));
    for (text, expected) in [
        ("password: hunter2\n", format!("password: {short}\n")),
        (
            "login with API_KEY='hunter2', ok",
            format!("login with API_KEY='{short}', ok"),
        ),
        (
            "got {\"token\" : \"hunter2\"}",
            format!("got {{\"token\" : \"{short}\"}}"),
        ),
        (
            "Authorization: Bearer hunter2 sent",
            format!("Authorization: Bearer {short} sent"),
        ),
        (
            "bearer abcdef0123456789 is used",
            format!("bearer {long} is used"),
        ),
        ("Bearer hunter2", format!("Bearer {short}")),
        ("token => abcdef0123456789\r\n", format!("token => {long}\r\n")),
        ("Cookie: a=1; b=2\n", format!("Cookie: {}\n", tag("a=1; b=2"))),
        (
            "see http://hunter2@host/?token=hunter2&x=1",
            format!("see http://{short}@host/?token={short}&x=1"),
        ),
    ] {
        assert_eq!(redacted(text), expected);
        assert_eq!(redacted(&expected), expected, "a tag is no secret");
    }
}

fn in_string(parts: &[&[u8]]) -> String {
    let tagger = Tagger::fixed();
    let mut out = Output::new(&tagger);
    let mut redactor = ProseRedactor::for_string();
    for part in parts {
        redactor.push(part, &mut out);
    }
    redactor.finish(&mut out);
    String::from_utf8_lossy(&out.bytes).into_owned()
}

#[test]
fn a_value_in_quotes_goes_on_to_their_end_and_one_that_is_described_stays() {
    let (two, one) = (tag("two words"), tag("hunter2"));
    for (text, expected) in [
        (
            "{\"password\": \"two words\", \"a\": \"b\"}",
            format!("{{\"password\": \"{two}\", \"a\": \"b\"}}"),
        ),
        ("token=\"\", a=\"b\"", "token=\"\", a=\"b\"".to_owned()),
        (
            "token: string, secret: null",
            "token: string, secret: null".to_owned(),
        ),
        ("the bearer token: hunter2", format!("the bearer token: {one}")),
        ("\u{2014} token=hunter2", format!("\u{2014} token={one}")),
        ("session_id=hunter2", format!("session_id={one}")),
    ] {
        assert_eq!(redacted(text), expected);
        assert_eq!(redacted(&expected), expected, "a tag is no secret");
    }
}

#[test]
fn what_stands_in_a_json_string_is_read_without_its_escapes() {
    for (text, expected) in [
        (
            r#"{\"access_token\":\"hunt\\ner2\/\",\"a\":1}"#,
            format!(r#"{{\"access_token\":\"{}\",\"a\":1}}"#, tag("hunt\\ner2/")),
        ),
        (
            r#"{\\\"token\\\":\\\"hunter2\\\",\\\"password\\\":\\\"\\\"}"#,
            format!(
                r#"{{\\\"token\\\":\\\"{}\\\",\\\"password\\\":\\\"\\\"}}"#,
                tag("hunter2")
            ),
        ),
        (
            r"a\ntoken\u003dhunter2\nb",
            format!(r"a\ntoken\u003d{}\nb", tag("hunter2")),
        ),
        (
            r"https:\/\/u:p\u00e4@h\/?a=b\u0026code=hunter2\n",
            format!(
                r"https:\/\/{}@h\/?a=b\u0026code={}\n",
                tag("u:p\u{e4}"),
                tag("hunter2")
            ),
        ),
        (
            r"sent\nAuthorization: Bearer hunter2\nok",
            format!(r"sent\nAuthorization: Bearer {}\nok", tag("hunter2")),
        ),
    ] {
        assert_eq!(in_string(&[text.as_bytes()]), expected);
        assert_eq!(in_string(&[expected.as_bytes()]), expected, "a tag is no secret");
    }
    let code = r"fn token(a: &str) -> u8 {\n\treturn a.b == 1 ? 2 : 3 \u2014 ok\n}";
    assert_eq!(in_string(&[code.as_bytes()]), code);
}

#[test]
fn strings_without_secret_names_users_and_schemes_are_not_looked_into() {
    for (string, is_suspect) in [
        ("tools/call", false),
        ("the token of the day, and a secret", false),
        ("count=b", false),
        ("a\\u003db", true),
        ("a\\u4e2db: 1", false),
        ("see bearer abc", true),
        (r#"{\"id\":1,\"state\":\"open\",\"at\":\"10:00:00Z\"}"#, false),
        (r#"{\"session_id\":1}"#, true),
        (r"ok\nsessionid: 1", true),
        (r"ok\u4e2dcookie: 1", true),
        ("see https://host:80/a/b?x=1&amp;page=2#top for more", false),
        ("https://host", false),
        (r"https:\/\/host\/?a\n", false),
        ("https://me@host", true),
        (r"https:\/\/me@host", true),
        ("/?x=1&amp;code=2", true),
        ("/?%63ode=2", true),
    ] {
        assert_eq!(may_have_secret(string.as_bytes()), is_suspect, "{string}");
    }
}

#[test]
fn signs_that_begin_like_a_tag_hide_no_secret() {
    let hidden = tag("hunter2");
    for (text, expected) in [
        ("\u{2192} token=hunter2\n", format!("\u{2192} token={hidden}\n")),
        (
            "\u{2026} password: hunter2 \u{201c}x\u{201d}",
            format!("\u{2026} password: {hidden} \u{201c}x\u{201d}"),
        ),
        ("\u{2039}secret:hunter2", format!("\u{2039}secret:{hidden}")),
        (
            "\u{2039}\u{2039}secret:0123456789ab\u{203a}\u{203a} token=hunter2",
            format!("\u{2039}\u{2039}secret:0123456789ab\u{203a}\u{203a} token={hidden}"),
        ),
        (
            "\u{2039}secret:0123456789ab\u{2039}",
            format!("\u{2039}secret:{}", tag("0123456789ab\u{2039}")),
        ),
    ] {
        assert_eq!(redacted(text), expected);
    }
}

#[test]
fn sentences_stay() {
    for text in [
        "listening on http://127.0.0.1:3000/mcp: 2 tools, progressToken: 7\n",
        "Bearer authentication is required; no token was sent",
        "token:",
        "the password",
        "1:2=3 ‹ x",
    ] {
        assert_eq!(redacted(text), text);
    }
}

proptest! {
    #[test]
    fn parts_give_what_the_whole_gives(text in "(token|bearer|Cookie|id|code=|sig|state|%63ode|&amp;|a|1|https://|://h/|@|[:= \"'/?&]|\u{2039}secret:|0123456789ab|\u{203a}|\u{2192}){0,24}", at in 0..200_usize) {
        let bytes = text.as_bytes();
        let (one, other) = bytes.split_at(at.min(bytes.len()));
        let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(redacted_in(&[one, other]), redacted(&text));
        prop_assert_eq!(redacted_in(&bytewise), redacted(&text));
    }

    #[test]
    fn parts_of_a_string_give_what_the_whole_gives(
        parts in prop::collection::vec(prop::sample::select(vec![
            "token", "bearer", "Cookie", "a1", " word", "\\n", "\\\"", "\\\\", "\\/", "\\u003d", "\\u00", "://", "@",
            ":", "=", " ", "?", "&", "\u{2039}secret:", "\u{2014}", "\\t", "\\u2039secret", "basic x1",
            "id", "session", "code=", "state", "%63ode=", "amp;", "#", "/", "http://h", "h/", "u:p", "\\u4e2d", "\\ud83d\\ude00",
            "\\u4", "-", "\u{4e2d}\u{6587}", LONG, ".dpop-",
        ]), 0..24),
        cuts in prop::collection::vec(0..600_usize, 0..4),
    ) {
        let text = parts.concat();
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        cuts.push(bytes.len());
        let starts = std::iter::once(0).chain(cuts.iter().copied());
        let parts: Vec<&[u8]> = starts.zip(&cuts).map(|(start, end)| &bytes[start..*end]).collect();
        let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
        let whole = in_string(&[bytes]);
        prop_assert_eq!(in_string(&parts), whole.clone());
        prop_assert_eq!(in_string(&bytewise), whole.clone());
        // What is replaced may have ended a user's name, and then more is a secret without it.
        let has_user = text.contains("://") && text.contains('@');
        if serde_json::from_str::<String>(&format!("\"{text}\"")).is_ok() && !has_user {
            prop_assert_eq!(in_string(&[whole.as_bytes()]), whole.clone(), "a tag is no secret");
        }
        prop_assert!(may_have_secret(bytes) || whole == text);
    }
}
