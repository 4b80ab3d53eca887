//! Recordings into files of other programs, and the other way round.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use shadowcat::interchange::{ExportFormat, ImportHarError, MAX_HAR_BYTES, export, read_har};
use shadowcat::limits::ResourceLimits;
use shadowcat::recording::redact::Redaction;
use shadowcat::recording::{OpenRecordingError, write_whole};
use shadowcat::replay::tape::{Tape, TapeError, TapeOptions};

use crate::console::say;
use crate::format::plural;
use crate::{BAD_USAGE, CANNOT_OPEN, Failure};

/// What to export.
#[derive(Debug)]
pub(crate) struct ExportJob {
    pub(crate) file: PathBuf,
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
    let options = TapeOptions::as_the_client_saw_it().within(limits);
    let tape = Tape::load(&job.file, &options).map_err(|error| {
        let code = match error {
            TapeError::Open(OpenRecordingError::Read { .. }) => CANNOT_OPEN,
            _ => BAD_USAGE,
        };
        Failure::with_code(code, error)
    })?;
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
        Some(path) => write_to(path, &tape, job.format)
            .with_context(|| {
                format!(
                    "could not write {}; choose a file that is not there yet",
                    path.display()
                )
            })
            .map_err(|error| Failure::with_code(CANNOT_OPEN, error)),
    }
}

/// For the user only, as recordings are.
fn write_to(path: &Path, tape: &Tape, format: ExportFormat) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = BufWriter::new(options.open(path)?);
    export(tape, format, &mut out)?;
    out.flush()
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
