//! A copy of a recording without its secrets.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use shadowcat::recording::scrub::{ScrubError, Scrubbed, scrub, scrub_to};
use shadowcat::recording::{Extent, OpenRecordingError, RedactPatterns};

use crate::console::say;
use crate::format::plural;
use crate::input::{self, is_standard};

/// What to copy, and where to.
#[derive(Debug)]
pub(crate) struct ScrubJob {
    pub(crate) file: PathBuf,
    pub(crate) extent: Extent,
    pub(crate) output: Option<PathBuf>,
    pub(crate) redact: RedactPatterns,
}

/// There is no copy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScrubFailure {
    #[error(transparent)]
    Open(#[from] OpenRecordingError),
    #[error(transparent)]
    Scrub(#[from] ScrubError),
}

impl ScrubFailure {
    /// The exit code of a program that ends with this.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Open(_)
            | Self::Scrub(ScrubError::Open(_) | ScrubError::Exists { .. } | ScrubError::Write { .. }) => 3,
            Self::Scrub(_) => 1,
        }
    }
}

impl ScrubJob {
    /// Writes the copy and says on stderr what was done. Whoever reads it from standard output may have enough of it.
    pub(crate) fn run(&self) -> Result<(), ScrubFailure> {
        let segments = input::segments(&self.file, self.extent)?.rereadable()?;
        let first = segments.files().first().map_or(&*self.file, |first| &*first.path);
        let beside = || {
            if is_standard(first) {
                first.to_owned()
            } else {
                beside(first)
            }
        };
        let output = self.output.clone().unwrap_or_else(beside);
        if !is_standard(&output) {
            tell(
                &output.to_string_lossy(),
                &scrub(&segments, &output, &self.redact)?,
            );
            return Ok(());
        }
        let out = Path::new("standard output");
        match scrub_to(&segments, &mut io::stdout().lock(), out, &self.redact) {
            Ok(scrubbed) => tell("standard output", &scrubbed),
            Err(ScrubError::Write { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

fn tell(output: &str, scrubbed: &Scrubbed) {
    for damage in &scrubbed.damage {
        say(format_args!("warning: {output}: {damage}"));
    }
    let lines = plural(scrubbed.lines, "line");
    let replaced = plural(scrubbed.replaced, "secret");
    say(format_args!("{output}: {lines}, {replaced} replaced"));
    let rest = [
        (
            "",
            scrubbed.withheld,
            "byte",
            "left out, which cannot be looked into",
        ),
        (
            "",
            scrubbed.left_out,
            "line",
            "left out, which this build cannot read",
        ),
        (
            "warning: ",
            scrubbed.values_left,
            "secret",
            "replaced in their own place only; look whether they stand elsewhere",
        ),
        (
            "warning: ",
            scrubbed.frames_left,
            "long frame",
            "with secrets that were replaced there only; look whether they stand elsewhere",
        ),
    ];
    for (start, count, what, became) in rest.into_iter().filter(|(_, count, ..)| *count > 0) {
        say(format_args!("{start}{output}: {} {became}", plural(count, what)));
    }
}

/// `a.scrubbed.jsonl` for `a.jsonl`.
fn beside(file: &Path) -> PathBuf {
    let name = file.file_name().map(OsString::from).unwrap_or_default();
    let name = name.to_string_lossy();
    let ending = [".jsonl.zst", ".jsonl"]
        .into_iter()
        .find(|ending| name.ends_with(ending));
    let stem = ending.map_or(&*name, |ending| name.trim_end_matches(ending));
    file.with_file_name(format!("{stem}.scrubbed{}", ending.unwrap_or(".jsonl")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_stands_beside_the_recording() {
        let beside = |file: &str| beside(Path::new(file)).display().to_string();
        assert_eq!(beside("x/a.jsonl"), "x/a.scrubbed.jsonl");
        assert_eq!(beside("a.jsonl.zst"), "a.scrubbed.jsonl.zst");
        assert_eq!(beside("a"), "a.scrubbed.jsonl");
    }
}
