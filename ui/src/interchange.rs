//! Recordings into files of other programs, and the other way round.

use std::borrow::Cow;
use std::io::{self, BufWriter, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use shadowcat::interchange::{ExportFormat, ImportHarError, MAX_HAR_BYTES, export, export_to_file, read_har};
use shadowcat::limits::ResourceLimits;
use shadowcat::recording::{
    Extent, RecorderSettings, StartRecordingError, shown, write_whole, write_whole_to,
};
use shadowcat::replay::tape::TapeOptions;

use crate::console::say;
use crate::format::plural;
use crate::input::{is_standard, open, tape};
use crate::{BAD_USAGE, CANNOT_OPEN, Failure};

/// What to export.
#[derive(Debug)]
pub(crate) struct ExportJob {
    pub(crate) file: PathBuf,
    pub(crate) extent: Extent,
    pub(crate) format: ExportFormat,
    /// `None`, as `-`: standard output.
    pub(crate) output: Option<PathBuf>,
}

/// What to import.
#[derive(Debug)]
pub(crate) struct ImportJob {
    pub(crate) file: PathBuf,
    pub(crate) output: PathBuf,
    /// How the recording is written.
    pub(crate) recorder: RecorderSettings,
}

/// Writes a recording in another format.
///
/// # Errors
/// What cannot be opened or written. A reader of standard output that goes away is none.
pub(crate) fn run_export(job: &ExportJob, limits: &ResourceLimits) -> Result<(), Failure> {
    let options = TapeOptions::as_the_client_saw_it()
        .within(limits)
        .reading(job.extent)
        .with_injected();
    let tape = tape(&job.file, &options).map_err(|error| Failure::with_code(CANNOT_OPEN, error))?;
    tape.damage
        .iter()
        .for_each(|damage| say(format_args!("warning: {}: {damage}", shown(&job.file))));
    match job.output.as_deref().filter(|path| !is_standard(path)) {
        None => until_nobody_reads(export(
            &tape,
            job.format,
            &mut BufWriter::new(io::stdout().lock()),
        )),
        Some(path) => export_to_file(&tape, job.format, path)
            .map_err(|error| unwritten(path, error))
            .map_err(|error| Failure::with_code(CANNOT_OPEN, error)),
    }
}

/// A reader of standard output that goes away has read enough.
fn until_nobody_reads(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(anyhow::Error::new(error)
            .context("could not write to stdout")
            .into()),
        _ => Ok(()),
    }
}

fn unwritten(path: &Path, error: io::Error) -> anyhow::Error {
    let path = path.display();
    if error.kind() == io::ErrorKind::AlreadyExists {
        return anyhow::anyhow!(
            "{path} exists already and is not overwritten; choose another name with -o or move it away"
        );
    }
    anyhow::Error::new(error).context(format!(
        "could not write {path}; check its directory and that there is room on its disk, or choose another with -o"
    ))
}

/// Makes a recording of an archive.
///
/// # Errors
/// What cannot be opened or written, or is no archive.
pub(crate) fn run_import(job: &ImportJob) -> Result<(), Failure> {
    let text = read(&job.file).with_context(|| {
        format!(
            "could not read {}; check that it exists and is readable",
            shown(&job.file)
        )
    });
    let text = text.map_err(|error| Failure::with_code(CANNOT_OPEN, error))?;
    let import = read_har(&text).map_err(|error| refused(&job.file, error))?;
    import
        .remarks
        .iter()
        .for_each(|remark| say(format_args!("warning: {}: {remark}", shown(&job.file))));
    let is_stdout = is_standard(&job.output);
    let written = if is_stdout {
        write_whole_to(
            io::stdout(),
            &job.output,
            import.created,
            import.observations,
            &job.recorder,
        )
    } else {
        write_whole(&job.output, import.created, import.observations, &job.recorder)
    };
    let written = match written {
        Err(StartRecordingError::Write { source, .. }) if is_stdout => {
            return until_nobody_reads(Err(source));
        }
        written => written.map_err(|error| Failure::with_code(CANNOT_OPEN, error))?,
    };
    let name = if is_stdout {
        Cow::Borrowed("standard output")
    } else {
        written.path.to_string_lossy()
    };
    say(format_args!("{name}: {}", plural(written.lines, "line")));
    Ok(())
}

fn refused(file: &Path, error: ImportHarError) -> Failure {
    let error = anyhow::Error::new(error).context(format!("{} cannot be imported", shown(file)));
    Failure::with_code(BAD_USAGE, error)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    // One byte more shows that it is too long.
    let file = open(path)?;
    file.take(MAX_HAR_BYTES as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}
