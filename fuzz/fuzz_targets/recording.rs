//! Any bytes as a recording: nothing panics, and what is said to be whole loads without damage.
//! `recording::tests::hostile` does the same with fewer bytes in the ordinary tests.

#![no_main]

use std::io::Cursor;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use shadowcat::limits::ResourceLimits;
use shadowcat::recording::verify::verify;
use shadowcat::recording::{Loader, RecordingFile, RecordingReader};
use shadowcat::session::observation::Placement;

const PATH: &str = "fuzz.jsonl";

fn open(bytes: &[u8]) -> RecordingFile {
    RecordingFile::new(Cursor::new(bytes.to_vec())).expect("memory can be read")
}

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new(PATH);
    let Ok(verified) = verify(open(bytes), path) else { return };
    let Ok(reader) = RecordingReader::once(open(bytes), path) else {
        assert!(!verified.is_whole());
        return;
    };
    let mut loader = Loader::new(reader, &ResourceLimits::default(), |_| Placement::default());
    for _ in loader.by_ref() {}
    let damage = loader.damage();
    assert!(!verified.is_whole() || damage.is_empty(), "{damage:?}");
});
