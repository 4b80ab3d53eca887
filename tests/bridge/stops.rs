//! Ends and bounds.

use std::time::Duration;

use serde_json::json;
use shadowcat::config::Config;
use shadowcat::engine::Engine;

use crate::peer::*;
use crate::support::*;

fn pid_of(answer: &Answer) -> u32 {
    answer.json()["result"]["serverInfo"]["version"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn the_end_of_the_proxy_leaves_no_program_behind() {
    let engine = bridge(scripted("stubborn"), |config| {
        config.limits.drain_timeout = Duration::from_secs(2);
    });
    let client = Client::new(&engine);
    let answer = client.post(&initialize("2025-06-18")).await;
    let in_session = Client {
        session: answer.field("mcp-session-id").map(str::to_owned),
        ..client
    };
    let mut stream = in_session.listen("").await;
    let mut asleep = in_session
        .begin("POST", &format!("Accept: {BOTH}\r\n"), &call("1", "sleep", "{}"))
        .await;
    asleep.read_head().await;
    let report = engine.shut_down();
    assert_eq!(report.cut, [], "everything ended in time");
    until_gone(pid_of(&answer)).await;
    let (_, is_clean) = stream.read_to_end().await;
    assert!(is_clean);
    let (_, error) = next_event(&mut asleep).await;
    assert_eq!(
        (&error["id"], &error["error"]["code"]),
        (&json!(1), &json!(-33001))
    );
}

#[tokio::test]
async fn one_program_too_many_is_a_503_that_names_the_limit() {
    let engine = bridge(scripted(""), |config| config.limits.max_children = 1);
    let client = Client::in_session(&engine, "2025-06-18").await;
    let answer = Client::new(&engine).post(&initialize("2025-06-18")).await;
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert!(answer.body.contains("max_children (1)"), "{answer:#?}");
    assert_eq!(answer.json()["id"], 0);
    let mut frontend = engine.frontend().unwrap();
    snapshot_when(&mut frontend, "the limit's gauge", |snapshot| {
        let gauge = gauge(snapshot, "max_children", "");
        (gauge.used, gauge.limit) == (1, 1) && gauge.reached > 0
    })
    .await;
    client.delete().await;
    snapshot_when(&mut frontend, "room", |snapshot| {
        gauge(snapshot, "max_children", "").used == 0
    })
    .await;
    Client::in_session(&engine, "2025-06-18").await;
}

#[tokio::test]
async fn of_more_messages_than_replay_buffer_the_oldest_cannot_be_resumed() {
    let engine = bridge(scripted(""), |config| config.limits.replay_buffer = 16);
    let client = Client::in_session(&engine, "2025-06-18").await;
    let mut stream = client.listen("").await;
    let mut ids = Vec::new();
    for round in 0..6 {
        client
            .post(&call(&round.to_string(), "flood", r#"{"count":5}"#))
            .await;
        for _ in 0..5 {
            ids.push(next_event(&mut stream).await.0.unwrap());
        }
    }
    let resume = |id: &str| format!("Accept: text/event-stream\r\nLast-Event-ID: {id}\r\n");
    let too_old = client.exchange("GET", &resume(&ids[0]), "").await;
    assert_eq!(too_old.status, 400);
    assert!(too_old.body.contains("replay_buffer"), "{too_old:#?}");
    let mut rest = client.listen(&format!("Last-Event-ID: {}\r\n", ids[25])).await;
    for expected in &ids[26..] {
        assert_eq!(next_event(&mut rest).await.0.as_ref(), Some(expected));
    }
    let mut frontend = engine.frontend().unwrap();
    let snapshot = snapshot_when(&mut frontend, "the gauge", |snapshot| {
        gauge(snapshot, "replay_buffer", "largest").used > 0
    })
    .await;
    assert_eq!(gauge(&snapshot, "replay_buffer", "largest").used, 16);
}

#[tokio::test]
async fn a_program_waits_for_a_slow_reader_at_replay_buffer_bytes_and_nothing_is_lost() {
    let engine = bridge(scripted(""), |config| {
        config.limits.replay_buffer_bytes = 64 * 1024;
    });
    let client = Client::in_session(&engine, "2025-06-18").await;
    let mut stream = RawPeer::connect(address(&engine)).await;
    stream
        .send(client.request("GET", "Accept: text/event-stream\r\n", ""))
        .await;
    stream.read_head().await;
    let flood = call("1", "flood", r#"{"count":400,"bytes":20000}"#);
    let mut caller = client.begin("POST", &format!("Accept: {BOTH}\r\n"), &flood).await;
    let mut frontend = engine.frontend().unwrap();
    snapshot_when(&mut frontend, "a full buffer", |snapshot| {
        gauge(snapshot, "replay_buffer_bytes", "largest").reached > 0
    })
    .await;
    for number in 0..400 {
        let event = String::from_utf8(stream.read_through(b"\n\n").await).unwrap();
        assert!(
            event.contains(&format!("\"data\":\"{number} xxx")),
            "{number}: {event}"
        );
    }
    let (answer, _) = caller.read_to_end().await;
    assert!(String::from_utf8(answer).unwrap().contains("\"id\":1"));
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_its_stream_and_others_go_on() {
    let engine = bridge(scripted(""), |config| config.limits.replay_buffer = 16);
    let client = Client::in_session(&engine, "2025-06-18").await;
    let mut stream = RawPeer::connect(address(&engine)).await;
    stream
        .send(client.request("GET", "Accept: text/event-stream\r\n", ""))
        .await;
    stream.read_head().await;
    let answer = client
        .post(&call("1", "flood", r#"{"count":2000,"bytes":10000}"#))
        .await;
    assert_eq!(answer.status, 200);
    let (rest, is_clean) = stream.read_to_end().await;
    assert!(
        !is_clean || !rest.ends_with(b"0\r\n\r\n"),
        "a stream that lacks something has no orderly end"
    );
}

#[tokio::test]
async fn a_body_above_max_message_bytes_is_a_413_and_an_answer_above_it_an_error() {
    let engine = bridge(scripted(""), |config| config.limits.max_message_bytes = 20_000);
    let client = Client::in_session(&engine, "2025-06-18").await;
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(30_000));
    let answer = client.post(&call("1", "echo", &large)).await;
    assert_eq!(answer.status, 413);
    assert!(answer.body.contains("max_message_bytes"), "{answer:#?}");
    let answer = client.post(&call("2", "large", r#"{"bytes":50000}"#)).await;
    assert_eq!((answer.status, &answer.json()["id"]), (502, &json!(2)));
    assert!(answer.body.contains("max_message_bytes"), "{answer:#?}");
    assert_eq!(client.post(&call("3", "echo", "{}")).await.status, 200);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told_at_the_start() {
    let failed = Engine::start(Config {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        commands: vec![command("no-such-program-anywhere", &[])],
        ..Config::default()
    });
    let error = failed.unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(
        error.to_string().contains("`no-such-program-anywhere` in PATH"),
        "{error}"
    );
}

#[tokio::test]
async fn a_command_has_its_row_among_the_servers() {
    let engine = bridge(scripted(""), |_| {});
    let mut frontend = engine.frontend().unwrap();
    Client::in_session(&engine, "2025-06-18").await;
    let own = address(&engine);
    snapshot_when(&mut frontend, "the server's row", |snapshot| {
        match &snapshot.source {
            shadowcat::snapshot::Source::Live { upstreams, .. } => upstreams.iter().any(|row| {
                row.client_url == format!("http://{own}/mcp")
                    && row.is_healthy == Some(true)
                    && row.exchanges == 2
            }),
            shadowcat::snapshot::Source::File { .. } => false,
        }
    })
    .await;
}
