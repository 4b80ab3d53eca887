use std::io;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures_util::poll;
use tokio::sync::oneshot;

use super::support::{body, frames, load, observe, opened, request};
use crate::clock::Clock;
use crate::limits::ResourceLimits;
use crate::recording::behind::Settle;
use crate::recording::disk::{DiskMeter, DiskUse};
use crate::recording::encode::Encoder;
use crate::recording::file::{LineFile, Storage};
use crate::recording::open::{Beginning, OpenRecording};
use crate::recording::{
    NotRecordingError, Recorder, RecorderTap, Redaction, Rotation, StartRecordingError, recorder,
};
use crate::session::observation::{Event, Observation};
use crate::snapshot::{Direction, RecorderState};
use crate::tasks::Tasks;

const UP: Direction = Direction::ClientToServer;

fn limits(items: usize) -> ResourceLimits {
    ResourceLimits {
        recording_queue: items,
        ..ResourceLimits::default()
    }
}

fn start_recorder(items: usize) -> (Recorder, RecorderTap, Tasks) {
    let tasks = Tasks::new(100);
    let (recorder, tap) = recorder(&limits(items), Redaction::Off, Clock::start(), &tasks);
    (recorder, tap, tasks)
}

fn message(number: u64) -> Observation {
    observe(number, body(number, UP, &format!("{{\"number\":{number}}}")))
}

fn nothing() -> std::future::Ready<Vec<Observation>> {
    std::future::ready(Vec::new())
}

#[tokio::test]
async fn what_passes_while_a_recording_is_on_is_in_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.jsonl");
    let (recorder, tap, _tasks) = start_recorder(100);
    tap.record(message(1)).await;
    let preamble = async {
        vec![
            observe(0, opened()),
            observe(0, request(2, "GET / HTTP/1.1\r\n\r\n")),
        ]
    };
    assert_eq!(recorder.start(Some(path.clone()), preamble).await.unwrap(), path);
    assert!(tap.is_on());
    tap.record(observe(1, request(2, "GET / HTTP/1.1\r\n\r\n"))).await;
    tap.record(message(2)).await;
    tap.record_beyond(message(3));
    let finished = recorder.stop().await.unwrap();
    tap.record(message(4)).await;
    assert_eq!(recorder.state(), RecorderState::Off);

    let file = std::fs::read(&path).unwrap();
    assert_eq!(
        (finished.bytes, finished.lines, finished.lost),
        (file.len() as u64, 6, 0)
    );
    let (loaded, damage) = load(&file);
    assert_eq!(damage, Vec::<String>::new());
    let bodies: Vec<_> = frames(&loaded).iter().map(|frame| frame.wire.clone()).collect();
    assert_eq!(bodies, ["{\"number\":2}", "{\"number\":3}"]);
    assert_eq!(loaded.len(), 4, "the request of the preamble is written once");
}

#[tokio::test]
async fn a_recording_can_be_started_again_and_not_twice() {
    let directory = tempfile::tempdir().unwrap();
    let (recorder, _tap, _tasks) = start_recorder(100);
    let path = |name: &str| Some(directory.path().join(name));
    assert_eq!(recorder.stop().await, Err(NotRecordingError));
    recorder.start(path("a"), nothing()).await.unwrap();
    let twice = recorder.start(path("b"), nothing()).await.unwrap_err();
    assert!(matches!(twice, StartRecordingError::AlreadyOn { .. }), "{twice}");
    recorder.stop().await.unwrap();
    let exists = recorder.start(path("a"), nothing()).await.unwrap_err();
    assert!(matches!(exists, StartRecordingError::Exists { .. }), "{exists}");
    recorder.start(path("b"), nothing()).await.unwrap();
    assert!(matches!(recorder.state(), RecorderState::On { .. }));
    recorder.shut_down().await;
    assert!(
        std::fs::read_to_string(directory.path().join("b"))
            .unwrap()
            .contains("\"type\":\"end\"")
    );
    let ended = recorder.start(path("c"), nothing()).await.unwrap_err();
    assert!(matches!(ended, StartRecordingError::Ended), "{ended}");
}

#[tokio::test]
async fn lines_are_in_the_file_while_the_recording_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.jsonl");
    let (recorder, tap, _tasks) = start_recorder(100);
    recorder.start(Some(path.clone()), nothing()).await.unwrap();
    tap.record(message(1)).await;
    let is_written = async {
        while frames(&load(&std::fs::read(&path).unwrap()).0).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), is_written)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn traffic_waits_for_the_disk_for_recording_wait_and_then_the_file_counts_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.jsonl");
    let (recorder, tap, _tasks) = start_recorder(16);
    // The writer waits for the preamble, as it would for a disk.
    let (release, preamble) = oneshot::channel::<Vec<Observation>>();
    let starting = recorder.start(Some(path.clone()), async { preamble.await.unwrap() });
    tokio::pin!(starting);
    while !tap.is_on() {
        assert!(poll!(&mut starting).is_pending());
        tokio::task::yield_now().await;
    }
    for number in 1..=16 {
        tap.record(message(number)).await;
    }
    let begun = tokio::time::Instant::now();
    {
        let first = tap.record(message(17));
        let second = tap.record(message(18));
        tokio::pin!(first, second);
        assert!(poll!(&mut first).is_pending());
        tokio::time::advance(Duration::from_millis(600)).await;
        assert!(poll!(&mut second).is_pending());
        assert!(poll!(&mut first).is_pending());
        first.await;
        second.await;
    }
    assert_eq!(begun.elapsed().as_millis(), 1000, "one wait for all of them");
    for number in 19..=30 {
        tap.record(message(number)).await;
    }
    assert_eq!(begun.elapsed().as_millis(), 1000, "no second wait");
    tap.record_beyond(message(31));

    release.send(Vec::new()).unwrap();
    starting.await.unwrap();
    while !matches!(recorder.state(), RecorderState::On { lost: 14, .. }) {
        tokio::time::advance(Duration::from_millis(20)).await;
    }
    tap.record(message(32)).await;
    let finished = recorder.stop().await.unwrap();
    assert_eq!(finished.lost, 14);
    let file = std::fs::read(&path).unwrap();
    let (loaded, damage) = load(&file);
    let numbers: Vec<u64> = frames(&loaded).iter().map(|frame| frame.exchange.get()).collect();
    assert_eq!(numbers, [(1..=16).collect(), vec![31, 32]].concat());
    assert_eq!(
        damage,
        ["line 19: 14 records are missing, as the recorder did not keep up"]
    );
    let gap: serde_json::Value =
        serde_json::from_slice(file.split(|byte| *byte == b'\n').nth(18).unwrap()).unwrap();
    let us = |name: &str| gap[name].as_i64().unwrap();
    assert_eq!(us("to") - us("from"), 30 - 17);
}

#[tokio::test(start_paused = true)]
async fn ends_go_beyond_a_full_queue_but_not_without_bound() {
    let directory = tempfile::tempdir().unwrap();
    let (recorder, tap, _tasks) = start_recorder(16);
    let (_hold, preamble) = oneshot::channel::<Vec<Observation>>();
    let starting = recorder.start(Some(directory.path().join("a")), async {
        preamble.await.unwrap()
    });
    tokio::pin!(starting);
    while !tap.is_on() {
        assert!(poll!(&mut starting).is_pending());
        tokio::task::yield_now().await;
    }
    for number in 1..=100 {
        tap.record_beyond(message(number));
    }
    assert_eq!(recorder.usage().items, 32);
}

#[tokio::test]
async fn nothing_is_kept_while_nothing_is_recorded() {
    let (recorder, tap, _tasks) = start_recorder(16);
    for number in 1..=100 {
        let mut slot = Some(message(number));
        let ready = std::future::poll_fn(|cx| Poll::Ready(tap.poll_record(cx, &mut slot))).await;
        assert!(ready.is_ready() && slot.is_none());
        tap.record_beyond(message(number));
    }
    assert_eq!(recorder.usage().items, 0);
}

#[tokio::test]
async fn a_path_that_cannot_be_created_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "").unwrap();
    let (recorder, tap, _tasks) = start_recorder(16);
    let path = directory.path().join("file/a.jsonl");
    let error = recorder.start(Some(path.clone()), nothing()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "could not create {}; check that its directory is writable, or choose another path",
            path.display()
        )
    );
    assert!(!tap.is_on());
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn a_file_that_is_removed_under_way_is_noticed_and_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.jsonl");
    let (recorder, tap, _tasks) = start_recorder(100);
    recorder.start(Some(path.clone()), nothing()).await.unwrap();
    tap.record(message(1)).await;
    while !matches!(recorder.state(), RecorderState::On { lines: 2.., .. }) {
        tokio::time::advance(Duration::from_millis(20)).await;
    }
    std::fs::remove_file(&path).unwrap();
    tap.record(message(2)).await;
    let cause = loop {
        if let RecorderState::Failed { cause, .. } = recorder.state() {
            break cause;
        }
        tokio::time::advance(Duration::from_millis(20)).await;
    };
    assert_eq!(
        cause,
        "its file was removed; 1 records are lost so far; stop the recording and start another"
    );
    let finished = recorder.stop().await.unwrap();
    assert_eq!(finished.failure.as_deref(), Some("its file was removed"));
    assert!(!path.exists());
}

/// A disk with room for so many bytes.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<DiskState>>);

#[derive(Debug, Default)]
struct DiskState {
    file: Vec<u8>,
    room: usize,
    cannot_cut: bool,
}

impl Storage for Disk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.0.lock().unwrap();
        let fits = bytes.len().min(disk.room);
        if fits == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.room -= fits;
        disk.file.extend_from_slice(&bytes[..fits]);
        Ok(fits)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        if disk.cannot_cut {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        disk.file.truncate(usize::try_from(length).unwrap());
        Ok(())
    }

    fn settler(&self) -> Option<Arc<dyn Settle>> {
        None
    }
}

fn begin(disk: &Disk, clock: Clock) -> OpenRecording {
    disk.0.lock().unwrap().room = 400;
    let file = LineFile::new(Box::new(disk.clone()));
    let encoder = Encoder::new(clock.now(), None, 10);
    let beginning = Beginning {
        path: "full.jsonl".into(),
        file,
        encoder,
        clock,
        is_redacted: false,
        rotation: Rotation::default(),
        disk: DiskUse::new(1 << 40, DiskMeter::default()),
    };
    OpenRecording::begin(beginning).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_costs_records_and_never_a_readable_file() {
    for cannot_cut in [false, true] {
        let disk = Disk::default();
        let clock = Clock::start();
        let mut recording = begin(&disk, clock);
        disk.0.lock().unwrap().cannot_cut = cannot_cut;
        recording.write((1..=3).map(message).collect(), None);
        let RecorderState::Failed { cause, .. } = recording.state() else {
            panic!("{:?}", recording.state());
        };
        assert!(cause.contains("2 records are lost so far"), "{cause}");

        // Room alone does not help before the second is over.
        disk.0.lock().unwrap().room = 1 << 20;
        recording.write(vec![message(4)], None);
        tokio::time::advance(Duration::from_secs(1)).await;
        recording.write(vec![message(5)], None);
        assert!(matches!(recording.state(), RecorderState::On { lost: 3, .. }));
        let (finished, _, _) = recording.finish();
        assert_eq!((finished.lost, finished.untold, finished.failure), (3, 0, None));

        let file = disk.0.lock().unwrap().file.clone();
        let (loaded, damage) = load(&file);
        let numbers: Vec<u64> = frames(&loaded).iter().map(|frame| frame.exchange.get()).collect();
        assert_eq!(numbers, [1, 5]);
        let gap = damage.last().unwrap();
        assert!(
            gap.contains("3 records are missing, as could not write: "),
            "{damage:?}"
        );
        assert_eq!(damage.len(), if cannot_cut { 2 } else { 1 }, "{damage:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_stays_full_leaves_the_lines_that_fitted() {
    let disk = Disk::default();
    let mut recording = begin(&disk, Clock::start());
    recording.write((1..=9).map(message).collect(), None);
    let (finished, _, _) = recording.finish();
    assert_eq!((finished.lost, finished.untold), (8, 8));
    assert!(finished.failure.is_some());
    let file = disk.0.lock().unwrap().file.clone();
    assert_eq!(finished.bytes, file.len() as u64);
    assert!(file.ends_with(b"\n"));
    assert_eq!(load(&file).0.len(), 1);
}

#[test]
fn events_stay_readable_for_other_tools() {
    let line = super::support::encode(
        &[observe(
            5,
            Event::SessionEnded {
                session: super::support::session(),
                reason: "the client deleted it",
            },
        )],
        None,
    );
    let text = String::from_utf8(line).unwrap();
    assert_eq!(
        text.lines().nth(1).unwrap(),
        r#"{"type":"session_end","seq":1,"us":5,"session":"R1","reason":"the client deleted it"}"#
    );
}

#[tokio::test(start_paused = true)]
async fn a_large_record_waits_no_longer_because_small_ones_still_fit() {
    let directory = tempfile::tempdir().unwrap();
    let tasks = Tasks::new(100);
    let limits = ResourceLimits {
        recording_queue_bytes: 1 << 16,
        ..ResourceLimits::default()
    };
    let (recorder, tap) = recorder(&limits, Redaction::Off, Clock::start(), &tasks);
    let (_hold, preamble) = oneshot::channel::<Vec<Observation>>();
    let starting = recorder.start(Some(directory.path().join("a")), async {
        preamble.await.unwrap()
    });
    tokio::pin!(starting);
    while !tap.is_on() {
        assert!(poll!(&mut starting).is_pending());
        tokio::task::yield_now().await;
    }
    let large = |number: u64| observe(number, body(number, UP, &"x".repeat(40_000)));
    tap.record(large(1)).await;
    let waiting = tap.record(large(2));
    tokio::pin!(waiting);
    assert!(poll!(&mut waiting).is_pending());
    tokio::time::advance(Duration::from_millis(900)).await;
    tap.record(message(3)).await;
    let begun = tokio::time::Instant::now();
    waiting.await;
    assert_eq!(begun.elapsed().as_millis(), 100);
}
