//! Sessions and streams.

use std::time::Duration;

use crate::ids::StreamId;
use crate::limits::ResourceLimits;
use crate::session::ledger::Ledger;
use crate::session::ledger::testing::{Talk, block, call, result, session_id};
use crate::session::observation::{Event, ExchangeKind, SessionOpened, SseObserved};
use crate::snapshot::{
    EndKind, Era, MAX_STREAM_EVENTS, Outcome, RowKind, RowState, SessionBasis, SessionState,
};

const HELLO: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","clientInfo":{"name":"inspector","version":"1.2"}}}"#;

#[test]
fn a_legacy_session_shows_the_revision_that_was_agreed_not_the_one_asked_for() {
    let mut talk = Talk::default();
    talk.post(1);
    talk.asks(1, HELLO);
    let session = talk.view().sessions()[0].clone();
    assert_eq!(
        (
            session.client.as_deref(),
            session.era,
            session.revision.as_deref()
        ),
        (Some("inspector 1.2"), Some(Era::Legacy), None)
    );
    talk.respond(1, 200, None);
    talk.answers(1, r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","serverInfo":{"name":"s","version":"3"}}}"#);
    let session = talk.view().sessions()[0].clone();
    assert_eq!(
        (session.revision.as_deref(), session.server_info.as_deref()),
        (Some("2025-06-18"), Some("s 3"))
    );
}

#[test]
fn a_modern_session_shows_what_its_requests_state() {
    let mut talk = Talk::modern();
    talk.post(1);
    talk.asks(1, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"9"}}}}"#);
    let session = talk.view().sessions()[0].clone();
    assert_eq!(
        (
            session.client.as_deref(),
            session.era,
            session.revision.as_deref()
        ),
        (Some("c 9"), Some(Era::Modern), Some("2026-07-28"))
    );
}

#[test]
fn a_session_is_idle_after_the_timeout_unless_an_exchange_is_open() {
    let mut talk = Talk::default();
    talk.round_trip(1, "echo");
    let later = talk.now.plus(ResourceLimits::default().session_idle_timeout);
    talk.ledger.tick(talk.now);
    assert_eq!(talk.view().sessions()[0].state, SessionState::Active);
    talk.ledger.tick(later);
    assert_eq!(talk.view().sessions()[0].state, SessionState::Idle);
    talk.request(2, ExchangeKind::Http, "GET", "/mcp");
    assert_eq!(talk.view().sessions()[0].state, SessionState::Active);
    talk.ledger.tick(later.plus(Duration::from_hours(10)));
    assert_eq!(talk.view().sessions()[0].state, SessionState::Active);
}

#[test]
fn a_session_that_became_idle_waits_for_no_answer_any_more() {
    let mut talk = Talk::default();
    talk.post(1);
    talk.asks(1, &call(1, "slow"));
    talk.respond(1, 200, Some(1));
    talk.sends_block(1, 1, block(Some("message"), Some("1"), None), "");
    // The client may come back for the rest of such a stream, so the call goes on; but not for ever.
    talk.end_with(1, EndKind::ClientAborted, None);
    assert_eq!(talk.view().totals().open_calls, 1);
    talk.ledger
        .tick(talk.now.plus(ResourceLimits::default().session_idle_timeout));
    assert_eq!(talk.view().totals().open_calls, 0);
    assert!(matches!(
        talk.state(1),
        RowState::Answered {
            outcome: Outcome::Unanswered,
            ..
        }
    ));
}

#[test]
fn a_stream_is_named_after_what_opened_it() {
    let mut talk = Talk::default();
    talk.post(1);
    talk.asks(1, &call(1, "longRunning"));
    talk.respond(1, 200, Some(1));
    talk.request(2, ExchangeKind::Http, "GET", "/mcp?a=b");
    talk.respond(2, 200, Some(2));
    let view = talk.view();
    let labels: Vec<_> = view
        .streams()
        .iter()
        .map(|stream| stream.to_row().label)
        .collect();
    assert_eq!(labels, ["POST tools/call longRunning", "GET /mcp"]);
    assert_eq!(view.sessions()[0].open_streams, 2);
}

#[test]
fn a_stream_counts_events_folds_comments_and_keeps_the_latest() {
    let mut talk = Talk::default();
    talk.request(1, ExchangeKind::Http, "GET", "/mcp");
    talk.respond(1, 200, Some(1));
    talk.sends_block(1, 1, block(Some("message"), Some("e1"), Some(900)), "");
    for _ in 0..40 {
        talk.sends_block(
            1,
            1,
            SseObserved {
                comments: 1,
                ..SseObserved::default()
            },
            "keepalive",
        );
    }
    talk.now = talk.now.plus(Duration::from_secs(7));
    talk.sends(1, 1, r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":2,"total":5}}"#);
    talk.sends(1, 1, &result(3));
    let stream = talk.view().streams()[0].to_row();
    assert_eq!((stream.events, stream.comments, stream.retry), (3, 40, Some(900)));
    assert_eq!(stream.last_event_id.as_deref(), Some("e1"));
    assert!(stream.longest_gap >= Duration::from_secs(7));
    let labels: Vec<_> = stream.recent.iter().map(|event| event.label.as_str()).collect();
    assert_eq!(
        labels,
        [
            "priming, id e1, retry 900 ms",
            "40 comments",
            "progress 2/5",
            "result #3"
        ]
    );
    assert_eq!(stream.recent[1].message, None);
    assert_eq!(stream.recent[2].kind, Some(RowKind::Notification));
    assert_eq!(
        stream.recent[2].message.map(|id| talk.row(id.get()).summary),
        Some("2/5".to_owned())
    );
    for _ in 0..100 {
        talk.sends(1, 1, r#"{"jsonrpc":"2.0","method":"x"}"#);
    }
    assert_eq!(talk.view().streams()[0].to_row().recent.len(), MAX_STREAM_EVENTS);
}

#[test]
fn ended_streams_stay_listed_up_to_a_limit() {
    let mut talk = Talk::within(&ResourceLimits {
        max_ended_streams: 2,
        ..ResourceLimits::default()
    });
    for number in 1..=4 {
        talk.request(number, ExchangeKind::Http, "GET", "/mcp");
        talk.respond(number, 200, Some(number));
    }
    for number in [1, 2, 3] {
        talk.end_with(number, EndKind::UpstreamAborted, None);
    }
    let view = talk.view();
    let listed: Vec<u64> = view.streams().iter().map(|stream| stream.id().get()).collect();
    assert_eq!(listed, [2, 3, 4]);
    let ended = view.streams()[0].to_row().ended.map(|(_, how)| how);
    assert_eq!(
        (ended, view.streams()[2].to_row().ended),
        (Some(EndKind::UpstreamAborted), None)
    );
    assert_eq!(view.sessions()[0].open_streams, 1);
    assert_eq!(view.streams()[2].id(), StreamId::new(4).unwrap());
}

#[test]
fn bytes_are_counted_once_also_where_no_frame_tells_them() {
    let mut talk = Talk::default();
    talk.round_trip(1, "echo");
    let totals = *talk.view().totals();
    assert_eq!(totals.bytes_from_clients, call(1, "echo").len() as u64);
    assert_eq!(totals.bytes_from_servers, result(1).len() as u64);
    talk.request(2, ExchangeKind::Tunnel, "CONNECT", "example.com:443");
    talk.respond(2, 200, None);
    talk.end_after(2, 500, 7000);
    let after = *talk.view().totals();
    assert_eq!(after.bytes_from_clients - totals.bytes_from_clients, 500);
    assert_eq!(after.bytes_from_servers - totals.bytes_from_servers, 7000);
}

#[test]
fn only_messages_and_events_count_as_messages() {
    let mut talk = Talk::default();
    talk.request(1, ExchangeKind::Http, "GET", "/mcp");
    talk.round_trip(2, "echo");
    talk.ledger.tick(talk.now);
    let view = talk.view();
    assert_eq!((view.totals().messages, view.sessions()[0].messages), (2, 3));
    talk.round_trip(3, "echo");
    talk.ledger.tick(talk.now.plus(Duration::from_secs(1)));
    assert_eq!(talk.view().rates()["messages"], [2]);
}

#[test]
fn the_servers_of_a_recording_are_those_that_its_sessions_name_up_to_a_bound() {
    let mut talk = Talk::default();
    talk.ledger = Ledger::new(&ResourceLimits::default()).learning_servers();
    for number in 1..=300 {
        let id = session_id(&format!("F{number}"));
        talk.tell(Event::Session(Box::new(SessionOpened {
            id,
            server: format!("s{}", number / 2).into(),
            basis: SessionBasis::Process,
            client: "editor".into(),
        })));
    }
    talk.session = None;
    talk.request(1, ExchangeKind::Http, "GET", "/sse");
    talk.open("F301", SessionBasis::SseEndpoint);
    talk.round_trip(2, "echo");
    let view = talk.view();
    let [first, rest @ ..] = view.servers() else {
        panic!("there are servers");
    };
    assert_eq!(
        (&*first.server, first.is_command, first.speaks_sse),
        ("s0", true, false)
    );
    let last = rest.last().unwrap();
    assert_eq!((&*last.server, last.speaks_sse), ("everything", true));
    assert_eq!((last.calls, last.failed, last.exchanges), (1, 0, 2));
    for number in 302..=800 {
        talk.tell(Event::Session(Box::new(SessionOpened {
            id: session_id(&format!("F{number}")),
            server: format!("s{number}").into(),
            basis: SessionBasis::Peer,
            client: "editor".into(),
        })));
    }
    assert_eq!(talk.view().servers().len(), 256);
}
