//! A copy of a recording without its secrets.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use shadowcat::recording::scrub::{ScrubError, Scrubbed, scrub};
use shadowcat::recording::{Extent, OpenRecordingError, RecordingReader, RedactPatterns, Segments};

use crate::console::say;
use crate::format::plural;

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
            Self::Open(_) | Self::Scrub(ScrubError::Exists { .. } | ScrubError::Write { .. }) => 3,
            Self::Scrub(_) => 1,
        }
    }
}

impl ScrubJob {
    /// Writes the copy and says on stderr what was done.
    pub(crate) fn run(&self) -> Result<(), ScrubFailure> {
        let segments = Segments::of(&self.file, self.extent)?;
        let reader = RecordingReader::open_segments(&segments)?;
        let first = segments.files().first().map_or(&*self.file, |first| &*first.path);
        let output = self.output.clone().unwrap_or_else(|| beside(first));
        let scrubbed = scrub(reader, &output, self.redact.clone())?;
        tell(&output, &scrubbed);
        Ok(())
    }
}

fn tell(output: &Path, scrubbed: &Scrubbed) {
    let output = output.display();
    for damage in &scrubbed.damage {
        say(format_args!("warning: {output}: {damage}"));
    }
    let (lines, replaced) = (
        plural(scrubbed.lines, "line"),
        plural(scrubbed.replaced, "secret"),
    );
    say(format_args!("{output}: {lines}, {replaced} replaced"));
    if scrubbed.withheld > 0 {
        let bytes = plural(scrubbed.withheld, "byte");
        say(format_args!(
            "{output}: {bytes} left out, which cannot be looked into"
        ));
    }
    if scrubbed.left_out > 0 {
        let lines = plural(scrubbed.left_out, "line");
        say(format_args!(
            "{output}: {lines} left out, which this build cannot read"
        ));
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
