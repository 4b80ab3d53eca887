//! Whether recordings are whole, on stdout.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use shadowcat::recording::verify::{Problem, Verified, verify, verify_segment};
use shadowcat::recording::{Extent, OpenRecordingError, RecordingFile, Segments};

use crate::cli::Format;
use crate::console::say;
use crate::format::plural;
use crate::input::{is_standard, standard_input};
use crate::text::{Safe, harmless_json};

/// Which recordings to check.
#[derive(Debug)]
pub(crate) struct VerifyJob {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) extent: Extent,
    pub(crate) format: Format,
}

/// The result of a whole run; the worst of its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Whole,
    Damaged,
    NotOpened,
}

impl VerifyJob {
    /// Checks one file after the other, and with each the others of its recording, and hands what is to be printed to
    /// `print`. A file that cannot be opened is told on stderr and does not keep the others from being checked.
    pub(crate) fn run<E>(&self, mut print: impl FnMut(&str) -> Result<(), E>) -> Result<Outcome, E> {
        let mut worst = Outcome::Whole;
        let mut checked = BTreeSet::new();
        for path in &self.files {
            if is_standard(path) {
                // It can be read only once.
                if checked.insert(path.clone()) {
                    worst = worst.max(self.tell(path, verify_input(path), &mut print)?);
                }
                continue;
            }
            let segments = match Segments::of(path, self.extent) {
                Ok(segments) => segments,
                Err(error) => {
                    worst = worst.max(self.tell(path, Err(error), &mut print)?);
                    continue;
                }
            };
            for (index, file) in segments.files().iter().enumerate() {
                // Whoever names all files of a recording gets each of them once.
                if checked.insert(file.path.clone()) {
                    let verified = verify_segment(&segments, index);
                    worst = worst.max(self.tell(&file.path, verified, &mut print)?);
                }
            }
        }
        Ok(worst)
    }

    fn tell<E>(
        &self,
        path: &Path,
        verified: Result<Verified, OpenRecordingError>,
        print: &mut impl FnMut(&str) -> Result<(), E>,
    ) -> Result<Outcome, E> {
        match verified {
            Ok(verified) => {
                print(&self.page(path, &verified))?;
                Ok(if verified.is_whole() {
                    Outcome::Whole
                } else {
                    Outcome::Damaged
                })
            }
            Err(error) => {
                tell(&error);
                if self.format == Format::Json {
                    print(&unopened(path, &error))?;
                }
                Ok(Outcome::NotOpened)
            }
        }
    }

    fn page(&self, path: &Path, verified: &Verified) -> String {
        match self.format {
            Format::Text => text(path, verified),
            Format::Json => json(path, verified),
        }
    }
}

fn verify_input(path: &Path) -> Result<Verified, OpenRecordingError> {
    let input = RecordingFile::new(standard_input()).map_err(|source| OpenRecordingError::Read {
        path: path.to_owned(),
        source,
    })?;
    verify(input, path)
}

fn tell(error: &OpenRecordingError) {
    say(format_args!("error: {error}"));
    if let Some(cause) = std::error::Error::source(error) {
        say(format_args!("  because: {cause}"));
    }
}

fn text(path: &Path, verified: &Verified) -> String {
    let name = path.display().to_string();
    let mut page = String::new();
    for problem in &verified.problems {
        let Problem { line, text, .. } = problem;
        let place = line.map_or_else(String::new, |line| format!("{line}:"));
        let remark = if problem.is_damage() { "" } else { "remark: " };
        // Writing to a string does not fail.
        let _ = writeln!(
            page,
            "{}",
            Safe::of(&format!("{name}:{place} {remark}{text}")).as_str()
        );
    }
    if verified.more > 0 {
        let _ = writeln!(
            page,
            "{}",
            Safe::of(&format!("{name}: {} more", verified.more)).as_str()
        );
    }
    let state = match verified.damages() {
        0 => "whole".to_owned(),
        damages => format!("damaged in {}", plural(damages, "place")),
    };
    let remarks = verified
        .problems
        .iter()
        .filter(|problem| !problem.is_damage())
        .count() as u64;
    let state = match remarks {
        0 => state,
        remarks => format!("{state}, {}", plural(remarks, "remark")),
    };
    let (lines, frames) = (plural(verified.lines, "line"), plural(verified.frames, "frame"));
    let _ = writeln!(
        page,
        "{}",
        Safe::of(&format!("{name}: {state}, {lines}, {frames}")).as_str()
    );
    page
}

/// What is printed of a file that is no recording, or cannot be read at all.
fn unopened(path: &Path, error: &OpenRecordingError) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let page = serde_json::json!({
        "file": path.display().to_string(),
        "whole": false,
        "error": error.to_string(),
        "cause": cause,
    });
    harmless_json(&page) + "\n"
}

fn json(path: &Path, verified: &Verified) -> String {
    #[derive(Serialize)]
    struct Page<'a> {
        file: String,
        whole: bool,
        version: Option<u16>,
        redacted: Option<bool>,
        lines: u64,
        bytes: u64,
        frames: u64,
        sessions: u64,
        messages: u64,
        ended: bool,
        problems: Vec<Found<'a>>,
        more: u64,
    }
    #[derive(Serialize)]
    struct Found<'a> {
        #[serde(flatten)]
        problem: &'a Problem,
        damage: bool,
    }

    let found = |problem| Found {
        damage: Problem::is_damage(problem),
        problem,
    };
    let page = Page {
        file: path.display().to_string(),
        whole: verified.is_whole(),
        version: verified.header.as_ref().map(|header| header.version),
        redacted: verified.header.as_ref().map(|header| header.redacted),
        lines: verified.lines,
        bytes: verified.bytes,
        frames: verified.frames,
        sessions: verified.sessions,
        messages: verified.messages,
        ended: verified.is_ended,
        problems: verified.problems.iter().map(found).collect(),
        more: verified.more,
    };
    harmless_json(&page) + "\n"
}
