use std::sync::Arc;

use super::support::{
    body, encode, encode_after, ended, event, exchange, frame, frames, load, observe, part, request, response,
};
use crate::ids::ExchangeId;
use crate::recording::redact::Tagger;
use crate::session::observation::{Event, Observation, RewrittenObserved};
use crate::snapshot::{Carrier, Direction, Finding, SentHead, Severity};

const UP: Direction = Direction::ClientToServer;
const DOWN: Direction = Direction::ServerToClient;

/// Each secret is called `Sxx-secret`, so that one search finds whatever survives.
pub(super) fn scripted() -> Vec<Observation> {
    let head = "POST /mcp?sessionId=S01-secret&session_id=S02-secret&token=S03-secret&access_token=S04-secret&api_key=S05-secret&key=S06-secret&code=S07-secret&state=S08-secret&sig=S09-secret HTTP/1.1\r\n\
        Host: localhost\r\n\
        Authorization: Bearer S10-secret\r\n\
        Proxy-Authorization: Basic S11-secret\r\n\
        Cookie: a=S12-secret; b=S13-secret\r\n\
        X-Api-Key: S14-secret\r\n\
        Mcp-Session-Id: S15-secret\r\n\
        DPoP: S16-secret\r\n\
        Mcp-Param-Password: S17-secret\r\n\
        baggage: S18-secret\r\n\
        Referer: http://me:S19-secret@host/?token=S20-secret\r\n\r\n";
    let form =
        "POST /token HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded; charset=utf-8\r\n\r\n";
    let events = [
        request(1, head),
        body(
            1,
            UP,
            r#"{"jsonrpc":"2.0","id":1,"params":{"requestState":"S21-secret","_meta":{"baggage":"S22-secret"},"inputResponses":{"a":{"action":"accept","content":{"x":"S23-secret"}}}}}"#,
        ),
        response(
            1,
            &[
                ("set-cookie", "sid=S24-secret; Path=/"),
                ("location", "http://cb/?code=S25-secret&state=S26-secret"),
                (
                    "www-authenticate",
                    "Bearer resource_metadata=\"http://h/m?token=S27-secret\"",
                ),
                ("mcp-session-id", "S15-secret"),
            ],
            Some(9),
        ),
        event(1, 0, "event: endpoint\ndata: /messages?sessionId=S01-secret\n\n"),
        event(
            1,
            1,
            "data: {\"params\":{\"mode\":\"url\",\"url\":\"http://S28-secret\"}}\n\n",
        ),
        event(
            1,
            2,
            "data: {\"error\":{\"data\":{\"elicitations\":[{\"url\":\"http://S29-secret\"}]}}}\n\n",
        ),
        ended(1),
        request(2, form),
        body(
            2,
            UP,
            "grant_type=x&code=S30-secret&code_verifier=S31-secret&client_secret=S32-secret&assertion=S33-secret&subject_token=S34-secret&device_code=S35-secret&password=S36-secret&refresh_token=S37-secret",
        ),
        response(2, &[("content-type", "application/json")], None),
        part(2, DOWN, 0, br#"{"access_token":"S38-sec"#),
        part(
            2,
            DOWN,
            1,
            br#"ret","id_token":"S39-secret","registration_access_token":"#,
        ),
        part(2, DOWN, 2, br#""S40-secret","client_assertion":["S41-secret"],"#),
        Event::Frame(Arc::new({
            let mut whole = frame(2, DOWN, Carrier::Http, 0, b"");
            whole.parts = 3;
            whole
        })),
        request(3, "POST /mcp HTTP/1.1\r\n\r\n"),
        body(
            3,
            UP,
            r#"{"jsonrpc":"2.0","id":7,"result":{"action":"accept","content":{"x":"S42-secret","pin":424242}}}"#,
        ),
        request(4, "CONNECT h:443 HTTP/1.1\r\n\r\n"),
        Event::Frame(Arc::new(frame(4, UP, Carrier::Tunnel, 0, b"GET /S43-secret"))),
        request(5, "POST /x HTTP/1.1\r\nContent-Encoding: br\r\n\r\n"),
        body(5, UP, "S44-secret in a coding that was not undone"),
        Event::Rewritten(Box::new(RewrittenObserved {
            exchange: exchange(5),
            session: None,
            direction: UP,
            rewrites: Vec::new(),
            sent: Some(Box::new(SentHead {
                line: Some("GET /x?token=S45-secret HTTP/1.1".to_owned()),
                set: vec![("x-api-key".to_owned(), "S46-secret".to_owned())],
                ..SentHead::default()
            })),
            findings: Vec::new(),
        })),
    ];
    (0..).zip(events).map(|(us, event)| observe(us, event)).collect()
}

#[test]
fn no_secret_reaches_the_file() {
    let observations = scripted();
    let everything = String::from_utf8(encode(&observations, None)).unwrap();
    for number in 1..=46 {
        let secret = format!("S{number:02}-sec");
        assert!(everything.contains(&secret), "{secret} is not in the script");
    }
    let file = String::from_utf8(encode(&observations, Some(Tagger::fixed()))).unwrap();
    let survivors: Vec<_> = file.lines().filter(|line| line.contains("-sec")).collect();
    assert!(survivors.is_empty(), "{survivors:?}");
    assert!(!file.contains("424242"));
}

#[test]
fn one_secret_has_one_tag_wherever_it_stands() {
    let file = String::from_utf8(encode(&scripted(), Some(Tagger::fixed()))).unwrap();
    let tag_after = |start: &str| {
        let (_, rest) = file.split_once(start).unwrap();
        rest.split_inclusive('\u{203a}').next().unwrap().to_owned()
    };
    let session = tag_after("[\"Mcp-Session-Id\",\"");
    assert_eq!(session, tag_after("[\"mcp-session-id\",\""));
    assert!(session.starts_with("\u{2039}secret:"), "{session}");
    assert_eq!(tag_after("/mcp?sessionId="), tag_after("/messages?sessionId="));
    assert_ne!(session, tag_after("/mcp?sessionId="));
}

#[test]
fn every_line_counts_the_secrets_that_it_lost() {
    let file = String::from_utf8(encode(&scripted(), Some(Tagger::fixed()))).unwrap();
    for line in file.lines().skip(1) {
        let tags = line.matches("\u{2039}secret:").count();
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let counted = value
            .get("redactions")
            .and_then(serde_json::Value::as_u64)
            .unwrap_or(0);
        assert_eq!(counted, tags as u64, "{line}");
    }
}

#[test]
fn parts_after_a_lost_one_are_left_out_as_a_secret_may_go_on_in_them() {
    let observations = [
        observe(0, request(1, "POST / HTTP/1.1\r\n\r\n")),
        observe(1, part(1, UP, 0, br#"{"a":1,"#)),
        observe(3, part(1, UP, 2, b"rest of a secret\"}")),
    ];
    let file = String::from_utf8(encode(&observations, Some(Tagger::fixed()))).unwrap();
    assert!(!file.contains("rest of"), "{file}");
    assert!(file.contains("\"withheld\":18"), "{file}");
}

#[test]
fn redacted_messages_still_load_with_their_ids_and_methods() {
    let text = r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"token":"x","_meta":{"progressToken":"p"}}}"#;
    let observations = [
        observe(0, request(1, "POST / HTTP/1.1\r\n\r\n")),
        observe(1, body(1, UP, text)),
    ];
    let (loaded, _) = load(&encode(&observations, Some(Tagger::fixed())));
    let frame = frames(&loaded)[0];
    assert_eq!(frame.size, text.len() as u64);
    assert_eq!(frame.messages[0].envelope.method.as_deref(), Some("tools/call"));
}

#[test]
fn a_recording_that_begins_inside_a_secret_does_not_write_the_rest_of_it() {
    let head = observe(0, request(1, "POST / HTTP/1.1\r\n\r\n"));
    let text = br#"{"token":"the rest of it","id":1}"#;
    let mut whole = frame(1, UP, Carrier::Http, 0, text);
    whole.parts = 1;
    let observations = [
        observe(1, part(1, UP, 0, b" rest of it\",\"id\":1}")),
        observe(2, Event::Frame(Arc::new(whole))),
    ];
    for preamble in [vec![head], Vec::new()] {
        let file = encode_after(&preamble, &observations, Some(Tagger::fixed()));
        let file = String::from_utf8(file).unwrap();
        assert!(!file.contains("rest of it") && file.contains("secret:"), "{file}");
    }
}

#[test]
fn what_we_say_about_an_exchange_quotes_no_secret() {
    let text = "the server printed what is no message: api_key=S1-secret at http://u:S2-secret@h/".to_owned();
    let rewrite = Event::Rewritten(Box::new(RewrittenObserved {
        sent: None,
        exchange: ExchangeId::new(1).unwrap(),
        session: None,
        direction: DOWN,
        rewrites: vec!["endpoint: /m?token=S3-secret → /x?token=S3-secret".into()],
        findings: vec![Finding {
            severity: Severity::Warning,
            text,
        }],
    }));
    let observations = [
        observe(0, request(1, "POST / HTTP/1.1\r\n\r\n")),
        observe(1, rewrite),
    ];
    let file = String::from_utf8(encode(&observations, Some(Tagger::fixed()))).unwrap();
    assert!(!file.contains("-secret"), "{file}");
    assert!(file.contains("what is no message: api_key="), "{file}");
    assert!(file.contains("\"redactions\":4"), "{file}");
}
