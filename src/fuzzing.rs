//! What holds for any input: functions that take bytes, and panic where it does not.
//!
//! `fuzz/` runs them on whatever a fuzzer comes up with, the tests here on every seed it starts from and on every input that
//! once broke one. They are in neither a build nor the documentation; `docs/testing.md` says how to use them.

use crate::{codec, intercept, interchange, recording, transport};

/// What is done with an input.
type Check = fn(&[u8]);

/// Every check under its name, which is also that of its target in `fuzz/` and of the folder of its seeds.
pub const CHECKS: &[(&str, Check)] = &[
    ("content", codec::fuzzing::content),
    ("envelope", codec::fuzzing::envelope),
    ("events", codec::fuzzing::events),
    ("export", interchange::fuzzing::export_of),
    ("filter", intercept::fuzzing::filter),
    ("har", interchange::fuzzing::har),
    ("heads", transport::fuzzing::heads),
    ("lines", codec::fuzzing::lines),
    ("recording", recording::fuzzing::recording),
    ("recording-zstd", recording::fuzzing::recording_zstd),
    ("redact", recording::fuzzing::redact),
    ("redact-planted", recording::fuzzing::redact_planted),
    ("rules", intercept::fuzzing::rules),
    ("websocket", codec::fuzzing::websocket),
    ("write-read", recording::fuzzing::write_read),
];

/// Runs the check called `name`.
///
/// # Panics
/// If there is none, or if it does not hold for `bytes`.
pub fn check(name: &str, bytes: &[u8]) {
    let found = CHECKS.iter().find(|(known, _)| *known == name);
    let Some((_, check)) = found else {
        panic!("there is no check called {name}");
    };
    check(bytes);
}

/// Takes an input for a row of choices, so that a fuzzer can make up whatever a check has to be given.
#[derive(Debug)]
pub(crate) struct Draw<'a>(&'a [u8]);

impl<'a> Draw<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Nothing is left: all choices from here on are the first ones.
    pub(crate) const fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    pub(crate) fn is(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// Up to `max` bytes, which is 255 at most.
    pub(crate) fn bytes(&mut self, max: u8) -> &'a [u8] {
        let length = usize::from(self.byte().min(max)).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    pub(crate) fn text(&mut self, max: u8) -> String {
        String::from_utf8_lossy(self.bytes(max)).into_owned()
    }
}

/// Ways in which `bytes` may come: as a whole, in pieces of some sizes, and in pieces that differ, always the same for the
/// same bytes.
pub(crate) fn cuttings(bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    let even = [1, 2, 3, 7, 64]
        .into_iter()
        .map(|size| bytes.chunks(size).collect());
    let mut all: Vec<Vec<&[u8]>> = even.collect();
    all.push(uneven(bytes));
    all.push(vec![bytes]);
    all
}

fn uneven(bytes: &[u8]) -> Vec<&[u8]> {
    let mut state = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        // Short ones mostly, and now and then one of none.
        let size = usize::try_from((state >> 33) % 19).unwrap_or(1);
        let (piece, after) = rest.split_at(size.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn fuzz() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
    }

    /// The files in a folder, which need not be there.
    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    fn passes(name: &str, file: &Path) -> bool {
        let bytes = std::fs::read(file).unwrap();
        let halves = [&bytes[..], &bytes[..bytes.len() / 2]];
        std::panic::catch_unwind(|| halves.iter().for_each(|bytes| check(name, bytes))).is_ok()
    }

    #[test]
    fn every_seed_and_every_input_that_once_broke_something_passes_its_check() {
        let mut broken = Vec::new();
        for (name, _) in CHECKS {
            let seeds = files(&fuzz().join("seeds").join(name));
            assert!(!seeds.is_empty(), "{name} has no seeds");
            let crashes = files(&fuzz().join("crashes").join(name));
            let files = seeds.into_iter().chain(crashes);
            broken.extend(files.filter(|file| !passes(name, file)));
        }
        assert!(broken.is_empty(), "{broken:?}");
    }

    #[test]
    fn every_check_has_a_target_and_every_target_and_folder_a_check() {
        let manifest = std::fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
        let (_, targets) = manifest.split_once("[[bin]]").unwrap();
        let targets = targets.lines().filter_map(|line| line.strip_prefix("name = \""));
        let targets: Vec<&str> = targets.map(|line| line.trim_end_matches('"')).collect();
        let names: Vec<&str> = CHECKS.iter().map(|(name, _)| *name).collect();
        assert_eq!(targets, names);
        for name in &names {
            let target = std::fs::read_to_string(fuzz().join(format!("fuzz_targets/{name}.rs"))).unwrap();
            assert!(target.contains(&format!("check(\"{name}\", bytes)")), "{target}");
        }
        for folder in files(&fuzz().join("seeds"))
            .iter()
            .chain(&files(&fuzz().join("crashes")))
        {
            let name = folder.file_name().and_then(|name| name.to_str()).unwrap();
            assert!(names.contains(&name), "{}", folder.display());
        }
    }

    #[test]
    fn all_ways_to_cut_give_the_same_bytes() {
        let bytes: Vec<u8> = (0..=255).collect();
        for pieces in cuttings(&bytes) {
            assert_eq!(pieces.concat(), bytes);
        }
    }
}
