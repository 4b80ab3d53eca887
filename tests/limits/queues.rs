//! The queues behind the traffic: full, they make it wait, and nothing is lost; only a disk that stands still costs records.

use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use shadowcat::config::{Config, RecordConfig};
use shadowcat::engine::EngineHandle;
use shadowcat::snapshot::RecorderState;
use tokio::sync::oneshot;

use crate::support::stage::*;
use crate::support::*;

/// A stream of events that come all at once.
fn burst(events: usize, size: usize) -> String {
    let text = "x".repeat(size);
    let event = |number: usize| {
        format!(
            "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{{\"number\":{number},\"data\":\"{text}\"}}}}\n\n"
        )
    };
    (0..events).map(event).collect::<Vec<_>>().concat()
}

/// Sends `stream` through; it has to arrive as it was sent.
async fn pass(stage: &Stage, stream: &str) {
    arrival(stage, stream).await.await;
}

/// Begins to send `stream` through; what is returned ends when it has arrived as it was sent.
async fn arrival(stage: &Stage, stream: &str) -> impl Future<Output = ()> + use<> {
    let (mut client, mut upstream) = stage.begin(&stage.request("GET", "s", "")).await;
    upstream.send(EVENTS).await;
    client.read_head().await;
    let sent = stream.to_owned();
    let expected = stream.to_owned();
    spawn(async move { upstream.send(sent).await });
    async move {
        assert!(
            client.read_chunked(expected.len()).await == expected.as_bytes(),
            "the bytes differ"
        );
    }
}

async fn all_is_seen_and_it_had_to_wait(stage: &mut Stage, limit: &str, events: u64) {
    snapshot_when(&mut stage.frontend, "all events, and the waiting", |snapshot| {
        snapshot.totals.messages == events && gauge(snapshot, limit, "").reached > 0
    })
    .await;
}

/// Occupies all threads of the engine's runtime but one until what is returned is dropped. With one thread, what a task
/// hands to another is taken only when the first one waits: a consumer that is behind, however fast the machine.
async fn leave_one_thread(engine: &EngineHandle) -> Vec<SyncSender<()>> {
    let runtime = engine.runtime().unwrap();
    let mut occupied = Vec::new();
    for _ in 1..runtime.metrics().num_workers() {
        let (release, released) = sync_channel::<()>(1);
        let (tell, standing) = oneshot::channel();
        runtime.spawn(async move {
            tell.send(()).unwrap();
            // Dropping the other end is the release.
            let _ = released.recv();
        });
        standing.await.unwrap();
        occupied.push(release);
    }
    occupied
}

/// Lets many small messages through while the ledger is behind, with one limit of its queue set low.
async fn observe_a_burst(set: impl FnOnce(&mut Config), limit: &str) {
    let mut stage = stage(set).await;
    let occupied = leave_one_thread(&stage.engine).await;
    let smallest = "data: {\"jsonrpc\":\"2.0\",\"method\":\"n\"}\n\n";
    pass(&stage, &smallest.repeat(3000)).await;
    drop(occupied);
    all_is_seen_and_it_had_to_wait(&mut stage, limit, 3000).await;
}

#[tokio::test]
pub(super) async fn a_full_observation_queue_makes_traffic_wait_and_loses_nothing() {
    observe_a_burst(|config| config.limits.observation_queue = 16, "observation_queue").await;
}

#[tokio::test]
pub(super) async fn observations_too_heavy_for_their_queue_make_traffic_wait_and_lose_nothing() {
    let set = |config: &mut Config| config.limits.observation_queue_bytes = 64 << 10;
    observe_a_burst(set, "observation_queue_bytes").await;
}

fn recording_to(path: &Path, config: &mut Config) {
    config.record = Some(RecordConfig {
        path: Some(path.to_owned()),
    });
    config.limits.recording_wait = PATIENCE;
}

/// Lines of a kind in a recording.
fn lines(path: &Path, kind: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|line| line["type"] == kind).collect()
}

/// Records a burst while the disk stands still, then waits for it as long as it takes, with one limit of the queue set low.
async fn record_a_burst(set: impl FnOnce(&mut Config), limit: &str, events: usize, size: usize) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("burst.jsonl");
    let mut stage = stage(|config| {
        recording_to(&path, config);
        set(config);
    })
    .await;
    let standstill = stop_the_disk(&stage.engine);
    let arrival = arrival(&stage, &burst(events, size)).await;
    snapshot_when(&mut stage.frontend, "the waiting", |snapshot| {
        gauge(snapshot, limit, "").reached > 0
    })
    .await;
    drop(standstill);
    arrival.await;
    snapshot_when(&mut stage.frontend, "all events", |snapshot| {
        snapshot.totals.messages == events as u64
    })
    .await;
    let report = stage.engine.shut_down();
    assert_eq!(report.lost, 0);
    let stream = lines(&path, "frame");
    assert_eq!(stream.len(), events);
    assert!(lines(&path, "gap").is_empty());
}

#[tokio::test]
pub(super) async fn a_full_recording_queue_makes_traffic_wait_and_loses_nothing() {
    record_a_burst(
        |config| config.limits.recording_queue = 16,
        "recording_queue",
        2000,
        10,
    )
    .await;
}

#[tokio::test]
pub(super) async fn records_too_heavy_for_their_queue_make_traffic_wait_and_lose_nothing() {
    let set = |config: &mut Config| config.limits.recording_queue_bytes = 64 << 10;
    record_a_burst(set, "recording_queue_bytes", 200, 20_000).await;
}

#[tokio::test]
pub(super) async fn the_recordings_of_a_run_take_no_more_than_max_disk_and_end_with_the_latest() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("long.jsonl");
    let mut stage = stage(|config| {
        recording_to(&path, config);
        config.limits.max_disk = 1 << 20;
    })
    .await;
    pass(&stage, &burst(200, 20_000)).await;
    let snapshot = snapshot_when(&mut stage.frontend, "all events, and the removing", |snapshot| {
        snapshot.totals.messages == 200 && gauge(snapshot, "max_disk", "").reached > 10
    })
    .await;
    let disk = gauge(&snapshot, "max_disk", "");
    assert!(disk.peak <= 1 << 20 && disk.used > 1 << 19, "{disk:?}");
    let report = stage.engine.shut_down();
    assert_eq!(report.lost, 0);
    let last = report.recording.unwrap();
    assert!(!path.exists() && last.exists(), "{}", last.display());
    let seen = lines(&last, "frame");
    assert!(
        seen.last().unwrap()["text"]
            .as_str()
            .unwrap()
            .contains("\"number\":199,")
    );
    let files = std::fs::read_dir(directory.path()).unwrap();
    let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes <= 1 << 20, "{bytes}");
}

/// Threads that a runtime has for work on files.
const FILE_THREADS: usize = 512;

/// Lets nobody work on files until what is returned is dropped: a disk that stands still.
fn stop_the_disk(engine: &EngineHandle) -> Vec<oneshot::Sender<()>> {
    let runtime = engine.runtime().unwrap();
    let occupy = |_| {
        let (release, released) = oneshot::channel();
        runtime.spawn_blocking(move || {
            // Dropping the other end is the release.
            let _ = released.blocking_recv();
        });
        release
    };
    (0..FILE_THREADS).map(occupy).collect()
}

#[tokio::test]
pub(super) async fn a_disk_slower_than_recording_wait_costs_counted_records_and_no_traffic() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gap.jsonl");
    let mut stage = stage(|config| {
        recording_to(&path, config);
        config.limits.recording_queue = 16;
        config.limits.recording_wait = Duration::from_millis(100);
    })
    .await;
    let standstill = stop_the_disk(&stage.engine);
    pass(&stage, &burst(200, 10)).await;
    let snapshot = snapshot_when(
        &mut stage.frontend,
        "all events, and the end of the waiting",
        |snapshot| snapshot.totals.messages == 200 && gauge(snapshot, "recording_wait", "").reached == 1,
    )
    .await;
    let wait = gauge(&snapshot, "recording_wait", "");
    assert_eq!(
        (wait.used, wait.limit),
        (100, 100),
        "nobody waits longer than that"
    );
    drop(standstill);
    snapshot_when(&mut stage.frontend, "the loss on the screen", |snapshot| {
        matches!(snapshot.recorder, RecorderState::On { lost: 1.., .. })
    })
    .await;
    let report = stage.engine.shut_down();
    let counted: u64 = lines(&path, "gap")
        .iter()
        .map(|gap| gap["lost"].as_u64().unwrap())
        .sum();
    assert!(counted > 0, "{report}");
    assert_eq!(counted, report.lost, "what the recording lacks is counted in it");
}
