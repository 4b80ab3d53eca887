//! Checks of recordings: reading, writing, and keeping secrets out.

mod planted;
mod redacted;
mod written;

use std::io::{Cursor, Read as _};
use std::path::Path;

pub(crate) use planted::redact_planted;
pub(crate) use redacted::redact;
pub(crate) use written::{encoded, write_read};

use super::format::Line;
use super::input::RecordingFile;
use super::load::Loader;
use super::reader::{FileInput, OpenRecordingError, ReadRecordingError, RecordingReader};
use super::verify::{Problem, ProblemKind, Verified, verify};
use crate::fuzzing::cuttings;
use crate::limits::ResourceLimits;
use crate::session::observation::Placement;

const PATH: &str = "fuzz.jsonl";

fn open(bytes: &[u8]) -> RecordingFile {
    match RecordingFile::new(Cursor::new(bytes.to_vec())) {
        Ok(file) => file,
        Err(error) => panic!("memory can be read: {error}"),
    }
}

/// Any bytes as a recording: they are read to their end, every error names file and line, and what is said to be whole
/// loads without damage.
pub(crate) fn recording(bytes: &[u8]) {
    let path = Path::new(PATH);
    let Ok(verified) = verify(open(bytes), path) else {
        return assert!(reader(bytes).is_err());
    };
    let misplaced = verified
        .problems
        .iter()
        .find(|problem| !is_placed(problem, &verified));
    assert_eq!(misplaced, None, "of {} lines", verified.lines);
    let Ok(records) = reader(bytes) else {
        return assert!(!verified.is_whole());
    };
    for record in records {
        match record {
            Ok(record) => written_again(&record.line),
            Err(error) => names_its_place(&error),
        }
    }
    if let Ok(reader) = reader(bytes) {
        let mut loader = Loader::new(reader, &ResourceLimits::default(), |_| Placement::default());
        loader.by_ref().for_each(drop);
        let damage = loader.damage();
        assert!(!verified.is_whole() || damage.is_empty(), "{damage:?}");
    }
}

fn reader(bytes: &[u8]) -> Result<RecordingReader<FileInput>, OpenRecordingError> {
    RecordingReader::once(open(bytes), Path::new(PATH))
}

fn is_placed(problem: &Problem, verified: &Verified) -> bool {
    match problem.line {
        // What is lost may have been a line, at the end of a file as well.
        Some(line) if problem.kind == ProblemKind::BrokenData => (1..=verified.lines + 1).contains(&line),
        Some(line) => (1..=verified.lines).contains(&line),
        None => matches!(problem.kind, ProblemKind::NoEnd | ProblemKind::TornTail),
    }
}

fn names_its_place(error: &ReadRecordingError) {
    let text = error.to_string();
    let (ReadRecordingError::Broken { line, .. }
    | ReadRecordingError::TooLong { line, .. }
    | ReadRecordingError::Damaged { line, .. }
    | ReadRecordingError::Io { line, .. }) = error;
    assert!(
        text.contains(PATH) && text.contains(&format!("line {line}")),
        "{text}"
    );
}

/// A line that is written, in either way, is read as it was.
fn written_again(line: &Line) {
    if matches!(line, Line::Unknown) {
        return;
    }
    let (mut text, mut fast) = (Vec::new(), Vec::new());
    line.write_to(&mut text);
    let mut copy = line.clone();
    copy.write_fast(&mut fast);
    assert_eq!(copy, *line);
    assert_eq!(String::from_utf8_lossy(&fast), String::from_utf8_lossy(&text));
    match Line::parse(&text) {
        Ok(again) => assert_eq!(again, *line),
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&text)),
    }
}

/// Any text survives its compression in frames of any size; of a file that is cut, what comes out is the start of it.
pub(crate) fn recording_zstd(bytes: &[u8]) {
    let raw = [&[0x28, 0xb5, 0x2f, 0xfd], bytes].concat();
    recording(&raw);
    for chunks in [
        vec![bytes],
        cuttings(bytes).swap_remove(4),
        cuttings(bytes).swap_remove(5),
    ] {
        let frames = chunks.iter().map(|chunk| match zstd::bulk::compress(chunk, 1) {
            Ok(frame) => frame,
            Err(error) => panic!("{error}"),
        });
        let file = frames.collect::<Vec<_>>().concat();
        let (text, is_cut) = decompressed(&file);
        assert!((text == bytes && !is_cut) || file.is_empty());
        let half = file.len() / 2;
        for end in [half, file.len().saturating_sub(1)] {
            let (text, _) = decompressed(&file[..end]);
            assert!(bytes.starts_with(&text) || end < 4);
        }
        recording(&file);
    }
}

/// The text of a file, as far as it can be read, and whether it ends inside a frame.
fn decompressed(file: &[u8]) -> (Vec<u8>, bool) {
    let mut input = open(file);
    let places = input.places();
    let mut text = Vec::new();
    // An error is told where lines are read.
    let _ = input.read_to_end(&mut text);
    (text, places.is_cut())
}
