//! What is in view: filters, sessions, windows.

use std::sync::Arc;

use super::{House, ask, next, shown};
use crate::session::ledger::testing::{Talk, block, call, message_id, session_id};
use crate::session::observation::{Event, ExchangeKind};
use crate::snapshot::{Anchor, Direction, EndKind, ViewQuery, Window};

fn query(serial: u64, filter: &str) -> ViewQuery {
    ViewQuery {
        serial,
        filter: filter.to_owned(),
        ..ViewQuery::default()
    }
}

/// A talk with something of everything.
fn talk() -> Talk {
    let mut talk = Talk::default();
    talk.post(1);
    let hello = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","clientInfo":{"name":"inspector","version":"1"}}}"#;
    talk.asks(1, hello); // 1
    talk.respond(1, 200, None);
    talk.answers(
        1,
        r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18"}}"#,
    ); // 2
    talk.end(1);
    talk.post(2);
    talk.asks(2, &call(1, "echo")); // 3
    talk.respond(2, 200, Some(4));
    talk.sends(
        2,
        4,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#,
    ); // 4
    talk.sends(2, 4, r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"warning","data":"secret words"}}"#); // 5
    talk.sends(
        2,
        4,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"bad argument"}}"#,
    ); // 6
    talk.end(2);
    talk.request(3, ExchangeKind::Http, "GET", "/mcp"); // 7
    talk.respond(3, 200, Some(5));
    talk.sends_block(3, 5, block(Some("message"), Some("e1"), None), ""); // 8
    talk.enter("F1");
    talk.post(4);
    talk.asks(
        4,
        r#"{"jsonrpc":"2.0","id":"a","method":"resources/read","params":{"uri":"file:///etc/hosts"}}"#,
    ); // 9
    talk.post(5);
    talk.asks(5, r#"{"jsonrpc":"2.0","id":"b","method":"ping"}"#); // 10
    talk.end_with(5, EndKind::ClientAborted, None);
    talk.post(6);
    let mut frame = talk.frame(6, Direction::ClientToServer, "{broken");
    frame.messages.clear();
    frame.unreadable = Some("it ends".to_owned());
    talk.tell(Event::Frame(Arc::new(frame))); // 11
    talk
}

#[tokio::test(start_paused = true)]
async fn every_field_of_a_row_can_be_asked_for() {
    let house = House::new(talk());
    let mut frontend = house.attach();
    let cases: &[(&str, &[u64])] = &[
        ("method:tools/call", &[3, 6]),
        ("tool:echo", &[3, 6]),
        ("name:echo", &[3, 4, 5, 6]),
        (r#"uri^="file:""#, &[9]),
        ("id:1", &[3, 6]),
        (r#"id:"a""#, &[9]),
        ("kind:request", &[1, 3, 9, 10]),
        ("kind:response", &[2, 6]),
        ("kind:event", &[8]),
        ("kind:http", &[7]),
        ("dir:client !kind:request", &[7, 11]),
        ("side:forward", &[9, 10, 11]),
        ("session:R1 carrier:sse", &[4, 5, 6, 8]),
        ("server:everything kind:event", &[8]),
        ("client:inspector* kind:request", &[1, 3]),
        ("client:inspector kind:request", &[1, 3]),
        ("status:open", &[7, 9]),
        ("status:200", &[1, 2, 3, 6]),
        ("status:error", &[3, 6, 10]),
        ("code:-32602", &[3, 6]),
        ("dur>0ms kind:response", &[2, 6]),
        ("size<10", &[7, 8, 11]),
        ("era:legacy kind:request", &[1, 3]),
        ("revision:2025-06-18 kind:request", &[1, 3]),
        ("call:1", &[1, 2]),
        ("exchange:3", &[7, 8]),
        ("stream:5", &[8]),
        ("event:message", &[4, 5, 6, 8]),
        ("error:argument", &[6]),
        ("level>=warning", &[5]),
        ("has:warning", &[11]),
        ("has:progress", &[3]),
        ("summary:prim", &[8]),
        ("text:secret", &[5]),
        ("arg.name:x", &[]),
        ("$.params.uri:file*", &[9]),
        ("\"bad argument\"", &[6]),
    ];
    for (serial, (filter, wanted)) in (1..).zip(cases) {
        let snapshot = ask(&mut frontend, query(serial, filter)).await;
        assert_eq!(snapshot.messages.filter_error, None, "{filter}");
        assert_eq!(shown(&snapshot), *wanted, "{filter}");
        assert_eq!((snapshot.messages.scanned, snapshot.messages.total), (11, 11));
    }
}

#[tokio::test(start_paused = true)]
async fn a_filter_that_cannot_be_read_leaves_the_old_rows_and_says_what_is_wrong() {
    let house = House::new(talk());
    let mut frontend = house.attach();
    let good = ask(&mut frontend, query(1, "kind:event")).await;
    let bad = ask(&mut frontend, query(2, "kind:event dir:")).await;
    assert_eq!(shown(&bad), shown(&good));
    assert_eq!(
        bad.messages.filter_error.as_ref().map(|error| error.column),
        Some(11)
    );
    let fixed = ask(&mut frontend, query(3, "kind:event")).await;
    assert_eq!(
        (shown(&fixed), fixed.messages.filter_error.clone()),
        (vec![8], None)
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_restricts_messages_and_streams() {
    let house = House::new(talk());
    let mut frontend = house.attach();
    let all = next(&mut frontend).await;
    assert_eq!(
        (shown(&all).len(), all.streams.total, all.sessions.total),
        (11, 2, 2)
    );
    let chosen = ViewQuery {
        session: Some(session_id("F1")),
        ..query(1, "")
    };
    let snapshot = ask(&mut frontend, chosen).await;
    assert_eq!((shown(&snapshot), snapshot.streams.total), (vec![9, 10, 11], 0));
    assert_eq!((snapshot.messages.matched, snapshot.messages.total), (3, 11));
    let both = ViewQuery {
        session: Some(session_id("F1")),
        ..query(2, "kind:request")
    };
    assert_eq!(shown(&*ask(&mut frontend, both).await), [9, 10]);
}

#[tokio::test(start_paused = true)]
async fn a_row_whose_state_changes_enters_and_leaves_the_list() {
    let mut house = House::new(talk());
    let mut frontend = house.attach();
    assert_eq!(shown(&*ask(&mut frontend, query(1, "status:open")).await), [7, 9]);
    house.talk.respond(4, 200, None);
    house.talk.answers(4, r#"{"jsonrpc":"2.0","id":"a","result":{}}"#);
    house.publish();
    assert_eq!(shown(&*next(&mut frontend).await), [7]);
    assert_eq!(
        shown(&*ask(&mut frontend, query(2, "status:ok kind:request")).await),
        [1, 9]
    );
}

#[tokio::test(start_paused = true)]
async fn a_window_stays_with_its_row_whether_that_is_shown_or_not() {
    let mut house = House::new(talk());
    let mut frontend = house.attach();
    let held = |serial, id, shift, filter: &str| {
        let messages = Window {
            anchor: Anchor::Row {
                id: message_id(id),
                shift,
            },
            rows: 2,
        };
        ViewQuery {
            messages,
            ..query(serial, filter)
        }
    };
    assert_eq!(shown(&*ask(&mut frontend, held(1, 5, -1, "")).await), [4, 5]);
    house.talk.round_trip(9, "more");
    house.publish();
    let moved_on = next(&mut frontend).await;
    assert_eq!((shown(&moved_on), moved_on.messages.total), (vec![4, 5], 13));
    // m5 is hidden by the filter: its place counts.
    assert_eq!(
        shown(&*ask(&mut frontend, held(2, 5, 0, "kind:request")).await),
        [9, 10]
    );
    assert_eq!(
        shown(&*ask(&mut frontend, held(3, 5, -1, "kind:request")).await),
        [3, 9]
    );
    assert_eq!(shown(&*ask(&mut frontend, held(4, 99, 0, "")).await), [12, 13]);
}
