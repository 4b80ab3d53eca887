//! Recordings as servers: each one is answered again over every carrier, and a real client sees no difference.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its helpers too"
)]

#[path = "../sdk/mod.rs"]
#[expect(dead_code, reason = "this program looks at less of it than another")]
mod sdk;
#[path = "../support/mod.rs"]
mod support;

mod again;
mod clients;
mod misses;
mod peer;
mod refusals;
mod same;
mod streams;

use std::path::{Path, PathBuf};

use shadowcat::replay::tape::{Tape, TapeOptions};

/// The recordings of this project.
fn recordings() -> Vec<PathBuf> {
    let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "jsonl"));
    files.sort();
    files
}

fn recording(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("recordings")
        .join(name)
}

fn tape(path: &Path) -> Tape {
    Tape::load(path, &TapeOptions::as_the_client_saw_it()).unwrap()
}
