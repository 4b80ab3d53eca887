//! A recording in several files, each of which opens by itself.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::support::{body, ended, event, frame, frames, load, observe, opened, part, request, response};
use crate::clock::Clock;
use crate::limits::ResourceLimits;
use crate::recording::scrub::scrub;
use crate::recording::verify::{ProblemKind, Verified, verify, verify_segment};
use crate::recording::{
    Extent, Loaded, Loader, Recorder, RecorderSettings, RecorderTap, RecordingFile, RecordingReader,
    RecordingSettings, RecordingText, RedactPatterns, Redaction, Rotation, Segments, read_body_in, recorder,
};
use crate::replay::tape::{Tape, TapeOptions};
use crate::session::observation::{Event, Observation, Placement};
use crate::snapshot::{Carrier, Direction, RecorderState};
use crate::tasks::Tasks;

const UP: Direction = Direction::ClientToServer;

fn start(rotation: Rotation, max_disk: u64, clock: Clock) -> (Recorder, RecorderTap, Tasks) {
    let tasks = Tasks::new(100);
    let limits = ResourceLimits {
        max_disk,
        ..ResourceLimits::default()
    };
    let settings = RecorderSettings {
        redaction: Redaction::On,
        recording: RecordingSettings {
            rotation,
            ..RecordingSettings::default()
        },
    };
    let (recorder, tap) = recorder(&limits, settings, clock, &tasks);
    (recorder, tap, tasks)
}

fn of_size(bytes: u64) -> Rotation {
    Rotation {
        max_bytes: Some(bytes),
        max_age: None,
    }
}

async fn begin(recorder: &Recorder, path: &Path) {
    let preamble = std::future::ready(Vec::new());
    recorder.start(Some(path.to_owned()), preamble).await.unwrap();
}

fn filler(number: u64, bytes: usize) -> Observation {
    let mut observation = observe(
        0,
        body(number, UP, &format!("{{\"x\":\"{}\"}}", "x".repeat(bytes))),
    );
    observation.at = Clock::start().now();
    observation
}

fn now(event: Event) -> Observation {
    Observation {
        at: Clock::start().now(),
        event,
    }
}

/// The files of a recording, in order.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort_by_key(|path| {
        let reader = RecordingReader::open(path).unwrap();
        reader.header().segment.unwrap_or(1)
    });
    files
}

fn verified(path: &Path) -> Verified {
    verify(RecordingFile::open(path).unwrap(), path).unwrap()
}

fn text(path: &Path) -> String {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut RecordingFile::open(path).unwrap(), &mut text).unwrap();
    text
}

/// One exchange that is open from the first file to the last, between others.
async fn record_across(tap: &RecorderTap, others: u64) {
    tap.record(now(opened())).await;
    tap.record(now(request(
        1,
        "GET /mcp HTTP/1.1\r\nAuthorization: Bearer top\r\n\r\n",
    )))
    .await;
    tap.record(now(response(
        1,
        &[("content-type", "text/event-stream")],
        Some(9),
    )))
    .await;
    for number in 0..others {
        let index = u32::try_from(number).unwrap();
        tap.record(now(event(
            1,
            index,
            &format!("data: {{\"number\":{number}}}\n\n"),
        )))
        .await;
        let other = number + 2;
        tap.record(now(request(other, "POST /mcp HTTP/1.1\r\n\r\n")))
            .await;
        tap.record(filler(other, 3_000)).await;
        tap.record(now(ended(other))).await;
    }
    tap.record(now(ended(1))).await;
}

#[tokio::test]
async fn every_file_opens_by_itself_and_together_they_have_everything() {
    for name in ["a.jsonl", "a.jsonl.zst"] {
        let directory = tempfile::tempdir().unwrap();
        let (recorder, tap, _tasks) = start(of_size(20_000), 1 << 40, Clock::start());
        begin(&recorder, &directory.path().join(name)).await;
        record_across(&tap, 40).await;
        let finished = recorder.stop().await.unwrap();
        let files = files(directory.path());
        let mut numbers = Vec::new();
        for (index, path) in files.iter().enumerate() {
            let verified = verified(path);
            assert_eq!(verified.problems, [], "{}", path.display());
            let reader = RecordingReader::open(path).unwrap();
            let header = reader.header().clone();
            let before = index.checked_sub(1).map(|before| {
                let name = files[before].file_name().unwrap();
                name.to_string_lossy().into_owned()
            });
            assert_eq!(header.continues, before);
            let text = text(path);
            super::schema::check(text.as_bytes());
            // The stream that is open from the first file to the last has its heads in each, without its secret.
            assert_eq!(
                text.matches("\"target\":\"/mcp\"").count(),
                1 + text.matches("POST /mcp HTTP").count()
            );
            assert_eq!(text.matches("\"type\":\"session\"").count(), 1);
            assert!(text.contains("GET /mcp HTTP") && !text.contains("Bearer top"));
            let (loaded, damage) = load(text.as_bytes());
            assert_eq!(damage, Vec::<String>::new());
            for frame in frames(&loaded) {
                if frame.exchange.get() == 1 {
                    numbers.push(frame.frame);
                }
            }
        }
        assert_eq!(numbers, (0..40).collect::<Vec<u32>>());
        let size = |path: &PathBuf| std::fs::metadata(path).unwrap().len();
        assert_eq!(finished.bytes, files.iter().map(size).sum::<u64>());
        assert_eq!(finished.path, *files.last().unwrap());
        if name == "a.jsonl" {
            assert!(files.len() > 5, "{}", files.len());
            assert!(files.iter().all(|path| size(path) < 25_000));
        }
    }
}

#[tokio::test]
async fn a_frame_in_two_files_keeps_its_parts_and_no_end_of_a_secret_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let (recorder, tap, _tasks) = start(of_size(1_000), 1 << 40, Clock::start());
    begin(&recorder, &directory.path().join("a.jsonl")).await;
    tap.record(now(request(1, "POST /mcp HTTP/1.1\r\n\r\n"))).await;
    tap.record(now(part(1, UP, 0, br#"{"token":"the start of it"#)))
        .await;
    tap.record(filler(2, 2_000)).await;
    tap.record(now(part(1, UP, 1, br#" and the rest","id":1}"#)))
        .await;
    tap.record(filler(3, 2_000)).await;
    recorder.stop().await.unwrap();
    let files = files(directory.path());
    assert!(files.len() > 1, "{files:?}");
    let all: String = files.iter().map(|path| text(path)).collect();
    assert!(!all.contains("the start") && !all.contains("the rest"), "{all}");
    assert!(all.contains("\\\",\\\"id\\\":1}"), "{all}");
    let (_, damage) = load(text(&files[1]).as_bytes());
    assert!(
        damage.iter().all(|place| !place.contains("parts of its frame")),
        "{damage:?}"
    );
}

#[tokio::test]
async fn the_oldest_files_go_when_max_disk_is_reached_and_that_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let max_disk = 200_000;
    let (recorder, tap, _tasks) = start(of_size(30_000), max_disk, Clock::start());
    let size = |path: PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let used = || {
        std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| size(entry.unwrap().path()))
            .sum::<u64>()
    };
    // Two recordings of one run: what the first left counts too.
    for name in ["a.jsonl", "b.jsonl"] {
        begin(&recorder, &directory.path().join(name)).await;
        for number in 0..100 {
            tap.record(filler(number + 2, 3_000)).await;
            assert!(used() <= max_disk, "{}", used());
        }
        recorder.stop().await.unwrap();
        assert!(used() <= max_disk && used() > max_disk / 2, "{}", used());
    }
    assert!(!directory.path().join("a.jsonl").exists());
    let (bytes, peak, reached) = recorder.disk();
    assert_eq!(bytes, used());
    assert!(peak <= max_disk && reached >= 10, "{peak} {reached}");
}

#[tokio::test]
async fn a_message_larger_than_max_disk_costs_itself_and_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let (recorder, tap, _tasks) = start(of_size(30_000), 200_000, Clock::start());
    begin(&recorder, &directory.path().join("a.jsonl")).await;
    for number in 0..30 {
        tap.record(filler(number + 2, 3_000)).await;
    }
    let before = recorder.stop().await.unwrap();
    let kept = files(directory.path());
    assert!(before.lost == 0 && kept.len() > 2, "{kept:?}");

    begin(&recorder, &directory.path().join("b.jsonl")).await;
    tap.record(filler(40, 100)).await;
    tap.record(filler(41, 300_000)).await;
    tap.record(filler(42, 100)).await;
    let finished = recorder.stop().await.unwrap();
    assert!(kept.iter().all(|path| path.exists()), "{kept:?}");
    assert_eq!((finished.lost, finished.untold), (1, 0));
    assert_eq!(finished.lost_to.as_deref(), Some("max_disk has no room for it"));
    let (loaded, damage) = load(text(&finished.path).as_bytes());
    let numbers: Vec<u64> = frames(&loaded).iter().map(|frame| frame.exchange.get()).collect();
    assert_eq!(numbers, [40, 42]);
    assert_eq!(damage.len(), 1, "{damage:?}");
    assert!(
        damage[0].ends_with("1 records are missing, as max_disk has no room for it"),
        "{damage:?}"
    );
}

#[tokio::test]
async fn a_file_that_is_old_is_followed_by_a_new_one_with_the_next_record() {
    let directory = tempfile::tempdir().unwrap();
    let rotation = Rotation {
        max_bytes: None,
        max_age: Some(Duration::from_millis(1)),
    };
    let (recorder, tap, _tasks) = start(rotation, 1 << 40, Clock::start());
    begin(&recorder, &directory.path().join("a.jsonl")).await;
    while !matches!(recorder.state(), RecorderState::On { files: 3.., .. }) {
        tap.record(filler(2, 10)).await;
        tokio::task::yield_now().await;
    }
    recorder.stop().await.unwrap();
    assert!(directory.path().join("a.3.jsonl").exists());
}

#[tokio::test(start_paused = true)]
async fn a_file_is_closed_only_when_it_has_records_of_its_own() {
    let each_alone = vec![vec!["request"], vec!["frame"], vec!["frame"]];
    let by_size = Rotation {
        max_bytes: Some(1),
        max_age: None,
    };
    assert_eq!(recorded_by(by_size, 1).await, each_alone);
    let by_age = Rotation {
        max_bytes: None,
        max_age: Some(Duration::from_mins(1)),
    };
    assert_eq!(recorded_by(by_age, 61).await, each_alone);
    assert_eq!(recorded_by(by_age, 29).await, [["request", "frame", "frame"]]);
}

/// What the files have of three records, so many seconds apart, that come two minutes after the recording was begun.
async fn recorded_by(rotation: Rotation, seconds_apart: u64) -> Vec<Vec<String>> {
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::start();
    let now = |event| Observation {
        at: clock.now(),
        event,
    };
    let preamble = std::future::ready(vec![now(opened())]);
    tokio::time::advance(Duration::from_secs(1)).await;
    let (recorder, tap, _tasks) = start(rotation, 1 << 40, clock);
    let path = directory.path().join("a.jsonl");
    recorder.start(Some(path), preamble).await.unwrap();
    until_lines(&recorder, 2).await;
    tokio::time::advance(Duration::from_mins(2)).await;
    let request = request(1, "POST /mcp HTTP/1.1\r\n\r\n");
    for event in [request, body(1, UP, "{}"), body(2, UP, "[]")] {
        let before = lines(&recorder);
        tap.record(now(event)).await;
        until_lines(&recorder, before + 1).await;
        tokio::time::advance(Duration::from_secs(seconds_apart)).await;
    }
    recorder.stop().await.unwrap();
    files(directory.path())
        .iter()
        .map(|path| own_records(path))
        .collect()
}

fn lines(recorder: &Recorder) -> u64 {
    match recorder.state() {
        RecorderState::On { lines, .. } => lines,
        state => panic!("{state:?}"),
    }
}

async fn until_lines(recorder: &Recorder, wanted: u64) {
    while lines(recorder) < wanted {
        tokio::task::yield_now().await;
    }
}

/// The types of the lines that are not about what was before the file, its start or its end.
fn own_records(path: &Path) -> Vec<String> {
    let lines = text(path);
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let own = lines.filter(|line| line["us"].as_i64().is_some_and(|us| us >= 0) && line["type"] != "end");
    own.map(|line| line["type"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_compressed_recording_can_be_read_while_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.jsonl.zst");
    let (recorder, tap, _tasks) = start(Rotation::default(), 1 << 40, Clock::start());
    begin(&recorder, &path).await;
    tap.record(filler(2, 10)).await;
    let is_written = async {
        while frames(&load(text(&path).as_bytes()).0).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), is_written)
        .await
        .unwrap();
    recorder.stop().await.unwrap();
    let file = std::fs::read(&path).unwrap();
    assert!(file.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
    // Killed anywhere, it gives what was whole before.
    for length in 60..file.len() {
        let cut = RecordingFile::new(Cursor::new(file[..length].to_vec())).unwrap();
        if let Ok(verified) = verify(cut, &path) {
            assert!(!verified.is_whole(), "{length}");
        }
    }
}

/// A recording in several files, and one stream that is open in all of them.
async fn several(name: &str) -> (tempfile::TempDir, Vec<PathBuf>) {
    let directory = tempfile::tempdir().unwrap();
    let bytes = if name.ends_with("zst") { 300 } else { 20_000 };
    let (recorder, tap, _tasks) = start(of_size(bytes), 1 << 40, Clock::start());
    begin(&recorder, &directory.path().join(name)).await;
    record_across(&tap, 40).await;
    recorder.stop().await.unwrap();
    let files = files(directory.path());
    (directory, files)
}

/// What is loaded of a recording that is opened by one of its files.
fn load_whole(path: &Path) -> (Vec<Loaded>, Vec<String>, RecordingText) {
    let reader = RecordingReader::open_whole(path).unwrap();
    let text = reader.text().clone();
    let mut lines = Loader::new(reader, &ResourceLimits::default(), |_| Placement::default());
    let loaded = lines.by_ref().collect();
    let damage = lines.damage();
    (loaded, damage, text)
}

#[tokio::test]
async fn all_files_are_read_as_one_recording_whichever_is_named() {
    for name in ["a.jsonl", "a.jsonl.zst"] {
        let (_directory, files) = several(name).await;
        for path in [&files[0], files.last().unwrap()] {
            let (loaded, damage, text) = load_whole(path);
            assert_eq!(damage, Vec::<String>::new());
            let frames = frames(&loaded);
            let numbers: Vec<u32> = frames
                .iter()
                .filter(|frame| frame.exchange.get() == 1)
                .map(|frame| frame.frame)
                .collect();
            assert_eq!(numbers, (0..40).collect::<Vec<u32>>());
            let count = |is: fn(&Event) -> bool| {
                let events = loaded.iter().map(|loaded| &loaded.observation.item.event);
                events.filter(|event| is(event)).count()
            };
            assert_eq!(count(|event| matches!(event, Event::Session(_))), 1);
            assert_eq!(count(|event| matches!(event, Event::Request(_))), 41);
            assert_eq!(count(|event| matches!(event, Event::Response(_))), 1);
            assert!(loaded.is_sorted_by_key(|loaded| loaded.observation.item.at));
            for loaded in &loaded {
                if let (Event::Frame(frame), Some(range)) = (&loaded.observation.item.event, &loaded.body) {
                    assert_eq!(read_body_in(&text, range, 1 << 20).unwrap(), frame.wire);
                }
            }
        }
        let tape = Tape::load(&files[1], &TapeOptions::as_it_arrived()).unwrap();
        assert_eq!(tape.damage, Vec::<String>::new());
        assert_eq!(
            tape.sessions
                .iter()
                .map(|session| session.exchanges.len())
                .sum::<usize>(),
            41
        );
        let one = TapeOptions::as_it_arrived().reading(Extent::OneFile);
        let one = Tape::load(&files[0], &one).unwrap();
        assert!(
            one.sessions
                .iter()
                .map(|session| session.exchanges.len())
                .sum::<usize>()
                < 41
        );
    }
}

#[tokio::test]
async fn a_frame_in_two_files_is_whole_when_both_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let (recorder, tap, _tasks) = start(of_size(1_000), 1 << 40, Clock::start());
    begin(&recorder, &directory.path().join("a.jsonl")).await;
    tap.record(now(request(1, "POST /mcp HTTP/1.1\r\n\r\n"))).await;
    tap.record(now(part(1, UP, 0, br#"{"first":"#))).await;
    tap.record(filler(2, 2_000)).await;
    tap.record(now(part(1, UP, 1, b"1}"))).await;
    let mut whole = frame(1, UP, Carrier::Http, 0, b"{\"first\":1}");
    whole.parts = 2;
    tap.record(now(Event::Frame(Arc::new(whole)))).await;
    tap.record(now(ended(1))).await;
    recorder.stop().await.unwrap();
    let (loaded, damage, text) = load_whole(&directory.path().join("a.jsonl"));
    assert_eq!(damage, Vec::<String>::new());
    let is_it = |loaded: &&Loaded| matches!(&loaded.observation.item.event, Event::Frame(frame) if frame.exchange.get() == 1);
    let found = loaded.iter().find(is_it).unwrap();
    let range = found.body.unwrap();
    assert_eq!(read_body_in(&text, &range, 100).unwrap(), "{\"first\":1}");
}

#[tokio::test]
async fn a_scrubbed_copy_of_several_files_is_one_that_is_whole() {
    let (directory, files) = several("a.jsonl").await;
    let copy = directory.path().join("copy/all.jsonl");
    let segments = Segments::of(&files[2], Extent::Whole).unwrap();
    let scrubbed = scrub(&segments, &copy, &RedactPatterns::default()).unwrap();
    assert_eq!((scrubbed.left_out, scrubbed.damage), (0, Vec::new()));
    assert_eq!(verified(&copy).problems, []);
    let (whole, ..) = load_whole(&files[0]);
    let (copied, ..) = load_whole(&copy);
    assert_eq!(whole.len(), copied.len());
}

#[tokio::test]
async fn a_file_that_is_not_there_is_told_by_all_that_read_and_the_rest_is_read() {
    let (_directory, files) = several("a.jsonl").await;
    std::fs::remove_file(&files[1]).unwrap();
    std::fs::remove_file(files.last().unwrap()).unwrap();
    let segments = Segments::of(&files[3], Extent::Whole).unwrap();
    assert_eq!(segments.files().len(), files.len() - 2);
    let gone = |place: usize| format!("{} is missing", files[place].file_name().unwrap().display());
    let (first, last) = (gone(1), gone(files.len() - 1));
    let (_, damage, _) = load_whole(&files[0]);
    let says = |damage: &[String], what: &str| damage.iter().any(|sentence| sentence.starts_with(what));
    assert!(says(&damage, &first) && says(&damage, &last), "{damage:?}");
    let tape = Tape::load(&files[0], &TapeOptions::as_it_arrived()).unwrap();
    assert!(
        says(&tape.damage, &first) && says(&tape.damage, &last),
        "{:?}",
        tape.damage
    );
    let missing = (0..segments.files().len()).flat_map(|index| {
        let problems = verify_segment(&segments, index).unwrap().problems;
        problems
            .into_iter()
            .map(move |problem| (index, problem.kind, problem.text))
    });
    let missing: Vec<_> = missing.collect();
    let kinds: Vec<_> = missing.iter().map(|(index, kind, _)| (*index, *kind)).collect();
    let behind = segments.files().len() - 1;
    assert_eq!(
        kinds,
        [(1, ProblemKind::MissingFile), (behind, ProblemKind::MissingFile)]
    );
    assert!(
        missing[0].2.starts_with(&first) && missing[1].2.starts_with(&last),
        "{missing:?}"
    );
}
