//! Which of its clients hears what a program without sessions says.

use super::*;
use crate::codec::envelope::scan;

fn router() -> ModernRouter {
    let bounds = SpoolBounds {
        messages: 16,
        bytes: 10_000,
        keeps_delivered: true,
    };
    ModernRouter::new(bounds, ToolHeaders::default())
}

fn begin(router: &mut ModernRouter, body: &str) -> Begun {
    let line = Bytes::copy_from_slice(body.as_bytes());
    let begun = router.begin(&line, &scan(&line).messages[0]).unwrap();
    router.sent(begun.lane);
    begun
}

fn say(router: &mut ModernRouter, line: &str) -> Vec<Effect> {
    let line = Bytes::copy_from_slice(line.as_bytes());
    router.route(&line, &scan(&line))
}

fn read(router: &mut ModernRouter, begun: &Begun) -> Vec<String> {
    router.spool.read(begun.lane, begun.reader)
}

fn text(line: &Bytes) -> &str {
    std::str::from_utf8(line).unwrap()
}

const OWN: &str = "1099511627777";

#[test]
fn equal_ids_and_tokens_of_two_clients_do_not_meet_on_the_pipe() {
    let mut router = router();
    let body = r#"{"jsonrpc":"2.0","id":0,"method":"a","params":{"_meta":{"progressToken":0}}}"#;
    let (first, second) = (begin(&mut router, body), begin(&mut router, body));
    assert_eq!(text(&first.line), body);
    assert_eq!(
        text(&second.line),
        r#"{"jsonrpc":"2.0","id":1099511627777,"method":"a","params":{"_meta":{"progressToken":1099511627778}}}"#
    );
    say(
        &mut router,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1099511627778,"progress":1}}"#,
    );
    say(&mut router, r#"{"jsonrpc":"2.0","id":0,"result":{"first":true}}"#);
    say(
        &mut router,
        r#"{"jsonrpc":"2.0","result":{"second":true},"id":1099511627777}"#,
    );
    assert_eq!(
        read(&mut router, &second),
        [
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":0,"progress":1}}"#,
            r#"{"jsonrpc":"2.0","result":{"second":true},"id":0}"#,
            "end"
        ]
    );
    assert_eq!(
        read(&mut router, &first),
        [r#"{"jsonrpc":"2.0","id":0,"result":{"first":true}}"#, "end"]
    );
    assert!(router.ids.is_empty() && router.tokens.is_empty());
}

#[test]
fn ids_of_another_type_are_others() {
    let mut router = router();
    let number = begin(&mut router, r#"{"jsonrpc":"2.0","id":1,"method":"a"}"#);
    let string = begin(&mut router, r#"{"jsonrpc":"2.0","id":"1","method":"a"}"#);
    assert!(text(&number.line).contains(r#""id":1,"#) && text(&string.line).contains(r#""id":"1","#));
    let again = begin(&mut router, r#"{"jsonrpc":"2.0","id":"1","method":"a"}"#);
    say(
        &mut router,
        &format!(r#"{{"jsonrpc":"2.0","id":{OWN},"error":{{"code":1,"message":""}}}}"#),
    );
    assert_eq!(
        read(&mut router, &again)[0],
        r#"{"jsonrpc":"2.0","id":"1","error":{"code":1,"message":""}}"#
    );
}

#[test]
fn a_client_that_leaves_cancels_its_request_under_the_id_of_the_pipe() {
    let mut router = router();
    begin(&mut router, r#"{"jsonrpc":"2.0","id":0,"method":"a"}"#);
    let second = begin(&mut router, r#"{"jsonrpc":"2.0","id":0,"method":"a"}"#);
    let effects = router.left(second.lane);
    let [Effect::Say(line)] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert!(
        text(line).contains(&format!(r#""requestId":{OWN},"#)),
        "{}",
        text(line)
    );
    assert_eq!(router.left(second.lane), [], "once is enough");
    let line = Bytes::from_static(br#"{"jsonrpc":"2.0","id":7,"method":"a"}"#);
    let unsent = router.begin(&line, &scan(&line).messages[0]).unwrap();
    assert_eq!(router.left(unsent.lane), [], "the program never heard of it");
}

#[test]
fn a_late_answer_to_a_cancelled_request_never_reaches_another_client() {
    let mut router = router();
    let body = r#"{"jsonrpc":"2.0","id":0,"method":"a","params":{"_meta":{"progressToken":0}}}"#;
    let gone = begin(&mut router, body);
    router.left(gone.lane);
    let other = begin(&mut router, body);
    let progress =
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":0,"progress":1}}"#;
    let late = r#"{"jsonrpc":"2.0","id":0,"result":{"secret":"of the first"}}"#;
    for line in [progress, late] {
        assert!(
            matches!(say(&mut router, line)[..], [Effect::Finding(_)]),
            "{line}"
        );
    }
    assert_eq!(read(&mut router, &other), Vec::<String>::new());
    say(
        &mut router,
        &format!(r#"{{"jsonrpc":"2.0","id":{OWN},"result":{{}}}}"#),
    );
    assert_eq!(
        read(&mut router, &other),
        [r#"{"jsonrpc":"2.0","id":0,"result":{}}"#, "end"]
    );
    let next = begin(&mut router, body);
    assert_eq!(text(&next.line), body, "once it was answered the id is free");
}

#[test]
fn so_many_cancelled_requests_are_remembered_and_no_more() {
    let mut router = router();
    let body = |id: usize| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"a"}}"#);
    for id in 0..=MAX_CANCELLED {
        let begun = begin(&mut router, &body(id));
        router.left(begun.lane);
    }
    assert_eq!(router.cancelled.len(), MAX_CANCELLED);
    assert_eq!(
        text(&begin(&mut router, &body(0)).line),
        body(0),
        "the oldest is free"
    );
    assert_ne!(text(&begin(&mut router, &body(1)).line), body(1));
}

#[test]
fn subscriptions_and_log_lines_find_their_stream() {
    let mut router = router();
    begin(&mut router, r#"{"jsonrpc":"2.0","id":9,"method":"tools/call"}"#);
    let listen = begin(
        &mut router,
        r#"{"jsonrpc":"2.0","id":9,"method":"subscriptions/listen"}"#,
    );
    let logged = begin(
        &mut router,
        r#"{"jsonrpc":"2.0","id":3,"method":"a","params":{"_meta":{"io.modelcontextprotocol/logLevel":"info"}}}"#,
    );
    say(
        &mut router,
        &format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{OWN}}}}}}}"#
        ),
    );
    let log = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}"#;
    say(&mut router, log);
    assert!(!router.is_idle());
    say(
        &mut router,
        &format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{OWN}}}}}"#),
    );
    let seen = read(&mut router, &listen);
    assert!(
        seen[0].contains(r#"subscriptionId":9}"#) && seen[1].contains(r#""requestId":9"#),
        "{seen:?}"
    );
    assert_eq!(seen[2], "end");
    assert_eq!(read(&mut router, &logged), [log]);
}

#[test]
fn a_request_of_the_server_is_refused_and_what_has_no_place_is_a_finding() {
    let mut router = router();
    begin(&mut router, r#"{"jsonrpc":"2.0","id":0,"method":"a"}"#);
    let effects = say(&mut router, r#"{"jsonrpc":"2.0","id":5,"method":"roots/list"}"#);
    assert!(
        matches!(&effects[..], [Effect::Finding(_), Effect::Say(line)] if text(line).contains(r#""id":5"#))
    );
    for line in [
        r#"{"jsonrpc":"2.0","id":99,"result":{}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#,
        "hello",
    ] {
        assert!(
            matches!(say(&mut router, line)[..], [Effect::Finding(_)]),
            "{line}"
        );
    }
}

#[test]
fn when_the_program_is_gone_streams_end_without_an_answer() {
    let mut router = router();
    let begun = begin(&mut router, r#"{"jsonrpc":"2.0","id":0,"method":"a"}"#);
    router.over("it crashed");
    assert_eq!(read(&mut router, &begun), ["end"]);
    assert_eq!(router.fate(), Some("it crashed"));
    let line = begun.line.clone();
    assert!(router.begin(&line, &scan(&line).messages[0]).is_none());
}
