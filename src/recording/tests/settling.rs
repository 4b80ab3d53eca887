//! What is written is brought to the disk beside the writing.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::support::{body, load, observe};
use crate::clock::Clock;
use crate::recording::Rotation;
use crate::recording::behind::{Behind, SETTLE_BYTES, Settle};
use crate::recording::disk::{DiskMeter, DiskUse};
use crate::recording::encode::Encoder;
use crate::recording::file::{LineFile, Storage};
use crate::recording::open::{Beginning, OpenRecording};
use crate::session::observation::Observation;
use crate::snapshot::{Direction, RecorderState};

const MIB: u64 = 1 << 20;

/// A disk that tells what was brought to it.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    file: Vec<u8>,
    settled: Vec<(u64, u64)>,
    fails: bool,
}

impl Storage for Disk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().file.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).unwrap();
        self.0.lock().unwrap().file.truncate(length);
        Ok(())
    }

    fn settler(&self) -> Option<Arc<dyn Settle>> {
        Some(Arc::new(self.clone()))
    }
}

impl Settle for Disk {
    fn settle(&self, from: u64, to: u64) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.settled.push((from, to));
        if disk.fails {
            return Err(io::Error::other("bad sector"));
        }
        Ok(())
    }
}

impl Disk {
    fn settled(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.0.lock().unwrap().settled)
    }

    fn set_failing(&self, fails: bool) {
        self.0.lock().unwrap().fails = fails;
    }
}

fn line_file(disk: &Disk) -> LineFile {
    LineFile::new(Box::new(disk.clone()))
}

/// Brings it to the disk as the recorder does; false if nothing was due.
fn settle(behind: &mut Behind, file: &LineFile) -> bool {
    let due = behind.due(file, "a.jsonl".into());
    let is_due = due.is_some();
    if let Some(due) = due {
        behind.done(due.run().map_err(|error| error.to_string()));
    }
    is_due
}

fn write(file: &mut LineFile, bytes: u64) {
    let mut line = vec![b'x'; usize::try_from(bytes).unwrap() - 1];
    line.push(b'\n');
    file.append(&line).unwrap();
}

#[test]
fn each_eight_mebibytes_go_to_the_disk_and_those_before_once_more() {
    let (disk, mut behind) = (Disk::default(), Behind::default());
    let mut file = line_file(&disk);
    for _ in 0..7 {
        write(&mut file, MIB);
        assert!(!settle(&mut behind, &file));
    }
    write(&mut file, 2 * MIB);
    assert!(settle(&mut behind, &file) && !settle(&mut behind, &file));
    write(&mut file, 8 * MIB);
    assert!(settle(&mut behind, &file));
    write(&mut file, 30 * MIB);
    assert!(settle(&mut behind, &file));
    let [a, b, c] = [9 * MIB, 17 * MIB, 47 * MIB];
    assert_eq!(disk.settled(), [(0, a), (0, b), (a, c)]);
}

#[test]
fn one_goes_to_the_disk_at_a_time_however_much_is_written_meanwhile() {
    let (disk, mut behind) = (Disk::default(), Behind::default());
    let mut file = line_file(&disk);
    write(&mut file, SETTLE_BYTES);
    let first = behind.due(&file, "a.jsonl".into()).unwrap();
    write(&mut file, 5 * SETTLE_BYTES);
    assert!(behind.due(&file, "a.jsonl".into()).is_none());
    behind.done(first.run().map_err(|error| error.to_string()));
    assert!(settle(&mut behind, &file));
    assert_eq!(disk.settled(), [(0, SETTLE_BYTES), (0, 6 * SETTLE_BYTES)]);
}

#[test]
fn small_files_of_one_recording_go_to_the_disk_together() {
    let disks: Vec<Disk> = (0..5).map(|_| Disk::default()).collect();
    let mut behind = Behind::default();
    for disk in &disks[..4] {
        let mut file = line_file(disk);
        write(&mut file, 2 * MIB);
        behind.next_file(&file);
    }
    let last = line_file(&disks[4]);
    assert!(settle(&mut behind, &last));
    for disk in &disks[..4] {
        assert_eq!(disk.settled(), [(0, 2 * MIB)]);
    }
    assert!(!settle(&mut behind, &last));
}

#[test]
fn the_end_of_a_small_recording_is_left_to_the_system_and_that_of_a_large_one_is_not() {
    let (disk, mut behind) = (Disk::default(), Behind::default());
    let mut file = line_file(&disk);
    write(&mut file, MIB);
    assert!(behind.last(&file, "a.jsonl".into()).is_none());
    write(&mut file, SETTLE_BYTES);
    assert!(settle(&mut behind, &file));
    write(&mut file, MIB);
    behind.last(&file, "a.jsonl".into()).unwrap().run().unwrap();
    assert_eq!(disk.settled().last(), Some(&(0, SETTLE_BYTES + 2 * MIB)));
}

fn begin(disk: &Disk, clock: Clock) -> OpenRecording {
    let beginning = Beginning {
        path: "a.jsonl".into(),
        file: line_file(disk),
        encoder: Encoder::new(clock.now(), None, 10),
        clock,
        is_redacted: false,
        rotation: Rotation::default(),
        disk: DiskUse::new(1 << 40, DiskMeter::default()),
    };
    OpenRecording::begin(beginning).unwrap()
}

fn large(number: u64) -> Observation {
    let text = format!("{{\"x\":\"{}\"}}", "x".repeat(3 << 20));
    observe(number, body(number, Direction::ClientToServer, &text))
}

fn settle_recording(recording: &mut OpenRecording) -> bool {
    let Some(due) = recording.take_unsettled() else {
        return false;
    };
    recording.settled(due.run().map_err(|error| error.to_string()));
    true
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_does_not_take_what_was_written_is_told_and_the_recording_goes_on() {
    let disk = Disk::default();
    let mut recording = begin(&disk, Clock::start());
    recording.write((1..=3).map(large).collect(), None);
    disk.set_failing(true);
    assert!(settle_recording(&mut recording));
    let RecorderState::Failed { cause, .. } = recording.state() else {
        panic!("{:?}", recording.state());
    };
    assert!(
        cause.contains("bad sector") && cause.contains("may be missing"),
        "{cause}"
    );

    disk.set_failing(false);
    recording.write((4..=6).map(large).collect(), None);
    assert!(settle_recording(&mut recording));
    assert!(matches!(recording.state(), RecorderState::On { lost: 0, .. }));
    let (finished, _, left) = recording.finish();
    assert!(left.is_some(), "its last line is brought to the disk too");
    assert!(
        finished.failure.unwrap().contains("bad sector"),
        "told at the end"
    );
    let (loaded, damage) = load(&disk.0.lock().unwrap().file);
    assert_eq!((loaded.len(), damage), (6, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_recording_that_is_written_slowly_is_not_brought_to_the_disk_all_the_time() {
    let disk = Disk::default();
    let mut recording = begin(&disk, Clock::start());
    for number in 1..=100 {
        let line = observe(number, body(number, Direction::ClientToServer, "{}"));
        recording.write(vec![line], None);
        assert!(!settle_recording(&mut recording));
        tokio::time::advance(Duration::from_mins(1)).await;
    }
    let (_, _, left) = recording.finish();
    assert!(left.is_none() && disk.settled().is_empty());
}
