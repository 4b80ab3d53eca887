//! A recording shows what the live engine showed, keeps no secret, and survives whatever happens to its writer.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

mod stage;
#[path = "../support/mod.rs"]
mod support;

use stage::*;
use support::*;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use shadowcat::config::{Config, RecordConfig};
use shadowcat::engine::{Engine, EngineHandle, StartError};
use shadowcat::frontend::Frontend;
use shadowcat::ids::{CallId, MessageId};
use shadowcat::limits::ResourceLimits;
use shadowcat::recording::StartRecordingError;
use shadowcat::resource::log_ring::LogRing;
use shadowcat::snapshot::{
    Command, ExchangeDetail, MessageDetail, MessageRow, Outcome, RecorderState, Reply, RowKind, RowState,
    Source, UpstreamRow,
};

async fn inspect(frontend: &Frontend, id: MessageId) -> MessageDetail {
    match soon("a detail", frontend.commands.ask(Command::Inspect { id }))
        .await
        .unwrap()
    {
        Reply::Detail(detail) => *detail,
        other => panic!("{other:?}"),
    }
}

async fn details(frontend: &Frontend) -> Vec<MessageDetail> {
    let mut details = Vec::new();
    for row in rows(frontend).await {
        details.push(inspect(frontend, row.id).await);
    }
    details
}

/// Calls are numbered anew when a recording is opened: what counts is which rows share one.
fn normalized(details: &[MessageDetail]) -> Vec<MessageRow> {
    let mut numbers: HashMap<CallId, u64> = HashMap::new();
    let rows = details.iter().map(|detail| {
        let next = numbers.len() as u64 + 1;
        let call = detail.row.call.map(|call| *numbers.entry(call).or_insert(next));
        MessageRow {
            call: call.and_then(CallId::new),
            ..detail.row.clone()
        }
    });
    rows.collect()
}

struct Opened {
    engine: EngineHandle,
    frontend: Frontend,
    damage: Vec<String>,
    upstreams: Vec<UpstreamRow>,
}

async fn open(path: &Path) -> Opened {
    let engine = Engine::open(path, &ResourceLimits::default(), LogRing::default()).unwrap();
    let mut frontend = engine.frontend().unwrap();
    let is_read = |source: &Source| match source {
        Source::File {
            read_bytes,
            total_bytes,
            ..
        } => read_bytes == total_bytes,
        Source::Live { .. } => false,
    };
    let snapshot = snapshot_when(&mut frontend, "the whole file", |snapshot| {
        is_read(&snapshot.source)
    })
    .await;
    let Source::File {
        damage, upstreams, ..
    } = snapshot.source
    else {
        panic!("a file is shown as live");
    };
    Opened {
        engine,
        frontend,
        damage,
        upstreams,
    }
}

fn assert_same_rows(opened: &[MessageDetail], live: &[MessageDetail]) {
    let (opened, live) = (normalized(opened), normalized(live));
    for (opened, live) in opened.iter().zip(&live) {
        assert_eq!(opened, live);
    }
    assert_eq!(opened.len(), live.len());
}

/// A recording has its times in microseconds.
fn in_microseconds(detail: &MessageDetail) -> ExchangeDetail {
    let mut exchange = detail.exchange.clone().unwrap();
    let micros = |time: Duration| Duration::from_micros(time.as_micros().try_into().unwrap());
    exchange.timing.connect = exchange.timing.connect.map(micros);
    exchange
}

fn body_of(detail: &MessageDetail) -> &[u8] {
    detail.body.as_ref().map_or(&[], |body| &body.bytes)
}

#[tokio::test]
async fn an_opened_recording_shows_the_rows_and_the_bytes_of_the_live_engine() {
    let mut stage = recording_stage(true).await;
    stage.whole_script().await;
    let live = stage.settled().await;
    let report = stage.engine.shut_down();
    assert_eq!(report.recording.as_deref(), Some(&*stage.path));
    assert_eq!(report.lost, 0);
    let opened = open(&stage.path).await;
    assert_eq!(opened.damage, Vec::<String>::new());
    let [server] = &opened.upstreams[..] else {
        panic!("{:?}", opened.upstreams);
    };
    assert_eq!(server.name, live[0].row.server);
    assert!(server.calls > 0 && server.exchanges >= server.calls, "{server:?}");
    let loaded = details(&opened.frontend).await;
    assert_same_rows(&loaded, &live);
    let mut whole = 0;
    for (loaded, live) in loaded.iter().zip(&live) {
        let is_big = live.row.size > BIG as u64;
        assert_eq!(live.body.as_ref().is_some_and(|body| body.is_cut), is_big);
        if is_big {
            assert_eq!(body_of(loaded), big_answer(3).as_bytes());
            whole += 1;
        } else {
            assert_eq!(loaded.body, live.body, "{:#?}", live.row);
        }
        assert_eq!(loaded.sse, live.sse);
        assert_eq!(in_microseconds(loaded), in_microseconds(live));
    }
    assert_eq!(whole, 1, "the large body is in the recording as a whole");
}

#[tokio::test]
async fn no_secret_is_in_the_file_and_its_rows_are_still_the_same() {
    let mut stage = recording_stage(false).await;
    stage.whole_script().await;
    let live = stage.settled().await;
    drop(stage.engine);
    let text = std::fs::read_to_string(&stage.path).unwrap();
    for secret in [BEARER, SESSION, ACCESS, STATE] {
        let place = text.lines().find(|line| line.contains(secret));
        assert_eq!(place, None, "{secret}");
    }
    let opened = open(&stage.path).await;
    let loaded = details(&opened.frontend).await;
    let essence = |details: &[MessageDetail]| -> Vec<_> {
        normalized(details)
            .into_iter()
            .map(|row| {
                let MessageRow {
                    id,
                    session,
                    call,
                    kind,
                    method,
                    rpc_id,
                    state,
                    ..
                } = row;
                (id, session, call, kind, method, rpc_id, state)
            })
            .collect()
    };
    assert_eq!(essence(&loaded), essence(&live));
    let of_rounds = |method: &str| {
        let rows = loaded.iter().map(|detail| &detail.row);
        rows.filter(|row| row.kind == RowKind::Request && row.method.as_deref() == Some(method))
            .count()
    };
    assert_eq!(of_rounds("server/discover"), 1);
    for detail in &loaded {
        let text = String::from_utf8_lossy(body_of(detail)).into_owned();
        for secret in [BEARER, SESSION, ACCESS, STATE] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    let pressed = loaded
        .iter()
        .any(|detail| String::from_utf8_lossy(body_of(detail)).contains("pressed"));
    assert!(pressed, "what was compressed is readable");
    drop(opened.engine);
}

#[tokio::test]
async fn a_recording_begun_in_mid_traffic_explains_itself() {
    let mut stage = stage_with(|_, _| {}).await;
    stage.legacy_handshake().await;
    let fields = format!("Mcp-Session-Id: {SESSION}\r\nAccept: text/event-stream\r\n");
    let request = stage.request("GET", "/mcp", &fields, "");
    let (mut client, mut upstream) = begin(&stage.engine, &stage.server, &request).await;
    let log = |data: u32| {
        event(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":{data}}}}}"#
        ))
    };
    upstream.send(events(&[&log(1)])).await;
    client.read_through(b"\"data\":1}}\r\n\r\n").await;
    snapshot_when(&mut stage.frontend, "the first event", |snapshot| {
        snapshot
            .messages
            .rows
            .iter()
            .any(|row| row.kind == RowKind::Notification && row.stream.is_some())
    })
    .await;
    let start = Command::StartRecording {
        path: Some(stage.path.clone()),
    };
    let started = soon("the start", stage.frontend.commands.ask(start))
        .await
        .unwrap();
    assert!(
        matches!(started, Reply::Recording(RecorderState::On { .. })),
        "{started:?}"
    );
    upstream.send(log(2)).await;
    client.read_through(b"\"data\":2}}\r\n\r\n").await;
    let stopped = soon("the stop", stage.frontend.commands.ask(Command::StopRecording))
        .await
        .unwrap();
    assert_eq!(stopped, Reply::Recording(RecorderState::Off));
    let opened = open(&stage.path).await;
    assert_eq!(opened.damage, Vec::<String>::new());
    let loaded = details(&opened.frontend).await;
    let event = loaded
        .iter()
        .find(|detail| detail.row.kind == RowKind::Notification)
        .unwrap();
    assert!(String::from_utf8_lossy(body_of(event)).contains("\"data\":2"));
    let exchange = event.exchange.as_ref().unwrap();
    assert_eq!(exchange.request.line, "GET /mcp HTTP/1.1");
    assert_eq!(exchange.response.as_ref().unwrap().line, "HTTP/1.1 200 OK");
    let session = event.session.as_ref().unwrap();
    let live = rows(&stage.frontend).await;
    assert_eq!(Some(session.id), live[0].session);
}

#[tokio::test]
async fn a_file_cut_anywhere_opens_with_the_rows_up_to_there() {
    let mut stage = recording_stage(true).await;
    stage.legacy_handshake().await;
    stage.legacy_stream().await;
    stage.modern_session().await;
    let live = stage.settled().await;
    drop(stage.engine);
    let whole = std::fs::read(&stage.path).unwrap();
    let header = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let cut = stage.path.with_file_name("cut.jsonl");
    let mut last = 0;
    for step in 0..=24 {
        let end = header + (whole.len() - header) * step / 24;
        std::fs::write(&cut, &whole[..end]).unwrap();
        let opened = open(&cut).await;
        let loaded: Vec<MessageRow> = rows(&opened.frontend).await;
        assert!(
            loaded.len() >= last && loaded.len() <= live.len(),
            "{} rows after {end} bytes, {last} before",
            loaded.len()
        );
        last = loaded.len();
        for (loaded, live) in loaded.iter().zip(&live) {
            let essence =
                |row: &MessageRow| (row.id, row.kind, row.method.clone(), row.rpc_id.clone(), row.size);
            assert_eq!(essence(loaded), essence(&live.row));
        }
        assert_eq!(
            opened.damage.is_empty(),
            end == whole.len(),
            "{:?}",
            opened.damage
        );
    }
    assert_eq!(last, live.len());
}

#[tokio::test]
async fn a_recording_that_cannot_be_begun_stops_the_start_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let in_the_way = directory.path().join("a-file");
    std::fs::write(&in_the_way, "").unwrap();
    let start = |path: PathBuf| {
        let config = Config {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            record: Some(RecordConfig { path: Some(path) }),
            ..Config::default()
        };
        Engine::start(config).unwrap_err()
    };
    let below = in_the_way.join("session.jsonl");
    let error = start(below.clone());
    assert_eq!(error.exit_code(), 3);
    let StartError::Record(cause @ StartRecordingError::Create { .. }) = &error else {
        panic!("{error:?}");
    };
    let text = cause.to_string();
    assert!(
        text.contains(&below.display().to_string()) && text.contains("check that its directory is writable"),
        "{text}"
    );
    let StartError::Record(cause) = start(in_the_way.clone()) else {
        panic!("a file was overwritten");
    };
    assert!(cause.to_string().contains("exists already"), "{cause}");
    assert_eq!(std::fs::read(&in_the_way).unwrap(), b"");
}

#[tokio::test]
async fn one_recording_at_a_time() {
    let stage = recording_stage(false).await;
    let start = Command::StartRecording {
        path: Some(stage.path.with_file_name("second.jsonl")),
    };
    let reply = soon("a reply", stage.frontend.commands.ask(start)).await.unwrap();
    let Reply::Refused { message } = reply else {
        panic!("{reply:?}");
    };
    assert!(
        message.contains(&stage.path.display().to_string()) && message.contains("stop it first"),
        "{message}"
    );
    assert!(!stage.path.with_file_name("second.jsonl").exists());
    let stop = || stage.frontend.commands.ask(Command::StopRecording);
    let stopped = soon("the stop", stop()).await.unwrap();
    assert_eq!(stopped, Reply::Recording(RecorderState::Off));
    let again = soon("the second stop", stop()).await.unwrap();
    assert!(matches!(again, Reply::Refused { .. }), "{again:?}");
}

#[tokio::test]
async fn a_broken_off_stream_is_recorded_as_one() {
    let mut stage = recording_stage(false).await;
    let call = r#"{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"broken"}}"#;
    let broken = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n5\r\ndata:";
    stage.exchange(&stage.legacy(call), broken).await;
    let live = stage.settled().await;
    drop(stage.engine);
    let opened = open(&stage.path).await;
    let loaded = details(&opened.frontend).await;
    assert_same_rows(&loaded, &live);
    assert!(
        loaded.iter().any(|detail| matches!(
            detail.row.state,
            RowState::Answered {
                outcome: Outcome::UpstreamGone,
                ..
            }
        )),
        "{loaded:#?}"
    );
}
