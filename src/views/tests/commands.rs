//! Answers to commands.

use super::{House, next};
use crate::limits::ResourceLimits;
use crate::session::ledger::testing::{Talk, block, call, message_id, result};
use crate::snapshot::{Command, MessageDetail, RecorderState, Reply};

async fn inspect(house: &House, id: u64) -> Option<MessageDetail> {
    let frontend = house.attach();
    match frontend
        .commands
        .ask(Command::Inspect { id: message_id(id) })
        .await
        .unwrap()
    {
        Reply::Detail(detail) => Some(*detail),
        Reply::Gone => None,
        other => panic!("{other:?}"),
    }
}

async fn rows(house: &House, after: Option<u64>, limit: u16, filter: &str) -> (Vec<u64>, u64) {
    let frontend = house.attach();
    let command = Command::Rows {
        after: after.map(message_id),
        limit,
        filter: filter.to_owned(),
    };
    match frontend.commands.ask(command).await.unwrap() {
        Reply::Rows { rows, missed } => (rows.iter().map(|row| row.id.get()).collect(), missed),
        other => panic!("{other:?}"),
    }
}

async fn find(
    house: &House,
    from: Option<u64>,
    is_backwards: bool,
    filter: &str,
    scope: &str,
) -> Option<u64> {
    let frontend = house.attach();
    let command = Command::Find {
        from: from.map(message_id),
        is_backwards,
        filter: filter.to_owned(),
        scope: scope.to_owned(),
        session: None,
    };
    match frontend.commands.ask(command).await.unwrap() {
        Reply::Found(found) => found.map(|id| id.get()),
        other => panic!("{other:?}"),
    }
}

fn streamed_call(progress: u64) -> Talk {
    let mut talk = Talk::default();
    talk.post(1);
    talk.asks(1, &call(1, "echo"));
    talk.respond(1, 200, Some(1));
    for step in 0..progress {
        talk.sends(1, 1, &format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":1,"progress":{step}}}}}"#));
    }
    talk.sends_block(1, 1, block(Some("message"), Some("e9"), None), &result(1));
    talk
}

#[tokio::test(start_paused = true)]
async fn a_detail_has_the_bytes_the_fields_the_exchange_and_the_call() {
    let house = House::new(streamed_call(2));
    let detail = inspect(&house, 4).await.unwrap();
    assert_eq!(detail.row.id.get(), 4);
    let body = detail.body.unwrap();
    assert_eq!(&body.bytes[..], result(1).as_bytes());
    assert_eq!(&body.wire[..], format!("data: {}\n\n", result(1)).as_bytes());
    assert_eq!(
        (body.is_cut, body.media_type.as_deref()),
        (false, Some("text/event-stream"))
    );
    let sse = detail.sse.unwrap();
    assert_eq!((sse.event.as_str(), sse.id.as_deref()), ("message", Some("e9")));
    let exchange = detail.exchange.unwrap();
    assert_eq!(
        (exchange.request.line.as_str(), exchange.response_end),
        ("POST /mcp HTTP/1.1", None)
    );
    let call: Vec<u64> = detail.call.iter().map(|row| row.id.get()).collect();
    assert_eq!((call, detail.call_cut), (vec![1, 2, 3, 4], 0));
    assert_eq!(
        detail.session.map(|session| session.id.to_string()),
        Some("R1".to_owned())
    );
    let request = inspect(&house, 1).await.unwrap();
    assert_eq!(
        (request.sse, request.body.unwrap().media_type.as_deref()),
        (None, Some("application/json"))
    );
    assert_eq!(request.call.len(), 4);
    assert!(inspect(&house, 5).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn of_a_long_call_the_ends_and_the_asked_row_are_given() {
    let house = House::new(streamed_call(500));
    let detail = inspect(&house, 250).await.unwrap();
    let call: Vec<u64> = detail.call.iter().map(|row| row.id.get()).collect();
    assert_eq!((call.len(), detail.call_cut), (200, 302));
    assert_eq!((call[0], call[99], call[100], call[199]), (1, 100, 250, 502));
    assert!(call.is_sorted());
    let first = inspect(&house, 1).await.unwrap();
    assert_eq!(first.call.last().map(|row| row.id.get()), Some(502));
}

#[tokio::test(start_paused = true)]
async fn rows_come_in_pages_and_say_what_was_missed() {
    let mut talk = Talk::default();
    (1..=5).for_each(|number| talk.round_trip(number, "echo"));
    let house = House::new(talk);
    assert_eq!(rows(&house, None, 4, "").await, (vec![1, 2, 3, 4], 0));
    assert_eq!(rows(&house, Some(8), 4, "").await, (vec![9, 10], 0));
    assert_eq!(rows(&house, Some(3), 2, "kind:request").await, (vec![5, 7], 0));
    assert_eq!(rows(&house, Some(10), 4, "").await, (vec![], 0));

    let limits = ResourceLimits {
        max_memory_per_session: 16 * 1024,
        ..ResourceLimits::default()
    };
    let mut talk = Talk::within(&limits);
    (1..=50).for_each(|number| talk.round_trip(number, "echo"));
    let evicted = talk.view().totals().rows_evicted;
    assert!(evicted > 20);
    let house = House::new(talk);
    assert_eq!(rows(&house, None, 1, "").await, (vec![evicted + 1], evicted));
    assert_eq!(
        rows(&house, Some(10), 1, "").await,
        (vec![evicted + 1], evicted - 10)
    );
    assert_eq!(rows(&house, Some(99), 1, "").await, (vec![100], 0));
}

#[tokio::test(start_paused = true)]
async fn find_goes_both_ways_within_what_is_shown() {
    let mut talk = Talk::default();
    (1..=5).for_each(|number| talk.round_trip(number, if number == 3 { "other" } else { "echo" }));
    let house = House::new(talk);
    assert_eq!(find(&house, None, false, "tool:other", "").await, Some(5));
    assert_eq!(find(&house, Some(5), false, "tool:other", "").await, Some(6));
    assert_eq!(
        find(&house, Some(5), false, "tool:other", "kind:request").await,
        None
    );
    assert_eq!(find(&house, None, true, "kind:request", "").await, Some(9));
    assert_eq!(
        find(&house, Some(9), true, "kind:request", "tool:other").await,
        Some(5)
    );
    let frontend = house.attach();
    let command = Command::Find {
        from: None,
        is_backwards: false,
        filter: "kind:".to_owned(),
        scope: String::new(),
        session: None,
    };
    let Reply::Refused { message } = frontend.commands.ask(command).await.unwrap() else {
        panic!()
    };
    assert!(
        message.starts_with("the filter cannot be read at column 1: "),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn recording_is_left_to_the_recorder() {
    let mut house = House::new(Talk::default());
    let mut frontend = house.attach();
    next(&mut frontend).await;
    let asked = frontend.commands.ask(Command::StartRecording { path: None });
    let answers = async {
        let (command, reply) = house.recorder.recv().await.unwrap();
        assert_eq!(command, Command::StartRecording { path: None });
        reply.send(Reply::Recording(RecorderState::Off)).unwrap();
    };
    let (reply, ()) = tokio::join!(asked, answers);
    assert_eq!(reply, Ok(Reply::Recording(RecorderState::Off)));
    house.recorder.close();
    let refused = frontend.commands.ask(Command::StopRecording).await.unwrap();
    assert!(matches!(refused, Reply::Refused { message } if message.contains("recorder")));
}
