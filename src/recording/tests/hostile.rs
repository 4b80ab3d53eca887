//! Any bytes as a recording; `fuzz/fuzz_targets/recording.rs` does the same for as long as somebody lets it.

use std::io::Cursor;
use std::path::Path;

use proptest::prelude::*;

use super::support::{body, encode, ended, event, observe, opened, part, request, response};
use crate::limits::ResourceLimits;
use crate::recording::redact::Tagger;
use crate::recording::scrub::scrub;
use crate::recording::verify::verify;
use crate::recording::{Extent, Loader, RecordingFile, RecordingReader, RedactPatterns, Segments};
use crate::session::observation::Placement;
use crate::snapshot::Direction;

const UP: Direction = Direction::ClientToServer;

fn open(bytes: &[u8]) -> RecordingFile {
    RecordingFile::new(Cursor::new(bytes.to_vec())).unwrap()
}

/// What the fuzz target checks too.
fn check(bytes: &[u8]) -> Option<bool> {
    let path = Path::new("hostile.jsonl");
    let verified = verify(open(bytes), path).ok()?;
    let Ok(reader) = RecordingReader::once(open(bytes), path) else {
        assert!(!verified.is_whole());
        return Some(false);
    };
    let mut loader = Loader::new(reader, &ResourceLimits::default(), |_| Placement::default());
    loader.by_ref().for_each(drop);
    let damage = loader.damage();
    assert!(!verified.is_whole() || damage.is_empty(), "{damage:?}");
    Some(verified.is_whole())
}

/// The lines of a small recording, its end included.
fn small() -> Vec<u8> {
    let events = [
        opened(),
        request(1, "POST /mcp?token=t HTTP/1.1\r\nX-Odd:b\n\r\n"),
        part(1, UP, 0, br#"{"jsonrpc":"2.0","id":1,"#),
        part(1, UP, 1, br#""method":"ping","token":"x"}"#),
        response(1, &[("content-type", "text/event-stream")], Some(9)),
        event(
            1,
            0,
            "id: 1\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n",
        ),
        body(2, UP, "[1]"),
        ended(1),
    ];
    let observations: Vec<_> = (0..).zip(events).map(|(us, event)| observe(us, event)).collect();
    encode(&observations, Some(Tagger::fixed()))
}

/// Something done to bytes.
#[derive(Debug, Clone)]
enum Harm {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Repeat(usize, usize),
}

fn any_harm() -> impl Strategy<Value = Harm> {
    let place = 0_usize..2500;
    prop_oneof![
        (place.clone(), any::<u8>()).prop_map(|(at, byte)| Harm::Flip(at, byte)),
        place.clone().prop_map(Harm::Cut),
        (place.clone(), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(at, bytes)| Harm::Insert(at, bytes)),
        (place, 0_usize..600).prop_map(|(at, length)| Harm::Repeat(at, length)),
    ]
}

fn harm(file: &mut Vec<u8>, harm: Harm) {
    let end = file.len();
    match harm {
        Harm::Flip(at, byte) => {
            if let Some(place) = file.get_mut(at) {
                *place = byte;
            }
        }
        Harm::Cut(at) => file.truncate(at),
        Harm::Insert(at, bytes) => {
            let at = at.min(end);
            file.splice(at..at, bytes);
        }
        Harm::Repeat(at, length) => {
            let at = at.min(end);
            let again = file[at..(at + length).min(end)].to_vec();
            file.splice(at..at, again);
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_their_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&bytes);
        check(&[&[0x28, 0xb5, 0x2f, 0xfd][..], &bytes].concat());
    }

    #[test]
    fn a_harmed_recording_is_read_to_its_end_and_scrubbed(harms in prop::collection::vec(any_harm(), 0..6), is_compressed: bool) {
        let mut file = small();
        if is_compressed {
            file = zstd::bulk::compress(&file, 1).unwrap();
        }
        for one in harms {
            harm(&mut file, one);
        }
        if check(&file).is_none() {
            return Ok(());
        }
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        std::fs::write(&from, &file).unwrap();
        let Ok(segments) = Segments::of(&from, Extent::OneFile) else {
            return Ok(());
        };
        if scrub(&segments, &to, &RedactPatterns::default()).is_ok() {
            verify(RecordingFile::open(&to).unwrap(), &to).unwrap();
        }
    }
}
