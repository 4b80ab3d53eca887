//! Recordings into files of other programs, and the other way round.

use std::fs::File;
use std::io::{self, BufWriter, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use shadowcat::interchange::{ExportFormat, ImportHarError, MAX_HAR_BYTES, export, export_to_file, read_har};
use shadowcat::limits::ResourceLimits;
use shadowcat::recording::redact::Redaction;
use shadowcat::recording::{Extent, write_whole};
use shadowcat::replay::tape::{Tape, TapeOptions};

use crate::console::say;
use crate::format::plural;
use crate::{BAD_USAGE, CANNOT_OPEN, Failure};

/// What to export.
#[derive(Debug)]
pub(crate) struct ExportJob {
    pub(crate) file: PathBuf,
    pub(crate) extent: Extent,
    pub(crate) format: ExportFormat,
    /// `None`: standard output.
    pub(crate) output: Option<PathBuf>,
}

/// What to import.
#[derive(Debug)]
pub(crate) struct ImportJob {
    pub(crate) file: PathBuf,
    pub(crate) output: PathBuf,
    pub(crate) redaction: Redaction,
}

/// Writes a recording in another format.
///
/// # Errors
/// What cannot be opened or written. A reader of standard output that goes away is none.
pub(crate) fn run_export(job: &ExportJob, limits: &ResourceLimits) -> Result<(), Failure> {
    let options = TapeOptions::as_the_client_saw_it()
        .within(limits)
        .reading(job.extent);
    let tape = Tape::load(&job.file, &options).map_err(|error| Failure::with_code(CANNOT_OPEN, error))?;
    tape.damage
        .iter()
        .for_each(|damage| say(format_args!("warning: {}: {damage}", job.file.display())));
    match &job.output {
        None => match export(&tape, job.format, &mut BufWriter::new(io::stdout().lock())) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(anyhow::Error::new(error)
                .context("could not write to stdout")
                .into()),
            _ => Ok(()),
        },
        Some(path) => export_to_file(&tape, job.format, path)
            .with_context(|| {
                format!(
                    "could not write {}; choose a file that is not there yet",
                    path.display()
                )
            })
            .map_err(|error| Failure::with_code(CANNOT_OPEN, error)),
    }
}

/// Makes a recording of an archive.
///
/// # Errors
/// What cannot be opened or written, or is no archive.
pub(crate) fn run_import(job: &ImportJob) -> Result<(), Failure> {
    let text = read(&job.file).with_context(|| {
        format!(
            "could not read {}; check that it exists and is readable",
            job.file.display()
        )
    });
    let text = text.map_err(|error| Failure::with_code(CANNOT_OPEN, error))?;
    let import = read_har(&text).map_err(|error| refused(&job.file, error))?;
    let written = write_whole(&job.output, import.created, import.observations, job.redaction);
    let written = written.map_err(|error| Failure::with_code(CANNOT_OPEN, error))?;
    import
        .remarks
        .iter()
        .for_each(|remark| say(format_args!("warning: {}: {remark}", job.file.display())));
    say(format_args!(
        "{}: {}",
        written.path.display(),
        plural(written.lines, "line")
    ));
    Ok(())
}

fn refused(file: &Path, error: ImportHarError) -> Failure {
    let error = anyhow::Error::new(error).context(format!("{} cannot be imported", file.display()));
    Failure::with_code(BAD_USAGE, error)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    // One byte more shows that it is too long.
    let file = File::open(path)?;
    file.take(MAX_HAR_BYTES as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}
